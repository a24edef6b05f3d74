"""jax.stax.Dropout: at rate 1, 2145 of 2145 gradients are wrong (2145 NaN), expected 0.

gradient.edges, seen with jax 0.10.2.
Cases, of which the argument names the dtype: float32 rate=1 grad; float64 rate=1 grad; float16 rate=1 grad;
bfloat16 rate=1 grad.
Install: pip install 'jax==0.10.2 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import inspect
import sys

import numpy as np
import jax
import jax.numpy as jnp

"""Dropout of libraries on JAX, ``f(x, rate, *, training, key)``, and on NumPy, ``f(x, rate, *, training, rng)``."""


import ast
import functools
import types
from typing import Any

"""One file, or one class, of a package that does not import whole: what the file takes from elsewhere has a stand-in meanwhile.

A script that shows a failure carries this module's text: it needs the standard library only.
"""


import ast
import importlib.util
import os
import sys
import types
from typing import Any, Mapping


def path_of(package: str, inside: str) -> str:
    """The file ``inside`` a package, which is looked up and never imported. Raises ImportError, one sentence, where it is not."""
    found = importlib.util.find_spec(package)
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    for folder in folders:
        path = os.path.join(folder, *inside.split("/"))
        if os.path.isfile(path):
            return path
    raise ImportError(f"{package} has no file {inside} here" if folders else f"there is no package {package!r} here")


def nothing(*words: Any, **more: Any) -> Any:
    """A decorator of any arguments that leaves a thing as it is."""
    return lambda thing: thing


def module(package: str, inside: str, stand_ins: Mapping[str, Mapping[str, Any]], name: str = "") -> Any:
    """A file, run by itself under ``name`` (of which relative imports are relative).

    ``stand_ins``: what stands in the place of modules while the file is run, as ``{"mmengine.registry": {"MODELS": ...}}``;
    the packages around them are empty. Raises ImportError where the file is not here.
    """
    name = name or f"{package}_{os.path.splitext(os.path.basename(inside))[0]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path_of(package, inside))
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    empty = {}
    for one in (*stand_ins, *([name] if "." in name else [])):
        parts = one.split(".")
        empty.update({".".join(parts[:i]): types.ModuleType(".".join(parts[:i])) for i in range(1, len(parts))})
    for one, content in stand_ins.items():
        empty[one] = types.ModuleType(one)
        empty[one].__dict__.update(content)
    kept = {one: sys.modules.get(one) for one in empty}
    sys.modules.update(empty)
    sys.modules[name] = made
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        for one, before in kept.items():
            if before is not None:
                sys.modules[one] = before
            elif one != name:
                sys.modules.pop(one, None)
    return made


def one_class(package: str, inside: str, name: str, given: Mapping[str, Any]) -> Any:
    """A class of a file that does not run here: its source alone, without decorators, with the names that it uses.

    Raises ImportError where the file or the class is not here.
    """
    with open(path_of(package, inside), encoding="utf-8") as file:
        body = ast.parse(file.read()).body
    node = next((n for n in body if isinstance(n, ast.ClassDef) and n.name == name), None)
    if node is None:
        raise ImportError(f"the file {inside} of {package} defines no class {name} here")
    node.decorator_list = []
    later = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    names = {"__name__": f"{package}_{name}", **given}
    exec(compile(ast.unparse(ast.Module([later, node], [])), inside, "exec"), names)
    return names[name]


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

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 1.0
SEED = 1000
SHAPES = [(3, 11, 65)]
SHARED = ()  # axes along which all elements share one decision
DROPPED = 0.0
CONTROL = False


TAKES = inspect.signature(stax.__call__ if isinstance(stax, type) else stax).parameters


if DTYPE == "float64":
    jax.config.update("jax_enable_x64", True)


def tensor(values):
    return jnp.asarray(values, DTYPE)


def numpy(y):
    return np.asarray(y if DTYPE == "float64" else y.astype("float32"), np.float64)


class ControlLayer:  # the control: a plain right layer
    def __init__(self, rate):
        if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate

    def __call__(self, key, x, training):
        if not training:
            return x
        coins = jax.random.uniform(key, [1 if a in SHARED else n for a, n in enumerate(x.shape)])
        wide, rate = x if x.dtype == "float64" else x.astype("float32"), self.rate
        return jnp.where(coins < rate, DROPPED, wide * 0.0).astype(x.dtype)


def make(rate, seed):
    return {"made": ControlLayer(rate) if CONTROL else lambda x, **given: stax(x, rate, **given), "key": jax.random.key(seed)}


def once(layer, key, x, training):
    if CONTROL:
        return layer["made"](key, x, training)
    return layer["made"](x, **{k: v for k, v in {"key": key, "training": training}.items() if k in TAKES})


def gradient(layer, x, cotangent, wrap=lambda f: f):
    layer["key"], key = jax.random.split(layer["key"])
    y, pull = jax.vjp(wrap(lambda given: once(layer, key, given, True)), x)
    return numpy(y), numpy(pull(cotangent)[0])


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def measured():
    x, cotangent = tensor(values(SHAPES[0], 1)), tensor(values(SHAPES[0], 2))
    y, g = gradient(make(RATE, SEED), x, cotangent)
    right = y == numpy(x) if RATE == 0 else y == DROPPED  # where the forward pass is wrong, its gradient says nothing more
    wrong = right & (g != (numpy(cotangent) if RATE == 0 else 0))
    expected = f"the gradient at rate {RATE:g} is {'the cotangent' if RATE == 0 else '0'} where the output is right"
    observed = f"of {int(right.sum())} it is not at {int(wrong.sum())}, and not finite at {int((right & ~np.isfinite(g)).sum())}"
    defect = bool(wrong.any())
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
