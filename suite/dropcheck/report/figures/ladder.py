"""The ladder of rates: measured minus requested, one series a dtype."""

from __future__ import annotations

from collections.abc import Sequence

from dropcheck.report.figures.svg import SERIES, WIDTH, Axis, Figure, joined, line, mark, text, y_axis
from dropcheck.results.audit import Finding
from dropcheck.results.naming import lead
from dropcheck.results.plain_text import line as one_line
from dropcheck.results.plain_text import number

READING = (
    "Measured minus requested rate, in percentage points, by requested rate. The vertical lines are exact intervals at the error "
    "probability of the check. An interval that does not touch 0 is a wrong rate (a cross). Errors in one low-precision dtype only "
    "come from a threshold or a random number of that precision."
)


def points(findings: Sequence[Finding]) -> list[Finding]:
    """The finding with most coins for every dtype and round rate, in order of dtype and rate."""
    best: dict[tuple[str, float], Finding] = {}
    for one in findings:
        if one.check != "rate.marginal" or one.estimate is None or one.fail_interval is None or one.expected is None:
            continue
        key = (lead(one.case), one.expected)
        if key not in best or one.coins > best[key].coins:
            best[key] = one
    dtypes = list(dict.fromkeys(d for d, _ in best))
    # rates that a run drew at random have many digits; they are in the table of findings
    kept = {k: f for k, f in best.items() if f"{k[1]:g}" == f"{round(k[1], 3):g}"}
    return [kept[k] for k in sorted(kept, key=lambda k: (dtypes.index(k[0]), k[1]))]


def figure(target: str, findings: Sequence[Finding]) -> Figure | None:
    """The ladder of one target; None for fewer than two rates."""
    shown = points(findings)
    rates = sorted({f.expected for f in shown if f.expected is not None})
    if len(rates) < 2:
        return None
    dtypes = list(dict.fromkeys(lead(f.case) for f in shown))
    rows, spans = [], []
    for one in shown:
        assert one.estimate is not None and one.expected is not None and one.fail_interval is not None
        low, high = one.fail_interval
        spans.append(
            (one, 100 * (one.estimate - one.expected), 100 * (low - one.expected), 100 * (high - one.expected))
        )
        rows.append(
            [
                one_line(lead(one.case)),
                f"{one.expected:g}",
                number(one.estimate),
                f"{number(low)} to {number(high)}",
                f"{one.coins:,}",
                one.verdict,
            ]
        )
    reach = max(max(abs(low), abs(high)) for _, _, low, high in spans) * 1.08 or 0.1
    left, bottom = 58.0, 188.0
    up = Axis(-reach, reach, bottom, 10)
    step = (WIDTH - 8 - left) / len(rates)
    parts = [y_axis(up, left, WIDTH - 8, lambda v: "0" if abs(v) < 1e-12 else f"{v:+.3g}")]
    parts.append(line(left, up.at(0), WIDTH - 8, up.at(0), "rule"))
    for one, off, low, high in spans:
        name = lead(one.case)
        place = rates.index(one.expected) + (dtypes.index(name) + 1) / (len(dtypes) + 1)  # type: ignore[arg-type]
        x, kind = left + step * place, f"s{dtypes.index(name) % SERIES}"
        parts.append(line(x, up.at(low), x, up.at(high), kind))
        told = f"{name}, rate {one.expected:g}: measured {number(one.estimate)}"
        failed = one.verdict == "fail"
        parts.append(mark(x, up.at(off), "fail" if failed else kind, cross=failed, label=told))
    for i, rate in enumerate(rates):
        parts.append(text(left + step * (i + 0.5), bottom + 16, f"{rate:g}", "middle"))
    parts.append(text((left + WIDTH) / 2, bottom + 33, "requested rate", "middle", "soft"))
    bad = [r for r in rows if r[-1] == "fail"]
    return Figure(
        title=f"Measured minus requested rate of {one_line(target, 120)}, in percentage points",
        desc=f"{len(rows)} rates in {', '.join(one_line(d, 20) for d in dtypes)}; {len(bad)} of them fail"
        + (": " + "; ".join(f"{r[0]} {r[1]} measured {r[2]}" for r in bad[:6]) if bad else "")
        + ".",
        reading=READING,
        width=WIDTH,
        height=bottom + 40,
        body=joined(parts),
        columns=("dtype", "requested", "measured", "interval", "samples", "verdict"),
        rows=rows,
        legend=[(f"s{i % SERIES}", d) for i, d in enumerate(dtypes)]
        + ([("fail", "a cross: a wrong rate")] if bad else []),
    )
