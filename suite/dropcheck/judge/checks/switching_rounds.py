"""One round of training and inference calls on a layer: what was asked, what was answered, and what is wrong with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench
from dropcheck.judge.checks.exact_questions import Layer, Step, coins_of, dropped
from dropcheck.judge.checks.right_outputs import wrong_in
from dropcheck.statistics import binomial
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding

_SURE = -12.0  # log10 of the chance with which a training call may drop nothing where it is asked to drop
_AFTER = "\0"  # where a sentence says after what
_SAME = -15.0  # log10 of the chance with which two training calls may have one mask
_RARE = -10.0  # log10 of the chance with which a right active inference has such a share of drops


@dataclass
class Round:
    """Calls in turn on one layer. ``steps``: shape, training, recording and way of each; ``answers``: see alternating.

    ``refused``: why it could not be asked at all. ``raised``: what the last call raised. ``masks``: whether masks are compared.
    """

    where: str
    dtype: str
    rate: float
    layout: str
    steps: tuple[Step, ...]
    bench: Bench = field(repr=False)
    masks: bool = False
    answers: list[dict[str, Any]] = field(default_factory=list)
    refused: str = ""
    raised: str = ""

    @property
    def raised_in_training(self) -> bool:
        """Whether the call that raised was a training call."""
        return bool(self.raised) and self.steps[len(self.answers) - 1][1]

    @property
    def inference(self) -> list[int]:
        """The steps of inference that were answered."""
        return [i for i in range(len(self.answers)) if not self.steps[i][1]]

    @property
    def wrong_inference(self) -> list[int]:
        """The steps of inference that are not what the contract says."""
        return [i for i in self.inference if self.fault(i)]

    @property
    def training_after_inference(self) -> list[int]:
        """Training steps behind one of inference that cannot have dropped nothing by chance."""
        return [i for i in self.after_inference if self._sure(i)]

    @property
    def after_inference(self) -> list[int]:
        """Training steps behind one of inference."""
        quiet = [i for i in range(len(self.answers)) if not self.steps[i][1]]
        every = range(quiet[0] + 1 if quiet else len(self.answers), len(self.answers))
        return [i for i in every if self.steps[i][1] and "gone" in self.answers[i]]

    @property
    def repeats(self) -> list[tuple[int, int]]:
        """Pairs of training steps on one shape, the earlier first, that have one mask, which chance cannot explain."""
        found: dict[tuple[tuple[int, ...], str], int] = {}
        pairs = []
        agree = math.log10(self.rate**2 + (1 - self.rate) ** 2)
        for i, answer in enumerate(self.answers):
            if "mask" in answer and self.coins(i) * agree < _SAME:
                first = found.setdefault((self.steps[i][0], answer["mask"]), i)
                pairs += [(first, i)] if first < i else []
        return pairs

    @property
    def drops_alone(self) -> bool:
        """Whether the first call is one of training and drops."""
        return bool(self.answers) and self._sure(0) and self.answers[0]["gone"] > 0

    @property
    def keeps_alone(self) -> bool:
        """Whether the first call is one of training and drops nothing, which chance cannot explain."""
        return bool(self.answers) and self._sure(0) and self.answers[0]["gone"] == 0

    def _sure(self, step: int) -> bool:
        return self.steps[step][1] and "gone" in self.answers[step] and self.coins(step) * _log_keep(self.rate) < _SURE

    def coins(self, step: int) -> int:
        """Coins that a step flips."""
        return coins_of(self.bench.contract.pattern, self.steps[step][0])

    def trained(self, step: int) -> bool:
        """Whether a training call came before."""
        return any(training for _, training, _, _ in self.steps[:step])

    def share(self, step: int) -> float:
        """The share of elements that are wrong."""
        answer = self.answers[step]
        return float(answer.get("wrong", answer.get("size", 1)) / max(1, answer.get("size", 1)))

    def how(self, step: int) -> str:
        """How the call was switched and recorded, where that is not the usual way."""
        _, _, record, way = self.steps[step]
        return (f", switched by {way}" if way else "") + (", with gradient recording" if record else "")

    def fault(self, step: int) -> str:
        """What is wrong with a step of inference; empty where nothing is."""
        answer, shape = self.answers[step], self.steps[step][0]
        if "raised" in answer:
            return (
                f"inference raises {answer['raised']}: {answer['message']}" if answer["message"] else answer["raised"]
            )
        if "unsupported" in answer:
            return ""
        if answer["dtype"] != self.dtype or tuple(answer["shape"]) != shape:
            return f"inference returns {answer['dtype']} {tuple(answer['shape'])}, expected {self.dtype} {shape}"
        if self.bench.contract.inference == "active":
            return self._active(step)
        if not answer["wrong"]:
            return ""
        size = answer["size"]
        if answer["nonfinite"]:
            return f"inference returns Inf or NaN in {_part(answer['nonfinite'], size)}"
        if answer["zero"]:
            text = f"the layer drops {_part(answer['zero'], size)} in inference{_AFTER}, expected nothing"
            if answer["wrong_rest"]:
                text += f"; it multiplies the others by {answer['factor']:.6g}{self._instead}"
            return text
        if math.isclose(answer["least"], answer["most"], rel_tol=4 * rounding.unit_roundoff(self.dtype) + 1e-15):
            what = "its input" if answer["wrong"] > size / 2 else _part(answer["wrong"], size)
            if abs(answer["factor"] - 1) > 8 * rounding.unit_roundoff(self.dtype) or self._instead:
                short = f"{answer['factor']:.6g}"
                factor = short if float(short) != self._right else f"{answer['factor']:.9g}"
                return f"inference multiplies {what} by {factor}{self._instead or ', expected 1'}"
        off = max(abs(answer["least"] - self._right), abs(answer["most"] - self._right))
        return f"inference changes {answer['wrong']} of {size} elements, by a relative error of up to {off:.2g}{self._instead}"

    @property
    def _right(self) -> float:
        return 1 - self.rate if self.bench.contract.inference == "keep" else 1.0

    @property
    def _instead(self) -> str:
        return f", expected {1 - self.rate:g}" if self.bench.contract.inference == "keep" else ""

    def words(self, step: int) -> str:
        """What is wrong with a step, and after what."""
        after = " after a training call" if self.trained(step) else ""
        fault = self.fault(step)
        if _AFTER in fault:
            return fault.replace(_AFTER, after) + self.how(step)
        return fault + (f" ({after.strip()})" if after else "") + self.how(step)

    def _active(self, step: int) -> str:
        """What is wrong with an inference that shall drop as training does."""
        answer, pattern = self.answers[step], self.bench.contract.pattern
        y = rounding.to_float64(answer["y"], answer["dtype"])
        gone = dropped(y, self.bench, self.rate, self.dtype)
        if not gone.any() and self.coins(step) * _log_keep(self.rate) < _SURE:
            return "inference drops nothing, but the contract declares that it drops"
        if (problem := wrong_in(self.bench, pattern, answer["x"], y, self.rate, self.dtype)) is not None:
            return f"inference must drop as training does, but {problem.words}"
        count, falls = self.coins(step), round(float(gone.mean()) * self.coins(step))
        outside = binomial.log10_outside(falls, count, self.rate, self.bench.contract.rate_tolerance(self.rate))
        if outside < _RARE and not pattern.apart:  # whose elements do not fall with the rate
            return f"inference drops with probability {falls / count:.4g}, expected {self.rate:g}"
        if self.coins(step) * _log_same(self.rate) < _SURE and any(self._same(gone, i, step) for i in range(step)):
            return "two inference calls have the same mask, expected different ones"
        return ""

    def _same(self, gone: Any, other: int, step: int) -> bool:
        """Whether an earlier inference on this shape dropped the same elements."""
        before = self.answers[other]
        if "y" not in before or self.steps[other][0] != self.steps[step][0]:
            return False
        return np.array_equal(
            gone, dropped(rounding.to_float64(before["y"], self.dtype), self.bench, self.rate, self.dtype)
        )


def refused_alone(one: Round) -> bool | None:
    """The control where a recorded training call raises: None if a fresh layer's first such call does not; else whether a
    call without recording overwrites its input, which frameworks refuse of what they record."""
    shape, _, record, _ = one.steps[len(one.answers) - 1]
    if not record:
        return None
    x = np.resize(np.asarray(rounding.pool(one.dtype, 509, 5)), shape)
    try:
        Layer(one.bench, one.rate, one.dtype).call(x, record=True)
    except Refused:
        try:
            return Layer(one.bench, one.rate, one.dtype).call(x).input_changed
        except Refused:
            return False
    return None


def sure_together(some: list[Round]) -> bool:
    """Whether training after inference cannot have dropped nothing by chance, in all of these calls taken together."""
    return sum(one.coins(step) * _log_keep(one.rate) for one in some for step in one.after_inference) < _SURE


def right(bench: Bench) -> str:
    """What a right inference does, in words."""
    return {
        "identity": "inference returns its input bit for bit",
        "keep": "inference returns its input times 1 - rate",
        "active": "inference drops as training does",
    }[bench.contract.inference]


def _log_keep(rate: float) -> float:
    """log10 of the chance that one coin keeps."""
    return math.log10(1 - rate) if rate < 1 else -math.inf


def _log_same(rate: float) -> float:
    """log10 of the chance that two coins fall alike."""
    return math.log10(rate**2 + (1 - rate) ** 2)


def _part(some: int, size: int) -> str:
    return f"{100 * some / size:.0f}% of the elements" if some >= size / 200 else f"{some} of {size} elements"
