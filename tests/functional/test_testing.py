"""The zoo for strangers: somebody's own checker of torn channels is tested with planted defects and correct layers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck import Pattern
from dropcheck.contract.errors import UsageError
from dropcheck.judge.claims import CLAIMS
from dropcheck.testing import Built, correct_layers, planted_defects, reference


def tears_channels(layer: Any, pattern: Pattern, dropped: float = 0.0) -> bool:
    """A checker of my own: are there coins of which one element is dropped and another is kept?"""
    shape = pattern.shape(8, 16, 12)
    axes = tuple(place for place, axis in enumerate(pattern.axes) if axis not in pattern.coins)
    for call in range(20):
        zero = np.isclose(layer(np.full(shape, call + 1.0)), dropped)
        if (zero.any(axis=axes) != zero.all(axis=axes)).any():
            return True
    return False


def test_my_checker_sees_every_planted_defect_that_lives_everywhere() -> None:
    planted = [
        d
        for d in planted_defects(check="mask.whole-channels")
        if d.regime == "everywhere"
        and d.name != "alpha-torn"
        and not (d.contract.pattern.blocks or d.contract.pattern.stretch)  # torn blocks and stretches, not coins
    ]
    assert len(planted) >= 4
    for defect in planted:
        assert tears_channels(defect.build(0.3, seed=1), defect.contract.pattern), f"{defect.name}: {defect.summary}"


def test_my_checker_accuses_no_correct_layer() -> None:
    layers = [one for one in correct_layers() if not one.contract.affine]
    assert len(layers) >= 30
    for layer in layers:
        contract = layer.contract
        assert not tears_channels(layer.build(0.3, seed=1), contract.pattern, contract.dropped), layer.name


def test_the_reference_follows_any_pattern_and_its_seed() -> None:
    x = np.ones((64, 5, 32))
    y = reference(0.25, "n l c -> n c", seed=1)(x)
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert not tears_channels(reference(0.25, "n l c -> n c"), Pattern.parse("n l c -> n c"))
    assert 0.2 < (y == 0).mean() < 0.3
    assert np.array_equal(reference(0.25, "n l c -> n c", seed=1)(x), y)
    assert not np.array_equal(reference(0.25, "n l c -> n c", seed=2)(x), y)
    assert np.array_equal(reference(0.25)(x, training=False), x)
    with pytest.raises(ValueError, match="rate is a probability"):
        reference(1.5)


def test_every_entry_says_what_a_stranger_needs() -> None:
    for one in planted_defects(framework=None):
        assert one.check in CLAIMS and one.size and one.regime and one.summary and one.target.startswith("broken.")
    assert {one.check for one in correct_layers(framework=None)} == {None}
    assert {one.framework for one in planted_defects(framework=None)} > {"numpy", "torch"}


def test_an_entry_is_a_target_and_its_constructor_an_object_for_the_assertion() -> None:
    (defect,) = [d for d in planted_defects(check="rate.rejects-invalid") if d.quick][:1]
    for target in (defect.target, defect.implementation):
        with pytest.raises(AssertionError, match=r"rate\.rejects-invalid"):
            dropcheck.check(target, select="rate.rejects-invalid", dtypes="float32")
    assert callable(defect.constructor)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: planted_defects(check="mask.whole-chanels"), "the nearest is 'mask.whole-channels'"),
        (lambda: planted_defects(framework="nunpy"), "the nearest is 'numpy'"),
        (lambda: correct_layers()[0].build(0.3, dtype="bfloat16"), "there are no 'bfloat16' arrays in NumPy"),
        (lambda: next(d for d in planted_defects(framework="keras") if d.backend).build(0.3), "audit it, as in"),
    ],
)
def test_bad_input_is_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(UsageError) as told:
        call()
    assert sentence in str(told.value) or "is not installed" in str(told.value)


def test_listing_the_zoo_loads_no_framework() -> None:
    script = (
        "import sys; from dropcheck.testing import *; import dropcheck.testing as t;"
        "t.planted_defects(framework=None); t.correct_layers(framework=None); t.reference(.3);"
        "assert not {'torch', 'keras', 'tensorflow', 'jax', 'mlx'} & set(sys.modules); print('light')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "light\n", done.stderr


def test_built_layers_are_called_in_the_dtype_they_were_built_in() -> None:
    layer = next(one for one in correct_layers() if len(one.contract.pattern.axes) == 3).build(
        0.5, seed=3, dtype="float16"
    )
    assert isinstance(layer, Built) and layer(np.ones((4, 4, 2))).dtype == np.float16
