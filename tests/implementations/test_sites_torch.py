"""The sites of PyTorch models: every draw is found, dropout in inference fails, and a backward pass uses the same masks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from dropcheck.contract.sites import Sites
from dropcheck.judge.checks import CHECK, site

torch = pytest.importorskip("torch")

from kits import planted_models as models  # noqa: E402

from spatial_dropouts.adapters import models_torch  # noqa: E402


def seen(kind: type[Any], audited: tuple[str, ...] = ("drop",)) -> Sites:
    torch.manual_seed(4)
    answer = models_torch.sites(kind(), torch.randn(16, 8), None, audited)
    return Sites.from_answer(answer, "torch", audited)


def verdicts(kind: type[Any], inference: str = "", audited: tuple[str, ...] = ("drop",)) -> dict[str, str]:
    sites = seen(kind, audited)
    found = [
        f
        for n in ("site.reached", "site.gradient", "site.independent")
        for f in CHECK[n].sites(CHECK[n], sites, inference)
    ]  # type: ignore[misc]
    return {f"{f.check} {f.case}": f.verdict for f in found}


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (models.FunctionAlways, "site.reached inference"),
        (models.MadeInForward, "site.reached inference"),
        (models.AttentionAlways, "site.reached inference"),
        (models.PathAlways, "site.reached inference"),
        (models.OwnCheckpoint, "site.gradient backward drop"),
        (models.Unpreserved, "site.gradient backward drop"),
        (models.StraightThrough, "site.gradient backward drop"),
    ],
)
def test_planted_models_fail_one_check(wrong: type[Any], check: str) -> None:
    assert [name for name, verdict in verdicts(wrong).items() if verdict == "fail"] == [check]


@pytest.mark.parametrize(
    "right",
    [
        models.Block,
        models.FunctionInTraining,
        models.AttentionInTraining,
        models.RealCheckpoint,
        models.Residual,
        models.Sampling,
        models.Variational,
    ],
)
def test_their_correct_twins_fail_nothing(right: type[Any]) -> None:
    found = verdicts(right)
    assert not {"fail", "inconclusive"} & set(found.values())
    assert found["site.reached training"] == "pass"


@pytest.mark.parametrize(
    ("wrong", "case"),
    [
        (models.TwoOfOneSeed, "sites first second"),
        (models.SeededInForward, "sites SeededInForward (planted_models.py:"),
    ],
)
def test_one_random_state_for_two_draws_fails(wrong: type[Any], case: str) -> None:
    found = verdicts(wrong, audited=("first", "second"))
    (failed,) = [name for name, verdict in found.items() if verdict == "fail"]
    assert failed.startswith(f"site.independent {case}")


def test_two_draws_from_one_stream_are_independent() -> None:
    found = verdicts(models.Two, audited=("first", "second"))
    assert found["site.independent sites"] == "pass" and "fail" not in found.values()


def test_a_model_is_judged_alike_by_explain_and_by_audit() -> None:
    assert seen(models.FunctionAlways).wrong and seen(models.PathAlways).wrong
    sampling = seen(models.Sampling)
    assert not sampling.wrong and not sampling.active and len(sampling.sampled) == 1
    assert any(note.endswith("random in inference, by no dropout") for note in sampling.notes())


def test_a_layer_that_is_never_called_is_inconclusive_and_named() -> None:
    found = verdicts(models.NeverCalled, audited=())
    assert found["site.reached layer drop"] == "inconclusive"
    assert found["site.reached training"] == "fail"  # nothing draws at all


def test_a_layer_whose_rate_a_function_uses_is_reached() -> None:
    assert verdicts(models.AttentionInTraining, audited=())["site.reached layer drop"] == "pass"
    (note,) = [n for n in seen(models.AttentionInTraining, ()).notes() if n.startswith("drop")]
    assert note.endswith("its rate 0.3 is used by F.scaled_dot_product_attention")


def test_dropout_that_is_declared_active_in_inference_is_no_failure() -> None:
    """Monte Carlo dropout passes where it drops in inference, and fails where nothing does."""
    assert verdicts(models.FunctionAlways, inference="active")["site.reached inference"] == "pass"
    assert verdicts(models.FunctionInTraining, inference="active")["site.reached inference"] == "fail"
    one_of_two = models.FunctionAlwaysAndInTraining
    assert verdicts(one_of_two, inference="active")["site.reached inference"] == "fail"
    (found,) = [f for f in site.reached(CHECK["site.reached"], seen(one_of_two), "active") if f.case == "inference"]
    assert "; not drawn: " in found.message and "rate 0.3" in found.message and "rate 0.2" not in found.message


def test_numbers_that_are_drawn_by_no_dropout_are_no_failure() -> None:
    assert verdicts(models.Sampling)["site.reached inference"] == "skipped"


def test_every_draw_has_its_place_shape_and_rate() -> None:
    sites = seen(models.Hidden, ())
    rates = {(one.module, one.kind): one.rate for one in sites.training}
    assert rates == {("rnn", "LSTM"): 0.4, ("attention", "MultiheadAttention"): 0.1}
    assert {one.shape for one in sites.training} >= {(16, 2, 5, 5)}
    assert all(one.place.startswith("planted_models.py:") and one.where == "forward" for one in sites.training)
    assert not sites.inference and len(sites.hidden) == len(sites.training)
    assert "0 in layers that are audited in place, 2 elsewhere" in sites.counted


def test_one_draw_a_dropout_layer_and_pass() -> None:
    block = torch.nn.TransformerEncoderLayer(8, 2, dropout=0.2, batch_first=True)
    answer = models_torch.sites(block, torch.ones(2, 3, 8), None, ("dropout", "dropout1", "dropout2"))
    draws = Counter(one["module"] for one in answer["training"])
    assert draws == {"self_attn": 1, "dropout": 1, "dropout1": 1, "dropout2": 1}


def test_a_model_is_left_as_it_was() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5)).eval()
    model[0].weight.grad = torch.ones(8, 8)
    sample = torch.randn(4, 8)
    state, mean = torch.get_rng_state(), model[1].running_mean.clone()
    models_torch.sites(model, sample, None, ("2",))
    models_torch.survey(model, sample, None, 10, 1.0)
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(model[1].running_mean, mean)
    assert model[1].num_batches_tracked == 0 and not any(m.training for m in model.modules())
    assert torch.equal(model[0].weight.grad, torch.ones(8, 8)) and model[0].bias.grad is None
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_function_that_only_pytorch_calls_has_no_line_of_the_model() -> None:
    answer = models_torch.sites(
        torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.5)), torch.ones(4, 8), None, ()
    )
    assert [(one["module"], one["file"], one["line"]) for one in answer["training"]] == [("1", "", 0)]
