"""Models that say nothing of a rate: classes that are made without an argument, functions of one array that draw by themselves."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Dict, Optional, Set, Tuple

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
# a function of an array may be given a random state under these names, and be told whether it trains under those
KEYS = ("key", "rng", "seed")
ON, OFF = ("training", "train", "is_training"), ("inference", "deterministic")
FLAGLESS = "it takes no training flag"


def made(thing: Any) -> Any:
    """What a function or a class makes of nothing; None where it needs something, or is neither."""
    if inspect.isfunction(thing):
        return None if _needed(thing) else thing()
    if not isinstance(thing, type):
        return None
    if not any(belongs(thing, *one)[0] for one in _CLASSES) and not _of_the_user(thing):
        return None
    given = {name: state(name) for name in _given(thing)} if _given(thing) is not None else None
    return None if given is None else thing(**given)


def _of_the_user(cls: type) -> bool:
    """Whether a class of no framework is called like a layer: its ``__call__`` is Python code."""
    from spatial_dropouts.adapters import _CLASSES as known

    ours = cls.__module__.partition(".")[0] in ("dropcheck", "spatial_dropouts")
    return (
        not ours
        and inspect.isfunction(vars_of(cls, "__call__"))
        and not any(belongs(cls, m, n)[0] for _, m, n in known)
    )


def vars_of(cls: type, name: str) -> Any:
    """What a class or one of its bases defines under a name; None for what only ``type`` or ``object`` has."""
    return next((vars(one)[name] for one in cls.__mro__ if name in vars(one)), None)


def _needed(function: Any) -> bool:
    empty, many = inspect.Parameter.empty, (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(p.default is empty and p.kind not in many for p in inspect.signature(function).parameters.values())


def _given(cls: Any) -> Any:
    """The arguments of a constructor where it takes a random state at most; None where it takes anything else."""
    owner = next((one for one in cls.__mro__ if "__init__" in vars(one)), cls)
    if owner is object:
        return []
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


def flags(function: Any) -> Dict[str, bool]:
    """The keyword that puts a call into training, and its value there; empty where it has none."""
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    return next(({name: name in ON} for name in (*ON, *OFF) if name in names), {})


def words(function: Any, training: bool, states: Dict[str, Any]) -> Dict[str, Any]:
    """The keyword arguments of a call: the flag, and those of the random states that the function takes."""
    from spatial_dropouts.adapters import functions

    said = {name: on if training else not on for name, on in flags(function).items()}
    return {**{name: states[name] for name in functions.parameters(function)[1:] if name in states}, **said}


def title(function: Any) -> str:
    """What a reader calls it."""
    return str(getattr(function, "__name__", type(function).__name__))


def of_function(thing: Any) -> Tuple[Any, Known]:
    """A function of one array that draws, as a model of its framework, and that framework; (thing, None) for anything else.

    An object that is called with an array, and a class of such objects that is made without an argument, count as functions.
    """
    from spatial_dropouts.adapters import functions, made_by

    if isinstance(thing, type) and (one := made(thing)) is not None:
        thing = one
    whole = getattr(thing, "python_function", None) or inspect.unwrap(thing) if callable(thing) else None
    called = inspect.isfunction(whole) or (
        whole is not None and not isinstance(thing, type) and _of_the_user(type(thing))
    )
    names = functions.parameters(thing) if called else []
    if not names or set(names[1:]) - {*KEYS, *ON, *OFF} or (len(names) == 1 and made_by(thing)):
        return thing, None
    used = functions.used(whole) if inspect.isfunction(whole) else _used(type(thing))
    if "tensorflow" in used:
        return thing, ("models_tensorflow", "tensorflow")
    if "torch" in used:
        if set(names) & set(KEYS):
            return thing, None
        program = importlib.import_module("spatial_dropouts.adapters.torch_programs").Function(thing, flags(thing))
        return program, ("models_torch", "torch")
    if "jax" in used or "key" in names:
        return thing, ("models_functions", "jax")
    return thing, ("models_numpy", "numpy") if "numpy" in used or "rng" in names else None


def _used(cls: type) -> Set[str]:
    """Roots of the packages that the methods of a class name."""
    from spatial_dropouts.adapters import functions

    methods = [m for one in cls.__mro__ if one is not object for m in vars(one).values() if inspect.isfunction(m)]
    return set().union(*(functions.used(m) for m in methods if m.__module__ == cls.__module__))
