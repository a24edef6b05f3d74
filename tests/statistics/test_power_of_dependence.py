"""Every statistic of dependence at its printed resolution: correct twins are not accused, planted defects are caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.coins import lag_firsts
from dropcheck.count.counting import tally
from dropcheck.count.gather import neighbouring_seeds
from dropcheck.count.gathered import Gathered
from dropcheck.count.tallies import group_starts
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import Limits
from dropcheck.results.audit import Finding

ALPHA, BETA, TRIES, AUDITS = 1e-6, 0.05, 80, 100
Coins = Any
Plant = Callable[[Any, Coins, float], None]  # generator, (calls, rows, channels) coins, size of the defect; in place


class Bench:
    """One check on one small case: its correct twin, and a defect planted into it."""

    def __init__(self, check: str, calls: int, rows: int, channels: int, rate: float, seeds: bool = False) -> None:
        self.check = next(c for c in CHECKS if c.name == check)
        self.shape, self.rate = (calls, rows, channels), rate
        self.seeds = neighbouring_seeds(3, calls) if seeds else None
        regime, each = ("seeds", 2) if seeds else ("stream", 1)
        self.case = Case("float32", rate, rows // each, channels, 3, calls * each, regime=regime)

    def coins(self, rng: Any) -> Coins:
        """Independent coins: (calls, rows, channels); a call is two calls under one seed in the regime ``seeds``."""
        return rng.random(self.shape, dtype=np.float32) < self.rate

    def judged(self, coins: Coins, alpha: float) -> Finding:
        """What the check says of them."""
        _, rows, channels = self.shape
        packed = np.packbits(coins.reshape(-1, channels), axis=1, bitorder="little")
        counted = tally(packed, channels, rows, seeds=self.seeds)
        got = Gathered(self.case, Contract(Pattern.parse("n c l -> n c")), counted, {}, seeds=self.seeds)
        assert self.check.judge is not None
        found = self.check.judge(self.check, got, Limits(alpha, BETA))
        assert found is not None and found.verdict in ("pass", "fail")
        return found


BENCHES = {
    "pairs of wide layers": Bench("mask.independent-channels", 12, 50, 170, 0.3),
    "patterns": Bench("mask.patterns", 40, 50, 33, 0.5),
    "calls of few rows": Bench("mask.independent-calls", 192, 5, 24, 0.3),
    "calls of many rows": Bench("mask.independent-calls", 128, 70, 6, 0.3),
    "seeds": Bench("seed.neighbours", 256, 6, 64, 0.5, seeds=True),
}


def follow(rng: Any, one: Coins, two: Coins, rho: float) -> Coins:
    """``two`` with correlation rho to ``one``: each coin is a copy with that probability."""
    return np.where(rng.random(one.shape, dtype=np.float32) < rho, one, two)


def one_pair(first: int, second: int) -> Plant:
    def plant(rng: Any, coins: Coins, rho: float) -> None:
        coins[..., second] = follow(rng, coins[..., first], coins[..., second], rho)

    return plant


def parity(size: int, stride: int) -> Plant:
    """Even numbers of drops in every group c, c + s, ... have probability (1 + w) / 2 at rate .5: effect size w."""

    def plant(rng: Any, coins: Coins, w: float) -> None:
        for start in group_starts(coins.shape[-1], stride, size):
            others = [start + stride * i for i in range(size - 1)]
            odd = rng.random(coins.shape[:-1]) >= (1 + w) / 2
            coins[..., start + stride * (size - 1)] = (coins[..., others].sum(axis=-1) + odd) % 2

    return plant


def call_lag(lag: int) -> Plant:
    def plant(rng: Any, coins: Coins, rho: float) -> None:
        first = lag_firsts(len(coins), lag)
        coins[first + lag] = follow(rng, coins[first], coins[first + lag], rho)

    return plant


def call_shift(shift: int) -> Plant:
    def plant(rng: Any, coins: Coins, rho: float) -> None:
        here, there = (slice(None, -1), slice(1, None)) if shift > 0 else (slice(1, None), slice(None, -1))
        coins[1::2, there] = follow(rng, coins[::2, here], coins[1::2, there], rho)

    return plant


def seed_shift(rng: Any, coins: Coins, rho: float) -> None:
    half = coins.shape[1] // 2
    coins[1::2, :half] = follow(rng, coins[::2, half:], coins[1::2, :half], rho)


def seed_shift_back(rng: Any, coins: Coins, rho: float) -> None:
    half = coins.shape[1] // 2
    coins[1::2, half:] = follow(rng, coins[::2, :half], coins[1::2, half:], rho)


def seed_next(rng: Any, coins: Coins, rho: float) -> None:
    coins[1::2] = follow(rng, coins[::2], coins[1::2], rho)


def seed_bit(bit: int) -> Plant:
    """Seeds that differ in this bit alone."""

    def plant(rng: Any, coins: Coins, rho: float) -> None:
        numbers = neighbouring_seeds(3, len(coins))
        first = [i for i in range(len(coins) - 2) if i % 4 < 2 and numbers[i] ^ numbers[i + 2] == 1 << bit]
        assert first
        coins[np.array(first) + 2] = follow(rng, coins[first], coins[np.array(first) + 2], rho)

    return plant


DEFECTS: dict[str, tuple[str, Plant]] = {
    "one pair at an odd distance": ("pairs of wide layers", one_pair(17, 154)),
    "one pair of neighbours": ("pairs of wide layers", one_pair(80, 81)),
    **{f"three channels {s} apart": ("patterns", parity(3, s)) for s in (1, 4)},
    **{f"four channels {s} apart": ("patterns", parity(4, s)) for s in (1, 8)},
    **{f"eight channels {s} apart": ("patterns", parity(8, s)) for s in (1, 2, 4)},
    **{f"calls {lag} apart, few rows": ("calls of few rows", call_lag(lag)) for lag in (1, 8, 32)},
    **{f"calls {lag} apart, many rows": ("calls of many rows", call_lag(lag)) for lag in (4, 32)},
    **{f"next call, {d:+d} rows, few rows": ("calls of few rows", call_shift(d)) for d in (1, -1)},
    **{f"next call, {d:+d} rows, many rows": ("calls of many rows", call_shift(d)) for d in (1, -1)},
    "call 2 and call 1 of the next seed": ("seeds", seed_shift),
    "call 1 and call 2 of the next seed": ("seeds", seed_shift_back),
    "neighbouring seeds": ("seeds", seed_next),
    "seeds that differ in bit 9": ("seeds", seed_bit(9)),
}


@pytest.mark.parametrize("name", BENCHES)
def test_correct_layers_are_accused_no_more_often_than_alpha(name: str) -> None:
    bench, rng = BENCHES[name], np.random.default_rng(40)
    accused = {alpha: 0 for alpha in (0.05, 0.01)}
    for _ in range(AUDITS):
        coins = bench.coins(rng)
        for alpha in accused:
            accused[alpha] += bench.judged(coins, alpha).verdict == "fail"
    for alpha, count in accused.items():
        assert count <= binom.isf(1e-4, AUDITS, alpha), (alpha, count)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_of_the_printed_resolution_is_caught_as_promised(name: str) -> None:
    where, plant = DEFECTS[name]
    bench, rng = BENCHES[where], np.random.default_rng(41)
    twin = bench.judged(bench.coins(rng), ALPHA)
    size = twin.tallies["resolution_of_a_bit"] if "bit" in name else twin.resolution
    assert size is not None and 0 < size < 0.6
    caught = 0
    for _ in range(TRIES):
        coins = bench.coins(rng)
        plant(rng, coins, size)
        caught += bench.judged(coins, ALPHA).verdict == "fail"
    # fewer than this have probability below 1e-4 if the power is 1 - beta
    assert caught >= binom.ppf(1e-4, TRIES, 1 - BETA), (size, caught / TRIES)
    assert caught >= 0.9 * TRIES
