"""Made-up audits, benches and policies for tests of the gate: everything that it decides on, without running a layer."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from kits.bench import Workshop, audit_of
from kits.bench import bench as simulated

from dropcheck.gate import decoding, ratchet
from dropcheck.gate.deciding import decide
from dropcheck.gate.decision import Decision, Line
from dropcheck.gate.ratchet import Ratchet
from dropcheck.gate.records import Here
from dropcheck.results import audit as results
from dropcheck.results.audit import Finding, Result, Verdict
from dropcheck.results.bench import BenchResult

ROOT = Path(__file__).parents[2]
XSD = ROOT / "tests" / "schemas" / "junit-10.xsd"
NOW = datetime.datetime(2026, 11, 25, 12, 0, tzinfo=datetime.UTC)
TODAY = NOW.date()
CASE = "float32 rate=0.3 5,5,5 calls=64"
TARGET = "mine.py:Drop"
FILE = b"class Drop:\n    pass\n"
SOURCE = hashlib.sha256(FILE).hexdigest()[:16]  # as an audit tells the file of a layer
SPEEDY = "torch.Dropout1d"  # a bench resolves names, so it must be one of the register


def finding(check: str, verdict: Verdict = "pass", case: str = CASE, **more: Any) -> Finding:
    """A finding."""
    more.setdefault("message", "what was seen")
    return Finding(check=check, case=case, verdict=verdict, **more)


def audit(*changed: Finding, target: str = TARGET, **more: Any) -> Result:
    """An audit of one target in which every check passes but what is given."""
    base = audit_of([target])
    names = {one.check for one in changed}
    kept = [msgspec.structs.replace(f, case=CASE) for f in base.targets[0].findings if f.check not in names]
    findings = [*kept, *changed]
    of_target = {k: more.pop(k) for k in ("version", "framework", "error", "skipped", "source") if k in more}
    verdict = results.overall([f.verdict for f in findings])
    if of_target.get("error") and verdict != "fail":
        verdict = "error"
    if of_target.get("skipped"):
        findings, verdict = [], "skipped"
    one = msgspec.structs.replace(base.targets[0], findings=findings, verdict=verdict, **of_target)
    environment = {"time": NOW.isoformat(), "platform": "Linux x86_64", "cores": 2, **more.pop("environment", {})}
    argv = more.pop("argv", None) or ["audit", target]
    made = msgspec.structs.replace(base, targets=[one], environment=environment, argv=argv, **more)
    return msgspec.structs.replace(made, verdict=results.overall([verdict]))


def failing(check: str = "rate.marginal", count: int = 1, **more: Any) -> Result:
    """An audit in which one check fails in so many cases."""
    numbers = {"estimate": 0.32, "expected": 0.3, "fail_interval": (0.31, 0.33), "unit": "probability of a drop"}
    bad = [finding(check, "fail", f"float32 rate=0.3 {n + 1},5,5 calls=64", **numbers) for n in range(count)]
    return audit(*bad, **more)


def both(*parts: Result) -> Result:
    """Several audits as one."""
    return results.merged(list(parts))


def policy(text: str = "", **options: Any) -> Any:
    """A policy from TOML without its version."""
    return decoding.decode(f"version = 1\n{text}", "dropcheck.toml", **options)


def gate(
    *audits: Result,
    toml: str = f'targets = ["{TARGET}"]\n',
    benches: Sequence[BenchResult] = (),
    today: datetime.date = TODAY,
    sources: Mapping[str, str | None] | None = None,
    kept: Ratchet | None = None,
) -> Decision:
    """The decision on these results."""
    sourced = policy(toml)
    return decide(
        sourced,
        [(f"audit{n}.json", one) for n, one in enumerate(audits)],
        [(f"bench{n}.json", one) for n, one in enumerate(benches)],
        sourced.policy.waiver,
        today,
        Here(datetime.datetime.combine(today, NOW.timetz()), sources or {}),
        kept,
    )


def bench(ns: float = 1000.0, reference: str = "custom.reference", seed: int = 1, **options: Any) -> BenchResult:
    """A simulated bench of TARGET, which takes so many nanoseconds where the reference takes 1000."""
    workshop = Workshop(seed=seed, ns={SPEEDY: ns}, **{k: options.pop(k) for k in ("spread",) if k in options})
    return simulated(workshop, reference, SPEEDY, **options)


def lines(decision: Decision, *counts: str) -> list[Line]:
    """The lines that count so."""
    return [one for one in decision.lines if one.counts in counts]


def better(path: Path, machine: str, name: str) -> None:
    """What a second process does: sixty figures of a ratchet, each better than the last."""
    for value in range(60):
        ratchet.update(path, {machine: {f"resolution | {name}": 1.0 / (1 + value)}})
