"""The scale family: every kept value is x times the scale, and what all kept values share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dropcheck.adapter import Unsupported
from dropcheck.checks.affine import affine_mean
from dropcheck.checks.base import Bench, Check, Gathered, Limits, finding, settle, skipped
from dropcheck.checks.questions import dropped
from dropcheck.results import Finding
from dropcheck.statistics import binomial
from dropcheck.worker import rounding
from dropcheck.worker.client import Refused, ask
from dropcheck.worker.probe import clear_pool


def _kept(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    case, proof = got.case, got.proof
    coins = got.tally.coins
    kept = coins - got.tally.dropped
    if case.rate >= 1:
        return None
    if not kept:
        return skipped(check, case, f"no coin of {coins} was kept, so no kept value was seen")
    resolution = binomial.zero_tolerance_resolution(kept, limits.beta)
    wrong = proof["wrong_values"]
    scale, right_words = got.contract.scale_at(case.rate), got.contract.kept_words(case.rate)
    if not wrong:
        return finding(
            check,
            case,
            settle(False, resolution, limits.coarsest),
            f"every value of {kept} kept coins is {right_words}, to the rounding of {case.dtype}",
            estimate=0.0,
            expected=0.0,
            unit="share of kept coins with a wrong value",
            coins=kept,
            resolution=resolution,
            tallies={"wrong": 0, "kept": kept},
        )
    seen = proof["wrong_example"]
    ratio = (seen["output"] - got.contract.offset_at(case.rate)) / seen["input"] if seen["input"] else math.nan
    right = f"{seen['low']:.9g} to {seen['high']:.9g}"
    what = f"input {seen['input']:.9g} became {seen['output']:.9g} (factor {ratio:.6g}); right is {right}"
    if proof["nonfinite"]:
        what = f"{proof['nonfinite']} outputs for finite inputs are not finite; first: {what}"
    return finding(
        check,
        case,
        "fail",
        f"{wrong} elements are neither the dropped value nor {right_words}: {what}",
        estimate=ratio,
        expected=scale,
        unit="factor of a kept value",
        coins=kept,
        resolution=resolution,
        log10_evidence=-math.inf,
        tallies={"wrong": wrong, "nonfinite": proof["nonfinite"], "example": seen, "kept": kept},
    )


def _mean(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    return [
        _mean_at(check, bench, limits, dtype, rate) for dtype in bench.dtypes for rate in bench.rates if 0 < rate < 1
    ]


def _mean_at(check: Check, bench: Bench, limits: Limits, dtype: str, rate: float) -> Finding:
    """Relative error of what all kept values share, from exact fractions."""
    where = f"{dtype} rate={rate:g}"
    pattern = bench.contract.pattern
    way = bench.contract.seeds[0] if bench.contract.seeds else "global"
    shape = pattern.shape(64, 64, 3)
    try:
        x = clear_pool(dtype, int(np.prod(shape)), 23, rate, bench.contract).reshape(shape)
        layer = ask(bench.session, "make", rate=rate, dtype=dtype, seed=bench.seed, way=way)["id"]
        answer = ask(
            bench.session, "apply", id=layer, x=x, dtype=dtype, layout="contiguous", training=True, record=False
        )
    except Refused as refused:
        return skipped(check, where, f"the layer refuses: {refused}")
    except Unsupported as reason:
        return skipped(check, where, str(reason))
    if answer["dtype"] != dtype or tuple(answer["shape"]) != shape:
        return skipped(check, where, f"the output is {answer['dtype']} {tuple(answer['shape'])}: see form.shape-dtype")
    y = rounding.to_float64(answer["ys"][0], dtype)
    kept = np.flatnonzero((~dropped(y, bench, rate, dtype) & np.isfinite(y)).ravel())
    if len(kept) < 64:
        return skipped(check, where, f"{len(kept)} values were kept: too few for a mean")
    # distinct inputs only: copies of one value round alike and add nothing
    _, first = np.unique(x.ravel()[kept], return_index=True)
    chosen = kept[first][: 1024 if bench.profile == "quick" else 4096]
    values, outputs = x.ravel()[chosen], y.ravel()[chosen]
    if bench.contract.affine:
        return affine_mean(check, bench, limits, dtype, rate, values, outputs)
    errors = rounding.relative_errors(values, outputs, rate, bench.contract.scale, dtype)
    u = rounding.unit_roundoff(dtype)
    bound = float(rounding.relative_bound(rate, bench.contract.scale, dtype))
    mean = float(np.mean(errors))
    m = len(errors)
    if float(np.ptp(errors)) > 2 * bound * (1 + abs(mean)):  # further apart than roundings of one factor can be
        ratios = outputs / values
        return skipped(
            check,
            where,
            f"kept values share no factor, they are {ratios.min():.6g} to {ratios.max():.6g} times the input: see "
            "scale.kept-values, which judges them one by one",
        )
    # each product's own rounding lies within +-u of the shared factor: Hoeffding's bound for their mean
    margin = 2 * u * math.sqrt(math.log(2 / limits.alpha) / (2 * m))
    sure = 2 * u * math.sqrt(math.log(1 / limits.beta) / (2 * m))
    accepted = u / 4 if limits.strict else bound
    failed = abs(mean) - margin > accepted
    kind = _rounding_class(values, outputs, rate, bench.contract.scale, dtype)
    factor = float(rounding.exact_scale(rate, bench.contract.scale))
    bench.traits.setdefault("scale rounding", {})[where] = {
        "class": kind,
        "mean_relative_error": mean,
        "in_units": mean / u,
        "factor": (1 + mean) * factor,
    }
    return finding(
        check,
        where,
        "fail" if failed else settle(False, margin + sure + accepted, None),
        f"the factor that kept values share is {(1 + mean) * factor:.9g} instead of {factor:.9g} "
        f"({mean:+.3e} relative, {mean / u:+.2f} u): {kind}",
        estimate=mean,
        expected=0.0,
        unit="relative error of the scale",
        coins=m,
        fail_interval=(mean - margin, mean + margin),
        pass_interval=(mean - sure, mean + sure),
        resolution=accepted + margin + sure,
        log10_evidence=-math.inf
        if failed and abs(mean) - 2 * u > accepted
        else (math.log10(limits.alpha) if failed else 0.0),
        tallies={"mean": mean, "values": m, "accepted": accepted, "class": kind},
    )


def _rounding_class(values: Any, outputs: Any, rate: float, scale: str | float, dtype: str) -> str:
    """Which order of roundings explains every output: the trait that tells implementations apart."""
    factor = float(rounding.exact_scale(rate, scale))
    keep = 1.0 - rate

    def rounded(v: Any, to: str) -> Any:
        return rounding.to_float64(rounding.to_dtype(np.asarray(v, dtype=np.float64), to), to)

    wide = "float64" if dtype == "float64" else "float32"
    recipes: dict[str, Callable[[], Any]] = {
        "product rounded once": lambda: rounded(values * factor, dtype),
        f"factor rounded to {dtype} first": lambda: rounded(values * rounded(factor, dtype), dtype),
        f"divisor rounded to {dtype} first": lambda: rounded(values / rounded(keep, dtype), dtype),
        f"divisor rounded to {dtype}, factor too": lambda: rounded(
            values * rounded(1.0 / rounded(keep, dtype), dtype), dtype
        ),
        f"rate and divisor rounded to {dtype}, factor too": lambda: rounded(
            values * rounded(1.0 / rounded(1.0 - rounded(rate, dtype), dtype), dtype), dtype
        ),
        "factor in float32, product rounded": lambda: rounded(rounded(values * rounded(factor, wide), wide), dtype),
        "divisor in float32, quotient rounded": lambda: rounded(rounded(values / rounded(keep, wide), wide), dtype),
        "rate and divisor in float32, quotient rounded": lambda: rounded(
            rounded(values / rounded(1.0 - rounded(rate, wide), wide), wide), dtype
        ),
    }
    for name, recipe in recipes.items():
        if np.array_equal(recipe(), outputs):
            return name
    return "another order of roundings"


CHECKS = (
    Check(
        name="scale.kept-values",
        claim="every kept value is x * scale, to the rounding of its dtype",
        how="The value of every kept coin of every call is compared with x / (1 - rate), computed with exact fractions. "
        "Allowed is the forward error of the ordinary formula, u (3 + rate / (1 - rate)) with its higher-order terms, and "
        "no more. Where the contract declares an affine form (alpha dropout), it is x a + b, with an interval for each of a "
        "and b in which every number of their formulas is rounded once. One wrong value is a failure.",
        remedy="Multiply by 1 / (1 - rate) in training and by nothing in inference; do not normalise by the realised share "
        "of kept elements; do not add noise; compute the factor from the same rate that the coins use.",
        resolution_words="a share of kept coins with a wrong value",
        share=0.0,
        coarsest={"quick": 5e-2, "standard": 5e-3, "deep": 5e-4},
        wants=lambda case: case.regime in ("stream", "values", "seeds") and case.rate < 1,
        judge=_kept,
    ),
    Check(
        name="scale.mean",
        claim="what all kept values share: the systematic error of the scale",
        how="The mean relative error of thousands of distinct kept values against the exact product; the rounding of each "
        "product averages out (Hoeffding's bound), what remains is shared. It fails beyond u (3 + rate / (1 - rate)), "
        "under --strict beyond a quarter of u, and is always reported as a trait with the order of roundings that explains it. "
        "Of an affine form, the factor and the offset are estimated together by least squares.",
        remedy="Round the product once: compute the factor in at least single precision and convert the product, not the "
        "factor, to the dtype of the input.",
        resolution_words="a systematic relative error of the scale",
        share=0.04,
        observe=_mean,
    ),
)
