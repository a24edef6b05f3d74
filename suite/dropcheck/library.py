"""dropcheck as a library: audits and benches from Python, and one assertion for other projects' own tests."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from dropcheck.contract.errors import UsageError, nearest
from dropcheck.plan import option_values
from dropcheck.results import frames
from dropcheck.results.audit import Finding, Result, TargetResult

if TYPE_CHECKING:
    import pandas

    from dropcheck.auditing.run import AuditRequest
    from dropcheck.plan.targets import Target
    from dropcheck.results.bench import BenchResult

# options that are lists; one value may be given by itself
_LISTED = ("select", "ignore", "rates", "dtypes", "modes", "cases", "releases")
_IN_COMMAS = ("select", "ignore", "dtypes", "modes")  # as on the command line: "rate.one,rate.zero"
_LISTED_OF_BENCH = ("cells", "directions", "dtypes", "rates")


class Broken(AssertionError):
    """A check fails; the message begins with what was observed. ``result``: the whole audit."""

    __module__ = (
        "dropcheck"  # its name begins one line of pytest's summary: a short one leaves room for the observation
    )
    result: Result | None = None


class Tolerated(UserWarning):
    """Failures that do not count, since they are less grave than ``fail_on``."""

    __module__ = "dropcheck"


class Unproven(AssertionError):
    """A layer is neither cleared nor accused: the evidence is missing, the audit did not end, or nothing was measured."""

    __module__ = "dropcheck"
    result: Result | None = None


def audit(*targets: Any, **options: Any) -> Result:
    """Audit targets and return the result; options are the fields of ``AuditRequest`` (``select="mask"``, ``seed=7``, ...).

    A target is a name as on the command line, or an object: a class, a function, a factory, an instance, an Implementation.
    ``in_process=True`` audits names in this process, too (objects always are): one target after the other, and generators,
    gradient mode and configuration are as before at the end. Raises UsageError for what cannot be asked.
    """
    from dropcheck.worker.caller_state import untouched

    if all(isinstance(one, str) for one in targets) and not options.get("in_process"):
        return _audited(targets, options)
    with untouched():
        return _audited(targets, options)


def _audited(targets: tuple[Any, ...], options: Mapping[str, Any]) -> Result:
    from dropcheck.auditing.run import run
    from dropcheck.plan.python_objects import OBJECTS, importable, target_of, told_in_python, typed

    chosen = [target_of(one) for one in targets]
    objects = [one for one in chosen if one.locator in OBJECTS]
    wanted: Mapping[str, Any] = {"in_process": bool(objects), **options}
    if objects and (not wanted["in_process"] or wanted.get("python") or wanted.get("releases")):
        raise UsageError(
            f"{objects[0].name} was handed over as an object, which only this process has; leave out in_process, python and "
            "releases, or name it as path/to/file.py:attr"
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
    return told_in_python(result, nameless) if nameless else result


def bench(*targets: str, **options: Any) -> BenchResult:
    """Measure targets side by side, the first as the reference; options are the fields of ``BenchRequest``.

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
    return run(BenchRequest(targets=targets, **_known(BenchRequest, options, _LISTED_OF_BENCH)))


def check(target: Any, **options: Any) -> Result:
    """Audit one layer in this process; raise an AssertionError whose message is the finding unless every claim holds.

    ``target``: a class, a function, a factory, an instance, an Implementation, or a name as on the command line. Options
    are those of ``audit``: ``pattern="n l c -> n c"``, ``profile="standard"``, ``select="mask"``, ``ignore="rate.one"``,
    ``seed=7``, ... The root seed is fixed unless another is given, so a rerun tells the same. A name that needs another
    Keras backend than this process has is audited in a process of its own. ``fail_on="defect"`` raises for wrong results
    at rates in (0, 1) only, ``"edge"`` for edge cases too; what fails below it is a ``Tolerated`` warning.

    Raises ``Broken`` for a broken claim and ``Unproven`` where evidence is missing, both AssertionErrors; UsageError for
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


def examined(target: Any, options: Mapping[str, Any]) -> tuple[Result, AssertionError | None]:
    """The audit of one target, in this process if it fits there, and what an assertion says of it. Raises as ``check``."""
    from dropcheck.plan.python_objects import target_of

    result = audit(target, **{"in_process": fits(target_of(target), options), **options})
    if result.interrupted:
        raise KeyboardInterrupt
    return result, failure(result)


def failure(result: Result) -> AssertionError | None:
    """What an assertion says of a result: Broken, Unproven, or None where every claim that was tested holds."""
    from dropcheck.judge.levels import exit_code
    from dropcheck.report.text import failures

    if (code := exit_code(result)) == 0:
        return None
    told = (Broken if code == 1 else Unproven)(_observed(result) + failures(result))
    told.result = result
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


def request_of(chosen: tuple[Target, ...], options: Mapping[str, Any]) -> AuditRequest:
    """The request. Raises UsageError for an option that there is not, with the nearest one."""
    from dropcheck.auditing.run import AuditRequest

    values = _known(AuditRequest, options, _LISTED)
    if "shapes" in values:
        some = tuple(values["shapes"])
        values["shapes"] = (some,) if some and all(isinstance(size, int) for size in some) else tuple(map(tuple, some))
    if values.get("seed") == "fresh":
        values["seed"], _ = option_values.seed("fresh", 0)
    for name in ("seed", "jobs"):
        if name in values and not (isinstance(values[name], int) and values[name] >= 0):
            raise UsageError(f"{name} takes a whole number of at least 0, not {values[name]!r}")
    if values.get("in_process"):
        values["jobs"] = 1  # one generator for all
    return AuditRequest(targets=chosen, **values)


def _known(request: type[Any], options: Mapping[str, Any], listed: Iterable[str]) -> dict[str, Any]:
    """Options as fields of a request. Raises UsageError for one that there is not, with the nearest."""
    known = [f.name for f in fields(request) if f.name != "targets"]
    for name in options:
        if name not in known:
            raise UsageError(f"there is no option {name!r}{nearest(name, known)}; expected one of {', '.join(known)}")
    return {name: _listed(value, name in _IN_COMMAS) if name in listed else value for name, value in options.items()}


def _listed(value: Any, in_commas: bool) -> tuple[Any, ...]:
    if isinstance(value, str):
        return option_values.listed((value,)) if in_commas else (value,)
    return tuple(value) if isinstance(value, Iterable) else (value,)


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
