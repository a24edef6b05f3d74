"""Inputs of further ranks follow the patterns that the contract declares for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropcheck.contract.promise import Pattern
from dropcheck.judge.checks.base import Bench, Check, Limits, exact, finding, in_turn, skipped
from dropcheck.judge.checks.exact_questions import (
    OUTPUT_SHAPE,
    Layer,
    by_coin,
    dropped,
    telling,
)
from dropcheck.judge.checks.right_outputs import first_rate, wrong_in
from dropcheck.judge.checks.sizes import law_at_ranks
from dropcheck.judge.checks.visible import follows
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding


def _ranks(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    rate = first_rate(bench)
    found = []
    for pattern in bench.contract.ranks:
        where = f"{bench.first} rate={rate:g} '{pattern}'"
        # without a row axis a call has few coins: several calls on many channels
        x = telling(bench, rate, bench.first, 33, 129, 6, pattern=pattern)
        try:
            answer = Layer(bench, rate).call(x, times=4)
        except Refused as refused:
            found.append(
                finding(
                    check,
                    where,
                    "fail",
                    f"the contract declares '{pattern}', but the layer rejects such an input: {refused}",
                )
            )
            continue
        problem = None
        for i in range(4):
            if answer.shape != x.shape:
                problem = f"an input of shape {x.shape} {OUTPUT_SHAPE} {answer.shape}"
            else:
                wrong = wrong_in(bench, pattern, x, answer.values(i), rate, answer.dtype)
                if wrong is not None and problem is None and wrong.check in _at_the_main_rank(bench, rate):
                    found.append(skipped(check, where, follows(wrong.check, f"for '{pattern}', {wrong.words}")))
                    break
                problem = problem or (wrong.words if wrong is not None else None)
                problem = problem or _coarser(pattern, dropped(answer.values(i), bench, rate, answer.dtype))
        else:
            found.append(_of_rank(check, where, pattern, problem))
    _other_ranks(bench, rate)
    return found or [
        skipped(
            check, "ranks", "the contract declares no other rank; the behaviour at other ranks is reported as a trait"
        )
    ]


def _of_rank(check: Check, where: str, pattern: Pattern, problem: str | None) -> Finding:
    good = f"inputs of rank {len(pattern.axes)} follow '{pattern}'"
    return exact(check, where, f"for '{pattern}', {problem}" if problem else "", good)


def _at_the_main_rank(bench: Bench, rate: float) -> set[str]:
    """The control: whose faults the contract's own rank shows as well."""
    pattern = bench.contract.pattern
    x = telling(bench, rate, bench.first, 33, 129, 6)
    answer = Layer(bench, rate).call(x, times=4)
    if answer.shape != x.shape or answer.dtype != bench.first:
        return set()
    each = (wrong_in(bench, pattern, x, answer.values(i), rate, bench.first) for i in range(4))
    return {w.check for w in each if w is not None}


def _coarser(pattern: Pattern, gone: Any) -> str | None:
    """Whether the coins of whole rows or whole channels agree throughout (129 x 33 coins cannot by chance)."""
    rows, channels = pattern.matrix_shape(gone.shape)
    matrix = by_coin(pattern, gone).all(axis=1).reshape(rows, channels)
    if rows > 8 and channels > 8 and 0 < matrix.mean() < 1:
        if (matrix.all(axis=1) == matrix.any(axis=1)).all():
            return "whole samples are dropped together"
        if (matrix.all(axis=0) == matrix.any(axis=0)).all():
            return "all samples drop the same channels"
    return None


def _other_ranks(bench: Bench, rate: float) -> None:
    """What inputs of undeclared ranks do: refused, or the axes whose elements share a coin."""
    declared = {len(p.axes) for p in (bench.contract.pattern, *bench.contract.ranks)}
    traits = bench.traits.setdefault("other ranks", {})
    for rank in (2, 3, 4, 5):
        if rank in declared:
            continue
        shape = (13, 11, 7, 5, 3)[:rank]
        x = np.asarray(rounding.pool(bench.first, int(np.prod(shape)), 9).reshape(shape))
        try:
            answer = Layer(bench, rate).call(x, times=3)
        except Refused as refused:
            traits[str(rank)] = f"rejected ({refused.kind})"
            continue
        if answer.shape != shape:
            traits[str(rank)] = f"the shape becomes {answer.shape}"
            continue
        gone = [dropped(answer.values(i), bench, rate, bench.first) for i in range(3)]
        if not any(g.any() for g in gone):
            traits[str(rank)] = "nothing is dropped"
            continue
        shared = [axis for axis in range(rank) if all(bool((g.all(axis=axis) == g.any(axis=axis)).all()) for g in gone)]
        names = [f"axis {a}" for a in range(rank) if a not in shared]
        traits[str(rank)] = (
            "one drop decision per (" + ", ".join(names) + ")" if names else "one drop decision for the whole tensor"
        )


CHECKS = (
    Check(
        name="form.ranks",
        how="For every further pattern of the contract, mask, values and shape are tested. A fault that the main pattern shows, "
        "too, belongs to another check. The share of drops must be the rate (false failures: below 10^-12 per rank). Two "
        "calls must differ, and inference must return its input. Undeclared ranks are only reported.",
        remedy="Find the channel axis from the rank of the input: torch's Dropout1d takes (c, l) and (n, c, l). Reject "
        "ranks that are ambiguous: `if x.dim() not in (2, 3): raise ValueError(x.shape)`.",
        observe=in_turn(_ranks, law_at_ranks),
    ),
)
