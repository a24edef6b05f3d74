"""What adapters may offer: one table of defaults, and the worker asks by it alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropcheck.contract.offers import OFFERS, offered
from dropcheck.worker import server

FILES = sorted(Path(server.__file__).parent.glob("*.py"))


def asked(function: str) -> Iterator[tuple[str, str]]:
    """Names of an adapter that the worker asks for by ``function(adapter, "name", ...)``, and where."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == function and len(node.args) > 1:
                of, name = node.args[:2]
                if ast.unparse(of).rpartition(".")[2] == "adapter" and isinstance(name, ast.Constant):
                    yield str(name.value), file.name


def test_the_worker_asks_by_the_table_and_every_line_of_it_is_asked() -> None:
    assert list(asked("getattr")) == []
    assert {name for name, _ in asked("offered")} == set(OFFERS)


def test_an_adapter_without_an_offer_has_the_default() -> None:
    class Bare:
        pass

    class Own:
        heavy = True
        modes = ("jit",)

    assert {name: offered(Bare(), name) for name in OFFERS} == OFFERS
    assert offered(Own(), "heavy") is True and offered(Own(), "modes") == ("jit",)
    layer = object()
    assert offered(Bare(), "holder")(layer) is layer
    assert offered(Bare(), "ambient")() == {} and offered(Bare(), "control")() is None
    with pytest.raises(KeyError):
        offered(Bare(), "mode")  # a name that is no offer is a slip, not a default
