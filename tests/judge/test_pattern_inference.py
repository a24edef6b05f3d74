"""Patterns are found from masks alone, with stated error: planted sharing is named, independent coins are left in peace."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from dropcheck.judge.pattern_inference import ALPHA, infer, marks

NAMES = ("n", "l", "c")
SHAPE = (5, 7, 12)


def masks(
    noise: tuple[int, ...], shape: tuple[int, ...] = SHAPE, calls: int = 200, rate: float = 0.3, seed: int = 1
) -> Any:
    """Masks of a layer with that noise shape: (calls, *shape)."""
    rng = np.random.default_rng(seed)
    return np.broadcast_to(rng.random((calls, *noise)) < rate, (calls, *shape)).copy()


@pytest.mark.parametrize("shared", list(itertools.product((False, True), repeat=3)))
def test_every_noise_shape_of_three_axes_is_found(shared: tuple[bool, ...]) -> None:
    noise = tuple(1 if s else n for s, n in zip(shared, SHAPE, strict=True))
    found = infer(masks(noise), NAMES)
    expected = "(" + ", ".join("1" if s else n for s, n in zip(shared, NAMES, strict=True)) + ")"
    assert found.sure and found.fits and not found.frozen
    assert found.noise_shape == expected
    assert found.coins == 200 * math.prod(noise)
    assert found.interval is not None and found.interval[0] < 0.3 < found.interval[1]
    pattern = found.pattern
    assert (pattern is None) == all(shared)


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("rank", [1, 2, 4, 5])
def test_other_ranks_and_rates(rank: int, rate: float) -> None:
    shape = (6, 5, 4, 3, 7)[:rank]
    noise = tuple(n if i in (0, rank - 1) else 1 for i, n in enumerate(shape))
    found = infer(masks(noise, shape, 600, rate), tuple("abcde"[:rank]))
    assert found.fits and [a.kind for a in found.axes] == ["coin" if n > 1 else "shared" for n in noise]


def test_few_calls_are_not_enough_and_it_says_so() -> None:
    """Two calls of one coin a sample agree along time by chance: nothing may be claimed."""
    found = infer(masks((2, 1, 1), (2, 3, 4), calls=2, seed=4), NAMES)
    assert not found.sure and found.pattern is None
    assert {a.kind for a in found.axes} & {"unsure"}


def test_a_frozen_mask_is_named_and_its_pattern_still_found() -> None:
    still = np.repeat(masks((5, 1, 64), (5, 7, 64), calls=1), 50, axis=0)
    found = infer(still, NAMES)
    assert found.frozen and found.noise_shape == "(n, 1, c)"
    assert found.coins == 5 * 64


def test_groups_of_four_channels() -> None:
    rng = np.random.default_rng(3)
    coins = np.repeat(rng.random((200, 5, 1, 3)) < 0.3, 4, axis=3)
    found = infer(np.broadcast_to(coins, (200, *SHAPE)), NAMES)
    assert found.axes[2].kind == "groups" and found.axes[2].group == 4
    assert not found.fits and found.noise_shape == "" and found.pattern is None


def test_copies_at_a_distance() -> None:
    """Channels 0 and 6, 1 and 7, ... share a coin: no group of neighbours, and no noise shape."""
    rng = np.random.default_rng(4)
    coins = np.tile(rng.random((200, 5, 1, 6)) < 0.3, (1, 1, 1, 2))
    found = infer(np.broadcast_to(coins, (200, *SHAPE)), NAMES)
    assert found.axes[2].kind == "copies" and "0, 6" in found.axes[2].words


def test_calls_that_repeat_are_no_new_coins() -> None:
    cycle = np.tile(masks((5, 1, 12), calls=4), (25, 1, 1, 1))
    found = infer(cycle, NAMES)
    assert found.calls.kind == "copies" and found.coins == 4 * 60


def test_regions_like_dropblock_fit_no_noise_shape() -> None:
    rng = np.random.default_rng(5)
    seeds = rng.random((200, 3, 12, 13, 4)) < 0.03
    dropped = np.zeros_like(seeds)
    for dh, dw in itertools.product(range(3), repeat=2):
        dropped[:, :, dh:, dw:] |= seeds[:, :, : 12 - dh, : 13 - dw]
    found = infer(dropped, ("n", "h", "w", "c"))
    assert [a.kind for a in found.axes] == ["coin", "dependent", "dependent", "coin"]
    assert not found.fits and "neighbours along h" in found.axes[1].words


def test_a_diagonal_is_dependence_too() -> None:
    rng = np.random.default_rng(6)
    coins = rng.random((300, 12 + 6, 4)) < 0.4
    rows = np.arange(12)[:, None] + np.arange(7)[None, :]
    found = infer(coins[:, rows], ("h", "w", "c"))
    assert {found.axes[0].kind, found.axes[1].kind} == {"dependent"} and not found.fits


def test_rates_that_differ_by_position_are_no_dependence() -> None:
    """Half of the channels at .05, half at .6: a wrong rate, but every coin is independent."""
    rng = np.random.default_rng(7)
    rate = np.repeat([0.05, 0.6], 6)
    coins = rng.random((400, 5, 1, 12)) < rate
    found = infer(np.broadcast_to(coins, (400, *SHAPE)), NAMES)
    assert found.fits and found.noise_shape == "(n, 1, c)"


def test_nothing_dropped_bounds_the_rate_and_claims_no_pattern() -> None:
    found = infer(np.zeros((100, *SHAPE), bool), NAMES)
    assert found.nothing and not found.sure and found.pattern is None
    assert found.interval is not None and found.interval[1] == pytest.approx(1 - (ALPHA / 4) ** (1 / 100))
    assert infer(np.ones((100, *SHAPE), bool), NAMES).everything


def test_independent_coins_are_accused_no_more_often_than_alpha_says() -> None:
    """At an alpha of .2 a quarter of it is spent on dependence, a quarter on copies: 10 % of correct layers at most."""
    runs = 400
    bad = 0
    for seed in range(runs):
        found = infer(masks((3, 1, 4), (3, 2, 4), calls=40, seed=1000 + seed), NAMES, alpha=0.2)
        bad += any(a.kind in ("dependent", "groups", "copies") for a in (*found.axes, found.calls)) or bool(
            found.dependence
        )
    # the exact binomial bound at 1e-6 of a true .1
    from scipy.stats import binom

    assert bad <= binom.isf(1e-6, runs, 0.1)


def test_sharing_by_chance_is_claimed_no_more_often_than_alpha_says() -> None:
    """One coin a call along an axis of three that really differ: three calls often agree, and are not called shared."""
    claimed = sum(
        any(
            a.kind == "shared"
            for a in infer(masks((1, 3), (1, 3), calls=6, rate=0.1, seed=s), ("n", "c"), alpha=0.2).axes
        )
        for s in range(500)
    )
    assert claimed <= 50


@pytest.mark.parametrize("constant", [0.0, -1.7580993408473766, 0.25])
def test_the_dropped_value_is_read_off(constant: float) -> None:
    rng = np.random.default_rng(8)
    x = rng.permutation(np.linspace(-2, 3, math.prod(SHAPE))).reshape(SHAPE) + 1e-3
    dropped = masks((5, 1, 12), calls=30)
    a, b = (1.2, 0.1) if constant < 0 else (1 / 0.7, 0.0)
    ys = np.where(dropped, constant, a * x + b)
    found = marks(x, ys)
    np.testing.assert_array_equal(found.dropped, dropped)
    assert found.constant == constant and found.affine
    assert found.scale == pytest.approx(a) and found.offset == pytest.approx(b, abs=1e-9)


def test_kept_values_that_are_no_multiple_are_noticed() -> None:
    rng = np.random.default_rng(9)
    x = rng.permutation(np.linspace(0.5, 3, math.prod(SHAPE))).reshape(SHAPE)
    found = marks(x, np.where(masks((5, 1, 12), calls=10), 0.0, x**2))
    assert not found.affine
    assert not marks(x, np.repeat(x[None], 10, axis=0)).dropped.any()


def test_groups_are_no_reason_to_call_calls_copies() -> None:
    """Three coins a sample and 512 calls: equal calls are chance, although the mask has sixty elements."""
    rng = np.random.default_rng(10)
    coins = np.repeat(rng.random((512, 5, 1, 3)) < 0.4, 4, axis=3)
    found = infer(np.broadcast_to(coins, (512, *SHAPE)), NAMES)
    assert found.calls.kind == "coin" and found.coins == 512 * 15


def test_regions_that_are_often_empty_do_not_make_calls_copies() -> None:
    rng = np.random.default_rng(11)
    seeds = rng.random((400, 1, 8, 9, 3)) < 0.002
    dropped = np.zeros_like(seeds)
    for dh, dw in itertools.product(range(4), repeat=2):
        dropped[:, :, dh:, dw:] |= seeds[:, :, : 8 - dh, : 9 - dw]
    found = infer(dropped, ("n", "h", "w", "c"))
    assert found.calls.kind != "copies" and not found.fits
