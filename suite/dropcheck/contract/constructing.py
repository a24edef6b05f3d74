"""What a constructor wants beside the rate: said before it is called, with the declaration that gives it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from dropcheck.contract.outputs import Undeclared

# Imported by the worker: NumPy and the standard library only, Python 3.9 at run time.

_RATES = (
    "p",
    "rate",
    "drop_prob",
    "drop_rate",
    "drop_p",
    "dropout",
    "dropout_rate",
    "dropout_prob",
    "prob",
    "keep_prob",
)
_LIKE = ("rate", "prob", "drop", "keep", "ratio", "fraction", "amount", "percent")
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def check(
    obj: Callable[..., Any], rate: float, given: Sequence[Any], keywords: Mapping[str, Any], declared: str | None
) -> None:
    """Raise Undeclared where ``obj(*given, **keywords)`` lacks arguments, or where the rate lands on another one."""
    parameters = _parameters(obj)
    if parameters is None:
        return
    name = getattr(obj, "__name__", type(obj).__name__)
    first = next((p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)), "")
    free = [p for p in parameters if p.kind in _BY_NAME and p.name not in keywords and not (given and p.name == first)]
    lacking = [p.name for p in free if p.default is inspect.Parameter.empty]
    takes_rate = next((p.name for p in free if p.name in _RATES), "")
    if declared is None and first and takes_rate and not _like_a_rate(first):
        others = [first, *(n for n in lacking if n != takes_rate)]
        raise Undeclared(
            f"{name}({rate:g}): {first!r} took the rate, and {takes_rate!r} looks like it; write `audited = "
            f"Implementation(make={name}, rate_argument={takes_rate!r}, options={_options(others)})` and name audited"
        )
    if lacking:
        how = f"make={name}, " + (f"rate_argument={declared!r}, " if declared is not None else "")
        known = {k: v for k, v in keywords.items() if k != declared}
        more = _options(lacking) if not known else _options([*known, *lacking])
        raise Undeclared(
            f"{name}({rate:g}) lacks {' and '.join(map(repr, lacking))}; write `audited = Implementation({how}options={more})` "
            "and name audited"
        )


def _options(names: Sequence[str]) -> str:
    return "{" + ", ".join(f"{name!r}: ..." for name in names) + "}"


def _like_a_rate(name: str) -> bool:
    return name in ("p", "q") or any(word in name.lower() for word in _LIKE)


def _parameters(obj: Any) -> list[inspect.Parameter] | None:
    """The constructor's parameters without the object itself; None where no signature can be seen."""
    try:
        return _seen_parameters(obj)
    except TypeError:  # it cannot be hashed
        return _seen_parameters.__wrapped__(obj)


@lru_cache(maxsize=64)  # an audit makes hundreds of layers, each from the same few objects
def _seen_parameters(obj: Any) -> list[inspect.Parameter] | None:
    try:
        seen = list(inspect.signature(obj).parameters.values())
        if isinstance(obj, type) and all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in seen):
            seen = list(inspect.signature(vars(obj)["__init__"]).parameters.values())[1:]  # a metaclass hides it
    except (TypeError, ValueError, KeyError):
        return None
    return seen
