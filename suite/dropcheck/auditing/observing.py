"""Which elements a layer drops together in fact, where its masks fail: seen on one small tensor, for the diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dropcheck.contract.promise import Contract
from dropcheck.judge.pattern_inference import infer, marks
from dropcheck.plan.observed_masks import RATE, outputs, probe, shape_of
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused, Session

_FAILS = ("mask.whole-channels", "mask.distinct-channels", "mask.distinct-samples", "mask.distinct-calls")
_CALLS = 256
_FEW = 64  # where a call costs milliseconds
_MOST = 1 << 20  # elements of all outputs together


def observed(
    findings: Sequence[Finding], session: Session, info: dict[str, Any], contract: Contract
) -> dict[str, Any] | None:
    """What the masks of one layer follow on a small tensor; None where no mask fails or nothing can be said.

    ``pattern``: as it is typed, empty where no noise shape fits. ``axes``: what drop decisions do along each axis, ``calls``
    the same over calls: coin (they differ), shared (equal), groups, copies, dependent, single, unsure.
    """
    if (
        contract.pattern.apart
        or (info.get("heavy") and info.get("mode", "eager") != "eager")  # compiled anew for each shape
        or not any(f.verdict == "fail" and f.check in _FAILS for f in findings)
    ):
        return None
    x = probe(shape_of(contract.pattern))
    rate = (contract.rates or (RATE,))[0]
    calls = _FEW if info.get("heavy") else max(_FEW, min(_CALLS, _MOST // x.size))
    try:
        ys = outputs(session, info, contract, rate, x, calls)
        if ys.shape[1:] != x.shape:
            return None
        found = infer(marks(x, ys).dropped, contract.pattern.axes)
    except (Refused, ValueError):
        return None
    if not found.sure:
        return None
    return {
        "pattern": str(found.pattern) if found.pattern is not None else "",
        "axes": {axis.name: axis.kind for axis in found.axes},
        "calls": found.calls.kind,
    }
