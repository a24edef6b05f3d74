"""From TOML to a policy, strictly: what is wrong is named with its file, its line and the nearest valid thing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.contract.errors import nearest
from dropcheck.gate import toml_lines
from dropcheck.gate.policy import PRESET, PRESETS, Policy, PolicyError, Sourced, Speed, Waiver, When
from dropcheck.gate.values import checked

FILE = "dropcheck.toml"
PROJECT = "pyproject.toml"
TABLE = ("tool", "dropcheck")
_STRUCTS: dict[tuple[str, ...], type[msgspec.Struct]] = {
    (): Policy,
    ("speed",): Speed,
    ("waiver",): Waiver,
    ("waiver", "when"): When,
}


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
        line = toml_lines.line_of_error(error) or len(text.rstrip().split("\n"))
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
    known = toml_lines.lines(text)
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

    def __init__(self, name: str, known: toml_lines.Lines, prefix: tuple[str, ...]) -> None:
        self.name, self.known, self.prefix = name, known, prefix
        self.origins: dict[tuple[str | int, ...], str] = {}

    def where(self, key: tuple[str | int, ...]) -> str:
        for depth in range(len(key), 0, -1):
            if key[:depth] in self.origins:
                return self.origins[key[:depth]]
        line = toml_lines.line_of((*self.prefix, *key), self.known)
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
        policy = checked(self.where, policy)
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
            "fail_on": ("defect", "edge", "trait"),
            "stale_waivers": ("warn", "fail"),
            "version": ("1",),
            "of": ("failure", "not judged"),
        }
        last = next((str(k) for k in reversed(key) if str(k) in words), "")
        valid = words.get(last, ())
        return f" ({', '.join(valid)}){nearest(given.strip(chr(39)), valid)}" if valid else ""
