"""What is withheld beside a failure, case by case, and that the same is said whatever is selected."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

import dropcheck
from dropcheck.results.audit import Finding
from dropcheck.statistics import dispersion
from spatial_dropouts.broken import streams  # noqa: F401  (the module's stream is loaded once for all tests)


def findings(name: str, cases: Sequence[str] = (), select: Sequence[str] = (), **more: object) -> list[Finding]:
    result = dropcheck.audit(
        name, cases=tuple(cases), select=tuple(select), in_process=True, jobs=1, causes=False, **more
    )
    (target,) = result.targets
    assert target.error is None, target.error
    return target.findings


def failing(found: list[Finding]) -> set[str]:
    return {one.check for one in found if one.verdict == "fail"}


def told(found: list[Finding], check: str) -> list[tuple[str, str]]:
    """Case, and verdict with the reason of each finding of one check."""
    return [
        (one.case, one.message.split(":")[0] if one.verdict == "skipped" else one.verdict)
        for one in found
        if one.check == check
    ]


HALF = "float32 rate=0.5 65,17,3 calls=128"
ONE = "float32 rate=0.5 257,1,3 calls=300"
SEEDS = "float32 rate=0.5 9,17,3 calls=256 seeds way=generator"


@pytest.mark.parametrize("name", ["module-stream", "legacy-stream", "first-call-seeded"])
def test_a_layer_that_no_seed_reaches_is_not_certified_by_what_many_seeds_show(name: str) -> None:
    whole = findings(f"broken.{name}", [SEEDS], ["seed"])
    assert failing(whole) == {"seed.reproducible"}
    for check in ("seed.distinct", "seed.neighbours"):
        assert told(whole, check) == told(findings(f"broken.{name}", [SEEDS], [check]), check)
        assert all("because seed.reproducible fails" in why for _, why in told(whole, check))


def test_two_processes_are_asked_for_two_seeds_at_the_same_place() -> None:
    for name, seen in (
        ("broken.module-stream", "fail"),
        ("broken.first-call-seeded", "fail"),
        ("unusual.module-stream-seeded", "pass"),
    ):
        result = dropcheck.audit(name, select=("seed.reproducible",), dtypes=("float32",), jobs=1, causes=False)
        apart = [one for one in result.targets[0].findings if one.case.endswith("another seed")]
        assert [one.verdict for one in apart] == [seen], apart
    assert all("same masks" in one.message for one in apart) is False


@pytest.mark.parametrize("case", [HALF, ONE])
def test_one_mask_a_batch_is_a_copy_of_samples_and_nothing_else(case: str) -> None:
    found = findings(
        "broken.one-mask-per-batch", [case, SEEDS.replace("9,17", "153,1") if case == ONE else SEEDS], ["mask", "seed"]
    )
    assert failing(found) == {"mask.distinct-samples"}


def test_whole_calls_are_equal_or_not_under_any_pattern() -> None:
    cases = ["float32 rate=0.5 5,31,3 calls=512"]
    found = findings("broken.frozen-elements", cases, ["mask", "rate"])
    assert failing(found) == {"mask.whole-channels", "mask.distinct-calls"}
    assert failing(findings("broken.frozen-elements", cases, ["mask.distinct-calls"])) == {"mask.distinct-calls"}
    assert failing(findings("broken.drops-elements", cases, ["mask", "rate"])) == {"mask.whole-channels"}


def test_dependence_of_calls_stands_beside_a_pair_of_equal_channels() -> None:
    found = findings("broken.lean-calls-with-a-copy", [HALF], ["mask", "rate"])
    assert failing(found) == {"mask.distinct-channels", "mask.independent-calls"}
    for check in ("mask.independent-calls", "mask.independent-samples", "mask.dropped-count", "rate.marginal"):
        assert told(found, check) == told(findings("broken.lean-calls-with-a-copy", [HALF], [check]), check)


def test_chunks_that_wander_over_calls_are_no_copies_of_samples() -> None:
    for case in (HALF, ONE, "float32 rate=0.5 4097,1,3 calls=20"):
        assert failing(findings("broken.chunk-per-call", [case], ["mask"])) == {"mask.distinct-calls"}


def test_blocks_that_overlap_are_dependence_not_copies() -> None:
    cases = ["float32 rate=0.3 64,28,1 calls=200", "float32 rate=0.3 64,28,1 calls=64 seeds way=generator"]
    found = failing(findings("broken.overlapping-blocks", cases, ["mask", "seed.distinct", "seed.neighbours"]))
    assert "mask.independent-channels" in found
    assert not found & {"mask.distinct-channels", "mask.distinct-samples", "mask.distinct-calls", "seed.distinct"}


def test_ties_of_both_signs_do_not_cancel() -> None:
    found = findings("broken.seeds-turned", [SEEDS], ["seed"])
    assert failing(found) == {"seed.neighbours"}
    (one,) = [f for f in found if f.check == "seed.neighbours"]
    assert "of 64 pairs of seeds agree (expected" in one.message and (one.log10_evidence or 0) < -9
    assert not failing(findings("unusual.hashed-counter", [SEEDS], ["seed"]))


def test_calls_with_a_rate_of_their_own_are_told_as_rates() -> None:
    for name, words in (
        ("skips-a-call", "drop nothing"),
        ("warms-up", "calls 0 to 15 of 512 drop with probability 0.05"),
    ):
        found = findings(
            f"broken.{name}",
            ["float32 rate=0.5 5,131,3 calls=512"],
            ["mask.distinct-samples", "mask.distinct-calls", "rate.marginal"],
        )
        assert failing(found) == {"rate.marginal"}
        assert any(words in one.message for one in found if one.check == "rate.marginal")


def test_skipped_calls_are_seen_where_batches_vary_too() -> None:
    """Their rate is compared call by call, whatever the sizes of the calls."""
    case = "float32 rate=0.5 50,65,3 calls=820 batches=64,1,130,5"
    found = findings("broken.skips-a-call", [case], ["mask", "rate"])
    assert failing(found) == {"rate.marginal"}
    assert failing(findings("broken.skips-a-call", [case], ["mask.dropped-count"])) == set()
    case = "float32 rate=0.5 50,17,3 calls=8200 batches=64,1,130,5"  # the first coins hold a part of these calls
    assert failing(findings("broken.skips-a-call", [case], ["mask", "rate"])) == {"rate.marginal"}


@pytest.mark.parametrize(
    "case", ["float32 rate=0.5 129,513,3 calls=25", "float32 rate=0.5 50,65,3 calls=82 batches=64,1,130,5"]
)
def test_calls_with_a_rate_of_their_own_may_be_most_of_a_case(case: str) -> None:
    found = findings("broken.warms-up", [case], ["mask", "rate"])
    assert failing(found) == {"rate.marginal"}
    (one,) = [one for one in found if one.check == "rate.marginal"]
    assert re.search(
        r"calls .* drop with probability 0\.0(49|5|50|51)\d?, the other calls drop with probability 0\.[45]",
        one.message,
    )


def test_rows_that_fall_alike_are_certain_only_beyond_chance() -> None:
    rates = np.full(8, 0.5)
    law = dispersion.poisson_binomial(rates) * 41_000
    usual = np.round(law).astype(int)
    assert dispersion.log10_extremes(usual, rates)[0] > -3
    for place, everything in ((0, False), (-1, True)):
        more = usual.copy()
        more[place] *= 3
        log10, rows, dropped = dispersion.log10_extremes(more, rates)
        assert log10 < -15 and rows == more[place] and dropped is everything
