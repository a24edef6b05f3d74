"""dropcheck as a library: audits and benches from Python, and one assertion for other projects' own tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dropcheck.results import Result

if TYPE_CHECKING:
    import pandas

    from dropcheck.speed.records import BenchResult


def audit(*targets: str, **options: Any) -> Result:
    """Audit targets by name and return the result; options are the fields of ``AuditRequest``.

    ``in_process=True`` audits in this process (generators and modes are restored) instead of in one worker a target.
    """
    from dropcheck.auditing import AuditRequest, run

    return run(AuditRequest(targets=targets, **options))


def bench(*targets: str, **options: Any) -> BenchResult:
    """Measure targets side by side, the first as the reference; options are the fields of ``BenchRequest``.

    Each runs in fresh processes of its own: names and files, as on the command line, no objects of this process.
    ``dropcheck.speed.records`` saves, loads and tabulates the result, ``dropcheck.speed.text.render`` prints it.
    """
    from dropcheck.speed.run import BenchRequest, run

    return run(BenchRequest(targets=targets, **options))


def check(target: str | type | Any, **options: Any) -> Result:
    """Audit one layer and raise AssertionError with the findings unless every claim that was tested holds.

    ``target``: a name, ``module:attr``, ``file.py:attr``, or a class or function that is importable by its module and name.
    """
    from dropcheck.report.text import render
    from dropcheck.results import exit_code

    name = target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"
    result = audit(name, **{"in_process": True, "jobs": 1, **options})
    if exit_code(result) != 0:
        raise AssertionError(render(result, width=100, colour=False))
    return result


def frame(result: Result) -> pandas.DataFrame:
    """All findings of a result as a table, one row a finding, for analysis beyond the reports.

    Columns: target, check, case, verdict, estimate, expected, unit, resolution, log10_evidence, alpha, coins, message, replay.
    """
    import pandas

    columns = [
        "check",
        "case",
        "verdict",
        "estimate",
        "expected",
        "unit",
        "resolution",
        "log10_evidence",
        "alpha",
        "coins",
    ]
    columns += ["message", "replay"]
    rows = [
        {"target": target.target, **{name: getattr(one, name) for name in columns}}
        for target in result.targets
        for one in target.findings
    ]
    return pandas.DataFrame(rows, columns=["target", *columns])
