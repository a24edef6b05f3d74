"""The order of judgement: what cannot be interpreted while something more basic fails is said so, not accused."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dropcheck.results import Finding

_COPIES = ("mask.distinct-channels", "mask.distinct-samples", "mask.distinct-calls")
_DEPENDENCE = (
    "mask.independent-channels",
    "mask.independent-samples",
    "mask.independent-calls",
    "mask.dropped-count",
    "mask.patterns",
)
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
                one, verdict="skipped", message=f"not interpretable while {cause} fails: {one.message}", picture=None
            )
        judged.append(one)
    return judged


def _basis(check: str, dtype: str, failed: dict[str, set[str]]) -> str | None:
    """The more basic check that fails for this dtype, if any."""

    def first(names: Sequence[str]) -> str | None:
        return next((n for n in names if dtype in failed.get(n, ())), None)

    if check in (*_COPIES, *_DEPENDENCE, *_COUNTED_RATES, "mask.ignores-values", "seed.distinct", "seed.neighbours"):
        found = first(("mask.whole-channels",))
        if found:
            return found
    if check in _DEPENDENCE and (found := first(_COPIES)):
        return found
    if check in _COUNTED_RATES and (found := first((*_COPIES, *_DEPENDENCE))):
        return found
    return None
