"""Rounds of training and inference calls on one layer, asked once for both checks of the mode."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.contract.adapter import Unsupported
from dropcheck.judge.checks.base import Bench
from dropcheck.judge.checks.exact_questions import Layer, Step, Values, enough, ladder
from dropcheck.judge.checks.switching_rounds import Round
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding
from dropcheck.worker.server.probe import clear_pool

_LARGE = 100_000  # elements above which a shape is asked in fewer calls


def rate_of(bench: Bench) -> float:
    """The rate at which modes are asked: .5 where any can be."""
    return ladder(bench, (0.5,))[0]


def rounds(bench: Bench) -> list[Round]:
    """All rounds of this target, asked once."""
    if "rounds" not in bench.answers:
        every = [one for dtype in bench.dtypes for one in _of_dtype(bench, dtype)]
        for one in every:
            _ask(one)
        bench.answers["rounds"] = _joined(every)
    found: list[Round] = bench.answers["rounds"]
    return found


def _steps(shape: tuple[int, ...], letters: str, way: str = "") -> tuple[Step, ...]:
    """T and t train, I and i infer; small letters record what a gradient needs."""
    return tuple((shape, letter in "Tt", letter.islower(), way) for letter in letters)


def _of_dtype(bench: Bench, dtype: str) -> list[Round]:
    heavy = bool(bench.info.get("heavy")) or bench.info.get("mode", "eager") != "eager"
    pattern, rate = bench.contract.pattern, rate_of(bench)
    # what writes into its input cannot write into one whose gradient is recorded
    grad = bool(bench.info["gradients"]) and not bench.info.get("overwrites")
    shape = pattern.shape(*enough(pattern, 33, 65, 3))
    found: list[Round] = []

    def add(
        where: str, steps: tuple[Step, ...], at: float = rate, layout: str = "contiguous", masks: bool = False
    ) -> None:
        found.append(Round(where, dtype, at, layout, steps, bench, masks))

    plain = f"{dtype} rate={rate:g}"
    add(plain, _steps(shape, "TITITI"), masks=True)
    add(plain, _steps(shape, "IIITI"))
    if grad:
        add(f"{plain} grad", _steps(shape, "tititi"))
        add(f"{plain} grad", _steps(shape, "iiTiItIi"))
    if dtype == bench.first:
        short = shape if heavy else pattern.shape(*enough(pattern, 5, 33, 2))
        times = (2, 4, 8) if heavy else (2, 4, 8, 16, 32, 64)
        add(f"{dtype} after training", _steps(short, "".join("T" * n + "I" for n in times) + "I" * 20 + "TI"))
    for way in bench.info.get("switches", ()):
        # the usual way first, then this one there and back, so that each must undo the other
        letters = ("T", "ITI", "TI") if not grad or dtype != bench.first else ("T", "iTItI", "ti")
        steps = _steps(shape, letters[0]) + _steps(shape, letters[1], way) + _steps(shape, letters[2])
        add(f"{dtype} switched by {way}", steps, masks=True)
        add(f"{dtype} switched by {way}", _steps(shape, "ITI", way))
    if bench.contract.inference == "active":
        return found
    swept = _swept(bench, dtype, heavy)
    for at, some, layout in swept:
        small = math.prod(some) <= _LARGE and not heavy
        add(f"{dtype} after training", _steps(some, "TIti" if grad and small else "TI"), at, layout)
    wander: list[Step] = []
    for _, some, layout in swept:
        if layout == "contiguous" and (heavy or math.prod(some) <= _LARGE):
            wander += _steps(some, "IT")
    if wander:
        add(f"{dtype} after training", (*wander, *(_steps(s[0], "I")[0] for s in wander[::2])))
    return found


def _swept(bench: Bench, dtype: str, heavy: bool) -> list[tuple[float, tuple[int, ...], str]]:
    """Rate, shape and layout of the plan's cases in a dtype: each shape once, at the rate next to a half.

    Where a call costs milliseconds, and a new shape a compilation, four shapes of the first dtype and one of each other.
    """
    found: dict[tuple[tuple[int, ...], str], float] = {}
    cases = [c for c in bench.planned if c.dtype == dtype and 0 < c.rate < 1]
    for case in sorted(cases, key=lambda c: abs(c.rate - 0.5)):
        for shape in case.shapes(bench.contract.pattern):
            found.setdefault((shape, case.layout), case.rate)
    every = [(rate, shape, layout) for (shape, layout), rate in found.items()]
    most = 4 if dtype == bench.first else 1
    if heavy and len(every) > most:
        by_size = sorted(every, key=lambda one: math.prod(one[1]))
        places = np.linspace(0, len(by_size) - 1, most).round().astype(int) if most > 1 else [len(by_size) - 1]
        every = [by_size[place] for place in places]
    return every


def _values(bench: Bench, rate: float, dtype: str) -> Values:
    """Values that show what is dropped, where there are such: 0 is told from all of them."""
    try:
        return np.asarray(clear_pool(dtype, 509, 5, rate, bench.contract))
    except Unsupported:
        return np.asarray(rounding.pool(dtype, 509, 5))


def _ask(one: Round) -> None:
    bench, rate, dtype = one.bench, one.rate, one.dtype
    values = _values(bench, rate, dtype)
    bounds = rounding.bounds(values, rate, "keep", dtype) if bench.contract.inference == "keep" else None
    gone = rounding.dropped_bounds(rate, bench.contract.dropped, dtype)
    active = bench.contract.inference == "active"
    try:
        layer = Layer(bench, rate, dtype)
        one.answers = layer.alternate(
            values, one.steps, layout=one.layout, bounds=bounds, gone=gone, outputs=active, masks=one.masks
        )
    except Refused as refused:
        one.refused = f"the layer rejects rate {rate:g} in {dtype}: {refused}"
        return
    last = one.answers[-1]
    training = one.steps[len(one.answers) - 1][1]
    if "unsupported" in last:
        one.refused, one.answers = last["unsupported"], one.answers[:-1]
    elif "raised" in last and _other_shape(one.steps[: len(one.answers)]):
        one.answers = one.answers[:-1]  # it takes no other shape than its first: what is refused so is judged elsewhere
    elif "raised" in last:
        one.raised = f"{last['raised']}: {last['message']}" if last["message"] else last["raised"]
        if training and len(one.answers) == 1:
            one.refused, one.raised = f"a training call raises {one.raised}", ""


def _other_shape(steps: tuple[Step, ...]) -> bool:
    """Whether the last step is the first of its kind on its shape, and the layer has met another shape before."""
    shape, training, _, _ = steps[-1]
    return any(s[0] != shape for s in steps) and not any(s[0] == shape and s[1] == training for s in steps[:-1])


def _joined(every: list[Round]) -> list[Round]:
    """Without rounds that say nothing beside others of their place: of a place where some were answered, those."""
    answered = {one.where for one in every if not one.refused}
    return [one for one in every if not one.refused or one.where not in answered]
