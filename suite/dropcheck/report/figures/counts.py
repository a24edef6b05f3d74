"""How many channels of a row are dropped: measured, beside the binomial law."""

from __future__ import annotations

import math
from typing import TypeGuard

from markupsafe import Markup

from dropcheck.report.figures.svg import WIDTH, Axis, Figure, finite, joined, mark, plain, short, x_axis, y_axis
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import line

_MOST = 96  # bars; wider counts are cut to where anything lies

READING = (
    "A bar counts the rows with that many dropped channels. A circle is the count expected of independent drop decisions, its line "
    "spans four standard deviations. Bars narrower than the circles: a fixed number of channels is dropped. Bars wider: channels "
    "are dropped together."
)


def _whole(value: float) -> str:
    return plain(value) if value == round(value) else ""


def counted(found: object) -> TypeGuard[list[float]]:
    """Whether what a result holds is a list of counts: finite numbers that are not negative."""
    return isinstance(found, list) and all(finite(v) and v >= 0 for v in found)


def figure(finding: Finding) -> Figure | None:
    """The histogram of one finding of mask.dropped-count; None where it has none."""
    seen, law = finding.tallies.get("histogram"), finding.tallies.get("expected")
    if not counted(seen) or not counted(law) or not any(law):
        return None
    size = max(len(seen), len(law))
    seen = [float(v) for v in seen] + [0.0] * (size - len(seen))
    law = [float(v) for v in law] + [0.0] * (size - len(law))
    inside = [i for i in range(size) if seen[i] > 0 or law[i] >= 0.5]
    if not inside:
        return None
    first, last = max(0, inside[0] - 1), min(size - 1, inside[-1] + 1)
    if last - first >= _MOST:
        middle = max(range(size), key=lambda i: law[i])
        first, last = max(0, middle - _MOST // 2), min(size - 1, middle + _MOST // 2)
    top = max(max(seen[first : last + 1]), max(v + 4 * math.sqrt(v) for v in law[first : last + 1]))
    left, bottom = 64.0, 188.0
    across = Axis(first - 0.5, last + 0.5, left, WIDTH - 8)
    up = Axis(0, top * 1.04, bottom, 10)
    step = (across.end - left) / (last - first + 1)
    bars, reach, rings = [], [], []
    for i in range(first, last + 1):
        x = across.at(i)
        if seen[i]:
            height = bottom - up.at(seen[i])
            bars.append(
                f"M{short(x - step * 0.4)} {short(bottom)}v-{short(height)}h{short(step * 0.8)}v{short(height)}z"
            )
        spread = 4 * math.sqrt(law[i])
        if law[i] >= 0.05:
            reach.append(f"M{short(x)} {short(up.at(law[i] + spread))}V{short(up.at(law[i] - spread))}")
            rings.append(mark(x, up.at(law[i]), "ring"))
    body = joined(
        [
            y_axis(up, left, across.end, plain),
            Markup('<path class="bar" d="{}"/>').format("".join(bars)),
            Markup('<path class="whisker" d="{}"/>').format("".join(reach)),
            *rings,
            x_axis(across, bottom, bottom, "dropped channels in a row", _whole, 10),
        ]
    )
    rows = [[str(i), plain(seen[i]), plain(law[i])] for i in range(first, last + 1) if seen[i] or law[i] >= 0.5]
    return Figure(
        title="Dropped channels per row, measured and expected",
        desc=f"{line(finding.case)}: {line(finding.message)}.",
        reading=READING,
        width=WIDTH,
        height=bottom + 40,
        body=body,
        columns=("dropped channels", "rows", "expected rows"),
        rows=rows,
        legend=(("bar", "rows measured"), ("ring", "rows expected of independent decisions")),
    )
