"""The clock in the worker, against a device and a time that the tests turn themselves: nothing here measures anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from dropcheck.contract.adapter import Implementation, Unsupported, unchanged
from dropcheck.contract.devices import Clock, Device, allocation
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.worker.server.timing import Loop, Stopped, Stopwatch, _shares, out_of_memory, same_mask_chance
from spatial_dropouts.adapters.numpy_functions import NumpyFunctions
from spatial_dropouts.custom.reference import Reference

CELL = {
    "shape": [8, 16, 4],
    "order": [0, 1, 2],
    "strided": False,
    "dtype": "float32",
    "rate": 0.5,
    "direction": "forward",
    "regime": "reused",
    "seed": 1,
    "coins": 128,
}


class Turned(Clock):
    """A clock that only moves when something costs."""

    def __init__(self) -> None:
        self.time = 0

    def now(self) -> int:
        return self.time


class Gpu(Device):
    """An asynchronous device: a call costs the host 10 us and the device 1 us, waiting costs what is left."""

    name, graphs, asynchronous = "cuda", True, True

    def __init__(self, clock: Turned, frozen: bool = False, refusal: Exception | None = None) -> None:
        super().__init__(clock)
        self.turned, self.frozen, self.refusal = clock, frozen, refusal
        self.replays, self.queue = 0, 0

    def wait(self, value: Any) -> None:
        self.turned.time += self.queue
        self.queue = 0

    def rotation(self, nbytes: int) -> int:
        return 3

    def capture(self, call: Callable[[Any], Any], inputs: Sequence[Any]) -> Any:
        if self.refusal is not None:
            raise self.refusal
        outputs = [call(x) for x in inputs]

        def replay() -> None:
            self.replays += 1
            self.queue += 1000 * len(inputs)
            if not self.frozen:
                for i, x in enumerate(inputs):
                    outputs[i] = call(x)

        return replay, outputs

    def elapsed_ns(self, work: Callable[[], Any]) -> float:
        self.queue, before = 0, self.turned.time
        work()
        spent, self.queue, self.turned.time = self.queue, 0, before + 1
        return float(spent)

    def copies(self, x: Any, array: Any, reused: bool) -> dict[str, Callable[[], Any]]:
        return {"gpu": self.cost}

    def fills(self, x: Any, array: Any, reused: bool) -> dict[str, Callable[[], Any]]:
        return {"gpu": self.cost}

    def cost(self) -> None:
        self.turned.time += 10_000
        self.queue += 1000


def numpy_adapter(function: Any) -> NumpyFunctions:
    return NumpyFunctions(function, Implementation(make="x:y"))


def watched(device: Gpu) -> Stopwatch:
    reference = Reference(0.5)

    def layer(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        device.cost()
        return reference(x, training=training, rng=rng)

    return Stopwatch(numpy_adapter(layer), device)


def test_device_time_comes_from_replays_and_host_time_from_calls() -> None:
    device = Gpu(Turned())
    watch = watched(device)
    answer = watch.setup(CELL, slot_ms=1.0, yard_ms=0.3)
    assert (answer["how"], answer["captured"], answer["buffers"], answer["masks"]) == (
        "graph replays",
        "captured",
        3,
        "differ",
    )
    before = device.replays
    found = watch.run("target")
    assert device.replays > before
    # a replay runs the layer's Python here, which puts one more microsecond a call into the queue
    assert found["device_ns"] == pytest.approx(2000) and found["host_ns"] == pytest.approx(10_000)


def test_a_graph_that_replays_one_mask_is_no_result() -> None:
    with pytest.raises(Stopped, match="replays of the captured graph drew the same mask") as caught:
        watched(Gpu(Turned(), frozen=True)).setup(CELL, slot_ms=1.0, yard_ms=0.3)
    assert caught.value.where == "frozen"


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Unsupported("it reads a value back"), "cannot be captured: it reads a value back"),
        (
            RuntimeError("operation not permitted\nlong tail"),
            "cannot be captured: RuntimeError: operation not permitted",
        ),
    ],
)
def test_what_cannot_be_captured_says_why_and_is_timed_from_the_queue(refusal: Exception, reason: str) -> None:
    watch = watched(Gpu(Turned(), refusal=refusal))
    answer = watch.setup(CELL, slot_ms=1.0, yard_ms=0.3)
    assert (answer["captured"], answer["how"]) == (reason, "queued ahead")
    assert list(watch.items) == ["target"], "a copy that is launched call by call would be a limit of launches"
    assert watch.run("target")["device_ns"] == pytest.approx(1000)


def test_memory_that_runs_out_in_a_capture_is_no_refusal_to_be_captured() -> None:
    with pytest.raises(Stopped) as caught:
        watched(Gpu(Turned(), refusal=MemoryError())).setup(CELL, slot_ms=1.0, yard_ms=0.3)
    assert caught.value.where == "memory"


def test_what_another_process_takes_from_a_block_does_not_count() -> None:
    clock = Turned()
    device = Device(clock)
    calls = 0

    def layer(x: Any) -> Any:
        nonlocal calls
        calls += 1
        clock.time += 1000 + 3_000_000 * (calls == 50)
        return x

    found = Loop(layer, [None], device, unchanged).block(100, parts=10)
    assert found["device_ns"] == found["host_ns"] == 1000 and found["mean_ns"] == 31_000


@pytest.mark.parametrize(("loops", "parts", "shares"), [(10, 3, [4, 3, 3]), (2, 9, [1, 1]), (5, 1, [5]), (1, 0, [1])])
def test_all_calls_of_a_block_are_in_one_of_its_parts(loops: int, parts: int, shares: list[int]) -> None:
    assert _shares(loops, parts) == shares


def test_an_asynchronous_call_costs_the_host_less_than_the_device() -> None:
    device = Gpu(Turned())
    device.graphs = False  # type: ignore[misc]
    watch = watched(device)
    watch.setup(CELL, slot_ms=1.0, yard_ms=0.3)
    found = watch.run("target")
    assert found["host_ns"] == 10_000 and found["device_ns"] == 11_000, (
        "each part waits for what it has put into the queue"
    )


def test_a_dtype_that_the_framework_has_not_does_not_apply() -> None:
    watch = Stopwatch(numpy_adapter(lambda x, rate, *, training, rng: x), Device())
    with pytest.raises(Unsupported, match="bfloat16 is not timed: numpy has float32, float64, float16 here"):
        watch.setup({**CELL, "dtype": "bfloat16"}, 0.1, 0.1)


def test_a_slot_is_filled_with_as_many_calls_as_fit() -> None:
    device = Gpu(Turned())
    device.graphs = False  # type: ignore[misc]
    watch = watched(device)
    watch.setup(CELL, slot_ms=5.0, yard_ms=1.0)
    assert 400 <= watch.loops["target"] <= 600 and 80 <= watch.loops["copy:gpu"] <= 120


def test_calls_that_draw_one_mask_for_ever_are_no_result() -> None:
    def frozen(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        return np.where(np.random.default_rng(1).random((*x.shape[:2], 1)) < rate, 0, x / (1 - rate)).astype(x.dtype)

    with pytest.raises(Stopped, match="two calls drew the same mask"):
        Stopwatch(numpy_adapter(frozen), Device()).setup(CELL, slot_ms=0.1, yard_ms=0.1)


def test_a_dropped_value_that_is_not_zero_is_no_frozen_mask() -> None:
    def alpha(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        return np.where(rng.random((*x.shape[:2], 1)) < rate, x.dtype.type(-1.7), x)

    contract = Contract(Pattern.parse("n c l -> n c"), scale=1.0, dropped=-1.7)
    adapter = NumpyFunctions(alpha, Implementation(make="x:y", contract=contract))
    assert Stopwatch(adapter, Device()).setup(CELL, 0.1, 0.1)["masks"] == "differ"
    again = NumpyFunctions(lambda x, rate, *, training, rng: x, Implementation(make="x:y", contract=contract))
    with pytest.raises(Stopped, match="the same mask"):
        Stopwatch(again, Device()).setup(CELL, 0.1, 0.1)


def test_masks_that_chance_may_repeat_are_not_judged() -> None:
    assert same_mask_chance(0.5, 4) == pytest.approx(1 / 16)
    cell = {**CELL, "shape": [2, 2, 4], "coins": 4}
    answer = Stopwatch(numpy_adapter(lambda x, rate, *, training, rng: x * 2), Device()).setup(cell, 0.1, 0.1)
    assert answer["masks"] == "too few drop decisions to compare"


class Compiler(Device):
    """Counts a compilation for every call of the layer."""

    count = 0

    def compilations(self) -> int:
        return self.count


def test_a_layer_that_recompiles_at_every_call_has_no_speed() -> None:
    device = Compiler()

    def compiled(every: bool) -> Stopwatch:
        def layer(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
            device.count += every or device.count < 2
            return Reference(rate)(x, training=training, rng=rng)

        return Stopwatch(numpy_adapter(layer), device)

    with pytest.raises(Stopped, match="recompiles at every call: 3 compilations in 3 calls") as caught:
        compiled(True).setup(CELL, 0.1, 0.1)
    assert caught.value.where == "recompiles"
    device.count = 0
    assert compiled(False).setup(CELL, 0.1, 0.1)["compilations"] == 2


def test_compilations_are_counted_a_shape_and_when_the_shapes_come_again() -> None:
    device, seen = Compiler(Turned()), set()

    def layer(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        new = x.shape not in seen or x.shape[0] == 9  # which is never kept
        seen.add(x.shape)
        device.count += new
        device.clock.time += 5_000_000 if new else 1000  # type: ignore[attr-defined]
        return Reference(rate)(x, training=training, rng=rng)

    shapes = ([8, 16, 4], [9, 16, 4], [8, 16, 4], [8, 17, 4])
    found = Stopwatch(numpy_adapter(layer), device).compile([{**CELL, "shape": s} for s in shapes])
    assert (found["first_ns"], found["call_ns"]) == (5_000_000, 1000)
    assert found["compilations"] == [1, 1, 0, 1] and found["again"] == 1 and found["breaks"] is None


def test_running_out_of_memory_is_told_apart() -> None:
    def hungry(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        raise MemoryError("Unable to allocate 4.00 PiB")

    with pytest.raises(Stopped) as caught:
        Stopwatch(numpy_adapter(hungry), Device()).setup(CELL, 0.1, 0.1)
    assert caught.value.where == "memory"
    assert out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not out_of_memory(RuntimeError("shape mismatch"))


def test_gradients_and_layouts_that_do_not_exist_do_not_apply() -> None:
    watch = Stopwatch(numpy_adapter(lambda x, rate, *, training, rng: x), Device())
    with pytest.raises(Unsupported, match="no gradient"):
        watch.setup({**CELL, "direction": "backward"}, 0.1, 0.1)
    only_training = Stopwatch(numpy_adapter(lambda x, rate, rng: x), Device())
    with pytest.raises(Unsupported, match="in training only"):
        only_training.setup({**CELL, "direction": "inference"}, 0.1, 0.1)


@pytest.mark.parametrize(("order", "strides"), [([0, 2, 1], (256, 4, 64)), ([0, 1, 2], (256, 16, 4))])
def test_a_permuted_input_lies_in_memory_as_its_cell_says(order: list[int], strides: tuple[int, ...]) -> None:
    seen: list[Any] = []

    def layer(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        seen.append((x.shape, x.strides))
        return Reference(rate)(x, training=training, rng=rng)

    Stopwatch(numpy_adapter(layer), Device()).setup({**CELL, "order": order}, 0.1, 0.1)
    assert seen[0] == ((8, 16, 4), strides)


def test_the_garbage_collector_is_off_inside_a_block_and_on_after_it() -> None:
    import gc

    states: list[bool] = []

    def layer(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        states.append(gc.isenabled())
        return Reference(rate)(x, training=training, rng=rng)

    watch = Stopwatch(numpy_adapter(layer), Device())
    watch.setup(CELL, 0.1, 0.1)
    states.clear()
    watch.run("target")
    assert states and not any(states) and gc.isenabled()


def test_a_regime_is_set_where_the_c_library_knows_how() -> None:
    try:
        assert allocation("reused").split(":")[0] in ("set", "not set")
    finally:
        allocation("fresh")


@pytest.mark.parametrize("where", ["make", "apply"])
def test_ctrl_c_in_a_layer_ends_the_bench_and_is_no_finding(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*given: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    adapter = numpy_adapter(lambda x, rate, *, training, rng: x)
    monkeypatch.setattr(adapter, where, pressed)
    with pytest.raises(KeyboardInterrupt):
        Stopwatch(adapter, Device(Turned())).first(CELL)
