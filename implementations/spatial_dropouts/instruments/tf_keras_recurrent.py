"""Recurrent layers of Keras 2 (tf_keras): weights that make the output of each step the mask of the input of that step.

Gates are exactly 0 or 1 by large biases, and the kernel is the identity. A constant goes through, so small that tanh rounds to
its argument: what comes out of it is mask times scale, and so is the gradient of what goes in.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple

import numpy as np
import tensorflow as tf
import tf_keras

from spatial_dropouts.adapters.tf_keras_layers import TfKerasLayers
from spatial_dropouts.instruments import fixed

SMALL = {"float32": 2.0**-40, "float64": 2.0**-60}  # tanh of it, and of all that is near it, is its argument
SURE = 1000.0  # a gate's bias: its sigmoid is exactly 0 or 1
GATES: Dict[str, Tuple[str, ...]] = {
    "SimpleRNN": ("candidate",),
    "GRU": ("update", "reset", "candidate"),
    "LSTM": ("input", "forget", "candidate", "output"),
}
_BIASES = {"update": -SURE, "input": SURE, "forget": -SURE, "output": SURE}


class Input(tf_keras.layers.Layer):
    """A recurrent layer with ``dropout`` that passes a constant through; x is (n, t, f), and the layer has f units."""

    def __init__(self, rate: float, kind: str = "GRU", unroll: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self.rate, self.kind, self.unroll = rate, kind, unroll
        self.real: Any = None

    def call(self, x: Any, training: Any = None) -> Any:
        """x times mask and scale; the gradient of the real layer's input shows them once more."""
        features = int(x.shape[-1])
        if self.real is None or self.real.units != features:
            self.real = self._made(features)
        small = SMALL[self.compute_dtype]

        def shown(x: Any) -> Any:
            carrier = tf.fill(tf.shape(x), tf.constant(small, x.dtype))
            carrier.set_shape(x.shape)
            with tf.GradientTape() as tape:
                tape.watch(carrier)
                output = self.real(carrier, training=training)
            back = tape.gradient(output, carrier, tf.ones_like(output))

            def gradient(upstream: Any, variables: Any = ()) -> Any:
                """Of x, and none of the real layer's weights."""
                of_x = upstream * back
                return (of_x, [None for _ in variables]) if variables else of_x

            return x * (output / small), gradient

        return tf.custom_gradient(shown)(x)

    def _made(self, features: int) -> Any:
        real = getattr(tf_keras.layers, self.kind)(
            features, dropout=self.rate, return_sequences=True, unroll=self.unroll, dtype=self.dtype
        )
        with tf.init_scope():
            real.build((None, None, features))
            gates = GATES[self.kind]
            wide = features * len(gates)
            kernel, bias = np.zeros((features, wide)), np.zeros(wide)
            for number, gate in enumerate(gates):
                units = slice(number * features, (number + 1) * features)
                bias[units] = _BIASES.get(gate, 0.0)
                if gate == "candidate":
                    kernel[:, units] = np.eye(features)
            two = len(real.cell.bias.shape) == 2
            weights = (kernel, np.zeros((features, wide)), np.stack([bias, 0 * bias]) if two else bias)
            real.set_weights(weights)
            real.trainable = False
        return real

    def get_config(self) -> Dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "kind": self.kind, "unroll": self.unroll}


class TfKerasInstrument(TfKerasLayers):
    """Drives these instruments in float32 and float64."""

    fixed: Mapping[str, str] = {
        **fixed.PULLED,
        **fixed.THREADS,
        "gradient.two-passes": fixed.BACKWARD["gradient.two-passes"],
    }

    def dtypes(self) -> Tuple[str, ...]:
        """Those in which tanh of a small number is that number, with room for the scale."""
        return tuple(name for name in super().dtypes() if name in SMALL)
