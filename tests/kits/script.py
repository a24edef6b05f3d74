"""Scripts of findings that run in this process: what they import is there already."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from pathlib import Path

import pytest


def run_here(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit status of a script, and what it prints."""
    place = folder / "reproduction.py"
    place.write_text(script)
    monkeypatch.setattr(sys, "argv", [str(place)])
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
        runpy.run_path(str(place), run_name="reproduction")
    return int(ended.value.code or 0), said.getvalue()
