"""Environments of other releases: built once by pip or npm into a cache, used only when whole, and shared by all audits."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from dropcheck.contract import node_packages, requirements
from dropcheck.contract.errors import UsageError
from dropcheck.plan import installing, overlays
from dropcheck.plan.installing import BuildError
from dropcheck.plan.targets import Target
from dropcheck.results.audit import write_atomically
from dropcheck.worker import caches

_MARK = node_packages.MARK
Tell = Callable[[str], None]

__all__ = ["BuildError", "Environment", "cache", "listed", "placed", "provide", "remove"]


@dataclass(frozen=True)
class Environment:
    """A finished environment: its folder, its interpreter, what was asked for and what is in it.

    ``python``: empty where it has packages of npm alone. ``node``: the folder with their node_modules; empty without any.
    ``own``: what pip put there itself, where it lies over another environment. ``yanked``: which of that its owners took back.
    """

    key: str
    folder: Path
    python: str
    requirements: tuple[str, ...]
    packages: dict[str, str]
    size_mb: float
    built: str
    node: str = ""
    own: dict[str, str] = field(default_factory=dict)
    yanked: dict[str, str] = field(default_factory=dict)


def cache() -> Path:
    """The folder of all environments: ``$XDG_CACHE_HOME/dropcheck/environments``, or the system's own place."""
    return caches.folder() / "environments"


def provide(
    words: tuple[str, ...], base: str | None = None, tell: Tell | None = None, limit_mb: float | None = None
) -> Environment:
    """The environment of these requirements and NumPy under the interpreter ``base``, built if it is not there.

    ``installed`` among them: over all packages of ``base``. ``limit_mb``: megabytes that pip may download, else TooLarge.

    Built beside its place under another name and moved there whole, under a lock: neither a killed build nor a second
    builder leaves anything that would be used. Requirements of npm have a folder of their own beside those of pip. Raises
    BuildError with the last lines of pip or npm.
    """
    of_npm = tuple(word for word in words if node_packages.is_npm(word))
    of_pip = tuple(word for word in words if word not in of_npm)
    node = _provided(of_npm, node_packages.key(of_npm), _build_node, tell) if of_npm else None
    if node is not None and not of_pip:
        return node
    interpreter = base or sys.executable

    def build(words: tuple[str, ...], folder: Path) -> None:
        _build(words, interpreter, folder, limit_mb)

    identity = _identity(interpreter)
    if requirements.INSTALLED in of_pip:
        identity += f" {overlays.identity(interpreter)}"
    found = _provided(of_pip, requirements.key(of_pip, identity), build, tell)
    return found if node is None else replace(found, node=node.node)


def placed(target: Target, base: str | None = None, tell: Tell | None = None) -> Target:
    """The target with the interpreter and the packages of its environment, built where needed. Raises BuildError."""
    if not target.releases:
        return target
    found = provide(target.releases, base, tell)
    given = ((node_packages.VARIABLE, found.node),) if found.node else ()
    return replace(target, python=found.python, environment=(*target.environment, *given))


def _provided(
    words: tuple[str, ...], key: str, build: Callable[[tuple[str, ...], Path], None], tell: Tell | None
) -> Environment:
    folder = cache() / key
    if (found := _finished(folder)) is not None:
        return found
    try:
        cache().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the cache {cache()} cannot be written: {error.strerror or error}") from error
    with _locked(cache() / f"{key}.lock"):
        if (found := _finished(folder)) is not None:
            return found
        if tell is not None:
            tell(f"building an environment with {requirements.name_of(words)}")
        build(words, folder)
    found = _finished(folder)
    assert found is not None
    return found


def listed() -> list[Environment]:
    """All finished environments of the cache, oldest first."""
    folders = sorted(cache().iterdir()) if cache().is_dir() else []
    found = [e for e in (_finished(folder) for folder in folders if folder.is_dir()) if e is not None]
    return sorted(found, key=lambda e: e.built)


def remove(key: str) -> list[Environment]:
    """Remove the environments whose key begins so (``all``: every one, with what killed builds left). UsageError if none."""
    chosen = [e for e in listed() if key == "all" or e.key.startswith(key)]
    if not chosen and key != "all":
        raise UsageError(f"there is no environment {key!r}; `dropcheck environments` lists those that are there")
    for one in chosen:
        with _locked(cache() / f"{one.key}.lock"):
            (one.folder / _MARK).unlink(missing_ok=True)  # first: half a folder must not count as one
            shutil.rmtree(one.folder, ignore_errors=True)
    return chosen


def _finished(folder: Path) -> Environment | None:
    try:
        text = json.loads((folder / _MARK).read_text())
        python = str(folder / text["python"]) if text["python"] else ""
        node = str(folder) if text.get("node") else ""
        if not (Path(python).exists() if python else node):
            return None
        return Environment(
            folder.name,
            folder,
            python,
            tuple(text["requirements"]),
            dict(text["packages"]),
            float(text["size_mb"]),
            str(text["built"]),
            node,
            dict(text.get("own", {})),
            dict(text.get("yanked", {})),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _identity(python: str) -> str:
    """Which interpreter an environment is made with: implementation, version, and the platform of its wheels."""
    if python == sys.executable:
        import sysconfig

        return f"{sys.implementation.cache_tag} {sys.version.split()[0]} {sysconfig.get_platform()}"
    code = "import sys,sysconfig;print(sys.implementation.cache_tag,sys.version.split()[0],sysconfig.get_platform())"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"the interpreter {python!r} does not start: {error}") from error
    if done.returncode != 0:
        raise UsageError(f"the interpreter {python!r} does not run: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.strip()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other process builds or removes this environment. The lock ends with its holder, however that ends."""
    from filelock import FileLock

    with FileLock(str(path)):
        yield


def _build(words: tuple[str, ...], base: str, folder: Path, limit_mb: float | None) -> None:
    """An environment of pip: a folder that venv makes."""
    over = requirements.INSTALLED in words
    with _beside(folder) as work:
        inside = Path("Scripts" if os.name == "nt" else "bin") / ("python.exe" if os.name == "nt" else "python")
        own_pip = find_spec("pip") is not None
        installing.run([base, "-m", "venv", *(["--without-pip"] if own_pip else []), str(work)], words, base)
        given = [requirements.resolved(w) for w in words if w != requirements.INSTALLED]
        if over:
            overlays.see_through(work, base)
        elif "numpy" not in {requirements.package_of(w) for w in words}:
            given.append("numpy")  # what the worker needs beside the framework
        python = str(work / inside)
        pip = [sys.executable, "-m", "pip", "--python", python] if own_pip else [python, "-m", "pip"]
        install = [*pip, "install", "--disable-pip-version-check", "--no-compile"]
        said = ""
        if not given:
            pass  # packages of npm over the present environment
        elif limit_mb is not None:
            said = installing.watched([*install, "--progress-bar", "off", *given], words, base, limit_mb)
        else:
            installing.run([*install, "--quiet", *given], words, base)
        done = installing.run([*pip, "list", "--disable-pip-version-check", "--format", "json"], words, base)
        packages = {one["name"]: one["version"] for one in json.loads(done)}
        own = overlays.installed(work) if over else {}
        _finish(work, words, packages, python=str(inside), own=own, yanked=installing.yanked(said))


def _build_node(words: tuple[str, ...], folder: Path) -> None:
    """An environment of npm: a folder with node_modules. No package runs a script of its own while it is installed."""
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError(
            f"the environment with {requirements.name_of(words)} could not be built: npm is not installed (it comes with Node.js)"
        )
    with _beside(folder) as work:
        named = [f"{name}@{version}" for name, version in filter(None, map(node_packages.split, words))]
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--loglevel=error"]
        installing.run([npm, "install", "--prefix", str(work), *quiet, *named], words, sys.executable, "npm")
        found = sorted((work / "node_modules").glob("*/package.json")) + sorted(
            work.glob("node_modules/@*/*/package.json")
        )
        packages = [json.loads(file.read_text()) for file in found]
        _finish(work, words, {one["name"]: one["version"] for one in packages}, node=True)


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A folder to build in, moved to its place at the end; removed where the build fails."""
    if folder.exists():  # left by a release that marked nothing, or damaged
        shutil.rmtree(folder, ignore_errors=True)
    # on the same file system as its place, so that the move is one step; scripts in bin/ keep the old path and are not used
    work = Path(tempfile.mkdtemp(dir=cache(), prefix=f".{folder.name}."))
    try:
        yield work
        os.replace(work, folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _finish(
    work: Path,
    words: tuple[str, ...],
    packages: dict[str, str],
    python: str = "",
    node: bool = False,
    **more: dict[str, str],
) -> None:
    """Write the mark of a finished environment."""
    size = sum(p.stat().st_size for p in work.rglob("*") if p.is_file() and not p.is_symlink()) / 2**20
    mark = {
        "requirements": list(words),
        "python": python,
        "packages": packages,
        "size_mb": round(size, 1),
        "built": time.strftime("%Y-%m-%d %H:%M:%S"),
        **({"node": True} if node else {}),
        **{name: found for name, found in more.items() if found},
    }
    write_atomically(work / _MARK, json.dumps(mark, indent=1).encode())
