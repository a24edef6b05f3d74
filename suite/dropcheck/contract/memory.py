"""What a call must hold in memory at least, by arithmetic, against what there is: what cannot fit is refused before it starts."""

from __future__ import annotations

import os
from pathlib import Path

from dropcheck.contract.errors import UsageError

BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_bytes() -> int | None:
    """Bytes of this machine, or of the container that this process is in; None where the system does not say."""
    try:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (ValueError, OSError, AttributeError):
        found = []
    for name in _LIMITS:
        try:
            found.append(int(Path(name).read_text()))
        except (OSError, ValueError):  # no such group, or the word max
            continue
    return min((one for one in found if one > 0), default=None)


def refuse(option: str, elements: int, dtype: str, memory_mb: int | None, here: bool = True) -> None:
    """Raise UsageError where input and output of a call cannot be held. ``here``: the call runs in this machine's memory."""
    needed = 2 * elements * BYTES[dtype]
    whole = machine_bytes() if here else None
    limits = [(memory_mb << 20, f"--memory allows {memory_mb:,} MB")] if memory_mb is not None else []
    limits += [(whole, f"this machine has {_shown(whole)}")] if whole is not None else []
    if not limits:
        return
    most, words = min(limits)
    if needed > most:
        raise UsageError(
            f"{option} has {elements:,} elements: input and output take {_shown(needed)} in {dtype}, but {words}; give a "
            "smaller one"
        )


def _shown(size: int) -> str:
    """A size in MB or GB, as people say it."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
