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
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks import CHECK
from dropcheck.judge.diagnosis import Diagnosis, diagnose
from dropcheck.judge.diagnosis.seen import OBSERVED
from dropcheck.results.audit import Finding, Picture, TargetResult
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


def fixed(rate: float, channels: int, dropped: int, coins: int) -> list[Finding]:
    """Results of a layer that drops the same number of channels in every sample, and of its rate."""
    case = f"float32 rate={rate:g} 1024,{channels},4 calls=64"
    marginal = {"dropped": dropped, "coins": coins, "tolerated": 0.0}
    return [
        finding("mask.dropped-count", "fail", "float32 rate=0.5 29,3,1 calls=1", tallies={"variance_ratio": 0.0}),
        finding("rate.marginal", "fail", case, estimate=dropped / coins, expected=rate, tallies=marginal),
    ]


def test_rates_that_a_fixed_number_of_channels_makes_are_no_cause_of_their_own() -> None:
    coins = 3 * 1000
    (one,) = diagnose(target("mine.py:layer", fixed(0.1, 1, 0, 1000)))
    assert one.observed.endswith("same number of its 3 channels; the number is rounded: none of 1 at rate 0.1")
    (one,) = diagnose(target("mine.py:layer", fixed(0.5, 3, 2 * coins // 3, coins)))
    assert one.observed.endswith("the number is rounded: 2 of 3 at rate 0.5")
    # not whole channels, and not the next number to rate * channels: a rate of its own
    for dropped in (2 * coins // 3 + 1, coins):
        assert {d.check for d in diagnose(target("mine.py:layer", fixed(0.5, 3, dropped, coins)))} == {
            "mask.dropped-count",
            "rate.marginal",
        }


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


def test_a_law_of_some_rates_names_them() -> None:
    asked = (0.001, 0.01, 0.02, 0.1, 0.3, 0.5, 0.9)
    floor = first(*rates(lambda p: max(p, 0.05), asked=asked))
    assert floor.observed == "the layer drops 0.05 of the elements at rates 0.001, 0.01 and 0.02"
    none = first(*rates(lambda p: p if p > 0.05 else 0.0, asked=asked))
    assert none.observed == "the layer never drops at rates 0.001, 0.01 and 0.02"


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
            lambda p: 1 + p,
            "kept values are multiplied by 1.3, expected 1.4286 at rate 0.3: they are multiplied by 1 + rate",
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


def test_one_mask_for_a_batch_is_told_where_high_rates_show_no_copies() -> None:
    """Rows that keep next to nothing are alike by chance: that copies are not seen at rate .9 is no condition."""
    trait = {"pattern": "n c l -> c", "axes": {"n": "shared", "c": "coin", "l": "shared"}, "calls": "coin"}
    some = [finding("mask.distinct-samples", "fail", f"float32 rate={p} 257,64,4 calls=99") for p in (0.3, 0.5)]
    some += [finding("mask.distinct-samples", "pass", f"float32 rate={p} 257,64,4 calls=99") for p in (0.9, 0.95, 0.97)]
    some.append(finding("rate.marginal", "fail", "float32 rate=0.5 31,1,1 calls=95", tallies={"odd_calls": 37}))
    (one,) = diagnose(target("mine.py:layer", some, traits={OBSERVED: trait}))
    assert (
        one.observed
        == "all samples of a batch share one mask: there is one drop decision per (c); declared: one per (n, c)"
    )
    assert first(*some[:-1]).observed == "mask.distinct-samples fail"


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
    seeded = target("mine.py:layer", some, traits={OBSERVED: trait})
    contract = Contract(Pattern.parse("n c l -> n c"), seeds=("constructor",)).to_dict()
    (one,) = diagnose(msgspec.structs.replace(seeded, contract=contract))
    assert one.observed == (
        "with a seed, every call reuses the mask of the first call (1300 of 1365 mask rows are repeated): a whole training has "
        "one mask"
    )
    assert "give its contract `seeds=()`" in one.fix


def test_related_generators_of_onnx_runtime_are_told_what_a_user_of_the_file_can_do() -> None:
    some = [
        finding("site.independent", "fail", "sites first second", message="as seen", tallies=tallies)
        for tallies in ({"leans": True}, {})
    ]
    of_file = msgspec.structs.replace(target("model.onnx", some), framework="onnxruntime")
    first, second = (one.fix for one in diagnose(of_file))
    assert "Export the model after `eval()`" in first and "draw them outside" in first
    assert "let each layer draw its own mask" in second


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
    tallies, calls = (
        {"size": 200, "zero": 100, "wrong": 200},
        "; 6 of 9 inference calls are wrong, the first on an input of shape (65, 4)",
    )
    later = finding(
        "mode.inference", "fail", "float32 after training", tallies=tallies, message=f"drops in inference{calls}"
    )
    assert first(later).observed == f"the layer drops 50 % of the elements in inference; expected none{calls}"
    after = msgspec.structs.replace(later, message=f"drops in inference after a training call{calls}")
    assert (
        first(after).observed
        == "the layer drops 50 % of the elements in inference after a training call; expected none"
    )
    scales = {"size": 200, "zero": 0, "wrong": 200, "factor": 0.5}
    older = [finding("mode.inference", "fail", "float32 rate=0.5", tallies=scales), *factors(lambda p: 1.0)]
    (one,) = diagnose(target("mine.py:layer", older))
    assert (
        "scaled by 1 - rate in inference, and not scaled in training" in one.observed and "--inference keep" in one.fix
    )


OF_CALLS = "only from 128 calls of one layer on (99 pass)"


def sized(check: str, failing: str, passing: str, **changed: Any) -> Diagnosis:
    """What is said of a check that fails and passes at these sizes of samples, channels and positions."""
    some = [
        finding(
            check,
            verdict,
            f"float32 rate=0.3 {case}" if "=" in case else f"float32 rate=0.3 {case} calls=64",
            **changed,
        )
        for verdict, cases in (("fail", failing), ("pass", passing))
        for case in cases.split(";")
    ]
    return first(*some)


@pytest.mark.parametrize(
    ("failing", "passing", "words"),
    [
        ("32,33,4;64,33,4", "33,33,4;65,33,4;129,33,4;2,33,4", "only where the number of samples is a power of two from 32 on"),
        ("65,64,4;65,64,3", "65,33,4;65,65,4;65,128,4", ""),
        ("64,64,4;33,33,4", "64,33,4;33,64,4;2,65,4", "only with as many samples as channels"),
        ("64,33,33;64,9,9", "64,33,4;33,64,99;2,65,4", "only with as many channels as positions"),
        ("64,64,64;33,33,33", "64,33,4;33,64,99;2,65,4", ""),  # three pairs of sizes are equal
        ("1,64,4;8,33,3 calls=64 batches=8,1,5", "2,64,4;3,64,4;8,33,3 calls=64 batches=8,1,5", "only with batches of one sample"),
        ("8,33,3 calls=64 batches=8,1,5", "2,64,4;1,64,4;8,33,4", "only with batches of changing size"),
        ("8,33,3 calls=128;9,4,3 calls=200", "8,33,3 calls=99;9,4,3 calls=2;8,4,3", OF_CALLS),
        (
            "8,33,3 calls=128;9,64,3 calls=200",
            "8,33,3 calls=99;9,64,3 calls=2;8,64,3 calls=64;8,33,3 calls=512 seeds way=global",
            OF_CALLS,
        ),
    ],
)  # fmt: skip
def test_what_separates_failing_cases_from_passing_ones_is_said(failing: str, passing: str, words: str) -> None:
    found = sized("form.input-untouched", failing, passing).observed
    assert found == "form.input-untouched fail" + (f", {words}" if words else "")


def test_sizes_that_fail_beside_those_shown_count_too() -> None:
    """A sweep shows three of its sizes; a fourth that is smaller denies the condition that the three have."""
    shown = [finding("mask.distinct-samples", "fail", f"float32 rate=0.3 {n},33,4 calls=9") for n in (512, 1024)]
    beside = finding(
        "mask.distinct-samples",
        "fail",
        "float32 rate=0.3 2048,33,4 calls=9",
        tallies={"others": ["float32 rate=0.3 5,33,4 calls=9"]},
    )
    fine = [finding("mask.distinct-samples", "pass", f"float32 rate=0.3 {n},33,4 calls=9") for n in (9, 65, 257)]
    alone = finding("mask.distinct-samples", "fail", "float32 rate=0.3 2048,33,4 calls=9")
    assert first(*shown, alone, *fine).observed.endswith("only from 512 samples on (257 pass)")
    assert "only" not in first(*shown, beside, *fine).observed


ROOM = (0.1, 0.3, 0.5, 0.9)


def values(law: Any, sizes: str = "257,64,4", **contract: Any) -> list[Finding]:
    """Results of scale.kept-values whose first wrong value is ``law(rate, input)``, at four rates, of two inputs."""
    made = []
    for number, p in enumerate((*ROOM, *ROOM)):
        given = 0.7 * (-1.3) ** number
        output, right = law(p, given), given / (1 - p)
        seen = {"input": given, "output": output, "low": right, "high": right}
        tallies = {"wrong": 500_000, "kept": 125_000, "nonfinite": 0, "example": seen}
        case = f"float32 rate={p:g} {sizes} calls={8 + number}"
        made.append(
            finding("scale.kept-values", "fail", case, estimate=output / given, expected=1 / (1 - p), tallies=tallies)
        )
    return made


def test_a_constant_that_is_added_and_factors_of_their_own_are_told_apart() -> None:
    assert first(*values(lambda p, x: x / (1 - p) + 0.125)).observed == (
        "kept values are x times the scale plus 0.125, expected nothing added"
    )
    noise = iter((0.01, -0.004, 0.007, 0.002, -0.006, 0.004, -0.009, 0.003, 0.001, 0.005, -0.002, 0.006))
    drifting = [one for _ in range(2) for one in values(lambda p, x: x / (1 - p) + next(noise, 0.0085))]
    assert first(*drifting).observed.startswith("kept values share no common factor: at rate 0.3 one is multiplied by ")


def alpha(rate: float, constant: float, given: float | None) -> float:
    """What feature alpha dropout with this constant makes of an element; None: of a dropped one."""
    a = ((1 - rate) * (1 + rate * constant**2)) ** -0.5
    return float(a * ((constant if given is None else given) - rate * constant))


def test_the_constant_and_the_rate_that_alpha_dropout_follows_are_named() -> None:
    dropped = iter([True, False] * 8)
    some = values(lambda p, x: alpha(p, -1.0, None if next(dropped) else x))
    contract = {"scale": "alpha", "pattern": "n c l -> n c"}
    assert first(*some, contract=contract).observed.startswith(
        "dropped elements become -1 before the affine step instead of -1.7581"
    )
    chance = iter((3, -7, 12, 5, -4, 9, -11, 2))
    some = values(lambda p, x: alpha(round(p * 2145 + next(chance)) / 2145, -1.7580993408473766, x), "33,65,4")
    assert "the share of elements that the call keeps" in first(*some, contract=contract).observed
    some = values(lambda p, x: x + p)
    assert first(*some, contract=contract).observed in {f.message for f in some}


def test_values_that_are_wrong_in_one_call_of_many_say_so() -> None:
    some = []
    for p, calls in ((0.1, 2), (0.3, 64), (0.5, 4000)):
        one_call = round(4 * 257 * 64 * (1 - p))
        tallies = {"wrong": one_call, "kept": calls * one_call // 4, "nonfinite": 0}
        case = f"float32 rate={p:g} 257,64,4 calls={calls}"
        some.append(finding("scale.kept-values", "fail", case, estimate=1.0, expected=1 / (1 - p), tallies=tallies))
    assert first(*some).observed.startswith(
        "in one call of a layer, whatever the number of its calls, kept values are multiplied by 1"
    )


def odd(first_call: int, number: int, calls: int, sizes: str = "257,64,4") -> Finding:
    tallies = {"odd_calls": number, "first_odd_call": first_call, "calls": calls}
    return finding(
        "rate.marginal", "fail", f"float32 rate=0.3 {sizes} calls={calls}", message="calls drop less", tallies=tallies
    )


def test_calls_with_a_rate_of_their_own_explain_channels_that_vary_together() -> None:
    tied = finding("mask.dropped-count", "fail", tallies={"variance_ratio": 9.0})
    some = [odd(0, 5, 64), odd(0, 5, 99), odd(0, 5, 32), tied]
    (one,) = diagnose(target("mine.py:layer", some))
    assert one.observed == "calls drop less, at rate 0.3" and one.also == ("mask.dropped-count",)
    later = [odd(0, 5, 64), odd(3, 5, 99), odd(1, 4, 32)]  # no one place in the order of calls
    assert "at rate 0.3" not in first(*later).observed


def test_calls_that_drop_nothing_explain_values_that_are_not_scaled() -> None:
    def values_of(number: int) -> list[Finding]:
        tallies = {"wrong": number * 257 * 64 * 4, "kept": 500_000}
        return [
            finding("scale.kept-values", "fail", one.case, estimate=1.0, expected=1 / 0.7, tallies=tallies)
            for one in skipping
        ]

    skipping = [msgspec.structs.replace(odd(0, 5, n), message="calls 0 to 4 drop nothing") for n in (64, 99, 32)]
    (one,) = diagnose(target("mine.py:layer", [*skipping, *values_of(5)]))
    assert one.observed.endswith("; where nothing drops, the layer returns its input")
    assert len(diagnose(target("mine.py:layer", [*skipping, *values_of(6)]))) == 2


def test_pairs_of_channels_are_the_cause_where_they_tie_more_than_a_fixed_number_of_drops() -> None:
    count = finding("mask.dropped-count", "fail", tallies={"variance_ratio": 0.03})
    pairs = finding("mask.independent-channels", "fail", estimate=-1.0, message="correlation -1")
    assert first(count, pairs).observed.startswith("correlation -1")
    few = finding("mask.independent-channels", "fail", estimate=-1 / 63, message="correlation -0.0159")
    assert first(count, few).observed.startswith("the number of dropped channels varies too little")


def test_positions_that_share_decisions_in_groups_name_no_odd_one() -> None:
    picture = Picture(caption="positions", columns="channels", rows=["#..", "##.", "#.."], labels=["l 0", "l 1", "l 2"])
    some = finding("mask.whole-channels", "fail", estimate=0.42, picture=picture)
    trait = {"pattern": "", "axes": {"n": "coin", "c": "coin", "l": "copies"}, "calls": "coin"}
    text = first(some, traits={OBSERVED: trait}).observed
    assert text.endswith("(along l); several positions along l share one decision, others have another")
    assert "odd one" not in first(some).observed
    four = Picture(
        caption="positions", columns="channels", rows=["#..", "##.", "#..", "#.."], labels=["l 0", "l 1", "l 2", "l 3"]
    )
    assert first(msgspec.structs.replace(some, picture=four)).observed.endswith("; the odd one is position 1")


def test_gradients_that_are_off_by_one_factor_say_by_which() -> None:
    some = [
        finding(
            "gradient.scale",
            "fail",
            f"float32 rate={p:g} grad plain",
            estimate=0.5 / (1 - p),
            expected=1 / (1 - p),
            tallies={"wrong": 990, "positions": 1000},
        )
        for p in (0.3, 0.4)
    ]
    assert first(*some).observed == (
        "gradients of kept elements are multiplied by 0.71429, expected 1.4286 at rate 0.3: 0.5 times the right gradient"
    )


def test_gradients_with_the_other_sign_say_of_which_inputs() -> None:
    def scale(kind: str, wrong: int) -> Finding:
        case, tallies = f"float32 rate=0.3 grad {kind}", {"wrong": wrong, "positions": 1000}
        return finding("gradient.scale", "fail", case, estimate=-1 / 0.7, expected=1 / 0.7, tallies=tallies)

    zeros = {"missing": 40, "missing_at_zero": 40, "leaking": 0}
    beside = finding("gradient.mask", "fail", "float32 rate=0.3 grad zeros", tallies=zeros)
    (one,) = diagnose(target("mine.py:layer", [scale("plain", 480), scale("negative", 1000), beside]))
    assert (
        one.observed
        == "gradients of negative inputs have the wrong sign: they are multiplied by -1.4286, expected 1.4286"
    )
    assert first(scale("plain", 1000), scale("negative", 1000)).observed.startswith("gradients have the wrong sign")
    other = msgspec.structs.replace(beside, tallies={**zeros, "missing": 90})
    assert len(diagnose(target("mine.py:layer", [scale("plain", 480), scale("negative", 1000), other]))) == 2


def test_blocks_that_begin_too_often_say_how_often() -> None:
    def at(rate: float, begins: float) -> Finding:
        expected, got = (1 - (1 - rate / 9 * times) ** 9 for times in (1, begins))
        tallies = {"dropped": round(COINS * got), "coins": COINS, "tolerated": 0.0}
        case = f"float32 rate={rate:g} blocks 35x35x11x11 in 28 calls"
        return finding("rate.marginal", "fail", case, estimate=got, expected=expected, tallies=tallies)

    contract = Contract(Pattern.parse("n c h w -> n c h/3 w/3")).to_dict()
    one = first(at(0.1, 9), at(0.3, 9), contract=contract)
    assert one.observed.startswith("blocks begin 9 times as often as declared at every rate: the layer drops ")
    assert one.fix == "Divide the rate at which blocks begin by the 9 positions of a block."
    assert first(at(0.1, 0.7), at(0.3, 0.7), contract=contract).observed.startswith("blocks begin 0.7 times as often")
    assert "blocks begin" not in first(at(0.1, 0.7), at(0.3, 1.4), contract=contract).observed


def test_equal_samples_with_equal_masks_are_no_repeats_of_samples() -> None:
    follows = finding("mask.ignores-values", "fail", message="on equal samples", tallies={"kinds": ["equal samples"]})
    wide = finding("mask.distinct-samples", "fail", "float32 rate=0.3 257,64,4 calls=96")
    (one,) = diagnose(target("mine.py:layer", [wide, follows]))
    assert one.observed == "samples with equal inputs get the same mask: on equal samples"
    few = finding("mask.distinct-samples", "fail", "float32 rate=0.3 33,64,4 calls=96")
    assert len(diagnose(target("mine.py:layer", [wide, few, follows]))) == 2


def test_seeds_that_are_places_in_one_stream_are_told_by_how_much_is_repeated() -> None:
    tallies = {"offset_repeats": 24, "offset_words": 93, "offset_coins": 90}
    one = first(
        finding("seed.distinct", "fail", "float32 rate=0.5 9,131,3 calls=512 seeds way=global", tallies=tallies)
    )
    assert one.observed == (
        "different seeds repeat parts of each other's masks: 24 of 93 stretches of 90 decisions occur under two seeds, "
        "expected none"
    )


def test_an_error_about_an_input_that_is_overwritten_follows_from_it() -> None:
    raised = finding(
        "gradient.mask", "fail", "float32 rate=0.3 grad inference", message="raises: an in-place operation."
    )
    written = finding("form.input-untouched", "fail", "float32 rate=0.3", message="the call overwrites its input")
    (one,) = diagnose(target("mine.py:layer", [raised, written]))
    assert one.observed.startswith("the call overwrites its input") and one.also == ("gradient.mask",)


def test_copies_among_channels_that_depend_strongly_follow_from_that() -> None:
    tied = finding("mask.independent-channels", "fail", estimate=0.8, message="correlation +0.8")
    few = finding("mask.distinct-channels", "fail", "float32 rate=0.5 1,512,2 calls=72", tallies={"sizes": 1})
    many = finding("mask.distinct-channels", "pass", "float32 rate=0.5 257,64,4 calls=99")
    (one,) = diagnose(target("mine.py:layer", [tied, few, many]))
    assert one.check == "mask.independent-channels" and one.also == ("mask.distinct-channels",)
    weak = finding("mask.independent-channels", "fail", estimate=0.2)
    assert len(diagnose(target("mine.py:layer", [weak, few, many]))) == 2


def test_samples_that_are_returned_as_they_are_explain_their_scale() -> None:
    case = "float32 rate=0.5 3073,86,16 calls=2"
    rows = finding(
        "rate.per-sample", "fail", case, message="24 batch positions never drop in 2 calls", tallies={"sizes": 1}
    )
    kept = finding("scale.kept-values", "fail", case, estimate=1.0, expected=2.0, tallies={"sizes": 1})
    (one,) = diagnose(target("mine.py:layer", [rows, kept]))
    assert one.observed.endswith("never drop in 2 calls and are not scaled: the layer returns them as they are")
    assert len(diagnose(target("mine.py:layer", [rows, msgspec.structs.replace(kept, estimate=1.5)]))) == 2


def test_a_stream_that_comes_round_says_after_how_many_decisions() -> None:
    text = "6 stretches repeat 92 decisions of the same call: the mask from here on is that from there on, {} decisions before"
    some = [
        finding("mask.distinct-samples", "fail", f"float32 rate=0.5 {n},48,1 calls=2", message=text.format(262144))
        for n in (9, 12)
    ]
    assert first(*some).observed.startswith("drop decisions repeat after 262144 decisions")
    other = finding("mask.distinct-samples", "fail", "float32 rate=0.5 15,48,1 calls=2", message=text.format(700))
    assert not first(*some, other).observed.startswith("drop decisions repeat")


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
