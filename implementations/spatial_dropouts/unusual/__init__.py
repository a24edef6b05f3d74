"""Correct layers that look unusual: nothing here may be accused."""

from __future__ import annotations

from typing import Any, Mapping

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern, patterns
from spatial_dropouts.unusual import (
    anywhere,
    blocks,
    constructing,
    declared,
    inference,
    rows,
    schedules,
    sizes_daily,
    stretches,
)

_PLACE = "spatial_dropouts.unusual.layers:"
_DRAWN = "spatial_dropouts.unusual.generators:"
_TORCH = "spatial_dropouts.unusual.torch_layers:"


def _np(attr: str, summary: str, contract: Any = None, **more: Any) -> Implementation:
    return Implementation(
        make=_PLACE + attr, framework="numpy", contract=contract, default=False, summary=summary, **more
    )


def _drawn(attr: str, summary: str) -> Implementation:
    return Implementation(make=_DRAWN + attr, framework="numpy", default=False, summary=summary)


def _pt(attr: str, summary: str, **more: Any) -> Implementation:
    return Implementation(make=_TORCH + attr, default=False, summary=summary, requires=("torch",), **more)


def _corner(attr: str, summary: str, contract: Any = None) -> Implementation:
    make = f"spatial_dropouts.unusual.corners:{attr}"
    return Implementation(make=make, framework="numpy", contract=contract, default=False, summary=summary)


def _contract(pattern: str, **more: Any) -> Contract:
    return Contract(pattern=Pattern.parse(pattern), seeds=("generator",), **more)


def _life(attr: str, summary: str, **more: Any) -> Implementation:
    make = f"spatial_dropouts.unusual.life:{attr}"
    return Implementation(make=make, framework="torch", default=False, summary=summary, requires=("torch",), **more)


LIFE: Mapping[str, Implementation] = {
    "unusual.mask-for-inspection": _life("MaskForInspection", "the last mask stays on the layer, and nothing reads it"),
    "unusual.forks-the-streams": _life("ForksTheStreams", "sets global streams and puts them back"),
    "unusual.read-only-rate": _life("ReadOnlyRate", "the rate cannot be set later"),
    "unusual.rate-with-setter": _life("RateWithSetter", "threshold and factor are worked out when the rate is set"),
    "unusual.seed-by-default": _life("SeedByDefault", "its seed is 0 by default, as it says", seed_argument="seed"),
    "unusual.stream-goes-on": _life("StreamGoesOn", "a copy goes on with the stream", seed_argument="seed"),
    "unusual.counter-with-lock": _life(
        "CounterWithLock", "a counter of calls with a lock", contract=Contract(Pattern.parse("n c l -> n c"), seeds=())
    ),
    "unusual.once-differentiable": _life("OnceDifferentiable", "a backward pass marked once_differentiable"),
    "unusual.keeps-on-the-class": _life("KeepsOnTheClass", "keep probabilities by rate on the class"),
    "unusual.numbered-layers": _life("NumberedLayers", "layers and their copies are numbered"),
}


REGISTER: Mapping[str, Implementation] = {
    **blocks.REGISTER,
    **rows.REGISTER,
    **inference.REGISTER,
    **constructing.REGISTER,
    **stretches.REGISTER,
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
    "unusual.module-stream-seeded": Implementation(
        make="spatial_dropouts.unusual.streams:ModuleStreamSeeded",
        framework="numpy",
        default=False,
        summary="one generator of the module, seeded from each that it is given",
    ),
    "unusual.feature-alpha": Implementation(
        make="spatial_dropouts.unusual.alpha:feature_alpha",
        framework="numpy",
        contract=Contract.alpha("n c l -> n c", seeds=("generator",)),
        default=False,
        summary="feature alpha dropout, every number in the input's dtype",
    ),
    "unusual.alpha-around-the-middle": Implementation(
        make="spatial_dropouts.unusual.alpha:alpha_around_the_middle",
        framework="numpy",
        contract=Contract.alpha("n c l -> n c l", seeds=("generator",)),
        default=False,
        summary="alpha dropout without cancellation, a coin an element",
    ),
    "unusual.own-generator": _pt(
        "OwnGenerator", "a generator of its own, seeded by the constructor", framework="torch", seed_argument="seed"
    ),
    "unusual.multiplies-bernoulli": _pt(
        "MultipliesBernoulli", "a float mask multiplied, factor first", framework="torch"
    ),
    "unusual.sample-streams": _drawn("SampleStreams", "a counter-based stream a sample"),
    "unusual.epoch-ahead": _drawn("EpochAhead", "masks of sixteen calls drawn in advance"),
    "unusual.alias-method": _drawn("AliasMethod", "two coins at once by the alias method"),
    "unusual.xorshift": _drawn("Xorshift", "xorshift64* in 256 lanes"),
    "unusual.pcg": _drawn("PermutedCongruential", "PCG in 512 lanes"),
    "unusual.byte-by-byte": _drawn("ByteByByte", "bytes against the digits of the rate"),
    "unusual.exponential-race": _drawn("ExponentialRace", "exponential times against 1"),
    "unusual.count-then-places": _drawn("CountThenPlaces", "a binomial number of drops, then their places"),
    "unusual.float16-threshold": _drawn("Float16Threshold", "an integer threshold in float16 only"),
    "unusual.negative-zeros": _drawn("NegativeZeros", "dropped elements are -0.0"),
    "unusual.view-of-larger": _drawn("ViewOfLarger", "the output is a view into a larger array"),
    "unusual.fortran-ordered": _drawn("FortranOrdered", "the output is stored first axis fastest"),
    "unusual.returns-input": _drawn("ReturnsInput", "inference returns the input itself"),
    "unusual.scaled-constant": _np(
        "scaled_constant",
        "drops to -1000, scales by 1.25, as declared for its one rate",
        _contract("n c l -> n c", dropped=-1000.0, scale=1.25, rates=(0.3,)),
    ),
    "unusual.rate-keyword": _np("rate_keyword", "the rate is a keyword", rate_argument="drop_probability"),
    "unusual.images": _np("leading_coins", "two shared axes, channels first", "n c h w -> n c"),
    "unusual.volumes": _np("leading_coins", "three shared axes, channels first", "n c d h w -> n c"),
    "unusual.images-last": _np("last_axis_coins", "two shared axes, channels last", "n h w c -> n c"),
    "unusual.time-and-channel": _np("plain", "a coin for every axis of rank two", "n c -> n c"),
    "unusual.in-place-on-copy": _pt("InPlaceOnCopy", "in place on a copy of its own", framework="torch"),
    "unusual.keyed-generator": _pt(
        "KeyedGenerator", "a generator a call, its key from the global one", framework="torch"
    ),
    "unusual.elements-saved": Implementation(
        make="spatial_dropouts.unusual.controls_torch:ElementsSaved",
        framework="torch",
        contract=Contract(pattern=Pattern.parse("n c l -> n c l"), promises=("nonfinite",)),
        default=False,
        summary="a coin an element, kept for the backward pass, nothing leaks",
        requires=("torch",),
    ),
    "unusual.bits-saved": _pt("BitsSaved", "a backward pass from packed bits", framework="torch"),
    "unusual.refuses-corners": _corner("RefusesCorners", "refuses empty inputs, inputs with gaps and rate 1"),
    "unusual.one-width": _corner("OneWidth", "built for the width of its first call"),
    "unusual.buffer-of-each-shape": _corner(
        "BufferOfEachShape",
        "draws into a buffer kept for each shape, ranks 3 and 4",
        _contract("n c l -> n c", ranks=patterns(("n c h w -> n c",))),
    ),
    "unusual.own-backward": Implementation(
        make="spatial_dropouts.unusual.corners_torch:OwnBackward",
        framework="torch",
        default=False,
        summary="a backward pass of its own, in inference and at the edges, too",
        requires=("torch",),
    ),
    **LIFE,
    "unusual.torch-function": _pt("function", "a plain function on tensors", framework="torch-function"),
    **declared.REGISTER,
    **sizes_daily.REGISTER,
    **schedules.REGISTER,
    **anywhere.REGISTER,
}
