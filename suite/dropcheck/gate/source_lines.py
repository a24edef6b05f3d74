"""Where a layer stands in its file: the line of its class or function, found without importing anything."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path, PurePath

from dropcheck.contract.requirements import JOIN

_NAMED = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def place(target: str) -> tuple[str, int] | None:
    """The file of ``path/to/file.py:Outer.Inner@mode`` below the present folder, and the line of that name; 1 if not found.

    None for a target that names no such file.
    """
    file, _, attr = target.partition(JOIN)[0].partition("#")[0].rpartition(":")
    path = PurePath(file)
    if not file.endswith(".py") or path.is_absolute() or ".." in path.parts:
        return None
    try:
        seen = Path(file).stat()
        names = _names(file, seen.st_mtime_ns, seen.st_size)
    except (OSError, ValueError):  # it is not here, or no file can have this name
        names = {}
    return path.as_posix(), names.get(attr.partition("@")[0], 1)


@lru_cache(maxsize=8)
def _names(file: str, changed: int, size: int) -> dict[str, int]:
    """The line of every class, function and assigned name of a file; of a file that is no Python none."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (SyntaxError, ValueError, RecursionError, OSError):
        return {}
    found: dict[str, int] = {}

    def walk(body: list[ast.stmt], prefix: str) -> None:
        for one in body:
            if isinstance(one, _NAMED):
                found[prefix + one.name] = one.lineno
                if isinstance(one, ast.ClassDef):
                    walk(one.body, f"{prefix}{one.name}.")
            elif isinstance(one, ast.Assign | ast.AnnAssign):
                targets = one.targets if isinstance(one, ast.Assign) else [one.target]
                for name in (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)):
                    found[prefix + name] = one.lineno
            else:
                for field in ("body", "orelse", "finalbody"):  # if, try, with
                    walk(getattr(one, field, []), prefix)

    walk(tree.body, "")
    return found
