"""Modes: which words a target takes, what --mode adds, and what a mode that is not there costs."""

from __future__ import annotations

import pytest

from dropcheck.auditing.run import AuditRequest, run
from dropcheck.contract import modes
from dropcheck.contract.errors import UsageError
from dropcheck.plan import targets
from dropcheck.plan.request import prepare


def names(*given: str, mode: tuple[str, ...] = ()) -> list[str]:
    return [t.name for t in prepare(AuditRequest(targets=given, modes=mode))[0]]


def test_a_target_takes_a_backend_and_a_mode_in_any_order() -> None:
    for text in ("keras.SpatialDropout1D@jax@jit", "keras.SpatialDropout1D@jit@jax"):
        target = targets.parse(text)
        assert target.mode == "jit"
        assert dict(target.environment) == {"KERAS_BACKEND": "jax"}
        assert target.name == text


@pytest.mark.parametrize(
    "text, says",
    [
        ("torch.Dropout1d@compild", "the nearest is 'compiled'"),
        ("torch.Dropout1d@compiled@vmap", "one word too many"),
        ("keras.SpatialDropout1D@jax@torch", "one word too many"),
    ],
)
def test_words_that_mean_nothing_are_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        targets.parse(text)


def test_modes_of_the_command_line_go_to_targets_that_name_none() -> None:
    assert names("torch.Dropout1d", "torch.Dropout2d@compiled", mode=("eager", "in-place")) == [
        "torch.Dropout1d",
        "torch.Dropout1d@in-place",
        "torch.Dropout2d@compiled",
    ]


def test_all_is_every_mode_of_the_framework() -> None:
    found = names("keras.SpatialDropout1D@jax", mode=("all",))
    assert found == ["keras.SpatialDropout1D@jax", *(f"keras.SpatialDropout1D@jax@{m}" for m in modes.of("keras@jax"))]
    with pytest.raises(UsageError, match="name the modes"):
        names("math:sqrt", mode=("all",))


def test_an_unknown_mode_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no mode 'compil'; .* the nearest is"):
        names("torch.Dropout1d", mode=("compil",))


def test_a_mode_that_the_adapter_has_not_is_skipped_with_its_reason_and_is_no_pass() -> None:
    result = run(AuditRequest(targets=("custom.reference@jit",), select=("rate.zero",)))
    (target,) = result.targets
    assert target.verdict == "skipped"
    assert target.skipped is not None and "mode 'jit' does not exist for numpy" in target.skipped
    assert result.verdict == "skipped"
