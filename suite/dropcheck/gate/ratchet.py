"""A ratchet: the best resolution and share of the limit that were reached on a machine, which later releases must keep."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.gate.correctness import Asked, missing_counts, required_targets
from dropcheck.gate.decision import Line
from dropcheck.gate.evidence import device_of, of_target, unsuited
from dropcheck.gate.policy import Sourced, Speed
from dropcheck.gate.records import Evidence, Here
from dropcheck.results.audit import ResultError, write_atomically
from dropcheck.results.plain_text import line
from dropcheck.worker import caches

if TYPE_CHECKING:
    from dropcheck.results.bench import BenchResult
    from dropcheck.results.bench import Speed as Measured

SCHEMA = "dropcheck.ratchet/1"
# What may stand in a ratchet: figures that only get better, none of them a time.
RESOLUTION, FRACTION = "resolution", "fraction of limit"
MORE_IS_BETTER = {RESOLUTION: False, FRACTION: True}


class Ratchet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures by machine and name, such as ``resolution | torch.Dropout1d | rate.marginal quick``."""

    schema: Literal["dropcheck.ratchet/1"] = "dropcheck.ratchet/1"
    machines: dict[str, dict[str, float]] = {}


def load(path: Path) -> Ratchet:
    """Read a ratchet; one that is not there yet is empty. Raises ResultError with the place of the damage."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Ratchet()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise ResultError(
            f"cannot read the ratchet {str(path)!r}: {getattr(error, 'strerror', None) or error}"
        ) from error
    return decode(data, str(path))


def decode(data: bytes, name: str) -> Ratchet:
    """Decode a ratchet, strictly. Raises ResultError."""
    try:
        found = msgspec.convert(json.loads(data), Ratchet)
    except json.JSONDecodeError as error:
        raise ResultError(
            f"{name} is damaged at line {error.lineno}, column {error.colno}: {error.msg}; expected a ratchet"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{name} is no ratchet: {error}") from error
    for machine, figures in found.machines.items():
        for figure, value in figures.items():
            if figure.partition(" | ")[0] not in MORE_IS_BETTER:
                raise ResultError(f"{name} is no ratchet: {line(figure)!r} is no figure of one ({line(machine)})")
            if not (math.isfinite(value) and value > 0):
                raise ResultError(f"{name} is no ratchet: {line(figure)!r} is {value} ({line(machine)})")
    return found


def machine(environment: Mapping[str, Any], processor: str = "") -> str:
    """What a figure is bound to: the system, its processors, and their name where a bench tells it."""
    words = [str(environment.get("platform", "unknown")), f"{environment.get('cores', '?')} cores"]
    return line(", ".join(words + ([processor] if processor else [])), 200)


def figures(asked: Asked) -> dict[str, dict[str, float]]:
    """The figures of this evidence, by machine: the coarsest resolution of each check, the least share of a cell."""
    made: dict[str, dict[str, float]] = {}
    wanted, required = set(required_targets(asked)), set(asked.sourced.checks)
    for _, result in asked.evidence.audits:
        for target in result.targets:
            if not any(of_target(name, target.target) for name in wanted):
                continue
            if unsuited(asked.sourced, result, target, asked.here)[0]:
                continue
            here = made.setdefault(machine(result.environment), {})
            device = device_of(result, target)
            for one in target.findings:
                if one.verdict == "pass" and one.resolution and one.check in required:
                    name = f"{RESOLUTION} | {line(target.target)} | {one.check} {result.profile} {device}"
                    here[name] = max(one.resolution, here.get(name, 0.0))
    for _, bench in asked.evidence.benches:
        here = made.setdefault(machine(bench.environment, str(bench.environment.get("processor", ""))), {})
        for speed in _fit(asked, bench, wanted):
            if speed.fraction is not None and speed.fraction > 0:
                name = f"{FRACTION} | {line(speed.target)} | {bench.cells[speed.cell]} {bench.device}"
                here[name] = min(speed.fraction, here.get(name, speed.fraction))
    return {name: some for name, some in made.items() if some}


def _fit(asked: Asked, bench: BenchResult, wanted: set[str]) -> Iterator[Measured]:
    """The speeds of a bench that may stand in a ratchet: what is no evidence for a policy is none for a figure."""
    from dropcheck.gate import sampling, speed
    from dropcheck.speed import summary

    bounds = asked.sourced.policy.speed or Speed()
    index = summary.index(bench.samples)
    targets = {one.target: one for one in bench.targets if any(of_target(name, one.target) for name in wanted)}
    fit = {name: one for name, one in targets.items() if not speed.unsuited(asked, bounds, bench, one)[0]}
    for found in bench.speeds:
        one = fit.get(found.target)
        if one is None or found.state in ("error", "disqualified", "skipped"):
            continue
        if not sampling.damage(bench, index, one, found.cell, found, bounds):
            yield found


def judge(asked: Asked, kept: Ratchet) -> Iterator[Line]:
    """Each figure against what was reached before; an entry that is not there yet is missing, never a pass."""
    rule = asked.sourced.rule("ratchet")
    slack = asked.sourced.policy.ratchet_slack
    found = figures(asked)
    if not found:
        yield _line(asked, missing_counts(asked.sourced, False), "there is no figure to compare with the ratchet", rule)
    for name in sorted(found):
        known, here = kept.machines.get(name, {}), found.get(name, {})
        if not known:
            text = f"the ratchet has no figure of this machine ({name}); outside of CI: dropcheck gate --update-ratchet"
            yield _line(asked, missing_counts(asked.sourced, False), text, rule)
            continue
        for figure in sorted({*known, *here}):
            kind, _, what = figure.partition(" | ")
            target, _, case = what.partition(" | ")
            if figure not in here:
                yield _line(
                    asked, missing_counts(asked.sourced, False), f"no {kind} was reached here", rule, target, case
                )
            elif figure not in known:
                yield _line(
                    asked, missing_counts(asked.sourced, False), f"the ratchet has no {kind} here", rule, target, case
                )
            else:
                before, now = known[figure], here[figure]
                worse = now < before / (1 + slack) if MORE_IS_BETTER[kind] else now > before * (1 + slack)
                text = f"{kind} {now:.3g}, {before:.3g} was reached before"
                yield _line(asked, "fail" if worse else "pass", text, rule, target, case, now, before)


def _line(
    asked: Asked,
    counts: Any,
    message: str,
    rule: str,
    target: str = "",
    case: str = "",
    estimate: float | None = None,
    expected: float | None = None,
) -> Line:
    return Line(
        counts=counts,
        verdict="pass" if counts == "pass" else "fail" if counts == "fail" else "inconclusive",
        check="gate.ratchet",
        target=target,
        case=case,
        message=message,
        rule=rule,
        estimate=estimate,
        expected=expected,
    )


def improved(kept: Ratchet, found: Mapping[str, Mapping[str, float]]) -> Ratchet:
    """The ratchet with every figure that is new or better; none is ever loosened."""
    machines = {name: dict(some) for name, some in kept.machines.items()}
    for name, some in found.items():
        here = machines.setdefault(name, {})
        for figure, value in some.items():
            better = max if MORE_IS_BETTER[figure.partition(" | ")[0]] else min
            here[figure] = better(value, here.get(figure, value))
    return Ratchet(machines={name: dict(sorted(some.items())) for name, some in sorted(machines.items())})


def refuse_in_ci(path: Path, in_ci: bool) -> None:
    """Raise UsageError in CI, where a release would grade itself."""
    if in_ci:
        raise UsageError(
            f"the ratchet {path} is not updated in CI, where a release would grade itself; run dropcheck gate "
            "--update-ratchet on your own machine and commit the file"
        )


def save(path: Path, made: Ratchet) -> None:
    """Write a ratchet atomically."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")


def update(path: Path, found: Mapping[str, Mapping[str, float]]) -> Ratchet:
    """Write the figures that are better than the file's, and return what it holds now; two runs at once lose nothing."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    locks = caches.folder() / "locks"  # not beside a file that is kept in version control
    locks.mkdir(parents=True, exist_ok=True)
    mark = hashlib.blake2b(str(path.resolve()).encode(), digest_size=12).hexdigest()
    with FileLock(str(locks / f"{mark}.lock")):
        made = improved(load(path), found)
        save(path, made)
    return made


def found_in(sourced: Sourced, evidence: Evidence, here: Here) -> dict[str, dict[str, float]]:
    """``figures`` of evidence outside of a decision."""
    from dropcheck.gate import waivers

    return figures(Asked(sourced, evidence, here, waivers.book((), here.now.date())))
