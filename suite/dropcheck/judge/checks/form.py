"""The form family: shapes, dtypes, strides, batches, empty inputs, ranks, and what happens to the input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dropcheck.contract.promise import Pattern
from dropcheck.judge.checks.base import Bench, Check, Limits, exact, finding, in_turn, skipped
from dropcheck.judge.checks.crossings import mode_after, recorded_and_edges
from dropcheck.judge.checks.daily_sizes import SHAPE, at_sizes
from dropcheck.judge.checks.exact_questions import (
    OUTPUT_SHAPE,
    Answer,
    Layer,
    by_coin,
    coins_of,
    dropped,
    familiar,
    ladder,
    probe,
    telling,
)
from dropcheck.judge.checks.refusals import crashed
from dropcheck.judge.checks.sizes import changing, law_at_ranks, no_channels
from dropcheck.judge.checks.visible import KEPT, UNSEEN, WHOLE, columns, follows, repeats, right_values
from dropcheck.results.audit import Finding, Verdict
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding

_TRAIT = "Inf and NaN in dropped channels"


def _rate(bench: Bench) -> float:
    return ladder(bench, (0.3,))[0]


@dataclass(frozen=True)
class _Wrong:
    """What is wrong with an output: the check that owns such a fault, and the words."""

    check: str
    words: str


def _right(bench: Bench, pattern: Pattern, x: Any, y: Any, rate: float, dtype: str) -> _Wrong | None:
    """What is wrong with an output: elements that disagree with their coin, or wrong values; None if nothing is."""
    gone = dropped(y, bench, rate, dtype)
    coins = by_coin(pattern, gone)
    mixed = int(np.count_nonzero(coins.any(axis=1) != coins.all(axis=1)))
    if mixed:
        return _Wrong(WHOLE, f"{mixed} of {len(coins)} drop decisions have dropped and kept elements")
    if bench.contract.keeps_at(rate):
        wrong = ~gone & ~right_values(bench, x, y, rate, dtype)
        if wrong.any():
            text = f"{int(wrong.sum())} of {y.size} elements are neither dropped nor the input times the scale"
            return _Wrong(KEPT, text)
    if not gone.any() and (1 - rate) ** coins_of(pattern, x.shape) < 1e-12:  # by chance with that probability
        return _Wrong("rate.marginal", "nothing is dropped")
    return None


def _shape_dtype(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    found = [
        finding(
            check,
            f"{dtype} first call",
            "fail",
            f"the layer rejects {dtype} inputs: {words}. To skip {dtype}: --dtype {','.join(bench.dtypes)}",
            log10_evidence=-math.inf,
        )
        for dtype, words in bench.refused.items()
    ]
    rate = _rate(bench)
    asked = [(rate, True, 33), (rate, False, 33), (rate, True, 1025)]
    # layers often return early at the edges of the rate; that a layer refuses one of them is judged elsewhere
    asked += [(edge, True, 33) for edge in (0.0, 1.0) if bench.contract.rates is None or edge in bench.contract.rates]
    for dtype in bench.dtypes:
        for at, training, rows in asked:
            where = (
                f"{dtype} rate={at:g}" + ("" if training else " inference") + ("" if rows == 33 else f" {rows} rows")
            )
            x = probe(bench.contract.pattern, dtype, rows, 65, 3)
            try:
                answer = Layer(bench, at, dtype).call(x, training=training)
            except Refused as refused:
                if refused.where == "unsupported":  # what the adapter cannot ask is no refusal of the layer
                    found.append(skipped(check, where, refused.message))
                elif at == rate:
                    found.append(finding(check, where, "fail", f"the layer raises {refused} on a {dtype} input"))
                continue
            wrong = []
            if answer.dtype != dtype:
                wrong.append(f"a {dtype} input gives a {answer.dtype} output")
            if answer.shape != x.shape:
                wrong.append(f"an input of shape {x.shape} {OUTPUT_SHAPE} {answer.shape}")
            found.append(exact(check, where, "; ".join(wrong), "the output has the shape and dtype of the input"))
    return found


def _strides(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    layouts = [name for name in bench.info["layouts"] if name != "contiguous"]
    if not layouts:
        return [skipped(check, "strides", f"dropcheck has no strided {bench.info['framework']} arrays")]
    found = []
    rate = _rate(bench)
    for dtype in bench.dtypes:
        for layout in layouts:
            where = f"{dtype} rate={rate:g} {layout}"
            try:
                x = telling(bench, rate, dtype, 33, 65, 6)
                layer = Layer(bench, rate, dtype)
                answer = layer.call(x, layout=layout, times=2)
                quiet = layer.call(x, layout=layout, training=False)
            except Refused as refused:
                if crashed(refused):
                    text = f"the layer crashes on a {layout} input: {refused}"
                    found.append(finding(check, where, "fail", text, log10_evidence=-math.inf))
                    continue
                verdict: Verdict = "skipped" if refused.where == "unsupported" else "pass"
                found.append(finding(check, where, verdict, f"the layer rejects {layout} inputs: {refused}"))
                continue
            if answer.shape != x.shape or answer.dtype != dtype:
                found.append(
                    finding(
                        check,
                        where,
                        "fail",
                        f"the output is {answer.dtype} {answer.shape}, expected {dtype} {x.shape}",
                    )
                )
                continue
            verdict, text = _laid_out(bench, x, answer, quiet, layout, rate, dtype)
            found.append(
                finding(
                    check,
                    where,
                    verdict,
                    text,
                    log10_evidence=-math.inf if verdict == "fail" else 0.0,
                    coins=2 * 33 * 65,
                )
            )
    return found


def _laid_out(
    bench: Bench, x: Any, answer: Answer, quiet: Answer, layout: str, rate: float, dtype: str
) -> tuple[Verdict, str]:
    """The verdict on training and inference calls with one layout; what a contiguous input shows too is not the layout's.

    The control, the same calls by a layer with the same seed on a contiguous input, is asked only where something is wrong.
    """
    pattern = bench.contract.pattern
    wrong = next((w for i in range(2) if (w := _right(bench, pattern, x, answer.values(i), rate, dtype))), None)
    still = np.array_equal(quiet.values(), x)
    if wrong is None and (still or bench.contract.inference == "active"):
        return "pass", f"{layout} inputs work"
    control = Layer(bench, rate, dtype)
    try:
        plain, plain_quiet = control.call(x, times=2), control.call(x, training=False, times=2)
    except Refused as refused:
        return "skipped", f"the layer rejects a contiguous input: {refused}"
    if wrong is not None:
        torn = _differently(bench, x, answer, plain, rate, dtype)
        if torn is not None:
            return "fail", f"with a {layout} input, {torn}"
        known = {w.check for i in range(2) if (w := _right(bench, pattern, x, plain.values(i), rate, dtype))}
        if wrong.check not in known:
            return "fail", f"with a {layout} input, {wrong.words}; with a contiguous one this is right"
        return "skipped", follows(wrong.check, f"with contiguous and {layout} inputs, {wrong.words}")
    if np.array_equal(quiet.values(), plain_quiet.values()):
        return "pass", f"{layout} inputs work: inference treats them like contiguous ones"
    if np.array_equal(plain_quiet.values(0), plain_quiet.values(1)):
        return "fail", f"with a {layout} input, inference returns other values than with a contiguous one"
    return "skipped", follows("mode.inference", f"inference changes contiguous and {layout} inputs")


def _differently(bench: Bench, x: Any, answer: Answer, plain: Answer, rate: float, dtype: str) -> str | None:
    """Whether the same coins fell as for a contiguous input and the values are others all the same; in words."""
    for i in range(2):
        one, two = answer.values(i), plain.values(i)
        gone = dropped(one, bench, rate, dtype)
        if not repeats(gone, dropped(two, bench, rate, dtype), np.ones(x.shape, bool)):
            continue
        room = 4 * rounding.unit_roundoff(dtype) * np.abs(two)  # another order of roundings of one product
        with np.errstate(invalid="ignore"):
            off = int(np.count_nonzero(~(np.abs(one - two) <= room) & ~(np.isnan(one) & np.isnan(two))))
        if off:
            return f"{off} of {one.size} values differ from those with a contiguous input, under the same mask"
    return None


def _batch_change(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    found = []
    rate = _rate(bench)
    for sizes in ((4, 64, 1, 513, 64, 2), (257, 3, 1025)):
        where = f"{bench.first} rate={rate:g} batches={','.join(map(str, sizes))}"
        verdict, text = _batches(bench, rate, sizes)
        found.append(
            finding(
                check,
                where,
                verdict,
                text,
                log10_evidence=-math.inf if verdict == "fail" else 0.0,
                coins=sum(sizes) * familiar(bench, (1, 33, 3), (1, 64, 3))[1],
            )
        )
    return found


def _batches(bench: Bench, rate: float, sizes: tuple[int, ...]) -> tuple[Verdict, str]:
    """The verdict on one layer that meets batches of these sizes; a fresh layer that meets one batch alone is the control."""
    layer, follower = Layer(bench, rate), None
    for number, rows in enumerate(sizes):
        # other values for every batch: a stale row of an earlier one must not look right
        x = telling(bench, rate, bench.first, *familiar(bench, (rows, 33, 3), (rows, 64, 3)), seed=5 + number)
        try:
            problem = _batch(bench, rate, x, layer.call(x))
        except Refused as refused:
            if _refuses(bench, rate, x):
                return "fail", f"a batch of {rows} raises {refused}, also in a new layer"
            return "fail", f"a batch of {rows} after one of {sizes[0]} raises {refused}"
        if problem is None:
            continue
        try:
            alone = _batch(bench, rate, x, Layer(bench, rate).call(x))
        except Refused:
            alone = None
        if alone is None or alone.check != problem.check:
            return (
                "fail",
                f"in a batch of {rows} after one of {sizes[0]}, {problem.words}; in a new layer this is right",
            )
        if follower is None:
            follower = follows(problem.check, f"in a batch of {rows}, alone and after others, {problem.words}")
    if follower is not None:
        return "skipped", follower
    return "pass", "the layer accepts batches of changing size"


def _batch(bench: Bench, rate: float, x: Any, answer: Answer) -> _Wrong | None:
    """What is wrong with the output for one batch, and whose fault such a thing is."""
    if answer.shape != x.shape:
        return _Wrong("form.shape-dtype", f"an input of shape {x.shape} {OUTPUT_SHAPE} {answer.shape}")
    if answer.dtype != bench.first:
        return None
    values, pattern = answer.values(), bench.contract.pattern
    wrong = _right(bench, pattern, x, values, rate, bench.first)
    if wrong is None:
        gone = by_coin(pattern, dropped(values, bench, rate, bench.first)).all(axis=1)
        tail = gone[len(gone) // 2 :]
        # by chance with probability below 10^-12, whatever the rate; at rate 1 it is what should be
        if len(tail) >= 2000 and tail.all() and rate ** len(tail) < 1e-12:
            wrong = _Wrong("rate.marginal", "the second half is dropped as a whole")
    return wrong


def _refuses(bench: Bench, rate: float, x: Any) -> bool:
    try:
        Layer(bench, rate).call(x)
    except Refused:
        return True
    return False


def _empty(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    found = []
    rate = _rate(bench)
    for name, sizes in (("no rows", (0, 8, 3)), ("no elements", (4, 8, 0))):
        if not bench.contract.pattern.shared and sizes[2] == 0:
            continue
        if not bench.contract.pattern.row_axes and sizes[0] == 0:
            continue
        for training in (True, False):
            where = f"{bench.first} {name}" + ("" if training else " inference")
            x = probe(bench.contract.pattern, bench.first, *sizes)
            try:
                answer = Layer(bench, rate).call(x, training=training)
            except Refused as refused:
                if crashed(refused):
                    text = f"the layer crashes on an empty input ({name}): {refused}"
                    found.append(finding(check, where, "fail", text, log10_evidence=-math.inf))
                    continue
                found.append(finding(check, where, "pass", f"the layer rejects an empty input ({name}): {refused}"))
                continue
            problem = ""
            if (answer.shape, answer.dtype) != (x.shape, bench.first):
                problem = f"gives {answer.dtype} {answer.shape}, expected {bench.first} {x.shape}"
                problem = f"an empty input ({name}) {problem}"
            found.append(exact(check, where, problem, f"an empty input ({name}) works"))
    return found


def _ranks(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    rate = _rate(bench)
    found = []
    for pattern in bench.contract.ranks:
        where = f"{bench.first} rate={rate:g} '{pattern}'"
        # without a row axis a call has few coins: several calls on many channels
        x = telling(bench, rate, bench.first, 33, 129, 6, pattern=pattern)
        try:
            answer = Layer(bench, rate).call(x, times=4)
        except Refused as refused:
            found.append(
                finding(
                    check,
                    where,
                    "fail",
                    f"the contract declares '{pattern}', but the layer rejects such an input: {refused}",
                )
            )
            continue
        problem = None
        for i in range(4):
            if answer.shape != x.shape:
                problem = f"an input of shape {x.shape} {OUTPUT_SHAPE} {answer.shape}"
            else:
                wrong = _right(bench, pattern, x, answer.values(i), rate, answer.dtype)
                if wrong is not None and problem is None and wrong.check in _at_the_main_rank(bench, rate):
                    found.append(skipped(check, where, follows(wrong.check, f"for '{pattern}', {wrong.words}")))
                    break
                problem = problem or (wrong.words if wrong is not None else None)
                problem = problem or _coarser(pattern, dropped(answer.values(i), bench, rate, answer.dtype))
        else:
            found.append(_of_rank(check, where, pattern, problem))
    _other_ranks(bench, rate)
    return found or [
        skipped(
            check, "ranks", "the contract declares no other rank; the behaviour at other ranks is reported as a trait"
        )
    ]


def _of_rank(check: Check, where: str, pattern: Pattern, problem: str | None) -> Finding:
    good = f"inputs of rank {len(pattern.axes)} follow '{pattern}'"
    return exact(check, where, f"for '{pattern}', {problem}" if problem else "", good)


def _at_the_main_rank(bench: Bench, rate: float) -> set[str]:
    """The control: whose faults the contract's own rank shows as well."""
    pattern = bench.contract.pattern
    x = telling(bench, rate, bench.first, 33, 129, 6)
    answer = Layer(bench, rate).call(x, times=4)
    if answer.shape != x.shape or answer.dtype != bench.first:
        return set()
    each = (_right(bench, pattern, x, answer.values(i), rate, bench.first) for i in range(4))
    return {w.check for w in each if w is not None}


def _coarser(pattern: Pattern, gone: Any) -> str | None:
    """Whether the coins of whole rows or whole channels agree throughout (129 x 33 coins cannot by chance)."""
    rows, channels = pattern.matrix_shape(gone.shape)
    matrix = by_coin(pattern, gone).all(axis=1).reshape(rows, channels)
    if rows > 8 and channels > 8 and 0 < matrix.mean() < 1:
        if (matrix.all(axis=1) == matrix.any(axis=1)).all():
            return "whole samples are dropped together"
        if (matrix.all(axis=0) == matrix.any(axis=0)).all():
            return "all samples drop the same channels"
    return None


def _other_ranks(bench: Bench, rate: float) -> None:
    """What inputs of undeclared ranks do: refused, or the axes whose elements share a coin."""
    declared = {len(p.axes) for p in (bench.contract.pattern, *bench.contract.ranks)}
    traits = bench.traits.setdefault("other ranks", {})
    for rank in (2, 3, 4, 5):
        if rank in declared:
            continue
        shape = (13, 11, 7, 5, 3)[:rank]
        x = np.asarray(rounding.pool(bench.first, int(np.prod(shape)), 9).reshape(shape))
        try:
            answer = Layer(bench, rate).call(x, times=3)
        except Refused as refused:
            traits[str(rank)] = f"rejected ({refused.kind})"
            continue
        if answer.shape != shape:
            traits[str(rank)] = f"the shape becomes {answer.shape}"
            continue
        gone = [dropped(answer.values(i), bench, rate, bench.first) for i in range(3)]
        if not any(g.any() for g in gone):
            traits[str(rank)] = "nothing is dropped"
            continue
        shared = [axis for axis in range(rank) if all(bool((g.all(axis=axis) == g.any(axis=axis)).all()) for g in gone)]
        names = [f"axis {a}" for a in range(rank) if a not in shared]
        traits[str(rank)] = (
            "one drop decision per (" + ", ".join(names) + ")" if names else "one drop decision for the whole tensor"
        )


def _untouched(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if bench.info.get("overwrites"):
        return [skipped(check, "input", "this is the in-place variant, which overwrites its input by design")]
    found = []
    fresh = "fresh-output" in bench.contract.promises
    for rate in ladder(bench, (0.3, 0.0)):
        for dtype in bench.dtypes:
            for training in (True, False):
                where = f"{dtype} rate={rate:g}" + ("" if training else " inference")
                x = probe(bench.contract.pattern, dtype, 33, 65, 3)
                try:
                    answer = Layer(bench, rate, dtype).call(x, training=training, times=2)
                except Refused as refused:
                    found.append(skipped(check, where, f"the layer raises {refused}"))
                    continue
                wrong = []
                if answer.input_changed:
                    wrong.append("the call overwrites its input")
                if answer.earlier_changed:
                    wrong.append("a later call changes the output of an earlier one")
                if answer.same_object and training and 0 < rate < 1:
                    wrong.append("the output of a training call shares memory with the input")
                elif answer.same_object and fresh:
                    where_not = "in inference" if not training else "at rate 0"
                    wrong.append(
                        f"{where_not} the output shares memory with the input; the contract declares a new array"
                    )
                found.append(exact(check, where, "; ".join(wrong), "input and earlier outputs stay unchanged"))
    return found


def _nonfinite(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    found = []
    rate = ladder(bench, (0.5,))[0]
    promised = "nonfinite" in bench.contract.promises
    for dtype in bench.dtypes:
        where = f"{dtype} rate={rate:g} with Inf and NaN"
        try:
            told = _leaks(bench, rate, dtype)
        except Refused as refused:
            found.append(skipped(check, where, f"the layer raises {refused}"))
            continue
        if isinstance(told, str):
            if told == UNSEEN:
                bench.traits.setdefault(_TRAIT, {})[dtype] = UNSEEN
            found.append(skipped(check, where, told))
            continue
        leaks, fallen = told
        leaking = [f"{name} ({leaks[name]} of {fallen[name]})" for name in leaks if leaks[name]]
        bench.traits.setdefault(_TRAIT, {})[dtype] = "leak: " + ", ".join(leaking) if leaking else "are dropped"
        if leaking and (promised or limits.strict):
            found.append(
                finding(
                    check,
                    where,
                    "fail",
                    f"dropped elements become NaN or Inf, expected 0: {', '.join(leaking)}",
                    log10_evidence=-math.inf,
                    tallies={"leaks": leaks, "dropped": fallen},
                    level=None if promised else "trait",
                )
            )
        elif leaking:
            found.append(
                skipped(
                    check,
                    where,
                    f"reported as a trait only: in dropped channels {', '.join(leaking)} become NaN or Inf (0 * Inf is NaN)",
                )
            )
        else:
            found.append(
                finding(
                    check,
                    where,
                    "pass",
                    f"{fallen['Inf']} Inf and {fallen['NaN']} NaN in dropped channels become 0",
                    tallies={"leaks": leaks, "dropped": fallen},
                )
            )
    return found


def _leaks(bench: Bench, rate: float, dtype: str) -> tuple[dict[str, int], dict[str, int]] | str:
    """How many Inf and NaN were not dropped where their coin was, and how many coins with each were; or why neither is known.

    The coins are those of the same call on a finite input by a layer with the same seed, if all finite elements agree that
    they are; else those of the other elements that share the coin.
    """
    pattern = bench.contract.pattern
    plain = telling(bench, rate, dtype, 33, 65, 3)
    x, places = plain.copy(), columns(pattern, plain)
    kind = np.zeros(x.shape, int)
    kind.ravel()[places[:, 0]] = np.arange(len(places)) % 3
    x[kind == 1] = np.inf
    x[kind == 2] = np.nan
    answer = Layer(bench, rate, dtype).call(x)
    if answer.shape != x.shape or answer.dtype != dtype:
        return "the output has another shape or dtype (see form.shape-dtype)"
    y = answer.values()
    gone = dropped(y, bench, rate, dtype)
    finite = (kind == 0) & np.isfinite(y)
    fell = None
    if bench.contract.seeds:
        twin = Layer(bench, rate, dtype).call(plain)
        if twin.shape == x.shape and twin.dtype == dtype:
            fell = dropped(twin.values(), bench, rate, dtype)
    if fell is None or not repeats(fell, gone, finite):
        others = places[:, 1:]
        if not others.shape[1]:
            return UNSEEN
        state = gone.ravel()[others]
        if not (state.all(axis=1) == state.any(axis=1)).all():
            return follows(WHOLE, "elements that drop together disagree")
        fell = gone.copy()
        fell.ravel()[places[:, 0]] = state.all(axis=1)
    fallen, leaks = {}, {}
    for name, number in (("Inf", 1), ("NaN", 2)):
        those = (kind == number) & fell
        fallen[name], leaks[name] = int(those.sum()), int((those & ~np.isfinite(y)).sum())
    # what is finite itself, and was dropped, must not become NaN either
    leaks["finite values beside them"] = int(((kind == 0) & fell & ~np.isfinite(y)).sum())
    fallen["finite values beside them"] = int(((kind == 0) & fell).sum())
    return leaks, fallen


CHECKS = (
    Check(
        name="form.shape-dtype",
        how="The output must have the shape and dtype of the input. This is tested in every dtype, in training and in inference, "
        "at ordinary rates and at rates 0 and 1, with and without gradient recording. All calls of counted cases are tested, "
        "too.",
        remedy="Cast the mask and the factor to the dtype of the input: `mask.to(x.dtype)`, `keras.ops.cast(mask, x.dtype)`, "
        "`mask.astype(x.dtype)`. A float32 mask or a NumPy scalar promotes float16 inputs. Draw the mask from x.shape, not "
        "from a fixed shape that broadcasts the output.",
        observe=in_turn(_shape_dtype, recorded_and_edges, at_sizes(SHAPE)),
    ),
    Check(
        name="form.strides",
        how="Inputs with a stride of two and inputs in another memory order must be dropped and scaled like contiguous ones, or "
        "rejected. If something is wrong, a layer with the same seed is called with the same values in contiguous memory. A "
        "fault that appears there, too, belongs to another check.",
        remedy="Call x.contiguous() before you use x.view, x.data_ptr() or x.storage(), or index by strides. "
        "`torch.rand_like(x)` keeps the strides of x; a mask made from them may fit no other layout.",
        observe=_strides,
    ),
    Check(
        name="form.batch-change",
        how="One layer is called with batches that grow and shrink. The mask and the values of each output must be right. A fault "
        "that a new layer shows on the same batch alone belongs to another check. Then the number of channels and the length "
        "change. A layer made for one number of channels may reject another.",
        remedy="Create the mask from the shape of the current input: torch.rand(x.shape[0], x.shape[1], 1). Do not reuse a "
        "buffer whose size comes from the first call.",
        observe=in_turn(_batch_change, changing),
    ),
    Check(
        name="form.empty",
        how="Inputs without samples, channels or elements must give an output of the same shape, or a clear error. A crash, "
        "such as an index out of range, is a failure. Every dtype is tested.",
        remedy="Return the input early when it is empty: `if x.numel() == 0: return x` (x.size in NumPy and JAX). Do not take "
        "x[0], x.max() or x.mean() of an empty input.",
        observe=in_turn(_empty, no_channels),
    ),
    Check(
        name="form.ranks",
        how="For every further pattern of the contract, mask, values and shape are tested. A fault that the main pattern shows, "
        "too, belongs to another check. The share of drops must be the rate (false failures: below 10^-12 per rank). Two "
        "calls must differ, and inference must return its input. Undeclared ranks are only reported.",
        remedy="Find the channel axis from the rank of the input: torch's Dropout1d takes (c, l) and (n, c, l). Reject "
        "ranks that are ambiguous: `if x.dim() not in (2, 3): raise ValueError(x.shape)`.",
        observe=in_turn(_ranks, law_at_ranks),
    ),
    Check(
        name="form.input-untouched",
        how="The input is compared bit for bit before and after a call. The output of a call must stay the same in the next call, "
        "also after a change between training and inference. Ordinary rates, rates 0 and 1, and inputs with gradient "
        "recording are tested. If the contract declares `fresh-output`, the output must not share memory with the input.",
        remedy="Write into a new tensor: `x * mask`, not `x.mul_(mask)` or `x[drop] = 0`. Do not return a buffer that the next "
        "call overwrites. Return x.clone(), or np.copy(x), where a new array is declared.",
        observe=in_turn(_untouched, mode_after),
    ),
    Check(
        name="form.nonfinite",
        how="Some channels hold Inf and NaN. A layer with the same seed on a finite input shows whether they are dropped, or else "
        "the elements that drop together with them. Dropped ones must become 0. This is a failure only if the "
        "contract declares it, or under --strict; otherwise it is reported as a trait.",
        remedy="Select instead of multiplying, since 0 * Inf is NaN: torch.where(keep, x * scale, 0), jnp.where, "
        "keras.ops.where, or x.masked_fill(~keep, 0) * scale.",
        observe=_nonfinite,
    ),
)
