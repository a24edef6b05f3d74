"""A decision in a terminal: the answer, what counts against it with its policy line, what is waived, what was proven."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from dropcheck.gate.decision import Decision, Line
from dropcheck.gate.grouping import grouped
from dropcheck.results import plain_text


def render(decision: Decision, width: int = 100) -> str:
    """The decision as text."""
    rows = [*_wrapped(decision.headline, width), ""]
    if decision.error:
        rows += [*_wrapped(plain_text.clean(decision.error), width), ""]
    for counts, glyph in (("fail", "✗"), ("missing", "?")):
        for some in grouped(decision.counting(counts)):  # type: ignore[arg-type]
            rows += [*_group(some, _glyph(some[0], glyph), width), ""]
    for some in grouped(decision.counting("waived")):
        lead = some[0]
        assert lead.waiver is not None
        what = "skipped, accepted" if lead.unjudged else "fails, accepted"
        text = f"w {lead.check}  {lead.target}{_cases(some)}: {what} until {lead.waiver.expires} by "
        text += plain_text.line(lead.waiver.id)
        rows += _wrapped(text, width)
        rows += _field("observed", lead.message, width)
        rows += _field("reason", plain_text.line(lead.waiver.reason), width)
        if lead.waiver.link:
            rows += _field("link", plain_text.line(lead.waiver.link), width)
        rows += [*_field("policy", lead.rule, width), ""]
    rows += [*_proven(decision, width)]
    for note in decision.notes:
        rows += _wrapped(f"{note.level}: {note.message}" + (f" ({note.rule})" if note.rule else ""), width)
    if decision.notes:
        rows.append("")
    if decision.accept:
        rows += ["To accept all of this until it gets worse:", f"  {decision.accept}", ""]
    rows += [text for one in decision.evidence for text in _wrapped(f"Evidence: {one}", width)]
    if decision.policy:
        rows.append(f"Policy: {decision.policy}, preset {decision.preset or '-'}; exit code {decision.exit_code}")
    return "\n".join(rows).rstrip() + "\n"


def _glyph(lead: Line, glyph: str) -> str:
    """The mark of a failure: another one for edge cases and traits."""
    return "~" if lead.counts == "fail" and lead.level in ("edge", "trait") else glyph


def _cases(some: Sequence[Line]) -> str:
    cases = list(dict.fromkeys(one.case for one in some if one.case))
    if not cases:
        return ""
    more = f" and {plain_text.count(len(cases) - 1, 'more case')}" if len(cases) > 1 else ""
    return f", {cases[0]}{more}"


def _group(some: Sequence[Line], glyph: str, width: int) -> Iterator[str]:
    lead = some[0]
    where = "  ".join(
        w
        for w in (lead.check.removeprefix("gate."), lead.target, "" if lead.device == "cpu" else f"on {lead.device}")
        if w
    )
    level = f" ({lead.level})" if lead.level in ("edge", "trait") else ""
    yield from _wrapped(f"{glyph} {where}{level}{_cases(some)}", width)
    yield from _field("observed" if lead.counts == "fail" else "missing", lead.message, width)
    yield from _field("policy", lead.rule, width)
    if lead.again:
        yield f"  {'rerun':<10} {lead.again}"
    if lead.accept:
        yield f"  {'accept':<10} {lead.accept}"


def _proven(decision: Decision, width: int) -> Iterator[str]:
    passed = decision.counting("pass")
    names = list(dict.fromkeys((one.target, one.device) for one in passed))
    for name, device in names:
        mine = [one for one in passed if (one.target, one.device) == (name, device)]
        checks, cases = {one.check for one in mine}, {one.case for one in mine}
        coins = sum({one.case: one.coins for one in mine}.values())
        bad = [one for one in decision.lines if (one.target, one.device) == (name, device) and _against(one)]
        text = f"{'·' if bad else '✓'} {name or 'the ratchet'}" + ("" if device == "cpu" else f" on {device}")
        if bad:
            wrong = len({one.check for one in bad})
            text += (
                f": {plain_text.count(wrong, 'check')} {'does' if wrong == 1 else 'do'} not pass, {len(checks)} pass"
            )
            text += f" ({plain_text.count(len(cases), 'case')})"
        else:
            text += f": {plain_text.count(len(checks), 'check')} in {plain_text.count(len(cases), 'case')} "
            text += "passes" if len(checks) == 1 else "pass"
        limits = sorted(
            100 * one.resolution for one in mine if one.check == "rate.marginal" and one.resolution is not None
        )
        if limits:
            typical, coarsest = f"{limits[len(limits) // 2]:.2g}", f"{limits[-1]:.2g}"
            text += f"; rate errors above {typical} percentage points are detected"
            text += f" ({coarsest} in the smallest case)" if coarsest != typical else ""
        elif coins:
            text += f"; {coins:,} decisions"
        yield from _wrapped(text, width)
    if names:
        yield ""


def _against(one: Line) -> bool:
    """Whether a line is not a pass: it counts against the release, or somebody accepts it, or it does not count."""
    return one.counts in ("fail", "missing", "waived") or one.tolerated or one.below


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) or [""]


def _field(name: str, text: str, width: int) -> list[str]:
    body = textwrap.wrap(text, max(30, width - 13), break_long_words=False, break_on_hyphens=False) or [""]
    return [f"  {name:<10} {body[0]}", *[" " * 13 + more for more in body[1:]]]
