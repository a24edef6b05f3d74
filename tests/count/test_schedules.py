"""Rates that follow the number of calls are seen; whatever else makes calls differ is not taken for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.counting import tally
from dropcheck.count.gathered import Gathered
from dropcheck.count.schedules import schedule
from dropcheck.judge.recomputing import recompute

CALLS, ROWS, CHANNELS = 512, 5, 131


def gathered(coins: Any) -> Gathered:
    """Coins (calls, rows, channels) as a case."""
    calls, rows, channels = coins.shape
    packed = np.packbits(coins.reshape(-1, channels), axis=1, bitorder="little")
    case = Case("float32", 0.5, rows, channels, 1, calls)
    proof = {"nonfinite": 0, "wrong_values": 0}
    return Gathered(case, Contract(Pattern.parse("n c l -> n c")), tally(packed, channels, rows), proof, packed)


def drawn(rate: Callable[[Any], Any], seed: int = 1) -> Any:
    """Independent coins with a rate for each number of a call."""
    rng = np.random.default_rng(seed)
    return rng.random((CALLS, ROWS, CHANNELS)) < rate(np.arange(CALLS))[:, None, None]


@pytest.mark.parametrize(
    "rate",
    [
        lambda t: 0.5 * (1 + t / 4000),
        lambda t: 0.5 / (1 + t / 3000),
        lambda t: np.where(t < 300, 0.5, 0.45),
        lambda t: np.minimum(1.0, 0.3 + t / 300),
    ],
)
def test_a_rate_that_grows_falls_or_steps_is_seen(rate: Callable[[Any], Any]) -> None:
    found = schedule(gathered(drawn(rate)))
    assert found is not None and found.log10_p < -15
    assert found.first == pytest.approx(rate(np.arange(32)).mean(), abs=0.02)
    assert "the rate changes with the number of calls" in found.words


def test_what_makes_calls_differ_in_no_order_is_no_schedule() -> None:
    rng = np.random.default_rng(2)
    fair = [drawn(lambda t: 0.5 + 0 * t, seed) for seed in range(5)]
    clumped = np.repeat(rng.random((CALLS, ROWS, 1)) < 0.5, CHANNELS, axis=2)
    in_turn = drawn(lambda t: np.where(t // 64 % 2, 0.55, 0.45))
    some_masks = (rng.random((4, ROWS, CHANNELS)) < np.array([0.4, 0.45, 0.5, 0.55])[:, None, None]).repeat(128, axis=0)
    each_its_own = drawn(lambda t: np.random.default_rng(3).uniform(0.3, 0.7, len(t)))
    for coins in (*fair, clumped, in_turn, some_masks, each_its_own):
        assert schedule(gathered(coins)) is None


def test_the_failure_follows_from_the_counts_that_are_stored() -> None:
    case = "float32 rate=0.5 5,131,3 calls=512"
    result = dropcheck.audit(
        "broken.creeping-rate", select=("rate.marginal",), cases=(case,), jobs=1, in_process=True, causes=False
    )
    (one,) = [f for f in result.targets[0].findings if f.case == case]
    assert one.verdict == "fail" and "56" in one.message and one.log10_evidence is not None
    done = recompute(result)
    assert done.counted >= 1 and not done.disagreements
