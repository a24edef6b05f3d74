"""PaddlePaddle: layer classes of ``paddle.nn``, factories, and one layer as it stands in a model, channels first."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any, ContextManager, Dict, Iterator, Optional, Tuple

import numpy as np
import paddle

from dropcheck.contract.adapter import Implementation, Unsupported
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.adapters import seeding
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import scalar


class PaddleLayers:
    """Drives ``paddle.nn.Layer`` layers; needs PaddlePaddle and NumPy alone. bfloat16 crosses as its uint16 bits."""

    framework = "paddle"
    modes: Tuple[str, ...] = ("graph",)
    recompute_ways: Tuple[str, ...] = ("paddle.distributed.fleet.utils.recompute",)

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        self.obj, self.implementation = obj, implementation
        self.graph = False
        contract: Contract = implementation.resolve_contract(
            Pattern.parse("n c h w -> n c"), (seeding.way_of(implementation, "global"),)
        )
        self.instance = isinstance(obj, paddle.nn.Layer)
        if self.instance:
            rate = scalar(getattr(obj, "p", None))
            if rate is None:
                raise NoDropout(
                    f"a {type(obj).__name__} without a rate 'p' was given: it is a model or no dropout; name the dropout "
                    "layer inside it, as in file.py:model.drop"
                )
            contract = replace(contract, rates=(float(rate),))
        self.contract = contract

    def use(self, mode: str) -> None:
        self.graph = mode == "graph"
        if self.graph:
            self.recompute_ways = ()  # recompute runs dynamic calls again; a traced one has its own pass for that

    def version(self) -> str:
        return str(paddle.__version__)

    def dtypes(self) -> Tuple[str, ...]:
        # its CPU kernels lack float16 (the mask cannot be multiplied)
        every = ("float32", "float64", "float16", "bfloat16")
        return every if not paddle.device.get_device().startswith("cpu") else tuple(d for d in every if d != "float16")

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous",)

    def gradients(self) -> bool:
        return True

    def tensor(self, values: Any, dtype: str, layout: str = "contiguous") -> Any:
        if layout != "contiguous":
            raise Unsupported("this adapter makes contiguous Paddle tensors only")
        plain = np.ascontiguousarray(values, dtype=np.float64)
        return paddle.to_tensor(plain, dtype="float64").astype(dtype)

    def array(self, tensor: Any) -> Any:
        return tensor.detach().numpy()  # Paddle hands bfloat16 over as uint16 bits itself

    def dtype_of(self, tensor: Any) -> str:
        return str(tensor.dtype).replace("paddle.", "")

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        self.seed(seed, way)
        extra = seeding.keyword(self.implementation, seed, way)
        layer = self.obj if self.instance else self.implementation.construct(self.obj, rate, extra)
        if not isinstance(layer, paddle.nn.Layer):
            raise TypeError(f"the factory returned a {type(layer).__name__}; expected a paddle.nn.Layer")
        layer.train()
        vars(layer)["_dropcheck_rate"] = rate  # past the layer's own tracking of attributes
        return layer

    def streams(self) -> Dict[str, Any]:
        """Paddle's global generator."""
        return {"paddle": (paddle.seed, lambda: [int(v) for v in paddle.randint(0, 2**31 - 1, [4], "int64").numpy()])}

    def seed(self, seed: Optional[int], way: str) -> None:
        """Seed Paddle's global generator, or the layer's own source."""
        seeding.sow(self.implementation, seed, way, paddle.seed)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        if way == "constructor":
            return self.make(vars(layer)["_dropcheck_rate"], "", seed, way)
        self.seed(seed, way)
        return layer

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        if layer.training != training:
            layer.train() if training else layer.eval()
        if not self.graph:
            return layer(x)
        # past the layer's own tracking of attributes; what is traced dies with the layer
        traced = vars(layer).setdefault("_dropcheck_traced", {})
        if training not in traced:

            def call(given: Any) -> Any:  # Paddle reads its source, which a lambda has not
                return layer(given)

            traced[training] = paddle.jit.to_static(call, full_graph=True)
        return traced[training](x)

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        return self._pulled(lambda given: self.apply(layer, given, True), x, cotangent)

    def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Optional[Any]]:
        """Like ``gradient``, with the forward pass run again in the backward pass."""
        from paddle.distributed.fleet.utils import recompute

        return self._pulled(lambda given: recompute(lambda t: self.apply(layer, t, True), given), x, cotangent)

    def _pulled(self, call: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        with paddle.enable_grad():
            x = self.track(x)
            y = call(x)
            if y.stop_gradient:
                return y, None
            y.backward(cotangent)
        return y.detach(), x.grad

    def recording(self, on: bool) -> ContextManager[Any]:
        return paddle.enable_grad() if on else paddle.no_grad()

    def track(self, x: Any) -> Any:
        tracked = x.detach().clone()
        tracked.stop_gradient = False
        return tracked

    @contextlib.contextmanager
    def _preserved(self) -> Iterator[None]:
        state = paddle.get_rng_state()
        try:
            yield
        finally:
            paddle.set_rng_state(state)

    def preserved(self) -> ContextManager[Any]:
        return self._preserved()
