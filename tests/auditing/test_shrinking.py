"""Shrinking: planted predicates and planted layers are shrunk to the smallest case that their defect allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from dropcheck.auditing.run import AuditRequest, run
from dropcheck.auditing.shrinking import BUDGETS, Budget, Shrunk, shrink
from dropcheck.auditing.smallest_case import Trial
from dropcheck.contract.cases import Case, parse_case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks import CHECKS
from dropcheck.plan import targets
from dropcheck.results import audit as results
from dropcheck.worker.client import LocalSession, ask
from dropcheck.worker.sessions import SessionSpec

CONTRACT = Contract(Pattern.parse("n c l -> n c"))
PLENTY = Budget(10**12, 10**9)
BIG = Case("bfloat16", 0.3171, 131, 1025, 33, 40, layout="strided", grad=True, batches=(131, 1, 263), infer=3)


def measured(case: Case) -> tuple[int, int, int, int]:
    return case.rows, case.channels, case.shared, case.calls


def test_without_any_condition_everything_becomes_plain_and_one() -> None:
    small = shrink(BIG, lambda case: True, CONTRACT, PLENTY)
    assert small.case == Case("float32", 0.5, 1, 1, 1, 1)
    assert small.finished


@pytest.mark.parametrize(
    ("claim", "fails", "expected"),
    [
        (
            "above 256 channels",
            lambda c: c.channels > 256,
            {"channels": 257, "rows": 1, "calls": 1, "dtype": "float32"},
        ),
        ("above 300 channels", lambda c: c.channels > 300, {"channels": 301}),
        ("odd channels", lambda c: c.channels % 2 == 1 and c.channels > 4, {"channels": 5, "layout": "contiguous"}),
        ("odd channels above 21", lambda c: c.channels % 2 == 1 and c.channels > 21, {"channels": 23}),
        ("second call", lambda c: c.calls >= 2, {"calls": 2, "channels": 1, "rows": 1}),
        ("bfloat16", lambda c: c.dtype == "bfloat16", {"dtype": "bfloat16", "channels": 1, "grad": False}),
        ("strided", lambda c: c.layout == "strided", {"layout": "strided", "dtype": "float32", "batches": ()}),
        ("batch above 128", lambda c: max(c.batches or (c.rows,)) > 128, {"rows": 129, "batches": (), "channels": 1}),
        ("gradient", lambda c: c.grad, {"grad": True, "infer": 0, "layout": "contiguous"}),
        ("a larger second batch", lambda c: len(c.batches) > 1 and c.batches[0] < max(c.batches), {"batches": (1, 2)}),
        ("rates below .2", lambda c: c.rate < 0.2, {"rate": 0.1}),
        ("inference between calls", lambda c: c.infer > 0, {"infer": 1}),
        ("two elements a coin", lambda c: c.shared >= 2, {"shared": 2}),
    ],
)
def test_each_condition_keeps_what_it_needs_and_no_more(
    claim: str, fails: Callable[[Case], bool], expected: dict[str, object]
) -> None:
    start = replace(BIG, rate=0.15) if claim == "rates below .2" else BIG
    small = shrink(start, fails, CONTRACT, PLENTY)
    assert fails(small.case)
    assert {name: getattr(small.case, name) for name in expected} == expected


def test_evidence_that_needs_coins_stops_the_shrinking_by_itself() -> None:
    start = Case("float32", 0.5, 257, 64, 4, 64)
    small = shrink(start, lambda case: case.coins >= 5000, CONTRACT, PLENTY).case
    assert 5000 <= small.coins < 5100
    assert (small.calls, small.shared) == (1, 1)


def test_nothing_fails_but_the_start_so_the_start_is_returned() -> None:
    start = replace(BIG, drawn=True)
    small = shrink(start, lambda case: False, CONTRACT, PLENTY)
    assert small.case == replace(start, drawn=False)


def test_shrinking_stays_in_its_budget_and_says_when_that_was_too_small() -> None:
    asked: list[Case] = []

    def fails(case: Case) -> bool:
        asked.append(case)
        return case.channels > 256

    small = shrink(BIG, fails, CONTRACT, Budget(2_000_000, 400))
    assert sum(c.coins for c in asked) <= 2_000_000
    assert sum(c.calls for c in asked) <= 400
    assert not small.finished
    assert small.case.coins < BIG.coins


def test_shrinking_is_the_same_every_time_and_asks_no_case_twice() -> None:
    def shrunk() -> tuple[Shrunk, list[str]]:
        asked: list[str] = []

        def fails(case: Case) -> bool:
            asked.append(str(case))
            return case.channels * case.rows > 700 and case.calls > 2

        return shrink(BIG, fails, CONTRACT, PLENTY), asked

    (one, asked), (two, again) = shrunk(), shrunk()
    assert one == two
    assert asked == again
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize(
    ("pattern", "fixed"), [("n c l -> n", "channels"), ("n c l -> c", "rows"), ("n c -> n c", "shared")]
)
def test_a_size_that_the_pattern_does_not_have_is_never_changed(pattern: str, fixed: str) -> None:
    start = replace(Case("float32", 0.3, 40, 30, 20, 10), **{fixed: 1})
    contract = Contract(Pattern.parse(pattern))
    asked: list[Case] = []

    def fails(case: Case) -> bool:
        asked.append(case)
        return case.coins >= 100

    shrink(start, fails, contract, PLENTY)
    assert asked
    assert {getattr(case, fixed) for case in asked} == {1}


def test_only_rates_that_the_contract_allows_are_tried() -> None:
    asked: list[float] = []

    def fails(case: Case) -> bool:
        asked.append(case.rate)
        return False

    shrink(Case("float32", 0.25, 9, 9, 1, 2), fails, replace(CONTRACT, rates=(0.25, 0.1)), PLENTY)
    assert set(asked) <= {0.25, 0.1}
    assert 0.1 in asked


# --- planted layers --------------------------------------------------------------------------------------------------


@dataclass
class Smallest:
    """A planted layer's failing case, shrunk."""

    case: Case
    rows_drawn: list[str]
    tries: int


def shrunk_layer(name: str, check_name: str, start: str) -> Smallest:
    session = LocalSession()
    try:
        target = targets.parse(name)
        opened = ask(session, "open", locator=target.locator, source=target.source, pattern=None)
        contract = Contract.from_dict(opened["contract"])
        check = next(c for c in CHECKS if c.name == check_name)
        spec = SessionSpec(target.locator, target.source, in_process=True)
        trial = Trial(session, spec, contract, check, AuditRequest(seed=5), name, 1e-10)
        assert trial(parse_case(start)), "the planned case must fail, or there is nothing to shrink"
        small = shrink(parse_case(start), trial, contract, BUDGETS["quick"])
        shown = trial.last[str(small.case)]
        return Smallest(small.case, shown.rows if shown else [], small.tries)
    finally:
        session.close()


def test_channels_that_wrap_shrink_to_257() -> None:
    small = shrunk_layer(
        "broken.wide-channels-wrap", "mask.distinct-channels", "float64 rate=0.41 129,1025,3 calls=8 grad"
    )
    assert small.case.channels == 257
    assert (small.case.dtype, small.case.grad, small.case.shared) == ("float32", False, 1)
    assert 30 <= small.case.row_count <= 64  # fewer cannot tell copies from chance


def test_an_odd_tail_shrinks_to_three_channels_whose_last_is_the_first() -> None:
    small = shrunk_layer(
        "broken.odd-tail-copies", "mask.distinct-channels", "float16 rate=0.3 257,131,5 calls=20 strided"
    )
    assert (small.case.channels, small.case.layout) == (3, "contiguous")
    first, middle, last = small.rows_drawn
    assert first == last != middle


def test_large_batches_shrink_to_just_above_128_rows() -> None:
    small = shrunk_layer("broken.large-batches-repeat", "mask.distinct-samples", "float32 rate=0.5 257,64,4 calls=20")
    assert small.case.calls == 1
    assert 128 < small.case.rows <= 256
    assert small.case.coins < 1000


def test_a_second_call_that_repeats_the_first_shrinks_to_two_calls() -> None:
    small = shrunk_layer(
        "broken.second-call-repeats", "mask.distinct-calls", "float32 rate=0.5 65,66,4 calls=40 infer=3"
    )
    assert (small.case.calls, small.case.infer) == (2, 0)
    assert small.case.coins < 1000


def test_strided_inputs_stay_strided_and_shrink_to_two_elements() -> None:
    small = shrunk_layer(
        "broken.strided-tears-channels", "mask.whole-channels", "float64 rate=0.3 131,34,6 calls=20 strided"
    )
    assert (small.case.layout, small.case.shared, small.case.dtype) == ("strided", 2, "float32")
    assert small.case.coins <= 4


def test_quads_shrink_to_two_equal_channels() -> None:
    small = shrunk_layer("broken.quads-share-a-coin", "mask.distinct-channels", "float32 rate=0.3 257,64,4 calls=64")
    assert small.case.channels == 2
    assert 20 <= small.case.row_count <= 64
    assert small.rows_drawn[0] == small.rows_drawn[1]


# --- in an audit -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def audited() -> results.TargetResult:
    cases = ("float32 rate=0.3 257,64,4 calls=64", "float64 rate=0.5 129,65,3 calls=64")
    request = AuditRequest(
        targets=("broken.odd-tail-copies",), select=("mask.*",), cases=cases, in_process=True, argv=("audit",)
    )
    return run(request).targets[0]


def test_a_finding_carries_its_smallest_case_and_the_command_that_repeats_it(audited: results.TargetResult) -> None:
    shrunk = [f for f in audited.findings if f.smallest is not None]
    assert [f.check for f in shrunk] == ["mask.distinct-channels"]
    (one,) = shrunk
    assert one.case == "float64 rate=0.5 129,65,3 calls=64"  # the evidence stays with the planned case
    assert one.coins > 10_000
    assert parse_case(str(one.smallest)).channels == 3
    assert str(one.smallest) in one.smallest_replay


def test_the_smallest_case_fails_when_its_command_is_run(audited: results.TargetResult) -> None:
    (one,) = [f for f in audited.findings if f.smallest is not None]
    request = AuditRequest(
        targets=("broken.odd-tail-copies",), select=(one.check,), cases=(str(one.smallest),), in_process=True
    )
    again = run(request).targets[0].findings
    assert [(f.check, f.case, f.verdict) for f in again] == [(one.check, one.smallest, "fail")]


def test_a_correct_layer_is_never_shrunk() -> None:
    request = AuditRequest(
        targets=("unusual.block-drawn",),
        select=("mask.*",),
        cases=("float32 rate=0.5 129,65,3 calls=64",),
        in_process=True,
    )
    (target,) = run(request).targets
    assert target.verdict == "pass"
    assert all(f.smallest is None and f.cause is None for f in target.findings)
