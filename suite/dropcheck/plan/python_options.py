"""Options as a Python program gives them: under the command line's names, or a request's fields, in the forms of either."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar

from dropcheck.contract.errors import UsageError, nearest
from dropcheck.plan import audit_options, option_values

Callee = TypeVar("Callee", bound=Callable[..., Any])
Texts = str | Sequence[str]  # "a,b" or ("a", "b")
Rates = float | str | Sequence[float] | Sequence[str]
Shape = str | Sequence[int]  # "256,64,3" or (256, 64, 3)
Time = float | str  # seconds, or "2m"
Place = str | os.PathLike[str]
Profile = Literal["quick", "standard", "deep"] | str
Device = Literal["cpu", "cuda"] | str


class ClaimOptions(TypedDict, total=False):
    """Options of an audit but ``strict``, which is a word of pytest's own in ``dropcheck.parametrize_with_checks``.

    ``in_process``: audit names in this process, too. ``causes``: shrink failing cases and name the likely cause (True).
    The names of the last block say the same as those above, as fields of ``AuditRequest``.
    """

    profile: Profile
    budget: Time
    resolution: float | str
    case: Texts
    select: Texts
    ignore: Texts
    rate: Rates
    dtype: Texts
    device: Device
    mode: Texts
    shape: Shape | Sequence[Sequence[int]]
    input: Shape
    pattern: str
    inference: Literal["identity", "keep", "active"] | str
    seed: int | str
    jobs: int
    timeout: Time
    memory: int
    python: Place
    with_: Texts
    dask: str
    sequential: bool
    ledger: Place
    resume: bool
    fail_on: Literal["defect", "edge", "trait"] | str
    in_process: bool
    causes: bool

    budget_s: float
    cases: Texts
    rates: Rates
    dtypes: Texts
    modes: Texts
    shapes: Shape | Sequence[Sequence[int]]
    timeout_s: float
    memory_mb: int
    releases: Texts


class AuditOptions(ClaimOptions, total=False):
    """Options of ``dropcheck.audit`` and ``dropcheck.check``: those of the command line, and two that only Python has.

    ``strict``: traits are judged, too.
    """

    strict: bool


class BenchOptions(TypedDict, total=False):
    """Options of ``dropcheck.bench``: those of the command line. The last block says the same as fields of ``BenchRequest``."""

    profile: Profile
    cell: Texts
    direction: Texts
    dtype: Texts
    rate: Rates
    reference: str
    processes: int
    blocks: int
    slot: Time
    threads: int
    device: Device
    pattern: str
    seed: int | str
    margin: float
    level: float
    resolution: float
    noise: float
    audit: Place
    timeout: Time
    memory: int
    python: Place
    resume: bool

    cells: Texts
    directions: Texts
    dtypes: Texts
    rates: Rates
    slot_ms: float
    timeout_s: float
    memory_mb: int


# argument -> field of the request, where they differ
_OF_BENCH = {
    "cell": "cells",
    "direction": "directions",
    "dtype": "dtypes",
    "rate": "rates",
    "slot": "slot_ms",
    "timeout": "timeout_s",
    "memory": "memory_mb",
}
OF_AUDIT: Mapping[str, str] = {
    **{one.argument: one.field for one in audit_options.OPTIONS},
    **{name: name for name in ("in_process", "causes")},
}
OF_CLAIMS: Mapping[str, str] = {name: field for name, field in OF_AUDIT.items() if name != "strict"}
OF_BENCH: Mapping[str, str] = {
    name: _OF_BENCH.get(name, name) for name in BenchOptions.__annotations__ if name not in _OF_BENCH.values()
}
# fields that the suite's own programs set; no option of a user's
_INNER = ("journal", "argv", "seed_given")


def signed(options: type[Any], names: Iterable[str]) -> Callable[[Callee], Callee]:
    """Show options one by one where a program looks at the signature: ``help``, notebooks, editors that run no checker."""

    def sign(function: Callee) -> Callee:
        seen = inspect.signature(function)
        kept = [one for one in seen.parameters.values() if one.kind is not one.VAR_KEYWORD]
        more = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=options.__annotations__[name]
            )
            for name in names
        ]
        function.__signature__ = seen.replace(parameters=[*kept, *more])  # type: ignore[attr-defined]
        return function

    return sign


def of_audit(options: Mapping[str, Any], typed: bool = False) -> dict[str, Any]:
    """Fields of an ``AuditRequest``; ``typed``: errors name options as the command line does.

    Raises UsageError for what there is not, with the nearest name.
    """
    return _fields(options, OF_AUDIT, audit_options.option_of if typed else str)


def of_bench(options: Mapping[str, Any], typed: bool = False) -> dict[str, Any]:
    """Fields of a ``BenchRequest``; ``typed``: errors name options as the command line does.

    Raises UsageError for what there is not, with the nearest name.
    """
    return _fields(options, OF_BENCH, audit_options.option_of if typed else str)


def _fields(options: Mapping[str, Any], arguments: Mapping[str, str], shown: Callable[[str], str]) -> dict[str, Any]:
    """Values by field; what is None is not given. ``shown``: an argument as an error names it."""
    own = {*arguments.values(), *_INNER}
    found: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in options.items():
        field = arguments.get(name) or (name if name in own else None)
        if field is None:
            near = nearest(name, [*arguments, *arguments.values()])
            raise UsageError(f"there is no option {name!r}{near}; expected one of {', '.join(arguments)}")
        if field in names:
            raise UsageError(f"{names[field]} and {name} are the same option; give one of them")
        names[field] = name
        if value is not None:
            read = _slot if name == "slot" else _READ.get(field)
            found[field] = value if read is None else read(shown(name), value)
    return found


def _texts(name: str, value: Any) -> tuple[str, ...]:
    return option_values.listed(_whole_texts(name, value))


def _whole_texts(name: str, value: Any) -> tuple[str, ...]:
    some = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()
    if not all(isinstance(one, str) for one in some) or (not some and not isinstance(value, Iterable)):
        raise UsageError(f"{name} takes a text, or a list of texts, not {value!r}")
    return some


def _rates(name: str, value: Any) -> tuple[float, ...]:
    some = (value,) if isinstance(value, str | int | float) or not isinstance(value, Iterable) else tuple(value)
    return option_values.rates(one if isinstance(one, str) else repr(_plain(one)) for one in some)


def _plain(value: Any) -> Any:
    """A number of NumPy's as Python's."""
    return value.item() if hasattr(value, "item") else value


def _shape(name: str, value: Any) -> tuple[int, ...]:
    if isinstance(value, str):
        return option_values.shape(value, name)
    some = tuple(map(_plain, value)) if isinstance(value, Iterable) else ()
    if not some or not all(isinstance(size, int) and size > 0 for size in some):
        raise UsageError(f"{name} takes the sizes of the input axes, such as (256, 64, 3), not {value!r}")
    return some


def _shapes(name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    some = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    if some and all(isinstance(_plain(size), int) for size in some):
        some = (some,)
    return tuple(_shape(name, one) for one in some)


def _seconds(name: str, value: Any) -> float:
    return option_values.duration(value if isinstance(value, str) else repr(_plain(value)), name)


def _slot(name: str, value: Any) -> float:
    return 1e3 * _seconds(name, value)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name} takes a number, not {value!r}") from None


def _count(name: str, value: Any) -> int:
    whole = _plain(value)
    if isinstance(whole, bool) or not isinstance(whole, int) or whole < 0:
        raise UsageError(f"{name} takes a whole number of at least 0, not {value!r}")
    return whole


def _seed(name: str, value: Any) -> int:
    if isinstance(value, str) and (value == "fresh" or value.isdigit()):
        return option_values.seed(value, 0)[0]
    if isinstance(value, str):
        raise UsageError(f"{name} takes a whole number of at least 0, or 'fresh', not {value!r}")
    return _count(name, value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} takes True or False, not {value!r}")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} takes a text, not {value!r}")
    return value


def _pattern(name: str, value: Any) -> str:
    return str(value)  # a Pattern is written as it is read


def _place(name: str, value: Any) -> Path:
    try:
        return Path(value)
    except TypeError:
        raise UsageError(f"{name} takes a path, not {value!r}") from None


def _program(name: str, value: Any) -> str:
    return str(_place(name, value)) if not isinstance(value, str) else value


_READ: Mapping[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("select", "ignore", "dtypes", "modes", "directions"), _texts),
    **dict.fromkeys(("cases", "releases", "cells"), _whole_texts),
    **dict.fromkeys(("profile", "device", "inference", "dask", "fail_on", "reference"), _text),
    **dict.fromkeys(("budget_s", "timeout_s"), _seconds),
    **dict.fromkeys(("resolution", "margin", "level", "noise", "slot_ms"), _number),
    **dict.fromkeys(("jobs", "memory_mb", "processes", "blocks", "threads"), _count),
    **dict.fromkeys(("strict", "sequential", "resume", "in_process", "causes"), _flag),
    **dict.fromkeys(("ledger", "audit"), _place),
    "rates": _rates,
    "shapes": _shapes,
    "input": _shape,
    "seed": _seed,
    "pattern": _pattern,
    "python": _program,
}
