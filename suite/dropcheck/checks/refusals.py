"""What tells a refusal from a crash: a layer that refuses says so by an exception of its own choice."""

from __future__ import annotations

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
