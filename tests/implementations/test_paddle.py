"""PaddlePaddle through its own interpreter, which DROPCHECK_PADDLE_PYTHON names; skipped without one."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

import dropcheck
from spatial_dropouts import elsewhere

PYTHON = os.environ.get("DROPCHECK_PADDLE_PYTHON", "")
needs_paddle = pytest.mark.skipif(
    not PYTHON, reason="DROPCHECK_PADDLE_PYTHON names no interpreter that has paddle and NumPy"
)


def test_what_lives_elsewhere_says_how_to_have_it() -> None:
    for name, implementation in elsewhere.REGISTER.items():
        assert implementation.apart and not implementation.default and implementation.install, name
        sentence = implementation.missing("paddle")
        assert implementation.install in sentence and "--python" in sentence


@pytest.mark.skipif(find_spec("paddle") is not None, reason="paddle is here")
def test_without_its_interpreter_it_is_skipped_with_what_to_run() -> None:
    (target,) = dropcheck.audit("paddle.Dropout2D", jobs=1).targets
    assert (
        target.verdict == "skipped"
        and target.skipped is not None
        and "pip install numpy setuptools paddlepaddle" in target.skipped
    )


@needs_paddle
@pytest.mark.parametrize("name", [*elsewhere.REGISTER, "paddle.Dropout2D@graph"])
def test_each_keeps_its_promises_but_that_nan_is_obeyed(name: str) -> None:
    (target,) = dropcheck.audit(name, python=PYTHON, dtypes=("float32", "bfloat16"), jobs=1, causes=False).targets
    assert target.error is None and target.skipped is None, (target.error, target.skipped)
    bad = {f.check for f in target.findings if f.verdict not in ("pass", "skipped")}
    assert bad == {"rate.rejects-invalid"}, bad


@needs_paddle
def test_a_mask_frozen_at_trace_time_is_caught_in_the_graph_alone() -> None:
    verdict = {}
    for mode in ("", "@graph"):
        (target,) = dropcheck.audit(
            f"{elsewhere.__name__.partition('.')[0]}.broken.modes_paddle:FrozenByNumpy{mode}",
            python=PYTHON,
            select=("mask.distinct-calls",),
            cases=("float32 rate=0.5 9,65,4 calls=64",),
            pattern="n c l -> n c",
            jobs=1,
        ).targets
        assert target.error is None, target.error
        verdict[mode] = target.verdict
    assert verdict == {"": "pass", "@graph": "fail"}
