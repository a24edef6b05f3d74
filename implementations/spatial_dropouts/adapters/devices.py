"""What a clock must know of each framework: how to wait, set threads, copy and fill, capture graphs, count compilations.

A framework is touched only if the adapter has imported it already. An adapter may bring its own device by an attribute
``speed`` (a ``dropcheck.contract.devices.Device``), and its own bare call by a method ``caller(layer, training, x)``.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

from dropcheck.contract.adapter import Unsupported
from dropcheck.contract.devices import Call, Clock, Device, Thunk


def caller(adapter: Any, layer: Any, training: bool, x: Any) -> Callable[[Any], Any]:
    """``x -> y``: the layer's call with as little of ours around it as there can be; asked after a first call on ``x``.

    What the adapter does around every call is a tenth of a call on 4 KiB, and no part of the layer.
    """
    layers = sys.modules.get("spatial_dropouts.adapters.torch_layers")
    if layers is not None and type(adapter).apply is layers.TorchLayers.apply:
        mode = getattr(adapter, "mode", None)
        if mode is None:
            layer.train(training)
            bare: Callable[[Any], Any] = layer
            return bare
        modes = sys.modules["spatial_dropouts.adapters.torch_modes"]
        if type(mode) is modes.Compiled and training:
            compiled: Callable[[Any], Any] = mode.calls[x.numel() < modes._STATIC_ELEMENTS]
            return compiled
    arrays = sys.modules.get("spatial_dropouts.adapters.jax_arrays")
    if arrays is not None and training and type(adapter).apply is arrays.JaxArrays.apply and adapter.mode != "scan":
        return functools.partial(_dispatched, adapter.program(layer, adapter.mode), layer)
    return functools.partial(_applied, adapter.apply, layer, training)


def _dispatched(program: Any, layer: Any, x: Any) -> Any:
    """A call of JAX that is not waited for; the next one goes on from its state."""
    y, layer.state = program(layer.state, x)
    return y


def puller(adapter: Any, layer: Any, cotangent: Any) -> Optional[Callable[[Any], Any]]:
    """``x -> (y, gradient)`` as one compiled program, where the mode compiles and the adapter differentiates around it."""
    arrays = sys.modules.get("spatial_dropouts.adapters.jax_arrays")
    if arrays is None or type(adapter).gradient is not arrays.JaxArrays.gradient or adapter.mode != "jit":
        return None
    import jax

    program = adapter.program(layer, "jit")

    def both(state: Any, x: Any, cotangent: Any) -> Any:
        y, pull, state = jax.vjp(lambda x: program(state, x), x, has_aux=True)
        return y, pull(cotangent)[0], state

    compiled = jax.jit(both)

    def call(x: Any) -> Any:
        y, gradient, layer.state = compiled(layer.state, x, cotangent)
        return y, gradient

    return call


def _applied(apply: Any, layer: Any, training: bool, x: Any) -> Any:
    return apply(layer, x, training)


def device_of(adapter: Any, clock: Optional[Clock] = None) -> Device:
    """The device that the adapter's tensors live on."""
    own = getattr(adapter, "speed", None)
    if isinstance(own, Device):
        return own
    arrays = sys.modules.get("spatial_dropouts.adapters.jax_arrays")
    if arrays is not None and isinstance(adapter, arrays.JaxArrays):  # whatever the library on it is called
        return JaxDevice(adapter, clock)
    words = set(adapter.framework.split("@"))
    for word, kind in (
        ("torch", TorchDevice),
        ("tensorflow", TensorflowDevice),
        ("tf_keras", TensorflowDevice),
        ("jax", JaxDevice),
        ("mlx", MlxDevice),
    ):
        if word in words and {"tf_keras": "tensorflow"}.get(word, word) in sys.modules:
            found: Device = kind(adapter, clock)
            return found
    return Device(clock)


def rotating(nbytes: int, cache: int = 0) -> int:
    """How many inputs of ``nbytes`` bytes fill the last cache of a GPU four times; 64 MiB where nobody tells its size."""
    return int(min(4096, max(2, -(-4 * (cache or 64 * 2**20) // max(1, nbytes)))))


class TorchDevice(Device):
    """PyTorch on a CPU or a CUDA device."""

    def __init__(self, adapter: Any, clock: Optional[Clock] = None) -> None:
        super().__init__(clock)
        import torch

        self.torch, self.adapter = torch, adapter
        self.device = getattr(adapter, "device", None) or torch.device("cpu")
        self.name = self.device.type
        self.graphs = self.asynchronous = self.name == "cuda"
        self.limits: Dict[str, Any] = {}  # of compilations, as they were

    def wait(self, value: Any) -> None:
        if self.graphs:
            self.torch.cuda.synchronize(self.device)

    def threads(self, wanted: int) -> Dict[str, Any]:
        self.torch.set_num_threads(wanted)
        return {"torch": self.torch.get_num_threads()}

    def rotation(self, nbytes: int) -> int:
        if not self.graphs:
            return 1
        return rotating(nbytes, getattr(self.torch.cuda.get_device_properties(self.device), "L2_cache_size", 0))

    def compilations(self) -> Optional[int]:
        mode = getattr(self.adapter, "mode", None)
        if mode is not None and hasattr(mode, "compilations"):
            return int(mode.compilations)
        if "torch._dynamo" not in sys.modules:
            return 0
        return int(sys.modules["torch._dynamo"].utils.counters["stats"]["unique_graphs"])

    def unlimited(self) -> None:
        # after eight compilations of one function PyTorch goes on in eager mode without a word, and that would be timed
        if "torch._dynamo" in sys.modules:
            config = sys.modules["torch._dynamo"].config
            for name in ("recompile_limit", "cache_size_limit"):  # older releases have the second name
                for full in (name, f"accumulated_{name}"):
                    if hasattr(config, full) and full not in self.limits:
                        self.limits[full] = getattr(config, full)
                        setattr(config, full, 1 << 20)

    def release(self) -> None:
        while self.limits:
            setattr(sys.modules["torch._dynamo"].config, *self.limits.popitem())

    def breaks(self) -> Optional[Dict[str, int]]:
        if "torch._dynamo" not in sys.modules:
            return None
        return {str(k): int(n) for k, n in sys.modules["torch._dynamo"].utils.counters["graph_break"].items()}

    def copies(self, x: Any, array: Any, reused: bool) -> Dict[str, Thunk]:
        found = super().copies(x, array, reused)
        if reused:
            target = x.clone()
            return {**found, "torch": lambda: target.copy_(x)}
        return {**found, "torch": x.clone}

    def fills(self, x: Any, array: Any, reused: bool) -> Dict[str, Thunk]:
        found = super().fills(x, array, reused)
        torch = self.torch
        if reused:
            target = x.clone()
            return {**found, "torch": lambda: target.fill_(1)}
        return {**found, "torch": lambda: torch.full_like(x, 1)}

    def yardsticks(self, x: Any, array: Any, reused: bool) -> Dict[str, Call]:
        if not self.graphs:
            return super().yardsticks(x, array, reused)
        torch = self.torch
        # each into memory of its own, as the layer's output is: one target for all would stay in the cache
        return {"copy:torch": lambda given: given.clone(), "fill:torch": lambda given: torch.full_like(given, 1)}

    def capture(self, call: Any, inputs: Sequence[Any]) -> Tuple[Thunk, Sequence[Any]]:
        if not self.graphs:
            raise Unsupported("there are no CUDA graphs on a CPU")
        torch = self.torch
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):  # lazy initialisation must not fall into the capture
            for x in inputs[:3]:
                call(x)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = [call(x) for x in inputs]
        torch.cuda.synchronize(self.device)
        return graph.replay, outputs

    def elapsed_ns(self, work: Thunk) -> float:
        if not self.graphs:
            return super().elapsed_ns(work)
        torch = self.torch
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(self.device)
        start.record()
        work()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e6

    def peak_memory(self, work: Thunk) -> Optional[int]:
        if not self.graphs:
            return super().peak_memory(work)
        cuda = self.torch.cuda
        cuda.synchronize(self.device)
        cuda.reset_peak_memory_stats(self.device)
        before = cuda.memory_allocated(self.device)
        kept = work()
        cuda.synchronize(self.device)
        del kept
        return int(cuda.max_memory_allocated(self.device) - before)

    def state(self) -> Dict[str, Any]:
        found = super().state()
        if self.graphs:
            cuda = self.torch.cuda
            found["gpu"] = cuda.get_device_name(self.device)
            for key, ask in (
                ("gpu_mhz", "clock_rate"),
                ("gpu_celsius", "temperature"),
                ("gpu_watts_1000", "power_draw"),
            ):
                try:
                    found[key] = int(getattr(cuda, ask)(self.device))
                except Exception:  # the driver's library is missing, or does not tell
                    continue
        return found


class JaxDevice(Device):
    """JAX arrays, computed when they are asked for; its compilations are events that it announces itself."""

    asynchronous = True

    def __init__(self, adapter: Any, clock: Optional[Clock] = None) -> None:
        super().__init__(clock)
        import jax

        self.jax = jax
        placed = getattr(jax.config, "jax_default_device", None)
        platform = getattr(placed, "platform", None) or jax.default_backend()
        self.name = {"gpu": "cuda"}.get(platform, platform)
        self.compiled = 0
        try:
            jax.monitoring.register_event_duration_secs_listener(self._heard)
            self.counts = True
        except AttributeError:  # an older release
            self.counts = False

    def _heard(self, event: str, *_: Any, **__: Any) -> None:
        if event.endswith("backend_compile_duration"):
            self.compiled += 1

    def wait(self, value: Any) -> None:
        self.jax.block_until_ready(value)

    def compilations(self) -> Optional[int]:
        return self.compiled if self.counts else None

    def copies(self, x: Any, array: Any, reused: bool) -> Dict[str, Thunk]:
        found = super().copies(x, array, reused)
        copy = self.jax.jit(self.jax.numpy.copy)
        return {**found, "jax": lambda: self.jax.block_until_ready(copy(x))}

    def fills(self, x: Any, array: Any, reused: bool) -> Dict[str, Thunk]:
        found = super().fills(x, array, reused)
        return found or {"jax": lambda: self.jax.block_until_ready(self.jax.numpy.ones_like(x))}

    def rotation(self, nbytes: int) -> int:
        return 1 if self.name == "cpu" else rotating(nbytes)

    def yardsticks(self, x: Any, array: Any, reused: bool) -> Dict[str, Call]:
        if self.name == "cpu":
            return super().yardsticks(x, array, reused)
        # not waited for one by one, as the layer's calls are not: a wait costs more than many of these
        return {"copy:jax": self.jax.jit(self.jax.numpy.copy), "fill:jax": self.jax.jit(self.jax.numpy.ones_like)}

    def peak_memory(self, work: Thunk) -> Optional[int]:
        return super().peak_memory(lambda: self.jax.block_until_ready(work())) if self.name == "cpu" else None

    def state(self) -> Dict[str, Any]:
        found = super().state()
        return found if self.name == "cpu" else {**found, "gpu": str(self.jax.devices()[0].device_kind)}


class TensorflowDevice(Device):
    """TensorFlow tensors; a GPU's queue is waited for by TensorFlow's own call."""

    def __init__(self, adapter: Any, clock: Optional[Clock] = None) -> None:
        super().__init__(clock)
        import tensorflow as tf

        self.tf, self.adapter = tf, adapter
        self.name = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"
        self.asynchronous = self.name != "cpu"

    def wait(self, value: Any) -> None:
        if self.name != "cpu":
            self.tf.test.experimental.sync_devices()

    def rotation(self, nbytes: int) -> int:
        return 1 if self.name == "cpu" else rotating(nbytes)

    def threads(self, wanted: int) -> Dict[str, Any]:
        threading = self.tf.config.threading
        try:  # possible only before its first operation; the environment has asked for it, too
            threading.set_intra_op_parallelism_threads(wanted)
            threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass
        return {"tensorflow": threading.get_intra_op_parallelism_threads()}

    def compilations(self) -> Optional[int]:
        modes = sys.modules.get("spatial_dropouts.adapters.tensorflow_modes")
        return None if modes is None else int(modes.Graph.traces)

    def yardsticks(self, x: Any, array: Any, reused: bool) -> Dict[str, Call]:
        if self.name == "cpu":
            return super().yardsticks(x, array, reused)
        return {"copy:tensorflow": lambda given: self.tf.math.add(given, 0), "fill:tensorflow": self.tf.ones_like}

    def peak_memory(self, work: Thunk) -> Optional[int]:
        return super().peak_memory(work) if self.name == "cpu" else None


class MlxDevice(Device):
    """MLX on the CPU. Its arrays are lazy, so that the adapter evaluates the output of every call itself."""

    def __init__(self, adapter: Any, clock: Optional[Clock] = None) -> None:
        super().__init__(clock)
        self.adapter = adapter

    def compilations(self) -> Optional[int]:
        return int(self.adapter.traces) if self.adapter.jit else None
