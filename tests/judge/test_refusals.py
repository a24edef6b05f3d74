"""A refusal and a crash are told apart; a layout that a layer refuses is skipped, a crash on it is an error."""

from __future__ import annotations

import pytest

from dropcheck.contract.cases import parse_case
from dropcheck.count.gather import Refusal
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.refusals import crashed
from dropcheck.judge.verdicts import refused_case


@pytest.mark.parametrize(
    ("kind", "words", "where", "expected"),
    [
        ("ValueError", "rate is a probability", "construct", False),
        ("TypeError", "the input must be stored without gaps", "call", False),
        ("NotImplementedError", "", "call", False),
        ("AssertionError", "", "construct", False),
        ("TypeError", "unsupported operand type(s) for -: 'int' and 'NoneType'", "call", True),
        ("IndexError", "index 0 is out of bounds for axis 0 with size 0", "call", True),
        ("ZeroDivisionError", "float division by zero", "gradient", True),
        ("KeyError", "'x'", "unsupported", False),
    ],
)
def test_a_crash_is_no_refusal(kind: str, words: str, where: str, expected: bool) -> None:
    assert crashed(Refusal(where, kind, words, [])) is expected


@pytest.mark.parametrize(
    ("case", "kind", "expected"),
    [
        ("float32 rate=.5 65,66,6 calls=64 strided", "ValueError", "skipped"),
        ("float32 rate=.5 65,66,6 calls=64 strided", "IndexError", "error"),
        ("float32 rate=.5 65,66,6 calls=64", "ValueError", "error"),
    ],
)
def test_a_layout_may_be_refused(case: str, kind: str, expected: str) -> None:
    judged = refused_case(parse_case(case), CHECKS, Refusal("call", kind, "no gaps, please", []))
    assert judged and {one.verdict for one in judged} == {expected}
