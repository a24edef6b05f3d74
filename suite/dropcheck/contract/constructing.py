"""What a constructor wants beside the rate: said before it is called, with the declaration that gives it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Optional

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
_KEPT = ("keep_prob",)  # it takes 1 - rate, which nobody but its owner can know: it is reported, not used
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
        others = [n for n in lacking if n not in (first, takes_rate)]
        others = [first, *others] if _required(parameters, first) else others
        kept = ", keep_probability=True" if takes_rate in _KEPT else ""
        options = f", options={_options(others)}" if others else ""
        raise Undeclared(
            f"dropcheck called {name}({rate:g}): {first!r} took the rate, and {takes_rate!r} looks like it; write `audited = "
            f"Implementation(make={name}, rate_argument={takes_rate!r}{kept}{options})` and audit that"
        )
    if lacking:
        how = f"make={name}, " + (f"rate_argument={declared!r}, " if declared is not None else "")
        known = {k: v for k, v in keywords.items() if k != declared}
        more = _options(lacking) if not known else _options([*known, *lacking])
        raise Undeclared(
            f"dropcheck called {name}({rate:g}), which lacks {' and '.join(map(repr, lacking))}; write "
            f"`audited = Implementation({how}options={more})` and audit that"
        )


def rate_keyword(obj: Callable[..., Any], keywords: Mapping[str, Any]) -> Optional[str]:
    """The keyword that takes the rate, where the first argument is another one that has a default; else None."""
    parameters = _parameters(obj)
    if not parameters or parameters[0].kind not in _BY_NAME or _like_a_rate(parameters[0].name):
        return None
    free = [p for p in parameters if p.kind in _BY_NAME and p.name not in keywords]
    found = next((p.name for p in free if p.name in _RATES and p.name not in _KEPT), None)
    lacking = [p.name for p in free if p.default is inspect.Parameter.empty and p.name != found]
    return None if lacking else found


def _required(parameters: Sequence[inspect.Parameter], name: str) -> bool:
    return any(p.name == name and p.default is inspect.Parameter.empty for p in parameters)


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
