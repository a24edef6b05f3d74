"""Coins made directly in NumPy and put into the records that checks judge, by the same tallies as an audit's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case, parse_case, seed_of
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count import gather
from dropcheck.count.counting import tally
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_stretches import stretches_of
from dropcheck.judge.checks import CHECK
from dropcheck.judge.checks.base import Check, Limits
from dropcheck.results.audit import Finding
from dropcheck.statistics import association, binomial, dispersion, goodness, homogeneity

CONTRACT = Contract(pattern=Pattern.parse("n c l -> n c"))
# A two-sided normal p-value is above .05 below this score: at inflated levels, exact sums are taken beyond it.
LOWEST_SCORE = 1.95


def statistical() -> list[Check]:
    """Checks that own a share of alpha and judge coins."""
    return [c for c in CHECK.values() if c.share > 0 and c.counts]


def named(name: str) -> Check:
    """The check of that name."""
    return CHECK[name]


def generator(seed: int, *place: object) -> np.random.Generator:
    """A Philox stream of its own for every piece of work, whatever runs beside it."""
    return np.random.Generator(np.random.Philox(key=seed_of(seed, "selftest", *place)))


def pack(coins: Any) -> Any:
    """(..., channels) of 0 and 1 as bits, packed along channels."""
    return np.packbits(coins, axis=-1, bitorder="little")


def record(text: str, coins: Any, classes: Any = None, words: float | None = None) -> Gathered:
    """(rows, channels) coins as an audit would have gathered them; ``words``: look for repeated words at this level."""
    case = parse_case(text)
    packed = pack(coins)
    per_call = None if case.batches else 2 * case.rows if case.regime == "seeds" else case.rows
    seeds = gather.neighbouring_seeds(0, case.calls // 2) if case.regime == "seeds" else None
    counts = tally(packed, case.channels, per_call, None if classes is None else pack(classes), seeds=seeds)
    got = Gathered(case, CONTRACT, counts, {"violations": 0, "nonfinite": 0}, packed, seeds=seeds)
    if words is not None:
        look(got, words)
    return got


def look(got: Gathered, alpha: float) -> None:
    """Look for repeated words as gathering does, for the level of the check."""
    if 0.3 <= got.case.rate <= 0.7 or got.case.regime == "seeds":
        gather.look_for_repeats(got, alpha)
        look_anywhere(got)


def look_anywhere(got: Gathered) -> None:
    """Look for words at any offset of the flat stream as gathering does; they must be certain at every level."""
    words = stretches_of(got.case)
    if words is not None and got.anywhere is None and got.sample is not None:
        words.add(got.sample)
        gather.keep_anywhere(got, words.lookup(got.case))


def judge(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    """The check's own decision."""
    assert check.judge is not None
    return check.judge(check, got, limits)


def failed(check: Check, got: Gathered, limits: Limits) -> bool:
    """Whether the check fails what was gathered; words are looked for anew at its level."""
    if check.words or check.role == "copied channels":
        look(got, limits.alpha)
    one = judge(check, got, limits)
    return one is not None and one.verdict == "fail"


def classes_of(rng: np.random.Generator, case: Case, coins: int) -> Any:
    """(2, rows, channels) sign and magnitude classes of random inputs."""
    return rng.random((2, coins, case.channels)) < 0.5


@contextmanager
def sharpened() -> Iterator[None]:
    """Exact sums wherever a level of .05 could reject, and resolutions remembered (they do not depend on the coins).

    An audit takes the normal value for scores below 3 (3.5), which is above 1e-3 and can reject nothing at its levels of
    about 1e-8; at .05 it would. So the shortcut is moved to a score where it can reject nothing at .05 either: what is
    calibrated is the exact form, the one that gates.
    """
    saved: list[tuple[Any, str, Any]] = [
        (association, "PLAIN_SCORE", association.PLAIN_SCORE),
        (homogeneity, "NEAR_SCORE", homogeneity.NEAR_SCORE),
    ]
    pure: list[tuple[Any, str]] = [
        (binomial, "resolution"),
        (goodness, "g_resolution"),
        (homogeneity, "position_resolution"),
        (association, "correlation_resolution"),
    ]
    association.PLAIN_SCORE = homogeneity.NEAR_SCORE = LOWEST_SCORE
    for module, name in pure:
        original: Callable[..., Any] = getattr(module, name)
        saved.append((module, name, original))
        setattr(module, name, lru_cache(maxsize=65536)(original))
    saved.append((dispersion, "dispersion_resolution", dispersion.dispersion_resolution))
    try:
        yield
    finally:
        for module, name, value in saved:
            setattr(module, name, value)
