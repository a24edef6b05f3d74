"""How a worker process is started: its interpreter, variables and folders, as plain data."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropcheck.worker.caches import compiled
from dropcheck.worker.server.packages import folders

SERVER = Path(__file__).with_name("server")  # started by path

# threads that wait must sleep: spinning ones of several workers take each other's cores (measured: half the speed)
_QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


@dataclass(frozen=True)
class Start:
    """``stem``: modules whose import workers that start alike may share; see ``stems``."""

    python: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    path: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    stem: tuple[str, ...] = ()

    def variables(self) -> Mapping[str, str]:
        """The environment of the process."""
        found = {**_QUIET, **compiled(), **os.environ, "PYTHONUNBUFFERED": "1", **dict(self.environment)}
        if self.python is not None:
            # another interpreter must not be sent into this one's packages
            found.pop("PYTHONPATH", None)
            found.pop("PYTHONHOME", None)
        return found

    def command(self, descriptor: int, **more: Any) -> list[str]:
        """The command line of a process that serves a descriptor. ``more``: further settings."""
        settings = {"packages": folders(self.packages), "path": list(self.path), "own": str(SERVER), **more}
        return [self.python or sys.executable, str(SERVER / "__main__.py"), str(descriptor), json.dumps(settings)]
