"""Two threads in one layer: line after line of its own source in turn, so that a race shows each time and not one in a million."""

from __future__ import annotations

import sys
import threading
from typing import Any, Callable, FrozenSet, List

_TURN_S = 0.05  # how long a thread waits for its turn: another may hold a lock that it needs, or be in native code
_TURNS = 400  # after so many lines in turn the threads run freely
_IN_VAIN = 6  # and after so many waits that nobody ended
_END_S = 60.0
# What frameworks do around a layer's own lines: taking turns there shows nothing and costs much.
_AROUND = (
    "torch.nn.modules.module",
    "keras.src.layers.layer",
    "keras.src.backend",
    "keras.src.ops",
    "keras.src.saving",
)


def files_of(layer: Any, function: Any) -> FrozenSet[str]:
    """The source files of a layer's class and of the classes that it is made from, without the framework's own base.

    ``function``: what the layer was made of or by; a plain function's file counts.
    """
    found = set()
    if hasattr(function, "__code__"):
        found.add(function.__code__.co_filename)
    for one in type(layer).__mro__:
        name = getattr(one, "__module__", "")
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file and not name.startswith(_AROUND):
            found.add(file)
    return frozenset(found)


class _Turns:
    """Whose turn it is among ``count`` threads; one that has ended takes none any more."""

    def __init__(self, count: int) -> None:
        self.changed = threading.Condition()
        self.running = set(range(count))
        self.turn, self.taken, self.vain = 0, 0, 0

    def step(self, number: int) -> None:
        """Give the turn on and wait to get it back, for a moment."""
        with self.changed:
            if self.taken >= _TURNS or self.vain >= _IN_VAIN or len(self.running) < 2:
                return
            self.taken += 1
            self._give(number)
            if not self.changed.wait_for(lambda: self.turn == number or len(self.running) < 2, _TURN_S):
                self.vain += 1

    def end(self, number: int) -> None:
        with self.changed:
            self.running.discard(number)
            self._give(number)

    def _give(self, number: int) -> None:
        others = sorted(self.running - {number})
        if others:
            self.turn = next((n for n in others if n > number), others[0])
        self.changed.notify_all()


def at_once(work: Callable[[int], Any], count: int, files: FrozenSet[str]) -> List[Any]:
    """``work(0)`` to ``work(count - 1)``, each in a thread of its own: what each returned or raised.

    Raises TimeoutError where one does not end.
    """
    turns = _Turns(count)
    results: List[Any] = [None] * count
    together = threading.Barrier(count)

    def run(number: int) -> None:
        def local(frame: Any, event: str, arg: Any) -> Any:
            if event == "line":
                turns.step(number)
            return local

        def trace(frame: Any, event: str, arg: Any) -> Any:
            return local if frame.f_code.co_filename in files else None

        try:
            together.wait(_END_S)
            sys.settrace(trace)
            try:
                results[number] = work(number)
            finally:
                sys.settrace(None)
        except BaseException as error:  # sys.exit of a layer, too, is an answer
            results[number] = error
        finally:
            turns.end(number)

    started = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(_END_S)
    if any(thread.is_alive() for thread in started):
        raise TimeoutError(f"{count} threads that call the layer at once do not end within {_END_S:g} s")
    return results
