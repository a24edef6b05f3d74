"""What tells a refusal from a crash: a layer that refuses says so by an exception of its own choice."""

from __future__ import annotations

import math
import re
from typing import Protocol

# raised by the interpreter or by an array library when code goes wrong, never by a layer that looked at its input
_CRASHES = frozenset(
    {
        "AttributeError",
        "FloatingPointError",
        "IndexError",
        "KeyError",
        "MemoryError",
        "NameError",
        "OverflowError",
        "RecursionError",
        "StopIteration",
        "SystemError",
        "UnboundLocalError",
        "ZeroDivisionError",
    }
)
# of a TypeError: the interpreter's own words for an operation on something that is no number, array or function
_ITS_WORDS = ("unsupported operand", "NoneType", "not supported between", "is not subscriptable", "is not callable")
# what names a rate in the words of a refusal
_NAMED = re.compile(
    r"\b(rates?|ratio|p|p_in|probs?|probabilit\w+|keep(_?prob\w*)?|\w*drop\w*)\b|in the interval|between 0",
    re.IGNORECASE,
)
# of a ValueError: the interpreter's words for a computation that went wrong, whatever they name
_COMPUTED = ("math domain error", "cannot convert float", "division by zero")
_REFUSING = frozenset({"ValueError", "TypeError", "AssertionError"})


class Raised(Protocol):
    """An exception of a layer: where it was raised, its type and its words (``Refused``, or a refusal of a case)."""

    @property
    def where(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def message(self) -> str: ...


def crashed(refused: Raised) -> bool:
    """Whether the exception is a fault of the layer's code and no refusal of what it was given."""
    if refused.where == "unsupported":
        return False
    if refused.kind == "TypeError":
        return any(words in refused.message for words in _ITS_WORDS)
    return refused.kind in _CRASHES


def crashed_at_rate(refused: Raised, rate: float) -> bool:
    """Whether the exception is no refusal of this rate.

    A refusal names the rate (rate, p, probability, keep, dropout), shows the number that was given, or is a ValueError,
    TypeError or AssertionError without words; what the interpreter or an array library raises when code goes wrong is none.
    """
    if refused.where == "unsupported":
        return False
    if crashed(refused) or any(words in refused.message for words in _COMPUTED):
        return True
    if not refused.message.strip():
        return refused.kind not in _REFUSING
    return _NAMED.search(refused.message) is None and not _shows(refused.message, rate)


def _shows(message: str, rate: float) -> bool:
    """Whether the words show the number that was given; as 1 - rate, too, for layers that take what is kept."""
    if math.isnan(rate):
        return "nan" in message.lower()
    found = [float(word) for word in re.findall(r"-?\d+\.\d+", message)]
    return any(math.isclose(number, one) for number in found for one in (rate, 1 - rate))
