"""What all drawings share: the record of a figure, axes, ticks, and texts that are escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from markupsafe import Markup

from dropcheck.results import plain_text

WIDTH = 520  # user units: a phone shows 13 units of text as about 9 pixels, a desk as 13
TEXT = 6.6  # width of an average letter in user units

SERIES = 4  # classes s0 to s3 of the style sheet: each has a colour of its own, in light and in dark


@dataclass(frozen=True)
class Figure:
    """One drawing. ``body``: what stands in the SVG; ``reading``: how to read it; ``columns`` and ``rows``: its numbers.

    ``note``: what is drawn, where the title does not say it. ``legend``: pairs of a class of the style sheet and
    what it stands for.
    """

    title: str
    desc: str
    reading: str
    width: float
    height: float
    body: Markup
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=tuple)
    legend: Sequence[tuple[str, str]] = ()
    note: str = ""


@dataclass(frozen=True)
class Axis:
    """From values to user units, clamped to the drawing. ``log``: a logarithmic scale, whose ends are positive."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies."""
        low, high, here = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, here = math.log10(low), math.log10(high), math.log10(here)
        return self.start + (here - low) / ((high - low) or 1.0) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within the axis; powers of ten on a logarithmic one."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            step = max(1, math.ceil((last - first + 1) / most))
            return [10.0**e for e in range(first, last + 1, step)]
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        raw = span / most
        size = 10 ** math.floor(math.log10(raw))
        step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def finite(value: object) -> TypeGuard[float]:
    """Whether a value from a result is a number that can be drawn; of larger ones sums and squares overflow."""
    return isinstance(value, (int, float)) and abs(value) < 1e100


def short(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, label: str, anchor: str = "", kind: str = "") -> Markup:
    """A label; it comes from outside and is escaped."""
    more = Markup(' text-anchor="{}"').format(anchor) if anchor else Markup("")
    more += Markup(' class="{}"').format(kind) if kind else Markup("")
    return Markup('<text x="{}" y="{}"{}>{}</text>').format(short(x), short(y), more, plain_text.line(label, 80))


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> Markup:
    """A straight line of a class."""
    return Markup('<path class="{}" d="M{} {}L{} {}"/>').format(kind, short(x1), short(y1), short(x2), short(y2))


def box(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """A rectangle of a class."""
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        kind, short(x), short(y), short(max(0.0, width)), short(max(0.0, height))
    )


def mark(x: float, y: float, kind: str, *, cross: bool = False, label: str = "") -> Markup:
    """A circle, or a cross for what fails: a shape beside the colour. ``label``: shown by a pointer that rests on it."""
    told = Markup("<title>{}</title>").format(plain_text.line(label, 300)) if label else Markup("")
    if cross:
        return Markup('<path class="{} cross" d="M{} {}l8 8m0-8l-8 8">{}</path>').format(
            kind, short(x - 4), short(y - 4), told
        )
    return Markup('<circle class="{}" cx="{}" cy="{}" r="3.2">{}</circle>').format(kind, short(x), short(y), told)


def x_axis(axis: Axis, top: float, bottom: float, label: str, form: Callable[[float], str], most: int = 6) -> Markup:
    """Lines and numbers under a drawing, and what they count."""
    parts = [Markup("")]
    for value in axis.ticks(most):
        parts += [
            line(axis.at(value), top, axis.at(value), bottom),
            text(axis.at(value), bottom + 16, form(value), "middle"),
        ]
    parts.append(text((axis.start + axis.end) / 2, bottom + 33, label, "middle", "soft"))
    return Markup("").join(parts)


def y_axis(axis: Axis, left: float, right: float, form: Callable[[float], str], most: int = 5) -> Markup:
    """Lines and numbers beside a drawing."""
    parts = [Markup("")]
    for value in axis.ticks(most):
        parts += [
            line(left, axis.at(value), right, axis.at(value)),
            text(left - 6, axis.at(value) + 4, form(value), "end"),
        ]
    return Markup("").join(parts)


def plain(value: float) -> str:
    """A number at a tick."""
    if abs(value) < 1e-12:
        return "0"
    return f"{value / 1e6:g} M" if abs(value) >= 1e6 else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def power(value: float) -> str:
    """A power of ten at a tick: ``0.01``, ``10``, ``10^6``."""
    exponent = round(math.log10(value))
    return f"{value:g}" if -4 < exponent < 5 else f"10^{exponent}"


def joined(parts: Iterable[Markup]) -> Markup:
    """Pieces of a drawing as one."""
    return Markup("").join(parts)
