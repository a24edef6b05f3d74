"""From what the user typed to a target: a registered name, ``module:attr`` or ``file.py:attr``, and trailing ``@words``."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from dropcheck.contract import modes, node_packages, requirements
from dropcheck.contract.adapter import Implementation
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.contract.modes import EAGER, MODES
from dropcheck.contract.register import Registered, register
from dropcheck.contract.sites import Sites
from dropcheck.plan.finding_layers import names_in

KERAS_BACKENDS = ("tensorflow", "jax", "torch")
ENGINES = ("onnxruntime", "reference")  # that run an ONNX file, the default first


class UnknownTarget(UsageError):
    """A target that names nothing."""


@dataclass(frozen=True)
class Target:
    """One thing to check: the name that reports show, and how a worker finds it and runs it (``mode``, see contract/modes.py).

    ``framework``: as far as it is known before anything is imported. Of a layer inside a model: ``pattern``, what it is
    audited against; ``note``, what was seen of it in the model; ``skip``, why it cannot be audited as it stands.
    """

    name: str
    locator: str
    source: str
    environment: tuple[tuple[str, str], ...] = ()
    path: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    mode: str = EAGER
    framework: str = ""
    pattern: str | None = None
    note: str = ""
    skip: str = ""
    releases: tuple[str, ...] = ()  # requirements of an environment of its own; none: the present one
    python: str = ""  # the interpreter of that environment, once it is built
    sites: Sites | None = None  # of a whole model: its draws, which are judged instead of coins

    def in_mode(self, mode: str) -> Target:
        """The same target, run in that mode; its name tells."""
        if mode == self.mode:
            return self
        base, join, releases = self.name.partition(requirements.JOIN)
        return replace(self, name=f"{base}@{mode}{join}{releases}", mode=mode)

    def in_environment(self, words: tuple[str, ...]) -> Target:
        """The same target with these requirements; its name tells. ``("installed",)``: in the present environment."""
        base = self.name.partition(requirements.JOIN)[0]
        if words == (requirements.INSTALLED,):
            return replace(self, name=base, releases=(), python="")
        return replace(self, name=f"{base}{requirements.JOIN}{requirements.name_of(words)}", releases=words, python="")

    def digest(self) -> str:
        """Of the user's own file, so that an edited layer is another one; empty for what is installed and has a version."""
        if self.source != "user":
            return ""
        place = self.locator.partition("#")[0].rpartition(":")[0]
        stem = place.replace(".", "/")
        near = [Path(folder) / name for folder in self.path for name in (f"{stem}.py", f"{stem}/__init__.py")]
        for file in [Path(place)] if place.endswith((".py", ".onnx", ".pt2")) else near:
            if file.is_file():
                return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        return ""


@dataclass(frozen=True)
class Listing:
    """One row of ``dropcheck list``."""

    name: str
    framework: str
    pattern: str
    summary: str
    runnable: bool
    reason: str
    default: bool = True
    modes: str = ""  # of an instrument, with what it has not and why


def parse(text: str, defined: bool = True) -> Target:
    """What the user typed. Raises UnknownTarget with the nearest valid name.

    ``defined``: whether a file has to define the name; not where a stored result is of a file that has changed.
    """
    if requirements.JOIN in text:  # as reports name a target in an environment of its own
        name, _, releases = text.partition(requirements.JOIN)
        return parse(name, defined).in_environment(requirements.read(releases))
    base, words = _split_words(text)
    if base.partition("#")[0].endswith(".onnx"):
        return _onnx(text, base, words)
    environment: tuple[tuple[str, str], ...] = ()
    backend, mode = "", EAGER
    for word in words:
        if word in KERAS_BACKENDS and not backend:
            backend, environment = word, (("KERAS_BACKEND", word),)
        elif word in MODES and mode == EAGER:
            mode = word
        elif word in KERAS_BACKENDS or word in MODES:
            raise UnknownTarget(f"target {text!r}: '@{word}' is one word too many; expected one backend and one mode")
        else:
            raise UnknownTarget(
                f"target {text!r}: '@{word}' is neither a Keras backend nor a mode"
                f"{nearest(word, [*KERAS_BACKENDS, *MODES])}"
            )
    if base.partition("#")[0].endswith(".pt2"):
        return replace(_program(text, base), mode=mode)
    return replace(_parsed(text, base, backend, environment, defined), mode=mode)


def _onnx(text: str, base: str, words: list[str]) -> Target:
    """An ONNX file, or a node of it: ``model.onnx#node@reference``."""
    place, hash_, node = base.partition("#")
    for word in words:
        if word not in ENGINES:
            raise UnknownTarget(
                f"target {text!r}: '@{word}' is no engine for an ONNX file; expected @onnxruntime or @reference"
                f"{nearest(word, ENGINES)}"
            )
    if len(words) > 1:
        raise UnknownTarget(f"target {text!r}: '@{words[1]}' is one word too many; expected one engine")
    path = _file(text, place)
    engine = words[0] if words else ENGINES[0]
    return Target(
        text, f"{path.resolve()}:{engine}{hash_}{node}", "user", path=(str(path.resolve().parent),), framework="onnx"
    )


def _file(text: str, place: str) -> Path:
    """The file of a target. Raises UnknownTarget, with the nearest of its kind beside it."""
    path = Path(place)
    if not path.is_file():
        siblings = [str(p) for p in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []
        raise UnknownTarget(f"target {text!r}: there is no file {place}{nearest(place, siblings)}")
    return path


def _program(text: str, base: str) -> Target:
    """A file of torch.export, or a node of it: ``exported.pt2#node``."""
    place, hash_, node = base.partition("#")
    path = _file(text, place)
    locator = f"{path.resolve()}:program{hash_}{node}"
    return Target(text, locator, "user", path=(str(path.resolve().parent),), framework="torch")


def _parsed(
    text: str, base: str, backend: str, environment: tuple[tuple[str, str], ...], defined: bool = True
) -> Target:
    known = register()
    if base in known:
        entry = known[base]
        backends = entry.implementation.backends
        if backend and backend not in backends:
            raise UnknownTarget(f"target {text!r}: {base} runs on no Keras backend {backend!r}")
        packages = (entry.source.partition(":")[0].partition(".")[0],)
        framework = (entry.implementation.framework or "") + (f"@{backend}" if backend else "")
        return Target(text, base, entry.source, environment, packages=packages, framework=framework)
    if base.startswith(("broken.", "unusual.")):
        import spatial_dropouts

        if spatial_dropouts.find(base) is not None:
            return Target(text, base, "spatial_dropouts:find", environment)
        raise UnknownTarget(f"the zoo has no {base!r}{nearest(base, spatial_dropouts.zoo_names())}")
    if ":" in base:
        return _located(text, base, environment, defined)
    if base.endswith(".py") or os.sep in base:
        raise UnknownTarget(f"target {text!r} names a file but no layer in it; expected path/to/file.py:LayerName")
    raise UnknownTarget(
        f"there is no implementation {base!r}; expected a registered name (`dropcheck list` shows them), package.module:attr "
        f"or path/to/file.py:attr{nearest(base, known)}"
    )


def _split_words(text: str) -> tuple[str, list[str]]:
    """The target and its trailing ``@words``, in order."""
    words: list[str] = []
    while True:
        head, at, word = text.rpartition("@")
        if not (at and head and word.replace("-", "").replace("_", "").isalnum()):
            return text, words[::-1]
        text = head
        words.append(word)


def _located(text: str, base: str, environment: tuple[tuple[str, str], ...], defined: bool) -> Target:
    place, _, attr = base.partition("#")[0].rpartition(":")
    attr += "".join(base.partition("#")[1:])
    if not attr or not place:
        raise UnknownTarget(
            f"target {text!r} needs both sides of the colon: path/to/file.py:attr or package.module:attr"
        )
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            siblings = [str(p) for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
            raise UnknownTarget(f"target {text!r}: there is no file {place}{nearest(place, siblings)}")
        if defined:
            _refuse_a_typo(text, path, attr)
        return Target(text, f"{path.resolve()}:{attr}", "user", environment, path=(str(path.resolve().parent),))
    return Target(text, base, "user", environment, path=(os.getcwd(),))


def _refuse_a_typo(text: str, path: Path, attr: str) -> None:
    """Raise UnknownTarget for a name that a file's text does not define, before a framework is loaded to find that out."""
    try:
        names = names_in(path.read_bytes())
    except OSError:
        return  # opening it says what is wrong
    first = attr.partition("#")[0].partition(".")[0]
    if names is not None and first not in names:
        known = [name for name in names if not name.startswith("_")]
        raise UnknownTarget(f"target {text!r}: {path.name} has no attribute {first!r}{nearest(first, known)}")


def defaults() -> list[Target]:
    """The default layers that can run here (``Implementation.default``), Keras layers once a backend."""
    chosen = []
    for name, entry in register().items():
        if not entry.implementation.default:
            continue
        for full, words in _variants(name, entry.implementation):
            if not _missing(entry.implementation, words):
                chosen.append(parse(full))
    return chosen


def _variants(name: str, implementation: Implementation) -> list[tuple[str, str]]:
    if implementation.backends:
        return [(f"{name}@{b}", b) for b in implementation.backends]
    return [(name, "")]


def _missing(implementation: Implementation, backend: str) -> str:
    """The first module that is needed and not installed; an empty text if none is."""
    needed: tuple[str, ...] = (*implementation.requires, *((backend,) if backend else ()))
    for module in needed:
        if node_packages.is_npm(module):
            if node_packages.missing(module):
                return module
            continue
        try:
            if find_spec(module) is None:
                return module
        except (ImportError, ValueError):
            return module
    return ""


def modes_of(implementation: Implementation, backend: str) -> str:
    """The modes that an implementation has, and those that it has not, with the reason."""
    framework = implementation.framework or ""
    return modes.sentence(f"{framework}@{backend}" if backend else framework, implementation.withheld)


def available(zoo: bool = False) -> list[Listing]:
    """All registered implementations, and why some cannot run here."""
    rows = []
    entries = list(register().items())
    if zoo:
        import spatial_dropouts

        for name in spatial_dropouts.zoo_names():
            found = spatial_dropouts.find(name)
            if found is not None:
                entries.append((name, Registered(name, found, "spatial_dropouts:find")))
    for name, entry in entries:
        for full, backend in _variants(name, entry.implementation):
            implementation = entry.implementation
            missing = _missing(implementation, backend)
            contract = implementation.contract
            pattern = (
                str(contract.pattern) if contract is not None and not isinstance(contract, str) else str(contract or "")
            )
            if not pattern:
                pattern = "n l c -> n c" if implementation.framework == "keras" else "n c l -> n c"
            rows.append(
                Listing(
                    full,
                    implementation.framework or "",
                    pattern,
                    implementation.summary,
                    not missing,
                    implementation.missing(missing) if missing else "",
                    implementation.default,
                    modes_of(implementation, backend) if "#" in full else "",
                )
            )
    return rows
