"""Environments over the present one: what is asked for is installed by itself, and all else is seen through from there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

from dropcheck.contract.errors import UsageError
from dropcheck.plan import installing

# the folders of an interpreter's packages, those of its virtual environment before those of the system
_CODE = (
    "import json,os,sys;"
    "print(json.dumps([p for p in sys.path if os.path.basename(p) in ('site-packages','dist-packages') and os.path.isdir(p)]))"
)
_DESCRIPTIONS = (".dist-info", ".egg-info")


def folders(python: str) -> list[str]:
    """The folders of packages that an interpreter sees. Raises UsageError where it does not start."""
    try:
        done = subprocess.run(
            [python, "-c", _CODE], capture_output=True, text=True, timeout=60, env=installing.variables()
        )
        found: list[str] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"the interpreter {python!r} does not tell where its packages are: {error}") from error
    return found


def identity(python: str) -> str:
    """Which packages lie where in which release: another release of one of them makes another environment."""
    some = folders(python)
    names = sorted(
        name
        for folder in some
        for name in os.listdir(folder)
        if name.endswith(_DESCRIPTIONS) and not name.startswith("~")
    )
    return hashlib.blake2b("\n".join([*some, *names]).encode(), digest_size=8).hexdigest()


def see_through(work: Path, python: str) -> None:
    """Let the new environment ``work`` see the packages of ``python`` behind its own.

    ``addsitedir`` and not the folders alone: packages that are installed in place are found by files that it reads.
    """
    (place,) = own(work)
    lines = [f"import site; site.addsitedir({folder!r})" for folder in folders(python)]
    (place / "over.pth").write_text("\n".join(lines) + "\n")


def own(work: Path) -> list[Path]:
    """The folder of the environment's own packages."""
    return sorted(p for p in (*work.glob("lib/python3*/site-packages"), *work.glob("Lib/site-packages")) if p.is_dir())


def installed(work: Path) -> dict[str, str]:
    """Name and release of what is installed in the environment itself."""
    from importlib.metadata import distributions

    return {d.metadata["Name"]: d.version for d in distributions(path=[str(p) for p in own(work)])}
