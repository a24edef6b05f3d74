"""Bounds found by Newton's steps, and sums of several groups of tables judged in one pass."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from dropcheck.statistics import association, dispersion
from dropcheck.statistics.evidence import LOG10E, least_convex


@pytest.mark.parametrize("target", [-3.0, 0.0, 0.4, 2.5, 40.0])
def test_the_least_value_of_a_convex_function_is_found_inside_or_at_an_end(target: float) -> None:
    def slopes(t: float) -> tuple[float, float]:  # log cosh(t - target) and a little of a parabola
        return math.tanh(t - target) + 0.01 * (t - target), 1 / math.cosh(t - target) ** 2 + 0.01

    assert least_convex(slopes, -1.0, 30.0) == pytest.approx(min(30.0, max(-1.0, target)), abs=1e-6)


@pytest.mark.parametrize("spread", ["clumped", "rationed", "alike", "whole"])
def test_the_bound_of_the_dispersion_is_never_above_what_a_library_finds(spread: str) -> None:
    rng = np.random.default_rng(7)
    drops = {
        "clumped": rng.binomial(64, np.clip(rng.normal(0.3, 0.05, 800), 0, 1)),
        "rationed": rng.binomial(8, 0.3, 800) + 17,
        "alike": np.full(800, 19),
        "whole": np.where(rng.random(800) < 0.3, 64, 0),
    }[spread]
    p = np.full(64, drops.mean() / 64)
    histogram = np.bincount(drops, minlength=65)
    low, high, _ = dispersion.log10_dispersion(histogram, p)
    values, variance, _ = dispersion._orthogonal(p)
    total = float((histogram * values).sum())
    law = dispersion.poisson_binomial(p)

    def exponent(t: float) -> float:
        shift = float((t * values).max())
        return len(drops) * (shift + math.log(float((law * np.exp(t * values - shift)).sum()))) - t * total

    upper = total > len(drops) * variance
    reach = 500 / variance
    ends = [(0.0, r * reach) if upper else (-r * reach, 0.0) for r in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)]
    found = min(minimize_scalar(exponent, bounds=e, method="bounded", options={"xatol": 1e-9}).fun for e in ends)
    assert min(low, high) <= found * LOG10E + 1e-6
    assert min(low, high) == pytest.approx(found * LOG10E, rel=1e-4)


def test_groups_judged_together_have_the_values_that_each_has_alone() -> None:
    rng = np.random.default_rng(11)
    tables, starts, at = [], [], 0
    for group in range(60):
        size = int(rng.integers(1, 9))
        n = rng.integers(40, 4000, size)
        a, b = rng.integers(0, n + 1), rng.integers(0, n + 1)  # margins of 0 and of all rows are among them
        slope = 0.0 if group % 3 else rng.uniform(-0.4, 0.4)
        mean = a * b / n
        both = np.clip(
            np.rint(mean + slope * np.minimum(mean, np.minimum(a, b) - mean)),
            np.maximum(0, a + b - n),
            np.minimum(a, b),
        )
        tables.append((n, a, b, both.astype(np.int64)))
        starts.append(at)
        at += size
    joined = [np.concatenate(parts) for parts in zip(*tables, strict=True)]
    together = association.log10_two_sided_groups(*joined, starts)
    alone = [association.two_sided(*table) for table in tables]
    assert together == pytest.approx(alone, rel=1e-9, abs=1e-12)
    assert min(alone) < -6 < -1 < max(alone)  # both the plain values and the exact ones were asked
