"""What goes wrong in the suite's own code is told as a fault of dropcheck, never as the layer's failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import dropcheck
from dropcheck.results import audit as results
from dropcheck.results import plain_text
from dropcheck.worker.server import faults

torch = pytest.importorskip("torch")


class Plain(torch.nn.Dropout1d):
    """A layer of a user's own, as PyTorch has it."""


class Crashing(torch.nn.Dropout1d):
    """A layer that looks up a key that is not there, in training of half precision."""

    def forward(self, x: Any) -> Any:
        if self.training and x.dtype == torch.float16:
            return {}["missing"]
        return super().forward(x)


def audited(layer: Any, **more: Any) -> results.Result:
    return dropcheck.audit(
        layer,
        jobs=1,
        causes=False,
        rates=(0.3,),
        **{"dtypes": "float32", "select": ("scale", "mode.inference"), **more},
    )


def _slip(*_: Any) -> Any:
    return {}["missing"]


def _says(*_: Any) -> Any:
    raise RuntimeError("planted")


@pytest.mark.parametrize("slip", [_slip, _says], ids=["slip", "raise"])
@pytest.mark.parametrize("method", ["apply", "tensor", "make"])
def test_a_fault_in_an_adapter_is_a_fault_of_dropcheck(
    method: str, slip: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from spatial_dropouts.adapters.torch_layers import TorchLayers

    monkeypatch.setattr(TorchLayers, method, slip)
    result = audited(Plain)
    (target,) = result.targets
    assert not [one for one in target.findings if one.verdict == "fail"]
    assert "a fault of dropcheck, not of the layer" in str(target.error) and target.fault
    assert results.exit_code(result) == 2


@pytest.mark.parametrize("check", ["gradient.recompute", "mode.threads", "form.strides"])
def test_whatever_is_asked(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from spatial_dropouts.adapters import torch_tensors

    whole = torch_tensors.array

    def array(tensor: Any) -> Any:
        if tensor.ndim == 3 and (tensor == 0).any():
            return tensor.no_such_method()
        return whole(tensor)

    monkeypatch.setattr(torch_tensors, "array", array)
    result = audited(Plain, select=check)
    assert not [one for one in result.targets[0].findings if one.verdict == "fail"], result.targets[0].findings


def test_the_layers_own_exception_is_the_layers() -> None:
    result = audited(Crashing, dtypes=("float32", "float16"), select=("scale.mean", "form.strides"))
    (target,) = result.targets
    assert target.error is None and not target.fault
    assert results.exit_code(result) != 2


def test_what_an_adapter_says_of_a_layer_is_no_fault() -> None:
    result = audited(_Returns)
    assert not result.targets[0].fault


class _Returns(torch.nn.Module):
    """Returns nothing in training."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Any) -> Any:
        return None if self.training else x


def test_the_frame_that_raises_decides() -> None:
    def raised(function: Callable[[], Any]) -> Exception:
        try:
            function()
        except Exception as error:
            return error
        raise AssertionError("nothing was raised")

    assert not faults.ours(raised(lambda: {}["a"]))
    from dropcheck.worker.server import rounding

    assert faults.ours(raised(lambda: rounding.bits(None, "float33")))


def test_the_words_of_an_exception_have_no_sequences_of_a_terminal() -> None:
    error = ZeroDivisionError("called.\n\x1b[1m0.0 cannot be raised\x1b[0m\n\x1b[38;5;9mred")
    assert faults.said(error) == "called.\n0.0 cannot be raised\nred"
    assert plain_text.clean(str(error)) == faults.said(error)
    assert plain_text.clean("a\x1bb \x07") == "a\\u001bb \\u0007"  # others are shown


def test_a_shortened_traceback_of_jax_still_shows_that_a_call_raised() -> None:
    """It points into the caches behind the instruction; a leaked mask of a layer was called a fault of dropcheck by it."""
    jax = pytest.importorskip("jax")
    kept: list[Any] = []

    def leaking(x: Any) -> Any:
        if not kept:
            kept.append(jax.random.uniform(jax.random.key(0), x.shape))
        return x * kept[0]

    with pytest.raises(jax.errors.UnexpectedTracerError) as caught:
        for _ in range(2):
            jax.vjp(jax.checkpoint(lambda x: leaking(x)), jax.numpy.ones(3))  # traced anew
    found = faults._raising(caught.value)
    assert found is not None
    frame, place = found
    assert faults._operation(frame.f_code, place).startswith("CALL")
