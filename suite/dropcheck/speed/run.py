"""One bench: what was asked becomes a plan, the audits that allow it, raw samples, and one result."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dropcheck.auditing.machine import describe, processors
from dropcheck.contract import memory
from dropcheck.contract.adapter import DIRECTIONS, DTYPES
from dropcheck.contract.cells import Cell, parse_cell
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.plan import targets
from dropcheck.plan.request import DEFAULT_SEED, AuditRequest
from dropcheck.results.audit import Result, Verdict
from dropcheck.results.bench import BenchResult, BenchTarget, Speed
from dropcheck.speed import compiling, honesty, noise, summary
from dropcheck.speed.cells import PROFILES
from dropcheck.speed.cells import plan as planned_cells
from dropcheck.speed.ratio import LEVEL, MARGIN, accepted
from dropcheck.speed.raw import Journal, Raw
from dropcheck.speed.runner import Lane, Opener, Plan, Tell, lanes_of, measure, open_process

DEVICES = ("cpu", "cuda")
# fresh processes, blocks a process, milliseconds a block: quick resolves a few per cent on a quiet machine, within a minute
# a target; with nine processes a 3 % effect of the process alone raises no alarm (benchmarking.md, simulated)
SIZES = {"quick": (5, 5, 15.0), "standard": (9, 7, 15.0), "deep": (9, 9, 20.0)}


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """What one bench is asked to do; see the options of the command line. None: what the profile says."""

    targets: tuple[str, ...] = ()
    profile: str = "quick"
    cells: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    rates: tuple[float, ...] = ()
    reference: str | None = None
    processes: int | None = None
    blocks: int | None = None
    slot_ms: float | None = None
    threads: int = 0
    device: str = "cpu"
    pattern: str | None = None
    seed: int = DEFAULT_SEED
    margin: float = MARGIN
    level: float = LEVEL
    resolution: float | None = None
    noise: float = noise.NOISE
    audit: Path | None = None
    timeout_s: float = 120.0
    memory_mb: int | None = None
    python: str | None = None
    journal: Path | None = None
    resume: bool = False
    argv: tuple[str, ...] = ()


def _word(given: str, valid: Sequence[str], what: str) -> None:
    if given not in valid:
        raise UsageError(f"there is no {what} {given!r}; expected one of {', '.join(valid)}{nearest(given, valid)}")


def chosen_cells(request: BenchRequest) -> tuple[Cell, ...]:
    """The cells of a request. Raises UsageError."""
    _word(request.profile, PROFILES, "profile")
    for word in request.directions:
        _word(word, DIRECTIONS, "direction")
    for word in request.dtypes:
        _word(word, DTYPES, "dtype")
    cells = tuple(dict.fromkeys(parse_cell(text) for text in request.cells))
    for one in cells:
        memory.refuse(f"--cell {str(one)!r}", one.elements, one.dtype, request.memory_mb, request.device == "cpu")
    cells = cells or planned_cells(request.profile, request.device)
    kept = tuple(
        c
        for c in cells
        if (not request.directions or c.direction in request.directions)
        and (not request.dtypes or c.dtype in request.dtypes)
        and (not request.rates or c.rate in request.rates)
    )
    if not kept:
        raise UsageError(
            f"no cell is left: none of the {len(cells)} cells has the direction, dtype and rate that were asked for; name one, "
            f"such as --cell '{cells[0]}'"
        )
    return kept


def prepare(request: BenchRequest) -> Plan:
    """The plan of a request; all bad input is refused here. Raises UsageError."""
    cells = chosen_cells(request)
    _word(request.device, DEVICES, "device")
    if request.threads < 0 or request.threads > processors():
        raise UsageError(
            f"--threads takes a number from 1 to the {processors()} processors here, not {request.threads}"
        )
    for name, value, least in (("--processes", request.processes, 1), ("--blocks", request.blocks, 1)):
        if value is not None and value < least:
            raise UsageError(f"{name} takes a number of at least {least}, not {value}")
    accepted(request.margin, request.level)
    noise.accepted(request.noise)
    if request.resolution is not None and not 0 < request.resolution < 1:
        raise UsageError(f"--resolution takes a share of the time, such as 0.05, not {request.resolution:g}")
    if request.python is not None and shutil.which(request.python) is None:
        raise UsageError(f"the interpreter {request.python!r} does not start: there is no such program; give its path")
    chosen = [targets.parse(text) for text in request.targets] if request.targets else targets.defaults()
    chosen = list({t.name: t for t in chosen}.values())
    if not chosen:
        raise UsageError("no implementation can run here; `dropcheck list` says why")
    reference = targets.parse(request.reference) if request.reference else chosen[0]
    processes, blocks, slot_ms = SIZES[request.profile]
    return Plan(
        lanes=lanes_of(chosen, reference),
        cells=cells,
        processes=request.processes or processes,
        blocks=request.blocks or blocks,
        slot_ms=request.slot_ms or slot_ms,
        threads=request.threads or processors(),
        seed=request.seed,
        device=request.device,
        pattern=request.pattern,
        timeout_s=request.timeout_s,
        memory_mb=request.memory_mb,
        python=request.python,
    )


def in_environments(plan: Plan) -> Plan:
    """The plan with the interpreters of the targets that have an environment of their own, built where needed.

    Raises environments.BuildError.
    """
    from dropcheck.plan import release_environments

    def built(lane: Lane) -> Lane:
        return replace(lane, target=release_environments.placed(lane.target, plan.python))

    return replace(plan, lanes=tuple(built(lane) for lane in plan.lanes))


def quick_audit(request: BenchRequest) -> Callable[[Sequence[str]], Result]:
    """How targets without an audit are audited before they are timed."""

    def run(names: Sequence[str]) -> Result:
        from dropcheck.auditing import run as auditing

        return auditing.run(
            AuditRequest(
                targets=tuple(names),
                device=request.device,
                pattern=request.pattern,
                python=request.python,
                causes=False,
            )
        )

    return run


def run(
    request: BenchRequest,
    tell: Tell | None = None,
    opener: Opener = open_process,
    audit: Callable[[Sequence[str]], Result] | None = None,
) -> BenchResult:
    """Bench all targets of a request. Raises UsageError for what cannot be run; everything else is in the result."""
    start = time.monotonic()
    plan = prepare(request)
    names = [lane.target.name for lane in plan.lanes[:-1]]
    journal = Journal(request.journal, _mark(request, plan)) if request.journal is not None else None
    kept, raw = journal.read() if journal is not None and request.resume else ({}, Raw())
    known = {**(honesty.from_file(request.audit) if request.audit is not None else {}), **kept}
    missing = [n for n in names if n not in known]
    if missing:
        if tell is not None:
            tell(f"auditing {len(missing)} target{'s' if len(missing) > 1 else ''} first", 0.0)
        known |= honesty.audited(missing, audit or quick_audit(request), request.device)
    plan = in_environments(plan)
    before = describe()
    if journal is not None:
        journal.begin({n: known[n] for n in names if n in known}, raw)

    def allowed(lane: Lane, cell: Cell, version: str) -> str:
        opened = raw.opened.get(lane.name, {})
        timed = honesty.Timed(
            lane.target.digest(),
            str(opened.get("contract", {}).get("pattern", "")),
            request.device,
            tuple(opened.get("dtypes", ())),
        )
        return honesty.verdict_on(known.get(lane.target.name), cell, version, timed)

    wanted = request.resolution

    def enough(raw: Raw) -> bool:
        return wanted is None or summary.resolution_of(plan, raw, request.margin, request.level) <= wanted

    raw = measure(plan, allowed, opener, tell, raw, journal.append if journal is not None else None, enough)
    compiled = []
    if not raw.interrupted:
        try:
            compiled = compiling.measured(plan, raw, opener, tell or (lambda text, done: None))
        except KeyboardInterrupt:
            raw.interrupted = True
    made = summary.summarise(plan, raw, request.margin, request.level, request.resolution, request.noise)
    opened = [_target(plan, raw, known, lane) for lane in plan.lanes[:-1]]
    environment = {**before, "load_after": describe()["load"], "processor": processor()}
    return BenchResult(
        verdict=verdict(made, opened, raw, request.resolution),
        environment=environment,
        argv=list(request.argv),
        profile=request.profile,
        seed=request.seed,
        device=request.device,
        threads=plan.threads,
        reference=plan.lanes[0].target.name,
        margin=request.margin,
        level=request.level,
        processes=max(plan.processes, raw.rounds),
        blocks=plan.blocks,
        slot_ms=plan.slot_ms,
        resolution_wanted=request.resolution,
        resolution=made.resolution,
        cells=[str(c) for c in plan.cells],
        targets=opened,
        speeds=made.speeds,
        comparisons=made.comparisons,
        placebos=made.placebos,
        yardsticks=made.yardsticks,
        warnings=made.warnings,
        hosts=raw.hosts,
        setups=raw.setups,
        samples=raw.samples,
        wall_s=time.monotonic() - start,
        interrupted=raw.interrupted,
        compiles=compiled,
        resumed=raw.resumed,
        noise=request.noise,
    )


def _mark(request: BenchRequest, plan: Plan) -> str:
    """What must be equal for a bench to be gone on with: everything that can change a sample or who may have one.

    The processor and the releases of what is timed are part of it: times of two machines are not one sample.
    """
    lanes = [(lane.name, lane.target.digest()) for lane in plan.lanes]
    rest = replace(plan, lanes=(), timeout_s=0.0, memory_mb=None)
    here = describe()
    return repr((lanes, rest, request.audit, processor(), here["platform"], here["python"], here["packages"]))


def _target(plan: Plan, raw: Raw, known: honesty.Audits, lane: Lane) -> BenchTarget:
    opened, problem = raw.opened.get(lane.name, {}), raw.closed.get(lane.name)
    return BenchTarget(
        target=lane.target.name,
        framework=opened.get("framework", lane.target.framework),
        version=opened.get("version", ""),
        pattern=opened.get("contract", {}).get("pattern", ""),
        device=plan.device,
        audit=known.get(lane.target.name),
        error=problem.reason if problem is not None and problem.state == "error" else None,
        skipped=problem.reason if problem is not None and problem.state == "skipped" else None,
        details=(problem.details or None) if problem is not None else None,
    )


def verdict(made: summary.Summary, opened: Sequence[BenchTarget], raw: Raw, wanted: float | None) -> Verdict:
    """fail: an audit found a defect; pass: all measured or not applicable; inconclusive: something is missing, or coarser than
    asked, or no cell of a target has an answer."""
    if any(t.audit is not None and t.audit.broken for t in opened):
        return "fail"
    if any(t.error or t.skipped for t in opened) or raw.interrupted:
        return "inconclusive"
    if any(s.state in ("error", "disqualified", "noisy") for s in made.speeds):
        return "inconclusive"
    if wanted is not None and (made.resolution is None or made.resolution > wanted):
        return "inconclusive"
    answers: dict[str, set[str]] = {}
    for one in made.comparisons:
        answers.setdefault(one.target, set()).add(one.verdict)
    if any(found == {"inconclusive"} for found in answers.values()):
        return "inconclusive"
    measured: list[Speed] = [s for s in made.speeds if s.state == "measured"]
    return "pass" if measured else "inconclusive"


def processor() -> str:
    """The processor's own name, where the system shows it."""
    try:
        with open("/proc/cpuinfo") as stream:
            for text in stream:
                if text.startswith("model name"):
                    return text.partition(":")[2].strip()
    except OSError:
        pass
    import platform

    return platform.processor()
