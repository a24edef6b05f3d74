"""Samples with keys of their own (JAX vmap): whether each sample's mask is what its key draws for it alone."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.contract.modes import MAPPED
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import by_coin, dropped, enough, ladder, telling
from dropcheck.judge.checks.looks import life
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding

ROWS, CHANNELS, SHARED = 16, 33, 2


def own_keys(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Every sample of one mapped call, and each sample mapped alone with its key. Nothing outside of these modes of JAX."""
    if bench.info.get("mode") not in MAPPED or not bench.contract.seeds:
        return []
    rate, dtype = ladder(bench, (0.5,))[0], bench.first
    where = f"{dtype} own keys"
    try:
        x = telling(bench, rate, dtype, *enough(bench.contract.pattern, ROWS, CHANNELS, SHARED))
        got = life(bench, "own_keys", rate=rate, dtype=dtype, seed=bench.seed, way=bench.contract.seeds[0], x=x)
    except Refused as error:
        if error.where == "unsupported":
            return [skipped(check, where, error.message)]
        return [finding(check, where, "error", f"samples with keys of their own raise {error}")]
    axis = bench.contract.pattern.axes.index(bench.contract.pattern.row_axes[0])
    pairs = []
    for name in ("together", "alone"):
        values = np.split(rounding.to_float64(np.asarray(got[name]), got["dtype"]), x.shape[axis], axis=axis)
        pairs.append([by_coin(bench.contract.pattern, dropped(one, bench, rate, got["dtype"]))[:, 0] for one in values])
    rows = len(pairs[0])
    same = sum(bool(np.array_equal(one, other)) for one, other in zip(*pairs, strict=True))
    coins = sum(int(one.size) for side in pairs for one in side)
    numbers = {"estimate": same / rows, "expected": 1.0, "unit": "share of samples with the mask of their own key"}
    if same < rows:
        text = (
            f"under vmap, {same} of {rows} samples have the mask that their own key draws for them alone, expected all"
        )
        if bench.info.get("mode") != MAPPED[0]:
            text += "; keys of rbg and unsafe_rbg draw all masks from the first key: use the default keys"
        return [finding(check, where, "fail", text, coins=coins, log10_evidence=-math.inf, **numbers)]
    text = f"under vmap, all {rows} samples have the mask that their own key draws for them alone"
    return [finding(check, where, "pass", text, coins=coins, log10_evidence=0.0, **numbers)]
