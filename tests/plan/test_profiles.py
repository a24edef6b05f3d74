"""Plans: shares and cases stay within the error budget, every check is asked somewhere, seeds do not move with the plan."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from dropcheck.auditing.run import AuditRequest
from dropcheck.contract.cases import LADDER, Case, seed_of
from dropcheck.contract.promise import Contract, ContractError, Pattern
from dropcheck.count.gather import neighbouring_seeds
from dropcheck.judge.checks import CHECKS, matching
from dropcheck.judge.checks.base import ALPHA, BETA, MOST_CASES
from dropcheck.plan import costly_calls
from dropcheck.plan.profiles import NOT_IN_QUICK, PROFILES, Wanted, plan_cases
from dropcheck.statistics import binomial

DTYPES = ["float32", "float64", "float16", "bfloat16"]
PATTERNS = ["n c l -> n c", "n l c -> n c", "n c d h w -> n c", "n c l -> n", "n c l -> c", "n c l -> n c l"]


def planned(pattern: str, profile: str, root: int = 1, heavy: int = 0, **wanted: Any) -> list[Case]:
    info = {"dtypes": DTYPES, "layouts": ["contiguous", "strided", "transposed"], "gradients": True, "heavy": heavy}
    contract = Contract(Pattern.parse(pattern), seeds=("global", "constructor"))
    marginal = next(c for c in CHECKS if c.name == "rate.marginal")
    return plan_cases(contract, info, PROFILES[profile], marginal, root, "t", Wanted(**wanted))


@pytest.mark.parametrize(
    ("pattern", "case", "lacking", "nearest"),
    [
        ("n c l -> c", "rate=.3 65,16,3", "has rows that", "1,16,3"),
        ("n c l -> n", "rate=.3 65,16,3", "has channels that", "65,1,3"),
        ("n c l -> n c l", "rate=.3 65,16,3", "has shared positions that", "65,16,1"),
    ],
)
def test_a_named_case_that_the_pattern_cannot_have_names_the_nearest(
    pattern: str, case: str, lacking: str, nearest: str
) -> None:
    with pytest.raises(ContractError, match=f"{lacking}.*the nearest is {nearest}"):
        planned(pattern, "quick", cases=(case,))
    (kept,) = planned(pattern, "quick", cases=(f"rate=.3 {nearest}",))
    assert (kept.rows, kept.channels, kept.shared) == tuple(map(int, nearest.split(",")))


def test_shares_add_up_to_at_most_one() -> None:
    assert 0.5 < sum(c.share for c in CHECKS) <= 1
    assert ALPHA == BETA == 1e-6
    exact = {"mask.whole-channels", "scale.kept-values"}  # element by element, no chance: nothing to pay for
    for check in CHECKS:
        assert check.share > 0 or check.judge is None or check.name in exact, (
            f"{check.name} decides by chance but owns no share"
        )


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_check_has_more_cases_than_its_share_is_divided_by(profile: str, pattern: str) -> None:
    cases = planned(pattern, profile)
    request = AuditRequest(profile=profile)
    for check in CHECKS:
        asked = [c for c in cases if check.asks(c, request.profile, request.resolution)]
        assert len(asked) <= MOST_CASES[profile], (check.name, len(asked))


@pytest.mark.parametrize("profile", ["quick", "standard"])
@pytest.mark.parametrize("pattern", ["n c l -> n c", "n h w c -> n c"])
def test_every_check_is_asked_somewhere(profile: str, pattern: str) -> None:
    cases = planned(pattern, profile)
    request = AuditRequest(profile=profile)
    for check in CHECKS:
        if check.wants is not None:
            assert any(check.asks(c, request.profile, request.resolution) for c in cases), check.name


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("root", range(40))
def test_drawn_cases_fit_the_pattern(pattern: str, root: int) -> None:
    parsed = Pattern.parse(pattern)
    for case in planned(pattern, "quick", root):
        assert parsed.row_axes or case.rows == 1
        assert parsed.channel_axis or case.channels == 1
        assert parsed.shared or case.shared == 1
        assert 0 < case.rate < 1 and case.coins > 0
        for shape in case.shapes(parsed):
            assert parsed.matrix_shape(shape)[1] == case.channels


def test_the_core_goes_where_defects_hide() -> None:
    cases = planned("n c l -> n c", "quick")
    for what, some in {
        "above 512 channels": [c for c in cases if c.channels > 512],
        "one sample": [c for c in cases if c.rows == 1],
        "one channel": [c for c in cases if c.channels == 1],
        "strided": [c for c in cases if c.layout == "strided"],
        "transposed": [c for c in cases if c.layout == "transposed"],
        "gradient": [c for c in cases if c.grad],
        "changing batches, above 128": [c for c in cases if c.batches and max(c.batches) > 128],
        "hundreds of elements a coin": [c for c in cases if c.shared > 200],
        "one element a coin": [c for c in cases if c.shared == 1],
        "seeds by each way": [c for c in cases if c.way],
        "crossed with inference": [c for c in cases if c.infer],
        "values": [c for c in cases if c.regime == "values"],
        "drawn": [c for c in cases if c.drawn],
    }.items():
        assert some, what
    ladder = {(c.dtype, c.rate) for c in cases}
    assert {(d, r) for d in DTYPES for r in LADDER if r not in NOT_IN_QUICK.get(d, ())} <= ladder


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("heavy", [0, 1, 2])
def test_every_rate_of_the_ladder_is_judged_in_every_dtype(profile: str, pattern: str, heavy: int) -> None:
    marginal = next(c for c in CHECKS if c.name == "rate.marginal")
    request = AuditRequest(profile=profile)
    cases = [c for c in planned(pattern, profile, heavy=heavy) if marginal.asks(c, request.profile, request.resolution)]
    asked = {(c.dtype, c.rate) for c in cases if not c.drawn}
    left_out = NOT_IN_QUICK if profile == "quick" else {}
    assert asked >= {(d, r) for d in DTYPES for r in LADDER if r not in left_out.get(d, ())}
    # off the dyadic grid, on both sides of a half, and far below every resolution: in every dtype, in every profile
    assert asked >= {(d, r) for d in DTYPES for r in (0.001, 0.01, 0.1, 0.5, 0.9)}
    drawn = [c for c in planned(pattern, profile, heavy=heavy) if c.drawn]
    assert sum(c in cases for c in drawn) >= len(drawn) * 0.7
    if pattern == "n c l -> n c":
        stream = [c for c in planned(pattern, profile, heavy=heavy) if c.regime == "stream" and not c.drawn]
        assert [str(c) for c in stream if c not in cases] == []


def test_drawn_cases_depend_on_the_root_seed_alone() -> None:
    first = [c for c in planned("n c l -> n c", "standard", 1) if c.drawn]
    assert first == [c for c in planned("n c l -> n c", "standard", 1) if c.drawn]
    assert first != [c for c in planned("n c l -> n c", "standard", 2) if c.drawn]
    narrowed = [c for c in planned("n c l -> n c", "standard", 1, dtypes=("float32",)) if c.drawn]
    assert all(c.dtype == "float32" for c in narrowed)


def test_seeds_come_from_names_not_positions() -> None:
    case = Case("float32", 0.3, 9, 9, 3, 64)
    assert seed_of(1, "a", case) == seed_of(1, "a", case)
    assert len({seed_of(r, t, case) for r in range(20) for t in "abcdefgh"}) == 160
    assert 0 <= seed_of(1, "x") < 2**31 - 1


def test_neighbouring_seeds_are_neighbours_one_bit_apart_and_distinct() -> None:
    seeds = neighbouring_seeds(7, 400)
    assert len(set(seeds)) == 400 and max(seeds) < 2**32
    for i in range(0, 400, 4):
        a, b, c, d = seeds[i : i + 4]
        assert b == a + 1 and d == c + 1
        assert (a ^ c).bit_count() == 1 and (b ^ d).bit_count() == 1


def test_selection_by_name_family_and_prefix() -> None:
    assert [c.name for c in matching(["rate.zero"])] == ["rate.zero"]
    assert {c.family for c in matching(["mask"])} == {"mask"}
    assert {c.name for c in matching(["mask.distinct*"])} == {
        "mask.distinct-channels",
        "mask.distinct-samples",
        "mask.distinct-calls",
    }


@pytest.mark.parametrize("pattern", [*PATTERNS, "a b c d -> a b c d", "n h w c -> n h c", "t b h -> b h"])
def test_every_planned_case_can_be_named(pattern: str) -> None:
    for one in planned(pattern, "standard"):
        assert planned(pattern, "standard", cases=(str(one),)) == [replace(one, drawn=False)]


@pytest.mark.parametrize("profile", ["quick", "standard"])
def test_high_rates_have_coins_for_kept_values_however_few_are_kept_by_chance(profile: str) -> None:
    """A correct layer is never left undecided by a few kept values too few: six standard deviations below their mean suffice."""
    kept = next(check for check in CHECKS if check.name == "scale.kept-values")
    asked = [c for c in planned("n c l -> n c", profile) if kept.asks(c, profile, None) and c.rate >= 0.75]
    assert asked
    for case in asked:
        mean = case.coins * (1 - case.rate)
        least = mean - 6 * math.sqrt(mean)
        assert binomial.zero_tolerance_resolution(int(least), BETA) <= kept.limits(profile, case).coarsest, str(case)


def test_what_a_heavy_target_lacks_in_channels_is_asked_in_rows_rather_than_in_calls() -> None:
    light, heavy = (planned("n h=4 q k=16 -> n h q k", "quick", heavy=heavy) for heavy in (0, 1))
    most = PROFILES["quick"].batch_one_calls
    assert max(case.calls for case in heavy if case.rows > 4) <= most < max(case.calls for case in light)
    assert sum(case.coins for case in heavy) > 0.9 * sum(case.coins for case in light)
    assert any(case.rows == 4 and case.calls == 1500 for case in heavy)  # one layer that is called many times


@pytest.mark.parametrize("pattern", ["n t=2 f -> n f", "n t=2 g=3 h -> n g h", "n s=2 f -> n s f"])
def test_calls_of_tens_of_milliseconds_are_fewer_and_larger_and_lack_no_check(pattern: str) -> None:
    cheap, costly = (planned(pattern, "quick", heavy=heavy) for heavy in (1, 2))
    assert sum(case.calls for case in costly) < 0.45 * sum(case.calls for case in cheap)
    assert sum(case.coins for case in costly) > 0.9 * sum(case.coins for case in cheap)
    assert any(case.rows * case.channels < 2000 and case.calls == 300 for case in costly)  # one layer, many times

    def asked(cases: list[Case]) -> set[str]:
        return {c.name for c in CHECKS if c.wants is not None for x in cases if c.wants(x) and c.asks(x, "quick", None)}

    assert asked(costly) == asked(cheap)


def test_larger_calls_keep_what_their_pattern_fixes() -> None:
    pattern = Pattern.parse("n h=4 q k=16 -> n h q k")
    case = Case("float32", 0.3, 4, 16, 1, calls=1500)

    def larger(one: Case, least: int = 0) -> Case:
        return costly_calls.larger(one, pattern, "quick", lambda c: c.coins >= least * c.rows * c.channels)

    assert larger(replace(case, channels=16)).calls == 1500  # four rows whose length is fixed, and whose rate is asked
    assert larger(case, 9999).calls == 256  # of which the rate is not asked: fewer
    wide = larger(replace(case, rows=1028))
    assert wide.coins >= 1028 * 16 * 1500 and pattern.matrix_shape(pattern.shape(wide.rows, 16, 1)) == (wide.rows, 16)
    assert larger(replace(case, rows=1028), 400).calls == 750  # no more than leave its rate asked
    assert larger(replace(case, calls=24)).calls == 24


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_no_case_records_gradients_where_nothing_is_recorded_and_no_check_is_lost(profile: str) -> None:
    """JAX differentiates functions: a call that records and one that does not are the same call."""
    contract = Contract(pattern=Pattern.parse("n l c -> n c"), seeds=("constructor",))
    info = {"dtypes": DTYPES, "layouts": ["contiguous"], "gradients": True, "heavy": 1}
    marginal = next(c for c in CHECKS if c.name == "rate.marginal")
    cases, fewer = (
        plan_cases(contract, {**info, "records": records}, PROFILES[profile], marginal, 1, "t", Wanted())
        for records in (True, False)
    )
    core = [case for case in cases if not case.drawn and case.grad]
    assert core and len(fewer) == len(cases) - len(core) and not any(case.grad for case in fewer)
    asked = [
        {c.name for c in CHECKS if c.wants is not None and any(c.wants(x) for x in some)} for some in (cases, fewer)
    ]
    assert asked[0] == asked[1]
