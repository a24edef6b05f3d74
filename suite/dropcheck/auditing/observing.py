"""Which elements a layer drops together in fact, where its masks fail: seen on one small tensor, for the diagnosis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dropcheck.contract.promise import Contract
from dropcheck.judge.pattern_inference import infer, marks
from dropcheck.plan.observed_masks import probe, shape_of
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused, Session, ask

_FAILS = ("mask.whole-channels", "mask.distinct-channels", "mask.distinct-samples", "mask.distinct-calls")
_RATE = 0.4  # away from .5, where swapped keep and drop look the same
_CALLS = 256
_MOST = 1 << 20  # elements of all outputs together


def observed(
    findings: Sequence[Finding], session: Session, info: dict[str, Any], contract: Contract
) -> dict[str, Any] | None:
    """What the masks of one layer follow on a small tensor; None where no mask fails or nothing can be said.

    ``pattern``: as it is typed, empty where no noise shape fits. ``axes``: what drop decisions do along each axis, ``calls``
    the same over calls: coin (they differ), shared (equal), groups, copies, dependent, single, unsure.
    """
    if (
        contract.pattern.blocks
        or info.get("heavy")
        or not any(f.verdict == "fail" and f.check in _FAILS for f in findings)
    ):
        return None
    x = probe(shape_of(contract.pattern))
    try:
        ys = _outputs(session, info, contract, x)
        if any(y.shape != x.shape for y in ys):
            return None
        found = infer(marks(x, np.stack(ys)).dropped, contract.pattern.axes)
    except (Refused, ValueError):
        return None
    if not found.sure:
        return None
    return {
        "pattern": str(found.pattern) if found.pattern is not None else "",
        "axes": {axis.name: axis.kind for axis in found.axes},
        "calls": found.calls.kind,
    }


def _outputs(session: Session, info: dict[str, Any], contract: Contract, x: Any) -> list[Any]:
    from dropcheck.worker.server.rounding import to_float64

    dtype = info["dtypes"][0]
    rate = (contract.rates or (_RATE,))[0]
    calls = max(64, min(_CALLS, _MOST // math.prod(x.shape)))
    made = ask(session, "make", rate=rate, dtype=dtype, seed=20141110, way=(*contract.seeds, "global")[0])
    given = {"id": made["id"], "x": x, "dtype": dtype, "layout": "contiguous", "training": True, "record": False}
    answer = ask(session, "apply", times=calls, **given)
    ask(session, "forget", id=made["id"])
    return [to_float64(np.asarray(y), answer["dtype"]) for y in answer["ys"]]
