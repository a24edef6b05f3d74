"""Inference that is not what is declared, and training that is not the same after it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dropcheck.judge.diagnosis.places import only
from dropcheck.judge.diagnosis.seen import Cause, Seen, at, case_of, cause, percent, shown
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import strongest

_INFERENCE, _TOGGLE = "mode.inference", "mode.toggle"
_SOME_CALLS = re.compile(r"\d+ of \d+ inference calls are wrong, the first on an input of shape \([\d, ]+\)")


def inference(seen: Seen) -> Iterator[Cause]:
    """What inference does instead: drop, scale, or something else, said from the counts of the plainest wrong call."""
    some = seen.failing(_INFERENCE)
    if not some:
        return
    plain = [f for f in some if f.tallies.get("size")]
    lead = _plainest(plain) if plain else strongest(some)
    follow = list(some)
    zero, size, factor = (lead.tallies.get(k) for k in ("zero", "size", "factor"))
    rate = case_of(lead.case).rate
    text, fix, name = lead.message, "", _INFERENCE
    sized = bool(plain) and all("after training" in f.case for f in plain)  # the sizes of training, small inputs pass
    after = sized and "after a training call" in lead.message
    switched = sorted({f.case.partition("switched by ")[2] for f in plain if "switched by" in f.case})
    if zero and size and not lead.tallies.get("nonfinite"):
        where = " after a training call" if after else ""
        at = f" at rate {rate:g}" if rate is not None else ""
        text = f"the layer drops {percent(zero / size)} of the elements in inference{where}{at}; expected none"
        if len(switched) and len(switched) == len({f.case for f in plain}):
            text = f"the layer stays on in inference: switched by {' or '.join(switched)}, "
            text += f"it drops {percent(zero / size)} of the elements"
        if sized and not after and (some_calls := _SOME_CALLS.search(lead.message)):
            text += f"; {some_calls.group()}"
        fix = "Return the input unchanged where `training` is false. If the layer is meant to drop in inference (Monte Carlo "
        fix += "dropout), declare it: --inference active."
        name = "drops in inference"
    elif (
        size
        and factor
        and not lead.tallies.get("nonfinite")
        and lead.tallies.get("wrong", 0) >= 0.9 * size
        and abs(factor - 1) > 1e-3
    ):
        text = f"inference multiplies its input by {shown(factor)}{f' at rate {rate:g}' if rate is not None else ''}; expected 1"
        fix = "Return the input unchanged in inference, and scale in training."
        name = "scales in inference"
        if rate is not None and abs(factor - (1 - rate)) < 1e-3:
            text += ": it is scaled by 1 - rate in inference"
            fix = "Scale by 1 / (1 - rate) in training and not at all in inference. If this older convention is by design, "
            fix += "declare it: --inference keep."
            kept = [
                f for f in seen.failing("scale.kept-values", "scale.mean") if f.check == "scale.mean" or f.estimate == 1
            ]
            if kept and len(kept) == len(seen.failing("scale.kept-values", "scale.mean")):
                text += ", and not scaled in training"
                follow += kept + seen.failing("gradient.scale")
                name = "scales in inference instead of in training"
    if name == _INFERENCE and not plain and (place := only(seen.judged[_INFERENCE])):
        text += f", {place}"
    yield cause(name, text, fix, seen.take(follow), lead)


def toggle(seen: Seen) -> Iterator[Cause]:
    """Training that drops nothing any more after inference."""
    some = seen.failing(_TOGGLE)
    if not some:
        return
    lead, place = strongest(some), only(seen.judged[_TOGGLE])
    stuck, calls = lead.tallies.get("stuck"), lead.tallies.get("calls")
    text, fix, name = lead.message, "", _TOGGLE
    if stuck and stuck == calls and lead.estimate == 0:
        text = f"after inference, training never drops again: {stuck} of {calls} training calls drop nothing"
        fix = "Decide by the mode of each call; inference must not change what the layer stores."
        name = "off after inference"
    follow = [*some, *seen.failing("seed.reset")]
    follow += [f for f in seen.failing(_INFERENCE) if "randomness" in f.case]
    yield cause(f"{name} {place}".strip(), at(text, place), fix, seen.take(follow), lead)


def _plainest(plain: list[Finding]) -> Finding:
    """One whose rate is known, with most of its elements wrong; among equals the largest, whose shares are the surest."""

    def key(one: Finding) -> tuple[bool, float, int]:
        size = one.tallies["size"]
        return case_of(one.case).rate is not None, round(one.tallies.get("wrong", 0) / size, 1), size

    return max(plain, key=key)
