"""A decision as JUnit XML: a test case per target and check, its cases inside; failure, error and skipped kept apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from dropcheck.gate.decision import Decision, Line
from dropcheck.gate.grouping import cases, checks, of, worst_first
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
        suite = _suite(root, name, lines)
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


def _suite(root: ElementTree.Element, name: str, lines: Sequence[Line]) -> ElementTree.Element:
    groups = checks(lines)
    kinds = list(map(_kind, groups))
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=text(name),
        tests=str(len(groups)),
        failures=str(kinds.count("failure")),
        errors=str(kinds.count("error")),
        skipped=str(kinds.count("skipped")),
    )
    for some, kind in zip(groups, kinds, strict=True):
        one = some[0]
        words = [one.check, *([f"on {one.device}"] if one.device != "cpu" else [])]
        case = ElementTree.SubElement(suite, "testcase", classname=text(name), name=text(" ".join(words)))
        if kind:
            _tell(case, kind, some)
    return suite


def _kind(some: Sequence[Line]) -> str:
    """A failure is a check that fails, an error evidence that is missing; skipped is what is waived, not asked or not counted."""
    counts = {one.counts for one in some}
    if "fail" in counts:
        return "failure"
    if "missing" in counts:
        return "error"
    return "skipped" if "pass" not in counts or "waived" in counts or any(one.below for one in some) else ""


def _tell(case: ElementTree.Element, kind: str, some: Sequence[Line]) -> None:
    """The outcome of a check: its message is what was seen in the worst case, its text has the cases."""
    shown = of(some, "fail") or of(some, "missing") or of(some, "waived")
    shown = shown or worst_first([one for one in some if one.below]) or list(some)
    lead = shown[0]
    rows = [lead.message, *cases(shown, len(some)), f"policy: {lead.rule}"]
    rows += [f"rerun: {lead.again}"] if lead.again else []
    rows += [f"accept: {lead.accept}"] if lead.accept else []
    rows += [f"link: {lead.waiver.link}"] if lead.waiver is not None and lead.waiver.link else []
    _outcome(case, kind, _message(lead), "\n".join(rows), lead.level or lead.verdict)


def _message(one: Line) -> str:
    if one.waiver is not None:
        if one.unjudged:
            return f"skipped, accepted until {one.waiver.expires} by {one.waiver.id}: {one.waiver.reason}"
        return f"waived until {one.waiver.expires} by {one.waiver.id}: {one.waiver.reason}"
    return f"fails and does not count ({one.rule}): {one.message}" if one.below else one.message


def _outcome(case: ElementTree.Element, kind: str, message: str, details: str, type_: str = "error") -> None:
    made = ElementTree.SubElement(case, kind, message=text(message), type=text(type_))
    made.text = text(details)


def text(value: str) -> str:
    """A text that XML can hold: control characters are shown as their numbers, the rest that it forbids is removed."""
    return _FORBIDDEN.sub("", clean(value))
