"""Global random streams: what everybody else draws after a layer was made or called, from two states that are far apart.

A layer that draws leaves its stream further on, and others as they were. One that sets a stream (``torch.manual_seed`` in forward)
leaves it in one state whatever it was before, so that all others draw the same numbers again and again.
"""

from __future__ import annotations

import random
from typing import Any, Callable, Dict, List, Mapping, Tuple

import numpy as np

from dropcheck.contract.offers import offered

# name -> (function that sets the stream, function that draws 124 bits or more from it)
Streams = Mapping[str, Tuple[Callable[[int], Any], Callable[[], List[int]]]]
CALLS = 2


def _python() -> List[int]:
    return [random.getrandbits(32) for _ in range(4)]


def _numpy() -> List[int]:
    return [int(word) for word in np.random.randint(0, 2**32, 4, dtype=np.uint32)]


EVERYWHERE: Streams = {"random": (random.seed, _python), "numpy.random": (np.random.seed, _numpy)}


def left_to_others(adapter: Any, rate: float, dtype: str, way: str, seed: int, x: Any) -> Dict[str, Any]:
    """Two rounds of one new layer each, from two states: {stage: {stream: the numbers that follow}}.

    A stage is ``constructor``, of a layer that nobody seeds, or ``call 1``, ``call 2``.
    """
    streams = {**EVERYWHERE, **offered(adapter, "streams")()}
    before = random.getstate(), np.random.get_state()
    try:
        return {"rounds": [_round(adapter, streams, rate, dtype, way, seed, x, number) for number in (1, 2)]}
    finally:
        for start, _ in streams.values():
            start(seed % 2**31)
        random.setstate(before[0])
        np.random.set_state(before[1])


def _round(
    adapter: Any, streams: Streams, rate: float, dtype: str, way: str, seed: int, x: Any, number: int
) -> Dict[str, Dict[str, List[int]]]:
    found: Dict[str, Dict[str, List[int]]] = {}

    def start(at: int) -> None:
        for put, _ in streams.values():
            put((seed + at) % 2**31)

    def follows(stage: str) -> None:
        found[stage] = {name: draw() for name, (_, draw) in streams.items()}

    start(1000 * number)
    layer = None
    if way not in ("generator", "key"):
        try:
            layer = adapter.make(rate, dtype, None, way)
            follows("constructor")
        except Exception:  # the constructor wants a seed: a layer that is told one may set what it likes by it
            layer = None
    if layer is None:
        layer = adapter.make(rate, dtype, seed, way)
    start(1000 * number + 500)
    with adapter.recording(False):
        for call in range(1, CALLS + 1):
            adapter.apply(layer, adapter.tensor(np.asarray(x), dtype, "contiguous"), True)
            follows(f"call {call}")
    return found
