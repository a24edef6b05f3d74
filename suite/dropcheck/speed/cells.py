"""Cells: one situation to time each, with a one-line text that repeats it, and the profiles that choose them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from dropcheck.adapter import DTYPES
from dropcheck.cases import parse_rate
from dropcheck.contract import Pattern
from dropcheck.errors import UsageError, nearest
from dropcheck.worker.timing import DIRECTIONS

ITEMSIZE = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
# native: contiguous in the target's own order of axes; permuted: the channel axis at the other end in memory, as
# PyTorch's channels_last; strided: every second element along the last axis of a larger array
LAYOUTS = ("native", "permuted", "strided")
REGIMES = ("reused", "fresh")
PROFILES = ("quick", "standard", "deep")


@dataclass(frozen=True, order=True)
class Cell:
    """One situation. ``samples``, ``channels``, ``shared``: N, C and L; ``regime``: where the output's memory comes from."""

    samples: int = 64
    channels: int = 256
    shared: int = 1024
    dtype: str = "float32"
    rate: float = 0.5
    direction: str = "forward"
    layout: str = "native"
    regime: str = "reused"

    @property
    def elements(self) -> int:
        """Elements of the input."""
        return self.samples * self.channels * self.shared

    @property
    def nbytes(self) -> int:
        """Bytes of the input."""
        return self.elements * ITEMSIZE[self.dtype]

    def shape(self, pattern: Pattern) -> tuple[int, ...]:
        """The input's shape in the pattern's order of axes, with as many elements whatever shares a coin."""
        if not pattern.shared:  # a coin an element
            rows = self.samples * self.channels if pattern.row_axes else 1
            return pattern.shape(rows, self.elements // rows, 1)
        if pattern.channel_axis is None:
            return pattern.shape(self.samples, 1, self.channels * self.shared)
        if not pattern.row_axes:
            return pattern.shape(1, self.channels, self.samples * self.shared)
        return pattern.shape(self.samples, self.channels, self.shared)

    def order(self, pattern: Pattern) -> list[int]:
        """The axes of the input from slow to fast in memory."""
        axes = list(range(len(pattern.axes)))
        if self.layout != "permuted" or pattern.channel_axis is None:
            return axes
        channel = pattern.axes.index(pattern.channel_axis)
        others = [a for a in axes if a != channel]
        last = channel == axes[-1]
        return [others[0], channel, *others[1:]] if last else [*others, channel]

    def request(self, pattern: Pattern, seed: int) -> dict[str, Any]:
        """What a worker is asked to set up."""
        shape = self.shape(pattern)
        rows, channels = pattern.matrix_shape(shape)
        return {
            "shape": list(shape),
            "order": self.order(pattern),
            "strided": self.layout == "strided",
            "dtype": self.dtype,
            "rate": self.rate,
            "direction": self.direction,
            "regime": self.regime,
            "seed": seed,
            "coins": rows * channels,
        }

    def __str__(self) -> str:
        rate = f"{self.rate:g}" if float(f"{self.rate:g}") == self.rate else repr(self.rate)
        words = [f"{self.samples},{self.channels},{self.shared}", self.dtype, f"rate={rate}", self.direction]
        words += [] if self.layout == "native" else [self.layout]
        words += [] if self.regime == "reused" else [self.regime]
        return " ".join(words)


def parse_cell(text: str) -> Cell:
    """Read the text of a cell. Raises UsageError that names the word and what was expected."""
    fields: dict[str, Any] = {}
    for word in text.split():
        key, _, value = word.partition("=")
        if re.fullmatch(r"[1-9]\d*(,[1-9]\d*){2}", word):
            fields["samples"], fields["channels"], fields["shared"] = (int(n) for n in word.split(","))
        elif key == "rate":
            fields["rate"] = parse_rate(value)
        else:
            for name, valid in (
                ("dtype", DTYPES),
                ("direction", DIRECTIONS),
                ("layout", LAYOUTS),
                ("regime", REGIMES),
            ):
                if word in valid:
                    fields[name] = word
                    break
            else:
                known = [*DTYPES, *DIRECTIONS, *LAYOUTS, *REGIMES, "rate=.5", "64,256,1024"]
                raise UsageError(
                    f"cell {text!r}: the word {word!r} is not understood; expected words such as "
                    f"'64,256,1024 float32 rate=.5 forward' (samples,channels,shared){nearest(word, known)}"
                )
    return Cell(**fields)


CENTRE = Cell()


def _of_bytes(target: int, base: Cell = CENTRE) -> Cell:
    """The base with its batch, then its channels, then its positions cut or grown to ``target`` bytes."""
    itemsize = ITEMSIZE[base.dtype]
    samples = target // (base.channels * base.shared * itemsize)
    if samples >= 1:
        return replace(base, samples=samples)
    channels, shared = min(base.channels, 64), 16
    return replace(base, samples=max(1, target // (channels * shared * itemsize)), channels=channels, shared=shared)


def _of_length(length: int, base: Cell = CENTRE) -> Cell:
    """The base's bytes with so many positions that share a coin."""
    return replace(base, shared=length, samples=base.elements // (base.channels * length))


def _of_channels(channels: int, base: Cell = CENTRE) -> Cell:
    """About the base's bytes with so many channels."""
    samples = max(1, round(base.elements / (channels * base.shared)))
    return replace(base, channels=channels, samples=samples)


def _unique(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    return tuple(dict.fromkeys(cells))


def _standard(largest: int) -> list[Cell]:
    one = CENTRE
    sizes = [_of_bytes(2**k) for k in range(12, largest.bit_length(), 2)]
    return [
        one,
        replace(one, regime="fresh"),
        replace(one, direction="inference"),
        replace(one, direction="backward"),
        *sizes,
        *(replace(c, regime="fresh") for c in sizes if c.nbytes >= 2**20),
        *(replace(c, direction="backward") for c in (sizes[0], sizes[len(sizes) // 2])),
        *(replace(c, direction="inference") for c in (sizes[0], sizes[len(sizes) // 2])),
        *(_of_length(n) for n in (1, 3, 16, 64, 257, 8192)),
        *(_of_channels(n) for n in (3, 64, 257, 4096)),
        *(replace(one, layout=word) for word in LAYOUTS[1:]),
        *(replace(one, dtype=word) for word in DTYPES[1:]),
        *(replace(one, dtype=word, direction="backward") for word in ("float16", "bfloat16")),
        *(replace(one, rate=rate) for rate in (0.0, 0.1, 0.9, 1.0)),
        *(replace(one, rate=rate, direction="backward") for rate in (0.1, 0.9)),
        *(replace(_of_length(1), layout=word) for word in LAYOUTS[1:]),
        replace(one, regime="fresh", direction="backward"),
    ]


def plan(profile: str, device: str = "cpu") -> tuple[Cell, ...]:
    """The cells of a profile: quick about 10, standard about 45, deep every pair of factors. Raises UsageError."""
    if profile not in PROFILES:
        raise UsageError(
            f"there is no profile {profile!r}; expected quick, standard or deep{nearest(profile, PROFILES)}"
        )
    one = CENTRE
    if profile == "quick":
        return _unique(
            [
                _of_bytes(2**12),
                _of_bytes(2**16),
                _of_bytes(2**20),
                replace(_of_bytes(2**12), direction="inference"),
                replace(_of_bytes(2**20), direction="backward"),
                replace(_of_bytes(2**24), regime="fresh"),
                _of_bytes(2**24),
                replace(_of_bytes(2**24), rate=0.1),
                replace(_of_bytes(2**24), dtype="bfloat16"),
                replace(_of_bytes(2**24), layout="permuted"),
            ]
        )
    largest = 2**30 if device != "cpu" else 2**26
    cells = _standard(largest)
    if profile == "deep":
        cells += [
            replace(base, dtype=dtype, rate=rate, direction=direction, layout=layout, regime=regime)
            for base in (_of_bytes(2**16), _of_bytes(2**20), one, _of_length(1), _of_channels(3))
            for dtype in DTYPES
            for rate in (0.0, 0.1, 0.5, 0.9, 1.0)
            for direction in DIRECTIONS
            for layout in LAYOUTS
            for regime in REGIMES
            if not (base.nbytes < 2**20 and regime == "fresh")
        ]
    if device != "cpu":  # there is one allocator of its own, which keeps what is freed
        cells = [replace(c, regime="reused") for c in cells]
    return _unique(cells)
