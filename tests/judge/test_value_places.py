"""Coins that follow the input with both signs: what cancels in sums over rows and channels is asked place by place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dropcheck.auditing.run import run
from dropcheck.contract.cases import parse_case
from dropcheck.count import compiled as native_counting
from dropcheck.count.copies import CERTAIN
from dropcheck.count.counting import tally
from dropcheck.judge.checks.value_places import by_place
from dropcheck.plan.request import AuditRequest
from dropcheck.selftest import simulated
from dropcheck.selftest.simulated import pack

CASE = "float32 rate=0.5 31,33,3 calls=65 values"
NAMES = ("sign", "magnitude")


def drawn(seed: int, signs: Any, lean: float = 0.1) -> tuple[Any, Any]:
    """Coins that follow the first class of the input by a lean of these signs, and the classes."""
    rng = np.random.default_rng(seed)
    case = parse_case(CASE)
    classes = simulated.classes_of(rng, case, case.row_count)
    rates = 0.5 + lean * np.where(classes[0], 1, -1) * np.tile(signs, (case.calls, 1))
    return rng.random(rates.shape) < rates, classes


def signs(kind: str) -> Any:
    rows, channels = np.arange(31)[:, None], np.arange(33)[None]
    fields = {"rows": rows + 0 * channels, "places": rows + channels}[kind]
    return 1 - 2 * (fields % 2)


@pytest.mark.parametrize("kind", ["rows", "places"])
def test_signs_that_cancel_in_sums_are_seen(kind: str) -> None:
    coins, classes = drawn(1, signs(kind))
    got = simulated.record(CASE, coins, classes)
    check = simulated.named("mask.ignores-values")
    found = simulated.judge(check, got, check.limits("quick", got.case))
    assert found is not None and found.verdict == "fail" and "in another direction at each place" in found.message
    assert found.log10_evidence is not None and found.log10_evidence <= CERTAIN
    assert max(abs(one) for one in found.tallies["lags"].values()) < 0.02


def test_coins_that_do_not_depend_on_values_pass_whatever_else_they_do() -> None:
    coins, _ = drawn(2, signs("places"))
    other = simulated.classes_of(np.random.default_rng(9), parse_case(CASE), len(coins))
    for some in (coins, np.tile(coins[:31], (65, 1)), np.repeat(coins[:, :1], 33, axis=1)):  # frozen, or one coin a row
        got = simulated.record(CASE, some, other)
        log, _, lean = by_place(got.tally, NAMES)
        assert log > -6 and abs(lean) < 0.05


def test_the_law_is_kept_by_independent_coins() -> None:
    logs = [by_place(simulated.record(CASE, *drawn(seed, signs("rows"), 0.0)).tally, NAMES)[0] for seed in range(40)]
    assert min(logs) > -4 and sum(log < -1.3 for log in logs) <= 8


@pytest.mark.parametrize("compiled", [True, False])
def test_places_are_counted_as_said_and_add_up(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(native_counting, "library", lambda: None)
    coins, classes = drawn(3, signs("rows"))
    packed, packed_classes = pack(coins), pack(classes)
    cut = 31 * 27
    whole = tally(packed, 33, 31, packed_classes)
    parts = tally(packed[:cut], 33, 31, packed_classes[:, :cut]).merge(
        tally(packed[cut:], 33, 31, packed_classes[:, cut:], start=cut)
    )
    differ = (coins[None] ^ classes).reshape(2, 65, 31, 33)
    for one in (whole, parts):
        assert one.value_calls.tolist() == [33, 32]
        for half in (0, 1):
            assert np.array_equal(one.value_places[:, half], differ[:, half::2].sum(axis=1))


def test_planted_defects_fail_their_check_alone_and_right_layers_pass() -> None:
    targets = {"broken.follows-by-row": {"mask.ignores-values"}, "broken.follows-by-place": {"mask.ignores-values"}}
    right: dict[str, set[str]] = {"custom.reference": set(), "unusual.turned-uniforms": set()}
    cases = ("float32 rate=0.5 129,65,3 calls=64 values", "float32 rate=0.5 257,64,3 calls=64")
    found = run(AuditRequest(targets=(*targets, *right), cases=cases, jobs=1, in_process=True)).targets
    for one, checks in zip(found, (targets | right).values(), strict=True):
        assert {f.check for f in one.findings if f.verdict == "fail"} == checks, one.target
