"""What seeds do in other processes, and before anything was seeded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, exact, skipped
from dropcheck.judge.checks.crossings import equal, outputs
from dropcheck.judge.checks.exact_questions import Layer, coins_of, dropped, familiar, ladder, probe
from dropcheck.results.audit import Finding
from dropcheck.statistics import duplicates
from dropcheck.worker.client import Refused, TargetError, ask

# parts of sentences by which ``judge.following`` knows what chance explains where a layer makes few decisions
NO_EFFECT, SAME_MASKS = "reseeding with another seed has no effect", "with different seeds draw the same masks"

_SIZES = ((5, 7, 3), (130, 129, 3))  # the second has above 10 000 coins and 50 000 elements: threads come in


def sizes_asked(bench: Bench) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return _SIZES[0], familiar(bench, _SIZES[1], (1025, 65, 3))


def no_seeds(check: Check, bench: Bench) -> list[Finding] | None:
    if not bench.contract.seeds:
        return [skipped(check, "seeds", "the contract declares no seeds")]
    if bench.contract.rates and not any(0 < rate < 1 for rate in bench.contract.rates):
        return [skipped(check, "seeds", f"at the fixed rate {bench.contract.rates[0]:g} no seed can change the mask")]
    return None


# log10 of the chance at which equal outputs of independent masks are taken for masks that were used twice: such a question
# is asked at most a few dozen times a target, so all of them together err far below the check's 10^-6.
_CHANCE = -12.0


def outputs_of(bench: Bench, way: str, seed: int, sizes: tuple[int, int, int], dtype: str) -> list[Any]:
    x = probe(bench.contract.pattern, dtype, *sizes)
    rate = ladder(bench, (0.5,))[0]
    layer = Layer(bench, rate, dtype, seed, way)
    return outputs(layer, x, calls_compared(bench, sizes, rate)[0])


def coins_a_call(bench: Bench, sizes: tuple[int, int, int]) -> int:
    """Coins of a call of these sizes."""
    return coins_of(bench.contract.pattern, bench.contract.pattern.shape(*sizes))


def calls_compared(bench: Bench, sizes: tuple[int, int, int], rate: float) -> tuple[int, bool]:
    """How many calls are compared, and whether two seeds then differ for sure: agree by chance below 10^-12.

    Two coins at rate p agree with probability p^2 + (1 - p)^2. Three calls are enough unless a call has few coins.
    """
    coins = coins_a_call(bench, sizes)
    digits = -math.log10(rate**2 + (1 - rate) ** 2) * max(1, coins)
    calls = max(3, min(64, math.ceil(12 / digits))) if digits > 0 else 3
    return calls, calls * digits >= 12


def same_calls(bench: Bench, one: list[Any], two: list[Any]) -> list[int]:
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


def in_calls(same: list[int], calls: int) -> str:
    """Which calls these are, in words; nothing where it is all of them."""
    if len(same) == calls:
        return ""
    return f" in call{'s' if len(same) > 1 else ''} {', '.join(str(i + 1) for i in same)} of {calls}"


def same_or_not(check: Check, where: str, same: bool, who: str, coins: int) -> Finding:
    start = f"{who} with the same seed draw"
    problem = "" if same else f"{start} different masks, expected the same"
    return exact(check, where, problem, f"{start} the same masks", coins=coins)


def across_processes(check: Check, bench: Bench) -> list[Finding]:
    """The same seed in a fresh process; without a seed, what two processes share is a trait."""
    if bench.fresh_session is None:
        return []
    found = []
    sizes, dtype = sizes_asked(bench)[1], bench.first
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
            here = outputs_of(bench, way, bench.seed, sizes, dtype)
            there = outputs_of(other, way, bench.seed, sizes, dtype)
            same = equal(here, there)
            where = f"{dtype} {','.join(map(str, sizes))} way={way} fresh process"
            found.append(same_or_not(check, where, same, "two processes", 3 * coins_a_call(bench, sizes)))
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
        return {way: outputs_of(bench, way, seed, sizes_asked(bench)[1], bench.first) for way in bench.contract.seeds}
    except Refused:
        return None


def _seeded_apart(check: Check, bench: Bench, where: str, here: list[Any], there: list[Any]) -> Finding:
    """Two processes with seeds of their own, as data-parallel workers have them, must not draw the same masks."""
    coins = int(sum(one.size for one in here))
    rate = ladder(bench, (0.5,))[0]
    if not any(dropped(one, bench, rate, bench.first).any() for one in here):
        return skipped(check, where, "nothing drops (see rate.marginal)")
    same = same_calls(bench, here, there)
    problem = f"two processes {SAME_MASKS}{in_calls(same, len(here))}" if same else ""
    return exact(check, where, problem, "two processes with different seeds draw different masks", coins=coins)


def unseeded_digest(bench: Bench) -> str | None:
    """A digest of the first masks of a process that nobody seeded, to be compared between processes."""
    import hashlib

    dtype, way = bench.first, bench.contract.seeds[0] if bench.contract.seeds else "global"
    x, rate = probe(bench.contract.pattern, dtype, *sizes_asked(bench)[1]), ladder(bench, (0.5,))[0]
    try:
        made = ask(bench.session, "make", rate=rate, dtype=dtype, seed=None, way=way)
        calls = calls_compared(bench, sizes_asked(bench)[1], rate)[0]
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


def draw_elsewhere(layer: Layer, x: Any, other: Any) -> None:
    """Calls of another shape and of inference, where the layer has it, and one more."""
    layer.call(other)
    try:
        layer.call(x, training=False)
    except Refused as refused:
        if refused.where != "unsupported":
            raise
    layer.call(x)
