"""Records of the planted defects of how a layer is switched outside of PyTorch; signatures are learned from others only."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect

_PLACE = "spatial_dropouts.broken.switching_"


def _row(name: str, place: str, summary: str, regime: str, framework: str, check: str = "mode.inference") -> Defect:
    """A defect of every coin; ``place`` is ``library:attr``."""
    return Defect(name, _PLACE + place, check, summary, "every coin", regime, "home-made layers", framework)


# in none of the signatures: its masks depend on how much of the block is left
SEEDED: Tuple[Defect, ...] = (
    Defect(
        "block-beside-weights",
        "spatial_dropouts.broken.constructing:BlockBesideWeights",
        "seed.reset",
        "reseeding leaves a block of coins that the constructor drew",
        "one call",
        "everywhere",
        "home-made layers",
        "torch",
    ),
)

ELSEWHERE: Tuple[Defect, ...] = (
    _row(
        "equinox-copied-flag",
        "equinox:CopiedFlag",
        "a copy of .inference decides",
        "inference by equinox.nn.inference_mode",
        "equinox",
    ),
    _row(
        "equinox-built-in-training",
        "equinox:BuiltInTraining",
        "inference= of the constructor is not kept",
        "inference by the constructor",
        "equinox",
    ),
    _row(
        "equinox-call-not-asked",
        "equinox:CallNotAsked",
        "inference= of the call is not looked at",
        "inference by the call",
        "equinox",
    ),
    _row(
        "linen-built-in-training",
        "flax:LinenBuiltInTraining",
        "deterministic= of the constructor is not looked at",
        "inference by the constructor",
        "flax-linen",
    ),
    _row(
        "linen-kept-by-path",
        "flax:LinenKeptByPath",
        "the mode of a shape's first call stays, by the path in a model",
        "training after inference as a part of a module",
        "flax-linen",
        "mode.toggle",
    ),
    _row(
        "nnx-own-eval",
        "flax:NnxOwnEval",
        "as a part of a model it never leaves training",
        "inference by eval() of a model",
        "flax-nnx",
    ),
    _row(
        "nnx-built-in-training",
        "flax:NnxBuiltInTraining",
        "deterministic= of the constructor is not kept",
        "inference by the constructor",
        "flax-nnx",
    ),
    _row(
        "haiku-built-in-training",
        "haiku:BuiltInTraining",
        "is_training= of the constructor is not kept",
        "inference by the constructor",
        "haiku",
    ),
    _row(
        "haiku-always-training",
        "haiku:AlwaysTraining",
        "the constructor alone takes is_training=, and does not keep it",
        "inference by the constructor",
        "haiku",
    ),
    _row(
        "tf-keras-learning-phase",
        "tf_keras:LearningPhaseNotAsked",
        "the learning phase is not looked at",
        "training by the learning phase",
        "tf_keras",
        "mode.toggle",
    ),
)
