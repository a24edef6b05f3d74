"""The records of one target's audit: what is asked, what opening told, what is found by now, how far it is, and its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dropcheck.auditing.finished_units import Store
from dropcheck.auditing.ledger import Entry
from dropcheck.auditing.replay import replayable
from dropcheck.auditing.time_left import together
from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract
from dropcheck.count.gather import Clock
from dropcheck.judge.checks import CHECK
from dropcheck.judge.checks.base import Check
from dropcheck.plan import targets
from dropcheck.plan.request import AuditRequest, Event, Progress
from dropcheck.results.audit import Finding, TargetResult
from dropcheck.worker.sessions import SessionPool


@dataclass(frozen=True)
class TargetAudit:
    """What is asked of one target, before anything is opened.

    ``sessions``: processes that may serve it at once. ``source``: the digest of the user's file, see targets.Target.digest.
    """

    target: targets.Target
    request: AuditRequest
    checks: list[Check]
    progress: Progress | None
    sessions: int = 1
    store: Store | None = None
    source: str = ""

    def has(self, name: str) -> bool:
        """Whether a check of that name was selected."""
        return any(c.name == name for c in self.checks)

    def kept_as(self, seed: int | None) -> str:
        """The name of its units on disk: a ledger's runs have seeds of their own, an edited file is another layer.

        ``seed``: the root seed of its run in a ledger; None without a ledger.
        """
        name = self.target.name if seed is None else f"{self.target.name} seed {seed}"
        return f"{name} source {self.source}" if self.source else name


@dataclass(frozen=True)
class Opened:
    """A target that is open. ``request``: with the root seed of the ledger, where ``entry`` is the run that it has there."""

    audit: TargetAudit
    request: AuditRequest
    info: dict[str, Any]
    contract: Contract
    pool: SessionPool
    entry: Entry | None = None
    fixed: tuple[Check, ...] = ()

    def asking(self) -> Opened:
        """Without the checks that the adapter itself decides, as an instrument fixes the input: they are ``fixed``."""
        fixed = tuple(c for c in self.audit.checks if c.name in self.info.get("fixed", {}))
        return replace(
            self, audit=replace(self.audit, checks=[c for c in self.audit.checks if c not in fixed]), fixed=fixed
        )

    @property
    def name(self) -> str:
        """The target's name."""
        return self.audit.target.name

    @property
    def checks(self) -> list[Check]:
        """The checks that were selected."""
        return self.audit.checks

    @property
    def kept_as(self) -> str:
        """The name of its units on disk."""
        return self.audit.kept_as(self.request.seed if self.entry is not None else None)

    def replayable(self, one: Finding, case: Case | None, beside: str = "") -> Finding:
        """The finding with the command that repeats it. ``beside``: what else must be selected, as ``,check``."""
        return replayable(self.request, self.name, one, case, beside)

    @property
    def alpha_of_words(self) -> float:
        """The error probability at which repeated words are looked for."""
        return CHECK["mask.distinct-calls"].limits(self.request.profile).alpha


@dataclass
class Found:
    """What an audit has found by now. ``so_far`` stands if the target ends before ``findings`` are made.

    ``beside``: what nobody selected, and verdicts depend on. ``asked``: the coin cases, each with its checks.
    """

    findings: list[Finding] = field(default_factory=list)
    so_far: list[Finding] = field(default_factory=list)
    beside: list[Finding] = field(default_factory=list)
    traits: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    start_s: float = 0.0
    coins: int = 0
    info: dict[str, Any] = field(default_factory=dict)  # what the worker said, be its contract valid or not
    asked: Mapping[Case, tuple[Check, ...]] = field(default_factory=dict)


@dataclass
class Advance:
    """How far an audit is, for whoever watches.

    ``counting``: when counting began. ``left``: seconds that are left of it. ``told``: the largest share done that was told.
    """

    target: str
    progress: Progress | None
    began: float = field(default_factory=time.monotonic)
    exact_done: float = 0.0
    counting: float = 0.0
    left: float | None = None
    told: float = 0.0

    def tell(self, state: str, message: str = "", done: float | None = None) -> None:
        """Report progress, with an estimate of what remains from what is done."""
        if self.progress is None:
            return
        now = time.monotonic()
        elapsed, remaining = now - self.began, None
        share = 0.02 + 0.13 * self.exact_done
        if self.left is not None:
            remaining = together(self.left, self.exact_done, now - self.counting)
            share = elapsed / (elapsed + remaining)
        # an estimate may fall, a bar that goes back confuses
        self.told = done if done is not None else max(self.told, share)
        self.progress(Event(self.target, self.told, elapsed, remaining, state, message))


@dataclass(frozen=True)
class Outcome:
    """The end of one target's audit.

    ``opened``: None where it could not be opened. ``asked``: the coin cases, each with its checks. ``kept_as``: the name of
    its units on disk. ``usage``: why it could not be audited as the user asked, where that is not the layer's doing.
    ``broke``: the suite itself raised, its units stay.
    """

    result: TargetResult
    kept_as: str
    opened: Opened | None = None
    asked: Mapping[Case, tuple[Check, ...]] = field(default_factory=dict)
    usage: str = ""
    broke: bool = False
