"""MLX: channels last, lazy arrays, bfloat16, gradients, and a compiled function that is really compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kits.fewer_cases import accused, each_check_once

import dropcheck
from dropcheck.contract.adapter import Implementation
from dropcheck.worker.server import rounding
from spatial_dropouts.adapters import adapter_for, load, recognise
from spatial_dropouts.adapters.loading import NoDropout

mx = pytest.importorskip("mlx.core")
nn = pytest.importorskip("mlx.nn")


def driver(thing: Any) -> Any:
    return adapter_for(thing, Implementation(make=thing, contract="n h w c -> n c"))


def test_layers_are_recognised() -> None:
    assert recognise(nn.Dropout2d) == recognise(nn.Dropout2d(0.2)) == "mlx"
    assert driver(nn.Dropout2d(0.25)).contract.rates == (0.25,)
    with pytest.raises(NoDropout, match="without a rate"):
        driver(nn.Linear(2, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_values_and_dtypes_survive(dtype: str) -> None:
    adapter = driver(nn.Dropout2d)
    values = rounding.pool(dtype, 60, 3).reshape(3, 2, 2, 5)
    tensor = adapter.tensor(values, dtype)
    assert adapter.dtype_of(tensor) == dtype
    np.testing.assert_array_equal(rounding.to_float64(adapter.array(tensor), dtype), values)


def test_the_compiled_function_is_traced_once_a_shape_and_draws_at_every_call() -> None:
    traces = []

    class Counted(nn.Dropout2d):
        def __call__(self, x: Any) -> Any:
            traces.append(x.shape)
            return super().__call__(x)

    adapter = driver(Counted)
    adapter.use("jit")
    layer = adapter.make(0.5, "float32", 1, "global")
    x = adapter.tensor(np.ones((4, 2, 2, 50)), "float32")
    found = [adapter.array(adapter.apply(layer, x, True)) for _ in range(5)]
    assert len(traces) == 1 and all((found[0] != y).any() for y in found[1:])
    layer = adapter.reseed(layer, 1, "global")
    np.testing.assert_array_equal(adapter.array(adapter.apply(layer, x, True)), found[0])
    assert adapter.apply(layer, x, False) is not None and len(traces) == 2


def test_the_random_state_is_restored() -> None:
    adapter = driver(nn.Dropout2d)
    mx.random.seed(7)
    mx.random.uniform()
    before = np.array(mx.random.state[0])
    with adapter.preserved():
        mx.random.uniform()
    np.testing.assert_array_equal(np.array(mx.random.state[0]), before)


def test_checkpointing_draws_other_coins_in_the_backward_pass() -> None:
    """A defect of MLX 0.32: the recomputed function draws from wherever the global state has come to."""
    (target,) = dropcheck.audit(
        "mlx.Dropout2d", select=("gradient",), dtypes=("float32",), in_process=True, jobs=1
    ).targets
    failed = {f.check for f in target.findings if f.verdict == "fail"}
    assert failed == {"gradient.recompute"}


REGISTERED = ["mlx.Dropout", "mlx.Dropout2d", "mlx.Dropout3d", "mlx.Dropout2d@jit"]
ASKED = {"dtypes": ("float32", "bfloat16"), "ignore": ("gradient.recompute",)}


@pytest.mark.long  # all cases, of which the test below asks some of each check
@pytest.mark.parametrize("name", REGISTERED)
def test_what_is_registered_keeps_its_other_promises_everywhere(name: str) -> None:
    (target,) = dropcheck.audit(name, in_process=True, jobs=1, causes=False, **ASKED).targets
    bad = {f.check for f in target.findings if f.verdict not in ("pass", "skipped")}
    assert target.error is None and bad == {"rate.rejects-invalid"}  # NaN passes its validation


@pytest.mark.parametrize("name", REGISTERED)
def test_what_is_registered_keeps_its_other_promises(name: str) -> None:
    # a compiler runs for each new shape of a compiled layer: one dtype
    asked = {**ASKED, "dtypes": ("float32",)} if name.endswith("@jit") else ASKED
    cases = each_check_once(name, **asked)
    (target,) = dropcheck.audit(name, cases=tuple(cases), in_process=True, jobs=1, causes=False, **asked).targets
    bad = {check for check, _, _ in accused(target.findings, cases)}
    assert target.error is None and bad == {"rate.rejects-invalid"}
    passed = {f.check for f in target.findings if f.verdict == "pass"}
    assert {"mask.whole-channels", "rate.marginal", "scale.kept-values", "gradient.mask"} <= passed | (
        {"mask.whole-channels"} if name == "mlx.Dropout" else set()  # it shares no coin
    )


def test_loading_by_name() -> None:
    assert load("mlx.nn:Dropout2d") is nn.Dropout2d
