"""Every trait that a result may hold has its sentence, and ``dropcheck explain`` gives it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dropcheck
from dropcheck.judge.checks import form_inputs, returned_weights
from dropcheck.judge.diagnosis.seen import OBSERVED
from dropcheck.judge.traits import TRAITS
from dropcheck.report import explain_check

CONSTANTS = {"_TRAIT": form_inputs._TRAIT, "TRAIT": returned_weights.TRAIT, "OBSERVED": OBSERVED}
SUITE = Path(dropcheck.__file__).parent


def set_in_code() -> Iterator[str]:
    """The first key of every ``X.traits[key] = ...`` and ``X.traits.setdefault(key, ...)``."""
    for path in SUITE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            key: ast.expr | None = None
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and _traits(node.value):
                key = node.slice
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setdefault":
                key = node.args[0] if _traits(node.func.value) else None
            if isinstance(key, ast.Constant):
                yield str(key.value)
            elif key is not None:
                yield CONSTANTS[key.attr if isinstance(key, ast.Attribute) else ast.unparse(key)]


def _traits(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "traits"


def test_every_trait_that_code_sets_is_explained() -> None:
    found = set(set_in_code())
    assert len(found) > 12
    assert found | {"sites"} == set(TRAITS)


@pytest.mark.parametrize("name", TRAITS)
def test_explain_gives_the_sentence(name: str) -> None:
    shown = " ".join(explain_check.explain(name).split())
    assert shown.startswith(f"{name} {TRAITS[name]}") and "for information" in shown
