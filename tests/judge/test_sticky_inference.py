"""Inference after training: what is kept by shape, call, recording or way of switching is seen by the checks of the mode."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import dropcheck
from dropcheck.results.audit import Finding
from spatial_dropouts import broken
from spatial_dropouts.broken.records import inference as records_inference
from spatial_dropouts.broken.records.record import Defect

BRANCHES = "spatial_dropouts.broken.inference_elsewhere:"


def audited(target: str, **more: Any) -> list[Finding]:
    """The findings of a quick audit in this process; of the mode alone unless others are asked for."""
    given: dict[str, Any] = {
        "select": ("mode",),
        "dtypes": ("float32",),
        "in_process": True,
        "jobs": 1,
        "causes": False,
    }
    (found,) = dropcheck.audit(target, **{**given, **more}).targets
    assert found.error is None, found.error
    return found.findings


def failing(findings: list[Finding]) -> set[str]:
    """The checks that fail."""
    return {f.check for f in findings if f.verdict == "fail"}


PLANTED = [d for d in broken.DEFECTS if d.name in {one.name for one in records_inference.DEFECTS}]


@pytest.mark.parametrize("defect", PLANTED, ids=lambda d: d.name)
def test_each_is_caught_by_its_check_alone(defect: Defect) -> None:
    found = audited(f"broken.{defect.name}", select=("mode", "form", "seed.reset", "gradient.edges", "rate.zero"))
    assert failing(found) == {defect.check, *defect.beside}, failing(found)


@pytest.mark.parametrize("name", ["mask-by-shape", "new-mask-by-shape", "branch-by-shape", "torch-mask-by-shape"])
def test_the_sentence_says_how_much_inference_drops_and_after_what(name: str) -> None:
    first = next(f for f in audited(f"broken.{name}") if f.check == "mode.inference" and f.verdict == "fail")
    share = round(100 * (first.estimate or 0))
    said = f"the layer drops {share}% of the elements in inference after a training call"
    assert first.message.startswith(said) and 45 <= share <= 55
    assert "randomness" not in first.message


@pytest.mark.parametrize(
    "name, words",
    [
        ("large-inference-scaled", "inference multiplies its input by 1.001"),
        ("scaled-at-inference", "inference multiplies its input by 0.5"),
        ("inference-rounds", "inference"),
        ("active-in-inference", "drops "),
        ("switched-by-eval", "switched by eval() of a parent"),
        ("copied-flag", "switched by setting .training"),
        ("recorded-inference", "with gradient recording"),
        ("inference-spends-randomness", "the masks of the training calls after it"),
    ],
)
def test_the_sentence_names_what_is_special(name: str, words: str) -> None:
    found = [f for f in audited(f"broken.{name}") if f.check == "mode.inference" and f.verdict == "fail"]
    assert found and all(" 0% of" not in f.message for f in found)
    assert any(words in f.message for f in found), [f.message for f in found]


@pytest.mark.parametrize(
    "target",
    [
        *("unusual.branch-by-shape-and-mode", "unusual.keeps-its-last-mask", "unusual.monte-carlo", "unusual.classic"),
        *("torch.Dropout1d", "custom.torch", "unusual.constant", "unusual.drop-path", "unusual.batch-shared"),
    ],
)
def test_right_layers_pass_in_every_dtype(target: str) -> None:
    found = audited(target, dtypes=())
    assert {f.verdict for f in found} <= {"pass", "skipped"} and any(f.verdict == "pass" for f in found)


@pytest.mark.parametrize(
    "name, twin", [("jax-branch-by-shape", "JaxBranchByMode"), ("mlx-compiled", "mlx_compiled_by_mode")]
)
def test_what_is_compiled_in_training_stays_in_jax_and_mlx(name: str, twin: str) -> None:
    if importlib.util.find_spec(name.split("-")[0]) is None:
        pytest.skip("not installed")
    few = {"shapes": ((5, 33, 33, 2),) if "mlx" in name else ((5, 33, 2),)}  # every shape costs a compilation
    found = audited(f"broken.{name}", **few)
    assert "mode.inference" in failing(found)
    assert any("in inference after a training call" in f.message for f in found if f.verdict == "fail")
    assert not failing(audited(BRANCHES + twin, **few))


ACTIVE = """
import numpy as np

from dropcheck import Contract, Implementation, Pattern


class MonteCarlo:
    def __init__(self, rate):
        assert 0 <= rate <= 1
        self.rate, self.last = rate, {{}}

    def __call__(self, x, *, training, rng):
        if not training and "{word}" == "keep":
            {inference}
        keep = rng.random(x.shape[:2] + (1,) * (x.ndim - 2)) >= self.rate
        if not training:
            {inference}
        return np.where(keep, x / x.dtype.type(1 - self.rate if self.rate < 1 else 1), x.dtype.type(0))


layer = Implementation(make=MonteCarlo, contract=Contract(Pattern.parse("n c l -> n c"), seeds=("generator",), inference="{word}"))
"""


@pytest.mark.parametrize(
    "inference, word, said",
    [
        ("pass", "active", ""),
        ("return x", "active", "inference drops nothing, but the contract declares that it drops"),
        ("return np.where(keep, x, x.dtype.type(0))", "active", "neither dropped nor the input times the scale"),
        ("keep = rng.random(keep.shape) >= self.rate / 2", "active", ", expected 0.5"),
        ("keep = rng.random(x.shape) >= self.rate", "active", "drop decisions have dropped and kept elements"),
        ("keep = self.last.setdefault(x.shape, keep)", "active", "two inference calls have the same mask"),
        ("return x * x.dtype.type(1 - self.rate)", "keep", ""),
        ("return x", "keep", "inference multiplies its input by 1, expected 0.5"),
        ("return x * x.dtype.type(1 - self.rate) * x.dtype.type(1.01)", "keep", "by 0.505, expected 0.5"),
        ("pass", "keep", "drops "),
    ],
)
def test_a_contract_that_says_what_inference_does_is_judged_by_it(
    tmp_path: Path, inference: str, word: str, said: str
) -> None:
    place = tmp_path / "mine.py"
    place.write_text(ACTIVE.format(inference=inference, word=word))
    found = audited(f"{place}:layer", select=("mode.inference",))
    messages = [f.message for f in found if f.verdict == "fail"]
    assert any(said in m for m in messages) if said else not messages, messages


def test_a_refusal_to_record_what_is_overwritten_is_no_failure_to_switch() -> None:
    """The control: a single recorded training call raises without any inference before it."""
    select = ("form.input-untouched", "mode.toggle")
    (target,) = dropcheck.audit("broken.writes-into-leaf", select=select, in_process=True, jobs=1, causes=False).targets
    assert {f.check for f in target.findings if f.verdict == "fail"} == {"form.input-untouched"}
    told = {f.message for f in target.findings if f.check == "mode.toggle" and f.verdict == "skipped"}
    assert told and all("form.input-untouched" in text for text in told)
