"""Rows of right and of wrong laws: an exact number, an exact share, one stretch; null audits, exact tails, and planted shares.

A plant is off by exactly the resolution that its claim prints. Rows of whole channels, and numbers that a law excludes, fail by
one row; their resolution is the share that shows none with probability beta.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.stats import binom, hypergeom

from dropcheck.contract import row_laws
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.contract.row_laws import Law
from dropcheck.judge.checks import row_claims
from dropcheck.judge.checks.base import Limits
from dropcheck.judge.checks.row_claims import Rows
from dropcheck.selftest.simulated import generator, named, sharpened
from dropcheck.statistics import binomial, homogeneity

Draws = np.random.Generator
LEVELS = (0.05, 0.01)
_ONE, _CALLS = 40, 60  # rows of a call, calls of a null audit
_PLANTED_CALLS = 250  # of a plant
# pattern, how a stretch is drawn, rate
LAWS: tuple[tuple[str, str, float], ...] = (
    ("n c=8 -> n c=2", "whole", 0.3),
    ("n c=10 -> n c=rate", "whole", 0.3),
    ("n f=20 -> n f/*", "whole", 0.2),
    ("n f=20 -> n f/*", "paper", 0.2),
    ("n f=20 -> n f/*", "real", 0.3),
)
CLAIMS: dict[str, Callable[..., Any]] = {
    "mask.whole-channels": row_claims.whole,
    "mask.dropped-count": row_claims.counts,
    "rate.per-channel": row_claims.places,
    "mask.independent-channels": row_claims.pairs,
    "mask.independent-samples": row_claims.alike_rows,
    "mask.independent-calls": row_claims.alike_calls,
}


def law_of(pattern: str, word: str, rate: float) -> tuple[Pattern, Law]:
    """The law of one of ``LAWS``."""
    contract = Contract(pattern=Pattern.parse(pattern), scale="none", stretch=word)
    found = row_laws.law(contract, rate)
    assert found is not None, pattern
    return contract.pattern, found


def draw(rng: Draws, law: Law, n: int) -> Any:
    """(n, channels) rows of the law, True where dropped."""
    counts = rng.choice(law.size + 1, n, p=law.counts / law.counts.sum())
    at = np.arange(law.size)
    if law.starts is None:
        return np.argsort(np.argsort(rng.random((n, law.size)), axis=1), axis=1) < counts[:, None]
    below = np.cumsum(law.starts, axis=1)[counts]
    starts = (rng.random((n, 1)) * below[:, -1:] >= below).sum(axis=1)
    return (at >= starts[:, None]) & (at < (starts + counts)[:, None])


def _seen(pattern: Pattern, law: Law, rate: float, rows: Any) -> Rows:
    return Rows("rows", pattern, law, rate, rows, _ONE, 0)


def where(pattern: str, word: str, rate: float) -> str:
    """The law of ``LAWS`` as tables name it."""
    return f"rows of '{pattern}'{f' ({word})' if '*' in pattern else ''}, rate {rate:g}"


# --- null audits -----------------------------------------------------------------------------------------------------


def null_audits(index: int, audits: int, number: int, seed: int) -> dict[str, Any]:
    """Counts of one chunk: {check: [judged, fails at .05, at .01, at the gate's level, contradictions]}."""
    pattern, law = law_of(*LAWS[index])
    rng = generator(seed, "null rows", index, number)
    counts: dict[str, list[int]] = {}
    with sharpened():
        for _ in range(audits):
            rows = _seen(pattern, law, LAWS[index][2], draw(rng, law, _ONE * _CALLS))
            for name, ask in CLAIMS.items():
                check = named(name)
                levels = (*LEVELS, check.limits("quick").alpha)
                found = [ask(check, rows, Limits(level)) for level in levels]
                if found[0].verdict == "skipped":
                    continue
                marks = [one.verdict == "fail" for one in found]
                row = counts.setdefault(name, [0, 0, 0, 0, 0])
                row[0] += 1
                for i, mark in enumerate(marks):
                    row[1 + i] += mark
                row[4] += any(later and not before for before, later in pairwise(marks))
    return counts


# --- the level of a gate ---------------------------------------------------------------------------------------------


def exact_sizes(alpha: float) -> Iterator[tuple[str, str, float, int]]:
    """(check, case, probability of a failure at ``alpha``, terms of the sum): a bound by the tests of a claim together."""
    limit = math.log10(alpha)
    for index in (0, 1):
        law = law_of(*LAWS[index])[1]
        for n in (500, 25_000):
            pair = law.number * (law.number - 1) / (law.size * (law.size - 1))
            for check, chance, tests in (
                ("rate.per-channel", law.number / law.size, law.size),
                ("mask.independent-channels", pair, law.size * (law.size - 1) // 2),
            ):
                k = np.arange(n + 1)
                rejected = binomial.log10_two_sided_many(k, n, chance) + math.log10(tests) <= limit
                size = float(binom.pmf(k, n, chance)[rejected].sum()) * tests
                yield check, f"{where(*LAWS[index])}, {n} rows that drop", size, n + 1
    for index in (2, 3, 4):
        yield from _of_places(index, limit)
    for pairs, same in ((500, 0.5), (5000, 0.05)):
        k, marked, tests = np.arange(pairs + 1), round(2 * pairs * same), 6
        logs = np.array(
            [homogeneity.position_log10([v, marked - v], [pairs, pairs])[0] if v <= marked else 0.0 for v in k]
        )
        rejected = logs + math.log10(2 * tests) <= limit
        size = float(hypergeom.pmf(k, 2 * pairs, marked, pairs)[rejected].sum()) * tests
        yield "mask.independent-samples", f"{pairs} pairs of rows, {same:g} alike, {tests} distances", size, pairs + 1


def _of_places(index: int, limit: float) -> Iterator[tuple[str, str, float, int]]:
    """Where stretches begin: rows of each length have a chance of their own, the test takes the mean of them."""
    law, each = law_of(*LAWS[index])[1], 60
    for place in (0, law.size // 2, law.size - 2):
        sums, chances = np.ones(1), []
        for length in np.flatnonzero(law.counts)[1:]:
            chance = float(law.starts[length, place]) if law.starts is not None else 0.0
            sums = np.convolve(sums, binom.pmf(np.arange(each + 1), each, chance))
            chances.append(chance)
        n = len(sums) - 1
        logs = row_claims._beyond_one(np.arange(n + 1), n, np.full(n + 1, np.mean(chances)))
        size = float(sums[logs + math.log10(2 * law.size) <= limit].sum()) * 2 * law.size
        yield "rate.per-channel", f"{where(*LAWS[index])}, beginning at {place}, {n} rows that drop", size, n + 1


# --- planted shares --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planted:
    """``rows(rng, law, n, size)``: rows of which one share is off by ``size``."""

    check: str
    words: str
    index: int
    rows: Callable[[Draws, Law, int, float], Any]

    @property
    def key(self) -> str:
        """Its name among all plants."""
        return f"{self.check} {self.words}, {where(*LAWS[self.index])}"


def _some(rng: Draws, dropping: Any, share: float) -> Any:
    """The rows that drop, each with this chance."""
    return dropping.any(axis=1) & (rng.random(len(dropping)) < share)


def _channel(rng: Draws, law: Law, n: int, size: float) -> Any:
    """Channel 0 drops in a larger share of the rows that drop: in some that lack it, it takes the place of another one."""
    rows, usual = draw(rng, law, n), law.number / law.size
    moved = np.flatnonzero(_some(rng, rows, size / (1 - usual)) & ~rows[:, 0])
    rows[moved, np.argmax(rows[moved], axis=1)] = False
    rows[moved, 0] = True
    return rows


def _pair(rng: Draws, law: Law, n: int, size: float) -> Any:
    """Channels 0 and 1 drop together in a larger share of the rows that drop."""
    rows = draw(rng, law, n)
    usual = law.number * (law.number - 1) / (law.size * (law.size - 1))
    moved = np.flatnonzero(_some(rng, rows, size / (1 - usual)))
    others = rng.random((len(moved), law.size))
    others[:, :2] = 2.0
    rows[moved] = np.argsort(np.argsort(-others, axis=1), axis=1) < law.number
    return rows


def _length(rng: Draws, law: Law, n: int, size: float) -> Any:
    """The longest stretch is more frequent by ``size``."""
    counts = law.counts.copy()
    counts[law.number] += size
    others = np.arange(law.size + 1) != law.number
    counts[others] *= (1 - counts[law.number]) / counts[others].sum()
    return draw(rng, Law(law.size, counts, law.starts, law.places, law.marginal, law.same), n)


def _begin(rng: Draws, law: Law, n: int, size: float) -> Any:
    """Stretches begin at the first channel in a larger share of the rows that drop, with the lengths that they have."""
    rows = draw(rng, law, n)
    dropping = rows[rows.any(axis=1)]
    usual = float(dropping[:, 0].mean())
    moved = _some(rng, rows, size / (1 - usual))
    rows[moved] = np.arange(law.size) < rows[moved].sum(axis=1)[:, None]
    return rows


def _number(rng: Draws, law: Law, n: int, size: float) -> Any:
    """A share of the rows loses every channel but one, which no law here has."""
    rows = draw(rng, law, n)
    rows[rng.random(n) < size] = np.arange(law.size) > 0
    return rows


def _torn(rng: Draws, law: Law, n: int, size: float) -> Any:
    """A share of the rows loses two stretches."""
    rows = draw(rng, law, n)
    rows[rng.random(n) < size] = np.isin(np.arange(law.size), (0, 2))
    return rows


def _alike(axis: int) -> Any:
    def rows(rng: Draws, law: Law, n: int, size: float) -> Any:
        """Every second row (axis 1), or call (0), repeats the one before so often that ``size`` more of the pairs are alike."""
        made = draw(rng, law, n).reshape(-1, _ONE, law.size)
        moved = np.moveaxis(made, axis, 0)
        before = moved[: len(moved) // 2 * 2 : 2]
        chosen = rng.random((*before.shape[:-1], 1)) < size / (1 - law.same)
        moved[1::2] = np.where(chosen, before, moved[1::2][: len(before)])
        return made.reshape(-1, law.size)

    return rows


PLANTS: dict[str, Planted] = {
    one.key: one
    for one in (
        Planted("mask.dropped-count", "a row loses another number", 0, _number),
        Planted("mask.dropped-count", "a row loses another number", 1, _number),
        Planted("mask.dropped-count", "one length is more frequent", 2, _length),
        Planted("mask.dropped-count", "one length is more frequent", 4, _length),
        Planted("mask.whole-channels", "a row loses two stretches", 2, _torn),
        Planted("rate.per-channel", "one channel drops more often", 0, _channel),
        Planted("rate.per-channel", "one channel drops more often", 1, _channel),
        Planted("rate.per-channel", "stretches begin at one place more often", 2, _begin),
        Planted("rate.per-channel", "stretches begin at one place more often", 3, _begin),
        Planted("rate.per-channel", "stretches begin at one place more often", 4, _begin),
        Planted("mask.independent-channels", "one pair drops together more often", 0, _pair),
        Planted("mask.independent-channels", "one pair drops together more often", 1, _pair),
        Planted("mask.independent-samples", "neighbours are alike more often", 0, _alike(1)),
        Planted("mask.independent-samples", "neighbours are alike more often", 2, _alike(1)),
        Planted("mask.independent-calls", "rows of next calls are alike more often", 1, _alike(0)),
        Planted("mask.independent-calls", "rows of next calls are alike more often", 4, _alike(0)),
    )
}


def printed(plant: Planted, limits: Limits, seed: int) -> float:
    """The resolution that the claim prints for right rows."""
    pattern, law = law_of(*LAWS[plant.index])
    rows = draw(generator(seed, "printed", plant.key), law, _ONE * _PLANTED_CALLS)
    found = CLAIMS[plant.check](named(plant.check), _seen(pattern, law, LAWS[plant.index][2], rows), limits)
    assert found.resolution is not None, plant.key
    return float(found.resolution)


def planted(key: str, beta: float, tries: int, number: int, seed: int) -> dict[str, Any]:
    """One chunk: how many of ``tries`` shares that are off by exactly the printed resolution are caught."""
    plant = PLANTS[key]
    check, (pattern, law) = named(plant.check), law_of(*LAWS[plant.index])
    limits = Limits(check.limits("quick").alpha, beta)
    size = printed(plant, limits, seed)
    rng = generator(seed, "planted", key, beta, number)
    n, rate = _ONE * _PLANTED_CALLS, LAWS[plant.index][2]
    caught = sum(
        CLAIMS[plant.check](check, _seen(pattern, law, rate, plant.rows(rng, law, n, size)), limits).verdict == "fail"
        for _ in range(tries)
    )
    return {
        "check": plant.check,
        "plant": plant.words,
        "case": where(*LAWS[plant.index]),
        "beta": beta,
        "resolution": size,
        "tries": tries,
        "caught": caught,
    }
