"""Sentences of a diagnosis are said from what was measured: from numbers made up, from stored audits, from a few live ones."""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kits.stored import finding, target
from kits.true_causes import TRUE, false, right

import dropcheck
from dropcheck.judge.checks import CHECK
from dropcheck.judge.diagnosis import Diagnosis, diagnose
from dropcheck.judge.diagnosis.seen import OBSERVED
from dropcheck.results.audit import Finding, TargetResult
from spatial_dropouts import broken

HERE = Path(__file__).parent
COINS = 1 << 20
SHORT = ("float32 rate=0.3 257,64,4 calls=96", "float32 rate=0.5 64,33,3 calls=200")


@cache
def stored() -> dict[str, TargetResult]:
    data = lzma.decompress((HERE / "diagnosis_results.json.xz").read_bytes())
    return msgspec.json.decode(data, type=dict[str, TargetResult])


def told(one: Diagnosis) -> str:
    own = "" if one.fix == CHECK[one.check].remedy else one.fix
    return f"{one.observed} | {own}"


def rates(law: Any, dtype: str = "float32", asked: tuple[float, ...] = (0.1, 0.15, 0.3, 0.5, 0.9)) -> list[Finding]:
    """Results of rate.marginal of a layer that drops with probability ``law(rate)``."""
    made = []
    for p in asked:
        dropped = round(COINS * law(p))
        off = abs(dropped - COINS * p) > 6 * (COINS * p * (1 - p)) ** 0.5
        made.append(
            finding(
                "rate.marginal",
                "fail" if off else "pass",
                f"{dtype} rate={p:g} 257,64,4 calls=64",
                estimate=dropped / COINS,
                expected=p,
                tallies={"dropped": dropped, "coins": COINS, "tolerated": 0.0},
            )
        )
    return made


def factors(law: Any, dtype: str = "float32") -> list[Finding]:
    """Results of scale.kept-values of a layer that multiplies every kept value by ``law(rate)``."""
    return [
        finding(
            "scale.kept-values",
            "fail",
            f"{dtype} rate={p:g} 257,64,4 calls=64",
            estimate=law(p),
            expected=1 / (1 - p),
            tallies={"wrong": 4 * 500_000, "kept": 500_000, "nonfinite": 0},
        )
        for p in (0.1, 0.3, 0.9)
    ]


def first(*findings: Finding, **changed: Any) -> Diagnosis:
    return diagnose(target("mine.py:layer", findings, **changed))[0]


@pytest.mark.parametrize(
    ("law", "sentence"),
    [
        (lambda p: 0.0, "the layer never drops, at every rate"),
        (lambda p: 1.0, "the layer drops everything, at every rate"),
        (lambda p: 1 - p, "keep and drop are swapped: the layer drops 0.9 at rate 0.1"),
        (lambda p: 0.5, "the layer drops 0.5 of the elements at every requested rate"),
        (lambda p: 1.01 * p, "the layer drops 1.01 times the requested rate at every rate"),
        (lambda p: p + 0.02, "the layer drops 2 percentage points more than requested at every rate"),
        (
            lambda p: -(-p * 16 // 1) / 16,
            "rates are rounded up to multiples of 1/16: the layer drops 0.125 at rate 0.1",
        ),
        (lambda p: 0.25 if p == 0.15 else p, "at rate 0.15 the layer drops 25 %: 10 percentage points more"),
    ],
)
def test_the_law_of_the_rates_is_named(law: Any, sentence: str) -> None:
    assert first(*rates(law)).observed == sentence


def test_a_rate_that_is_off_in_one_dtype_says_so() -> None:
    one = first(*rates(lambda p: p), *rates(lambda p: 1.05 * p, "bfloat16"))
    assert one.observed == "the layer drops 1.05 times the requested rate at every rate, only in bfloat16"


def test_rates_that_follow_no_law_are_told_as_they_are() -> None:
    odd = {0.1: 0.12, 0.15: 0.11, 0.3: 0.31, 0.5: 0.47, 0.9: 0.905}
    findings = rates(lambda p: odd[p])
    assert first(*findings).observed in {f.message for f in findings}


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (
            lambda p: 1.0,
            "kept values are multiplied by 1, expected 1.4286 at rate 0.3: the 1 / (1 - rate) scaling is missing",
        ),
        (
            lambda p: 1 / p,
            "kept values are multiplied by 3.3333, expected 1.4286 at rate 0.3: they are divided by the rate",
        ),
        (
            lambda p: (1 - p) ** -2,
            "kept values are multiplied by 2.0408, expected 1.4286 at rate 0.3: they are scaled twice",
        ),
        (
            lambda p: 1 - p,
            "kept values are multiplied by 0.7, expected 1.4286 at rate 0.3: they are multiplied by 1 - rate",
        ),
        (
            lambda p: 1.05 / (1 - p),
            "kept values are multiplied by 1.5, expected 1.4286 at rate 0.3: 1.05 times as large",
        ),
    ],
)
def test_the_factor_of_kept_values_is_named(law: Any, words: str) -> None:
    assert first(*factors(law)).observed.startswith(words)


def test_a_gradient_with_the_factor_of_the_values_follows_from_them() -> None:
    beside = finding("gradient.scale", "fail", "float32 rate=0.3 grad plain", estimate=1.0, expected=1.0)
    (one,) = diagnose(target("mine.py:layer", [*factors(lambda p: 1.0), beside]))
    assert one.also == ("gradient.scale",) and one.level == "defect"


def test_factors_that_follow_no_law_are_told_as_they_are() -> None:
    findings = factors(lambda p: 1.2 + p**3)
    assert first(*findings).observed in {f.message for f in findings}


@pytest.mark.parametrize(
    ("axes", "calls", "words", "fix"),
    [
        ("coin coin coin", "coin", "every element has its own drop decision; declared: one per (n, c)", "along l"),
        ("coin shared coin", "coin", "one drop decision per (n, l), shared along c", "--pattern 'n l c -> n c'"),
        ("coin shared shared", "coin", "the elements along c are dropped together", "--pattern 'n c l -> n'"),
        ("shared coin shared", "coin", "all samples of a batch share one mask", "Draw one decision per (n, c)"),
        ("coin coin coin", "shared", "and every call uses the same mask", "along l"),
    ],
)
def test_the_pattern_that_masks_follow_is_named(axes: str, calls: str, words: str, fix: str) -> None:
    check = {"shared coin shared": "mask.distinct-samples", "coin shared shared": "mask.distinct-channels"}.get(
        axes, "mask.whole-channels"
    )
    trait = {"pattern": "", "axes": dict(zip("ncl", axes.split(), strict=True)), "calls": calls}
    some = [finding(check, "fail", SHORT[0], estimate=0.34), finding("mask.distinct-calls", "fail", SHORT[1])]
    one = first(*some, traits={OBSERVED: trait})
    assert words in one.observed and fix in one.fix


def test_a_declared_pattern_that_holds_on_a_small_tensor_is_not_denied() -> None:
    trait = {"pattern": "n c l -> n c", "axes": {"n": "coin", "c": "coin", "l": "shared"}, "calls": "coin"}
    some = [
        finding("mask.whole-channels", "fail", "float32 rate=0.3 64,513,4 calls=96", estimate=0.34),
        *(finding("mask.whole-channels", "pass", f"float32 rate=0.3 64,{c},4 calls=96") for c in (3, 64, 512)),
    ]
    one = first(*some, traits={OBSERVED: trait})
    assert one.observed == (
        "channels are not dropped as a whole: in 34 % of them some positions are kept and others dropped (along l), "
        "only from 513 channels on (512 pass)"
    )


def test_a_mask_that_never_changes_is_one_cause_with_what_follows() -> None:
    trait = {"pattern": "n c l -> n c", "axes": {"n": "coin", "c": "coin", "l": "shared"}, "calls": "shared"}
    tallies = {"repeats": 1300, "words": 1365}
    some = [
        finding("mask.distinct-calls", "fail", tallies=tallies),
        finding("seed.reset", "fail", "float32 way=global"),
    ]
    (one,) = diagnose(target("mine.py:layer", some, traits={OBSERVED: trait}))
    assert one.observed == "every call reuses the mask of the first call (1300 of 1365 mask rows are repeated)"
    assert one.also == ("seed.reset",) and "new mask in every training call" in one.fix


def test_defects_come_before_edges_and_a_check_without_a_cause_is_a_block_of_its_own() -> None:
    some = [
        finding("rate.one", "fail", "float32 rate=1", tallies={"nonfinite": 9, "elements": {"NaN": 9}}),
        finding("gradient.edges", "fail", "float32 rate=1 grad", tallies={"nonfinite": 9}),
        finding("rate.rejects-invalid", "fail", "rate=1.5", estimate=1.0),
        finding("form.input-untouched", "fail", "float32 rate=0.3", message="the input is overwritten"),
        finding("check.of-another-release", "fail", "float32 rate=0.3", message="something"),
    ]
    found = diagnose(target("mine.py:layer", some))
    assert [d.level for d in found] == ["defect", "defect", "edge", "edge"]
    assert [d.observed for d in found] == [
        "the input is overwritten",
        "something",
        "at rate 1 the output and the gradient are NaN: 1 / (1 - rate) divides by zero",
        "invalid rates are accepted: 1.5 (drops everything); expected a ValueError",
    ]
    assert found[0].fix == CHECK["form.input-untouched"].remedy and found[2].also == ("gradient.edges",)


def test_inference_that_drops_or_scales_says_how_much() -> None:
    drops = finding("mode.inference", "fail", "float32 rate=0.5", tallies={"size": 200, "zero": 100, "wrong": 200})
    assert first(drops).observed == "the layer drops 50 % of the elements in inference at rate 0.5; expected none"
    scales = {"size": 200, "zero": 0, "wrong": 200, "factor": 0.5}
    older = [finding("mode.inference", "fail", "float32 rate=0.5", tallies=scales), *factors(lambda p: 1.0)]
    (one,) = diagnose(target("mine.py:layer", older))
    assert (
        "scaled by 1 - rate in inference, and not scaled in training" in one.observed and "--inference keep" in one.fix
    )


@pytest.mark.parametrize("name", sorted(stored()))
def test_stored_audits_of_planted_defects_are_told_by_their_true_cause(name: str) -> None:
    one = diagnose(stored()[name])[0]
    assert not false(name, told(one)), told(one)
    assert right(name, told(one)), told(one)


def test_every_failing_result_is_in_exactly_one_block() -> None:
    for name, one in stored().items():
        failing = [id(f) for f in one.findings if f.verdict == "fail"]
        blocks = [id(f) for d in diagnose(one) for f in d.findings]
        assert sorted(blocks) == sorted(failing), name
        assert all(d.lead in d.findings and d.observed and d.fix for d in diagnose(one)), name


def test_the_table_of_true_causes_names_every_planted_defect() -> None:
    assert set(TRUE) == {d.name for d in broken.DEFECTS}


@pytest.mark.parametrize(
    ("layer", "asked", "words"),
    [
        ("Frozen", "mask.distinct-calls", "every call reuses the mask of the first call"),
        ("PerElement", "mask.whole-channels", "every element has its own drop decision; declared: one per (n, c)"),
        ("ChannelsLast", "mask.whole-channels", "there is one drop decision per (n, l), shared along c"),
        ("KeepProb", "rate.marginal", "keep and drop are swapped"),
        ("Unscaled", "scale.kept-values", "the 1 / (1 - rate) scaling is missing"),
        ("AlwaysOn", "mode.inference", "the layer drops"),
    ],
)
def test_layers_written_in_a_minute_are_told_live(layer: str, asked: str, words: str) -> None:
    case = () if asked.startswith("mode") else tuple(f"float32 rate={p} 33,64,3 calls=64" for p in (0.3, 0.4))
    (one,) = dropcheck.audit(
        f"{HERE.parent / 'kits' / 'layers_in_a_minute.py'}:{layer}",
        select=(asked,),
        cases=case,
        dtypes=("float32",),
        in_process=True,
        jobs=1,
    ).targets
    assert words in diagnose(one)[0].observed
