"""Requirements as people type them after --with: read, made unambiguous, and put into the name of a target."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from dropcheck.contract import node_packages
from dropcheck.contract.errors import UsageError

INSTALLED = "installed"  # --with installed: the present environment; with requirements beside it, these over all of it
JOIN = " with "  # between a target and its environment, in the target's name
_ARCHIVES = (".whl", ".tar.gz", ".zip")


def split(text: str) -> tuple[str, ...]:
    """The requirements of one --with, split at spaces and commas; ``numpy>=1.2,<2`` and ``jax[cpu,k8s]`` stay whole."""
    joined = re.sub(r"\s*(===|==|~=|!=|<=|>=|<|>)\s*", r"\1", text.strip())
    joined = re.sub(r"\s*@\s*(?=[A-Za-z+]+:)", "@", joined)
    # a comma before an operator, or inside brackets, belongs to the requirement
    joined = re.sub(r",\s*(?=[=~!<>])", ",", joined)
    return tuple(w for w in re.split(r"\s+|,(?![=~!<>])(?![^\[\]]*\])", joined) if w)


def is_path(word: str) -> bool:
    """Whether a requirement is a file or a folder on this machine."""
    return word.startswith((".", "/", "~")) or (word.endswith(_ARCHIVES) and "@" not in word)


def read(text: str, option: str = "--with") -> tuple[str, ...]:
    """The checked requirements of one environment, in the order given; ``("installed",)`` for the present one.

    ``installed`` among others: what they ask for is installed over the present environment, which stays as it is.

    Raises UsageError for what is no requirement and for a path that is not there.
    """
    words = split(text)
    if not words:
        raise UsageError(f"{option} takes requirements such as 'torch==2.4.1', not an empty text")
    for word in words:
        if word == INSTALLED:
            continue
        if is_path(word):
            if not Path(word).expanduser().exists():
                raise UsageError(f"{option} {word}: there is no such file or folder")
            continue
        if node_packages.is_npm(word):
            if node_packages.split(word) is None:
                raise UsageError(
                    f"{option}: {word!r} is no package of npm; expected a name and one version, such as "
                    "'npm:@tensorflow/tfjs@4.22.0'"
                )
            continue
        try:
            Requirement(word)
        except InvalidRequirement:
            raise UsageError(
                f"{option}: {word!r} is no requirement; expected one as pip takes it, such as 'torch==2.4.1'"
            ) from None
    return words


def plain(target: str) -> str:
    """A target's name without its environment: seeds and drawn cases follow from it, so that releases are asked the same."""
    return target.partition(JOIN)[0]


def name_of(words: tuple[str, ...]) -> str:
    """How an environment is written in a target's name."""
    return " ".join(words)


def package_of(word: str) -> str:
    """The canonical name of the package that a requirement asks for (``npm:NAME`` of npm); an empty text for a path."""
    if node_packages.is_npm(word):
        return word.rpartition("@")[0]
    return "" if is_path(word) else canonicalize_name(Requirement(word).name)


def resolved(word: str) -> str:
    """The requirement as pip is given it: paths absolute, since pip runs elsewhere."""
    return str(Path(word).expanduser().resolve()) if is_path(word) else word


def key(words: tuple[str, ...], interpreter: str) -> str:
    """A stable name of the environment: its requirements in any order, what lies at its paths, and the interpreter."""
    parts = sorted(resolved(w) + (_content(Path(resolved(w))) if is_path(w) else "") for w in words)
    return hashlib.blake2b("\x1f".join([*parts, interpreter]).encode(), digest_size=8).hexdigest()


def _content(path: Path) -> str:
    """A digest of a file, or of all files below a folder: an edited package is another environment."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and ".git" not in p.parts)
    total = hashlib.blake2b(digest_size=8)
    for file in files:
        total.update(str(file.relative_to(path)).encode() + b"\x1f" + file.read_bytes())
    return total.hexdigest()
