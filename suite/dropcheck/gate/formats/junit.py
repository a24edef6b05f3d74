"""A decision as JUnit XML: a test case per target, check and case; failure, error and skipped kept apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from dropcheck.gate.decision import Decision, Line
from dropcheck.results.plain_text import clean

# what XML 1.0 cannot hold, even escaped
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(decision: Decision, width: int = 0) -> str:
    """The decision as one XML document. A gate that failed has a failure or an error in it, whatever made it fail."""
    suites: dict[str, list[Line]] = {}
    for one in decision.lines:
        suites.setdefault(one.target or "gate", []).append(one)
    root = ElementTree.Element("testsuites", name="dropcheck gate")
    total = {"tests": 0, "failures": 0, "errors": 0}
    for name, lines in suites.items():
        suite = _suite(root, name, lines, decision)
        for key in total:
            total[key] += int(suite.get(key, "0"))
    if decision.exit_code and not total["failures"] and not total["errors"]:
        sentence = decision.error or decision.headline
        suite = ElementTree.SubElement(root, "testsuite", name="gate", tests="1", failures="0", errors="1", skipped="0")
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name="gate.run")
        _outcome(case, "error", "the gate could not run" if decision.error else "nothing is proven", sentence)
        total["tests"] += 1
        total["errors"] += 1
    for key, value in total.items():
        root.set(key, str(value))
    if (first := root.find("testsuite")) is not None:
        # what is accepted and which waivers cover nothing stands in no test case
        told = [decision.headline, *(f"{note.level}: {note.message}" for note in decision.notes)]
        ElementTree.SubElement(first, "system-out").text = text("\n".join(told))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(root: ElementTree.Element, name: str, lines: Sequence[Line], decision: Decision) -> ElementTree.Element:
    count = {kind: sum(_kind(one) == kind for one in lines) for kind in ("failure", "error", "skipped")}
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=text(name),
        tests=str(len(lines)),
        failures=str(count["failure"]),
        errors=str(count["error"]),
        skipped=str(count["skipped"]),
    )
    for one in lines:
        words = [one.check, *([one.case] if one.case else []), *([f"on {one.device}"] if one.device != "cpu" else [])]
        case = ElementTree.SubElement(suite, "testcase", classname=text(name), name=text(" ".join(words)))
        kind = _kind(one)
        if kind:
            _outcome(case, kind, _message(one), _details(one), one.verdict)
    return suite


def _kind(one: Line) -> str:
    """A failure is a broken claim, an error is evidence that is missing; what is waived or does not apply is skipped."""
    if one.counts == "pass":
        return ""
    return {"fail": "failure", "missing": "error"}.get(one.counts, "skipped")


def _message(one: Line) -> str:
    if one.waiver is not None:
        if one.unjudged:
            return f"not judged, accepted until {one.waiver.expires} by {one.waiver.id}: {one.waiver.reason}"
        return f"waived until {one.waiver.expires} by {one.waiver.id}: {one.waiver.reason}"
    return one.message


def _details(one: Line) -> str:
    rows = [one.message, f"policy: {one.rule}"]
    rows += [f"again: {one.again}"] if one.again else []
    rows += [f"accept: {one.accept}"] if one.accept else []
    rows += [f"link: {one.waiver.link}"] if one.waiver is not None and one.waiver.link else []
    return "\n".join(rows)


def _outcome(case: ElementTree.Element, kind: str, message: str, details: str, type_: str = "error") -> None:
    made = ElementTree.SubElement(case, kind, message=text(message), type=text(type_))
    made.text = text(details)


def text(value: str) -> str:
    """A text that XML can hold: control characters are shown as their numbers, the rest that it forbids is removed."""
    return _FORBIDDEN.sub("", clean(value))
