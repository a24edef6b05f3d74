"""Dropout of libraries on JAX, ``f(x, rate, *, training, key)``, and on NumPy, ``f(x, rate, *, training, rng)``."""

from __future__ import annotations

import ast
import functools
import types
from typing import Any

from spatial_dropouts.libraries.one_file import module, path_of


def stax(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """Dropout of jax.example_libraries.stax, which is given the probability to keep."""
    from jax.example_libraries import stax as library

    return library.Dropout(1 - rate, "train" if training else "test")[1]((), x, rng=key)


def objax(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """Dropout of Objax, which is given the probability to keep and a generator that has this one key."""
    import objax as library

    return library.nn.Dropout(1 - rate, lambda: key)(x, training)


def equimo(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """DropPath of Equimo, of a whole array."""
    return module("equimo", "layers/dropout.py", {}).DropPath(rate)(x, key=key, inference=not training)


def onnx_reference(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """Dropout (opset 12) of onnx.reference; in training each call has a seed of its own."""
    return _onnx(x, rate, training, int(rng.integers(2**31)) if training else 0)


def onnx_reference_seed(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """The same with a seed as an attribute of the node, as exporters write it."""
    return _onnx(x, rate, training, 7)


def _onnx(x: Any, rate: float, training: bool, seed: int) -> Any:
    from onnx.reference.ops.op_dropout import Dropout_12

    node = types.SimpleNamespace(n_outputs=1)
    return Dropout_12._private_run(node, x, seed=seed, ratio=rate, training_mode=training)[0]


def thinc(x: Any, rate: float, *, training: bool) -> Any:
    """Dropout of Thinc."""
    from thinc.api import Dropout

    return Dropout(rate)(x, is_train=True)[0] if training else Dropout(rate).predict(x)


@functools.lru_cache(maxsize=None)
def _ivy() -> Any:
    """Ivy on its NumPy backend."""
    import ivy as library

    library.set_backend("numpy")
    return library


def ivy(x: Any, rate: float, *, training: bool) -> Any:
    """dropout of Ivy on NumPy."""
    return _ivy().to_numpy(_ivy().dropout(_ivy().array(x), rate, training=training))


def ivy_channels(x: Any, rate: float, *, training: bool) -> Any:
    """dropout1d of Ivy on NumPy, channels first."""
    return _ivy().to_numpy(_ivy().dropout1d(_ivy().array(x), rate, training=training, data_format="NCW"))


@functools.lru_cache(maxsize=None)
def _wrapper() -> Any:
    """numpy-ml's wrapper Dropout and its base class; the package does not import beside NumPy 2."""
    import numpy as np

    with open(path_of("numpy_ml", "neural_nets/wrappers/wrappers.py"), encoding="utf-8") as file:
        classes: Any = [n for n in ast.parse(file.read()).body if isinstance(n, ast.ClassDef)]
    for node in classes:
        node.decorator_list = []
    names = {"np": np, "ABC": object, "abstractmethod": lambda thing: thing, "__name__": "numpy_ml_wrappers"}
    exec(compile(ast.unparse(ast.Module(classes, [])), "wrappers.py", "exec"), names)
    return names["Dropout"]


def numpy_ml(x: Any, rate: float, *, training: bool) -> Any:
    """Dropout of numpy-ml, a wrapper, around a layer that does nothing."""
    import numpy as np

    empty: Any = {"hyperparameters": {}, "derived_variables": {}, "parameters": {}, "gradients": {}}
    same = types.SimpleNamespace(**empty, trainable=training, forward=lambda x, retain_derived=True: x)
    return np.asarray(_wrapper()(same, rate).forward(x, retain_derived=False))
