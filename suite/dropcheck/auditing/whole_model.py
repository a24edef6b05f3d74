"""The audit of a model as a whole: its sites were seen when it was opened, and are judged without a coin."""

from __future__ import annotations

import time

from dropcheck.auditing.replay import replayable
from dropcheck.auditing.state import Outcome, TargetAudit
from dropcheck.contract.sites import Sites
from dropcheck.plan.request import Event
from dropcheck.results import audit as results
from dropcheck.results.audit import TargetResult, Timing


def whole_model(audit: TargetAudit, sites: Sites) -> Outcome:
    """The outcome of the checks of models."""
    began = time.monotonic()
    name, request = audit.target.name, audit.request
    findings = [
        replayable(request, name, one, None)
        for check in audit.checks
        if check.sites is not None
        for one in check.sites(check, sites, request.inference or "")
    ]
    result = TargetResult(
        target=name,
        framework=sites.framework,
        version=sites.version,
        contract={},
        verdict=results.verdict_of(findings, None),
        timing=Timing(wall_s=time.monotonic() - began),
        traits={"sites": sites.counted, **{f"site {i}": note for i, note in enumerate(sites.notes(), 1)}},
        findings=findings,
        source=audit.source,
        planned=results.planned(findings),
        model=True,
    )
    if audit.progress is not None:
        state = "failed" if result.verdict in ("fail", "error") else "finished"
        audit.progress(Event(name, 1.0, time.monotonic() - began, None, state, result.verdict))
    return Outcome(result, audit.kept_as(None))
