"""Inference on tiny and huge values, signed zeros, Inf and NaN, and at the edges of the rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import Layer, probe
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import percent
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding

# Powers of two between which a value, its scaled form and what leads to it are normal numbers of the dtype.
_MAGNITUDES = {"float16": (-12, 14), "bfloat16": (-100, 100), "float32": (-100, 100), "float64": (-300, 300)}


def _spread(bench: Bench, dtype: str, rows: int, channels: int, shared: int) -> Any:
    """A probe whose elements have magnitudes all over the range of the dtype, each coin several."""
    x = probe(bench.contract.pattern, dtype, rows, channels, shared, seed=17)
    low, high = _MAGNITUDES[dtype]
    # the probe's values lie between 2^-1 and 2^3; 7 divides none of these spans
    powers = low + 1 + np.arange(x.size) * 7 % (high - 3 - low)
    return np.asarray(np.ldexp(x, powers.reshape(x.shape)))


def of_all_values(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Inference at the edges of the rate and at a high one, and of values that arithmetic changes."""
    contract = bench.contract
    if not bench.info.get("inference", True) or contract.inference != "identity":
        return []
    found = []
    rates = (0.0, 0.9, 1.0) if contract.rates is None else contract.rates[:1]
    special = np.array([-0.0, np.inf, -np.inf, np.nan])
    for dtype in bench.dtypes:
        for rate in rates:
            where = f"{dtype} rate={rate:g} inference of all values"
            x = _spread(bench, dtype, 9, 65, 3).copy()
            flat = x.reshape(-1)
            if "form.nonfinite" not in bench.info.get(
                "fixed", {}
            ):  # what sums products with 0 makes NaN of Inf, and 0 of -0
                flat[::5] = special[np.arange(len(flat[::5])) % 4]
            try:
                layer = Layer(bench, rate, dtype)
                answer = layer.call(x, training=False)
            except Refused as refused:
                # that rate 1 is refused is judged by rate.one, what rate .5 cannot do by the check's own question
                found.append(skipped(check, where, f"the layer raises {refused}"))
                continue
            if answer.shape != x.shape or answer.dtype != dtype:
                found.append(skipped(check, where, "the output has another shape or dtype (see form.shape-dtype)"))
                continue
            if rounding.same_bits(answer.raw[0], rounding.to_dtype(x, dtype), dtype):
                found.append(finding(check, where, "pass", "inference returns its input bit for bit"))
                continue
            y = answer.values()
            with np.errstate(invalid="ignore"):
                off = ~((y == x) & (np.signbit(y) == np.signbit(x)) | (np.isnan(y) & np.isnan(x)))
            # an ordinary value shows it best, if one has changed
            ordinary = off & np.isfinite(x) & (x != 0)
            place = int(np.argmax((ordinary if ordinary.any() else off).reshape(-1)))
            text = (
                f"inference at rate {rate:g} changes {percent(float(np.mean(off)))} of its input: "
                f"{flat[place]:.9g} becomes {y.reshape(-1)[place]:.9g}"
            )
            found.append(finding(check, where, "fail", text, log10_evidence=-math.inf))
    return found
