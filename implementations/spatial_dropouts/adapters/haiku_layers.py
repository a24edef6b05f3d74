"""Haiku: functions ``f(key, rate, x)`` such as ``haiku.dropout``, transformed, and classes of modules."""

from __future__ import annotations

from typing import Any, Dict, Hashable, Tuple

import haiku
import jax

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.adapters.jax_arrays import JaxArrays, Layer, built_flag, switch


class Haiku(JaxArrays):
    """Drives ``haiku.dropout`` and its like: inside ``haiku.transform``, with ``haiku.next_rng_key()``."""

    framework = "haiku"
    library = "dm-haiku"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        super().__init__(obj, implementation)
        self.is_class = isinstance(obj, type)
        self.flag = switch(obj.__call__ if self.is_class else obj)
        self.built = built_flag(obj, obj.__call__) if self.is_class else None
        self.inference = self.flag is not None or self.built is not None
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
        return self._called(made, x, key, training, self.flag is None and self.built is not None)

    def _called(self, made: Any, x: Any, key: Any, training: bool, by_constructor: bool) -> Any:
        place = (repr(made), training, by_constructor)
        if place not in self.transformed:
            flag = self.built if by_constructor else self.flag
            given = {} if flag is None else {flag[0]: training == flag[1]}
            self.transformed[place] = haiku.transform(lambda x: self._inside(made, x, given, by_constructor))
        return self.transformed[place].apply({}, key, x)

    def _inside(self, made: Any, x: Any, given: Dict[str, Any], by_constructor: bool) -> Any:
        value, extra = made
        if self.is_class:
            rate = 1 - value if self.implementation.keep_probability else value
            built, called = (given, {}) if by_constructor else ({}, given)
            return self.implementation.construct(self.obj, rate, {**dict(extra), **built})(x, **called)
        return self.obj(haiku.next_rng_key(), value, x, **given, **self.implementation.options)

    @property
    def switches(self) -> Tuple[str, ...]:
        """The constructor's flag beside that of the call; Haiku itself has neither an attribute nor eval()."""
        if self.mode != "eager" or self.flag is None or self.built is None:
            return ()
        return (f"{self.built[0]}= of the constructor",)

    def switched(self, layer: Any, x: Any, training: bool, way: str) -> Any:
        """One call of a module that was built for the mode."""
        with self.precision(layer.dtype):
            layer.state, key = jax.random.split(layer.state)
            return jax.block_until_ready(self._called(layer.made, x, key, training, True))

    def infer(self, layer: Layer, x: Any) -> Any:
        return super().infer(layer, x) if self.inference else x  # else it is its caller's business
