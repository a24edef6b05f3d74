"""ONNX Runtime: a session in training mode really drops, every seed reaches it, and a fixed seed of the node is caught."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.adapters import adapter_for

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from spatial_dropouts.adapters.onnx_runtime import dropout

CONTRACT = Contract(pattern=Pattern.parse("n c l -> n c l"), seeds=("constructor", "global"), gradient=False)


def always_five(dtype: int, seed: Any) -> Any:
    """The node's seed is 5 whatever was asked for."""
    return dropout(dtype, 5)


FIXED = Implementation(make=always_five, framework="onnxruntime", contract=CONTRACT, requires=("onnx", "onnxruntime"))


def test_an_inference_session_in_training_mode_drops() -> None:
    adapter: Any = adapter_for(dropout, Implementation(make=dropout, framework="onnxruntime", contract=CONTRACT))
    x = adapter.tensor(np.ones((50, 40)), "float32")
    first, same, other = (adapter.make(0.3, "float32", seed, "constructor") for seed in (1, 1, 2))
    one = adapter.apply(first, x, True)
    assert 0.2 < (one == 0).mean() < 0.4 and (one != adapter.apply(first, x, True)).any()
    np.testing.assert_array_equal(adapter.apply(same, x, True), one)
    assert (adapter.apply(other, x, True) != one).any()
    np.testing.assert_array_equal(adapter.apply(first, x, False), x)


def test_a_node_with_a_fixed_seed_is_caught() -> None:
    (target,) = dropcheck.audit(
        f"{__file__}:FIXED", select=("seed.distinct",), dtypes=("float32",), in_process=True, jobs=1
    ).targets
    assert "fail" in [f.verdict for f in target.findings]


def test_the_shipping_one_restarts_a_weak_generator_at_every_call() -> None:
    """A defect of ONNX Runtime 1.32: call k draws from seed + k, and far channels of neighbouring seeds agree."""
    (target,) = dropcheck.audit(
        "onnxruntime.Dropout", select=("seed",), dtypes=("float32",), in_process=True, jobs=1, causes=False
    ).targets
    verdict = {
        check: {f.verdict for f in target.findings if f.check == check}
        for check in ("seed.reproducible", "seed.distinct", "seed.neighbours")
    }
    assert target.error is None and verdict["seed.distinct"] == {"fail"} and verdict["seed.reproducible"] == {"pass"}
    assert verdict["seed.neighbours"] == {"skipped"}  # calls of neighbours are copies: what follows is withheld
    (target,) = dropcheck.audit(
        "onnxruntime.Dropout",
        select=("mask.distinct-channels",),
        cases=("float32 rate=0.3 1,1031,1 calls=256",),
        in_process=True,
        jobs=1,
        causes=False,
    ).targets
    assert [f.verdict for f in target.findings] == ["fail"]
