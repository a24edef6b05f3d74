"""The report in a terminal: the answer, the matrix, one block a cause, and the answer once more at the end."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dropcheck.judge.claims import families
from dropcheck.judge.diagnosis import Diagnosis
from dropcheck.report import sentences, text_details
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
    "defect": "bold red",
}
MOST_CAUSES = 3  # a target shows so many in full, unless everything is asked for
MOST_TARGETS = 4  # above so many failing targets, each cause is a line
_PICTURE = 4  # rows of a picture
_INDENT = 12
_LEGEND = "# kept, . dropped"


def render(
    result: Result, *, width: int = 100, colour: bool = False, every: bool = False, details: bool = False
) -> str:
    """The report as text. ``details``: also the numbers of every failing check, what a pass is worth, what was skipped,
    traits; ``every``: that, and each pass."""
    details = details or every
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
    if text := sentences.coverage(result.targets, details):
        console.print(Text(text))
        console.print()
    _causes(console, result, width, details)
    _missing(console, result, width)
    _errors(console, result)
    text_details.not_audited(console, result)
    if details:
        text_details.render(console, result, width, every)
    _last(console, result)
    return _written(out)


def failures(result: Result, *, width: int = 100) -> str:
    """The answer and what is not a pass, and nothing else: what an assertion says behind what was observed."""
    out = io.StringIO()
    console = _console(out, width, False)
    console.print(Text(sentences.headline(result)))
    console.print()
    _causes(console, result, width, True)
    _missing(console, result, width)
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
        f"{target.timing.wall_s:.0f} s",
    ]
    text = "  ".join(p for p in parts if p)
    counted = f", {target.coins:,} decisions"
    console.print(Text(text + (counted if len(text) + len(counted) <= console.width else "")))


def _matrix(result: Result) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("")
    shown = families(f.check for t in result.targets for f in t.findings)
    for name in shown:
        table.add_column(name, no_wrap=True)
    for target in result.targets:
        cells = []
        for name in shown:
            verdict = sentences.cell(target, name)
            if not verdict and target.error is not None:
                verdict = "error"
            cells.append(
                Text(f"{sentences.GLYPHS[verdict]} {sentences.WORDS[verdict]}".strip(), style=_STYLES.get(verdict, ""))
            )
        table.add_row(Text(plain_text.line(target.target, 60)), *cells)
    return table


def field(console: Console, name: str, text: str, width: int) -> None:
    """A field of a block."""
    text_details.field(console, name, text, width, _INDENT)


# --- causes ------------------------------------------------------------------------------------------------------------


def _causes(console: Console, result: Result, width: int, every: bool) -> None:
    """One block a target and cause, worst first."""
    failing = [(t, found) for t in result.targets if (found := sentences.diagnosed(t))]
    short = len(failing) > MOST_TARGETS and not every
    for target, found in failing:
        owner = plain_text.line(target.target) if len(result.targets) > 1 else ""
        shown = found if every else found[:MOST_CAUSES]
        for one, after in zip(shown, [*shown[1:], None], strict=True):
            if short:
                head = Text(f"✗ {owner}", style=_STYLES["fail"])
                console.print(head)
                field(console, "observed", one.observed, width)
                _command(console, sentences.smallest_of(one)[2])
            else:
                close = one.level != "defect" and after is not None  # edge cases stand together
                _cause(console, one, owner, width, close)
        if len(found) > len(shown):
            console.print(Text(f"  and {plain_text.count(len(found) - len(shown), 'more cause')}: --verbose"))
            console.print()
    if short:
        console.print()


def _cause(console: Console, one: Diagnosis, owner: str, width: int, close: bool = False) -> None:
    """One block; ``close``: without an empty line behind it."""
    drawn, case, command = sentences.smallest_of(one)
    head = Text(f"{sentences.MARKS[one.level]} {owner or one.check}", style=_STYLES[one.level])
    head.append(f"   {one.check}, {one.level}" if owner else f"   {one.level}", style="default")
    console.print(head)
    field(console, "observed", one.observed, width)
    if drawn is not None and one.level == "defect":
        labels = drawn.labels or [""] * len(drawn.rows)
        wide = min(20, max((len(label) for label in labels), default=0))
        field(console, "picture", _LEGEND if drawn.columns != "channel" else f"{_LEGEND}; across: channels", width)
        for label, row in list(zip(labels, drawn.rows, strict=False))[:_PICTURE]:
            text = f"{'':<{_INDENT}}{plain_text.line(label, 20):<{wide}}  {plain_text.line(row)}"
            console.print(Text(text), overflow="ellipsis", no_wrap=True)
    field(console, "fix", one.fix, width)
    if one.level == "defect" and case not in command:
        field(console, "case", plain_text.line(case), width)
    if one.also:
        field(
            console, "also", f"{', '.join(one.also)} fail{'s' if len(one.also) == 1 else ''} for the same cause", width
        )
    _command(console, command)
    if not close:
        console.print()


def _command(console: Console, replay: str) -> None:
    if replay:
        console.print(Text(f"  {'rerun':<{_INDENT - 2}}{plain_text.line(replay, 1000)}"), soft_wrap=True)


def _missing(console: Console, result: Result, width: int) -> None:
    """Checks without a verdict, one block a sentence."""
    blocks: dict[tuple[str, str], list[sentences.Group]] = {}
    for group in sentences.groups(result.targets, ("inconclusive", "error")):
        key = (group.verdict, group.lead.message if group.verdict == "error" else group.check)
        blocks.setdefault(key, []).append(group)
    for (verdict, _), some in blocks.items():
        lead = some[0].lead
        word = "inconclusive" if verdict == "inconclusive" else "could not be judged"
        checks = plain_text.some([g.check for g in some], 4)
        console.print(Text(f"{sentences.GLYPHS[verdict]} {checks}   {word}", style=_STYLES[verdict]))
        if len(result.targets) > 1:
            field(console, "in", plain_text.some(tuple(dict.fromkeys(t for g in some for t in g.targets)), 12), width)
        field(console, "observed", lead.message, width)
        if verdict == "inconclusive" and lead.resolution is not None:
            text = f"an error of {plain_text.number(lead.resolution)} could be missed: more than this profile accepts"
            field(console, "limit", text, width)
        _command(console, lead.smallest_replay or lead.replay)
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


def _last(console: Console, result: Result) -> None:
    """The answer once more, where the last screen shows it."""
    lines: Sequence[str] = sentences.answers(result)
    for text in lines[:12]:
        console.print(Text(text, style="bold"))
    if len(lines) > 12:
        console.print(Text(f"and {len(lines) - 12} more targets fail"))
    audited = [t for t in result.targets if t.error is None and t.skipped is None]
    if result.profile == "quick" and audited and not lines:
        console.print(Text(f"More samples: dropcheck audit {typed(audited[0].target)} --profile standard"))


def typed(target: str) -> str:
    """A target as it is typed: one word, quoted where its name has spaces."""
    shown = plain_text.line(target)
    return f'"{shown}"' if " " in shown else shown
