"""The clock inside the target's process: one cell set up at a time, and one block of one thing timed at a request."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from itertools import cycle, islice, repeat
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from dropcheck.contract.adapter import Adapter, Unsupported, unchanged
from dropcheck.contract.devices import Call, Device, Thunk, allocation, faults, uncollected
from dropcheck.contract.offers import offered

Context = Callable[[], ContextManager[Any]]
_WARM_CALLS = 3  # after the first call, before anything is counted
_MOST_LOOPS = 1 << 20
# A block is cut into parts of about so long, and its time is their median: where another process takes the core away for
# some milliseconds, as on shared machines it does, that falls into few parts, and the others tell what a call costs.
PART_MS = 0.5
# two equal masks count as a frozen one only where chance would repeat a mask less often than this
FROZEN_CHANCE = 1e-9


class Stopped(Exception):
    """A cell that cannot be timed: ``where`` (construct, call, memory, frozen, recompiles) and the exception behind it."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__(str(error))
        self.where, self.error = where, error


def out_of_memory(error: BaseException) -> bool:
    """Whether a framework means by this exception that memory ran out."""
    words = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ in ("OutOfMemoryError", "ResourceExhaustedError")
        or any(
            w in words for w in ("out of memory", "resource_exhausted", "can't allocate memory", "failed to allocate")
        )
    )


def same_mask_chance(rate: float, coins: int) -> float:
    """The probability that two independent masks of so many coins are equal: (rate^2 + (1-rate)^2)^coins."""
    return math.exp(coins * math.log(rate * rate + (1 - rate) ** 2)) if 0 < rate < 1 else 1.0


class Loop:
    """Timed by calling again and again: host time until the calls have returned, device time until the work is done."""

    how = "calls"

    def __init__(self, call: Call, inputs: Sequence[Any], device: Device, context: Callable[[], ContextManager[Any]]):
        self.call, self.inputs, self.device, self.context = call, inputs, device, context
        self.turn = cycle(inputs)  # goes on from part to part: each would begin with inputs that are in a cache else

    def block(self, loops: int, parts: int = 1) -> Dict[str, float]:
        """Nanoseconds a call over ``loops`` calls in ``parts`` parts.

        ``device_ns`` and ``host_ns``: the median part's; ``mean_ns``: over all of it; ``cpu_ns``: what the processors worked
        for this process meanwhile. Letting go of an output is part of its call.
        """
        clock, wait, calls = self.device.clock, self.device.wait, self._calls
        asynchronous = self.device.asynchronous
        done: List[float] = []
        returned: List[float] = []
        spent = 0
        with self.context(), uncollected():
            before, worked = faults(), time.process_time_ns()
            for count in _shares(loops, parts):
                start = clock.now()
                y = calls(count)
                back = clock.now() if asynchronous else 0
                wait(y)
                del y
                end = clock.now()
                spent += end - start
                done.append((end - start) / count)
                returned.append(((back if asynchronous else end) - start) / count)
            worked, pages = time.process_time_ns() - worked, faults() - before
        return {
            "device_ns": float(np.median(done)),
            "host_ns": float(np.median(returned)),
            "mean_ns": spent / loops,
            "cpu_ns": worked / loops,
            "faults": pages / loops,
        }

    def _calls(self, count: int) -> Any:
        """So many calls in a row; the last output."""
        call = self.call
        if len(self.inputs) == 1:
            x = self.inputs[0]
            for _ in repeat(None, count - 1):
                call(x)
            return call(x)
        y = None
        for x in islice(self.turn, count):
            y = call(x)
        return y


def _shares(loops: int, parts: int) -> List[int]:
    """``loops`` in at most ``parts`` parts that are as equal as can be."""
    parts = max(1, min(parts, loops))
    each, more = divmod(loops, parts)
    return [each + 1] * more + [each] * (parts - more)


class Queued(Loop):
    """Timed between two marks in the device's own queue, into which the calls are put ahead."""

    how = "queued ahead"

    def block(self, loops: int, parts: int = 1) -> Dict[str, float]:
        found = super().block(loops)  # the host's side, and the warm-up
        with self.context(), uncollected():
            found["device_ns"] = self.device.elapsed_ns(lambda: self._calls(loops)) / loops
        return found


class Replayed(Queued):
    """Device time from replays of one captured graph of a call per input; host time from plain calls."""

    how = "graph replays"

    def __init__(self, loop: Loop, replay: Thunk) -> None:
        super().__init__(loop.call, loop.inputs, loop.device, loop.context)
        self.replay = replay

    def block(self, loops: int, parts: int = 1) -> Dict[str, float]:
        found = Loop.block(self, loops)
        times = max(1, loops // len(self.inputs))
        replay = self.replay

        def work() -> Any:
            for _ in repeat(None, times):
                replay()

        with uncollected():
            found["device_ns"] = self.device.elapsed_ns(work) / (times * len(self.inputs))
        return found


class Stopwatch:
    """Times one implementation; the worker keeps one and hands it its requests."""

    def __init__(self, adapter: Adapter, device: Device) -> None:
        self.adapter, self.device = adapter, device
        self.items: Dict[str, Loop] = {}
        self.loops: Dict[str, int] = {}
        self.parts: Dict[str, int] = {}

    def threads(self, wanted: int) -> Dict[str, Any]:
        """Set the number of threads; what the framework and the system say of it."""
        import os

        said = self.device.threads(wanted)
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        return {"wanted": wanted, "framework": said, "processors": processors, "device": self.device.name}

    def setup(self, cell: Dict[str, Any], slot_ms: float, yard_ms: float) -> Dict[str, Any]:
        """Everything for one cell: input, layer, first call, loops that fill a slot; and what was noticed.

        ``cell``: shape (of the input as the layer gets it), order (axes from slow to fast in memory), strided, dtype, rate,
        direction, regime, seed, coins (in one call). Raises Unsupported or Stopped.
        """
        return self._guarded(lambda: self._setup(cell, slot_ms, yard_ms))

    def first(self, cell: Dict[str, Any]) -> Dict[str, Any]:
        """A first call: its time and its peak extra memory (output included), before memory is kept in this process."""

        def work() -> Dict[str, Any]:
            allocation("fresh")
            x = self._inputs(cell)[0]
            call, context, _ = self._call(cell, x)
            with context():
                start = self.device.clock.now()
                self.device.wait(call(x))
                spent = self.device.clock.now() - start
                call(x)
                return {"first_ns": spent, "memory": self.device.peak_memory(lambda: call(x))}

        return self._guarded(work)

    def compile(self, cells: List[Dict[str, Any]]) -> Dict[str, Any]:
        """What compiling costs in this process, in which nothing ran before: the first call, a later one, compilations a cell.

        ``again``: compilations when all cells come a second time; ``breaks``: graph breaks by reason.
        """

        def work() -> Dict[str, Any]:
            clock, device = self.device.clock, self.device
            calls: List[Tuple[Call, Context, Any]] = []
            made: List[Optional[int]] = []
            spent: List[int] = []
            for cell in cells:
                x = self._inputs(cell)[0]
                call, context, _ = self._call(cell, x)
                before = device.compilations()
                with context():
                    for _ in range(1 if calls else 1 + _WARM_CALLS):
                        start = clock.now()
                        device.wait(call(x))
                        spent.append(clock.now() - start)
                device.unlimited()
                made.append(None if before is None else (device.compilations() or 0) - before)
                calls.append((call, context, x))
            before = device.compilations()
            for call, context, x in calls:
                with context():
                    device.wait(call(x))
            again = None if before is None else (device.compilations() or 0) - before
            return {
                "first_ns": spent[0],
                "call_ns": min(spent[1 : 1 + _WARM_CALLS]),
                "compilations": made,
                "again": again,
                "breaks": device.breaks(),
            }

        return self._guarded(work)

    def _guarded(self, work: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
        self.end()
        self.device.unlimited()
        try:
            return work()
        except (Unsupported, Stopped, KeyboardInterrupt):
            self.end()
            raise
        except BaseException as error:
            self.end()
            raise Stopped("memory" if out_of_memory(error) else "call", error) from error

    def _setup(self, cell: Dict[str, Any], slot_ms: float, yard_ms: float) -> Dict[str, Any]:
        regime = allocation(cell["regime"])
        inputs = self._inputs(cell)
        call, context, bound = self._call(cell, inputs[0])
        answer: Dict[str, Any] = {"regime": regime, "buffers": len(inputs)}
        clock = self.device.clock
        with context():
            start = clock.now()
            self.device.wait(call(inputs[0]))
            answer["first_ns"] = clock.now() - start
        call = bound()
        loop = Loop(call, inputs, self.device, context)
        start = clock.now()
        for _ in range(_WARM_CALLS):
            loop.block(len(inputs))
            if clock.now() - start > 4e6 * slot_ms:  # an expensive call is warm after one
                break
        self._recompiles(loop)
        answer["masks"] = self._masks_differ(cell, lambda: self._output(call, inputs[0], context), "calls")
        answer["captured"] = None
        if self.device.graphs:
            loop, answer["captured"] = self._captured(cell, loop)
        answer["how"] = loop.how
        self.items = {"target": loop, **self._yardsticks(cell, inputs)}
        for name, item in self.items.items():
            length = slot_ms if name == "target" else yard_ms
            self.loops[name] = self._calibrated(item, length)
            # waiting for a device's queue in every part would be timed with it
            queued = self.device.name != "cpu"
            self.parts[name] = 1 if queued else min(self.loops[name], max(1, round(length / PART_MS)))
        answer["loops"] = dict(self.loops)
        answer["compilations"] = self.device.compilations()
        return answer

    def run(self, item: str) -> Dict[str, Any]:
        """One block of one item: nanoseconds a call and page faults a call, after calls that are not counted."""
        loop, loops = self.items[item], self.loops[item]
        if loops > len(loop.inputs):  # another process had the caches; what is longer than a slot fills none
            loop.block(max(1, loops // 16))
        return {**loop.block(loops, self.parts[item]), "loops": loops, "parts": self.parts[item]}

    def state(self) -> Dict[str, Any]:
        """The device's clocks, temperature and load now."""
        return self.device.state()

    def end(self) -> Dict[str, Any]:
        """Let go of the cell's memory."""
        self.items, self.loops, self.parts = {}, {}, {}
        self.device.release()
        return {}

    # --- the parts of a cell -------------------------------------------------------------------------------------------

    def _inputs(self, cell: Dict[str, Any]) -> List[Any]:
        shape, order, dtype = list(cell["shape"]), list(cell["order"]), cell["dtype"]
        if dtype not in self.adapter.dtypes():
            raise Unsupported(
                f"{dtype} is not timed: {self.adapter.framework} has {', '.join(self.adapter.dtypes())} here"
            )
        tile = np.random.default_rng(cell["seed"]).standard_normal(4093).astype(np.float32)
        if cell["strided"] and "strided" not in self.adapter.layouts():
            raise Unsupported(f"{self.adapter.framework} arrays have no strides: there is one layout, its own")
        values = np.resize(tile, [shape[a] for a in order])
        itemsize = 8 if dtype == "float64" else 4 if dtype == "float32" else 2
        layout = "strided" if cell["strided"] else "contiguous"
        count = self.device.rotation(values.size * itemsize)
        made = [self.adapter.tensor(values, dtype, layout)]
        copies = offered(self.adapter, "copies")
        if copies is not None and count > 1 and self.device.graphs:  # on the device: thousands would cross one by one
            made += copies(made[0], count - 1)
        while len(made) < count:
            made.append(self.adapter.tensor(values, dtype, layout))
        if order == sorted(order):
            return made
        return [_permuted(x, np.argsort(order).tolist(), self.adapter) for x in made]

    def _call(self, cell: Dict[str, Any], x: Any) -> Tuple[Call, Context, Callable[[], Call]]:
        """The cell's call through the adapter, the context that it runs in, and what binds it barer after a first call."""
        adapter: Any = self.adapter
        direction = cell["direction"]
        if direction == "inference" and not offered(adapter, "inference"):
            raise Unsupported("the layer is called in training only: inference is its caller's business")
        if direction == "backward" and not (adapter.gradients() and adapter.contract.gradient):
            raise Unsupported("the layer has no gradient")
        way = adapter.contract.seeds[0] if adapter.contract.seeds else "global"
        try:
            seed = cell["seed"] if adapter.contract.seeds else None
            layer = adapter.make(cell["rate"], cell["dtype"], seed, way)
        except (Unsupported, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise Stopped("construct", error) from error
        if direction == "backward":
            cotangent = x  # a given one, whatever it is: a sum would be timed as well
            gradient = adapter.gradient
            whole = _speed().puller(adapter, layer, cotangent)

            def both(given: Any) -> Any:
                return gradient(layer, given, cotangent)

            return whole or both, self._precise(cell["dtype"]), lambda: whole or both
        training, apply = direction == "forward", adapter.apply
        bare = offered(adapter, "caller") or functools.partial(_speed().caller, adapter)
        return (
            lambda given: apply(layer, given, training),
            lambda: self._unrecorded(cell["dtype"]),
            lambda: bare(layer, training, x),
        )

    def _precise(self, dtype: str) -> Context:
        """What a framework needs around calls on this dtype: JAX's 64 bits."""
        precision = offered(self.adapter, "precision")
        return unchanged if precision is None else functools.partial(precision, dtype)

    @contextlib.contextmanager
    def _unrecorded(self, dtype: str) -> Iterator[None]:
        """The same, without recording for gradients."""
        with self.adapter.recording(False), self._precise(dtype)():
            yield

    def _output(self, call: Call, x: Any, context: Callable[[], ContextManager[Any]]) -> Any:
        with context():
            y = call(x)
        y = y[0] if isinstance(y, tuple) else y
        return np.array(self.adapter.array(y), copy=True)

    def _masks_differ(self, cell: Dict[str, Any], output: Callable[[], Any], of: str) -> str:
        """``differ``, or why it is not asked. Raises Stopped where a frozen mask would be timed."""
        if cell["direction"] == "inference" or not 0 < cell["rate"] < 1:
            return "nothing is drawn"
        if same_mask_chance(cell["rate"], cell["coins"]) > FROZEN_CHANCE:
            return "too few drop decisions to compare"
        one, two = output(), output()
        if self.adapter.contract.dropped == 0:  # else what is dropped is some other value, and all of the output tells
            one, two = one == 0, two == 0
        if one.shape == two.shape and np.array_equal(one, two):
            raise Stopped("frozen", RuntimeError(f"two {of} drew the same mask: a frozen mask would be timed"))
        return "differ"

    def _replayed(self, loop: Loop) -> Tuple[Loop, Sequence[Any], str]:
        """The loop to time with, the outputs of its replays, and ``captured`` or the reason why it cannot be."""
        try:
            with loop.context():
                replay, outputs = self.device.capture(loop.call, loop.inputs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if out_of_memory(error):
                raise
            words = (str(error).strip().splitlines() or [""])[0]
            reason = words if isinstance(error, Unsupported) else f"{type(error).__name__}: {words[:200]}"
            return Queued(loop.call, loop.inputs, self.device, loop.context), (), f"cannot be captured: {reason}"
        return Replayed(loop, replay), outputs, "captured"

    def _captured(self, cell: Dict[str, Any], loop: Loop) -> Tuple[Loop, str]:
        """As ``_replayed``. Raises Stopped where the replays draw one mask."""
        timed, outputs, said = self._replayed(loop)
        if isinstance(timed, Replayed):

            def output() -> Any:
                timed.replay()
                y = outputs[0][0] if isinstance(outputs[0], tuple) else outputs[0]
                self.device.wait(y)
                return np.array(self.adapter.array(y), copy=True)

            self._masks_differ(cell, output, "replays of the captured graph")
        return timed, said

    def _recompiles(self, loop: Loop) -> None:
        """Raises Stopped where calls that are like earlier ones still compile."""
        self.device.unlimited()
        before = self.device.compilations()
        if not before:  # nothing was compiled so far, or nobody counts
            return
        for _ in range(_WARM_CALLS):
            loop.block(1)
        more = (self.device.compilations() or 0) - before
        if more >= _WARM_CALLS:
            raise Stopped(
                "recompiles",
                RuntimeError(
                    f"it recompiles at every call: {more} compilations in {_WARM_CALLS} calls like those "
                    f"before; a speed would be that of the compiler"
                ),
            )

    def _yardsticks(self, cell: Dict[str, Any], inputs: List[Any]) -> Dict[str, Loop]:
        """The copies and fills of a cell, timed as its target is: over the same inputs, and by replays where there are any."""
        device = self.device
        array = self.adapter.array(inputs[0]) if device.name == "cpu" else None
        found: Dict[str, Loop] = {}
        for name, way in device.yardsticks(inputs[0], array, cell["regime"] == "reused").items():
            loop = Loop(way, inputs, device, unchanged)
            if device.graphs:  # one that cannot be captured is left out: launches would be timed, and taken for memory
                loop, _, said = self._replayed(loop)
                if said != "captured":
                    continue
            found[name] = loop
        return found

    def _calibrated(self, item: Loop, slot_ms: float) -> int:
        """Calls that fill a slot of ``slot_ms`` milliseconds, by the fastest of three tries: a hiccup must not shorten it."""
        loops = len(item.inputs)
        while True:
            found = [item.block(loops)]
            if found[0]["device_ns"] * loops < slot_ms * 1e6:
                found += [item.block(loops) for _ in range(2)]
            spent = min(max(one["device_ns"], one["host_ns"]) for one in found) * loops
            if spent >= slot_ms * 1e6 / 8 or loops >= _MOST_LOOPS:
                break
            loops *= 2 if spent * 32 > slot_ms * 1e6 else 8
        wanted = slot_ms * 1e6 / max(1.0, spent / loops)
        return int(min(_MOST_LOOPS, max(len(item.inputs), round(wanted))))


def _permuted(x: Any, axes: List[int], adapter: Adapter) -> Any:
    """A view with its axes in another order. Raises Unsupported where arrays have no strides."""
    if len(adapter.layouts()) == 1:
        raise Unsupported(f"{adapter.framework} arrays have no strides: there is one layout, its own")
    return x.permute(axes) if hasattr(x, "permute") else x.transpose(axes)


def _speed() -> Any:
    from spatial_dropouts.adapters import devices as speed

    return speed


def stopwatch(adapter: Adapter) -> Stopwatch:
    """The stopwatch of an opened target, with the device that its framework runs on."""
    return Stopwatch(adapter, _speed().device_of(adapter))
