"""The examples of the question that the project grew from, as golden tests."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from dropcheck.contract.promise import Pattern
from spatial_dropouts.custom.reference import Reference


@pytest.fixture(autouse=True, scope="module")
def _keras() -> None:
    """Imported by the process that runs these tests: each process collects them."""
    global keras
    import keras


def masks_by_noise_shape(shape: tuple[int, ...], noise: tuple[int, ...]) -> set[tuple[bool, ...]]:
    """All masks that a noise shape allows, by enumeration of its coins."""
    found = set()
    for coins in product((False, True), repeat=int(np.prod(noise))):
        mask = np.broadcast_to(np.array(coins).reshape(noise), shape)
        found.add(tuple(bool(v) for v in mask.ravel()))
    return found


def zeros_of(y: Any) -> int:
    return int((np.asarray(y) == 0).sum())


def test_a_2_2_2_tensor_with_noise_shape_1_2_2_has_an_even_number_of_zeros() -> None:
    """0, 2, 4, 6 or 8 zeros, never 1 or 5; plain dropout has 0 to 8."""
    pattern = Pattern.from_noise_shape((1, 2, 2), (2, 2, 2))
    assert pattern.matrix_shape((2, 2, 2))[0] * pattern.matrix_shape((2, 2, 2))[1] == 4
    allowed = {sum(m) for m in masks_by_noise_shape((2, 2, 2), pattern.noise_shape((2, 2, 2)))}
    assert allowed == {0, 2, 4, 6, 8}
    keras.utils.set_random_seed(3)
    x = np.ones((2, 2, 2), "float32")
    shared = keras.layers.Dropout(0.5, noise_shape=(1, 2, 2))
    plain = keras.layers.Dropout(0.5)
    seen = {zeros_of(shared(x, training=True)) for _ in range(100)}
    assert seen == {0, 2, 4, 6, 8}
    # no element shares its coin: 2500 such tensors in one call
    assert {zeros_of(one) for one in np.asarray(plain(np.ones((2500, 2, 2, 2), "float32"), training=True))} == set(
        range(9)
    )


def test_spatial_dropout_1d_on_k_l_m_follows_k_l_m_to_k_m() -> None:
    pattern = Pattern.parse("k l m -> k m")
    assert pattern.noise_shape((4, 5, 6)) == (4, 1, 6)
    keras.utils.set_random_seed(4)
    x = np.ones((4, 5, 6), "float32")
    y = np.asarray(keras.layers.SpatialDropout1D(0.5)(x, training=True))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :], y.shape))
    assert 0 < zeros_of(y) < y.size


def test_the_2d_layer_shares_both_middle_axes() -> None:
    pattern = Pattern.parse("k l m n -> k n")
    assert pattern.noise_shape((2, 3, 4, 5)) == (2, 1, 1, 5)
    keras.utils.set_random_seed(5)
    y = np.asarray(keras.layers.SpatialDropout2D(0.5)(np.ones((2, 3, 4, 5), "float32"), training=True))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1, :], y.shape))


@pytest.mark.parametrize("spatial", [False, True])
def test_one_one_one_two_two_two(spatial: bool) -> None:
    """[[1,1,1],[2,2,2]]: plain dropout may give [[1,0,1],[0,2,2]], SpatialDropout1D drops whole columns only."""
    x = np.array([[[1, 1, 1], [2, 2, 2]]], dtype="float32")
    keras.utils.set_random_seed(6)
    layer = keras.layers.SpatialDropout1D(0.5) if spatial else keras.layers.Dropout(0.5)
    # samples share no coin: 1500 of them in one call
    y = np.asarray(layer(np.repeat(x, 1500, axis=0), training=True))
    seen = {tuple((one == 0).ravel().tolist()) for one in y}
    columns = masks_by_noise_shape((1, 2, 3), (1, 1, 3))
    example = (False, True, False, True, False, False)
    if spatial:
        assert seen == columns and example not in seen
    else:
        assert example in seen and len(seen) == 64 and columns < seen


def test_the_reference_and_pytorch_agree_with_the_picture() -> None:
    rng = np.random.Generator(np.random.Philox(1))
    x = np.ones((6, 7, 5), "float32")
    y = Reference(0.5)(x, training=True, rng=rng)
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :, :1], y.shape))
    torch.manual_seed(1)
    z = torch.nn.Dropout1d(0.5)(torch.ones(6, 7, 5)).numpy()
    np.testing.assert_array_equal(z, np.broadcast_to(z[:, :, :1], z.shape))
