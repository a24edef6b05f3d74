"""The page and the figures of a folder of bench results, written by bench_everything.py.

OUT/README.md (tables, what has no speed and why, how to read it) and OUT/throughput.svg, OUT/limit.svg, OUT/layouts.svg.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dropcheck.contract.cells import Cell, parse_cell
from dropcheck.report import bench as text
from dropcheck.results.audit import write_atomically
from dropcheck.results.bench import BenchResult, BenchTarget, Compile, Speed
from dropcheck.results.plain_text import line

FAMILIES = ("custom", "torch", "keras", "tensorflow", "tf_keras", "flax", "haiku", "equinox", "mlx", "onnxruntime")
ONE = Cell(samples=1)  # 1 MiB in float32: what layouts, dtypes and rates are compared at


@dataclass(frozen=True)
class Row:
    """One target: what is said of it, and its speeds by cell."""

    target: BenchTarget
    speeds: dict[Cell, Speed]
    compiled: Compile | None


def rows_of(found: Sequence[BenchResult]) -> list[Row]:
    """Every target once, from the first result that has it, in the order of families and names."""
    made: dict[str, Row] = {}
    for result in found:
        cells = [parse_cell(c) for c in result.cells]
        for one in result.targets:
            speeds = {cells[s.cell]: s for s in result.speeds if s.target == one.target}
            compiled = next((c for c in result.compiles if c.target == one.target), None)
            made.setdefault(one.target, Row(one, speeds, compiled))
    return sorted(made.values(), key=lambda r: (_family(r.target.target), r.target.target))


def _family(name: str) -> int:
    word = name.split(".")[0]
    return FAMILIES.index(word) if word in FAMILIES else len(FAMILIES)


def write(found: Sequence[BenchResult], out: Path, here: Sequence[str] = ()) -> None:
    """OUT/README.md and its figures. ``here``: everything that can run, of which the page says what was not measured."""
    rows = rows_of(found)
    throughput(rows, out / "throughput.svg")
    limits(rows, out / "limit.svg")
    layouts(rows, out / "layouts.svg")
    left = [name for name in here if name not in {r.target.target for r in rows}]
    write_atomically(out / "README.md", page(found, rows, (out / "promises.md").exists(), left).encode())


def measured(row: Row, cell: Cell) -> Speed | None:
    """The speed in a cell, where there is one."""
    speed = row.speeds.get(cell)
    return speed if speed is not None and speed.state == "measured" else None


# --- figures ---------------------------------------------------------------------------------------------------------


def _figure(wide: float, high: float, count: int = 1) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"svg.hashsalt": "dropcheck", "font.size": 9, "svg.fonttype": "none"})
    return pyplot.subplots(1, count, figsize=(wide, high), squeeze=False)


def _saved(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    from matplotlib import pyplot

    pyplot.close(figure)


def _sizes(row: Row) -> list[tuple[int, Speed]]:
    """Speeds by bytes: forward, float32, rate .5, in the layer's own layout."""
    plain = ("float32", 0.5, "forward", "native", "reused")
    cells = [c for c in row.speeds if (c.dtype, c.rate, c.direction, c.layout, c.regime) == plain]
    found = [(c.nbytes, measured(row, c)) for c in sorted(cells, key=lambda c: c.nbytes)]
    return [(size, s) for size, s in found if s is not None]


def _lines(rows: Sequence[Row], path: Path, label: str, value: Callable[[int, Speed], float | None]) -> None:
    """One panel a family of frameworks: a line a target over sizes."""
    panels: dict[str, list[Row]] = {}
    for row in rows:
        if _sizes(row):
            word = row.target.target.split(".")[0]
            panels.setdefault(
                {"tf_keras": "tensorflow", "haiku": "flax", "equinox": "flax"}.get(word, word), []
            ).append(row)
    if not panels:
        return
    names = {"flax": "flax, haiku, equinox", "tensorflow": "tensorflow, tf_keras"}
    figure, (axes,) = _figure(3.4 * len(panels), 4.6, len(panels))
    for axis, (family, some) in zip(axes, panels.items(), strict=True):
        for number, row in enumerate(some):
            points = [(size, value(size, s)) for size, s in _sizes(row)]
            points = [(a, b) for a, b in points if b is not None]
            name = row.target.target
            style = "--" if name.rpartition("@")[2] in ("compiled", "jit", "graph", "xla") else "-"
            axis.plot(*zip(*points, strict=True), style, marker="osD^v*x+"[number % 8], ms=3, lw=1, label=name)
        axis.set(xscale="log", yscale="log", xlabel="input bytes", title=names.get(family, family))
        axis.set_xticks([2**12, 2**16, 2**20, 2**24], ["4 KiB", "64 KiB", "1 MiB", "16 MiB"])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend(fontsize=5.5, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)
    axes[0].set_ylabel(label)
    low = min(a.get_ylim()[0] for a in axes)
    high = max(a.get_ylim()[1] for a in axes)
    for axis in axes:
        axis.set_ylim(low, high)
    _saved(figure, path)


def throughput(rows: Sequence[Row], path: Path) -> None:
    """Input bytes a second over the size of the input."""
    _lines(rows, path, "input GB/s", lambda size, s: size / s.device_s / 1e9 if s.device_s else None)


def limits(rows: Sequence[Row], path: Path) -> None:
    """The fraction of the limit over the size of the input."""
    _lines(rows, path, "fraction of the limit", lambda size, s: s.fraction)


VARIANTS = (
    ("native", ONE),
    ("permuted", Cell(samples=1, layout="permuted")),
    ("strided", Cell(samples=1, layout="strided")),
    ("float16", Cell(samples=1, dtype="float16")),
    ("bfloat16", Cell(samples=1, dtype="bfloat16")),
    ("float64", Cell(samples=1, dtype="float64")),
    ("rate .9", Cell(samples=1, rate=0.9)),
    ("backward", Cell(samples=1, direction="backward")),
    ("inference", Cell(samples=1, direction="inference")),
)


def layouts(rows: Sequence[Row], path: Path) -> None:
    """A matrix: time an element in each layout, dtype, rate and direction over that of the plain cell, in colour and words."""
    some = [row for row in rows if measured(row, ONE)]
    if not some:
        return
    names = [name for name, _ in VARIANTS]
    values = np.full((len(some), len(names)), np.nan)
    for i, row in enumerate(some):
        base = measured(row, ONE)
        for j, (_, cell) in enumerate(VARIANTS):
            speed = measured(row, cell)
            if speed is not None and base is not None and speed.device_s and base.device_s:
                values[i, j] = speed.device_s / base.device_s
    figure, ((axis,),) = _figure(8.0, 1.0 + 0.24 * len(some))
    axis.imshow(np.log2(values), cmap="RdYlBu_r", vmin=-4, vmax=4, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        axis.text(
            j, i, "-" if np.isnan(value) else f"{value:.2g}", ha="center", va="center", fontsize=6.5, color=_ink(value)
        )
    axis.set_xticks(range(len(names)), names)
    axis.set_yticks(range(len(some)), [row.target.target for row in some], fontsize=6.5)
    axis.set_title("time over that of float32, rate .5, forward, native, 256 channels of 1024 positions", fontsize=9)
    _saved(figure, path)


def _ink(value: float) -> str:
    """Black, or white where the cell behind is dark."""
    return "white" if value > 8 or value < 1 / 8 else "black"


# --- the page --------------------------------------------------------------------------------------------------------


_LAYOUTS = (
    "![Layouts, dtypes, rates and directions](layouts.svg)",
    "",
    "Below 1 is faster than the plain cell. `permuted`: the channels at the other end in memory; `strided`: every second "
    "element of a larger array; `-`: does not apply, or has no speed.",
    "",
)


def _command(first: BenchResult, rows: Sequence[Row]) -> str:
    """What makes this page, or goes on with it."""
    if first.device != "cpu":
        return "python tests/measurements/gpu.py reports/gpu"
    accepted = {w for r in rows if r.target.audit for w in r.target.audit.waived}
    return (
        "python tests/measurements/bench_everything.py reports/speed --audit reports/field/result.json.xz --accept "
        + (",".join(sorted(accepted)) or "none")
    )


def page(found: Sequence[BenchResult], rows: Sequence[Row], promises: bool = False, left: Sequence[str] = ()) -> str:
    """All of it as Markdown."""
    first = found[0]
    counted = Counter(s.state for r in rows for s in r.speeds.values())
    speedy = sum(any(s.state == "measured" for s in r.speeds.values()) for r in rows)
    copies = [y.copy_fraction for r in found for y in r.yardsticks if y.copy_fraction is not None]
    near = sum(abs(c - 1) <= 0.03 for c in copies)
    loads = sorted(h.before["load"] for r in found for h in r.hosts if "load" in h.before)
    parts = [
        "# How fast the implementations are here",
        "",
        f"{speedy} of {len(rows)} implementations and modes have a speed; {counted['measured']} cells were measured, "
        f"{counted['skipped']} do not apply, {counted['disqualified']} are of layers that fail their audit there, "
        f"{counted['error']} ended in an error"
        + (f", {counted['noisy']} are noisy and have no figure." if counted["noisy"] else "."),
        "",
        f"{line(str(first.environment.get('processor', '')))}, {first.threads} thread{'s' if first.threads > 1 else ''} a "
        f"process, device {first.device}; {_range(r.processes for r in found)} fresh processes a target, "
        f"{_range(r.blocks for r in found)} blocks of {first.slot_ms:g} ms each. " + _load(loads),
        "",
        "Times are medians over processes, for orientation: they are of one machine on one day. Comparisons with an interval "
        "are in the raw results, against the same reference in every group "
        f"(`{line(first.reference)}`), as `dropcheck bench` prints them.",
        "",
        "![Throughput against size](throughput.svg)",
        "",
        "Input bytes a second. Left of the bend the cost of a call counts, right of it memory and random numbers do.",
        "",
        "![Fraction of the limit against size](limit.svg)",
        "",
        "The limit is the least bytes that the layout must move, over a copy and a fill measured beside it: 1 is as fast as "
        "memory allows. A copy over its own limit, timed twice in every block, is "
        + (
            f"{np.median(copies):.3f} in the middle cell and within .03 of 1 in {near} of {len(copies)} cells."
            if copies
            else "unknown."
        ),
        "",
        *(_LAYOUTS if any(measured(row, ONE) for row in rows) else ()),
        *(
            [
                "[promises.md](promises.md): what the clock itself measures of identical code, and beside other tools.",
                "",
            ]
            if promises
            else []
        ),
        "The raw results, with every sample, are in `raw/`: `dropcheck.results.bench.decode(lzma.open(path).read(), path)`. This "
        "page is made, or gone on with, by",
        "",
        "```",
        _command(first, rows),
        "```",
        "",
        "## Times",
        "",
        *_times(rows),
        "",
        *_compiles(rows),
        "## What has no speed, and why",
        "",
        *_without(rows),
        "",
        *([f"Not measured so far: {', '.join(map(line, left))}.", ""] if left else []),
        "## What is accepted beside a speed",
        "",
        "A layer that fails a check has no speed. Failures of these checks were accepted for this page alone, since they say "
        "nothing of what is timed here: what a layer does with a rate outside [0, 1] or of exactly 1, with seeds, and when it "
        "is recomputed.",
        "",
        *_accepted(rows),
        "",
        "## Warnings",
        "",
        *_warnings(found),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _range(values: Iterable[int]) -> str:
    some = sorted(set(values))
    return str(some[0]) if len(some) == 1 else f"{some[0]} to {some[-1]}"


def _load(loads: Sequence[float]) -> str:
    if not loads:
        return ""
    return f"The load of the machine was {loads[0]:.1f} to {loads[-1]:.1f}, {loads[len(loads) // 2]:.1f} in the middle."


def _times(rows: Sequence[Row]) -> Iterable[str]:
    columns: list[tuple[str, Cell]] = []
    for row in rows:
        for cell in row.speeds:
            if cell not in [c for _, c in columns]:
                columns.append((_short(cell), cell))
    columns.sort(key=lambda c: (c[1].dtype != "float32", c[1].direction != "forward", c[1].nbytes, c[0]))
    plain = [c for c in columns if c[1] in (*[Cell(samples=n) for n in (1, 4, 16)],) or c[1].nbytes < 2**20][:4]
    chosen = plain + [c for c in columns if c not in plain]
    yield "| implementation | " + " | ".join(name for name, _ in chosen) + " |"
    yield "|---|" + "---:|" * len(chosen)
    for row in rows:
        if not any(s.state == "measured" for s in row.speeds.values()):
            continue
        shown = []
        for _, cell in chosen:
            speed = measured(row, cell)
            if speed is None:
                shown.append("")
            else:
                shown.append(text.seconds(speed.device_s) + (f" ({speed.fraction:.2f})" if speed.fraction else ""))
        yield f"| {line(row.target.target)} | " + " | ".join(shown) + " |"
    yield ""
    yield "In brackets: the fraction of the limit. Empty: does not apply, or has no speed."


def _short(cell: Cell) -> str:
    size = f"{cell.nbytes >> 20} MiB" if cell.nbytes >= 2**20 else f"{cell.nbytes >> 10} KiB"
    plain = Cell()
    words = [
        str(getattr(cell, name))
        for name in ("dtype", "direction", "layout", "regime")
        if getattr(cell, name) != getattr(plain, name)
    ]
    return " ".join([size, *words, *([f"rate {cell.rate:g}"] if cell.rate != plain.rate else [])])


def _compiles(rows: Sequence[Row]) -> list[str]:
    some = [r.compiled for r in rows if r.compiled is not None and not r.compiled.problem]
    if not some:
        return []
    made = [
        "## Compiling",
        "",
        "In fresh processes: the first call beyond a later one, *cold* without any cache, *warm* with what the cold process "
        f"left on disk. Then {len(some[0].shapes)} shapes ({', '.join(some[0].shapes)}), and all of them *again*.",
        "",
        "| implementation | cold | warm | later call | compilations a shape | again | graph breaks |",
        "|---|---:|---:|---:|---|---:|---:|",
    ]
    for one in some:
        made.append(
            f"| {line(one.target)} | {text.seconds(one.cold_s)} | {text.seconds(one.warm_s)} | {text.seconds(one.call_s)} | "
            f"{' '.join(map(str, one.compilations)) or '-'} | {'-' if one.again is None else one.again} | "
            f"{'-' if one.breaks is None else sum(one.breaks.values())} |"
        )
    return [*made, ""]


def _without(rows: Sequence[Row]) -> Iterable[str]:
    yield "| implementation | cells | why |"
    yield "|---|---|---|"
    for row in rows:
        reasons: dict[str, list[Cell]] = {}
        none = all(speed.state == "skipped" for speed in row.speeds.values())
        for cell, speed in row.speeds.items():
            if speed.state in ("disqualified", "error") or none:
                reasons.setdefault(f"{speed.state}: {speed.reason}", []).append(cell)
        for reason, cells in reasons.items():
            where = "all" if len(cells) == len(row.speeds) else ", ".join(_short(c) for c in cells)
            yield f"| {line(row.target.target)} | {where} | {line(reason).replace('|', '/')} |"


def _accepted(rows: Sequence[Row]) -> Iterable[str]:
    for row in rows:
        audit = row.target.audit
        if audit is not None and audit.waived:
            yield f"* {line(row.target.target)}: {', '.join(audit.waived)}"


def _warnings(found: Sequence[BenchResult]) -> Iterable[str]:
    told = sorted({line(w) for r in found for w in r.warnings if "of its own limit" not in w})
    copies = sum("of its own limit" in w for r in found for w in r.warnings)
    yield from (f"* {w}" for w in told)
    if copies:
        yield f"* In {copies} cells of a group a copy was off its own limit by more than .03: fractions there are as uncertain."
