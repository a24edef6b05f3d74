"""A target's masks, as they come: opened in its worker, called often on one small tensor, its pattern inferred."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.pattern_inference import Inferred, Marks, infer, marks
from dropcheck.plan import observed_faults, other_ranks
from dropcheck.plan.opening import LIMIT_S, spec_of
from dropcheck.plan.targets import Target
from dropcheck.worker.client import ProcessSession, Refused, Session, ask

RATE = 0.4  # away from .5, where swapped keep and drop look the same
EXAMPLE_RATE = 0.5
_SEED = 20141110
_QUIET_CALLS = 8  # in inference: five samples that drop at .4 are all kept in all of them with probability 1e-9
_MOST = 1 << 21  # elements of all outputs together


@dataclass(frozen=True)
class Observed:
    """What was seen of a target: ``info`` as its worker opened it, ``marks`` of ``calls`` calls at ``rate`` on ``shape``.

    ``example``: input and output of one call on a tensor with one sample, two positions and three channels at
    ``example_rate``, axes in the pattern's order; None where the pattern is of another form. ``refused``: the pattern whose
    inputs the layer refuses, where ``contract`` has one of another rank in its place. ``inference``: what inference does;
    ``active``: the fault in it.
    """

    info: dict[str, Any]
    contract: Contract
    rate: float
    shape: tuple[int, ...]
    calls: int
    marks: Marks
    found: Inferred
    example: tuple[Any, Any] | None = None
    example_rate: float = EXAMPLE_RATE
    refused: Pattern | None = None
    inference: str = ""
    active: str = ""

    @property
    def batch(self) -> str:
        """The axis of samples."""
        return batch_axis(self.contract.pattern)


def faults(seen: Observed, declared: bool) -> tuple[str, ...]:
    """Every fault that was seen. ``declared``: whether its pattern was declared, by itself, by a model or by --pattern."""
    found, contract, rate = seen.found, seen.contract, seen.rate
    if constant := observed_faults.constant(found, seen.marks, contract, rate):
        return (constant, *([seen.active] if seen.active else []))  # which elements were dropped is a guess then
    parts = [
        observed_faults.drops_at_all(found, seen.calls, rate),
        observed_faults.repeats(found),
        seen.active,
        observed_faults.one_for_all(found, contract.pattern, seen.batch),
    ]
    odd = any(axis.kind in ("copies", "dependent") for axis in found.axes)
    if declared and seen.refused is None and (seen.marks.affine or not odd):  # else a wrong value may look like a mask
        parts.append(observed_faults.axes(found, contract.pattern, seen.batch))
    if not (contract.pattern.exact or contract.pattern.stretch):  # of which a channel has another rate
        parts.append(observed_faults.rate(found, rate, contract.rate_tolerance(rate)))
    if not (observed_faults.swapped(found, rate) and observed_faults.near(seen.marks.scale, 1 / rate)):
        parts.append(observed_faults.scale(found, seen.marks, contract, rate))
    return tuple(dict.fromkeys(part for part in parts if part))


@contextmanager
def limited(session: Session) -> Iterator[Session]:
    """The session with LIMIT_S seconds to live, closed at the end."""
    if isinstance(session, ProcessSession):
        session.deadline, session.timeout_s = time.monotonic() + LIMIT_S, LIMIT_S
    try:
        yield session
    finally:
        session.close()


def observe(
    target: Target, pattern: str | None = None, python: str | None = None, inference: str | None = None
) -> Observed:
    """Open a target and infer its pattern. Raises Refused where it does not open or raises, TargetError where it ends."""
    with limited(spec_of(target, pattern, python, inference=inference).start()) as session:
        info = session.collect()
        contract = Contract.from_dict(info["contract"])
        rate = (contract.rates or (RATE,))[0]
        refused = None

        def called(given: Pattern) -> tuple[tuple[int, ...], Any, Any]:
            shape = shape_of(given)
            x = probe(shape)
            return shape, x, outputs(session, info, contract, rate, x, max(64, min(512, _MOST // math.prod(shape))))

        try:
            shape, x, ys = called(contract.pattern)
        except Refused as first:
            found_other = (
                other_ranks.taken(contract.pattern, called) if pattern is None and first.where == "call" else None
            )
            if found_other is None:
                raise
            refused = contract.pattern
            other, (shape, x, ys) = found_other
            contract = replace(contract, pattern=other, ranks=())
        calls = len(ys)
        read = marks(x, ys)
        found = infer(read.dropped, contract.pattern.axes)
        shown = (contract.rates or (EXAMPLE_RATE,))[0]
        example = _example(session, info, contract, shown)
        quiet, active = _inference(session, info, contract, rate, x)
        return Observed(info, contract, rate, shape, calls, read, found, example, shown, refused, quiet, active)


def outputs(session: Session, info: dict[str, Any], contract: Contract, rate: float, x: Any, calls: int) -> Any:
    """(calls, *shape) outputs in training of one fresh layer; float32, or the first dtype that the layer has."""
    from dropcheck.worker.server.rounding import to_float64

    dtype = info["dtypes"][0]
    way = contract.seeds[0] if contract.seeds else "global"
    made = ask(session, "make", rate=rate, dtype=dtype, seed=_SEED, way=way)
    answer = ask(
        session, "apply", id=made["id"], x=x, dtype=dtype, layout="contiguous", training=True, record=False, times=calls
    )
    ask(session, "forget", id=made["id"])
    return np.stack([to_float64(np.asarray(y), answer["dtype"]) for y in answer["ys"]])


def _inference(session: Session, info: dict[str, Any], contract: Contract, rate: float, x: Any) -> tuple[str, str]:
    """What inference did after a training call, and the fault in it; empty where it is the caller's business or raises."""
    from dropcheck.worker.server.rounding import to_float64

    if not info.get("inference", True):
        return "", ""
    dtype = info["dtypes"][0]
    try:
        made = ask(session, "make", rate=rate, dtype=dtype, seed=_SEED, way=(*contract.seeds, "global")[0])
        given = {"id": made["id"], "x": x, "dtype": dtype, "layout": "contiguous", "record": False}
        ask(session, "apply", training=True, **given)
        answer = ask(session, "apply", training=False, times=_QUIET_CALLS, **given)
    except Refused:
        return "", ""
    ys = [to_float64(np.asarray(y), answer["dtype"]) for y in answer["ys"]]
    return observed_faults.in_inference(x, np.stack(ys), contract, rate)


def shape_of(pattern: Pattern) -> tuple[int, ...]:
    """A small tensor whose axes all have sizes of their own: batch 5, channels 12."""
    batch, channel = batch_axis(pattern), channel_axis(pattern)
    others = iter((7, 6, 4, 3, 2, 9))
    fixed = dict(pattern.sizes)
    return tuple(
        fixed[a] if a in fixed else 5 if a == batch else 12 if a == channel else next(others, 2) for a in pattern.axes
    )


def batch_axis(pattern: Pattern) -> str:
    """The axis of samples: by its name, else the first."""
    return next((a for a in ("n", "b", "batch") if a in pattern.axes), pattern.axes[0])


def channel_axis(pattern: Pattern) -> str:
    """The axis of channels or features: by its name, else the last coin axis, else the last axis that is no batch."""
    names = ("c", "channel", "channels", "features", *(("h",) if "t" in pattern.axes else ()))  # t b h: h is no height
    named = next((a for a in names if a in pattern.axes), None)
    batch = batch_axis(pattern)
    coins = [a for a in pattern.coins if a != batch]
    rest = [a for a in pattern.axes if a != batch]
    return named or (coins or rest or [batch])[-1]


def probe(shape: tuple[int, ...], seed: int = 3) -> Any:
    """Distinct values of both signs, none of them near 0."""
    size = math.prod(shape)
    values = 0.5 + 2.0 * np.arange(size) / max(1, size)
    rng = np.random.default_rng(seed)
    signed = rng.permutation(values) * rng.choice((-1.0, 1.0), size)
    return signed.astype(np.float32).astype(np.float64).reshape(shape)


def _example(session: Session, info: dict[str, Any], contract: Contract, rate: float) -> tuple[Any, Any] | None:
    """[[1, 1, 1], [2, 2, 2]] and what one call with both fates makes of it."""
    pattern = contract.pattern
    batch, channel = batch_axis(pattern), channel_axis(pattern)
    if len(pattern.axes) != 3 or batch == channel or pattern.sizes:
        return None
    sizes = tuple(1 if a == batch else 3 if a == channel else 2 for a in pattern.axes)
    middle = next(a for a in pattern.axes if a not in (batch, channel))
    x = np.empty(sizes)
    index: list[Any] = [slice(None)] * 3
    for value in (1, 2):
        index[pattern.axes.index(middle)] = value - 1
        x[tuple(index)] = value
    ys = outputs(session, info, contract, rate, x, 64)
    mixed = [y for y in ys if 0 < (y == contract.dropped).sum() < y.size]
    return (x, mixed[0]) if mixed else None
