"""The zoo of planted defects: each names the check that must catch it, and the real defect that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Mapping, Optional, Tuple

from dropcheck.adapter import Implementation
from dropcheck.contract import Contract, Pattern, patterns


@dataclass(frozen=True)
class Defect:
    """One planted defect. ``summary`` gives its size; ``source`` the published defect that it restates."""

    name: str
    make: str
    check: str
    summary: str
    source: str
    framework: str = "numpy"
    contract: Optional[Contract] = None


_PATTERN = Pattern.parse("n c l -> n c")


def _np(name: str, place: str, check: str, summary: str, source: str, contract: Optional[Contract] = None) -> Defect:
    return Defect(name, f"spatial_dropouts.broken.{place}", check, summary, source, "numpy", contract)


def _pt(name: str, attr: str, check: str, summary: str, source: str) -> Defect:
    return Defect(name, f"spatial_dropouts.broken.torch_layers:{attr}", check, summary, source, "torch")


_WHOLE, _CHANNELS, _SAMPLES, _CALLS = (
    "mask.whole-channels",
    "mask.distinct-channels",
    "mask.distinct-samples",
    "mask.distinct-calls",
)

DEFECTS: Tuple[Defect, ...] = (
    # which elements share a coin
    _np("drops-elements", "mask:DropsElements", _WHOLE, "plain dropout sold as spatial", "pytorch#82784"),
    _np(
        "drops-time-steps",
        "mask:DropsTimeSteps",
        _WHOLE,
        "one coin per position, all channels together",
        "pytorch#69801, locked dropout",
    ),
    _np("forgets-last-step", "mask:ForgetsLastStep", _WHOLE, "the last of several positions survives", "pytorch#22879"),
    _np("tears-long-channels", "mask:TearsLongChannels", _WHOLE, "a second coin from position 32 on", "pytorch#82784"),
    _np(
        "strided-tears-channels",
        "form:StridedTearsChannels",
        _WHOLE,
        "elements instead of channels, strided inputs only",
        "pytorch#47176",
    ),
    _pt(
        "gradient-tears-channels",
        "GradientTearsChannels",
        _WHOLE,
        "elements instead of channels where a gradient is required",
        "pytorch#82784",
    ),
    # copies
    _np(
        "quads-share-a-coin", "mask:QuadsShareACoin", _CHANNELS, "groups of four channels are copies", "pytorch#198333"
    ),
    _np(
        "wide-channels-wrap", "mask:WideChannelsWrap", _CHANNELS, "above 256 channels, c repeats c - 256", "nGraph#3006"
    ),
    _np(
        "odd-tail-copies",
        "mask:OddTailCopies",
        _CHANNELS,
        "an odd last channel repeats the first",
        "pytorch#165545 review",
    ),
    _pt("bfloat16-quads", "BFloat16Quads", _CHANNELS, "groups of four, bfloat16 only", "pytorch#198333"),
    _np(
        "one-mask-per-batch",
        "mask:OneMaskPerBatch",
        _SAMPLES,
        "all samples share one mask",
        "mlpack SpatialDropout, keras#9841",
    ),
    _np(
        "large-batches-repeat",
        "mask:LargeBatchesRepeat",
        _SAMPLES,
        "above 128 samples, i repeats i - 128",
        "functorch#575",
    ),
    _np("halves-share", "mask:HalvesShare", _SAMPLES, "the second half of a batch repeats the first", "accelerate#114"),
    _np("frozen-mask", "mask:FrozenMask", _CALLS, "one mask for ever", "pytorch#84614, tensorflow#29391"),
    _np(
        "second-call-repeats",
        "mask:SecondCallRepeats",
        _CALLS,
        "only the second call repeats the first",
        "keras-core#650",
    ),
    _np("cycles-after-sixteen", "mask:CyclesAfterSixteen", _CALLS, "sixteen masks in turn", "mac-network#28"),
    _np(
        "counters-overlap",
        "mask:CountersOverlap",
        _CALLS,
        "a call begins inside the coins of the one before",
        "FlagGems#23",
    ),
    _pt("gradient-freezes", "GradientFreezes", _CALLS, "frozen where a gradient is required", "CNTK#3120"),
    _pt("seed-from-address", "SeedFromAddress", _CALLS, "every call has the same seed", "xformers#173, vllm#55009"),
    # dependence
    _np(
        "neighbour-leans",
        "mask:NeighbourLeans",
        "mask.independent-channels",
        "pairs of neighbours, correlation .2",
        "pytorch#50110",
    ),
    _np(
        "lanes-lean", "mask:LanesLean", "mask.independent-channels", "channels 16 apart, correlation .1", "FlagGems#23"
    ),
    _np(
        "samples-lean",
        "mask:SamplesLean",
        "mask.independent-samples",
        "neighbouring samples, correlation .1",
        "functorch#583",
    ),
    _np("calls-lean", "mask:CallsLean", "mask.independent-calls", "successive calls, correlation .1", "xla#1932"),
    _np("exactly-k", "mask:ExactlyK", "mask.dropped-count", "exactly k channels a sample", "home-made layers"),
    _np("systematic", "mask:Systematic", "mask.dropped-count", "systematic sampling", "home-made layers"),
    _np("clumped", "mask:Clumped", "mask.dropped-count", "mean correlation .02", "weak generators"),
    _np(
        "parity-of-three",
        "mask:ParityOfThree",
        "mask.patterns",
        "three channels tied, pairs independent",
        "weak generators",
    ),
    _np(
        "parity-of-eight",
        "mask:ParityOfEight",
        "mask.patterns",
        "eight channels tied, seven independent",
        "weak generators",
    ),
    _np("prefers-negative", "mask:PrefersNegative", "mask.ignores-values", "2 points by sign", "tensorflow#32543"),
    _np("spares-large", "mask:SparesLarge", "mask.ignores-values", "3 points by magnitude", "data-derived seeds"),
    # rate
    _np("swaps-keep-and-drop", "rate:SwapsKeepAndDrop", "rate.marginal", "invisible at .5", "mlpack, gorgonia#69"),
    _np(
        "eight-bit-threshold",
        "rate:EightBitThreshold",
        "rate.marginal",
        "rates rounded up to 1/256",
        "FlashAttention-2, apex#1614",
    ),
    _np(
        "half-precision-uniform",
        "rate:HalfPrecisionUniform",
        "rate.marginal",
        "7-bit uniforms for float16",
        "TensorFlow tf.nn.dropout",
    ),
    _pt(
        "low-precision-uniform",
        "LowPrecisionUniform",
        "rate.marginal",
        "uniforms in the input's dtype",
        "TensorFlow tf.nn.dropout",
    ),
    _np("half-a-point-more", "rate:HalfAPointMore", "rate.marginal", ".5 points", "pytorch#85611"),
    _np("small-rates-vanish", "rate:SmallRatesVanish", "rate.marginal", "rates below .02 drop nothing", "jax#28022"),
    _np("always-half", "rate:AlwaysHalf", "rate.marginal", "the rate has no influence", "holocron#156, DL4J"),
    _np(
        "tail-lanes-kept",
        "rate:TailLanesKept",
        "rate.per-channel",
        "channels behind the last multiple of 8 never drop",
        "pytorch#165545 review",
    ),
    _np("first-channel-less", "rate:FirstChannelLess", "rate.per-channel", "channel 0, 6 points", "vector tails"),
    _np("first-sample-kept", "rate:FirstSampleKept", "rate.per-sample", "sample 0 never drops", "home-made layers"),
    _np("last-sample-more", "rate:LastSampleMore", "rate.per-sample", "last sample, 8 points", "home-made layers"),
    _np("batch-of-one-less", "rate:BatchOfOneLess", "rate.per-shape", "3 points in batches of one", "home-made layers"),
    _np("wide-inputs-more", "rate:WideInputsMore", "rate.per-shape", "2 points above 256 channels", "numel % 4"),
    _np("zero-still-drops", "rate:ZeroStillDrops", "rate.zero", "1 in 512 at rate 0", "boltz#553"),
    _np("one-is-nan", "rate:OneIsNaN", "rate.one", "NaN at rate 1", "axon#367, pytorch#1833"),
    _np("one-keeps-some", "rate:OneKeepsSome", "rate.one", "1 in 256 kept at rate 1", "Paddle#26977"),
    _np("obeys-any-rate", "rate:ObeysAnyRate", "rate.rejects-invalid", "no validation", "keras#10629"),
    _np("accepts-nan", "rate:AcceptsNaN", "rate.rejects-invalid", "NaN passes the validation", "keras#10629"),
    # scale
    _np("not-scaled", "scale:NotScaled", "scale.kept-values", "no 1 / (1 - rate)", "torch7, BigDL"),
    _np(
        "scaled-at-inference",
        "scale:ScaledAtInference",
        "mode.inference",
        "(1 - rate) in inference instead",
        "torch7, BigDL",
    ),
    _np(
        "normalised-by-realised",
        "scale:NormalisedByRealised",
        "scale.kept-values",
        "by the realised share",
        "timm DropBlock, neural-fortran PR 194",
    ),
    _np("one-in-256-doubled", "scale:OneIn256Doubled", "scale.kept-values", "1 channel in 256 doubled", "defects.md"),
    _np("adds-noise", "scale:AddsNoise", "scale.kept-values", "noise of .01 added", "keras#5665"),
    _np("sign-lost", "scale:SignLost", "scale.kept-values", "negative values become positive", "ivy#23025"),
    _np(
        "rate-rounded-for-scale",
        "scale:RateRoundedForScale",
        "scale.kept-values",
        "scale from the rate rounded to .1",
        "8-bit thresholds",
    ),
    _np(
        "factor-too-coarse",
        "scale:FactorTooCoarse",
        "scale.mean",
        "factor cut to 12 bits (kept-values sees it too)",
        "apex#1614",
    ),
    _np(
        "large-values-clipped", "scale:LargeValuesClipped", "scale.kept-values", "clipped at 8", "low-precision kernels"
    ),
    # seed
    _np("ignores-seed", "seed:IgnoresSeed", "seed.reproducible", "the seed reaches nothing", "pytorch#84516"),
    _np(
        "large-inputs-unseeded",
        "seed:LargeInputsUnseeded",
        "seed.reproducible",
        "above 10 000 coins",
        "AiDotNet.Tensors#684",
    ),
    _pt("ignores-manual-seed", "IgnoresManualSeed", "seed.reproducible", "a generator of its own", "mxnet#15662"),
    _np("keeps-drawn-block", "seed:KeepsDrawnBlock", "seed.reset", "a drawn block survives reseeding", "pytorch#74177"),
    _np("seed-truncated", "seed:SeedTruncated", "seed.distinct", "6 bits of the seed", "transformers#31412"),
    _np("always-seed-zero", "seed:AlwaysSeedZero", "seed.distinct", "seed 0 whatever is given", "Paddle#7796"),
    _np(
        "neighbour-seeds-lean",
        "seed:NeighbourSeedsLean",
        "seed.neighbours",
        "s and s + 1, correlation .2",
        "tt-metal#16823",
    ),
    _np(
        "high-bits-ignored",
        "seed:HighBitsIgnoredHalf",
        "seed.neighbours",
        "seeds one high bit apart, half of the coins",
        "veScale#52",
    ),
    # gradient
    _pt(
        "backward-other-coins",
        "BackwardOtherCoins",
        "gradient.mask",
        "own coins in the backward pass",
        "pytorch#190717",
    ),
    _pt(
        "backward-from-output",
        "BackwardFromOutput",
        "gradient.mask",
        "mask inferred from output != 0",
        "TF-ROCm#1008, candle#82",
    ),
    _pt("backward-from-sign", "BackwardFromSign", "gradient.mask", "mask inferred from signs", "Kaldi#3890, dfdx#110"),
    _pt("backward-no-mask", "BackwardNoMask", "gradient.mask", "mask ignored", "numpy-ml#94"),
    _pt("backward-none", "BackwardNone", "gradient.mask", "no gradient at all", "numpy-ml#94"),
    _pt("backward-no-scale", "BackwardNoScale", "gradient.scale", "scale ignored", "trident#89"),
    _pt("backward-scale-twice", "BackwardScaleTwice", "gradient.scale", "scaled twice", "trident#89"),
    _pt("backward-one-in-fifty", "BackwardOneInFifty", "gradient.scale", "1 gradient in 50 doubled", "trident#89"),
    _pt("edge-nan", "EdgeNaN", "gradient.edges", "NaN gradient at rate 1", "pytorch#1833"),
    _pt("edge-no-gradient-at-zero", "EdgeNoGradientAtZero", "gradient.edges", "detached at rate 0", "home-made layers"),
    # mode
    _np("active-in-inference", "mode:ActiveInInference", "mode.inference", "drops in inference", "pytorch#124464"),
    _np(
        "inference-spends-randomness",
        "mode:InferenceSpendsRandomness",
        "mode.inference",
        "draws and throws away",
        "mxnet#16705",
    ),
    _np("inference-rounds", "mode:InferenceRounds", "mode.inference", "last bits change", "torch7"),
    _np("stuck-off", "mode:StuckOff", "mode.toggle", "off after the first inference", "Megatron-LM#411"),
    # form
    _np("comes-out-float32", "form:ComesOutFloat32", "form.shape-dtype", "float16 promoted", "mlx#1321"),
    _pt("bfloat16-comes-out-float32", "ComesOutFloat32", "form.shape-dtype", "bfloat16 promoted", "pytorch#195705"),
    _np(
        "drops-last-step",
        "form:DropsLastStep",
        "form.shape-dtype",
        "the output is one position short",
        "home-made layers",
    ),
    _np("ignores-strides", "form:IgnoresStrides", "form.strides", "storage read as contiguous", "pytorch#47176"),
    _pt("permutes-transposed", "PermutesTransposed", "form.strides", "data permuted", "pytorch#47176"),
    _np("first-batch-frozen", "form:FirstBatchFrozen", "form.batch-change", "larger batches leave zeros", "mlpack"),
    _np("refuses-other-batch", "form:RefusesOtherBatch", "form.batch-change", "raises", "mlpack"),
    _np(
        "empty-becomes-scalar",
        "form:EmptyBecomesScalar",
        "form.empty",
        "wrong shape for empty inputs",
        "home-made layers",
    ),
    _np(
        "other-rank-drops-rows",
        "form:OtherRankDropsRows",
        "form.ranks",
        "declared `c l -> c` drops positions",
        "pytorch#77081",
        Contract(pattern=_PATTERN, seeds=("generator",), ranks=patterns(["c l -> c"])),
    ),
    _np("overwrites-input", "form:OverwritesInput", "form.input-untouched", "zeroes the input", "oneflow#9808"),
    _np(
        "reuses-output",
        "form:ReusesOutput",
        "form.input-untouched",
        "one buffer for all results",
        "deeplearning4j#2469",
    ),
    _pt("in-place", "InPlace", "form.input-untouched", "writes into the input", "pytorch-semseg#121"),
    _np(
        "nan-leaks",
        "form:NaNLeaks",
        "form.nonfinite",
        "multiplies, though it promises not to leak",
        "pytorch#59421",
        Contract(pattern=_PATTERN, seeds=("generator",), promises=("nonfinite",)),
    ),
)


def _implementation(defect: Defect) -> Implementation:
    return Implementation(
        make=defect.make,
        framework=defect.framework,
        contract=defect.contract,
        requires=("torch",) if defect.framework == "torch" else (),
        default=False,
        summary=f"planted: {defect.summary}",
    )


REGISTER: Mapping[str, Implementation] = {f"broken.{d.name}": _implementation(d) for d in DEFECTS}


def caught_by() -> Dict[str, Tuple[Defect, ...]]:
    """Defects by the check that must catch them."""
    return {c: tuple(d for d in DEFECTS if d.check == c) for c in sorted({d.check for d in DEFECTS})}
