"""What is wrong with a layer by a look of some seconds: clauses with what was seen and what was expected, worst first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dropcheck.contract.promise import Contract, Pattern

if TYPE_CHECKING:
    from dropcheck.judge.pattern_inference import Inferred, Marks

_CHANCE = 1e-6  # that a layer which drops at its rate dropped nothing, or everything
_NEAR = 2e-3  # relative: what is read off float32 values, and off the realised share of a call


def drops_at_all(found: Inferred, calls: int, asked: float, decisions: int | None = None) -> str:
    """That nothing, or everything, is dropped. ``decisions``: of all calls; where it is given, chance must not do that."""
    kept = asked if found.everything else 1 - asked
    if decisions is not None and kept**decisions > _CHANCE:
        return ""
    if found.nothing:
        return f"it never drops: nothing was dropped in {calls} calls at rate {asked:g}"
    return f"it drops everything at rate {asked:g}" if found.everything else ""


def repeats(found: Inferred) -> str:
    """That calls have the mask of others."""
    if not found.sure:
        return ""
    if found.frozen:
        return "its mask never changes between calls"
    return "its masks repeat between calls" if found.calls.kind == "copies" else ""


def one_for_all(found: Inferred, pattern: Pattern, batch: str) -> str:
    """That all samples of a batch have one mask, where each should have its own."""
    shared = found.sure and batch in found.shared_axes
    whole = not found.coin_axes  # one decision a call: said by the pattern
    return (
        "one mask for the whole batch: every sample loses the same elements"
        if (shared and not whole and batch in pattern.coins)
        else ""
    )


def axes(found: Inferred, pattern: Pattern, batch: str = "") -> str:
    """How the masks differ from a declared pattern, in one clause; empty where they follow it. ``batch``: told elsewhere."""
    if not found.sure:
        return ""
    parts = []
    for axis in found.axes:
        coin = axis.name in pattern.coins
        if axis.kind in ("dependent", "groups") and axis.name in dict(pattern.blocks):
            continue  # neighbours that overlapping blocks drop together
        if axis.kind in ("dependent", "groups", "copies") and axis.name in (pattern.stretch, *dict(pattern.exact)):
            continue  # channels of a row that depend on each other, as declared
        if axis.kind == "shared" and coin and (axis.name != batch or not found.coin_axes):
            parts.append(f"its drop decisions do not vary along {axis.name}")
        elif axis.kind == "groups":
            parts.append(f"blocks of {axis.group} along {axis.name} share a drop decision")
        elif axis.kind in ("copies", "dependent"):
            parts.append(axis.words)
        elif axis.kind == "coin" and not coin:
            parts.append(f"its drop decisions vary along {axis.name}")
    return " and ".join(dict.fromkeys(parts))


def rate(found: Inferred, asked: float, tolerance: float = 0.0) -> str:
    """That it drops at another rate than it was given."""
    if found.nothing or found.everything or found.interval is None:
        return ""
    low, high = found.interval
    if low - tolerance <= asked <= high + tolerance:
        return ""
    told = f"it drops {100 * found.rate:.3g} % at rate {asked:g} ({100 * asked:.3g} % expected)"
    return f"{told}: keep and drop are swapped (keep_probability=True?)" if swapped(found, asked) else told


def swapped(found: Inferred, asked: float) -> bool:
    if found.interval is None or found.nothing or found.everything:
        return False
    low, high = found.interval
    return not low <= asked <= high and low <= 1 - asked <= high


def constant(found: Inferred, read: Marks, contract: Contract, asked: float) -> str:
    """That dropped elements have another value than the contract says."""
    expected = contract.dropped_at(asked)
    if found.nothing or abs(read.constant - expected) <= _NEAR * max(1.0, abs(expected)):
        return ""
    return f"dropped values are {read.constant:.4g}, expected {expected:.4g}"


def scale(found: Inferred, read: Marks, contract: Contract, asked: float, share: float = _NEAR) -> str:
    """That kept values are not what the contract makes of x."""
    if found.everything or contract.scale == "realised" or not contract.keeps_at(asked):
        return ""
    expected, offset = contract.scale_at(asked), contract.offset_at(asked)
    if not read.affine:
        return f"kept values are no fixed multiple of x, expected {kept(expected, offset)}"
    if near(read.scale, expected, share) and abs(read.offset - offset) <= 1e-2 * max(1.0, abs(offset)):
        return ""
    if found.nothing and near(read.scale, 1.0):
        return ""  # it returns its input: said already
    missing = ": the scaling is missing" if near(read.scale, 1.0) and not near(expected, 1.0) else ""
    return f"kept values are {kept(read.scale, read.offset)}, expected {kept(expected, offset)}{missing}"


def kept(factor: float, offset: float) -> str:
    """``x * 1.667``, or with what is added."""
    plus = f" {'+' if offset > 0 else '-'} {abs(offset):.4g}" if offset else ""
    return f"x * {factor:.4g}{plus}"


def near(one: float, other: float, share: float = _NEAR) -> bool:
    """Equal up to this share, as far as outputs in float32 tell."""
    return math.isfinite(one) and abs(one - other) <= share * abs(other)


def in_inference(x: Any, ys: Any, contract: Contract, asked: float, share: float = 0.0) -> tuple[str, str]:
    """What inference did with x in some calls: a sentence, and the fault in it.

    ``ys``: (calls, *shape). ``share``: by how much of it a value may differ, where the layer computes in half precision.
    """
    x, ys = np.asarray(x), np.asarray(ys)
    at = f"at rate {asked:g}"
    if ys.shape[1:] != x.shape:
        return f"In inference it returns another shape, {ys.shape[1:]}.", "it returns another shape in inference"
    gone = float(np.mean((ys == 0) & (x != 0)))
    active = bool(gone) or not bool((ys == ys[0]).all())
    factor = float(np.median(ys / x))
    if np.allclose(ys, x, rtol=share, atol=0.0):
        sentence = "In inference it returns its input."
    elif gone:
        sentence = f"In inference it drops, too: {100 * gone:.0f} % of the elements {at}."
    elif active:
        sentence = f"In inference its output changes from call to call {at}."
    else:
        sentence = f"In inference it multiplies its input by {factor:.4g} {at}."
    wanted = {"identity": 1.0, "keep": 1 - asked}.get(contract.inference)
    if wanted is None:
        return sentence, "" if active else "it does not drop in inference, which is declared active"
    if active:
        does = f"{100 * gone:.0f} % of the elements are dropped" if gone else "its output changes from call to call"
        return sentence, f"it is active in inference: {does}"
    if not near(factor, wanted, share or _NEAR):
        return sentence, f"in inference it multiplies its input by {factor:.4g}, expected {wanted:.4g}"
    return sentence, ""
