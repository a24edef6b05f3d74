"""What a judged case keeps until its target is finished: what comparisons of cases ask, and no table."""

from __future__ import annotations

import pickle

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.copies import odd_calls
from dropcheck.count.counting import tally
from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks import CHECK

ROWS, CALLS = 9, 200


def _gathered(channels: int, rate: float) -> Gathered:
    case = Case("float32", 0.3, ROWS, channels, 2, CALLS)
    coins = np.random.default_rng(channels).random((ROWS * CALLS, channels)) < rate
    packed = np.packbits(coins, axis=1, bitorder="little")
    proof = {"nonfinite": 0, "wrong_values": 0}
    return Gathered(case, Contract(Pattern.parse("n c l -> n c")), tally(packed, channels, ROWS), proof, packed)


def test_a_case_that_was_let_go_is_compared_as_before_and_holds_a_fiftieth() -> None:
    check = CHECK["rate.per-shape"]
    assert check.compare is not None
    some = [_gathered(300, 0.3), _gathered(301, 0.3), _gathered(302, 0.4)]
    for got in some:
        got.once(odd_calls)
        assert got.live.rows == ROWS * CALLS
    before = check.compare(check, some, check.limits("quick"))
    held = len(pickle.dumps(some))
    for got in some:
        got.let_go()
    after = check.compare(check, some, check.limits("quick"))
    assert [one.verdict for one in before] == ["fail"]  # the third case drops more often than the others
    assert after == before
    assert len(pickle.dumps(some)) < held / 50
