"""Where things are kept that cost time to make and nothing to lose."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from pathlib import Path

from dropcheck.contract.cache_folder import folder as folder


@cache
def _processor() -> str:
    """A mark of this kind of processor: what was compiled for one may not run on another that shares the folder."""
    try:
        text = next(
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "Feat"))
        )
    except (OSError, StopIteration):
        text = platform.processor()
    return hashlib.blake2b(f"{platform.machine()} {text}".encode(), digest_size=6).hexdigest()


def compiled() -> dict[str, str]:
    """Environment variables that let JAX keep what it compiles from one worker to the next.

    An audit meets some hundred shapes and each costs a compilation: a second audit of Flax' dropout takes a fifth of the
    time (49 s and 10 s, one run each on two busy cores). What is kept is looked up by the whole program, its constants
    included, so that a mask that is frozen in a program stays frozen. A user's own setting of these variables stands.
    """
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder() / "jax" / _processor()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
