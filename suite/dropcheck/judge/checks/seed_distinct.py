"""Neighbouring seeds draw different, unrelated masks."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.copies import rows_alike
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_words import place_of
from dropcheck.count.tallies import Tally
from dropcheck.judge.checks.base import Check, Limits, finding, settle, skipped
from dropcheck.judge.checks.mask_once import dependent, distinct_coins, offsets_judged
from dropcheck.judge.checks.mask_words import first_repeat, repeated_words, words_reach, words_seen
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding
from dropcheck.results.plain_text import count as counted
from dropcheck.statistics import association


def _distinct(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    """Words of the first calls of many seeds that occur under two seeds."""
    found = got.repeats
    if found is None or got.word_log10 is None or got.seeds is None:
        return None
    if (once := distinct_coins(got, limits.alpha)) is not None:
        return _once(check, got, _distinct(check, once, limits))
    seeds = len(got.seeds)
    seen = repeated_words(got, limits.alpha)
    if seen is None:
        return finding(
            check, got.case, "inconclusive", "each row has too few drop decisions to distinguish copies from chance"
        )
    _, across, chance = seen
    words = max(found.words, got.lookup.kept if got.lookup is not None else 0)
    numbers: dict[str, Any] = dict(
        estimate=float(across),
        expected=0.0,
        unit="stretches of the mask under two seeds",
        coins=words * got.tally.channels,
        log10_evidence=chance if across else 0.0,
        resolution=words_seen(got, limits.beta)[1],
        tallies={"repeats": across, "words": words, "seeds": seeds, "log10_chance": chance},
    )
    if across and (times := dependent(got, limits.alpha, chance)) is not None:
        numbers["tallies"]["spread"] = round(times, 3)  # words alone do not tell here: see ``verdicts``
    if not across:
        return offsets_judged(
            check, got, limits, False, f"{seeds} seeds draw {seeds} unrelated sequences of masks", numbers
        )
    middle = found.length // got.tally.channels // 2
    one, two = place_of(got.case, np.array(first_repeat(got, within=False)) + middle)[0]
    return finding(
        check,
        got.case,
        "fail",
        f"seed {got.seeds[int(two)]} repeats parts of the masks of seed {got.seeds[int(one)]}; "
        f"{counted(across, 'such repeat')} among {seeds} seeds, expected none{_added(got, middle)}",
        **numbers,
    )


def _added(got: Gathered, middle: int) -> str:
    """What the repeats have in common, where a call of each seed is the call before it of the next seed."""
    if got.repeats is None or len(got.repeats.places) < 8:
        return ""
    seed, row = place_of(got.case, np.array(got.repeats.places) + middle)
    steps = np.diff(np.asarray(got.seeds, np.int64)[seed], axis=1)
    calls = np.diff(row // got.case.rows, axis=1)
    if (seed[:, 0] == seed[:, 1]).any() or not ((steps == 1) & (calls == -1)).all():
        return ""
    return ". Call 2 of a seed is call 1 of the next seed: the layer, or its framework, adds the number of calls to the seed"


def _once(check: Check, got: Gathered, again: Finding | None) -> Finding:
    """What a check says of the distinct coins of a case with copied rows or channels."""
    basis = "mask.distinct-samples" if got.once(rows_alike) is not None else "mask.distinct-channels"
    if again is None or again.verdict == "inconclusive":
        text = "too few drop decisions differ" if again is None else again.message
        return skipped(check, got.case, f"{NOT_INTERPRETABLE} {basis} fails: {text}")
    return msgspec.structs.replace(again, case=str(got.case))


def _neighbours(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    """Neighbouring seeds, seeds one bit apart, and shifted calls: exact conditional tests, channels as strata.

    A third of alpha belongs to the pooled tables, a third to the single bits, a third to single places (call, row, channel)
    over the pairs of seeds, each Bonferroni-corrected. Streams a constant apart agree in some places and disagree in others:
    the pooled tables average over places, and what has both signs cancels there.
    """
    if got.seeds is None:
        return None
    if (once := distinct_coins(got, limits.alpha)) is not None:
        return _once(check, got, _neighbours(check, once, limits))
    tally = got.live
    if len(got.seeds) < 4 or not tally.call_lags:
        return skipped(check, got.case, f"{len(got.seeds)} seeds are too few to compare neighbours")
    p = tally.dropped / max(1, tally.coins)
    if not 0 < p < 1:
        return skipped(check, got.case, f"all decisions are the same (drop rate {p:g})")
    lags = {1: "neighbouring seeds", 2: "seeds one bit apart"}
    pooled = [(name, tally.call_lags[lag]) for lag, name in lags.items() if lag in tally.call_lags]
    pooled += list(tally.seed_shifts.items())
    bits = [(f"seeds that differ in bit {bit}", t) for bit, t in sorted(tally.seed_bits.items())]
    worst, where, rho = 0.0, "", 0.0
    estimates: dict[str, float] = {}
    for tables in (pooled, bits):
        for name, t in tables:
            low, high = association.log10_association(t.pairs, t.first, t.second, t.both)
            log = min(0.0, min(low, high) + math.log10(2 * 3 * len(tables)))
            estimates[name] = association.correlation(t.pairs, t.first, t.second, t.both)
            if log <= worst:
                worst, where, rho = log, name, estimates[name]
    place, told = _places(tally)
    by_place = place < worst
    if by_place:
        worst, rho = place, told[1]
    failed = worst <= math.log10(limits.alpha)
    fewest = min(int(t.pairs.sum()) for _, t in pooled)
    resolution = association.correlation_resolution(fewest, p, limits.alpha / 3 / len(pooled), limits.beta)
    # one bit has few pairs: what it shows by itself is coarser, and is said beside the resolution of the whole
    fewest_bit = min((int(t.pairs.sum()) for _, t in bits), default=0)
    of_a_bit = association.correlation_resolution(fewest_bit, p, limits.alpha / 3 / max(1, len(bits)), limits.beta)
    numbers: dict[str, Any] = dict(
        estimate=rho,
        expected=0.0,
        unit="correlation",
        coins=got.tally.coins,
        resolution=resolution,
        log10_evidence=worst,
        tallies={"correlations": estimates, "pairs": fewest, "resolution_of_a_bit": of_a_bit},
    )
    strongest = max((estimates[name] for name, _ in pooled), key=abs)
    text = (
        told[0]
        if failed and by_place
        else f"the masks of {where} have correlation {rho:+.4f}, expected 0"
        if failed
        else f"the masks of neighbouring seeds and shifted calls are independent; the largest correlation is {strongest:+.4f}"
        + (f" (detection limit for a single bit of the seed: {of_a_bit:.2g})" if of_a_bit < 1 else "")
    )
    return finding(check, got.case, settle(failed, resolution, limits.coarsest), text, **numbers)


def _places(tally: Tally) -> tuple[float, tuple[str, float]]:
    """The most extreme single place over the pairs of seeds: log10 of its share of the evidence, its words and correlation.

    Each place by the exact conditional law given its margins, Bonferroni over all places of all tables, a third of alpha.
    """
    best, words, rho = 0.0, "", 0.0
    tests = sum(len(t.pairs) for t in tally.seed_places.values())
    for name, t in tally.seed_places.items():
        logs = association.association_many(t.pairs, t.first, t.second, t.both)
        i = int(np.argmin(logs))
        log = min(0.0, float(logs[i]) + math.log10(3 * tests))
        if log < best:
            n, a, b, both = (int(x[i]) for x in (t.pairs, t.first, t.second, t.both))
            rows = len(t.pairs) // tally.channels // 2
            row, channel = divmod(i, tally.channels)
            agree = n - a - b + 2 * both
            expected = (a * b + (n - a) * (n - b)) / n
            many = int((logs <= logs[i] / 2).sum())
            words = (
                f"the masks of {name} depend on each other: in call {row // rows + 1}, row {row % rows}, channel {channel} "
                f"{agree} of {n} pairs of seeds agree (expected {expected:.3g}); {many} of {len(logs)} places differ like this"
            )
            best, rho = log, association.correlation(*(x[i : i + 1] for x in (t.pairs, t.first, t.second, t.both)))
    return best, (words, rho)


def _neighbours_reach(case: Case, limits: Limits) -> float:
    """``calls`` are two a seed; half of the seeds are first in a pair, and shifted pairs have one call each."""
    if case.calls < 8:
        return 0.0  # skipped with its reason
    pairs = case.calls // 4 * case.rows * case.channels
    return association.correlation_resolution(pairs, case.rate, limits.alpha / 3 / 4, limits.beta)


CHECKS = (
    Check(
        name="seed.distinct",
        role="seeds",
        words=True,
        forbidden=("offset_repeats",),
        how="The masks of many seeds are searched for stretches that occur under two seeds, at every row. A stretch is so long "
        "that a repeat by chance has a probability below the check's share of 10^-6. Longer stretches are looked up at every "
        "offset, with a probability below 10^-15.",
        remedy="Use all bits of the seed. Derive sequences by hashing, not by adding: with seed + call number, seed 1 and "
        "seed 2 overlap. torch.Generator().manual_seed, jax.random.fold_in and numpy.random.SeedSequence do this.",
        resolution_words="a number of mask rows that occur under two seeds",
        share=0.03,
        wants=lambda case: case.regime == "seeds",
        judge=_distinct,
        reach=words_reach,
    ),
    Check(
        name="seed.neighbours",
        role="seeds",
        conditional=True,
        how="The masks of seeds s and s + 1 are compared position by position, and those of seeds that differ in one bit. Call 2 "
        "of a seed is compared with call 1 of the next seed. Disjoint pairs of seeds are used, in an exact conditional test "
        "with one stratum per channel. Every single position is tested, too.",
        remedy="Hash the seed before you use it as generator state: numpy.random.SeedSequence, jax.random.fold_in, or a "
        "Philox key. A counter or a linear generator that starts at the seed makes neighbouring seeds alike.",
        resolution_words="a correlation between the masks of neighbouring seeds",
        share=0.04,
        coarsest={"quick": 0.1, "standard": 0.05, "deep": 0.02},
        most=0.5,
        wants=lambda case: case.regime == "seeds",
        judge=_neighbours,
        reach=_neighbours_reach,
    ),
)
