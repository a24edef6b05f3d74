"""A layer that refuses an input of the pattern's rank may take another: which patterns are tried, and what is then said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dropcheck.contract.promise import Pattern
from dropcheck.worker.client import Refused

_MIDDLE = {3: ("l",), 4: ("h", "w"), 5: ("d", "h", "w"), 2: ()}


def others(pattern: Pattern) -> list[Pattern]:
    """Patterns of the other usual ranks, 4, 3, 5 and 2 axes, with channels where ``pattern`` has them."""
    last = len(pattern.axes) > 1 and pattern.axes[-1] == pattern.channel_axis
    found = []
    for rank in (4, 3, 5, 2):
        if rank != len(pattern.axes):
            middle = _MIDDLE[rank]
            found.append(Pattern(("n", *middle, "c") if last else ("n", "c", *middle), ("n", "c")))
    return found


def taken(pattern: Pattern, call: Callable[[Pattern], Any]) -> tuple[Pattern, Any] | None:
    """The first of ``others`` whose input the layer takes, and what ``call`` made of it; None where it takes none."""
    for other in others(pattern):
        try:
            return other, call(other)
        except Refused:
            continue
    return None


def sentence(refused: Pattern, other: Pattern) -> str:
    """What to write for a layer that takes another rank than its pattern says."""
    return f"it takes no input of {len(refused.axes)} axes and takes one of {len(other.axes)}: give --pattern '{other}'"
