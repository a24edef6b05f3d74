"""Recurrent layers of Keras: weights that make the output of each step the mask of its input, or of its state.

``Input``: gates that are exactly 0 or 1 by large biases and a kernel that is the identity pass a small constant through; tanh
rounds to its argument. The others set linear activations, units in blocks that look at one gate each, and inputs of 1.
Update and forget gates are not looked at: what they multiply is the state, so that only a first step would show them.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import keras
import numpy as np
from keras import ops

from spatial_dropouts.instruments.keras_shown import Shown

# so small that tanh(w / (1 - rate)) rounds to its argument at every rate that is asked; float16 has no smaller normal numbers
SMALL = {"float32": 2.0**-40, "float64": 2.0**-60, "float16": 2.0**-13, "bfloat16": 2.0**-40}
SURE = 1000.0  # a gate's bias: its sigmoid is exactly 0 or 1 in every dtype

GATES: Dict[str, Tuple[str, ...]] = {
    "SimpleRNN": ("candidate",),
    "GRU": ("update", "reset", "candidate"),
    "LSTM": ("input", "forget", "candidate", "output"),
}
# what the gates of a unit are that shows one of them, with linear activations; its own bias is 0
SEEN: Dict[str, Dict[str, Dict[str, float]]] = {
    "SimpleRNN": {"candidate": {}},
    "GRU": {"reset": {"update": 0, "recurrent": 1}, "candidate": {"update": 0, "reset": 1}},
    "LSTM": {
        "input": {"forget": 0, "candidate": 1, "output": 1},
        "candidate": {"input": 1, "forget": 0, "output": 1},
        "output": {"input": 1, "forget": 0, "candidate": 1},
    },
}
# a unit whose state stays what it is at first
CARRIES: Dict[str, Dict[str, float]] = {"SimpleRNN": {}, "GRU": {"update": 1}, "LSTM": {"forget": 1, "output": 1}}


class Weights:
    """Kernel, recurrent kernel and bias of one layer, filled gate by gate."""

    def __init__(self, kind: str, features: int, units: int) -> None:
        self.kind, self.units = kind, units
        width = units * len(GATES[kind])
        self.kernel, self.recurrent = np.zeros((features, width)), np.zeros((units, width))
        self.bias, self.recurrent_bias = np.zeros(width), np.zeros(width)

    def columns(self, gate: str, units: slice) -> slice:
        """The columns of some units in the block of a gate."""
        first = GATES[self.kind].index(gate) * self.units
        return slice(first + units.start, first + units.stop)

    def set_bias(self, units: slice, values: Dict[str, float]) -> None:
        """The biases of some units by gate; ``recurrent``: that of the candidate within the reset gate's product."""
        for gate, value in values.items():
            if gate == "recurrent":
                self.recurrent_bias[self.columns("candidate", units)] = value
            else:
                self.bias[self.columns(gate, units)] = value

    def assign(self, cell: Any) -> None:
        """Give them to a cell, or to a layer of convolutions of size 1."""
        cell.kernel.assign(self.kernel.reshape(cell.kernel.shape))
        cell.recurrent_kernel.assign(self.recurrent.reshape(cell.recurrent_kernel.shape))
        bias = np.stack([self.bias, self.recurrent_bias]) if len(cell.bias.shape) == 2 else self.bias
        cell.bias.assign(bias)


class Input(Shown):
    """A layer with ``dropout``, its activations and its way of computing as users have them; x is (n, t, f)."""

    def __init__(
        self, rate: float, seed: Optional[int] = None, dtype: Any = None, kind: str = "GRU", **more: Any
    ) -> None:
        super().__init__(rate, seed, dtype, **more)
        self.kind = kind

    def needs(self, shape: Tuple[int, ...]) -> Tuple[int, ...]:
        return (shape[-1],)

    def layer(self, units: int, **more: Any) -> Any:
        """One recurrent layer, or cell, of this kind and this rate."""
        return getattr(keras.layers, self.kind)(
            units,
            seed=self.seed,
            dtype=self.dtype_policy,
            kernel_initializer="zeros",
            recurrent_initializer="zeros",
            **more,
        )

    def bare(self) -> Any:
        return self.layer(self.sizes[-1], dropout=self.rate, return_sequences=True)

    def dress(self, real: Any) -> None:
        real.build((None, None, self.sizes[-1]))
        real.built = True
        self.passing(self.sizes[-1], 0).assign(real.cell)

    def passing(self, features: int, constants: int) -> Weights:
        """Weights of units that pass their features through, after units that emit the small constant."""
        units = slice(constants, constants + features)
        made = Weights(self.kind, features, constants + features)
        made.kernel[:, made.columns("candidate", units)] = np.eye(features)
        made.set_bias(slice(0, constants), {"candidate": self.small()})
        for gate, value in {"update": -SURE, "input": SURE, "forget": -SURE, "output": SURE}.items():
            if gate in GATES[self.kind]:
                made.set_bias(slice(0, constants + features), {gate: value})
        return made

    def small(self) -> float:
        """The constant that the layer passes through."""
        return SMALL[str(self.compute_dtype)]

    def carrier(self, x: Any) -> Any:
        return ops.full(ops.shape(x), self.small(), x.dtype)

    def run(self, carrier: Any, x: Any, training: Any) -> Any:
        return self.real(carrier, training=training)

    def read(self, output: Any, x: Any) -> Any:
        return output / self.small()

    def cotangents(self, x: Any) -> List[Any]:
        return [ops.ones_like(x)]

    def read_back(self, gradients: List[Any], x: Any) -> Any:
        return gradients[0]

    def get_config(self) -> Dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}


class InputGates(Input):
    """A layer with ``dropout`` beside ``recurrent_dropout``, by gate; x is (n, t, g, f)."""

    beside = 0.25  # the rate of recurrent_dropout, which this instrument does not see

    def needs(self, shape: Tuple[int, ...]) -> Tuple[int, ...]:
        return (*shape[3:-2], shape[-1])

    def linear(self) -> Dict[str, Any]:
        """Linear activations of a kind."""
        gates = {} if self.kind == "SimpleRNN" else {"recurrent_activation": "linear"}
        return {"activation": "linear", "return_sequences": True, **gates}

    def bare(self) -> Any:
        units = len(SEEN[self.kind]) * self.sizes[-1]
        return self.layer(units, dropout=self.rate, recurrent_dropout=self.beside, **self.linear())

    def dress(self, real: Any) -> None:
        real.build((None, None, self.sizes[-1]))
        real.built = True
        self.looking().assign(real.cell)

    def looking(self) -> Weights:
        """Weights of blocks of units, each of which shows the input at one gate."""
        features = self.sizes[-1]
        made = Weights(self.kind, features, len(SEEN[self.kind]) * features)
        for number, (gate, others) in enumerate(SEEN[self.kind].items()):
            units = slice(number * features, (number + 1) * features)
            made.kernel[:, made.columns(gate, units)] = np.eye(features)
            made.set_bias(units, others)
        return made

    def carrier(self, x: Any) -> Any:
        return ops.ones_like(x[..., 0, :])

    def read(self, output: Any, x: Any) -> Any:
        return ops.reshape(output, ops.shape(x))

    def cotangents(self, x: Any) -> List[Any]:
        gates = x.shape[-2]
        return [
            ops.reshape(ops.zeros_like(x) + unit_gate(number, gates, x.dtype), (*x.shape[:-2], gates * x.shape[-1]))
            for number in range(gates)
        ]

    def read_back(self, gradients: List[Any], x: Any) -> Any:
        return ops.stack(gradients, axis=-2)


def unit_gate(number: int, gates: int, dtype: Any) -> Any:
    """Ones at one gate, (gates, 1)."""
    return ops.reshape(ops.cast(ops.arange(gates) == number, dtype), (gates, 1))


class Convolution(InputGates):
    """``ConvLSTM1D`` or ``ConvLSTM2D`` with ``dropout``, by gate; x is (n, t, positions, g, c)."""

    def __init__(self, rate: float, seed: Optional[int] = None, dtype: Any = None, rank: int = 1, **more: Any) -> None:
        super().__init__(rate, seed, dtype, **{**more, "kind": "LSTM"})
        self.rank = rank

    def needs(self, shape: Tuple[int, ...]) -> Tuple[int, ...]:
        return (*shape[2:-2], shape[-1])

    def bare(self) -> Any:
        return getattr(keras.layers, f"ConvLSTM{self.rank}D")(
            len(SEEN["LSTM"]) * self.sizes[-1], 1, dropout=self.rate, seed=self.seed, dtype=self.dtype_policy,
            kernel_initializer="zeros", recurrent_initializer="zeros", **self.linear(),
        )  # fmt: skip

    def dress(self, real: Any) -> None:
        real.build((None, 1, *self.sizes))
        real.built = True
        self.looking().assign(real.cell)

    def get_config(self) -> Dict[str, Any]:
        return {**super().get_config(), "rank": self.rank}


class State(InputGates):
    """A layer with ``recurrent_dropout``: units that keep the state 1, and units that read it by one gate; x is (n, t, g, h)."""

    def bare(self) -> Any:
        units = (1 + len(SEEN[self.kind])) * self.sizes[-1]
        return self.layer(units, recurrent_dropout=self.rate, **self.linear())

    def dress(self, real: Any) -> None:
        width = self.sizes[-1]
        real.build((None, None, width))
        real.built = True
        made = Weights(self.kind, width, (1 + len(SEEN[self.kind])) * width)
        made.set_bias(slice(0, width), CARRIES[self.kind])
        for number, (gate, others) in enumerate(SEEN[self.kind].items(), 1):
            units = slice(number * width, (number + 1) * width)
            made.recurrent[:width, made.columns(gate, units)] = np.eye(width)
            made.set_bias(units, others)
        made.assign(real.cell)

    def carrier(self, x: Any) -> Any:
        """The first state of the units that keep it."""
        return ops.ones_like(x[:, 0, 0])

    def run(self, carrier: Any, x: Any, training: Any) -> Any:
        others = ops.ones((ops.shape(x)[0], self.real.units - carrier.shape[-1]), carrier.dtype)
        state = ops.concatenate([carrier, others], axis=-1)
        states = [state, state] if self.kind == "LSTM" else [state]
        return self.real(ops.zeros_like(x[:, :, 0]), initial_state=states, training=training)

    def read(self, output: Any, x: Any) -> Any:
        return ops.reshape(output[..., self.sizes[-1] :], ops.shape(x))

    def cotangents(self, x: Any) -> List[Any]:
        n, t, g, h = x.shape
        every = ops.reshape(ops.eye(t * g, dtype=x.dtype), (t * g, 1, t, g, 1))
        found = ops.reshape(ops.zeros((1, n, t, g, h), x.dtype) + every, (t * g, n, t, g * h))
        carried = ops.zeros((n, t, h), x.dtype)
        return [ops.concatenate([carried, one], axis=-1) for one in found]

    def read_back(self, gradients: List[Any], x: Any) -> Any:
        n, t, g, h = x.shape
        return ops.transpose(ops.reshape(ops.stack(gradients), (t, g, n, h)), (2, 0, 1, 3))


class PlainState(State):
    """``SimpleRNN`` with ``recurrent_dropout``: the state that a step reads is the input of the step before; x is (n, t, h)."""

    def __init__(self, rate: float, seed: Optional[int] = None, dtype: Any = None, **more: Any) -> None:
        super().__init__(rate, seed, dtype, **{**more, "kind": "SimpleRNN"})

    def needs(self, shape: Tuple[int, ...]) -> Tuple[int, ...]:
        return (shape[-1],)

    def dress(self, real: Any) -> None:
        super().dress(real)
        kernel = np.zeros(real.cell.kernel.shape)
        kernel[:, : self.sizes[-1]] = np.eye(self.sizes[-1])
        real.cell.kernel.assign(kernel)

    def carrier(self, x: Any) -> Any:
        """The state of each step, and an input that no step reads."""
        return ops.ones((ops.shape(x)[0], x.shape[1] + 1, x.shape[2]), x.dtype)

    def run(self, carrier: Any, x: Any, training: Any) -> Any:
        first = ops.concatenate([carrier[:, 0], ops.zeros_like(carrier[:, 0])], axis=-1)
        return self.real(carrier[:, 1:], initial_state=[first], training=training)

    def cotangents(self, x: Any) -> List[Any]:
        return [ops.concatenate([ops.zeros_like(x), ops.ones_like(x)], axis=-1)]

    def read_back(self, gradients: List[Any], x: Any) -> Any:
        return gradients[0][:, :-1]


class Directions(Input):
    """``Bidirectional`` around a layer with ``dropout``; x is (n, t, d, f), d the direction."""

    def bare(self) -> Any:
        return keras.layers.Bidirectional(super().bare(), dtype=self.dtype_policy)

    def dress(self, real: Any) -> None:
        real.build((None, None, self.sizes[-1]))
        real.built = True
        for one in (real.forward_layer, real.backward_layer):
            self.passing(self.sizes[-1], 0).assign(one.cell)

    def carrier(self, x: Any) -> Any:
        return super().carrier(x[:, :, 0])

    def read(self, output: Any, x: Any) -> Any:
        return ops.reshape(output, ops.shape(x)) / self.small()

    def cotangents(self, x: Any) -> List[Any]:
        return [
            ops.reshape(ops.zeros_like(x) + unit_gate(number, 2, x.dtype), (*x.shape[:2], 2 * x.shape[-1]))
            for number in range(2)
        ]

    def read_back(self, gradients: List[Any], x: Any) -> Any:
        return ops.stack(gradients, axis=2)


class Stacked(Input):
    """Two cells with ``dropout`` in a ``StackedRNNCells``; x is (n, s, f), s the cell: what each drops of its last input.

    The first cell's units are constants, which the second passes on, and then what it passes on itself, which is its state.
    """

    def bare(self) -> Any:
        f = self.sizes[-1]
        cells = [
            getattr(keras.layers, f"{self.kind}Cell")(
                units, dropout=self.rate, seed=self.seed, dtype=self.dtype_policy, kernel_initializer="zeros",
                recurrent_initializer="zeros",
            )
            for units in (2 * f, f)
        ]  # fmt: skip
        stacked = keras.layers.StackedRNNCells(cells, dtype=self.dtype_policy)
        return keras.layers.RNN(stacked, return_state=True, dtype=self.dtype_policy)

    def dress(self, real: Any) -> None:
        f = self.sizes[-1]
        real.build((None, None, 2 * f))
        real.built = True
        first, second = real.cell.cells
        weights = self.passing(f, f)
        weights.kernel = np.concatenate([weights.kernel, np.zeros_like(weights.kernel)])
        weights.assign(first)
        weights = self.passing(f, 0)
        weights.kernel = np.concatenate([weights.kernel, np.zeros_like(weights.kernel)])
        weights.assign(second)

    def carrier(self, x: Any) -> Any:
        return ops.full((ops.shape(x)[0], 2, 2 * x.shape[-1]), self.small(), x.dtype)

    def run(self, carrier: Any, x: Any, training: Any) -> Any:
        output, state, *_ = keras.tree.flatten(self.real(carrier, training=training))
        return ops.stack([state[:, x.shape[-1] :], output], axis=1)


def timed(rate: float, seed: Optional[int] = None, dtype: Any = None) -> Any:
    """``TimeDistributed`` around a ``Dropout``."""
    return keras.layers.TimeDistributed(keras.layers.Dropout(rate, seed=seed, dtype=dtype), dtype=dtype)
