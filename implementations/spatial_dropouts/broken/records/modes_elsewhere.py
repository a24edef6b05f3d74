"""Planted defects that live in one mode of TensorFlow, Keras or MLX: the check that catches them there, and a right twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

_PLACE = "spatial_dropouts.broken.modes_"


@dataclass(frozen=True)
class ModeDefect:
    """One planted defect of one mode; targets are ``module:attr``, words of the mode and of the backend are apart.

    ``eager``  whether plain calls are right, so that an audit without the mode finds nothing.
    """

    target: str
    twin: str
    mode: str
    check: str
    summary: str
    source: str
    backend: str = ""
    eager: bool = True

    def name(self, place: str, mode: str) -> str:
        """What an audit of ``place`` in a mode is asked for."""
        words = [w for w in (self.backend, mode) if w]
        return "@".join([place, *words])


DEFECTS: Tuple[ModeDefect, ...] = (
    ModeDefect(
        f"{_PLACE}tensorflow:FROZEN_BY_NUMPY",
        f"{_PLACE}tensorflow:RIGHT",
        "graph",
        "mask.distinct-calls",
        "the mask is drawn by NumPy while a tf.function is traced",
        "tensorflow#29391, keras-core#650",
    ),
    ModeDefect(
        f"{_PLACE}tensorflow:FROZEN_SEED",
        f"{_PLACE}tensorflow:RIGHT",
        "xla",
        "mask.distinct-calls",
        "the seed of a stateless draw is a constant of the compiled program",
        "xla#1932, xla#8636",
    ),
    ModeDefect(
        f"{_PLACE}keras:FrozenByNumpy",
        "spatial_dropouts.broken.keras_layers:Layer",
        "jit",
        "mask.distinct-calls",
        "the mask is drawn by NumPy while jax.jit traces",
        "keras-core#650",
        backend="jax",
    ),
    ModeDefect(
        f"{_PLACE}keras:FrozenByNumpy",
        "spatial_dropouts.broken.keras_layers:Layer",
        "xla",
        "mask.distinct-calls",
        "the mask is drawn by NumPy while a tf.function is traced",
        "keras-core#650",
        backend="tensorflow",
    ),
    ModeDefect(
        f"{_PLACE}keras:LowPrecisionWhereMixed",
        "spatial_dropouts.broken.keras_layers:Layer",
        "mixed",
        "rate.marginal",
        "under a mixed policy the uniform number is drawn in the dtype that the layer computes in",
        "TensorFlow tf.nn.dropout, hence Keras on TensorFlow",
        backend="torch",
    ),
    ModeDefect(
        "spatial_dropouts.broken.keras_layers:Layer",
        f"{_PLACE}keras:PerReplica",
        "ranks",
        "mask.distinct-samples",
        "the seed state is mirrored: every replica draws the same coins",
        "keras#20611, transformers#31412, accelerate#114",
        backend="tensorflow",
    ),
    ModeDefect(
        f"{_PLACE}mlx:FROZEN_BY_NUMPY",
        f"{_PLACE}mlx:RIGHT",
        "jit",
        "mask.distinct-calls",
        "the mask is drawn by NumPy while mx.compile traces",
        "tinygrad#1957",
    ),
    ModeDefect(
        f"{_PLACE}mlx:COMPILED_WITHOUT_STATE",
        f"{_PLACE}mlx:COMPILED_WITH_STATE",
        "",
        "mask.distinct-calls",
        "the layer compiles itself and does not carry the random state",
        "tinygrad#1957",
        eager=False,
    ),
)
