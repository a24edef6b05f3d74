"""The details of a report in a terminal: numbers of every failing check, what a pass is worth, what was skipped, traits."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text

from dropcheck.judge.claims import CLAIMS
from dropcheck.report import sentences, this_run
from dropcheck.report.sentences import Group
from dropcheck.results import plain_text
from dropcheck.results.audit import Result

_INDENT = 14


def render(console: Console, result: Result, width: int, every: bool) -> None:
    """All details; ``every``: each pass, too."""
    if every:
        _passes(console, result)
    failing = sentences.groups(result.targets, ("fail",))
    if failing:
        console.print(Text("Every failing check:"))
        console.print()
    for group in failing:
        _group(console, group, CLAIMS.get(group.check, ""), len(result.targets) > 1, width)
    _worth(console, result)
    _not_run(console, result)
    _traits(console, result)
    if failing:
        console.print(Text(f"How to fix: dropcheck explain {failing[0].check}"))


def field(console: Console, name: str, text: str, width: int, indent: int = _INDENT) -> None:
    """``name`` and its text, wrapped beside it from column ``indent`` on."""
    body = textwrap.wrap(plain_text.clean(text), max(30, width - indent)) or [""]
    console.print(Text(f"  {name:<{indent - 2}}{body[0]}"))
    for more in body[1:]:
        console.print(Text(" " * indent + more))


def _group(console: Console, group: Group, claim: str, many: bool, width: int) -> None:
    lead = group.lead
    head = Text(f"{sentences.GLYPHS[group.verdict]} {group.check}", style="bold red")
    head.append(f"   {sentences.case_words(lead)}", style="default")
    console.print(head)
    if many:
        field(console, "in", plain_text.some(group.targets, 12), width)
    field(console, "check", claim, width)
    field(console, "observed", lead.message, width)
    for name, one in group.apart[:12]:
        seen = f"{plain_text.number(one.estimate)} {one.unit}, expected {plain_text.number(one.expected)}"
        field(console, "estimate", f"{plain_text.line(name, 60)}: {seen} ({plain_text.line(one.case)})", width)
    if lead.estimate is not None and not group.apart:
        text = f"{plain_text.number(lead.estimate)} {lead.unit}, expected {plain_text.number(lead.expected)}"
        interval = lead.fail_interval
        if interval is not None:
            text += f"; interval {plain_text.number(interval[0])} to {plain_text.number(interval[1])}"
        field(console, "estimate", text, width)
    if lead.coins:
        field(
            console,
            "evidence",
            f"{sentences.evidence(lead.log10_evidence)}; {lead.coins:,} decisions".lstrip("; "),
            width,
        )
    for statistic in lead.statistics:
        text = f"{plain_text.number(statistic.value)}"
        if statistic.degrees is not None:
            text += f" with {statistic.degrees} degrees of freedom"
        if statistic.p_value is not None:
            text += f", p = {statistic.p_value:.3g}"
        field(console, "beside it", f"{statistic.name}: {text}", width)
    drawn = group.drawn
    if drawn.picture is not None:
        field(console, "picture", drawn.picture.caption, width)
        labels = drawn.picture.labels or [""] * len(drawn.picture.rows)
        for label, row in zip(labels, drawn.picture.rows, strict=False):
            console.print(
                Text(f"              {plain_text.line(label, 20):<16} {plain_text.line(row)}"),
                overflow="ellipsis",
                no_wrap=True,
            )
    if group.shrunk is not None:
        field(console, "smallest", group.shrunk.smallest or "", width)
        console.print(Text(f"  {'':<11} {plain_text.line(group.shrunk.smallest_replay, 1000)}"), soft_wrap=True)
    if len(group.cases) > 1:
        field(
            console,
            "also in",
            f"{plain_text.some(group.cases[:1] and [c for c in group.cases if c != lead.case])}",
            width,
        )
    if (known := sentences.known_defect(lead)) is not None:
        field(console, "like", known, width)
    console.print(Text(f"  {'rerun':<11} {plain_text.line(lead.replay, 1000)}"), soft_wrap=True)
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
    text = f"{plain_text.count(passed, 'result')} in {plain_text.count(len(cases), 'case')} pass{'es' if passed == 1 else ''}."
    if worth:
        text += " Smallest defect that would have been detected (probability 0.999999):"
    console.print(Text(text))
    for text in worth:
        console.print(Text("  " + text), soft_wrap=True)
    tests = len(result.targets)
    over = plain_text.count(tests, "target")
    every = any(t.ledger is not None for t in result.targets)
    who = "over all runs of this ledger, past and to come," if every else "in this run"
    console.print(Text(f"A correct layer fails {who} with probability below {tests} x 10^-6 (family-wise, {over})."))
    console.print()


def not_audited(console: Console, result: Result) -> None:
    """Targets that were not audited, with the reason."""
    away = [t for t in result.targets if t.skipped is not None]
    if away and len(result.targets) > 1:
        console.print(Text("Not audited:"))
        for target in away:
            console.print(
                Text(f"  {plain_text.line(target.target)}: {plain_text.line(target.skipped or '', 300)}"),
                soft_wrap=True,
            )
        console.print()


def _not_run(console: Console, result: Result) -> None:
    left = sentences.groups(result.targets, ("skipped",))
    if not left:
        return
    console.print(Text("Skipped:"))
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
    shown = [
        (target.target, name, "; ".join(this_run.trait_lines(value)))
        for target in result.targets
        for name, value in target.traits.items()
    ]
    if not shown or len(result.targets) > 3:
        return
    console.print(Text("Traits (information only):"))
    for owner, name, value in shown:
        prefix = f"{plain_text.line(owner)}  " if len(result.targets) > 1 else ""
        console.print(Text(f"  {prefix}{plain_text.line(name)}: {plain_text.line(value, 300)}"), soft_wrap=True)
    console.print()
