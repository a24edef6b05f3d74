"""Inputs of daily use: zeros of a ReLU or of padding, equal samples and channels, constants, values that are all distinct."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.adapter import Unsupported
from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Pattern
from dropcheck.judge.checks.base import Bench, Check, Limits, finding
from dropcheck.judge.checks.daily_faults import VALUES, mask_faults
from dropcheck.judge.checks.daily_sizes import OF_DAILY_USE
from dropcheck.judge.checks.exact_questions import Layer, dropped, enough, kept_bounds
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import count as counted
from dropcheck.statistics import binomial
from dropcheck.worker.client import Refused
from dropcheck.worker.server.coinwise import pack
from dropcheck.worker.server.probe import clear_pool

IGNORES = "mask.ignores-values"
ROWS, CHANNELS, SHARED = 64, 64, 3
COINS = 16_000  # that are seen of each kind of input, at least
MOST_CALLS = 64
# No share of ALPHA: at this level a dozen kinds of input accuse a right layer with probability below 10^-10.
IMPOSSIBLE = -12.0

_LARGE = 15_000.0  # twice as much is finite in float16

Block = NDArray[np.float64]  # (rows, channels, elements of a coin)


def _dead_channels(x: Block, rng: np.random.Generator) -> Block:
    return np.where((np.arange(x.shape[1]) % 2 == 1)[None, :, None], x, 0.0)


def _zero_maps(x: Block, rng: np.random.Generator) -> Block:
    return np.where((rng.random(x.shape[:2]) < 0.5)[:, :, None], x, 0.0)


def _padding(x: Block, rng: np.random.Generator) -> Block:
    return np.where((np.arange(len(x)) >= len(x) // 2)[:, None, None], x, 0.0)


def _rectified(x: Block, rng: np.random.Generator) -> Block:
    return np.clip(x, 0, None)


def _equal_samples(x: Block, rng: np.random.Generator) -> Block:
    return np.broadcast_to(x[:1], x.shape).copy()


def _equal_channels(x: Block, rng: np.random.Generator) -> Block:
    return np.broadcast_to(x[:, :1], x.shape).copy()


def _constant(x: Block, rng: np.random.Generator) -> Block:
    return np.full(x.shape, x.flat[0])


def _constant_maps(x: Block, rng: np.random.Generator) -> Block:
    return np.broadcast_to(x[:, :, :1], x.shape).copy()


def _positive(x: Block, rng: np.random.Generator) -> Block:
    return np.abs(x)


def _negative(x: Block, rng: np.random.Generator) -> Block:
    return -np.abs(x)


def _ascending(x: Block, rng: np.random.Generator) -> Block:
    return np.sort(x, axis=None).reshape(x.shape)


def _large(x: Block, rng: np.random.Generator) -> Block:
    return x * 2.0 ** math.floor(math.log2(_LARGE / max(1e-3, float(np.abs(x).max()))))


def _small(x: Block, rng: np.random.Generator) -> Block:
    return x * 2.0**-8


# kind -> how it is made of values that are all distinct; those with zeros show no coin where all elements are 0
KINDS: dict[str, Callable[[Block, np.random.Generator], Block]] = {
    "all values distinct": lambda x, rng: x,
    "every second channel zero": _dead_channels,
    "half of the channels of each sample zero": _zero_maps,
    "half of the samples zero": _padding,
    "no negative values (after ReLU)": _rectified,
    "equal samples": _equal_samples,
    "equal channels": _equal_channels,
    "constant channels": _constant_maps,
    "one value everywhere": _constant,
    "positive values": _positive,
    "negative values": _negative,
    "values in ascending order": _ascending,
    "values of thousands": _large,
    "values of hundredths": _small,
}
_THOUSANDS, _HUNDREDTHS = tuple(KINDS)[-2:]
_WITH_ZEROS = tuple(KINDS)[1:5]


@dataclass
class Told:
    """What the kinds of input show: (check, kind, what is wrong, log10 of its chance), and what was asked."""

    where: str
    faults: list[tuple[str, str, str, float]] = field(default_factory=list)
    kinds: int = 0
    coins: int = 0


def _axes(pattern: Pattern) -> tuple[int, ...]:
    """Input axes in the order rows, channel, shared."""
    channel = () if pattern.channel_axis is None else (pattern.channel_axis,)
    return tuple(pattern.axes.index(a) for a in (*pattern.row_axes, *channel, *pattern.shared))


def told(bench: Bench) -> Told:
    """What the kinds show, asked once."""
    if "daily inputs" not in bench.answers:
        bench.answers["daily inputs"] = _asked(bench)
    found: Told = bench.answers["daily inputs"]
    return found


def _asked(bench: Bench) -> Told:
    pattern, dtype, contract = bench.contract.pattern, bench.first, bench.contract
    rate = min((r for r in bench.rates if 0 < r < 1), key=lambda r: abs(r - 0.5), default=0.0)
    found = Told(f"{dtype} rate={rate:g} inputs{OF_DAILY_USE}")
    if not rate or not pattern.coins or pattern.apart:
        return found
    shape = pattern.shape(*enough(pattern, ROWS, CHANNELS, SHARED if pattern.shared else 1))
    order = _axes(pattern)
    sizes = (*pattern.matrix_shape(shape), pattern.shared_size(shape))
    rng = np.random.default_rng(7)
    try:
        values = clear_pool(dtype, 4093, 11, rate, contract)
        # distinct where the dtype has so many values, else in an order that does not come round with the axes
        pool = np.unique(clear_pool(dtype, 4 * math.prod(sizes), 13, rate, contract))
        distinct = np.resize(rng.permutation(pool), math.prod(sizes))
    except Unsupported:
        return found
    plain = values[np.arange(math.prod(sizes)) % len(values)].reshape(sizes)
    # where what is dropped is not 0, or kept zeros are not, zeros are values like others, and may be that value
    zeros = contract.dropped == 0 and contract.offset_at(rate) == 0
    left_out = (
        set() if zeros else {*_WITH_ZEROS, _THOUSANDS, _HUNDREDTHS}
    )  # scaled values, too, may be what is dropped to
    if rate > 0.5:
        left_out.add(_THOUSANDS)  # what is kept may be larger than the dtype has
    if dtype == "float16":
        left_out.add(_HUNDREDTHS)  # which has no such small numbers to full precision
    kinds = {kind: make for kind, make in KINDS.items() if kind not in left_out}
    for kind, make in {"plain": lambda x, rng: plain, **kinds}.items():
        block = np.asarray(make(distinct.reshape(sizes), rng), np.float64)
        x = block.reshape([shape[a] for a in order]).transpose(np.argsort(order))
        seen: NDArray[np.bool_] = np.asarray(block.any(axis=2))
        if not seen.any():  # a single channel that is zero shows no coin
            continue
        calls = min(MOST_CALLS, max(2, math.ceil(COINS / max(1, int(seen.sum())))))
        try:
            answer = Layer(bench, rate, dtype).call(np.ascontiguousarray(x), times=calls)
        except Refused as refused:
            if kind == "plain" or refused.where == "unsupported":
                return found
            found.faults.append((IGNORES, kind, f"the layer raises {refused}", -math.inf))
            continue
        if answer.shape != shape or answer.dtype != dtype:
            if kind == "plain":
                return found
            found.faults.append(
                (VALUES, kind, f"the output is {answer.dtype} {answer.shape}, expected {dtype} {shape}", -math.inf)
            )
            continue
        outputs = np.stack([answer.values(i).transpose(order).reshape(sizes) for i in range(calls)])
        faults = list(_faults(bench, rate, dtype, block, seen, outputs))
        if kind == "plain":
            if faults:  # told by the counted cases
                return found
            continue
        found.faults += [(check, kind, text, log) for check, text, log in faults]
        found.kinds += 1
        found.coins += calls * int(seen.sum())
    return found


def _faults(
    bench: Bench, rate: float, dtype: str, block: Block, seen: NDArray[np.bool_], outputs: NDArray[np.float64]
) -> Iterator[tuple[str, str, float]]:
    """(check, what is wrong, log10 of its chance) of calls on one block; ``seen``: coins that show, of (rows, channels)."""
    gone = dropped(outputs, bench, rate, dtype)
    low, high = kept_bounds(bench.contract, block, rate, dtype)
    with np.errstate(invalid="ignore"):
        right = (outputs >= low) & (outputs <= high)
    nothing = (block == 0) & seen[:, :, None] & (bench.contract.dropped == 0)
    wrong = int(np.count_nonzero(~gone & ~right))
    if wrong:
        text = f"{wrong} of {outputs.size} elements are neither dropped nor the input times the scale"
        yield VALUES, text, -math.inf
        if wrong > outputs.size // 10:
            return
    fell = (gone | nothing).all(axis=3) & seen  # what is 0 shows nothing beside elements that are not
    torn = int(np.count_nonzero(seen & ~fell & (gone & ~nothing).any(axis=3)))
    if torn:
        text = f"{torn} of {fell.size} drop decisions have dropped and kept elements, expected none"
        yield IGNORES, text, -math.inf
        return
    calls = len(fell)
    rows, channels = seen.any(axis=1), seen.any(axis=0)
    if seen[np.ix_(rows, channels)].all():
        some = fell[:, rows][:, :, channels]
        case = Case(dtype, rate, some.shape[1], some.shape[2], block.shape[2], calls)
        packed = pack(some.reshape(-1, some.shape[2]))
        yield from ((IGNORES, text, log) for _, text, log in mask_faults(bench, case, packed))
        return
    n, drops = calls * int(seen.sum()), int(fell.sum())
    log = binomial.log10_outside(drops, n, rate, bench.contract.rate_tolerance(rate))
    if log < IMPOSSIBLE:
        yield IGNORES, f"the layer drops with probability {drops / n:.5g}, expected {rate:g} ({n} drop decisions)", log
    elif len({one.tobytes() for one in fell}) < calls:
        share = max(rate, drops / n, key=lambda p: p * p + (1 - p) * (1 - p))
        log = math.log10(calls * calls) + int(seen.sum()) * math.log10(share**2 + (1 - share) ** 2)
        if log < IMPOSSIBLE:
            yield IGNORES, "calls reuse the mask of an earlier call, expected none", log


def on_inputs(name: str) -> Callable[[Check, Bench, Limits], list[Finding]]:
    """The question of check ``name`` on inputs of daily use: one finding, of the first kind that shows a fault."""

    def observe(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
        seen = told(bench)
        faults = [one for one in seen.faults if one[0] == name]
        if faults:
            _, kind, text, log = faults[0]
            kinds = {one[1] for one in faults}
            more = (
                f"; {counted(len(kinds) - 1, 'other kind')} of input {'fails' if len(kinds) == 2 else 'fail'}, too"
                if len(kinds) > 1
                else ""
            )
            text = f"on inputs with {kind}, {text}; on ordinary inputs this is right{more}"
            tallies = {"kinds": sorted(kinds)}
            return [finding(check, seen.where, "fail", text, log10_evidence=log, coins=seen.coins, tallies=tallies)]
        if not seen.kinds:
            return []
        what = "every kept value is right" if name == VALUES else "the mask is as on an ordinary one"
        text = f"on {seen.kinds} kinds of input (zero channels, equal samples, a constant and others), {what}"
        return [finding(check, seen.where, "pass", text, coins=seen.coins, tallies={"kinds": seen.kinds})]

    return observe
