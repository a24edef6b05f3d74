"""Haiku: functions ``f(key, rate, x)`` such as ``haiku.dropout``, transformed, and classes of modules."""

from __future__ import annotations

from typing import Any, Dict, Hashable

import haiku

from dropcheck.adapter import Implementation
from spatial_dropouts.adapters.jax_arrays import JaxArrays, Layer, switch


class Haiku(JaxArrays):
    """Drives ``haiku.dropout`` and its like: inside ``haiku.transform``, with ``haiku.next_rng_key()``."""

    framework = "haiku"
    library = "dm-haiku"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        super().__init__(obj, implementation)
        self.is_class = isinstance(obj, type)
        self.flag = switch(obj.__call__ if self.is_class else obj)
        self.inference = self.flag is not None
        self.transformed: Dict[Any, Any] = {}

    def build(self, rate: float, dtype: str, extra: Dict[str, Any]) -> Any:
        if (
            self.is_class
        ):  # modules can be built inside a transformation only; it also shows what the constructor refuses
            haiku.testing.transform_and_run(lambda: self.implementation.construct(self.obj, rate, extra) and None)()
        return 1 - rate if self.implementation.keep_probability else rate, tuple(extra.items())

    def token(self, made: Any) -> Hashable:
        return repr(made)

    def call(self, made: Any, x: Any, key: Any, training: bool) -> Any:
        place = (repr(made), training)
        if place not in self.transformed:
            self.transformed[place] = haiku.transform(lambda x: self._inside(made, x, training))
        return self.transformed[place].apply({}, key, x)

    def _inside(self, made: Any, x: Any, training: bool) -> Any:
        value, extra = made
        given = {} if self.flag is None else {self.flag[0]: training == self.flag[1]}
        if self.is_class:
            rate = 1 - value if self.implementation.keep_probability else value
            return self.implementation.construct(self.obj, rate, dict(extra))(x, **given)
        return self.obj(haiku.next_rng_key(), value, x, **given, **self.implementation.options)

    def infer(self, layer: Layer, x: Any) -> Any:
        return super().infer(layer, x) if self.inference else x  # else it is its caller's business
