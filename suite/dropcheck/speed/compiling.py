"""What compiling costs: the first call cold and warm in fresh processes, recompilations over shapes, graph breaks."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial

from dropcheck.contract.cases import seed_of
from dropcheck.contract.cells import Cell
from dropcheck.contract.promise import Pattern
from dropcheck.results.bench import Compile
from dropcheck.speed.raw import Raw
from dropcheck.speed.runner import Lane, Opener, Plan, Tell, converse
from dropcheck.worker.client import Refused, TargetError

# samples, channels, positions: the first, one size changed at a time, and a larger one
SWEEP = ((8, 64, 64), (9, 64, 64), (8, 65, 64), (8, 64, 65), (16, 64, 256))


def compiles(raw: Raw, lane: Lane) -> bool:
    """Whether something was compiled for a target, as far as its framework counts."""
    return any(s.compilations for s in raw.setups if s.target == lane.target.name and not s.again)


def measured(plan: Plan, raw: Raw, opener: Opener, tell: Tell) -> list[Compile]:
    """One record a target that compiles, in the first of its cells that was measured."""
    found = []
    for lane in plan.lanes[:-1]:
        places = {s.cell for s in raw.samples if s.target == lane.target.name and s.what == "target"}
        if compiles(raw, lane) and places:
            tell(f"compiling {lane.target.name} in fresh processes", 1.0)
            found.append(_compile(plan, raw, lane, plan.cells[min(places)], opener))
    return found


def _compile(plan: Plan, raw: Raw, lane: Lane, cell: Cell, opener: Opener) -> Compile:
    cells = [replace(cell, samples=n, channels=c, shared=k, layout="native") for n, c, k in SWEEP]
    pattern = Pattern.parse(raw.opened[lane.name]["contract"]["pattern"])
    requests = [c.request(pattern, seed_of(plan.seed, "compile", lane.name, str(c))) for c in cells]
    told = partial(Compile, target=lane.target.name, cell=str(cells[0]))
    with tempfile.TemporaryDirectory(prefix="dropcheck-compile-") as caches:
        try:
            cold, warm = (
                converse(lane, replace(plan, caches=caches), opener, do="compile", cells=requests) for _ in range(2)
            )
        except (Refused, TargetError) as error:
            return told(problem=str(error))
    return told(
        cold_s=(cold["first_ns"] - cold["call_ns"]) / 1e9,
        warm_s=(warm["first_ns"] - warm["call_ns"]) / 1e9,
        call_s=cold["call_ns"] / 1e9,
        shapes=[",".join(map(str, one)) for one in SWEEP],
        compilations=[n for n in cold["compilations"] if n is not None],
        again=cold["again"],
        breaks=cold["breaks"],
    )
