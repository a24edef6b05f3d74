"""The rate of every channel, or of every sample, with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from scipy import special

from dropcheck.report.figures.svg import WIDTH, Axis, Figure, finite, joined, line, mark, short, x_axis, y_axis
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import line as one_line
from dropcheck.results.plain_text import number

_MOST = 200  # positions drawn

READING = (
    "One mark is the drop rate of one position, with its exact (Clopper-Pearson) interval. The horizontal line is the mean of all. "
    "A cross marks a position whose interval does not touch the line: its rate differs. The probability of one or more crosses "
    "in a correct layer is below 1e-6. Typical places of a defect: the first and last position, every eighth, the tail of a vector."
)


def intervals(dropped: Any, size: int, alpha: float) -> tuple[Any, Any]:
    """Clopper and Pearson's interval of many counts (its error probability split over both ends)."""
    k = np.asarray(dropped, dtype=float)
    low = np.where(k > 0, special.betaincinv(np.maximum(k, 1e-9), size - k + 1, alpha / 2), 0.0)
    high = np.where(k < size, special.betaincinv(k + 1, np.maximum(size - k, 1e-9), 1 - alpha / 2), 1.0)
    return low, high


def figure(finding: Finding) -> Figure | None:
    """The rates of one finding of rate.per-channel or rate.per-sample; None where its counts are not there."""
    dropped, size = finding.tallies.get("dropped"), finding.tallies.get("size")
    if not isinstance(dropped, list) or len(dropped) < 2 or not isinstance(size, int) or size < 1:
        return None
    if not all(map(finite, dropped)):
        return None
    counts = np.asarray(dropped, dtype=float)
    if not np.all((counts >= 0) & (counts <= size)):
        return None
    word = "channel" if finding.check == "rate.per-channel" else "sample"
    low, high = intervals(counts, size, 1e-6 / len(counts))
    rates, whole = counts / size, float(counts.sum() / size / len(counts))
    # the positions around the farthest one, where there are more than can be drawn
    far = int(np.argmax(np.abs(rates - whole)))
    begin = 0 if len(counts) <= _MOST else min(max(0, far - _MOST // 2), len(counts) - _MOST)
    shown = range(begin, min(len(counts), begin + _MOST))
    least, most = float(low[shown].min()), float(high[shown].max())
    margin = 0.06 * (most - least) or 0.01
    left, bottom = 58.0, 188.0
    across = Axis(shown[0] - 1, shown[-1] + 1, left, WIDTH - 8)
    up = Axis(max(0.0, least - margin), min(1.0, most + margin), bottom, 10)
    bars, marks, rows = [], [], []
    for i in shown:
        x, off = across.at(i), not low[i] <= whole <= high[i]
        bars.append(f"M{short(x)} {short(up.at(high[i]))}V{short(up.at(low[i]))}")
        if off or len(shown) <= 80:
            marks.append(mark(x, up.at(rates[i]), "fail" if off else "s0", cross=off))
        else:
            marks.append(
                Markup('<circle class="s0" cx="{}" cy="{}" r="1.5"/>').format(short(x), short(up.at(rates[i])))
            )
        rows.append([str(i), f"{int(counts[i]):,}", number(rates[i]), f"{low[i]:.4g} to {high[i]:.4g}"])
    rows.sort(key=lambda r: -abs(counts[int(r[0])] / size - whole))
    part = "" if len(shown) == len(counts) else f", positions {shown[0]} to {shown[-1]} of {len(counts)}"
    body = joined(
        [
            y_axis(up, left, across.end, lambda v: f"{v:.3g}"),
            Markup('<path class="whisker" d="{}"/>').format("".join(bars)),
            line(left, up.at(whole), across.end, up.at(whole), "rule"),
            *marks,
            x_axis(across, bottom, bottom, f"{word}{part}", lambda v: f"{v:g}", 8),
        ]
    )
    return Figure(
        title=f"Rate of every {word}, with its interval",
        desc=f"{one_line(finding.case)}: {one_line(finding.message)}. All together drop with probability {whole:.5g}.",
        reading=READING,
        width=WIDTH,
        height=bottom + 40,
        body=body,
        columns=(word, f"dropped of {size:,}", "rate", "interval"),
        rows=rows[:12],
        legend=(("s0", "agrees with the rate of all"), ("fail", "a cross: differs from it")),
    )
