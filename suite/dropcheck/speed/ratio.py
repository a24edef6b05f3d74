"""Paired ratios: from log ratios of blocks to an interval and a verdict, pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dropcheck.contract.errors import UsageError
from dropcheck.results.bench import Word

# A run of one target calls identical code different with at most this probability, by Student's t and Holm; with a margin
# above 0 much less often, since the interval must then clear the margin as well.
LEVEL = 0.01
MARGIN = 0.03  # differences below 3 % are called the same, where the interval can show that


@dataclass(frozen=True)
class Interval:
    """A mean log ratio over processes: its estimate, standard error and degrees of freedom; ``nan`` below two processes."""

    mean: float
    error: float
    degrees: float
    processes: int

    def half_width(self, alpha: float) -> float:
        """Half of the two-sided Student-t interval at level 1 - alpha, in log units."""
        from scipy.special import stdtrit

        if self.degrees <= 0:
            return math.inf
        return float(-stdtrit(self.degrees, alpha / 2)) * self.error

    def bounds(self, alpha: float) -> tuple[float, float]:
        """The interval as ratios."""
        half = self.half_width(alpha)
        return _exp(self.mean - half), _exp(self.mean + half)

    def p_different(self, margin: float) -> float:
        """Probability of a mean at least so far outside the margin, were the true one at its edge (two-sided)."""
        from scipy.special import stdtr

        if self.degrees <= 0:
            return 1.0
        beyond = abs(self.mean) - math.log1p(margin)
        if self.error == 0:
            return 0.0 if beyond > 0 else 1.0
        return float(min(1.0, 2 * stdtr(self.degrees, -beyond / self.error)))


@dataclass(frozen=True)
class Judgement:
    """The verdict on one comparison, with the interval (ratios) and the level that it was reached at."""

    verdict: Word
    ratio: float
    low: float
    high: float
    alpha: float


def accepted(margin: float, level: float) -> None:
    """Raise UsageError for a margin or a level at which no verdict means anything."""
    if not 0 <= margin < 1:
        raise UsageError(f"--margin takes a share of the time from 0 to 1, such as 0.03, not {margin:g}")
    if not 0 < level < 0.5:
        raise UsageError(f"--level takes a probability of a false alarm, such as 0.01, not {level:g}")


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def process_median(target: Sequence[float], reference: Sequence[float]) -> float:
    """The median over blocks of log(target / reference), block by block, of one process."""
    if len(target) != len(reference) or not target:
        raise ValueError(f"pairs are needed: {len(target)} blocks of the target, {len(reference)} of the reference")
    return float(np.median(np.log(np.asarray(target, float) / np.asarray(reference, float))))


def over_processes(medians: Sequence[float]) -> Interval:
    """Student's t over the processes' medians: the process is the unit, since blocks of one share its memory and its fate."""
    values = np.asarray(medians, float)
    count = len(values)
    if count < 2:
        return Interval(float(values.mean()) if count else math.nan, math.inf, 0, count)
    return Interval(float(values.mean()), float(values.std(ddof=1) / math.sqrt(count)), count - 1, count)


def difference(new: Interval, old: Interval) -> Interval:
    """The difference of two means from separate runs, by Welch: degrees after Satterthwaite."""
    a, b = new.error**2, old.error**2
    if new.degrees <= 0 or old.degrees <= 0:
        return Interval(new.mean - old.mean, math.inf, 0, min(new.processes, old.processes))
    degrees = (a + b) ** 2 / (a**2 / new.degrees + b**2 / old.degrees) if a + b > 0 else new.degrees + old.degrees
    return Interval(new.mean - old.mean, math.sqrt(a + b), degrees, min(new.processes, old.processes))


def judge(intervals: Sequence[Interval], margin: float = MARGIN, level: float = LEVEL) -> list[Judgement]:
    """Verdicts of one family by Holm's step-down: each by its interval at the level of its step against the margin.

    ``slower``/``faster``: the interval lies outside the margin; ``same``: inside; else ``inconclusive``. The family calls
    identical code different with probability at most ``level`` (Holm 1979, valid under any dependence). Whoever comes after
    the first that is not called different is judged at the level of that step: p-values are compared one by one at most so far.
    """
    count = len(intervals)
    order = sorted(range(count), key=lambda i: intervals[i].p_different(margin))
    found: list[Judgement | None] = [None] * count
    alpha = level / max(1, count)
    stopped = False
    for step, i in enumerate(order):
        if not stopped:
            alpha = level / (count - step)
            stopped = intervals[i].p_different(margin) > alpha
        found[i] = _judged(intervals[i], margin, alpha)
    return [one for one in found if one is not None]


def _judged(interval: Interval, margin: float, alpha: float) -> Judgement:
    low, high = interval.bounds(alpha) if interval.degrees > 0 else (0.0, math.inf)
    edge = 1 + margin
    verdict: Word = "inconclusive"
    if low > edge:
        verdict = "slower"
    elif high < 1 / edge:
        verdict = "faster"
    elif low >= 1 / edge and high <= edge:
        verdict = "same"
    return Judgement(verdict, _exp(interval.mean) if math.isfinite(interval.mean) else math.nan, low, high, alpha)
