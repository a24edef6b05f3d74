"""Every random draw of a JAX program, read from its jaxpr: which function draws, in which module, called where, at which rate."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Optional, Sequence, Tuple

import jax
import numpy as np

from spatial_dropouts.adapters.draws_frames import VIA, Caller, caller, of_library
from spatial_dropouts.adapters.uniform_numbers import Value, joined, result

_DRAWS = ("random_bits", "rng_uniform", "rng_bit_generator", "random_gamma", "threefry2x32", "prng_random_bits")
_SMALL = 4096  # numbers of a value whose digest is kept
_MOST = 10_000  # draws of one pass that are kept
_MARK = re.compile(r"\[\[([^|\]]*)\|([^|\]]*)\|([01])\]\]")


def mark(path: str, kind: str, made: bool = False) -> Any:
    """A name scope that operations carry into the jaxpr, through jit, scan and vmap: which module they belong to."""
    return jax.named_scope(f"[[{path}|{kind}|{int(made)}]]")


@dataclass(frozen=True)
class _Place:
    """What an operation inherits from those around it: module, line of code, how often it runs."""

    module: str = ""
    kind: str = ""
    made: bool = False
    called: Optional[Caller] = None
    frozen: bool = False  # inside of a library's own compiled function, whose lines are those of its first use
    times: int = 1


class Draws:
    """The draws of one program, in its order; see ``found``."""

    def __init__(self) -> None:
        self.rows: List[Dict[str, Any]] = []
        self.keys: List[str] = []  # what each draws from, as a digest; empty where it is not known
        self.times: List[int] = []

    def read(self, closed: Any, kind: str) -> FrozenSet[int]:
        """Read a closed jaxpr; the draws that its outputs depend on. ``kind``: the class of what runs outside of any module."""
        outs = self._run(closed, [Value()] * len(_open(closed)[0].invars), _Place(kind=kind))
        return frozenset().union(*(v.draws for v in outs)) if outs else frozenset()

    def found(self, which: Optional[FrozenSet[int]] = None) -> List[Dict[str, Any]]:
        """Plain data for ``dropcheck.contract.sites.Draw``, a row a draw; what runs in a scan, once a step."""
        some = [i for i in range(len(self.rows)) if which is None or i in which]
        return [dict(self.rows[i]) for i in some for _ in range(self.times[i])][:_MOST]

    def _run(self, closed: Any, given: Sequence[Value], place: _Place) -> List[Value]:
        jaxpr, consts = _open(closed)
        known: Dict[Any, Value] = dict(zip(jaxpr.constvars, map(Value.of, consts)))
        known.update(zip(jaxpr.invars, given))
        for variable, constant in zip(jaxpr.constvars, consts):
            known[variable] = replace(known[variable], same=_digest(constant))

        def value(atom: Any) -> Value:
            if hasattr(atom, "val"):
                return replace(Value.of(atom.val), same=_digest(atom.val))
            return known.get(atom, Value())

        for eqn in jaxpr.eqns:
            some = [value(a) for a in eqn.invars]
            outs = self._equation(eqn, some, self._placed(eqn, place))
            if not list(_inner(eqn.params)):
                outs = [replace(one, same=_of_equation(eqn, some, i)) for i, one in enumerate(outs)]
            known.update(zip(eqn.outvars, outs))
        return [value(a) for a in jaxpr.outvars]

    def _placed(self, eqn: Any, place: _Place) -> _Place:
        outer, marks = place, _MARK.findall(str(eqn.source_info.name_stack))
        if marks:
            module, kind, made = marks[-1]
            place = replace(place, module=module, kind=kind, made=made == "1")
        if place.frozen:
            return place
        called = caller(_frames(eqn))
        if called is None:
            return place
        if (
            outer.called is not None and outer.module == place.module
        ):  # a compiled helper has the lines of its first use
            way = (*called.via, f"{outer.called.file}:{outer.called.line}", *outer.called.via)
            called = replace(called, via=way[:VIA])
        return replace(place, called=called)

    def _equation(self, eqn: Any, given: List[Value], place: _Place) -> List[Value]:
        name = eqn.primitive.name
        if name in _DRAWS:
            return self._draw(eqn, given, place)
        inner = list(_inner(eqn.params))
        if not inner:
            return result(eqn, given, self._mask, self._rate)
        before = len(self.rows)
        if name == "cond":
            branches = list(eqn.params["branches"])
            index = given[0].number
            chosen = branches if index is None else [branches[min(max(int(index), 0), len(branches) - 1)]]
            outs = [self._run(b, given[1:], place) for b in chosen]
            if index is not None:
                return outs[0]
            return [replace(joined(some), draws=joined(some).draws | given[0].draws) for some in zip(*outs)]
        if name in ("scan", "while"):
            steps = int(eqn.params.get("length", 1)) if name == "scan" else 1
            for one in inner:  # carried values change: nothing is known of them but the draws
                count = len(_open(one)[0].invars)
                fixed = int(eqn.params.get("num_consts", 0)) if name == "scan" else 0
                values = [v if i < fixed else Value(v.draws) for i, v in enumerate(given[:count])]
                self._run(one, values + [Value()] * (count - len(values)), replace(place, times=place.times * steps))
        elif len(inner) == 1 and len(_open(inner[0])[0].invars) == len(given):
            outs1 = self._run(inner[0], given, _entered(inner[0], place))
            if len(outs1) == len(eqn.outvars):
                return outs1
        else:
            for one in inner:
                self._run(one, [Value()] * len(_open(one)[0].invars), place)
        every = joined(given).draws | frozenset(range(before, len(self.rows)))
        return [Value(every) for _ in eqn.outvars]

    def _draw(self, eqn: Any, given: List[Value], place: _Place) -> List[Value]:
        shape = [int(n) for n in eqn.outvars[-1].aval.shape]
        number = len(self.rows)
        self.keys.append(_drawn_from(eqn, given))
        called = place.called or Caller("", 0, "", "")
        self.rows.append(
            {
                "op": "bernoulli" if called.function.endswith(".bernoulli") else eqn.primitive.name,
                "function": called.function,
                "module": place.module,
                "kind": place.kind,
                "rate": None,
                "shape": shape,
                "file": called.file,
                "line": called.line,
                "where": called.where,
                "made": place.made,
                "via": list(called.via),
            }
        )
        self.times.append(place.times)
        some = frozenset((number,)) | joined(given).draws
        if eqn.primitive.name == "rng_uniform" and None not in (given[0].number, given[1].number):
            last = Value(some, uniform=(number, given[0].number, given[1].number))  # type: ignore[arg-type]
        else:
            wide = float(2 ** int(eqn.params.get("bit_width", 32)))
            last = Value(some, uniform=(number, 0.0, wide), bits=number)
        return [*(Value(some) for _ in eqn.outvars[1:]), last]

    def _mask(self, draw: int) -> None:
        """A uniform number of this draw is compared with a constant: it makes Bernoulli numbers."""
        self.rows[draw]["op"] = "bernoulli"

    def _rate(self, draw: int, rate: float) -> None:
        if self.rows[draw]["rate"] is None:
            self.rows[draw]["rate"] = round(rate, 6)


def _open(closed: Any) -> Tuple[Any, Sequence[Any]]:
    """A jaxpr and its constants, of a closed or an open one."""
    return (closed.jaxpr, closed.consts) if hasattr(closed, "consts") else (closed, ())


def _digest(constant: Any) -> str:
    """A digest of a small constant: keys, seeds and what they are computed from; empty for anything else."""
    if not 0 < int(getattr(constant, "size", 1)) <= _SMALL:
        return ""
    try:
        typed = hasattr(constant, "dtype") and jax.dtypes.issubdtype(constant.dtype, jax.dtypes.prng_key)
        numbers = np.asarray(jax.random.key_data(constant) if typed else constant)
    except Exception:  # a token, a tracer
        return ""
    return hashlib.sha256(repr((numbers.shape, str(numbers.dtype))).encode() + numbers.tobytes()).hexdigest()[:24]


def _of_equation(eqn: Any, given: Sequence[Value], output: int) -> str:
    """The digest of what an equation makes of values with digests: equal ones are equal numbers."""
    if eqn.primitive.name in ("random_wrap", "random_unwrap", "copy", "copy_p") and len(given) == 1:
        return given[0].same
    small = all(int(getattr(v.aval, "size", _SMALL + 1)) <= _SMALL for v in eqn.outvars)
    if not small or eqn.primitive.name in _DRAWS or any(not v.same for v in given):
        return ""
    words = (eqn.primitive.name, sorted((k, str(v)) for k, v in eqn.params.items()), [v.same for v in given], output)
    return hashlib.sha256(repr(words).encode()).hexdigest()[:24]


def _drawn_from(eqn: Any, given: Sequence[Value]) -> str:
    """The digest of the key that an equation draws from."""
    if eqn.primitive.name == "random_bits" and given:
        return given[0].same
    if eqn.primitive.name == "rng_bit_generator" and given:
        return given[0].same
    return given[0].same + given[1].same if eqn.primitive.name == "threefry2x32" and given[0].same else ""


def _inner(params: Dict[str, Any]) -> Iterator[Any]:
    for value in params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(one, "eqns") or (hasattr(one, "jaxpr") and hasattr(one, "consts")):
                yield one


def _frames(eqn: Any) -> Iterator[Tuple[str, int, str]]:
    """File, line and function of the Python frames, innermost first."""
    traceback = eqn.source_info.traceback
    for frame in getattr(traceback, "frames", ()):
        yield frame.file_name, getattr(frame, "line_num", 0), frame.function_name


def _entered(closed: Any, place: _Place) -> _Place:
    """The place inside of a compiled function: of a library's own one (``_bernoulli``), that of its caller.

    It is traced once and used again, so that lines inside are those of its first use.
    """
    words = str(getattr(getattr(_open(closed)[0], "debug_info", None), "func_src_info", "") or "")
    file = words.partition(" at ")[2].rpartition(":")[0]
    return replace(place, frozen=True) if place.called is not None and of_library(file) else place


def traced(run: Callable[..., Any], *given: Any, kind: str) -> Tuple[Draws, FrozenSet[int]]:
    """The draws of ``run(*given)``, which is traced and not run, and which of them its outputs depend on."""
    draws = Draws()
    return draws, draws.read(jax.make_jaxpr(run)(*given), kind)
