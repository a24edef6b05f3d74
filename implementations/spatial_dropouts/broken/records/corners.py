"""Records of the planted defects that live at a corner: a size, an edge rate, an extreme value, a mode of differentiation."""

from __future__ import annotations

from typing import Tuple

from dropcheck.contract.promise import Contract, Pattern, patterns
from spatial_dropouts.broken.records.record import Defect, numpy_form, promise, torch_form


def _images(name: str, attr: str, summary: str, size: str) -> Defect:
    contract = promise("n c l -> n c", ranks=patterns(("n c h w -> n c",)))
    return numpy_form(name, f"corners:{attr}", "form.ranks", summary, size, "rank 4", "pytorch#77081", contract)


def _keras(name: str, attr: str, check: str, summary: str, size: str) -> Defect:
    make = f"spatial_dropouts.broken.corners_keras:{attr}"
    contract = Contract(pattern=Pattern.parse("n l c -> n c"), seeds=("global", "constructor"))
    regime = "seeded by its constructor"
    return Defect(name, make, check, summary, size, regime, "two code paths", "keras", contract, backend="torch")


# name, place, check, summary, smallest size, regime, source
DEFECTS: Tuple[Defect, ...] = (
    numpy_form(
        "width-stale",
        "corners:WidthStale",
        "form.batch-change",
        "another width than the first is not dropped",
        "every coin",
        "a second width in one layer",
        "buffers sized by the first call",
    ),
    numpy_form(
        "length-stale",
        "corners:LengthStale",
        "form.batch-change",
        "what lies beyond the first length is kept",
        "every coin",
        "a longer input in one layer",
        "buffers sized by the first call",
    ),
    numpy_form(
        "width-crashes",
        "corners:WidthCrashes",
        "form.batch-change",
        "a wider input is an index out of range",
        "every call",
        "a wider input in one layer",
        "buffers sized by the first call",
    ),
    numpy_form(
        "rate-one-overwrites",
        "corners:RateOneOverwrites",
        "form.input-untouched",
        "the input is filled with zeros",
        "every element",
        "rate 1",
        "in-place fast paths",
    ),
    numpy_form(
        "inference-reuses-output",
        "corners:InferenceReusesOutput",
        "form.input-untouched",
        "inference writes into the last training output",
        "every element",
        "inference after training",
        "output buffers",
    ),
    numpy_form(
        "rate-one-infers-zeros",
        "corners:RateOneInfersZeros",
        "mode.inference",
        "inference returns zeros",
        "every element",
        "rate 1",
        "early returns",
    ),
    numpy_form(
        "high-rate-infers-scaled",
        "corners:HighRateInfersScaled",
        "mode.inference",
        "inference scales",
        "every element",
        "rate > .5",
        "early returns",
    ),
    numpy_form(
        "inference-heals-nan",
        "corners:InferenceHealsNaN",
        "mode.inference",
        "inference replaces NaN and Inf",
        "every such element",
        "NaN and Inf",
        "clean-up in forward",
    ),
    numpy_form(
        "edge-inference-widens",
        "corners:EdgeInferenceWidens",
        "form.shape-dtype",
        "inference comes out as float64",
        "every call",
        "rate 0, inference",
        "type promotion",
    ),
    numpy_form(
        "tiny-flushed",
        "corners:TinyFlushed",
        "scale.kept-values",
        "values below 10^-3 become 0",
        "values below 10^-3",
        "small values",
        "thresholds",
    ),
    numpy_form(
        "huge-saturates",
        "corners:HugeSaturates",
        "scale.kept-values",
        "kept values saturate at 1000",
        "values above 1000",
        "large values",
        "quantised kernels",
    ),
    numpy_form(
        "float16-keeps-blocks",
        "corners:Float16KeepsBlocks",
        "seed.reset",
        "reseeding leaves masks that were drawn ahead",
        "eight calls",
        "float16",
        "pre-drawn masks",
    ),
    numpy_form(
        "empty-crashes",
        "corners:EmptyCrashes",
        "form.empty",
        "an index out of range instead of a refusal",
        "every empty input",
        "empty inputs",
        "kernels that look at the first element",
    ),
    numpy_form(
        "no-channels-becomes-one",
        "corners:NoChannelsBecomesOne",
        "form.empty",
        "no channels come out as one",
        "every such input",
        "no channels",
        "broadcasting",
    ),
    _images("images-drop-twice", "ImagesDropTwice", "images drop with twice the rate", "the rate"),
    _images("images-frozen", "ImagesFrozen", "images have one mask for ever", "every call"),
    _images("images-in-inference", "ImagesInInference", "images are dropped in inference", "every coin"),
    torch_form(
        "recorded-half-widens",
        "corners_torch:RecordedHalfWidens",
        "form.shape-dtype",
        "the output is float32",
        "every call",
        "float16, requires grad",
        "autocast",
    ),
    torch_form(
        "recorded-overwritten",
        "corners_torch:RecordedOverwritten",
        "form.input-untouched",
        "the input holds the output",
        "every element",
        "bfloat16, requires grad",
        "in-place on .data",
    ),
    torch_form(
        "zero-forgets-context",
        "corners_torch:ZeroForgetsContext",
        "gradient.edges",
        "the backward pass raises",
        "every call",
        "rate 0",
        "early returns",
    ),
    torch_form(
        "one-divides-backward",
        "corners_torch:OneDividesBackward",
        "gradient.edges",
        "the backward pass divides by zero",
        "every call",
        "rate 1",
        "1 / (1 - rate)",
    ),
    torch_form(
        "inference-masks-backward",
        "corners_torch:InferenceMasksBackward",
        "gradient.mask",
        "the backward pass of inference drops",
        "every coin",
        "inference, backward",
        "custom autograd functions",
    ),
    torch_form(
        "inference-detaches",
        "corners_torch:InferenceDetaches",
        "gradient.mask",
        "no gradient passes in inference",
        "every element",
        "inference, backward",
        "detach in forward",
    ),
    _keras(
        "keras-seeded-unscaled", "SeededUnscaled", "scale.kept-values", "kept values are not scaled", "factor 1 - rate"
    ),
    _keras("keras-seeded-elementwise", "SeededElementwise", "mask.whole-channels", "a coin an element", "every coin"),
)
