"""What all kept values of an affine form share: the systematic errors of its factor and of its offset."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, settle, skipped
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import differing
from dropcheck.worker.server import rounding


def affine_mean(
    check: Check, bench: Bench, limits: Limits, dtype: str, rate: float, values: Any, outputs: Any
) -> Finding:
    """Errors of factor and offset by least squares over distinct kept ``values``.

    A value's own roundings (of the product and of the sum) lie within u (|a x| + |y|), higher orders included. Where a is
    near 1 and b near 0 they do not average out, so what a right layer may show is its coefficients' reach and all of its
    roundings with their worst signs: a bound that holds for certain, without a level. Under strict, errors are those beyond
    the correctly rounded result, and each estimate has Hoeffding's bound: P(|error| > m) <= 2 exp(-m^2 / (2 sum (w c)^2)).
    """
    where = f"{dtype} rate={rate:g}"
    contract = bench.contract
    known = rounding.coefficients(rate, contract.scale, contract.offset, dtype)
    if known is None:
        return skipped(check, where, f"in {dtype} the coefficients have no bound at this rate")
    a = float(rounding.exact_scale(rate, contract.scale))
    b = float(rounding.exact_offset(rate, contract.offset))
    left = rounding.residuals(values, outputs, rate, contract.scale, contract.offset, dtype)
    u = rounding.unit_roundoff(dtype)
    own = u * (1 + u) * (np.abs(values * _largest(known[0])) + np.abs(outputs))
    weights = np.linalg.pinv(np.stack([values, np.ones_like(values)], axis=1))
    errors = weights @ left
    margins = sure = (np.abs(weights) * own).sum(axis=1)
    accepted = np.array([_reach(known[0], a), _reach(known[1], b)])
    beyond = bool((np.abs(errors) - margins > accepted).any())
    if limits.strict:
        # another rounding of the same size stands between the exact and the correctly rounded result
        right = rounding.to_float64(rounding.to_dtype(outputs - left, dtype), dtype)
        errors, own = weights @ (outputs - right), own + u * np.abs(outputs)
        spread = np.sqrt(2 * ((weights * own) ** 2).sum(axis=1))
        margins = spread * math.sqrt(math.log(4 / limits.alpha))  # two estimates share the level
        sure = spread * math.sqrt(math.log(2 / limits.beta))
        accepted = np.array([u / 4 * abs(a), u / 4 * abs(b)])
    failed = bool((np.abs(errors) - margins > accepted).any())
    trait = failed and limits.strict and not beyond
    kind = _rounding_class(values, outputs, a, b, dtype)
    bench.traits.setdefault("scale rounding", {})[where] = {
        "class": kind,
        "mean_relative_error": float(errors[0] / a),
        "in_units": float(errors[0] / a / u),
        "factor": a + float(errors[0]),
        "offset": b + float(errors[1]),
    }
    parts = np.abs(errors) - margins - accepted
    resolution = float((accepted + margins + sure).max() / abs(a))
    return finding(
        check,
        where,
        "fail" if failed else settle(False, resolution, None),
        f"on average, kept values are multiplied by {differing(a + errors[0], a, 9)}, and have the offset "
        f"{differing(b + errors[1], b, 9)} ({kind})",
        estimate=float(errors[0] / a),
        expected=0.0,
        unit="relative error of the factor",
        coins=len(values),
        fail_interval=(float((errors[0] - margins[0]) / a), float((errors[0] + margins[0]) / a)),
        pass_interval=(float((errors[0] - sure[0]) / a), float((errors[0] + sure[0]) / a)),
        resolution=resolution,
        log10_evidence=(math.log10(limits.alpha) if limits.strict else -math.inf) if failed else 0.0,
        tallies={
            "factor": float(errors[0]),
            "offset": float(errors[1]),
            "values": len(values),
            "accepted": [float(v) for v in accepted],
            "beyond": [float(v) for v in parts],
            "class": kind,
        },
        level="trait" if trait else None,
    )


def _largest(interval: Any) -> float:
    """The largest magnitude of an interval, as a float."""
    return max(abs(float(interval[0])), abs(float(interval[1])))


def _reach(interval: Any, exact: float) -> float:
    return max(abs(float(interval[0]) - exact), abs(float(interval[1]) - exact))


def _rounding_class(values: Any, outputs: Any, a: float, b: float, dtype: str) -> str:
    """Which order of roundings explains every output: the trait that tells implementations apart."""

    def rounded(v: Any, to: str) -> Any:
        return rounding.to_float64(rounding.to_dtype(np.asarray(v, dtype=np.float64), to), to)

    wide = "float64" if dtype == "float64" else "float32"
    recipes: dict[str, Callable[[], Any]] = {
        "result rounded once": lambda: rounded(values * a + b, dtype),
        f"factor and offset in {wide}, product and sum rounded there": lambda: rounded(
            rounded(rounded(values * rounded(a, wide), wide) + rounded(b, wide), wide), dtype
        ),
        f"factor and offset rounded to {dtype} first, fused": lambda: rounded(
            values * rounded(a, dtype) + rounded(b, dtype), dtype
        ),
        f"factor and offset rounded to {dtype} first, product and sum too": lambda: rounded(
            rounded(values * rounded(a, dtype), dtype) + rounded(b, dtype), dtype
        ),
        f"product rounded to {dtype}, offset added unrounded": lambda: rounded(rounded(values * a, dtype) + b, dtype),
    }
    for name, recipe in recipes.items():
        if np.array_equal(recipe(), outputs):
            return name
    return "another order of roundings"
