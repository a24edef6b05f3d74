"""Planted defects of inference on JAX arrays and in MLX: what was compiled in training stays."""

from __future__ import annotations

from typing import Any, Dict

from spatial_dropouts.broken.base import valid


class JaxBranchByShape:
    """What is compiled for a shape is compiled for the mode of its first call."""

    def __init__(self, rate: float) -> None:
        self.rate = valid(rate)
        self.compiled: Dict[Any, Any] = {}

    def key(self, x: Any, training: bool) -> Any:
        """What a compiled function is kept by."""
        return x.shape, x.dtype

    def __call__(self, x: Any, *, training: bool, key: Any) -> Any:
        import jax

        from spatial_dropouts.broken.jax_functions import right

        place = self.key(x, training)
        if place not in self.compiled:
            self.compiled[place] = jax.jit(lambda x, key: right(x, self.rate, training=training, key=key))
        return self.compiled[place](x, key)


class JaxBranchByMode(JaxBranchByShape):
    """The right twin: a compiled function a shape and a mode."""

    def key(self, x: Any, training: bool) -> Any:
        return x.shape, x.dtype, training


def mlx_compiled(rate: float) -> Any:
    """A layer that compiles another one without its state: the mode of a shape's first call stays."""
    return _mlx(rate, False)


def mlx_compiled_by_mode(rate: float) -> Any:
    """The right twin: one compiled function a mode, with the random state carried."""
    return _mlx(rate, True)


def _mlx(rate: float, by_mode: bool) -> Any:
    import mlx.core as mx
    import mlx.nn as nn

    class Compiled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout2d(rate)
            functions: Dict[Any, Any] = {}
            self._functions = functions

        def __call__(self, x: Any) -> Any:
            place = self.training if by_mode else None
            if place not in self._functions:
                state: Any = [mx.random.state]
                self._functions[place] = mx.compile(self.traced, inputs=state, outputs=state)
            return self._functions[place](x)

        def traced(self, x: Any) -> Any:
            return self.drop(x)

    return Compiled()
