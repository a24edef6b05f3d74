"""Keras' global seed, without the import of a TensorFlow that nobody uses."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any, Iterator


def seed_everything(keras: Any, seed: int) -> None:
    """What ``keras.utils.set_random_seed`` seeds: Keras, Python, NumPy, the backend, and TensorFlow where it is imported.

    Keras imports TensorFlow wherever it is installed, merely to seed it: as long as all of Keras takes. A TensorFlow that is
    not imported has drawn nothing yet and nobody holds a generator of it.
    """
    if keras.backend.backend() != "tensorflow" and "tensorflow" not in sys.modules:
        # another release of Keras may not be content without it
        with contextlib.suppress(ImportError), _without_tensorflow():
            keras.utils.set_random_seed(seed)
            return
    keras.utils.set_random_seed(seed)


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    sys.modules["tensorflow"] = None  # type: ignore[assignment] # how Python marks a module that cannot be imported
    try:
        yield
    finally:
        del sys.modules["tensorflow"]
        # Keras remembers what it found; a layer may still import TensorFlow, which is then to be seeded
        with contextlib.suppress(ImportError, AttributeError):
            importlib.import_module("keras.src.utils.module_utils").tensorflow._available = None
