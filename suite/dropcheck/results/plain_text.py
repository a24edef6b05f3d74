"""Text and numbers as readers want them: foreign text made harmless, plurals, lists cut short."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from dropcheck.results.audit import Finding

_INVISIBLE = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")  # control, direction, private, half characters, other line ends
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # by which a terminal shows colours and bold letters


def clean(text: str, most: int = 2000) -> str:
    """Text with control and direction-changing characters made visible, without colours, cut at ``most`` characters."""
    if not text.isprintable():
        text = _COLOURS.sub("", text)
    shown = text
    if not text.isprintable():
        shown = "".join(
            c if c == "\n" or unicodedata.category(c) not in _INVISIBLE else f"\\u{ord(c):04x}" for c in text
        )
    return shown if len(shown) <= most else shown[:most] + f"… ({len(shown)} characters)"


def line(text: str, most: int = 400) -> str:
    """``clean`` on one line."""
    return clean(text.replace("\n", " ⏎ "), most)


def family(check: str) -> str:
    """The part of a check's name before the dot."""
    return check.split(".", 1)[0]


def count(number: int, noun: str) -> str:
    """``1 claim``, ``2 claims``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def strongest(findings: Iterable[Finding]) -> Finding:
    """The finding with the most evidence; among equals the plainest case."""
    return min(findings, key=lambda f: (f.log10_evidence if f.log10_evidence is not None else 0.0, len(f.case)))


def some(values: Sequence[str], most: int = 6) -> str:
    """At most ``most`` of the values, and how many more there are."""
    shown = ", ".join(line(v, 120) for v in values[:most])
    return shown + (f", and {len(values) - most} more" if len(values) > most else "")


def differing(value: float, other: float, digits: int = 6) -> str:
    """``1.1, expected 1.11111``: two numbers with as many digits as show that they differ, ``digits`` at least."""
    for d in (digits, 9, 12, 17):
        one, two = f"{value:.{d}g}", f"{other:.{d}g}"
        if one != two:
            break
    return f"{one}, expected {two}"


def percent(share: float, digits: int = 0) -> str:
    """``34%``: a share with so many digits, at least, that only 0 and 1 read as 0% and 100%."""
    for d in range(digits, 12):
        text = f"{100 * share:.{d}f}"
        if (float(text) in (0, 100)) == (share in (0, 1)):
            break
    return f"{text}%"


def number(value: float | None) -> str:
    """A number as a reader wants it."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    return f"{value:.4g}"
