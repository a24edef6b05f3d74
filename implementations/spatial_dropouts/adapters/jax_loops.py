"""Loops of JAX outside of compiled programs: two of the same equations are one program, compiled once.

JAX traces the body of a loop at each call and looks its program up by the identity of what the trace gave. A layer whose body
is a new closure at each call, as all recurrent layers of Keras are, is compiled anew at each: 200 to 500 ms of processor time,
30 ms with what it keeps on disk. Here JAX is handed the first of the bodies that are alike, equation for equation. All else
is its own: the layer's code runs at each call, and what runs is the program that JAX would compile.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import Any, Callable, Dict, Hashable, Iterator, List, Tuple

import jax
import numpy as np

try:
    from jax.extend import core
    from jax.extend.core import primitives
except ImportError:  # an older release: its loops stay as they are
    core = primitives = None

_KEPT = 512  # bodies; an audit meets some tens of shapes, in training, inference and gradients

# what only a derivative of an equation reads: where a loop runs, derivatives have been taken
_DERIVATIVES = {
    "custom_jvp_call": ("jvp_jaxpr_fun",),
    "custom_vjp_call": ("fwd_jaxpr_thunk", "bwd"),
}


class _Unlike(Exception):
    """Something that cannot be compared: the body stands for itself."""


def _constant(value: Any) -> Hashable:
    """A number or an array, bit for bit."""
    found = np.asarray(value)
    if found.dtype.kind == "O":
        raise _Unlike
    return (type(value).__name__, str(found.dtype), found.shape, found.tobytes())


class _Reader:
    """What a body computes, with variables numbered in the order in which they appear."""

    def __init__(self) -> None:
        self.numbers: Dict[Any, int] = {}

    def made(self, variable: Any) -> Hashable:
        self.numbers[variable] = len(self.numbers)
        return _typed(variable.aval)

    def read(self, atom: Any) -> Hashable:
        if isinstance(atom, core.Literal):
            return ("constant", _typed(atom.aval), _constant(atom.val))
        return self.numbers[atom]

    def body(self, jaxpr: Any) -> Hashable:
        if jaxpr.effects:
            raise _Unlike  # what it prints or asks of Python is told by whom it was made
        given = [self.made(v) for v in (*jaxpr.constvars, *jaxpr.invars)]
        steps: List[Hashable] = []
        for step in jaxpr.eqns:
            if step.effects:
                raise _Unlike
            read = tuple(self.read(atom) for atom in step.invars)
            names = _DERIVATIVES.get(step.primitive.name, ())
            options = tuple((k, self.option(v)) for k, v in sorted(step.params.items()) if k not in names)
            made = tuple(self.made(v) for v in step.outvars)
            steps.append((step.primitive, read, options, made, step.ctx))
        return (len(jaxpr.constvars), tuple(given), tuple(steps), tuple(self.read(atom) for atom in jaxpr.outvars))

    def option(self, value: Any) -> Hashable:
        if isinstance(value, core.ClosedJaxpr):
            return closed(value)
        if isinstance(value, core.Jaxpr):
            return _Reader().body(value)
        if isinstance(value, (tuple, list)):
            return (type(value).__name__, *(self.option(one) for one in value))
        if isinstance(value, (float, np.ndarray, np.generic, jax.Array)):
            return _constant(value)  # 0. and -0. are equal, and two
        # a function is itself only: one that is made anew is another
        return (type(value).__name__, value)


def _typed(aval: Any) -> Hashable:
    return (aval, bool(getattr(aval, "weak_type", False)))


def closed(jaxpr: Any) -> Hashable:
    """What a closed jaxpr computes: equal for two of which either can stand for the other. Raises _Unlike where nobody knows."""
    return (tuple(_constant(value) for value in jaxpr.consts), _Reader().body(jaxpr.jaxpr))


class Loops:
    """``impl`` of a loop, with bodies that are alike handed to ``before`` as one object."""

    def __init__(self, before: Callable[..., Any]) -> None:
        self.before = before
        self.bodies: "OrderedDict[Hashable, Any]" = OrderedDict()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        same = {
            name: self.first(value) if isinstance(value, core.ClosedJaxpr) else value for name, value in options.items()
        }
        return self.before(*arguments, **same)

    def first(self, jaxpr: Any) -> Any:
        """The first of the bodies that compute the same."""
        try:
            key = closed(jaxpr)
            found = self.bodies.pop(key, jaxpr)
        except (
            _Unlike,
            TypeError,
            KeyError,
            AttributeError,
        ):  # an option without a hash, a variable from elsewhere, a release
            return jaxpr
        self.bodies[key] = found
        while len(self.bodies) > _KEPT:
            self.bodies.popitem(last=False)
        return found


def _loops() -> Tuple[Any, ...]:
    """The primitives, by their public place; none in a release that has another."""
    found = (getattr(primitives, name, None) for name in ("scan_p", "while_p"))
    return tuple(one for one in found if hasattr(one, "def_impl"))


def shared() -> bool:
    """From now on, loops of the same equations are one program in this process. False: they were before."""
    others = [loop for loop in _loops() if not isinstance(loop.impl, Loops)]
    for loop in others:
        loop.def_impl(Loops(loop.impl))
    return bool(others)


def apart() -> None:
    """Each loop is compiled by itself again."""
    for loop in _loops():
        if isinstance(loop.impl, Loops):
            loop.def_impl(loop.impl.before)


@contextlib.contextmanager
def alike() -> Iterator[None]:
    """Loops of the same equations are one program within."""
    mine = shared()
    try:
        yield
    finally:
        if mine:
            apart()
