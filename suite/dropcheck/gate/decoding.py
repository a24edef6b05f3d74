"""From TOML to a policy, strictly: what is wrong is named with its file, its line and the nearest valid thing."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import translate
from pathlib import Path
from typing import Any

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from dropcheck.errors import UsageError, nearest
from dropcheck.gate import claims, places
from dropcheck.gate.policy import PRESET, PRESETS, Policy, Sourced, Speed, Waiver, When, age
from dropcheck.gate.waivers import id_of

FILE = "dropcheck.toml"
PROJECT = "pyproject.toml"
TABLE = ("tool", "dropcheck")
_STRUCTS: dict[tuple[str, ...], type[msgspec.Struct]] = {
    (): Policy,
    ("speed",): Speed,
    ("waiver",): Waiver,
    ("waiver", "when"): When,
}


class PolicyError(UsageError):
    """A policy that cannot be followed; the message names the file and the line."""


def find(folder: Path) -> Path | None:
    """The policy of a folder: dropcheck.toml, or pyproject.toml where it has [tool.dropcheck]. Two are refused."""
    own, project = folder / FILE, folder / PROJECT
    there = False
    if project.is_file():
        tree = parsed(read(project), str(project))
        tools = tree.get("tool")
        there = isinstance(tools, dict) and "dropcheck" in tools
    if own.is_file() and there:
        raise PolicyError(f"both {own} and [tool.dropcheck] in {project} hold a policy; name one with --policy")
    return own if own.is_file() else project if there else None


def read(path: Path) -> str:
    """The text of a policy file. Raises PolicyError."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise PolicyError(f"cannot read the policy {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path} is no policy: byte {error.start} is not UTF-8") from error
    except ValueError as error:  # a path with a null character
        raise PolicyError(f"cannot read the policy {str(path)!r}: {error}") from error


def parsed(text: str, name: str) -> dict[str, Any]:
    """The TOML tree. Raises PolicyError with the line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = places.line_of_error(error) or len(text.rstrip().split("\n"))
        raise PolicyError(f"{name}:{line}: no valid TOML: {str(error).partition(' (at')[0]}") from error
    except RecursionError:
        raise PolicyError(f"{name}: no policy is nested as deeply as this") from None
    except ValueError as error:  # a number of thousands of digits, a date that is none
        raise PolicyError(f"{name}: no valid TOML: {error}") from error


def load(path: Path | None, given: Sequence[tuple[str, str, Any]] = ()) -> Sourced:
    """The policy of a file, or of the defaults, with what the command line says on top.

    ``given``: (option, dotted key, value). Order: preset < file < command line. Raises PolicyError.
    """
    text, name = ("", "") if path is None else (read(path), str(path))
    return decode(text, name, given, project=path is not None and path.name == PROJECT)


def decode(text: str, name: str, given: Sequence[tuple[str, str, Any]] = (), project: bool = False) -> Sourced:
    """``load`` of a text. ``project``: the policy is its [tool.dropcheck] table."""
    tree = parsed(text, name)
    known = places.lines(text)
    prefix: tuple[str, ...] = ()
    if project:
        prefix = TABLE
        for word in TABLE:
            tree = tree.get(word) if isinstance(tree, dict) else None  # type: ignore[assignment]
        if not isinstance(tree, dict):
            raise PolicyError(f"{name} has no table [tool.dropcheck]")
    reader = _Reader(name, known, prefix)
    if name and "version" not in tree:
        raise PolicyError(f"{name}: the policy does not say its version; add the line: version = 1")
    return reader.policy(tree, given)


class _Reader:
    """One file being read: its name and the lines of its keys."""

    def __init__(self, name: str, known: places.Lines, prefix: tuple[str, ...]) -> None:
        self.name, self.known, self.prefix = name, known, prefix
        self.origins: dict[tuple[str | int, ...], str] = {}

    def where(self, key: tuple[str | int, ...]) -> str:
        for depth in range(len(key), 0, -1):
            if key[:depth] in self.origins:
                return self.origins[key[:depth]]
        line = places.line_of((*self.prefix, *key), self.known)
        return f"{self.name}:{line}" if line else self.name or "policy"

    def policy(self, tree: dict[str, Any], given: Sequence[tuple[str, str, Any]]) -> Sourced:
        tree = dict(tree)
        for option, dotted, value in given:
            self._set(tree, option, dotted, value)
        preset = tree.get("preset", "default")
        if preset not in PRESETS:
            near = nearest(str(preset), PRESETS)
            raise PolicyError(
                f"{self.where(('preset',))}: there is no preset {preset!r}; expected {', '.join(PRESETS)}{near}"
            )
        self._unknown(tree, (), ())
        merged = {**PRESET[preset], **tree}
        try:
            policy = msgspec.convert(merged, Policy)
        except msgspec.ValidationError as error:
            raise PolicyError(self._sentence(str(error), merged)) from error
        except (RecursionError, OverflowError) as error:
            raise PolicyError(f"{self.name}: a value cannot be read: {error}") from error
        origins = dict(self.origins)
        for key in self._keys(tree, ()):
            origins.setdefault(key, self.where(key))
        policy = self._checked(policy)
        return Sourced(policy, self.name, origins)

    def _keys(self, tree: Any, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
        found: list[tuple[str | int, ...]] = []
        items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
        for word, value in items:
            found.append((*path, word))
            if len(path) < 6:
                found += self._keys(value, (*path, word))
        return found

    def _set(self, tree: dict[str, Any], option: str, dotted: str, value: Any) -> None:
        words = tuple(dotted.split("."))
        if words[0] in ("patterns", "releases", "tolerances"):  # their keys have dots of their own
            words = (words[0], dotted.partition(".")[2]) if "." in dotted else words
        here: Any = tree
        for word in words[:-1]:
            inner = here.get(word)
            here[word] = dict(inner) if isinstance(inner, dict) else {}
            here = here[word]
        here[words[-1]] = value
        self.origins[words] = option

    def _unknown(self, tree: Mapping[str, Any], path: tuple[str | int, ...], kinds: tuple[str, ...]) -> None:
        """Refuse a key that a table does not have, with the nearest one that it has."""
        fields = _STRUCTS[kinds].__struct_fields__
        for word, value in tree.items():
            here = (*path, word)
            if word not in fields:
                table = f" in [{'.'.join(kinds)}]" if kinds else ""
                near = nearest(word, fields) or f"; expected one of {', '.join(fields)}"
                raise PolicyError(f"{self.where(here)}: there is no key {word!r}{table}{near}")
            inner = (*kinds, word)
            if inner not in _STRUCTS:
                continue
            if isinstance(value, dict):
                self._unknown(value, here, inner)
            elif isinstance(value, list):
                for place, one in enumerate(value):
                    if isinstance(one, dict):
                        self._unknown(one, (*here, place), inner)

    def _sentence(self, text: str, tree: Any) -> str:
        """The decoder's complaint with the line of its key, in plain words."""
        said, _, path = text.partition(" - at `$")
        key: list[str | int] = []
        here: Any = tree
        for name, index in re.findall(r"\.([^.\[`]+)|\[(\d+|\.\.\.)\]", path.rstrip("`")):
            word: str | int = name if name else int(index) if index.isdigit() else "..."
            key.append(word)
            try:
                here = here[word]
            except (KeyError, IndexError, TypeError):
                here = None
        where = self.where(tuple(k for k in key if k != "..."))
        shown = ".".join(str(k) for k in key if isinstance(k, str) and k != "...")
        wrong = re.fullmatch(r"Invalid enum value (.*)", said)
        if wrong:
            return f"{where}: {shown}: {wrong.group(1)} is none of the words that it can be{self._words(key, wrong.group(1))}"
        lacks = re.fullmatch(r"Object missing required field `(\w+)`", said)
        if lacks:
            return f"{where}: {shown or 'the policy'} lacks {lacks.group(1)!r}"
        given = "" if here is None or isinstance(here, dict | list) else f"; {here!r:.80} was given"
        return f"{where}: {shown}: {said[:1].lower()}{said[1:]}{given}"

    def _words(self, key: Sequence[str | int], given: str) -> str:
        words = {
            "profile": ("quick", "standard", "deep"),
            "devices": ("cpu", "cuda"),
            "dtypes": ("float32", "float64", "float16", "bfloat16"),
            "on_missing": ("fail", "inconclusive", "skip"),
            "stale_waivers": ("warn", "fail"),
            "version": ("1",),
        }
        last = next((str(k) for k in reversed(key) if str(k) in words), "")
        valid = words.get(last, ())
        return f" ({', '.join(valid)}){nearest(given.strip(chr(39)), valid)}" if valid else ""

    def _refuse(self, key: tuple[str | int, ...], text: str) -> PolicyError:
        return PolicyError(f"{self.where(key)}: {text}")

    def _checked(self, policy: Policy) -> Policy:
        """What types alone cannot tell. Raises PolicyError."""
        for name in ("checks", "ignore"):
            for place, prefix in enumerate(getattr(policy, name)):
                try:
                    claims.matching(prefix)
                except UsageError as error:
                    raise self._refuse((name, place), str(error)) from error
        if not Sourced(policy).checks:
            raise self._refuse(("ignore",), "no check is left: everything that is required is ignored")
        for place, target in enumerate(policy.targets):
            if not target.strip() or any(c in target for c in "*?\n"):
                raise self._refuse(
                    ("targets", place), f"a target is one name, as `dropcheck list` shows them, not {target!r}"
                )
        if len(set(policy.targets)) < len(policy.targets):
            raise self._refuse(("targets",), "a target is named twice")
        if not policy.devices:
            raise self._refuse(("devices",), "no device is left; expected some of cpu, cuda")
        self._number(policy.alpha, ("alpha",), 0, 0.5, "a probability such as 1e-6")
        if not 0 <= policy.warn_days <= 3650:
            raise self._refuse(("warn_days",), f"a number of days from 0 to 3650, not {policy.warn_days}")
        self._number(policy.ratchet_slack, ("ratchet_slack",), 0, 1, "a share such as 0.1", closed=True)
        if policy.max_age is not None:
            try:
                age(policy.max_age)
            except ValueError as error:
                raise self._refuse(("max_age",), str(error)) from error
        for name, wanted in policy.releases.items():
            try:
                SpecifierSet(specifier(wanted))
            except InvalidSpecifier as error:
                raise self._refuse(
                    ("releases", name), f"a release such as '2.13.0' or '>=2.4,<3', not {wanted!r}"
                ) from error
        for target, text in policy.patterns.items():
            from dropcheck.contract import ContractError, Pattern

            try:
                Pattern.parse(text)
            except ContractError as error:
                raise self._refuse(("patterns", target), str(error).partition("\n")[0]) from error
        for name, value in policy.tolerances.items():
            if name not in claims.CHECKS:
                raise self._refuse(
                    ("tolerances", name), f"there is no check {name!r}{nearest(name, list(claims.CHECKS))}"
                )
            self._number(value, ("tolerances", name), 0, math.inf, "a deviation above 0, in the unit of the finding")
        if policy.on_missing == "skip" and not policy.missing_reason.strip():
            raise self._refuse(("on_missing",), 'evidence is skipped only for a reason: add missing_reason = "..."')
        if policy.speed is not None:
            self._speed(policy.speed)
        return self._waivers(policy)

    def _number(
        self, value: float, key: tuple[str | int, ...], low: float, high: float, what: str, closed: bool = False
    ) -> None:
        inside = low <= value < high if closed else low < value < high
        if not inside:
            raise self._refuse(key, f"{key[-1]} is {what}, not {value:g}")

    def _speed(self, speed: Speed) -> None:
        for name in ("max_ratio", "max_compile_ratio", "max_memory_ratio"):
            value = getattr(speed, name)
            if value is not None:
                self._number(value, ("speed", name), 0, math.inf, "a ratio above 0 such as 1.1")
                if speed.reference is None:
                    raise self._refuse(
                        ("speed", name), f'{name} is a ratio to a reference; add reference = "TARGET" to [speed]'
                    )
        for name in ("min_fraction_of_limit", "max_resolution"):
            value = getattr(speed, name)
            if value is not None:
                self._number(value, ("speed", name), 0, 1, "a share between 0 and 1 such as 0.3")
        self._number(speed.level, ("speed", "level"), 0, 0.5, "a probability such as 0.01")
        for place, text in enumerate(speed.cells):
            from dropcheck.speed.cells import parse_cell

            try:
                parse_cell(text)
            except UsageError as error:
                raise self._refuse(("speed", "cells", place), str(error)) from error
        if not any(
            getattr(speed, name) is not None
            for name in ("max_ratio", "min_fraction_of_limit", "max_compile_ratio", "max_memory_ratio")
        ):
            raise self._refuse(
                ("speed",),
                "[speed] asks for nothing; expected max_ratio, min_fraction_of_limit, max_compile_ratio or max_memory_ratio",
            )

    def _waivers(self, policy: Policy) -> Policy:
        known = [*claims.CHECKS, *claims.SPEED]
        made: list[Waiver] = []
        seen: dict[str, int] = {}
        for place, one in enumerate(policy.waiver):
            key = ("waiver", place)
            if one.check not in known:
                raise self._refuse((*key, "check"), f"there is no check {one.check!r}{nearest(one.check, known)}")
            for name in ("target", "reason"):
                if not getattr(one, name).strip():
                    raise self._refuse((*key, name), f"a waiver needs a {name}")
            if one.ceiling is not None:
                self._number(one.ceiling, (*key, "ceiling"), 0, math.inf, "the largest deviation that is accepted")
            self._words_of_when(one.when, key)
            re.compile(translate(one.target))
            one = one if one.id else msgspec.structs.replace(one, id=id_of(one))
            if one.id in seen:
                raise self._refuse(
                    key, f"the waiver {one.id} is there twice, first at {self.where(('waiver', seen[one.id]))}"
                )
            seen[one.id] = place
            made.append(one)
        return msgspec.structs.replace(policy, waiver=tuple(made))

    def _words_of_when(self, when: When, key: tuple[str | int, ...]) -> None:
        from dropcheck.adapter import DTYPES
        from dropcheck.gate.policy import DEVICES
        from dropcheck.modes import MODES

        for name, valid in (("dtype", DTYPES), ("mode", tuple(MODES)), ("device", DEVICES)):
            word = getattr(when, name)
            if word is not None and word not in valid:
                raise self._refuse(
                    (*key, "when", name),
                    f"there is no {name} {word!r}; expected one of {', '.join(valid)}{nearest(word, valid)}",
                )


def specifier(text: str) -> str:
    """A release as a specifier: a bare ``2.13.0`` is that release and no other."""
    text = text.strip()
    return text if not text or text[0] in "=<>!~" else f"=={text}"
