"""Samples whose masks must not depend on where they are drawn (JAX): mapped with keys of their own, or on two devices."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.contract.modes import MAPPED, SHARDED
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import by_coin, dropped, enough, ladder, telling
from dropcheck.judge.checks.looks import life
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding

ROWS, CHANNELS, SHARED = 16, 33, 2


def own_keys(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Every sample of one mapped call, and each sample mapped alone with its key. Nothing outside of these modes of JAX.

    In the mode of sharded samples: one call of samples on two devices, and the same call on one. Masks are compared bit for bit.
    """
    mode = bench.info.get("mode")
    if mode not in (*MAPPED, SHARDED) or not bench.contract.seeds:
        return []
    rate, dtype = ladder(bench, (0.5,))[0], bench.first
    where = f"{dtype} sharded" if mode == SHARDED else f"{dtype} own keys"
    under, mask = "under vmap", "the mask that their own key draws for them alone"
    if mode == SHARDED:
        under, mask = "with samples sharded over two devices", "the mask that they have on one device"
    try:
        x = telling(bench, rate, dtype, *enough(bench.contract.pattern, ROWS, CHANNELS, SHARED))
        got = life(bench, "own_keys", rate=rate, dtype=dtype, seed=bench.seed, way=bench.contract.seeds[0], x=x)
    except Refused as error:
        if error.where == "unsupported":
            return [skipped(check, where, error.message)]
        what = "sharded samples" if mode == SHARDED else "samples with keys of their own"
        return [finding(check, where, "error", f"{what} raise {error}")]
    axis = bench.contract.pattern.axes.index(bench.contract.pattern.row_axes[0])
    pairs = []
    for name in ("together", "alone"):
        values = np.split(rounding.to_float64(np.asarray(got[name]), got["dtype"]), x.shape[axis], axis=axis)
        pairs.append([by_coin(bench.contract.pattern, dropped(one, bench, rate, got["dtype"]))[:, 0] for one in values])
    rows = len(pairs[0])
    same = sum(bool(np.array_equal(one, other)) for one, other in zip(*pairs, strict=True))
    coins = sum(int(one.size) for side in pairs for one in side)
    unit = "share of samples with " + ("the mask of one device" if mode == SHARDED else "the mask of their own key")
    numbers = {"estimate": same / rows, "expected": 1.0, "unit": unit}
    if same < rows:
        text = f"{under}, {same} of {rows} samples have {mask}, expected all"
        if mode in MAPPED[1:]:
            text += "; keys of rbg and unsafe_rbg draw all masks from the first key: use the default keys"
        return [finding(check, where, "fail", text, coins=coins, log10_evidence=-math.inf, **numbers)]
    text = f"{under}, all {rows} samples have {mask}"
    return [finding(check, where, "pass", text, coins=coins, log10_evidence=0.0, **numbers)]
