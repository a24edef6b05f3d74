"""The options of an audit, once: name, field of the request, whether it changes coins, how it is written as words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any


def _word(value: Any) -> list[str]:
    return [str(value)]


def _each(value: Iterable[Any]) -> list[str]:
    return [str(one) for one in value]


def _listed(value: Iterable[Any]) -> list[str]:
    return [text] if (text := ",".join(map(str, value))) else []


def _number(value: float) -> list[str]:
    return [f"{value:g}"]


def _flag(value: bool) -> list[str]:
    return []


def argument_of(name: str) -> str:
    """``--fail-on`` as ``fail_on``; a word of Python's own has an underscore behind it."""
    word = name.removeprefix("--").replace("-", "_")
    return f"{word}_" if iskeyword(word) else word


def option_of(argument: str) -> str:
    """``fail_on`` as ``--fail-on``."""
    return "--" + argument.removesuffix("_").replace("_", "-")


@dataclass(frozen=True)
class Option:
    """``field``: of AuditRequest. ``written``: the texts of a value, each behind the option's name; of a flag there are none.

    ``coins``: whether it can change a coin or a verdict; what cannot may differ between a run and its continuation.
    ``keyword``: how ``dropcheck.check`` calls it where a replay command is told in Python; None: it is not told there.
    """

    name: str
    field: str
    written: Callable[[Any], list[str]] = _word
    coins: bool = True
    keyword: str | None = None

    @property
    def argument(self) -> str:
        """What ``dropcheck.audit`` calls it: the option's name, with an underscore behind a word of Python's own."""
        return argument_of(self.name)

    @property
    def flag(self) -> bool:
        """Whether it takes no value."""
        return self.written is _flag


OPTIONS = (
    Option("--profile", "profile", keyword="profile"),
    Option("--budget", "budget_s", lambda value: [f"{value:g}s"]),
    Option("--resolution", "resolution", _number),
    Option("--strict", "strict", _flag, keyword="strict"),
    Option("--case", "cases", _each, keyword="case"),
    Option("--select", "select", _listed, keyword="select"),
    Option("--ignore", "ignore", _listed),
    Option("--rate", "rates", lambda value: [f"{one:g}" for one in value]),
    Option("--dtype", "dtypes", _listed),
    Option("--device", "device", keyword="device"),
    Option("--mode", "modes", _listed),
    Option("--shape", "shapes", lambda value: [",".join(map(str, one)) for one in value]),
    Option("--input", "input", _listed),
    Option("--pattern", "pattern", keyword="pattern"),
    Option("--inference", "inference", keyword="inference"),
    Option("--seed", "seed", keyword="seed"),
    Option("--jobs", "jobs", coins=False),
    Option("--timeout", "timeout_s", lambda value: [f"{value:g}s"], coins=False),
    Option("--memory", "memory_mb", coins=False),
    Option("--python", "python"),
    Option("--with", "releases", _each),
    Option("--dask", "dask", coins=False),
    Option("--sequential", "sequential", _flag, keyword="sequential"),
    Option("--ledger", "ledger"),
    Option("--resume", "resume", _flag, coins=False),
    Option("--fail-on", "fail_on", coins=False),
)
BY_NAME = {one.name: one for one in OPTIONS}


def words(request: Any, names: Iterable[str], always: Iterable[str] = ()) -> list[str]:
    """A request's options of these names as words of a command line, in this order.

    What stands at its default is left out, but for those named in ``always``.
    """
    found: list[str] = []
    for one in (BY_NAME[name] for name in names):
        value = getattr(request, one.field)
        if value == type(request).__dataclass_fields__[one.field].default and one.name not in always:
            continue
        found += [one.name] if one.flag else [word for text in one.written(value) for word in (one.name, text)]
    return found


def free(request: Any) -> dict[str, Any]:
    """The fields of options that change no coin, each with the empty value of its type."""
    known = type(request).__dataclass_fields__
    return {one.field: type(known[one.field].default)() for one in OPTIONS if not one.coins}
