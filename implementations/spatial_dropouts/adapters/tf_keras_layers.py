"""Keras 2 (tf_keras): what it names otherwise than Keras 3; it runs on TensorFlow alone."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Tuple

import tensorflow as tf

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract
from spatial_dropouts.adapters import tensorflow_functions
from spatial_dropouts.adapters.keras_layers import KerasLayers

_BY_PHASE = "keras.backend.learning_phase"


class TfKerasLayers(KerasLayers):
    """Drives ``tf_keras.layers.Layer`` classes, factories and instances.

    Its seed of the constructor starts one sequence a process, as TensorFlow's operation seeds do, and not one a layer:
    two layers of the same seed differ. So the seed that promises a repetition is the global one.
    """

    library = "tf_keras"
    switches: Tuple[str, ...] = (*KerasLayers.switches, _BY_PHASE)

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        super().__init__(obj, implementation)
        self.framework = "tf_keras"
        if not isinstance(implementation.contract, Contract):
            self.contract = replace(self.contract, seeds=self.contract.seeds[:1])

    def version(self) -> str:
        return f"{self.keras.__version__} on tensorflow {tf.__version__}"

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous",)

    def convert(self, values: Any) -> Any:
        return tf.constant(values)

    def cast(self, x: Any, dtype: str) -> Any:
        return tf.cast(x, dtype)

    def array(self, tensor: Any) -> Any:
        return tensorflow_functions.array(tensor)

    def dtype_of(self, tensor: Any) -> str:
        return str(tensor.dtype.name)

    def settings(self) -> Any:
        return {"wider floatx": self._floatx, "mixed dtype policy": self._policy}

    def policy(self) -> Any:
        return self.keras.mixed_precision.global_policy()

    def set_policy(self, policy: Any) -> None:
        self.keras.mixed_precision.set_global_policy(policy)

    def switched(self, layer: Any, x: Any, training: bool, way: str) -> Any:
        """One call inside of another layer, or under the global learning phase, which Keras 3 has no more."""
        if way != _BY_PHASE:
            return super().switched(layer, x, training, way)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that it will be removed after 2020
            with self.keras.backend.learning_phase_scope(int(training)):
                return layer(x)
