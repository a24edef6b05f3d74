"""Models that say nothing of a rate: classes that are made without an argument, functions of one array that draw by themselves."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Optional, Tuple

from spatial_dropouts.adapters.loading import belongs

Known = Optional[Tuple[str, str]]  # module of a survey, what it is

# classes of layers, and what their constructors may need that is no rate: a random state
_CLASSES = (
    ("torch.nn", "Module"),
    ("keras", "Layer"),
    ("flax.linen", "Module"),
    ("flax.nnx", "Module"),
    ("equinox", "Module"),
)
_STATES = ("rngs", "key")
_LINEN = ("parent", "name")  # what every module of linen takes
# a function of an array may be given a random state of JAX under these names
KEYS = ("key", "rng")


def made(thing: Any) -> Any:
    """What a function or a class makes of nothing; None where it needs something, or is neither."""
    if inspect.isfunction(thing):
        return None if _needed(thing) else thing()
    if not isinstance(thing, type) or not any(belongs(thing, *one)[0] for one in _CLASSES):
        return None
    given = {name: state(name) for name in _given(thing)} if _given(thing) is not None else None
    return None if given is None else thing(**given)


def _needed(function: Any) -> bool:
    empty, many = inspect.Parameter.empty, (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(p.default is empty and p.kind not in many for p in inspect.signature(function).parameters.values())


def _given(cls: Any) -> Any:
    """The arguments of a constructor where it takes a random state at most; None where it takes anything else."""
    owner = next((one for one in cls.__mro__ if "__init__" in vars(one)), cls)
    if owner.__module__.partition(".")[0] in ("torch", "keras"):
        bare = owner.__name__ in ("Module", "Layer", "Model")  # their own class: whatever they take, it is no rate
        return [] if bare else None
    names = [n for n in list(inspect.signature(vars(owner)["__init__"]).parameters)[1:] if n not in _LINEN]
    return names if set(names) <= set(_STATES) else None


def state(name: str) -> Any:
    """A random state of JAX as constructors and functions take it under a name."""
    if name == "rngs":
        return importlib.import_module("flax.nnx").Rngs(20141110)
    return importlib.import_module("jax").random.key(20141110)


def of_function(thing: Any) -> Tuple[Any, Known]:
    """A function of one array that draws, as a model of its framework, and that framework; (thing, None) for anything else."""
    from spatial_dropouts.adapters import functions, made_by

    names = functions.parameters(thing) if inspect.isfunction(thing) else []
    if not names or set(names[1:]) - set(KEYS) or made_by(thing):
        return thing, None
    used = functions.used(thing)
    if "torch" in used and len(names) == 1:
        return importlib.import_module("spatial_dropouts.adapters.torch_programs").Function(thing), (
            "models_torch",
            "torch",
        )
    if "jax" in used and "torch" not in used and "tensorflow" not in used:
        return thing, ("models_functions", "jax")
    return thing, None
