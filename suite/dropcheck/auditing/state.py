"""The state of one target's audit: what was asked, what is known so far, and its progress."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from dropcheck.auditing import sequential as early
from dropcheck.auditing.finished_units import Store
from dropcheck.auditing.ledger import Entry
from dropcheck.auditing.replay import replayable
from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract
from dropcheck.count.gather import Clock
from dropcheck.judge.checks import CHECK
from dropcheck.judge.checks.base import Check
from dropcheck.plan import opening, targets
from dropcheck.plan.request import AuditRequest, Event, Progress
from dropcheck.results.audit import Finding
from dropcheck.worker.sessions import SessionSpec


@dataclass
class Run:
    """The state of one target's audit. ``sessions``: processes that may serve it at once."""

    target: targets.Target
    request: AuditRequest
    checks: list[Check]
    progress: Progress | None
    sessions: int = 1
    store: Store | None = None
    began: float = field(default_factory=time.monotonic)
    findings: list[Finding] = field(default_factory=list)
    so_far: list[Finding] = field(default_factory=list)  # what stands if the target ends before its audit does
    beside: list[Finding] = field(default_factory=list)  # what nobody selected, and verdicts depend on
    traits: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    start_s: float = 0.0
    coins: int = 0
    info: dict[str, Any] = field(default_factory=dict)
    contract: Contract | None = None
    usage: str = ""  # the target could not be audited because of what the user asked for, not because of the layer
    broke: bool = False  # the suite itself raised: its units stay on the disk
    exact_done: float = 0.0
    counting: float = 0.0  # when counting began
    left: float | None = None  # what is left of it over what is done
    told: float = 0.0  # the largest share done that was told
    early: dict[Case, early.Early] = field(default_factory=dict)  # cases that end when the rate is decided
    entry: Entry | None = None  # its run in a ledger
    source: str = ""  # the digest of the user's file, see targets.Target.digest
    asked: dict[Case, tuple[Check, ...]] = field(default_factory=dict)  # the coin cases, each with its checks

    @property
    def kept_as(self) -> str:
        """The name of its units on disk: a ledger's runs have seeds of their own, an edited file is another layer."""
        name = self.target.name if self.entry is None else f"{self.target.name} seed {self.request.seed}"
        return f"{name} source {self.source}" if self.source else name

    def tell(self, state: str, message: str = "", done: float | None = None) -> None:
        """Report progress, with an estimate of what remains from what is done."""
        if self.progress is None:
            return
        now = time.monotonic()
        elapsed, remaining = now - self.began, None
        share = 0.02 + 0.13 * self.exact_done
        if self.left is not None:
            remaining = (now - self.counting) * self.left
            share = elapsed / (elapsed + remaining)
        # an estimate may fall, a bar that goes back confuses
        self.told = done if done is not None else max(self.told, share)
        share = self.told
        self.progress(Event(self.target.name, share, elapsed, remaining, state, message))

    def spec(self) -> SessionSpec:
        """How this target is opened."""
        return opening.of_request(self.target, self.request)

    def has(self, name: str) -> bool:
        """Whether a check of that name was selected."""
        return any(c.name == name for c in self.checks)

    def replayable(self, one: Finding, case: Case | None, beside: str = "") -> Finding:
        """The finding with the command that repeats it. ``beside``: what else must be selected, as ``,check``."""
        return replayable(self.request, self.target.name, one, case, beside)

    @property
    def alpha_of_words(self) -> float:
        """The error probability at which repeated words are looked for."""
        return CHECK["mask.distinct-calls"].limits(self.request.profile).alpha
