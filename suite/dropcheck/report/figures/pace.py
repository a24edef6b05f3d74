"""Speed: throughput against size, and the distance to what the machine's memory allows."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

from markupsafe import Markup

from dropcheck.contract.cells import Cell, parse_cell
from dropcheck.report.bench import size as size_words
from dropcheck.report.figures.svg import (
    SERIES,
    WIDTH,
    Axis,
    Figure,
    joined,
    mark,
    plain,
    power,
    short,
    text,
    x_axis,
    y_axis,
)
from dropcheck.results.bench import BenchResult, Speed
from dropcheck.results.plain_text import line as one_line
from dropcheck.results.plain_text import number
from dropcheck.speed.cells import CENTRE

_MOST = 8  # implementations in one drawing: more lines cannot be told apart; the table has all

THROUGHPUT = (
    "Bytes that must move, per second, by the size of the input; both scales are logarithmic. Higher is faster. On the left the "
    "fixed cost of a call dominates. On the right the memory is the limit (dashed: the fastest copy measured here). A line that "
    "stays low on the right does unnecessary work."
)
LIMIT = (
    "The time that the fastest copy on this machine needs for the same bytes, divided by the measured time. 1 is as fast as "
    "memory allows; above 1 the data stayed in a cache. A cell is a situation: samples, channels, positions, dtype, direction."
)


def _measured(bench: BenchResult, allowed: Collection[str]) -> list[Speed]:
    return [s for s in bench.speeds if s.state == "measured" and s.device_s and s.target in allowed]


def _names(speeds: list[Speed]) -> list[str]:
    return list(dict.fromkeys(s.target for s in speeds))


def _of_size(cell: Cell) -> bool:
    """Whether a cell differs from the centre in its size only."""
    return replace(cell, samples=CENTRE.samples, channels=CENTRE.channels, shared=CENTRE.shared) == CENTRE


def throughput(bench: BenchResult, allowed: Collection[str]) -> Figure | None:
    """One line an implementation whose speed may be told; None for fewer than two sizes."""
    cells = [parse_cell(c) for c in bench.cells]
    speeds = [s for s in _measured(bench, allowed) if s.moved and _of_size(cells[s.cell])]
    # one shape a size, the same for all: the first of the plan that anybody has a time in
    timed = {s.cell for s in speeds}
    chosen = {cells[place].nbytes: place for place in sorted(timed, reverse=True)}
    speeds = [s for s in speeds if chosen[cells[s.cell].nbytes] == s.cell]
    sizes = sorted({cells[s.cell].nbytes for s in speeds})
    if len(sizes) < 2:
        return None
    names = _names(speeds)
    rate = {(s.target, cells[s.cell].nbytes): (s.moved or 0.0) / (s.device_s or 1.0) / 1e9 for s in speeds}
    best = {
        cells[s.cell].nbytes: (s.moved or 0.0) / s.limit_s / 1e9
        for s in speeds
        if s.limit_s  # the same for all targets
    }
    values = [*rate.values(), *best.values()]
    left, bottom = 58.0, 208.0
    across = Axis(sizes[0] / 1.5, sizes[-1] * 1.5, left, WIDTH - 10, log=True)
    up = Axis(min(values) / 1.3, max(values) * 1.3, bottom, 10, log=True)
    parts = [y_axis(up, left, across.end, power)]
    if len(best) > 1:
        path = "L".join(f"{short(across.at(n))} {short(up.at(best[n]))}" for n in sorted(best))
        parts.append(Markup('<path class="limit" d="M{}"/>').format(path))
    for i, name in enumerate(names[:_MOST]):
        kind = f"s{i % SERIES}" + (" dashed" if i >= SERIES else "")
        here = [(n, rate[name, n]) for n in sizes if (name, n) in rate]
        path = "L".join(f"{short(across.at(n))} {short(up.at(v))}" for n, v in here)
        parts.append(Markup('<path class="trace {}" d="M{}"/>').format(kind, path))
        parts += [mark(across.at(n), up.at(v), kind, label=f"{name}, {size_words(n)}: {v:.3g} GB/s") for n, v in here]
    parts.append(x_axis(across, bottom, bottom, "bytes of the input", lambda v: size_words(v), 8))
    rows = [
        [one_line(name, 80), size_words(n), f"{rate[name, n]:.3g}", number(best.get(n))]
        for name in names
        for n in sizes
        if (name, n) in rate
    ]
    return Figure(
        title="Throughput against size, in GB a second",
        desc="; ".join(f"{r[0]} at {r[1]}: {r[2]} GB/s" for r in rows[:12]) + ".",
        reading=THROUGHPUT + _more(names),
        width=WIDTH,
        height=bottom + 40,
        body=joined(parts),
        columns=("implementation", "input", "GB a second", "limit, GB a second"),
        rows=rows,
        legend=[*_legend(names), ("limit", "limit of this machine")],
    )


def distance(bench: BenchResult, allowed: Collection[str]) -> Figure | None:
    """One row a cell, one mark an implementation whose speed may be told; None where no limit is known."""
    speeds = [s for s in _measured(bench, allowed) if s.fraction]
    if not speeds:
        return None
    names, cells = _names(speeds), sorted({s.cell for s in speeds})
    labels = {c: bench.cells[c].removesuffix(" forward").replace(" forward ", " ") for c in cells}
    left, top, step = min(280.0, max(map(len, labels.values())) * 6.3 + 14), 8.0, 20.0
    bottom = top + step * len(cells)
    fractions = [s.fraction for s in speeds if s.fraction]
    low = 10 ** math.floor(math.log10(min(fractions)))
    across = Axis(min(0.1, low), max(1.0, max(fractions)) * 1.2, left, WIDTH - 12, log=True)
    parts = [x_axis(across, top, bottom, "share of the physical limit", plain, 5)]
    parts.append(Markup('<path class="limit" d="M{} {}V{}"/>').format(short(across.at(1)), short(top), short(bottom)))
    for i, cell in enumerate(cells):
        y = top + step * (i + 0.5)
        parts.append(text(left - 8, y + 4, labels[cell], "end", "small"))
        for one in speeds:
            place = names.index(one.target)
            if one.cell == cell and place < _MOST and one.fraction:
                kind = f"s{place % SERIES}" + (" hollow" if place >= SERIES else "")
                told = f"{one.target}, {bench.cells[cell]}: {one.fraction:.3g} of the limit"
                parts.append(mark(across.at(one.fraction), y, kind, label=told))
    rows = [
        [one_line(s.target, 80), bench.cells[s.cell], number(s.fraction), number(s.limit_s), number(s.device_s)]
        for s in speeds
    ]
    return Figure(
        title="Distance to the physical limit",
        desc="; ".join(
            f"{one_line(n, 80)}: {min(f):.2g} to {max(f):.2g} of the limit"
            for n in names
            if (f := [s.fraction for s in speeds if s.target == n and s.fraction])
        )
        + ".",
        reading=LIMIT + _more(names),
        width=WIDTH,
        height=bottom + 40,
        body=joined(parts),
        columns=("implementation", "cell", "share of the limit", "limit, s", "measured, s"),
        rows=rows,
        legend=[*_legend(names), ("limit", "as fast as memory allows")],
    )


def _legend(names: list[str]) -> list[tuple[str, str]]:
    return [
        (f"s{i % SERIES}" + (" hollow" if i >= SERIES else ""), one_line(n, 60)) for i, n in enumerate(names[:_MOST])
    ]


def _more(names: list[str]) -> str:
    return (
        ""
        if len(names) <= _MOST
        else f" The first {_MOST} of {len(names)} implementations are drawn; the table has all."
    )
