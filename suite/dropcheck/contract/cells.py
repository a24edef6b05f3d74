"""One situation to time: its sizes, dtype, rate, direction, layout and memory, with a one-line text that repeats it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from dropcheck.contract.adapter import DIRECTIONS, DTYPES
from dropcheck.contract.cases import parse_rate
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.contract.promise import Pattern

ITEMSIZE = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}


# native: contiguous in the target's own order of axes; permuted: the channel axis at the other end in memory, as
# PyTorch's channels_last; strided: every second element along the last axis of a larger array
LAYOUTS = ("native", "permuted", "strided")


REGIMES = ("reused", "fresh")


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
