"""Instruments of Keras 2's recurrent layers: output and gradient show one mask, shared by steps as the pattern says."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from spatial_dropouts import instruments

pytestmark = [
    pytest.mark.keras,
    pytest.mark.workers("tensorflow"),
    # found, not imported: each process of the tests collects them
    pytest.mark.skipif(not (find_spec("tf_keras") and find_spec("tensorflow")), reason="tf_keras is not installed"),
]
TARGETS = sorted(name for name in instruments.REGISTER if name.startswith("tf_keras."))


@pytest.mark.parametrize("name", TARGETS)
def test_output_and_gradient_are_one_mask_that_steps_share_as_the_pattern_says(name: str) -> None:
    import tensorflow as tf

    from spatial_dropouts.instruments.tf_keras_recurrent import Input

    one = instruments.REGISTER[name]
    layer = Input(0.3, dtype="float64", **one.options)
    x = tf.constant(np.random.default_rng(0).standard_normal((64, 2, 16)) * 1e20, "float64")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    gradient, ratio = tape.gradient(y, x).numpy(), (y / x).numpy()
    kept = ratio != 0
    assert 0.6 < kept.mean() < 0.8
    assert np.allclose(ratio[kept], 1 / 0.7, rtol=1e-14, atol=0) and np.allclose(gradient, ratio, rtol=1e-14, atol=0)
    assert one.contract is not None
    shared = "t" not in one.contract.pattern.coins  # type: ignore[union-attr]
    assert bool((kept[:, 0] == kept[:, 1]).all()) == shared
    assert np.array_equal(layer(x, training=False), x)
