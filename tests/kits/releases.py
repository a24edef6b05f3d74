"""Tiny releases for tests: wheels in a folder that pip takes for its index, with this interpreter's NumPy among them."""

from __future__ import annotations

import zipfile
from importlib.metadata import distribution
from pathlib import Path

# rate .3 is obeyed as .36 from the release on in which @WRONG@ is true
SOURCE = """
import numpy as np

__version__ = "@VERSION@"


def layer(x, rate, *, training, rng):
    if not 0 <= rate <= 1:
        raise ValueError(rate)
    if not training or rate == 0:
        return x.copy()
    if rate == 1:
        return np.zeros_like(x)
    obeyed = rate * 1.2 if @WRONG@ else rate
    mask = rng.random(x.shape[:2]) < obeyed
    return np.where(mask[:, :, None], x.dtype.type(0), (x.astype(np.float64) / (1 - rate)).astype(x.dtype))
"""


def wheel(folder: Path, version: str, source: str, name: str = "tinydrop", requires: str = "") -> Path:
    """A wheel of one module."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(path, "w") as out:
        out.writestr(f"{name}.py", source.replace("@VERSION@", version))
        out.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        out.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        out.writestr(f"{info}/RECORD", "")
    return path


def numpy_wheel(folder: Path) -> Path:
    """This interpreter's NumPy as the wheel that it was installed from, so that no index is asked for it."""
    found = distribution("numpy")
    tag = next(
        line.partition(":")[2].strip()
        for line in (found.read_text("WHEEL") or "").splitlines()
        if line.startswith("Tag:")
    )
    path = folder / f"numpy-{found.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
        for file in found.files or ():
            place = Path(str(found.locate_file(file)))
            # tests and scripts are left out, and what pip wrote itself
            if ".." in file.parts or "tests" in file.parts or place.suffix == ".pyc" or not place.is_file():
                continue
            if file.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
                continue
            out.write(place, str(file))
        out.writestr(f"numpy-{found.version}.dist-info/RECORD", "")
    return path
