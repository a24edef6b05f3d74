"""What all instruments of Keras layers share: the real layer inside, made for the sizes of its input, and its shown mask.

A module of its own, without the adapters: the scripts that show a failure hold it whole.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import keras
from keras import ops


class Shown(keras.layers.Layer):
    """Input times the mask and scale that the output of the real layer ``real`` shows.

    ``carrier(x)`` is what the real layer is given, ``read(output, x)`` the mask times scale in the shape of x. A backward pass
    with each of ``cotangents(x)`` shows them once more: ``read_back(gradients, x)``.
    """

    def __init__(self, rate: float, seed: Optional[int] = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.rate, self.seed = rate, seed
        self.real: Any = None
        self.sizes: Tuple[int, ...] = ()
        self.supports_masking = True

    # --- what each instrument defines ------------------------------------------------------------------------------

    def needs(self, shape: Tuple[int, ...]) -> Tuple[int, ...]:
        """The sizes that a real layer is made for."""
        raise NotImplementedError

    def bare(self) -> Any:
        """A real layer for ``sizes``, as a user constructs it."""
        raise NotImplementedError

    def dress(self, real: Any) -> None:
        """Build a real layer for ``sizes`` and set its weights."""
        raise NotImplementedError

    def carrier(self, x: Any) -> Any:
        """What the real layer is given for x."""
        raise NotImplementedError

    def run(self, carrier: Any, x: Any, training: Any) -> Any:
        """The real layer's output."""
        raise NotImplementedError

    def read(self, output: Any, x: Any) -> Any:
        """Mask times scale in the shape of x."""
        raise NotImplementedError

    def cotangents(self, x: Any) -> List[Any]:
        """Gradients of the real output; each backward pass with one of them shows a part of the mask."""
        raise NotImplementedError

    def read_back(self, gradients: List[Any], x: Any) -> Any:
        """Mask times scale in the shape of x, from the gradients of the carrier that these cotangents give."""
        raise NotImplementedError

    # --- the layer that is audited ---------------------------------------------------------------------------------

    def fit(self, shape: Tuple[int, ...]) -> None:
        """Make the real layer for an input of this shape, where the present one is for another."""
        sizes = self.needs(shape)
        if self.real is not None and sizes == self.sizes:
            return
        before, self.sizes = self.real, sizes
        real = self.bare()
        self.dress(real)
        if before is not None:  # the new one goes on where the old one stood
            for old, new in zip(before.non_trainable_variables, real.non_trainable_variables):
                new.assign(old)
        self.take(real)

    def take(self, real: Any) -> None:
        """Use this real layer from now on."""
        locked = self._tracker.locked if self.real is not None or self.built else False
        if locked:
            self._tracker.unlock()
        if self.real is not None:
            del self.real
        self.real = real
        if locked:
            self._tracker.lock()

    def build(self, shape: Any) -> None:
        """The real layer is built by ``fit``, outside of anything that is traced."""
        self.built = True

    def compute_output_shape(self, shape: Any) -> Any:
        return shape

    def call(self, x: Any, training: Any = None, carrier: Any = None, raw: bool = False) -> Any:
        """x times mask and scale; ``raw``: what the real layer makes of ``carrier``."""
        if raw:
            return self.run(carrier, x, training)
        if self.real is None:
            self.fit(tuple(x.shape))
        output = self.run(self.carrier(x), x, training)
        return self.shown(x, output)

    def shown(self, x: Any, output: Any) -> Any:
        """x times mask and scale, in the dtype of the real layer's output."""
        return ops.cast(x * ops.cast(self.read(output, x), x.dtype), output.dtype)

    def get_config(self) -> Dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def unit(rows: int, columns: int, dtype: Any, first: int = 0) -> Any:
    """Ones at (i, i - first), zeros elsewhere."""
    return ops.eye(rows, columns, k=-first, dtype=dtype)
