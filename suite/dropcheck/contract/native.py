"""Compiled helpers: C libraries beside the code, used where they were built; elsewhere NumPy does the same work, slower.

``DROPCHECK_NATIVE=0`` leaves them out. A library that was built from another source than lies beside it is not used: a stale
one must not count or prove anything.
"""

from __future__ import annotations

import ctypes
import os
import zlib
from functools import lru_cache
from typing import Any, Optional

SHARED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "portable.h")  # a part of every source


def address(array: Any) -> int:
    """Where an array begins; its own ``ctypes`` costs more than a short proof."""
    return int(array.__array_interface__["data"][0])


@lru_cache(maxsize=None)
def library(folder: str, name: str) -> Optional[ctypes.CDLL]:
    """The library ``lib<name>`` of ``<name>.c`` in a folder; None where it is not there, does not load, or is stale."""
    if os.environ.get("DROPCHECK_NATIVE", "1") == "0":
        return None
    path = os.path.join(folder, f"lib{name}" + (".dll" if os.name == "nt" else ".so"))
    try:
        checksum = 0
        for source_file in (SHARED, os.path.join(folder, f"{name}.c")):
            with open(source_file, "rb") as file:
                checksum = zlib.crc32(file.read(), checksum)
        found = ctypes.CDLL(path)
        source = found.source
    except (OSError, AttributeError):
        return None
    source.argtypes, source.restype = [], ctypes.c_uint32
    return found if source() == checksum else None
