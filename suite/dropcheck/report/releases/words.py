"""Sentences about a table of releases, the same in a terminal, in Markdown and on a page."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence

from packaging.version import Version

from dropcheck.report import sentences
from dropcheck.report.releases.records import Cell, Change, Column, Line, Package, Table, Word
from dropcheck.results.naming import ANY
from dropcheck.results.plain_text import count

TITLES: dict[Word, str] = {
    "new": "New failures",
    "changes": "Fails in some releases between",
    "gone": "Failures that are gone",
    "unsure": "No verdict, or no proof of a change",
    "fails": "Fails in every release that was judged",
    "keeps": "Passes in every release that was judged",
}
SHOWN: tuple[Word, ...] = ("new", "changes", "gone", "unsure", "fails")  # worst first; the rest is counted
_MARKS: dict[Word, str] = {"new": "✗", "changes": "~", "gone": "✓", "unsure": "?", "fails": "✗", "keeps": "✓"}


def headline(table: Table) -> str:
    """The answer in one sentence."""
    some = Counter(line.word for _, line in table.lines)
    releases = sum(len(package.judged) for package in table.packages)
    head = (
        f"{count(releases, 'release')} of {count(len(table.packages), 'package')} "
        f"{'was' if releases == 1 else 'were'} audited"
    )
    if not some:
        return f"{head}: no check was judged."
    told = [f"{some[word]} {short(word)}" for word in SHOWN if some[word]]
    return f"{head}: of {count(sum(some.values()), 'check')}, {', '.join(told) if told else 'all pass in every judged release'}."


def of_package(package: Package) -> str:
    """One package in one sentence."""
    some = package.judged
    if not some:
        return f"No release of {package.name} was judged."
    span = some[0].release if len(some) == 1 else f"{some[0].release} to {some[-1].release}"
    words = Counter(line.word for line in package.lines)
    told = ", ".join(f"{words[word]} {short(word)}" for word in (*SHOWN, "keeps") if words[word])
    left = len(package.columns) - len(some)
    return f"{package.name} {span}: {told}." + (f" {count(left, 'release')} could not be judged." if left else "")


def short(word: Word) -> str:
    """The word as a count has it."""
    return {
        "new": "new",
        "changes": "come and go",
        "gone": "gone",
        "unsure": "without a clear answer",
        "fails": "fail in every judged release",
        "keeps": "pass in every judged release",
    }[word]


def since(line: Line) -> str:
    """The last column of the table: ``new in 3.13.0``."""
    if line.word in ("keeps", "fails"):
        text = f"{_MARKS[line.word]} {'passes' if line.word == 'keeps' else 'fails'}"
    elif not line.changes:
        return "? no verdict"
    else:
        text = ", ".join(_since(change) for change in line.changes)
    return f"{text} (the framework's)" if line.shared else text


def _since(change: Change) -> str:
    if not change.proven:
        return f"? another verdict since {change.since[-1]}, no proof"
    places = change.since[0] if len(change.since) == 1 else f"one of {', '.join(change.since)}"
    return f"✗ new in {places}" if change.kind == "new" else f"✓ gone since {places}"


def told(package: Package, line: Line) -> list[str]:
    """Each change in one sentence."""
    return [_told(package, line, change) for change in line.changes]


def _told(package: Package, line: Line, change: Change) -> str:
    old, new = ("passes", "fails") if change.kind == "new" else ("fails", "passes")
    name = package.name
    if not change.proven:
        return (
            f"{line.check} {old} in {name} {change.before} and {new} in {change.since[-1]}, but the numbers do not prove a "
            "change of the layer."
        )
    cost = (
        f" To find it, {count(len(change.tried), 'more release')} {'was' if len(change.tried) == 1 else 'were'} tried."
    )
    if len(change.since) == 1:
        return f"{line.check} {new} since {name} {change.since[0]}; it {old} in {change.before}.{cost if change.tried else ''}"
    return (
        f"{line.check} {new} since one of {name} {', '.join(change.since)}; it {old} in {change.before}, and those before "
        f"the last could not be judged.{cost if change.tried else ''}"
    )


def observed(package: Package, line: Line) -> tuple[str, str]:
    """The newest release in which the check fails and what was seen there; two empty texts where it does not."""
    some = [(c.release, cell) for c, cell in zip(package.columns, line.cells, strict=True) if cell.verdict == "fail"]
    return (some[-1][0], some[-1][1].message) if some else ("", "")


def commands(package: Package, line: Line) -> list[str]:
    """What repeats a line: the audit of the newest release that fails, and the search for the first of a new failure."""
    failing = [c for c, cell in zip(package.columns, line.cells, strict=True) if cell.verdict == "fail"]
    made = []
    if failing:
        asked = ("audit", line.target, "--with", failing[-1].requirements, "--select", line.check)
        made.append(shlex.join(("dropcheck", *asked)))
    last = line.changes[-1] if line.changes else None
    if last is not None and last.kind == "new" and last.proven and len(line.changes) == 1:
        ends = ("--from", last.before, "--to", failing[-1].release)
        beside = [w for w in failing[-1].requirements.split() if not w.startswith(f"{package.name}==")]
        if not any(w.endswith(f"=={failing[-1].release}") for w in beside):  # what moves with it cannot be said there
            words = ("bisect", line.target, "--check", line.check, "--package", package.name, *ends)
            made.append(shlex.join(("dropcheck", *words, "--with", " ".join(beside))))
    return made


def dtypes(line: Line) -> str:
    """The dtypes of a line; empty where it has none."""
    return ", ".join(one for one in line.dtypes if one != ANY)


def cell(one: Cell, column: Column) -> str:
    """A verdict with its mark."""
    if column.why:
        return "not installed"
    if one.verdict is None:
        return "not judged"
    return f"{sentences.GLYPHS[one.mark]} {'skipped' if one.verdict == 'skipped' else sentences.WORDS[one.mark]}"


def whole(one: Cell, column: Column) -> str:
    """The verdict of a target, and how many checks fail."""
    text = cell(one, column)
    return f"{text} ({one.cases})" if one.verdict == "fail" else text


def beside(column: Column) -> str:
    """What pip put there besides, over another release: ``jaxlib 0.9.2 (here 0.10.2)``."""
    own = column.requirements.partition("==")[0]
    some = [
        f"{name} {release}"
        + (f" (here {here})" if (here := column.instead_of.get(name)) not in (None, release) else "")
        for name, release in sorted(column.installed.items())
        if name.lower().replace("_", "-") != own
    ]
    return ", ".join(some)


def groups(package: Package) -> list[tuple[Word, Sequence[Line]]]:
    """Lines that are shown one by one, worst first."""
    every = {word: [line for line in package.lines if line.word == word] for word in SHOWN}
    return [(word, some) for word, some in every.items() if some]


def reasons(package: Package) -> list[str]:
    """Why a release is not installed, or a layer could not be judged in it: one sentence each."""
    told = [column.why for column in package.columns if column.why]
    for owner in package.owners:
        for one, column in zip(owner.cells, package.columns, strict=True):
            if one.verdict in ("error", "skipped") and not column.why:
                told.append(f"{owner.target} could not be judged in {package.name} {column.release}: {one.message}")
    return told


def environments(package: Package) -> list[Column]:
    """All releases that were tried, oldest first."""
    return sorted([*package.columns, *package.between], key=lambda one: Version(one.release))
