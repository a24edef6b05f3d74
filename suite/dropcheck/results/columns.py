"""JSON documents in columns: what all records of a list share is said once, so that large results become small.

A list of records with the same keys is turned into one list a key, and texts that come again are numbered. Nothing is
lost: ``restored(packed(tree))`` equals ``tree`` to the last digit of every number.
"""

from __future__ import annotations

from typing import Any

# An object that this module made has a key that starts with the mark; keys of the document that do get a second one.
_MARK = "@"
_KEYS, _COLUMNS, _TEXTS = "@keys", "@columns", "@texts"
_LEAST = 4  # shorter lists gain nothing

FORMAT = "dropcheck.columns/1"


def packed(tree: Any) -> dict[str, Any]:
    """The document in columns, itself a JSON document."""
    known: dict[str, int] = {}
    return {"format": FORMAT, "root": _pack(tree, known), "texts": list(known)}


def restored(document: Any) -> Any:
    """The document again. Raises ValueError where it is not in this form."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"expected a document in the form {FORMAT!r}")
    try:
        return _restore(document["root"], document["texts"])
    except (KeyError, IndexError, TypeError, RecursionError) as error:
        raise ValueError(f"its columns do not fit each other ({type(error).__name__})") from error


_PLAIN = {int, float, bool, type(None)}


def _pack(node: Any, known: dict[str, int]) -> Any:
    if isinstance(node, dict):
        return {_MARK + k if k.startswith(_MARK) else k: _pack(v, known) for k, v in node.items()}
    if not isinstance(node, list):
        return node
    kinds = set(map(type, node))
    if kinds <= _PLAIN:
        return node
    if len(node) >= _LEAST:
        if kinds == {str}:
            return {_TEXTS: [known.setdefault(n, len(known)) for n in node]}
        if kinds == {dict} and node[0] and len(set(map(tuple, node))) == 1:  # the same keys in the same order
            return {_KEYS: [*node[0]], _COLUMNS: [_pack([n[k] for n in node], known) for k in node[0]]}
    return [_pack(n, known) for n in node]


def _restore(node: Any, texts: list[str]) -> Any:
    if isinstance(node, list):
        return [_restore(n, texts) if isinstance(n, (list, dict)) else n for n in node]
    if not isinstance(node, dict):
        return node
    if _TEXTS in node:
        return [texts[i] for i in node[_TEXTS]]
    if _KEYS in node:
        keys: list[str] = node[_KEYS]
        rows = zip(*[_restore(c, texts) for c in node[_COLUMNS]], strict=True)
        return [dict(zip(keys, row, strict=True)) for row in rows]
    return {k[1:] if k.startswith(_MARK) else k: _restore(v, texts) for k, v in node.items()}
