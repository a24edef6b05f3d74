"""Which package a target comes from, and which releases of it stand for its last series."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from packaging.utils import canonicalize_name
from packaging.version import Version

from dropcheck.contract import node_packages
from dropcheck.contract.errors import UsageError
from dropcheck.contract.register import register
from dropcheck.contract.requirements import INSTALLED
from dropcheck.plan.targets import Target


@dataclass(frozen=True)
class Package:
    """A package of pip whose releases are tried. ``beside``: packages that are parts of it and move with it (mlx-cpu)."""

    name: str
    beside: tuple[str, ...] = ()
    present: str = ""  # the release that is installed here

    def requirements(self, release: Version, more: Iterable[str] = ()) -> tuple[str, ...]:
        """An environment with that release, and ``more``, over the present one."""
        return (*(f"{name}=={release}" for name in (self.name, *self.beside)), *more, INSTALLED)


def package_of(target: Target, name: str | None = None) -> Package:
    """The package that a target comes from, or the one of that ``name``. Raises UsageError where it is of none."""
    if name is not None:
        found = [n for n, modules in _modules().items() if canonicalize_name(n) == canonicalize_name(name)]
        return _package(found[0] if found else name, _modules().get(found[0], []) if found else [])
    module = _module(target)
    if not module:
        raise UsageError(
            f"{target.name} comes from no package with releases: name a layer of a package, or the package by --package"
        )
    some = [n for n, modules in _modules().items() if module in modules]
    if not some:
        return Package(canonicalize_name(module))
    # of several that have files below one name, the one of that name, else the shortest: tensorflow-cpu, mlx
    first = min(some, key=lambda n: (canonicalize_name(n) != canonicalize_name(module), len(n)))
    return _package(first, [module])


def last_of_series(releases: Iterable[Version], series: int) -> list[Version]:
    """The newest of each of the last ``series`` series, oldest first.

    A series is the first two numbers of a release, as in 3.11; where both are 0, as in 0.0.16, each release is one.
    """
    newest = {_series(one): one for one in sorted(releases)}
    return list(newest.values())[-series:]


def final(releases: Iterable[Version], present: str = "") -> list[Version]:
    """Final releases in order, one build of each: of several, the one with the local name of the ``present`` one."""
    local = Version(present).local if present else None
    found: dict[str, Version] = {}
    for one in sorted(releases):
        if one.is_prerelease:
            continue
        if one.public not in found or one.local == local or found[one.public].local not in (None, local):
            found[one.public] = one
    return sorted(found.values())


def between(releases: Sequence[Version], first: Version, last: Version) -> list[Version]:
    """Releases after ``first`` and before ``last``."""
    return [one for one in releases if first < one < last]


def _series(release: Version) -> tuple[int, ...]:
    two = (release.major, release.minor)
    return (*two, release.micro) if two == (0, 0) else two


def _module(target: Target) -> str:
    """The module whose package's releases matter; an empty text for what has none."""
    place = target.locator.partition("#")[0].rpartition(":")[0]
    if target.source == "user":
        return "" if place.endswith((".py", ".onnx", ".pt2")) else place.partition(".")[0]
    entry = register().get(target.locator)
    if entry is None:
        return ""
    needed = [m for m in entry.implementation.requires if not node_packages.is_npm(m)]
    made = entry.implementation.make
    top = made.partition(":")[0].partition(".")[0] if isinstance(made, str) else ""
    return top if top in needed else needed[-1] if needed else ""


def _modules() -> dict[str, list[str]]:
    """Installed packages with the modules that they bring."""
    return _read(tuple(sys.path))


@functools.cache
def _read(path: tuple[str, ...]) -> dict[str, list[str]]:
    """``path``: lists of files are long, and are read again only where this changes."""
    found: dict[str, list[str]] = {}
    for module, names in packages_distributions().items():
        for name in names:
            found.setdefault(name, []).append(module)
    return found


def _package(name: str, modules: Sequence[str]) -> Package:
    try:
        present = version(name)
    except PackageNotFoundError:
        return Package(canonicalize_name(name))
    others = [
        canonicalize_name(other)
        for other, brings in _modules().items()
        if other != name and set(brings) & set(modules) and version(other) == present
    ]
    return Package(canonicalize_name(name), tuple(sorted(set(others))), present)


def releases_here(names: Iterable[str]) -> dict[str, str]:
    """The releases that the present environment has of some packages; a package that it lacks is left out."""
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
