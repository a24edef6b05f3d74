"""Ending early: a planted bias costs few coins, a right layer a third, and nobody's timing changes a result."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.stats import binom

import dropcheck
from dropcheck.auditing.sequential import LEAST_CALLS, Early, plans
from dropcheck.contract.cases import Case
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.gather import Counted, Refusal
from dropcheck.count.tallies import Tally
from dropcheck.count.units import Unit
from dropcheck.judge.checks import CHECKS, matching
from dropcheck.plan.request import AuditRequest
from dropcheck.report import text
from dropcheck.results.audit import Result
from dropcheck.statistics import binomial

Write = Callable[[str, str], Path]

LAYERS = """
import numpy as np

def right(x, rate, *, training, rng, shift=0.0):
    if not training or rate == 0:
        return x.copy()
    if rate == 1:
        return np.zeros_like(x)
    keep = rng.random((*x.shape[:2], 1)) >= rate + shift
    return np.where(keep, x / (1 - rate), 0).astype(x.dtype)

def biased(x, rate, *, training, rng):
    return right(x, rate, training=training, rng=rng, shift=.02)
"""
CASE = "float32 rate=0.3 257,64,4 calls=96"
CONTRACT = Contract(pattern=Pattern.parse("n c l -> n c"))


@pytest.fixture
def mine(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write("mine.py", LAYERS)


def audit(layer: str, **options: Any) -> Result:
    options = {
        "cases": (CASE,),
        "select": ("rate.marginal", "scale.kept-values"),
        "jobs": 1,
        "causes": False,
        **options,
    }
    return dropcheck.audit(f"mine.py:{layer}", sequential=True, **options)


def marginal(result: Result) -> Any:
    (target,) = result.targets
    assert target.error is None, target.error
    (one,) = (f for f in target.findings if f.check == "rate.marginal")
    return one


def planned(**more: Any) -> Early:
    case = Case("float32", 0.3, 257, 64, 4, 96)
    request = AuditRequest(sequential=True, **more)
    (one,) = plans(request, CONTRACT, {case: matching(["rate.marginal", "scale.kept-values"])}).values()
    return one


def test_a_planted_bias_is_failed_with_far_fewer_coins_than_the_fixed_plan(mine: Path) -> None:
    one = marginal(audit("biased", in_process=True))
    assert one.verdict == "fail"
    fixed = one.tallies["planned"]
    assert fixed == 257 * 64 * 96
    assert one.coins <= fixed / 8
    assert f"decided after {one.coins:,} drop decisions, where a fixed plan takes {fixed:,}" in one.message
    assert one.log10_evidence <= -8.9


def test_a_right_layer_passes_with_its_coins_and_the_resolution_of_the_plan(mine: Path) -> None:
    result = audit("right", in_process=True)
    one = marginal(result)
    assert one.verdict == "pass"
    assert one.coins == result.targets[0].coins < one.tallies["planned"] / 2
    limits = next(c for c in CHECKS if c.name == "rate.marginal").limits("quick")
    assert one.resolution == pytest.approx(binomial.resolution(one.tallies["planned"], 0.3, limits.alpha, limits.beta))
    shown = text.render(result, every=True, width=200)
    assert f"decided after {one.coins:,} drop decisions" in shown
    assert f"an error of the drop rate, {one.resolution * 100:.2g} points" in shown
    assert "--sequential" in one.replay


@pytest.mark.parametrize("layer", ["right", "biased"])
def test_one_worker_and_two_say_the_same(mine: Path, layer: str) -> None:
    facts = []
    for jobs in (1, 2):
        (target,) = audit(layer, jobs=jobs).targets
        assert target.error is None, target.error
        facts.append((msgspec.to_builtins(target.findings), target.verdict, target.coins))
    assert facts[0] == facts[1]


def counted(unit: Unit, drops: int) -> Counted:
    rows = 257 * unit.calls
    return Counted(unit, Tally(64, rows=rows, calls=unit.calls, dropped=drops))


def test_units_count_in_their_order_and_those_behind_the_decision_do_not(mine: Path) -> None:
    one = planned()
    rng = np.random.default_rng(4)
    coins = 257 * 64 * one.units[0].calls
    whole = {u.index: counted(u, int(rng.binomial(coins, 0.3))) for u in one.units}
    used = one.used(whole)
    assert 2 < len(used) < len(one.units)
    for seed in range(5):
        order = list(whole)
        random.Random(seed).shuffle(order)
        some: dict[int, Counted] = {}
        for index in order:
            some[index] = whole[index]
            early = one.used(some)
            assert early in ([], used)
    # whatever comes behind the deciding unit, were it drops only
    other = {**whole, **{u.index: counted(u, coins) for u in one.units[len(used) :]}}
    assert one.used(other) == used


def test_a_refusal_counts_in_its_place_too() -> None:
    one = planned()
    coins = 257 * 64 * one.units[0].calls
    parts = {u.index: counted(u, round(0.3 * coins)) for u in one.units}
    last = len(one.used(parts)) - 1
    for index, ends in ((last + 1, last), (1, 1)):
        refused = Counted(one.units[index], Tally(64), refusal=Refusal("call", "OSError", "", []))
        assert len(one.used({**parts, index: refused})) == ends + 1


def test_false_alarms_and_misses_at_levels_that_can_be_counted() -> None:
    """The plan's own units and looks at alpha .05 and beta .05: 4000 audits of a right layer, and of one delta1 off."""
    from dropcheck.statistics import sequential

    one = planned()
    sides = sequential.plan(0.3, one.case.coins // 40, 0.05, 0.05)
    step, rng, audits = one.case.coins // 640, np.random.default_rng(7), 4000
    for theta, verdict in ((0.3, "fail"), (0.3 + sides.delta1, "pass"), (0.3 - sides.delta1, "pass")):
        wrong = 0
        for _ in range(audits):
            state = sequential.State()
            for _ in itertools.count():
                state = sequential.after(sides, state, int(rng.binomial(step, theta)), step)
                decision = sequential.decide(sides, state)
                if decision is not None:
                    break
            wrong += decision == verdict
        assert binom.sf(wrong - 1, audits, 0.05) > 1e-6, (theta, wrong)


def test_only_cases_that_serve_the_rate_alone_end_early() -> None:
    both = matching(["rate.marginal", "mask.whole-channels", "rate.per-shape"])
    request = AuditRequest(sequential=True)
    plain = Case("float32", 0.3, 257, 64, 4, 96)
    assert list(plans(request, CONTRACT, {plain: both})) == [plain]
    assert not plans(request, CONTRACT, {plain: [*both, *matching(["rate.per-channel"])]})
    assert not plans(AuditRequest(), CONTRACT, {plain: both}), "only where it is asked for"
    # a layer that drops nothing at rate .001 lies within the resolution on that side: the exact test sees it, no ratio does
    assert not plans(request, CONTRACT, {Case("float32", 0.001, 1025, 65, 4, 2): both})
    assert not plans(request, CONTRACT, {Case("float32", 0.5, 9, 131, 3, 64, regime="seeds"): both})


def test_units_reach_the_cap_in_whole_turns_and_are_no_single_calls() -> None:
    for case in (
        Case("float32", 0.3, 50, 65, 3, 480, batches=(64, 1, 130, 5)),
        Case("float32", 0.3, 4097, 65, 4, 6),
        Case("float32", 0.3, 257, 64, 4, 96),
    ):
        (one,) = plans(AuditRequest(sequential=True), CONTRACT, {case: matching(["rate.marginal"])}).values()
        calls = one.units[0].calls
        assert all(u.calls == calls for u in one.units)
        assert calls % max(1, len(case.batches)) == 0 and calls >= min(LEAST_CALLS, case.calls)
        coins = Case(case.dtype, case.rate, case.rows, case.channels, case.shared, calls, batches=case.batches).coins
        assert coins * (len(one.units) - 1) < one.sides.cap <= coins * len(one.units)


def test_a_ledger_is_refused_beside_it(mine: Path) -> None:
    with pytest.raises(UsageError, match="--ledger and --sequential"):
        audit("right", ledger=mine.parent / "book")
