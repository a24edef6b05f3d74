"""Invalid rates: an error that names the rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.judge.checks import rate_edges as edges
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import (
    Answer,
    Layer,
    coins_of,
    enough,
    probe,
)
from dropcheck.judge.checks.refusals import crashed_at_rate
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused


def _invalid(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if bench.contract.rates is not None:
        return [skipped(check, "invalid rates", str(edges.fixed(bench, -1.0)))]
    found = []
    pattern = bench.contract.pattern
    for name, rate in (("-0.1", -0.1), ("1.5", 1.5), ("nan", math.nan)):
        where = f"rate={name}"
        x = probe(pattern, bench.first, *enough(pattern, 33, 65, 3))
        try:
            answer = Layer(bench, rate).call(x)
        except Refused as refused:
            if refused.where == "unsupported":
                found.append(skipped(check, where, str(refused)))
                continue
            place = "the constructor" if refused.where == "construct" else "the first call"
            if crashed_at_rate(refused, rate):
                text = f"at rate {name} {place} crashes: {edges.raised(refused)}; expected an error that names the rate"
                found.append(finding(check, where, "fail", text, log10_evidence=-math.inf))
                continue
            found.append(finding(check, where, "pass", f"{place} rejects rate {name} ({refused})"))
            continue
        share, did = _did(x, answer, bench)
        found.append(
            finding(
                check,
                where,
                "fail",
                f"accepted rate {'NaN' if name == 'nan' else name} and {did}, expected an error",
                estimate=share,
                unit="share of elements that are dropped",
                log10_evidence=-math.inf,
                coins=coins_of(pattern, x.shape),
            )
        )
    return found


def _did(x: Any, answer: Answer, bench: Bench) -> tuple[float, str]:
    """The share of dropped elements of a call at an invalid rate, and what the call did in words."""
    values = answer.values()
    if values.shape != x.shape or not values.size:
        return 0.0, f"returned {answer.dtype} {answer.shape}"
    constant = 0.0 if bench.contract.dropped == "alpha" else float(bench.contract.dropped)
    share = float(np.mean(values == constant))
    bad = float(np.mean(~np.isfinite(values)))
    if bad:
        return share, f"returned NaN or Inf in {100 * bad:.3g} % of the elements"
    if share == 1:
        return share, "dropped everything"
    if share == 0:
        return share, "returned its input" if np.array_equal(values, x) else "dropped nothing, but changed the values"
    return share, f"dropped {100 * share:.3g} % of the elements"


CHECKS = (
    Check(
        name="rate.rejects-invalid",
        how="The rates -0.1, 1.5 and NaN must raise an error in the constructor or in the first call. The error must name the "
        "rate or show its value. A crash, such as a math domain error, does not count as a rejection.",
        remedy='Validate in the constructor: `if not 0 <= rate <= 1: raise ValueError(f"rate must lie in [0, 1], not '
        '{rate}")`. Written like this, NaN is rejected, too.',
        observe=_invalid,
    ),
)
