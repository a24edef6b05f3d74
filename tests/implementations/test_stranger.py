"""The adapter of docs/how-to/framework.md for an invented framework: short, run as it stands, defect caught."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def adapter(tmp_path: Path) -> str:
    """The page's code, and the framework beside it."""
    page = (ROOT / "docs" / "how-to" / "framework.md").read_text()
    code = page.split("```python")[1].split("\n", 1)[1].split("```")[0]
    (tmp_path / "pebble_adapter.py").write_text(code)
    shutil.copy(ROOT / "tests" / "strangers" / "pebble.py", tmp_path)
    return code


def test_it_is_shorter_than_sixty_lines(adapter: str) -> None:
    assert len(adapter.splitlines()) < 60


def test_the_correct_layer_passes(call: Any, adapter: str) -> None:
    done = call("audit", "pebble_adapter.py:channel_dropout", "--dtype", "float32", "--json", "r.json")
    assert done.code == 0, done.out
    (target,) = done.result()["targets"]
    passed = {f["check"] for f in target["findings"] if f["verdict"] == "pass"}
    assert {"mask.whole-channels", "rate.marginal", "seed.reset", "gradient.mask", "mode.inference"} <= passed
    assert target["framework"] == "pebble" and target["version"] == "0.3"


def test_the_planted_defect_is_caught(call: Any, adapter: str, tmp_path: Path) -> None:
    more = "\nfrom dataclasses import replace\nthrifty = replace(channel_dropout, make=pebble.ThriftyDropout)\n"
    (tmp_path / "pebble_adapter.py").write_text(adapter + more)
    done = call("audit", "pebble_adapter.py:thrifty", "--dtype", "float32", "--select", "mask", "--json", "r.json")
    assert done.code == 1
    (target,) = done.result()["targets"]
    assert "mask.distinct-samples" in {f["check"] for f in target["findings"] if f["verdict"] == "fail"}


def test_its_pattern_is_explained(call: Any, adapter: str) -> None:
    done = call("explain", "pebble_adapter.py:channel_dropout")
    assert done.code == 0 and "One drop decision per (n, c), shared along l." in done.out
