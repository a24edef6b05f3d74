"""The folder of everything that costs time to make and nothing to lose."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Imported by the worker: the standard library only, Python 3.9 at run time.


def folder() -> Path:
    """``$XDG_CACHE_HOME/dropcheck``, or the system's own place for caches."""
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        home = Path.home()
        base = str(home / "Library" / "Caches") if sys.platform == "darwin" else str(home / ".cache")
    return Path(base) / "dropcheck"
