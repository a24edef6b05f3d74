"""TensorFlow: ``tf.nn.dropout``, ``tf.nn.experimental.stateless_dropout`` and plain functions like them.

A function that takes a noise shape is given the one of the contract's pattern; one that must be given a seed is given the
pair (seed, number of the call); ``training`` is given where it is taken.
"""

from __future__ import annotations

import inspect
from typing import Any, ContextManager, Dict, Optional, Tuple

import numpy as np
import tensorflow as tf

from dropcheck.contract.adapter import Implementation, Unsupported, global_generators_kept, unchanged
from dropcheck.contract.promise import Pattern
from spatial_dropouts.adapters import accepts, placing, seeding
from spatial_dropouts.adapters.life_tensorflow import TensorflowLife
from spatial_dropouts.adapters.tensorflow_modes import MODES, Eager, differentiated, taped, way_of


def tensor(values: Any, dtype: str, layout: str = "contiguous") -> Any:
    """A TensorFlow tensor with these values. Raises Unsupported for layouts: its tensors have no strides."""
    if layout != "contiguous":
        raise Unsupported("TensorFlow tensors have no strides")
    return tf.constant(np.asarray(values).astype(tf.as_dtype(dtype).as_numpy_dtype))


def array(found: Any) -> Any:
    """The tensor's values; bfloat16 as its bits."""
    plain = found.numpy()
    return np.ascontiguousarray(plain).view(np.uint16) if plain.dtype.name == "bfloat16" else plain


def must_be_seeded(function: Any) -> bool:
    """Whether a call without ``seed`` is refused: the function keeps no state of its own."""
    try:
        parameter = inspect.signature(function).parameters.get("seed")
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.default is inspect.Parameter.empty


class _Layer:
    """A rate, the seed of its pairs, and what was traced for it."""

    def __init__(self, rate: float, seed: Optional[int]) -> None:
        self.rate, self.seed, self.calls = rate, seed or 0, 0
        self.traced: Dict[str, Any] = {}


class TensorflowFunctions(TensorflowLife):
    """Drives functions ``f(x, rate, ...)`` on TensorFlow tensors."""

    framework = "tensorflow"
    immutable = True
    recompute_ways: Tuple[str, ...] = ("tf.recompute_grad",)
    heavy = True  # an eager call costs a millisecond, a traced one as much, and a trace a hundred

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        self.obj, self.implementation = obj, implementation
        self.keyed = must_be_seeded(obj)
        self.shaped = accepts(obj, "noise_shape")
        self.inference = accepts(obj, "training")
        seeding.function_only(implementation, obj)
        way = seeding.way_of(implementation, "key" if self.keyed else "global")
        self.contract = implementation.resolve_contract(Pattern.parse("n l c -> n c"), (way,))
        self.way = Eager()
        # the seeds of a function without state are its caller's, on every replica too
        self.modes: Tuple[str, ...] = tuple(m for m in MODES if not (self.keyed and m == "ranks"))

    def control(self) -> Any:
        """Like this one, of TensorFlow's own function, in the same mode: what it fails too is not a function's own failure."""
        made = TensorflowFunctions(tf.nn.dropout, Implementation(make=tf.nn.dropout))
        made.way = self.way
        return made

    def place(self, device: str) -> None:
        """TensorFlow itself computes on the first GPU that it finds. Raises Unsupported where it finds none."""
        placing.tensorflow(device)

    def use(self, mode: str) -> None:
        self.way = way_of(mode)

    def version(self) -> str:
        return str(tf.__version__)

    def dtypes(self) -> Tuple[str, ...]:
        return ("float32", "float64", "float16", "bfloat16")

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous",)

    def gradients(self) -> bool:
        return True

    def tensor(self, values: Any, dtype: str, layout: str = "contiguous") -> Any:
        return tensor(values, dtype, layout)

    def array(self, found: Any) -> Any:
        return array(found)

    def dtype_of(self, found: Any) -> str:
        return str(found.dtype.name)

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        if way != "key" or self.implementation.seed is not None:
            seeding.sow(self.implementation, seed, way, tf.random.set_seed)
        return _Layer(rate, seed)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        # a traced function holds the seed under which it was traced: a new seed means a new trace
        return self.make(layer.rate, "", seed, way)

    def call(self, layer: Any, x: Any, training: bool, *pair: Any) -> Any:
        """One call of the function."""
        given: Dict[str, Any] = dict(self.implementation.options)
        if self.keyed:
            given["seed"] = pair[0]
        if self.inference:
            given["training"] = training
        if self.shaped and self.contract.pattern.shared:
            if len(x.shape) != len(self.contract.pattern.axes):
                raise Unsupported(
                    f"a noise shape of the pattern '{self.contract.pattern}' fits no input of another rank"
                )
            given["noise_shape"] = self.contract.pattern.noise_shape(x.shape)
        value = 1 - layer.rate if self.implementation.keep_probability else layer.rate
        name = self.implementation.rate_argument
        return self.obj(x, **{name: value}, **given) if name is not None else self.obj(x, value, **given)

    def pair(self, layer: Any) -> Tuple[Any, ...]:
        """The seed of the next call, for a function that must be given one."""
        if not self.keyed:
            return ()
        layer.calls += 1
        return (tf.constant((layer.seed % 2**31, layer.calls), tf.int32),)

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        if not (training or self.inference):
            return x  # its caller's business

        def body(x: Any, *pair: Any) -> Any:
            return self.call(layer, x, training, *pair)

        return self.way.run(layer.traced, f"training={training}", body, x, *self.pair(layer))

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        return self._pulled(layer, x, cotangent, recomputed=False)

    def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Optional[Any]]:
        """Like ``gradient``, with the forward pass run again in the backward pass."""
        return self._pulled(layer, x, cotangent, recomputed=True)

    def _pulled(self, layer: Any, x: Any, cotangent: Any, recomputed: bool) -> Tuple[Any, Optional[Any]]:
        body = differentiated(lambda x, *pair: self.call(layer, x, True, *pair), recomputed)
        name = f"gradient, recomputed={recomputed}"
        y, gradient = self.way.run(layer.traced, name, body, x, cotangent, *self.pair(layer))
        return y, gradient

    def recording(self, on: bool) -> ContextManager[Any]:
        return taped() if on else unchanged()

    def track(self, x: Any) -> Any:
        return x

    def preserved(self) -> ContextManager[Any]:
        return global_generators_kept()
