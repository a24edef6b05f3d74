"""What is wrong with one output: elements that disagree with their coin, or wrong values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dropcheck.contract.promise import Pattern
from dropcheck.judge.checks.base import Bench
from dropcheck.judge.checks.exact_questions import (
    by_coin,
    coins_of,
    dropped,
    ladder,
)
from dropcheck.judge.checks.visible import KEPT, WHOLE, right_values


def first_rate(bench: Bench) -> float:
    return ladder(bench, (0.3,))[0]


@dataclass(frozen=True)
class Wrong:
    """What is wrong with an output: the check that owns such a fault, and the words."""

    check: str
    words: str


def wrong_in(bench: Bench, pattern: Pattern, x: Any, y: Any, rate: float, dtype: str) -> Wrong | None:
    """What is wrong with an output: elements that disagree with their coin, or wrong values; None if nothing is."""
    gone = dropped(y, bench, rate, dtype)
    coins = by_coin(pattern, gone)
    mixed = int(np.count_nonzero(coins.any(axis=1) != coins.all(axis=1)))
    if mixed:
        return Wrong(WHOLE, f"{mixed} of {len(coins)} drop decisions have dropped and kept elements")
    if bench.contract.keeps_at(rate):
        wrong = ~gone & ~right_values(bench, x, y, rate, dtype)
        if wrong.any():
            text = f"{int(wrong.sum())} of {y.size} elements are neither dropped nor the input times the scale"
            return Wrong(KEPT, text)
    if not gone.any() and (1 - rate) ** coins_of(pattern, x.shape) < 1e-12:  # by chance with that probability
        return Wrong("rate.marginal", "nothing is dropped")
    return None
