"""Ties that no common distance shows: mirrored samples, single pairs of neighbours, exclusive ors; and coins that have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dropcheck.count.adding_up import calls_that_add_up, channels_that_add_up, samples_that_add_up
from dropcheck.count.gathered import Gathered
from dropcheck.count.mirrored import ties_of_mirrored_samples
from dropcheck.count.neighbouring import ties_of_neighbours
from dropcheck.judge.checks.mask_anywhere import tied_anywhere
from dropcheck.selftest.simulated import record

CALLS, ROWS, CHANNELS = 32, 33, 34


def gathered(coins: Any, rate: float = 0.5) -> Gathered:
    calls, rows, channels = coins.shape
    return record(f"float32 rate={rate:g} {rows},{channels},2 calls={calls}", coins.reshape(-1, channels))


def drawn(rate: float = 0.5, seed: int = 1, shape: tuple[int, int, int] = (CALLS, ROWS, CHANNELS)) -> Any:
    return np.random.default_rng(seed).random(shape) < rate


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("backwards", [False, True])
def test_samples_tied_to_those_from_the_end_of_the_batch_are_seen(first: int, backwards: bool) -> None:
    for rows in (33, 34, 1025):
        coins = drawn(0.3, shape=(max(2, CALLS * ROWS // rows), rows, CHANNELS))
        take = np.random.default_rng(2).random(coins.shape) < 0.4
        for row in range(first, (rows - 1) // 2):
            source = coins[:, row, ::-1] if backwards else np.roll(coins[:, row], 5, axis=-1)
            at = -row if first else -1 - row
            coins[:, at] = np.where(take[:, row], source, coins[:, at])
        log, text, rho = ties_of_mirrored_samples(gathered(coins, 0.3))
        assert log < -15 and rho > 0.3, (rows, log)
        assert f"of N samples, i and {'N - i' if first else 'N - 1 - i'} depend" in text
        assert ("channels c and 33 - c have" if backwards else "channels 5 apart have") in text


def test_one_channel_tied_to_one_of_the_next_sample_or_call_is_seen_by_its_number() -> None:
    for rate in (0.1, 0.3, 0.5):
        coins = drawn(rate)
        coins[:, 1:, 0] = coins[:, :-1, -1]
        samples, calls = ties_of_neighbours(gathered(coins, rate))
        assert samples[0] < -15 and calls[0] > -9 and "channel 33 and channel 0 of the next sample" in samples[1]
    coins = drawn()
    coins[1::2, :, 7] = coins[::2, :, 20]
    samples, calls = ties_of_neighbours(gathered(coins))
    assert calls[0] < -15 and samples[0] > -9 and "channel 20 and channel 7 of the next call" in calls[1]
    wide = drawn(shape=(8, 65, 300))
    wide[:, 1:, 0] = wide[:, :-1, -1]
    assert "channel 299 and channel 0 of the next" in ties_of_neighbours(gathered(wide))[0][1]


def test_exclusive_ors_are_seen_with_their_members_and_inverted() -> None:
    coins = drawn()
    assert channels_that_add_up(gathered(coins))[0] == 0
    coins[:, :, 30] = ~(coins[:, :, 2] ^ coins[:, :, 13])
    log, text, _ = channels_that_add_up(gathered(coins))
    assert log < -250 and "channel 30 is the exclusive or of those of channels 2, 13, inverted, in all of 1056" in text
    coins[CALLS // 2, 3, 30] ^= True  # once not: no exclusive or
    assert channels_that_add_up(gathered(coins))[0] == 0

    coins = drawn()
    coins[:, -1] = np.bitwise_xor.reduce(coins[:, :-1], axis=1)
    log, text, _ = samples_that_add_up(gathered(coins))
    assert log < -100 and "sample 32 is the exclusive or of those of samples 0, 1, 2, 3, 4, 5 and 26 more in" in text
    assert calls_that_add_up(gathered(coins))[0] == 0

    coins = drawn()
    coins[2::3] = coins[: len(coins[2::3]) * 3 : 3] ^ coins[1 : len(coins[2::3]) * 3 : 3]
    log, text, _ = calls_that_add_up(gathered(coins))
    assert log < -100 and "call 2 is the exclusive or of those of calls 0, 1 in all of 1122 places" in text


def test_copies_and_what_never_changes_are_no_exclusive_ors() -> None:
    coins = drawn()
    coins[:, :, 5], coins[:, :, 9], coins[:, 7] = coins[:, :, 6], True, False
    got = gathered(coins)
    assert channels_that_add_up(got)[0] == 0 and samples_that_add_up(got)[0] == 0
    assert channels_that_add_up(gathered(drawn(0.3), 0.3))[0] == 0


@pytest.mark.parametrize("own", [None, (1, 1, CHANNELS), (1, ROWS, 1), (CALLS, 1, 1), (1, ROWS, CHANNELS)])
def test_independent_coins_have_no_ties_whatever_their_rates(own: tuple[int, int, int] | None) -> None:
    """Each of these 64 numbers is below -9 with probability below 10^-9."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        for rate in (0.1, 0.5):
            p = rate if own is None else rate * rng.uniform(0.7, 1.2, own)
            got = gathered(rng.random((CALLS, ROWS, CHANNELS)) < p, rate)
            assert tied_anywhere(got, False)[0] > -9 and tied_anywhere(got, True)[0] > -9
            assert channels_that_add_up(got)[0] == 0
