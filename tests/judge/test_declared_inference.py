"""``--inference`` declares what inference returns, as ``Contract(inference=...)`` does."""

from __future__ import annotations

from pathlib import Path

import pytest

import dropcheck
from dropcheck.cli import main
from dropcheck.contract.errors import UsageError

LAYERS = """
import numpy as np

def always(x, rate, *, training, rng):
    return x * (rng.random(x.shape[:2])[:, :, None] >= rate) / np.asarray(1 - rate, x.dtype)

def plain(x, rate, *, training, rng):
    return always(x, rate, training=True, rng=rng) if training else x
"""


@pytest.fixture
def layers(tmp_path: Path) -> str:
    (tmp_path / "layers.py").write_text(LAYERS)
    return str(tmp_path / "layers.py")


def _mode(target: str, **more: object) -> dropcheck.Result:
    return dropcheck.audit(target, select="mode.inference", dtypes="float32", in_process=True, causes=False, **more)


def test_a_layer_that_is_active_in_inference_passes_where_it_is_declared_so(layers: str) -> None:
    assert _mode(f"{layers}:always").verdict == "fail"
    declared = _mode(f"{layers}:always", inference="active")
    assert declared.verdict == "pass" and declared.targets[0].contract["inference"] == "active"
    assert declared.asked is not None and "--inference" in declared.asked


def test_a_layer_that_is_not_what_is_declared_fails(layers: str) -> None:
    result = _mode(f"{layers}:plain", inference="active")
    assert result.verdict == "fail"
    (failing, *_) = [one for one in result.targets[0].findings if one.verdict == "fail"]
    assert "--inference active" in failing.replay
    assert _mode(f"{layers}:plain", inference="identity").verdict == "pass"


def test_the_command_takes_it_and_names_the_nearest_word(layers: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["audit", f"{layers}:always", "--select", "mode.inference", "--dtype", "float32", "--jobs", "1"]
    assert main([*asked, "--inference", "activ"]) == 2
    assert "the nearest is 'active'" in capsys.readouterr().err
    assert main([*asked, "--inference", "active"]) == 0


def test_the_library_takes_what_the_command_line_takes(layers: str) -> None:
    result = dropcheck.audit(
        f"{layers}:plain", select="mode.inference,mode.toggle", seed="fresh", dtypes="float32", in_process=True
    )
    assert {one.check for one in result.targets[0].findings} == {"mode.inference", "mode.toggle"}
    with pytest.raises(UsageError, match="seed takes"):
        dropcheck.audit(f"{layers}:plain", seed="new", in_process=True)
