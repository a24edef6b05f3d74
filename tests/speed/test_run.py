"""The bench as a whole on simulated workers: verdicts, what disqualifies, what goes wrong at one cell, records, compare."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kits.bench import Workshop, audit_file, audit_of, bench, died, refused
from scipy import stats

from dropcheck.commands import compare as comparing
from dropcheck.contract.cells import Cell
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.report import bench as text
from dropcheck.report.compare import benches
from dropcheck.results import audit as results
from dropcheck.results import bench as records
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding, ResultError
from dropcheck.speed import honesty, pytest_json
from dropcheck.speed.blocks import cell_order, orders
from dropcheck.speed.cells import plan
from dropcheck.speed.run import BenchRequest, chosen_cells, prepare, run

ONE, TWO = "custom.reference", "torch.Dropout1d"
THREE = ("64,256,1024 forward", "64,256,1024 backward", "64,256,1024 inference")


def verdicts(result: records.BenchResult, target: str = TWO) -> list[str]:
    return [c.verdict for c in result.comparisons if c.target == target]


def states(result: records.BenchResult, target: str = TWO) -> dict[str, str]:
    return {result.cells[s.cell].split()[-1]: s.state for s in result.speeds if s.target == target}


# --- verdicts -----------------------------------------------------------------------------------------------------------


def test_identical_code_is_called_different_in_at_most_1_run_of_100_through_the_whole_engine() -> None:
    runs = 75
    alarms = sum(
        any(v in ("faster", "slower") for v in verdicts(bench(Workshop(seed, spread=0.03), ONE, TWO, cells=THREE)))
        for seed in range(runs)
    )
    assert alarms <= stats.binom.isf(1e-6, runs, 0.01)


def test_a_slow_down_of_10_percent_is_found_by_nine_processes() -> None:
    runs = 50
    slow = {TWO: 1100.0}
    found = sum(verdicts(bench(Workshop(s, slow), ONE, TWO, processes=9, blocks=7)) == ["slower"] for s in range(runs))
    assert found == runs


def test_a_reference_that_differs_from_itself_decides_nothing() -> None:
    class Moved(Workshop):
        def __call__(self, lane: Any, plan: Any) -> Any:
            made = super().__call__(lane, plan)
            made.ns *= 2 if lane.again else 1
            return made

    result = bench(Moved(ns={TWO: 3000.0}), ONE, TWO, processes=9)
    (one,) = result.comparisons
    assert one.verdict == "inconclusive" and "the reference differs from itself" in one.reason and one.ratio is None
    assert "differed from itself in 1 cells" in " ".join(text.render(result).split())


def test_a_noisy_cell_has_no_figure_and_the_report_says_why() -> None:
    class Busy(Workshop):
        """Another program runs beside the second process of the reference."""

        def __call__(self, lane: Any, plan: Any) -> Any:
            made = super().__call__(lane, plan)
            made.ns *= 1.08 if lane.again else 1
            return made

    quiet = bench(Workshop(ns={TWO: 3000.0}), ONE, TWO, processes=9)
    assert states(quiet) == {"forward": "measured"} and "noisy" not in text.render(quiet)
    result = bench(Busy(ns={TWO: 3000.0}), ONE, TWO, processes=9)
    assert states(result) == states(result, ONE) == {"forward": "noisy"}
    (speed,) = [s for s in result.speeds if s.target == TWO]
    assert speed.device_s is None and speed.fraction is None
    (one,) = result.comparisons
    assert (one.verdict, one.ratio, one.low, one.high) == ("inconclusive", None, None, None)
    told = " ".join(text.render(result).split())
    assert "1 of 1 cells are noisy and have no figure" in told and "wait until its load is near 0" in told
    assert "torch.Dropout1d: noisy: the reference took 1." in told and "expected 0.95 to 1.05" in told
    assert records.exit_code(result) == 3 and result.samples
    assert states(bench(Busy(ns={TWO: 3000.0}), ONE, TWO, processes=9, noise=0.2)) == {"forward": "measured"}


def test_a_run_coarser_than_asked_is_inconclusive_and_says_how_coarse() -> None:
    result = bench(Workshop(spread=0.05), ONE, TWO, resolution=0.001)
    (one,) = result.comparisons
    assert one.verdict == "inconclusive" and "0.1% was asked for" in one.reason
    assert result.resolution is not None and result.resolution > 0.001 and records.exit_code(result) == 3


def test_more_processes_are_started_until_the_resolution_that_was_asked_for_is_reached() -> None:
    found = [bench(Workshop(seed, spread=0.02), ONE, TWO, resolution=0.03) for seed in range(40)]
    more = [r.processes for r in found]
    assert min(more) == 5 and 5 < max(more) <= 20
    assert all((r.resolution or 1.0) <= 0.03 or r.processes == 20 for r in found)
    # who stops by the reference alone calls identical code different no more often
    alarms = sum(any(v in ("faster", "slower") for v in verdicts(r)) for r in found)
    assert alarms <= stats.binom.isf(1e-6, len(found), 0.01)


def test_one_process_decides_nothing() -> None:
    assert verdicts(bench(Workshop(ns={TWO: 5000.0}), ONE, TWO, processes=1)) == ["inconclusive"]


def test_a_verdict_does_not_depend_on_who_else_is_measured() -> None:
    pair, more = (
        bench(Workshop(3, {TWO: 1060.0, "custom.torch": 900.0}), ONE, TWO, *extra, cells=THREE)
        for extra in ((), ("custom.torch",))
    )
    assert pair.comparisons == [c for c in more.comparisons if c.target == TWO]


# --- honesty ------------------------------------------------------------------------------------------------------------


def test_a_wrong_layer_has_no_speed_and_the_cell_names_the_check() -> None:
    def audit(names: Any) -> Any:
        return audit_of(names, {TWO: ("mask.distinct-channels", "float32 rate=0.3 5,5,5")})

    workshop = Workshop()
    result = bench(workshop, ONE, TWO, audit=audit, cells=("4,8,8 float32", "4,8,8 float64"))
    speeds = {(s.target, result.cells[s.cell].split()[1]): s for s in result.speeds}
    assert speeds[TWO, "float32"].state == "disqualified"
    assert speeds[TWO, "float32"].reason == "fails mask.distinct-channels"
    assert speeds[TWO, "float64"].state == "measured", "another dtype passed"
    assert speeds[TWO, "float32"].device_s is None
    assert not [s for s in result.samples if s.target == TWO and s.cell == speeds[TWO, "float32"].cell]
    assert records.exit_code(result) == 1
    assert "torch.Dropout1d: disqualified: fails mask.distinct-channels" in text.render(result)


def test_a_layer_whose_edge_cases_fail_is_timed_and_the_report_says_so() -> None:
    def audit(names: Any) -> Any:
        return audit_of(names, {TWO: ("rate.one", "float32 rate=1")})

    result = bench(Workshop(), ONE, TWO, audit=audit, cells=("4,8,8 float32",))
    assert {s.state for s in result.speeds} == {"measured"}
    fine = bench(Workshop(), ONE, TWO, cells=("4,8,8 float32",))
    assert records.exit_code(result) == records.exit_code(fine) != 1
    beside = next(t.audit for t in result.targets if t.target == TWO)
    assert beside is not None and not beside.broken
    assert (beside.verdict, beside.level, beside.edges, beside.disqualified) == ("fail", "edge", ["rate.one"], {})
    assert "; edge cases fail: rate.one" in text.render(result)
    again = records.decode(records.encode(result), "bench.json")
    assert again.targets == result.targets


def test_what_an_edge_case_hides_and_what_is_open_beside_it_have_no_speed() -> None:
    (one,) = audit_of([ONE], {ONE: ("rate.one", "float32 rate=1")}).targets
    why = f"{NOT_INTERPRETABLE} rate.one fails: x"
    for verdict, check, reason in (
        ("inconclusive", "rate.per-channel", "is inconclusive in rate.per-channel"),
        ("skipped", "mask.patterns", "mask.patterns was not judged"),
        ("skipped", "gradient.edges", ""),
        ("fail", "scale.mean", "fails scale.mean"),
    ):
        beside = Finding(check=check, case="float32 rate=0.3", verdict=verdict, message=why)  # type: ignore[arg-type]
        seen = honesty.stamp(msgspec.structs.replace(one, findings=[*one.findings, beside]), "quick", "a.json")
        assert honesty.verdict_on(seen, Cell(), "") == reason
        assert seen.broken == (verdict == "fail")
    old = records.Audit(verdict="fail", profile="quick", version="", source="old.json", claims=3)
    assert old.broken, "the record of an older release does not say its level"


def test_an_audit_that_left_checks_out_is_none() -> None:
    def audit(names: Any) -> Any:
        return audit_of(names, left_out=("rate.marginal", "rate.zero"))

    result = bench(Workshop(), ONE, audit=audit)
    assert [s.reason for s in result.speeds] == ["its audit left out rate.marginal and 1 more"]
    assert records.exit_code(result) == 3


@pytest.mark.parametrize(
    ("pattern", "reason"), [("n c l -> n c l", ""), ("n c l -> n c", "left out mask.whole-channels")]
)
def test_a_check_that_a_pattern_has_no_case_for_is_not_left_out(pattern: str, reason: str) -> None:
    (one,) = audit_of([ONE], left_out=("mask.whole-channels",)).targets
    known = msgspec.structs.replace(one, contract=Contract(Pattern.parse(pattern)).to_dict())
    told = honesty.verdict_on(honesty.stamp(known, "quick", "a.json"), Cell(), "")
    assert told.endswith(reason) and bool(told) == bool(reason)


def test_an_audit_of_another_release_is_none(tmp_path: Path) -> None:
    (one,) = audit_of([ONE]).targets
    old = honesty.stamp(msgspec.structs.replace(one, version="0.9"), "quick", "old.json")
    assert honesty.verdict_on(old, Cell(), "1.0") == "its audit was of release 0.9, this is 1.0"
    assert honesty.verdict_on(old, Cell(), "0.9") == ""
    assert honesty.verdict_on(None, Cell(), "0.9") == "no audit of it was given or made"


LOOKED = honesty.Timed("ab12", "n c l -> n c", "cpu", ("float32", "float64"))


@pytest.mark.parametrize(
    ("timed", "dtype", "told"),
    [
        ({}, "float32", ""),
        ({"digest": "cd34"}, "float32", "its audit was of another state of its file"),
        ({"pattern": "n l c -> n c"}, "float32", "its audit was of the pattern n c l -> n c, this is n l c -> n c"),
        ({"device": "cuda"}, "float32", "its audit was on cpu, this is cuda"),
        ({}, "float64", "its audit judged nothing in float64"),
        ({}, "float16", ""),  # the target has no float16: its worker says so
    ],
)
def test_an_audit_clears_only_what_it_looked_at(timed: dict[str, Any], dtype: str, told: str) -> None:
    (one,) = audit_of([ONE], dtypes=["float32"]).targets
    contract = Contract(Pattern.parse("n c l -> n c")).to_dict()
    seen = honesty.stamp(msgspec.structs.replace(one, contract=contract, source="ab12"), "quick", "a.json", "cpu")
    here = dataclasses.replace(LOOKED, **timed)
    assert honesty.verdict_on(seen, Cell(dtype=dtype), "", here) == told


def test_an_audit_that_names_no_file_and_no_device_clears_no_file_and_no_other_device() -> None:
    seen = honesty.stamp(audit_of([ONE]).targets[0], "quick", "a.json")
    assert honesty.verdict_on(seen, Cell(), "", honesty.Timed(device="cpu")) == ""
    assert "names no state of its file" in honesty.verdict_on(seen, Cell(), "", honesty.Timed(digest="ab12"))
    assert "a device that it does not name" in honesty.verdict_on(seen, Cell(), "", honesty.Timed(device="cuda"))


def test_a_bench_asks_what_its_stored_audit_looked_at(tmp_path: Path) -> None:
    path = Path(audit_file(tmp_path / "a.json", ONE, dtypes=["float32"]))
    cells = ("4,8,8 float32", "4,8,8 float64")
    request = BenchRequest(targets=(ONE,), cells=cells, processes=1, threads=1, audit=path)
    result = run(request, opener=Workshop())
    assert [s.reason for s in result.speeds] == ["", "its audit judged nothing in float64"]


def test_a_stored_audit_is_read_however_it_is_stored_and_refused_where_its_numbers_disagree(tmp_path: Path) -> None:
    found = audit_of([ONE])
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(results.encode(found)))
    assert list(honesty.from_file(tmp_path / "a.json.gz")) == [ONE]
    results.save(msgspec.structs.replace(found, verdict="fail"), tmp_path / "edited.json")
    with pytest.raises(ResultError, match="does not agree with its own numbers"):
        honesty.from_file(tmp_path / "edited.json")
    records.save(bench(Workshop(), ONE, processes=1), tmp_path / "bench.json")
    with pytest.raises(ResultError, match="is of kind bench; expected a stored audit"):
        honesty.from_file(tmp_path / "bench.json")


# --- trouble ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (refused("memory", "MemoryError", "Unable to allocate 64 GiB"), "error", "out of memory: MemoryError: Unable"),
        (refused("recompiles", "RuntimeError", "it recompiles at every call: 3"), "error", "recompiles at every call"),
        (refused("frozen", "RuntimeError", "two calls drew the same mask"), "error", "the same mask"),
        (refused("unsupported", "Unsupported", "NumPy has no gradients"), "skipped", "NumPy has no gradients"),
        (died(), "error", "ended by signal SIGKILL"),
    ],
)
def test_trouble_in_one_cell_is_said_there_and_the_others_finish(error: Exception, state: str, words: str) -> None:
    workshop = Workshop(refuse={TWO: {"backward": error}})
    result = bench(workshop, ONE, TWO, cells=THREE)
    assert states(result) == {"forward": "measured", "backward": state, "inference": "measured"}
    assert set(states(result, ONE).values()) == {"measured"}
    reason = next(s.reason for s in result.speeds if s.state == state)
    assert words in reason and words in text.render(result, 400)
    assert len(verdicts(result)) == 2
    # an answer in one cell is enough, where nothing is missing that could be measured
    answered = set(verdicts(result)) != {"inconclusive"}
    assert records.exit_code(result) == (0 if state == "skipped" and answered else 3)
    if state == "skipped":
        slow = bench(Workshop(refuse={TWO: {"backward": error}}, ns={TWO: 5000.0}), ONE, TWO, cells=THREE)
        assert "slower" in verdicts(slow) and records.exit_code(slow) == 0
    assert all(s.closed for s in workshop.sessions)


def test_an_absent_device_is_skipped_with_its_reason_and_the_others_finish() -> None:
    gone = refused("open", "Unsupported", "PyTorch finds no CUDA device here")
    result = bench(Workshop(refuse={TWO: {"open": gone}}), ONE, TWO, cells=THREE)
    assert set(states(result).values()) == {"skipped"} and set(states(result, ONE).values()) == {"measured"}
    assert [t.skipped for t in result.targets] == [None, "PyTorch finds no CUDA device here"]
    assert records.exit_code(result) == 3


def test_a_reference_without_a_time_leaves_the_others_measured_and_nothing_compared() -> None:
    result = bench(Workshop(refuse={ONE: {"backward": died()}}), ONE, TWO, cells=THREE)
    assert set(states(result).values()) == {"measured"}
    told = {result.cells[c.cell].split()[-1]: c for c in result.comparisons}
    assert told["backward"].verdict == "inconclusive"
    assert told["backward"].reason == "the reference custom.reference has no time here"


class Leaving(Workshop):
    """Processes of one target do not start from the third round on."""

    def __init__(self, leaver: str) -> None:
        super().__init__(ns={TWO: 3000.0})
        self.leaver = leaver

    def __call__(self, lane: Any, plan: Any) -> Any:
        if lane.target.name == self.leaver and not lane.again and self.opened[lane.name] == 2:
            raise died()
        return super().__call__(lane, plan)


def test_a_target_that_crashed_on_the_way_has_no_verdict() -> None:
    result = bench(Leaving(TWO), ONE, TWO, cells=THREE)
    assert set(states(result).values()) == {"error"} and verdicts(result) == []


def test_a_reference_that_crashed_on_the_way_makes_nothing_faster_or_slower() -> None:
    result = bench(Leaving(ONE), ONE, TWO, cells=THREE)
    assert set(states(result, ONE).values()) == {"error"} and set(states(result).values()) == {"measured"}
    assert verdicts(result) == ["inconclusive"] * 3
    assert {c.reason for c in result.comparisons} == {"the reference custom.reference has no time here"}


def test_ctrl_c_keeps_what_was_measured() -> None:
    class Stopped(Workshop):
        def __call__(self, lane: Any, plan: Any) -> Any:
            if len(self.sessions) == 4:
                raise KeyboardInterrupt
            return super().__call__(lane, plan)

    workshop = Stopped()
    result = bench(workshop, ONE, TWO)
    assert result.interrupted and result.samples and all(s.closed for s in workshop.sessions)
    assert verdicts(result) == ["inconclusive"] and records.exit_code(result) == 3


class Compiling(Workshop):
    """Both targets are timed, the second compiles."""

    def __call__(self, lane: Any, plan: Any) -> Any:
        made = super().__call__(lane, plan)
        made.compilations = 1 if lane.target.name == TWO else 0
        self.caches = [*getattr(self, "caches", []), plan.caches]
        return made


def test_what_compiles_is_measured_cold_and_warm_in_fresh_processes_with_caches_of_their_own() -> None:
    workshop = Compiling()
    result = bench(workshop, ONE, TWO)
    (one,) = result.compiles
    assert one.target == TWO and one.cold_s == one.warm_s == pytest.approx(1.999)
    assert one.compilations == [1] * 5 and one.again == 0
    *timed, cold, warm = workshop.caches
    assert set(timed) == {None} and cold == warm is not None and not Path(cold).exists()
    told = text.render(result, 100)
    assert "graph break: print()" in told and "1 1 1 1 1" in told
    assert all(s.closed for s in workshop.sessions)


def test_a_compilation_that_ends_badly_says_so_and_the_times_stay() -> None:
    result = bench(Compiling(refuse={TWO: {"compile": died()}}), ONE, TWO)
    assert "ended by signal SIGKILL" in result.compiles[0].problem in text.render(result, 200)
    assert set(states(result).values()) == {"measured"}


def test_who_keeps_memory_in_a_cell_of_fresh_pages_has_no_limit_there() -> None:
    class Allocating(Workshop):
        def __call__(self, lane: Any, plan: Any) -> Any:
            made, name = super().__call__(lane, plan), lane.target.name
            run = made.do_run
            pages = {"copy:numpy": 16384.0, "target": 16384.0 if name == ONE else 3.0, "fill:numpy": 16384.0}
            made.do_run = lambda request: {**run(request), "faults": pages[request["item"]]}
            return made

    result = bench(Allocating(), ONE, TWO, cells=("64,256,1024 fresh",))
    one, two = result.speeds
    assert one.fraction is not None and two.fraction is None and two.device_s is not None
    assert "its allocator keeps memory" in two.reason and two.reason in " ".join(text.render(result, 200).split())


def test_threads_are_said_to_be_verified_or_not() -> None:
    said = text.threads(bench(Workshop(), ONE))
    assert said.startswith(
        "Threads: 1; every process may use 1 of the processors; custom.reference: the framework does"
    )


def test_threads_that_are_not_as_asked_are_a_warning() -> None:
    class Stubborn(Workshop):
        def __call__(self, lane: Any, plan: Any) -> Any:
            made = super().__call__(lane, plan)
            made.do_threads = lambda request: {"wanted": 1, "framework": {"torch": 8}, "processors": 1, "device": "cpu"}
            return made

    assert "custom.reference: torch says 8 threads, 1 were asked for" in bench(Stubborn(), ONE).warnings


# --- the plan -----------------------------------------------------------------------------------------------------------


def test_every_block_times_everything_once_and_orders_are_shuffled() -> None:
    slots = [("a", "target"), ("a", "copy:numpy"), ("b", "target")]
    found = orders(slots, 30, 1, 0, Cell())
    assert all(sorted(order) == sorted(slots) for order in found)
    firsts = [order[0] for order in found]
    assert set(firsts) == set(slots)
    assert found == orders(slots[::-1], 30, 1, 0, Cell()) and found != orders(slots, 30, 2, 0, Cell())


def test_the_reference_runs_twice_in_processes_of_its_own_with_a_copy_twice() -> None:
    workshop = Workshop()
    result = bench(workshop, ONE, TWO, processes=3, blocks=4)
    assert len(workshop.sessions) == 9
    per = {(s.process, s.block) for s in result.samples}
    assert len(per) == 12
    for process, block in per:
        some = [(s.target, s.again, s.what) for s in result.samples if (s.process, s.block) == (process, block)]
        assert len(some) == len(set(some)) == 10
        assert (ONE, True, "target") in some and (ONE, False, "again:copy:numpy") in some


def test_cells_with_fresh_memory_come_first() -> None:
    order = cell_order(plan("standard"), 1, 0)
    fresh = [c.regime == "fresh" for c in order]
    assert fresh == sorted(fresh, reverse=True) and order != cell_order(plan("standard"), 1, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"profile": "quik"}, "no profile 'quik'"),
        ({"device": "gpu"}, "no device 'gpu'; expected one of cpu, cuda"),
        ({"directions": ("backwards",)}, "the nearest is 'backward'"),
        ({"threads": 4096}, "--threads takes a number from 1 to"),
        ({"processes": 0}, "--processes takes a number of at least 1, not 0"),
        ({"margin": 1.5}, "--margin takes a share"),
        ({"level": 0.7}, "--level takes a probability"),
        ({"resolution": 2.0}, "--resolution takes a share"),
        ({"rates": (0.77,)}, "no cell is left"),
        ({"targets": ("torch.Dropout9d",)}, "there is no implementation"),
        ({"python": "/no/python"}, "does not start"),
    ],
)
def test_bad_input_gets_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        prepare(BenchRequest(**{"targets": (ONE,), **options}))


def test_options_narrow_the_profile() -> None:
    some = chosen_cells(BenchRequest(directions=("forward",), dtypes=("float32",), rates=(0.5,)))
    assert some and all((c.direction, c.dtype, c.rate) == ("forward", "float32", 0.5) for c in some)


# --- records ------------------------------------------------------------------------------------------------------------


def test_a_result_reads_back_and_is_a_frame(tmp_path: Path) -> None:
    result = bench(Workshop(), ONE, TWO, cells=THREE)
    records.save(result, tmp_path / "r.json")
    again = records.load(tmp_path / "r.json")
    assert again == result
    table = records.frame(again)
    assert len(table) == len(result.samples)
    assert {"device_ns", "host_ns", "direction", "dtype", "target", "process", "block", "place"} <= set(table.columns)
    ours = table[(table.target == TWO) & (table.direction == "backward") & (table.what == "target")]
    assert len(ours) == result.processes * result.blocks


def test_a_result_validates_against_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(json.loads(records.encode(bench(Workshop(), ONE, TWO))), records.schema())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: d[:100], "is damaged at line"),
        (lambda d: d.replace(b"dropcheck.bench/1", b"dropcheck.bench/9"), "has schema 'dropcheck.bench/9'"),
        (lambda d: d.replace(b'"loops": 100', b'"loops": "many"'), r"Expected `int`, got `str`.*\$.samples\[0\].loops"),
        (lambda d: d.replace(b'"cell": 0', b'"cell": 7'), r"there is no cell 7 among 1"),
        (
            lambda d: d.replace(b'"64,256,1024 float32', b'"64,256,1024 \\u001b[31mfloat32'),
            r"is no cell; .*\$.cells\[0\]",
        ),
        (lambda d: d.replace(b'"64,256,1024 float32', b'"64,256,1024\\nfloat32'), r"is no cell; .*\$.cells\[0\]"),
        (lambda d: b"\x80{}", "is not UTF-8"),
    ],
)
def test_a_damaged_result_is_refused_with_the_place(damage: Any, words: str) -> None:
    with pytest.raises(ResultError, match=words):
        records.decode(damage(records.encode(bench(Workshop(), ONE))), "r.json")


# --- compare ------------------------------------------------------------------------------------------------------------


def test_compare_says_slower_same_and_missing() -> None:
    old = bench(Workshop(1, spread=0.003), ONE, TWO, cells=THREE, processes=9, blocks=15)
    slow = bench(Workshop(2, {TWO: 1150.0}, spread=0.003), ONE, TWO, cells=THREE, processes=9, blocks=15)
    assert {c.verdict for c in benches.compare(old, slow) if c.target == TWO} == {"slower"}
    assert benches.exit_code(benches.compare(old, slow)) == 1
    fast = benches.compare(slow, old)
    assert {c.verdict for c in fast if c.target == TWO} == {"faster"}
    same = bench(Workshop(1, spread=0.003), ONE, TWO, cells=THREE, processes=9, blocks=15)
    found = benches.compare(old, same)
    assert {c.verdict for c in found} == {"same"} and benches.exit_code(found) == 0
    assert {c.anchor for c in found if c.target == TWO} == {ONE}
    assert {c.anchor for c in found if c.target == ONE} == {"copy:numpy"}
    less = bench(
        Workshop(4, refuse={TWO: {"backward": died()}}, spread=0.003), ONE, TWO, cells=THREE[:2], processes=9, blocks=15
    )
    found = benches.compare(old, less)
    gone = {c.cell.split()[-1]: c.reason for c in found if c.target == TWO and c.verdict == "missing"}
    assert set(gone) == {"backward", "inference"} and "SIGKILL" in gone["backward"]
    assert benches.exit_code(found) == 3
    assert "2 missing" not in text.changes(benches.compare(old, same), 0.03)


def test_compare_of_two_machines_is_inconclusive() -> None:
    old = bench(Workshop(1), ONE)
    new = msgspec.structs.replace(old, environment={**old.environment, "processor": "another"})
    (one,) = benches.compare(old, new)
    assert one.verdict == "inconclusive" and one.reason.startswith("another processor")


def test_compare_of_two_gpus_is_inconclusive() -> None:
    def on(name: str) -> records.BenchResult:
        hosts = [msgspec.structs.replace(h, before={"gpu": name}) for h in old.hosts]
        return msgspec.structs.replace(old, device="cuda", hosts=hosts)

    old = bench(Workshop(1), ONE)
    (one,) = benches.compare(on("NVIDIA H100"), on("NVIDIA A100"))
    assert one.verdict == "inconclusive" and one.reason.startswith("another GPU: NVIDIA H100 then, NVIDIA A100 now")
    (same,) = benches.compare(on("NVIDIA H100"), on("NVIDIA H100"))
    assert not same.reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"margin": -0.5}, "--margin takes a share of the time from 0 to 1, such as 0.03, not -0.5"),
        ({"margin": -2.0}, "--margin takes a share"),
        ({"margin": float("nan")}, "--margin takes a share"),
        ({"level": 0.0}, "--level takes a probability"),
    ],
)
def test_compare_refuses_a_margin_and_a_level_that_bench_refuses(options: dict[str, float], words: str) -> None:
    result = bench(Workshop(1), ONE, processes=1)
    with pytest.raises(UsageError, match=words):
        comparing._benches([result, result], [Path("a"), Path("b")], None, **{"margin": None, "level": None, **options})


def test_nothing_in_common_is_no_pass() -> None:
    old = bench(Workshop(1), ONE)
    empty = msgspec.structs.replace(old, speeds=[], samples=[])
    assert benches.exit_code(benches.compare(empty, empty)) == 3
    assert benches.exit_code(benches.compare(empty, old)) == 3
    assert benches.exit_code(benches.compare(old, empty)) == 3


def test_no_text_of_a_result_reaches_a_terminal_as_it_is() -> None:
    evil = "\x1b[31mred\u202e"
    result = bench(Workshop(), ONE, TWO)
    result = msgspec.structs.replace(
        result,
        comparisons=[msgspec.structs.replace(c, reason=evil) for c in result.comparisons],
        yardsticks=[msgspec.structs.replace(y, copy=evil, fill=evil) for y in result.yardsticks],
        speeds=[msgspec.structs.replace(s, how=evil, captured=evil) for s in result.speeds],
        hosts=[msgspec.structs.replace(h, threads={"framework": {evil: 1}}) for h in result.hosts],
    )
    told = text.render(result) + text.changes([benches.Change(ONE, evil, "same")], 0.03)
    assert "red" in told and not {"\x1b", "\u202e"} & set(told)


# --- pytest-benchmark ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 25, 26])
def test_our_numbers_of_rounds_are_pytest_benchmarks(count: int) -> None:
    import random

    theirs = pytest.importorskip("pytest_benchmark.stats").Stats()
    source = random.Random(count)
    data = [source.lognormvariate(-9, 0.6) for _ in range(count)]
    for value in data:
        theirs.update(value)
    ours = pytest_json.stats(data, 3)
    for name in theirs.fields:
        assert ours[name] == (pytest.approx(getattr(theirs, name)) if name != "outliers" else theirs.outliers)


def test_the_document_says_bytes_limit_and_device_time() -> None:
    result = bench(Workshop(), ONE, TWO, cells=THREE)
    found = pytest_json.document(result)["benchmarks"]
    assert len(found) == 6
    extra = next(b["extra_info"] for b in found if b["name"].startswith(TWO) and "backward" in b["name"])
    assert extra["bytes"] > 2 * 2**26 and extra["limit_s"] > 0 and extra["device_s"] > 0
