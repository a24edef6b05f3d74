"""Packed coins and their counts against brute force over plain booleans; counts of parts add up to the whole."""

from __future__ import annotations

import itertools
from dataclasses import fields
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropcheck.count import coins as bits
from dropcheck.count import tallies
from dropcheck.count.counting import tally
from dropcheck.count.repeated_words import repeats
from dropcheck.count.tallies import Tally
from dropcheck.judge.checks import mask_channels


def coins_of(rows: int, channels: int, rate: float = 0.4, seed: int = 1) -> Any:
    return np.random.default_rng(seed).random((rows, channels)) < rate


def packed(coins: Any) -> Any:
    return np.packbits(coins, axis=-1, bitorder="little")


@given(st.integers(1, 300), st.integers(1, 140))
@settings(max_examples=60, deadline=None)
def test_transposing_bits_is_transposing(rows: int, channels: int) -> None:
    coins = coins_of(rows, channels)
    words = bits.by_channel(packed(coins), channels)
    assert words.shape == (channels, -(-rows // 64))
    back = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1, bitorder="little")
    np.testing.assert_array_equal(back.T[:rows].astype(bool), coins)
    assert not back[:, rows:].any()


@pytest.mark.parametrize("words", [0, 1, 7, 8, 63, 64, 65, 1016, 1017, 9000])
def test_population_counts(words: int) -> None:
    some = np.random.default_rng(2).integers(0, 2**64, (3, words), dtype=np.uint64)
    np.testing.assert_array_equal(bits.count(some), [sum(int(w).bit_count() for w in row) for row in some.tolist()])
    full = np.full((1, words), 2**64 - 1, np.uint64)
    assert bits.count(full)[0] == 64 * words


@given(st.integers(0, 400), st.integers(1, 30), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=60, deadline=None)
def test_column_sums_are_sums(n: int, size: int, rate: float) -> None:
    coins = coins_of(n, 8 * size, rate)
    np.testing.assert_array_equal(bits.column_sums(packed(coins)), coins.sum(axis=0))


def patterns(coins: Any, starts: Any, stride: int, size: int) -> Any:
    found = []
    for start in starts:
        code = sum(coins[:, start + i * stride].astype(int) << i for i in range(size))
        found.append(np.bincount(code, minlength=2**size))
    return np.array(found)


@pytest.mark.parametrize(
    ("rows_per_call", "calls", "channels"),
    [
        (5, 192, 37),
        (1, 300, 70),
        (100, 9, 20),
        (64, 7, 1),
        (1, 1, 1),
        (1025, 5, 33),
        (65, 70, 164),
        (9, 3, 130),
        (3, 65, 8),
    ],
)
def test_counts_equal_brute_force(rows_per_call: int, calls: int, channels: int) -> None:
    coins = coins_of(rows_per_call * calls, channels)
    got = tally(packed(coins), channels, rows_per_call)
    rows = len(coins)
    assert (got.rows, got.calls, got.dropped) == (rows, calls, int(coins.sum()))
    np.testing.assert_array_equal(got.channel, coins.sum(0))
    np.testing.assert_array_equal(got.histogram, np.bincount(coins.sum(1), minlength=channels + 1))
    for stride, both in got.pairs.items():
        np.testing.assert_array_equal(both, (coins[:, :-stride] & coins[:, stride:]).sum(0))
    assert channels > tallies.ALL_PAIRS_UP_TO or len(got.pairs) == channels - 1
    for s, joint in got.triples.items():
        np.testing.assert_array_equal(joint, (coins[:, : -2 * s] & coins[:, s:-s] & coins[:, 2 * s :]).sum(0))
    for size, groups in ((4, got.quads), (8, got.octets)):
        assert list(sorted(groups)) == tallies.group_strides(channels, size)
        for stride, counts in groups.items():
            some = coins[: got.octet_rows[stride]] if size == 8 else coins
            assert len(some) == rows
            expected = patterns(some, tallies.group_starts(channels, stride, size), stride, size)
            np.testing.assert_array_equal(counts, expected)
    if channels > tallies.ALL_PAIRS_UP_TO:
        assert got.far_rows == rows
        for stride in (1, 6, channels - 1):
            np.testing.assert_array_equal(got.far_of(stride), (coins[:, :-stride] & coins[:, stride:]).sum(0))
    by_call = coins.reshape(calls, rows_per_call, channels)
    np.testing.assert_array_equal(got.position, by_call.sum(0))
    assert sorted(got.call_lags) == [lag for lag in tallies.CALL_LAGS if lag < calls]
    for lag, table in got.call_lags.items():
        index = np.array([i for i in range(calls) if (i // lag) % 2 == 0 and i + lag < calls])
        same(table, by_call[index], by_call[index + lag])
    assert sorted(got.row_lags) == [lag for lag in tallies.ROW_LAGS if 2 * lag <= rows_per_call]
    for lag, table in got.row_lags.items():
        index = np.array([i for i in range(rows_per_call) if (i // lag) % 2 == 0 and i + lag < rows_per_call])
        same(table, by_call[:, index], by_call[:, index + lag])
    assert bool(got.call_shifts) == (rows_per_call > 1 and calls > 1)
    even, odd = by_call[: calls // 2 * 2 : 2], by_call[1::2]
    for shift, table in got.call_shifts.items():
        one = even[:, :-1] if shift == 1 else even[:, 1:]
        two = odd[:, 1:] if shift == 1 else odd[:, :-1]
        same(table, one, two)


def same(table: Any, one: Any, two: Any) -> None:
    np.testing.assert_array_equal(table.both, (one & two).sum((0, 1)))
    np.testing.assert_array_equal(table.first, one.sum((0, 1)))
    np.testing.assert_array_equal(table.second, two.sum((0, 1)))
    np.testing.assert_array_equal(table.pairs, np.full(one.shape[-1], one.shape[0] * one.shape[1]))


def equal(one: Any, two: Any) -> None:
    """Every field of two tallies is the same."""
    for item in fields(tallies.Tally):
        a, b = getattr(one, item.name), getattr(two, item.name)
        assert msgspec.json.encode(plain(a), order="sorted") == msgspec.json.encode(plain(b), order="sorted"), item.name


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, tallies.Association):
        return [plain(getattr(value, f.name)) for f in fields(value)]
    return value.tolist() if hasattr(value, "tolist") else value


@given(
    st.sampled_from([1, 2, 5, 63, 64, 65, 130]),
    st.sampled_from([1, 3, 8, 17, 64, 65, 162]),
    st.lists(st.integers(1, 3), min_size=0, max_size=3),
    st.integers(0, 63),
    st.randoms(),
)
@settings(max_examples=60, deadline=None)
def test_splits_at_multiples_of_64_calls_merge_to_the_same_counts_in_any_order(
    rows_per_call: int, channels: int, blocks: list[int], ragged: int, random: Any
) -> None:
    cuts = np.cumsum([0, *(64 * b for b in blocks), ragged or 1]) * rows_per_call
    coins = packed(coins_of(int(cuts[-1]), channels, seed=int(cuts[-1])))
    parts = [tally(coins[a:b], channels, rows_per_call, start=int(a)) for a, b in itertools.pairwise(cuts)]
    random.shuffle(parts)
    merged = Tally(channels)
    for part in parts:
        merged = merged.merge(part)
    equal(merged, tally(coins, channels, rows_per_call))


@given(st.sampled_from([1, 3, 17, 65]), st.lists(st.integers(1, 9000), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_any_split_is_exact_where_batches_vary(channels: int, parts: list[int]) -> None:
    cuts = np.cumsum([0, *parts])
    coins = packed(coins_of(int(cuts[-1]), channels))
    merged = Tally(channels)
    for a, b in itertools.pairwise(cuts):
        merged = merged.merge(tally(coins[a:b], channels, None, start=int(a)))
    equal(merged, tally(coins, channels, None))


@pytest.mark.parametrize(("rows_per_call", "calls"), [(5, 64 * 130), (100, 64 * 9), (None, 60_000)])
def test_thinned_statistics_look_at_the_rows_that_were_planned(rows_per_call: int | None, calls: int) -> None:
    rows = calls * (rows_per_call or 1)
    coins = coins_of(rows, 24)
    got = tally(packed(coins), 24, rows_per_call)
    planned = tallies.thinned_rows(rows, rows_per_call)
    assert got.octet_rows[1] == got.octet_rows[2] == planned < rows
    size = 64 * rows_per_call if rows_per_call else tallies.VARYING_BLOCK
    block = np.arange(rows) // size
    some = coins[(block * size < tallies.FULL_ROWS) | (block % tallies.THINNING == 0)]
    assert len(some) == planned
    for stride in (1, 2):
        starts = tallies.group_starts(24, stride, 8)
        np.testing.assert_array_equal(got.octets[stride], patterns(some, starts, stride, 8))


def test_two_calls_under_each_seed_are_compared_shifted_and_by_bit() -> None:
    numbers = [10, 11, 14, 15, 100, 101, 108, 109]  # bits 2 and 3
    coins = coins_of(8 * 6, 7).reshape(8, 6, 7)
    got = tally(packed(coins.reshape(48, 7)), 7, 6, seeds=numbers)
    forward, backward = got.seed_shifts.values()
    same(forward, coins[::2, 3:], coins[1::2, :3])
    same(backward, coins[::2, :3], coins[1::2, 3:])
    assert sorted(got.seed_bits) == [2, 3]
    same(got.seed_bits[3], coins[4:6], coins[6:8])


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


@pytest.mark.parametrize("channels", [2, 9, tallies.ALL_PAIRS_UP_TO + 40])
def test_copied_channels_are_those_whose_coins_are_equal(channels: int) -> None:
    coins = coins_of(640, channels)
    for one, other in ((0, channels - 1), (3, 4), (3, channels // 3), (5, 7)):
        if max(one, other) < channels:
            coins[:, other] = coins[:, one]
    coins[:, channels // 2 :: 97] = False  # never dropped: equal, but no copies
    found = mask_channels.copied_channels(tally(packed(coins), channels, 64), 1e-9)
    dropping = np.flatnonzero(coins.any(axis=0))
    expected = [(a, b) for a, b in itertools.combinations(dropping, 2) if (coins[:, a] == coins[:, b]).all()]
    assert expected or channels == 2
    assert sorted(map(tuple, found.tolist())) == expected
    if expected:
        groups = mask_channels.groups_of(found)
        assert all(a in group for a, b in expected for group in groups if b in group)
        assert sorted(itertools.chain(*groups)) == sorted({c for pair in expected for c in pair})
        assert groups == sorted(groups) and all(group == sorted(group) for group in groups)


def test_few_equal_rows_make_no_copies() -> None:
    coins = np.repeat(coins_of(12, 1), 3, axis=1)
    assert len(mask_channels.copied_channels(tally(packed(coins), 3, 4), 1e-9)) == 0
