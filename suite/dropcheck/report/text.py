"""The report in a terminal: the answer, the matrix, what is not a pass, and what a pass is worth."""

from __future__ import annotations

import io
import textwrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dropcheck.judge.claims import CLAIMS, FAMILIES
from dropcheck.report import sentences
from dropcheck.report.sentences import Group
from dropcheck.results import plain_text
from dropcheck.results.audit import Result, TargetResult

_STYLES = {
    "pass": "green",
    "fail": "bold red",
    "inconclusive": "yellow",
    "error": "bold magenta",
    "skipped": "dim",
    "waived": "cyan",
    "edge": "yellow",
    "trait": "yellow",
}


def render(result: Result, *, width: int = 100, colour: bool = False, every: bool = False) -> str:
    """The report as text. ``every`` lists passes too."""
    out = io.StringIO()
    console = _console(out, width, colour)
    for target in result.targets if len(result.targets) == 1 else []:
        _heading(console, target)
    console.print(Text(sentences.headline(result), style="bold"))
    for text in sentences.ledger(result.targets):
        console.print(Text(text), soft_wrap=True)
    console.print()
    if result.targets:
        console.print(_matrix(result))
        console.print()
    several = _causes(console, result, width)
    _failures(console, result, width, several)
    _errors(console, result)
    if every:
        _passes(console, result)
    _worth(console, result)
    _not_run(console, result)
    _traits(console, result)
    _next(console, result)
    return _written(out)


def failures(result: Result, *, width: int = 100) -> str:
    """The answer and what is not a pass, and nothing else: what an assertion says."""
    out = io.StringIO()
    console = _console(out, width, False)
    console.print(Text(sentences.headline(result)))
    console.print()
    several = _causes(console, result, width)
    _failures(console, result, width, several)
    _errors(console, result)
    return _written(out).rstrip() + "\n"


def _console(out: io.StringIO, width: int, colour: bool) -> Console:
    return Console(
        file=out,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
        legacy_windows=False,
    )


def _written(out: io.StringIO) -> str:
    return "\n".join(text.rstrip() for text in out.getvalue().splitlines()) + "\n"


def _heading(console: Console, target: TargetResult) -> None:
    parts = [
        plain_text.line(target.target),
        f"{target.framework} {target.version}".strip() + (" (guessed)" if "framework" in target.traits else ""),
        str(target.contract.get("pattern", "")),
    ]
    console.print(Text("  ".join(p for p in parts if p)), Text(f"{target.timing.wall_s:.0f} s, {target.coins:,} coins"))


def _matrix(result: Result) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("")
    for name in FAMILIES:
        table.add_column(name, no_wrap=True)
    for target in result.targets:
        cells = []
        for name in FAMILIES:
            verdict = sentences.cell(target, name)
            if not verdict and target.error is not None:
                verdict = "error"
            cells.append(
                Text(f"{sentences.GLYPHS[verdict]} {sentences.WORDS[verdict]}".strip(), style=_STYLES.get(verdict, ""))
            )
        table.add_row(Text(plain_text.line(target.target, 60)), *cells)
    return table


def _field(console: Console, name: str, text: str, width: int, indent: int = 2) -> None:
    body = textwrap.wrap(plain_text.clean(text), max(30, width - 14)) or [""]
    console.print(Text(f"{' ' * indent}{name:<{13 - indent}} {body[0]}"))
    for more in body[1:]:
        console.print(Text(" " * 14 + more))


def _causes(console: Console, result: Result, width: int) -> set[str]:
    """Causes of more than one check or target, each once, before the failures that it explains; their names."""
    found = [c for c in sentences.causes(result.targets) if len(c.checks) > 1 or len(c.targets) > 1]
    for cause in found:
        _field(console, "likely", cause.text, width, indent=0)
        where = plain_text.some(cause.checks, 8)
        if cause.dtypes:
            where += f"; only in {plain_text.some(cause.dtypes)}"
        _field(console, "explains", where, width, indent=0)
        if len(result.targets) > 1:
            _field(console, "in", plain_text.some(cause.targets, 12), width, indent=0)
        console.print()
    return {c.defect for c in found}


def _failures(console: Console, result: Result, width: int, several: set[str]) -> None:
    for group in sentences.groups(result.targets, ("fail", "inconclusive", "error")):
        _group(console, group, CLAIMS.get(group.check, ""), len(result.targets) > 1, width, several)


def _group(console: Console, group: Group, claim: str, many: bool, width: int, several: set[str]) -> None:
    lead = group.lead
    head = Text(f"{sentences.GLYPHS[group.verdict]} {group.check}", style=_STYLES[group.verdict])
    head.append(f"   {sentences.case_words(lead)}", style="default")
    console.print(head)
    if many:
        _field(console, "in", plain_text.some(group.targets, 12), width)
    _field(console, "claim", claim, width)
    _field(console, "observed", lead.message, width)
    for name, one in group.apart[:12]:
        seen = f"{plain_text.number(one.estimate)} {one.unit}, expected {plain_text.number(one.expected)}"
        _field(console, "estimate", f"{plain_text.line(name, 60)}: {seen} ({plain_text.line(one.case)})", width)
    if lead.estimate is not None and not group.apart:
        text = f"{plain_text.number(lead.estimate)} {lead.unit}, expected {plain_text.number(lead.expected)}"
        interval = lead.fail_interval
        if interval is not None:
            text += f"; interval {plain_text.number(interval[0])} to {plain_text.number(interval[1])}"
        _field(console, "estimate", text, width)
    if lead.coins:
        _field(
            console, "evidence", f"{sentences.evidence(lead.log10_evidence)}; {lead.coins:,} coins".lstrip("; "), width
        )
    if group.verdict == "inconclusive" and lead.resolution is not None:
        _field(
            console, "resolution", f"{plain_text.number(lead.resolution)} is coarser than this profile accepts", width
        )
    for statistic in lead.statistics:
        text = f"{plain_text.number(statistic.value)}"
        if statistic.degrees is not None:
            text += f" with {statistic.degrees} degrees of freedom"
        if statistic.p_value is not None:
            text += f", p = {statistic.p_value:.3g}"
        _field(console, "beside it", f"{statistic.name}: {text}", width)
    drawn = group.drawn
    if drawn.picture is not None:
        _field(console, "picture", drawn.picture.caption, width)
        labels = drawn.picture.labels or [""] * len(drawn.picture.rows)
        for label, row in zip(labels, drawn.picture.rows, strict=False):
            console.print(
                Text(f"              {plain_text.line(label, 20):<16} {plain_text.line(row)}"),
                overflow="ellipsis",
                no_wrap=True,
            )
    if group.shrunk is not None:
        _field(console, "smallest", group.shrunk.smallest or "", width)
        console.print(Text(f"  {'':<11} {plain_text.line(group.shrunk.smallest_replay, 1000)}"), soft_wrap=True)
    if len(group.cases) > 1:
        _field(
            console,
            "also in",
            f"{plain_text.some(group.cases[:1] and [c for c in group.cases if c != lead.case])}",
            width,
        )
    if lead.cause and lead.defect in several:
        _field(console, "likely", f"as above ({lead.defect})", width)
    elif lead.cause:
        _field(console, "likely", lead.cause, width)
    console.print(Text(f"  {'again':<11} {plain_text.line(lead.replay, 1000)}"), soft_wrap=True)
    console.print()


def _errors(console: Console, result: Result) -> None:
    for target in result.targets:
        if target.error is None:
            continue
        if len(result.targets) > 1 or target.findings:
            console.print(
                Text(
                    f"! {plain_text.line(target.target)}: {plain_text.line(target.error, 1000)}", style=_STYLES["error"]
                )
            )
        for text in (target.details or "").splitlines()[-12:]:
            console.print(Text("    " + plain_text.line(text)), soft_wrap=True)
        console.print()


def _passes(console: Console, result: Result) -> None:
    for target in result.targets:
        for one in target.findings:
            if one.verdict == "pass":
                console.print(
                    Text(
                        f"{sentences.GLYPHS['pass']} {one.check}  {sentences.case_words(one)}  {plain_text.line(one.message)}"
                    )
                )
    console.print()


def _worth(console: Console, result: Result) -> None:
    passed = sum(f.verdict == "pass" for t in result.targets for f in t.findings)
    if not passed:
        return
    cases = {(t.target, f.case) for t in result.targets for f in t.findings if f.verdict == "pass"}
    worth = sentences.worth(result.targets)
    text = f"{plain_text.count(passed, 'finding')} in {plain_text.count(len(cases), 'case')} hold{'s' if passed == 1 else ''}."
    if worth:
        text += " In the cases that ran, each of these would have been caught with probability .999999:"
    console.print(Text(text))
    for text in worth:
        console.print(Text("  " + text), soft_wrap=True)
    tests = len(result.targets)
    over = plain_text.count(tests, "target")
    every = any(t.ledger is not None for t in result.targets)
    who = "All runs of this ledger, past and to come, together accuse" if every else "This run accuses"
    console.print(Text(f"{who} a correct layer with probability below {tests} x 10^-6 (family-wise, {over})."))
    console.print()


def _not_run(console: Console, result: Result) -> None:
    away = [t for t in result.targets if t.skipped is not None]
    if away and len(result.targets) > 1:
        console.print(Text("Not audited:"))
        for target in away:
            console.print(
                Text(f"  {plain_text.line(target.target)}: {plain_text.line(target.skipped or '', 300)}"),
                soft_wrap=True,
            )
        console.print()
    left = sentences.groups(result.targets, ("skipped",))
    if not left:
        return
    console.print(Text("Not judged:"))
    by_reason: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for group in left:
        by_reason.setdefault((sentences.reason(group.lead), group.targets), []).append(group.check)
    for (why, where), checks in list(by_reason.items())[:14]:
        on = f" ({plain_text.some(where, 3)})" if len(result.targets) > 1 else ""
        console.print(Text(f"  {plain_text.some(checks, 12)}: {plain_text.line(why, 220)}{on}"), soft_wrap=True)
    if len(by_reason) > 14:
        console.print(Text(f"  and {len(by_reason) - 14} more reasons (in the result file and the page)"))
    console.print()


def _traits(console: Console, result: Result) -> None:
    shown = []
    for target in result.targets:
        for name, value in target.traits.items():
            if isinstance(value, dict) and name == "scale rounding":
                value = {
                    k: f"{v['class']}, {v['in_units']:+.2f} u"
                    for k, v in value.items()
                    if k.endswith(("=0.1", "=0.15"))
                }
            if isinstance(value, dict):
                same: dict[str, list[str]] = {}
                for key, item in value.items():
                    same.setdefault(str(item), []).append(str(key))
                value = "; ".join(f"{', '.join(k)}: {v}" for v, k in same.items())
            shown.append((target.target, name, str(value)))
    if not shown or len(result.targets) > 3:
        return
    console.print(Text("Traits (reported, not judged):"))
    for owner, name, value in shown:
        prefix = f"{plain_text.line(owner)}  " if len(result.targets) > 1 else ""
        console.print(Text(f"  {prefix}{plain_text.line(name)}: {plain_text.line(value, 300)}"), soft_wrap=True)
    console.print()


def _next(console: Console, result: Result) -> None:
    failed = sentences.groups(result.targets, ("fail",))
    if failed:
        console.print(Text(f"Explain a claim: dropcheck explain {failed[0].check}"))
    audited = [t for t in result.targets if t.error is None and t.skipped is None]
    if result.profile == "quick" and audited:
        console.print(Text(f"Finer: dropcheck audit {_typed(audited[0].target)} --profile standard"))


def _typed(target: str) -> str:
    """A target as it is typed: one word, quoted where its name has spaces."""
    shown = plain_text.line(target)
    return f'"{shown}"' if " " in shown else shown
