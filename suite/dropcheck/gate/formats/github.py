"""A decision on GitHub: at most ten annotations beside the code, and a summary of the job in Markdown."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dropcheck.gate.decision import Decision, Line
from dropcheck.gate.formats.sarif import location
from dropcheck.gate.formats.text import grouped
from dropcheck.report.github_text import code, prose, table
from dropcheck.results.plain_text import clean, count

MOST = 10  # what GitHub shows of one step; more would be dropped without a word
MOST_BYTES = 1_000_000  # a summary above 1 MiB is lost as a whole
MOST_ROWS = 200


def annotated(decision: Decision) -> str:
    """Workflow commands, the most important first; the last one says how many more there are."""
    made = list(_commands(decision))
    if len(made) > MOST:
        left = len(made) - MOST + 1
        kind = "error" if decision.exit_code else "warning"
        made = made[: MOST - 1]
        made.append(
            _command(kind, "", 0, "dropcheck gate", f"{left} more; the job's summary and the log have all of them")
        )
    return "".join(text + "\n" for text in made)


def _commands(decision: Decision) -> Iterator[str]:
    if decision.exit_code:
        yield _command("error", "", 0, "dropcheck gate", decision.error or decision.headline)
    elif any(one.counts == "waived" or one.tolerated for one in decision.lines):
        yield _command("notice", "", 0, "dropcheck gate", decision.headline)
    for counts, kind in (("fail", "error"), ("missing", "error")):
        for some in grouped(decision.counting(counts)):  # type: ignore[arg-type]
            lead = some[0]
            file, row = location(decision, lead)
            cases = f" ({count(len(some), 'case')})" if len(some) > 1 else ""
            where = f"{lead.target}: " if lead.target else ""
            text = f"{where}{lead.message}{cases}\nPolicy: {lead.rule}" + (
                f"\nAgain: {lead.again}" if lead.again else ""
            )
            yield _command(kind, file, row, lead.check, text)
    for note in decision.notes:
        if note.level == "warning":
            yield _command("warning", *decision.place(note), note.check, note.message)


def _command(kind: str, file: str, row: int, title: str, text: str) -> str:
    fields = ([f"file={_property(file)}", f"line={row}"] if file else []) + [f"title={_property(title)}"]
    return f"::{kind} {','.join(fields)}::{_data(clean(text))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(clean(text)).replace(":", "%3A").replace(",", "%2C")


def summary(decision: Decision) -> str:
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
            [code(lead.check), code(lead.target), prose(lead.message) + more, code(lead.rule), code(lead.again)]
        )
    left = [f"{len(some) - MOST_ROWS} more are in the log.", ""] if len(some) > MOST_ROWS else []
    return [f"### {title}", "", *table(["check", "target", "observed", "policy", "again"], rows), "", *left]


def _waived(lines: Sequence[Line]) -> list[str]:
    rows = []
    for group in grouped(lines)[:MOST_ROWS]:
        lead = group[0]
        if lead.waiver is not None:
            what = "not judged" if lead.unjudged else f"fails in {count(len(group), 'case')}"
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


def write_summary(decision: Decision) -> None:
    """Append the summary to the file that GitHub names for the job, where it names one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(summary(decision))
    except OSError as error:  # the decision stands without its summary
        print(f"dropcheck: the job summary {path} cannot be written: {error.strerror or error}", file=sys.stderr)
