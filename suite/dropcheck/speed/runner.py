"""Measuring: fresh processes of all targets at once, timed in turn in randomised complete blocks; raw samples come out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dropcheck.contract.cases import seed_of
from dropcheck.contract.cells import Cell
from dropcheck.contract.promise import Pattern
from dropcheck.plan.targets import Target
from dropcheck.results.bench import Host, Sample, Setup
from dropcheck.speed.blocks import Slot, cell_order, orders
from dropcheck.speed.raw import Problem, Raw
from dropcheck.worker import visible_devices
from dropcheck.worker.client import ProcessSession, Refused, Session, TargetError, ask

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
MOST_ROUNDS = 4  # times the planned processes, where a resolution is asked for that they do not reach
CACHE_VARIABLES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")


@dataclass(frozen=True)
class Lane:
    """A row of fresh processes, one a round: of a target, or of the reference once more (``again``)."""

    target: Target
    again: bool = False

    @property
    def name(self) -> str:
        """Distinct among lanes."""
        return f"{self.target.name}\x1fagain" if self.again else self.target.name


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured how. ``allowed(lane, cell, version)``: an empty text, or why that cell has no speed."""

    lanes: tuple[Lane, ...]  # the reference first, the reference again last
    cells: tuple[Cell, ...]
    processes: int
    blocks: int
    slot_ms: float
    threads: int
    seed: int
    device: str = "cpu"
    pattern: str | None = None
    timeout_s: float = 120.0
    memory_mb: int | None = None
    python: str | None = None
    caches: str | None = None  # a folder that compilers keep what they make in, instead of their own


Opener = Callable[[Lane, Plan], Session]
Allowed = Callable[[Lane, Cell, str], str]
Tell = Callable[[str, float], None]


def open_process(lane: Lane, plan: Plan) -> Session:
    """A fresh worker process, bound to as many processors as threads are wanted. Raises TargetError."""
    target = lane.target
    session = ProcessSession(
        python=target.python or plan.python,
        environment={
            **visible_devices.variables(plan.device, target.mode),
            **dict.fromkeys(THREAD_VARIABLES, str(plan.threads)),
            **({name: f"{plan.caches}/{name}" for name in CACHE_VARIABLES} if plan.caches else {}),
            **dict(target.environment),
        },
        path=target.path,
        packages=target.packages,
        deadline=time.monotonic() + plan.timeout_s,
        timeout_s=plan.timeout_s,
        memory_mb=plan.memory_mb,
    )
    if hasattr(os, "sched_setaffinity"):
        # before the framework is imported: pools of threads are made as large as the processors that a process may use
        free = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(session.process.pid, free[: plan.threads])
    return session


class _Process:
    """One fresh process of a lane, opened again where a cell ends it."""

    def __init__(self, lane: Lane, plan: Plan, opener: Opener, raw: Raw, number: int) -> None:
        self.lane, self.plan, self.opener, self.raw, self.number = lane, plan, opener, raw, number
        self.session: Session | None = None
        self.threads: dict[str, Any] = {}
        self.before: dict[str, Any] = {}
        self.open()

    def open(self) -> None:
        target = self.lane.target
        try:
            self.session = self.opener(self.lane, self.plan)
            opened = self.ask("open", **_opening(target, self.plan))
            self.raw.opened.setdefault(self.lane.name, opened)
            self.threads = self.ask("time", do="threads", wanted=self.plan.threads)
            self.before = self.ask("time", do="state")
        except (Refused, TargetError) as error:
            self.close()
            self.raw.closed.setdefault(self.lane.name, _problem(error))

    def ask(self, what: str, **request: Any) -> dict[str, Any]:
        assert self.session is not None
        if isinstance(self.session, ProcessSession):
            self.session.deadline = time.monotonic() + self.plan.timeout_s
        return ask(self.session, what, **request)

    def attempt(self, place: int, **request: Any) -> dict[str, Any] | None:
        """The answer of the clock; None where the cell ends here for this lane, which is then noted."""
        if self.session is None:
            return None
        try:
            return self.ask("time", **request)
        except Refused as error:
            self.raw.problems.setdefault((self.lane.name, place), _problem(error))
        except TargetError as error:
            self.raw.problems.setdefault((self.lane.name, place), _problem(error))
            self.close()
            self.open()
        return None

    def finish(self) -> None:
        """Note the state at the end, and end the process."""
        if self.session is not None:
            try:
                after = self.ask("time", do="state")
            except (Refused, TargetError):
                after = {}
            self.raw.hosts.append(
                Host(
                    process=self.number,
                    target=self.lane.target.name,
                    again=self.lane.again,
                    threads=self.threads,
                    before=self.before,
                    after=after,
                )
            )
        self.close()

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None


def _opening(target: Target, plan: Plan) -> dict[str, Any]:
    device = {} if plan.device == "cpu" else {"device": plan.device}
    return {
        "locator": target.locator,
        "source": target.source,
        "pattern": plan.pattern,
        "mode": target.mode,
        **device,
    }


def converse(lane: Lane, plan: Plan, opener: Opener, **request: Any) -> dict[str, Any]:
    """The answer of a clock in a fresh process that does nothing else. Raises Refused and TargetError."""
    session = opener(lane, plan)
    try:
        ask(session, "open", **_opening(lane.target, plan))
        ask(session, "time", do="threads", wanted=plan.threads)
        return ask(session, "time", **request)
    finally:
        session.close()


def _problem(error: Refused | TargetError) -> Problem:
    if isinstance(error, TargetError):
        return Problem("error", str(error), error.details or "")
    if error.where == "unsupported" or error.kind == "Unsupported":
        return Problem("skipped", error.message)
    sentence = {
        "memory": f"out of memory: {error.kind}: {error.message.splitlines()[0] if error.message else ''}".rstrip(": "),
        "frozen": error.message,
        "recompiles": error.message,
        "construct": f"its constructor raises {error}",
    }.get(error.where, str(error))
    return Problem("error", sentence, "\n".join(error.lines))


def measure(
    plan: Plan,
    allowed: Allowed,
    opener: Opener = open_process,
    tell: Tell | None = None,
    kept: Raw | None = None,
    keep: Callable[[Raw], None] | None = None,
    enough: Callable[[Raw], bool] | None = None,
) -> Raw:
    """All samples of a plan. Ctrl-C ends it with what there is.

    ``kept``: what an earlier run had finished, gone on from; ``keep`` is called whenever all processes of a round are done.
    ``enough``: whether the rounds of the plan are enough; else there are more, up to ``MOST_ROUNDS`` times as many. It must
    not look at what is compared, only at how well the reference repeats itself.
    """
    raw = kept or Raw()
    say = tell or (lambda text, done: None)
    try:
        for number in range(raw.rounds, MOST_ROUNDS * plan.processes):
            if number >= plan.processes and (enough is None or enough(raw)):
                break
            _round(plan, number, raw, allowed, opener, say)
            raw.rounds += 1
            if keep is not None:
                keep(raw)
    except KeyboardInterrupt:
        raw.interrupted = True
    return raw


def _round(plan: Plan, number: int, raw: Raw, allowed: Allowed, opener: Opener, say: Tell) -> None:
    """One fresh process a lane, all alive together, over all cells."""
    crew: dict[str, _Process] = {}
    planned = max(plan.processes, number + 1)
    steps = planned * len(plan.cells)
    try:
        for lane in plan.lanes:
            if lane.name not in raw.closed:
                say(
                    f"process {number + 1} of {planned}: opening {lane.target.name}",
                    number * len(plan.cells) / steps,
                )
                crew[lane.name] = _Process(lane, plan, opener, raw, number)
        if number == 0:
            _disqualify(plan, raw, allowed)
            _first(plan, raw, crew)
        for done, cell in enumerate(cell_order(plan.cells, plan.seed, number)):
            say(f"process {number + 1} of {planned}: {cell}", (number * len(plan.cells) + done) / steps)
            _cell(plan, number, cell, raw, crew)
    finally:
        for process in crew.values():
            process.finish()


def _disqualify(plan: Plan, raw: Raw, allowed: Allowed) -> None:
    for lane in plan.lanes:
        for place, cell in enumerate(plan.cells):
            version = raw.opened.get(lane.name, {}).get("version", "")
            reason = allowed(lane, cell, version)
            if reason and lane.name not in raw.closed:
                raw.problems[lane.name, place] = Problem("disqualified", reason)


def _lives(raw: Raw, lane: Lane, place: int) -> bool:
    return (lane.name, place) not in raw.problems and lane.name not in raw.closed


def _request(plan: Plan, raw: Raw, lane: Lane, cell: Cell, number: int) -> dict[str, Any]:
    pattern = Pattern.parse(raw.opened[lane.name]["contract"]["pattern"])
    return cell.request(pattern, seed_of(plan.seed, "cell", number, lane.name, str(cell)))


def _first(plan: Plan, raw: Raw, crew: Mapping[str, _Process]) -> None:
    """The first call and its memory in every cell, before any process keeps freed memory."""
    for place, cell in enumerate(plan.cells):
        for lane in plan.lanes:
            if lane.again or not _lives(raw, lane, place):
                continue
            answer = crew[lane.name].attempt(place, do="first", cell=_request(plan, raw, lane, cell, 0))
            if answer is not None:
                raw.memory[lane.name, place] = (float(answer["first_ns"]), answer["memory"])


def _cell(plan: Plan, number: int, cell: Cell, raw: Raw, crew: Mapping[str, _Process]) -> None:
    place = plan.cells.index(cell)
    slots: list[Slot] = []
    for lane in plan.lanes:
        if not _lives(raw, lane, place) or crew.get(lane.name) is None:
            continue
        request = _request(plan, raw, lane, cell, number)
        answer = crew[lane.name].attempt(
            place, do="setup", cell=request, slot_ms=plan.slot_ms, yard_ms=plan.slot_ms / 3
        )
        if answer is None:
            continue
        raw.setups.append(
            Setup(
                process=number,
                cell=place,
                target=lane.target.name,
                again=lane.again,
                first_ns=float(answer["first_ns"]),
                how=answer["how"],
                captured=answer["captured"],
                masks=answer["masks"],
                regime=answer["regime"],
                buffers=answer["buffers"],
                compilations=answer["compilations"],
            )
        )
        slots += [(lane.name, what) for what in answer["loops"]]
        if lane == plan.lanes[0]:  # a copy twice: what a copy is of its own limit
            slots += [(lane.name, f"again:{what}") for what in answer["loops"] if what.startswith("copy:")]
    lanes = {lane.name: lane for lane in plan.lanes}
    for block, order in enumerate(orders(slots, plan.blocks, plan.seed, number, cell)):
        for when, (name, what) in enumerate(order):
            if (name, place) in raw.problems:
                continue
            found = crew[name].attempt(place, do="run", item=what.removeprefix("again:"))
            if found is not None:
                raw.samples.append(
                    Sample(
                        process=number,
                        block=block,
                        place=when,
                        cell=place,
                        target=lanes[name].target.name,
                        again=lanes[name].again,
                        what=what,
                        loops=int(found["loops"]),
                        device_ns=float(found["device_ns"]),
                        host_ns=float(found["host_ns"]),
                        faults=float(found["faults"]),
                        parts=int(found.get("parts", 1)),
                        mean_ns=found.get("mean_ns"),
                        cpu_ns=found.get("cpu_ns"),
                    )
                )
    for name in {name for name, _ in slots}:
        if (name, place) not in raw.problems:
            crew[name].attempt(place, do="end")


def lanes_of(chosen: Sequence[Target], reference: Target) -> tuple[Lane, ...]:
    """The reference, the other targets, and the reference again."""
    return (Lane(reference), *(Lane(t) for t in chosen if t != reference), Lane(reference, again=True))
