"""A decision as the Markdown of a job's summary or of a comment."""

from __future__ import annotations

from collections.abc import Sequence

from dropcheck.gate.decision import Decision, Line
from dropcheck.gate.grouping import grouped
from dropcheck.report.github_text import code, prose, table
from dropcheck.results.plain_text import count

MOST_BYTES = 1_000_000  # a summary above 1 MiB is lost as a whole
MOST_ROWS = 200


def render(decision: Decision, width: int = 0) -> str:
    """The decision in Markdown, below the size at which GitHub loses a summary."""
    rows = [f"## dropcheck gate: {prose(decision.headline)}", ""]
    if decision.error:
        rows += [prose(decision.error), ""]
    for counts, title in (("fail", "Fails"), ("missing", "Evidence that is missing")):
        rows += _table(decision.counting(counts), title)  # type: ignore[arg-type]
    rows += _waived(decision.counting("waived"))
    rows += _proven(decision)
    rows += [f"- **{note.level}**: {prose(note.message)} {code(note.rule)}".rstrip() for note in decision.notes]
    rows += ["", f"To accept all of this until it gets worse: {code(decision.accept)}"] if decision.accept else []
    rows += ["", *[f"- {prose(one)}" for one in decision.evidence]]
    rows += ["", f"Policy {code(decision.policy)}, preset {decision.preset or '-'}; exit code {decision.exit_code}."]
    text = "\n".join(rows) + "\n"
    data = text.encode()
    if len(data) <= MOST_BYTES:
        return text
    return data[:MOST_BYTES].decode(errors="ignore").rpartition("\n")[0] + "\n\nCut here: the log has all of it.\n"


def _table(lines: Sequence[Line], title: str) -> list[str]:
    some = grouped(lines)
    if not some:
        return []
    rows = []
    for group in some[:MOST_ROWS]:
        lead = group[0]
        more = f" ({count(len(group), 'case')})" if len(group) > 1 else ""
        rows.append(
            [
                f"{'~' if lead.level in ('edge', 'trait') else '✗' if lead.counts == 'fail' else '?'} {lead.level or ''}".strip(),
                code(lead.check),
                code(lead.target),
                prose(lead.message) + more,
                code(lead.rule),
                code(lead.again),
            ]
        )
    left = [f"{len(some) - MOST_ROWS} more are in the log.", ""] if len(some) > MOST_ROWS else []
    return [f"### {title}", "", *table(["", "check", "target", "observed", "policy", "rerun"], rows), "", *left]


def _waived(lines: Sequence[Line]) -> list[str]:
    rows = []
    for group in grouped(lines)[:MOST_ROWS]:
        lead = group[0]
        if lead.waiver is not None:
            what = "skipped" if lead.unjudged else f"fails in {count(len(group), 'case')}"
            why = " ".join([prose(lead.waiver.reason), *([code(lead.waiver.link)] if lead.waiver.link else [])])
            rows.append([code(lead.check), code(lead.target), what, lead.waiver.expires, why, code(lead.waiver.id)])
    head = ["check", "target", "accepted", "until", "reason", "waiver"]
    return ["### Accepted", "", *table(head, rows), ""] if rows else []


def _proven(decision: Decision) -> list[str]:
    passed = decision.counting("pass")
    rows = []
    for name in dict.fromkeys(one.target for one in passed):
        checks = {one.check for one in passed if one.target == name}
        cases = {one.case for one in passed if one.target == name}
        what = code(name) or "the ratchet"
        rows.append(f"- {what}: {count(len(checks), 'check')} in {count(len(cases), 'case')}")
    return ["### Passes", "", *rows, ""] if rows else []
