"""Planted defects of MLX' compiled functions, ``n h w c -> n c``, with right twins."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern


class Right(nn.Module):
    """MLX draws at every call, in every mode; the rate is checked."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"a rate is in [0, 1), not {rate}")
        self.rate = rate

    def __call__(self, x: Any) -> Any:
        if not self.training or self.rate == 0:
            return x
        return self.drop(x)

    def drop(self, x: Any) -> Any:
        kept = self.uniform((x.shape[0], 1, 1, x.shape[3])) >= self.rate
        return mx.where(kept, x * (1 / (1 - self.rate)), mx.zeros_like(x))

    def uniform(self, shape: Any) -> Any:
        return mx.random.uniform(shape=shape)


class FrozenByNumpy(Right):
    """NumPy draws: at every plain call, but once a compiled function."""

    def uniform(self, shape: Any) -> Any:
        return mx.array(np.random.random(shape).astype(np.float32))


class CompiledWithState(Right):
    """The layer compiles itself and declares the random state as an input and an output."""

    state: Any = mx.random.state

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        state = [type(self).state] if type(self).state is not None else None

        def drop(x: Any) -> Any:
            return Right.drop(self, x)

        self.__dict__["compiled"] = mx.compile(drop, inputs=state, outputs=state)

    def drop(self, x: Any) -> Any:
        return self.__dict__["compiled"](x)


class CompiledWithoutState(CompiledWithState):
    """The layer compiles itself and forgets the random state: the key of the first call is a constant."""

    state = None


def _implementation(layer: Any) -> Implementation:
    def seed(number: int) -> None:
        np.random.seed(number % 2**32)
        mx.random.seed(number)

    contract = Contract(pattern=Pattern.parse("n h w c -> n c"))
    return Implementation(make=layer, framework="mlx", contract=contract, seed=seed, requires=("mlx",), default=False)


RIGHT = _implementation(Right)
FROZEN_BY_NUMPY = _implementation(FrozenByNumpy)
COMPILED_WITH_STATE = _implementation(CompiledWithState)
COMPILED_WITHOUT_STATE = _implementation(CompiledWithoutState)
