"""The pattern notation: parsed once, errors that point at the axis, Keras' noise shapes there and back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropcheck.contract.promise import Contract, ContractError, Pattern, check_rate

ROWS = ["n c l -> n c", "n l c -> n c", "n h w c -> n c", "t b h -> b h", "n c l -> n", "n c l -> c", "n c l -> n c l"]


@pytest.mark.parametrize("text", ROWS)
def test_a_pattern_reads_what_it_writes(text: str) -> None:
    assert str(Pattern.parse(text)) == text
    assert Pattern.parse(text.replace(" ", "   ")) == Pattern.parse(text)


@pytest.mark.parametrize(
    ("text", "word", "hint"),
    [
        ("n c l -> n k", "k", "the nearest is"),
        ("n c c -> n c", "c", "twice"),
        ("n c l -> c n", "c", "-> n c"),
        ("n c- l -> n c", "c-", "no axis name"),
        ("n c l ->", "", "after the arrow"),
        ("-> n c", "", "before the arrow"),
        ("n c l->n c", "l->n", "spaces around the arrow"),
    ],
)
def test_an_error_points_at_the_axis(text: str, word: str, hint: str) -> None:
    with pytest.raises(ContractError) as caught:
        Pattern.parse(text)
    message = str(caught.value)
    assert hint in message
    lines = message.splitlines()
    marks = lines[-1]
    quoted = lines[-2]
    assert quoted.strip() == text.strip()
    if word:
        assert quoted[marks.index("^") : marks.rindex("^") + 1] == word


@pytest.mark.parametrize("text", ["n c l", "n c -> l -> n", ""])
def test_one_arrow_is_needed(text: str) -> None:
    with pytest.raises(ContractError, match="one arrow"):
        Pattern.parse(text)


def test_what_the_coin_matrix_is() -> None:
    pattern = Pattern.parse("n c h w -> n c")
    assert pattern.matrix_shape((5, 7, 3, 2)) == (5, 7)
    assert pattern.shared == ("h", "w")
    assert pattern.shared_size((5, 7, 3, 2)) == 6
    path = Pattern.parse("n c l -> n")
    assert (path.channel_axis, path.matrix_shape((5, 7, 3))) == (None, (5, 1))
    batch = Pattern.parse("n c l -> c")
    assert (batch.row_axes, batch.matrix_shape((5, 7, 3))) == ((), (1, 7))
    plain = Pattern.parse("n c l -> n c l")
    assert plain.matrix_shape((5, 7, 3)) == (35, 3)
    with pytest.raises(ContractError, match="2 axes"):
        pattern.matrix_shape((5, 7))


@given(
    st.sampled_from(ROWS),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 60),
)
def test_shapes_have_the_sizes_that_were_asked_for(text: str, rows: int, channels: int, shared: int) -> None:
    pattern = Pattern.parse(text)
    channels = channels if pattern.channel_axis else 1
    rows = rows if pattern.row_axes else 1
    shared = shared if pattern.shared else 1
    shape = pattern.shape(rows, channels, shared)
    assert pattern.matrix_shape(shape) == (rows, channels)
    assert pattern.shared_size(shape) == shared


def test_noise_shapes_of_the_seed() -> None:
    """[k, 1, m] for SpatialDropout1D, [k, 1, 1, n] for 2D, [1, 2, 2] on [2, 2, 2]."""
    assert Pattern.parse("k l m -> k m").noise_shape((4, 5, 6)) == (4, 1, 6)
    assert Pattern.parse("k l m n -> k n").noise_shape((4, 5, 6, 7)) == (4, 1, 1, 7)
    assert str(Pattern.from_noise_shape((1, 2, 2), (2, 2, 2), ("k", "l", "m"))) == "k l m -> l m"
    assert str(Pattern.from_noise_shape((None, 1, None))) == "n l c -> n c"


@given(st.lists(st.integers(2, 9), min_size=1, max_size=5), st.data())
def test_noise_shape_and_pattern_convert_both_ways(shape: list[int], data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    noise = tuple(s if k else 1 for s, k in zip(shape, kept, strict=True))
    pattern = Pattern.from_noise_shape(noise, shape)
    assert pattern.noise_shape(shape) == noise
    assert Pattern.from_noise_shape(pattern.noise_shape(shape), shape, pattern.axes) == pattern


@pytest.mark.parametrize(
    ("noise", "shape", "hint"),
    [
        ((2, 3), (2, 3, 4), "3: every input axis"),
        ((2, 3, 4), (2, 5, 4), "axis 'l' has size 5"),
    ],
)
def test_a_noise_shape_that_does_not_fit_is_refused(noise: tuple[int, ...], shape: tuple[int, ...], hint: str) -> None:
    """keras#9841: too short a noise shape was accepted, and whole batches lost the same features."""
    with pytest.raises(ContractError, match=hint):
        Pattern.from_noise_shape(noise, shape)


def test_a_contract_survives_the_pipe() -> None:
    contract = Contract(
        Pattern.parse("n l c -> n c"),
        scale=2.0,
        dropped=-1.75,
        grid=1 / 256,
        seeds=("constructor", "key"),
        ranks=(Pattern.parse("l c -> c"),),
        rates=(0.1,),
        promises=("nonfinite",),
        tolerances={"rate.marginal": 0.01},
    )
    assert Contract.from_dict(contract.to_dict()) == contract
    assert contract.rate_tolerance(0.1) == 0.01


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"scale": "inverse"}, "nearest is 'inverted'"),
        ({"grid": 2.0}, "grid"),
        ({"rates": (1.5,)}, "probability"),
        ({"seeds": ("luck",)}, "luck"),
        ({"promises": ("all",)}, "promise"),
        ({"tolerances": {"rate.marginal": -1}}, "tolerance"),
        ({"tolerances": {"rate.marginal": math.nan}}, "tolerance"),
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(fields: dict[str, object], hint: str) -> None:
    with pytest.raises(ContractError, match=hint):
        Contract(Pattern.parse("n c l -> n c"), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [-0.1, 1.5, math.nan, "half"])
def test_a_rate_is_a_probability(rate: object) -> None:
    with pytest.raises(ContractError, match="probability from 0 to 1"):
        check_rate(rate)  # type: ignore[arg-type]


def test_one_coin_a_call_is_one_row_of_one_channel() -> None:
    pattern = Pattern.parse("n c l -> 1")
    assert str(pattern) == "n c l -> 1"
    assert pattern.coins == () and pattern.shared == ("n", "c", "l")
    assert pattern.matrix_shape((4, 5, 6)) == (1, 1) and pattern.shared_size((4, 5, 6)) == 120
    assert pattern.shape(1, 1, 60) == (4, 3, 5)
    assert Pattern.from_noise_shape((1, 1, 1), (4, 5, 6)).coins == ()
    assert Contract.from_dict(Contract(pattern).to_dict()).pattern == pattern


def test_an_axis_may_have_one_size_only() -> None:
    pattern = Pattern.parse("n c=3 l -> n c")
    assert str(pattern) == "n c=3 l -> n c" and pattern.sizes == (("c", 3),)
    assert pattern.shape(5, 64, 7) == (5, 3, 7)
    assert Contract(Pattern.parse("n c l -> n c"), sizes={"c": 3}).pattern.sizes == (("c", 3),)
    assert Contract.from_dict(Contract(pattern).to_dict()).pattern.sizes == (("c", 3),)
    assert Pattern.parse("b=2 n c l=4 -> b n c").shape(10, 7, 9) == (2, 5, 7, 4)
    with pytest.raises(ContractError, match="has 4 along 'c', the pattern 'n c=3 l -> n c' has 3 there"):
        pattern.matrix_shape((5, 4, 7))
    with pytest.raises(ContractError, match="a fixed size is a whole number of at least 1"):
        Pattern.parse("n c=x l -> n c")
    with pytest.raises(ContractError, match="'k' is no axis of the pattern"):
        Contract(Pattern.parse("n c l -> n c"), sizes={"k": 3})


@pytest.mark.parametrize("text", ["n c=3 l -> n c", "n=32 c l -> n c", "n c l=10 -> n c", "n c=3 l -> n", "n c l -> 1"])
def test_the_cases_of_a_plan_have_the_sizes_that_the_pattern_allows(text: str) -> None:
    from dropcheck.judge.checks import CHECKS
    from dropcheck.plan.profiles import PROFILES, Wanted, plan_cases

    pattern = Pattern.parse(text)
    info = {"dtypes": ["float32", "float64"], "layouts": ["contiguous", "strided"], "gradients": True}
    marginal = next(c for c in CHECKS if c.name == "rate.marginal")
    cases = plan_cases(Contract(pattern), info, PROFILES["quick"], marginal, 7, "t", Wanted())
    assert len(cases) > 20
    for case in cases:
        for rows, shape in zip(case.batches or (case.rows,), case.shapes(pattern), strict=True):
            assert pattern.matrix_shape(shape) == (rows, case.channels), case
            assert pattern.shared_size(shape) == case.shared, case
    assert max(case.coins for case in cases) < 4_000_000
