"""When a process searches for garbage."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from dropcheck.worker.server import collecting


class Answering:
    """Notes for every request whether garbage is collected meanwhile; "open" imports many modules."""

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["ask"] == "open":
            sys.modules.update(
                {f"of_a_framework_{i}": types.ModuleType("m") for i in range(collecting.MANY_MODULES + 1)}
            )
        if request["ask"] == "make":
            raise KeyboardInterrupt
        return {"collects": gc.isenabled()}


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    gc.unfreeze()
    for name in [name for name in sys.modules if name.startswith("of_a_framework_")]:
        del sys.modules[name]


@pytest.mark.parametrize("ask, collects", [("open", False), ("life", False), ("draw", True), ("time", True)])
def test_garbage_is_collected_only_while_a_layer_is_called_often(ask: str, collects: bool) -> None:
    assert collecting.handled(Answering(), {"ask": ask}) == {"collects": collects}
    assert gc.isenabled()


def test_what_an_import_leaves_is_never_searched_again() -> None:
    gc.unfreeze()
    collecting.handled(Answering(), {"ask": "life"})
    assert gc.get_freeze_count() == 0
    collecting.handled(Answering(), {"ask": "open"})
    assert gc.get_freeze_count() > collecting.MANY_MODULES


def test_garbage_is_collected_again_after_an_interruption() -> None:
    with pytest.raises(KeyboardInterrupt):
        collecting.handled(Answering(), {"ask": "make"})
    assert gc.isenabled()
