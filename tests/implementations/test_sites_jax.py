"""The sites of models of Flax and Equinox: every draw is found, dropout in inference fails, and the gradient has the same mask."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest

from dropcheck.contract.sites import Sites
from dropcheck.judge.checks import CHECK

pytestmark = pytest.mark.keras
pytest.importorskip("jax")

LIBRARY = {"linen": "flax", "nnx": "flax", "equinox": "equinox"}


@cache
def seen(library: str, name: str, audited: tuple[str, ...] = ("drop",)) -> Sites:
    if find_spec(LIBRARY[library]) is None:
        pytest.skip(f"{LIBRARY[library]} is not installed")
    kit = importlib.import_module(f"kits.planted_{library}")
    part = importlib.import_module(f"spatial_dropouts.adapters.models_{library}")
    return Sites.from_answer(part.sites(getattr(kit, name)(), kit.INPUT, None, audited), library, audited)


def verdicts(library: str, name: str, audited: tuple[str, ...] = ("drop",)) -> dict[str, str]:
    sites = seen(library, name, audited)
    found = [
        f for n in ("site.reached", "site.gradient", "site.independent") for f in CHECK[n].sites(CHECK[n], sites, "")
    ]  # type: ignore[misc]
    return {f"{f.check} {f.case}": f.verdict for f in found}


@pytest.mark.parametrize(
    ("library", "wrong", "place"),
    [
        ("linen", "FunctionAlways", ("", "bernoulli", 0.2)),
        ("linen", "WrongFlag", ("second", "bernoulli", 0.2)),
        ("linen", "AttentionAlways", ("attention", "bernoulli", 0.1)),
        ("nnx", "FunctionAlways", ("", "bernoulli", 0.2)),
        ("nnx", "MadeInCall", ("", "bernoulli", 0.2)),
        ("nnx", "WrongFlag", ("attention", "bernoulli", 0.1)),
        ("equinox", "FunctionAlways", ("", "bernoulli", 0.2)),
        ("equinox", "MadeInCall", ("", "bernoulli", 0.2)),
    ],
)
def test_dropout_in_inference_fails_by_its_place_and_rate(library: str, wrong: str, place: tuple[Any, ...]) -> None:
    assert [n for n, v in verdicts(library, wrong).items() if v == "fail"] == ["site.reached inference"]
    (drawn,) = [d for d in seen(library, wrong).inference if not seen(library, wrong).inside(d)]
    assert (drawn.module, drawn.op, drawn.rate) == place
    assert drawn.place.startswith(f"planted_{library}.py:")
    assert drawn.made == (library == "nnx" and wrong == "MadeInCall")


@pytest.mark.parametrize(
    ("library", "right"),
    [
        ("linen", "Block"),
        ("linen", "FunctionInTraining"),
        ("linen", "WhereTraining"),
        ("linen", "RightFlag"),
        ("linen", "AttentionInTraining"),
        ("linen", "Steps"),
        ("nnx", "Block"),
        ("nnx", "FunctionInTraining"),
        ("nnx", "RightFlag"),
        ("equinox", "Block"),
        ("equinox", "InVmap"),
    ],
)
def test_their_correct_twins_fail_nothing(library: str, right: str) -> None:
    found = verdicts(library, right)
    assert not {"fail", "inconclusive"} & set(found.values())
    assert found["site.reached training"] == "pass" and found["site.reached inference"] == "pass"


@pytest.mark.parametrize(
    ("library", "wrong", "audited", "case"),
    [
        ("linen", "OneKey", ("drop",), "OneKey (planted_linen.py:"),
        ("nnx", "OneKey", ("drop", "second"), "sites drop second"),
        ("equinox", "OneKey", ("drop",), "OneKey (planted_equinox.py:"),
        ("linen", "KeyOfTheLayer", ("drop",), "sites KeyOfTheLayer (planted_linen.py:"),
    ],
)
def test_two_places_of_one_key_fail(library: str, wrong: str, audited: tuple[str, ...], case: str) -> None:
    (failed,) = [n for n, v in verdicts(library, wrong, audited).items() if v == "fail"]
    assert failed.startswith("site.independent sites ") and case in failed


@pytest.mark.parametrize(
    ("library", "right", "audited"),
    [
        ("linen", "TwoKeys", ("drop",)),
        ("linen", "AttentionInTraining", ("drop",)),
        ("nnx", "OwnCount", ("drop", "second")),
        ("equinox", "TwoKeys", ("drop",)),
    ],
)
def test_places_with_keys_of_their_own_pass(library: str, right: str, audited: tuple[str, ...]) -> None:
    found = verdicts(library, right, audited)
    assert found["site.independent sites"] == "pass" and "fail" not in found.values()


@pytest.mark.parametrize("library", ["linen", "nnx", "equinox"])
def test_a_layer_that_is_never_called_is_named(library: str) -> None:
    found = verdicts(library, "NeverCalled", audited=())
    assert found["site.reached layer drop"] == "inconclusive" and found["site.reached training"] == "fail"


def test_a_key_that_is_missing_in_inference_is_the_switch_of_an_equinox_model() -> None:
    sites = seen("equinox", "FunctionWithKey", ())
    assert [d.rate for d in sites.training] == [0.2] and not sites.inference


def test_a_flag_passed_on_wrongly_draws_in_inference_inside_of_the_layer() -> None:
    (drawn,) = seen("equinox", "WrongFlag").inference  # its own checks in place judge it
    assert drawn.module == "drop" and drawn.rate == 0.3


@pytest.mark.parametrize("library", ["linen", "nnx", "equinox"])
def test_the_gradient_of_each_layer_is_looked_at(library: str) -> None:
    assert verdicts(library, "Block")["site.gradient backward drop"] == "pass"


def test_a_gradient_that_passes_through_dropped_elements_fails() -> None:
    found = verdicts("linen", "StraightThrough")
    assert [n for n, v in found.items() if v == "fail"] == ["site.gradient backward drop"]


def test_a_layer_inside_of_a_transformation_is_skipped_with_its_reason_and_its_draw_is_seen() -> None:
    sites = seen("equinox", "InVmap")
    assert verdicts("equinox", "InVmap")["site.gradient backward drop"] == "skipped"
    assert [(d.module, d.shape, d.rate) for d in sites.training] == [("drop", (8, 8), 0.3)]


def test_every_step_of_a_scan_draws() -> None:
    sites = seen("linen", "Steps", ())
    assert [d.rate for d in sites.training] == [0.4] * 3
    assert all(d.module.endswith("drop") and d.shape == (6, 8) for d in sites.training)


def test_a_model_keeps_its_random_state() -> None:
    if find_spec("flax") is None:
        pytest.skip("flax is not installed")
    import jax
    from flax import nnx
    from kits.planted_nnx import INPUT, Block

    from spatial_dropouts.adapters import models_nnx

    def counts() -> list[int]:
        return [int(leaf) for leaf in jax.tree_util.tree_leaves(nnx.state(model, nnx.RngCount))]

    model = Block()
    before = counts()
    models_nnx.sites(model, INPUT, None, ("drop",))
    assert before and counts() == before and not model.drop.deterministic
