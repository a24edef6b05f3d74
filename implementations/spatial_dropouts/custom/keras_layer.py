"""Our own Keras layer, on PyTorch, JAX and TensorFlow: whole channels are selected, and each kept quotient is rounded once."""

from __future__ import annotations

import importlib
from typing import Any, Dict, Optional, Tuple

import keras

from dropcheck.contract.promise import Pattern
from spatial_dropouts.custom.exact import probability

_BACKENDS = ("torch", "jax", "tensorflow")


@keras.saving.register_keras_serializable("spatial_dropouts")
class SpatialDropout(keras.layers.Layer):
    """Drop whole channels with probability ``rate`` in training; return the input in inference.

    ``pattern`` names the input axes and the axes that index the coins: ``"n l c -> n c"`` (default), ``"n c l -> n c"`` for
    channels first, ``"n h w c -> n c"`` and so on. ``seed``: a whole number, or None for one of Keras' own. Raises ValueError for
    a rate that is no probability, ContractError for a pattern that cannot be read and for inputs of another rank, and
    NotImplementedError on other backends of Keras.
    """

    def __init__(
        self, rate: float, pattern: str = "n l c -> n c", *, seed: Optional[int] = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.rate = probability(rate)
        self.pattern = Pattern.parse(pattern)
        self.seed = seed
        if keras.backend.backend() not in _BACKENDS:
            raise NotImplementedError(
                f"the backends are {', '.join(_BACKENDS)}; this process runs on {keras.backend.backend()}"
            )
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """``inputs`` in the shape of the pattern; the output has its shape and dtype."""
        if not training or self.rate == 0:
            return inputs
        shape = self.pattern.noise_shape(tuple(keras.ops.shape(inputs)))
        numbers = self.seed_generator.next()  # the seed and the number of the call: no two calls share them
        return _select(inputs, shape, self.rate, numbers)

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        """That of the input."""
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the input."""
        return input_shape

    def get_config(self) -> Dict[str, Any]:
        """What the constructor is given again when a model is loaded."""
        return {**super().get_config(), "rate": self.rate, "pattern": str(self.pattern), "seed": self.seed}


def _select(x: Any, shape: Tuple[Any, ...], rate: float, numbers: Any) -> Any:
    backend = importlib.import_module(f"spatial_dropouts.custom.keras_{keras.backend.backend()}")
    return backend.select(x, shape, rate, numbers)
