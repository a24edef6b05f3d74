"""The command that repeats a finding."""

from __future__ import annotations

import shlex

import msgspec

from dropcheck.contract.cases import Case
from dropcheck.contract.requirements import JOIN
from dropcheck.plan.request import DEFAULT_SEED, AuditRequest
from dropcheck.results.audit import Finding


def command(request: AuditRequest, target: str, check: str, case: Case | str | None) -> str:
    """The audit of one target, one check and, if given, one case, with the options that change a coin."""
    base, _, releases = target.partition(JOIN)
    words = ["dropcheck", "audit", base, *(["--with", releases] if releases else []), "--select", check]
    if case is not None:
        words += ["--case", str(case)]
    if request.profile != "quick":
        words += ["--profile", request.profile]
    if request.seed != DEFAULT_SEED:
        words += ["--seed", str(request.seed)]
    if request.resolution is not None and case is None and check.startswith("rate."):
        words += ["--resolution", f"{request.resolution:g}"]
    if request.sequential:
        words += ["--sequential"]
    if request.pattern is not None:
        words += ["--pattern", request.pattern]
    if request.inference is not None:
        words += ["--inference", request.inference]
    if request.input is not None:
        words += ["--input", ",".join(map(str, request.input))]
    if request.strict:
        words += ["--strict"]
    if request.device != "cpu":
        words += ["--device", request.device]
    if request.python is not None:
        words += ["--python", request.python]
    return " ".join(shlex.quote(w) for w in words)


def replayable(request: AuditRequest, target: str, one: Finding, case: Case | None, beside: str = "") -> Finding:
    """The finding with the command that repeats it. ``beside``: what else must be selected, as ``,check``."""
    return msgspec.structs.replace(one, replay=command(request, target, one.check + beside, case))
