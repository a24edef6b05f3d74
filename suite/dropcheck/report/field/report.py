"""The field report as a page and as Markdown, from the same tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from dropcheck.contract.adapter import DTYPES
from dropcheck.judge.diagnosis import Diagnosis, diagnose
from dropcheck.report import sentences
from dropcheck.report.field.cells import Failure, Key, Row, failures, rows
from dropcheck.report.field.deviations import Deviation, explained
from dropcheck.report.field.earlier import today
from dropcheck.report.furniture import furniture
from dropcheck.report.templates import environment
from dropcheck.results import asked, plain_text
from dropcheck.results.audit import Result
from dropcheck.results.naming import ANY, dtype_of

__all__ = [
    "Claim",
    "Confirmation",
    "Group",
    "claims",
    "confirmation",
    "groups",
    "headline",
    "html",
    "library",
    "markdown",
    "of_frameworks",
    "rows",
]


@dataclass(frozen=True)
class Confirmation:
    """What an independent script said of one failure. ``confirmed`` None: there is no script for it, ``output`` says why.

    ``control``: what it observed of its control, a plain correct layer in the same place, where the script has one; ``same``:
    that shows the defect too, so that the failure is not confirmed: it is of the measurement or of the framework.
    """

    script: str
    confirmed: bool | None
    output: str
    case: str = ""  # of the finding that the script is of
    device: str = "cpu"  # that it was run on
    control: str = ""
    same: bool = False

    @property
    def word(self) -> str:
        """How it ended, for the lines of progress."""
        if self.same:
            return "the control shows it too"
        return {True: "confirmed", False: "NOT confirmed", None: "no script"}[self.confirmed]


@dataclass(frozen=True)
class Group:
    """Failures of one implementation and check that one known deviation (or none) explains: the unit that is told.

    What the control of a script shows too is told once of its library, whose name stands for the implementation then, and
    targets for the modes.
    """

    implementation: str
    check: str
    known: Deviation | None
    failures: tuple[tuple[Failure, str, Confirmation | None], ...]  # with their modes
    shared: bool = False  # of the framework, not of a layer
    cause: Diagnosis | None = None  # of the failure with the most evidence

    @property
    def observed(self) -> str:
        """What was observed, in the words of today where a cause says it."""
        if self.cause is None:
            return today(self.lead.finding.message)
        observed = today(self.cause.observed)
        return observed if self.cause.check == self.check else f"{self.cause.check}: {observed}"

    @property
    def fix(self) -> str:
        """What to change; empty where no cause says it."""
        return self.cause.fix if self.cause is not None else ""

    @property
    def lead(self) -> Failure:
        """The failure with the most evidence."""
        return min((f for f, _, _ in self.failures), key=lambda f: f.finding.log10_evidence or float("-inf"))

    @property
    def places(self) -> str:
        """Modes and dtypes in which it fails, as ``eager: float16, bfloat16; jit: bfloat16``."""
        by_mode: dict[str, list[str]] = {}
        for failure, mode, _ in self.failures:
            by_mode.setdefault(mode, []).append(failure.dtype)
        return "; ".join(f"{mode}: {', '.join(dict.fromkeys(dtypes))}" for mode, dtypes in by_mode.items())

    @property
    def confirmations(self) -> list[tuple[Confirmation, str]]:
        """One a script and what it came to, with the dtypes that the script was run for."""
        found: dict[tuple[str, bool | None], tuple[Confirmation, list[str]]] = {}
        for failure, _, said in self.failures:
            if said is not None:
                found.setdefault((said.script, said.confirmed), (said, []))[1].append(failure.dtype)
        return [(said, ", ".join(d for d in dict.fromkeys(dtypes) if d != ANY)) for said, dtypes in found.values()]


def groups(
    table: Iterable[Row], confirmed: dict[tuple[str, str, str], Confirmation], known: Sequence[Deviation]
) -> list[Group]:
    """Failures put together as they are told; those of a framework behind those of layers."""
    some: dict[tuple[bool, str, str, int], list[tuple[Failure, str, Confirmation | None]]] = {}
    for row in table:
        for failure in failures([row]):
            why = explained(failure, known)
            said = confirmed.get((failure.target, failure.check, failure.dtype))
            shared = said is not None and said.same
            name, place = (library(row), row.target) if shared else (row.implementation, row.mode)
            key = (shared, name, failure.check, known.index(why) if why is not None else -1)
            some.setdefault(key, []).append((failure, place, said))
    return [
        Group(name, check, known[number] if number >= 0 else None, tuple(found), shared)
        for (shared, name, check, number), found in sorted(some.items(), key=lambda one: one[0][0])
    ]


def diagnosed(result: Result, told: Iterable[Group]) -> list[Group]:
    """The groups with the causes of their failures, which follow from what is stored."""
    by_name = {target.target: target for target in result.targets}
    causes = lru_cache(maxsize=None)(lambda name: diagnose(by_name[name]))
    made = []
    for group in told:
        lead = group.lead.finding
        found = (one for one in causes(group.lead.target) if any(lead is each for each in one.findings))
        made.append(replace(group, cause=next(found, None)))
    return made


def of_frameworks(told: Iterable[Group]) -> frozenset[Key]:
    """The failures that are a framework's own and so stand in no cell."""
    return frozenset((f.target, f.check, f.dtype) for group in told if group.shared for f, _, _ in group.failures)


@dataclass(frozen=True)
class Claim:
    """One check over all implementations and modes that ran: in how many it passes, fails, or says nothing."""

    check: str
    passing: int
    failing: int
    shared: int  # fails, and is the framework's own
    open: int  # inconclusive
    skipped: int
    why: str  # the reason that most of those skipped have


def claims(result: Result, shared: Collection[Key]) -> list[Claim]:
    """What became of each check, one target one count, the worst of its findings."""
    found: dict[str, Counter[str]] = {}
    reasons: dict[str, Counter[str]] = {}
    for target in result.targets:
        own: dict[str, set[str]] = {}
        for one in target.findings:
            apart = one.verdict == "fail" and (target.target, one.check, dtype_of(one)) in shared
            own.setdefault(one.check, set()).add("shared" if apart else one.verdict)
            if one.verdict == "skipped":
                reasons.setdefault(one.check, Counter())[one.message] += 1
        for check, verdicts in own.items():
            worst = next(v for v in ("error", "fail", "shared", "inconclusive", "pass", "skipped") if v in verdicts)
            found.setdefault(check, Counter())["fail" if worst == "error" else worst] += 1
    return [
        Claim(
            check,
            n["pass"],
            n["fail"],
            n["shared"],
            n["inconclusive"],
            n["skipped"],
            today(reasons[check].most_common(1)[0][0]) if n["skipped"] else "",
        )
        for check, n in sorted(found.items())
    ]


def frameworks(table: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows that ran, by the library that they come from: the first part of their registered name."""
    found: dict[str, list[Row]] = {}
    for row in table:
        if row.ran:
            found.setdefault(library(row), []).append(row)
    return found


def library(row: Row) -> str:
    """The library of a row: flax.linen and flax.nnx are two; Keras on three backends is one."""
    parts = row.implementation.partition(" ")[0].partition("@")[0].split(".")
    return ".".join(parts[:2]) if parts[0] == "flax" else parts[0]


def away(table: Iterable[Row]) -> dict[str, list[str]]:
    """Names of what did not run, by the reason."""
    found: dict[str, list[str]] = {}
    for row in table:
        if not row.ran:
            found.setdefault(row.why, []).append(plain_text.line(row.target))
    return found


def headline(table: Sequence[Row]) -> str:
    """The answer in one sentence."""
    ran = [row for row in table if row.ran]
    bad = [row for row in ran if any(c.verdict == "fail" for c in row.cells.values())]
    cells = sum(c.verdict is not None for row in ran for c in row.cells.values())
    failing = sum(c.verdict == "fail" for row in ran for c in row.cells.values())
    text = (
        f"{len(ran) - len(bad)} of {len(ran)} combinations of implementation and mode, from "
        f"{plain_text.count(len(frameworks(table)), 'library').replace('librarys', 'libraries')}, pass all checks "
        "that ran"
    )
    if bad:
        text += f"; {len(bad)} {'fails' if len(bad) == 1 else 'fail'} one or more, in {failing} of {cells} cells"
    return text + "."


def confirmation(told: Sequence[Group]) -> str:
    """How much of what fails was confirmed by a script of its own, in one sentence."""
    every = [c for group in told for _, _, c in group.failures]
    sure = sum(c is not None and c.confirmed is True for c in every)
    controlled = sum(c is not None and c.confirmed is True and bool(c.control) for c in every)
    same = sum(c is not None and c.same for c in every)
    if not every:
        return "Nothing fails, so there is nothing to confirm."
    text = f"{sure} of {plain_text.count(len(every), 'failing check')} (one check in one cell) {'is' if sure == 1 else 'are'}"
    text += " confirmed by an independent script that uses the framework and NumPy only"
    if controlled == sure and sure:
        text += ", and whose control, a correct layer in the same place, passes"
    elif controlled:
        text += f"; {controlled} of them by one whose control, a correct layer in the same place, passes"
    if same:
        text += f"; {same} {'is' if same == 1 else 'are'} shown by the control too, and so of the framework and not of the layer"
    left = len(every) - sure - same
    return text + (
        f"; {left} {'is' if left == 1 else 'are'} not, and must be doubted until {'it is' if left == 1 else 'they are'}."
        if left
        else "."
    )


def _context(result: Result, told: Sequence[Group], command: str) -> dict[str, Any]:
    shared = of_frameworks(told)
    table = rows(result, shared)
    told = diagnosed(result, told)
    return {
        "result": result,
        "headline": headline(table),
        "confirmation": confirmation(told),
        "dtypes": (*DTYPES, ANY),
        "any": ANY,
        "table": table,
        "groups": [group for group in told if not group.shared],
        "shared": [group for group in told if group.shared],
        "claims": claims(result, shared),
        "libraries": frameworks(table),
        "away": away(table),
        "older": [t.target for t in result.targets if t.skipped is None and t.planned is None],
        "ended": [row for row in table if row.ran and row.why],
        "word": sentences.WORDS,
        "glyph": sentences.GLYPHS,
        "command": command,
        "device": asked.device(result),
    }


def html(result: Result, told: Sequence[Group], command: str) -> str:
    """One self-contained page."""
    context = _context(result, told, command)
    return environment().get_template("field.html.j2").render(**{**furniture(), **context})


def markdown(result: Result, told: Sequence[Group], command: str) -> str:
    """The same as Markdown."""
    context = _context(result, told, command)
    return environment(html=False).get_template("field.md.j2").render(**context)
