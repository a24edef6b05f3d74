"""Ties of both signs that cancel in sums over places and calls are seen one by one; independent coins are left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dropcheck.auditing.run import AuditRequest, run
from dropcheck.count import compiled as native_counting
from dropcheck.count.counting import tally
from dropcheck.count.single_places import single_places
from dropcheck.results.audit import Finding
from dropcheck.selftest.simulated import judge, named, record

CALLS, ROWS, CHANNELS = 256, 6, 64
CASE = f"float32 rate=0.5 {ROWS},{CHANNELS},3 calls={CALLS}"


def drawn(seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((CALLS, ROWS, CHANNELS)) < 0.5


def said(name: str, coins: Any) -> Finding:
    got, check = record(CASE, coins.reshape(-1, CHANNELS)), named(name)
    found = judge(check, got, check.limits("quick", got.case))
    assert found is not None
    return found


SIGNS = {
    "channels": (np.arange(CHANNELS) % 2)[None, None, :],
    "places": ((np.arange(ROWS)[:, None] + np.arange(CHANNELS)[None]) % 2)[None],
    "pairs": (np.arange(CALLS // 2) % 2)[:, None, None],
}


@pytest.mark.parametrize("kind", SIGNS)
def test_calls_that_repeat_and_turn_around_the_last_one_are_not_independent(kind: str) -> None:
    coins = drawn()
    coins[1::2] = coins[::2] ^ SIGNS[kind].astype(bool)
    found = said("mask.independent-calls", coins)
    assert found.verdict == "fail" and found.log10_evidence is not None and found.log10_evidence <= -15
    assert "expected 0" in found.message
    assert said("mask.independent-calls", drawn()).verdict == "pass"


@pytest.mark.parametrize("kind", ["channels", "places"])
def test_samples_that_repeat_and_turn_around_the_last_one_are_not_independent(kind: str) -> None:
    coins = drawn()
    signs = SIGNS["channels"] if kind == "channels" else (np.arange(ROWS // 2) % 2)[None, :, None]
    coins[:, 1::2] = coins[:, ::2] ^ signs.astype(bool)
    assert said("mask.independent-samples", coins).verdict == "fail"
    assert said("mask.independent-samples", drawn()).verdict == "pass"


def test_places_with_rates_that_are_even_over_rows_and_channels_have_rates_of_their_own() -> None:
    fields = 1 - 2 * SIGNS["places"]
    coins = np.random.default_rng(3).random((CALLS, ROWS, CHANNELS)) < 0.5 + 0.06 * fields
    found = said("rate.per-sample", coins)
    assert found.verdict == "fail" and "single places" in found.message
    assert said("rate.per-channel", coins).verdict == "pass"
    assert said("rate.per-sample", drawn(4)).verdict == "pass"


@pytest.mark.parametrize("turned", [False, True])
def test_places_that_only_calls_near_each_other_share_are_a_tie_of_calls(turned: bool) -> None:
    coins = drawn(6)
    for call in range(9, CALLS):
        if call % 18 >= 9:
            coins[call] = coins[call - 9] ^ turned
    found, rates = said("mask.independent-calls", coins), said("rate.per-sample", coins)
    assert found.verdict == "fail" and rates.verdict == "pass"
    lasting = np.random.default_rng(3).random((CALLS, ROWS, CHANNELS)) < 0.5 + 0.06 * (1 - 2 * SIGNS["places"])
    places = single_places(record(CASE, lasting.reshape(-1, CHANNELS)))
    near = single_places(record(CASE, coins.reshape(-1, CHANNELS)))
    assert places is not None and places.lasting and near is not None and not near.lasting
    assert near.distance == 9 and near.rho * (-1) ** turned > 0.4
    assert single_places(record(CASE, drawn(7).reshape(-1, CHANNELS))) is None


@pytest.mark.parametrize("compiled", [True, False])
def test_places_are_counted_as_said_and_add_up(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(native_counting, "library", lambda: None)
    coins = np.random.default_rng(5).random((128, 5, 19)) < 0.3
    packed = np.packbits(coins, axis=-1, bitorder="little").reshape(-1, 3)
    whole = tally(packed, 19, 5)
    split = tally(packed[: 64 * 5], 19, 5).merge(tally(packed[64 * 5 :], 19, 5, start=64 * 5))
    for one in (whole, split):
        t = one.call_places[1]
        for counts, right in ((t.first, coins[::2]), (t.second, coins[1::2]), (t.both, coins[::2] & coins[1::2])):
            assert np.array_equal(counts.reshape(5, 19), right.sum(axis=0))
        assert np.array_equal(one.row_places, (coins[:, [0, 2]] & coins[:, [1, 3]]).sum(axis=0))


def test_planted_ties_of_both_signs_fail_their_check_and_turned_uniforms_pass() -> None:
    targets = {
        "broken.calls-turned": "mask.independent-calls",
        "broken.calls-turned-in-turn": "mask.independent-calls",
        "broken.samples-turned": "mask.independent-samples",
        "broken.checkerboard": "rate.per-sample",
        "unusual.turned-uniforms": None,
    }
    select = (
        "mask.independent-calls",
        "mask.independent-samples",
        "mask.patterns",
        "rate.per-sample",
        "rate.per-channel",
    )
    cases = ("float32 rate=0.5 6,130,3 calls=512", "float32 rate=0.5 257,64,3 calls=64")
    found = run(AuditRequest(targets=tuple(targets), cases=cases, select=select, jobs=1, in_process=True)).targets
    for one, check in zip(found, targets.values(), strict=True):
        assert {f.check for f in one.findings if f.verdict == "fail"} == ({check} if check else set()), one.target


ANYWHERE = {
    "far-antithetic": ("float32 rate=0.3 33,34,3 calls=64", "mask.independent-samples"),
    "negative-index": ("float32 rate=0.3 33,34,3 calls=64", "mask.independent-samples"),
    "first-copies-last": ("float32 rate=0.3 33,34,3 calls=64", "mask.independent-samples"),
    "xor-of-samples": ("float32 rate=0.5 33,66,3 calls=32", "mask.independent-samples"),
    "xor-of-channels": ("float32 rate=0.5 33,66,3 calls=32", "mask.patterns"),
    "shift-register": ("float32 rate=0.5 1,66,3 calls=600", "mask.patterns"),
    "square-transposed": ("float32 rate=0.5 24,24,3 calls=128", "mask.distinct-calls"),
    "square-symmetric": ("float32 rate=0.5 24,24,3 calls=128", "mask.distinct-samples"),
}


@pytest.mark.long  # tests/implementations/test_zoo.py asks the check of each alone
def test_planted_ties_that_no_distance_shows_fail_that_check_alone_and_close_twins_pass() -> None:
    for name, (case, check) in ANYWHERE.items():
        options: Any = dict(cases=(case,), select=("mask", "rate"), jobs=1, in_process=True, causes=False)
        (bad,) = run(AuditRequest(targets=(f"broken.{name}",), **options)).targets
        assert {f.check for f in bad.findings if f.verdict == "fail"} == {check}, name
    twins = [f"unusual.{name}" for name in ("from-both-ends", "drawn-transposed", "exclusive-ors", "one-ahead")]
    cases = tuple(dict.fromkeys(case for case, _ in ANYWHERE.values()))
    request = AuditRequest(targets=tuple(twins), cases=cases, select=("mask",), jobs=1, in_process=True)
    for good in run(request).targets:
        assert not [f for f in good.findings if f.verdict == "fail"], good.target
