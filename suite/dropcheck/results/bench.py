"""The result of a bench: every raw sample and what was made of it, its schema and its strict reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.results import audit as results
from dropcheck.results import frames
from dropcheck.results.audit import Level, ResultError, Verdict, write_atomically

if TYPE_CHECKING:
    import pandas

SCHEMA = "dropcheck.bench/1"

State = Literal["measured", "skipped", "disqualified", "error", "noisy"]  # noisy: the reference did not repeat itself


Word = Literal["faster", "same", "slower", "inconclusive"]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One block of one thing: nanoseconds and page faults a call, over ``loops`` calls in ``parts`` parts.

    ``device_ns`` and ``host_ns`` are those of the median part; ``mean_ns`` is over the whole block, with all that other
    processes took; ``cpu_ns``: what the processors worked for this process, over ``mean_ns`` the processors that it used.

    ``process``: which fresh process of its target; ``block`` and ``place``: when; ``cell``: its place among the cells;
    ``target``: whose process; ``again``: it is the reference's second process; ``what``: ``target``, ``copy:NAME``,
    ``fill:NAME``, or ``again:copy:NAME``.
    """

    process: int
    block: int
    place: int
    cell: int
    target: str
    again: bool
    what: str
    loops: int
    device_ns: float
    host_ns: float
    faults: float
    parts: int = 1
    mean_ns: float | None = None
    cpu_ns: float | None = None


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a process said of a cell before it was timed.

    ``how``: calls, queued ahead, or graph replays; ``captured``: captured, or why not (None where there are no graphs);
    ``regime``: whether malloc could be set; ``masks``: whether successive masks were seen to differ.
    """

    process: int
    cell: int
    target: str
    again: bool
    first_ns: float
    how: str
    captured: str | None
    masks: str
    regime: str
    buffers: int
    compilations: int | None = None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """One process: threads as asked for and as verified, and clocks, load and temperature before and after its cells."""

    process: int
    target: str
    again: bool
    threads: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """The audit that a speed stands beside: its verdict, and what disqualifies, by dtype (``any``: all cells).

    ``waived``: the checks that fail there and were accepted by somebody. ``digest`` (of the user's own file), ``pattern``,
    ``device`` and ``dtypes`` (in which a finding was judged): what the audit looked at; empty where it does not say.
    ``level``: the gravest level of what fails (None: nothing, or the record of an older release); ``edges``: the checks that
    fail as edge cases or traits, which disqualify nothing.
    """

    verdict: Verdict
    profile: str
    version: str
    source: str
    claims: int
    disqualified: dict[str, str] = {}
    waived: list[str] = []
    digest: str = ""
    pattern: str = ""
    device: str = ""
    dtypes: list[str] = []
    level: Level | None = None
    edges: list[str] = []

    @property
    def broken(self) -> bool:
        """Whether a failure disqualifies."""
        return self.verdict == "fail" and self.level in (None, "defect")


class BenchTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One target. ``error`` or ``skipped``: why nothing of it was measured."""

    target: str
    framework: str
    version: str
    pattern: str
    device: str
    audit: Audit | None
    error: str | None = None
    skipped: str | None = None
    details: str | None = None


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """One target in one cell: medians over processes, in seconds a call and bytes; for orientation, never for a gate.

    ``device_s``: until the work is done; ``host_s``: until the call has returned; ``first_s``: the first call in a fresh
    process, compilation included; ``memory``: peak beyond the input, output included; ``moved``: bytes that the model says
    must move; ``limit_s``: how long that takes here; ``fraction``: limit over device time. ``reason``: why something is None.
    """

    target: str
    cell: int
    state: State
    reason: str = ""
    device_s: float | None = None
    host_s: float | None = None
    first_s: float | None = None
    memory: int | None = None
    moved: float | None = None
    skipped_share: float | None = None
    limit_s: float | None = None
    fraction: float | None = None
    faults: float | None = None
    how: str = ""
    captured: str | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One target against the reference in one cell: the ratio of device times, its interval, and the verdict by margin."""

    target: str
    cell: int
    verdict: Word
    ratio: float | None
    low: float | None
    high: float | None
    alpha: float | None
    processes: int
    reason: str = ""


class Placebo(msgspec.Struct, frozen=True, kw_only=True):
    """The reference against itself in one cell; ``resolution``: half-width of its interval as a share of the time."""

    cell: int
    verdict: Word
    ratio: float
    low: float
    high: float
    resolution: float
    processes: int


class Yardstick(msgspec.Struct, frozen=True, kw_only=True):
    """The best copy and the best fill in one cell, in seconds, and a second copy's share of the first's limit."""

    cell: int
    copy: str
    copy_s: float
    fill: str
    fill_s: float
    copy_fraction: float | None


class Compile(msgspec.Struct, frozen=True, kw_only=True):
    """What compiling one target costs, in fresh processes of its own; seconds.

    ``cold_s``: the first call without any cache, less a later call; ``warm_s``: the same in a second process that finds on
    disk what the first one compiled; ``call_s``: a later call. ``shapes``: that were then called one after the other;
    ``compilations``: how many each made; ``again``: how many all of them made when they came a second time. ``breaks``: graph
    breaks, by reason (None where the compiler does not tell). ``problem``: why there is nothing.
    """

    target: str
    cell: str
    cold_s: float | None = None
    warm_s: float | None = None
    call_s: float | None = None
    shapes: list[str] = []
    compilations: list[int] = []
    again: int | None = None
    breaks: dict[str, int] | None = None
    problem: str = ""


class BenchResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run of ``dropcheck bench``. ``resumed``: how many of its rounds of processes an earlier run had finished.

    ``noise``: by which share the reference may differ from itself where a cell has a figure (None: an older release, any).
    """

    schema: Literal["dropcheck.bench/1"] = "dropcheck.bench/1"
    kind: Literal["bench"] = "bench"
    verdict: Verdict
    environment: dict[str, Any]
    argv: list[str]
    profile: str
    seed: int
    device: str
    threads: int
    reference: str
    margin: float
    level: float
    processes: int
    blocks: int
    slot_ms: float
    resolution_wanted: float | None
    resolution: float | None
    cells: list[str]
    targets: list[BenchTarget]
    speeds: list[Speed]
    comparisons: list[Comparison]
    placebos: list[Placebo]
    yardsticks: list[Yardstick]
    warnings: list[str]
    hosts: list[Host]
    setups: list[Setup]
    samples: list[Sample]
    wall_s: float
    interrupted: bool = False
    compiles: list[Compile] = []
    resumed: int = 0
    noise: float | None = None


def exit_code(result: BenchResult) -> int:
    """0 everything was measured beside a passed audit or does not apply; 1 an audit failed; 3 something is missing.

    ``slower`` is an answer here, not a failure: whether it may be is what ``dropcheck compare`` and a policy decide.
    """
    if result.verdict == "fail":
        return 1
    return 0 if result.verdict == "pass" and not result.interrupted else 3


def schema() -> dict[str, Any]:
    """The JSON schema of a bench result."""
    return msgspec.json.schema(BenchResult)


def encode(result: BenchResult) -> bytes:
    """The result as JSON, a line a record."""
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"


def save(result: BenchResult, path: Path) -> None:
    """Write a result file atomically."""
    write_atomically(path, encode(result))


def load(path: Path) -> BenchResult:
    """Read a bench result. Raises ResultError with the file and the line or JSON path of the damage."""
    return decode(results.read(path), str(path))


def decode(data: bytes, name: str) -> BenchResult:
    """Decode a bench result, strictly: unknown schema, missing keys and wrong types are refused with their place."""
    from dropcheck.contract.cells import parse_cell

    result = results.decode_as(BenchResult, data, name, SCHEMA, "it is no result of dropcheck bench")
    for place, text in enumerate(result.cells):
        try:
            parse_cell(text)
            understood = text.isprintable()  # no word of a cell has a line break, but what stands between two may
        except UsageError:
            understood = False
        if not understood:
            raise ResultError(
                f"{name} is damaged: {text[:80]!r} is no cell; expected words such as '64,256,1024 float32 rate=0.5 forward' - "
                f"at `$.cells[{place}]`"
            )
    for key in ("speeds", "comparisons", "placebos", "yardsticks", "setups", "samples"):
        for place, one in enumerate(getattr(result, key)):
            if not 0 <= one.cell < len(result.cells):
                raise ResultError(
                    f"{name} is damaged: there is no cell {one.cell} among {len(result.cells)} - at `$.{key}[{place}].cell`"
                )
    return result


def frame(result: BenchResult) -> pandas.DataFrame:
    """Every raw sample as a pandas table, with the words of its cell as columns; one row a block of one thing."""
    import dataclasses

    frames.need_pandas()
    import pandas

    from dropcheck.contract.cells import parse_cell

    columns = list(Sample.__struct_fields__)
    table = pandas.DataFrame([msgspec.structs.astuple(s) for s in result.samples], columns=columns)
    cells = pandas.DataFrame([dataclasses.asdict(parse_cell(text)) for text in result.cells])
    return table.merge(cells, left_on="cell", right_index=True, how="left").sort_index()
