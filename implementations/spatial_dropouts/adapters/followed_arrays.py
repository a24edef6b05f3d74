"""Arrays of NumPy that know which draws they come from: they follow uniform numbers to masks, and masks to rates."""

from __future__ import annotations

from typing import Any, Iterator

import numpy as np

from spatial_dropouts.adapters import uniform_numbers
from spatial_dropouts.adapters.uniform_numbers import Value

_NAMES = {  # operations as a jaxpr calls them
    "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "multiply": "mul", "divide": "div",
    "true_divide": "div", "add": "add", "subtract": "sub", "logical_not": "not", "invert": "not", "equal": "eq",
    "not_equal": "ne", "floor": "floor", "maximum": "max", "minimum": "min", "negative": "neg",
}  # fmt: skip
_MOVED = (
    "reshape",
    "broadcast_to",
    "expand_dims",
    "squeeze",
    "transpose",
    "moveaxis",
    "swapaxes",
    "tile",
    "repeat",
    "copy",
)


class Tracked(np.ndarray):
    """An array that knows which draws it comes from, and what was compared with what."""

    value: Value
    draws: Any

    def __array_finalize__(self, obj: Any) -> None:
        self.value = getattr(obj, "value", Value())
        self.draws = getattr(obj, "draws", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        draws = _of((*inputs, *kwargs.get("out", ())))
        given = [_value(one) for one in inputs]
        out = getattr(ufunc, method)(*map(_plain, inputs), **{name: _plain(value) for name, value in kwargs.items()})
        value = uniform_numbers.joined(given)
        if method == "__call__" and draws is not None:
            name = _NAMES.get(ufunc.__name__, ufunc.__name__)
            value = uniform_numbers.computed(name, given, draws.mask, draws.rated)
        targets = kwargs.get("out", ())
        for target in targets:
            if isinstance(target, Tracked):
                target.value = value
        if targets:
            return targets[0] if len(targets) == 1 else targets
        return _wrapped(out, value, draws)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        some = list(_arrays((args, kwargs)))
        draws = _of(some)
        out = func(*_plain(args), **_plain(kwargs))
        value = uniform_numbers.joined(map(_value, some))
        if func is np.where and len(args) == 3 and draws is not None:
            given = [_value(args[0]), _value(args[2]), _value(args[1])]
            value = uniform_numbers.computed("select_n", given, draws.mask, draws.rated)
        elif func.__name__ in _MOVED and args and isinstance(args[0], Tracked):
            value = args[0].value
        return _wrapped(out, value, draws)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        out: Any = np.ndarray.astype(self, dtype, *args, **kwargs)
        if self.value.uniform is not None and np.dtype(dtype).kind in "iub" and self.draws is not None:
            out.value = uniform_numbers.computed("floor", [self.value], self.draws.mask, self.draws.rated)
        return out

    def __setitem__(self, key: Any, new: Any) -> None:
        value = _value(key)
        if value.mask is not None and self.draws is not None and _value(new).number == 0:
            self.draws.rated(*value.mask)  # what is set to 0 where the mask is true
        super().__setitem__(_plain(key), _plain(new))
        self.value = uniform_numbers.joined([self.value, value, _value(new)])


def tracked(values: Any, draws: Any) -> Any:
    """A copy of an array, whose operations are followed."""
    return wrapped(np.array(values), Value(), draws)


def wrapped(values: Any, value: Value, draws: Any) -> Tracked:
    made = values.view(Tracked)
    made.value, made.draws = value, draws
    return made


def _wrapped(out: Any, value: Value, draws: Any) -> Any:
    if isinstance(out, (tuple, list)):
        return type(out)(_wrapped(one, value, draws) for one in out)
    return wrapped(out, value, draws) if isinstance(out, np.ndarray) else out


def _plain(thing: Any) -> Any:
    if isinstance(thing, Tracked):
        return thing.view(np.ndarray)
    if type(thing) in (tuple, list):
        return type(thing)(map(_plain, thing))
    return {name: _plain(one) for name, one in thing.items()} if type(thing) is dict else thing


def _arrays(thing: Any) -> Iterator[Any]:
    if isinstance(thing, Tracked):
        yield thing
    elif isinstance(thing, (tuple, list)):
        for one in thing:
            yield from _arrays(one)
    elif isinstance(thing, dict):
        yield from _arrays(list(thing.values()))


def _of(some: Any) -> Any:
    return next((one.draws for one in some if isinstance(one, Tracked) and one.draws is not None), None)


def _value(thing: Any) -> Value:
    return thing.value if isinstance(thing, Tracked) else Value.of(thing)
