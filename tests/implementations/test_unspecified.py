"""Classes, instances and functions without a rate and without layers inside: their draws are seen as those of models are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dropcheck.contract.sites import Sites
from dropcheck.judge.checks import CHECK

TORCH = """
import torch, torch.nn.functional as F
from torch import nn

class Right(nn.Module):
    def forward(self, x): return F.dropout(x, 0.3, self.training)

class Always(nn.Module):
    def forward(self, x): return F.dropout(x, 0.3)

class Rate(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
    def forward(self, x): return F.dropout(x, self.p, self.training)

class Inside(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 4)
    def forward(self, x): return F.dropout(self.first(x), 0.3, self.training)

class Same(nn.Module):
    def forward(self, x):
        torch.manual_seed(3)
        return F.dropout(x, 0.3, self.training)

right, relu = Right(), nn.ReLU()
def function(x): return F.dropout(torch.relu(x), 0.3)
def factory(share): return nn.Dropout(share)
"""
LINEN = """
import flax.linen as nn, jax, jax.numpy as jnp

class Right(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic=False):
        if deterministic:
            return x
        return jnp.where(jax.random.bernoulli(self.make_rng("dropout"), 0.7, x.shape), x / 0.7, 0)

class Always(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic=False):
        return jnp.where(jax.random.bernoulli(self.make_rng("dropout"), 0.7, x.shape), x / 0.7, 0)

def function(x, key): return jnp.where(jax.random.bernoulli(key, 0.7, x.shape), x / 0.7, 0)
def frozen(x): return function(x, jax.random.key(0))
"""
NNX = """
import jax, jax.numpy as jnp
from flax import nnx

class Right(nnx.Module):
    def __init__(self, rngs): self.rngs = rngs
    def __call__(self, x, deterministic=False):
        if deterministic:
            return x
        return jnp.where(jax.random.bernoulli(self.rngs.dropout(), 0.7, x.shape), x / 0.7, 0)

class Always(Right):
    def __call__(self, x, deterministic=False): return super().__call__(x)
"""


def seen(path: Path, text: str, name: str, inference: str = "") -> dict[str, str]:
    """Check and case -> verdict; empty for what is no model."""
    from spatial_dropouts.adapters import models_base

    (path / "net.py").write_text(text)
    answer = models_base.survey(f"{path}/net.py:{name}", (4, 8), 3, 1.0)
    if answer["kind"] != "model":
        return {}
    assert answer["layers"] == [] and len(answer["sites"]["training"]) <= 1
    sites = Sites.from_answer(answer["sites"], answer["framework"], ())
    checks = [CHECK[n] for n in ("site.reached", "site.independent")]
    found: list[Any] = [f for check in checks if check.sites is not None for f in check.sites(check, sites, inference)]
    return {f"{f.check} {f.case}": f.verdict for f in found if f.verdict != "skipped"}


REACHED, INFERENCE = "site.reached training", "site.reached inference"


@pytest.mark.parametrize(
    ("name", "failing"),
    [("Right", []), ("right", []), ("function", []), ("Always", [INFERENCE]), ("Same", ["site.independent"])],
)
def test_what_a_torch_leaf_draws_is_judged(tmp_path: Path, name: str, failing: list[str]) -> None:
    pytest.importorskip("torch")
    found = seen(tmp_path, TORCH, name)
    assert found[REACHED] == "pass"
    fails = [check for check, verdict in found.items() if verdict == "fail"]
    assert len(fails) == len(failing) and all(
        check.startswith(some) for check, some in zip(fails, failing, strict=True)
    )


def test_a_class_with_layers_inside_is_a_model_and_what_takes_a_rate_is_none(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert seen(tmp_path, TORCH, "Inside")[INFERENCE] == "pass"
    assert not seen(tmp_path, TORCH, "Rate") and not seen(tmp_path, TORCH, "factory")
    assert not seen(tmp_path, TORCH, "relu")  # of the framework's own: no dropout, and no model


def test_a_function_has_no_inference_whatever_is_declared(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert seen(tmp_path, TORCH, "function", "active") == seen(tmp_path, TORCH, "function")
    assert INFERENCE not in seen(tmp_path, TORCH, "function")


@pytest.mark.skipif(find_spec("flax") is None, reason="Flax is not installed")
@pytest.mark.parametrize("text", [LINEN, NNX], ids=["linen", "nnx"])
def test_what_a_module_of_flax_draws_in_its_call_is_judged(tmp_path: Path, text: str) -> None:
    assert seen(tmp_path, text, "Right")[INFERENCE] == "pass"
    assert seen(tmp_path, text, "Always")[INFERENCE] == "fail"


@pytest.mark.skipif(find_spec("flax") is None, reason="Flax is not installed")
def test_a_jax_function_that_makes_its_own_key_draws_one_mask(tmp_path: Path) -> None:
    assert "fail" not in seen(tmp_path, LINEN, "function").values()
    frozen = seen(tmp_path, LINEN, "frozen")
    assert [check.partition(" ")[0] for check, verdict in frozen.items() if verdict == "fail"] == ["site.independent"]
