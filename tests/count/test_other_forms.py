"""Masks that come again turned round or inverted: planted in coins and in layers, and their right twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kits.counted_bits import judged

import dropcheck
from dropcheck.contract.cases import Case
from dropcheck.count.other_forms import FORMS, Form

CASE = Case("float32", 0.5, 10, 9, 2, 256)


def fresh(rate: float = 0.5, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((CASE.calls, CASE.rows, CASE.channels)) < rate


def in_form(bits: Any, form: Form) -> Any:
    bits = bits[..., ::-1] if form.turned else bits
    bits = bits[..., ::-1, :] if form.backwards else bits
    return ~bits if form.inverted else bits


@pytest.mark.parametrize("form", [form for form in FORMS if not form.backwards], ids=lambda form: form.name)
def test_a_row_that_is_another_in_another_form_fails_by_its_name(form: Form) -> None:
    bits = fresh()
    assert judged(CASE, bits, "mask.distinct-samples").verdict == "pass"
    bits[:, 7] = in_form(bits[:, 2], form)
    found = judged(CASE, bits, "mask.distinct-samples")
    assert found.verdict == "fail" and f"sample 7 has the mask of sample 2 {form.name} in each of" in found.message
    bits[::2, 7] = fresh(seed=1)[::2, 7]  # in half of the calls only: no such copy
    assert judged(CASE, bits, "mask.distinct-samples").verdict == "pass"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("lag", [1, 3])
def test_a_call_that_is_an_earlier_one_in_another_form_fails_by_its_name(form: Form, start: int, lag: int) -> None:
    bits = fresh()
    assert judged(CASE, bits, "mask.distinct-calls").verdict == "pass"
    for call in range(start * lag, CASE.calls - lag, 2 * lag):
        for one in range(call, min(call + lag, CASE.calls - lag)):
            bits[one + lag] = in_form(bits[one], form)
    found = judged(CASE, bits, "mask.distinct-calls")
    assert found.verdict == "fail" and f" {form.name}; " in found.message, found.message


def test_rows_and_calls_with_rates_of_their_own_are_no_forms_of_each_other() -> None:
    """Rows that almost always drop and rows that almost never do agree inverted, by their rates alone."""
    bits = fresh()
    bits[:, 3] = np.random.default_rng(5).random(bits[:, 3].shape) < 0.999
    bits[:, 4] = np.random.default_rng(6).random(bits[:, 4].shape) < 0.001
    assert "in each of" not in judged(CASE, bits, "mask.distinct-samples").message
    bits = fresh()
    bits[::2] = np.random.default_rng(7).random(bits[::2].shape) < 0.999
    bits[1::2] = np.random.default_rng(8).random(bits[1::2].shape) < 0.001
    assert "reuses the mask of call" not in judged(CASE, bits, "mask.distinct-calls").message


def test_coins_that_are_one_each_a_call_are_not_held_against_their_reverse() -> None:
    for shape in ((1, 1), (1, 9), (10, 1)):
        case = Case("float32", 0.5, *shape, 2, 400)
        bits = np.random.default_rng(3).random((400, *shape)) < 0.5
        for name in ("mask.distinct-samples", "mask.distinct-calls"):
            if name == "mask.distinct-calls" or shape[0] > 1:
                assert judged(case, bits, name).verdict != "fail"


@pytest.mark.parametrize(
    ("defect", "case", "check"),
    [
        ("mirrored-half", "float32 rate=0.5 10,10,7 calls=256", "mask.distinct-samples"),
        ("antithetic-half", "float32 rate=0.5 10,10,7 calls=256", "mask.distinct-samples"),
    ],
)
def test_planted_defects_fail_that_check_alone_and_a_right_twin_passes(defect: str, case: str, check: str) -> None:
    options: Any = dict(cases=case, select="mask,rate", in_process=True, jobs=1, causes=False)
    bad, good = dropcheck.audit(f"broken.{defect}", "unusual.turned-uniforms", **options).targets
    assert {f.check for f in bad.findings if f.verdict == "fail"} == {check}
    assert not [f for f in good.findings if f.verdict == "fail"]
