"""Drop paths of KerasCV and KerasHub, from their one file: the packages want TensorFlow Text, and take Keras from themselves."""

from __future__ import annotations

from typing import Any

from spatial_dropouts.libraries.one_file import module, nothing


def keras_cv(rate: float, **more: Any) -> Any:
    """DropPath of KerasCV."""
    import keras

    stand_ins = {
        "keras_cv.src.api_export": {"keras_cv_export": nothing},
        "keras_cv.src.backend": {"keras": keras, "ops": keras.ops, "random": keras.random},
    }
    return module("keras_cv", "src/layers/regularization/drop_path.py", stand_ins).DropPath(rate, **more)


def keras_hub(rate: float, file: str, name: str, **more: Any) -> Any:
    """A drop path of KerasHub; what its file takes from other files of the package is not used by the layer."""
    stand_ins = {
        "keras_hub.src.utils.keras_utils": {"standardize_data_format": None},
        "keras_hub.src.models.mobilenet.util": {"adjust_channels": None},
    }
    return getattr(module("keras_hub", f"src/models/{file}.py", stand_ins), name)(rate, **more)
