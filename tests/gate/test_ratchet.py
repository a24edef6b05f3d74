"""A ratchet keeps the best figures of a machine: worse ones fail, missing ones are missing, and nothing loosens it."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import msgspec
import pytest
from kits.gate import NOW, SPEEDY, TARGET, audit, bench, better, finding, gate, lines, policy

from dropcheck.contract.errors import UsageError
from dropcheck.gate import ratchet
from dropcheck.gate.ratchet import Ratchet
from dropcheck.gate.records import Evidence, Here
from dropcheck.results.audit import ResultError
from dropcheck.results.bench import BenchResult

MACHINE = "Linux x86_64, 2 cores"
FIGURE = f"resolution | {TARGET} | rate.marginal quick cpu"
TOML = f'targets = ["{TARGET}"]\nratchet = "r.json"\n'


def reached(resolution: float) -> object:
    return audit(finding("rate.marginal", resolution=resolution, coins=1000))


def kept(value: float, figure: str = FIGURE) -> Ratchet:
    return Ratchet(machines={MACHINE: {figure: value}})


@pytest.mark.parametrize(("now", "code"), [(0.005, 0), (0.01, 0), (0.0109, 0), (0.0112, 1), (0.5, 1)])
def test_a_resolution_must_be_kept_within_the_slack(now: float, code: int) -> None:
    made = gate(reached(now), toml=TOML, kept=kept(0.01))  # type: ignore[arg-type]
    assert made.exit_code == code
    assert [one.check for one in lines(made, "fail")] == (["gate.ratchet"] if code else [])


def test_a_figure_that_is_not_there_is_missing_on_either_side() -> None:
    for some in (
        Ratchet(),
        kept(0.01, FIGURE.replace("marginal", "per-channel")),
        Ratchet(machines={"another": {FIGURE: 1.0}}),
    ):
        made = gate(reached(0.01), toml=TOML, kept=some)  # type: ignore[arg-type]
        assert made.exit_code == 3 and lines(made, "missing")
    made = gate(audit(), toml=TOML, kept=kept(0.01))
    assert made.exit_code == 3


def test_a_share_of_the_limit_must_be_kept() -> None:
    result = bench(900.0)
    machine = ratchet.machine(result.environment, str(result.environment.get("processor", "")))
    share = next(s.fraction for s in result.speeds if s.target == SPEEDY)
    assert share is not None
    figure = f"fraction of limit | {SPEEDY} | {result.cells[0]} cpu"
    toml = f'targets = ["{SPEEDY}"]\nratchet = "r.json"\n'
    for before, code in ((share, 0), (share * 1.05, 0), (share * 1.2, 1)):
        some = Ratchet(machines={machine: {figure: before}})
        assert gate(audit(target=SPEEDY), toml=toml, benches=[result], kept=some).exit_code == code


def test_an_update_keeps_the_better_figure_of_every_machine() -> None:
    before = Ratchet(machines={MACHINE: {FIGURE: 0.01, "fraction of limit | a | b": 0.5}, "other": {FIGURE: 0.2}})
    after = ratchet.improved(before, {MACHINE: {FIGURE: 0.02, "fraction of limit | a | b": 0.6, "resolution | n": 0.3}})
    assert after.machines[MACHINE] == {FIGURE: 0.01, "fraction of limit | a | b": 0.6, "resolution | n": 0.3}
    assert after.machines["other"] == {FIGURE: 0.2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is damaged at line 1, column 2"),
        ('{"schema": "dropcheck.ratchet/2"}', "is no ratchet"),
        ('{"machines": {"m": {"seconds | a | b": 1.0}}}', "is no figure of one"),
        ('{"machines": {"m": {"resolution | a | b": NaN}}}', "is nan"),
        ('{"machines": {"m": {"resolution | a | b": 0}}}', "is 0.0"),
        ('{"machine": {}}', "machine"),
        ("[" * 100_000, "is no ratchet"),
    ],
)
def test_a_damaged_ratchet_and_one_that_holds_times_are_refused(text: str, message: str) -> None:
    with pytest.raises(ResultError, match=message):
        ratchet.decode(text.encode(), "r.json")


def test_a_ratchet_is_not_updated_in_ci(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not updated in CI, where a release would grade itself"):
        ratchet.refuse_in_ci(tmp_path / "r.json", True)
    ratchet.refuse_in_ci(tmp_path / "r.json", False)


@pytest.mark.parametrize("name", ["a\x00b", "\ud800", ""])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ResultError, match="cannot read the ratchet"):
        ratchet.load(tmp_path / name)


def test_a_ratchet_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert ratchet.load(tmp_path / "none.json") == Ratchet()
    ratchet.save(tmp_path / "r.json", kept(0.01))
    assert ratchet.load(tmp_path / "r.json") == kept(0.01)


def share_of(results_: list[BenchResult]) -> float | None:
    """The share of the limit that a ratchet takes from these benches."""
    sourced = policy(f'targets = ["{SPEEDY}"]\nratchet = "r.json"\n')
    benches = tuple((f"b{n}.json", one) for n, one in enumerate(results_))
    found = ratchet.found_in(sourced, Evidence((), benches), Here(NOW))
    return next((value for some in found.values() for name, value in some.items() if SPEEDY in name), None)


def test_a_bench_that_is_no_evidence_gives_no_figure_and_of_several_the_worst_counts() -> None:
    good, slow = bench(900.0), bench(1800.0)
    best, worst = share_of([good]), share_of([slow])
    assert best is not None and worst is not None and worst < best
    assert share_of([slow, good]) == share_of([good, slow]) == worst
    assert share_of([msgspec.structs.replace(good, interrupted=True)]) is None
    assert share_of([msgspec.structs.replace(good, profile="qick")]) is None
    hot = [msgspec.structs.replace(h, before={"mhz": 3000}, after={"mhz": 1500}) for h in good.hosts]
    assert share_of([msgspec.structs.replace(good, hosts=hot)]) is None


def test_two_runs_that_update_at_once_lose_nothing(tmp_path: Path) -> None:
    place = tmp_path / "r.json"
    ratchet.save(place, ratchet.Ratchet())
    others = [multiprocessing.get_context("spawn").Process(target=better, args=(place, MACHINE, n)) for n in ("a", "b")]
    for one in others:
        one.start()
    for one in others:
        one.join(120)
    assert [one.exitcode for one in others] == [0, 0]
    held = ratchet.load(place)
    assert {n: held.machines[MACHINE][f"resolution | {n}"] for n in "ab"} == {"a": 1 / 60, "b": 1 / 60}
