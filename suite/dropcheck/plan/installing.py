"""Running pip and npm for an environment: their last lines where they fail, and an end before too much is downloaded."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dropcheck.contract import requirements
from dropcheck.contract.errors import UsageError

_LAST_LINES = 12
_UNITS = {"bytes": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
# lines of pip before it downloads a file, takes it from its cache, or takes one of this machine
_FETCHED = re.compile(r"^\s*(?:Downloading|Using cached) \S*?([^/\s]+) \(([\d.]+) (bytes|kB|MB|GB)\)")
_LOCAL = re.compile(r"^\s*Processing (\S+\.whl)")
_YANKED = re.compile(r"is a yanked version: '([^']+)'.*?\(version ([^ ,)]+)")
_REASON = re.compile(r"Reason for being yanked: (.*)")


class BuildError(UsageError):
    """An environment that could not be built: one sentence, and the last lines of pip or npm indented under it."""


class TooLarge(BuildError):
    """pip began to install more than it was allowed to, and was ended; the sentence names the files."""


def variables() -> dict[str, str]:
    """The environment of pip and npm: another interpreter must not be sent into this one's packages."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}


def run(command: Sequence[str], words: tuple[str, ...], base: str, program: str = "pip") -> str:
    """The command's standard output. Raises BuildError with the last lines of what it said."""
    done = subprocess.run(command, capture_output=True, text=True, env=variables(), stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        return done.stdout
    raise _failed((done.stdout + done.stderr).splitlines(), words, base, program)


def watched(command: Sequence[str], words: tuple[str, ...], base: str, limit_mb: float) -> str:
    """What pip says while it installs. Ends it with all its processes and raises TooLarge before it passes the limit.

    ``limit_mb``: megabytes (10^6 bytes) of all files that it installs, as they are downloaded, by the sizes that it states
    before each of them. Files of its cache count, too: the answer does not depend on what an earlier run left there.
    """
    said: list[str] = []
    files: list[tuple[str, float]] = []
    # pip starts itself again under the environment's interpreter: a group of its own ends as a whole
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env={**variables(), "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            said.append(line.rstrip("\n"))
            if (found := _file(line)) is not None:
                files.append(found)
                if sum(size for _, size in files) > limit_mb:
                    raise _too_large(files, words, limit_mb)
        code = process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        process.stdout.close()
    if code == 0:
        return "\n".join(said)
    raise _failed(said, words, base, "pip")


def _file(line: str) -> tuple[str, float] | None:
    """The file that a line of pip announces, and its megabytes; descriptions alone are none."""
    if (found := _FETCHED.match(line)) and not found[1].endswith(".metadata"):
        return found[1], float(found[2]) * _UNITS[found[3]]
    if (found := _LOCAL.match(line)) and (path := Path(found[1].removeprefix("file://"))).is_file():
        return path.name, path.stat().st_size / 1e6
    return None


def yanked(said: str) -> dict[str, str]:
    """Releases that pip installed although their owners took them back: the reason by ``name version``."""
    lines = said.splitlines()
    found = {}
    for number, line in enumerate(lines):
        if match := _YANKED.search(line):
            reason = next((r[1].strip() for r in map(_REASON.search, lines[number : number + 2]) if r), "")
            found[f"{match[1]} {match[2]}"] = "" if reason == "<none given>" else reason
    return found


def _too_large(files: Sequence[tuple[str, float]], words: tuple[str, ...], limit_mb: float) -> TooLarge:
    largest = sorted(files, key=lambda one: -one[1])[:2]
    named = " and ".join(f"{name.partition('-')[0]} {size:,.0f} MB" for name, size in largest)
    total = sum(size for _, size in files)
    return TooLarge(
        f"the environment with {requirements.name_of(words)} was not built: {total:,.0f} MB or more to install ({named}), "
        f"and {limit_mb:,.0f} MB are allowed"
    )


def _failed(lines: Sequence[str], words: tuple[str, ...], base: str, program: str) -> BuildError:
    said = [line for line in lines if line.strip()][-_LAST_LINES:]
    # pip lists every release that there is in one line: its beginning and its end tell enough
    short = [line if len(line) <= 240 else f"{line[:150]} ... {line[-80:]}" for line in said]
    under = f" under {base}" if base != sys.executable else ""
    told = "".join(f"\n    {line}" for line in short)
    return BuildError(
        f"the environment with {requirements.name_of(words)} could not be built{under}; {program} says:{told}"
    )
