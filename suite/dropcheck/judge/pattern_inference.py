"""Which axes share a coin, found from observed masks alone: exact statistics on stacks of drop marks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dropcheck.contract.promise import Pattern
from dropcheck.statistics import binomial
from dropcheck.statistics.association import two_sided

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

# The probability that anything which `infer` says of a layer with independent coins of one rate is wrong, at most. Half of it
# is spent on the interval of the rate, a quarter on "shared" and "copies" (equal by chance), a quarter on "dependent".
ALPHA = 1e-6

# shared: equal along the axis in every observation; groups: adjacent blocks; copies: other positions that repeat each
# other; dependent: neither equal nor independent; single: an axis of one position; unsure: more calls are needed
Kind = Literal["coin", "shared", "groups", "copies", "dependent", "single", "unsure"]


@dataclass(frozen=True)
class Axis:
    """What coins do along one axis. ``group``: adjacent positions that share a coin. ``words``: what was seen instead."""

    name: str
    size: int
    kind: Kind
    group: int = 1
    words: str = ""


@dataclass(frozen=True)
class Dependence:
    """Neighbours at ``shift`` (one entry an axis, calls first) that are dropped together too often or too seldom.

    ``excess``: concordant minus discordant comparisons over all (0 under independence); ``log10_p``: exact sign test, or the
    exact conditional test where only one mask exists, before Bonferroni over the shifts.
    """

    shift: tuple[int, ...]
    excess: float
    log10_p: float


@dataclass(frozen=True)
class Inferred:
    """The pattern that a stack of masks follows.

    ``coins`` observed, ``dropped`` of them, their ``rate`` with an exact interval of level 1 - ALPHA / 2 (None where coins
    depend on each other). ``pattern`` is None where no noise shape fits, where all elements share one coin, or where
    nothing could be seen; ``log10_error`` bounds the chance that axes called shared, or positions called copies, are not.
    """

    axes: tuple[Axis, ...]
    calls: Axis
    coins: int
    dropped: int
    rate: float
    interval: tuple[float, float] | None
    log10_error: float
    dependence: tuple[Dependence, ...] = ()

    @property
    def nothing(self) -> bool:
        """No coin was seen to drop."""
        return self.dropped == 0

    @property
    def everything(self) -> bool:
        """No coin was seen to keep."""
        return self.dropped == self.coins and self.coins > 0

    @property
    def frozen(self) -> bool:
        """The mask never changed between calls."""
        return self.calls.kind == "shared"

    @property
    def sure(self) -> bool:
        """Whether there were calls enough to tell every axis."""
        return not (self.nothing or self.everything) and all(a.kind != "unsure" for a in (*self.axes, self.calls))

    @property
    def fits(self) -> bool:
        """Whether a noise shape describes the masks: every axis is shared or has independent coins."""
        return self.sure and all(a.kind in ("coin", "shared", "single") for a in self.axes)

    @property
    def coin_axes(self) -> tuple[str, ...]:
        """Names of the axes along which coins differ."""
        return tuple(a.name for a in self.axes if a.kind not in ("shared", "single"))

    @property
    def shared_axes(self) -> tuple[str, ...]:
        """Names of the axes along which every element shares one coin."""
        return tuple(a.name for a in self.axes if a.kind == "shared")

    @property
    def pattern(self) -> Pattern | None:
        """The pattern, where one fits and has a coin axis."""
        if not self.fits or not self.coin_axes:
            return None
        return Pattern(tuple(a.name for a in self.axes), self.coin_axes)

    @property
    def noise_shape(self) -> str:
        """The equivalent noise shape in words, such as ``(n, 1, c)``; empty where none fits."""
        if not self.fits:
            return ""
        return "(" + ", ".join("1" if a.kind in ("shared", "single") else a.name for a in self.axes) + ")"


@dataclass(frozen=True)
class Marks:
    """Drop marks read off inputs and outputs. ``constant``: the dropped value; kept values are ``scale`` x + ``offset``.

    ``affine``: whether they are, to one part in a thousand of the largest (in a hundred for half precision).
    """

    dropped: Bools
    constant: float
    scale: float
    offset: float
    affine: bool


def marks(x: Any, ys: Any, tolerance: float = 1e-3) -> Marks:
    """Which elements were dropped, from one input and the outputs of several calls.

    ``x``: (shape), its values distinct and none of them 0; ``ys``: (calls, *shape). An element is dropped where the output
    has the dropped value: 0, or the value that stands at several positions of a call (kept values of distinct inputs are
    distinct). Raises ValueError where shapes disagree.
    """
    x, ys = np.asarray(x, dtype=np.float64), np.asarray(ys, dtype=np.float64)
    if ys.shape[1:] != x.shape:
        raise ValueError(f"outputs of shape {ys.shape[1:]} do not fit the input of shape {x.shape}")
    zeros = (ys == 0) & (x != 0)
    constant, dropped = 0.0, zeros
    value, count, places = _most_repeated(ys)
    if places > 1 and count > 2 * zeros.sum():
        constant, dropped = value, ys == value
    kept = ~dropped & np.isfinite(ys)
    scale, offset, affine = 1.0, 0.0, True
    if kept.any():
        inputs, outputs = np.broadcast_to(x, ys.shape)[kept], ys[kept]
        ratio = np.divide(outputs, inputs, out=np.ones_like(outputs), where=inputs != 0)
        scale = float(np.median(ratio))
        affine = bool(np.all(np.abs(outputs - scale * inputs) <= tolerance * max(np.abs(outputs).max(), 1e-300)))
        if not affine and len(inputs) > 2:
            slope, start = (float(v) for v in np.polyfit(inputs, outputs, 1))
            fine = np.abs(outputs - slope * inputs - start) <= tolerance * max(np.abs(outputs).max(), 1e-300)
            if fine.all():
                scale, offset, affine = slope, start, True
    return Marks(dropped, constant, scale, offset, affine)


def _most_repeated(ys: Any) -> tuple[float, int, int]:
    """The finite value that occurs most often, how often, and at how many positions."""
    flat = ys.reshape(len(ys), -1)
    values, counts = np.unique(flat[np.isfinite(flat)], return_counts=True)
    if not len(values):
        return 0.0, 0, 0
    value = float(values[np.argmax(counts)])
    return value, int(counts.max()), int((flat == value).any(axis=0).sum())


def infer(dropped: Any, names: Sequence[str], alpha: float = ALPHA) -> Inferred:
    """The pattern that masks follow. ``dropped``: (calls, *shape) of bool; ``names``: one a tensor axis.

    Statements about a layer whose coins are independent and of one rate are all right with probability 1 - ``alpha``.
    """
    whole = np.asarray(dropped, dtype=bool)
    if whole.ndim != len(names) + 1:
        raise ValueError(
            f"masks of shape {whole.shape[1:]} have {whole.ndim - 1} axes, names were given for {len(names)}"
        )
    every = ("calls", *names)
    equal = [whole.shape[i] > 1 and bool((whole == whole.take([0], axis=i)).all()) for i in range(whole.ndim)]
    core = whole[tuple(slice(0, 1) if same else slice(None) for same in equal)]
    if not whole.any() or whole.all():
        return _blind(whole, every, alpha)
    kinds: list[Axis] = []
    worst = -math.inf
    tests = 2 * whole.ndim
    widest = binomial.clopper_pearson(int(core.sum()), core.size, alpha / 2)
    for i, name in enumerate(every):
        size = whole.shape[i]
        if size == 1:
            kinds.append(Axis(name, size, "single"))
        elif equal[i]:
            # if coins differed along it: every fibre of `size` coins is all kept or all dropped
            chance = core.size * _log10_equal(widest, size)
            worst = max(worst, chance)
            enough = chance <= math.log10(alpha / 4 / tests)
            kinds.append(Axis(name, size, "shared" if enough else "unsure"))
        else:
            kinds.append(Axis(name, size, "coin"))
    core, repeats = _without_copies(core, kinds, widest, alpha / 4 / tests)
    worst = max(worst, repeats)
    dependence: tuple[Dependence, ...] | None = None
    if kinds[0].kind == "coin":
        found, chance, reduced = _classes(core, 0, kinds[0], widest, alpha / 4 / tests)
        once = tuple(_dependences(reduced, alpha / 4))
        # the chance that two calls are equal is known only where their coins are independent
        if found.kind != "coin" and not any(one.excess > 0 and not one.shift[0] for one in once):
            kinds[0], core, worst, dependence = found, reduced, max(worst, chance), once
    if dependence is None:
        dependence = tuple(_dependences(core, alpha / 4))
    # what was reduced is the number of coins: the interval of the rate is that of its binomial law
    coins, lost = core.size, int(core.sum())
    for one in dependence:
        for i in _axes_of(one, dependence):
            if one.excess > 0 and kinds[i].kind in ("coin", "groups"):
                kinds[i] = Axis(every[i], whole.shape[i], "dependent", words=_words(one, every))
    return Inferred(
        tuple(kinds[1:]),
        kinds[0],
        coins,
        lost,
        lost / coins,
        None if dependence else binomial.clopper_pearson(lost, coins, alpha / 2),
        worst,
        dependence,
    )


def _blind(whole: Bools, every: Sequence[str], alpha: float) -> Inferred:
    """Nothing or everything dropped: axes cannot be told; the rate is bounded as if a call had one coin."""
    kinds = [Axis(n, s, "single" if s == 1 else "unsure") for n, s in zip(every, whole.shape, strict=True)]
    calls = whole.shape[0]
    lost = calls if whole.any() else 0
    interval = binomial.clopper_pearson(lost, calls, alpha / 2)
    return Inferred(tuple(kinds[1:]), kinds[0], calls, lost, lost / max(1, calls), interval, 0.0)


def _log10_equal(interval: tuple[float, float], size: int) -> float:
    """log10 of the largest probability, over the rates of an interval, that ``size`` coins are all alike.

    p^s + (1-p)^s is convex in p, so its largest value lies at an end.
    """
    return max(math.log10(p**size + (1 - p) ** size) if 0 < p < 1 else 0.0 for p in interval)


def _without_copies(core: Bools, kinds: list[Axis], interval: tuple[float, float], alpha: float) -> tuple[Bools, float]:
    """One position of each class of copies along every tensor axis, and log10 of the chance; ``kinds`` is brought up to date.

    The axis with the longest slices first: once its copies are gone, the slices of the others hold fewer coins.
    """
    worst = -math.inf
    while True:
        looked = {
            i: _classes(core, i, kinds[i], interval, alpha) for i in range(1, core.ndim) if kinds[i].kind == "coin"
        }
        copies = [i for i, (axis, _, _) in looked.items() if axis.kind != "coin"]
        if not copies:
            return core, worst
        best = min(copies, key=lambda i: looked[i][1])
        kinds[best], chance, core = looked[best]
        worst = max(worst, chance)


def _classes(core: Bools, i: int, axis: Axis, interval: tuple[float, float], alpha: float) -> tuple[Axis, float, Bools]:
    """Slices along axis i that are equal in every observation: the axis, log10 of the chance, one slice a class."""
    size = core.shape[i]
    slices = np.moveaxis(core, i, 0).reshape(size, -1)
    length = slices.shape[1]
    chance = math.log10(size * (size - 1) / 2) + length * _log10_equal(interval, 2)
    packed = np.packbits(slices, axis=1)
    _, first, label = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    label = label.ravel()
    if len(first) == size or chance > math.log10(alpha):
        return axis, chance, core
    keep = np.sort(first)
    reduced = core.take(keep, axis=i)
    runs = [len(list(run)) for _, run in itertools.groupby(label.tolist())]
    if len(runs) == len(first) and len(set(runs[:-1])) == 1 and runs[-1] <= runs[0]:
        return Axis(axis.name, axis.size, "groups", runs[0]), chance, reduced
    same = [j for j in range(size) if label[j] == label[_leader(label)]]
    words = f"{axis.name} {', '.join(map(str, same[:6]))}{', ...' if len(same) > 6 else ''} repeat each other"
    return Axis(axis.name, axis.size, "copies", words=words), chance, reduced


def _leader(label: Any) -> int:
    """The first position whose class is the largest."""
    counts = np.bincount(label)
    return int(np.argmax(counts[label] == counts.max()))


def _dependences(core: Bools, alpha: float) -> list[Dependence]:
    """Shifts by one position, along one or several axes, at which coins depend on each other; strongest first."""
    open_axes = [i for i in range(core.ndim) if core.shape[i] > 1]
    shifts = []
    for steps in itertools.product((-1, 0, 1), repeat=len(open_axes)):
        lead = next((s for s in steps if s), 0)
        if lead == 1:  # its mirror image is the same question
            shift = [0] * core.ndim
            for i, step in zip(open_axes, steps, strict=True):
                shift[i] = step
            shifts.append(tuple(shift))
    limit = math.log10(alpha / max(1, len(shifts)))
    found = [one for shift in shifts if (one := _at(core, shift)).log10_p <= limit]
    return sorted(found, key=lambda d: d.log10_p)


def _at(core: Bools, shift: tuple[int, ...]) -> Dependence:
    """Exact test of coins a shift apart, each coin in one pair.

    With several calls: (A1 - A2)(B1 - B2) for a pair (A, B) in two calls is +1 or -1 with equal chance where A and B are
    independent, whatever the rates of their positions; a sign test. With one mask: the hypergeometric law given the margins.
    """
    lead = next(i for i, step in enumerate(shift) if step)
    one: list[Any] = [slice(None)] * core.ndim
    two: list[Any] = [slice(None)] * core.ndim
    for i, step in enumerate(shift):
        size = core.shape[i]
        if i == lead:
            pairs = size // 2
            one[i], two[i] = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
        elif step == 1:
            one[i], two[i] = slice(0, size - 1), slice(1, size)
        elif step == -1:
            one[i], two[i] = slice(1, size), slice(0, size - 1)
    a, b = core[tuple(one)], core[tuple(two)]
    twice = len(a) // 2
    if twice == 0:
        both = np.array([(a & b).sum()])
        log10_p = two_sided(np.array([a.size]), np.array([a.sum()]), np.array([b.sum()]), both)
        expected = a.sum() * b.sum() / max(1, a.size)
        return Dependence(shift, float((both[0] - expected) / max(1, a.size)), log10_p)
    signs = np.subtract(a[: 2 * twice : 2], a[1 : 2 * twice : 2], dtype=np.int8)
    signs = signs * np.subtract(b[: 2 * twice : 2], b[1 : 2 * twice : 2], dtype=np.int8)
    plus, minus = int((signs == 1).sum()), int((signs == -1).sum())
    return Dependence(shift, (plus - minus) / max(1, plus + minus), binomial.log10_two_sided(plus, plus + minus, 0.5))


def _axes_of(one: Dependence, every: Sequence[Dependence]) -> list[int]:
    """The axes that a dependence speaks of: its own, unless shorter shifts along some of them explain it."""
    mine = [i for i, step in enumerate(one.shift) if step]
    if len(mine) == 1:
        return mine
    simple = {next(i for i, s in enumerate(d.shift) if s) for d in every if sum(map(abs, d.shift)) == 1}
    return [] if simple & set(mine) else mine


def _words(one: Dependence, every: Sequence[str]) -> str:
    along = " and ".join(every[i] for i, step in enumerate(one.shift) if step)
    where = "neighbours" if sum(map(abs, one.shift)) == 1 else "diagonal neighbours"
    return f"{where} along {along} are mostly dropped or kept together (10^{max(one.log10_p, -999):.0f} for independent decisions)"


def unfitting(found: Inferred) -> str:
    """Why no noise shape describes the masks, and what was seen instead."""
    if found.nothing:
        top = found.interval[1] if found.interval else 1.0
        return f"nothing was dropped (a rate above {top:.2g} would have been seen)"
    if found.everything:
        return "everything was dropped"
    parts = []
    for axis in found.axes:
        if axis.kind == "groups":
            parts.append(f"blocks of {axis.group} neighbours along {axis.name} share a drop decision")
        elif axis.words and axis.words not in parts:
            parts.append(axis.words)
    if unsure := [axis.name for axis in found.axes if axis.kind == "unsure" and not axis.words]:
        parts.append(f"too few calls to see whether drop decisions vary along {' or '.join(unsure)}")
    return "; ".join(parts) or "too few calls to see a pattern"
