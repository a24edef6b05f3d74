"""Every kept value is x times the scale, to the rounding of its dtype."""

from __future__ import annotations

import math
from typing import Any

from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks import wrong_values
from dropcheck.judge.checks.base import Check, Limits, finding, in_turn, settle, skipped
from dropcheck.judge.checks.daily_faults import VALUES
from dropcheck.judge.checks.daily_inputs import on_inputs
from dropcheck.judge.checks.daily_sizes import at_sizes
from dropcheck.judge.checks.scale_magnitudes import at_magnitudes
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import differing
from dropcheck.statistics import binomial


def _kept(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    case, proof = got.case, got.proof
    coins = got.tally.coins
    kept = coins - got.tally.dropped
    if case.rate >= 1:
        return None
    if not kept:
        return skipped(check, case, f"all {coins} drop decisions are drops: no kept value is visible")
    resolution = binomial.zero_tolerance_resolution(kept, limits.beta)
    wrong = proof["wrong_values"]
    scale, right_words = got.contract.scale_at(case.rate), got.contract.kept_words(case.rate)
    if not wrong:
        return finding(
            check,
            case,
            settle(False, resolution, limits.coarsest),
            f"all kept values are {right_words} within the rounding of {case.dtype}",
            estimate=0.0,
            expected=0.0,
            unit="share of wrong kept values",
            coins=kept,
            resolution=resolution,
            tallies={"wrong": 0, "kept": kept},
        )
    seen = proof["wrong_example"]
    ratio = wrong_values.factor_of(seen, got.contract.offset_at(case.rate))
    what = wrong_values.shown(seen, ratio)
    if proof["nonfinite"]:
        what = f"{_nonfinite(proof)} for finite inputs; the first: {what}"
    return finding(
        check,
        case,
        "fail",
        _factors(wrong, ratio, scale, right_words, what, got.contract.affine),
        estimate=ratio,
        expected=scale,
        unit=wrong_values.UNIT,
        coins=kept,
        resolution=resolution,
        log10_evidence=-math.inf,
        tallies={"wrong": wrong, "nonfinite": proof["nonfinite"], "example": seen, "kept": kept},
    )


def _factors(wrong: int, ratio: float, scale: float, right: str, example: str, affine: bool) -> str:
    """The sentence of a failure: the factor measured and the factor expected where a value has one, then the first value."""
    if example.partition(" ")[0].isdigit():  # NaN and Inf are counted there
        return example
    text = f"{wrong} kept values are wrong, expected {right}"
    if math.isfinite(ratio) and not affine and abs(ratio / scale - 1) > 1e-3:
        text = f"kept values are multiplied by {differing(ratio, scale)} ({wrong} wrong values)"
    return f"{text}; {example}"


def _nonfinite(proof: dict[str, Any]) -> str:
    """How many outputs are NaN and how many Inf; early results have their sum only."""
    total, nan = int(proof["nonfinite"]), proof.get("nan")
    if nan is None:
        return f"{total} outputs are not finite"
    return " and ".join(f"{n} outputs are {name}" for n, name in ((nan, "NaN"), (total - nan, "Inf")) if n)


CHECKS = (
    Check(
        name="scale.kept-values",
        zero_events=True,
        forbidden=("wrong",),
        coins_are="kept",
        how="Every kept value of every call is compared with x / (1 - rate), computed with exact fractions. The allowed error "
        "is that of the usual formula, u (3 + rate / (1 - rate)), where u is the rounding unit of the dtype. For alpha "
        "dropout the expected value is a x + b, with the rounding errors of a and b. One wrong value is a failure. Very small "
        "and very large values are tested, too: none may become 0, be clipped or overflow.",
        remedy="Multiply kept values by 1 / (1 - rate) in training and by nothing in inference. Compute the factor from the "
        "rate that the mask uses, not from the share of elements that happen to be kept (`mask.mean()`).",
        resolution_words="a share of wrong kept values",
        share=0.0,
        coarsest={"quick": 5e-2, "standard": 5e-3, "deep": 5e-4},
        wants=lambda case: case.regime in ("stream", "values", "seeds") and case.rate < 1,
        judge=_kept,
        observe=in_turn(at_magnitudes, at_sizes(VALUES), on_inputs(VALUES)),
    ),
)
