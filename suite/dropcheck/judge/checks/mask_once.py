"""Repeats that copies, ties or chance explain: each drop decision once, and repeats at any offset."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.count.copies import distinct, rows_alike, spread
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_stretches import coin_at
from dropcheck.count.repeated_words import least_extent, searched
from dropcheck.judge.checks.base import Check, Limits, finding, skipped
from dropcheck.judge.checks.mask_channels import copied_channels, groups_of, pooled, rows_suffice
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding


def distinct_coins(got: Gathered, alpha: float, rows: bool = True, sure: bool = True) -> Gathered | None:
    """The first coins with each coin once: without copied channels and, if asked, without copied rows; None: there are no copies.

    Words are looked for anew, since copies make rows repeat by chance more often than rows of as many independent coins.
    Not ``sure``: rows that are equal in all calls so far are left out, be it by chance.
    """
    from dropcheck.count.gather import look_for_repeats

    if got.sample is None:
        return None
    alike = None
    if rows and (alike := got.once(rows_alike)) is None and not sure:
        alike = rows_alike(got, sure=False)
    channels = None
    copied = copied_channels(got.live, alpha) if got.tally.channels > 1 and got.live.pair_rows else ()
    if len(copied) and rows_suffice(got, np.asarray(copied), pooled(got), alpha):
        gone = {c for group in groups_of(np.asarray(copied)) for c in group[1:]}
        channels = np.array([c for c in range(got.tally.channels) if c not in gone])
    if alike is None and channels is None:
        return None
    once = distinct(got, channels, alike)
    if searched(once.case):
        look_for_repeats(once, alpha / 2)
    return once


def dependent(got: Gathered, alpha: float, chance: float, within: bool = False) -> float | None:
    """The spread of the agreement of words (see ``copies.spread``) where it alone makes the repeats likelier than alpha.

    ``within``: of repeats within a call, which only dependence inside of a row explains.
    """
    if got.repeats is None or got.word_log10 is None:
        return None
    times = spread(got, 1 if within else got.repeats.length // got.tally.channels)
    if times <= 1:
        return None
    words = float(max(got.repeats.words, got.lookup.words if got.lookup is not None else 0))
    pairs = math.log10(max(1.0, words * words / 2))
    return times if pairs + (chance - pairs) / times > math.log10(alpha) else None


def repeats_anywhere(got: Gathered, within: bool, limits: Limits) -> tuple[int, dict[str, Any], str] | None:
    """Words at any offset that repeat within a call, or across calls: their number, what is stored of it, and words for it.

    None where they say nothing: where there are none, or where copies of channels or rows, which are told by themselves,
    make coins stand twice.
    """
    found = got.anywhere
    if found is None or got.proof.get("violations"):
        return None
    count = found.within if within else found.across
    if count and distinct_coins(got, limits.alpha) is not None:
        return None
    extent = least_extent(found.words, found.kept, found.rows, limits.beta) if found.kept else None
    kept: dict[str, Any] = {
        "offsets": found.words,
        "offset_words": found.kept,
        "offset_coins": found.rows,
        "offset_repeats": count,
        "offset_log10_chance": got.anywhere_log10,
        "offset_extent": extent,
    }
    text = f"at any offset nothing repeats among {found.kept} stretches of {found.rows} decisions"
    if extent is not None:
        text += f" ({extent} repeated decisions would have been missed with probability {limits.beta:g})"
    if count:
        (before, again) = found.places[0 if within else 1]
        two, one = (coin_at(got.case, coin) for coin in (again, before))
        text = f"the mask from {two} on repeats the mask from {one} on, {again - before} decisions before; "
        text += f"{count} of {found.kept} stretches of {found.rows} decisions occur twice, expected none"
        # tied coins, which fail by themselves, agree more often: see ``verdicts``
        aligned = (
            again - before
        ) % got.tally.channels == 0  # what ties rows or calls place by place shows at whole rows
        times = spread(got, 1 if within else -(-found.rows // got.tally.channels))
        pairs = math.log10(max(1.0, found.pairs))
        if aligned or (times > 1 and pairs + (got.anywhere_log10 - pairs) / times > math.log10(limits.alpha)):
            kept.update(spread=round(times, 3), offset_aligned=aligned)
    return count, kept, text


def offsets_judged(check: Check, got: Gathered, limits: Limits, within: bool, text: str, numbers: Any) -> Finding:
    """What words at any offset say where no word of rows repeats: a failure, or the pass that ``text`` and ``numbers`` are."""
    found = repeats_anywhere(got, within, limits)
    if found is None or got.anywhere is None:
        return finding(check, got.case, "pass", text, **numbers)
    count, kept, words = found
    numbers["tallies"].update(kept)
    if not count:
        return finding(check, got.case, "pass", f"{text}; {words}", **numbers)
    if not within and count < got.anywhere.within:
        return skipped(check, got.case, f"{NOT_INTERPRETABLE} samples of one call repeat each other")
    numbers["tallies"].update(repeats=count, log10_chance=got.anywhere_log10)
    numbers.update(estimate=float(count), log10_evidence=min(0.0, got.anywhere_log10), resolution=None)
    return finding(check, got.case, "fail", words, **numbers)
