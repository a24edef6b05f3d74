"""Records of the planted defects of inference after training, and of how a layer is switched."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form

_TORCH = "spatial_dropouts.broken.inference_torch:"
_ELSEWHERE = "spatial_dropouts.broken.inference_elsewhere:"
_AFTER = "inference after a training call"

# one row: name, place, check, summary, smallest size, regime, source
DEFECTS: Tuple[Defect, ...] = (
    numpy_form(
        "branch-by-shape",
        "inference:BranchByShape",
        "mode.inference",
        "the branch of a shape's first call stays",
        "one training call",
        _AFTER,
        "mlx.core.compile around nn.Dropout2d",
    ),
    numpy_form(
        "inference-sticks",
        "inference:InferenceSticks",
        "mode.toggle",
        "a shape that inference saw first is never dropped again",
        "one inference call",
        "after an inference call",
        "mlx.core.compile around nn.Dropout2d",
    ),
    numpy_form(
        "mask-by-shape",
        "inference:MaskByShape",
        "mode.inference",
        "the last training mask is applied in inference",
        "one training call",
        _AFTER,
        "home-made layers",
    ),
    numpy_form(
        "new-mask-by-shape",
        "inference:NewMaskByShape",
        "mode.inference",
        "a shape that was trained on is dropped in inference",
        "one training call",
        _AFTER,
        "home-made layers",
    ),
    numpy_form(
        "output-by-shape",
        "inference:OutputByShape",
        "mode.inference",
        "inference returns its first output of a shape again",
        "one inference call",
        "after an inference call",
        "home-made layers",
    ),
    numpy_form(
        "drops-after-many-calls",
        "inference:DropsAfterManyCalls",
        "mode.inference",
        "inference drops after 50 training calls",
        "50 training calls",
        _AFTER,
        "home-made layers",
    ),
    numpy_form(
        "large-inference-scaled",
        "inference:LargeInferenceScaled",
        "mode.inference",
        "inference multiplies by 1.001 above 512 samples",
        "relative 10^-3",
        "inference, batch > 512",
        "home-made layers",
    ),
    Defect(
        "torch-mask-by-shape",
        f"{_TORCH}MaskByShape",
        "mode.inference",
        "the last training mask is applied in inference",
        "one training call",
        _AFTER,
        "home-made layers",
        "torch",
    ),
    Defect(
        "recorded-inference",
        f"{_TORCH}RecordedInference",
        "mode.inference",
        "inference drops where a gradient is recorded, after training",
        "one training call",
        "gradient required",
        "home-made layers",
        "torch",
    ),
    Defect(
        "switched-by-eval",
        f"{_TORCH}SwitchedByEval",
        "mode.inference",
        "as a part of a model it never leaves training",
        "every coin",
        "inference of a parent",
        "home-made layers",
        "torch",
    ),
    Defect(
        "frozen-by-eval",
        f"{_TORCH}FrozenByEval",
        "mode.toggle",
        "after eval() training keeps the last mask",
        "every coin",
        "after eval()",
        "home-made layers",
        "torch",
    ),
    Defect(
        "copied-flag",
        f"{_TORCH}CopiedFlag",
        "mode.inference",
        "a copy of .training decides",
        "every coin",
        "inference by .training",
        "home-made layers",
        "torch",
    ),
)

# found by name like the others where their framework runs; signatures are learned from the others only
ELSEWHERE: Tuple[Defect, ...] = (
    Defect(
        "jax-branch-by-shape",
        f"{_ELSEWHERE}JaxBranchByShape",
        "mode.inference",
        "what is compiled for a shape keeps the mode of its first call",
        "one training call",
        _AFTER,
        "flax#4539",
        "jax",
    ),
    Defect(
        "mlx-compiled",
        f"{_ELSEWHERE}mlx_compiled",
        "mode.inference",
        "compiled without its state: a shape keeps the mode of its first call",
        "one training call",
        _AFTER,
        "mlx.core.compile around nn.Dropout2d",
        "mlx",
    ),
)
