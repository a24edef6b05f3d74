"""Sizes and rates of daily use, each in a few calls: powers of two, squares, long rows, large calls, with exact answers.

Code has branches by size: a kernel for batches of 32, a table for 256 channels, axes guessed from equal lengths, indices of 16
bits. Most of what goes wrong there shows in a few thousand coins. Deviations that take more are the business of counted cases.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case, seed_of
from dropcheck.contract.promise import Pattern
from dropcheck.count import repeated_stretches
from dropcheck.count.coins import unpack
from dropcheck.judge.checks import wrong_values
from dropcheck.judge.checks.base import Bench, Check, Limits, finding
from dropcheck.judge.checks.refusals import crashed
from dropcheck.results.audit import Finding, Verdict
from dropcheck.results.plain_text import count as counted
from dropcheck.statistics import binomial, duplicates
from dropcheck.worker.client import Refused

# (rows, channels, elements of a coin): the first is the control, which other checks ask about, too
CONTROL = (33, 65, 3)
# these first: where every new shape is compiled, they are all that profile quick asks
FEW = ((32, 256, 4), (128, 128, 2), (9, 2049, 3))
SIZES = (
    *FEW,
    (16, 64, 64),
    # powers of two
    *((1, 512, 2), (2, 2048, 4), (4, 1024, 8), (8, 512, 8), (16, 256, 16), (32, 64, 32), (32, 128, 8), (64, 32, 64)),
    *(
        (64, 512, 2),
        (64, 1024, 1),
        (128, 64, 16),
        (256, 16, 8),
        (512, 128, 2),
        (1024, 64, 2),
        (2048, 8, 4),
        (4096, 4, 2),
    ),
    *((1, 4096, 1), (256, 256, 1)),
    # below them, and round numbers
    *((31, 63, 15), (127, 255, 3), (7, 1023, 7), (10, 1000, 3), (100, 96, 10), (20, 300, 50), (1000, 10, 5)),
    # multiples of a vector
    *((96, 192, 5), (24, 768, 5), (6, 1536, 3), (48, 384, 7), (12, 1280, 4), (5, 320, 56)),
    # equal lengths, where axes are guessed: rows and channels, channels and positions, rows and positions, all three
    *((10, 10, 7), (32, 32, 5), (64, 64, 3), (100, 100, 2), (7, 24, 24), (5, 100, 100), (3, 128, 128)),
    *((24, 40, 24), (64, 10, 64), (128, 16, 128), (12, 12, 12), (64, 64, 64)),
    # many positions, with and without a tail
    *((3, 17, 517), (3, 32, 512), (2, 33, 1024), (2, 24, 1000), (2, 8, 4096), (1, 9, 10007)),
    # many channels, many rows
    *((2, 3001, 2), (1, 10001, 2), (3, 4097, 1), (1, 65537, 1), (5001, 5, 2), (10007, 48, 1), (32768, 2, 1)),
)
LARGE = (3073, 86, 16)  # above 3000 rows, 2^18 coins and 2^22 elements
RATES = (0.05, 0.2, 0.25, 0.35, 0.4, 0.6, 0.7, 0.75, 0.8, 0.95, 0.99, 1e-4)
RATE_SIZES = (128, 129, 1)
COINS = 1 << 13  # of each size, in three calls at least
RATE_COINS = 1 << 15  # of each rate; more where fewer than 40 coins would fall, or stay
ROWS = 72  # of each size, so that copies of one pair of MANY channels are certain
MANY = 4097
MOST_CALLS = 72
# No share of ALPHA: at this level 100 sizes of 9 questions accuse a right layer with probability below 10^-9.
IMPOSSIBLE = -12.0
OF_DAILY_USE = " of daily use"  # how the case of what holds at these sizes, or on such inputs, ends

SHAPE, WHOLE, VALUES, RATE = "form.shape-dtype", "mask.whole-channels", "scale.kept-values", "rate.marginal"
CHANNELS, SAMPLES, CALLS = "mask.distinct-channels", "mask.distinct-samples", "mask.distinct-calls"
CHANNEL, SAMPLE, COUNT = "rate.per-channel", "rate.per-sample", "mask.dropped-count"
Fault = tuple[str, str, float]  # check, what is wrong, log10 of its chance

# the order of judgement at one size: what follows from an earlier fault is not told again
ORDER = (SHAPE, WHOLE, CHANNELS, SAMPLES, CALLS, CHANNEL, SAMPLE, RATE, COUNT)


@dataclass
class Seen:
    """All that was asked: (case, check, what is wrong, log10 of its chance, verdict), and the coins of what is right."""

    faults: list[tuple[Case, str, str, float, Verdict]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    coins: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    examples: dict[Case, dict[str, float]] = field(default_factory=dict)  # a wrong value of each size that has some
    rates: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def cases(bench: Bench) -> list[Case]:
    """The calls of the sweep for a target, the control first; empty where its pattern has one coin a call, or blocks."""
    pattern, first = bench.contract.pattern, bench.first
    if not pattern.coins or pattern.blocks or bench.named:
        return []
    usable = [r for r in bench.rates if 0 < r < 1]
    if not usable:
        return []
    rate = min(usable, key=lambda r: abs(r - 0.5))
    heavy = bool(bench.info.get("heavy")) or bench.info.get("mode", "eager") != "eager"
    some = FEW if heavy and bench.profile == "quick" else (*SIZES, LARGE)

    def sized(rate: float, rows: int, channels: int, shared: int, coins: int, least: int) -> Case:
        rows, channels, shared = _fitting(pattern, rows, channels, shared)
        if channels <= MANY:
            least = max(least, -(-ROWS // rows))
        return Case(
            first, rate, rows, channels, shared, calls=min(MOST_CALLS, max(least, -(-coins // (rows * channels))))
        )

    # a call of a megabyte is made twice
    found = [sized(rate, r, c, s, COINS, 3 if r * c * s < 1 << 18 else 2) for r, c, s in (CONTROL, *some)]
    if not bench.contract.rates and not bench.requested:
        for other in RATES:
            coins = max(RATE_COINS, math.ceil(40 / min(other, 1 - other)))
            # where every new shape is compiled, one that is asked already
            found.append(sized(other, *(FEW[1] if heavy else RATE_SIZES), coins, 2))
    return list(dict.fromkeys(found))


def _fitting(pattern: Pattern, rows: int, channels: int, shared: int) -> tuple[int, int, int]:
    """These sizes as a pattern has them: what indexes no coin is shared."""
    if pattern.channel_axis is None:
        channels, shared = 1, channels * shared
    elif not pattern.row_axes:
        rows, shared = 1, rows * shared
    if not pattern.shared:
        shared = 1
    shape = pattern.shape(rows, channels, shared)
    return (*pattern.matrix_shape(shape), pattern.shared_size(shape))


def seen(bench: Bench) -> Seen:
    """What the sweep shows, asked once."""
    if "daily sizes" not in bench.answers:
        bench.answers["daily sizes"] = _sweep(bench)
    found: Seen = bench.answers["daily sizes"]
    return found


def _answers(bench: Bench, some: list[Case]) -> Iterator[tuple[Case, dict[str, Any] | Refused]]:
    """The answer to each case, by a layer of its own; the session works on the next while one is looked at."""
    from dropcheck.count.gather import stream_request

    def submit(case: Case) -> None:
        stream = stream_request(case, bench.contract, seed_of(bench.seed, "daily", case))
        if case is not some[0] and stream["way"] == "global":
            stream["seed"] = None  # the stream of the first goes on: to seed a framework costs as much as a call
        bench.session.submit({"ask": "draw", "id": -2, "calls": case.calls, "stream": stream})
        bench.session.submit({"ask": "forget", "id": -2})

    for number, case in enumerate(some):
        if number == 0:
            submit(case)
        answer: dict[str, Any] | Refused
        try:
            answer = bench.session.collect()
        except Refused as refused:
            answer = refused
        bench.session.collect()
        if number + 1 < len(some):
            submit(some[number + 1])
        yield case, answer


def _sweep(bench: Bench) -> Seen:
    found, silent = Seen(), set[str]()
    some = cases(bench)
    for number, (case, answer) in enumerate(_answers(bench, some)):
        if isinstance(answer, Refused):
            if number == 0:  # others tell what a plain size shows
                return found
            if answer.where != "unsupported":
                text = f"the layer raises {answer} ({answer.where}), though it accepts other sizes"
                if crashed(answer):
                    found.faults.append((case, SHAPE, text, -math.inf, "fail"))
                else:
                    found.refused[f"{case.rows},{case.channels},{case.shared}"] = str(answer)
            continue
        faults = list(_faults(bench, case, answer))
        if number == 0:
            # what the control shows, and all that follows from it, is told by the counted cases
            silent = _following({check for check, _, _ in faults})
            continue
        if case.rate != some[0].rate:
            found.rates += 1
        for check, text, chance in faults:
            if check not in silent:
                found.faults.append((case, check, text, chance, "fail"))
                if check == VALUES and answer["proof"]["wrong_example"] is not None:
                    found.examples[case] = answer["proof"]["wrong_example"]
        for check in (*ORDER, VALUES):
            if check not in silent:
                found.sizes[check] += 1
                found.coins[check] += case.coins
    return found


def _following(faults: set[str]) -> set[str]:
    """The checks that say nothing at further sizes where the control has these faults."""
    silent = faults & {VALUES}
    first = next((number for number, check in enumerate(ORDER) if check in faults), len(ORDER))
    silent.update(ORDER[first:])
    return silent | {VALUES} if first <= ORDER.index(WHOLE) else silent


def _faults(bench: Bench, case: Case, answer: dict[str, Any]) -> Iterator[Fault]:
    """(check, what is wrong, log10 of its chance under the contract) at one size: the first of the order, and wrong values."""
    proof, packed = answer["proof"], answer.get("coins")
    if proof["malformed"]:
        bad = proof["malformed"]
        wrong = bad["error"] or f"a call returns {bad['dtype']} {tuple(bad['shape'] or ())}"
        yield SHAPE, f"{wrong} for an input of {case.dtype} {case.shapes(bench.contract.pattern)[0]}", -math.inf
        return
    if packed is None or proof["nonfinite"]:
        if proof["nonfinite"]:
            verb = "is" if proof["nonfinite"] == 1 else "are"
            text = f"{counted(proof['nonfinite'], 'element')} of {case.coins * case.shared} {verb} NaN or Inf"
            yield VALUES, text, -math.inf
        return
    if proof["wrong_values"]:
        text = f"{proof['wrong_values']} of {case.coins * case.shared} elements are neither dropped nor the input times the scale"
        yield VALUES, text, -math.inf
        if bench.contract.dropped != 0 or proof["wrong_values"] > case.coins * case.shared // 10:
            return  # drops may be among them
    if proof["violations"]:
        text = f"{proof['violations']} of {case.coins} drop decisions have dropped and kept elements, expected none"
        yield WHOLE, text, -math.inf
        return
    yield from mask_faults(bench, case, packed)


def mask_faults(bench: Bench, case: Case, packed: Any) -> Iterator[Fault]:
    """The first fault of whole coins, (calls x rows, bytes): copies, what is always alike, the rate, equal numbers of drops.

    Copies make few coins of many, and rows that never drop make a rate: what is told first may explain the others.
    """
    p = _share(packed, case)
    fault = _copied(case, packed, p) or (_alike(case, packed, p) if 0 < p < 1 else None) or _rate(bench, case, packed)
    # where a contract grants a rate of 0 or 1, there is nothing to count
    if fault is None and 0 < p < 1:
        fault = _one_count(case, packed, p) or _used_again(case, packed, p)
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


_WORDS = {
    SHAPE: "the output has the shape and dtype of the input",
    WHOLE: "elements are dropped or kept together as the pattern declares",
    VALUES: "every kept value is right",
    RATE: "the drop rate is the requested rate, within the precision of few calls",
    CALLS: "no call has the mask of another",
    SAMPLES: "no sample has the mask of another",
    CHANNELS: "no channel has the mask of another",
    CHANNEL: "no channel always or never drops",
    SAMPLE: "no batch position always or never drops",
    COUNT: "the number of drops varies from sample to sample",
}


def at_sizes(name: str) -> Callable[[Check, Bench, Limits], list[Finding]]:
    """The question of check ``name`` at sizes and rates of daily use: one finding, or one for each size that fails."""

    def observe(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
        if name == WHOLE and not bench.contract.pattern.shared:
            return []
        told = seen(bench)
        faults = [one for one in told.faults if one[1] == name]
        found: list[Finding] = []
        for case, _, text, log, verdict in faults[:3]:
            more = len(faults) - 3 if len(found) == 2 else 0
            tail = f"; {counted(more, 'other size')} fail{'s' if more == 1 else ''} in the same way" if more > 0 else ""
            # a number of calls with which the counted check of the same name has enough coins
            replayed = replace(case, calls=max(case.calls, min(256, -(-(1 << 17) // max(1, case.coins // case.calls)))))
            tallies: dict[str, Any] = {"sizes": 1}
            if more > 0:
                tallies["others"] = [str(one[0]) for one in faults[3:]]
            numbers: dict[str, Any] = {}
            if name == VALUES and case in told.examples:
                value = told.examples[case]
                factor = wrong_values.factor_of(value, bench.contract.offset_at(case.rate))
                text, tallies["example"] = f"{text}; {wrong_values.shown(value, factor)}", value
                numbers = {
                    "estimate": factor,
                    "expected": bench.contract.scale_at(case.rate),
                    "unit": wrong_values.UNIT,
                }
            found.append(
                finding(
                    check,
                    replayed,
                    verdict,
                    text + tail,
                    log10_evidence=log,
                    coins=case.coins,
                    tallies=tallies,
                    **numbers,
                )
            )
        if not found and told.sizes[name] > 0:
            kinds = f"{told.sizes[name] - told.rates} sizes"
            kinds += f" and {told.rates} more rates" if told.rates else ""
            where = f"{bench.first} sizes{OF_DAILY_USE}"
            text = f"at {kinds}, {_WORDS[name]}"
            if name == SHAPE and told.refused:
                size, words = next(iter(told.refused.items()))
                text += f"; the layer rejects {counted(len(told.refused), 'size')}, {size} with {words}"
            tallies = {"sizes": told.sizes[name] - told.rates, "rates": told.rates}
            found.append(finding(check, where, "pass", text, coins=told.coins[name], tallies=tallies))
        return found

    return observe
