"""Programs of torch.export as targets: a file or an object, its operators that drop, and what is said of one that drops nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import dropcheck
from dropcheck.contract.errors import UsageError
from dropcheck.judge.diagnosis import diagnose
from dropcheck.plan import models, targets

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one program that drops, and one that was exported in inference."""
    folder = tmp_path_factory.mktemp("programs")
    net = torch.nn.Sequential(torch.nn.Conv1d(4, 6, 1), torch.nn.Dropout1d(0.5), torch.nn.Dropout(0.2))
    for name, mode in (("drops", True), ("still", False)):
        torch.export.save(torch.export.export(net.train(mode), (torch.randn(8, 4, 5),)), str(folder / f"{name}.pt2"))
    (folder / "object.py").write_text(f"import torch\nprogram = torch.export.load({str(folder / 'drops.pt2')!r})\n")
    return folder


def _seen(target: str) -> models.Model:
    found = models.look(targets.parse(target), in_process=True)
    assert found is not None
    return found


@pytest.mark.parametrize("target", ["drops.pt2", "object.py:program"])
def test_operators_that_drop_are_found_with_rate_shape_and_pattern(programs: Path, target: str) -> None:
    seen = _seen(str(programs / target))
    first, second = seen.layers
    assert (first.name, first.kind, first.rate, first.shape) == ("feature_dropout", "Dropout1d", 0.5, (8, 6, 5))
    assert str(first.pattern) == "batch channel time -> batch channel" and not first.faults
    assert (second.name, second.rate) == ("dropout", 0.2) and not second.faults
    assert any("drops in inference, too" in note for note in seen.notes)


def test_an_operator_is_a_target_of_its_own_that_cannot_be_switched(programs: Path) -> None:
    (target,) = dropcheck.audit(
        f"{programs / 'drops.pt2'}#feature_dropout",
        select=("mask.whole-channels", "mode.inference"),
        cases="float32 rate=0.5 9,33,3 calls=16",
        dtypes="float32",
        jobs=1,
        in_process=True,
        causes=False,
    ).targets
    assert target.error is None and target.verdict == "pass"
    assert {f.verdict for f in target.findings if f.check == "mode.inference"} == {"skipped"}


def test_an_unflattened_program_keeps_dropping_in_inference(programs: Path) -> None:
    (programs / "flat.py").write_text(
        f"import torch\nmodel = torch.export.unflatten(torch.export.load({str(programs / 'drops.pt2')!r}))\n"
        "sample_input = torch.randn(8, 4, 5)\n"
    )
    *_, target = dropcheck.audit(
        f"{programs / 'flat.py'}:model", select="site.reached", jobs=1, in_process=True
    ).targets
    (cause,) = diagnose(target)
    assert "aten.feature_dropout.default in InterpreterModule" in cause.observed and " at " not in cause.observed
    assert "Export the model once more after `eval()`" in cause.fix


def test_a_program_in_inference_and_a_file_that_is_none_cost_one_sentence(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="all 2 dropout operators were exported in inference"):
        _seen(str(programs / "still.pt2"))
    (tmp_path / "none.pt2").write_text("no program")
    with pytest.raises(UsageError, match=r"none\.pt2 is no program of torch\.export, or is damaged"):
        _seen(str(tmp_path / "none.pt2"))
    with pytest.raises(targets.UnknownTarget, match="there is no file"):
        targets.parse(str(tmp_path / "absent.pt2"))
