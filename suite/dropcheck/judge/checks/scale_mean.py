"""The error of the scale that all kept values share, and the order of roundings that explains it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dropcheck.contract.adapter import Unsupported
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, settle, skipped
from dropcheck.judge.checks.exact_questions import dropped, familiar
from dropcheck.judge.checks.scale_affine import affine_mean
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import differing
from dropcheck.worker.client import Refused, ask
from dropcheck.worker.server import rounding
from dropcheck.worker.server.probe import clear_pool

OTHER = "another order of roundings"
_KINDS = {OTHER: "no usual order of roundings"}  # the names in results, where readers need other ones


def _mean(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    return [
        _mean_at(check, bench, limits, dtype, rate) for dtype in bench.dtypes for rate in bench.rates if 0 < rate < 1
    ]


def _mean_at(check: Check, bench: Bench, limits: Limits, dtype: str, rate: float) -> Finding:
    """Relative error of what all kept values share, from exact fractions."""
    where = f"{dtype} rate={rate:g}"
    pattern = bench.contract.pattern
    way = bench.contract.seeds[0] if bench.contract.seeds else "global"
    sizes = (64, 64, 3)
    shape = pattern.shape(*(sizes if dtype == bench.first else familiar(bench, sizes, (33, 65, 3))))
    try:
        x = clear_pool(dtype, int(np.prod(shape)), 23, rate, bench.contract).reshape(shape)
        layer = ask(bench.session, "make", rate=rate, dtype=dtype, seed=bench.seed, way=way)["id"]
        answer = ask(
            bench.session, "apply", id=layer, x=x, dtype=dtype, layout="contiguous", training=True, record=False
        )
    except Refused as refused:
        return skipped(check, where, f"the layer raises {refused}")
    except Unsupported as reason:
        return skipped(check, where, str(reason))
    if answer["dtype"] != dtype or tuple(answer["shape"]) != shape:
        return skipped(check, where, f"the output is {answer['dtype']} {tuple(answer['shape'])} (see form.shape-dtype)")
    y = rounding.to_float64(answer["ys"][0], dtype)
    kept = np.flatnonzero((~dropped(y, bench, rate, dtype) & np.isfinite(y)).ravel())
    if len(kept) < 64:
        return skipped(check, where, f"{len(kept)} values are kept, too few for a mean")
    # distinct inputs only: copies of one value round alike and add nothing
    _, first = np.unique(x.ravel()[kept], return_index=True)
    chosen = kept[first][: 1024 if bench.profile == "quick" else 4096]
    values, outputs = x.ravel()[chosen], y.ravel()[chosen]
    if bench.contract.affine:
        return affine_mean(check, bench, limits, dtype, rate, values, outputs)
    promised = _promised(bench, y)
    errors = rounding.relative_errors(values, outputs, rate, promised, dtype)
    u = rounding.unit_roundoff(dtype)
    bound = float(rounding.relative_bound(rate, promised, dtype))
    if bench.contract.scale == "realised":  # as in rounding.realised_bounds
        bound = rounding.realised_bound(int(np.count_nonzero(y)), dtype)
    mean = float(np.mean(errors))
    m = len(errors)
    if float(np.ptp(errors)) > 2 * bound * (1 + abs(mean)):  # further apart than roundings of one factor can be
        ratios = outputs / values
        return skipped(
            check,
            where,
            f"kept values have no common factor, but {ratios.min():.6g} to {ratios.max():.6g} times the input; "
            "scale.kept-values judges them one by one",
        )
    # each product's own rounding lies within +-u of the shared factor: Hoeffding's bound for their mean
    margin = 2 * u * math.sqrt(math.log(2 / limits.alpha) / (2 * m))
    sure = 2 * u * math.sqrt(math.log(1 / limits.beta) / (2 * m))
    accepted = u / 4 if limits.strict else bound
    failed = abs(mean) - margin > accepted
    kind = _rounding_class(values, outputs, rate, promised, dtype)
    factor = float(rounding.exact_scale(rate, promised))
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
        "on average, kept values are multiplied by "
        + differing((1 + mean) * factor, factor, 9)
        + (
            f" (relative error {mean:+.3e}, {mean / u:+.2f} units of rounding: {_KINDS.get(kind, kind)})"
            if abs(mean) < 64 * u
            else f" ({1 + mean:.6g} times the expected factor, far beyond rounding)"
        ),
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
        level="trait" if failed and abs(mean) - margin <= bound else None,
    )


def _promised(bench: Bench, y: Any) -> str | float:
    """The scale of the contract; of a realised one the number that this output shows."""
    if bench.contract.scale != "realised":
        return bench.contract.scale
    return float(np.size(y) / max(1, int(np.count_nonzero(y))))


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
    return OTHER


CHECKS = (
    Check(
        name="scale.mean",
        coins_are="values",
        how="The relative errors of thousands of distinct kept values are averaged. The rounding of each value averages out "
        "(Hoeffding's bound), so that the common error of the factor remains. The check fails above u (3 + rate / (1 - rate)), "
        "where u is the rounding unit of the dtype. Under --strict it fails above u / 4. For alpha dropout, factor and offset are "
        "estimated together by least squares. The order of roundings that explains the values is reported as a trait.",
        remedy="Compute the factor 1 / (1 - rate) in float32 or float64, multiply there, and convert the product to the dtype "
        "of the input: `(x.float() * scale).to(x.dtype)`. A factor rounded to float16 or bfloat16 shifts all values.",
        resolution_words="a systematic relative error of the scale factor",
        share=0.04,
        observe=_mean,
    ),
)
