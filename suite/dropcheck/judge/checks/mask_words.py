"""Stretches of the mask that occur twice: what was looked at, and the first of them."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_words import MOST_WORD_ROWS, least_extent, place_of
from dropcheck.count.tallies import SAMPLE
from dropcheck.judge.checks.base import Limits
from dropcheck.statistics import duplicates


def repeated_words(got: Gathered, alpha: float) -> tuple[int, int, float] | None:
    """Words that repeat within a call and across calls, and log10 of the chance of any; None where words are too short.

    Both searches, of all words of the first coins and of a sample of all words, have half of alpha.
    """
    found, looked = got.repeats, got.lookup
    within = across = 0
    chances = []
    if found is not None and got.word_log10 is not None and got.word_log10 <= math.log10(alpha / 2):
        within, across = found.within_call, found.across_calls
        chances.append(got.word_log10)
    if looked is not None:
        # both may have seen the same words: the larger count is told, never their sum
        within, across = max(within, looked.within), max(across, looked.across)
        chances.append(got.lookup_log10)
    if not chances:
        return None
    top = max(chances)  # taken out of the sum: long words make chances below the smallest double
    return within, across, top + math.log10(sum(10 ** (chance - top) for chance in chances))


def first_repeat(got: Gathered, within: bool) -> tuple[int, int]:
    """Rows of the case: of the first repeat within a call, or across calls, and of what it repeats."""
    found = []
    if got.repeats is not None:
        middle = got.repeats.length // got.tally.channels // 2
        found = [(place, middle) for place in got.repeats.places]
    if got.lookup is not None:
        found += [((p[0], p[1]), got.lookup.rows // 2) for p in got.lookup.places if p]
    calls, _ = place_of(got.case, np.array([[row + middle for row in place] for place, middle in found]))
    return found[int(np.argmax((calls[:, 0] == calls[:, 1]) == within))][0]


def words_seen(got: Gathered, beta: float) -> tuple[str, float | None]:
    """What was looked at, in words, and the rows of the shortest repeated run that escapes with probability below beta."""
    found, looked = got.repeats, got.lookup
    assert found is not None
    first = f"{found.words} stretches of {found.length} decisions"
    if looked is None:
        whole = found.words * got.tally.channels + found.length > got.tally.coins
        return first, found.length / got.tally.channels if whole else None
    extent = least_extent(looked.words, looked.kept, looked.rows, beta)
    coins = looked.rows * got.tally.channels
    if looked.kept == looked.words:
        return f"{looked.words} stretches of {coins} decisions", float(extent)
    return (
        f"{looked.kept} of {looked.words} stretches of {coins} decisions and the first {first}; {extent} repeated rows would "
        f"have been missed with probability {beta:g}"
    ), float(extent)


def words_reach(case: Case, limits: Limits) -> float:
    """Infinite where the longest word that ``gather`` would take is too short."""
    rows = min(case.row_count, SAMPLE // case.channels)
    longest = int(0.97 * case.channels * max(1, min(MOST_WORD_ROWS, rows // 4)))
    enough = duplicates.log10_chance_of_equal(rows * rows / 2, case.rate, longest) <= math.log10(limits.alpha / 2)
    return 0.0 if enough else math.inf


def balanced(case: Case) -> bool:
    return case.regime == "stream" and 0.3 <= case.rate <= 0.7
