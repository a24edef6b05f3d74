"""A bench as text: the answer first, what the run resolves, then a table a cell, and all that was not measured."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

from dropcheck.report.compare.benches import Change
from dropcheck.results.bench import BenchResult, Comparison, Speed
from dropcheck.results.plain_text import line


def seconds(value: float | None) -> str:
    """``12.3 us``, three digits; ``-`` for None."""
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if value >= size or unit == "ns":
            return f"{value / size:.3g} {unit}" if value / size < 999.5 else f"{value / size:.0f} {unit}"
    return "-"


def size(value: float | None) -> str:
    """``16.8 MB``; ``-`` for None."""
    if value is None:
        return "-"
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= one:
            return f"{value / one:.3g} {unit}"
    return f"{value:.0f} B"


def share(value: float | None) -> str:
    """A fraction of the limit."""
    return "-" if value is None else f"{value:.2f}"


def ratio(one: Comparison | None) -> str:
    """``1.103 [1.081, 1.125]``."""
    if one is None or one.ratio is None:
        return ""
    if one.low is None or one.high is None or not math.isfinite(one.high) or one.low <= 0:
        return f"{one.ratio:.3f}"
    return f"{one.ratio:.3f} [{one.low:.3f}, {one.high:.3f}]"


def headline(result: BenchResult) -> list[str]:
    """One sentence a target against the reference; without another target, what was measured."""
    names = [one.target for one in result.targets if one.target != result.reference]
    return [told for name in [*names, result.reference] if (told := answer(result, name))]


def answer(result: BenchResult, target: str) -> str:
    """The sentence of one target: against the reference, or why it has no speed; of the reference, where it was measured."""
    measured = sum(s.state == "measured" for s in result.speeds if s.target == target)
    words = Counter(c.verdict for c in result.comparisons if c.target == target)
    told = [f"{word} in {words[word]}" for word in ("faster", "same", "slower", "inconclusive") if words[word]]
    if target == result.reference:
        told = [f"measured in {measured}"] if measured else []
    if told:
        against = "" if target == result.reference else f" against {line(result.reference)}"
        return f"{line(target)}{against}: {', '.join(told)} of {len(result.cells)} cells."
    return "" if measured else f"{line(target)} is not timed: {line(_why(result, target))}"


def _why(result: BenchResult, target: str) -> str:
    for one in result.targets:
        if one.target == target and (one.error or one.skipped):
            return str(one.error or one.skipped)
    return next((s.reason for s in result.speeds if s.target == target and s.reason), "nothing was measured")


def resolution(result: BenchResult) -> str:
    """The smallest difference that the run detects, from the reference against itself."""
    if not result.placebos:
        return "The reference was not timed twice, so this run detects no difference."
    per = sorted(p.resolution for p in result.placebos)
    different = [p for p in result.placebos if p.verdict in ("faster", "slower")]
    text = (
        f"Smallest difference that this run detects: {_percent(per[len(per) // 2])} in the median cell, {_percent(per[-1])} in "
        f"the worst (the reference against itself: {result.processes} fresh processes, {result.blocks} blocks each). "
        f"Differences below {result.margin:.0%} count as the same. False-alarm rate per target: at most {result.level:g}."
    )
    if different:
        text += f" The reference differed from itself in {len(different)} cells, whose comparisons decide nothing."
    return text


def noisy(result: BenchResult) -> str:
    """How many cells have no figure, under which load, and how to get a run that has; empty where all are quiet."""
    cells = {s.cell for s in result.speeds if s.state == "noisy"}
    if not cells:
        return ""
    here = result.environment
    before, after = ((here.get(key) or [None])[0] for key in ("load", "load_after"))
    load = (
        f" (load {before:g} before and {after:g} after, {here.get('cores', '?')} processors)"
        if before is not None
        else ""
    )
    return (
        f"{len(cells)} of {len(result.cells)} cells are noisy and have no figure: the reference did not repeat itself{load}. "
        "For a fit run, end other work on this machine and wait until its load is near 0; --processes 9 averages more. "
        "--noise sets another bound."
    )


def _percent(value: float) -> str:
    return "none" if not math.isfinite(value) or value > 10 else f"{value:.1%}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns, the first to the left and numbers to the right."""
    wide = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    made = []
    for row in rows:
        cells = [
            c.ljust(w) if i in (0, len(row) - 1) else c.rjust(w) for i, (c, w) in enumerate(zip(row, wide, strict=True))
        ]
        made.append("  ".join(cells).rstrip())
    return made


HEAD = ("", "device", "host/call", "first call", "memory", "of limit", "ratio", "verdict")


def render(result: BenchResult, width: int = 100) -> str:
    """The whole report."""
    out = headline(result)
    out += ["", *textwrap.wrap(resolution(result), width), ""]
    out += [*textwrap.wrap(told, width), ""] if (told := noisy(result)) else []
    comparisons = {(c.target, c.cell): c for c in result.comparisons}
    speeds = {(s.target, s.cell): s for s in result.speeds}
    for place, cell in enumerate(result.cells):
        rows: list[tuple[str, ...]] = [HEAD]
        notes: list[str] = []
        for one in result.targets:
            speed = speeds[one.target, place]
            if speed.state != "measured":
                notes.append(f"{line(one.target)}: {speed.state}: {line(speed.reason)}")
                continue
            rows.append(_row(result, speed, comparisons.get((one.target, place))))
            if speed.reason:
                notes.append(f"{line(one.target)}: {line(speed.reason)}")
            if speed.captured not in (None, "captured"):
                notes.append(f"{line(one.target)}: {line(str(speed.captured))}; timed {line(speed.how)}")
        stick = next((y for y in result.yardsticks if y.cell == place), None)
        if stick is not None and len(rows) > 1:
            rows.append(
                (f"  copy ({line(stick.copy)})", seconds(stick.copy_s), "", "", "", share(stick.copy_fraction), "", "")
            )
            rows.append((f"  fill ({line(stick.fill)})", seconds(stick.fill_s), "", "", "", "", "", ""))
        out.append(cell)
        out += [f"  {text}" for text in (table(rows) if len(rows) > 1 else [])]
        out += [textwrap.fill(note, width, initial_indent="  ", subsequent_indent="    ") for note in notes]
        out.append("")
    out += _compiling(result, width)
    out += _warnings(result.warnings, width)
    out += textwrap.wrap(threads(result), width) if result.hosts else []
    out += _audits(result)
    if result.interrupted:
        out.append("Interrupted: what is shown was measured before.")
    return "\n".join(out).rstrip() + "\n"


def _row(result: BenchResult, speed: Speed, told: Comparison | None) -> tuple[str, ...]:
    verdict: str = "reference" if speed.target == result.reference else told.verdict if told is not None else ""
    if told is not None and told.reason:
        verdict += f": {line(told.reason)}"
    return (
        line(speed.target),
        seconds(speed.device_s),
        seconds(speed.host_s),
        seconds(speed.first_s),
        size(speed.memory),
        share(speed.fraction),
        ratio(told),
        verdict,
    )


def _compiling(result: BenchResult, width: int) -> list[str]:
    """What compiling costs, a row a target that compiles."""
    if not result.compiles:
        return []
    rows: list[tuple[str, ...]] = [
        ("", "cold", "warm", "later call", "compilations, a new shape each", "again", "graph breaks")
    ]
    notes = []
    for one in result.compiles:
        if one.problem:
            notes.append(f"{line(one.target)}: {line(one.problem)}")
            continue
        rows.append(
            (
                line(one.target),
                seconds(one.cold_s),
                seconds(one.warm_s),
                seconds(one.call_s),
                " ".join(map(str, one.compilations)) or "-",
                "-" if one.again is None else str(one.again),
                "-" if one.breaks is None else str(sum(one.breaks.values())),
            )
        )
        notes += [f"{line(one.target)}: graph break: {line(why)}" for why in one.breaks or {}]
    shapes = next((one.shapes for one in result.compiles if one.shapes), [])
    told = (
        "compiling, in fresh processes: the first call beyond a later one, cold without any cache, warm with what the cold "
        f"process left on disk; then the shapes {line(' '.join(shapes))}, and all of them again"
    )
    out = [*textwrap.wrap(told, width)]
    out += [f"  {text}" for text in (table(rows) if len(rows) > 1 else [])]
    return [*out, *(textwrap.fill(n, width, initial_indent="  ", subsequent_indent="    ") for n in notes), ""]


def threads(result: BenchResult) -> str:
    """How many threads were asked for, who says so of itself, and what bounds the others."""
    said = {line(str(who)) for h in result.hosts for who in h.threads.get("framework", {})}
    silent = sorted({line(h.target) for h in result.hosts if not h.threads.get("framework")})
    bound = all(h.threads.get("processors") == result.threads for h in result.hosts)
    text = f"Threads: {result.threads}"
    text += f", as {', '.join(sorted(said))} {'says' if len(said) == 1 else 'say'}" if said else ""
    text += f"; every process may use {result.threads} of the processors" if bound else ""
    if silent:
        text += f"; {', '.join(silent)}: the framework does not tell"
    used = [s.cpu_ns / s.mean_ns for s in result.samples if s.what == "target" and s.cpu_ns and s.mean_ns]
    return text + (f"; used at most {max(used):.1f}." if used else ".")


def _warnings(warnings: Iterable[str], width: int) -> list[str]:
    found = [textwrap.fill(f"warning: {line(w)}", width, subsequent_indent="  ") for w in warnings]
    return [*found, ""] if found else []


def _audits(result: BenchResult) -> list[str]:
    made = []
    for one in result.targets:
        if one.audit is not None:
            made.append(
                f"{line(one.target)} {line(one.version)}: audit {one.audit.verdict}, {one.audit.claims} checks pass "
                f"({line(one.audit.profile)}; {line(one.audit.source)})"
                + (f"; edge cases fail: {line(', '.join(one.audit.edges))}" if one.audit.edges else "")
                + (f"; waived: {line(', '.join(one.audit.waived))}" if one.audit.waived else "")
            )
    return made


def changes(found: Sequence[Change], margin: float) -> str:
    """What ``dropcheck compare`` prints."""
    count = Counter(c.verdict for c in found)
    order = ("slower", "missing", "inconclusive", "faster", "same", "new")
    told = ", ".join(f"{count[w]} {w}" for w in order if count[w])
    out = [f"{len(found)} entries: {told}." if found else "Nothing to compare: no entry has a time.", ""]
    if found:
        rows: list[tuple[str, ...]] = [("", "cell", "new / old", "verdict")]
        for one in sorted(found, key=lambda c: order.index(c.verdict)):
            low, high = one.low or 0.0, one.high if one.high is not None else math.inf
            numbers = f"{one.ratio:.3f} [{low:.3f}, {high:.3f}]" if one.ratio is not None else ""
            reason = f": {line(one.reason)}" if one.reason else f" (against {line(one.anchor)})" if one.anchor else ""
            rows.append((line(one.target), line(one.cell), numbers, one.verdict + reason))
        out += table(rows)
    out += ["", f"Differences below {margin:.0%} count as the same. A missing result is not a pass."]
    return "\n".join(out) + "\n"
