"""The projects in examples/ run as they stand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def project(tmp_path: Path) -> Any:
    """``project("torch_layer")``: a copy of an example in the folder of ``call``."""

    def copy(name: str) -> Path:
        shutil.copytree(EXAMPLES / name, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return tmp_path

    return copy


def test_each_example_is_introduced_in_ten_lines() -> None:
    for folder in (one for one in EXAMPLES.iterdir() if one.is_dir()):
        lines = (folder / "README.md").read_text().splitlines()
        assert len(lines) <= 14 and f"]({folder.name}/README.md)" in (EXAMPLES / "README.md").read_text()


def test_the_torch_layer_passes_its_tests(project: Any) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "rate or gradient"]
    done = subprocess.run(words, cwd=project("torch_layer"), capture_output=True, text=True)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout
    assert "failed" not in done.stdout


def test_the_adapter_passes_the_right_layer_and_fails_the_wrong_one(project: Any, call: Any) -> None:
    project("numpy_adapter")
    narrow = ("--select", "mask,scale", "--case", "float32 rate=0.5 65,32,2 calls=8")
    right = call("audit", "tiny_adapter.py:channel_drop", *narrow)
    assert right.code in (0, 3) and "✗" not in right.out  # so few samples leave some checks inconclusive
    wrong = call("audit", "tiny_adapter.py:shared_drop", *narrow)
    assert wrong.code == 1 and "mask.distinct-samples" in wrong.out


@pytest.mark.long
@pytest.mark.keras
def test_the_policy_of_the_keras_model_lets_it_ship(project: Any, run: Any) -> None:
    project("keras_model")
    done = run("gate", "--jobs", "1", "--json", "gate.json")
    assert done.code == 0, done.out
