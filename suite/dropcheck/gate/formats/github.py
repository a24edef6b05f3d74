"""A decision on GitHub: at most ten annotations beside the code, and a summary of the job in Markdown."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from dropcheck.gate.decision import Decision
from dropcheck.gate.formats import markdown, text
from dropcheck.gate.formats.sarif import location
from dropcheck.gate.grouping import grouped
from dropcheck.results.plain_text import clean, count

KINDS = {"defect": "error", "edge": "warning", "trait": "notice"}
MOST = 10  # what GitHub shows of one step; more would be dropped without a word


def render(decision: Decision, width: int = 100) -> str:
    """GitHub reads the commands out of the log, and people the rest."""
    return annotated(decision) + text.render(decision, width)


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
    for counts in ("fail", "missing"):
        for some in grouped(decision.counting(counts)):
            lead = some[0]
            kind = KINDS[lead.level or "defect"]
            file, row = location(decision, lead)
            cases = f" ({count(len(some), 'case')})" if len(some) > 1 else ""
            where = f"{lead.target}: " if lead.target else ""
            text = f"{where}{lead.message}{cases}\nPolicy: {lead.rule}" + (
                f"\nRerun: {lead.again}" if lead.again else ""
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


def write_summary(decision: Decision) -> None:
    """Append the summary to the file that GitHub names for the job, where it names one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(markdown.render(decision))
    except OSError as error:  # the decision stands without its summary
        print(f"dropcheck: the job summary {path} cannot be written: {error.strerror or error}", file=sys.stderr)
