"""Keras' global seed, without the import of a TensorFlow that nobody uses."""

from __future__ import annotations

import contextlib
import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, Callable, Iterator, Optional, TypeVar

Made = TypeVar("Made")


def seed_everything(keras: Any, seed: int) -> None:
    """What ``keras.utils.set_random_seed`` seeds: Keras, Python, NumPy, the backend, and TensorFlow.

    Keras imports TensorFlow wherever it is installed, merely to seed it: as long as all of Keras takes. One that is not
    imported yet is seeded when it is.
    """
    if keras.backend.backend() != "tensorflow" and "tensorflow" not in sys.modules:
        _WHEN_IMPORTED.seed = seed
        if _WHEN_IMPORTED not in sys.meta_path:
            sys.meta_path.insert(0, _WHEN_IMPORTED)
        # another release of Keras may not be content without it
        with contextlib.suppress(ImportError), _without_tensorflow():
            keras.utils.set_random_seed(seed)
            return
    keras.utils.set_random_seed(seed)


def spared(backend: str, make: Callable[[], Made]) -> Made:
    """What ``make`` makes, without an import of TensorFlow that is of no use.

    Keras imports it to ask whether a value that it stores is one of TensorFlow's: before the import there is none. What does
    need it is made once more with it.
    """
    if backend == "tensorflow" or "tensorflow" in sys.modules:
        return make()
    with contextlib.suppress(ImportError), _without_tensorflow():
        return make()
    return make()


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


class _SeedsTensorFlow(MetaPathFinder):
    """Seeds TensorFlow at the end of its import: a layer may import it in its first call, and draw from it."""

    seed = 0

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        if fullname != "tensorflow":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def seeded(module: Any) -> None:
                run(module)
                module.random.set_seed(self.seed)

            spec.loader.exec_module = seeded  # type: ignore[method-assign]
        return spec


_WHEN_IMPORTED = _SeedsTensorFlow()
