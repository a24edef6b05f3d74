"""An adapter for layers in any language: it drives a program that speaks the server protocol."""

from __future__ import annotations

import copy
import functools
import math
from typing import Any, ContextManager, Dict, Iterator, Mapping, Optional, Sequence, Tuple

import numpy as np

from dropcheck.contract.adapter import Implementation, Unsupported, unchanged
from dropcheck.contract.devices import Clock, Device
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.contract.serving import PATIENCE_S, Server

# Imported by the worker: NumPy and the standard library only, Python 3.9 at run time.


# JSON has no such numbers
_MOST_CALLS, _MOST_ELEMENTS = 64, 1 << 20  # of one request: what a reader that gives up leaves must be little
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class ServedLayer:
    """A layer that lives in a server, by its id there; the server lets go of it when this object goes.

    ``calls``: how often it was called in training, for layers that take a key of each call.
    """

    def __init__(self, server: Server, id: int, rate: float, dtype: str, seed: Optional[int]) -> None:
        self.server, self.id, self.rate, self.dtype, self.seed, self.calls = server, id, rate, dtype, seed, 0

    def __del__(self) -> None:
        self.server.forget(self.id)


class InsideClock(Clock):
    """Time without what requests cost around the layers: what the server measures inside of it, and all other time here."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def now(self) -> int:
        return super().now() - self.server.outside_ns


class ServerAdapter:
    """Layers of a program that speaks the server protocol (docs/reference/server-protocol.md).

    ``command``     the program and its arguments.
    ``layer``       the name of the layer in the server; ``options``: what else the server is given to make it.
    ``patience_s``  how long an answer may take.

    In a user's file: ``mine = Implementation(make=ServerAdapter(command=["./server"], layer="mine"), contract="n c l -> n c")``.
    """

    framework = "server"
    modes: Tuple[str, ...] = ()
    fixed: Mapping[str, str] = {"rate.set-later": "a layer in a server is made anew for each rate"}

    def __init__(
        self,
        command: Sequence[str],
        layer: str = "",
        options: Optional[Mapping[str, Any]] = None,
        environment: Optional[Mapping[str, str]] = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        if isinstance(command, str) or not command:
            raise TypeError(f"command is a program and its arguments in a list, not {command!r}")
        self.command, self.layer, self.patience_s = list(command), layer, patience_s
        self.options, self.environment = dict(options or {}), dict(environment or {})

    def __call__(self, obj: Any, implementation: Implementation) -> Any:
        """The adapter of an implementation that names this one. Starts the program."""
        bound = copy.copy(self)
        bound.obj, bound.implementation = obj, implementation
        bound.contract = implementation.resolve_contract(Pattern.parse("n c l -> n c"), ("constructor",))
        bound.options = {**self.options, **implementation.options}
        # starts the program: what is wrong with it is said when a target is opened
        bound.framework = str(bound.server.hello["framework"])
        return bound

    obj: Any
    implementation: Implementation
    contract: Contract

    @functools.cached_property
    def server(self) -> Server:
        """The running program."""
        return Server(self.command, self.environment, self.patience_s)

    @functools.cached_property
    def speed(self) -> Device:
        """The host, with a clock that leaves out the pipe."""
        return Device(InsideClock(self.server))

    def version(self) -> str:
        return str(self.server.hello["version"])

    def dtypes(self) -> Tuple[str, ...]:
        return tuple(self.server.hello["dtypes"])

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous",)

    def gradients(self) -> bool:
        return bool(self.server.hello["gradients"])

    def tensor(self, values: Any, dtype: str, layout: str = "contiguous") -> Any:
        if layout != "contiguous":
            raise Unsupported("arrays cross to a server without strides")
        if dtype == "bfloat16":
            wide = np.asarray(values, np.float32).view(np.uint32)
            return np.array(wide >> 16, np.uint16)  # what is given is exact in bfloat16
        return np.array(values, dtype)

    def array(self, tensor: Any) -> Any:
        return tensor

    def dtype_of(self, tensor: Any) -> str:
        return "bfloat16" if tensor.dtype == np.uint16 else str(tensor.dtype)

    def asked(self, rate: float, seed: Optional[int], way: str) -> Dict[str, Any]:
        """What a request to make a layer says beside its dtype."""
        value = float(1 - rate if self.implementation.keep_probability else rate)
        return {
            "layer": self.layer,
            "options": self.options,
            "rate": value if math.isfinite(value) else _NOT_FINITE[str(value)],
            "seed": None if seed is None or way in ("global", "key") else int(seed),
        }

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        if way == "global" and seed is not None and "global" in self.contract.seeds:  # else none is promised
            self.server.ask({"ask": "seed", "seed": int(seed)})
        said, _ = self.server.ask({"ask": "make", "dtype": dtype, **self.asked(rate, seed, way)})
        id = said.get("id")
        if not isinstance(id, int):
            raise self.server.lost("answers 'make' without 'id' (a whole number)")
        return ServedLayer(self.server, id, rate, dtype, seed)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        if way != "global":
            return self.make(layer.rate, layer.dtype, seed, way)
        self.server.ask({"ask": "seed", "seed": int(seed)})
        return layer

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        return self._called("apply", layer, (x,), 1, training=bool(training))[0]

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        y, gradient = self._called("gradient", layer, (x, cotangent), 2)
        return y, gradient

    def repeated(self, layer: Any, x: Any, count: int) -> Optional[Iterator[Any]]:
        """Outputs of ``count`` training calls on one input, which crosses once for some of them; None where none can be had."""
        return self._repeated(layer, x, count) if self.server.hello.get("calls") is True else None

    def _repeated(self, layer: Any, x: Any, count: int) -> Iterator[Any]:
        most = max(1, min(_MOST_CALLS, _MOST_ELEMENTS // max(1, x.size)))
        while count:
            some = min(count, most)
            head = self._head("apply", layer, some, training=True)
            count -= some
            for found in self.server.calls(head, (x,), some):
                yield self._checked("apply", found, 1)[0]

    def _called(self, ask: str, layer: Any, arrays: Sequence[Any], wanted: int, **more: Any) -> Sequence[Any]:
        _, found = self.server.ask(self._head(ask, layer, 1, **more), arrays)
        return self._checked(ask, found, wanted)

    def _head(self, ask: str, layer: Any, calls: int, **more: Any) -> Dict[str, Any]:
        """What a request of so many calls says beside its arrays; they are counted."""
        head: Dict[str, Any] = {"ask": ask, "id": layer.id, **more}
        if "key" in self.contract.seeds and layer.seed is not None:
            head["key"] = [layer.seed, layer.calls]
        if more.get("training", True):  # an inference call draws nothing: the next training call has its number
            layer.calls += calls
        return head

    def _checked(self, ask: str, found: Sequence[Any], wanted: int) -> Sequence[Any]:
        if len(found) != wanted:
            raise self.server.lost(f"answers {ask!r} with {len(found)} arrays; expected {wanted}")
        return found

    def streams(self) -> Dict[str, Any]:
        """Raises Unsupported: the streams of the server's language are not seen from here."""
        raise Unsupported("what others draw in the server's process is not seen")

    def recording(self, on: bool) -> ContextManager[Any]:
        return unchanged()

    def track(self, x: Any) -> Any:
        return x

    def preserved(self) -> ContextManager[Any]:
        return unchanged()
