"""Plants of what must be certain, or stands in single places: caught at the size that the rule of the check promises."""

from __future__ import annotations

import numpy as np
import pytest

from dropcheck.contract.cases import parse_case
from dropcheck.count import every_lag
from dropcheck.judge.checks.base import Limits
from dropcheck.results.selftest import Tail
from dropcheck.selftest import anywhere, calibration, certain, plants, power, simulated, tails
from dropcheck.selftest.simulated import generator

CERTAIN = {plant.key: plant for plant in (*certain.plants(), *anywhere.plants())}


@pytest.mark.parametrize("key", CERTAIN)
def test_what_a_rule_promises_is_caught(key: str) -> None:
    value = power.planted(key, power.INFLATED, 40, 0, 5)
    (row,), (promise,) = power.conclude({"power/x": value})
    assert promise.held and row.tries == 40 and row.resolution > 0, promise.text


@pytest.mark.parametrize("key", [k for k in CERTAIN if "both signs" in k or "one call" in k])
def test_far_less_than_that_is_missed_so_that_nothing_else_catches_it(key: str) -> None:
    plant = CERTAIN[key]
    check, case = simulated.named(plant.check), parse_case(plant.case)
    limits = Limits(check.limits("quick", case).alpha, power.INFLATED)
    rng = generator(3, key)
    small = power.printed(plant, limits, 3) / 3
    assert (
        sum(simulated.failed(check, power._record(plant, plant.coins(rng, case, small)), limits) for _ in range(20)) < 5
    )


def test_stretches_stand_where_no_row_begins_and_words_of_rows_do_not_show_them() -> None:
    for key in [k for k in CERTAIN if "stretch" in k]:
        plant = CERTAIN[key]
        check, case = simulated.named(plant.check), parse_case(plant.case)
        limits = Limits(check.limits("quick", case).alpha, power.INFLATED)
        got = power._record(plant, plant.coins(generator(2, key), case, power.printed(plant, limits, 2)))
        simulated.look(got, limits.alpha)
        assert got.repeats is not None and not got.repeats.repeats and got.anywhere is not None
        alone = [got.anywhere.within, got.anywhere.across]
        assert alone[0 if "in its call" in key else 1] > 0 or not simulated.failed(check, got, limits)


def test_the_size_of_an_odd_call_is_that_of_exact_sums() -> None:
    case = parse_case("float32 rate=0.3 16,17,3 calls=64")
    for sign in (1, -1):
        size = certain._call(sign)(np.random.default_rng(1), case, Limits(1e-9, 1e-3))
        assert certain.missed_call(case, size, sign) == pytest.approx(1e-3, rel=1e-6)
        assert certain.missed_call(case, 0.9 * size, sign) > 1e-3


def test_null_audits_ask_for_words_at_any_offset() -> None:
    text = "float32 rate=0.5 4,64,3 calls=64"
    assert text in calibration.PLAN
    case = parse_case(text)
    got = simulated.record(text, plants.independent(generator(1, text), case))
    simulated.look(got, 0.05)
    assert got.anywhere is not None and got.anywhere.kept > 100 and not got.anywhere.within + got.anywhere.across


def test_looks_anywhere_of_independent_coins_keep_every_level_and_would_not_if_their_bound_were_too_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [Tail(**one) for one in tails.measure("anywhere", 1000, 4)]
    assert all(row.holds and row.n == 50 for row in rows) and len({row.check for row in rows}) == 6
    assert any(row.size > 0 for row in rows), "no null case came near a level: the rows could not fail"
    bound = every_lag.bernstein
    monkeypatch.setattr(every_lag, "bernstein", lambda t, pairs, most, ways: bound(t * 1.5, pairs, most, 1.0))
    monkeypatch.setattr(anywhere, "_NULL_CASES", anywhere._NULL_CASES[:1])
    bad = [one for one in tails.measure("anywhere", 1000, 4) if not Tail(**one).holds]
    assert {one["check"] for one in bad} >= {"looks for any distance of calls"}
