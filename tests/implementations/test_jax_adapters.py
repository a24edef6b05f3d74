"""Adapters of JAX and its libraries: recognition, arrays, keys, float64, inference, and layers of users."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.contract import modes
from dropcheck.contract.adapter import Implementation
from spatial_dropouts import REGISTER, adapters

jax = pytest.importorskip("jax")

LIBRARIES = {
    "jax": "custom.jax",
    "flax-linen": "flax.linen.SpatialDropout1D",
    "flax-nnx": "flax.nnx.SpatialDropout1D",
    "equinox-batch": "equinox.Dropout",
    "haiku": "haiku.SpatialDropout1D",
    "haliax": "haliax.SpatialDropout1D",
    "penzai": "penzai.SpatialDropout1D",
    "brainstate": "brainstate.Dropout1d",
}


def adapter_of(name: str) -> Any:
    implementation = REGISTER[name]
    for module in implementation.requires:
        pytest.importorskip(module)
    assert isinstance(implementation.make, str)
    return adapters.adapter_for(adapters.load(implementation.make), implementation)


def test_a_linen_module_with_parameters_is_given_some() -> None:
    linen = pytest.importorskip("flax.linen")

    class Shifted(linen.Module):  # type: ignore[misc, name-defined]
        rate: float

        @linen.compact  # type: ignore[untyped-decorator]
        def __call__(self, x: Any, deterministic: bool) -> Any:
            shift = self.param("shift", lambda key: jax.numpy.zeros(()))
            return linen.Dropout(self.rate, broadcast_dims=(1,))(x + shift, deterministic=deterministic)

    adapter: Any = adapters.adapter_for(Shifted, Implementation(make=Shifted))
    layer = adapter.make(0.5, "float32", 1, "key")
    y = np.asarray(adapter.apply(layer, adapter.tensor(np.ones((64, 3, 5)), "float32"), True))
    assert set(np.unique(y)) == {0, 2}


@pytest.mark.parametrize("framework, name", LIBRARIES.items())
def test_a_library_is_driven_by_seed_and_by_rate(framework: str, name: str) -> None:
    adapter = adapter_of(name)
    assert adapter.framework == framework
    assert modes.of(framework) == modes.of("jax")
    pattern = adapter.contract.pattern
    (way,) = adapter.contract.seeds
    x = adapter.tensor(1.0 + np.arange(np.prod(pattern.shape(20, 6, 2))).reshape(pattern.shape(20, 6, 2)), "bfloat16")
    layer = adapter.make(0.3, "bfloat16", 5, way)
    first = [adapter.array(adapter.apply(layer, x, True)) for _ in range(3)]
    fresh = adapter.make(0.3, "bfloat16", 5, way)
    again = [adapter.array(adapter.apply(fresh, x, True)) for _ in range(3)]
    layer = adapter.reseed(layer, 6, way)
    other = [adapter.array(adapter.apply(layer, x, True)) for _ in range(3)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({a.tobytes() for a in (*first, *other)}) == 6
    assert adapter.array(adapter.apply(layer, x, False)).tobytes() == adapter.array(x).tobytes()
    y, gradient = adapter.gradient(layer, x, x)
    assert np.array_equal(adapter.array(y), adapter.array(gradient))


def test_float64_runs_with_x64_on_and_leaves_float32_as_it_is_without() -> None:
    adapter = adapter_of("custom.jax")
    wide = adapter.make(0.3, "float64", 5, "key")
    x = adapter.tensor(np.full((3, 4, 2), 1 / 3), "float64")
    y = adapter.apply(wide, x, True)
    assert adapter.dtype_of(y) == "float64"
    kept = np.asarray(y)[np.asarray(y) != 0]
    assert np.allclose(kept, 1 / 3 / 0.7, rtol=1e-15)
    assert not jax.config.jax_enable_x64
    narrow = adapter.make(0.3, "float32", 5, "key")
    z = adapter.apply(narrow, adapter.tensor(np.ones((3, 4, 2)), "float32"), True)
    _, key = jax.random.split(jax.random.key(5))
    plain = np.asarray(jax.random.uniform(key, (3, 4))) < 0.3
    assert np.array_equal(np.asarray(z)[:, :, 0] == 0, plain)


LAYERS = '''
import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx


def by_key(x, rate, *, key):
    """No training."""
    keep = jax.random.bernoulli(key, 1 - rate, x.shape[:2] + (1,) * (x.ndim - 2))
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


class Linen(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x, train):
        return nn.Dropout(self.rate, broadcast_dims=(1,), deterministic=not train)(x)


class Nnx(nnx.Module):
    def __init__(self, rate, *, rngs):
        self.drop = nnx.Dropout(rate, broadcast_dims=(1,), rngs=rngs)

    def __call__(self, x):
        return self.drop(x)


class Sample(eqx.Module):
    """Takes one sample, c l."""

    rate: float

    def __call__(self, x, *, key, inference=False):
        if inference or self.rate == 0:
            return x
        return by_key(x[None], self.rate, key=key)[0]


class Wrong(eqx.Module):
    """Drops time steps instead of channels."""

    rate: float

    def __call__(self, x, *, key, inference=False):
        if inference or self.rate == 0:
            return x
        keep = jax.random.bernoulli(key, 1 - self.rate, (1, *x.shape[1:]))
        return jnp.where(keep, x / (1 - self.rate), 0).astype(x.dtype)
'''


@pytest.mark.parametrize(
    "attr, framework",
    [("by_key", "jax"), ("Linen", "flax-linen"), ("Nnx", "flax-nnx"), ("Sample", "equinox"), ("Wrong", "equinox")],
)
def test_a_users_layer_is_recognised_and_judged(tmp_path: Path, attr: str, framework: str) -> None:
    for module in ("flax", "equinox"):
        pytest.importorskip(module)
    file = tmp_path / "layers.py"
    file.write_text(LAYERS)
    asked = dict(select=("mask.whole-channels",), cases=("float32 rate=0.5 33,5,4 calls=8",), jobs=1, causes=False)
    result = dropcheck.audit(f"{file}:{attr}", **asked, in_process=True)
    (target,) = result.targets
    assert target.error is None, target.error
    assert target.framework == framework
    failed = {f.check for f in target.findings if f.verdict == "fail"}
    assert failed == ({"mask.whole-channels"} if attr == "Wrong" else set())


def test_what_is_called_is_told_by_what_it_takes() -> None:
    def keyed(x: Any, rate: float, *, key: Any) -> Any:
        return x

    class Keyed:
        def __call__(self, x: Any, *, key: Any) -> Any:
            return x

    assert adapters.recognise(keyed) == adapters.recognise(Keyed) == "jax"
    adapter: Any = adapters.adapter_for(keyed, Implementation(make=keyed))
    assert not adapter.inference and adapter.contract.seeds == ("key",)


def test_a_class_that_is_no_module_is_refused_in_one_sentence() -> None:
    pytest.importorskip("flax")
    adapter: Any = adapters.adapter_for(dict, Implementation(make=dict, framework="flax-linen", rate_argument="rate"))
    with pytest.raises(TypeError, match=r"returned a dict; expected a flax\.linen\.Module"):
        adapter.make(0.5, "float32", 1, "key")


def test_recognising_imports_no_framework() -> None:
    script = (
        "import sys; from spatial_dropouts import adapters\ntry: adapters.recognise(object())\nexcept TypeError: pass\n"
    )
    script += "print(sorted(set(sys.modules) & {'jax', 'flax', 'equinox', 'haiku', 'haliax', 'penzai', 'brainstate'}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_key_reaches_a_second_process() -> None:
    (target,) = dropcheck.audit("custom.jax", select=("seed.reproducible",), dtypes=("float32",), jobs=1).targets
    cases = {f.case: f.verdict for f in target.findings}
    assert any("fresh process" in case for case in cases) and set(cases.values()) == {"pass"}


def test_recomputing_is_asked_where_a_key_is_given() -> None:
    pytest.importorskip("flax")
    asked = dict(select=("gradient.recompute",), dtypes=("float32",), jobs=1, in_process=True)
    for name in ("custom.jax", "flax.nnx.SpatialDropout1D"):
        (target,) = dropcheck.audit(name, **asked).targets
        assert {f.verdict for f in target.findings} == {"pass"} and "jax.checkpoint" in target.findings[0].case
