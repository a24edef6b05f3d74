"""Results built by hand, whose verdicts follow from their numbers, for tests that read stored results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from dropcheck.contract.cases import parse_case
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import ALPHA, BETA
from dropcheck.results.audit import Finding, Picture, Result, TargetResult, Timing, Verdict, Waiver, overall
from dropcheck.statistics import binomial

CASE = "float32 rate=0.3 257,64,4 calls=96"
BY_NAME = {check.name: check for check in CHECKS}


def rate(dropped: int, coins: int, case: str = CASE, profile: str = "quick", **changed: Any) -> Finding:
    """What ``rate.marginal`` says of so many drops, by its own law."""
    check = BY_NAME["rate.marginal"]
    asked = parse_case(case)
    limits = check.limits(profile, asked)
    log = max(-99999.0, binomial.log10_outside(dropped, coins, asked.rate))
    resolution = binomial.resolution(coins, asked.rate, limits.alpha, BETA)
    failed = log <= math.log10(limits.alpha)
    verdict: Verdict = "fail" if failed else "pass" if resolution <= (limits.coarsest or 1) else "inconclusive"
    made = Finding(
        check="rate.marginal",
        case=case,
        verdict=verdict,
        message=f"the layer drops with probability {dropped / coins:.5g}, expected {asked.rate:g}",
        estimate=dropped / coins,
        expected=asked.rate,
        unit="probability of a drop",
        fail_interval=binomial.clopper_pearson(dropped, coins, limits.alpha),
        pass_interval=binomial.one_sided(dropped, coins, BETA),
        coins=coins,
        resolution=resolution,
        log10_evidence=log,
        alpha=limits.alpha,
        tallies={"dropped": dropped, "coins": coins, "tolerated": 0.0},
        replay=f"dropcheck audit mine.py:layer --select rate.marginal --case '{case}'",
    )
    return msgspec.structs.replace(made, **changed)


def finding(check: str, verdict: Verdict, case: str = CASE, **changed: Any) -> Finding:
    """A finding of another check, with evidence that fits its verdict."""
    given: dict[str, Any] = {
        "message": f"{check} {verdict}",
        "replay": f"dropcheck audit mine.py:layer --select {check}",
    }
    if verdict in ("fail", "waived"):
        given["log10_evidence"] = -99999.0
    if verdict == "waived":
        given["waiver"] = Waiver(id="W1", reason="known upstream", expires="2027-01-31")
    return Finding(check=check, case=case, verdict=verdict, **{**given, **changed})


def drawn(rows: Sequence[str] = ("##..##..", "..##..##")) -> Picture:
    """A small coin matrix."""
    return Picture(
        caption="across: channels", columns="channel", rows=list(rows), labels=[f"row {i}" for i in range(len(rows))]
    )


def target(name: str, findings: Sequence[Finding], version: str = "2.13.0", **changed: Any) -> TargetResult:
    """A target with the verdict of its findings."""
    verdict = overall([f.verdict for f in findings])
    if changed.get("error") is not None and verdict != "fail":
        verdict = "error"
    made = TargetResult(
        target=name,
        framework="PyTorch",
        version=version,
        contract={"pattern": "n c l -> n c"},
        verdict=verdict,
        timing=Timing(wall_s=1.5, bare_s=0.25),
        traits={},
        findings=list(findings),
        coins=sum(f.coins for f in findings),
    )
    return msgspec.structs.replace(made, **changed)


def result(*targets: TargetResult, **changed: Any) -> Result:
    """A run with the verdict of its targets."""
    made = Result(
        verdict=overall([t.verdict for t in targets]),
        environment={"python": "3.11.7", "platform": "Linux x86_64", "cores": 2, "packages": {"torch": "2.13.0"}},
        argv=["audit", "mine.py:layer"],
        profile="quick",
        seed=7,
        alpha=ALPHA,
        beta=BETA,
        targets=list(targets),
    )
    return msgspec.structs.replace(made, **changed)
