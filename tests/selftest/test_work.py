"""The self-test finds nothing wrong with the suite, and does find faults that are planted in the suite itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from dropcheck.commands import selftest as command
from dropcheck.contract.errors import UsageError
from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks.base import Check, Limits
from dropcheck.plan.request import AuditRequest
from dropcheck.report import selftest as report
from dropcheck.results import selftest as records
from dropcheck.results.audit import Finding, ResultError
from dropcheck.selftest import calibration, misses, power, simulated, tails, thresholds, work, zoo
from dropcheck.statistics import binomial

SMALL = "float32 rate=0.3 2,3,3 calls=64"


def calibrated(text: str, audits: int) -> Any:
    """The promises of one case alone."""
    value = calibration.null_audits(text, audits, 0, 7)
    return calibration.conclude({f"calibration/{text}/0": value})


def broken(promises: list[records.Promise]) -> str:
    return " ".join(p.text for p in promises if not p.held)


def planted_fault(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    """The register with one check replaced."""
    changed = replace(simulated.CHECK[name], **changes)
    monkeypatch.setattr(simulated, "CHECK", {**simulated.CHECK, name: changed})


# --- calibration ------------------------------------------------------------------------------------------------------


def test_checks_are_calibrated_and_accuse_nobody() -> None:
    table, _, promises = calibrated(SMALL, 150)
    assert not broken(promises)
    assert {c.check for c in table} >= {"rate.marginal", "mask.patterns", "mask.dropped-count", "mask.distinct-calls"}
    assert all(c.audits == 150 for c in table)


def test_every_statistical_check_meets_a_hundred_thousand_null_audits_at_full_scale() -> None:
    audits = dict.fromkeys((c.name for c in simulated.statistical()), 0)
    for text, number in calibration.PLAN.items():
        for check in calibration._asked(calibration.parse_case(text)):
            judged = calibration.null_audits(text, 1, 0, 1)
            audits[check.name] += number if check.name in judged else 0
    audits["rate.per-shape"] = calibration.SHAPE_AUDITS * len(calibration.SHAPES)
    assert min(audits.values()) >= 100_000, audits


@pytest.mark.parametrize("name", ["rate.marginal", "mask.independent-samples"])
def test_a_check_whose_level_is_ten_times_too_large_is_flagged(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    judge = simulated.named(name).judge
    assert judge is not None

    def lax(check: Check, got: Gathered, limits: Limits) -> Finding | None:
        return judge(check, got, replace(limits, alpha=10 * limits.alpha))

    planted_fault(monkeypatch, name, judge=lax)
    _, _, promises = calibrated(SMALL, 200)
    assert name in broken(promises)


def test_a_check_that_accuses_at_the_level_of_the_gate_is_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = simulated.named("rate.marginal").judge
    assert judge is not None

    def odd(check: Check, got: Gathered, limits: Limits) -> Finding | None:
        one = judge(check, got, limits)
        return msgspec.structs.replace(one, verdict="fail") if one is not None and got.tally.dropped % 40 == 0 else one

    planted_fault(monkeypatch, "rate.marginal", judge=odd)
    _, _, promises = calibrated(SMALL, 120)
    assert "rate.marginal" in next(p for p in promises if p.name.startswith("no false alarm")).text
    assert not next(p for p in promises if p.name.startswith("no false alarm")).held


def test_the_far_tail_keeps_its_level_and_a_missing_safety_factor_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [records.Tail(**r) for name in ("pair", "association", "copies") for r in tails.measure(name, 2000, 3)]
    assert rows and all(r.holds for r in rows)
    assert all(r.size > r.alpha / 1000 for r in rows), "sizes of exact tests are near their level"
    monkeypatch.setattr(tails.goodness, "safe_factor", lambda cells, least: 0.02)
    assert not all(records.Tail(**r).holds for r in tails.measure("goodness", 4000, 3))


# --- power ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "rate.marginal rate more, float32 rate=0.3 8,17,3 calls=64",
        "mask.independent-calls calls 1 apart tied, more, float32 rate=0.3 4,9,3 calls=128",
        "mask.patterns parity of four, float32 rate=0.5 32,4,3 calls=64",
        "mask.distinct-samples a word repeats in its call, float32 rate=0.5 8,64,3 calls=64",
    ],
)
def test_a_defect_of_the_printed_resolution_is_caught(key: str) -> None:
    value = power.planted(key, power.INFLATED, 120, 0, 5)
    table, promises = power.conclude({"power/x": value})
    assert not broken(promises) and table[0].tries == 120


def test_a_resolution_printed_half_as_large_as_it_is_is_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = simulated.named("rate.marginal").judge
    assert judge is not None

    def boastful(check: Check, got: Gathered, limits: Limits) -> Finding | None:
        one = judge(check, got, limits)
        assert one is not None and one.resolution is not None
        return msgspec.structs.replace(one, resolution=one.resolution / 2)

    planted_fault(monkeypatch, "rate.marginal", judge=boastful)
    key = "rate.marginal rate more, float32 rate=0.3 8,17,3 calls=64"
    _, promises = power.conclude({"power/x": power.planted(key, power.INFLATED, 60, 0, 5)})
    assert "rate.marginal" in broken(promises)


def test_exact_misses_are_those_of_brute_force() -> None:
    n, p, alpha = 200, 0.3, 1e-4
    size = binomial.resolution(n, p, alpha, 1e-3)
    worst = max(misses.marginal_miss(n, p, alpha, p + s * size) for s in (1, -1))
    assert worst == pytest.approx(1e-3, rel=1e-6)
    assert misses.marginal_miss(n, p, alpha, p + 0.8 * size) > 1e-3


def test_every_statistical_check_has_a_plant() -> None:
    planted = {p.check for p in power.PLANTS.values()} | {"rate.per-shape"}
    assert planted == {c.name for c in simulated.statistical()}


# --- thresholds -------------------------------------------------------------------------------------------------------


def test_thresholds_are_those_of_exact_sums() -> None:
    values, _ = work.run(thresholds.items(1, 1.0), jobs=1)
    _, figures, promises = thresholds.conclude(values)
    assert not broken(promises)
    assert len(figures) >= 10


def test_a_critical_count_that_is_off_by_one_is_found() -> None:
    def wrong(n: int, p: float, alpha: float) -> tuple[int, int]:
        low, high = binomial.acceptance(n, p, alpha)
        return (low, high + 1) if (n, p, alpha) == (1000, 0.3, 1e-8) else (low, high)

    row = thresholds.binomial_table(wrong)
    assert row["wrong"] == 1 and "n = 1000, rate 0.3" in row["examples"][0]


def test_a_documented_figure_that_is_wrong_is_found() -> None:
    values = {"thresholds/goldens": [{"figure": "rows", "stated": 100.0, "computed": 120.0, "slack": 0.1}]}
    _, _, promises = thresholds.conclude(values)
    assert "stated 100, computed 120" in broken(promises)


# --- the zoo ----------------------------------------------------------------------------------------------------------


def layer(name: str, names: str | None, failing: list[str], verdict: Any = "fail") -> dict[str, Any]:
    one = records.Layer(
        layer=name, profile="quick", names=names, verdict=verdict, verdicts={c: "fail" for c in failing}, failing=failing,
        also=[], log10_evidence=-20.0, first=failing[0] if failing else None, error=None, coins=1,
    )  # fmt: skip
    clock = records.Clock(layer=name, profile="quick", first_s=1.0 if failing else None, own_s=None, wall_s=2.0)
    return {"layer": msgspec.to_builtins(one), "clock": msgspec.to_builtins(clock)}


def test_an_idle_check_a_missed_defect_and_an_accused_layer_are_named() -> None:
    values = {
        f"zoo/quick/{i}": v
        for i, v in enumerate(
            [
                layer("broken.a", "rate.marginal", ["rate.marginal"]),
                layer("broken.b", "rate.per-channel", ["rate.marginal", "rate.per-channel"]),
                layer("broken.c", "mask.patterns", [], "pass"),
                layer("unusual.d", None, ["rate.zero"]),
            ]
        )
    }
    _, _, owners, signatures, promises = zoo.conclude(values, whole=True)
    text = broken(promises)
    assert "missed: broken.c" in text and "unusual.d" in text
    assert "1 such failure; broken.b: rate.marginal" in text
    assert "rate.per-channel" in text.split("without such a defect")[1].split(";")[0]
    assert next(o for o in owners if o.check == "rate.marginal").only == ["broken.a"]
    assert next(o for o in owners if o.check == "rate.per-channel").shared == {"broken.b": ["rate.marginal"]}
    assert signatures["quick"]["broken.b"] == ["rate.marginal", "rate.per-channel"]


def test_a_layer_of_the_zoo_is_audited_with_all_checks_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"dtypes": ("float32",), "cases": ("float32 rate=0.3 33,34,3 calls=64",)}  # all that it counts takes 9 s
    monkeypatch.setattr("dropcheck.plan.request.AuditRequest", partial(AuditRequest, **few))
    got = zoo.audited("broken.frozen-mask", "quick", 3)
    assert "mask.distinct-calls" in got["layer"]["failing"]
    assert got["layer"]["names"] == "mask.distinct-calls"
    assert 0 < got["clock"]["own_s"] <= got["clock"]["wall_s"]


# --- the command ------------------------------------------------------------------------------------------------------

SMALL_RUN = ("--part", "calibration", "--scale", "0.0001", "--seed", "11")


def same(path: Path) -> bytes:
    """The result without its times (the environment holds the date) and the words of its command line."""
    result = records.load(path)
    return records.encode(msgspec.structs.replace(result, seconds={}, clocks=[], argv=[], environment={}))


def test_a_killed_run_is_resumed_to_the_same_result(tmp_path: Path, call: Callable[..., Any]) -> None:
    command_line = [sys.executable, "-m", "dropcheck", "selftest", *SMALL_RUN, "--jobs", "2", "--json", "a.json"]
    process = subprocess.Popen(command_line, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / "a.json.journal"
    limit = time.monotonic() + 120
    while time.monotonic() < limit and (not journal.exists() or journal.read_bytes().count(b"\n") < 6):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a.json").exists() and journal.read_bytes().count(b"\n") >= 6
    journal.write_bytes(journal.read_bytes() + b'{"item": "calibration/cut sho')
    resumed = call("selftest", *SMALL_RUN, "--jobs", "1", "--json", "a.json", "--resume")
    assert resumed.code in (0, 1), resumed.err
    assert not journal.exists()
    # the same again, with a worker killed in the middle: it costs nothing but its unit
    whole = subprocess.Popen(
        [*command_line[:-1], "b.json"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    other, victims = tmp_path / "b.json.journal", list[psutil.Process]()
    while whole.poll() is None and not victims:
        if other.exists() and other.read_bytes().count(b"\n") >= 6:
            victims = [c for c in psutil.Process(whole.pid).children() if "spawn_main" in " ".join(c.cmdline())]
        time.sleep(0.02)
    victims[0].kill()
    assert whole.wait(120) == resumed.code
    assert same(tmp_path / "a.json") == same(tmp_path / "b.json")
    shown = call("report", "b.json", "--out", "page")
    assert shown.code == resumed.code
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Probability of a false alarm at the level of an audit" in page and "://" not in page.replace(
        "http://www.w3.org", ""
    )


def test_a_journal_of_other_options_is_refused(tmp_path: Path) -> None:
    items = [work.Item("thresholds/words", "thresholds:words")]
    journal = tmp_path / "j"
    work.run(items, jobs=1, journal=journal)
    again, _ = work.run(items, jobs=1, journal=journal, resume=True)
    assert again["thresholds/words"][0]["wrong"] == 0
    with pytest.raises(UsageError, match="other options"):
        work.run([*items, work.Item("thresholds/events", "thresholds:events")], jobs=1, journal=journal, resume=True)


def test_bad_options_get_one_sentence(call: Callable[..., Any]) -> None:
    for words, expected in (
        (("--part", "calibrate"), "the nearest is 'calibration'"),
        (("--profile", "slow"), "expected quick, standard"),
        (("--scale", "0"), "--scale takes a number above 0"),
        (("--resume",), "--resume continues the run of a result"),
    ):
        ran = call("selftest", *words)
        assert ran.code == 2 and expected in ran.err and ran.err.count("\n") == 1, ran.err


def small_result() -> records.SelfTest:
    values = {
        **{f"calibration/{SMALL}/0": {"rate.marginal": [100, 90, 40, 0, 0]}},
        "zoo/quick/x": layer("broken.<script>", "rate.marginal", ["rate.marginal"]),
    }
    seconds = dict.fromkeys(values, 1.0)
    return command.conclude(
        values, seconds, parts=["calibration", "zoo"], profiles=["quick"], seed=1, scale=0.01, argv=[]
    )


def test_a_broken_promise_is_said_first_and_is_exit_code_1() -> None:
    result = small_result()
    assert command.exit_code(result) == 1
    assert "do not hold" in report.headline(result)
    page, text = report.page(result), report.markdown(result)
    assert "<script>" not in page and "broken.&lt;script&gt;" in page
    assert text.startswith(f"# {report.headline(result)}") and "90 of 100 fail" in text


def test_a_damaged_result_is_refused_with_the_place_of_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    data = records.encode(small_result())
    path.write_bytes(data)
    assert records.load(path) == small_result()
    path.write_bytes(data.replace(b'"audits": 100', b'"audits": "100"', 1))
    with pytest.raises(ResultError, match=r"calibration\[0\]\.audits"):
        records.load(path)
    path.write_bytes(data[:200])
    with pytest.raises(ResultError, match="line"):
        records.load(path)
