"""NumPy layers in daily use: copies and a new rate. See dropcheck.worker.life."""

from __future__ import annotations

import copy
import pickle
from typing import Any, Callable, Dict

from dropcheck.contract.adapter import Unsupported


class NumpyLife:
    """The optional methods of the NumPy adapter, whose layers are a ``call`` and the caller's generator."""

    is_class: bool
    implementation: Any
    obj: Any

    def sibling(self, layer: Any, rate: float, dtype: str, way: str) -> Any:
        # two layers of one model draw from one generator, in turn
        made = self.make(rate, dtype, None, way)  # type: ignore[attr-defined]
        made.rng = layer.rng
        return made

    def copy_ways(self) -> Dict[str, str]:
        # the generator is the caller's and goes on: a copy that is called between two calls draws what nobody drew before
        return {"copy.deepcopy": "apart", "pickle": "apart"}

    def copy_of(self, layer: Any, way: str, fresh: Callable[[], Any]) -> Any:
        own = self.holder(layer)
        copied = copy.deepcopy(own) if way == "copy.deepcopy" else pickle.loads(pickle.dumps(own))
        return type(layer)(copied, layer.rng, layer.rate)

    def holder(self, layer: Any) -> Any:
        if not self.is_class:
            raise Unsupported("a function has no state: it is given its rate with each call")
        return layer.call

    def settings(self) -> Any:
        raise Unsupported("NumPy has no setting that changes a training call")

    def threaded(self) -> None:
        raise Unsupported("the generator is given by the caller: it belongs to one thread")
