"""Judging: the verdicts of one case, and their order: what cannot be interpreted beside a more basic failure is said so."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from dropcheck.cases import Case
from dropcheck.checks.base import Check, Gathered, finding
from dropcheck.checks.refusals import crashed
from dropcheck.gather import Refusal
from dropcheck.results import NOT_INTERPRETABLE, Finding, Verdict

_COPIES = ("mask.distinct-channels", "mask.distinct-samples", "mask.distinct-calls")
_DEPENDENCE = (
    "mask.independent-channels",
    "mask.independent-samples",
    "mask.independent-calls",
    "mask.dropped-count",
    "mask.patterns",
)
_ROWS = "rate.per-sample"
UNTOUCHED, SHAPE = "form.input-untouched", "form.shape-dtype"
ASIDE = (UNTOUCHED, SHAPE)
_COUNTED_RATES = ("rate.marginal", "rate.per-channel", "rate.per-sample", "rate.per-shape")


def _dtype(case: str) -> str:
    return case.split(" ", 1)[0]


def interpret(findings: Sequence[Finding]) -> list[Finding]:
    """Findings in the order of judgement, dtype by dtype.

    Elements that disagree with their coin make everything counted from coins meaningless; copies make dependence and
    rates so; dependence makes rates so. Those findings become skipped, with the reason, not second failures.
    """
    failed: dict[str, set[str]] = {}
    for one in findings:
        if one.verdict == "fail":
            failed.setdefault(one.check, set()).add(_dtype(one.case))
    judged = []
    for one in findings:
        cause = _basis(one.check, _dtype(one.case), failed)
        if cause is not None and one.verdict in ("pass", "fail", "inconclusive"):
            one = msgspec.structs.replace(
                one, verdict="skipped", message=f"{NOT_INTERPRETABLE} while {cause} fails: {one.message}", picture=None
            )
        elif one.verdict == "inconclusive" and _few_rows(one, failed):
            text = f"{NOT_INTERPRETABLE} while {_ROWS} fails, too few rows have no rate of their own: {one.message}"
            one = msgspec.structs.replace(one, verdict="skipped", message=text, picture=None)
        judged.append(one)
    return judged


def _few_rows(one: Finding, failed: dict[str, set[str]]) -> bool:
    """Whether what is missing went with the rows that have a rate of their own: see ``positions``."""
    asked = one.check in (*_COPIES, *_DEPENDENCE, "seed.distinct", "seed.neighbours")
    dtype = _dtype(one.case)
    return asked and dtype in failed.get(_ROWS, ()) and _basis(_ROWS, dtype, failed) is None


def _basis(check: str, dtype: str, failed: dict[str, set[str]]) -> str | None:
    """The more basic check that fails for this dtype, if any."""

    def first(names: Sequence[str]) -> str | None:
        return next((n for n in names if dtype in failed.get(n, ())), None)

    if check in (*_COPIES, *_DEPENDENCE, *_COUNTED_RATES, "mask.ignores-values", "seed.distinct", "seed.neighbours"):
        found = first(("mask.whole-channels",))
        if found:
            return found
    # rows of equal channels hold few coins: chance makes them repeat more often than rows of independent channels
    if check in (*_COPIES[1:], "seed.distinct") and (found := first(_COPIES[:1])):
        return found
    if check in _DEPENDENCE and (found := first(_COPIES)):
        return found
    if check in _COUNTED_RATES and (found := first((*_COPIES, *_DEPENDENCE))):
        return found
    return None


def judge(
    got: Gathered,
    checks: Sequence[Check],
    aside: Sequence[Check],
    profile: str,
    strict: bool,
    resolution: float | None,
) -> list[Finding]:
    """What each check says of one case.

    ``aside``: of the exact checks that were selected, those of ``ASIDE``, which are told of changed inputs and outputs of
    another shape or dtype. If nobody else speaks for such an output, the checks of the case are an error, never left out.
    """
    found: list[Finding] = []
    malformed = got.proof.get("malformed")
    if malformed:
        wrong = malformed["error"] or f"a call returns {malformed['dtype']} {tuple(malformed['shape'] or ())}"
    spoken = [c for c in aside if c.name == SHAPE]
    for check in checks:
        if check.judge is None:
            continue
        if malformed:
            verdict: Verdict = "skipped" if spoken else "error"
            reason = f"{NOT_INTERPRETABLE} where outputs have another shape or dtype (see {SHAPE}): {wrong}"
            found.append(finding(check, got.case, verdict, reason))
            continue
        if check.family in ("mask", "rate", "seed") and _mostly_nonfinite(got):
            text = f"{NOT_INTERPRETABLE} while outputs are not finite (see scale.kept-values)"
            found.append(finding(check, got.case, "skipped", text))
            continue
        if check.family in ("mask", "rate", "seed") and _unrecognisable(got):
            text = f"{NOT_INTERPRETABLE} while outputs are neither the dropped value nor a kept one (see scale.kept-values)"
            found.append(finding(check, got.case, "skipped", text))
            continue
        limits = check.limits(profile, got.case, strict, resolution)
        one = check.judge(check, got, limits)
        if one is not None:
            if one.alpha is None and math.isfinite(limits.alpha):
                one = msgspec.structs.replace(one, alpha=limits.alpha)
            found.append(one)
    if malformed:
        asked = f"{got.case.dtype} {', '.join(str(s) for s in got.case.shapes(got.contract.pattern))}"
        found.extend(
            finding(c, got.case, "fail", f"{wrong} for an input of {asked}", log10_evidence=-math.inf) for c in spoken
        )
    if got.proof.get("changed_inputs"):
        text = "an input that was reused over calls has changed"
        found.extend(finding(c, got.case, "fail", text) for c in aside if c.name == UNTOUCHED)
    return found


def _mostly_nonfinite(got: Gathered) -> bool:
    """Whether above one per cent of the elements were NaN or Inf: coins then say nothing about the layer's rate."""
    elements = got.tally.coins * got.case.shared
    return bool(got.proof["nonfinite"] > elements / 100)


def _unrecognisable(got: Gathered) -> bool:
    """Whether a dropped value other than 0 was promised and so many elements are wrong that drops may be among them."""
    if got.contract.dropped == 0:
        return False
    elements = got.tally.coins * got.case.shared
    return bool(got.proof["wrong_values"] > elements * min(0.01, got.case.rate / 4))


def refused_case(case: Case, checks: Sequence[Check], refusal: Refusal) -> list[Finding]:
    """What the checks of a case say when the layer raised its own exception on it."""
    verdict: Verdict = "skipped" if refusal.where == "unsupported" else "error"
    text = f"the layer raised {refusal} ({refusal.where})"
    if case.layout != "contiguous" and not crashed(refusal):
        # a layer may refuse what is not contiguous; what the refusal is worth is judged by form.strides
        verdict, text = "skipped", f"{case.layout} inputs are refused (see form.strides): {refusal}"
    return [finding(c, case, verdict, text) for c in checks if c.judge is not None]
