"""Cells of the field: what one implementation does in one mode and one dtype, a pure function of a result."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dropcheck.contract.adapter import DTYPES
from dropcheck.results.audit import Finding, Result, TargetResult, Verdict, overall
from dropcheck.results.naming import ANY, dtype_of, split_name

Key = tuple[str, str, str]  # target, check, dtype


@dataclass(frozen=True)
class Failure:
    """One check that fails in one cell, and its findings, the one with the most evidence first."""

    target: str
    check: str
    dtype: str
    findings: tuple[Finding, ...]

    @property
    def finding(self) -> Finding:
        """The one with the most evidence."""
        return self.findings[0]

    @property
    def cases(self) -> int:
        """How many cases fail so."""
        return len(self.findings)


@dataclass(frozen=True)
class Cell:
    """The worst verdict of one implementation, mode and dtype, and what fails there. None: nothing was judged.

    ``shared``: checks that fail there and are the framework's own, which the verdict leaves out.
    """

    verdict: Verdict | None
    failures: tuple[Failure, ...] = ()
    shared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One implementation in one mode: a cell a dtype; ``why`` it could not run, or ended before its end."""

    target: str
    implementation: str
    mode: str
    framework: str
    version: str
    verdict: Verdict
    cells: dict[str, Cell]
    why: str = ""

    @property
    def ran(self) -> bool:
        """Whether anything was judged."""
        return any(cell.verdict in ("pass", "fail", "inconclusive") for cell in self.cells.values())


def rows(result: Result, shared: Collection[Key] = ()) -> list[Row]:
    """Every target of a result as a row, in its order.

    ``shared``: failures that the framework shows with any layer; they stand in no cell's verdict.
    """
    return [row(target, shared) for target in result.targets]


def row(target: TargetResult, shared: Collection[Key] = ()) -> Row:
    """One target as a row."""
    implementation, mode = split_name(target.target)
    cells = {dtype: _cell(target, dtype, shared) for dtype in (*DTYPES, ANY)}
    left: list[Verdict] = [c.verdict for c in cells.values() if c.verdict is not None]
    return Row(
        target=target.target,
        implementation=implementation,
        mode=mode,
        framework=target.framework,
        version=target.version,
        verdict=overall(left) if left and any(c.shared for c in cells.values()) else target.verdict,
        cells={dtype: cell for dtype, cell in cells.items() if cell.verdict is not None or cell.shared},
        why=target.skipped or target.error or "",
    )


def _cell(target: TargetResult, dtype: str, shared: Collection[Key]) -> Cell:
    every = [f for f in target.findings if dtype_of(f) == dtype]
    apart = {f.check for f in every if f.verdict == "fail" and (target.target, f.check, dtype) in shared}
    some = [f for f in every if f.verdict != "fail" or f.check not in apart]
    judged: list[Verdict] = [f.verdict for f in some if f.verdict != "skipped"]
    if not judged:
        return Cell(None, shared=tuple(sorted(apart)))
    return Cell(overall(judged), tuple(_failures(target.target, dtype, some)), tuple(sorted(apart)))


def _failures(target: str, dtype: str, some: Iterable[Finding]) -> Iterable[Failure]:
    by_check: dict[str, list[Finding]] = {}
    for one in some:
        if one.verdict == "fail":
            by_check.setdefault(one.check, []).append(one)
    for check, found in by_check.items():
        yield Failure(target, check, dtype, tuple(by_evidence(found)))


def by_evidence(found: list[Finding]) -> list[Finding]:
    """The finding with the most evidence first; an exact one (without a probability) before all others."""
    return sorted(found, key=lambda f: float("-inf") if f.log10_evidence is None else f.log10_evidence)


def failures(table: Iterable[Row]) -> list[Failure]:
    """Every failing check of every cell."""
    return [f for one in table for cell in one.cells.values() for f in cell.failures]
