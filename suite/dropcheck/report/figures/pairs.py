"""Correlations of drop decisions that should be independent: pairs of channels; lags over channels, samples, calls, seeds."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from dropcheck.report.figures.svg import WIDTH, Axis, Figure, finite, joined, line, mark, plain, short, text, x_axis
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import line as one_line
from dropcheck.results.plain_text import number

LAGS = (
    "One mark a distance: the mean correlation of drop decisions so far apart. Independent decisions lie at 0. Correlations within "
    "the grey band are too small to detect; a mark outside of it (a cross) shows dependence."
)
PAIRS = (
    "Each cell is the correlation of two channels (row and column) near the strongest pair. Cells of independent channels are "
    "empty. A larger square is a stronger correlation; a cross marks a negative one."
)


def lags(finding: Finding) -> Figure | None:
    """The correlations that a finding names, one a distance; None where it names none."""
    found: Any = None
    for key in ("lags", "correlations", "stride_correlation"):
        found = finding.tallies.get(key) or found
    if not isinstance(found, dict):
        return None
    numbers = {str(k): v for k, v in found.items() if isinstance(v, (int, float))}
    values = {k: float(v) for k, v in numbers.items() if finite(v)}
    if len(values) < 2 or len(values) < len(numbers):
        return None
    values = dict(sorted(values.items(), key=lambda kv: -abs(kv[1]))[:16]) if len(values) > 16 else values
    prefix = "channels, distance " if "stride_correlation" in finding.tallies else ""
    names = [one_line(prefix + k, 44) for k in values]
    band = finding.resolution if finite(finding.resolution) else 0.0
    reach = max(band * 1.3, max(abs(v) for v in values.values()) * 1.1, 1e-4)
    left = min(250.0, max(len(n) for n in names) * 6.8 + 14)
    step, top = 22.0, 8.0
    bottom = top + step * len(values)
    across = Axis(-reach, reach, left, WIDTH - 12)
    parts = [x_axis(across, top, bottom, "correlation", plain, 6)]
    if band:
        width = across.at(band) - across.at(-band)
        parts.insert(0, Markup('<rect class="band" x="{}" y="{}" width="{}" height="{}"/>').format(
            short(across.at(-band)), short(top), short(width), short(bottom - top)
        ))  # fmt: skip
    parts.append(line(across.at(0), top, across.at(0), bottom, "rule"))
    for i, (name, value) in enumerate(zip(names, values.values(), strict=True)):
        y = top + step * (i + 0.5)
        off = bool(band) and abs(value) > band
        parts += [
            text(left - 8, y + 4, name, "end"),
            line(across.at(0), y, across.at(value), y, "stem"),
            mark(across.at(value), y, "fail" if off else "s0", cross=off, label=f"{name}: {value:+.5f}"),
        ]
    return Figure(
        title="Correlation by distance",
        desc=f"{one_line(finding.case)}: {one_line(finding.message)}.",
        reading=LAGS,
        width=WIDTH,
        height=bottom + 40,
        body=joined(parts),
        columns=("distance", "correlation"),
        rows=[[n, number(v)] for n, v in zip(names, values.values(), strict=True)],
        legend=(("band", f"detection limit, {number(band)}"), ("fail", "a cross: beyond it")) if band else (),
    )


def matrix(finding: Finding) -> Figure | None:
    """The correlations of pairs of channels around the worst pair; None where a finding does not hold them."""
    found = finding.tallies.get("matrix")
    if not isinstance(found, dict):
        return None
    channels, table = found.get("channels"), found.get("correlation")
    if not isinstance(channels, list) or not isinstance(table, list) or len(table) != len(channels):
        return None
    if not all(isinstance(row, list) and len(row) <= len(channels) and all(map(finite, row)) for row in table):
        return None
    cell, left, top = 22.0, 44.0, 26.0
    strongest = max((abs(v) for row in table for v in row), default=0.0) or 1.0
    parts = []
    for i, row in enumerate(table):
        y = top + cell * i
        parts.append(text(left - 6, y + cell / 2 + 4, str(channels[i]), "end"))
        parts.append(text(left + cell * (i + 0.5), top - 8, str(channels[i]), "middle"))
        parts.append(Markup('<path class="axis" d="M{} {}h{}"/>').format(short(left), short(y + cell), short(cell * i)))
        for j, value in enumerate(row):
            side = (cell - 2) * (abs(value) / strongest) ** 0.5
            x = left + cell * (j + 0.5)
            if side >= 1:
                kind = "s0" if value > 0 else "s2"
                parts.append(
                    Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                        kind, short(x - side / 2), short(y + (cell - side) / 2), short(side), short(side),
                        f"channels {channels[j]} and {channels[i]}: {value:+.3f}",
                    )
                )  # fmt: skip
            if side >= 6 and value < 0:
                parts.append(mark(x, y + cell / 2, "hole", cross=True))
    rows = [
        [str(channels[j]), str(channels[i]), f"{value:+.3f}"]
        for i, row in enumerate(table)
        for j, value in enumerate(row)
    ]
    rows.sort(key=lambda r: -abs(float(r[2])))
    size = cell * len(channels)
    return Figure(
        title="Correlation of pairs of channels",
        desc=f"{one_line(finding.case)}: the strongest of {len(rows)} pairs have correlation "
        + ", ".join(f"{r[2]} (channels {r[0]} and {r[1]})" for r in rows[:4])
        + ".",
        reading=PAIRS,
        width=max(left + size + 4, 240),
        height=top + size + 4,
        body=joined(parts),
        columns=("channel", "channel", "correlation"),
        rows=rows[:12],
    )
