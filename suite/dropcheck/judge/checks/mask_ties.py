"""What the checks of dependence share: rates, tables one behind the other, and which cases are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.gathered import Gathered
from dropcheck.count.tallies import (
    Association,
    Tally,
    thinned_rows,
)
from dropcheck.judge.checks.base import Check, Limits, draw_matrix, picture, skipped
from dropcheck.results.audit import Finding
from dropcheck.statistics import association

FULL_LAG = 2 / 3  # share of the most pairs of any lag that a lag must have to be asked


def rates_of(tally: Tally) -> np.ndarray[Any, np.dtype[np.float64]]:
    return tally.channel / max(1, tally.rows)


def pooled_rate(tally: Tally) -> float:
    return tally.dropped / max(1, tally.coins)


def no_spread(check: Check, got: Gathered) -> Finding | None:
    p = pooled_rate(got.live)
    if not 0 < p < 1:
        return skipped(
            check, got.case, f"all drop decisions are the same (drop rate {p:g}), so dependence is not visible"
        )
    return None


def end_to_end(tables: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """Tables one behind the other, and where each begins."""
    lengths = [len(table[0]) for table in tables]
    return (*(np.concatenate(parts) for parts in zip(*tables, strict=True)), np.cumsum([0, *lengths[:-1]]))


def columns_of(table: Association) -> tuple[Any, ...]:
    return table.pairs, table.first, table.second, table.both


def first_rows(got: Gathered) -> Any:
    if got.sample is None:
        return None
    rows = draw_matrix(got.sample, got.tally.channels)
    return picture(
        "rows: samples, across: channels; # kept, . dropped",
        "channel",
        rows,
        [f"row {i}" for i in range(len(rows))],
    )


def rows_thinned(case: Case) -> int:
    return thinned_rows(case.row_count, None if case.batches else case.rows)


def lags_reach(case: Case, limits: Limits, pairs: int, lags: int) -> float:
    return association.correlation_resolution(pairs * case.channels, case.rate, limits.alpha / lags, limits.beta)


def dependence_case(case: Case) -> bool:
    return case.regime == "stream" and 0.05 <= case.rate <= 0.95


CONDITIONAL = (
    "The measured number of drops of each channel is taken as fixed, so that a wrong rate does not look like dependence. The "
    "number of joint drops then follows a known (hypergeometric) law"
)
