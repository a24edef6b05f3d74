"""Speed at the gate: ratios within one run against what the policy allows, and runs that are no evidence never pass."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from kits.bench import refused
from kits.gate import SPEEDY, audit, bench, gate, lines

from dropcheck.gate.decision import Decision
from dropcheck.results.bench import BenchResult

REFERENCE = "custom.reference"
NAMED = f'targets = ["{SPEEDY}"]\n'
ASKED = NAMED + f'[speed]\nreference = "{REFERENCE}"\n'


def speed(result: BenchResult, more: str = "max_ratio = 1.1\n") -> Decision:
    if "cells" not in more:  # a simulated bench is of few cells, not of a profile's
        head, bar, tail = more.partition("\n[[")
        more = head + f"\ncells = {list(result.cells)}\n" + bar + tail
    return gate(audit(target=SPEEDY), toml=ASKED + more, benches=[result])


@pytest.mark.parametrize(("ns", "code"), [(300.0, 0), (900.0, 0), (1000.0, 0), (1300.0, 1), (5000.0, 1)])
def test_slower_than_allowed_fails_and_faster_never_does(ns: float, code: int) -> None:
    made = speed(bench(ns, spread=0.002))
    assert made.exit_code == code
    assert {one.verdict for one in made.lines if one.check == "speed.ratio"} == {"fail" if code else "pass"}


def test_an_interval_on_both_sides_of_the_bound_is_missing_evidence() -> None:
    made = speed(bench(1100.0, spread=0.05))
    (one,) = [one for one in made.lines if one.check == "speed.ratio"]
    assert made.exit_code == 3 and one.counts == "missing" and one.message.endswith("too coarse to decide")


def test_a_bench_that_was_narrowed_is_missing_the_other_cells_of_its_profile() -> None:
    made = speed(bench(900.0, spread=0.002), "max_ratio = 1.1\ncells = []\n")
    some = lines(made, "missing")
    assert made.exit_code == 3 and len(some) == 10
    assert {one.message for one in some} == {"the bench has no such cell"}


def test_a_bench_of_another_pattern_or_beside_no_audit_is_no_evidence() -> None:
    other = changed(GOOD, argv=["bench", SPEEDY, "--pattern", "n c l -> n l"])
    assert "timed with --pattern" in lines(speed(other), "missing")[0].message
    bare = changed(GOOD, targets=[msgspec.structs.replace(one, audit=None) for one in GOOD.targets])
    assert "names no audit" in lines(speed(bare), "missing")[0].message


def test_a_policy_that_asks_for_speed_gets_none_without_a_bench() -> None:
    made = gate(audit(target=SPEEDY), toml=ASKED + "max_ratio = 1.1\n")
    assert made.exit_code == 3 and lines(made, "missing")[0].message == "there is no bench of it on cpu"


def changed(result: BenchResult, **fields: Any) -> BenchResult:
    return msgspec.structs.replace(result, **fields)


def without(result: BenchResult, target: str) -> BenchResult:
    """The bench without one sample of a target."""
    some = list(result.samples)
    some.remove(next(s for s in some if s.target == target and s.what == "target" and not s.again))
    return changed(result, samples=some)


def still(result: BenchResult) -> BenchResult:
    """Every process as fast as the other, to the last digit."""
    samples = [
        msgspec.structs.replace(s, device_ns=2000.0 if s.target == SPEEDY else 4000.0) if s.what == "target" else s
        for s in result.samples
    ]
    speeds = [msgspec.structs.replace(s, device_s=2e-6 if s.target == SPEEDY else 4e-6) for s in result.speeds]
    return changed(result, samples=samples, speeds=speeds)


GOOD = bench(900.0, spread=0.002)
NO_EVIDENCE: dict[str, tuple[BenchResult, str]] = {
    "a sample less of the target": (without(GOOD, SPEEDY), "has 24 samples, 25 were to be taken"),
    "a sample less of the reference": (without(GOOD, REFERENCE), "has 24 samples, 25 were to be taken"),
    "an empty run": (changed(GOOD, samples=[]), "it has no sample"),
    "an interrupted run": (changed(GOOD, interrupted=True), "it was interrupted"),
    "no placebo": (changed(GOOD, placebos=[]), "the reference was not timed twice"),
    "a reference that differs from itself": (
        changed(GOOD, placebos=[msgspec.structs.replace(GOOD.placebos[0], verdict="slower", ratio=1.2)]),
        "the reference differs from itself (1.200)",
    ),
    "a run that was throttled": (
        changed(
            GOOD, hosts=[msgspec.structs.replace(h, before={"mhz": 3000}, after={"mhz": 1500}) for h in GOOD.hosts]
        ),
        "was throttled: its clock fell from 3000 to 1500 MHz",
    ),
    "a device that says that it was throttled": (
        changed(GOOD, hosts=[msgspec.structs.replace(h, after={"gpu_throttled": "thermal"}) for h in GOOD.hosts]),
        "was throttled (gpu_throttled after the cells: thermal)",
    ),
    "another reference": (bench(900.0, reference="custom.torch"), "its reference is custom.torch"),
    "a time that is not its samples'": (
        changed(GOOD, speeds=[msgspec.structs.replace(s, device_s=1e-9) for s in GOOD.speeds]),
        "its time is not the median of its samples",
    ),
    "a sample of no time": (
        changed(GOOD, samples=[msgspec.structs.replace(s, device_ns=0.0) for s in GOOD.samples]),
        "took no time",
    ),
    "a zero p-value": (still(GOOD), "the processes agree to the last digit"),
    "one process": (bench(900.0, processes=1, blocks=5), "the reference was not timed twice"),
    "a coarser profile": (changed(GOOD, profile="qick"), "its profile is qick"),
    "a target that was not timed": (
        changed(GOOD, speeds=[s for s in GOOD.speeds if s.target != SPEEDY]),
        "it was not measured",
    ),
    "a cell that only the policy has": (GOOD, "the bench has no such cell"),
}


@pytest.mark.parametrize("what", NO_EVIDENCE)
def test_a_run_that_is_no_evidence_never_passes(what: str) -> None:
    result, message = NO_EVIDENCE[what]
    more = "max_ratio = 1.1\n" + ('cells = ["1,1,1 float32 rate=.1 forward"]\n' if what.startswith("a cell") else "")
    made = speed(result, more)
    assert made.exit_code == 3, made.headline
    told = [one.message for one in lines(made, "missing")]
    assert any(message in one for one in told), told


def test_a_coarse_run_is_missing_evidence_where_the_policy_asks_for_a_resolution() -> None:
    assert speed(GOOD, "max_ratio = 1.1\nmax_resolution = 0.9\n").exit_code == 0
    made = speed(GOOD, "max_ratio = 1.1\nmax_resolution = 0.0001\n")
    assert made.exit_code == 3 and "is asked for" in lines(made, "missing")[0].message


def test_a_share_of_the_physical_limit_is_asked_for_by_interval() -> None:
    share = next(s.fraction for s in GOOD.speeds if s.target == SPEEDY)
    assert share is not None
    for factor, code in ((0.8, 0), (1.25, 1)):
        assert speed(GOOD, f"min_fraction_of_limit = {share * factor}\n").exit_code == code
    assert speed(GOOD, f"min_fraction_of_limit = {share}\n").exit_code == 3


def test_memory_is_a_ratio_and_what_a_bench_does_not_tell_is_missing() -> None:
    assert speed(GOOD, "max_memory_ratio = 1.5\n").exit_code == 0
    more = [msgspec.structs.replace(s, memory=9000 if s.target == SPEEDY else 4096) for s in GOOD.speeds]
    assert speed(changed(GOOD, speeds=more), "max_memory_ratio = 1.5\n").exit_code == 1
    none = [msgspec.structs.replace(s, memory=None) for s in GOOD.speeds]
    assert speed(changed(GOOD, speeds=none), "max_memory_ratio = 1.5\n").exit_code == 3


def test_compiling_is_a_ratio_of_cold_starts_and_an_eager_target_has_nothing_to_compile() -> None:
    from dropcheck.results.bench import Compile

    def compiled(mine: float | None, theirs: float | None) -> BenchResult:
        pairs = ((SPEEDY, mine), (REFERENCE, theirs))
        return changed(GOOD, compiles=[Compile(target=t, cell=GOOD.cells[0], cold_s=s) for t, s in pairs])

    asked = "max_compile_ratio = 2.0\n"
    assert speed(compiled(1.9, 1.0), asked).exit_code == 0
    assert speed(compiled(2.1, 1.0), asked).exit_code == 1
    for unknown in (compiled(None, 1.0), compiled(1.0, None), compiled(1.0, 0.0), GOOD):
        made = speed(unknown, asked)
        assert made.exit_code == 3 and "does not say the compile time" in lines(made, "missing")[0].message
    eager = changed(GOOD, setups=[msgspec.structs.replace(s, compilations=0) for s in GOOD.setups])
    made = speed(eager, "max_ratio = 1.1\n" + asked)
    assert made.exit_code == 0 and lines(made, "none")[0].message == "nothing is compiled"


def test_cells_of_a_policy_may_be_written_in_any_way() -> None:
    text = GOOD.cells[0].replace("rate=0.5", "rate=.5")
    assert text != GOOD.cells[0]
    assert speed(GOOD, f"max_ratio = 1.1\ncells = ['{text}']\n").exit_code == 0


def test_a_target_that_its_audit_disqualifies_has_no_speed() -> None:
    result = bench(900.0, audit=None)
    bad = [
        msgspec.structs.replace(s, state="disqualified", reason="fails rate.marginal") if s.target == SPEEDY else s
        for s in result.speeds
    ]
    made = speed(changed(result, speeds=bad))
    assert made.exit_code == 3 and "fails rate.marginal" in lines(made, "missing")[0].message


def test_a_cell_that_does_not_apply_is_no_failure_but_all_of_them_prove_nothing() -> None:
    from kits.gate import Workshop, simulated

    cells = ("64,256,1024 float32 rate=.5 forward", "64,256,1024 float32 rate=.5 backward")
    away = {SPEEDY: {"backward": refused("make", "Unsupported", "no gradient")}}
    result = simulated(Workshop(ns={SPEEDY: 900.0}, refuse=away, spread=0.002), REFERENCE, SPEEDY, cells=cells)
    made = speed(result)
    assert made.exit_code == 0, [one.message for one in lines(made, "missing", "fail")]
    assert speed(changed(result, speeds=[s for s in result.speeds if s.state == "skipped"])).exit_code == 3


def test_a_slow_release_can_be_waived_in_a_dtype() -> None:
    text = f'\n[[waiver]]\ncheck = "speed.ratio"\ntarget = "{SPEEDY}"\nreason = "until 2.0"\nexpires = 2027-01-01\n'
    slow = bench(2000.0, spread=0.002)
    for dtype, code in (("float32", 0), ("float16", 1)):
        made = speed(slow, f"max_ratio = 1.1\n{text}when = {{ dtype = '{dtype}' }}\n")
        assert made.exit_code == code


def test_a_reference_release_is_timed_under_the_interpreter_of_its_own_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from types import SimpleNamespace

    from dropcheck.plan import release_environments
    from dropcheck.speed import runner
    from dropcheck.speed.run import BenchRequest, in_environments, prepare

    asked: list[str | None] = []

    def started(python: str | None, **options: object) -> SimpleNamespace:
        asked.append(python)
        return SimpleNamespace(process=SimpleNamespace(pid=0))

    monkeypatch.setattr(
        release_environments, "provide", lambda words, *_: SimpleNamespace(python=f"python of {words[0]}", node=None)
    )
    monkeypatch.setattr(runner, "ProcessSession", started)
    monkeypatch.setattr(runner.os, "sched_setaffinity", lambda pid, processors: None, raising=False)
    plan = in_environments(prepare(BenchRequest(targets=("torch.Dropout1d with torch==2.4.1", SPEEDY))))
    for lane in plan.lanes:
        runner.open_process(lane, plan)
    assert asked == [
        "python of torch==2.4.1",
        None,
        "python of torch==2.4.1",
    ]  # the reference, the other, the reference again
