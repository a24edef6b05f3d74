"""NumPy: plain functions ``f(x, rate, *, training, rng)``, and classes built with the rate whose instances take rng.

What a function does not take is not given to it: without rng it is seeded by ``numpy.random.seed``, or by the function that
its Implementation declares, without training it is called in training only.
"""

from __future__ import annotations

from typing import Any, ContextManager, Optional, Tuple

import numpy as np

from dropcheck.contract.adapter import Implementation, Unsupported, global_generators_kept, unchanged
from dropcheck.contract.promise import Pattern
from spatial_dropouts.adapters import accepts, seeding
from spatial_dropouts.adapters.life_numpy import NumpyLife

DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16}


def arranged(values: Any, layout: str) -> Any:
    """An array of its own memory with these values: contiguous, every second element of a larger one, or transposed."""
    if layout == "contiguous" or values.ndim == 0:
        return np.array(values, copy=True, order="C")
    if layout == "strided":
        wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
        view = wide[..., ::2]
        view[...] = values
        return view
    return np.array(values.T, copy=True, order="C").T


class _Instance:
    """A layer with a generator of its own: what one ``numpy.random.default_rng(seed)`` an instance means."""

    def __init__(self, call: Any, rng: Any, rate: float) -> None:
        self.call, self.rng, self.rate = call, rng, rate


class NumpyFunctions(NumpyLife):
    """Drives NumPy dropout."""

    framework = "numpy"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        self.obj, self.implementation = obj, implementation
        self.is_class = isinstance(obj, type)
        called = obj.__call__ if self.is_class else obj
        self.takes = tuple(name for name in ("training", "rng") if accepts(called, name))
        self.inference = "training" in self.takes
        if not self.is_class:
            seeding.function_only(implementation, obj)
        way = seeding.way_of(implementation, "generator" if "rng" in self.takes else "global")
        self.contract = implementation.resolve_contract(Pattern.parse("n c l -> n c"), (way,))

    def version(self) -> str:
        return str(np.__version__)

    def dtypes(self) -> Tuple[str, ...]:
        return tuple(DTYPES)

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous", "strided", "transposed")

    def gradients(self) -> bool:
        return False

    def tensor(self, values: Any, dtype: str, layout: str = "contiguous") -> Any:
        return arranged(np.asarray(values).astype(DTYPES[dtype]), layout)

    def copies(self, x: Any, count: int) -> Any:
        """``count`` arrays like ``x``, strides included, each of memory that no other has."""
        steps = tuple(step // x.itemsize for step in x.strides)
        span = 1 + sum((size - 1) * step for size, step in zip(x.shape, steps))
        whole = np.lib.stride_tricks.as_strided(
            np.empty(count * span, x.dtype), (count, *x.shape), (span * x.itemsize, *x.strides)
        )
        whole[...] = x
        return list(whole)

    def array(self, tensor: Any) -> Any:
        return np.asarray(tensor)

    def dtype_of(self, tensor: Any) -> str:
        return str(np.asarray(tensor).dtype)

    def seeded(self, seed: Optional[int], way: str) -> Any:
        """A generator for the layer; the source that it has itself, or NumPy's own, is seeded where it draws from that."""
        if way == "global" or self.implementation.seed is not None:
            seeding.sow(self.implementation, seed, way, lambda number: np.random.seed(number % 2**32))
        return np.random.default_rng(None if way == "constructor" else seed)

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        rng = self.seeded(seed, way)
        if self.is_class:
            extra = seeding.keyword(self.implementation, seed, way)
            return _Instance(self.implementation.construct(self.obj, rate, extra), rng, rate)
        value = 1 - rate if self.implementation.keep_probability else rate
        name = self.implementation.rate_argument
        options = dict(self.implementation.options)

        def call(x: Any, **given: Any) -> Any:
            if name is not None:
                return self.obj(x, **{name: value}, **given, **options)
            return self.obj(x, value, **given, **options)

        return _Instance(call, rng, rate)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        if way == "constructor":
            return self.make(layer.rate, "", seed, way)
        layer.rng = self.seeded(seed, way)
        return layer

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        if not (training or self.inference):
            return x  # its caller's business
        given = {"training": training, "rng": layer.rng}
        try:
            return layer.call(x, **{name: given[name] for name in self.takes})
        except TypeError as error:
            if "PRNG key" in str(error):  # JAX' own words for what is none
                raise TypeError(
                    f"{error}. It was taken for a function on NumPy arrays, as it takes rng; functions on JAX arrays take "
                    "key, or say Implementation(make=..., framework='jax')"
                ) from error
            raise

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        raise Unsupported("NumPy has no gradients")

    def recording(self, on: bool) -> ContextManager[Any]:
        return unchanged()

    def track(self, x: Any) -> Any:
        return x

    def preserved(self) -> ContextManager[Any]:
        return global_generators_kept()
