"""Keras: layer classes, factories and layers as they stand in a model, on the backend that the environment chose."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import random
from dataclasses import replace
from typing import Any, ContextManager, Dict, Iterator, Optional, Tuple

import keras
import numpy as np

from dropcheck.adapter import Implementation, Unsupported, unchanged
from dropcheck.contract import Contract, Pattern
from spatial_dropouts.adapters import NoDropout
from spatial_dropouts.adapters.models_base import RATES, rate_of
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


class KerasLayers:
    """Drives Keras layers; arrays cross through NumPy, with ml_dtypes for bfloat16 where the backend brings it."""

    heavy = True  # a call costs milliseconds, whatever its size: cases make fewer and larger ones

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        self.obj, self.implementation = obj, implementation
        self.backend = keras.backend.backend()
        self.framework = f"keras@{self.backend}"
        self.immutable = self.backend in ("tensorflow", "jax")
        self.instance = isinstance(obj, keras.Layer)
        seeded = not self.instance and _takes(obj, implementation.seed_argument or "seed")
        ways = ("global", "constructor") if seeded else ("global",)
        contract: Contract = implementation.resolve_contract(Pattern.parse("n l c -> n c"), ways)
        if self.instance:
            rate = rate_of(obj)
            if rate is None:
                raise NoDropout(
                    f"a {type(obj).__name__} that holds no rate ({', '.join(RATES)}) was given: it is no dropout, or does not "
                    "tell its rate; its class or a factory with a contract can be audited"
                )
            # it goes on from where its seed generator stands: no new seed reaches it
            contract = replace(contract, rates=(float(rate),), seeds=())
        self.contract = contract

    def version(self) -> str:
        modules = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
        below = importlib.import_module(modules[self.backend]).__version__ if self.backend in modules else ""
        return f"{keras.__version__} on {self.backend} {below}".strip()

    def dtypes(self) -> Tuple[str, ...]:
        if self.instance:
            return (str(self.obj.compute_dtype),)
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
            import torch

            native = torch.tensor(np.ascontiguousarray(values, dtype=np.float64)).to(getattr(torch, dtype))
            if layout == "contiguous" or native.ndim == 0:
                return native
            if layout == "strided":
                wide = torch.zeros((*native.shape[:-1], 2 * native.shape[-1]), dtype=native.dtype)
                wide[..., ::2] = native
                return wide[..., ::2]
            order = list(range(native.ndim))[::-1]
            return native.permute(order).contiguous().permute(order)
        if layout != "contiguous":
            raise Unsupported(f"{self.backend} arrays have no strides")
        if dtype == "bfloat16":
            import ml_dtypes

            return keras.ops.convert_to_tensor(arranged(np.asarray(values).astype(ml_dtypes.bfloat16), "contiguous"))
        return keras.ops.convert_to_tensor(arranged(np.asarray(values).astype(dtype), "contiguous"))

    def copies(self, x: Any, count: int) -> Any:
        """``count`` tensors like ``x``, each of memory that no other has (asked only where tensors can be changed)."""
        from spatial_dropouts.adapters.torch_layers import copies

        return copies(x, count)

    def array(self, tensor: Any) -> Any:
        if self.backend == "torch":
            import torch

            plain = tensor.detach()
            if plain.dtype == torch.bfloat16:
                return plain.contiguous().view(torch.int16).numpy().view(np.uint16)
            return plain.numpy()
        found = tensor.numpy() if hasattr(tensor, "numpy") else np.asarray(tensor)
        return np.ascontiguousarray(found).view(np.uint16) if found.dtype.name == "bfloat16" else found

    def dtype_of(self, tensor: Any) -> str:
        return str(keras.backend.standardize_dtype(tensor.dtype))

    # --- layers ----------------------------------------------------------------------------------------------------

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        if self.instance:
            return self.obj
        extra: Dict[str, Any] = {}
        if seed is not None:
            if way == "constructor":
                extra[self.implementation.seed_argument or "seed"] = seed
            elif self.implementation.seed is not None:
                self.implementation.seed(seed)
            else:
                keras.utils.set_random_seed(seed)
        if _takes(self.obj, "dtype"):
            layer = self.implementation.construct(self.obj, rate, {**extra, "dtype": dtype})
        else:
            before = keras.config.dtype_policy()
            keras.config.set_dtype_policy(dtype)
            try:
                layer = self.implementation.construct(self.obj, rate, extra)
            finally:
                keras.config.set_dtype_policy(before)
        if not isinstance(layer, keras.Layer):
            raise TypeError(f"the factory returned a {type(layer).__name__}; expected a keras.Layer")
        layer._dropcheck_made = (rate, dtype)
        return layer

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        if self.instance:
            raise Unsupported("a layer as it stands in a model takes no new seed")
        rate, dtype = layer._dropcheck_made
        return self.make(rate, dtype, seed, way)

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        y = layer(x, training=training)
        if self.backend == "jax":
            y.block_until_ready()
        return y

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        if self.backend == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
            return y, tape.gradient(y, x, output_gradients=cotangent)
        if self.backend == "jax":
            return self._pulled(layer, x, cotangent, checkpointed=False)
        import torch

        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            y = layer(x, training=True)
            if not y.requires_grad:
                return y.detach(), None
            (gradient,) = torch.autograd.grad(y, x, cotangent, allow_unused=True)
        return y.detach(), gradient

    def _pulled(self, layer: Any, x: Any, cotangent: Any, checkpointed: bool) -> Tuple[Any, Optional[Any]]:
        """One stateless call on JAX and its gradient, recomputed in the backward pass or not."""
        import jax

        trainable = [v.value for v in layer.trainable_variables]
        state = [v.value for v in layer.non_trainable_variables]

        def forward(inputs: Any) -> Any:
            return layer.stateless_call(trainable, state, inputs, training=True)

        y, pull, moved = jax.vjp(jax.checkpoint(forward) if checkpointed else forward, x, has_aux=True)
        # the seed state moves on, as it does in a plain call
        for variable, value in zip(layer.non_trainable_variables, moved):
            variable.assign(value)
        (gradient,) = pull(cotangent)
        return y, gradient

    @property
    def recompute_ways(self) -> Tuple[str, ...]:
        """Ways of checkpointing that can be asked for: on JAX its own."""
        return ("jax.checkpoint",) if self.backend == "jax" else ()

    def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Optional[Any]]:
        """Like ``gradient``, with the forward pass run again in the backward pass."""
        return self._pulled(layer, x, cotangent, checkpointed=True)

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
        python, numpy, policy = random.getstate(), np.random.get_state(), keras.config.dtype_policy()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            keras.config.set_dtype_policy(policy)

    def preserved(self) -> ContextManager[Any]:
        return self._preserved()
