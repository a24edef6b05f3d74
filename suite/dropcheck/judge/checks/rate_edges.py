"""What the questions about rates 0, 1 and invalid rates share: their calls, the coins counted, words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from dropcheck.contract.promise import Pattern
from dropcheck.judge.checks.base import Bench, Check, Limits, finding
from dropcheck.judge.checks.exact_questions import (
    Answer,
    Step,
    by_coin,
    coins_of,
    enough,
)
from dropcheck.results.audit import Finding
from dropcheck.statistics import binomial
from dropcheck.worker.client import Refused

_LARGE = (1025, 1023, 1)  # sizes of the calls that a fine resolution takes: a million coins each
_MOST = 2**28  # coins that an edge is asked at most
_DEEP = 1e-7  # profile deep looks for events as rare: uniform numbers that round to 1 have 2**-25
_LONGEST = 160  # characters of an exception in a message
_MOST_CALLS = 20_000  # further calls that it is asked at most
AT_ONCE = 8  # large calls in one request
_SHAPES = {"quick": ((33, 65, 3),), "standard": ((1025, 65, 3), (1, 8193, 2), (257, 3, 4))}


def fixed(bench: Bench, rate: float) -> str | None:
    """Why the layer cannot be asked at this rate: its own rates are fixed; None where it can."""
    if bench.contract.rates is not None and rate not in bench.contract.rates:
        return f"the layer has the fixed rate {', '.join(f'{r:g}' for r in bench.contract.rates)}"
    return None


def malformed(check: Check, where: str, answer: Answer, dtype: str, x: Any) -> Finding:
    """Nothing was measured: neither a pass nor this claim's failure, which ``form.shape-dtype`` is where it is selected."""
    text = f"a call returns {answer.dtype} {answer.shape} for an input of {dtype} {x.shape} (see form.shape-dtype)"
    return finding(check, where, "inconclusive", text)


def shapes(bench: Bench) -> list[tuple[int, int, int]]:
    """Sizes of the calls: as many coins for a pattern that lacks rows or channels as for one that has both."""
    return [enough(bench.contract.pattern, *s) for s in _SHAPES.get(bench.profile, _SHAPES["standard"])]


def times(pattern: Pattern, shape: tuple[int, ...], limits: Limits) -> int:
    """Calls of one shape: four, or, where a call has a single coin, as many as the coarsest resolution takes."""
    one = coins_of(pattern, shape)
    if pattern.coins or limits.coarsest is None:
        return 4
    return max(4, min(8192, -(-binomial.zero_tolerance_coins(limits.coarsest, limits.beta) // max(1, one))))


def marked(pattern: Pattern, elements: Any) -> int:
    """Coins of which at least one element is marked."""
    return int(np.count_nonzero(by_coin(pattern, elements).any(axis=1)))


def more(bench: Bench, limits: Limits, coins: int) -> list[Step]:
    """Further calls that bring the coins of an edge up to the resolution wanted: one event is proof, a coin is cheap.

    After ln(1 / beta) / r coins an event of probability r has escaped with probability beta at most. Large calls, except
    where a whole call has one coin.
    """
    wanted = _DEEP if bench.profile == "deep" and bench.resolution is None else limits.coarsest
    if not wanted:
        return []
    pattern = bench.contract.pattern
    rows, channels, shared = _LARGE
    widest = int(bench.info.get("widest", 0)) or channels
    shape = pattern.shape(*(enough(pattern, rows, min(channels, widest), shared) if pattern.coins else (1, 1, 60)))
    one = coins_of(pattern, shape)
    need = min(_MOST, binomial.zero_tolerance_coins(wanted, limits.beta)) - coins
    return [(shape, True, False, "")] * min(_MOST_CALLS, -(-max(0, need) // one))


def short(resolution: float, limits: Limits) -> str:
    """That the resolution asked for takes more coins than are asked."""
    if limits.coarsest is None or resolution <= limits.coarsest:
        return ""
    need = binomial.zero_tolerance_coins(limits.coarsest, limits.beta)
    return f"; to detect a share of {limits.coarsest:g} takes {need:,} drop decisions, above the limit"


def raised(refused: Refused) -> str:
    """The exception in a line: without the colours of a terminal, and without the arguments that some frameworks list."""
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", refused.message).partition("Arguments received")[0].split())
    return f"{refused.kind}: {plain[:_LONGEST]}" if plain else refused.kind
