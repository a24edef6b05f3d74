"""What a self-test found, as typed records, with their strict reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import msgspec

from dropcheck.results.audit import SCHEMA, ResultError, Verdict

PARTS = ("calibration", "power", "thresholds", "zoo", "practice")


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """One promise of the suite, and whether it held. ``n`` is what it was measured on."""

    part: str
    name: str
    held: bool
    text: str
    n: int = 0


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Rejections among null audits of one check on one case at one level.

    ``most``: what a test of level alpha exceeds with probability below 1e-6 (binomial quantile). ``attained``: the exact
    size where the law of the decision can be summed; ``agrees``: exact two-sided binomial test of it, at 1e-6.
    """

    check: str
    case: str
    alpha: float
    audits: int
    rejections: int
    most: int
    attained: float | None = None
    agrees: bool | None = None

    @property
    def holds(self) -> bool:
        """Whether rejections stay within the bound, and agree with the exact size where there is one."""
        return self.rejections <= self.most and self.agrees is not False


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The size of one decision at the level of the gate: ``size`` with its standard ``error`` (0: an exact sum)."""

    check: str
    case: str
    method: str
    alpha: float
    size: float
    error: float
    n: int

    @property
    def holds(self) -> bool:
        """Whether the size is at most alpha, five standard errors granted where it is an estimate."""
        return self.size - 5 * self.error <= self.alpha * (1 + 1e-9)


class Power(msgspec.Struct, frozen=True, kw_only=True):
    """Planted coins at exactly the printed resolution: how many of ``tries`` were caught.

    ``least``: fewer caught than this have probability below 1e-6 under the promise. ``lower``: Clopper-Pearson, level .01.
    ``miss``: the exact (or, with ``error`` above 0, importance-sampled) probability of a miss.
    """

    check: str
    plant: str
    case: str
    beta: float
    resolution: float
    tries: int = 0
    caught: int = 0
    least: int = 0
    lower: float = 0.0
    miss: float | None = None
    error: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the promised share was caught."""
        if self.miss is not None:
            return self.miss - 5 * self.error <= self.beta * (1 + 1e-6)
        return self.caught >= self.least


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """Critical values of one law over a grid, computed by the suite and again by exact sums."""

    quantity: str
    compared: int
    wrong: int
    examples: list[str] = []


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of the documented tables beside its value now; ``slack`` is the relative rounding of the printed figure."""

    figure: str
    stated: float
    computed: float
    slack: float

    @property
    def holds(self) -> bool:
        """Whether the printed figure is right to its rounding."""
        return abs(self.computed / self.stated - 1) <= self.slack


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer of the zoo audited with all checks: verdict of each check, and what was caught when.

    ``failing``: checks that fail in the report; ``also``: checks whose evidence says fail but which are not interpretable
    beside a more basic failure. Seconds count from the start of the layer's audit until the finding was made.
    """

    layer: str
    profile: str
    names: str | None
    verdict: Verdict
    verdicts: dict[str, Verdict]
    failing: list[str]
    also: list[str]
    log10_evidence: float | None
    first: str | None
    error: str | None
    coins: int


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of one layer: until anything was caught, until the check that names the defect caught it, in all."""

    layer: str
    profile: str
    first_s: float | None
    own_s: float | None
    wall_s: float


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """For one check: defects that only it catches, and defects that name it but that others catch too."""

    check: str
    only: list[str]
    shared: dict[str, list[str]]


class Practice(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison with assertions in use today, as Markdown and SVG; ``left_out`` says why there is none."""

    table: str = ""
    figure: str = ""
    left_out: str | None = None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One layer of a user's file in one profile, beside what the file's table expects.

    ``outcome``: caught (by an expected check), other (by another check only), missed; passes or false of a correct layer;
    unjudged where no verdict came (``error`` says why). ``failing``: each failing check with its cheapest failing case.
    ``correct``: the table says that it must pass. ``expected`` is for readers.
    """

    layer: str
    profile: str
    expected: str
    correct: bool
    outcome: Literal["caught", "other", "missed", "passes", "false", "unjudged"]
    failing: dict[str, str] = {}
    error: str | None = None

    @property
    def held(self) -> bool:
        """Whether the layer came to what the table expects."""
        return self.outcome in ("caught", "passes")


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """The cheapest case that would have caught a layer that was missed in ``profile``; no ``case``: none was found.

    ``place``: what asks such a case (a larger profile, drawn cases of another root seed, the search). ``tried`` cases in
    ``seconds``; ``whole``: all that the search knows, the limit of time did not end it.
    """

    layer: str
    profile: str
    case: str | None = None
    check: str | None = None
    place: str = ""
    coins: int = 0
    command: str = ""
    tried: int = 0
    seconds: float = 0.0
    whole: bool = True


class FromFile(msgspec.Struct, frozen=True, kw_only=True):
    """The layers of a user's file against the table in it. ``interrupted``: not all of them were audited."""

    path: str
    judged: list[Judged]
    sought: list[Sought] = []
    interrupted: bool = False


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the self-test."""

    schema: Literal["dropcheck.result/1"] = "dropcheck.result/1"
    kind: Literal["selftest"] = "selftest"
    verdict: Verdict
    environment: dict[str, Any]
    argv: list[str]
    parts: list[str]
    profiles: list[str]
    seed: int
    scale: float
    promises: list[Promise]
    calibration: list[Calibration]
    tails: list[Tail]
    power: list[Power]
    thresholds: list[Threshold]
    goldens: list[Golden]
    zoo: list[Layer]
    owners: list[Owner]
    signatures: dict[str, dict[str, list[str]]]
    practice: Practice | None
    clocks: list[Clock]
    seconds: dict[str, float]
    from_file: FromFile | None = None


def encode(result: SelfTest) -> bytes:
    """The result as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"


def kind(path: Path) -> str | None:
    """The kind that a result file says it has, or None where it cannot be told (its own reader then names the damage)."""
    try:
        tree = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return None
    found = tree.get("kind") if isinstance(tree, dict) else None
    return found if isinstance(found, str) else None


def load(path: Path) -> SelfTest:
    """Read a stored self-test. Raises ResultError with the file and the place of the damage."""
    try:
        tree = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ResultError(f"cannot read the result {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ResultError(f"{path} is no dropcheck result: byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ResultError(f"{path} is damaged at line {error.lineno}, column {error.colno}: {error.msg}") from error
    found = (tree.get("schema"), tree.get("kind")) if isinstance(tree, dict) else (None, None)
    if found != (SCHEMA, "selftest"):
        raise ResultError(f"{path} has schema {found[0]!r} and kind {found[1]!r}; expected {SCHEMA!r} and 'selftest'")
    try:
        return msgspec.convert(tree, SelfTest)
    except msgspec.ValidationError as error:
        raise ResultError(f"{path} is damaged: {error}") from error


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One battery on one layer, ``len(seeds)`` runs with free seeds.

    ``failed`` counts the runs in which the battery found something wrong, ``words`` is what it said first, ``absent`` the
    assertions that did not apply with their reasons, ``error`` why the layer could not be asked at all.
    """

    layer: str
    seeds: list[int]
    failed: int
    seconds: float
    words: str = ""
    absent: list[str] = []
    error: str = ""

    @property
    def runs(self) -> int:
        """Runs that really took place."""
        return 0 if self.error else len(self.seeds)


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One battery over all layers: defects by name, accusations of correct layers over their runs, seconds."""

    battery: str
    source: str
    asserts: str
    caught: list[str]
    sometimes: list[str]
    missed: list[str]
    not_run: list[str]
    accusations: int
    correct_runs: int
    accused: list[str]
    interval: tuple[float, float]
    seconds: float
    seconds_a_layer: float
    outcomes: list[Outcome] = []


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All batteries on one zoo. Everything but the seconds repeats with the root seed."""

    root: int
    runs: int
    correct_runs: int
    layers: list[str]
    correct: list[str]
    scores: list[Score]
    seconds: float
