"""Programs of JAX that are lowered in one context are the same programs."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from dropcheck.worker.server import lowering


def test_all_programs_of_a_thread_share_a_context_and_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    jax = pytest.importorskip("jax")
    from jax._src.interpreters import mlir

    def program(rows: int) -> str:
        def drop(key: Any, x: Any) -> Any:
            return jax.numpy.where(jax.random.bernoulli(key, 0.7, x.shape), x / 0.7, 0)

        return str(jax.jit(drop).lower(jax.random.key(1), jax.numpy.ones((rows, 3))).as_text())

    before = [program(rows) for rows in (2, 5)]
    monkeypatch.setattr(mlir, "make_ir_context", mlir.make_ir_context)
    lowering.share_context()
    shared = mlir.make_ir_context
    assert shared() is shared()
    assert [program(rows) for rows in (2, 5)] == before
    lowering.share_context()  # once is enough
    assert mlir.make_ir_context is shared
    others: list[Any] = []
    thread = threading.Thread(target=lambda: others.append(shared()))
    thread.start()
    thread.join()
    assert others[0] is not shared()


def test_another_function_of_jax_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def more(kind: str) -> str:
        return kind

    for found in (SimpleNamespace(make_ir_context=more), SimpleNamespace()):
        monkeypatch.setitem(sys.modules, "jax._src.interpreters.mlir", found)
        before = dict(vars(found))
        lowering.share_context()
        assert vars(found) == before
