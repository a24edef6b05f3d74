"""What follows from a failure of an exact question is skipped and names it; what fails elsewhere stays a failure."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import dropcheck
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.looks import IN_COMMON, OFF, ONE_MASK
from dropcheck.judge.checks.seed_processes import NO_EFFECT, SAME_MASKS
from dropcheck.judge.following import FOLLOWS, withheld
from dropcheck.results.audit import Finding, Verdict, for_another


def one(check: str, case: str, verdict: Verdict = "fail") -> Finding:
    return Finding(check=check, case=case, verdict=verdict, message="what was seen")


@pytest.mark.parametrize(
    ("basis", "follows", "expected"),
    [
        (("seed.reproducible", "float32 5,7,3 way=global"), ("seed.reset", "float32 5,7,3 way=global"), "skipped"),
        (("seed.reproducible", "float32 5,7,3 way=global"), ("seed.reset", "float32 5,7,3 way=key"), "fail"),
        (
            ("seed.reproducible", "float32 5,7,3 way=global fresh process"),
            ("seed.reset", "float32 5,7,3 way=global"),
            "fail",
        ),
        (("scale.kept-values", "float16 rate=0.3 257,64,4 calls=9"), ("scale.mean", "float16 rate=0.3"), "skipped"),
        (("scale.kept-values", "float16 rate=0.3 257,64,4 calls=9"), ("scale.mean", "float32 rate=0.3"), "fail"),
        (
            ("gradient.mask", "float32 rate=0.3 grad plain"),
            ("gradient.recompute", "float32 rate=0.3 recompute checkpoint call 1"),
            "skipped",
        ),
        (
            ("gradient.mask", "float32 rate=0.3 grad inference"),
            ("gradient.recompute", "float32 rate=0.3 recompute checkpoint call 1"),
            "fail",
        ),
        (("form.shape-dtype", "float16 rate=0.3"), ("form.empty", "float16 no rows"), "skipped"),
        (
            ("form.batch-change", "float32 rate=0.3 batches=257,3,1025"),
            ("form.shape-dtype", "float16 rate=0.9 32,1,17 calls=318 batches=32,1,65"),
            "skipped",
        ),
        (
            ("form.batch-change", "float32 rate=0.3 batches=257,3,1025"),
            ("form.shape-dtype", "float16 rate=0.3"),
            "fail",
        ),
        (("form.shape-dtype", "float16 rate=0 inference"), ("form.empty", "float16 no rows"), "fail"),
        (
            ("mask.distinct-channels", "float32 rate=0.5 257,64,4 calls=9"),
            ("mode.toggle", "float32 after training"),
            "skipped",
        ),
        (
            ("seed.distinct", "float32 rate=0.5 9,131,3 calls=512 seeds way=key"),
            ("rate.marginal", "float32 rate=0.5 9,131,3 calls=512 seeds way=key"),
            "skipped",
        ),
        (
            ("seed.distinct", "float32 rate=0.5 9,131,3 calls=512 seeds way=key"),
            ("rate.marginal", "float32 rate=0.5 257,64,4 calls=9"),
            "fail",
        ),
        *(
            (("mask.distinct-samples", "float32 rate=0.5 32,256,4 calls=16"), (claim, case), verdict)
            for claim in ("mask.independent-samples", "mask.patterns", "rate.marginal")
            for case, verdict in (
                ("float32 rate=0.2 32,256,4 calls=128", "skipped"),
                ("float16 rate=0.2 32,256,4 calls=128", "fail"),
                ("float32 rate=0.2 33,256,4 calls=128", "fail"),
                ("float32 rate=0.3 32,256,4 calls=128", "fail"),  # copies are asked there, too
                ("float32 rate=0.2 32,256,4 calls=128 strided", "fail"),
            )
        ),
        *(
            (("mask.distinct-channels", "float32 rate=0.5 9,2049,3 calls=8"), ("mask.distinct-samples", case), verdict)
            for case, verdict in (
                ("float32 rate=0.5 1,10001,2 calls=14", "skipped"),
                ("float32 rate=0.5 2,10001,2 calls=14", "fail"),
            )
        ),
        *(
            (("mode.toggle", "float32 rate=0.5"), (claim, f"{dtype} rate=0.5 257,33,3 calls=192{infer}"), verdict)
            for claim in ("rate.marginal", "scale.kept-values")
            for dtype, infer, verdict in (
                ("float32", " infer=3", "skipped"),
                ("float16", " infer=3", "fail"),
                ("float32", "", "fail"),
            )
        ),
    ],
)
def test_what_follows_is_skipped(basis: tuple[str, str], follows: tuple[str, str], expected: str) -> None:
    first, second = withheld([one(*basis), one(*follows)])
    assert first.verdict == "fail" and second.verdict == expected
    assert (basis[0] in second.message) == (expected == "skipped")
    assert withheld([one(*basis, "pass"), one(*follows)])[1].verdict == "fail"


def test_every_name_is_a_check() -> None:
    names = {c.name for c in CHECKS}
    assert {row.claim for row in FOLLOWS} | {row.basis for row in FOLLOWS} <= names


@pytest.mark.parametrize(
    ("copies", "claim", "said", "expected"),
    [
        (256.0, "seed.reset", "reseeding with another seed changes nothing in calls 2, 3 of 3", "skipped"),
        (256.0, "seed.reset", "after other calls, reseeding does not bring the same masks back", "fail"),
        (1.0, "seed.reset", "reseeding with another seed changes nothing in calls 2, 3 of 3", "fail"),
        (256.0, "form.copies", "the copy: 100% of the coins drop, expected 30%", "skipped"),
        (256.0, "form.copies", "the copy raises AttributeError", "fail"),
        (256.0, "seed.reset", f"{NO_EFFECT}: the masks are the same in calls 2, 3 of 3", "skipped"),
        (256.0, "seed.reproducible", f"two processes {SAME_MASKS}", "skipped"),
        (256.0, "form.copies", f"in the copy, 100% {OFF} 30%", "skipped"),
        (256.0, "seed.instances", f"two layers, called in turn, have 3 of 9 {IN_COMMON}, expected none", "skipped"),
        (256.0, "mode.settings", f"under no_grad, 3 {ONE_MASK}, expected a new mask for each call", "skipped"),
        (256.0, "rate.set-later", "once a second layer was made: 100% of the coins drop, expected 30%", "skipped"),
    ],
)
def test_what_calls_of_one_coin_do_by_chance_follows_from_the_copies(
    copies: float, claim: str, said: str, expected: str
) -> None:
    basis = msgspec.structs.replace(one("mask.distinct-samples", "float32 rate=0.3 257,64,4 calls=84"), estimate=copies)
    (found,) = withheld([msgspec.structs.replace(one(claim, "float32 rate=0.3"), message=said)], [basis])
    assert found.verdict == expected


def test_dependence_of_few_rows_follows_from_copied_channels() -> None:
    basis = msgspec.structs.replace(
        one("mask.distinct-channels", "float32 rate=0.3 257,64,4 calls=84"), estimate=2016.0
    )
    for case, verdict in (("9,129,257 calls=5", "skipped"), ("257,64,4 calls=84", "fail")):
        (found,) = withheld([one("mask.independent-calls", f"float32 rate=0.3 {case}")], [basis])
        assert found.verdict == verdict


@pytest.mark.parametrize(
    ("said", "case", "expected"),
    [
        ("shape (33, 65, 3) comes out as (33, 45, 3)", "float32 rate=0.3", "skipped"),
        ("shape (33, 65, 3) comes out as (33, 45, 3)", "float16 rate=0.3", "fail"),
        ("shape (33, 65, 3) comes out as (33, 45, 3)", "float32 rate=0.3 grad", "fail"),
        ("float32 comes out as float64", "float32 rate=0.3", "fail"),  # such a gradient can be asked for
    ],
)
def test_a_gradient_of_another_shape_follows_from_the_shape(said: str, case: str, expected: str) -> None:
    basis = msgspec.structs.replace(one("form.shape-dtype", case), message=said)
    for claim in ("gradient.mask", "gradient.scale", "gradient.cotangents"):
        (found,) = withheld([one(claim, "float32 rate=0.3 grad plain")], [basis])
        assert found.verdict == expected


def test_rates_that_vary_as_those_of_decisions_that_count_twice_follow_from_masks_that_come_again() -> None:
    again = one("mask.distinct-calls", "float32 rate=0.36 255,1,3 calls=371")
    for spread, expected in ((508.4, "skipped"), (5080.0, "fail")):
        rates = msgspec.structs.replace(
            one("rate.per-sample", "float32 rate=0.1 257,64,4 calls=64"),
            message=f"the 257 batch positions have different drop rates (G = {spread} with 256 degrees of freedom)",
            tallies={"spread_G": spread, "degrees": 256},
        )
        assert withheld([again, rates])[1].verdict == expected
        assert withheld([rates])[0].verdict == "fail"


def test_a_layer_that_removes_channels_fails_for_its_shape_and_no_gradient() -> None:
    """And a gradient that is wrong while the shape is right stays a failure."""
    select = ("form.shape-dtype", "gradient.mask", "gradient.scale", "gradient.two-passes")
    found: dict[str, set[str]] = {}
    for layer in ("broken.removes-channels", "broken.backward-no-mask"):
        result = dropcheck.audit(layer, in_process=True, jobs=1, dtypes=("float32",), select=select)
        found[layer] = {f.check for f in result.targets[0].findings if f.verdict == "fail"}
    assert found["broken.removes-channels"] == {"form.shape-dtype"}
    assert "gradient.mask" in found["broken.backward-no-mask"]


WRONG_PATTERN = """
import numpy as np

class OneCoinACall:
    def __init__(self, rate):
        if not 0 <= rate <= 1:
            raise ValueError(rate)
        self.rate = rate

    def __call__(self, x, *, training, rng):
        if not training or self.rate == 0:
            return x
        return x * x.dtype.type(1 / (1 - self.rate)) if rng.random() >= self.rate else np.zeros_like(x)
"""


def test_a_layer_of_one_coin_a_call_fails_for_its_copies_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WRONG_PATTERN)
    select = ("mask.distinct-samples", "mask.distinct-channels", "seed", "form.copies", "rate.set-later", "mode")
    given = {"select": select, "dtypes": ("float32",), "in_process": True, "jobs": 1, "causes": False}
    (found,) = dropcheck.audit(f"{tmp_path}/mine.py:OneCoinACall", **given).targets  # type: ignore[arg-type]
    failing = {f.check for f in found.findings if f.verdict == "fail"}
    assert failing == {"mask.distinct-samples", "mask.distinct-channels"}


def test_results_of_earlier_versions_are_known_to_follow_from_another_failure() -> None:
    text = "not interpretable while mask.whole-channels fails: coins drop with probability 0.3"
    assert for_another(text) and for_another("skipped because mask.whole-channels fails: x")
    assert not for_another("the check needs at least two channels")


@pytest.mark.parametrize(
    ("case", "copies", "expected"),
    [
        ("float16 rate=0.63 64,1,515 calls=95", 16115.0, "skipped"),
        ("float16 rate=0.63 64,2,515 calls=95", 16115.0, "fail"),  # two channels fall apart
        ("float32 rate=0.63 64,1,515 calls=95", 16115.0, "fail"),  # another dtype
        ("float16 rate=0.63 64,1,515 calls=95", 40.0, "fail"),  # few samples are copies
    ],
)
def test_calls_of_one_channel_that_drop_all_or_nothing_follow_from_a_mask_for_the_batch(
    case: str, copies: float, expected: str
) -> None:
    odd = msgspec.structs.replace(one("rate.marginal", case), tallies={"odd_calls": 37, "calls": 95})
    shared = msgspec.structs.replace(
        one("mask.distinct-samples", "float16 rate=0.5 1025,65,4 calls=25"), estimate=copies
    )
    assert withheld([shared, odd])[1].verdict == expected
