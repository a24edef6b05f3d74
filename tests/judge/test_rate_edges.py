"""Every check that judges counts, at the edges of what it may be given: it skips with its reason or decides, never crashes."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.counting import tally
from dropcheck.count.gather import look_for_repeats, neighbouring_seeds
from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import ALPHA, Limits

JUDGES = [c for c in CHECKS if c.judge is not None]
LIMITS = Limits(ALPHA * 0.05 / 96)
EDGES = {
    "one channel": dict(rows=65, channels=1, calls=70),
    "one row": dict(rows=1, channels=70, calls=300),
    "one call": dict(rows=300, channels=9, calls=1),
    "one coin": dict(rows=1, channels=1, calls=1),
    "one row of three channels": dict(rows=1, channels=3, calls=1),
    "two calls of one coin": dict(rows=1, channels=1, calls=2),
    "odd channels": dict(rows=33, channels=13, calls=66),
    "65 channels": dict(rows=9, channels=65, calls=65),
    "above 160 channels": dict(rows=9, channels=163, calls=3),
    "above 1100 channels": dict(rows=2, channels=1103, calls=2),
}


def proof() -> dict[str, Any]:
    """What a worker says of flawless calls."""
    return {
        "violations": 0,
        "nonfinite": 0,
        "wrong": 0,
        "example": None,
        "wrong_example": None,
        "sum": 0.0,
        "values": 0,
        "bare_s": 0.0,
    }


def judged(check: Any, case: Case, rate: float) -> Any:
    """What a check says of independent coins of this rate in this case."""
    rng = np.random.default_rng(1)
    coins = rng.random((case.row_count, case.channels)) < rate
    packed = np.packbits(coins, axis=1, bitorder="little")
    seeds = neighbouring_seeds(5, max(1, case.calls // 2)) if case.regime == "seeds" else None
    rows: int | None = None if case.batches else case.rows
    if seeds is not None:
        packed, rows = packed[: len(seeds) * 2 * case.rows], 2 * case.rows
    classes = None
    if case.regime == "values":
        classes = np.packbits(rng.random((2, *coins.shape)) < 0.5, axis=2, bitorder="little")
    counted = tally(packed, case.channels, rows, classes, seeds=seeds)
    got = Gathered(case, Contract(Pattern.parse("n c l -> n c")), counted, proof(), packed, seeds=seeds)
    look_for_repeats(got, LIMITS.alpha)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return check.judge(check, got, LIMITS)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("check", [c for c in JUDGES if c.family in ("mask", "rate", "seed")], ids=lambda c: c.name)
@pytest.mark.parametrize(("rate", "flipped"), [(0.5, 0.5), (0.001, 0.001), (0.999, 0.999), (0.5, 0.0), (0.5, 1.0)])
def test_edges_are_decided_or_skipped_with_a_reason(check: Any, edge: str, rate: float, flipped: float) -> None:
    for regime in ("stream", "values", "seeds"):
        sizes = EDGES[edge]
        if regime == "seeds":
            sizes = {**sizes, "calls": sizes["calls"] // 8 * 8 or 2}
        case = Case("float32", rate, shared=3, regime=regime, **sizes)
        found = judged(check, case, flipped)
        if found is None:
            continue
        assert found.verdict in ("pass", "skipped", "inconclusive") or check.family == "rate" or flipped in (0.0, 1.0)
        assert found.message
        assert found.log10_evidence is None or found.log10_evidence <= 0
        if flipped in (0.0, 1.0) and check.family in ("mask", "seed"):
            assert found.verdict != "pass", f"{found.message}: coins that fell alike prove nothing"


@pytest.mark.parametrize("check", JUDGES, ids=lambda c: c.name)
@pytest.mark.parametrize("edge", EDGES)
def test_reach_is_a_number_at_every_edge(check: Any, edge: str) -> None:
    if check.reach is None:
        return
    for rate in (0.001, 0.5, 0.999):
        for regime in ("stream", "values", "seeds"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                reached = check.reach(Case("float32", rate, shared=3, regime=regime, **EDGES[edge]), LIMITS)
            assert reached >= 0 and not math.isnan(reached)


def test_a_check_that_no_case_wants_is_not_asked() -> None:
    exact = Case("float32", 0.5, 4, 4, 2, 4, regime="exact")
    assert not any(c.asks(exact, "quick") for c in CHECKS)
