"""The commands that accept what a gate reports: one for each failing check of a target, and one for all of a result."""

from __future__ import annotations

import datetime
import re
import shlex
from collections.abc import Sequence

import msgspec

from dropcheck.contract.adapter import DTYPES
from dropcheck.gate.decision import Line
from dropcheck.gate.decoding import FILE, PROJECT
from dropcheck.gate.policy import FAILURE, NOT_JUDGED
from dropcheck.gate.waivers import WITH_INTERVAL, escaped
from dropcheck.judge.levels import LEVELS
from dropcheck.results.naming import lead
from dropcheck.results.plain_text import line

DAYS = 90  # how long a printed command accepts
MOST = 4000  # characters of a command; a longer one would be cut, and then it is left out
# A check without an interval states one estimate; another root seed moves it by about this much.
SLACK = 1.25
_CAUSE = re.compile(r"\b(?:because|while) ([a-z]+\.[a-z-]+) fails")  # the second in earlier results


def ceiling(check: str, deviations: Sequence[float | None]) -> tuple[float | None, bool]:
    """The largest deviation that was seen, rounded up to four digits, and whether something has no number."""
    known = [one for one in deviations if one is not None]
    if not known:
        return None, True
    most = max(known) * (1.0 if check in WITH_INTERVAL else SLACK)
    shown = float(f"{most:.4g}")
    return (shown if shown >= most else float(f"{most * 1.001:.4g}")), len(known) < len(deviations)


def with_commands(lines: Sequence[Line], policy: str, today: datetime.date) -> list[Line]:
    """The lines, those that a waiver can accept with the command that accepts every line of their check and target.

    A failure that hides other checks is accepted with them, so that the same result passes once the commands have run.
    """
    tail = _tail(policy, today)
    failing: dict[tuple[str, str], dict[str, list[Line]]] = {}
    hidden: dict[tuple[str, str], list[Line]] = {}
    for one in lines:
        where = one.target, one.device
        if one.of == FAILURE and one.counts == "fail":
            failing.setdefault(where, {}).setdefault(one.check, []).append(one)
        elif one.of == NOT_JUDGED and one.counts != "waived":
            hidden.setdefault(where, []).append(one)
    made: dict[tuple[str, str, str], str] = {}
    for (target, device), checks in failing.items():
        behind: dict[str, list[str]] = {}
        gravest = min(checks, key=lambda name: min(LEVELS.index(one.level or "defect") for one in checks[name]))
        for one in hidden.get((target, device), ()):
            cause = next((name for name in _CAUSE.findall(one.message) if name in checks), gravest)
            behind.setdefault(cause, []).append(one.check)
        for check, some in checks.items():
            words = ["dropcheck", "waive", check, escaped(target), *_dtypes(some), "--device", device]
            most, unmeasured = ceiling(check, [one.deviation for one in some])
            words += ["--ceiling", f"{most:g}"] if most is not None else []
            words += ["--unmeasured"] if unmeasured else []
            words += ["--hides", ",".join(dict.fromkeys(behind[check]))] if check in behind else []
            made[target, device, check] = _command([*words, *tail])
    for (target, device), rest in hidden.items():
        names = ",".join(dict.fromkeys(one.check for one in rest))
        words = ["dropcheck", "waive", names, escaped(target), "--of", NOT_JUDGED, "--device", device]
        for name in {one.check for one in rest}:
            made.setdefault((target, device, name), _command([*words, *tail]))
    return [
        msgspec.structs.replace(one, accept=made.get((one.target, one.device, one.check), ""))
        if one.of and one.counts in ("fail", "missing")
        else one
        for one in lines
    ]


def whole(lines: Sequence[Line], files: Sequence[str], policy: str, today: datetime.date) -> str:
    """One line that accepts everything that counts against these results; empty where waivers cannot, or one does.

    Results that are stored are adopted by their file; of results that are not, the commands of all checks stand in a row.
    """
    against = [one for one in lines if one.counts in ("fail", "missing")]
    single = list(dict.fromkeys(one.accept for one in against))
    if len(single) < 2 or not all(single):
        return ""
    if not files or any(name.startswith("made now") or not name for name in files):
        text = " && ".join(single)
        return text if line(text, MOST) == text else ""
    words = ["dropcheck", "waive", *(w for name in dict.fromkeys(files) for w in ("--from", name))]
    return _command([*words, *_tail(policy, today, reason=False)])


def _dtypes(some: Sequence[Line]) -> list[str]:
    """``--dtype`` with all dtypes that fail; nothing where a failure belongs to no dtype."""
    words = [lead(one.case) for one in some]
    if any(word not in DTYPES for word in words):
        return []
    return ["--dtype", ",".join(name for name in DTYPES if name in words)]


def _tail(policy: str, today: datetime.date, reason: bool = True) -> list[str]:
    words = ["--policy", policy] if policy not in ("", FILE, PROJECT) else []
    words += ["--reason", "WHY"] if reason else []
    return [*words, "--expires", (today + datetime.timedelta(days=DAYS)).isoformat()]


def _command(words: Sequence[str]) -> str:
    text = shlex.join(words)
    return text if line(text, MOST) == text else ""
