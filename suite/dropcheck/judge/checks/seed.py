"""The seed family: equal seeds draw equal masks, different seeds unrelated ones."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import msgspec
import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.copies import rows_alike
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_words import place_of
from dropcheck.count.tallies import Tally
from dropcheck.judge.checks.base import Bench, Check, Limits, exact, finding, in_turn, settle, skipped
from dropcheck.judge.checks.crossings import equal, outputs, reset_in_other_dtypes, restarts
from dropcheck.judge.checks.exact_questions import Layer, coins_of, dropped, familiar, ladder, probe
from dropcheck.judge.checks.mask_copies import (
    dependent,
    distinct_coins,
    first_repeat,
    offsets_judged,
    repeated_words,
    words_reach,
    words_seen,
)
from dropcheck.judge.checks.ranks_alike import replicas
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding
from dropcheck.results.plain_text import count as counted
from dropcheck.statistics import association, duplicates
from dropcheck.worker.client import Refused, TargetError, ask

# parts of sentences by which ``judge.following`` knows what chance explains where a layer makes few decisions
NO_EFFECT, SAME_MASKS = "reseeding with another seed has no effect", "with different seeds draw the same masks"

_SIZES = ((5, 7, 3), (130, 129, 3))  # the second has above 10 000 coins and 50 000 elements: threads come in


def _sizes(bench: Bench) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return _SIZES[0], familiar(bench, _SIZES[1], (1025, 65, 3))


def _none(check: Check, bench: Bench) -> list[Finding] | None:
    if not bench.contract.seeds:
        return [skipped(check, "seeds", "the contract declares no seeds")]
    if bench.contract.rates and not any(0 < rate < 1 for rate in bench.contract.rates):
        return [skipped(check, "seeds", f"at the fixed rate {bench.contract.rates[0]:g} no seed can change the mask")]
    return None


# log10 of the chance at which equal outputs of independent masks are taken for masks that were used twice: such a question
# is asked at most a few dozen times a target, so all of them together err far below the check's 10^-6.
_CHANCE = -12.0


def _outputs(bench: Bench, way: str, seed: int, sizes: tuple[int, int, int], dtype: str) -> list[Any]:
    x = probe(bench.contract.pattern, dtype, *sizes)
    rate = ladder(bench, (0.5,))[0]
    layer = Layer(bench, rate, dtype, seed, way)
    return outputs(layer, x, _calls(bench, sizes, rate)[0])


def _coins(bench: Bench, sizes: tuple[int, int, int]) -> int:
    """Coins of a call of these sizes."""
    return coins_of(bench.contract.pattern, bench.contract.pattern.shape(*sizes))


def _calls(bench: Bench, sizes: tuple[int, int, int], rate: float) -> tuple[int, bool]:
    """How many calls are compared, and whether two seeds then differ for sure: agree by chance below 10^-12.

    Two coins at rate p agree with probability p^2 + (1 - p)^2. Three calls are enough unless a call has few coins.
    """
    coins = _coins(bench, sizes)
    digits = -math.log10(rate**2 + (1 - rate) ** 2) * max(1, coins)
    calls = max(3, min(64, math.ceil(12 / digits))) if digits > 0 else 3
    return calls, calls * digits >= 12


def _same_calls(bench: Bench, one: list[Any], two: list[Any]) -> list[int]:
    """Numbers of the calls whose masks are the same under two seeds, where chance cannot explain it.

    A call by itself where its coins suffice (a seed may reach some calls only), else all calls together; where even these
    have too few coins, or nothing is dropped, no call.
    """
    rate = ladder(bench, (0.5,))[0]
    if not any(dropped(values, bench, rate, bench.first).any() for values in one):
        return []
    chance = duplicates.log10_chance_of_equal(1.0, rate, coins_of(bench.contract.pattern, one[0].shape))
    same = [i for i, (a, b) in enumerate(zip(one, two, strict=True)) if equal([a], [b])]
    if chance <= _CHANCE or (len(same) == len(one) and len(one) * chance <= _CHANCE):
        return same
    return []


def _in_calls(same: list[int], calls: int) -> str:
    """Which calls these are, in words; nothing where it is all of them."""
    if len(same) == calls:
        return ""
    return f" in call{'s' if len(same) > 1 else ''} {', '.join(str(i + 1) for i in same)} of {calls}"


def _reproducible(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (early := _none(check, bench)) is not None:
        return early
    across = _across_processes(check, bench)  # first: the second process then goes on to other work
    found = []
    for way in bench.contract.seeds:
        for dtype in bench.dtypes:
            for sizes in _sizes(bench):
                where = f"{dtype} {','.join(map(str, sizes))} way={way}"
                try:
                    same = equal(
                        _outputs(bench, way, bench.seed, sizes, dtype), _outputs(bench, way, bench.seed, sizes, dtype)
                    )
                except Refused as refused:
                    found.append(skipped(check, where, f"the layer raises {refused}"))
                    continue
                found.append(_same_or_not(check, where, same, "two fresh layers", 3 * _coins(bench, sizes)))
    return found + across


def _same_or_not(check: Check, where: str, same: bool, who: str, coins: int) -> Finding:
    start = f"{who} with the same seed draw"
    problem = "" if same else f"{start} different masks, expected the same"
    return exact(check, where, problem, f"{start} the same masks", coins=coins)


def _across_processes(check: Check, bench: Bench) -> list[Finding]:
    """The same seed in a fresh process; without a seed, what two processes share is a trait."""
    if bench.fresh_session is None:
        return []
    found = []
    sizes, dtype = _sizes(bench)[1], bench.first
    try:
        session = bench.fresh_session()
    except (TargetError, Refused) as error:
        return [skipped(check, "a fresh process", f"a second process could not be started: {error}")]
    try:
        other = Bench(session, bench.info, bench.contract, bench.dtypes, bench.seed, bench.rates, bench.profile, {})
        theirs = unseeded_digest(other)
        if theirs is not None and bench.unseeded is not None:
            bench.traits["two processes without a seed"] = (
                "the same masks" if theirs == bench.unseeded else "different masks"
            )
        apart = first_masks(other, bench.seed + 1)  # before anything else is asked of this process
        for way in bench.contract.seeds:
            here = _outputs(bench, way, bench.seed, sizes, dtype)
            there = _outputs(other, way, bench.seed, sizes, dtype)
            same = equal(here, there)
            where = f"{dtype} {','.join(map(str, sizes))} way={way} fresh process"
            found.append(_same_or_not(check, where, same, "two processes", 3 * _coins(bench, sizes)))
            if bench.begun is not None and apart is not None:
                found.append(_seeded_apart(check, bench, f"{where}, another seed", bench.begun[way], apart[way]))
    except (TargetError, Refused) as error:
        found.append(skipped(check, "a fresh process", str(error)))
    finally:
        session.close()
    return found


def first_masks(bench: Bench, seed: int) -> dict[str, list[Any]] | None:
    """Outputs of the first seeded layers of a process, one layer a way; None where a way is refused.

    Asked of two processes at the same place, after ``unseeded_digest`` and before anything else, under two seeds: a layer
    that no seed reaches then draws the same masks in both. Asked later, its stream has moved on in one of them, and other
    masks show nothing.
    """
    try:
        return {way: _outputs(bench, way, seed, _sizes(bench)[1], bench.first) for way in bench.contract.seeds}
    except Refused:
        return None


def _seeded_apart(check: Check, bench: Bench, where: str, here: list[Any], there: list[Any]) -> Finding:
    """Two processes with seeds of their own, as data-parallel workers have them, must not draw the same masks."""
    coins = int(sum(one.size for one in here))
    rate = ladder(bench, (0.5,))[0]
    if not any(dropped(one, bench, rate, bench.first).any() for one in here):
        return skipped(check, where, "nothing drops (see rate.marginal)")
    same = _same_calls(bench, here, there)
    problem = f"two processes {SAME_MASKS}{_in_calls(same, len(here))}" if same else ""
    return exact(check, where, problem, "two processes with different seeds draw different masks", coins=coins)


def unseeded_digest(bench: Bench) -> str | None:
    """A digest of the first masks of a process that nobody seeded, to be compared between processes."""
    import hashlib

    dtype, way = bench.first, bench.contract.seeds[0] if bench.contract.seeds else "global"
    x, rate = probe(bench.contract.pattern, dtype, *_sizes(bench)[1]), ladder(bench, (0.5,))[0]
    try:
        made = ask(bench.session, "make", rate=rate, dtype=dtype, seed=None, way=way)
        calls = _calls(bench, _sizes(bench)[1], rate)[0]
        answer = ask(
            bench.session,
            "apply",
            id=made["id"],
            x=x,
            dtype=dtype,
            layout="contiguous",
            training=True,
            record=False,
            times=calls if calls > 3 else 1,  # one call has coins enough unless it has a handful
        )
    except Refused:
        return None
    return hashlib.blake2b(np.stack(answer["ys"]).tobytes(), digest_size=6).hexdigest()


def _elsewhere(layer: Layer, x: Any, other: Any) -> None:
    """Calls of another shape and of inference, where the layer has it, and one more."""
    layer.call(other)
    try:
        layer.call(x, training=False)
    except Refused as refused:
        if refused.where != "unsupported":
            raise
    layer.call(x)


def _reset(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (early := _none(check, bench)) is not None:
        return early
    found = []
    rate = ladder(bench, (0.5,))[0]
    pattern = bench.contract.pattern
    for way in bench.contract.seeds:
        for sizes in _sizes(bench):
            where = f"{bench.first} {','.join(map(str, sizes))} way={way}"
            x = probe(pattern, bench.first, *sizes)
            other = probe(pattern, bench.first, *familiar(bench, (sizes[0] + 3, sizes[1] + 2, 2), (33, 65, 3)))
            try:
                layer = Layer(bench, rate, bench.first, bench.seed, way)
                calls, _ = _calls(bench, sizes, rate)
                between = partial(_elsewhere, layer, x, other)
                first, again = restarts(layer, bench.seed, partial(outputs, x=x, calls=calls), between)
                layer.reseed(bench.seed + 1)
                moved = outputs(layer, x, calls)
            except Refused as refused:
                found.append(skipped(check, where, f"the layer raises {refused}"))
                continue
            if not equal(first, again):
                text = "reseeding with the same seed after other calls draws other masks, expected the same"
            elif same := _same_calls(bench, first, moved):
                text = f"{NO_EFFECT}: the masks are the same{_in_calls(same, calls)}"
            else:
                found.append(
                    finding(
                        check,
                        where,
                        "pass",
                        "reseeding with the same seed after other calls draws the same masks",
                        coins=6 * coins_of(pattern, x.shape),
                    )
                )
                continue
            found.append(
                finding(check, where, "fail", text, log10_evidence=-math.inf, coins=6 * coins_of(pattern, x.shape))
            )
    return found


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
        name="seed.reproducible",
        how="Two new layers with the same seed must return equal outputs in three calls. Small and large inputs, every dtype "
        "and every way of seeding are tested, also in a second process. In the second process another seed must draw other "
        "masks in every call. In mode ranks, replicas with the same seed must return the same output.",
        remedy="Draw from the generator that the seed sets: torch.rand without a private torch.Generator, the rng or key "
        "argument in JAX, keras.random.SeedGenerator(seed) in Keras. Never use time, id(x) or random.random() for the mask. "
        "Each thread needs a part of its own.",
        observe=in_turn(_reproducible, replicas),
    ),
    Check(
        name="seed.reset",
        how="Calls of other shapes and inference calls come first. Then reseeding with the same seed must repeat the masks of the "
        "first three calls, and reseeding with another seed must draw other masks. A constructor may draw from the same "
        "generator: then a new layer, reseeded, is the reference. Every dtype is tested.",
        remedy="Keep no random state beside the generator that the seed sets: no counter, no block of masks drawn in "
        "advance, no seed read in the constructor. Where you need such state, derive it from the generator in every call.",
        observe=in_turn(_reset, reset_in_other_dtypes),
    ),
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
