"""Where a run took place: what a reader needs to judge it, and nothing that names a person or a path."""

from __future__ import annotations

import datetime
import functools
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dropcheck.count import compiled

PACKAGES = ("dropcheck", "numpy", "scipy", "torch", "keras", "tensorflow-cpu", "tensorflow", "jax", "jaxlib")


def processors() -> int:
    """Processors that this process may use, which in a container or under taskset are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """The time, versions, processor and load of this machine."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": processors(),
        "load": [round(x, 2) for x in load],
        "packages": dict(_versions(tuple(sys.path))),
        "implementation": sys.implementation.name,
        "compiled": compiled.library() is not None,  # else NumPy counted, and proved: the same numbers, later
    }


@functools.cache
def _versions(path: tuple[str, ...]) -> dict[str, str]:
    """The installed of PACKAGES. ``path``: their descriptions are long, and are read again only where this changes."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
