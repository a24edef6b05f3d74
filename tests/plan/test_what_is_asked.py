"""Questions that one dtype answers are asked in a dtype of the run, and scale.mean speaks of a factor only where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dropcheck

HEAD = "import numpy as np\n\ndef layer(x, rate, *, training, rng):\n    if not training:\n        return x\n"
COINS = "    y = x * (rng.random(x.shape[:2] + (1,)) >= rate) / np.array(1 - rate, x.dtype)\n"


def audit(name: str, **options: Any) -> Any:
    (target,) = dropcheck.audit(name, in_process=True, jobs=1, causes=False, **options).targets
    assert target.error is None
    return target


def test_no_question_is_asked_in_a_dtype_that_was_not_asked_for() -> None:
    target = audit(
        "torch.Dropout1d", dtypes=("bfloat16",), select=("form.*", "mode.*", "seed.re*", "rate.rejects-invalid")
    )
    told = {f.check: f.case for f in target.findings if "float32" in f.case or "float64" in f.case}
    assert not told
    assert target.verdict == "pass", [(f.check, f.case, f.message) for f in target.findings if f.verdict != "pass"]


def test_values_that_share_no_factor_are_judged_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample in a hundred is doubled: no factor is wrong, values are. Once told as a shared factor of 1.047."""
    (tmp_path / "mine.py").write_text(HEAD + COINS + "    y[::64] *= 2\n    return y.astype(x.dtype)\n")
    monkeypatch.chdir(tmp_path)
    target = audit("mine.py:layer", dtypes=("float32",), rates=(0.1,), select=("scale.*",))
    verdicts = {f.check: (f.verdict, f.message) for f in target.findings}
    assert verdicts["scale.kept-values"][0] == "fail"
    assert verdicts["scale.mean"][0] == "skipped" and "scale.kept-values" in verdicts["scale.mean"][1]


def test_a_wrong_factor_that_all_values_share_is_still_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(HEAD + COINS + "    return (y * np.array(1.01, x.dtype)).astype(x.dtype)\n")
    monkeypatch.chdir(tmp_path)
    target = audit("mine.py:layer", dtypes=("float16", "float32"), rates=(0.1,), select=("scale.mean",))
    assert [f.verdict for f in target.findings] == ["fail", "fail"]
