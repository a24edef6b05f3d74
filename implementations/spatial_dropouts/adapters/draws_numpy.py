"""Every random draw of NumPy code: generators that tell what is drawn from them, and arrays that know what was drawn."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import sys
from dataclasses import replace
from typing import Any, Callable, Collection, Dict, Iterator, List, Optional, Tuple

import numpy as np

from spatial_dropouts.adapters.draws_frames import caller, stack
from spatial_dropouts.adapters.followed_arrays import wrapped
from spatial_dropouts.adapters.uniform_numbers import Value

_GENERATOR, _STATE = np.random.Generator, np.random.RandomState  # the real ones, which are replaced during a pass
_MOST = 10_000  # draws of one pass that are kept
_UNIFORM = ("random", "rand", "random_sample", "ranf", "sample")


class Draws:
    """The draws of one pass, in their order; rows are plain data for ``dropcheck.contract.sites.Draw``.

    ``kind``: the class of what runs. ``turned``: numbers of draws that are made by another generator, to see who uses them.
    ``followed``: whether what is drawn are arrays that are followed to the rates of masks.
    """

    followed = True
    inside = False

    def __init__(self, kind: str, turned: Collection[int] = ()) -> None:
        self.kind, self.turned = kind, frozenset(turned)
        self.found: List[Dict[str, Any]] = []
        self.states: List[str] = []
        self.other = _GENERATOR(np.random.PCG64(20141111))
        self.older = _STATE(20141111)

    def made(
        self, source: Any, name: str, method: Callable[..., Any], args: Tuple[Any, ...], given: Dict[str, Any]
    ) -> Any:
        """Call a method of a generator; it drew if the generator has moved."""
        if self.inside:  # a method that calls another one
            return method(*args, **given)
        before = _state(source)
        self.inside = True
        try:
            out = method(*args, **given)
        finally:
            self.inside = False
        if name in ("seed", "set_state", "get_state", "spawn") or _state(source) == before:
            return out
        number = len(self.found)
        if number >= _MOST:
            return out
        if number in self.turned:
            twin = self.older if isinstance(source, _STATE) else self.other
            out = getattr(type(twin), name)(twin, *args, **given)
        called = caller(stack(sys._getframe(2)))
        value = _drawn(name, number, args, given)
        self.states.append(hashlib.sha256(before.encode()).hexdigest()[:24])
        self.found.append(
            {
                "op": "bernoulli" if value.mask is not None else name,
                "function": f"{'numpy.random' if isinstance(source, _STATE) else 'Generator'}.{name}",
                "module": "",
                "kind": self.kind,
                "rate": None,
                "shape": [int(n) for n in np.shape(out)],
                "file": called.file if called else "",
                "line": called.line if called else 0,
                "where": called.where if called else "",
                "made": False,
                "via": list(called.via) if called else [],
            }
        )
        return wrapped(out, value, self) if self.followed and isinstance(out, np.ndarray) else out

    def mask(self, draw: int) -> None:
        """Uniform numbers of this draw are compared with a constant: they decide."""
        self.found[draw]["op"] = "bernoulli"

    def rated(self, draw: int, rate: float) -> None:
        """This draw drops at this rate."""
        if self.found[draw]["rate"] is None:
            self.found[draw]["rate"] = round(rate, 6)


def _state(source: Any) -> str:
    with np.printoptions(threshold=sys.maxsize):
        if isinstance(source, _STATE):
            return repr(_STATE.get_state(source))
        return repr(source.bit_generator.state)


def _drawn(name: str, draw: int, args: Tuple[Any, ...], given: Dict[str, Any]) -> Value:
    """What is known of the numbers of a draw."""
    known = Value(frozenset((draw,)))

    def argument(place: int, word: str, default: float) -> Optional[float]:
        return Value.of(given.get(word, args[place] if len(args) > place else default)).number

    if name in _UNIFORM:
        return replace(known, uniform=(draw, 0.0, 1.0))
    if name == "uniform":
        low, high = argument(0, "low", 0.0), argument(1, "high", 1.0)
        return known if low is None or high is None else replace(known, uniform=(draw, low, high))
    if name == "binomial" and argument(0, "n", 0) == 1:
        kept = argument(1, "p", 0.5)
        return known if kept is None else replace(known, mask=(draw, kept))
    if name in ("integers", "randint"):
        low, high = argument(0, "low", 0), argument(1, "high", -1)
        two = (low, high) == (0, 2) or ((low, high) == (2, -1))
        return replace(known, mask=(draw, 0.5)) if two and not given.get("endpoint") else known
    if name == "choice":
        return _chosen(known, draw, args, given)
    return known


def _chosen(known: Value, draw: int, args: Tuple[Any, ...], given: Dict[str, Any]) -> Value:
    """Of a choice among 0 and one other number: how often it is the other."""
    among = np.asarray(given.get("a", args[0] if args else ()))
    some = np.arange(int(among)) if among.ndim == 0 else among
    if some.shape != (2,) or some.dtype.kind not in "biuf" or (some != 0).sum() != 1:
        return known
    shares = given.get("p", args[3] if len(args) > 3 else None)
    other = int(np.argmax(some != 0))
    return replace(known, mask=(draw, 0.5 if shares is None else float(np.asarray(shares)[other])))


def _watching(base: type, draws: Draws) -> type:
    """The class of generators whose methods tell the draws of what they do."""

    class Watching(base):
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name.startswith("_") or name == "bit_generator" or not callable(found):
                return found

            def method(*args: Any, **kwargs: Any) -> Any:
                return draws.made(self, name, found, args, kwargs)

            return method

    Watching.__name__ = Watching.__qualname__ = base.__name__
    return Watching


class Sources:
    """The generators of passes: those that code is given, makes or holds, as ones that are watched; the real ones do not move."""

    def __init__(self, draws: Draws, followed: bool = True) -> None:
        self.draws = draws
        draws.followed = followed
        self.new, self.old = _watching(_GENERATOR, draws), _watching(_STATE, draws)
        self.known: Dict[int, Tuple[Any, Any]] = {}

    def generator(self, seed: int) -> Any:
        """A generator to give to a function."""
        return self.new(np.random.PCG64(seed))

    def of(self, held: Any) -> Any:
        """The watched twin of a generator."""
        if id(held) not in self.known:
            twin: Any
            if isinstance(held, _STATE):
                twin = self.old()
                _STATE.set_state(twin, held.get_state())
            else:
                twin = self.new(copy.deepcopy(held.bit_generator))
            self.known[id(held)] = (held, twin)
        return self.known[id(held)][1]

    def replaced(self, value: Any) -> Any:
        """What stands for a global value of the code: a watched generator, or the method of one; the value itself for others."""
        if isinstance(value, (_GENERATOR, _STATE)):
            return self.of(value)
        owner = getattr(value, "__self__", None)
        if isinstance(owner, (_GENERATOR, _STATE)):
            return getattr(self.of(owner), value.__name__)
        if value is _DEFAULT:
            return self._default
        return (
            getattr(self.of(np.random.mtrand._rand), _GLOBAL[value]) if _hashable(value) and value in _GLOBAL else value
        )

    def _default(self, seed: Any = None) -> Any:
        if isinstance(seed, _GENERATOR):
            return seed if isinstance(seed, self.new) else self.of(seed)
        return self.new(seed if isinstance(seed, np.random.BitGenerator) else np.random.PCG64(seed))


_DEFAULT = np.random.default_rng
# functions of the module that use NumPy's own generator and are no methods of it
_GLOBAL = {
    getattr(np.random, name): to
    for name, to in (("seed", "seed"), ("ranf", "random_sample"), ("sample", "random_sample"))
}


def _hashable(value: Any) -> bool:
    return callable(value) and type(value).__hash__ is not None


@contextlib.contextmanager
def watched(sources: Sources, around: Dict[str, Any], holders: Collection[Any]) -> Iterator[None]:
    """Meanwhile NumPy's own functions, generators among the globals ``around`` and in attributes of ``holders`` are watched."""
    spaces: List[Dict[str, Any]] = [
        vars(np.random),
        around,
        *(vars(one) for one in holders if hasattr(one, "__dict__")),
    ]
    before = [(space, name, value) for space in spaces for name, value in space.items() if not name.startswith("__")]
    turned = [(space, name, value, sources.replaced(value)) for space, name, value in before]
    changed = [(space, name, value, new) for space, name, value, new in turned if new is not value]
    try:
        for space, name, _, new in changed:
            space[name] = new
        np.random.Generator, np.random.RandomState = sources.new, sources.old  # type: ignore[misc, assignment]
        yield
    finally:
        np.random.Generator, np.random.RandomState = _GENERATOR, _STATE  # type: ignore[misc]
        for space, name, value, _ in changed:
            space[name] = value
