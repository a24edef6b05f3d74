"""The self-test for readers: one sentence, a table a part, what did not hold, charts; as Markdown and as one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropcheck.report.figures.selftest import calibration_figure, seconds_figure
from dropcheck.report.figures.svg import Figure
from dropcheck.results.audit import write_atomically
from dropcheck.results.plain_text import count as counted
from dropcheck.results.selftest import FromFile, SelfTest, Sought, encode

_READ = {
    "calibration": "Every check judged drop decisions of a correct layer. At a level of .05 (.01) it may fail at most 5 % (1 %) "
    "of them. “At most” is the count that a test of exactly that level exceeds with probability 1e-6. Checks that rest on a "
    "bound, or divide their level among several tests, stay far below it by design.",
    "tails": "At the level of an audit, failures are too rare to count. Sizes are exact sums, or sampled where failures happen "
    "and weighted back (± one standard error).",
    "power": "Drop decisions with a deviation of exactly the printed detection limit. At beta .05, 5 % may be missed. At beta "
    "1e-6 no miss may occur, and where the distribution is known the probability of a miss is computed.",
    "thresholds": "Critical values recomputed by summing the distributions, without dropcheck's own code. Below them, the figures "
    "of its documentation beside what its code gives now.",
    "zoo": "Every known defect and every unusual correct layer was audited with all checks. “Also” lists checks that would fail, "
    "but are skipped because a more basic check fails.",
    "owners": "Each check has a known defect that only it detects.",
    "file": "Every layer of the file was audited as `dropcheck audit` does, and compared with the table in the file. For each "
    "failing check, the cheapest case that fails is shown.",
    "sought": "For each missed layer, the cheapest case that detects it. Larger profiles, other root seeds, and unusual sizes and "
    "rates are tried.",
    "practice": "The same layers, tested with the assertions of the frameworks' own tests and with scripts in use today.",
}

OUTCOMES = {
    "caught": "detected",
    "other": "detected by another check",
    "missed": "MISSED",
    "passes": "passes",
    "false": "FALSE FAIL",
    "unjudged": "not audited",
}


@dataclass(frozen=True)
class Section:
    """One table with its words. ``chart`` is SVG and ``text`` Markdown that others made (the comparison)."""

    title: str
    note: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    figure: Figure | None = None
    chart: str = ""
    text: str = ""


def headline(result: SelfTest) -> str:
    """The answer in one sentence."""
    broken = [p for p in result.promises if not p.held]
    if not result.promises:
        some = result.from_file.judged if result.from_file is not None else []
        return "Nothing was measured" + (f": {some[0].layer}: {some[0].error}" if some else "") + "."
    if result.from_file is not None:
        return _of_file(result.from_file)
    small = "" if result.scale >= 1 else f" (at scale {result.scale:g} of the full self-test)"
    if not broken:
        return f"All {len(result.promises)} guarantees that were measured hold{small}: {', '.join(result.parts)}."
    return (
        f"{len(broken)} of {len(result.promises)} guarantees do not hold{small}: {'; '.join(p.name for p in broken)}."
    )


def _of_file(told: FromFile) -> str:
    """The answer about a file's layers in one sentence."""
    held = sum(one.held for one in told.judged)
    cut = "Interrupted: " if told.interrupted else ""
    if held == len(told.judged):
        return f"{cut}all {held} audits of the layers of {told.path} give what its table expects."
    return f"{cut}{held} of {len(told.judged)} audits of the layers of {told.path} give what its table expects."


def sought_words(one: Sought) -> str:
    """What would have caught a layer that was missed."""
    spent = f"{counted(one.tried, 'case')} and exact checks tried in {one.seconds:.0f} s"
    if one.case is None:
        rest = "which is the whole search" if one.whole else "and the time limit, or an error, ended the search"
        return f"nothing found: {spent}, {rest}"
    coins = f" ({one.coins:,} decisions)" if one.coins else ""
    return f"{one.case}{coins} fails {one.check}; from {one.place}" + (f"; {spent}" if one.tried else "")


def _from_file(told: FromFile) -> list[Section]:
    found = [
        Section(
            f"Layers of {told.path}",
            _READ["file"],
            ("layer", "profile", "expected", "outcome", "failing checks", "why not audited"),
            [
                [
                    one.layer,
                    one.profile,
                    one.expected,
                    OUTCOMES[one.outcome],
                    "; ".join(f"{check} ({case})" for check, case in one.failing.items()),
                    one.error or "",
                ]
                for one in told.judged
            ],
        )
    ]
    if told.sought:
        rows = [[one.layer, one.profile, sought_words(one), one.command] for one in told.sought]
        found.append(
            Section(
                "What would have detected the missed layers",
                _READ["sought"],
                ("layer", "missed in", "case", "command"),
                rows,
            )
        )
    return found


def _n(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}g}"


def sections(result: SelfTest) -> list[Section]:
    """All tables of a result."""
    found = [_guarantees(result)]
    if result.calibration:
        found.append(_calibration(result))
    if result.tails:
        found.append(_tails(result))
    if result.power:
        found.append(_power(result))
    if result.thresholds or result.goldens:
        found += [_thresholds(result), _goldens(result)]
    if result.zoo:
        found.extend(_zoo(result))
    if result.from_file is not None:
        found.extend(_from_file(result.from_file))
    if result.practice is not None:
        found.append(
            Section(
                "Side by side with today's practice",
                result.practice.left_out or _READ["practice"],
                chart=result.practice.figure,
                text=result.practice.table,
            )
        )
    return found


def _guarantees(result: SelfTest) -> Section:
    return Section(
        "Guarantees",
        "What dropcheck guarantees, on how many cases that was measured (n), and the result.",
        ("guarantee", "holds", "n", "measured"),
        [[p.name, "yes" if p.held else "NO", f"{p.n:,}", p.text] for p in result.promises],
    )


def _tails(result: SelfTest) -> Section:
    rows = [
        [
            t.check,
            t.case,
            t.method,
            f"{t.alpha:g}",
            f"{t.size:.3g}" + (f" ± {t.error:.1g}" if t.error else ""),
            _n(t.size / t.alpha),
            f"{t.n:,}",
            "yes" if t.holds else "NO",
        ]
        for t in result.tails
    ]
    return Section(
        "Probability of a false alarm at the level of an audit",
        _READ["tails"],
        ("check", "case", "method", "nominal", "size", "size/nominal", "n", "holds"),
        rows,
    )


def _power(result: SelfTest) -> Section:
    rows = []
    for r in result.power:
        seen = f"{r.caught} of {r.tries}" if r.miss is None else ""
        miss = "" if r.miss is None else f"{r.miss:.3g}" + (f" ± {r.error:.1g}" if r.error else "")
        rows.append(
            [
                r.check,
                r.plant,
                r.case,
                f"{r.beta:g}",
                _n(r.resolution, 4),
                seen,
                f"{r.lower:.4f}" if r.tries else "",
                str(r.least) if r.tries else "",
                miss,
                "yes" if r.holds else "NO",
            ]
        )
    return Section(
        "Power at exactly the printed detection limit",
        _READ["power"],
        (
            "check",
            "planted",
            "case",
            "beta",
            "detection limit",
            "detected",
            "lower bound (99 %)",
            "least",
            "P(miss)",
            "holds",
        ),
        rows,
    )


def _thresholds(result: SelfTest) -> Section:
    rows = [[t.quantity, f"{t.compared}", f"{t.compared - t.wrong}", "; ".join(t.examples)] for t in result.thresholds]
    return Section("Thresholds by exact sums", _READ["thresholds"], ("quantity", "compared", "agree", "differ"), rows)


def _goldens(result: SelfTest) -> Section:
    rows = [
        [
            g.figure,
            f"{g.stated:,.0f}",
            f"{g.computed:,.0f}",
            f"{g.computed / g.stated - 1:+.1%}",
            f"{g.slack:.0%}",
            "yes" if g.holds else "NO",
        ]
        for g in result.goldens
    ]
    return Section(
        "Documented figures",
        "For alpha 1e-8, beta 1e-6, rate .1 and 64 channels unless said otherwise.",
        ("figure", "stated", "computed now", "difference", "accepted", "holds"),
        rows,
    )


def _calibration(result: SelfTest) -> Section:
    rows = []
    for c in result.calibration:
        exact = "" if c.attained is None else f"{c.attained:.4g}" + ("" if c.agrees else " DIFFERS")
        rows.append(
            [
                c.check,
                c.case.removeprefix("float32 "),
                f"{c.alpha:g}",
                f"{c.audits:,}",
                f"{c.rejections:,}",
                f"{c.most:,}",
                _n(c.rejections / max(1, c.audits) / c.alpha),
                exact,
                "yes" if c.holds else "NO",
            ]
        )
    return Section(
        "False alarms on correct drop decisions",
        _READ["calibration"],
        ("check", "case", "alpha", "audits", "failed", "at most", "attained/nominal", "exact size", "holds"),
        rows,
        figure=calibration_figure(result.calibration),
    )


def _zoo(result: SelfTest) -> list[Section]:
    clocks = {(c.layer, c.profile): c for c in result.clocks}
    rows = []
    for one in result.zoo:
        clock = clocks.get((one.layer, one.profile))
        caught = (
            "" if one.names is None else "yes" if one.names in one.failing else "by others" if one.failing else "MISSED"
        )
        if one.names is None:
            caught = "passes" if one.verdict == "pass" else "FALSE FAIL"
        rows.append(
            [
                one.layer,
                one.profile,
                one.names or "(correct)",
                caught,
                ", ".join(one.failing),
                ", ".join(one.also),
                _n(one.log10_evidence),
                f"{clock.first_s:.1f}" if clock and clock.first_s is not None else "",
                f"{clock.wall_s:.1f}" if clock else "",
                one.error or "",
            ]
        )
    return [
        Section(
            "Known defects by check",
            _READ["zoo"],
            (
                "layer",
                "profile",
                "expected check",
                "detected",
                "failing checks",
                "also",
                "log10 evidence",
                "s until detected",
                "s in total",
                "error",
            ),
            rows,
            figure=seconds_figure(result),
        ),
        Section(
            "Each check is needed",
            _READ["owners"],
            ("check", "only it detects", "it detects, and others too"),
            [
                [
                    o.check,
                    ", ".join(o.only) or "none",
                    "; ".join(f"{d} (also {', '.join(v)})" for d, v in o.shared.items()),
                ]
                for o in result.owners
            ],
        ),
    ]


# --- forms -------------------------------------------------------------------------------------------------------------


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def markdown(result: SelfTest) -> str:
    """The report as Markdown."""
    lines = [f"# {headline(result)}", ""]
    lines += [
        f"Root seed {result.seed}; seconds of work by part: "
        + ", ".join(f"{k} {v:.0f}" for k, v in result.seconds.items())
        + ".",
        "",
    ]
    for one in sections(result):
        lines += [f"## {one.title}", "", one.note, ""]
        if one.rows:
            lines.append("| " + " | ".join(one.columns) + " |")
            lines.append("|" + "---|" * len(one.columns))
            lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in one.rows]
            lines.append("")
        if one.text:
            lines += [one.text, ""]
    lines += _broken(result)
    return "\n".join(lines)


def _broken(result: SelfTest) -> list[str]:
    bad = [p for p in result.promises if not p.held]
    lines = ["## What does not hold", ""]
    return lines + ([f"* {p.part}: {p.name}. {p.text}" for p in bad] or ["Nothing."]) + [""]


def summary(result: SelfTest) -> str:
    """What a terminal shows: the sentence, and a line a promise."""
    lines = [headline(result), ""]
    lines += [f"{'✓' if p.held else '✗'} {p.part:<12} {p.text}" for p in result.promises]
    if result.practice is not None:
        lines += ["", result.practice.left_out or "", result.practice.table]
    if result.from_file is not None:
        lines += ["", *_file_lines(result.from_file)]
    return "\n".join(lines).rstrip() + "\n"


def _file_lines(told: FromFile) -> list[str]:
    """A line a layer and profile, and under each miss what would have caught it."""
    wide = max((len(one.layer) for one in told.judged), default=0)
    lines = []
    for one in told.judged:
        seen = ", ".join(one.failing) or one.error or ""
        words = OUTCOMES[one.outcome] + (f": {seen}" if seen else "")
        lines.append(f"{'✓' if one.held else '✗'} {one.layer:<{wide}}  {one.profile:<8}  {one.expected}  ->  {words}")
        for found in told.sought:
            if (found.layer, found.profile) == (one.layer, one.profile):
                lines.append(f"    would have detected it: {sought_words(found)}")
                lines += [f"    {found.command}"] if found.command else []
    return lines


def page(result: SelfTest) -> str:
    """The page: self-contained, light and dark, readable without JavaScript."""
    from markupsafe import Markup

    from dropcheck.report.furniture import furniture
    from dropcheck.report.templates import environment
    from dropcheck.results import embedded

    told = sections(result)
    return (
        environment()
        .get_template("selftest.html.j2")
        .render(
            **furniture(drawings=any(s.chart for s in told)),
            result=result,
            headline=headline(result),
            sections=told,
            # a stored comparison brings its own drawing
            drawings=[Markup(_drawing(s.chart)) for s in told],
            broken=[p for p in result.promises if not p.held],
            raw=embedded.embed([result]),
        )
    )


def _drawing(svg: str) -> str:
    """An SVG element that may stand in a page: scripts and handlers in a stored file are not passed on."""
    import re

    start = svg.find("<svg")
    if start < 0 or re.search(r"<script|<foreignObject|\son\w+\s*=|javascript:", svg, re.IGNORECASE):
        return ""
    return svg[start:]


def write(result: SelfTest, out: Path) -> None:
    """``index.html``, ``selftest.json`` and ``report.md`` into the folder, each whole or not at all."""
    write_atomically(out / "selftest.json", encode(result))
    write_atomically(out / "report.md", markdown(result).encode())
    write_atomically(out / "index.html", page(result).encode())
