"""Whether a finding's own script shows it: run in a process of its own, and read what it observed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dropcheck.contract import requirements
from dropcheck.report.reproduction import javascript
from dropcheck.report.reproduction.script import SAME, write
from dropcheck.results.asked import device_of_finding
from dropcheck.results.audit import Finding, Result, TargetResult
from dropcheck.results.naming import split_name
from dropcheck.worker import visible_devices


@dataclass(frozen=True)
class Confirmed:
    """The script shows the defect, and its control does not. ``observed`` and ``control``: its own words of both."""

    script: str
    expected: str
    observed: str
    control: str = ""


@dataclass(frozen=True)
class NotConfirmed:
    """The script does not show it: it exits with 0 (the defect is not there), or it could not be run to its end.

    ``control``: what it observed of the control, where that shows the defect too (exit status 4): then it is of the measurement
    or of the framework, and not of this layer.
    """

    script: str
    output: str
    ran: bool  # False: it ended before it could tell
    control: str = ""

    @property
    def word(self) -> str:
        """How it ended."""
        return "the control shows it too" if self.control else "not confirmed" if self.ran else "did not run"


def failing(result: Result) -> list[tuple[TargetResult, Finding]]:
    """The failing findings of a result in the order of their numbers, which begin at 1: ``result.json#1``."""
    return [(t, f) for t in result.targets for f in t.findings if f.verdict == "fail"]


def interpreter(target: TargetResult, python: str | None = None) -> str:
    """The interpreter that has the target's release: of its environment, else ``python``, else this one."""
    releases = target.target.partition(requirements.JOIN)[2]
    if releases:
        from dropcheck.plan import release_environments

        return release_environments.provide(requirements.read(releases), python).python
    return python or sys.executable


def confirm(
    target: TargetResult, found: Finding, python: str | None = None, timeout_s: float = 300.0
) -> Confirmed | NotConfirmed:
    """Write the finding's script and run it. Raises UsageError where there is no script for it.

    Only exit status 1 together with an observation counts: a script that dies has status 1 as well.
    """
    return told(target, write(target, found), (), python, timeout_s)


def told(
    target: TargetResult,
    script: str,
    arguments: Sequence[str] = (),
    python: str | None = None,
    timeout_s: float = 300.0,
) -> Confirmed | NotConfirmed:
    """Run a script of a target and read what it tells.

    It exits with 1 and a line ``observed: ...`` where the defect shows, and with 4 and a line ``control: ...`` besides where
    its control, a plain right layer in the same place, shows it too.
    """
    of_node = javascript.is_javascript(script)
    program, given = javascript.program(target) if of_node else (interpreter(target, python), dict(os.environ))
    device = next((device_of_finding(f) for f in target.findings if f.replay), "cpu")
    variables = {
        **given,
        **visible_devices.variables(device, split_name(target.target)[1]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    if program != sys.executable and not of_node:  # another interpreter must not be sent into this one's packages
        variables.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("reproduction.js" if of_node else "reproduction.py")
        path.write_text(script)
        try:
            done = subprocess.run(
                [program, str(path), *arguments], capture_output=True, text=True, timeout=timeout_s, env=variables
            )
        except subprocess.TimeoutExpired:
            return NotConfirmed(script, f"stopped after {timeout_s:g} s", ran=False)
    said = dict(
        line.split(": ", 1)
        for line in done.stdout.splitlines()
        if line.startswith(("expected: ", "observed: ", "control: "))
    )
    if done.returncode == 1 and "observed" in said:
        return Confirmed(script, said.get("expected", ""), said["observed"], said.get("control", ""))
    if done.returncode == SAME and {"observed", "control"} <= set(said):
        return NotConfirmed(script, done.stdout.strip(), True, said["control"])
    ran = done.returncode == 0 and "observed" in said
    return NotConfirmed(script, (done.stdout if ran else done.stdout + done.stderr).strip(), ran)
