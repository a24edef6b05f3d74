"""The records of planted defects that live in one mode of PyTorch: the check that catches them there, and a right twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

_PLACE = "spatial_dropouts.broken.torch_modes"
_RIGHT = "spatial_dropouts.broken.torch_layers:Layer"


@dataclass(frozen=True)
class TorchModeDefect:
    """One planted defect of one mode, as targets of an audit.

    ``twin``   a right layer of the same kind, which passes the same check in the same mode.
    ``check``  the check that must catch it in that mode, and must not in eager calls.
    """

    attr: str
    mode: str
    check: str
    summary: str
    source: str
    twin: str = _RIGHT

    @property
    def target(self) -> str:
        """The layer in its mode."""
        return f"{self.eager}@{self.mode}"

    @property
    def eager(self) -> str:
        """The layer in plain calls, where it is right."""
        return f"{_PLACE}:{self.attr}"


DEFECTS: Tuple[TorchModeDefect, ...] = (
    TorchModeDefect(
        "FrozenWhenCompiled",
        "compiled",
        "mask.distinct-calls",
        "compiled, coins are a hash of their position: the mask never changes",
        "pytorch#84614",
    ),
    TorchModeDefect(
        "QuadsWhenCompiled",
        "compiled",
        "mask.distinct-channels",
        "compiled, groups of four adjacent channels share a coin",
        "pytorch#198333",
    ),
    TorchModeDefect(
        "BackwardDrawsWhenCompiled",
        "compiled",
        "gradient.mask",
        "compiled, the backward pass draws coins of its own",
        "pytorch#198333 B, pytorch#190717",
    ),
    TorchModeDefect(
        "QuadsWhenCompiled",
        "reduce-overhead",
        "mask.distinct-channels",
        "compiled, groups of four adjacent channels share a coin",
        "pytorch#198333",
    ),
    TorchModeDefect(
        "SharedUnderVmap",
        "vmap-different",
        "mask.distinct-samples",
        "mapped over samples, one mask is drawn for all of them",
        "functorch#575, functorch#583",
    ),
    TorchModeDefect(
        "UnscaledUnderVmapSame",
        "vmap-same",
        "scale.kept-values",
        "mapped with randomness='same', what is kept is not scaled",
        "functorch#575",
    ),
    TorchModeDefect(
        "MovesOnWhenRecomputed",
        "checkpoint",
        "gradient.mask",
        "under checkpointing a counter moves on with every pass",
        "OLMo-core#828, chainer#2071",
    ),
    TorchModeDefect(
        "UnscaledInPlace",
        "in-place",
        "scale.kept-values",
        "in place, what is kept is not scaled",
        "oneflow#9808",
        f"{_PLACE}:RightInPlace",
    ),
    TorchModeDefect(
        "InPlaceBreaksAutograd",
        "in-place",
        "gradient.mask",
        "in place, the gradient knows no mask",
        "oneflow#9808, pytorch-semseg#121",
        f"{_PLACE}:RightInPlace",
    ),
    TorchModeDefect(
        "TearsUnderAutocast",
        "autocast",
        "mask.whole-channels",
        "under autocast elements are dropped instead of channels",
        "pytorch#195705",
    ),
    TorchModeDefect(
        "LowPrecisionUnderAutocast",
        "autocast",
        "rate.marginal",
        "under autocast the uniform number is drawn in bfloat16",
        "TensorFlow tf.nn.dropout, boltz#553",
    ),
    TorchModeDefect(
        "SameOnAllRanks",
        "ranks",
        "mask.distinct-samples",
        "every rank draws from the seed of rank 0",
        "accelerate#114, transformers#31412, veScale#52",
    ),
)
