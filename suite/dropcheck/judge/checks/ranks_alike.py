"""Ranks with one seed: whether shards of a batch have different masks, and replicas equal ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.modes import RANKED
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import by_coin, dropped, enough, ladder, telling
from dropcheck.judge.checks.looks import life
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding
from dropcheck.results.plain_text import percent
from dropcheck.statistics.binomial import log10_two_sided
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding

ROWS, CHANNELS, SHARED, TIMES = 16, 33, 2, 8
# One question a target, and no share of ALPHA: shards that are independent agree so well with probability below 10^-12. Half of
# what there is to agree must agree besides, which coins that depend on each other within a row do not make up.
LOG10_CHANCE, HALF = -12.0, 0.5
_CASE = "ranks seeded alike"


def alike(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """One seed on both ranks: how many coins of rank 1's samples are those of rank 0's. Nothing outside of the mode ranks.

    Ranks of plain layers share their masks under one seed, as those of PyTorch's own Dropout do: a trait. A layer that runs
    torch.distributed itself (a DTensor, its rank) is run with one seed on all ranks, and its shards are samples of one batch.
    """
    if bench.info.get("mode") not in RANKED or bench.info["framework"] != "torch" or bench.contract.replicas:
        return []
    rate, dtype = ladder(bench, (0.5,))[0], bench.first
    where = f"{dtype} rate={rate:g} {_CASE}"
    got = _asked(check, bench, where, rate)
    if isinstance(got, Finding):
        return [got]
    pairs = [_halves(bench, np.asarray(y), rate, got) for y in got["ys"]]
    mine, theirs = (np.concatenate(side) for side in zip(*pairs, strict=True))
    coins, same = int(mine.size), int(np.count_nonzero(mine == theirs))
    share = float(np.count_nonzero(mine) + np.count_nonzero(theirs)) / (2 * coins)
    expected = share**2 + (1 - share) ** 2
    if not 0.01 < share < 0.99:
        return [
            skipped(check, where, f"{NOT_INTERPRETABLE} {share:.3%} of the elements drop: too few to recognise copies")
        ]
    chance = log10_two_sided(same, coins, expected)
    seeding = "with one seed on both ranks"
    numbers: dict[str, Any] = dict(
        estimate=same / coins,
        expected=expected,
        unit="share of equal decisions on both ranks",
        coins=2 * coins,
        log10_evidence=min(0.0, chance),
        tallies={"same": same, "coins": coins},
    )
    if chance > LOG10_CHANCE or same / coins - expected < HALF * (1 - expected):
        bench.traits["ranks seeded alike"] = "each rank draws its own masks"
        return [finding(check, where, "pass", f"{seeding}, their samples have different masks", **numbers)]
    if not got["knows"]:
        bench.traits["ranks seeded alike"] = "both ranks draw the same masks, as with PyTorch's own Dropout"
        return [
            skipped(
                check,
                where,
                f"{seeding}, both draw the same masks, as with PyTorch's own Dropout: give each rank its own seed",
            )
        ]
    bench.traits["ranks seeded alike"] = "both ranks draw the same masks"
    text = f"{seeding}, {percent(same / coins, 1)} of the drop decisions are equal on both ranks, expected {percent(expected, 1)}"
    return [finding(check, where, "fail", text, **numbers)]


def replicas(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Replicas of one layer on the same batch, seeded alike: every element of both ranks' outputs is equal, in every call."""
    if bench.info.get("mode") not in RANKED or not bench.contract.replicas:
        return []
    rate, dtype = ladder(bench, (0.5,))[0], bench.first
    where = f"{dtype} rate={rate:g} replicas"
    if bench.info["framework"] != "torch":
        return [skipped(check, where, "replicas are tested in PyTorch only; here the ranks have shards of the batch")]
    got = _asked(check, bench, where, rate)
    if isinstance(got, Finding):
        return [got]
    pairs = [_halves(bench, np.asarray(y), rate, got) for y in got["ys"]]
    mine, theirs = (np.concatenate(side) for side in zip(*pairs, strict=True))
    coins, differ = int(mine.size), int(np.count_nonzero(mine != theirs))
    both = [np.split(np.asarray(y), 2, axis=int(got["axis"])) for y in got["ys"]]
    values = sum(not np.array_equal(one, other) for one, other in both)
    numbers: dict[str, Any] = dict(
        estimate=1 - differ / coins,
        expected=1.0,
        unit="share of equal decisions on both ranks",
        coins=2 * coins,
        tallies={"same": coins - differ, "coins": coins},
    )
    if got.get("apart") is not None:
        bench.traits["ranks seeded by rank"] = (
            f"replicas differ in {percent(got['apart'], 1)} of the elements: give all ranks one seed"
            if got["apart"]
            else "replicas agree in every element"
        )
    if differ or values:
        text = f"with one seed and one batch, replicas disagree in {percent(differ / coins, 1)} of the drop decisions"
        if not differ:
            text = f"with one seed and one batch, replicas have the same mask but other values in {values} of {TIMES} calls"
        return [finding(check, where, "fail", f"{text}, expected none", log10_evidence=-math.inf, **numbers)]
    text = f"replicas with one seed agree in {TIMES} calls"
    return [finding(check, where, "pass", text, log10_evidence=0.0, **numbers)]


def _asked(check: Check, bench: Bench, where: str, rate: float) -> dict[str, Any] | Finding:
    """What ranks under one seed return, or why they return nothing."""
    dtype = bench.first
    try:
        x = telling(bench, rate, dtype, *enough(bench.contract.pattern, ROWS, CHANNELS, SHARED))
        way = bench.contract.seeds[0] if bench.contract.seeds else "global"
        return life(bench, "alike", rate=rate, dtype=dtype, seed=bench.seed, way=way, x=x, times=TIMES)
    except Refused as error:
        if error.where == "unsupported":
            return skipped(check, where, error.message)
        return finding(check, where, "error", f"ranks with one seed raise {error}")


def _halves(bench: Bench, y: Any, rate: float, got: dict[str, Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The coins of each rank's samples, in one order."""
    values = rounding.to_float64(y, got["dtype"])
    parts = np.split(values, 2, axis=int(got["axis"]))
    mine, theirs = (by_coin(bench.contract.pattern, dropped(part, bench, rate, got["dtype"]))[:, 0] for part in parts)
    return mine, theirs
