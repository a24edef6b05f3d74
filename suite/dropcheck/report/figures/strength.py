"""How sure and how large failures are, on log scales, beside what is not significant or too small to detect."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dropcheck.report.figures.svg import WIDTH, Axis, Figure, box, joined, line, mark, text, x_axis
from dropcheck.report.sentences import evidence
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import line as one_line
from dropcheck.results.plain_text import number, strongest

_END = 1e5  # what no right layer can do stands at this end

READING = (
    "Left, how sure: the probability that a correct layer gives this result is 10 to the power of -x. Grey band: not significant. "
    "A cross at the right end is impossible in a correct layer. "
    "Right, how large: the deviation divided by the detection limit. Grey band: too small to be detected reliably."
)


def figure(findings: Sequence[tuple[str, Finding]], title: str) -> Figure | None:
    """One row a check (the finding with most evidence speaks for it) of named findings; None for fewer than two."""
    by_check: dict[str, list[tuple[str, Finding]]] = {}
    for name, one in findings:
        if one.log10_evidence is not None and one.verdict in ("fail", "waived"):
            by_check.setdefault(one.check, []).append((name, one))
    if len(by_check) < 2:
        return None
    left, middle, top, step = 196.0, 372.0, 22.0, 22.0
    bottom = top + step * len(by_check)
    beside = Axis(0.01, 1000.0, middle + 16, WIDTH - 12, log=True)
    power = Axis(1.0, _END, left, middle, log=True)
    needed = [-math.log10(f.alpha) for some in by_check.values() for _, f in some if f.alpha]
    parts = [
        text(left, 12, "how sure", kind="soft"),
        text(middle + 16, 12, "how large", kind="soft"),
    ]
    if needed:
        parts.append(box(left, top, power.at(max(1.0, min(needed))) - left, bottom - top, "band"))
    parts.append(box(beside.start, top, beside.at(1.0) - beside.start, bottom - top, "band"))
    parts.append(x_axis(power, top, bottom, "probability: 10 to the -x", lambda v: f"{v:g}" if v < 1e4 else "", 4))
    parts.append(x_axis(beside, top, bottom, "deviation / detection limit", lambda v: f"{v:g}", 4))
    rows = []
    for i, (check, some) in enumerate(by_check.items()):
        lead = strongest(f for _, f in some)
        name = next(n for n, f in some if f is lead)
        y = top + step * (i + 0.5)
        parts.append(text(left - 8, y + 4, check, "end"))
        parts.append(line(left, y, middle, y))
        for _, one in sorted(some, key=lambda pair: pair[1] is lead)[-12:]:
            x = power.at(max(1.0, -(one.log10_evidence or 0.0)))
            told = f"{check}, {one.case}: {evidence(one.log10_evidence)}"
            parts.append(mark(x, y, "fail" if one is lead else "fail more", cross=True, label=told))
        size = None
        if lead.estimate is not None and lead.expected is not None and lead.resolution:
            size = abs(lead.estimate - lead.expected) / lead.resolution
            parts.append(line(beside.start, y, beside.end, y))
            parts.append(
                mark(beside.at(max(size, 0.01)), y, "fail", cross=True, label=f"{size:.3g} times the detection limit")
            )
        rows.append(
            [
                one_line(check, 80),
                one_line(name, 80),
                evidence(lead.log10_evidence),
                number(lead.resolution),
                "" if size is None else number(size),
            ]
        )
    return Figure(
        title=title,
        desc=f"{len(by_check)} checks fail. "
        + "; ".join(f"{r[0]}: {r[2]}" + (f", {r[4]} times the detection limit" if r[4] else "") for r in rows[:12])
        + ".",
        reading=READING,
        width=WIDTH,
        height=bottom + 40,
        body=joined(parts),
        columns=("check", "strongest in", "evidence", "detection limit", "deviation / detection limit"),
        rows=rows,
        legend=(
            ("fail", "the strongest failing case of a check"),
            ("more", "its other failing cases"),
            ("band", "not significant, or too small to detect"),
        ),
    )
