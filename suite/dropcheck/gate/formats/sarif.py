"""A decision as SARIF 2.1.0: every rule declared, fingerprints that stay the same from run to run, waivers as suppressions."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from dropcheck.contract.version import __version__
from dropcheck.gate import source_lines
from dropcheck.gate.claims import RULES
from dropcheck.gate.decision import Decision, Line
from dropcheck.gate.grouping import cases, checks, of, worst_first

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"defect": "error", "edge": "warning", "trait": "note"}


def render(decision: Decision, width: int = 0) -> str:
    """The decision as one SARIF document: what fails, what is missing, and what is waived. A pass needs no result."""
    names = list(RULES)
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "dropcheck",
                "version": __version__,
                "rules": [_rule(name) for name in names],
            }
        },
        "automationDetails": {"id": "dropcheck/gate/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(decision)],
        "results": _results(decision, names),
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=1) + "\n"


def _rule(name: str) -> dict[str, Any]:
    from dropcheck.judge import levels
    from dropcheck.judge.checks import CHECK

    claim = RULES[name][:1].upper() + RULES[name][1:] + "."
    found: dict[str, Any] = {
        "id": name,
        "name": "".join(word.capitalize() for word in name.replace(".", "-").split("-")),
        "shortDescription": {"text": claim},
        "fullDescription": {"text": claim},
    }
    if (check := CHECK.get(name)) is not None:
        text = f"{check.how}\n\nHow to fix it: {check.remedy}\n\nMore: dropcheck explain {name}"
        found["help"] = {"text": text}
        found["defaultConfiguration"] = {"level": LEVELS[levels.level(name)]}
    return found


def _invocation(decision: Decision) -> dict[str, Any]:
    made: dict[str, Any] = {
        "executionSuccessful": decision.verdict != "error",
        "exitCode": decision.exit_code,
        "exitCodeDescription": decision.headline,
    }
    notes: list[dict[str, Any]] = [
        {"level": note.level, "message": {"text": note.message + (f" ({note.rule})" if note.rule else "")}}
        for note in decision.notes
    ]
    if decision.error:
        notes.append({"level": "error", "message": {"text": decision.error}})
    elif decision.exit_code and not decision.counting("fail", "missing"):
        notes.append({"level": "error", "message": {"text": decision.headline}})
    if notes:
        made["toolExecutionNotifications"] = notes
    return made


def _results(decision: Decision, names: list[str]) -> list[dict[str, Any]]:
    """A result a check of a target: of what fails, of what is missing, of each waiver, and of what fails and does not count."""
    made, seen = [], Counter[str]()
    for some in checks(decision.lines):
        apart = [of(some, "fail"), of(some, "missing"), worst_first([one for one in some if one.below])]
        waived: dict[str, list[Line]] = {}
        for one in of(some, "waived"):
            waived.setdefault(one.waiver.id if one.waiver is not None else "", []).append(one)
        for part in filter(None, (*apart, *waived.values())):
            mark = fingerprint(part[0])
            result = _result(decision, part, len(some), names.index(part[0].check), fingerprint(part[0], seen[mark]))
            made.append(result)
            seen[mark] += 1
    return made


def _result(decision: Decision, some: Sequence[Line], total: int, index: int, mark: str) -> dict[str, Any]:
    one = some[0]
    rows = [f"{one.target}: {one.message}" if one.target else one.message, *cases(some, total), f"Policy: {one.rule}"]
    rows += [f"Rerun: {one.again}"] if one.again else []
    rows += [f"Accept: {one.accept}"] if one.accept else []
    uri, row = location(decision, one)
    made: dict[str, Any] = {
        "ruleId": one.check,
        "ruleIndex": index,
        "level": "warning" if one.counts == "missing" else LEVELS[one.level or "defect"],
        "message": {"text": "\n".join(rows)},
        "partialFingerprints": {"dropcheck/v2": mark},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": quote(uri)}, "region": {"startLine": row}},
                "logicalLocations": [{"fullyQualifiedName": one.target or "gate", "kind": "type"}],
            }
        ],
    }
    if one.waiver is not None:
        text = f"{one.waiver.id}: {one.waiver.reason} (until {one.waiver.expires}) {one.waiver.link}".strip()
        made["suppressions"] = [{"kind": "external", "status": "accepted", "justification": text}]
    return made


def fingerprint(one: Line, place: int = 0) -> str:
    """Of what a result is about, not of what was measured: the same check of a target has the same one in every run."""
    # no word of the message: it holds ages and figures, which differ from run to run; of the gate's own checks the case
    waiver = one.waiver.id if one.waiver is not None else ""
    case = one.case if one.check.startswith("gate.") else ""
    text = "\x1f".join([one.check, one.target, case, one.device, waiver, str(place) if place else ""])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def location(decision: Decision, one: Line) -> tuple[str, int]:
    """The file and the line that a result points at: the user's own layer, else the policy that asks."""
    if (found := source_lines.place(one.target)) is not None:
        return found
    file, row = decision.place(one)
    return (file, row) if file and not PurePath(file).is_absolute() else ("pyproject.toml", 1)
