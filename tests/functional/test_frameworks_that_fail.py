"""Frameworks that are absent, half-installed or noisy at import cost their own targets, with the reason, and nobody else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dropcheck.contract.register import register

REGISTER = """
from dropcheck import Contract, Implementation, Pattern

CONTRACT = Contract(pattern=Pattern.parse("n c l -> n c"), seeds=("generator",))


def implementations():
    return {
        f"fake.{word}": Implementation(
            make=f"fake_{word}:drop", framework="numpy", contract=CONTRACT, requires=(f"fake_{word}",), default=False
        )
        for word in ("raises", "exits", "noisy", "absent")
    }
"""
DROP = """
import numpy as np


def drop(x, rate, *, training, rng):
    if not 0 <= rate <= 1:
        raise ValueError(rate)
    if not training or rate == 0:
        return x.copy()
    kept = rng.random(x.shape[:2] + (1,) * (x.ndim - 2)) >= rate
    return np.where(kept, (x / np.asarray(1 - rate if rate < 1 else 1, x.dtype)), np.zeros((), x.dtype)).astype(x.dtype)
"""
NOISE = """
import sys, threading, time, warnings
print("{word} on standard output", flush=True)
sys.stderr.write("{word} on standard error")
warnings.warn("{word} warns")
threading.Thread(target=time.sleep, args=(3600,)).start()
"""


@pytest.fixture
def fakes(tmp_path: Path) -> dict[str, str]:
    """A folder of fake frameworks with a register of their own, as variables for a process that sees them."""
    site = tmp_path / "site"
    files = {
        "fake_register.py": REGISTER,
        "fake_raises.py": NOISE.format(word="raises") + "raise RuntimeError('libfake.so is broken')\n",
        "fake_exits.py": "print('bye')\nraise SystemExit(0)\n",
        "fake_noisy.py": NOISE.format(word="noisy") + DROP,
        "fake-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: fake\nVersion: 1\n",
        "fake-1.dist-info/entry_points.txt": "[dropcheck.implementations]\nfake = fake_register:implementations\n",
    }
    for name, text in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {"PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH", "")])])}


def test_what_does_not_import_is_skipped_with_the_reason(run: Callable[..., Any], fakes: dict[str, str]) -> None:
    done = run("audit", "fake.raises", "fake.exits", "fake.absent", "--json", "r.json", **fakes)
    skipped = {t["target"]: t["skipped"] for t in done.result()["targets"]}
    assert done.code == 3
    assert skipped == {
        "fake.raises": "fake_raises is installed, but does not import: RuntimeError: libfake.so is broken",
        "fake.exits": "fake_exits is installed, but does not import: SystemExit: 0",
        "fake.absent": "fake_absent is not installed: pip install fake_absent",
    }
    assert "on standard output" not in done.out and "bye" not in done.out


def test_a_named_target_that_cannot_run_here_is_missing_evidence_whatever_passes_beside_it(
    run: Callable[..., Any], fakes: dict[str, str]
) -> None:
    one = ("custom.reference", "--select", "mask", "--dtype", "float32", "--case", "float32 rate=0.3 257,64,4 calls=84")
    named = run("audit", "fake.absent", *one, **fakes)
    assert named.code == 3 and "fake_absent is not installed" in " ".join(named.out.split())
    assert run("audit", *one, **fakes).code == 0


def test_noise_and_threads_at_import_harm_nobody(run: Callable[..., Any], fakes: dict[str, str]) -> None:
    done = run(
        *("audit", "fake.noisy", "custom.reference", "--select", "mask,rate", "--json", "r.json"),
        *("--dtype", "float32", "--case", "float32 rate=0.3 257,64,4 calls=84"),
        **fakes,
    )
    assert done.code == 0, done.out
    assert {t["verdict"] for t in done.result()["targets"]} == {"pass"}
    assert "noisy" not in done.out.replace("fake.noisy", "") and "noisy on" not in done.err


def test_listing_imports_no_framework(run: Callable[..., Any], fakes: dict[str, str]) -> None:
    done = run("list", "--all", **fakes)
    assert done.code == 0 and "noisy on" not in done.out + done.err
    rows = {line.split()[0]: line for line in done.out.splitlines() if line.startswith("  ")}
    assert "fake.noisy" in rows and "fake.absent" not in rows
    assert "- fake.absent " in done.out and "fake_absent is not installed" in " ".join(done.out.split())
    assert "python -m venv" in done.out or "paddle.Dropout2D" in rows


def test_every_registered_implementation_says_what_it_requires() -> None:
    for name, entry in register().items():
        if entry.implementation.framework not in ("numpy", None):
            assert entry.implementation.requires, name
