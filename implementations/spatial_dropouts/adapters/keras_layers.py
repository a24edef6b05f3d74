"""Keras: layer classes, factories and layers as they stand in a model, on the backend that the environment chose.

How a mode calls them is in keras_modes.py; what Keras 2 names otherwise is in tf_keras_layers.py.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from dataclasses import replace
from typing import Any, ContextManager, Dict, Iterator, Optional, Tuple

import numpy as np

from dropcheck.contract.adapter import Implementation, Unsupported, global_generators_kept, unchanged
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.adapters import keras_modes, keras_seeding, placing, plain_twin, seeding
from spatial_dropouts.adapters.life_keras import KerasLife
from spatial_dropouts.adapters.models_base import no_rate, rate_of
from spatial_dropouts.adapters.numpy_functions import arranged


def _takes(obj: Any, name: str) -> bool:
    """Whether a constructor has this keyword, itself or by passing keywords on to keras.Layer."""
    try:
        parameters = inspect.signature(obj).parameters
    except (TypeError, ValueError):
        return False
    if name in parameters:
        return True
    passes_on = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return passes_on and name == "dtype" and isinstance(obj, type)


class KerasLayers(KerasLife):
    """Drives Keras layers; arrays cross through NumPy, with ml_dtypes for bfloat16 where the backend brings it."""

    library = "keras"
    heavy: int = 1  # a call costs milliseconds, whatever its size: cases make fewer and larger ones
    mixed = False
    switches: Tuple[str, ...] = ("training= of a parent",)

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        self.obj, self.implementation = obj, implementation
        self.keras = importlib.import_module(self.library)
        self.backend = self.keras.backend.backend()
        self.framework = f"{self.library}@{self.backend}"
        self.modes = keras_modes.MODES.get(self.backend, ("mixed",))
        self.recompute_ways = keras_modes.RECOMPUTE.get(self.backend, ())
        self.device: Any = None  # a torch.device, where PyTorch's is another than the processor
        self.way = keras_modes.way_of(self.backend, "eager")
        self.immutable = self.backend in ("tensorflow", "jax")
        if self.backend == "jax":
            importlib.import_module("spatial_dropouts.adapters.jax_loops").shared()
        self.tensors: Any = None  # what all adapters of PyTorch's tensors share
        if self.backend == "torch":
            self.tensors = importlib.import_module("spatial_dropouts.adapters.torch_tensors")
        self.instance = isinstance(obj, self.keras.layers.Layer)
        seeded = not self.instance and _takes(obj, implementation.seed_argument or "seed")
        ways = ("global", "constructor") if seeded else ("global",)
        contract: Contract = implementation.resolve_contract(Pattern.parse("n l c -> n c"), ways)
        if self.instance:
            rate = rate_of(obj)
            if rate is None:
                raise no_rate(obj, "")
            # it goes on from where its seed generator stands: no new seed reaches it
            contract = replace(contract, rates=(float(rate),), seeds=())
        self.contract = contract

    def place(self, device: str) -> None:
        """Layers and tensors live on a device from now on. Keras itself takes the first that its backend finds.

        A process that has begun to compute elsewhere is not moved.

        Raises Unsupported where this machine, the backend or its build has none.
        """
        if self.backend not in placing.BACKENDS:
            if device == "cpu":
                return
            raise Unsupported(f"Keras on {self.backend} runs on the CPU only; leave out --device {device}")
        placing.BACKENDS[self.backend](device)
        if self.backend == "torch":
            import torch

            mine = self.keras.ops.convert_to_tensor(np.zeros(1, np.float32)).device.type
            if mine != torch.device(device).type:
                raise Unsupported(
                    f"Keras computes on {mine} in this process, not on {device}: set KERAS_TORCH_DEVICE={device} before it is "
                    "imported, or ask for that device"
                )
            self.device = torch.device(device) if device != "cpu" else None

    def use(self, mode: str) -> None:
        if self.instance and mode in ("mixed", "ranks"):
            raise Unsupported(
                f"a layer as it stands in a model was made before mode {mode!r} could be set up: name its class instead"
            )
        if mode in ("jit", "xla") and not self.instance:
            # every fresh layer is compiled anew, for up to a second; how its seed arrives lies outside what is compiled
            self.contract = replace(self.contract, seeds=self.contract.seeds[:1])
        self.mixed = mode == "mixed"
        self.switches = ()  # another layer around it is asked in mode eager
        self.way = keras_modes.way_of(self.backend, mode)

    def version(self) -> str:
        modules = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
        below = importlib.import_module(modules[self.backend]).__version__ if self.backend in modules else ""
        return f"{self.keras.__version__} on {self.backend} {below}".strip()

    def dtypes(self) -> Tuple[str, ...]:
        if self.instance:
            return (str(self.obj.compute_dtype),)
        if self.mixed:
            return ("float16", "bfloat16")  # what the policies mixed_float16 and mixed_bfloat16 compute in
        every = ("float32", "float64", "float16", "bfloat16")
        if self.backend == "jax":
            import jax

            if not jax.config.jax_enable_x64:
                return tuple(d for d in every if d != "float64")
        return every

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous", "strided", "transposed") if self.backend == "torch" else ("contiguous",)

    def gradients(self) -> bool:
        return self.backend in ("tensorflow", "jax", "torch")

    # --- tensors ---------------------------------------------------------------------------------------------------

    def tensor(self, values: Any, dtype: str, layout: str = "contiguous") -> Any:
        if self.backend == "torch":
            return self.tensors.laid_out(values, dtype, layout, self.device)  # None: where it is
        if layout != "contiguous":
            raise Unsupported(f"{self.backend} arrays have no strides")
        if dtype == "bfloat16":
            import ml_dtypes

            kind: Any = ml_dtypes.bfloat16
        else:
            kind = dtype
        return self.convert(arranged(np.asarray(values).astype(kind), "contiguous"))

    def convert(self, values: Any) -> Any:
        """A native tensor with the values and dtype of a NumPy array that nobody else holds."""
        if self.backend == "jax":
            # Keras' way gives the same array by a program, which JAX compiles for each new shape and dtype
            import jax

            return jax.device_put(values)
        return self.keras.ops.convert_to_tensor(values)

    def cast(self, x: Any, dtype: str) -> Any:
        """The tensor in another dtype."""
        return self.keras.ops.cast(x, dtype)

    def copies(self, x: Any, count: int) -> Any:
        """``count`` tensors like ``x``, each of memory that no other has (asked only where tensors can be changed)."""
        return self.tensors.copies(x, count)

    def held(self, shape: Tuple[int, ...], dtype: str, order: Tuple[int, ...], count: int) -> Any:
        """Memory for outputs of many calls; None where NumPy's own is as good."""
        return self.tensors.Held(shape, dtype, order, count) if self.backend == "torch" else None

    def array(self, tensor: Any) -> Any:
        if self.backend == "torch":
            return self.tensors.array(tensor)
        found = tensor.numpy() if hasattr(tensor, "numpy") else np.asarray(tensor)
        return np.ascontiguousarray(found).view(np.uint16) if found.dtype.name == "bfloat16" else found

    def dtype_of(self, tensor: Any) -> str:
        return str(self.keras.backend.standardize_dtype(tensor.dtype))

    # --- layers ----------------------------------------------------------------------------------------------------

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        if self.instance:
            return self.obj
        extra: Dict[str, Any] = {}
        if seed is not None and way == "constructor":
            extra[self.implementation.seed_argument or "seed"] = seed
        seeding.sow(self.implementation, seed, way, lambda number: keras_seeding.seed_everything(self.keras, number))
        policy = f"mixed_{dtype}" if self.mixed else dtype
        with self.way.scope():
            if _takes(self.obj, "dtype"):
                layer = self.implementation.construct(self.obj, rate, {**extra, "dtype": policy})
            else:
                before = self.policy()
                self.set_policy(policy)
                try:
                    layer = self.implementation.construct(self.obj, rate, extra)
                finally:
                    self.set_policy(before)
        if not isinstance(layer, self.keras.layers.Layer):
            raise TypeError(f"the factory returned a {type(layer).__name__}; expected a {self.library} layer")
        layer._dropcheck_made = (rate, dtype)
        return layer

    def policy(self) -> Any:
        """The global dtype policy."""
        return self.keras.config.dtype_policy()

    def set_policy(self, policy: Any) -> None:
        """Set the global dtype policy."""
        self.keras.config.set_dtype_policy(policy)

    def control(self) -> Any:
        """Like this one, of the plain layer of the same library, backend and mode: what it fails too is not a layer's own."""
        return plain_twin(self, self.keras.layers.Dropout)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        if self.instance:
            raise Unsupported("a layer as it stands in a model takes no new seed")
        rate, dtype = layer._dropcheck_made
        return self.make(rate, dtype, seed, way)

    def given(self, x: Any) -> Any:
        """The input as the layer is given it: in mode mixed as float32, which the layer casts itself."""
        return self.cast(x, "float32") if self.mixed else x

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        return self.way.call(layer, self.given(x), training)

    def switched(self, layer: Any, x: Any, training: bool, way: str) -> Any:
        """One call inside of another layer, which alone is told ``training``."""
        parent = vars(layer).setdefault("_dropcheck_parent", [])  # in a list: no layer to be tracked
        if not parent:

            class Parent(self.keras.layers.Layer):  # type: ignore[name-defined]
                def call(self, x: Any, training: Any = None) -> Any:
                    return layer(x)

            parent.append(Parent(dtype=self.dtype_of(x)))
        return self.way.call(parent[0], x, training)

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        y, gradient = self.way.gradient(layer, self.given(x), cotangent)
        return y, gradient if gradient is None or not self.mixed else self.cast(gradient, self.dtype_of(x))

    def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Optional[Any]]:
        """Like ``gradient``, with the forward pass run again in the backward pass."""
        y, gradient = self.way.recompute(layer, self.given(x), cotangent)
        return y, gradient if gradient is None or not self.mixed else self.cast(gradient, self.dtype_of(x))

    @property
    def records(self) -> bool:
        """Whether a call can record gradients: JAX differentiates functions."""
        return bool(self.backend != "jax")

    def recording(self, on: bool) -> ContextManager[Any]:
        if self.backend == "torch":
            import torch

            return torch.enable_grad() if on else torch.no_grad()
        if self.backend == "tensorflow" and on:
            import tensorflow as tf

            return tf.GradientTape(persistent=False)
        return unchanged()

    def track(self, x: Any) -> Any:
        return x.detach().requires_grad_(True) if self.backend == "torch" else x

    @contextlib.contextmanager
    def _preserved(self) -> Iterator[None]:
        policy = self.policy()
        try:
            with global_generators_kept():
                yield
        finally:
            self.set_policy(policy)
            if self.backend == "jax":
                importlib.import_module("spatial_dropouts.adapters.jax_loops").apart()

    def preserved(self) -> ContextManager[Any]:
        return self._preserved()
