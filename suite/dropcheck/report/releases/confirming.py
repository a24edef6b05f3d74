"""A script for each failing line: run in the newest release that fails, and where a change is dated in the release beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from dropcheck.contract import requirements
from dropcheck.report import reproduction
from dropcheck.report.field import command, confirming
from dropcheck.report.field.cells import Failure, Key
from dropcheck.report.field.report import Confirmation
from dropcheck.report.releases import lines
from dropcheck.report.releases.records import Line, Package, Table
from dropcheck.report.reproduction import NotConfirmed
from dropcheck.results.audit import Result, TargetResult
from dropcheck.results.naming import ANY

Say = Callable[[str], None]


def confirmed(table: Table, result: Result, out: Path, timeout_s: float, say: Say) -> Table:
    """The table with what its scripts showed. Scripts lie in ``out/scripts``; what they said is kept for ``--resume``."""
    found = {t.target: t for t in result.targets}
    before = command.kept(out)
    said: dict[Key, Confirmation] = {}
    packages = []
    for package in table.packages:
        made = []
        for line in package.lines:
            asked = _asked(package, line, found)
            if asked is None:
                made.append(line)
                continue
            made.append(_told(line, package, asked, found, _Running(result, out, timeout_s, before, said)))
            say(f"{line.target}: {line.check}: {made[-1].said}")
        packages.append(msgspec.structs.replace(package, lines=made))
    command.keep(said, out)
    return msgspec.structs.replace(table, packages=packages)


class _Running:
    """How scripts are run here: their folder, their time, and what is known of earlier runs."""

    def __init__(
        self,
        result: Result,
        out: Path,
        timeout_s: float,
        before: dict[Key, Confirmation],
        said: dict[Key, Confirmation],
    ) -> None:
        self.result, self.out, self.timeout_s, self.before, self.said = result, out, timeout_s, before, said

    def shown(self, target: TargetResult, line: Line, path: Path) -> Mapping[str, Confirmation]:
        """What the scripts of a line say of one release, by dtype."""
        some = [
            Failure(target.target, line.check, dtype, tuple(found))
            for dtype in line.dtypes
            if (found := lines.failing(target, line.check, [dtype]))
        ]
        made = confirming.by_script(self.result, None, self.timeout_s, self.before)(some, path)
        self.said.update({(target.target, line.check, dtype): one for dtype, one in made.items()})
        command.keep({**self.before, **self.said}, self.out)
        return made

    def silent(self, target: TargetResult, script: Path, dtype: str) -> bool:
        """Whether the same script shows nothing in another release."""
        told = reproduction.told(target, script.read_text(), () if dtype == ANY else (dtype,), None, self.timeout_s)
        return isinstance(told, NotConfirmed) and told.ran and not told.control


def _asked(package: Package, line: Line, found: Mapping[str, TargetResult]) -> tuple[TargetResult, str] | None:
    """The newest release in which the line fails."""
    failing = [column for column, cell in zip(package.columns, line.cells, strict=True) if cell.verdict == "fail"]
    if not failing:
        return None
    target = found.get(f"{line.target}{requirements.JOIN}{failing[-1].requirements}")
    return (target, failing[-1].release) if target is not None else None


def _told(
    line: Line,
    package: Package,
    asked: tuple[TargetResult, str],
    found: Mapping[str, TargetResult],
    running: _Running,
) -> Line:
    target, release = asked
    mark = (
        ""
        if len([o for o in package.lines if (o.target, o.check) == (line.target, line.check)]) == 1
        else line.dtypes[0]
    )
    path = running.out / "scripts" / (command.plain_name(line.target, line.check, *([mark] if mark else [])) + ".py")
    told = running.shown(target, line, path)
    good = [one for one in told.values() if one.confirmed is True]
    first = good[0] if good else next(iter(told.values()))
    if first.same:
        said = f"the control shows it too in {release}: it is of the framework"
    elif not good:
        said = f"not confirmed in {release}: {first.output}" if first.script else first.output
    else:
        said = f"{release}: {first.output}"
    doubtful = not good and not first.same
    line = msgspec.structs.replace(
        line, script=first.script, said=said, shown=release if good else "", doubtful=doubtful
    )
    if not good or not line.changes or not line.changes[-1].proven:
        return line
    beside = _beside(package, line, found)
    dtype = next(dtype for dtype, one in told.items() if one is good[0])
    if beside is not None and running.silent(beside[0], running.out / first.script, dtype):
        return msgspec.structs.replace(line, silent=beside[1])
    return line


def _beside(package: Package, line: Line, found: Mapping[str, TargetResult]) -> tuple[TargetResult, str] | None:
    """The release next to the last change in which the check passes."""
    change = line.changes[-1]
    release = change.before if change.kind == "new" else change.since[-1]
    column = next(c for c in (*package.columns, *package.between) if c.release == release)
    target = found.get(f"{line.target}{requirements.JOIN}{column.requirements}")
    return (target, release) if target is not None else None


def portable(table: Table) -> Table:
    """Without the folders of this machine in what scripts said."""
    packages = [
        msgspec.structs.replace(
            p, lines=[msgspec.structs.replace(one, said=command.portable(one.said)) for one in p.lines]
        )
        for p in table.packages
    ]
    return msgspec.structs.replace(table, packages=packages)
