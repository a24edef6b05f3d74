"""The charts of a self-test: what of its level every check uses, and defects caught against seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dropcheck.selftest.records import Calibration, SelfTest


def totals(table: Sequence[Calibration]) -> dict[tuple[str, float], tuple[int, int]]:
    """(check, alpha) -> audits and rejections over all cases."""
    found: dict[tuple[str, float], tuple[int, int]] = {}
    for c in table:
        audits, rejections = found.get((c.check, c.alpha), (0, 0))
        found[(c.check, c.alpha)] = audits + c.audits, rejections + c.rejections
    return found


def calibration_chart(table: Sequence[Calibration]) -> str:
    """Attained over nominal of every check, log axis from .001 to 2, filled .05 and open .01; the line is nominal."""
    sums = totals(table)
    checks = list(dict.fromkeys(c for c, _ in sums))
    left, width, step = 190, 640, 18
    height = step * len(checks) + 40

    def x_of(ratio: float) -> float:
        return left + (math.log10(max(ratio, 1e-3)) + 3) / 3.4 * (width - left - 20)

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Attained over nominal error of every check">']
    for ratio in (0.001, 0.01, 0.1, 1.0):
        x = x_of(ratio)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{height - 24}"/>')
        label = "0.001 or none" if ratio == 0.001 else f"{ratio:g}"
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{label}</text>')
    for i, check in enumerate(checks):
        y = 18 + i * step
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{check}</text>')
        for alpha, fill in ((0.05, "s0"), (0.01, "open")):
            audits, rejections = sums.get((check, alpha), (0, 0))
            if audits:
                ratio = rejections / audits / alpha
                parts.append(
                    f'<circle class="{fill}" cx="{x_of(ratio):.1f}" cy="{y}" r="4">'
                    f"<title>{check}, alpha {alpha:g}: {ratio:.3g} of nominal over {audits} audits</title></circle>"
                )
    return "".join(parts) + "</svg>"


def seconds_chart(result: SelfTest) -> str:
    """Defects caught against seconds spent on each, one line a profile, log axis."""
    width, height, left = 640, 240, 46
    lines = {}
    for profile in result.profiles:
        defects = [one for one in result.zoo if one.profile == profile and one.names is not None]
        times = sorted(c.first_s for c in result.clocks if c.profile == profile and c.first_s is not None)
        if defects and times:
            lines[profile] = (len(defects), times)
    if not lines:
        return ""
    whole = max(n for n, _ in lines.values())
    least = max(1e-2, min(t[0] for _, t in lines.values()))
    most = max(t[-1] for _, t in lines.values()) * 1.1
    span = math.log(max(most / least, 1.01))

    def x_of(s: float) -> float:
        return left + math.log(max(s, least) / least) / span * (width - left - 90)

    def y_of(n: float) -> float:
        return height - 30 - n / whole * (height - 50)

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Defects caught against seconds">']
    for n in (0, whole):
        parts.append(f'<line class="axis" x1="{left}" x2="{width - 90}" y1="{y_of(n):.1f}" y2="{y_of(n):.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y_of(n) + 4:.1f}" text-anchor="end">{n}</text>')
    for second in (0.01, 0.1, 1, 10, 100):
        if least <= second <= most:
            parts.append(f'<text x="{x_of(second):.1f}" y="{height - 12}" text-anchor="middle">{second:g} s</text>')
    for i, (profile, (_, times)) in enumerate(lines.items()):
        path = f"M{left} {y_of(0):.1f}" + "".join(f"H{x_of(t):.1f}V{y_of(k + 1):.1f}" for k, t in enumerate(times))
        parts.append(f'<path class="l{i}" d="{path}"/>')
        parts.append(f'<text x="{x_of(times[-1]) + 6:.1f}" y="{y_of(len(times)) + 4 + 14 * i:.1f}">{profile}</text>')
    return "".join(parts) + "</svg>"
