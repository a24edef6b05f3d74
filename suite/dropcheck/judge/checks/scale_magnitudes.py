"""Kept values of every size that a normal number can have: none is flushed, clipped or overflows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.judge.checks import wrong_values
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import Layer, dropped, kept_bounds, ladder, probe
from dropcheck.judge.checks.visible import columns, large_values, repeats, right_values, small_values
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused


def at_magnitudes(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Small and large inputs: what a layer flushes to 0, clips or overflows is not the product."""
    rate = ladder(bench, (0.3,))[0]
    if bench.contract.affine or bench.contract.dropped != 0 or not 0 < rate < 1:
        return []
    found = []
    for dtype in bench.dtypes:
        where = f"{dtype} rate={rate:g} magnitudes"
        try:
            found.append(_of_all_sizes(check, bench, where, rate, dtype))
        except Refused as refused:
            found.append(skipped(check, where, f"the layer raises {refused}"))
    return found


def _of_all_sizes(check: Check, bench: Bench, where: str, rate: float, dtype: str) -> Finding:
    """Values of every size that a normal number and its product with the scale can have, one coin with several of them.

    An element of 0 is a kept one that was flushed if another element of its coin was kept, or if a layer with the same seed
    keeps it in an input of ordinary size. Where coins have one element and no seed repeats them: if the zeros of one size of
    values, some 500 of them, are more than the rate makes with probability above 10^-12 (Hoeffding's bound).
    """
    pattern, contract = bench.contract.pattern, bench.contract
    plain = probe(pattern, dtype, 33, 65, 3)
    factor = abs(contract.scale_at(rate)) or 1.0
    sizes = np.concatenate([small_values(dtype), large_values(dtype)])
    sizes = sizes[(sizes * factor >= sizes.min()) & (sizes * factor <= large_values(dtype).max())]
    x, places = plain.copy(), columns(pattern, plain)
    turned = places[:, 1:] if places.shape[1] > 1 else places
    kind = np.full(x.shape, -1)
    kind.ravel()[turned] = (np.arange(turned.size) % len(sizes)).reshape(turned.shape)
    odd = kind >= 0
    x[odd] = sizes[kind[odd]] * np.sign(plain[odd])
    answer = Layer(bench, rate, dtype).call(x)
    if answer.shape != x.shape or answer.dtype != dtype:
        return skipped(check, where, "the output has another shape or dtype (see form.shape-dtype)")
    y = answer.values()
    gone = dropped(y, bench, rate, dtype)
    wrong = odd & ~gone & ~right_values(bench, x, y, rate, dtype)
    if not wrong.any():
        wrong = odd & gone & ~_fallen(bench, rate, dtype, plain, gone, odd, places)
    if not wrong.any() and places.shape[1] == 1 and not pattern.apart:  # whose elements do not fall one by one
        for number in range(len(sizes)):
            some = kind == number
            room = math.sqrt(12 * math.log(10) / (2 * int(some.sum())))
            if gone[some].mean() > rate + contract.rate_tolerance(rate) + room:
                wrong = wrong | (some & gone)
    kept = int((odd & ~gone).sum())
    if not wrong.any():
        text = f"values from {sizes.min():.3g} to {sizes.max():.3g} in magnitude are {contract.kept_words(rate)}, too"
        return finding(check, where, "pass", text, coins=kept, tallies={"wrong": 0, "kept": kept})
    if not right_values(bench, x, y, rate, dtype)[~odd & ~gone].all():
        return skipped(check, where, "values of ordinary magnitude are wrong, too: see the other cases")
    first = tuple(np.argwhere(wrong)[0])
    low, high = (float(v[first]) for v in kept_bounds(contract, x, rate, dtype, of=y))
    seen = {"input": float(x[first]), "output": float(y[first]), "low": low, "high": high}
    ratio = wrong_values.factor_of(seen, 0.0)
    some = np.abs(x[wrong])
    text = f"{int(wrong.sum())} kept values from {some.min():.3g} to {some.max():.3g} in magnitude are wrong, expected "
    text += f"{contract.kept_words(rate)}; {wrong_values.shown(seen, ratio)}"
    return finding(
        check,
        where,
        "fail",
        text,
        estimate=ratio,
        expected=contract.scale_at(rate),
        unit=wrong_values.UNIT,
        log10_evidence=-math.inf,
        coins=kept,
        tallies={"wrong": int(wrong.sum()), "kept": max(kept, int(wrong.sum()))},
    )


def _fallen(bench: Bench, rate: float, dtype: str, plain: Any, gone: Any, odd: Any, places: Any) -> Any:
    """Which elements of 0 were dropped rightly: as far as it can be told, else all."""
    if places.shape[1] > 1:
        # of every coin one element has an ordinary size; where that was kept all must have been, unless a coin is torn anyway
        lead = gone.ravel()[places[:, 0]]
        twin = dropped(Layer(bench, rate, dtype).call(plain).values(), bench, rate, dtype) if (~lead).any() else gone
        whole = twin.ravel()[places]
        if not (whole.all(axis=1) == whole.any(axis=1)).all():
            return np.ones(gone.shape, bool)
        fell = np.empty(gone.size, bool)
        fell[places] = lead[:, None]
        return fell.reshape(gone.shape)
    if not bench.contract.seeds:
        return np.ones(gone.shape, bool)
    one, two = (dropped(Layer(bench, rate, dtype).call(plain).values(), bench, rate, dtype) for _ in range(2))
    # a flushed element is one that a seed that repeats its coins keeps; what was kept must agree everywhere
    if repeats(one, two, np.ones(gone.shape, bool)) and not (one & ~gone).any():
        return one
    return np.ones(gone.shape, bool)
