"""The worker needs NumPy and the framework alone, runs under another interpreter, and reports its own."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

LAYER = """
import sys
import numpy as np

def layer(x, rate, *, training, rng):
    others = {"scipy", "pandas", "msgspec", "typer", "rich", "jinja2", "psutil", "torch"} & set(sys.modules)
    assert not others, others
    if not 0 <= rate <= 1:
        raise ValueError(rate)
    if not training or rate == 0:
        return x.copy()
    if rate == 1:
        return np.zeros_like(x)
    mask = rng.random(x.shape[:2]) < rate
    return np.where(mask[:, :, None], x.dtype.type(0), (x.astype(np.float64) / (1 - rate)).astype(x.dtype))
"""


FEW = ("--case", "float32 rate=0.3 257,64,4 calls=84", "--case", "float32 rate=0.3 129,65,3 calls=64 values")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has nothing but NumPy: a virtual environment into which NumPy is linked."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    packages = Path(np.__file__).parent.parent
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            (site / name).symlink_to(packages / name, target_is_directory=True)
    return folder / "bin" / "python"


def test_the_worker_runs_where_only_numpy_is(call: Any, write: Any, bare: Path) -> None:
    write("mine.py", LAYER)
    have = subprocess.run(
        [bare, "-c", "import numpy\ntry:\n    import scipy\nexcept ImportError:\n    print('none')"],
        capture_output=True,
        text=True,
    )
    assert have.stdout.strip() == "none"
    words = (
        "audit",
        "mine.py:layer",
        "--dtype",
        "float32",
        "--select",
        "mask,rate,seed,form",
        "--json",
        "r.json",
        *FEW,
    )
    there = call(*words, "--python", str(bare))
    assert there.code == 0, there.out
    assert "--python" in json.dumps(there.result()["argv"])
    again = call(*words)
    assert again.code == 1 or again.code == 0
    coins = [f["tallies"] for f in there.result()["targets"][0]["findings"] if f["check"] == "rate.marginal"]
    assert coins


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
def test_the_workers_source_is_plain_enough_for_older_and_newer_pythons(version: str) -> None:
    """Compiled by the grammar of each version; what runs under another interpreter must not use newer syntax."""
    import ast

    import dropcheck
    import spatial_dropouts

    suite, zoo = Path(dropcheck.__file__).parent, Path(spatial_dropouts.__file__).parent
    files = [suite / "adapter.py", suite / "__init__.py"]
    files += [*(suite / "contract").glob("*.py"), *(suite / "worker" / "server").glob("*.py"), *zoo.rglob("*.py")]
    major, minor = map(int, version.split("."))
    for path in files:
        if path.name != "client.py":  # the suite's end of the pipe
            ast.parse(path.read_text(), feature_version=(major, minor))


def test_another_interpreter_sees_none_of_this_ones_packages(call: Any, write: Any, bare: Path) -> None:
    write("needs.py", "import scipy\n\ndef layer(x, rate, *, training, rng):\n    return x\n")
    done = call("audit", "needs.py:layer", "--python", str(bare), PYTHONPATH=":".join(p for p in sys.path if p))
    assert done.code == 2
    assert "No module named 'scipy'" in done.err
