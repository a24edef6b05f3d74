"""The command that repeats a finding."""

from __future__ import annotations

import shlex

import msgspec

from dropcheck.contract.cases import Case
from dropcheck.contract.requirements import JOIN
from dropcheck.plan import audit_options
from dropcheck.plan.request import AuditRequest
from dropcheck.results.audit import Finding

# what a repeated audit of one check needs of the options; a case has its own resolution
_COINS = (
    *("--profile", "--seed", "--resolution", "--sequential", "--pattern", "--inference"),
    *("--input", "--strict", "--device", "--python"),
)


def command(request: AuditRequest, target: str, check: str, case: Case | str | None) -> str:
    """The audit of one target, one check and, if given, one case, with the options that change a coin."""
    base, _, releases = target.partition(JOIN)
    words = ["dropcheck", "audit", base, *(["--with", releases] if releases else []), "--select", check]
    if case is not None:
        words += ["--case", str(case)]
    names = _COINS if case is None and check.startswith("rate.") else tuple(n for n in _COINS if n != "--resolution")
    words += audit_options.words(request, names)
    return " ".join(shlex.quote(w) for w in words)


def replayable(request: AuditRequest, target: str, one: Finding, case: Case | None, beside: str = "") -> Finding:
    """The finding with the command that repeats it. ``beside``: what else must be selected, as ``,check``."""
    return msgspec.structs.replace(one, replay=command(request, target, one.check + beside, case))
