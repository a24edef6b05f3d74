"""Where a layer runs, as far as a clock must know: the host, in NumPy; frameworks add theirs in adapters/devices.py."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Tuple

import numpy as np

from dropcheck.contract.adapter import Unsupported

Call = Callable[[Any], Any]
Thunk = Callable[[], Any]


class Clock:
    """The time of day for differences, in nanoseconds; tests inject one that they turn themselves."""

    def now(self) -> int:
        """Nanoseconds, monotonic."""
        return time.perf_counter_ns()


class Device:
    """The host. A subclass overrides what its device does otherwise; all times are nanoseconds."""

    name = "cpu"
    asynchronous = False  # whether a call may return before its result is computed
    graphs = False  # whether calls can be captured once and replayed
    buffers = 1  # inputs to rotate over, so that no call finds its input in a cache that a real one would not

    def __init__(self, clock: Optional[Clock] = None) -> None:
        self.clock = clock or Clock()

    def wait(self, value: Any) -> None:
        """Return when ``value`` (of the last call) is computed. On the host it is."""

    def threads(self, wanted: int) -> Dict[str, Any]:
        """Have the framework use so many threads; what it says of itself afterwards, by the name of who says it."""
        return {}

    def rotation(self, nbytes: int) -> int:
        """How many inputs of ``nbytes`` bytes to rotate over."""
        return 1

    def compilations(self) -> Optional[int]:
        """How often something was compiled in this process so far; None where nobody counts."""
        return None

    def unlimited(self) -> None:
        """Have the compiler compile as often as it is asked, until ``release``; asked again once the compiler is there."""

    def release(self) -> None:
        """Undo ``unlimited``."""

    def breaks(self) -> Optional[Dict[str, int]]:
        """Where the compiler handed back to Python in this process so far, by reason; None where nobody counts."""
        return None

    def copies(self, x: Any, array: Any, reused: bool) -> Dict[str, Thunk]:
        """Ways to copy the input, by name: the best of them is the yardstick. ``array``: the input as NumPy sees it."""
        if array is None:
            return {}
        if not reused:
            return {"numpy": lambda: array.copy(order="K")}
        target = np.empty_like(array)
        np.copyto(target, array)  # first touch
        return {"numpy": lambda: np.copyto(target, array)}

    def fills(self, x: Any, array: Any, reused: bool) -> Dict[str, Thunk]:
        """Ways to write as many bytes without reading any."""
        if array is None:
            return {}
        # not zeros: a fresh page that is zero anyway need not be written
        if not reused:
            return {"numpy": lambda: np.full_like(array, 1)}
        target = np.full_like(array, 1)
        return {"numpy": lambda: target.fill(1)}

    def yardsticks(self, x: Any, array: Any, reused: bool) -> Dict[str, Call]:
        """Copies and fills as calls on an input, by ``copy:NAME`` and ``fill:NAME``.

        A device with a cache of its own makes something of every input that it is given; the host goes on with one ``x``.
        """
        ways = {"copy": self.copies(x, array, reused), "fill": self.fills(x, array, reused)}
        return {f"{kind}:{name}": _ignoring(way) for kind, found in ways.items() for name, way in found.items()}

    def capture(self, call: Call, inputs: Sequence[Any]) -> Tuple[Thunk, Sequence[Any]]:
        """A replay of one call per input, and its outputs, overwritten by each replay. Raises with the reason."""
        raise Unsupported(f"{self.name} has no graphs to capture")

    def elapsed_ns(self, work: Thunk) -> float:
        """Nanoseconds that the device works on what ``work`` gives it."""
        start = self.clock.now()
        self.wait(work())
        return float(self.clock.now() - start)

    def peak_memory(self, work: Thunk) -> Optional[int]:
        """Bytes that ``work`` needs at its peak beyond what was there before; None where nobody can tell."""
        return resident_peak(work)

    def state(self) -> Dict[str, Any]:
        """Clocks, temperature and throttling now; nothing is changed."""
        return host_state()


def _ignoring(thunk: Thunk) -> Call:
    return lambda _: thunk()


def resident_peak(work: Thunk) -> Optional[int]:
    """Growth of the peak resident size while ``work`` runs, in bytes (Linux: the kernel's high-water mark, reset before)."""
    try:
        with open("/proc/self/clear_refs", "w") as stream:
            stream.write("5")
    except OSError:
        work()
        return None
    before = _status("VmRSS")
    kept = work()
    peak = _status("VmHWM")
    del kept
    return None if before is None or peak is None else max(0, peak - before)


def _status(key: str) -> Optional[int]:
    try:
        with open("/proc/self/status") as stream:
            for text in stream:
                if text.startswith(key + ":"):
                    return int(text.split()[1]) * 1024
    except OSError:
        pass
    return None


def host_state() -> Dict[str, Any]:
    """Load, and the clock of the first processor where the system shows it."""
    found: Dict[str, Any] = {}
    if hasattr(os, "getloadavg"):
        found["load"] = round(os.getloadavg()[0], 2)
    for key, path in (
        ("mhz", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"),
        ("governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    ):
        with contextlib.suppress(OSError, ValueError), open(path) as stream:
            text = stream.read().strip()
            found[key] = int(text) // 1000 if key == "mhz" else text
    return found


def faults() -> int:
    """Pages that this process was given so far: what tells a fresh allocation from a reused one."""
    try:
        import resource
    except ImportError:  # not on every system
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """The garbage collector off, as it was afterwards."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


# mallopt's own numbers (malloc.h of glibc)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_FRESH_FROM = 128 * 1024  # glibc's own default threshold; smaller blocks are reused in either regime


def allocation(regime: str) -> str:
    """Have malloc give fresh pages to every large block (``fresh``), or keep what is freed (``reused``); what was done.

    ``fresh``: each block of 128 KiB and more is mapped and unmapped, so that every call pays for its pages. ``reused``: freed
    memory is never given back; a process cannot go back from it to ``fresh``, since malloc first looks at what it has kept.
    Elsewhere than on glibc nothing can be set: the answer says so, and the page faults of every
    sample tell what really happened.
    """
    import ctypes

    try:
        library = ctypes.CDLL(None)
        set_option = library.mallopt
        library.gnu_get_libc_version  # noqa: B018  other C libraries have a mallopt that does nothing
    except (OSError, AttributeError, TypeError):
        return "not set: this C library has no mallopt"
    if regime == "fresh":
        done = [
            set_option(_MMAP_MAX, 65536),
            set_option(_TRIM_THRESHOLD, _FRESH_FROM),
            set_option(_MMAP_THRESHOLD, _FRESH_FROM),
        ]
    else:
        done = [set_option(_MMAP_MAX, 0), set_option(_TRIM_THRESHOLD, -1)]
    return "set" if all(done) else "not set: mallopt failed"
