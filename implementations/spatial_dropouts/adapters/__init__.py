"""From what a target names to the adapter that drives it: loading, and recognising the framework from the object."""

from __future__ import annotations

import copy
import difflib
import importlib
import importlib.util
import inspect
from typing import Any, Callable, Mapping, Tuple

from dropcheck.contract import outputs
from dropcheck.contract.adapter import Adapter, Implementation
from dropcheck.contract.server_adapter import ServerAdapter
from spatial_dropouts.adapters import functions
from spatial_dropouts.adapters.loading import NoDropout, belongs, loaded, walk

EXPECTED = (
    "a torch.nn.Module class, a keras.Layer class, a function f(x, rate, *, training, rng) on NumPy arrays, "
    "a function f(x, rate, *, training, key) on JAX arrays, a flax.linen, flax.nnx or equinox Module class, "
    "a function f(x, rate, *, training) on torch or TensorFlow tensors, or a dropcheck.Implementation"
)

_ADAPTERS: Mapping[str, Tuple[str, str]] = {
    "torch": ("torch_layers", "TorchLayers"),
    "torch-function": ("torch_layers", "TorchFunctions"),
    "keras": ("keras_layers", "KerasLayers"),
    "numpy": ("numpy_functions", "NumpyFunctions"),
    "jax": ("jax_functions", "JaxFunctions"),
    "flax-linen": ("flax_linen", "FlaxLinen"),
    "flax-nnx": ("flax_nnx", "FlaxNnx"),
    "equinox": ("equinox_layers", "EquinoxSamples"),
    "equinox-batch": ("equinox_layers", "EquinoxBatches"),
    "haiku": ("haiku_layers", "Haiku"),
    "haliax": ("haliax_layers", "Haliax"),
    "penzai": ("penzai_layers", "Penzai"),
    "brainstate": ("brainstate_layers", "BrainState"),
    "tensorflow": ("tensorflow_functions", "TensorflowFunctions"),
    "tf_keras": ("tf_keras_layers", "TfKerasLayers"),
    "mlx": ("mlx_layers", "MlxLayers"),
    "onnxruntime": ("onnx_runtime", "OnnxRuntime"),
    "onnx": ("onnx_layers", "OnnxParts"),
    "paddle": ("paddle_layers", "PaddleLayers"),
}

_OF_FUNCTIONS = ("numpy", "torch-function", "jax", "tensorflow", "haiku")

# framework, module and class, in the order in which they are asked for. Keras first: on its PyTorch backend a keras.Layer
# is a torch.nn.Module as well
_CLASSES: Tuple[Tuple[str, str, str], ...] = (
    ("keras", "keras", "Layer"),
    ("tf_keras", "tf_keras.layers", "Layer"),
    ("mlx", "mlx.nn", "Module"),
    ("paddle", "paddle.nn", "Layer"),
    ("torch", "torch.nn", "Module"),
    ("flax-linen", "flax.linen", "Module"),
    ("flax-nnx", "flax.nnx", "Module"),
    ("equinox", "equinox", "Module"),
    ("haiku", "haiku", "Module"),
    ("brainstate", "brainstate.nn", "Module"),
)


def plain_twin(adapter: Any, plain: Any) -> Any:
    """A copy of an adapter, its mode and device included, that makes layers of the framework's own class ``plain``."""
    made = copy.copy(adapter)
    made.obj, made.instance, made.implementation = plain, False, Implementation(make=plain)
    return made


def load(locator: str) -> Any:
    """The object at ``package.module:attr`` or ``path/to/file.py:attr``; attr may be dotted (``model.drop``).

    ``model#encoder.drop`` is the layer at that place inside a model, as a survey names it (``models_base``).

    Raises TargetNotFound with the nearest valid thing; an exception of the module itself passes through.
    """
    locator, _, inner = locator.partition("#")
    place, _, attr = locator.rpartition(":")
    module = loaded(place)
    thing = walk(module, place, attr)
    if inner:
        from spatial_dropouts.adapters.models_base import inside

        return inside(thing, inner, module, attr)
    return thing


def adapter_for(obj: Any, implementation: Implementation) -> Adapter:
    """The adapter for a loaded object. Raises TypeError that names what was given and what was expected."""
    if implementation.adapter is not None:
        made = load(implementation.adapter) if isinstance(implementation.adapter, str) else implementation.adapter
        found: Adapter = made(obj, implementation)
        return found
    if isinstance(obj, ServerAdapter):
        served: Adapter = obj(obj, implementation)
        return served
    framework, guessed = (implementation.framework, "") if implementation.framework else recognised(obj)
    if framework not in _ADAPTERS:
        near = difflib.get_close_matches(framework, _ADAPTERS, 1, 0.0)
        raise TypeError(f"framework {framework!r} is not one of {', '.join(_ADAPTERS)}; the nearest is {near[0]!r}")
    if implementation.output is not None:
        if framework in _OF_FUNCTIONS and not isinstance(obj, type):
            obj = outputs.of_function(obj, implementation.output)
        elif not (isinstance(obj, type) or inspect.isfunction(obj)):
            obj = outputs.of_layer(obj, implementation.output)
    module, name = _ADAPTERS[framework]
    adapter: Adapter = getattr(importlib.import_module(f"{__name__}.{module}"), name)(obj, implementation)
    if guessed:
        adapter.guessed = guessed  # type: ignore[attr-defined] # shown with the result
    return adapter


def recognise(obj: Any) -> str:
    """The framework of an object, einops style: a framework counts only if somebody imported it already."""
    return recognised(obj)[0]


def recognised(obj: Any) -> Tuple[str, str]:
    """(framework of an object, why, where that is a guess: what it was taken for and how to say otherwise)."""
    for framework, module, attr in _CLASSES:
        if any(belongs(obj, module, attr)):
            return framework, ""
    if isinstance(obj, type):
        names = functions.parameters(obj.__call__)
        if "rng" in names or "key" in names:
            return functions.framework_of(obj.__call__) or ("numpy", "")
        raise NoDropout(f"the class {obj.__name__} is no layer of a known framework; expected {EXPECTED}")
    if type(obj).__name__ == "ExportedProgram":
        raise NoDropout(
            "an ExportedProgram was given, which is no module; name a factory that makes its module() of a rate "
            "(`def make(p): return torch.export.export(...).module()`)"
        )
    if callable(obj):
        return _function(obj)
    raise NoDropout(f"an object of type {type(obj).__name__} was given; expected {EXPECTED}")


def _function(function: Callable[..., Any]) -> Tuple[str, str]:
    if method := functions.method_without_object(function):
        raise NoDropout(method)
    known = functions.framework_of(function)
    if known is not None:
        return known
    names = functions.parameters(function)
    if len(names) == 1 and (made := made_by(function)):
        return made, ""
    given = getattr(function, "__name__", type(function).__name__)
    if len(names) < 2:
        raise NoDropout(
            f"{given}({', '.join(names)}) is no dropout that can be driven: it takes no rate; expected {EXPECTED}"
        )
    raise NoDropout(
        f"{given}({', '.join(names)}) is no dropout that can be driven: it takes no rng, key or training, and its module "
        f"uses none of NumPy, PyTorch, TensorFlow and JAX; expected {EXPECTED}"
    )


def made_by(function: Callable[..., Any]) -> str:
    """The framework of what a factory makes of a rate; empty where it is none."""
    try:
        made = function(0.5)
    except Exception:  # it takes something else than a rate
        return ""
    return next((framework for framework, module, attr in _CLASSES if belongs(made, module, attr)[1]), "")


def accepts(function: Any, name: str) -> bool:
    """Whether a keyword argument reaches the function. True where no signature can be seen."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.kind is p.VAR_KEYWORD or (p.name == name and p.kind is not p.POSITIONAL_ONLY) for p in parameters)
