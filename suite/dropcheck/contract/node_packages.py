"""Packages of Node.js: requirements such as ``npm:@tensorflow/tfjs@4.22.0``, and where what they name is installed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Dict, Iterable, Optional, Tuple

from dropcheck.contract.cache_folder import folder as cache_folder

# Imported by the worker: the standard library only, Python 3.9 at run time.

PREFIX = "npm:"
VARIABLE = "DROPCHECK_NODE_PACKAGES"  # the folder with the node_modules of a target's environment
MARK = "dropcheck-environment.json"  # written last: a folder without it was never finished
# names as npm takes them, and one version: a range names another release every month
_WORD = re.compile(r"npm:((?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*)@(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")


def is_npm(word: str) -> bool:
    """Whether a requirement is one of npm."""
    return word.startswith(PREFIX)


def split(word: str) -> Optional[Tuple[str, str]]:
    """(name, version) of ``npm:NAME@VERSION``; None for what is no such thing."""
    found = _WORD.fullmatch(word)
    return (found[1], found[2]) if found else None


def key(words: Iterable[str]) -> str:
    """A stable name of an environment of these packages, in any order."""
    return hashlib.blake2b("\x1f".join([*sorted(words), "npm"]).encode(), digest_size=8).hexdigest()


def pinned(file: Path) -> Dict[str, str]:
    """The packages that a package.json names, as requirements by name."""
    return {name: f"{PREFIX}{name}@{version}" for name, version in json.loads(file.read_text())["dependencies"].items()}


def place_of(*words: str) -> Optional[Path]:
    """The folder whose node_modules has these packages: of the target's environment, of the project, or of a cached environment.

    The project is the present folder with all above it, as Node.js looks; of these any version will do, as it is the one that
    its owner uses. In the cache it is the version asked for.
    """
    named = dict(found for found in map(split, words) if found is not None)
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given) if all(_version(Path(given), name) for name in named) else None
    here = Path.cwd()
    for folder in (here, *here.parents):
        if all(_version(folder, name) for name in named):
            return folder
    for mark in sorted((cache_folder() / "environments").glob(f"*/{MARK}")):
        if all(_version(mark.parent, name) == version for name, version in named.items()):
            return mark.parent
    return None


def missing(*words: str) -> str:
    """That Node.js or a package is not here, and what to do: one sentence; empty where all is here."""
    if program() is None:
        return "Node.js is not installed: install it (version 18 or newer), so that `node` is on the path"
    if place_of(*words) is not None:
        return ""
    names = " and ".join(word[len(PREFIX) :].rpartition("@")[0] for word in words)
    return (
        f"{names} {'is' if len(words) == 1 else 'are'} not installed: add --with '{' '.join(words)}', which installs it"
    )


def program() -> Optional[str]:
    """Node.js: ``DROPCHECK_NODE``, or ``node`` on the path."""
    return shutil.which(os.environ.get("DROPCHECK_NODE") or "node")


def _version(folder: Path, name: str) -> str:
    """The version of a package in a folder's node_modules; empty where it is not there."""
    try:
        return str(json.loads((folder / "node_modules" / name / "package.json").read_text())["version"])
    except (OSError, ValueError, KeyError):
        return ""
