"""Equal seeds draw equal masks, here and elsewhere."""

from __future__ import annotations

import math
from functools import partial

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, in_turn, skipped
from dropcheck.judge.checks.crossings import equal, outputs, reset_in_other_dtypes, restarts
from dropcheck.judge.checks.exact_questions import Layer, coins_of, familiar, ladder, probe
from dropcheck.judge.checks.own_keys import own_keys
from dropcheck.judge.checks.ranks_alike import replicas
from dropcheck.judge.checks.seed_processes import (
    NO_EFFECT,
    across_processes,
    calls_compared,
    coins_a_call,
    draw_elsewhere,
    in_calls,
    no_seeds,
    outputs_of,
    same_calls,
    same_or_not,
    sizes_asked,
)
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused


def _reproducible(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (early := no_seeds(check, bench)) is not None:
        return early
    across = across_processes(check, bench)  # first: the second process then goes on to other work
    found = []
    for way in bench.contract.seeds:
        for dtype in bench.dtypes:
            for sizes in sizes_asked(bench):
                where = f"{dtype} {','.join(map(str, sizes))} way={way}"
                try:
                    same = equal(
                        outputs_of(bench, way, bench.seed, sizes, dtype),
                        outputs_of(bench, way, bench.seed, sizes, dtype),
                    )
                except Refused as refused:
                    found.append(skipped(check, where, f"the layer raises {refused}"))
                    continue
                found.append(same_or_not(check, where, same, "two fresh layers", 3 * coins_a_call(bench, sizes)))
    return found + across


def _reset(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (early := no_seeds(check, bench)) is not None:
        return early
    found = []
    rate = ladder(bench, (0.5,))[0]
    pattern = bench.contract.pattern
    for way in bench.contract.seeds:
        for sizes in sizes_asked(bench):
            where = f"{bench.first} {','.join(map(str, sizes))} way={way}"
            x = probe(pattern, bench.first, *sizes)
            other = probe(pattern, bench.first, *familiar(bench, (sizes[0] + 3, sizes[1] + 2, 2), (33, 65, 3)))
            try:
                layer = Layer(bench, rate, bench.first, bench.seed, way)
                calls, _ = calls_compared(bench, sizes, rate)
                between = partial(draw_elsewhere, layer, x, other)
                first, again = restarts(layer, bench.seed, partial(outputs, x=x, calls=calls), between)
                layer.reseed(bench.seed + 1)
                moved = outputs(layer, x, calls)
            except Refused as refused:
                found.append(skipped(check, where, f"the layer raises {refused}"))
                continue
            if not equal(first, again):
                text = "reseeding with the same seed after other calls draws other masks, expected the same"
            elif same := same_calls(bench, first, moved):
                text = f"{NO_EFFECT}: the masks are the same{in_calls(same, calls)}"
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


CHECKS = (
    Check(
        name="seed.reproducible",
        how="Two new layers with the same seed must return equal outputs in three calls. Small and large inputs, every dtype "
        "and every way of seeding are tested, also in a second process. In the second process another seed must draw other "
        "masks in every call. In mode ranks, replicas with the same seed must return the same output. "
        "Under JAX' vmap, each sample must have the mask that its own key draws for it alone.",
        remedy="Draw from the generator that the seed sets: torch.rand without a private torch.Generator, the rng or key "
        "argument in JAX, keras.random.SeedGenerator(seed) in Keras. Never use time, id(x) or random.random() for the mask. "
        "Each thread needs a part of its own.",
        observe=in_turn(_reproducible, replicas, own_keys),
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
)
