"""Scripts of findings that run in this process: what they import is there already."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from pathlib import Path

import pytest

from dropcheck.contract.promise import Contract
from dropcheck.results.audit import Finding, TargetResult, Timing


def run_here(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit status of a script, and what it prints."""
    place = folder / "reproduction.py"
    place.write_text(script)
    monkeypatch.setattr(sys, "argv", [str(place)])
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
        runpy.run_path(str(place), run_name="reproduction")
    return int(ended.value.code or 0), said.getvalue()


def failed(
    target: str, framework: str, contract: Contract, check: str, case: str, message: str
) -> tuple[TargetResult, Finding]:
    """A result of that target, and the one failing finding in it."""
    found = Finding(check=check, case=case, verdict="fail", message=message)
    owner = TargetResult(
        target=target,
        framework=framework,
        version="1",
        contract=contract.to_dict(),
        verdict="fail",
        timing=Timing(),
        traits={},
        findings=[found],
    )
    return owner, found
