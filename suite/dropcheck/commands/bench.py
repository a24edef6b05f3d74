"""``dropcheck bench``: words to a request, a result to text, files and an exit code."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from dropcheck.commands import options
from dropcheck.contract.errors import UsageError
from dropcheck.plan import option_values

Texts = list[str] | None


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


def bench(
    names: options.Names = None,
    profile: options.Profile = "quick",
    plan: Annotated[bool, typer.Option("--plan", help="Show cells and time; run nothing.")] = False,
    cell: Annotated[
        Texts,
        typer.Option("--cell", metavar="CELL", help="Time this cell, such as '64,256,1024 float32 rate=.5 forward'."),
    ] = None,
    direction: Annotated[
        Texts,
        typer.Option("--direction", metavar="DIRECTION", help="inference, forward, backward (with the forward pass)."),
    ] = None,
    dtype: Annotated[Texts, typer.Option("--dtype", metavar="DTYPE", help="Only cells of these dtypes.")] = None,
    rate: Annotated[Texts, typer.Option("--rate", metavar="RATE", help="Only cells of these rates.")] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help="What the others are compared with; the first target by default."),
    ] = None,
    processes: Annotated[int | None, typer.Option(help="Fresh processes per target.")] = None,
    blocks: Annotated[int | None, typer.Option(help="Blocks per process.")] = None,
    slot: Annotated[str | None, typer.Option(metavar="TIME", help="Length of a timed block, such as 15ms.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the layers; 0: as many as processors.")] = 0,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu or cuda.")] = "cpu",
    pattern: options.Pattern = None,
    seed: options.Seed = None,
    margin: Annotated[
        float | None, typer.Option(help="Differences below this share count as the same; default .03.")
    ] = None,
    level: Annotated[
        float | None, typer.Option(help="Probability of calling identical code different; default .01.")
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(
            help="Smallest difference to detect, such as .03, with up to 4 times the processes; coarser cells are inconclusive."
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Cells whose reference differs from itself by more than this share have no figure; default .05."
        ),
    ] = None,
    audit: Annotated[
        Path | None,
        typer.Option(metavar="RESULT", help="Use this stored audit; otherwise run a quick audit first."),
    ] = None,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="Timeout per measurement, including setup.")] = "2m",
    memory: options.Memory = None,
    python: options.Python = None,
    json_file: options.ResultFile = None,
    pytest_json: Annotated[
        Path | None, typer.Option("--pytest-json", metavar="FILE", help="Write the JSON of pytest-benchmark.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write bench.json and bench.txt.")] = None,
    history: options.History = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an interrupted run, with the same --json or --out.")
    ] = False,
) -> None:
    """Measure speed, side by side; the first target is the reference. No target: the default layers that can run here."""
    from dropcheck.plan.request import DEFAULT_SEED
    from dropcheck.report import bench as text
    from dropcheck.results import bench as records
    from dropcheck.results.audit import write_atomically
    from dropcheck.speed import pytest_json as exported
    from dropcheck.speed import ratio
    from dropcheck.speed.noise import NOISE
    from dropcheck.speed.run import BenchRequest, prepare, run

    root, drawn = option_values.seed(seed, DEFAULT_SEED)
    for path, option in ((json_file, "--json"), (pytest_json, "--pytest-json")):
        options.writable_file(path, option)
    options.writable_folder(out, "--out")
    options.history(history)
    if resume and out is None and json_file is None:
        raise UsageError(
            "--resume continues the run of a result: give the --out DIR or --json FILE of the interrupted run"
        )
    place = out / "bench" if out is not None else json_file
    request = BenchRequest(
        targets=tuple(names or ()),
        profile=profile,
        cells=tuple(cell or ()),
        directions=option_values.listed(direction or ()),
        dtypes=option_values.listed(dtype or ()),
        rates=option_values.rates(rate or ()),
        reference=reference,
        processes=processes,
        blocks=blocks,
        slot_ms=option_values.duration(slot, "--slot") * 1e3 if slot is not None else None,
        threads=threads,
        device=device,
        pattern=pattern,
        seed=root,
        margin=ratio.MARGIN if margin is None else margin,
        level=ratio.LEVEL if level is None else level,
        resolution=resolution,
        noise=NOISE if noise is None else noise,
        audit=audit,
        timeout_s=option_values.duration(timeout, "--timeout"),
        memory_mb=memory,
        python=python,
        journal=place.with_name(place.name + ".journal") if place is not None else None,
        resume=resume,
        argv=tuple(sys.argv[1:]),
    )
    if plan:
        _plan(prepare(request))
        return
    if drawn:
        print(f"root seed {root}", file=sys.stderr)
    result = run(request, _Teller())
    told = text.render(result, _width())
    if json_file is not None:
        records.save(result, json_file)
    if pytest_json is not None:
        exported.save(result, pytest_json)
    if out is not None:
        records.save(result, out / "bench.json")
        write_atomically(out / "bench.txt", told.encode())
    if request.journal is not None and not result.interrupted:
        request.journal.unlink(missing_ok=True)
    sys.stdout.write(told)
    sys.stdout.flush()
    if history is not None and not result.interrupted:
        from dropcheck.results.history import stores

        print(stores.record(history, result))
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
