"""Backward passes with another mask than their forward pass, or with none."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dropcheck.judge.diagnosis.places import only
from dropcheck.judge.diagnosis.seen import Cause, Seen, at, cause, shown
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import strongest

_MASK, _RECOMPUTE, _SCALE = "gradient.mask", "gradient.recompute", "gradient.scale"
_SIZES = (33, 65, 3)  # rows, channels and elements of a coin in the calls of these checks


def sign(seen: Seen) -> Iterator[Cause]:
    """Gradients of the right size with the other sign, of negative inputs or of all; those of inputs of 0 may be missing."""
    some = seen.failing(_SCALE)
    if not some or any(
        f.estimate is None or f.expected is None or abs(f.estimate + f.expected) > 1e-3 * f.expected for f in some
    ):
        return
    whole = [f for f in some if f.tallies.get("wrong") == f.tallies.get("positions")]
    beside = seen.failing(_MASK)
    if not whole or any(f.tallies.get("missing") != f.tallies.get("missing_at_zero") for f in beside):
        return
    lead = strongest(whole)
    negative = all(f.case.endswith("negative") for f in whole)
    whose = "gradients of negative inputs have" if negative else "gradients have"
    text = f"{whose} the wrong sign: they are multiplied by {shown(lead.estimate or 0.0)}, expected {shown(lead.expected or 0.0)}"
    fix = "Multiply the incoming gradient by the factor of the forward pass; do not differentiate an absolute value."
    yield cause("sign of the gradient", text, fix, seen.take([*some, *beside]), lead)


def mask(seen: Seen) -> Iterator[Cause]:
    """Gradients that reach dropped elements, are missing at kept ones, or both."""
    some = seen.failing(_MASK)
    if not some:
        return
    lead, place = strongest(some), only(seen.judged[_MASK])
    plain = [f for f in some if f.case.endswith("grad plain")]
    text, fix, name = lead.message, "", _MASK
    leaking, missing = (sum(int(f.tallies.get(k, 0)) for f in plain) for k in ("leaking", "missing"))
    if plain and leaking and missing:
        lead = strongest(plain)
        counts = f"{lead.tallies['leaking']} dropped elements have a gradient and {lead.tallies['missing']} kept ones have none"
        text = f"the backward pass uses another mask than the forward pass: {counts}"
        fix, name = (
            "Store the mask of the forward pass and use it in the backward pass.",
            "another mask in the backward pass",
        )
    elif plain and leaking:
        lead = strongest(plain)
        text = f"{lead.tallies['leaking']} dropped elements have a gradient that is not 0: the backward pass applies no mask"
        fix, name = "Multiply the gradient by the mask of the forward pass.", "no mask in the backward pass"
    elif plain and all(_everywhere(seen, f) for f in plain):
        lead = strongest(plain)
        text = "no gradient passes: the gradient is 0 at 100 % of the kept positions"
        fix, name = (
            "Do not detach the output, and compute it from the input by operations that are differentiated.",
            "no gradient",
        )
    elif _negative(seen, some):
        lead = strongest([f for f in some if f.case.endswith("negative")])
        zero = " or 0" if any(f.case.endswith("zeros") for f in some) else ""
        text = f"the gradient is 0 at every kept position whose input is negative{zero}"
        fix, name = (
            "Store the mask of the forward pass; do not infer it from signs or from `output > 0`.",
            "mask from signs",
        )
    follow = [*some, *(seen.failing(_RECOMPUTE) if plain else [])]
    if plain and leaking:
        follow += [f for f in seen.failing("gradient.edges") if "rate=1" in f.case.split()]
    yield cause(f"{name} {place}".strip(), at(text, place), fix, seen.take(follow), lead)


def _negative(seen: Seen, some: list[Finding]) -> bool:
    """Whether gradients are missing wherever inputs are negative, and among others at most where they are 0."""
    kinds: dict[str, list[Finding]] = {}
    for one in some:
        kinds.setdefault(one.case.rpartition(" ")[2], []).append(one)
    at_zero = all(
        not f.tallies.get("leaking") and f.tallies.get("missing") == f.tallies.get("missing_at_zero")
        for f in kinds.get("zeros", [])
    )
    negative = kinds.get("negative", [])
    return bool(negative) and at_zero and all(_everywhere(seen, f) for f in negative)


def _everywhere(seen: Seen, one: Finding) -> bool:
    """Whether every element of every kept coin has a gradient of 0."""
    contract, coins = seen.contract, int(one.tallies.get("coins", 0))
    kept = coins - int(one.tallies.get("dropped", 0))
    if contract is None or not kept or one.tallies.get("leaking"):
        return False
    rows, channels, shared = _SIZES
    one_coin = math.prod(contract.pattern.shape(rows, channels, shared)) / (rows * channels)
    return coins == rows * channels and int(one.tallies.get("missing", 0)) == kept * one_coin


def recomputed(seen: Seen) -> Iterator[Cause]:
    """A recomputed forward pass (activation checkpointing) that has another mask than the first."""
    some = seen.failing(_RECOMPUTE)
    if not some:
        return
    lead = strongest(some)
    text, fix = lead.message, ""
    if lead.tallies.get("leaking") and lead.tallies.get("missing"):
        calls = sorted({int(f.case.rpartition("call ")[2]) for f in some if f.case.rpartition("call ")[2].isdigit()})
        where = f", in call{'s' if len(calls) > 1 else ''} {', '.join(map(str, calls))}" if calls else ""
        text = f"a recomputed forward pass (activation checkpointing) uses another mask than the first{where}: "
        text += f"{lead.tallies['leaking']} dropped elements have a gradient and {lead.tallies['missing']} kept ones have none"
        fix = "Draw the mask from the framework's own generator in every forward pass; keep no generator or counter of its own."
    yield cause("another mask when recomputed", text, fix, seen.take(some), lead)
