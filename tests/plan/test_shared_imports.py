"""Which targets share an import: those of PyTorch, where nothing of a user runs before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropcheck.plan import targets
from dropcheck.plan.shared_imports import modules

LAYER = "class Layer(torch.nn.Module): ...\n"


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("import torch\n", True),
        ('"""Layers."""\nfrom __future__ import annotations\nimport os, numpy as np\nfrom torch import nn\n', True),
        ("from torch.nn import functional\nimport keras\n", True),
        ("import os\nos.environ['OMP_NUM_THREADS'] = '2'\nimport torch\n", False),
        ("import keras\nimport torch\n", False),
        ("from . import own\nimport torch\n", False),
        ("import own\nimport torch\n", False),
        ("if True:\n    import torch\n", False),
        ("import numpy\n", False),
        ("import torch(\n", False),
    ],
)
def test_files(text: str, shared: bool, tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text(text + LAYER)
    target = targets.parse(f"{tmp_path / 'layers.py'}:Layer", defined=False)
    assert modules(target) == (("torch",) if shared else ())


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("torch.Dropout1d", True),
        ("torch.Dropout1d@compiled", False),
        ("keras.SpatialDropout1D@torch", False),
        ("custom.reference", False),
        ("package.module:Layer", False),
    ],
)
def test_names(name: str, shared: bool) -> None:
    assert modules(targets.parse(name, defined=False)) == (("torch",) if shared else ())
