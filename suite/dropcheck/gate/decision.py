"""What a gate decides: lines, each with the policy line that makes it count, notes, one verdict and one exit code."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

from dropcheck.results.audit import Level, ResultError, Verdict, Waiver

SCHEMA = "dropcheck.gate/1"

# How a line counts: ``none`` is shown and changes nothing.
Counts = Literal["pass", "fail", "missing", "waived", "none"]
EXIT = {"pass": 0, "fail": 1, "error": 2, "inconclusive": 3}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: a target, a check and a case, or what is missing of them.

    ``rule``: the line of the policy that makes it count; ``again``: the command that repeats it; ``accept``: the command
    that waives it, with all cases and dtypes of its check; ``of``: what a waiver of it accepts; ``unjudged``: a required
    check that was not judged, because a more basic one fails; ``tolerated``: a failure that counts as a pass within a
    tolerance of the policy; ``deviation``: what a ceiling is held against; ``level``: of a failing check; ``below``: a failure
    that does not count, being less grave than the policy's ``fail_on``.
    """

    counts: Counts
    verdict: Verdict
    check: str
    message: str
    rule: str
    target: str = ""
    case: str = ""
    device: str = "cpu"
    again: str = ""
    accept: str = ""
    coins: int = 0
    estimate: float | None = None
    expected: float | None = None
    unit: str = ""
    resolution: float | None = None
    waiver: Waiver | None = None
    of: Literal["", "failure", "not judged"] = ""
    unjudged: bool = False
    tolerated: bool = False
    deviation: float | None = None
    level: Level | None = None
    below: bool = False


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something to know that changes no verdict. ``check``: ``gate.waiver`` and the like."""

    level: Literal["warning", "note"]
    check: str
    message: str
    rule: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """May this ship? ``error``: why nothing could be decided, verdict ``error``.

    ``accept``: the command that waives all that counts against it, where waivers can accept all of it.
    """

    schema: Literal["dropcheck.gate/1"] = "dropcheck.gate/1"
    kind: Literal["gate"] = "gate"
    verdict: Literal["pass", "fail", "inconclusive", "error"]
    exit_code: int
    headline: str
    policy: str
    preset: str
    day: str
    lines: list[Line] = []
    notes: list[Note] = []
    evidence: list[str] = []
    error: str = ""
    accept: str = ""

    def place(self, one: Line | Note) -> tuple[str, int]:
        """The file and line of the policy that a line names; no file, and line 1, where it names none."""
        prefix = f"{self.policy}:"
        if self.policy and one.rule.startswith(prefix):
            number = one.rule[len(prefix) :].partition(":")[0]
            if number.isascii() and number.isdigit():
                return self.policy, int(number)
        return (self.policy if self.policy.endswith(".toml") else ""), 1

    def counting(self, *counts: Counts) -> list[Line]:
        """The lines that count so, in order."""
        return [line for line in self.lines if line.counts in counts]


def failed(sentence: str, policy: str = "", day: str = "") -> Decision:
    """A gate that could not run: exit code 2 in every format."""
    return Decision(
        verdict="error",
        exit_code=2,
        headline="Gate error: it could not run, so nothing is decided.",
        policy=policy,
        preset="",
        day=day,
        error=sentence,
    )


def encode(decision: Decision) -> bytes:
    """The decision as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(decision), indent=1) + b"\n"


def schema() -> dict[str, Any]:
    """The JSON schema of a decision."""
    return msgspec.json.schema(Decision)


def decode(data: bytes, name: str) -> Decision:
    """Read a stored decision, strictly. Raises ResultError."""
    try:
        return msgspec.convert(json.loads(data), Decision)
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{name} is no decision of dropcheck gate: {error}") from error
