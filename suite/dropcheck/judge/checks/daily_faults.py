"""What is wrong with the masks of a few calls, each with the chance that an independent layer shows it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count import repeated_stretches
from dropcheck.count.coins import unpack
from dropcheck.count.other_forms import SQUARE_FORMS
from dropcheck.judge.checks.base import Bench
from dropcheck.results.plain_text import count as counted
from dropcheck.statistics import binomial, duplicates

# No share of ALPHA: at this level 100 sizes of 9 questions accuse a right layer with probability below 10^-9.
IMPOSSIBLE = -12.0

SHAPE, WHOLE, VALUES, RATE = "form.shape-dtype", "mask.whole-channels", "scale.kept-values", "rate.marginal"

CHANNELS, SAMPLES, CALLS = "mask.distinct-channels", "mask.distinct-samples", "mask.distinct-calls"

CHANNEL, SAMPLE, COUNT = "rate.per-channel", "rate.per-sample", "mask.dropped-count"

Fault = tuple[str, str, float]  # check, what is wrong, log10 of its chance


def mask_faults(bench: Bench, case: Case, packed: Any) -> Iterator[Fault]:
    """The first fault of whole coins, (calls x rows, bytes): copies, what is always alike, the rate, equal numbers of drops.

    Copies make few coins of many, and rows that never drop make a rate: what is told first may explain the others.
    """
    p = _share(packed, case)
    fault = _copied(case, packed, p) or (_alike(case, packed, p) if 0 < p < 1 else None) or _rate(bench, case, packed)
    # where a contract grants a rate of 0 or 1, there is nothing to count
    if fault is None and 0 < p < 1:
        fault = _one_count(case, packed, p) or _transposed(case, packed, p) or _used_again(case, packed, p)
    if fault is not None:
        yield fault


def _rate(bench: Bench, case: Case, packed: Any) -> Fault | None:
    """The share of drops."""
    drops, n = int(np.bitwise_count(packed).sum(dtype=np.int64)), case.coins
    log = binomial.log10_outside(drops, n, case.rate, bench.contract.rate_tolerance(case.rate))
    if log >= IMPOSSIBLE:
        return None
    return RATE, f"the layer drops with probability {drops / n:.5g}, expected {case.rate:g} ({n} drop decisions)", log


def _copied(case: Case, packed: Any, p: float) -> Fault | None:
    """Channels, rows of a call or calls that are equal, beyond those that always or never drop.

    Equal channels are certain only in rows that differ. Where they are not, rows are held against all channels.
    """
    calls = packed.reshape(case.calls, case.rows, -1)
    columns = np.packbits(unpack(packed, case.channels).T, axis=1)
    words, drops = _whole_words(packed), np.bitwise_count(packed).sum(axis=1, dtype=np.int64)
    falls = np.bitwise_count(columns).sum(axis=1, dtype=np.int64)
    mixed_rows, mixed_channels = (drops > 0) & (drops < case.channels), (falls > 0) & (falls < len(packed))
    if case.channels > 1:
        log = duplicates.log10_chance_of_equal(case.channels * (case.channels - 1) / 2, p, len(np.unique(words)))
        equal = int(mixed_channels.sum()) - len(np.unique(_whole_words(columns[mixed_channels])))
        if equal and log < IMPOSSIBLE:
            text = f"{counted(equal, 'channel')} of {case.channels} {'has' if equal == 1 else 'have'} the mask"
            return CHANNELS, f"{text} of another channel in all {len(packed)} samples, expected none", log
    if case.rows > 1:
        pairs, equal = case.rows * (case.rows - 1) / 2, 0
        log = duplicates.log10_chance_of_equal(case.calls * pairs, p, case.channels)
        if log < IMPOSSIBLE:  # within each call, where any row at all repeats another
            if len(np.unique(words[mixed_rows])) < int(mixed_rows.sum()):
                for one, mixed in zip(words.reshape(case.calls, -1), mixed_rows.reshape(case.calls, -1), strict=True):
                    equal += int(mixed.sum()) - len(np.unique(one[mixed]))
        else:  # one position with another, in all calls
            log = duplicates.log10_chance_of_equal(pairs, p, case.channels * len({c.tobytes() for c in calls}))
            if log < IMPOSSIBLE:
                mixed = mixed_rows.reshape(case.calls, -1).any(axis=0)
                places = np.ascontiguousarray(calls.transpose(1, 0, 2)).reshape(case.rows, -1)[mixed]
                equal = len(places) - len(np.unique(_whole_words(places)))
        if equal:
            text = f"{counted(equal, 'sample')} of {len(packed)} {'has' if equal == 1 else 'have'} the mask of another sample"
            return SAMPLES, f"{text} in the same call, expected none", log
    whole = [one.tobytes() for one, mixed in zip(calls, mixed_rows.reshape(case.calls, -1), strict=True) if mixed.any()]
    if len(set(whole)) == len(whole):
        return None
    coins = min(len(np.unique(one)) for one in words.reshape(case.calls, -1)) * case.channels
    log = duplicates.log10_chance_of_equal(case.calls * (case.calls - 1) / 2, p, coins)
    if log < IMPOSSIBLE:
        equal = len(whole) - len(set(whole))
        text = "call reuses" if equal == 1 else "calls reuse"
        return CALLS, f"{equal} of {case.calls} {text} the mask of an earlier call, expected none", log
    return None


def _transposed(case: Case, packed: Any, p: float) -> Fault | None:
    """Square calls that are their own transpose, or that of an earlier call, in any of the eight forms of a square."""
    n = case.channels
    if case.rows != n or n < 2 or case.batches:
        return None
    bits = unpack(packed, n).reshape(-1, n, n)
    whole = [one.tobytes() for one in bits]
    agree = math.log10(p * p + (1 - p) * (1 - p))
    ways = math.log10(len(SQUARE_FORMS) * len(bits) ** 2)
    for form in SQUARE_FORMS:
        other = form.of(bits)
        again = {one.tobytes(): call for call, one in enumerate(other)}
        pairs = [(again[one], call) for call, one in enumerate(whole) if again.get(one, call) < call]
        if pairs and (log := ways + n * n * agree) < IMPOSSIBLE:
            text = f"call {pairs[0][1]} reuses the mask of call {pairs[0][0]} {form.name}; {len(pairs)} of {len(bits)} calls do so"
            return CALLS, f"{text}, expected none", log
        if form.turned != form.backwards:
            continue
        axis = np.eye(n, dtype=bool)[:, ::-1] if form.turned else np.eye(n, dtype=bool)
        own = np.flatnonzero(~((bits != other) & ~axis).any(axis=(1, 2)))
        if len(own) and (log := ways + n * (n - 1) / 2 * agree) < IMPOSSIBLE:
            text = f"call {own[0]} is its own mask {form.name}, away from the diagonal; {len(own)} of {len(bits)} calls are so"
            return SAMPLES, f"{text}, expected none", log
    return None


def _used_again(case: Case, packed: Any, p: float) -> Fault | None:
    """Stretches of coins that come again where no row begins, as where an index wraps: see ``repeated_stretches``."""
    sample = repeated_stretches.stretches_of(case)
    if sample is None or case.rows * case.calls < 2:
        return None
    sample.add(packed)
    seen = sample.lookup(case)
    log = repeated_stretches.log10_chance(seen.pairs, np.full(case.channels, p), seen.rows)
    if log >= IMPOSSIBLE or not seen.within + seen.across:
        return None
    which, times = (SAMPLES, seen.within) if seen.within else (CALLS, seen.across)
    first, again = sorted(seen.places[0] if seen.within else seen.places[1])
    text = "stretch repeats" if times == 1 else "stretches repeat"
    text = f"{times} {text} {seen.rows} decisions of {'the same' if seen.within else 'an earlier'} call, expected none"
    here, there = (repeated_stretches.coin_at(case, place) for place in (again, first))
    return which, f"{text}: the mask from {here} on is that from {there} on, {again - first} decisions before", log


def _whole_words(rows: Any) -> Any:
    """Rows of bytes as one word each, so that they can be sorted."""
    rows = np.ascontiguousarray(rows)
    return rows.view(np.dtype((np.void, rows.shape[1]))).ravel()


def _share(packed: Any, case: Case) -> float:
    """The share at which equality is least telling: the measured one or the nominal one."""
    share = float(np.bitwise_count(packed).sum(dtype=np.int64)) / case.coins
    return max(share, case.rate, key=lambda p: p * p + (1 - p) * (1 - p))


def _alike(case: Case, packed: Any, p: float) -> Fault | None:
    """Channels, and rows of a call, that always or never drop."""
    worst = math.log10(max(p, 1 - p))
    # rows that stand twice count once
    log = math.log10(2 * case.channels) + len(np.unique(_whole_words(packed))) * worst
    if case.channels > 1 and log < IMPOSSIBLE:
        every = np.bitwise_and.reduce(packed, axis=0)
        some = np.bitwise_or.reduce(packed, axis=0)
        always, never = (
            np.flatnonzero(unpack(bits[None], case.channels)[0] == value) for bits, value in ((every, 1), (some, 0))
        )
        for which, word in ((never, "never"), (always, "always")):
            if len(which):
                text = f"{counted(len(which), 'channel')} of {case.channels} (the first is channel {which[0]}) {word} "
                return CHANNEL, f"{text}drop{'s' if len(which) == 1 else ''} in {len(packed)} samples", log
    log = math.log10(2 * case.rows) + case.calls * case.channels * worst
    if case.rows > 1 and log < IMPOSSIBLE:
        drops = np.bitwise_count(packed).sum(axis=1, dtype=np.int64).reshape(case.calls, case.rows).sum(axis=0)
        for which, word in (
            (np.flatnonzero(drops == 0), "never"),
            (np.flatnonzero(drops == case.calls * case.channels), "always"),
        ):
            if len(which):
                text = f"{counted(len(which), 'batch position')} of {case.rows} (the first is {which[0]}) {word} "
                return SAMPLE, f"{text}drop{'s' if len(which) == 1 else ''} in {case.calls} calls", log
    return None


def _one_count(case: Case, packed: Any, p: float) -> Fault | None:
    """Rows that all drop the same number of channels: no row of independent coins has a likelier number than its mode."""
    if case.channels < 2 or len(packed) < 2:
        return None
    c = case.channels
    mode = min(c, math.floor((c + 1) * p))
    log_mode = (math.lgamma(c + 1) - math.lgamma(mode + 1) - math.lgamma(c - mode + 1)) / math.log(10)
    log_mode += mode * math.log10(p) + (c - mode) * math.log10(1 - p)
    log = (len(packed) - 1) * log_mode
    if log >= IMPOSSIBLE:
        return None
    drops = np.bitwise_count(packed).sum(axis=1, dtype=np.int64)
    if drops.min() != drops.max():
        return None
    deviation = math.sqrt(c * p * (1 - p))
    text = f"each of {len(packed)} samples drops exactly {drops[0]} of {c} channels, expected {c * p:.4g} +- {deviation:.2g}"
    return COUNT, text, log
