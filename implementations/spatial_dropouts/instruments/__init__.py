"""Instruments: real layers whose dropout is hidden inside, with inputs and weights that make every drop decision visible.

An instrument shows the mask of a site as an ordinary layer ``x * mask * scale`` does, whose axes the pattern names. Forward
and backward passes are those of the real layer; what the instrument multiplies by x is 0 or the layer's own kept value.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.instruments import fixed, jax_register, keras_targets

_HERE = "spatial_dropouts.instruments"


def _torch(place: str, pattern: str, summary: str, **options: Any) -> Implementation:
    return Implementation(
        make=f"{_HERE}.{place}",
        adapter=f"{_HERE}.torch_adapter:TorchInstrument",
        framework="torch",
        contract=Contract(pattern=Pattern.parse(pattern)),
        options=options,
        requires=("torch",),
        default=False,
        summary=summary,
        withheld=fixed.TORCH,
    )


def _recurrent(kind: str, **options: Any) -> Implementation:
    words = ", bidirectional" if options.get("bidirectional") else ""
    return _torch(
        "torch_recurrent:Between",
        "t=2 n h=64 -> t n h",
        f"PyTorch's {kind}{words}: dropout between two layers",
        kind=kind,
        **options,
    )


def _gap(kind: str, gap: int) -> Implementation:
    summary = f"PyTorch's {kind} of three layers: dropout behind layer {gap}"
    return _torch("torch_stacks:Gap", "n h=64 -> n h", summary, kind=kind, gap=gap)


def _packed(kind: str) -> Implementation:
    summary = f"PyTorch's {kind}, a packed sequence: dropout between two layers"
    return _torch("torch_stacks:Packed", "n h=64 -> n h", summary, kind=kind)


def _dropout(kind: str, site: str, place: str) -> Implementation:
    summary = f"PyTorch's {kind}: dropout {place}"
    return _torch("torch_transformer:Dropout", "l=2 n c=64 -> l n c", summary, kind=kind, site=site)


def _attention(kind: str, attention: str, words: str) -> Implementation:
    summary = f"PyTorch's {kind}: dropout of attention weights{words}"
    return _torch("torch_transformer:Weights", "n h=4 q=16 k=16 -> n h q k", summary, kind=kind, attention=attention)


def _tf_keras(kind: str, unroll: bool) -> Implementation:
    """Keras 2 masks each step by itself where its own compiled loop runs, and all steps alike in an unrolled one."""
    steps = kind != "SimpleRNN" and not unroll
    return Implementation(
        make=f"{_HERE}.tf_keras_recurrent:Input",
        adapter=f"{_HERE}.tf_keras_recurrent:TfKerasInstrument",
        framework="tf_keras",
        contract=Contract(pattern=Pattern.parse("n t f -> n t f" if steps else "n t=2 f -> n f"), seeds=("global",)),
        options={"kind": kind, "unroll": unroll},
        requires=("tf_keras", "tensorflow"),
        install="--no-deps tf_keras",
        default=False,
        summary=f"Keras 2's {kind}{', unrolled' if unroll else ''}: dropout of its input",
    )


_KINDS = ("RNN", "GRU", "LSTM")
_ENCODER, _DECODER = "TransformerEncoderLayer", "TransformerDecoderLayer"
_WEIGHTS: Tuple[str, str] = ("n h=4 q k=64 -> n h q k", "n h=4 q k=16 -> n h q k")

REGISTER: Dict[str, Implementation] = {
    **jax_register.REGISTER,
    "torch.sdpa#weights": _torch(
        "torch_attention:Sdpa", _WEIGHTS[0], "PyTorch's scaled_dot_product_attention: dropout of attention weights"
    ),
    "torch.MultiheadAttention#weights": _torch(
        "torch_attention:Multihead", _WEIGHTS[1], "PyTorch's MultiheadAttention: dropout of attention weights"
    ),
    "torch.RNN#between": _recurrent("RNN"),
    "torch.GRU#between": _recurrent("GRU"),
    "torch.LSTM#between": _recurrent("LSTM"),
    "torch.LSTM#between-bidirectional": _recurrent("LSTM", bidirectional=True),
    **{f"torch.{kind}#between.{gap}": _gap(kind, gap) for kind in _KINDS for gap in (1, 2)},
    **{f"torch.{kind}#between-packed": _packed(kind) for kind in _KINDS},
    "torch.TransformerEncoderLayer#weights": _attention(_ENCODER, "self_attn", ""),
    "torch.TransformerEncoderLayer#dropout1": _dropout(_ENCODER, "dropout1", "behind its attention"),
    "torch.TransformerEncoderLayer#dropout": _dropout(_ENCODER, "dropout", "in its feed-forward part"),
    "torch.TransformerEncoderLayer#dropout2": _dropout(_ENCODER, "dropout2", "behind its feed-forward part"),
    "torch.TransformerDecoderLayer#self-weights": _attention(_DECODER, "self_attn", " of its own"),
    "torch.TransformerDecoderLayer#cross-weights": _attention(_DECODER, "multihead_attn", " of its memory"),
    "torch.TransformerDecoderLayer#dropout1": _dropout(_DECODER, "dropout1", "behind its own attention"),
    "torch.TransformerDecoderLayer#dropout2": _dropout(_DECODER, "dropout2", "behind its memory's attention"),
    "torch.TransformerDecoderLayer#dropout": _dropout(_DECODER, "dropout", "in its feed-forward part"),
    "torch.TransformerDecoderLayer#dropout3": _dropout(_DECODER, "dropout3", "behind its feed-forward part"),
    **keras_targets.REGISTER,
    "tf_keras.SimpleRNN#input": _tf_keras("SimpleRNN", False),
    **{f"tf_keras.{kind}#input": _tf_keras(kind, False) for kind in ("GRU", "LSTM")},
    **{f"tf_keras.{kind}#input-unrolled": _tf_keras(kind, True) for kind in ("GRU", "LSTM")},
}
