"""The figures of a self-test: what of its level every check uses, and defects caught against seconds."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from dropcheck.report.figures.svg import (
    WIDTH,
    Axis,
    Figure,
    joined,
    line,
    mark,
    plain,
    short,
    text,
    x_axis,
    y_axis,
)
from dropcheck.results.plain_text import line as one_line
from dropcheck.results.selftest import Calibration, SelfTest

CALIBRATION = (
    "One row a check, over all cases: how often it failed masks of correct layers, as a share of what its level allows "
    "(filled: level .05, open: .01). The line at 1 is the level itself; right of it would be a check with too many false failures. "
    "Far left are checks that rest on a bound or divide their level among several tests: conservative, not wrong."
)
SECONDS = (
    "How many known defects are detected within how many seconds of work on each. Each step is one defect. A line that rises "
    "early detects the plain defects at once; where it ends below the top, defects were missed."
)


def totals(table: Sequence[Calibration]) -> dict[tuple[str, float], tuple[int, int]]:
    """(check, alpha) -> audits and rejections over all cases."""
    found: dict[tuple[str, float], tuple[int, int]] = {}
    for c in table:
        audits, rejections = found.get((c.check, c.alpha), (0, 0))
        found[(c.check, c.alpha)] = audits + c.audits, rejections + c.rejections
    return found


def calibration_figure(table: Sequence[Calibration]) -> Figure | None:
    """Attained over nominal error of every check, on a logarithmic axis."""
    sums = totals(table)
    checks = list(dict.fromkeys(c for c, _ in sums))
    if not checks:
        return None
    left, top, step = 190.0, 8.0, 18.0
    bottom = top + step * len(checks)
    across = Axis(1e-3, 2.5, left, WIDTH - 14, log=True)
    parts = [x_axis(across, top, bottom, "failures, as a share of what the level allows", _ratio, 5)]
    parts.append(line(across.at(1.0), top, across.at(1.0), bottom, "rule"))
    rows = []
    for i, check in enumerate(checks):
        y = top + step * (i + 0.5)
        parts.append(text(left - 8, y + 4, check, "end"))
        for alpha, kind in ((0.05, "s0"), (0.01, "open")):
            audits, rejections = sums.get((check, alpha), (0, 0))
            if audits:
                ratio = rejections / audits / alpha
                told = f"{check}, level {alpha:g}: {ratio:.3g} of what is allowed, over {audits} audits"
                parts.append(mark(across.at(max(ratio, 1e-3)), y, kind, label=told))
                rows.append([one_line(check), f"{alpha:g}", f"{audits:,}", f"{rejections:,}", f"{ratio:.3g}"])
    return Figure(
        title="Attained over nominal error of every check",
        desc=f"{len(checks)} checks; the largest share is {max(float(r[-1]) for r in rows):.3g}." if rows else "",
        reading=CALIBRATION,
        width=WIDTH,
        height=bottom + 40,
        body=joined(parts),
        columns=("check", "level", "audits", "failed", "share of the level"),
        rows=rows,
        legend=(("s0", "level .05"), ("open", "level .01")),
    )


def _ratio(value: float) -> str:
    return "none" if value <= 1e-3 else f"{value:g}"


def seconds_figure(result: SelfTest) -> Figure | None:
    """Defects caught against seconds spent on each, one line a profile, on a logarithmic axis."""
    lines = {}
    for profile in result.profiles:
        defects = [one for one in result.zoo if one.profile == profile and one.names is not None]
        times = sorted(c.first_s for c in result.clocks if c.profile == profile and c.first_s is not None)
        if defects and times:
            lines[profile] = (len(defects), times)
    if not lines:
        return None
    whole = max(n for n, _ in lines.values())
    least = max(1e-2, min(t[0] for _, t in lines.values()))
    most = max(t[-1] for _, t in lines.values())
    left, bottom = 46.0, 208.0
    across = Axis(least / 1.2, max(most, least) * 1.6, left, WIDTH - 12, log=True)
    up = Axis(0, max(whole, *(len(t) for _, t in lines.values())) * 1.05, bottom, 10)
    parts = [y_axis(up, left, across.end, plain)]
    parts.append(line(left, up.at(whole), across.end, up.at(whole), "rule"))
    parts.append(x_axis(across, 10, bottom, "seconds for one defect", lambda v: f"{v:g}", 6))
    rows = []
    for i, (profile, (defects_, times)) in enumerate(lines.items()):
        path = f"M{short(left)} {short(up.at(0))}" + "".join(
            f"H{short(across.at(t))}V{short(up.at(k + 1))}" for k, t in enumerate(times)
        )
        parts.append(Markup('<path class="l{}" d="{}"/>').format(i % 2, path))
        middle, last = times[len(times) // 2], times[-1]
        rows.append([one_line(profile), str(len(times)), str(defects_), f"{middle:.2g}", f"{last:.2g}"])
    return Figure(
        title="Known defects detected, by seconds",
        desc="; ".join(
            f"{r[0]}: {r[1]} of {r[2]} detected, half of them within {r[3]} s, all within {r[4]} s" for r in rows
        )
        + ".",
        reading=SECONDS,
        width=WIDTH,
        height=bottom + 40,
        body=joined(parts),
        columns=("profile", "detected", "known defects", "half of them within, s", "all of them within, s"),
        rows=rows,
        legend=[(f"l{i % 2}", one_line(p, 40)) for i, p in enumerate(lines)],
    )
