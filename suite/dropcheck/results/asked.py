"""What a stored audit was asked: as its fields say it, or read from its command line where an older release wrote it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dropcheck.results.audit import Finding, Result

# Options of a command line that take a word. Words of any other option are read as flags, and what follows them as names.
_VALUED = (
    "--audit --blocks --budget --case --cell --dask --device --direction --dtype --fail-on --from --history --ignore "
    "--inference --input --jobs --json --ledger --level --margin --memory --mode --out --pattern --processes --profile "
    "--pytest-json --python --rate --reference --resolution --seed --select --shape --slot --threads --timeout --with"
)
VALUED = frozenset(_VALUED.split())


@dataclass(frozen=True)
class Asked:
    """``device``: empty where none is named. ``narrowed``: the options given that make an audit ask less, or something else.

    ``told``: whether anything says what was asked. ``names``: the targets as they were typed.
    """

    told: bool
    names: tuple[str, ...] = ()
    device: str = ""
    dtypes: tuple[str, ...] = ()
    pattern: str = ""
    strict: bool = False
    narrowed: frozenset[str] = frozenset()


# --- words of a command line ------------------------------------------------------------------------------------------


def words_of(command: str) -> list[str]:
    """The words of a command as a shell reads them; of one that no shell takes, what stands between its spaces."""
    try:
        return shlex.split(command)
    except ValueError:  # a stored result that somebody has written by hand
        return command.split()


def options(words: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The words that are no options, and every option with the values given to it, in their order (a flag: none)."""
    names: list[str] = []
    found: dict[str, list[str]] = {}
    rest = iter(words)
    for word in rest:
        if word == "--":
            names.extend(rest)
        elif not word.startswith("--"):
            names.append(word)
        elif "=" in word:
            name, _, value = word.partition("=")
            found.setdefault(name, []).append(value)
        else:
            value = next(rest, "") if word in VALUED else ""
            found.setdefault(word, []).extend([value] if word in VALUED else [])
    return names, found


def values(words: Iterable[str], name: str) -> list[str]:
    """What a command line gives to an option, in its order."""
    return options(words)[1].get(name, [])


def option(words: Iterable[str], name: str) -> str:
    """What an option of a command line says: the last one counts. An empty text where it is not given."""
    return (values(words, name) or [""])[-1]


# --- a stored result --------------------------------------------------------------------------------------------------


def of(result: Result) -> Asked:
    """What an audit was asked."""
    typed = result.request
    if typed is None:
        return _read(result)
    given: Mapping[str, object] = {
        "--case": typed.cases,
        "--rate": typed.rates,
        "--shape": typed.shapes,
        "--input": typed.input is not None,
        "--budget": typed.budget_s is not None,
        "--resolution": typed.resolution is not None,
    }
    return Asked(
        told=True,
        names=tuple(typed.targets),
        device=result.device or "",
        dtypes=tuple(typed.dtypes),
        pattern=typed.pattern or "",
        strict=typed.strict,
        narrowed=frozenset(name for name, value in given.items() if value),
    )


def _read(result: Result) -> Asked:
    """The same of a result without these fields: its command line, then what it says to have been asked."""
    names, found = options(result.argv)
    for name, some in options(result.asked or ())[1].items():
        found.setdefault(name, []).extend(some)
    listed = [word for text in found.get("--dtype", ()) for word in text.split(",") if word]
    return Asked(
        told=bool(result.argv) or result.asked is not None,
        names=tuple(names),
        device=result.device or _last(found, "--device"),
        dtypes=tuple(dict.fromkeys(listed)),
        pattern=_last(found, "--pattern"),
        strict="--strict" in found,
        narrowed=frozenset(found),
    )


def _last(found: Mapping[str, Sequence[str]], name: str) -> str:
    return (found.get(name) or [""])[-1]


def device(result: Result) -> str:
    """The device that an audit was asked for; an empty text where it names none, which is the processor."""
    if result.device is not None:
        return result.device
    return option(result.argv if result.asked is None else result.asked, "--device")


def device_of_finding(found: Finding) -> str:
    """The device that a finding's command names: ``cpu`` where it names none."""
    return option(words_of(found.replay), "--device") or "cpu"
