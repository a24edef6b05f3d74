"""The register of instruments of JAX' libraries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.instruments import fixed

_HERE = "spatial_dropouts.instruments"
# Flax documents its default broadcast_dropout=True as a dropout that is broadcast along the batch dimensions. That heads share the
# mask as well stands in a comment beside the code alone; as it is meant there, it is declared here, and is no failure.
_SHARED = "n h=2 q k=16 -> q k"
_FRAMEWORKS = {"flax_linen": "flax-linen", "flax_nnx": "flax-nnx", "equinox": "equinox"}
_EACH = "n h=4 q k=16 -> n h q k"


def _attention(module: str, adapter: str, library: str, pattern: str, summary: str, **options: Any) -> Implementation:
    return Implementation(
        make=f"{_HERE}.{module}:Weights",
        adapter=f"{_HERE}.{module}:{adapter}",
        framework=_FRAMEWORKS[module],
        contract=Contract(pattern=Pattern.parse(pattern), seeds=("key",)),
        options=options,
        requires=("jax", library),
        default=False,
        summary=f"{summary}: dropout of attention weights",
    )


def _linen(kind: str, pattern: str, words: str, **options: Any) -> Implementation:
    return _attention("flax_linen", "LinenInstrument", "flax", pattern, f"linen's {kind}{words}", kind=kind, **options)


def _nnx(pattern: str, words: str, heads: int, **options: Any) -> Implementation:
    summary = f"nnx' MultiHeadAttention{words}"
    return _attention("flax_nnx", "NnxInstrument", "flax", pattern, summary, heads=heads, keys=16, **options)


_ONE, _OWN = ", one mask for samples and heads", " with broadcast_dropout=False"

REGISTER: Dict[str, Implementation] = {
    "flax.linen.MultiHeadDotProductAttention#weights": _linen("MultiHeadDotProductAttention", _SHARED, _ONE),
    "flax.linen.MultiHeadDotProductAttention#weights-each": _linen(
        "MultiHeadDotProductAttention", _EACH, _OWN, broadcast_dropout=False
    ),
    # queries and keys are the same rows
    "flax.linen.SelfAttention#weights": replace(
        _linen("SelfAttention", "n h=2 q=128 k=128 -> q k", _ONE), withheld=fixed.QUERIES
    ),
    "flax.linen.SelfAttention#weights-each": _linen(
        "SelfAttention", "n h=4 q=16 k=16 -> n h q k", _OWN, broadcast_dropout=False
    ),
    "flax.nnx.MultiHeadAttention#weights": _nnx(_SHARED, _ONE, 2),
    "flax.nnx.MultiHeadAttention#weights-each": _nnx(_EACH, _OWN, 4, broadcast_dropout=False),
    "equinox.MultiheadAttention#weights": _attention(
        "equinox", "EquinoxInstrument", "equinox", _EACH, "Equinox' MultiheadAttention", heads=4, keys=16
    ),
}
