"""MLX: layer classes of ``mlx.nn``, factories, and one layer as it stands in a model, channels last."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace
from importlib.metadata import version
from typing import Any, ContextManager, Dict, Iterator, Optional, Tuple

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from dropcheck.contract.adapter import Implementation, unchanged
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.adapters import plain_twin, seeding
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import scalar

_DTYPES = {"float32": mx.float32, "float64": mx.float64, "float16": mx.float16, "bfloat16": mx.bfloat16}


class MlxLayers:
    """Drives ``mlx.nn.Module`` layers; arrays are lazy, so that every output is evaluated before it is handed back."""

    framework = "mlx"
    modes: Tuple[str, ...] = ("jit",)
    immutable = True
    switches: Tuple[str, ...] = ("eval() of a parent",)
    recompute_ways: Tuple[str, ...] = ("mlx.nn.utils.checkpoint",)

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        self.obj, self.implementation = obj, implementation
        self.jit = False
        self.traces = 0  # how often something was compiled
        contract: Contract = implementation.resolve_contract(
            Pattern.parse("n h w c -> n c"), (seeding.way_of(implementation, "global"),)
        )
        self.instance = isinstance(obj, nn.Module)
        if self.instance:
            keep = scalar(getattr(obj, "_p_1", None))
            if keep is None:
                raise NoDropout(
                    f"a {type(obj).__name__} without a rate was given: it is a model or no dropout; name the dropout layer "
                    "inside it, as in file.py:model.drop"
                )
            contract = replace(contract, rates=(float(1 - keep),))
        self.contract = contract

    def use(self, mode: str) -> None:
        self.jit = mode == "jit"

    def version(self) -> str:
        return version("mlx")

    def dtypes(self) -> Tuple[str, ...]:
        # float64 exists on the CPU alone
        return tuple(d for d in _DTYPES if d != "float64" or mx.default_device() == mx.cpu)

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous",)

    def gradients(self) -> bool:
        return True

    def tensor(self, values: Any, dtype: str, layout: str = "contiguous") -> Any:
        plain = np.asarray(values)
        if dtype == "float64":
            made = mx.array(plain.astype(np.float64), dtype=mx.float64)
        else:  # narrower values are exact in float32
            made = mx.array(plain.astype(np.float32)).astype(_DTYPES[dtype])
        mx.eval(made)
        return made

    def array(self, tensor: Any) -> Any:
        if tensor.dtype == mx.bfloat16:
            return np.array(tensor.view(mx.uint16))
        return np.array(tensor)

    def dtype_of(self, tensor: Any) -> str:
        return str(tensor.dtype).replace("mlx.core.", "")

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        self.seed(seed, way)
        if self.instance:
            return self.obj
        layer = self.implementation.construct(self.obj, rate, seeding.keyword(self.implementation, seed, way))
        if not isinstance(layer, nn.Module):
            raise TypeError(f"the factory returned a {type(layer).__name__}; expected an mlx.nn.Module")
        layer.train()
        if way == "constructor":
            object.__setattr__(layer, "_dropcheck_rate", rate)  # past what mlx.nn keeps of a module
        return layer

    def control(self) -> Any:
        """Like this one, of MLX's own plain layer: what it fails too is not a layer's own failure."""
        return plain_twin(self, nn.Dropout)

    def streams(self) -> Dict[str, Any]:
        """MLX's global stream."""
        return {"mlx": (mx.random.seed, lambda: np.array(mx.random.randint(0, 2**31 - 1, (4,))).tolist())}

    def seed(self, seed: Optional[int], way: str) -> None:
        """Seed MLX's global state, or the layer's own source."""
        seeding.sow(self.implementation, seed, way, mx.random.seed)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        if way == "constructor":
            return self.make(layer._dropcheck_rate, "", seed, way)
        self.seed(seed, way)
        return layer

    def called(self, layer: Any, training: bool) -> Any:
        """The layer as a function of one array; compiled with the random state carried, as MLX documents, in mode jit."""
        if layer.training != training:
            layer.train(training)
        if not self.jit:
            return layer
        # an attribute that mlx.nn does not take for a parameter; what is compiled dies with the layer
        compiled = layer.__dict__.setdefault("_dropcheck_compiled", {})
        if training not in compiled:

            def traced(x: Any) -> Any:
                self.traces += 1  # it runs as Python whenever it is compiled, and then only
                return layer(x)

            compiled[training] = mx.compile(traced, inputs=[mx.random.state], outputs=[mx.random.state])
        return compiled[training]

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        y = self.called(layer, training)(x)
        mx.eval(y)
        return y

    def switched(self, layer: Any, x: Any, training: bool, way: str) -> Any:
        """One call after switching a model that the layer is a part of."""
        nn.Sequential(layer).train(training)
        return self.apply(layer, x, training)

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        return self._pulled(self.called(layer, True), x, cotangent)

    def _pulled(self, call: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        (y,), (found,) = mx.vjp(call, [x], [cotangent])
        mx.eval(y, found)
        return y, found

    def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Optional[Any]]:
        """Like ``gradient``, with the forward pass run again in the backward pass."""
        return self._pulled(nn.utils.checkpoint(layer, self.called(layer, True)), x, cotangent)

    def copy_ways(self) -> Dict[str, str]:
        return {"copy.deepcopy": "apart"}  # MLX' random state is global

    def copy_of(self, layer: Any, way: str, fresh: Any) -> Any:
        return copy.deepcopy(layer)

    def holder(self, layer: Any) -> Any:
        return layer

    def recording(self, on: bool) -> ContextManager[Any]:
        return unchanged()

    def track(self, x: Any) -> Any:
        return x

    @contextlib.contextmanager
    def _preserved(self) -> Iterator[None]:
        state: Any = mx.random.state
        high, low = np.array(state[0]).tolist()
        try:
            yield
        finally:
            mx.random.seed(high << 32 | low)  # its key is the seed in two words, and cannot be set otherwise

    def preserved(self) -> ContextManager[Any]:
        return self._preserved()
