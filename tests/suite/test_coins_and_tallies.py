"""Packed coins and their counts against brute force over plain booleans; counts of parts add up to the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropcheck import coins as bits
from dropcheck import tallies
from dropcheck.tallies import Tally, repeats, tally


def coins_of(rows: int, channels: int, rate: float = 0.4, seed: int = 1) -> Any:
    return np.random.default_rng(seed).random((rows, channels)) < rate


def packed(coins: Any) -> Any:
    return np.packbits(coins, axis=-1, bitorder="little")


@given(st.integers(1, 300), st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_transposing_bits_is_transposing(rows: int, channels: int) -> None:
    coins = coins_of(rows, channels)
    words = bits.by_channel(packed(coins), channels)
    whole = rows // 64 * 64
    back = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")[:, :whole]
    np.testing.assert_array_equal(back.T.astype(bool), coins[:whole])


@pytest.mark.parametrize("words", [0, 1, 7, 8, 63, 64, 65, 4080, 4081, 9000])
def test_population_counts(words: int) -> None:
    some = np.random.default_rng(2).integers(0, 2**64, (3, words), dtype=np.uint64)
    np.testing.assert_array_equal(bits.count(some), [sum(int(w).bit_count() for w in row) for row in some.tolist()])
    full = np.full((1, words), 2**64 - 1, np.uint64)
    assert bits.count(full)[0] == 64 * words


@pytest.mark.parametrize("lag", tallies.ROW_LAGS)
def test_lag_pairs_are_disjoint_and_a_lag_apart(lag: int) -> None:
    rows = 4096 + 64
    place = np.arange(rows)
    seen: list[tuple[int, int]] = []
    # the rows that pair are found by setting one row at a time
    words = np.zeros((1, rows // 64), np.uint64)
    first, _ = bits.lag_pairs(np.full_like(words, 2**64 - 1), lag)
    assert int(bits.count(first).sum()) == bits.lag_count(rows, lag)
    for r in place[:: max(1, rows // 500)]:
        words[:] = 0
        words[0, r // 64] = np.uint64(1) << np.uint64(r % 64)
        one, two = bits.lag_pairs(words, lag)
        if one.any():
            words[0, (r + lag) // 64] |= np.uint64(1) << np.uint64((r + lag) % 64)
            one, two = bits.lag_pairs(words, lag)
            assert bits.count(one & two).sum() == 1
            assert (r // lag) % 2 == 0
            seen.append((int(r), int(r + lag)))
        assert not (one.any() and r // lag % 2)
    assert len(seen) > 20


def test_counts_equal_brute_force() -> None:
    rows_per_call, calls, channels = 5, 192, 37
    rows = rows_per_call * calls
    coins = coins_of(rows, channels)
    got = tally(packed(coins), channels, rows_per_call)
    whole = rows // 64 * 64
    some = coins[:whole]
    assert (got.rows, got.calls, got.dropped) == (rows, calls, int(coins.sum()))
    np.testing.assert_array_equal(got.channel, coins.sum(0))
    np.testing.assert_array_equal(got.turned_channel, some.sum(0))
    np.testing.assert_array_equal(got.histogram, np.bincount(coins.sum(1), minlength=channels + 1))
    for stride in range(1, channels):
        np.testing.assert_array_equal(got.pairs[stride], (some[:, :-stride] & some[:, stride:]).sum(0))
    np.testing.assert_array_equal(got.triples, (some[:, :-2] & some[:, 1:-1] & some[:, 2:]).sum(0))
    for stride, counts in got.quads.items():
        starts = [b + o for b in range(0, channels - 4 * stride + 1, 4 * stride) for o in range(stride)]
        for group, start in enumerate(starts):
            code = sum(some[:, start + i * stride].astype(int) << i for i in range(4))
            np.testing.assert_array_equal(counts[group], np.bincount(code, minlength=16))
    for group in range(channels // 8):
        code = sum(coins[:, 8 * group + i].astype(int) << i for i in range(8))
        np.testing.assert_array_equal(got.octets[group], np.bincount(code, minlength=256))
    by_call = coins.reshape(calls, rows_per_call, channels)
    np.testing.assert_array_equal(got.position, by_call.sum(0))
    for lag, table in got.call_lags.items():
        index = np.arange(calls)
        first = index[(index // lag) % 2 == 0]
        one, two = by_call[first], by_call[first + lag]
        np.testing.assert_array_equal(table.both, (one & two).sum((0, 1)))
        np.testing.assert_array_equal(table.first, one.sum((0, 1)))
        np.testing.assert_array_equal(table.pairs, np.full(channels, len(first) * rows_per_call))
    for lag, table in got.row_lags.items():
        index = np.arange(whole)
        first = index[(index // lag) % 2 == 0]
        first = first[first + lag < bits.lag_count(whole, lag) * 2] if lag >= 64 else first
        np.testing.assert_array_equal(table.both, (some[first] & some[first + lag]).sum(0), err_msg=str(lag))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 70))
@settings(max_examples=30, deadline=None)
def test_tallies_of_parts_add_up_in_any_order(blocks: list[int], channels: int) -> None:
    """Work split at whole words of calls merges to the same counts, whatever the order."""
    parts = [coins_of(64 * b, channels, seed=i) for i, b in enumerate(blocks)]
    counted = [tally(packed(p), channels, 1) for p in parts]
    forward, backward = Tally(channels), Tally(channels)
    for one in counted:
        forward = forward.merge(one)
    for one in reversed(counted):
        backward = backward.merge(one)
    everything = tally(packed(np.concatenate(parts)), channels, 1)
    for merged in (forward, backward):
        assert (merged.rows, merged.dropped, merged.calls) == (everything.rows, everything.dropped, everything.calls)
        np.testing.assert_array_equal(merged.channel, everything.channel)
        np.testing.assert_array_equal(merged.histogram, everything.histogram)
        np.testing.assert_array_equal(merged.octets, everything.octets)
        assert merged.pairs.keys() == everything.pairs.keys()
        for stride in merged.pairs:
            np.testing.assert_array_equal(merged.pairs[stride], everything.pairs[stride])
    np.testing.assert_array_equal(forward.row_lags[1].both, backward.row_lags[1].both)


def test_repeats_are_found_at_every_offset_and_verified() -> None:
    coins = coins_of(4000, 131, 0.5)
    calls = np.arange(4000) // 10
    clean = repeats(packed(coins), 1, 131, calls)
    assert (clean.repeats, clean.words) == (0, 4000)
    coins[3333] = coins[17]
    coins[41] = coins[44]
    found = repeats(packed(coins), 1, 131, calls)
    assert sorted(found.places) == [(17, 3333), (41, 44)]
    assert (found.within_call, found.across_calls) == (1, 1)


def test_repeats_of_words_of_several_rows() -> None:
    coins = coins_of(3000, 5, 0.5)
    calls = np.arange(3000)
    assert repeats(packed(coins), 20, 5, calls).repeats == 0
    coins[2000:2100] = coins[123:223]
    found = repeats(packed(coins), 20, 5, calls)
    assert found.repeats == 81
    assert min(found.places) == (123, 2000)


def test_no_rows_count_nothing() -> None:
    empty = Tally(7)
    one = tally(packed(coins_of(10, 7)), 7, None)
    assert empty.merge(one) is one
    assert one.merge(empty) is one
