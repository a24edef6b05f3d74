"""The first release in which a check fails: releases from pip, both ends first, then halving; what cannot be judged is skipped."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec
from packaging.version import InvalidVersion, Version

from dropcheck.contract.errors import UsageError, nearest
from dropcheck.plan.release_environments import BuildError
from dropcheck.results import audit as results

Outcome = Literal["pass", "fail", "inconclusive", "error", "skipped", "waived", "not installable"]
Say = Callable[["Trial"], None]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One release that was tried: how the check ended there, in words, and the seconds that it took."""

    release: str
    outcome: Outcome
    message: str
    seconds: float


class Bisection(msgspec.Struct, frozen=True, kw_only=True):
    """The whole search. ``candidates``: releases any of which may be the first failing one; one where it is decided."""

    schema: Literal["dropcheck.bisect/1"] = "dropcheck.bisect/1"
    target: str
    check: str
    package: str
    releases: list[str]
    trials: list[Trial]
    last_passing: str
    candidates: list[str]
    sentence: str

    @property
    def first_failing(self) -> str | None:
        """The release in which the check fails for the first time, if it is decided."""
        return self.candidates[0] if len(self.candidates) == 1 else None


@dataclass(frozen=True)
class Question:
    """What is asked: the check of a target, over the releases of a package; ``beside``: further requirements."""

    target: str
    check: str
    package: str
    beside: tuple[str, ...] = ()
    profile: str = "quick"
    python: str | None = None
    timeout_s: float = 600.0
    argv: tuple[str, ...] = ()


def available(package: str, python: str | None = None, pre: bool = False) -> list[Version]:
    """All releases that pip's index has for this interpreter, in order. Raises UsageError with pip's words."""
    command = [sys.executable, "-m", "pip"]
    if find_spec("pip") is None:
        command = [python or sys.executable, "-m", "pip"]
    elif python is not None:
        command += ["--python", python]
    words = ["index", "versions", package, "--disable-pip-version-check", *(["--pre"] if pre else [])]
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    # from an empty folder: a folder of the package's name is no release of it
    with tempfile.TemporaryDirectory() as empty:
        if links := variables.get("PIP_FIND_LINKS"):
            variables["PIP_FIND_LINKS"] = " ".join(
                str(Path(w).resolve()) if Path(w).exists() else w for w in links.split()
            )
        done = subprocess.run([*command, *words], capture_output=True, text=True, env=variables, cwd=empty)
    listed = next((line for line in done.stdout.splitlines() if line.startswith("Available versions:")), None)
    if done.returncode != 0 or listed is None:
        said = "".join(f"\n    {line}" for line in done.stderr.strip().splitlines()[-6:])
        raise UsageError(f"pip lists no releases of {package!r}; it says:{said}")
    found = []
    for word in listed.partition(":")[2].split(","):
        try:
            found.append(Version(word.strip()))
        except InvalidVersion:  # a release older than the rules of version numbers
            continue
    return sorted(set(found))


def between(releases: Sequence[Version], first: str, last: str) -> list[Version]:
    """The releases from ``first`` to ``last``, both included. Raises UsageError where an end is no release or they are turned."""
    ends = []
    for option, text in (("--from", first), ("--to", last)):
        try:
            end = Version(text)
        except InvalidVersion:
            raise UsageError(
                f"{option} takes a release such as {releases[-1] if releases else '1.0'}, not {text!r}"
            ) from None
        if end not in releases:
            raise UsageError(
                f"{option} {text}: pip lists no such release for this interpreter{nearest(text, [str(r) for r in releases])}"
            )
        ends.append(end)
    if ends[0] >= ends[1]:
        raise UsageError(f"--from {first} is not before --to {last}: give the earlier, passing release first")
    return [r for r in releases if ends[0] <= r <= ends[1]]


def trial_of(question: Question, release: Version) -> Trial:
    """Audit the target with that release, this check alone."""
    from dropcheck.auditing import run as auditing

    started = time.monotonic()
    wanted = " ".join([f"{question.package}=={release}", *question.beside])

    def ended(outcome: Outcome, message: str) -> Trial:
        return Trial(
            release=str(release), outcome=outcome, message=message, seconds=round(time.monotonic() - started, 2)
        )

    request = auditing.AuditRequest(
        targets=(question.target,),
        profile=question.profile,
        select=(question.check,),
        releases=(wanted,),
        python=question.python,
        timeout_s=question.timeout_s,
        causes=False,
        argv=question.argv,
    )
    try:
        (target,) = auditing.run(request).targets
    except BuildError as error:
        last = str(error).strip().splitlines()[-1].strip()
        return ended("not installable", f"does not install: {last}")
    except UsageError as error:  # the target is not there in that release: another matter than bad words of the user
        if "does not run" in str(error) or "--" in str(error).split(" ")[0]:
            raise
        return ended("error", str(error))
    if target.error is not None and target.verdict == "error":
        return ended("error", target.error)
    if target.skipped is not None:
        return ended("skipped", target.skipped)
    some = [f for f in target.findings if f.check == question.check]
    verdict = results.overall([f.verdict for f in some])
    worst = next((f for f in some if f.verdict == verdict), None)
    return ended(verdict, worst.message if worst is not None else "the check asks nothing of this target")


def search(
    question: Question, releases: Sequence[Version], try_one: Callable[[Version], Trial], say: Say | None = None
) -> Bisection:
    """Binary search for the first failing release. Raises UsageError where the ends are not passing and failing.

    An end that cannot be judged gives way to the next release inside it. Assumes, as every bisection does, that once it
    fails it keeps failing; what is reported is a passing and a failing release with nothing that can be judged between.
    """
    trials: dict[Version, Trial] = {}

    def tried(release: Version) -> str:
        if release not in trials:
            trials[release] = try_one(release)
            if say is not None:
                say(trials[release])
        return {"pass": "good", "waived": "good", "fail": "bad"}.get(trials[release].outcome, "unknown")

    check = question.check
    low = _end(releases, tried)
    if low is None:
        raise UsageError(
            f"{check} could be judged in none of the {len(releases)} releases of {question.package} from {releases[0]} to "
            f"{releases[-1]}: {next(iter(trials.values())).message}"
        )
    if tried(releases[low]) == "bad":
        raise UsageError(
            f"{check} already fails in {question.package} {releases[low]}, the first release that can be judged: give an "
            f"earlier --from ({trials[releases[low]].message})"
        )
    back = _end(list(reversed(releases)), tried)
    assert back is not None  # the release at low can be judged
    high = len(releases) - 1 - back
    if tried(releases[high]) == "good":
        raise UsageError(
            f"{check} passes in {question.package} {releases[high]}, the last release that can be judged: there is no failing "
            f"release to find; give a later --to ({trials[releases[high]].message})"
        )
    low, high = halved(low, high, lambda place: tried(releases[place]))
    candidates = [str(r) for r in releases[low + 1 : high + 1]]
    return Bisection(
        target=question.target,
        check=check,
        package=question.package,
        releases=[str(r) for r in releases],
        trials=[trials[r] for r in sorted(trials)],
        last_passing=str(releases[low]),
        candidates=candidates,
        sentence=_sentence(question, str(releases[low]), candidates, len(trials), len(releases)),
    )


def halved(low: int, high: int, kind: Callable[[int], str]) -> tuple[int, int]:
    """The last place known to be good and the first known to be bad between ``low``, which is good, and ``high``, which is bad.

    ``kind`` of a place is good, bad or unknown; places that stay between the two are unknown.
    """
    unknown: set[int] = set()
    while left := [i for i in range(low + 1, high) if i not in unknown]:
        # the one nearest to the middle of all that lie between, as halving wants it
        ends = low + high
        middle = min(left, key=lambda i, ends=ends: abs(2 * i - ends))  # type: ignore[misc]
        found = kind(middle)
        if found == "good":
            low = middle
        elif found == "bad":
            high = middle
        else:
            unknown.add(middle)
    return low, high


def _end(releases: Sequence[Version], tried: Callable[[Version], str]) -> int | None:
    """The first release that can be judged."""
    return next((i for i, release in enumerate(releases) if tried(release) != "unknown"), None)


def _sentence(question: Question, good: str, candidates: list[str], tried: int, every: int) -> str:
    cost = f"{tried} of {every} releases were tried"
    if len(candidates) == 1:
        return (
            f"{question.check} fails for the first time in {question.package} {candidates[0]}: it passes in {good}, the "
            f"release before; {cost}."
        )
    return (
        f"{question.check} fails for the first time in one of {question.package} {', '.join(candidates)}: it passes in "
        f"{good} and fails in {candidates[-1]}, and those between could not be judged; {cost}."
    )


def bisect(question: Question, first: str, last: str, pre: bool = False, say: Say | None = None) -> Bisection:
    """List the releases, search, and say in one sentence where the check fails for the first time. Raises UsageError."""
    from dropcheck.judge.claims import CLAIMS

    if question.check not in CLAIMS:
        raise UsageError(f"there is no check {question.check!r}{nearest(question.check, CLAIMS)}")
    releases = between(available(question.package, question.python, pre), first, last)
    return search(question, releases, lambda release: trial_of(question, release), say)


def table(found: Bisection) -> str:
    """Release by release, in order, then the verdict in one sentence."""
    wide = max(len(t.release) for t in found.trials)
    lines = [f"{found.target}: {found.check} over releases of {found.package}", ""]
    for one in found.trials:
        lines.append(f"  {one.release:<{wide}}  {one.outcome:<15} {one.seconds:7.1f} s  {one.message}")
    return "\n".join([*lines, "", found.sentence])


def encode(found: Bisection) -> bytes:
    """The search as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"
