"""Rows that should lose an exact number of channels, or one stretch of random length, gone wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins


def chosen(rng: Any, rows: int, channels: int, number: int) -> Any:
    """(rows, channels), True at ``number`` channels of each row, any as likely as any other."""
    order = np.argsort(rng.random((rows, channels)), axis=1)
    mask = np.zeros((rows, channels), bool)
    np.put_along_axis(mask, order[:, :number], True, axis=1)
    return mask


def stretches(size: int, lengths: Any, starts: Any) -> Any:
    """(rows, size), True from each start for so many channels."""
    places = np.arange(size)
    return (places >= starts[:, None]) & (places < (starts + lengths)[:, None])


class Rows(Layer):
    """Right rows: with probability rate a sample loses exactly two channels. Nothing is scaled: ``n c l -> n c=2``."""

    number = 2

    def mask(self, x: Any, rng: Any) -> Any:
        rows, channels = x.shape[:2]
        return self.falls(rows, rng)[:, None] & self.which(rows, channels, rng)

    def falls(self, rows: int, rng: Any) -> Any:
        """(rows,), whether a row loses anything."""
        return coins(rng, self.rate, (rows,))

    def which(self, rows: int, channels: int, rng: Any) -> Any:
        """(rows, channels), which channels a row loses."""
        return chosen(rng, rows, channels, self.number)

    def drop(self, x: Any, mask: Any) -> Any:
        return np.where(mask[:, :, None], np.zeros((), x.dtype), x)


class WithReplacement(Rows):
    """Draws two channels with replacement: an eighth of the rows loses one only."""

    def which(self, rows: int, channels: int, rng: Any) -> Any:
        mask = np.zeros((rows, channels), bool)
        np.put_along_axis(mask, rng.integers(channels, size=(rows, 2)), True, axis=1)
        return mask


class NeverLast(Rows):
    """Chooses below the last channel."""

    def which(self, rows: int, channels: int, rng: Any) -> Any:
        made = chosen(rng, rows, channels - 1, self.number) if channels > self.number else np.ones((rows, 0), bool)
        return np.pad(made, ((0, 0), (0, channels - made.shape[1])))


class Neighbours(Rows):
    """Two neighbours on a ring: each channel as often as any other, and never two that are apart."""

    def which(self, rows: int, channels: int, rng: Any) -> Any:
        first = rng.integers(channels, size=rows)[:, None]
        mask = np.zeros((rows, channels), bool)
        np.put_along_axis(mask, (first + np.arange(2)) % channels, True, axis=1)
        return mask


class OneChoice(Rows):
    """Each sample decides whether it loses channels; which ones is drawn for the whole batch."""

    def which(self, rows: int, channels: int, rng: Any) -> Any:
        return np.repeat(chosen(rng, min(rows, 1), channels, self.number), max(rows, 1), axis=0)[:rows]


class PairsAlike(Rows):
    """Two samples that follow each other lose the same channels, if they lose any."""

    def which(self, rows: int, channels: int, rng: Any) -> Any:
        return np.repeat(chosen(rng, (rows + 1) // 2, channels, self.number), 2, axis=0)[:rows]


class Always(Rows):
    """Every sample loses two channels, whatever the rate is."""

    def falls(self, rows: int, rng: Any) -> Any:
        return np.ones(rows, bool)


class Share(Rows):
    """Right rows: each sample loses exactly the share rate of its channels, rounded: ``n c l -> n c=rate``."""

    def mask(self, x: Any, rng: Any) -> Any:
        rows, channels = x.shape[:2]
        return chosen(rng, rows, channels, round(self.rate * channels))


class ShareByCoins(Share):
    """Each channel falls by itself, so that their number varies."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, self.rate, x.shape[:2])


class Stretch(Rows):
    """Right rows: one stretch of 0 to rate x size channels, anywhere: ``n c l -> n c/*``."""

    def mask(self, x: Any, rng: Any) -> Any:
        rows, channels = x.shape[:2]
        lengths = self.lengths(rows, int(channels * self.rate + 1e-6), rng)
        return stretches(channels, lengths, self.starts(channels - lengths, rng))

    def lengths(self, rows: int, most: int, rng: Any) -> Any:
        """(rows,), how many channels fall."""
        return rng.integers(0, most + 1, size=rows)

    def starts(self, free: Any, rng: Any) -> Any:
        """(rows,), from 0 to ``free``."""
        return rng.integers(0, free + 1)


class ShortStretches(Stretch):
    """Lengths are the lesser of two draws: short ones too often."""

    def lengths(self, rows: int, most: int, rng: Any) -> Any:
        return rng.integers(0, most + 1, size=(2, rows)).min(axis=0)


class TooLong(Stretch):
    """One channel more than the rate allows."""

    def lengths(self, rows: int, most: int, rng: Any) -> Any:
        return rng.integers(0, most + 2, size=rows) if most else np.zeros(rows, np.int64)


class StretchNeverLast(Stretch):
    """Begins below the last place, so that the last channel never falls: the law of the paper, declared is every place."""

    def starts(self, free: Any, rng: Any) -> Any:
        return rng.integers(0, np.maximum(free, 1))


class WrapsRound(Stretch):
    """A stretch goes on at the first channel where it meets the last."""

    def mask(self, x: Any, rng: Any) -> Any:
        rows, channels = x.shape[:2]
        lengths = self.lengths(rows, int(channels * self.rate + 1e-6), rng)
        begins = rng.integers(0, channels, size=rows)[:, None]
        return (np.arange(channels) - begins) % channels < lengths[:, None]


class OneStretchABatch(Stretch):
    """All samples of a call lose the stretch of the first."""

    def mask(self, x: Any, rng: Any) -> Any:
        return np.repeat(super().mask(x[:1], rng), max(1, len(x)), axis=0)[: len(x)]
