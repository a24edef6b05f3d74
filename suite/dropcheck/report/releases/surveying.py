"""Auditing the last series of each package, and the releases between two of them where a verdict turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import Version

from dropcheck.auditing import bisection
from dropcheck.auditing import run as auditing
from dropcheck.contract import requirements
from dropcheck.contract.errors import UsageError
from dropcheck.plan import release_environments, released, targets
from dropcheck.plan.installing import TooLarge
from dropcheck.plan.release_environments import BuildError
from dropcheck.plan.released import Package
from dropcheck.plan.request import prepare
from dropcheck.report.releases import lines
from dropcheck.report.releases.records import Change, Column, Kind, Table
from dropcheck.report.releases.records import Package as Told
from dropcheck.results import audit as results
from dropcheck.results.audit import Result, TargetResult, Timing

LIMIT_MB = 500.0  # of wheels for one environment: a framework for CPUs has 250 MB at most, one with CUDA several GB
Say = Callable[[str], None]


@dataclass(frozen=True)
class Question:
    """What is asked. ``request``: how each target is audited; its targets, as they were named, come without a release."""

    request: auditing.AuditRequest
    series: int
    package: str | None = None  # whose releases are tried instead of those of each target's own package
    limit_mb: float = LIMIT_MB
    beside: tuple[str, ...] = ()  # further requirements of every release


@dataclass
class Survey:
    """A survey while it is made: what was audited in every environment, by the name of the target with its release."""

    question: Question
    say: Say
    progress: auditing.Progress | None = None
    found: dict[str, TargetResult] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)  # by their requirements
    whole: Result | None = None

    def run(self) -> tuple[Table, Result]:
        """The table and the result of all audits. Raises UsageError, and KeyboardInterrupt with the journal kept."""
        packages = self._packages()
        listed = {p.name: self._listed(p) for p in packages}
        series = {p.name: released.last_of_series(listed[p.name], self.question.series) for p in packages}
        asked = {p.name: [self.column(p, one) for one in series[p.name]] for p in packages}
        self._audit([name for p, some in packages.items() for name in _names(some, asked[p.name])])
        told = [self._told(p, some, listed[p.name], asked[p.name]) for p, some in packages.items()]
        if self.whole is None:  # no release of any package could be installed
            self.whole = _empty(self.question.request)
        order = {c.requirements: n for n, p in enumerate(told) for c in sorted([*p.columns, *p.between], key=_release)}
        ordered = sorted(self.found.values(), key=lambda t: (order.get(_words(t.target), 0), t.target))
        whole = msgspec.structs.replace(
            self.whole, targets=ordered, verdict=results.overall([t.verdict for t in ordered])
        )
        table = Table(
            series=self.question.series,
            profile=whole.profile,
            seed=whole.seed,
            device=self.question.request.device,
            packages=told,
            environment=whole.environment,
        )
        return table, whole

    def _packages(self) -> dict[Package, list[str]]:
        """The targets by their package. Raises UsageError for a target of none and for what cannot be asked."""
        given = self.question.request.targets
        chosen = [targets.parse(str(t)) for t in given] if given else targets.defaults()
        found: dict[Package, list[str]] = {}
        for one in chosen:
            if one.releases:
                raise UsageError(f"{one.name} names its environment already; leave it out with --releases")
            try:
                package = released.package_of(one, self.question.package)
            except UsageError:
                if given:
                    raise
                continue  # one of our own layers among the defaults
            found.setdefault(package, []).append(one.name)
        prepare(replace(self.question.request, targets=tuple(t for some in found.values() for t in some)))
        return found

    def _listed(self, package: Package) -> list[Version]:
        return released.final(bisection.available(package.name), package.present)

    def column(self, package: Package, release: Version, asked: bool = True) -> Column:
        """A release with its environment, built where that is possible; else the reason in one sentence."""
        words = package.requirements(release, self.question.beside)
        text = requirements.name_of(words)
        if text in self.columns:
            return self.columns[text]
        column = Column(release=str(release), requirements=text, asked=asked)
        try:
            made = release_environments.provide(words, None, self.say, self.question.limit_mb)
        except BuildError as error:
            column = msgspec.structs.replace(column, why=_sentence(error, package.name, release))
            self.say(column.why)
        else:
            back = next(
                (why for name, why in made.yanked.items() if canonicalize_name(name.split()[0]) == package.name), None
            )
            why = f"{package.name} {release} was yanked by its owners" + (f": {back}" if back else "")
            here = released.releases_here(made.own)
            column = msgspec.structs.replace(
                column, why=why if back is not None else "", installed=made.own, instead_of=here
            )
        self.columns[text] = column
        return column

    def _audit(self, names: Sequence[str]) -> None:
        """Audit what is not audited yet; a layer that a release does not have is an error of that target alone."""
        some = tuple(name for name in names if name not in self.found)
        if not some:
            return
        again = self.question.request.resume or bool(self.found)
        request = replace(self.question.request, targets=some, resume=again)
        try:
            result = auditing.run(request, self.progress)
        except UsageError as error:  # of all that were left: each by itself says which
            if self.question.request.journal is None or len(some) == 1:
                for name in some:
                    self.found[name] = _error(name, str(error))
                self.whole = self.whole or _empty(request)
                return
            self.question = replace(self.question, request=replace(self.question.request, resume=True))
            for name in some:
                self._audit([name])
            return
        self.found |= {t.target: t for t in result.targets}
        self.whole = self.whole or result
        if result.interrupted:
            raise KeyboardInterrupt

    def _told(self, package: Package, names: Sequence[str], listed: Sequence[Version], asked: list[Column]) -> Told:
        """What the targets of a package do over its releases, each change dated."""
        owners, made, notes = [], [], []
        for name in names:
            members = [self.found.get(_name(name, column)) for column in asked]
            changes: dict[lines.Key, list[Change]] = {}
            for key in lines.keys(members):
                for before, after, kind in lines.turns(members, key):
                    change = self._dated(package, name, key, (asked[before], asked[after]), kind, listed)
                    changes.setdefault(key, []).append(change)
            owners.append(lines.owner(name, members))
            made += lines.of_target(name, members, changes)
        between = [c for c in self.columns.values() if not c.asked and c.requirements.startswith(f"{package.name}==")]
        if (same := package.beside) and asked:
            notes.append(f"{' and '.join(same)} moves with {package.name}, in the same release.")
        return Told(
            name=package.name,
            present=package.present,
            columns=asked,
            between=sorted(between, key=_release),
            owners=owners,
            lines=made,
            notes=notes,
        )

    def _dated(
        self,
        package: Package,
        name: str,
        key: lines.Key,
        ends: tuple[Column, Column],
        kind: Kind,
        listed: Sequence[Version],
    ) -> Change:
        """Since which release a verdict is another one: halving over the releases between two of the table."""
        old, new = (self.found[_name(name, column)] for column in ends)
        first, last = (Version(column.release) for column in ends)
        whole = self.whole
        assert whole is not None
        if key not in lines.proven(whole, old, new, kind):
            return Change(kind=kind, before=ends[0].release, since=[ends[1].release], proven=False)
        some = [first, *released.between(listed, first, last), last]
        tried: list[str] = []

        def state(place: int) -> str:
            column = self.column(package, some[place], asked=False)
            if not column.why:
                self._audit([_name(name, column)])
            tried.append(column.release)
            found = lines.state(self.found.get(_name(name, column)), key)
            return found if kind == "new" or found == "unknown" else "bad" if found == "good" else "good"

        low, high = bisection.halved(0, len(some) - 1, state)
        return Change(
            kind=kind, before=str(some[low]), since=[str(r) for r in some[low + 1 : high + 1]], tried=sorted(tried)
        )


def survey(question: Question, say: Say, progress: auditing.Progress | None = None) -> tuple[Table, Result]:
    """The table of releases, and the result of every audit behind it. Raises UsageError; see ``Survey.run``."""
    return Survey(question, say, progress).run()


def forget(journal: Path | None) -> None:
    """Remove what ``--resume`` would go on from, once the report is written."""
    if journal is not None:
        journal.unlink(missing_ok=True)


def _names(some: Sequence[str], columns: Sequence[Column]) -> list[str]:
    return [_name(name, column) for name in some for column in columns if not column.why]


def _name(target: str, column: Column) -> str:
    return f"{target}{requirements.JOIN}{column.requirements}"


def _words(name: str) -> str:
    return name.partition(requirements.JOIN)[2]


def _release(column: Column) -> Version:
    return Version(column.release)


def _sentence(error: BuildError, name: str, release: Version) -> str:
    """Why a release is not installed, of what pip said: its last error, and what conflicts."""
    text = str(error)
    if isinstance(error, TooLarge):
        return f"{name} {release}: {text.partition('was not built: ')[2]}"
    said = [line.strip() for line in text.splitlines()]
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")] or said[-1:]
    why = errors[-1]
    if why.startswith("ResolutionImpossible") and "The conflict is caused by:" in said:
        after = said[said.index("The conflict is caused by:") + 1 :]
        causes = [one for one in after if "requested" in one or " depends on " in one]
        why = f"{errors[0].rstrip('.')}: {'; '.join(causes)[:300]}" if causes else errors[0]
    return f"{name} {release} does not install: {why}"


def _error(name: str, text: str) -> TargetResult:
    return TargetResult(
        target=name,
        framework="",
        version="",
        contract={},
        verdict="error",
        timing=Timing(),
        traits={},
        findings=[],
        error=text,
    )


def _empty(request: auditing.AuditRequest) -> Result:
    """A result of no target: where every one could not be opened."""
    from dropcheck.auditing.machine import describe
    from dropcheck.judge.checks.base import ALPHA, BETA
    from dropcheck.plan.request import asked, recorded

    return Result(
        verdict="skipped",
        environment=describe(),
        argv=list(request.argv),
        profile=request.profile,
        seed=request.seed,
        alpha=ALPHA,
        beta=BETA,
        targets=[],
        asked=asked(request),
        device=request.device,
        request=recorded(request),
    )
