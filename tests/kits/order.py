"""The order in which several processes run the tests: each framework is imported, and forked from, in one of them alone.

pytest-xdist gives each of two processes one half of the list, and lets the first that is idle take from the end of the
other's. So JAX and its kin stand late in the first half, Keras and TensorFlow late in the second, and tests that need neither
a framework nor a process stand at both ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import CodeType

import pytest

_KERAS = re.compile(r"keras|tensorflow", re.I)
_JAX = re.compile(r"jax|flax|equinox|haiku|mlx|onnx", re.I)
_FAST = ("commands", "contract", "count", "gate", "results", "statistics")


def ordered(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The same tests: what needs JAX in the first half, what needs Keras or TensorFlow in the second."""
    groups: dict[str, list[pytest.Item]] = {"jax": [], "keras": [], "fast": [], "": []}
    for item in items:
        groups[_group(item)].append(item)
    half, most = len(items) // 2, len(groups["fast"]) // 2
    first = max(0, min(len(groups[""]), half - most - len(groups["jax"])))
    return [
        *groups[""][:first],
        *groups["jax"],
        *groups["fast"][:most],
        *groups[""][first:],
        *groups["keras"],
        *groups["fast"][most:],
    ]


def _group(item: pytest.Item) -> str:
    """What a test needs. One that shares a fixture with others of its file stays among them."""
    file = item.nodeid.partition("::")[0]
    words = " ".join(_words(item)) if not _shares(item) else file
    for group, pattern in (("keras", _KERAS), ("jax", _JAX)):
        if pattern.search(words):
            return group
    return "fast" if file.split("/")[1] in _FAST else ""


def _shares(item: pytest.Item) -> bool:
    """Whether a fixture of the test's file outlives the test."""
    known = getattr(item, "_fixtureinfo", None)
    every = known.name2fixturedefs.values() if known else ()
    return any(one[-1].scope in ("module", "class") for one in every)


def _words(item: pytest.Item) -> Iterator[str]:
    """The name of the test, and the texts in its code."""
    yield item.nodeid
    code = getattr(getattr(item, "function", None), "__code__", None)
    left = [code] if code else []
    while left:
        for constant in left.pop().co_consts:
            if isinstance(constant, CodeType):
                left.append(constant)
            elif isinstance(constant, str):
                yield constant
