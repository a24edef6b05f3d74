"""Keras 2 (tf_keras): what it names otherwise than Keras 3; it runs on TensorFlow alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Tuple

import tensorflow as tf

from dropcheck.adapter import Implementation
from dropcheck.contract import Contract
from spatial_dropouts.adapters import tensorflow_functions
from spatial_dropouts.adapters.keras_layers import KerasLayers


class TfKerasLayers(KerasLayers):
    """Drives ``tf_keras.layers.Layer`` classes, factories and instances.

    Its seed of the constructor starts one sequence a process, as TensorFlow's operation seeds do, and not one a layer:
    two layers of the same seed differ. So the seed that promises a repetition is the global one.
    """

    library = "tf_keras"

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
