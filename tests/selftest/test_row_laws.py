"""Laws of rows in the self-test: right rows keep every level, and shares that are off by the printed resolution are caught."""

from __future__ import annotations

import pytest

from dropcheck.judge.checks import row_claims
from dropcheck.judge.checks.base import Limits
from dropcheck.results.selftest import Tail
from dropcheck.selftest import calibration, power, row_laws, tails
from dropcheck.selftest.simulated import generator, named

KEYS = list(row_laws.PLANTS)


@pytest.mark.parametrize("key", KEYS)
def test_what_is_off_by_the_printed_resolution_is_caught(key: str) -> None:
    """Of 40 with beta .05 fewer than 28 are caught with probability below 10^-6."""
    value = row_laws.planted(key, power.INFLATED, 40, 0, 5)
    _, (promise,) = power.conclude({"power/x": value})
    assert promise.held and value["tries"] == 40 and value["resolution"] > 0, promise.text


@pytest.mark.parametrize("key", [k for k in KEYS if "another number" not in k and "two stretches" not in k])
def test_a_third_of_that_is_missed(key: str) -> None:
    plant = row_laws.PLANTS[key]
    pattern, law = row_laws.law_of(*row_laws.LAWS[plant.index])
    check, rng = named(plant.check), generator(3, key)
    limits = Limits(check.limits("quick").alpha, power.INFLATED)
    size, n = row_laws.printed(plant, limits, 3) / 3, row_laws._ONE * row_laws._PLANTED_CALLS
    rows = (plant.rows(rng, law, n, size) for _ in range(10))
    rate = row_laws.LAWS[plant.index][2]
    claim = row_laws.CLAIMS[plant.check]
    assert sum(claim(check, row_laws._seen(pattern, law, rate, r), limits).verdict == "fail" for r in rows) < 4


def test_right_rows_keep_every_level_and_would_not_if_a_test_were_too_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"calibration/{row_laws.where(*row_laws.LAWS[0])}/0"
    value = row_laws.null_audits(0, 25, 0, 5)
    assert set(value) == set(row_laws.CLAIMS)
    assert calibration.conclude({place: value})[2][0].held
    usual = row_claims.binomial.log10_two_sided_many
    monkeypatch.setattr(row_claims.binomial, "log10_two_sided_many", lambda k, n, p: 6 * usual(k, n, p))
    bad = [row for row in calibration.conclude({place: row_laws.null_audits(0, 25, 0, 5)})[0] if not row.holds]
    assert {row.check for row in bad} >= {"rate.per-channel", "mask.independent-channels"}


def test_the_level_of_a_gate_is_kept_by_exact_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Tail(**one) for one in tails.measure("rows", 1, 1)]
    assert len(rows) == 19 and all(row.holds and row.error == 0 for row in rows)
    assert max(row.size for row in rows) > 9e-9  # some are nearly as large as they may be
    usual = row_claims.binomial.log10_two_sided_many
    monkeypatch.setattr(row_laws.binomial, "log10_two_sided_many", lambda k, n, p: usual(k, n, p) - 1)
    assert not all(Tail(**one).holds for one in tails.measure("rows", 1, 1))
