"""What a check's page tells beside the check: why it matters, what it covers, wrong and right code; one module a check.

The modules are read as text, and run by tests alone.
"""

from __future__ import annotations

import ast
from importlib import resources

_HEAD = "from __future__ import annotations\n"


def code(check: str, which: str) -> str:
    """The imports and the ``wrong`` or ``right`` definition of a check's module; empty where there is none.

    A module defines ``wrong`` and ``right`` as functions, or ``Wrong`` and ``Right`` as classes.
    """
    if not (text := _source(check)):
        return ""
    lines = text.splitlines()
    parts = []
    for node in ast.parse(text).body:
        shown = isinstance(node, ast.Import | ast.ImportFrom)
        shown = shown or getattr(node, "name", "").lower() in (which, f"_{which}")
        if shown and lines[node.lineno - 1] != _HEAD.strip():
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            parts.append((isinstance(node, ast.Import | ast.ImportFrom), "\n".join(lines[first - 1 : node.end_lineno])))
    imports = [part for is_import, part in parts if is_import]
    rest = [part for is_import, part in parts if not is_import]
    return "\n".join(imports) + "\n\n\n" + "\n\n\n".join(rest) + "\n"


def notes(check: str) -> tuple[str, str]:
    """Why the check matters to who uses the layer, and what it covers: the docstring of its module, each as one line.

    Raises LookupError for a check without such a page.
    """
    why, _, covers = (ast.get_docstring(ast.parse(_source(check))) or "").partition("\n\nCovers: ")
    if not why:
        raise LookupError(f"judge/examples has no page of {check}")
    return " ".join(why.split()), " ".join(covers.split())


def _source(check: str) -> str:
    """The text of a check's module; empty where there is none."""
    place = resources.files(__package__) / f"{check.replace('.', '_').replace('-', '_')}.py"
    return place.read_text(encoding="utf-8") if place.is_file() else ""
