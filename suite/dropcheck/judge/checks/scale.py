"""The scale family: every kept value is x times the scale, and the scale has no systematic error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dropcheck.contract.adapter import Unsupported
from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks import wrong_values
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, in_turn, settle, skipped
from dropcheck.judge.checks.daily_faults import VALUES
from dropcheck.judge.checks.daily_inputs import on_inputs
from dropcheck.judge.checks.daily_sizes import at_sizes
from dropcheck.judge.checks.exact_questions import Layer, dropped, familiar, kept_bounds, ladder, probe
from dropcheck.judge.checks.scale_affine import affine_mean
from dropcheck.judge.checks.visible import columns, large_values, repeats, right_values, small_values
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import differing
from dropcheck.statistics import binomial
from dropcheck.worker.client import Refused, ask
from dropcheck.worker.server import rounding
from dropcheck.worker.server.probe import clear_pool

OTHER = "another order of roundings"
_KINDS = {OTHER: "no usual order of roundings"}  # the names in results, where readers need other ones


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


def _sizes(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
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
    if not wrong.any() and places.shape[1] == 1 and not pattern.blocks:  # whose elements do not fall one by one
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
        observe=in_turn(_sizes, at_sizes(VALUES), on_inputs(VALUES)),
    ),
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
