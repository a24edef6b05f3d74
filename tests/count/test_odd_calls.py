"""Calls with a rate of their own: told where all others have one rate, and not where no call has the rate asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dropcheck import Contract, Pattern
from dropcheck.contract.cases import Case
from dropcheck.count.copies import OddCalls, odd_calls
from dropcheck.count.counting import tally
from dropcheck.count.gathered import Gathered
from dropcheck.worker.server.coinwise import pack

CALLS, ROWS = 145, 4097


def of(rates: np.ndarray[Any, Any], seed: int) -> OddCalls | None:
    """What is found in calls of one channel with these rates, asked for .1."""
    coins = np.random.default_rng(seed).random((CALLS, ROWS)) < rates[:, None]
    packed = pack(coins.reshape(-1, 1))
    case = Case("float32", 0.1, ROWS, 1, 4, CALLS)
    proof: dict[str, Any] = dict.fromkeys(("violations", "wrong_values", "nonfinite", "nan"), 0)
    return odd_calls(Gathered(case, Contract(Pattern.parse("n c l -> n c")), tally(packed, 1, ROWS), proof, packed))


@pytest.mark.parametrize("seed", range(12))
def test_one_rate_of_all_calls_that_is_not_the_one_asked_for_makes_none_odd(seed: int) -> None:
    """Of calls at .131 the few that lie nearest to .1 by chance were taken for the usual ones, and the others' top for odd."""
    assert of(np.full(CALLS, 0.131), seed) is None


def test_calls_that_are_odd_are_told_whether_few_or_most() -> None:
    few, most = np.full(CALLS, 0.1), np.full(CALLS, 0.1)
    few[[3, 90]], most[20:] = 0.2, 0.2
    found = of(few, 1)
    assert found is not None and found.calls.tolist() == [3, 90] and abs(found.rate - 0.2) < 0.02
    found = of(most, 1)
    assert (
        found is not None and found.seen == CALLS and {abs(found.rate - x) < 0.02 for x in (0.1, 0.2)} == {True, False}
    )
