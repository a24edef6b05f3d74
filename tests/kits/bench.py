"""Simulated worker sessions and made-up audits for tests of the bench: the whole engine without a process or a clock."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dropcheck.contract.adapter import DTYPES
from dropcheck.judge.checks import CHECKS
from dropcheck.results import audit as results
from dropcheck.results.audit import Finding, Result, TargetResult, Timing, Verdict
from dropcheck.results.bench import BenchResult
from dropcheck.speed.run import BenchRequest, run
from dropcheck.speed.runner import Lane, Plan
from dropcheck.worker.client import Refused, TargetError


def audit_of(
    names: Sequence[str],
    failing: Mapping[str, tuple[str, str]] | None = None,
    left_out: Sequence[str] = (),
    folder: Path = Path(),
    dtypes: Sequence[str] = DTYPES,
) -> Result:
    """An audit in which everything passes but ``failing``: target -> (check, case). ``folder``: of users' own files."""
    made = []
    for name in names:
        found = [
            Finding(check=c.name, case=f"{dtype} rate=0.3 5,5,5", verdict="pass", message="")
            for dtype in dtypes
            for c in CHECKS
            if c.name not in left_out
        ]
        verdict: Verdict = "pass"
        if failing and name in failing:
            check, case = failing[name]
            found.append(Finding(check=check, case=case, verdict="fail", message="no"))
            verdict = "fail"
        made.append(
            TargetResult(
                target=name,
                framework="numpy",
                version="",
                contract={},
                verdict=verdict,
                timing=Timing(),
                traits={},
                findings=found,
                source=_digest(folder / name.partition(":")[0]),
            )
        )
    return Result(
        verdict=results.overall([t.verdict for t in made]),
        environment={},
        argv=[],
        profile="quick",
        seed=1,
        alpha=1e-6,
        beta=1e-6,
        targets=made,
    )


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""


def audit_file(path: Path, *names: str, **options: Any) -> str:
    """The audit as a file, beside users' own files."""
    results.save(audit_of(names, **{"folder": path.parent, **options}), path)
    return str(path)


class Simulated:
    """A worker whose times are drawn: a log-normal effect of the process, heavy-tailed noise of blocks."""

    def __init__(self, seeds: Sequence[int], ns: float, refuse: Mapping[str, Exception], spread: float) -> None:
        self.seeds, self.ns, self.refuse = tuple(seeds), ns, refuse
        self.rngs: dict[str, np.random.Generator] = {}  # one a thing, so that what else is timed changes no number
        self.effect = float(self.rng("process").normal(0, spread))
        self.answers: deque[Any] = deque()
        self.cell = ""
        self.closed = False
        self.compilations: int | None = None

    def rng(self, thing: str) -> np.random.Generator:
        """The source of numbers of one thing in this process."""
        if thing not in self.rngs:
            self.rngs[thing] = np.random.default_rng([*self.seeds, zlib.crc32(thing.encode())])
        return self.rngs[thing]

    def submit(self, request: Mapping[str, Any]) -> None:
        self.answers.append(dict(request))

    def collect(self) -> dict[str, Any]:
        request = self.answers.popleft()
        if request["ask"] == "open":
            if "open" in self.refuse:
                raise self.refuse["open"]
            return {"framework": "numpy", "version": "1.0", "contract": {"pattern": "n c l -> n c"}}
        return getattr(self, "do_" + request["do"])(request)  # type: ignore[no-any-return]

    def do_threads(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"wanted": request["wanted"], "framework": {}, "processors": request["wanted"], "device": "cpu"}

    def do_state(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"load": 0.5}

    def do_first(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._check(request)
        return {"first_ns": 5e6, "memory": 4096}

    def do_setup(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._check(request)
        return {
            "first_ns": 5e6,
            "how": "calls",
            "captured": None,
            "masks": "differ",
            "regime": "set",
            "buffers": 1,
            "compilations": self.compilations,
            "loops": {"target": 100, "copy:numpy": 50, "fill:numpy": 50},
        }

    def _check(self, request: Mapping[str, Any]) -> None:
        self.cell = request["cell"]["direction"]
        if self.cell in self.refuse:
            raise self.refuse[self.cell]

    def do_run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        base = {"target": self.ns, "copy:numpy": 500.0, "fill:numpy": 300.0}[request["item"]]
        noise = 0.01 * float(self.rng(f"{self.cell} {request['item']}").standard_t(3))
        ns = base * float(np.exp(noise + (self.effect if request["item"] == "target" else 0.0)))
        return {"device_ns": ns, "host_ns": ns, "faults": 0.0, "loops": 100}

    def do_compile(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if "compile" in self.refuse:
            raise self.refuse["compile"]
        return {
            "first_ns": 2e9,
            "call_ns": 1e6,
            "compilations": [1] * len(request["cells"]),
            "again": 0,
            "breaks": {"print()": 2},
        }

    def do_end(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self.closed = True


class Workshop:
    """Opens simulated sessions: ``ns`` by target (1000 by default), ``refuse``: target -> what ends which direction."""

    def __init__(
        self,
        seed: int = 1,
        ns: Mapping[str, float] | None = None,
        refuse: Mapping[str, Mapping[str, Exception]] | None = None,
        spread: float = 0.01,
    ) -> None:
        self.seed, self.ns, self.refuse, self.spread = seed, ns or {}, refuse or {}, spread
        self.sessions: list[Simulated] = []
        self.opened: Counter[str] = Counter()

    def __call__(self, lane: Lane, plan: Plan) -> Simulated:
        name = lane.target.name
        self.opened[lane.name] += 1
        seeds = (self.seed, zlib.crc32(lane.name.encode()), self.opened[lane.name])
        made = Simulated(seeds, self.ns.get(name, 1000.0), self.refuse.get(name, {}), self.spread)
        self.sessions.append(made)
        return made


def refused(where: str, kind: str, message: str) -> Refused:
    """What a worker answers where a layer raised."""
    return Refused(where, kind, message, ["Traceback", f"{kind}: {message}"])


def died() -> TargetError:
    """What the client says of a worker that is gone."""
    return TargetError("the worker process was ended by signal SIGKILL", killed=True)


def bench(workshop: Workshop, *names: str, audit: Any = None, **options: Any) -> BenchResult:
    """A bench of simulated targets; their audits pass unless ``audit`` says otherwise."""
    options = {"cells": ("64,256,1024",), "threads": 1, **options}
    return run(BenchRequest(targets=names, **options), opener=workshop, audit=audit or audit_of)
