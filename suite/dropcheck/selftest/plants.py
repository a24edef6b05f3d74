"""Coins with a planted deviation of a given size, one way or more for every statistical check."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.coins import lag_firsts
from dropcheck.judge.checks.base import Limits
from dropcheck.selftest import simulated

Draws = np.random.Generator


@dataclass(frozen=True)
class Plant:
    """A way to plant a deviation of given size: ``coins(rng, case, size)`` is (rows, channels), or with classes a pair.

    ``promised(rng, case, limits)``: the size that must be caught, where the check prints none.
    """

    check: str
    words: str
    case: str
    coins: Callable[[Draws, Case, float], Any]
    sized: bool = True
    promised: Callable[[Draws, Case, Limits], float] | None = None

    @property
    def key(self) -> str:
        """Its name among all plants."""
        return f"{self.check} {self.words}, {self.case}"


def independent(rng: Draws, case: Case) -> Any:
    return rng.random((case.rows * case.calls, case.channels)) < case.rate


def _tied(rng: Draws, first: Any, p: float, rho: float) -> Any:
    """Coins of rate p whose correlation with ``first`` is rho, each with its own."""
    return rng.random(first.shape) < np.where(first, p + rho * (1 - p), p - rho * p)


def _rate(sign: int) -> Any:
    return lambda rng, case, size: rng.random((case.rows * case.calls, case.channels)) < case.rate + sign * size


def _channel(sign: int) -> Any:
    def coins(rng: Draws, case: Case, size: float) -> Any:
        rates = np.full(case.channels, case.rate)
        rates[case.channels // 2] += sign * size
        return rng.random((case.rows * case.calls, case.channels)) < rates

    return coins


def _row(sign: int) -> Any:
    def coins(rng: Draws, case: Case, size: float) -> Any:
        rates = np.full((case.rows, 1), case.rate)
        rates[case.rows // 2] += sign * size
        return rng.random((case.rows * case.calls, case.channels)) < np.tile(rates, (case.calls, 1))

    return coins


def _pair(sign: int) -> Any:
    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = independent(rng, case)
        made[:, 3] = _tied(rng, made[:, 2], case.rate, sign * size)
        return made

    return coins


def _rows_apart(lag: int, sign: int) -> Any:
    """Rows of one call tied over the disjoint pairs ``lag`` apart."""

    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = independent(rng, case).reshape(case.calls, case.rows, case.channels)
        first = lag_firsts(case.rows, lag)
        made[:, first + lag] = _tied(rng, made[:, first], case.rate, sign * size)
        return made.reshape(-1, case.channels)

    return coins


def _calls_apart(lag: int, sign: int, calls: int = 1) -> Any:
    """The same position in calls (with ``calls`` 2: under seeds) ``lag`` apart tied, over disjoint pairs."""

    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = independent(rng, case).reshape(case.calls // calls, calls * case.rows, case.channels)
        first = lag_firsts(len(made), lag)
        made[first + lag] = _tied(rng, made[first], case.rate, sign * size)
        return made.reshape(-1, case.channels)

    return coins


def _shifted_calls(sign: int) -> Any:
    """Every row of a call tied to the next row of the next call, over disjoint pairs of calls."""

    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = independent(rng, case).reshape(case.calls, case.rows, case.channels)
        made[1::2, 1:] = _tied(rng, made[:-1:2, :-1], case.rate, sign * size)
        return made.reshape(-1, case.channels)

    return coins


def _shifted_seeds(sign: int) -> Any:
    """The first call under a seed tied to the second under its neighbour."""

    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = independent(rng, case).reshape(case.calls // 2, 2, case.rows, case.channels)
        made[1::2, 0] = _tied(rng, made[:-1:2, 1], case.rate, sign * size)
        return made.reshape(-1, case.channels)

    return coins


def _clumped(rng: Draws, case: Case, size: float) -> Any:
    """Every row has one of two rates: correlation s^2 / (p q) of any two channels."""
    s = math.sqrt(size * case.rate * (1 - case.rate))
    rates = case.rate + s * np.where(rng.random((case.rows * case.calls, 1)) < 0.5, 1, -1)
    return rng.random((case.rows * case.calls, case.channels)) < rates


def _beta(rng: Draws, case: Case, size: float) -> Any:
    """Every row has a rate from a beta law: correlation 1 / (a + b + 1)."""
    strength = 1 / size - 1
    rates = rng.beta(case.rate * strength, (1 - case.rate) * strength, (case.rows * case.calls, 1))
    return rng.random((case.rows * case.calls, case.channels)) < rates


def _rationed(rng: Draws, case: Case, size: float) -> Any:
    """A share of the rows has exactly its expected number of drops: variance ratio 1 - share."""
    made = independent(rng, case)
    k = round(case.rate * case.channels)
    exact = rng.random(made.shape).argsort(axis=1) < k
    chosen = rng.random(len(made)) < size * (case.channels - 1)
    made[chosen] = exact[chosen]
    return made


def _parity(group: int) -> Any:
    """Groups of channels (rate .5) of one parity more often: all but one of a group stay independent, effect size w = size."""

    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = independent(rng, case)
        for start in range(0, case.channels // group * group, group):
            odd = rng.random(len(made)) < 0.5 + size / 2
            made[:, start + group - 1] = made[:, start : start + group - 1].sum(axis=1) % 2 == odd
        return made

    return coins


def _follows(which: int, sign: int) -> Any:
    def coins(rng: Draws, case: Case, size: float) -> Any:
        classes = simulated.classes_of(rng, case, case.rows * case.calls)
        shift = sign * size * math.sqrt(case.rate * (1 - case.rate))
        return rng.random(classes[which].shape) < case.rate + shift * np.where(classes[which], 1, -1), classes

    return coins


def _copied_channel(rng: Draws, case: Case, size: float) -> Any:
    made = independent(rng, case)
    one, two = rng.choice(case.channels, 2, replace=False)
    made[:, two] = made[:, one]
    return made


def _repeated(apart: Callable[[Draws, Case, int], tuple[int, int]]) -> Any:
    """One word of ``size`` coins (whole rows) stands twice."""

    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = independent(rng, case)
        length = round(size) // case.channels
        one, two = apart(rng, case, length)
        made[two : two + length] = made[one : one + length]
        return made

    return coins


def _in_call(rng: Draws, case: Case, length: int) -> tuple[int, int]:
    call = int(rng.integers(case.calls)) * case.rows
    return call, call + case.rows - length


def _in_calls(rng: Draws, case: Case, length: int) -> tuple[int, int]:
    one, two = sorted(rng.choice(case.calls, 2, replace=False))
    return int(one) * case.rows, int(two) * case.rows + case.rows - length


def _in_seeds(rng: Draws, case: Case, length: int) -> tuple[int, int]:
    one, two = sorted(rng.choice(case.calls // 2, 2, replace=False))
    return int(one) * 2 * case.rows, int(two) * 2 * case.rows + 2 * case.rows - length


def _plants() -> list[Plant]:
    found: list[Plant] = []

    def add(check: str, words: str, case: str, coins: Any, sized: bool = True) -> None:
        found.append(Plant(check, words, f"float32 {case}", coins, sized))

    small, half = "rate=0.3 8,17,3 calls=64", "rate=0.5 8,16,3 calls=64"
    for sign, word in ((1, "more"), (-1, "less")):
        add("rate.marginal", f"rate {word}", small, _rate(sign))
        add("rate.per-channel", f"one channel {word}", small, _channel(sign))
        add("rate.per-channel", f"one channel {word}", half, _channel(sign))
        add("rate.per-sample", f"one row {word}", small, _row(sign))
        add("mask.independent-channels", f"one pair tied, {word}", "rate=0.3 16,9,3 calls=64", _pair(sign))
        add("mask.independent-channels", f"one pair tied, {word}", half, _pair(sign))
        for lag, case in (
            (1, "rate=0.3 8,9,3 calls=64"),
            (4, "rate=0.3 8,9,3 calls=64"),
            (256, "rate=0.3 1000,3,3 calls=3"),
        ):
            add("mask.independent-samples", f"rows {lag} apart tied, {word}", case, _rows_apart(lag, sign))
        seeds = "rate=0.5 3,13,3 calls=256 seeds way=generator"
        for lag in (1, 2):
            calls = "rate=0.3 4,9,3 calls=128"
            add("mask.independent-calls", f"calls {lag} apart tied, {word}", calls, _calls_apart(lag, sign))
            add("seed.neighbours", f"seeds {lag} apart tied, {word}", seeds, _calls_apart(lag, sign, 2))
        add(
            "mask.independent-calls",
            f"calls shifted by a row tied, {word}",
            "rate=0.3 4,9,3 calls=128",
            _shifted_calls(sign),
        )
        add("seed.neighbours", f"shifted calls of neighbours tied, {word}", seeds, _shifted_seeds(sign))
        for which, name in enumerate(("sign", "magnitude")):
            add(
                "mask.ignores-values",
                f"coins follow {name}, {word}",
                "rate=0.3 8,9,3 calls=64 values",
                _follows(which, sign),
            )
    add("mask.dropped-count", "clumped, two rates", "rate=0.3 8,17,3 calls=64", _clumped)
    add("mask.dropped-count", "clumped, two rates", "rate=0.1 8,64,3 calls=64", _clumped)
    add("mask.dropped-count", "clumped, beta law", "rate=0.3 8,17,3 calls=64", _beta)
    add("mask.dropped-count", "rationed", half, _rationed)
    add("mask.patterns", "parity of eight", "rate=0.5 64,16,3 calls=64", _parity(8))
    add("mask.patterns", "parity of four", "rate=0.5 32,4,3 calls=64", _parity(4))
    # too few rows for patterns of eight: what is printed is the resolution of fours
    add("mask.patterns", "parity of four, eight channels", "rate=0.5 16,8,3 calls=64", _parity(4))
    add("mask.distinct-channels", "two channels are copies", half, _copied_channel, False)
    for case in ("rate=0.5 8,64,3 calls=64", "rate=0.3 12,17,3 calls=64"):
        add("mask.distinct-samples", "a word repeats in its call", case, _repeated(_in_call), False)
        add("mask.distinct-calls", "a word repeats in another call", case, _repeated(_in_calls), False)
    add(
        "seed.distinct",
        "a word repeats under another seed",
        "rate=0.5 9,131,3 calls=128 seeds way=generator",
        _repeated(_in_seeds),
        False,
    )
    return found


PLANTS: Mapping[str, Plant] = {p.key: p for p in _plants()}  # power.PLANTS has those of ``certain``, too
