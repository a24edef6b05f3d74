"""Where the keys of a TOML file stand, so that whatever a policy says can be named by its line."""

from __future__ import annotations

import re
import tomllib
from typing import Any

Key = tuple[str | int, ...]
Lines = dict[Key, int]

_LONGEST = 400  # lines of one statement; a policy has no longer one, and a damaged file must not cost a minute


def lines(text: str) -> Lines:
    """The line of every table, entry of an array of tables, and key; ``text`` must be valid TOML.

    A statement is as many lines as it takes until TOML can read it alone, so strings and arrays over several lines count as one.
    What stands inside of a value has the line of its key, see ``line_of``.
    """
    found: Lines = {}
    table: Key = ()
    counts: dict[Key, int] = {}
    rows = text.split("\n")
    at = 0
    while at < len(rows):
        tree, size = _statement(rows, at)
        if tree and rows[at].lstrip().startswith("["):
            words = _path(tree)
            table = _entered(words, counts, array=rows[at].lstrip().startswith("[["))
            for depth in range(len(table)):
                found.setdefault(table[: depth + 1], at + 1)
        elif tree:
            path = (*table, *_path(tree))
            for depth in range(len(table), len(path)):
                found.setdefault(path[: depth + 1], at + 1)
            _inside(tree, table, at + 1, found)
        at += size
    return found


def line_of(key: Key, known: Lines) -> int | None:
    """The line of a key, or of the nearest thing around it that has one."""
    for depth in range(len(key), 0, -1):
        if key[:depth] in known:
            return known[key[:depth]]
    return None


def line_of_error(error: tomllib.TOMLDecodeError) -> int | None:
    """The line that a TOML error names; None where it is the end of the document."""
    found = re.search(r"at line (\d+)", str(error))
    return int(found.group(1)) if found else None


def _statement(rows: list[str], at: int) -> tuple[dict[str, Any], int]:
    """What the statement that begins on this line says, and how many lines it takes."""
    for size in range(1, min(_LONGEST, len(rows) - at) + 1):
        try:
            return tomllib.loads("\n".join(rows[at : at + size])), size
        except tomllib.TOMLDecodeError:
            continue
    return {}, 1


def _path(tree: dict[str, Any]) -> Key:
    """The keys of a statement, down to its value: ``a.b = 1`` is ("a", "b"); of ``[[a]]`` it is ("a",)."""
    words: list[str | int] = []
    here: Any = tree
    while isinstance(here, dict) and len(here) == 1:
        word = next(iter(here))
        words.append(word)
        here = here[word]
    return tuple(words)


def _inside(tree: dict[str, Any], table: Key, line: int, found: Lines) -> None:
    """Keys of tables inside of a value have its line."""
    for word, value in tree.items():
        path = (*table, word)
        found.setdefault(path, line)
        if isinstance(value, dict):
            _inside(value, path, line, found)


def _entered(words: Key, counts: dict[Key, int], *, array: bool) -> Key:
    """The path of a table with the places of the arrays of tables that it lies in."""
    path: Key = ()
    for depth, word in enumerate(words):
        path = (*path, word)
        last = depth == len(words) - 1
        if last and array:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path
