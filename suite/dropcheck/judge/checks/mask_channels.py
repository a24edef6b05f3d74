"""Channels that are copies of each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.coins import Counts, unpack
from dropcheck.count.copies import log10_few_words
from dropcheck.count.gathered import Gathered
from dropcheck.count.tallies import FAR_PAIRS_UP_TO, Tally
from dropcheck.judge.checks.base import Check, Limits, draw_matrix, finding, picture, skipped
from dropcheck.judge.checks.daily_faults import CHANNELS
from dropcheck.judge.checks.daily_sizes import at_sizes
from dropcheck.judge.checks.mask_words import balanced, repeated_words
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding
from dropcheck.statistics import duplicates

_FAR_ROWS = 4096  # of the first ones, in which channels too far apart to be counted are compared


def copied_channels(tally: Tally, alpha: float) -> Counts:
    """Pairs of channels whose coins were equal in every row counted, where chance cannot explain it: (pairs, 2).

    Two channels that never drop are equal without being copies: each pair is held against its own rates.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    pairs = tally.channels * (tally.channels - 1) / 2
    for stride in range(1, tally.channels):
        # many channels: pairs at the strides of all rows there, all others on thinned rows
        near = stride in tally.pairs
        if not near and not tally.far_rows:
            continue
        both = tally.pairs[stride] if near else tally.far_of(stride)
        margin, rows = (tally.channel, tally.pair_rows) if near else (tally.far_channel, tally.far_rows)
        first, second = margin[:-stride], margin[stride:]
        c = np.flatnonzero((both == first) & (both == second))
        c = c[duplicates.log10_chances_of_equal(pairs, first[c] / rows, rows) <= math.log10(alpha)]
        if len(c):
            found.append(np.stack([c, c + stride], axis=1))
    return np.concatenate(found)


def far_copies(got: Gathered, alpha: float) -> tuple[Counts, int]:
    """Pairs of channels too far apart to be counted that are equal in all of the first rows: (pairs, 2), and how many rows."""
    none = np.empty((0, 2), dtype=np.int64)
    channels = got.tally.channels
    if channels <= FAR_PAIRS_UP_TO or got.sample is None:
        return none, 0
    sample = got.sample[:_FAR_ROWS]
    columns = np.packbits(unpack(sample, channels).T, axis=1)
    _, first, of = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    pairs = np.stack([first[of.ravel()], np.arange(channels)], axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    drops = np.bitwise_count(columns).sum(axis=1, dtype=np.int64)[pairs[:, 0]] / len(sample)
    # two channels that never drop are equal without being copies
    chances = duplicates.log10_chances_of_equal(channels * (channels - 1) / 2, drops, len(sample))
    return np.asarray(pairs[chances <= math.log10(alpha)], np.int64), len(sample)


def groups_of(pairs: Counts) -> list[list[int]]:
    """Connected groups of copied channels, each in order."""
    from scipy.sparse import coo_array  # slow to import, and a layer without copies never comes here
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), dtype=bool), pairs.T), shape=(pairs.max() + 1,) * 2)
    label = connected_components(graph, directed=False)[1]
    groups: dict[int, list[int]] = {}
    for c in np.unique(pairs).tolist():
        groups.setdefault(int(label[c]), []).append(c)
    return sorted(groups.values())


def _name_groups(groups: list[list[int]]) -> str:
    text = ", ".join("-".join(map(str, g[:8])) + ("-..." if len(g) > 8 else "") for g in groups[:3])
    return text + (f", ... ({len(groups)} groups)" if len(groups) > 3 else "")


def _distinct_channels(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    tally, case = got.live, got.case
    if tally.channels < 2:
        return skipped(check, case, "the check needs at least two channels")
    if not tally.pair_rows:
        return None
    pairs = float(tally.channels * (tally.channels - 1) / 2)
    p = tally.dropped / max(1, tally.coins)
    chance = duplicates.log10_chance_of_equal(pairs, p, tally.pair_rows)
    copies, rows = copied_channels(tally, limits.alpha), tally.pair_rows
    if not len(copies):
        copies, few = far_copies(got, limits.alpha)
        if len(copies):
            rows, chance = few, duplicates.log10_chance_of_equal(pairs, p, few)
    enough = chance <= math.log10(limits.alpha)
    numbers: dict[str, Any] = dict(
        estimate=float(len(copies)),
        expected=0.0,
        unit="pairs of channels with equal masks",
        coins=tally.pair_rows * tally.channels,
        log10_evidence=chance if len(copies) else 0.0,
        tallies={"copies": len(copies), "rows": rows, "rate": p, "log10_chance": chance},
    )
    if len(copies) and enough and not rows_suffice(got, copies, p, limits.alpha):
        return skipped(check, case, f"{NOT_INTERPRETABLE} rows of the mask repeat: too few of them differ")
    if len(copies) and enough:
        groups = groups_of(copies)
        size = max(len(g) for g in groups)
        shown = None
        if got.sample is not None:
            shown = picture(
                "rows: samples, across: channels; # kept, . dropped",
                "channel",
                draw_matrix(got.sample, tally.channels),
                [f"row {i}" for i in range(8)],
            )
        return finding(
            check,
            case,
            "fail",
            f"channels always drop together in groups of {size}, in all {rows} samples: {_name_groups(groups)}",
            picture=shown,
            **numbers,
        )
    if not enough:
        return finding(
            check,
            case,
            "inconclusive",
            f"{tally.pair_rows} samples at rate {p:.3g} are too few to distinguish copies from chance",
            **numbers,
        )
    return finding(
        check,
        case,
        "pass",
        f"all {tally.channels} channels have different masks in {tally.pair_rows} samples",
        **numbers,
    )


def rows_suffice(got: Gathered, copies: Counts, p: float, alpha: float) -> bool:
    """Whether equal channels are beyond chance counting each row that repeats another once.

    The chance of equal channels assumes independent rows, that of equal rows independent channels. Rows that repeat no
    oftener than the channels that differ allow are no evidence against rows; else only rows that differ count: a mask
    shared by a batch makes few of them, and channels that agree in those few are no copies. Few channels that differ do
    make rows repeat, but all rows only few words: see ``log10_few_words``.
    """
    repeated = repeated_words(got, alpha)
    if got.sample is None or got.repeats is None or repeated is None or not (repeated[0] or repeated[1]):
        return True
    channels, words = got.tally.channels, float(got.repeats.words)
    differing = channels - sum(len(group) - 1 for group in groups_of(copies))
    coins = got.repeats.length * differing // channels
    seen = len(np.unique(got.sample, axis=0))
    few = log10_few_words(seen, len(got.sample), p, differing)
    if min(few, duplicates.log10_chance_of_equal(words * words / 2, p, coins)) > math.log10(alpha):
        return True
    rows = int(seen / len(got.sample) * got.tally.pair_rows)
    return duplicates.log10_chance_of_equal(channels * (channels - 1) / 2, p, rows) <= math.log10(alpha)


def pooled(got: Gathered) -> float:
    return got.live.dropped / max(1, got.live.coins)


def _channels_reach(case: Case, limits: Limits) -> float:
    """Infinite where the planned rows are too few to tell copies from chance."""
    if case.channels < 2:
        return 0.0
    pairs = case.channels * (case.channels - 1) / 2
    rows = int(0.97 * case.row_count)
    enough = duplicates.log10_chance_of_equal(pairs, case.rate, rows) <= math.log10(limits.alpha)
    return 0.0 if enough else math.inf


CHECKS = (
    Check(
        name="mask.distinct-channels",
        role="copied channels",
        forbidden=("copies",),
        how="Two channels that are dropped or kept together in every sample are copies. The probability that any independent "
        "pair of channels agrees in all samples is at most pairs x (p^2 + q^2)^samples. There are so many samples that this lies "
        "below the check's share of 10^-6.",
        remedy="Draw one random number per channel: torch.rand(n, c, 1), not torch.rand(n, c // 4, 1).repeat(...). A "
        "vectorised kernel must not use one number for several lanes. Check that the noise shape has one entry per channel.",
        resolution_words="two channels with equal masks",
        share=0.03,
        wants=balanced,
        judge=_distinct_channels,
        observe=at_sizes(CHANNELS),
        reach=_channels_reach,
    ),
)
