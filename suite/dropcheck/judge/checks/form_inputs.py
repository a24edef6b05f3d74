"""What happens to the input, and to Inf and NaN in it."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, exact, finding, in_turn, skipped
from dropcheck.judge.checks.crossings import mode_after
from dropcheck.judge.checks.exact_questions import (
    Layer,
    dropped,
    ladder,
    probe,
    telling,
)
from dropcheck.judge.checks.visible import UNSEEN, WHOLE, columns, follows, repeats
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused

_TRAIT = "Inf and NaN in dropped channels"


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
