"""Rows with rates of their own: told as rates, never as copies or dependence; copies among them are still copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.counting import tally
from dropcheck.count.gather import Counted, gathered, neighbouring_seeds
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_words import place_of, sample_of
from dropcheck.count.row_rates import live, positions_of
from dropcheck.count.units import split
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import ALPHA, Limits

NAMED = {c.name: c for c in CHECKS}
CONTRACT = Contract(Pattern.parse("n c l -> n c"))
LIMITS = Limits(ALPHA * 0.03 / 96)
Coins = NDArray[np.bool_]


def got_from(case: Case, coins: Coins) -> Gathered:
    """What one unit of a case would have gathered."""
    packed = np.packbits(coins, axis=1, bitorder="little")
    (unit,) = split(case)
    seeds = neighbouring_seeds(5, case.calls // 2) if case.regime == "seeds" else None
    rows = 2 * case.rows if seeds is not None else None if case.batches else case.rows
    words = sample_of(case)
    counted = Counted(unit, tally(packed, case.channels, rows, seeds=seeds), {"violations": 0}, [packed], seeds=seeds)
    if words is not None:
        words.add(packed)
        counted.lookup = words.lookup(case)
    return gathered(case, CONTRACT, [counted], LIMITS.alpha)


def verdict(check: str, got: Gathered) -> str:
    """``pass``, ``fail``, ...; ``none`` where the check has nothing to say."""
    one = NAMED[check]
    assert one.judge is not None
    found = one.judge(one, got, LIMITS)
    return "none" if found is None else found.verdict


def drawn(case: Case, seed: int = 1) -> Coins:
    return np.random.default_rng(seed).random((case.row_count, case.channels)) < case.rate


CASES = {
    "one word a row": Case("float32", 0.5, 65, 67, 1, 80),
    "rate .3": Case("float32", 0.3, 65, 163, 1, 64),
    "words of several rows": Case("float32", 0.5, 8, 17, 1, 400),
    "one channel": Case("float32", 0.5, 129, 1, 1, 400),
    "batches vary": Case("float32", 0.5, 50, 65, 1, 80, batches=(64, 1, 130, 5)),
    "seeds": Case("float32", 0.5, 9, 131, 1, 256, regime="seeds"),
}
ASKED = (
    "mask.distinct-channels",
    "mask.distinct-samples",
    "mask.distinct-calls",
    "mask.dropped-count",
    "mask.patterns",
)
ASKED += ("mask.independent-channels", "mask.independent-samples", "mask.independent-calls")


def checks_of(case: Case) -> tuple[str, ...]:
    if case.regime == "seeds":
        return "seed.distinct", "seed.neighbours"
    varying = ("mask.independent-samples", "mask.independent-calls")
    return tuple(c for c in ASKED if not (case.batches and c in varying))


@pytest.mark.parametrize("always", [False, True], ids=["never drops", "always drops"])
@pytest.mark.parametrize("name", CASES)
def test_a_row_that_always_falls_alike_is_no_copy_and_no_dependence(name: str, always: bool) -> None:
    case, coins = CASES[name], drawn(CASES[name])
    call, row = place_of(case, np.arange(len(coins)))
    sizes = np.bincount(call)[call]
    coins[(row % case.rows == 0) & (sizes > 1) if not case.batches else (row == 0) & (sizes > 1)] = always
    got = got_from(case, coins)
    for check in checks_of(case):
        assert verdict(check, got) in ("pass", "skipped", "none"), check
    if case.regime == "stream" and not case.batches:
        assert verdict("rate.per-sample", got) == "fail"


def test_half_of_a_batch_that_never_drops_is_no_copy() -> None:
    case = Case("float32", 0.5, 257, 64, 1, 96)
    coins = drawn(case)
    coins.reshape(96, 257, 64)[:, 128:] = False
    got = got_from(case, coins)
    for check in ASKED:
        assert verdict(check, got) in ("pass", "skipped"), check
    assert verdict("rate.per-sample", got) == "fail"


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.regime == "stream" and n != "batches vary"])
def test_a_frozen_mask_is_not_put_down_to_rates(name: str) -> None:
    case = CASES[name]
    one = drawn(case)[: case.rows]
    assert verdict("mask.distinct-calls", got_from(case, np.tile(one, (case.calls, 1)))) == "fail"


def test_two_masks_in_turn_of_few_channels_are_not_put_down_to_rates() -> None:
    case = Case("float32", 0.5, 129, 3, 1, 400)
    two = drawn(case)[: 2 * case.rows]
    assert verdict("mask.distinct-calls", got_from(case, np.tile(two, (case.calls // 2, 1)))) == "fail"


def test_copies_among_rows_of_a_low_rate_are_copies_and_their_twin_is_none() -> None:
    """Row 0 drops one coin in ten; 1025 of them that repeat are no chance, though its rate makes agreement likely."""
    case = Case("float32", 0.5, 9, 1025, 1, 64)
    coins = drawn(case).reshape(64, 9, 1025)
    coins[:, 0] = np.random.default_rng(2).random((64, 1025)) < 0.1
    assert verdict("mask.distinct-calls", got_from(case, coins.reshape(-1, 1025))) == "pass"
    coins[40, 0] = coins[3, 0]
    got = got_from(case, coins.reshape(-1, 1025))
    assert got.positions is not None and got.positions.own.tolist() == [True] + [False] * 8
    assert verdict("mask.distinct-calls", got) == "fail"


def test_copies_of_other_rows_are_told_beside_a_row_that_never_drops() -> None:
    case = Case("float32", 0.5, 65, 67, 1, 80)
    coins = drawn(case).reshape(80, 65, 67)
    coins[:, 0] = False
    coins[70, 9] = coins[2, 9]
    assert verdict("mask.distinct-calls", got_from(case, coins.reshape(-1, 67))) == "fail"


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("channels", [1, 9, 17, 65, 163])
@pytest.mark.parametrize("rows", [5, 130])
def test_counts_without_such_rows_are_those_of_the_other_rows(rows: int, channels: int, always: bool) -> None:
    calls = 64
    case = Case("float32", 0.5, rows, channels, 1, calls)
    coins = drawn(case).reshape(calls, rows, channels)
    still = [0, 3]
    coins[:, still] = always
    whole = tally(np.packbits(coins.reshape(-1, channels), axis=1, bitorder="little"), channels, rows)
    found = live(whole, positions_of(case, whole, None), None)
    kept = np.delete(coins, still, axis=1)
    other = tally(np.packbits(kept.reshape(-1, channels), axis=1, bitorder="little"), channels, rows - 2)
    assert (found.rows, found.dropped, found.coins) == (other.rows, other.dropped, other.coins)
    for name in ("channel", "histogram", "pairs", "far", "far_channel", "triples", "quads", "octets"):
        _equal(getattr(found, name), getattr(other, name))
    assert found.octet_rows == other.octet_rows
    for lag, table in found.call_lags.items():
        for field in ("pairs", "first", "second", "both"):
            _equal(getattr(table, field), getattr(other.call_lags[lag], field))
    for lag, table in found.row_lags.items():
        pairs = [i for i in range(rows - lag) if i // lag % 2 == 0 and not {i, i + lag} & set(still)]
        first = np.array(pairs, np.intp)
        one, two = coins[:, first], coins[:, first + lag]
        _equal(table.pairs, np.full(channels, calls * len(first)))
        _equal(table.first, one.sum(axis=(0, 1)))
        _equal(table.both, (one & two).sum(axis=(0, 1)))


def _equal(one: Any, two: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            _equal(one[key], two[key])
    else:
        np.testing.assert_array_equal(one, two)


def test_right_layers_have_no_row_with_a_rate_of_its_own() -> None:
    """At most OWN of them: none in 400 of them, of many sizes and rates."""
    rng = np.random.default_rng(3)
    for _ in range(400):
        rows, channels, calls = int(rng.integers(1, 40)), int(rng.integers(1, 40)), int(rng.integers(1, 80))
        case = Case("float32", float(rng.uniform(0.001, 0.999)), rows, channels, 1, calls)
        coins = rng.random((case.row_count, channels)) < case.rate
        whole = tally(np.packbits(coins, axis=1, bitorder="little"), channels, rows)
        found = positions_of(case, whole, None)
        assert found is not None and not found.own.any()
        assert live(whole, found, None) is whole


def test_a_mask_shared_by_a_batch_is_copies_of_samples_though_few_rows_leave_channels_equal() -> None:
    """Six calls leave 65 channels with some thirty patterns: fewer rows than chance needs, however often they repeat."""
    case = Case("float32", 0.3, 4097, 65, 1, 6)
    six = np.random.default_rng(4).random((6, 65)) < 0.3
    got = got_from(case, np.repeat(six, 4097, axis=0))
    assert verdict("mask.distinct-channels", got) == "skipped"
    assert verdict("mask.distinct-samples", got) == "fail"


def test_channels_in_groups_stay_copies_of_channels_though_their_rows_repeat() -> None:
    case = Case("float32", 0.3, 4097, 64, 1, 6)
    groups = np.random.default_rng(5).random((case.row_count, 16)) < 0.3
    assert verdict("mask.distinct-channels", got_from(case, np.repeat(groups, 4, axis=1))) == "fail"


def test_the_interval_of_disagreeing_elements_is_at_the_level_of_the_run() -> None:
    case = Case("float32", 0.5, 65, 64, 3, 2)
    got = got_from(case, drawn(case))
    got.proof = {"violations": 80, "example": None}
    check = NAMED["mask.whole-channels"]
    assert check.judge is not None
    found = check.judge(check, got, Limits(0.0))
    assert found is not None and found.verdict == "fail" and found.fail_interval is not None
    assert 0.003 < found.fail_interval[0] < 80 / 8320 < found.fail_interval[1] < 0.03
