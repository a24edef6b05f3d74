"""The register of Keras' instruments: a site of a layer, its pattern, and the backends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Tuple

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.instruments import fixed

_HERE = "spatial_dropouts.instruments"


_SEEDS = ("global", "constructor")


def _keras(
    place: str, pattern: str, summary: str, seeds: Tuple[str, ...] = _SEEDS, gradient: bool = True, **options: Any
) -> Implementation:
    return Implementation(
        make=f"{_HERE}.{place}",
        adapter=f"{_HERE}.keras_adapter:KerasInstrument",
        framework="keras",
        contract=Contract(pattern=Pattern.parse(pattern), seeds=seeds, gradient=gradient),
        options=options,
        requires=("keras",),
        backends=("tensorflow", "jax", "torch"),
        default=False,
        summary=summary,
        withheld=fixed.COMPILED,
    )


def _weights(place: str, pattern: str, name: str) -> Implementation:
    return _keras(f"keras_attention:{place}", pattern, f"Keras' {name}: dropout of attention weights")


_GATES = {"GRU": 2, "LSTM": 3}  # how many gates an instrument looks at
_KINDS = ("GRU", "LSTM", "SimpleRNN")


def _recurrent(kind: str) -> Dict[str, Implementation]:
    """The sites of one recurrent layer: one mask a sequence, fixed over its steps, as the cells' docstrings have it."""
    gates = f"g={_GATES[kind]} " if kind in _GATES else ""
    found = {
        f"keras.{kind}#input": _keras(
            "keras_recurrent:Input", "n t=2 f -> n f", f"Keras' {kind}: dropout of its input", kind=kind
        )
    }
    more: Dict[str, Any] = {"kind": kind} if gates else {}
    if not gates:
        place, pattern = "PlainState", "n t=2 h -> n h"
    else:
        place, pattern = "State", f"n t=2 {gates}h -> n g h"
        beside = "beside recurrent_dropout"
        found[f"keras.{kind}#input-{beside.replace(' ', '-')}"] = _keras(
            "keras_recurrent:InputGates",
            f"n t=2 {gates}f -> n f",
            f"Keras' {kind}: dropout of its input {beside}",
            kind=kind,
        )
    found[f"keras.{kind}#recurrent"] = _keras(
        f"keras_recurrent:{place}", pattern, f"Keras' {kind}: recurrent_dropout of its state", **more
    )
    return found


def _convolution(rank: int) -> Implementation:
    places = ("l", "h w")[rank - 1]
    pattern = f"n t=2 {places} g=3 c -> n {places} g c"
    return _keras("keras_recurrent:Convolution", pattern, f"Keras' ConvLSTM{rank}D: dropout of its input", rank=rank)


def _bidirectional(words: str, seeds: Tuple[str, ...]) -> Implementation:
    summary = f"Keras' Bidirectional(GRU){words}: dropout of the input of both directions"
    return _keras("keras_recurrent:Directions", "n t=2 d=2 f -> n d f", summary, seeds)


def _stacked(words: str, seeds: Tuple[str, ...]) -> Implementation:
    summary = f"Keras' StackedRNNCells of two GRUCell{words}: dropout of the input of each"
    return _keras("keras_recurrent:Stacked", "n s=2 f -> n s f", summary, seeds, gradient=False)


_ONE_SEED = ", made with one seed"

REGISTER: Dict[str, Implementation] = {
    "keras.MultiHeadAttention#weights": _weights("Multihead", "n h=4 q k=16 -> n h q k", "MultiHeadAttention"),
    "keras.GroupQueryAttention#weights": _weights("Grouped", "n h=4 q k=16 -> n h q k", "GroupQueryAttention"),
    "keras.Attention#weights": _weights("Single", "n q k=64 -> n q k", "Attention"),
    "keras.AdditiveAttention#weights": _weights("Additive", "n q k=16 -> n q k", "AdditiveAttention"),
    **{name: one for kind in _KINDS for name, one in _recurrent(kind).items()},
    "keras.ConvLSTM1D#input": _convolution(1),
    "keras.ConvLSTM2D#input": _convolution(2),
    "keras.Bidirectional#input": _bidirectional("", ("global",)),
    "keras.Bidirectional#input-of-one-seed": _bidirectional(_ONE_SEED, ("constructor",)),
    "keras.StackedRNNCells#input": _stacked("", ("global",)),
    "keras.StackedRNNCells#input-of-one-seed": _stacked(_ONE_SEED, ("constructor",)),
    # each step is a call of the layer inside, with coins of its own
    "keras.TimeDistributed#dropout": replace(
        _keras("keras_recurrent:timed", "n t c -> n t c", "Keras' TimeDistributed around Dropout"), adapter=None
    ),
}
