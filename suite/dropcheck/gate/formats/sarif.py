"""A decision as SARIF 2.1.0: every rule declared, fingerprints that stay the same from run to run, waivers as suppressions."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from dropcheck.contract.version import __version__
from dropcheck.gate.claims import RULES
from dropcheck.gate.decision import Decision, Line

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"fail": "error", "missing": "warning", "waived": "error"}


def render(decision: Decision, width: int = 0) -> str:
    """The decision as one SARIF document: what fails, what is missing, and what is waived. A pass needs no result."""
    names = list(RULES)
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "dropcheck",
                "version": __version__,
                "informationUri": "https://pypi.org/project/dropcheck/",
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
    claim = RULES[name][:1].upper() + RULES[name][1:] + "."
    found: dict[str, Any] = {
        "id": name,
        "name": "".join(word.capitalize() for word in name.replace(".", "-").split("-")),
        "shortDescription": {"text": claim},
        "fullDescription": {"text": claim},
    }
    if not name.startswith("gate."):
        found["help"] = {"text": f"dropcheck explain {name}"}
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
    """A result a line that counts; several about one thing are told apart by their order."""
    made, seen = [], Counter[str]()
    for one in decision.lines:
        if one.counts in LEVELS:
            mark = fingerprint(one)
            made.append(_result(decision, one, names.index(one.check), fingerprint(one, seen[mark])))
            seen[mark] += 1
    return made


def _result(decision: Decision, one: Line, index: int, mark: str) -> dict[str, Any]:
    where = " ".join(w for w in (one.target, one.case) if w)
    rows = [f"{where}: {one.message}" if where else one.message, f"Policy: {one.rule}"]
    rows += [f"Again: {one.again}"] if one.again else []
    rows += [f"Accept: {one.accept}"] if one.accept else []
    uri, row = location(decision, one)
    made: dict[str, Any] = {
        "ruleId": one.check,
        "ruleIndex": index,
        "level": LEVELS[one.counts],
        "message": {"text": "\n".join(rows)},
        "partialFingerprints": {"dropcheck/v1": mark},
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
    """Of what a result is about, not of what was measured: the same finding has the same one in every run."""
    # no word of the message: it holds ages and figures, which differ from run to run
    text = "\x1f".join([one.check, one.target, one.case, one.device, str(place) if place else ""])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def location(decision: Decision, one: Line) -> tuple[str, int]:
    """The file and the line that a result points at: the user's own layer, else the policy that asks."""
    place = one.target.partition("#")[0].partition(" with ")[0].rpartition(":")[0]
    path = PurePath(place)
    if place.endswith(".py") and not path.is_absolute() and ".." not in path.parts:
        return path.as_posix(), 1
    file, row = decision.place(one)
    return (file, row) if file and not PurePath(file).is_absolute() else ("pyproject.toml", 1)
