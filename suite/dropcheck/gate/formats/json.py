"""A decision as JSON, by its schema."""

from __future__ import annotations

from dropcheck.gate.decision import Decision, encode


def render(decision: Decision, width: int = 0) -> str:
    """The whole decision."""
    return encode(decision).decode()
