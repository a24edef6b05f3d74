"""Scripts are put together from pieces of text, which no checker reads: it reads all of the scripts that they make."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from kits.script import failed

from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.plan import targets
from dropcheck.report.reproduction import layer, write
from dropcheck.report.reproduction.script import CHECKS

# target, framework and way of seeding: one of each kind of layer that has words of its own
TARGETS = [
    ("custom.reference", "numpy", "generator"),
    ("torch.Dropout1d", "torch", "global"),
    ("torch.Dropout1d@compiled", "torch", "global"),
    ("torch.Dropout1d@vmap-different", "torch", "global"),
    ("keras.SpatialDropout1D@torch", "keras@torch", "constructor"),
    ("keras.SpatialDropout1D@jax", "keras@jax", "constructor"),
    ("keras.SpatialDropout1D@tensorflow", "keras@tensorflow", "constructor"),
    ("tensorflow.spatial_dropout1d@graph", "tensorflow", "global"),
    ("mlx.Dropout2d", "mlx", "global"),
]
CASE = "float32 rate=0.3 130,34,3 calls=64"
CASES = {
    "rate.rejects-invalid": "rate=1.5",
    "rate.zero": "float32 rate=0",
    "rate.one": "float32 rate=1",
    "form.strides": "float32 rate=0.3 strided",
    "gradient.cotangents": "float32 rate=0.3 strided cotangent",
}
LINTED = (
    "check",
    "--isolated",
    "--no-cache",
    "--select",
    "F,E9",
    "--ignore",
    "F401,F841",
    "--output-format",
    "concise",
)


@pytest.mark.parametrize(("name", "framework", "way"), TARGETS)
def test_no_script_has_a_name_that_it_does_not_define(name: str, framework: str, way: str, tmp_path: Path) -> None:
    found = layer._origin(targets.parse(name))[0]
    known = found.contract if found is not None else None
    contract = known if isinstance(known, Contract) else Contract(pattern=Pattern.parse("n c l -> n c"), seeds=(way,))
    for check in CHECKS:
        owner, finding = failed(name, framework, contract, check, CASES.get(check, f"{CASE} way={way}"), "it fails")
        with contextlib.suppress(UsageError):  # some checks of daily use have a script for some frameworks alone
            (tmp_path / f"{check.replace('.', '_').replace('-', '_')}.py").write_text(write(owner, finding))
    assert len(list(tmp_path.iterdir())) >= 30
    told = subprocess.run(
        [sys.executable, "-m", "ruff", *LINTED, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout
