"""dropcheck as a library: audits and benches from Python, and one assertion for other projects' own tests."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from dropcheck.contract.errors import UsageError
from dropcheck.plan import python_options
from dropcheck.plan.python_options import AuditOptions, BenchOptions, signed
from dropcheck.results import frames
from dropcheck.results.audit import Finding, Result, TargetResult

if TYPE_CHECKING:
    import pandas

    from dropcheck.auditing.run import AuditRequest
    from dropcheck.plan.targets import Target
    from dropcheck.report.python_result import AuditResult
    from dropcheck.results.bench import BenchResult


class Broken(AssertionError):
    """A check fails; the message begins with what was observed. ``result``: the whole audit."""

    __module__ = (
        "dropcheck"  # its name begins one line of pytest's summary: a short one leaves room for the observation
    )
    result: AuditResult | None = None


class Tolerated(UserWarning):
    """Failures that do not count, since they are less grave than ``fail_on``."""

    __module__ = "dropcheck"


class Unproven(AssertionError):
    """Evidence is missing: a check is inconclusive, the audit did not end, or nothing was measured. ``result``: the audit."""

    __module__ = "dropcheck"
    result: AuditResult | None = None


@signed(AuditOptions, python_options.OF_AUDIT)
def audit(*targets: Any, **options: Unpack[AuditOptions]) -> AuditResult:
    """Audit targets and return the result.

    A target is a name as on the command line, or an object: a class, a function, a factory, an instance, an Implementation.
    Without one, the default layers that can run here are audited. Options are those of the command line, with underscores
    and in its forms or as values: ``select="mask,rate"`` or ``("mask", "rate")``, ``rate=.3``, ``budget="2m"`` or 120.0
    (seconds), ``shape=(256, 64, 3)``, ``seed="fresh"``, ``with_="torch==2.4.1"``. ``in_process=True`` audits names in this
    process, too (objects always are): one target after the other, and generators, gradient mode and configuration are as
    before at the end.

    ``result.passed``, ``result.failures`` and ``print(result)`` say what was found. Raises UsageError for what cannot be asked.
    """
    return _audit(targets, python_options.of_audit(options))


def _audit(targets: tuple[Any, ...], options: Mapping[str, Any]) -> AuditResult:
    """``audit``, with fields of a request as options."""
    from dropcheck.worker.caller_state import untouched

    if all(isinstance(one, str) for one in targets) and not options.get("in_process"):
        return _audited(targets, options)
    with untouched():
        return _audited(targets, options)


def _audited(targets: tuple[Any, ...], options: Mapping[str, Any]) -> AuditResult:
    from dropcheck.auditing.run import run
    from dropcheck.plan.python_objects import OBJECTS, importable, target_of, told_in_python, typed
    from dropcheck.report.python_result import AuditResult

    chosen = [target_of(one) for one in targets]
    objects = [one for one in chosen if one.locator in OBJECTS]
    wanted: Mapping[str, Any] = {"in_process": bool(objects), **options}
    if objects and (not wanted["in_process"] or wanted.get("python") or wanted.get("releases")):
        raise UsageError(
            f"{objects[0].name} was handed over as an object, which only this process has; leave out in_process, python and "
            "with_, or name it as path/to/file.py:attr"
        )
    request = request_of(tuple(chosen), wanted)
    if request.in_process:
        importable(folder for one in chosen for folder in one.path)
    result = run(request)
    nameless = {
        one.name: str(getattr(given, "__name__", "layer"))
        for given, one in zip(targets, chosen, strict=True)
        if one in objects and typed(given) != one.name
    }
    return AuditResult.of(told_in_python(result, nameless) if nameless else result)


@signed(BenchOptions, python_options.OF_BENCH)
def bench(*targets: str, **options: Unpack[BenchOptions]) -> BenchResult:
    """Measure targets side by side, the first as the reference; options are those of the command line, as in ``audit``.

    Each runs in fresh processes of its own: names and files, as on the command line, no objects of this process.
    ``dropcheck.results.bench`` saves, loads and tabulates the result, ``dropcheck.report.bench.render`` prints it. Raises
    UsageError for what cannot be asked.
    """
    from dropcheck.plan.python_objects import label
    from dropcheck.speed.run import BenchRequest, run

    for one in targets:
        if not isinstance(one, str):
            raise UsageError(
                f"{label(one)} was handed over as an object, which only this process has, and a bench runs in fresh ones; "
                "name it as path/to/file.py:attr"
            )
    return run(BenchRequest(targets=targets, **python_options.of_bench(options)))


@signed(AuditOptions, python_options.OF_AUDIT)
def check(target: Any, **options: Unpack[AuditOptions]) -> AuditResult:
    """Audit one layer in this process; raise an AssertionError that begins with what was observed, unless every check passes.

    ``target``: a class, a function, a factory, an instance, an Implementation, or a name as on the command line. Options
    are those of ``audit``: ``pattern="n l c -> n c"``, ``profile="standard"``, ``select="mask"``, ``ignore="rate.one"``,
    ``seed=7``, ... The root seed is fixed unless another is given, so a rerun tells the same. A name that needs another
    Keras backend than this process has is audited in a process of its own. ``fail_on="defect"`` raises for wrong results
    at rates in (0, 1) only, ``"edge"`` for edge cases too; what fails below it is a ``Tolerated`` warning.

    Raises ``Broken`` where a check fails and ``Unproven`` where evidence is missing, both AssertionErrors; UsageError for
    what cannot be asked; KeyboardInterrupt when interrupted. Random streams and settings are as before in every case.
    """
    __tracebackhide__ = True
    from dropcheck.worker.caller_state import untouched

    with untouched():  # of everything, as even imports draw random numbers
        result, told = examined(target, options)
    if told is not None:
        raise told
    if words := tolerated(result):
        warnings.warn(words, Tolerated, stacklevel=2)
    return result


def tolerated(result: Result) -> str:
    """What fails in a result and does not count, being less grave than ``fail_on``; an empty text where nothing does."""
    from dropcheck.judge import levels
    from dropcheck.results.plain_text import some

    below = levels.tolerated(result)
    if not below:
        return ""
    names = list(dict.fromkeys(target.target for target, _ in below))
    checks = list(dict.fromkeys(one.check for _, one in below))
    what = {"edge": "edge case", "trait": "trait"}
    words = " and ".join(dict.fromkeys(f"{what[levels.of(one)]}s" for _, one in sorted(below, key=_gravity)))
    return f"{some(names)}: {words} fail ({some(checks)}); they do not count with fail_on={levels.fail_on(result)!r}"


def _gravity(pair: tuple[TargetResult, Finding]) -> int:
    from dropcheck.judge import levels

    return levels.LEVELS.index(levels.of(pair[1]))


def examined(target: Any, options: Mapping[str, Any]) -> tuple[AuditResult, AssertionError | None]:
    """The audit of one target, in this process if it fits there, and what an assertion says of it. Raises as ``check``."""
    from dropcheck.plan.python_objects import target_of

    wanted = python_options.of_audit(options)
    result = _audit((target,), {"in_process": fits(target_of(target), wanted), **wanted})
    if result.interrupted:
        raise KeyboardInterrupt
    return result, failure(result)


def failure(result: Result) -> AssertionError | None:
    """What an assertion says of a result: Broken, Unproven, or None where every claim that was tested holds."""
    from dropcheck.judge.levels import exit_code
    from dropcheck.report.python_result import AuditResult
    from dropcheck.report.text import failures

    if (code := exit_code(result)) == 0:
        return None
    told = (Broken if code == 1 else Unproven)(_observed(result) + failures(result))
    told.result = AuditResult.of(result)
    return told


def _observed(result: Result) -> str:
    """What was seen of the gravest cause, as the first line of a message; nothing where nothing fails."""
    from dropcheck.judge.diagnosis import diagnose
    from dropcheck.results.plain_text import line

    found = next((cause for target in result.targets for cause in diagnose(target)), None)
    return f"{line(found.observed, 600)}\n\n" if found is not None else ""


def fits(target: Target, options: Mapping[str, Any]) -> bool:
    """Whether a target can be audited in this process: not where it needs another interpreter or another Keras backend."""
    if target.releases or options.get("python") or options.get("releases") or options.get("memory_mb"):
        return False
    backend = dict(target.environment).get("KERAS_BACKEND")
    if backend is None:
        return True
    keras = sys.modules.get("keras")
    return keras is not None and keras.config.backend() == backend


def request_of(chosen: tuple[Target, ...], fields: Mapping[str, Any]) -> AuditRequest:
    """The request with these fields, as ``python_options.of_audit`` reads them."""
    from dropcheck.auditing.run import AuditRequest

    alone = {"jobs": 1} if fields.get("in_process") else {}  # one generator for all
    return AuditRequest(targets=chosen, **{**fields, **alone})


def load(path: str | Path) -> AuditResult:
    """A stored audit: JSON (also .gz, .xz), or the page of a report. Raises ResultError with the place of the damage."""
    from dropcheck.report.python_result import AuditResult
    from dropcheck.results import reading

    return AuditResult.of(reading.load_audit(Path(path)))


def frame(result: Result) -> pandas.DataFrame:
    """All findings of a result as a table, one row a finding, for analysis beyond the reports.

    Columns: target, check, case, verdict, estimate, expected, unit, resolution, log10_evidence, alpha, coins, message, replay.
    """
    frames.need_pandas()
    import pandas

    columns = ["check", "case", "verdict", "estimate", "expected", "unit", "resolution", "log10_evidence"]
    columns += ["alpha", "coins", "message", "replay"]
    rows = [
        {"target": target.target, **{name: getattr(one, name) for name in columns}}
        for target in result.targets
        for one in target.findings
    ]
    return pandas.DataFrame(rows, columns=["target", *columns])
