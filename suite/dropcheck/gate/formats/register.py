"""The formats of a decision: every other module of this folder is one, and has ``render(decision, width) -> str``.

A format is found by the name of its file; none of them changes what was decided. Only the module that is asked for is loaded.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

from dropcheck.gate.decision import Decision

_ORDER = ("text", "json", "junit", "sarif", "github", "markdown")  # of those that are told first
_FOUND = {one.name for one in pkgutil.iter_modules([str(Path(__file__).parent)])} - {"register"}
FORMATS = (*_ORDER, *sorted(_FOUND.difference(_ORDER)))


def render(decision: Decision, name: str, width: int = 100) -> str:
    """The decision in one format. ``width``: of a terminal, in characters."""
    rendered: str = import_module(f"dropcheck.gate.formats.{name}").render(decision, width)
    return rendered
