"""The pieces of source that one framework gives to scripts."""

from __future__ import annotations

from dataclasses import dataclass, field

_NONE: dict[str, str] = {}


@dataclass(frozen=True)
class Snippet:
    """The pieces of one framework. ``modes``: by its word, what takes the place of ``call`` and of all else that it defines.

    ``shown``: ``gradient`` of an instrument, by the backward pass of the real layer inside; ``plain_gradient`` is that of others.
    """

    imports: str
    tensor: str
    make: str
    call: str
    gradient: str = ""
    shown: str = ""
    recompute: str = ""
    layouts: dict[str, str] = field(default_factory=lambda: _NONE)
    modes: dict[str, str] = field(default_factory=lambda: _NONE)
