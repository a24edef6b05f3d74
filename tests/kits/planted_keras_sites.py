"""Attention and recurrent layers of Keras with a planted defect, seen by the instruments of the real ones.

``python planted_keras_sites.py`` prints which checks each fails, on the backend that the environment chose.
"""

from __future__ import annotations

import json
from typing import Any

import keras

import dropcheck
from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.instruments.keras_attention import Multihead
from spatial_dropouts.instruments.keras_recurrent import Directions, State

NEARLY_ONE = 1 - 2.0**-24  # of which a cell makes no exception


class Attention(Multihead):
    """The real layer, right; a defect changes the layer that drops within it."""

    def dress(self, real: Any) -> None:
        super().dress(real)
        inner = real._dropout_layer
        self.defect(inner, inner.call)

    def defect(self, inner: Any, call: Any) -> None:
        """Change the layer that drops."""


class OneMaskForAllHeads(Attention):
    def defect(self, inner: Any, call: Any) -> None:
        inner.noise_shape = (None, 1, None, None)


class OneMaskForTheBatch(Attention):
    def defect(self, inner: Any, call: Any) -> None:
        inner.noise_shape = (1, None, None, None)


class NotRescaled(Attention):
    def defect(self, inner: Any, call: Any) -> None:
        inner.call = lambda x, training=False: call(x, training=training) * (1 - self.rate if training else 1)


class DroppedInInference(Attention):
    def defect(self, inner: Any, call: Any) -> None:
        inner.call = lambda x, training=False: call(x, training=True)


class RateOneIgnored(Attention):
    def defect(self, inner: Any, call: Any) -> None:
        inner.call = lambda x, training=False: call(x, training=training and self.rate < 1)


def right(real: Any) -> None:
    """Correct what Keras' recurrent layers do wrong: they draw masks in inference, and drop nothing at rate 1."""
    call, cell = real.call, real.cell

    def corrected(sequences: Any, training: Any = False, **more: Any) -> Any:
        rates = cell.dropout, cell.recurrent_dropout
        cell.dropout, cell.recurrent_dropout = (min(r, NEARLY_ONE) if training else 0.0 for r in rates)
        try:
            return call(sequences, training=training, **more)
        finally:
            cell.dropout, cell.recurrent_dropout = rates

    real.call = corrected


class Carried(State):
    """The real layer, corrected; a defect changes its cell."""

    def __init__(self, rate: float, seed: int | None = None, dtype: Any = None, **more: Any) -> None:
        super().__init__(rate, seed, dtype, **{"kind": "LSTM", **more})

    def dress(self, real: Any) -> None:
        super().dress(real)
        right(real)
        self.defect(real.cell, real.cell._create_dropout_mask)

    def defect(self, cell: Any, create: Any) -> None:
        """Change the cell."""


class RenewedAtEveryStep(Carried):
    def defect(self, cell: Any, create: Any) -> None:
        cell.get_recurrent_dropout_mask = lambda state: create(state, cell.recurrent_dropout)


class GatesEqual(Carried):
    def defect(self, cell: Any, create: Any) -> None:
        cell._create_dropout_mask = lambda step, rate: [create(step, rate)[0]] * 4


class MaskNotRescaled(Carried):
    def defect(self, cell: Any, create: Any) -> None:
        cell._create_dropout_mask = lambda step, rate: [mask * (1 - rate) for mask in create(step, rate)]


class OneStateMaskForTheBatch(Carried):
    def defect(self, cell: Any, create: Any) -> None:
        cell._create_dropout_mask = lambda step, rate: [mask[:1] for mask in create(step, rate)]


class CarriedStateMasked(Carried):
    def defect(self, cell: Any, create: Any) -> None:
        call = cell.call

        def masked(inputs: Any, states: Any, training: bool = False) -> Any:
            if training and cell.recurrent_dropout:
                mask = cell.get_recurrent_dropout_mask(states[0])[0]
                states = [state * mask for state in states]
            return call(inputs, states, training=training)

        cell.call = masked


class BothWays(Directions):
    """The real layer, corrected; a defect changes what the second direction draws."""

    def dress(self, real: Any) -> None:
        super().dress(real)
        right(real.forward_layer)
        right(real.backward_layer)
        self.defect(real.forward_layer.cell, real.backward_layer.cell)

    def defect(self, forward: Any, backward: Any) -> None:
        """Change the cells."""


class SecondDirectionCopiesTheFirst(BothWays):
    def defect(self, forward: Any, backward: Any) -> None:
        create, last = forward._create_dropout_mask, []

        def kept(step: Any, rate: float) -> Any:
            last[:] = [create(step, rate)]
            return last[0]

        forward._create_dropout_mask = kept
        backward._create_dropout_mask = lambda step, rate: last[0]


# pattern of its instrument, and rows, channels, shared positions and calls of its case
HEADS = ("n h=4 q k=16 -> n h q k", "256,16,1 calls=12")
STATES = ("n t=2 g=3 h -> n g h", "96,33,2 calls=12")
WAYS = ("n t=2 d=2 f -> n d f", "96,33,2 calls=12")
PLANTED: dict[type[Any], tuple[str, str]] = {
    **dict.fromkeys(
        (Attention, OneMaskForAllHeads, OneMaskForTheBatch, NotRescaled, DroppedInInference, RateOneIgnored), HEADS
    ),
    **dict.fromkeys(
        (Carried, RenewedAtEveryStep, GatesEqual, MaskNotRescaled, OneStateMaskForTheBatch, CarriedStateMasked), STATES
    ),
    **dict.fromkeys((BothWays, SecondDirectionCopiesTheFirst), WAYS),
}
CHECKS = ("mask.whole-channels", "mask.distinct-samples", "mask.distinct-calls", "scale.kept-values", "mode.inference",
          "gradient.mask", "rate.one")  # fmt: skip


def failing(layer: type[Any], pattern: str, sizes: str, seed: int = 0) -> list[str]:
    """Checks that fail in a narrow audit in this process; what raises is told as ``error CHECK``."""
    one = Implementation(
        make=layer,
        adapter="spatial_dropouts.instruments.keras_adapter:KerasInstrument",
        framework="keras",
        contract=Contract(pattern=Pattern.parse(pattern), seeds=("global", "constructor")),
    )
    result = dropcheck.audit(
        one, select=CHECKS, cases=(f"float32 rate=0.5 {sizes}",), dtype="float32", in_process=True, jobs=1, causes=False,
        seed=seed,
    )  # fmt: skip
    (target,) = result.targets
    if target.error is not None or not target.findings:
        return [f"error {target.error}"]
    words = {"fail": "", "error": "error "}
    return sorted({words[f.verdict] + f.check for f in target.findings if f.verdict in words})


if __name__ == "__main__":
    told = {layer.__name__: failing(layer, *what) for layer, what in PLANTED.items()}
    print(json.dumps({"backend": keras.backend.backend(), "failing": told}))
