"""Dropout layers in Python files, found by reading them: nothing is imported."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CALLED = ("forward", "call", "__call__")
RATES = ("rate", "p", "drop_prob", "drop_rate", "dropout", "prob", "keep_prob")
_SKIPPED = ("tests", "test", "build", "dist", "node_modules", "site-packages")
_MOST = 2000  # files


def names_in(source: bytes) -> tuple[str, ...] | None:
    """Names that a file defines at its top level; None where its text does not tell all of them, or is no Python."""
    tree = _tree(source)
    if tree is None:
        return None
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found = [one for target in _targets(node) for one in ast.walk(target) if isinstance(one, ast.Name)]
            names += [one.id for one in found]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if any(one.name == "*" for one in node.names):
                return None
            names += [one.asname or one.name.partition(".")[0] for one in node.names]
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            return None  # a loop, a condition, a call: it may define anything
    if "__getattr__" in names:
        return None
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class Found:
    """A layer that a file holds, as ``file.py:Name``; ``why_not``: why it cannot be audited as it is, else empty."""

    target: str
    why_not: str = ""


def dropouts(folder: Path) -> list[Found]:
    """What a folder's files suggest: what is called like a dropout, and layers made of a rate."""
    found = []
    for file in _files(folder):
        try:
            tree = _tree(file.read_bytes())
        except OSError:
            continue
        body = tree.body if tree is not None else []
        classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
        for node in body:
            name = f"{file.relative_to(folder).as_posix()}:{getattr(node, 'name', '')}"
            if isinstance(node, ast.ClassDef):
                methods = methods_of(node, classes)
                if _drops(node) or _takes_a_rate(methods):
                    found.append(Found(name, _unfinished(methods)))
            elif _drops(node):
                found.append(Found(name))
    return found


def _drops(node: ast.stmt) -> bool:
    if isinstance(node, ast.ClassDef):
        methods = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
        return "drop" in node.name.lower() and bool(methods & set(CALLED))
    if isinstance(node, ast.FunctionDef):
        words = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        return "drop" in node.name.lower() and len(words) > 1 and bool(set(words[1:]) & set(RATES))
    return False


def methods_of(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> dict[str, ast.FunctionDef]:
    """The methods of a class, with those of its bases in the same file."""
    methods: dict[str, ast.FunctionDef] = {}
    todo, seen = [node], set()
    while todo:
        one = todo.pop(0)
        if one.name in seen:
            continue
        seen.add(one.name)
        for method in one.body:
            if isinstance(method, ast.FunctionDef):
                methods.setdefault(method.name, method)
        todo += [classes[base.id] for base in one.bases if isinstance(base, ast.Name) and base.id in classes]
    return methods


def _takes_a_rate(methods: dict[str, ast.FunctionDef]) -> bool:
    """Whether a class is called like a layer and made of a rate, its first argument."""
    made = methods.get("__init__")
    words = [one.arg for one in (*made.args.posonlyargs, *made.args.args)] if made is not None else []
    return bool(methods.keys() & set(CALLED)) and len(words) > 1 and words[1] in RATES


def _unfinished(methods: dict[str, ast.FunctionDef]) -> str:
    """Why a class cannot be made of a rate and called; an empty text where nothing in its file speaks against it."""
    for name, method in methods.items():
        if any(ast.unparse(one).split(".")[-1] == "abstractmethod" for one in method.decorator_list):
            return f"abstract: {name} is an abstract method"
        *_, last = method.body
        if isinstance(last, ast.Raise) and last.exc is not None and "NotImplementedError" in ast.unparse(last.exc):
            return f"a base class: {name} raises NotImplementedError"
    if (made := methods.get("__init__")) is None:
        return ""
    words = [*made.args.posonlyargs, *made.args.args][1:]
    needed = [one.arg for one in words[: len(words) - len(made.args.defaults)]]
    needed += [a.arg for a, value in zip(made.args.kwonlyargs, made.args.kw_defaults, strict=True) if value is None]
    rates = [one for one in needed if one in RATES]
    if len(needed) > 1 or (needed and not rates and len(words) > 1):
        others = [one for one in needed if one not in rates[:1]]
        return f"its constructor also needs {', '.join(others)}: write an Implementation with options"
    return ""


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _tree(source: bytes) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _files(folder: Path) -> Iterator[Path]:
    """Python files below a folder, but those of environments, builds and tests; _MOST at most."""
    count = 0
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(
            one
            for one in folders
            if not one.startswith((".", "__"))
            and one not in _SKIPPED
            and not (Path(place) / one / "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith(("test_", "conftest", "setup.")):
                count += 1
                if count > _MOST:
                    return
                yield Path(place) / name
