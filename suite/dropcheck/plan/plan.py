"""Plans: the cases of one target with what each is asked, and what they would cost and show, before anything runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, ContractError
from dropcheck.judge.checks import CHECK
from dropcheck.judge.checks.base import BETA, Check
from dropcheck.plan.opening import of_request
from dropcheck.plan.profiles import PROFILES, Wanted, plan_cases
from dropcheck.plan.request import AuditRequest
from dropcheck.plan.targets import Target
from dropcheck.worker.client import Refused, Session, TargetError, ask

Asked = dict[Case, tuple[Check, ...]]


@dataclass(frozen=True)
class PlannedCase:
    """One case of a plan: what it would cost and what it would show."""

    case: str
    checks: list[str]
    coins: int
    seconds: float
    resolution: str


@dataclass(frozen=True)
class TargetPlan:
    """What an audit of one target would run."""

    target: str
    contract_text: str
    cases: list[PlannedCase]
    seconds: float
    error: str | None = None
    coins: int = 0


def planned(request: AuditRequest, target: str, contract: Contract, info: dict[str, Any]) -> list[Case]:
    """All cases of one opened target, whatever checks are selected."""
    marginal = CHECK["rate.marginal"]
    wanted = Wanted(request.rates, request.dtypes, request.shapes, request.cases, request.resolution)
    return plan_cases(contract, info, PROFILES[request.profile], marginal, request.seed, target, wanted)


def asked_cases(
    request: AuditRequest,
    target: str,
    checks: Sequence[Check],
    contract: Contract,
    info: dict[str, Any],
    session: Session,
    began: float,
) -> Asked:
    """The cases of one opened target, each with the checks that it is asked; fewer coins where a budget asks for it."""
    cases = planned(request, target, contract, info)
    # what the user names is asked whatever it reaches; then too few coins are said to be inconclusive
    named = bool(request.cases or request.shapes)
    asked: Asked = {}
    for case in cases:
        some = tuple(
            c
            for c in checks
            if (c.wants and c.wants(case) if named else c.asks(case, request.profile, request.resolution))
        )
        if some:
            asked[case] = some
    if request.budget_s is not None:
        left = request.budget_s - (time.monotonic() - began)
        whole = sum(costs(contract, info, session, list(asked)))
        if whole > left:
            factor = max(0.0, left) / whole
            # every case keeps something: what becomes too coarse is inconclusive, never silently left out
            return {replace(c, calls=max(min(c.calls, 8), int(c.calls * factor))): k for c, k in asked.items()}
    return asked


def costs(contract: Contract, info: dict[str, Any], session: Session, cases: Sequence[Case]) -> list[float]:
    """Seconds that each case will take, from a few timed calls: so much a call, and so much a coin."""
    rate = (contract.rates or (0.3,))[0]
    times = []
    for rows, channels in ((1, 8), (513, 64)):
        shape = list(contract.pattern.shape(rows, channels, 4))
        calls = 32 if rows == 1 else 8
        got = ask(session, "bare", rate=rate, dtype=info["dtypes"][0], shape=shape, calls=calls)
        times.append(got["bare_s"] / calls)
    per_coin = max(1e-10, (times[1] - times[0]) / (513 * 64)) * 1.3
    per_call = times[0] + 2e-5  # the copy and the share of the proof that a call costs
    share = [max(1.0, c.shared / 4) for c in cases]
    return [c.calls * per_call + c.coins * per_coin * s for c, s in zip(cases, share, strict=True)]


def plan_target(target: Target, request: AuditRequest, some: Sequence[Check]) -> TargetPlan:
    """The plan of one target, which is opened and timed for it. ``some``: the checks that are selected."""
    began, name = time.monotonic(), target.name
    session = None
    try:
        session = of_request(target, request).start()
        info = session.collect()
        contract = Contract.from_dict(info["contract"])
        asked = asked_cases(request, name, some, contract, info, session, began)
        seconds = costs(contract, info, session, list(asked))
    except (Refused, TargetError, ContractError) as error:
        return TargetPlan(name, "", [], 0.0, str(error))
    finally:
        if session is not None:
            session.close()
    planned = [
        PlannedCase(str(case), [c.name for c in checks], case.coins, cost, _resolution_words(case, request))
        for (case, checks), cost in zip(asked.items(), seconds, strict=True)
    ]
    exact = [c.name for c in some if c.observe is not None]
    if exact:
        planned.append(PlannedCase("exact questions", exact, 0, 1.0, "exact"))
    whole = sum(seconds) + 1.0 + time.monotonic() - began
    return TargetPlan(name, str(contract.pattern), planned, whole, None, sum(c.coins for c in asked))


def _resolution_words(case: Case, request: AuditRequest) -> str:
    from dropcheck.statistics import association, binomial

    marginal = CHECK["rate.marginal"]
    alpha = marginal.limits(request.profile).alpha
    if not 0 < case.rate < 1 or not case.coins:
        return ""
    rate = binomial.resolution(case.coins, case.rate, alpha, BETA)
    words = f"rate {rate * 100:.2g} points"
    if case.channels > 1 and 0.05 <= case.rate <= 0.95 and case.regime == "stream":
        pairs = case.channels * (case.channels - 1) / 2
        words += f", pair correlation {association.correlation_resolution(case.row_count, case.rate, alpha / pairs, BETA):.2g}"
    return words
