"""Planted defects of TensorFlow's modes, ``n l c -> n c``: right in eager calls, wrong once traced; with a right twin."""

from __future__ import annotations

import random
from typing import Any, Dict

import numpy as np
import tensorflow as tf

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern

_HELD: Dict[str, Any] = {}  # TensorFlow's generator, made when it is first needed: making it starts TensorFlow
_NUMPY = np.random.default_rng(1)
_PYTHON = random.Random(1)


def _generator() -> Any:
    with tf.init_scope():
        if not _HELD:
            _HELD["generator"] = tf.random.Generator.from_seed(1)
    return _HELD["generator"]


def _dropped(x: Any, rate: float, training: bool, draw: Any) -> Any:
    """The input where ``draw(shape of the coins)`` in [0, 1) reaches the rate; the quotient is rounded once."""
    if not 0 <= rate < 1:
        raise ValueError(f"a rate is in [0, 1), not {rate}")
    if not training or rate == 0:
        return tf.identity(x)
    kept = draw((x.shape[0], 1, x.shape[2])) >= rate
    return tf.where(kept, tf.cast(tf.cast(x, tf.float64) / (1 - rate), x.dtype), tf.zeros_like(x))


def right(x: Any, rate: float, *, training: bool) -> Any:
    """A generator whose state is a variable draws at every call, in every mode."""
    return _dropped(x, rate, training, lambda shape: _generator().uniform(shape, dtype=tf.float64))


def frozen_by_numpy(x: Any, rate: float, *, training: bool) -> Any:
    """NumPy draws: at every eager call, but once a trace."""
    return _dropped(x, rate, training, lambda shape: tf.constant(_NUMPY.random(shape)))


def frozen_seed(x: Any, rate: float, *, training: bool) -> Any:
    """Python draws the seed of a stateless draw: at every eager call, but once a trace."""
    pair = (_PYTHON.getrandbits(31), _PYTHON.getrandbits(31))
    return _dropped(x, rate, training, lambda shape: tf.random.stateless_uniform(shape, pair, dtype=tf.float64))


def _reseed(seed: int) -> None:
    global _NUMPY, _PYTHON
    _NUMPY, _PYTHON = np.random.default_rng(seed), random.Random(seed)
    _generator().reset_from_seed(seed)


def _implementation(function: Any) -> Implementation:
    return Implementation(
        make=function,
        framework="tensorflow",
        contract=Contract(pattern=Pattern.parse("n l c -> n c")),
        seed=_reseed,
        requires=("tensorflow",),
        default=False,
    )


RIGHT = _implementation(right)
FROZEN_BY_NUMPY = _implementation(frozen_by_numpy)
FROZEN_SEED = _implementation(frozen_seed)
