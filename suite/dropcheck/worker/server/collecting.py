"""When a process searches for garbage: not while a framework is imported, and never through what that leaves."""

from __future__ import annotations

import contextlib
import gc
import sys
from typing import Any, Dict, Iterator

MANY_CALLS = ("draw", "seeds", "bare", "time")  # requests that call a layer often: what it leaves must not pile up
MANY_MODULES = 100  # imported in one block: a framework, or its compiler


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected in the block; what many imported modules leave is not searched afterwards either.

    An import makes a million objects that stay: to search them again and again is a quarter of its time.
    """
    before, on = len(sys.modules), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > before + MANY_MODULES:
            gc.freeze()
        if on:
            gc.enable()


def handled(worker: Any, request: Dict[str, Any]) -> Dict[str, Any]:
    """The worker's answer, in a process that has nothing else to do."""
    with contextlib.nullcontext() if request.get("ask") in MANY_CALLS else uncollected():
        answer: Dict[str, Any] = worker.handle(request)
    return answer
