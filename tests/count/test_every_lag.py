"""Ties of coins a fixed distance apart are seen at every distance; independent coins show none."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.counting import tally
from dropcheck.count.every_lag import ties_at_every_lag
from dropcheck.count.gathered import Gathered

CALLS, ROWS, CHANNELS = 64, 33, 34


def gathered(coins: Any, rate: float = 0.5) -> Gathered:
    """Coins (calls, rows, channels) as a case."""
    calls, rows, channels = coins.shape
    packed = np.packbits(coins.reshape(-1, channels), axis=1, bitorder="little")
    case = Case("float32", rate, rows, channels, 1, calls)
    return Gathered(case, Contract(Pattern.parse("n c l -> n c")), tally(packed, channels, rows), {}, packed)


def drawn(rate: float = 0.5, seed: int = 1) -> Any:
    return np.random.default_rng(seed).random((CALLS, ROWS, CHANNELS)) < rate


def some(coins: Any, share: float) -> Any:
    """Where a coin is taken from elsewhere."""
    return np.random.default_rng(9).random(coins.shape) < share


def test_samples_three_apart_and_diagonals_are_seen() -> None:
    for lag, shift, words in (
        (3, 0, "3 samples apart"),
        (1, 1, "1 sample and 1 channel apart"),
        (12, 5, "12 samples and 5"),
    ):
        coins = drawn(0.3)
        take = some(coins, 0.4)
        for row in range(lag, ROWS):
            moved = coins[:, row - lag, : CHANNELS - shift]
            coins[:, row, shift:] = np.where(take[:, row, shift:], moved, coins[:, row, shift:])
        samples, calls = ties_at_every_lag(gathered(coins, 0.3))
        assert samples[0] < -15 and words in samples[1] and calls[0] > -15


def test_calls_seven_apart_are_seen() -> None:
    coins = drawn()
    take = some(coins, 0.4)
    for call in range(7, CALLS):
        if call % 14 >= 7:
            coins[call] = np.where(take[call], coins[call - 7], coins[call])
    samples, calls = ties_at_every_lag(gathered(coins))
    assert calls[0] < -15 and "7 calls apart" in calls[1] and samples[0] > -15


def test_calls_larger_than_what_is_looked_at_are_seen_by_their_first_rows() -> None:
    coins = np.random.default_rng(2).random((2, 1025, 65)) < 0.5
    lasting = coins ^ (np.random.default_rng(5).random((1025, 65)) < 0.4)  # what both calls show is a rate of its own
    lasting[1] = np.where(some(coins[1], 0.5), lasting[0], lasting[1])
    assert min(tied[0] for tied in (*ties_at_every_lag(gathered(coins)), *ties_at_every_lag(gathered(lasting)))) > -9
    for row in range(3, 1025):
        coins[:, row] = np.where(some(coins, 0.4)[:, row], coins[:, row - 3], coins[:, row])
    samples, calls = ties_at_every_lag(gathered(coins))
    assert samples[0] < -15 and "3 samples apart" in samples[1] and calls[0] == 0


def test_independent_coins_have_no_ties_whatever_their_rates() -> None:
    rng = np.random.default_rng(3)
    uneven = rng.random((CALLS, ROWS, CHANNELS)) < rng.uniform(0.3, 0.7, CHANNELS)
    rows = rng.random((CALLS, ROWS, CHANNELS)) < rng.uniform(0.3, 0.7, (ROWS, 1))
    places = rng.random((CALLS, ROWS, CHANNELS)) < (np.indices((ROWS, CHANNELS)).sum(axis=0) % 2 * 0.2 + 0.4)
    by_call = rng.random((CALLS, ROWS, CHANNELS)) < np.linspace(0.4, 0.6, CALLS)[:, None, None]
    for coins, rate in (
        *((drawn(p, seed), p) for p in (0.2, 0.5) for seed in range(4)),
        (uneven, 0.5),
        (rows, 0.5),
        (places, 0.5),
        (by_call, 0.5),
    ):
        assert min(tied[0] for tied in ties_at_every_lag(gathered(coins, rate))) > -9
