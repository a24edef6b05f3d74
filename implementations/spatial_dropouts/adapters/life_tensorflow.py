"""TensorFlow's tapes over several calls, and over a gradient. See dropcheck.worker.life."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import tensorflow as tf

from dropcheck.contract.adapter import Unsupported

Passed = Tuple[Any, Optional[Any], Optional[Any]]


def streams() -> Dict[str, Tuple[Callable[[int], Any], Callable[[], List[int]]]]:
    """TensorFlow's global seed, and what operations without a seed of their own draw after it."""

    def drawn() -> List[int]:
        return [int(word) for word in tf.random.uniform((4,), 0, 2**31 - 1, tf.int32).numpy()]

    return {"tensorflow": (tf.random.set_seed, drawn)}


def passes(call: Callable[[Any], Any], inputs: Sequence[Any], cotangents: Sequence[Any]) -> List[Passed]:
    """All forward passes under one tape, then all backward passes in the same order, then the first one's once more."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(list(inputs))
        outputs = [call(x) for x in inputs]
    gradients = [tape.gradient(y, x, output_gradients=c) for y, x, c in zip(outputs, inputs, cotangents)]
    again = tape.gradient(outputs[0], inputs[0], output_gradients=cotangents[0])
    return [(y, g, again if i == 0 else None) for i, (y, g) in enumerate(zip(outputs, gradients))]


def twice(call: Callable[[Any], Any], x: Any, cotangent: Any, direction: Any) -> Tuple[Any, Optional[Any]]:
    """One call; the derivative of <gradient, direction> by the cotangent, or None where none reaches it."""
    with tf.GradientTape() as outer:
        outer.watch(cotangent)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = call(x)
        gradient = inner.gradient(y, x, output_gradients=cotangent)
    return y, None if gradient is None else outer.gradient(gradient, cotangent, output_gradients=direction)


class TensorflowLife:
    """The optional methods of the adapter of functions, which have no state."""

    call: Any
    pair: Any

    def copy_ways(self) -> Dict[str, str]:
        raise Unsupported("a function has no state that could be copied")

    def holder(self, layer: Any) -> Any:
        raise Unsupported("a function is given its rate with each call")

    def sibling(self, layer: Any, rate: float, dtype: str, way: str) -> Any:
        if way == "key":
            raise Unsupported("every call is given a seed of its own: there is no source that two layers share")
        return self.make(rate, dtype, None, way)  # type: ignore[attr-defined]

    def streams(self) -> Dict[str, Tuple[Callable[[int], Any], Callable[[], List[int]]]]:
        return streams()

    def passes(self, layer: Any, inputs: Sequence[Any], cotangents: Sequence[Any]) -> List[Passed]:
        return passes(lambda x: self.call(layer, x, True, *self.pair(layer)), inputs, cotangents)

    def twice(self, layer: Any, x: Any, cotangent: Any, direction: Any) -> Tuple[Any, Optional[Any]]:
        return twice(lambda x: self.call(layer, x, True, *self.pair(layer)), x, cotangent, direction)
