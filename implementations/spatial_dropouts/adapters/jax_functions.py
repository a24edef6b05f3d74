"""JAX: plain functions ``f(x, rate, *, training, key)``, and classes built with the rate whose instances take a key.

The key may be called ``rng``, as Haiku and Flax call it.

What a function does not take is not given to it: one without training is called in training only, one without a key draws
from wherever it likes and is seeded by ``numpy.random.seed`` unless its Implementation says how.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Hashable, Optional

import numpy as np

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.adapters import accepts, functions, seeding
from spatial_dropouts.adapters.jax_arrays import JaxArrays, Layer


class JaxFunctions(JaxArrays):
    """Drives plain functions on JAX arrays; keys come by split, one stream an instance."""

    default_pattern = "n c l -> n c"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        self.is_class = isinstance(obj, type)
        if not self.is_class:
            seeding.function_only(implementation, obj)
        called = obj.__call__ if self.is_class else obj
        names = functions.parameters(called)
        self.key = "rng" if "rng" in names and "key" not in names else "key"
        self.takes = tuple(name for name in ("training", self.key) if accepts(called, name))
        self.inference = "training" in self.takes
        if self.key not in self.takes and implementation.seed is None and implementation.seed_argument is None:
            implementation = replace(implementation, seed=_seed_numpy)
        super().__init__(obj, implementation)

    def build(self, rate: float, dtype: str, extra: Dict[str, Any]) -> Any:
        if self.is_class:
            return super().build(rate, dtype, extra)
        return 1 - rate if self.implementation.keep_probability else rate

    def token(self, made: Any) -> Hashable:
        return id(made) if self.is_class else repr(made)  # a rate, which may be NaN

    def call(self, made: Any, x: Any, key: Any, training: bool) -> Any:
        every = {"training": training, self.key: key}
        given = {name: every[name] for name in self.takes}
        if self.is_class:
            return made(x, **given)
        options = dict(self.implementation.options)
        name = self.implementation.rate_argument
        if name is not None:
            return self.obj(x, **{name: made}, **given, **options)
        return self.obj(x, made, **given, **options)

    def infer(self, layer: Layer, x: Any) -> Any:
        return super().infer(layer, x) if self.inference else x  # else it is its caller's business


def _seed_numpy(seed: Optional[int]) -> None:
    np.random.seed(None if seed is None else seed % 2**32)
