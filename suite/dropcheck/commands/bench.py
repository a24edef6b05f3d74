"""``dropcheck bench``: words to a request, a result to text, files and an exit code."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dropcheck.commands import options
from dropcheck.commands.rows import option, shared, takes
from dropcheck.plan import option_values, python_options

if TYPE_CHECKING:
    from dropcheck.results.bench import BenchResult


def _width() -> int:
    return max(60, min(140, shutil.get_terminal_size((100, 24)).columns))


class _Teller:
    """Progress on standard error, one line every few seconds, with what is left."""

    def __init__(self, every_s: float = 5.0) -> None:
        self.every_s, self.start, self.last = every_s, time.monotonic(), 0.0

    def __call__(self, text: str, done: float) -> None:
        now = time.monotonic()
        if now - self.last < self.every_s:
            return
        self.last = now
        left = (now - self.start) / done * (1 - done) if done > 0.02 else None
        tail = f", about {left:.0f} s left" if left is not None else ""
        print(f"{text} ({done:.0%}{tail})", file=sys.stderr, flush=True)


ROWS = (
    shared("names", options.Names),
    shared("profile", options.Profile, "quick"),
    option("--plan", "Show cells and time; run nothing.", kind=bool),
    option("--cell", "Time this cell, such as '64,256,1024 float32 rate=.5 forward'.", metavar="CELL", many=True),
    option("--direction", "inference, forward, backward (with the forward pass).", metavar="DIRECTION", many=True),
    option("--dtype", "Only cells of these dtypes.", metavar="DTYPE", many=True),
    option("--rate", "Only cells of these rates.", metavar="RATE", many=True),
    option("--reference", "What the others are compared with; the first target by default.", metavar="TARGET"),
    option("--processes", "Fresh processes per target.", kind=int),
    option("--blocks", "Blocks per process.", kind=int),
    option("--slot", "Length of a timed block, such as 15ms.", metavar="TIME"),
    option("--threads", "Threads of the layers; 0: as many as processors.", kind=int, default=0),
    option("--device", "cpu or cuda.", metavar="DEVICE", default="cpu"),
    shared("pattern", options.Pattern),
    shared("seed", options.Seed),
    option("--margin", "Differences below this share count as the same; default .03.", kind=float),
    option("--level", "Probability of calling identical code different; default .01.", kind=float),
    option(
        "--resolution",
        "Smallest difference to detect, such as .03, with up to 4 times the processes; coarser cells are inconclusive.",
        kind=float,
    ),
    option(
        "--noise",
        "Cells whose reference differs from itself by more than this share have no figure; default .05.",
        kind=float,
    ),
    option("--audit", "Use this stored audit; otherwise run a quick audit first.", metavar="RESULT", kind=Path),
    option("--timeout", "Timeout per measurement, including setup.", metavar="TIME", default="2m"),
    shared("memory", options.Memory),
    shared("python", options.Python),
    shared("json", options.ResultFile),
    option("--pytest-json", "Write the JSON of pytest-benchmark.", metavar="FILE", kind=Path),
    option("--out", "Write bench.json and bench.txt.", metavar="DIR", kind=Path),
    shared("history", options.History),
    option("--resume", "Resume an interrupted run, with the same --json or --out.", kind=bool),
)


@takes(ROWS)
def bench(**typed: Any) -> None:
    """Measure speed, side by side; the first target is the reference. No target: the default layers that can run here."""
    from dropcheck.plan.request import DEFAULT_SEED
    from dropcheck.speed.run import BenchRequest, prepare, run

    files = _Files(*(typed.pop(name) for name in ("json", "pytest_json", "out", "history")))
    names, plan, seed = (typed.pop(name) for name in ("names", "plan", "seed"))
    root, drawn = option_values.seed(seed, DEFAULT_SEED)
    files.refuse(typed["resume"])
    given = {name: value for name, value in typed.items() if value is not None and value != []}
    request = BenchRequest(
        targets=tuple(names or ()),
        seed=root,
        journal=files.journal,
        argv=tuple(sys.argv[1:]),
        **python_options.of_bench(given, typed=True),
    )
    if plan:
        _plan(prepare(request))
        return
    if drawn:
        print(f"root seed {root}", file=sys.stderr)
    _tell(run(request, _Teller()), files)


@dataclass(frozen=True)
class _Files:
    """Where a result is written."""

    json_file: Path | None
    pytest_json: Path | None
    out: Path | None
    history: str | None

    @property
    def journal(self) -> Path | None:
        """Where raw samples are kept until the result is written."""
        place = self.out / "bench" if self.out is not None else self.json_file
        return place.with_name(place.name + ".journal") if place is not None else None

    def refuse(self, resume: bool) -> None:
        """Raise UsageError, before anything runs, for a place that cannot be written, and where there is none to resume."""
        options.writable_file(self.json_file, "--json")
        options.writable_file(self.pytest_json, "--pytest-json")
        options.writable_folder(self.out, "--out")
        options.history(self.history)
        options.resumable(resume, self.journal)


def _tell(result: BenchResult, files: _Files) -> None:
    """Write and print a result, and end with its exit code."""
    from dropcheck.report import bench as text
    from dropcheck.results import bench as records
    from dropcheck.results.audit import write_atomically
    from dropcheck.speed import pytest_json as exported

    told = text.render(result, _width())
    if files.json_file is not None:
        records.save(result, files.json_file)
    if files.pytest_json is not None:
        exported.save(result, files.pytest_json)
    if files.out is not None:
        records.save(result, files.out / "bench.json")
        write_atomically(files.out / "bench.txt", told.encode())
    if files.journal is not None and not result.interrupted:
        files.journal.unlink(missing_ok=True)
    sys.stdout.write(told)
    sys.stdout.flush()
    if files.history is not None and not result.interrupted:
        from dropcheck.results.history import stores

        print(stores.record(files.history, result))
    raise typer.Exit(130 if result.interrupted else records.exit_code(result))


def _plan(plan: object) -> None:
    from dropcheck.speed.runner import Plan

    assert isinstance(plan, Plan)
    lanes = len(plan.lanes)
    # a slot for the layer and, as a rule, two copies and two fills of a third of one
    timed = plan.processes * plan.blocks * len(plan.cells) * lanes * plan.slot_ms * (1 + 4 / 3) / 1e3
    for one in plan.cells:
        print(one)
    print(
        f"\n{_some(len(plan.cells), 'cell')}, {_some(lanes - 1, 'target')} and the reference again. Each runs in "
        f"{plan.processes} fresh processes, {plan.blocks} blocks of {plan.slot_ms:g} ms each, on "
        f"{_some(plan.threads, 'thread')}. Timing takes about {timed:.0f} s, besides the start of the processes."
    )


def _some(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def add(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("bench")(bench)
