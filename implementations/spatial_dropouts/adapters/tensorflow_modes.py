"""TensorFlow: the ways to run a body of TensorFlow code: eagerly, traced, compiled by XLA, or over two replicas."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, ClassVar, ContextManager, Dict

import tensorflow as tf

from dropcheck.contract.adapter import Unsupported

MODES = ("graph", "xla", "ranks")

Body = Callable[..., Any]
Traced = Dict[str, Any]  # what was traced for one layer, by what it does: it lives and dies with the layer


class Eager:
    """Runs a body as it stands."""

    def scope(self) -> ContextManager[Any]:
        """The context in which layers are made."""
        return contextlib.nullcontext()

    def run(self, traced: Traced, name: str, body: Body, *tensors: Any) -> Any:
        """What ``body(*tensors)`` returns; ``name`` tells the bodies of one layer apart."""
        return body(*tensors)


class Graph(Eager):
    """Runs a body inside a tf.function of its own, traced once a shape and dtype; with ``jit``, compiled by XLA.

    ``traces``: how often any body was traced in this process.
    """

    traces: ClassVar[int] = 0

    def __init__(self, jit: bool) -> None:
        self.jit = jit

    def run(self, traced: Traced, name: str, body: Body, *tensors: Any) -> Any:
        if name not in traced:
            traced[name] = tf.function(_counted(body), jit_compile=self.jit)
        return traced[name](*tensors)


def _counted(body: Body) -> Body:
    """The body, which runs as Python whenever it is traced, and then only."""

    def counting(*tensors: Any) -> Any:
        Graph.traces += 1
        return body(*tensors)

    return counting


class Ranks(Eager):
    """Splits every tensor over two replicas of a tf.distribute.MirroredStrategy, in one tf.function, as training does.

    Raises Unsupported where the one CPU of this process cannot be split any more.
    """

    def __init__(self) -> None:
        try:
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        except RuntimeError as error:
            raise Unsupported(
                "two virtual CPU devices must be asked for before TensorFlow computes anything, and here it already has: "
                "run the target in a process of its own, as `dropcheck audit` does"
            ) from error
        self.strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    def scope(self) -> ContextManager[Any]:
        return self.strategy.scope()

    def run(self, traced: Traced, name: str, body: Body, *tensors: Any) -> Any:
        if name not in traced:
            traced[name] = tf.function(lambda *shares: self.strategy.run(body, args=shares))
        half = -(-int(tensors[0].shape[0]) // 2)
        shares = [
            self.strategy.experimental_distribute_values_from_function(
                lambda context, t=t: t[half:] if context.replica_id_in_sync_group else t[:half]
            )
            for t in tensors
        ]
        return tf.nest.map_structure(self.joined, traced[name](*shares))

    def joined(self, parts: Any) -> Any:
        """The shares of both replicas as one tensor."""
        return None if parts is None else tf.concat(self.strategy.experimental_local_results(parts), 0)


def way_of(mode: str) -> Eager:
    """The way that a mode's word names."""
    return {"graph": lambda: Graph(False), "xla": lambda: Graph(True), "ranks": Ranks}.get(mode, Eager)()


def differentiated(forward: Body, recomputed: bool = False) -> Body:
    """A body that takes an input and a cotangent: (output, gradient by the input) of ``forward``.

    ``recomputed``: the forward pass is run again in the backward pass, by tf.recompute_grad.
    """

    def both(x: Any, cotangent: Any, *more: Any) -> Any:
        def call(x: Any) -> Any:
            return forward(x, *more)

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.recompute_grad(call)(x) if recomputed else call(x)
        return y, tape.gradient(y, x, output_gradients=cotangent)

    return both


@contextlib.contextmanager
def taped() -> Any:
    """A context that records for differentiation, as a training step does."""
    with tf.GradientTape(persistent=True):
        yield
