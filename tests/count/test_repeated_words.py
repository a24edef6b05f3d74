"""Repeated words: what a sample keeps, what it finds in long streams, and what escapes it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from dropcheck.auditing.run import AuditRequest, run
from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count import repeated_words
from dropcheck.count.coins import Bytes
from dropcheck.count.counting import tally
from dropcheck.count.gather import Counted, gathered, neighbouring_seeds
from dropcheck.count.repeated_words import Sample, least_extent, log10_escape, place_of, repeats, sample_of, word_rows
from dropcheck.count.tallies import SAMPLE
from dropcheck.count.units import Unit
from dropcheck.judge.checks import CHECKS
from dropcheck.results.audit import Finding

DISTINCT = [c for c in CHECKS if c.name in ("mask.distinct-samples", "mask.distinct-calls", "seed.distinct")]
CONTRACT = Contract(Pattern.parse("n c l -> n c"))


def stream(rows: int, channels: int, rate: float, seed: int = 0) -> Bytes:
    """Packed rows of independent coins."""
    rng = np.random.default_rng(seed)
    parts = []
    for at in range(0, rows, 1 << 15):
        some = rng.random((min(1 << 15, rows - at), channels), dtype=np.float32) < rate
        parts.append(np.packbits(some, axis=1, bitorder="little"))
    return np.concatenate(parts)


def judged(case: Case, *units: Bytes, name: str = "mask.distinct-calls") -> Finding:
    """What a check says of the streams of a case, each counted in chunks of some calls as a unit of its own."""
    check = next(c for c in CHECKS if c.name == name)
    size = 2 * case.rows if case.regime == "seeds" else sum(case.batches) or case.rows
    parts = []
    for index, packed in enumerate(units):
        counted = Counted(Unit(case, index, len(packed) // case.rows), tally(packed, case.channels, None, pairs=False))
        sample = sample_of(case)
        assert sample is not None
        step = max(1, 100_000 // size) * size
        for at in range(0, len(packed), step):
            sample.add(packed[at : at + step])
        counted.lookup = sample.lookup(case)
        counted.sample = [packed[: SAMPLE // case.channels]] if not index else []
        if case.regime == "seeds":
            counted.seeds = neighbouring_seeds(5, len(packed) // size)
        parts.append(counted)
    limits = check.limits("deep", case)
    found = check.judge(check, gathered(case, CONTRACT, parts, limits.alpha), limits)
    assert found is not None
    return found


# --- words that are long enough --------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["quick", "standard", "deep"])
def test_both_searches_together_stay_below_the_share_of_every_check(profile: str) -> None:
    for check in DISTINCT:
        assert check.limits(profile).alpha / 2 * (1 + 1e-9) >= repeated_words.WORD_ALPHA, check.name


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.62])
@pytest.mark.parametrize("channels", [1, 3, 17, 64, 513])
def test_a_word_is_the_shortest_whose_chance_repeats_stay_below_the_share(rate: float, channels: int) -> None:
    case = Case("float32", rate, 257, channels, 2, 5000)
    rows = word_rows(case)
    assert rows is not None
    pairs = case.row_count * (case.row_count - 1) / 2
    agree = math.log10(rate**2 + (1 - rate) ** 2)

    def chance(length: int) -> float:
        return math.log10(pairs) + repeated_words.RESERVE * agree * channels * length

    assert chance(rows) <= math.log10(repeated_words.WORD_ALPHA) < chance(rows - 1)


def test_words_depend_on_the_planned_case_alone_and_some_cases_have_none() -> None:
    assert word_rows(Case("float32", 0.1, 257, 64, 2, 100)) is None, "rate .1 is judged elsewhere"
    assert word_rows(Case("float32", 0.5, 2, 1, 2, 100)) is None, "200 coins are no four words of one channel"
    assert word_rows(Case("float32", 0.5, 1, 1, 2, 0)) is None
    assert word_rows(Case("float32", 1.0, 9, 131, 2, 64, regime="seeds")) is None, "words never become unlikely"


@pytest.mark.parametrize(
    "case",
    [
        Case("float32", 0.5, 7, 3, 2, 100),
        Case("float32", 0.5, 7, 3, 2, 100, batches=(4, 1, 13, 2)),
        Case("float32", 0.5, 7, 3, 2, 100, regime="seeds"),
    ],
)
def test_the_place_of_a_row_is_its_call_and_the_row_there(case: Case) -> None:
    sizes = case.batches or ((14,) if case.regime == "seeds" else (7,))
    expected = [(call, row) for call in range(40) for row in range(sizes[call % len(sizes)])]
    calls, rows = place_of(case, np.arange(len(expected)))
    assert list(zip(calls.tolist(), rows.tolist(), strict=True)) == expected


# --- what a sample keeps ---------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(data=st.data(), channels=st.sampled_from([1, 2, 3, 5, 8, 9, 17, 63, 64, 65, 130]), seed=st.integers(0, 2**32))
def test_a_sample_is_the_same_however_the_stream_is_cut(data: st.DataObject, channels: int, seed: int) -> None:
    rows, length = data.draw(st.integers(1, 600)), data.draw(st.integers(1, 40))
    most = data.draw(st.sampled_from([1, 7, 64, 1000]))
    packed = stream(rows, channels, 0.5, seed)
    packed[rows // 2 :] = packed[: rows - rows // 2]  # with repeats, and so with equal keys
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=8)))
    whole, cut = Sample(channels, length, most), Sample(channels, length, most)
    whole.add(packed)
    for a, b in zip([0, *cuts], [*cuts, rows], strict=True):
        cut.add(packed[a:b])
    assert cut.words == whole.words == max(0, rows - length + 1)
    for one, two in zip(whole.kept(), cut.kept(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(whole.kept()[0]) == min(most, whole.words)
    np.testing.assert_array_equal(whole.repeated(), cut.repeated())


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 200),
    channels=st.sampled_from([1, 2, 9, 70]),
    length=st.integers(1, 12),
    kinds=st.integers(1, 6),
    seed=st.integers(0, 2**32),
)
def test_a_sample_of_all_words_finds_what_a_dictionary_finds(
    rows: int, channels: int, length: int, kinds: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    packed = stream(kinds, channels, 0.5, seed)[rng.integers(0, kinds, rows)]
    seen: dict[bytes, int] = {}
    expected = []
    for row in range(rows - length + 1):
        word = packed[row : row + length].tobytes()
        if word not in seen:
            seen[word] = row
        elif row - seen[word] >= length:
            expected.append([seen[word], row])
            seen[word] = row
    sample = Sample(channels, length, 1000)
    sample.add(packed)
    assert sample.repeated().tolist() == sorted(expected)
    calls = np.arange(rows) // 10
    found = repeats(packed, length, channels, calls)
    # within: both words as a whole in one call; across: their middles in two calls; what is in between is neither
    ends = [(calls[a], calls[b], calls[a + length - 1], calls[b + length - 1]) for a, b in expected]
    assert found.within_call == sum(len(set(four)) == 1 for four in ends)
    assert found.across_calls == sum(calls[a + length // 2] != calls[b + length // 2] for a, b in expected)
    assert found.repeats == found.within_call + found.across_calls


def test_memory_is_that_of_the_words_kept() -> None:
    sample = Sample(64, 2, 4096)
    for seed in range(20):
        sample.add(stream(1 << 15, 64, 0.5, seed))
        held = sum(array.nbytes for part in sample._parts for array in part)
        assert held <= 32 * (2 * 4096 + (1 << 15))
    assert sum(array.nbytes for array in sample.kept()) == 24 * 4096


@pytest.mark.parametrize("width", [1, 8, 11])
def test_hashes_of_unlike_words_agree_no_more_often_than_random_numbers(width: int) -> None:
    """Words as alike as words can be: a counter. Equal halves of 32 bits among 2^16 words: 0.5 pairs expected a half."""
    packed = np.zeros((1 << 16, width), np.uint8)
    counter = np.arange(1 << 16, dtype=np.uint32)
    places = (0, 0) if width == 1 else (0, width - 1)
    packed[:, places[0]] = counter & 255
    packed[:, places[1]] |= (counter >> 8).astype(np.uint8) if width > 1 else np.uint8(0)
    distinct = 256 if width == 1 else 1 << 16
    one, two = repeated_words._hashes(packed, 1, np.arange(1 << 16))
    expected = distinct * (distinct - 1) / 2 / 2**32
    for half in (one & np.uint64(2**32 - 1), one >> np.uint64(32), two & np.uint64(2**32 - 1), two >> np.uint64(32)):
        equal = distinct - len(np.unique(half))
        assert equal <= binom.isf(1e-7, distinct * (distinct - 1) // 2, 2.0**-32), (equal, expected)
    both = (one & np.uint64(0xFFFF)) << np.uint64(16) | (two & np.uint64(0xFFFF))
    assert distinct - len(np.unique(both)) <= binom.isf(1e-7, distinct * (distinct - 1) // 2, 2.0**-32)


# --- what escapes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "rate"), [(64, 0.5), (64, 0.3), (17, 0.3), (3, 0.5), (1, 0.5), (1, 0.3)])
@pytest.mark.parametrize("repeated", [5, 40])
def test_a_run_that_repeats_escapes_as_often_as_computed(channels: int, rate: float, repeated: int) -> None:
    rows, most, tries = 3000, 150, 400
    case = Case("float32", rate, 10, channels, 2, rows // 10)
    length = word_rows(case)
    assert length is not None
    escaped = 0
    for seed in range(tries):
        packed = stream(rows, channels, rate, 1000 + seed)
        run_of = repeated + length - 1
        packed[2000 : 2000 + run_of] = packed[500 : 500 + run_of]
        sample = Sample(channels, length, most)
        sample.add(packed)
        escaped += not len(sample.repeated())
    chance = 10 ** log10_escape(rows - length + 1, most, repeated)
    low, high = binom.ppf(1e-5, tries, chance), binom.isf(1e-5, tries, chance)
    if (
        channels == 1
    ):  # the coins beside a run of one channel agree by chance, half of the time: it is some words longer
        low = binom.ppf(1e-5, tries, 10 ** log10_escape(rows - length + 1, most, repeated + 6))
    assert low <= escaped <= high, (escaped / tries, chance)


def test_the_printed_extent_is_the_shortest_that_escapes_less_often_than_beta() -> None:
    for n, k, length, beta in ((524_000, 65_536, 2, 1e-6), (40_000, 7, 11, 0.05), (100, 99, 1, 1e-6)):
        extent = least_extent(n, k, length, beta)
        inside = extent - length + 1
        assert log10_escape(n, k, inside) <= math.log10(beta) < log10_escape(n, k, inside - 1)
    assert least_extent(16_000, 16_000, 2, 1e-6) == 2, "where every word is kept, one word that repeats is enough"
    assert log10_escape(100, 100, 1) == -math.inf
    with pytest.raises(ValueError, match="empty sample"):
        least_extent(10, 0, 1, 0.5)


def test_a_run_of_the_printed_extent_is_caught_as_promised() -> None:
    rows, channels, most, beta, tries = 4000, 33, 400, 0.05, 400
    length = 3
    extent = least_extent(rows - length + 1, most, length, beta)
    caught = 0
    for seed in range(tries):
        packed = stream(rows, channels, 0.5, 9000 + seed)
        packed[3000 : 3000 + extent] = packed[100 : 100 + extent]
        sample = Sample(channels, length, most)
        sample.add(packed)
        caught += bool(len(sample.repeated()))
    assert caught >= binom.ppf(1e-6, tries, 1 - beta)


# --- long runs: planted repeats and their correct twins ---------------------------------------------------------------

FIRST = SAMPLE // 64  # rows of 64 channels in which every word is looked up
LONG = Case("float32", 0.5, 1000, 64, 2, 240)  # 240 000 rows of one stream


@pytest.fixture(scope="module")
def long_run() -> Any:
    packed = stream(240_000, 64, 0.5, 7)
    packed.flags.writeable = False
    return packed


def test_independent_coins_pass_and_say_what_would_have_escaped(long_run: Bytes) -> None:
    found = judged(LONG, long_run)
    assert found.verdict == "pass"
    assert found.resolution is not None and 20 < found.resolution < 100
    assert f"{found.resolution:g} repeated rows" in found.message
    assert judged(LONG, long_run, name="mask.distinct-samples").verdict == "pass"


def test_a_frozen_mask_repeats_calls_not_samples(long_run: Bytes) -> None:
    frozen = np.tile(long_run[:1000], (240, 1))
    found = judged(LONG, frozen)
    assert found.verdict == "fail" and found.message.startswith("call 1 reuses the mask of call 0")
    assert judged(LONG, frozen, name="mask.distinct-samples").verdict == "pass"


def test_a_mask_that_freezes_late_is_found(long_run: Bytes) -> None:
    packed = long_run.copy()
    packed[201_000:] = np.tile(packed[200_000:201_000], (39, 1))
    found = judged(LONG, packed)
    assert found.verdict == "fail" and "the mask of call 200" in found.message


def test_a_counter_that_wraps_after_many_millions_of_coins_is_found(long_run: Bytes) -> None:
    packed = long_run.copy()
    wrap = 235_123  # rows: 15 million coins, and no multiple of a call
    packed[wrap:] = packed[: len(packed) - wrap]
    found = judged(LONG, packed)
    assert found.verdict == "fail" and found.estimate is not None and found.estimate > 500


def test_two_calls_far_apart_that_are_equal_are_found(long_run: Bytes) -> None:
    packed = long_run.copy()
    packed[230_000:231_000] = packed[50_000:51_000]
    found = judged(LONG, packed)
    assert found.verdict == "fail" and "call 230 reuses the mask of call 50;" in found.message
    assert judged(LONG, packed, name="mask.distinct-samples").verdict == "pass"


def test_rows_of_one_late_call_that_repeat_are_samples_not_calls(long_run: Bytes) -> None:
    packed = long_run.copy()
    packed[230_500:231_000] = packed[230_000:230_500]
    found = judged(LONG, packed, name="mask.distinct-samples")
    assert found.verdict == "fail" and found.message.startswith("in call 230, sample ")
    assert judged(LONG, packed).verdict == "pass"


def test_a_cycle_of_65536_calls_is_found_and_its_twin_passes() -> None:
    case = Case("float32", 0.3, 1, 131, 2, 70_000)
    packed = stream(70_000, 131, 0.3, 8)
    assert judged(case, packed).verdict == "pass"
    packed[1 << 16 :] = packed[: 70_000 - (1 << 16)]
    found = judged(case, packed)
    assert found.verdict == "fail" and "call 65536 reuses" in found.message


def test_streams_of_two_units_are_not_compared_but_each_is_searched(long_run: Bytes) -> None:
    """Two streams under different seeds that are alike are no calls that repeat calls: the checks of seeds own that."""
    case = Case("float32", 0.5, 1000, 64, 2, 240)
    half = long_run[:120_000]
    assert judged(case, half, half).verdict == "pass"
    late = long_run[120_000:].copy()
    late[110_000:111_000] = late[20_000:21_000]
    found = judged(case, half, late)
    assert found.verdict == "fail" and "call 230 reuses the mask of call 140;" in found.message


def test_few_channels_and_changing_batches_are_searched_too() -> None:
    for case, rows in (
        (Case("float32", 0.5, 4097, 1, 2, 60), 4097 * 60),
        (Case("float32", 0.5, 50, 17, 2, 4000, batches=(64, 1, 130, 5)), 200 * 1000),
    ):
        packed = stream(rows, case.channels, 0.5, 10)
        assert judged(case, packed).verdict == "pass"
        packed[rows - 3000 :] = packed[101_000:104_000]
        assert judged(case, packed).verdict == "fail"


def test_seeds_far_apart_that_give_the_same_coins_are_found() -> None:
    """The first 2^20 coins end with seed 444."""
    case = Case("float32", 0.5, 9, 131, 2, 4000, regime="seeds")
    packed = stream(2000 * 18, 131, 0.5, 11)
    assert judged(case, packed, name="seed.distinct").verdict == "pass"
    packed[1900 * 18 + 4] = packed[1500 * 18 + 11]
    found = judged(case, packed, name="seed.distinct")
    seeds = neighbouring_seeds(5, 2000)
    assert found.verdict == "fail" and found.message.startswith(
        f"seed {seeds[1900]} repeats parts of the masks of seed {seeds[1500]};"
    )


# --- the order of judgement ------------------------------------------------------------------------------------------


def test_repeated_rows_are_not_interpretable_while_channels_are_copies() -> None:
    """Sixteen coins a row, not 64: rows repeat by chance, and rightly so."""
    request = AuditRequest(
        targets=("broken.quads-share-a-coin", "broken.frozen-mask"),
        cases=("float32 rate=0.5 1025,64,3 calls=40",),
        select=("mask.distinct-channels", "mask.distinct-samples", "mask.distinct-calls"),
        in_process=True,
        causes=False,
    )
    quads, frozen = ({f.check: f for f in target.findings} for target in run(request).targets)
    assert quads["mask.distinct-channels"].verdict == "fail"
    for name in ("mask.distinct-samples", "mask.distinct-calls"):
        assert quads[name].verdict == "skipped"
        assert quads[name].message.startswith("skipped because mask.distinct-channels fails: ")
    assert frozen["mask.distinct-channels"].verdict == "pass"
    assert frozen["mask.distinct-calls"].verdict == "fail"
