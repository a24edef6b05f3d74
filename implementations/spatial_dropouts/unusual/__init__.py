"""Correct layers that look unusual: nothing here may be accused."""

from __future__ import annotations

from typing import Any, Mapping

from dropcheck.adapter import Implementation
from dropcheck.contract import Contract, Pattern

_PLACE = "spatial_dropouts.unusual.layers:"
_TORCH = "spatial_dropouts.unusual.torch_layers:"


def _np(attr: str, summary: str, contract: Any = None, **more: Any) -> Implementation:
    return Implementation(
        make=_PLACE + attr, framework="numpy", contract=contract, default=False, summary=summary, **more
    )


def _pt(attr: str, summary: str, **more: Any) -> Implementation:
    return Implementation(make=_TORCH + attr, default=False, summary=summary, requires=("torch",), **more)


def _contract(pattern: str, **more: Any) -> Contract:
    return Contract(pattern=Pattern.parse(pattern), seeds=("generator",), **more)


REGISTER: Mapping[str, Implementation] = {
    "unusual.keep-probability": _np("keep_probability", "takes the keep probability", keep_probability=True),
    "unusual.two-factors": _np("two_factors", "multiplies by a factor rounded to the dtype"),
    "unusual.integer-threshold": _np("integer_threshold", "compares 32-bit integers"),
    "unusual.reversed-order": _np("reversed_order", "draws its coins from the last to the first"),
    "unusual.geometric-skips": _np("geometric_skips", "draws the gaps between drops"),
    "unusual.block-drawn": _np("BlockDrawn", "draws coins in blocks, in advance, for its generator"),
    "unusual.hashed-counter": _np("HashedCounter", "a hash of a counter instead of a generator"),
    "unusual.channels-last": _np("channels_last", "channels last", "n l c -> n c"),
    "unusual.plain-dropout": _np("plain", "declared as plain dropout", "n c l -> n c l"),
    "unusual.drop-path": _np("drop_path", "drops whole samples, as declared", "n c l -> n"),
    "unusual.batch-shared": _np("batch_shared", "one mask a batch, as declared", "n c l -> c"),
    "unusual.locked": _np("locked", "locked over time, time first", "t b h -> b h"),
    "unusual.grid": _np("grid", "rates rounded to 1/256, as declared", _contract("n c l -> n c", grid=1 / 256)),
    "unusual.unscaled": _np("unscaled", "does not scale, as declared", _contract("n c l -> n c", scale="none")),
    "unusual.constant": _np("constant", "drops to -1.5, as declared", _contract("n c l -> n c", dropped=-1.5)),
    "unusual.own-generator": _pt(
        "OwnGenerator", "a generator of its own, seeded by the constructor", framework="torch", seed_argument="seed"
    ),
    "unusual.multiplies-bernoulli": _pt(
        "MultipliesBernoulli", "a float mask multiplied, factor first", framework="torch"
    ),
    "unusual.torch-function": _pt("function", "a plain function on tensors", framework="torch-function"),
}
