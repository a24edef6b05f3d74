"""Confirming what fails in a cell: its reproduction script, one for all dtypes of a check, or one written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dropcheck.contract.errors import UsageError
from dropcheck.report import reproduction
from dropcheck.report.field.cells import Failure, Key
from dropcheck.report.field.command import Confirm, plain_name
from dropcheck.report.field.report import Confirmation
from dropcheck.report.reproduction import Confirmed, NotConfirmed, Script
from dropcheck.results.asked import device_of_finding
from dropcheck.results.audit import Finding, Result, TargetResult, write_atomically

TRIED = 3  # findings of a cell, the one with the most evidence first


def by_script(
    result: Result, python: str | None, timeout_s: float, before: dict[Key, Confirmation] | None = None
) -> Confirm:
    """Confirmation by the findings' own reproduction script; the three strongest findings of a cell are tried.

    Where the control shows it too, only findings of another kind are asked besides: others of that kind are of the same cause.
    Where that shows nothing, or there is none, ``by-hand/TARGET-CHECK.py`` beside the folder of scripts is run, with the dtype
    as its argument: it tells as those do (exit status 1 and a line ``observed: ...`` where the defect shows, 4 where its control
    shows it too). A cell that ``before`` has as decided by the very same script is not run again.
    """
    owners = {t.target: t for t in result.targets}

    def confirm(some: Sequence[Failure], path: Path) -> dict[str, Confirmation]:
        owner = owners[some[0].target]
        earlier = {f.dtype: (before or {}).get((f.target, f.check, f.dtype)) for f in some}
        try:
            found = _by_template(owner, some, path, earlier, python, timeout_s)
        except UsageError as error:
            found = {f.dtype: Confirmation("", None, str(error)) for f in some}
        hand = path.parent.parent / "by-hand" / (plain_name(some[0].target, some[0].check) + ".py")
        if (
            hand.is_file() and device_of_finding(some[0].findings[0]) == "cpu"
        ):  # which is what such scripts are written for
            for dtype in [d for d, one in found.items() if one.confirmed is not True and not one.same]:
                told = reproduction.told(owner, hand.read_text(), (dtype,), python, timeout_s)
                found[dtype] = _said(told, f"{hand.parent.name}/{hand.name}", "")
        return found

    return confirm


def _by_template(
    owner: TargetResult,
    some: Sequence[Failure],
    path: Path,
    earlier: dict[str, Confirmation | None],
    python: str | None,
    timeout_s: float,
) -> dict[str, Confirmation]:
    """What the scripts say, by dtype. A cell whose strongest finding is not shown is asked about the next one."""
    order = {f.dtype: _in_order(f, earlier[f.dtype]) for f in some}
    judged: dict[tuple[str, str], Confirmation] = {}
    place = dict.fromkeys(order, 0)
    while True:
        chosen = {dtype: found[place[dtype]] for dtype, found in order.items()}
        scripts = reproduction.together(owner, chosen)
        found: dict[str, Confirmation] = {}
        for script, file in zip(scripts, _names(scripts, path), strict=True):
            shown = f"{file.parent.name}/{file.name}"
            for dtype in script.dtypes:
                known = earlier[dtype]
                decided = known is not None and (known.confirmed is True or known.same)
                same = decided and known is not None and known.case == chosen[dtype].case
                same = same and known is not None and known.device == device_of_finding(chosen[dtype])
                if (dtype, script.text) not in judged:
                    if known is not None and same and file.is_file() and file.read_text() == script.text:
                        judged[dtype, script.text] = known
                    else:
                        told = reproduction.told(owner, script.text, script.arguments(dtype), python, timeout_s)
                        said = _said(told, shown, chosen[dtype].case)
                        judged[dtype, script.text] = replace(said, device=device_of_finding(chosen[dtype]))
                found[dtype] = judged[dtype, script.text]
        after = {
            d: _next([one.case for one in order[d]], place[d], one.same)
            for d, one in found.items()
            if one.confirmed is not True and one is not earlier[d]
        }
        doubtful = {d: n for d, n in after.items() if n is not None}
        if not doubtful:
            break
        place |= doubtful
    for script, file in zip(scripts, _names(scripts, path), strict=True):
        write_atomically(file, script.text.encode())
    return found


def _next(cases: Sequence[str], place: int, same: bool) -> int | None:
    """The finding that is asked after one that is not confirmed; after one that its control shows too, one of another kind."""
    kinds = [[w for w in case.split()[1:] if not any(map(str.isdigit, w))] for case in cases]
    return next((n for n in range(place + 1, len(cases)) if not same or kinds[n] != kinds[place]), None)


def _in_order(failure: Failure, earlier: Confirmation | None) -> list[Finding]:
    """The findings that are tried: the one that was shown the last time first."""
    some = list(failure.findings[:TRIED])
    return some if earlier is None else sorted(some, key=lambda one: one.case != earlier.case)


def _names(scripts: Sequence[Script], path: Path) -> list[Path]:
    """One script bears the plain name; where one does not serve all dtypes, each bears its first one besides."""
    if len(scripts) == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{script.dtypes[0]}.py") for script in scripts]


def _said(told: Confirmed | NotConfirmed, shown: str, case: str) -> Confirmation:
    if isinstance(told, Confirmed):
        said = f"expected {told.expected}; observed {told.observed}"
        return Confirmation(shown, True, said, case, control=told.control)
    return Confirmation(shown, False, told.output[-600:], case, control=told.control, same=bool(told.control))
