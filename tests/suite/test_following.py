"""What follows from a failure of an exact question is skipped and names it; what fails elsewhere stays a failure."""

from __future__ import annotations

import pytest

from dropcheck.checks import CHECKS
from dropcheck.following import FOLLOWS, withheld
from dropcheck.results import Finding, Verdict


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
