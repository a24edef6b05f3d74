"""The formats of a decision by name, each a text; none of them changes what was decided."""

from __future__ import annotations

from collections.abc import Callable

from dropcheck.gate.decision import Decision, encode

FORMATS = ("text", "json", "junit", "sarif", "github", "markdown")


def render(decision: Decision, name: str, width: int = 100) -> str:
    """The decision in one format; modules of the others are not loaded."""
    if name == "json":
        return encode(decision).decode()
    if name == "junit":
        from dropcheck.gate.formats import junit

        return junit.render(decision)
    if name == "sarif":
        from dropcheck.gate.formats import sarif

        return sarif.render(decision)
    from dropcheck.gate.formats import text

    plain: Callable[[], str] = lambda: text.render(decision, width)  # noqa: E731
    if name == "text":
        return plain()
    from dropcheck.gate.formats import github

    # GitHub reads the commands out of the log, and people the rest
    return github.summary(decision) if name == "markdown" else github.annotated(decision) + plain()
