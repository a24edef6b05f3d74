"""Judgements of coins that a test makes itself: as a worker would count them, without a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.coins import Bytes
from dropcheck.count.counting import tally
from dropcheck.count.gather import Counted, gathered
from dropcheck.count.repeated_stretches import stretches_of
from dropcheck.count.repeated_words import sample_of
from dropcheck.count.tallies import SAMPLE
from dropcheck.count.units import Unit
from dropcheck.judge.checks import CHECKS
from dropcheck.results.audit import Finding

CONTRACT = Contract(Pattern.parse("n c l -> n c"))


def packed(bits: Any, channels: int) -> Bytes:
    return np.packbits(np.reshape(bits, (-1, channels)), axis=1, bitorder="little")


def draws(coins: int, rate: float = 0.5, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random(coins) < rate


def counted(case: Case, bits: Any, step: int = 1 << 20, index: int = 0) -> Counted:
    rows = packed(bits, case.channels)
    found = stretches_of(case)
    for at in range(0, len(rows), step) if found is not None else ():
        found.add(rows[at : at + step])
    words = sample_of(case)
    if words is not None:
        words.add(rows)
    return Counted(
        Unit(case, index, case.calls),
        tally(rows, case.channels, case.rows),
        {"violations": 0, "nonfinite": 0},
        [] if index else [rows[: SAMPLE // case.channels]],
        None if words is None else words.lookup(case),
        None if found is None else found.lookup(case),
    )


def judged(case: Case, bits: Any, name: str) -> Finding:
    check = next(c for c in CHECKS if c.name == name)
    limits = check.limits("quick", case)
    assert check.judge is not None
    found = check.judge(check, gathered(case, CONTRACT, [counted(case, bits)], limits.alpha), limits)
    assert found is not None
    return found
