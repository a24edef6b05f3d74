"""A seed reaches a layer by what its Implementation declares, whatever the framework: every adapter that can run here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.adapters import adapter_for


class Own:
    """A source of randomness that no framework knows of."""

    generator = np.random.default_rng()

    @classmethod
    def seed(cls, number: int) -> None:
        cls.generator = np.random.default_rng(number)


def mask(shape: Any, rate: float, dtype: Any = np.float32) -> Any:
    """Factors of one coin a sample and channel, drawn from ``Own``."""
    kept = Own.generator.random((*shape[:2], *[1] * (len(shape) - 2))) >= rate
    return (np.broadcast_to(kept, shape) / (1 - rate)).astype(dtype)


def numpy_function() -> tuple[Any, str]:
    def drop(x: Any, rate: float) -> Any:
        return x * mask(x.shape, rate, x.dtype)

    return drop, "numpy"


def numpy_class() -> tuple[Any, str]:
    class Drop:
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def __call__(self, x: Any, training: bool = True) -> Any:
            return x * mask(x.shape, self.rate, x.dtype) if training else x

    return Drop, "numpy"


def torch_class() -> tuple[Any, str]:
    import torch

    class Drop(torch.nn.Module):
        def __init__(self, p: float) -> None:
            super().__init__()
            self.p = p

        def forward(self, x: Any) -> Any:
            return x * torch.from_numpy(mask(tuple(x.shape), self.p)) if self.training else x

    return Drop, "torch"


def torch_function() -> tuple[Any, str]:
    import torch

    return lambda x, rate: x * torch.from_numpy(mask(tuple(x.shape), rate)), "torch-function"


def keras_class() -> tuple[Any, str]:
    return _keras("keras"), "keras"


def tf_keras_class() -> tuple[Any, str]:
    return _keras("tf_keras"), "tf_keras"


def _keras(library: str) -> Any:
    keras = importlib.import_module(library)

    class Drop(keras.layers.Layer):  # type: ignore[name-defined,misc]
        def __init__(self, rate: float, **more: Any) -> None:
            super().__init__(**more)
            self.rate = rate

        def call(self, x: Any, training: bool = False) -> Any:
            return x * mask(tuple(x.shape), self.rate) if training else x

    return Drop


def tensorflow_function() -> tuple[Any, str]:
    return lambda x, rate: x * mask(tuple(x.shape), rate), "tensorflow"


def jax_function() -> tuple[Any, str]:
    return lambda x, rate: x * mask(x.shape, rate), "jax"


def linen_class() -> tuple[Any, str]:
    import flax.linen

    class Drop(flax.linen.Module):
        rate: float

        def __call__(self, x: Any, deterministic: bool = False) -> Any:
            return x if deterministic else x * mask(x.shape, self.rate)

    return Drop, "flax-linen"


def nnx_class() -> tuple[Any, str]:
    from flax import nnx

    class Drop(nnx.Module):
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def __call__(self, x: Any, deterministic: bool = False) -> Any:
            return x if deterministic else x * mask(x.shape, self.rate)

    return Drop, "flax-nnx"


def equinox_class() -> tuple[Any, str]:
    import equinox

    class Drop(equinox.Module):  # type: ignore[misc,unused-ignore]
        rate: float

        def __call__(self, x: Any, inference: bool = False) -> Any:
            return x if inference else x * mask(x.shape, self.rate)

    return Drop, "equinox-batch"


def haiku_function() -> tuple[Any, str]:
    return lambda key, rate, x: x * mask(x.shape, rate), "haiku"


def mlx_class() -> tuple[Any, str]:
    import mlx.core as mx
    import mlx.nn as nn

    class Drop(nn.Module):
        def __init__(self, p: float) -> None:
            super().__init__()
            self.rate = p

        def __call__(self, x: Any) -> Any:
            return x * mx.array(mask(tuple(x.shape), self.rate)) if self.training else x

    return Drop, "mlx"


def paddle_class() -> tuple[Any, str]:
    import paddle

    class Drop(paddle.nn.Layer):  # type: ignore[misc,unused-ignore]
        def __init__(self, p: float) -> None:
            super().__init__()
            self.p = p

        def forward(self, x: Any) -> Any:
            return x * paddle.to_tensor(mask(tuple(x.shape), self.p)) if self.training else x

    return Drop, "paddle"


def brainstate_class() -> tuple[Any, str]:
    import brainstate

    class Drop(brainstate.nn.Module):  # type: ignore[misc,unused-ignore]
        def __init__(self, p: float) -> None:
            super().__init__()
            self.p = p

        def __call__(self, x: Any) -> Any:
            return x * mask(x.shape, self.p)

    return Drop, "brainstate"


LAYERS: dict[Callable[[], tuple[Any, str]], tuple[str, ...]] = {
    numpy_function: (),
    numpy_class: (),
    torch_class: ("torch",),
    torch_function: ("torch",),
    keras_class: ("keras",),
    tf_keras_class: ("tf_keras",),
    tensorflow_function: ("tensorflow",),
    jax_function: ("jax",),
    linen_class: ("flax",),
    nnx_class: ("flax",),
    equinox_class: ("equinox",),
    haiku_function: ("haiku",),
    mlx_class: ("mlx",),
    paddle_class: ("paddle",),
    brainstate_class: ("brainstate",),
}


@pytest.mark.parametrize("layer", LAYERS, ids=lambda f: f.__name__)
def test_a_declared_function_seeds_the_layers_own_source(layer: Callable[[], tuple[Any, str]]) -> None:
    missing = [name for name in LAYERS[layer] if find_spec(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    thing, framework = layer()
    adapter = adapter_for(
        thing, Implementation(make=thing, framework=framework, contract="n c l -> n c", seed=Own.seed)
    )
    assert adapter.contract.seeds[0] == "global"
    x = adapter.tensor(np.ones((4, 9, 2)), "float32")

    def calls(layer: Any) -> list[Any]:
        with adapter.recording(False):
            return [np.array(adapter.array(adapter.apply(layer, x, True))) for _ in range(3)]

    made = adapter.make(0.3, "float32", 5, "global")
    first, later = calls(made), calls(made)
    again = calls(adapter.reseed(made, 5, "global"))
    other = calls(adapter.make(0.3, "float32", 6, "global"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)
    assert not np.array_equal(first, other)


class Seeded:
    """A NumPy layer whose constructor takes the seed."""

    def __init__(self, rate: float, seed: int | None = None) -> None:
        self.rate, self.generator = rate, np.random.default_rng(seed)

    def __call__(self, x: Any, training: bool) -> Any:
        if not training:
            return x
        return x * ((self.generator.random((*x.shape[:2], 1)) >= self.rate) / (1 - self.rate)).astype(x.dtype)


def test_a_numpy_layer_whose_constructor_takes_the_seed_is_made_anew() -> None:
    for contract in ("n c l -> n c", Contract(Pattern.parse("n c l -> n c"))):
        adapter = adapter_for(
            Seeded, Implementation(make=Seeded, framework="numpy", contract=contract, seed_argument="seed")
        )
        assert adapter.contract.seeds == ("constructor",)
        x = np.ones((4, 9, 2), np.float32)
        made = adapter.make(0.3, "float32", 5, "constructor")
        first = adapter.apply(made, x, True)
        adapter.apply(made, x, True)
        assert np.array_equal(first, adapter.apply(adapter.reseed(made, 5, "constructor"), x, True))


def test_a_function_has_no_constructor_that_takes_a_seed() -> None:
    thing, _ = numpy_function()
    with pytest.raises(TypeError, match=r"drop is a function.*give seed="):
        adapter_for(thing, Implementation(make=thing, framework="numpy", seed_argument="seed"))


def drop(x: Any, rate: float, training: bool) -> Any:
    """A right layer on a source of its own."""
    if not 0 <= rate <= 1:
        raise ValueError(f"rate {rate} is no probability")
    return x * mask(x.shape, min(rate, 0.999), x.dtype) if training else x


def test_a_right_layer_on_its_own_source_keeps_its_seed_claims_and_without_the_declaration_breaks_them() -> None:
    asked: dict[str, Any] = {"select": ("seed.reproducible", "seed.reset"), "in_process": True, "causes": False}
    declared = Implementation(make=drop, framework="numpy", contract="n c l -> n c", seed=Own.seed)
    assert dropcheck.audit(declared, **asked).verdict == "pass"
    assert dropcheck.audit(Implementation(make=drop, framework="numpy"), **asked).verdict == "fail"
