"""Layers that return more than a tensor: the part that an Implementation chooses, and what is said where it chooses none."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Union

# Imported by the worker: NumPy and the standard library only, Python 3.9 at run time.

Output = Union[int, str, Callable[[Any], Any]]

_METHODS = {"torch": "forward", "paddle": "forward", "keras": "call", "tf_keras": "call"}
_CLASSES: dict[tuple[type, Any], type] = {}


class Undeclared(TypeError):
    """What must be said in an Implementation before a layer can be driven; the text is one sentence."""


def part(returned: Any, output: Output) -> Any:
    """The part of what a layer returned: by place, by key, by attribute, or by a function of it."""
    if callable(output):
        return output(returned)
    if isinstance(output, str) and not isinstance(returned, Mapping):
        return getattr(returned, output)
    return returned[output]


def of_function(function: Callable[..., Any], output: Output) -> Callable[..., Any]:
    """The function that returns that part only; its signature stays."""

    @functools.wraps(function)
    def chosen(*args: Any, **keywords: Any) -> Any:
        return part(function(*args, **keywords), output)

    return chosen


def of_layer(layer: Any, output: Output) -> Any:
    """The layer with a class of its own whose calls return that part only; a layer of any framework."""
    kind = type(layer)
    place = (kind, output)
    if place not in _CLASSES:
        roots = [base.__module__.partition(".")[0] for base in kind.__mro__]
        name = next((_METHODS[root] for root in roots if root in _METHODS), "__call__")
        meta: Any = type(kind)
        _CLASSES[place] = meta(kind.__name__, (kind,), {name: of_function(getattr(kind, name), output)})
    layer = copy.copy(layer)
    object.__setattr__(layer, "__class__", _CLASSES[place])
    return layer


def check(returned: Any) -> None:
    """Raise Undeclared where a layer returned several things, with the option that chooses one."""
    if isinstance(returned, (tuple, list)):
        fields = getattr(returned, "_fields", None)
        what, choice = f"a {type(returned).__name__} of {len(returned)}", "0"
        if fields:
            what += f" ({', '.join(fields)})"
    elif isinstance(returned, Mapping):
        what = f"a {type(returned).__name__} with {', '.join(map(repr, returned)) or 'nothing in it'}"
        choice = repr(next(iter(returned), "y"))
    elif dataclasses.is_dataclass(returned) and not hasattr(returned, "dtype"):
        names = [f.name for f in dataclasses.fields(returned)]
        what, choice = f"a {type(returned).__name__} with {', '.join(names)}", repr(names[0] if names else "y")
    else:
        return
    raise Undeclared(
        f"the layer returned {what}, expected a tensor like its input; say which part is the output, as in "
        f"Implementation(make=..., output={choice}), where a function of what is returned does, too"
    )
