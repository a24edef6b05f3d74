"""Compiled helpers: C libraries beside the code, used where they were built; elsewhere NumPy does the same work, slower.

``DROPCHECK_NATIVE=0`` leaves them out. A library that was built from another source than lies beside it is not used: a stale
one must not count or prove anything.
"""

from __future__ import annotations

import ctypes
import os
import zlib
from functools import lru_cache
from typing import Optional

VARIABLE = "DROPCHECK_NATIVE"


def wanted() -> bool:
    """Whether the environment asks for compiled helpers (it does unless it says 0)."""
    return os.environ.get(VARIABLE, "1") != "0"


@lru_cache(maxsize=None)
def library(folder: str, name: str) -> Optional[ctypes.CDLL]:
    """The library ``lib<name>`` of ``<name>.c`` in a folder; None where it is not there, does not load, or is stale."""
    if not wanted():
        return None
    path = os.path.join(folder, f"lib{name}" + (".dll" if os.name == "nt" else ".so"))
    try:
        with open(os.path.join(folder, f"{name}.c"), "rb") as file:
            checksum = zlib.crc32(file.read())
        found = ctypes.CDLL(path)
        source = found.source
    except (OSError, AttributeError):
        return None
    source.argtypes, source.restype = [], ctypes.c_uint32
    return found if source() == checksum else None
