"""One layer as a test of dropout sees it: made at a rate with a free seed, called, differentiated, refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.promise import Contract
from dropcheck.judge.checks.exact_questions import Values, by_coin
from dropcheck.plan import targets
from dropcheck.worker import visible_devices
from dropcheck.worker.client import LocalSession, ProcessSession, Refused, Session, ask
from dropcheck.worker.server import rounding


class NotApplicable(Exception):
    """An assertion assumes something that this layer lacks (a dtype, gradients, an axis); it counts for nothing."""


class NotRunnable(Exception):
    """The layer cannot be opened on this machine, so no battery can be asked about it."""


Part = Callable[["Subject"], "str | None"]


@dataclass(frozen=True)
class Battery:
    """The assertions of one test file, or one script: each part returns None or the sentence of what it found wrong.

    ``source`` names the repository and the file that is restated, ``asserts`` says in one sentence what it looks at.
    """

    name: str
    source: str
    asserts: str
    parts: tuple[Part, ...]

    def ask(self, subject: Subject) -> tuple[str | None, tuple[str, ...]]:
        """The first failing part's sentence, or None; and the parts that did not apply, each with its reason.

        A layer that raises where a test calls it fails that test, with its own words.
        """
        absent = []
        for part in self.parts:
            try:
                sentence = part(subject)
            except NotApplicable as reason:
                absent.append(f"{part.__name__}: {reason}")
                continue
            except Refused as refusal:
                if refusal.where == "unsupported":
                    absent.append(f"{part.__name__}: {refusal.message}")
                    continue
                sentence = f"{part.__name__}: the layer raised {refusal}"
            except (ValueError, IndexError) as error:  # an output of another shape, with which no assertion can go on
                sentence = f"{part.__name__}: the output cannot be compared: {error}"
            if sentence is not None:
                return sentence, tuple(absent)
        return None, tuple(absent)


class Subject:
    """One layer under test. What a test must expect (scale, dropped value, grid) is read from the layer's contract.

    That favours the restated tests: their authors would have written the right expectation for their own layer. Seeds
    are drawn from ``rng``, so they are free for the tests and yet repeat with the root seed.
    """

    def __init__(self, session: Session, info: dict[str, Any], rng: np.random.Generator) -> None:
        self.session, self.info, self.rng = session, info, rng
        self.contract = Contract.from_dict(info["contract"])
        self.pattern = self.contract.pattern
        self.way = self.contract.seeds[0] if self.contract.seeds else "global"

    @property
    def dropped(self) -> float:
        """The constant that a dropped element becomes. Raises NotApplicable where it is a function of the rate."""
        if isinstance(self.contract.dropped, str):
            raise NotApplicable("the test expects one dropped value, this layer's is a function of the rate")
        return self.contract.dropped

    def seed(self) -> int:
        """A seed that no assertion chose."""
        return int(self.rng.integers(2**31 - 1))

    def rate(self, asked: float) -> float:
        """The rate that the contract promises for the rate asked for: rounded to its grid, where it declares one."""
        grid = self.contract.grid
        return round(asked / grid) * grid if grid else asked

    def kept(self, x: Any, rate: float) -> Any:
        """The right value of kept elements ``x``."""
        return np.asarray(x, dtype=np.float64) * self.contract.scale_at(rate) + self.contract.offset_at(rate)

    def mean(self, value: float, rate: float) -> float:
        """The right mean of the output for an input that is ``value`` everywhere."""
        share = self.rate(rate)
        return float((1 - share) * self.kept(value, rate) + share * self.dropped)

    def shape(self, rows: int, channels: int, shared: int = 1) -> tuple[int, ...]:
        """An input shape with ``rows * channels`` coins, whichever of the two coin axes the pattern lacks."""
        if self.pattern.channel_axis is None:
            rows, channels = rows * channels, 1
        elif not self.pattern.row_axes:
            rows, channels = 1, rows * channels
        return self.pattern.shape(rows, channels, shared)

    def ones(self, rows: int, channels: int, shared: int = 1, value: float = 1.0) -> Values:
        """An input that is ``value`` everywhere."""
        return np.full(self.shape(rows, channels, shared), value, dtype=np.float64)

    def needs(self, *dtypes: str) -> None:
        """Raise NotApplicable unless the layer's framework has these dtypes."""
        for dtype in dtypes:
            if dtype not in self.info["dtypes"]:
                raise NotApplicable(f"{self.info['framework']} has no {dtype}")

    def make(self, rate: float, dtype: str = "float32", seed: int | None = None) -> Made:
        """A fresh layer; a free seed unless one is given."""
        self.needs(dtype)
        chosen = self.seed() if seed is None else seed
        made = ask(self.session, "make", rate=rate, dtype=dtype, seed=chosen, way=self.way)
        return Made(self, rate, dtype, int(made["id"]))

    def refuses(self, rate: float) -> bool:
        """Whether a rate is refused, at construction or (plain functions) at the first call."""
        try:
            self.make(rate).call(self.ones(2, 4, 2))
        except Refused as refusal:
            return refusal.where in ("construct", "call", "worker")
        return False

    def coins(self, y: Values) -> Values:
        """An output reordered to (coins, elements of a coin)."""
        return np.asarray(by_coin(self.pattern, y))

    def gone(self, y: Values) -> NDArray[np.bool_]:
        """Which elements hold the dropped value."""
        return np.asarray(y == self.dropped)


class Made:
    """A layer made for one rate and dtype."""

    def __init__(self, subject: Subject, rate: float, dtype: str, identity: int) -> None:
        self.subject, self.rate, self.dtype, self.id = subject, rate, dtype, identity

    def answers(
        self, x: Values, times: int = 1, training: bool = True, layout: str = "contiguous", record: bool = False
    ) -> tuple[list[Values], str]:
        """Outputs of ``times`` calls on one input as float64, and their dtype."""
        got = ask(
            self.subject.session,
            "apply",
            id=self.id,
            x=x,
            dtype=self.dtype,
            layout=layout,
            training=training,
            record=record,
            times=times,
        )
        return [np.asarray(rounding.to_float64(y, got["dtype"])) for y in got["ys"]], str(got["dtype"])

    def call(self, x: Values, training: bool = True, layout: str = "contiguous") -> Values:
        """One output as float64."""
        return self.answers(x, 1, training, layout)[0][0]

    def gradient(self, x: Values, cotangent: Values) -> tuple[Values, Values | None]:
        """Output and gradient of sum(output * cotangent). Raises NotApplicable where there are no gradients."""
        if not self.subject.info["gradients"]:
            raise NotApplicable(f"{self.subject.info['framework']} gives no gradients")
        got = ask(self.subject.session, "gradient", id=self.id, x=x, dtype=self.dtype, cotangent=cotangent)
        gradient = got["gradient"]
        y = np.asarray(rounding.to_float64(got["y"], got["dtype"]))
        return y, None if gradient is None else np.asarray(rounding.to_float64(gradient, got["gradient_dtype"]))

    def reseed(self, seed: int | None = None) -> None:
        """Give the layer another seed: a free one unless one is given."""
        chosen = self.subject.seed() if seed is None else seed
        self.id = int(ask(self.subject.session, "reseed", id=self.id, seed=chosen, way=self.subject.way)["id"])


def started(name: str) -> Session:
    """A session for the layer of that name: in this process unless the layer needs an environment of its own.

    Raises UnknownTarget for a name that names nothing.
    """
    target = targets.parse(name)
    if all(os.environ.get(key) == value for key, value in target.environment):
        return LocalSession()
    return ProcessSession(
        environment={**visible_devices.variables("cpu"), **dict(target.environment)},
        path=target.path,
        packages=target.packages,
    )


def opened(session: Session, name: str, rng: np.random.Generator) -> Subject:
    """The layer of that name, made anew in the session. Raises NotRunnable, with the reason, where it cannot be opened."""
    target = targets.parse(name)
    try:
        info = ask(session, "open", locator=target.locator, source=target.source, pattern=None)
    except Refused as refusal:
        raise NotRunnable(f"{name} cannot be opened: {refusal}") from refusal
    return Subject(session, info, rng)
