"""Gradients and checkpoints of PyTorch without its late imports: the same values, refusals and functions afterwards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from kits.forked import Parents

from spatial_dropouts.adapters import torch_late

FRESH = """
import sys
import torch
from torch.utils import checkpoint
from spatial_dropouts.adapters import torch_late

own, x, calls, found = torch.autograd._make_grads, torch.arange(6.0).reshape(2, 3).requires_grad_(True), [], []
c = torch.tensor([[1.0, -2.0, 3.0]]).expand(2, 3)


def layer(given):
    calls.append(1)
    return torch.sin(given)


with torch_late.unimported():
    (plain,) = torch.autograd.grad(layer(x), x, c)
    for reentrant in (False, True):
        x.grad = None
        checkpoint.checkpoint(layer, x, use_reentrant=reentrant).backward(c)
        found.append(x.grad)
    print("sympy" in sys.modules)
    try:
        torch.autograd.grad(layer(x), x, torch.ones(3))
    except RuntimeError as error:
        print(str(error).split(":")[0])
print(len(calls), all(torch.equal(plain, one) for one in found), torch.equal(plain, torch.cos(x) * c))
print("torch._dynamo" in sys.modules, torch.autograd._make_grads is own, "_dynamo" in vars(torch))
print(any(hasattr(getattr(checkpoint, name).__wrapped__, "__dynamo_disable")
          for name in ("checkpoint", "_run_fn_with_dynamo_disabled")))
"""

COMPILING = """
import sys
import torch
from torch.utils import checkpoint
from spatial_dropouts.adapters import torch_late

compiled = []


def backend(graph, inputs):
    compiled.append(graph)
    return graph


def layer(given):
    return torch.compile(torch.sin, backend=backend)(given)


x = torch.arange(6.0).reshape(2, 3).requires_grad_(True)
with torch_late.unimported():
    print(torch._dynamo.config.error_on_nested_fx_trace, "sympy" in sys.modules)
    checkpoint.checkpoint(layer, x, use_reentrant=False).backward(torch.ones(2, 3))
    print(torch._dynamo is sys.modules["torch._dynamo"])
print(torch.equal(x.grad, torch.cos(x)), len(compiled) > 0)
with torch_late.unimported():
    checkpoint.checkpoint(layer, x, use_reentrant=True).backward(torch.ones(2, 3))
print(torch._dynamo is sys.modules["torch._dynamo"], torch._dynamo.config.error_on_nested_fx_trace)
"""


def _said(parents: Parents, script: str, folder: Path) -> list[str]:
    file = folder / "script.py"
    file.write_text(script)
    done = parents.run([str(file)], ("numpy", "torch"))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_fresh_process_imports_neither_and_is_itself_afterwards(parents: Parents, tmp_path: Path) -> None:
    # one call of the gradient, two of each checkpoint, one of what PyTorch refuses itself, with the import that it makes for it
    wanted = ["False", "Mismatch in shape", "6 True True", "False True False", "False"]
    assert _said(parents, FRESH, tmp_path) == wanted


@pytest.mark.long  # the compiler is imported
def test_a_layer_that_compiles_gets_the_real_compiler(parents: Parents, tmp_path: Path) -> None:
    assert _said(parents, COMPILING, tmp_path) == ["True False", "True", "True True", "True True"]


def _refusing(*asked: Any, **named: Any) -> Any:
    raise LookupError


@pytest.mark.parametrize(
    ("output", "gradient"),
    [
        (torch.ones(2, 3), torch.ones(3)),  # would be expanded by nobody
        (torch.ones(2, 3), torch.ones(2, 3, dtype=torch.complex64)),
        (torch.ones(()), None),
        (torch.ones(2).as_subclass(type("Own", (torch.Tensor,), {})), torch.ones(2)),
        (torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), torch.ones(2)),
    ],
    ids=["sizes", "complex", "none", "subclass", "nested"],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested")
def test_what_does_not_fit_for_sure_goes_to_pytorch(output: Any, gradient: Any) -> None:
    made = torch_late.compared(_refusing)
    with pytest.raises(LookupError):
        made([output], [gradient], is_grads_batched=False)


def test_batched_gradients_go_to_pytorch_and_plain_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, torch_late.SYMBOLS, raising=False)
    made = torch_late.compared(_refusing)
    one = torch.ones(2, 3)
    assert made([one], [one], is_grads_batched=False) == (one,)
    with pytest.raises(LookupError):
        made([one], [one], is_grads_batched=True)


def test_where_both_are_imported_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (torch_late.COMPILER, torch_late.SYMBOLS):
        monkeypatch.setitem(sys.modules, name, sys)
    own = torch.autograd._make_grads
    with torch_late.unimported():
        assert torch.autograd._make_grads is own
