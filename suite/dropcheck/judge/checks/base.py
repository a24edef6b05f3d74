"""What a check is, what it is given, and how its numbers become a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract
from dropcheck.contract.sites import Sites
from dropcheck.count.coins import Bytes, unpack
from dropcheck.count.gathered import Gathered
from dropcheck.judge import examples
from dropcheck.judge.claims import CLAIMS
from dropcheck.results.audit import Finding, Picture, Statistic, Verdict
from dropcheck.worker.client import Session

ALPHA = 1e-6  # probability of accusing a correct layer, per target and run
BETA = 1e-6  # probability of missing one defect of the printed resolution
# The full plan of a profile never has more cases a check than this (a test counts): each case owns the same fixed share.
MOST_CASES = {"quick": 96, "standard": 192, "deep": 768}


def allowance(coins_per_call: int, shared: int = 1) -> float:
    """How much coarser a case of short calls, or of long channels, may be: a plan pays for calls and for elements."""
    short = 1.0 if coins_per_call >= 4096 else 4.0 if coins_per_call >= 64 else 16.0
    return short * long_channels(shared)


def long_channels(shared: int) -> float:
    """The part of ``allowance`` for the elements of a coin: what tells the coin apart, 33 elements tell no better."""
    return 1.0 if shared <= 8 else 2.0 if shared <= 40 else 4.0


@dataclass(frozen=True)
class Limits:
    """What a verdict may cost: error probabilities of one check on one case, and the coarsest resolution accepted."""

    alpha: float
    beta: float = BETA
    coarsest: float | None = None
    strict: bool = False


@dataclass
class Bench:
    """What an exact check may use: a session, the target's description, and a seed of its own."""

    session: Session
    info: dict[str, Any]
    contract: Contract
    dtypes: tuple[str, ...]
    seed: int
    rates: tuple[float, ...]
    profile: str
    traits: dict[str, Any]
    fresh_session: Callable[[], Session] | None = None
    controls: dict[str, str] = field(default_factory=dict)  # asked of the framework's own layer -> what it failed
    refused: dict[str, str] = field(default_factory=dict)  # dtypes whose first call the layer refuses, with its words
    unseeded: str | None = None  # digest of the first masks of this process, before anything was seeded
    # the cases of the whole plan, whatever is selected: their shapes are asked exactly, too
    planned: tuple[Case, ...] = ()
    answers: dict[str, Any] = field(default_factory=dict)  # what two checks ask alike
    resolution: float | None = None  # what was asked for instead of the profile's
    begun: dict[str, list[Any]] | None = None  # outputs of the first seeded layers of this process, by way
    named: bool = False  # whether cases or shapes were named: then no other sizes are asked
    cases: tuple[Case, ...] = ()  # those that were named
    requested: bool = False  # whether rates were named: then no others are asked

    @property
    def first(self) -> str:
        """The dtype of questions that one dtype answers: float32 where it is asked about, else what is asked instead."""
        return self.dtypes[0]


# what a check is in the order of judgement: the verdicts of which others it may make uninterpretable (see ``verdicts``)
Role = Literal[
    "",
    "whole",
    "copied channels",
    "copied rows",
    "copied calls",
    "ties",
    "tied rows",
    "tied calls",
    "values",
    "rate",
    "rates apart",
    "seeds",
    "layers in turn",
]


@dataclass(frozen=True)
class Check:
    """One named claim: its words, the cases that it wants, and its decision. Its sentence is its line in judge/claims.py.

    ``share``     its part of ALPHA; the shares of all checks add up to at most 1 (a test adds them).
    ``coarsest``  profile -> coarsest resolution that counts as a pass; ``most`` caps what ``allowance`` makes of it, since a
                  pass at correlation 1 would claim nothing.
    ``wants``     whether a coin case bears on it; ``judge`` then decides from what was gathered.
    ``reach``     the resolution that the planned coins of a case make possible; a plan asks the check only where that is
                  fine enough, so that an inconclusive verdict means lost evidence and never a plan too small.
    ``observe``   for exact checks: asks the session and decides.
    ``compare``   for checks over all cases together.
    ``sites``   for checks of a whole model: decides from its draws and what its contract declares of inference.
    ``role``         what it is in the order of judgement.
    ``words``        whether it looks for words of coins that repeat.
    ``conditional``  whether its p-values are of a hypergeometric law, given the totals; see ``over_runs.SLACK``.
    ``zero_events``  whether a pass says that no event is among its coins.
    ``forbidden``    counts of which one alone fails it.
    ``coins_are``    the count that the coins of its findings are.
    ``least_share``  the measured rate and what was thinned out move a resolution from the planned one: never below this share
                     of it (measured on 90,000 stored results: .66, and .30 for patterns).
    """

    name: str
    how: str
    remedy: str
    resolution_words: str = ""
    share: float = 0.0
    coarsest: dict[str, float] = field(default_factory=dict)
    most: float = math.inf
    wants: Callable[[Case], bool] | None = None
    judge: Callable[[Check, Gathered, Limits], Finding | None] | None = None
    reach: Callable[[Case, Limits], float] | None = None
    observe: Callable[[Check, Bench, Limits], list[Finding]] | None = None
    compare: Callable[[Check, Sequence[Gathered], Limits], list[Finding]] | None = None
    sites: Callable[[Check, Sites, str], list[Finding]] | None = None
    role: Role = ""
    words: bool = False
    conditional: bool = False
    zero_events: bool = False
    forbidden: tuple[str, ...] = ()
    coins_are: str = ""
    least_share: float = 0.5

    @property
    def wrong(self) -> str:
        """Code that fails this check, for its page; see judge/examples."""
        return examples.code(self.name, "wrong")

    @property
    def right(self) -> str:
        """The same code, right."""
        return examples.code(self.name, "right")

    @property
    def claim(self) -> str:
        """The sentence that it stands for."""
        return CLAIMS[self.name]

    @property
    def family(self) -> str:
        """The part of the name before the dot."""
        return self.name.split(".", 1)[0]

    @property
    def counts(self) -> bool:
        """Whether it decides over counted cases, whatever it asks exactly besides."""
        return self.judge is not None or self.compare is not None

    def limits(
        self, profile: str, case: Case | None = None, strict: bool = False, resolution: float | None = None
    ) -> Limits:
        """The fixed share of one case, whatever else runs beside it."""
        coarsest = self.coarsest.get(profile)
        if coarsest is not None and resolution is not None and self.name.startswith("rate."):
            coarsest = resolution
        if coarsest is not None and case is not None:
            coarsest = min(self.most, coarsest * allowance(case.rows * case.channels, case.shared))
        return Limits(ALPHA * self.share / MOST_CASES[profile], BETA, coarsest, strict)

    def asks(self, case: Case, profile: str, resolution: float | None = None) -> bool:
        """Whether a plan puts this check to this case: it bears on it, and its coins reach far enough.

        Three per cent are kept in reserve, because the measured rate, not the nominal one, sets the final resolution.
        """
        if self.wants is None or not self.wants(case):
            return False
        limits = self.limits(profile, case, resolution=resolution)
        if self.reach is None:
            return True
        reached = self.reach(case, limits)
        return math.isfinite(reached) and (limits.coarsest is None or reached <= 0.97 * limits.coarsest)


def in_turn(
    *questions: Callable[[Check, Bench, Limits], list[Finding]],
) -> Callable[[Check, Bench, Limits], list[Finding]]:
    """An ``observe`` that asks several exact questions of one claim, in their order."""

    def observe(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
        return [one for ask in questions for one in ask(check, bench, limits)]

    return observe


def settle(failed: bool, resolution: float | None, coarsest: float | None) -> Verdict:
    """Three outcomes: fail where the evidence says so, pass only where the printed resolution is fine enough."""
    if failed:
        return "fail"
    if coarsest is not None and (resolution is None or not resolution <= coarsest):
        return "inconclusive"
    return "pass"


def finding(
    check: Check,
    case: Case | str,
    verdict: Verdict,
    message: str,
    **numbers: Any,
) -> Finding:
    """A finding with its numbers made plain (NumPy scalars, infinities)."""
    clean: dict[str, Any] = {}
    for key, value in numbers.items():
        if key in ("estimate", "expected", "resolution", "log10_evidence", "alpha") and value is not None:
            number = float(value)
            # JSON has no infinity; a probability of 0 is shown as the smallest that a double can hold
            clean[key] = number if math.isfinite(number) else (-99999.0 if number < 0 else None)
        elif key in ("fail_interval", "pass_interval") and value is not None:
            clean[key] = (float(value[0]), float(value[1]))
        elif key == "tallies":
            clean[key] = plain(value)
        elif key == "coins":
            clean[key] = int(value)
        else:
            clean[key] = value
    return Finding(check=check.name, case=str(case), verdict=verdict, message=message, **clean)


def exact(check: Check, case: Case | str, problem: str, good: str, **numbers: Any) -> Finding:
    """A result that one counter-example decides: a failure with the ``problem``, or a pass in the words ``good``."""
    if not problem:
        return finding(check, case, "pass", good, **{"log10_evidence": 0.0, **numbers})
    return finding(check, case, "fail", problem, **{"log10_evidence": -math.inf, **numbers})


def plain(value: Any) -> Any:
    """NumPy scalars and arrays as plain Python data."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def skipped(check: Check, case: Case | str, reason: str) -> Finding:
    """A check that does not apply here, with the reason."""
    return finding(check, case, "skipped", reason)


def points(difference: float) -> str:
    """A difference of rates in percentage points."""
    return f"{abs(difference) * 100:.3g} points"


def draw_matrix(packed: Bytes, channels: int, rows: int = 8, columns: int = 48, start: int = 0) -> list[str]:
    """Rows of a coin matrix as text: ``#`` kept, ``.`` dropped, a space every four channels."""
    block = unpack(packed[start : start + rows], channels)[:, :columns]
    lines = []
    for row in block:
        text = "".join("." if coin else "#" for coin in row)
        lines.append(" ".join(text[i : i + 4] for i in range(0, len(text), 4)))
    return lines


def picture(caption: str, columns: str, rows: list[str], labels: list[str] | None = None) -> Picture:
    """A picture for a finding."""
    return Picture(caption=caption, columns=columns, rows=rows, labels=labels or [])


def pearson(name: str, value: float, degrees: int, p_value: float) -> Statistic:
    """Pearson's chi-square as a statistic beside the gating form."""
    return Statistic(name=name, value=float(value), degrees=int(degrees), p_value=float(p_value))
