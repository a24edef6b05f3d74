"""Evidence over many runs: an audit becomes a run of a ledger, and all of its runs decide what is statistical.

Exact promises need no ledger: what cannot happen under a right layer fails in any run. For each statistical check the cases'
p-values become e-values, which multiply over runs (statistics/evalues.py); a check's evidence is the mean over its cases, and
a case fails once both it and the check have reached 1/(ALPHA share). So a right layer is accused with probability below ALPHA
over the whole life of the file, however often and whenever anybody looks (Ville 1939).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from dropcheck.auditing.ledger import Entry, Ledger, Standing
from dropcheck.auditing.replay import replayable
from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract
from dropcheck.contract.version import __version__
from dropcheck.judge.checks import CHECK
from dropcheck.judge.checks.base import ALPHA, MOST_CASES, Check, finding
from dropcheck.plan.request import DEFAULT_SEED, AuditRequest
from dropcheck.results.audit import Finding, LedgerRun, OverRuns, Verdict
from dropcheck.statistics import evalues

Asked = Mapping[Case, Sequence[Check]]
DRAWN = "drawn cases"
# Tests that take a normal value near the middle of a hypergeometric law (homogeneity.NEAR_SCORE, association.PLAIN_SCORE).
# At 3.5 standard deviations that value is up to 5.8 times too small where 20 drops are expected, 1.9 times at 100. What must
# hold is that the mean of the e-value is at most 1; summed over the exact law, with the union bound over 1 to 2000 positions,
# rates .001 to .5 and shares .001 to .9 of the population, it does with p-values times 1 from 50 expected drops on, 1.2
# at 20, 1.5 at 12 (the fewest of any planned case) and 3 down to 3. A test repeats the sum.
SLACK = 3.0


def begin(request: AuditRequest, target: str, identity: dict[str, Any]) -> tuple[AuditRequest, Entry | None]:
    """Register the run of an opened target, before anything is seeded: the request with the ledger's root seed, and the run.

    Nothing is registered where the identity holds no dtype that is asked about. Raises UsageError.
    """
    asked = set(identity["dtypes"])
    if request.ledger is None or not asked & set(request.dtypes or asked):
        return request, None
    ledger = Ledger(request.ledger)
    wanted = request.seed if request.seed_given or request.seed != DEFAULT_SEED else None
    entry = Entry(ledger, ledger.begin(target, identity, wanted))
    return replace(request, seed=entry.registered.seed), entry


def leave(entry: Entry | None) -> str:
    """Let go of a run, finished or not; what there is to say of one that is not."""
    if entry is None:
        return ""
    entry.registered.lock.close()
    return "" if entry.closed else f"{entry.words} stays open: the next audit with this ledger repeats it"


def identity(
    request: AuditRequest, info: Mapping[str, Any], contract: Contract, checks: Sequence[Check], source: str
) -> dict[str, Any]:
    """All that must stay the same over the life of a ledger: what is audited, by what, and what is asked of it.

    ``source``: the digest of the user's file as it was when the audit began.
    """
    asked = {
        name: getattr(request, name)
        for name in ("profile", "strict", "resolution", "rates", "dtypes", "shapes", "cases", "device", "modes")
    }
    seen = {name: info.get(name) for name in ("framework", "version", "python", "numpy", "dtypes", "layouts")}
    return {
        "dropcheck": __version__,
        "contract": contract.to_dict(),
        "checks": [c.name for c in checks],
        "source": source,
        **{k: list(v) if isinstance(v, tuple) else v for k, v in asked.items()},
        **seen,
    }


def judged(
    entry: Entry | None, findings: list[Finding], asked: Asked, request: AuditRequest, target: str
) -> list[Finding]:
    """Close the run with its e-values; its statistical findings then say what all finished runs say. Raises UsageError."""
    if entry is None:
        return findings
    pool = _drawn(asked)
    entry.ledger.finish(entry.registered, _evidence(findings, pool, asked))
    entry.closed = True
    standing = entry.ledger.evidence(target, MOST_CASES[request.profile])
    found = [_over_runs(one, standing, pool, request.profile, entry.registered.run) for one in findings]
    found += _unseen(request, target, found, standing, pool)
    entry.told = True
    return found


def untold(findings: Sequence[Finding]) -> list[Finding]:
    """Findings of one run that ended before the ledger was asked: what single runs say of coins is no verdict there."""
    text = "not judged over the runs of the ledger, since the audit ended before: this run alone says: "
    return [
        msgspec.structs.replace(one, verdict="inconclusive", message=text + one.message)
        if _at_level(CHECK[one.check], one) and one.verdict in ("pass", "fail")
        else one
        for one in findings
    ]


def _at_level(check: Check, one: Finding) -> bool:
    """Whether a finding spends a part of ALPHA: what a check on coins asks exactly besides does not."""
    return check.share > 0 and (_counted(check, one) or not accumulates(check))


def line(entry: Entry | None, findings: Sequence[Finding]) -> LedgerRun | None:
    """The run of the ledger, for the result."""
    if entry is None:
        return None
    one = entry.registered
    runs = max((f.ledger.runs for f in findings if f.ledger is not None), default=int(entry.closed))
    return LedgerRun(file=str(entry.ledger.path), run=one.run, runs=runs, seed=one.seed, resumed=one.resumed)


# --- one run's e-values ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pool:
    """Cases that differ from run to run: their texts, and the rates that only they have."""

    cases: frozenset[str]
    fixed_rates: frozenset[str]

    def key(self, check: Check, case: str) -> str:
        """Under which name a finding's evidence is kept: the same in every run."""
        if case in self.cases:
            return DRAWN
        if check.compare is not None:
            rate = re.search(r"rate=(\S+)", case)
            if rate is not None and self.fixed_rates and rate[1] not in self.fixed_rates:
                return DRAWN
        return re.sub(r" over \d+ shapes$", "", case)


def _drawn(asked: Asked) -> _Pool:
    fixed = {str(c) for c in asked if not c.drawn}
    rates = frozenset(f"{c.rate:g}" for c in asked if not c.drawn)
    return _Pool(frozenset(str(c) for c in asked if c.drawn) - fixed, rates)


def accumulates(check: Check) -> bool:
    """Whether a check's evidence comes from coins, which are new in every run."""
    return check.share > 0 and check.counts


def _counted(check: Check, one: Finding) -> bool:
    """Whether a finding is of such coins: what the same check asks exactly besides is not made at a level."""
    return accumulates(check) and (check.observe is None or one.alpha is not None)


def log10_e(one: Finding) -> float:
    """log10 e-value of one finding of one run. What was asked and could not be judged counts as a p-value of 1."""
    if one.log10_evidence is None or one.verdict in ("skipped", "error"):
        return evalues.log10_e(0.0)
    slack = SLACK if CHECK[one.check].conditional else 1.0
    return evalues.log10_e(min(0.0, one.log10_evidence), slack)


def _evidence(findings: Sequence[Finding], pool: _Pool, asked: Asked) -> dict[str, dict[str, float]]:
    """check -> case -> log10 e-value. Drawn cases are one place of a check: the mean over those that were planned."""
    found: dict[str, dict[str, float]] = {}
    drawn: dict[str, list[float]] = {}
    for one in findings:
        check = CHECK[one.check]
        if not _counted(check, one):
            continue
        key = pool.key(check, one.case)
        if key == DRAWN:
            drawn.setdefault(one.check, []).append(log10_e(one))
        else:
            found.setdefault(one.check, {})[key] = log10_e(one)
    for name, values in drawn.items():
        planned = sum(c.drawn and str(c) in pool.cases and CHECK[name] in some for c, some in asked.items())
        missing = [0.0] * max(0, planned - len(values))  # a finding that was not made is no evidence: 1
        found.setdefault(name, {})[DRAWN] = evalues.mean(values + missing)
    return found


# --- what all runs say -------------------------------------------------------------------------------------------------


def _over_runs(one: Finding, standing: dict[str, Standing], pool: _Pool, profile: str, run: int) -> Finding:
    """A finding with the verdict of all runs; exact promises keep that of this run."""
    check = CHECK[one.check]
    if not _at_level(check, one) or one.verdict not in ("pass", "fail", "inconclusive"):
        return one
    if not accumulates(check):
        return _spent(one, check.limits(profile).alpha, run)
    record = _record(check, standing.get(check.name), pool.key(check, one.case))
    if record is None:
        return one
    words = (
        f"evidence after {_runs(record.runs)}: e-value {evalues.words(record.log10_e)} of the "
        f"{evalues.words(record.log10_needed)} that it takes"
    )
    if pool.key(check, one.case) == DRAWN:
        words = f"with all drawn cases, {words}"
    if record.log10_e >= record.log10_needed:
        # a pooled key accuses the cases that stand out in this run; if none does, _unseen speaks for it
        if pool.key(check, one.case) == DRAWN and one.verdict != "fail":
            return msgspec.structs.replace(one, ledger=record)
        verdict: Verdict = "fail"
    elif one.verdict == "fail" and not impossible(one):
        verdict = "inconclusive"
    else:
        verdict = one.verdict
    return msgspec.structs.replace(one, verdict=verdict, message=f"{one.message} ({words})", ledger=record)


def impossible(one: Finding) -> bool:
    """Whether what failed has probability 0 under a right layer."""
    return one.log10_evidence is None or one.log10_evidence <= -evalues.IMPOSSIBLE


def _record(check: Check, standing: Standing | None, key: str) -> OverRuns | None:
    if standing is None or key not in standing.cases:
        return None
    runs, own = standing.cases[key]
    value = min(own, standing.highest)
    return OverRuns(runs=runs, log10_e=value, log10_needed=evalues.needed(ALPHA, check.share))


def _unseen(
    request: AuditRequest, target: str, found: Sequence[Finding], standing: dict[str, Standing], pool: _Pool
) -> list[Finding]:
    """Failures for what the runs have decided and no finding of this run shows: drawn cases, and cases not judged now."""
    shown = {(f.check, pool.key(CHECK[f.check], f.case)) for f in found if f.verdict == "fail"}
    more = []
    for name, one in standing.items():
        for key in one.cases:
            record = _record(CHECK[name], one, key)
            if record is None or record.log10_e < record.log10_needed or (name, key) in shown:
                continue
            text = (
                f"none fails by itself in this run, but the evidence of {_runs(record.runs)} is an e-value of "
                f"{evalues.words(record.log10_e)}; {evalues.words(record.log10_needed)} is what it takes"
            )
            made = msgspec.structs.replace(finding(CHECK[name], key, "fail", text), ledger=record)
            more.append(replayable(request, target, made, None))
    return more


def _spent(one: Finding, alpha: float, run: int) -> Finding:
    """A check on fixed inputs (scale.mean): its runs are not independent, so each may spend a part of alpha alone.

    Run r fails at alpha/(r (r + 1)); these parts add up to alpha. Its margin is Hoeffding's, of 2 exp(-c margin^2), so that
    ln(2/p) is ln(2/alpha) times the square of the excess in margins.
    """
    if one.verdict != "fail" or impossible(one) or one.fail_interval is None:
        return one
    low, high = one.fail_interval
    margin = (high - low) / 2
    excess = abs((low + high) / 2) - float(one.tallies["accepted"])
    log10_p = (math.log(2) - math.log(2 / alpha) * (excess / margin) ** 2) / math.log(10) if margin > 0 else -math.inf
    if log10_p <= math.log10(alpha / (run * (run + 1))):
        return one
    return msgspec.structs.replace(
        one,
        verdict="inconclusive",
        message=f"{one.message} (p = 10^{log10_p:.1f}; run {run} of a ledger may spend alpha/{run * (run + 1)} on inputs that "
        "are the same in every run)",
    )


def _runs(count: int) -> str:
    return f"{count} run" + ("s" if count != 1 else "")


def alone(one: Finding) -> bool:
    """Whether a failure needs no other run: its own coins are enough, or it cannot happen at all."""
    if one.ledger is None or impossible(one) or one.alpha is None:
        return True
    return one.log10_evidence is not None and one.log10_evidence <= math.log10(one.alpha)
