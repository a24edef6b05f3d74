"""Tiny releases for tests: wheels in a folder that pip takes for its index, with this interpreter's NumPy among them."""

from __future__ import annotations

import zipfile
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
    """A wheel of this interpreter's NumPy that says where it lies: neither an index nor a copy is needed."""
    import numpy as np

    beside = folder / "beside"
    beside.mkdir()
    for name in ("numpy", "numpy.libs"):
        if (lies := Path(np.__file__).parents[1] / name).exists():
            (beside / name).symlink_to(lies, target_is_directory=True)
    path = folder / f"numpy-{np.__version__}-py3-none-any.whl"
    info = f"numpy-{np.__version__}.dist-info"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("numpy.pth", str(beside))
        out.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: numpy\nVersion: {np.__version__}\n")
        out.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        out.writestr(f"{info}/RECORD", "")
    return path
