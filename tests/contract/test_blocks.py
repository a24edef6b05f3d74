"""Overlapping blocks and realised scales: the contract, its law, what is asked and what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck import Contract, Pattern
from dropcheck.contract.blocks import area, coins_on_grid, drops_at, grid, seeds_rate, uncovered
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import ContractError
from dropcheck.worker.server.rounding import realised_bounds, to_dtype, to_float64
from spatial_dropouts.broken.blocks import spread

IMAGES = Pattern.parse("n c h w -> n c h/3 w/3")


def asked(target: str, *select: str, **more: Any) -> Any:
    return dropcheck.audit(target, select=select, jobs=1, causes=False, in_process=True, **more)


def verdicts(found: Any) -> dict[str, set[str]]:
    kept: dict[str, set[str]] = {}
    for one in found.targets[0].findings:
        kept.setdefault(one.check, set()).add(one.verdict)
    return kept


def test_a_contract_says_blocks_in_its_pattern_or_beside_it() -> None:
    one = Contract(pattern=Pattern.parse("n c h w -> n c h w"), block=3, scale="realised")
    other = Contract(pattern=IMAGES, scale="realised")
    assert one == other == Contract.from_dict(one.to_dict())
    assert str(one.pattern) == "n c h=11 w=11 -> n c h/3 w/3"
    assert Contract(pattern=Pattern.parse("n c h w -> n h w"), block={"h": 3, "w": 5}).pattern.blocks == (
        ("h", 3),
        ("w", 5),
    )
    assert Pattern.parse("n c h w -> n c h/1 w/1") == Pattern.parse("n c h w -> n c h w")
    area_law = Contract(pattern=IMAGES, gamma="area")
    assert Contract.from_dict(area_law.to_dict()).gamma == "area"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"block": 0}, "a length is a whole number of at least 1, not 0"),
        ({"block": {"q": 3}}, "'q' is none of them"),
        ({"gamma": "papers"}, "the nearest is 'paper'"),
        ({"scale": "realised", "dropped": 1.0}, "dropped and offset are 0 beside it"),
    ],
)
def test_what_no_block_is_has_its_sentence(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        Contract(pattern=Pattern.parse("n c h w -> n c h w"), **words)


def test_blocks_without_room_and_blocks_of_a_word_have_their_sentences() -> None:
    with pytest.raises(ContractError, match="blocks of 3 need 5 at least"):
        Pattern.parse("n c h=4 w -> n c h/3 w/3")
    with pytest.raises(ContractError, match="a block is a whole number of at least 1 long"):
        Pattern.parse("n c h w -> n c h/x w")


@pytest.mark.parametrize("law", ["paper", "area"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_the_law_is_that_of_simulated_blocks(law: str, everywhere: bool) -> None:
    contract, rng = Contract(pattern=IMAGES, gamma=law), np.random.default_rng(3)
    gamma = seeds_rate(contract, 0.3)
    seeds = rng.random((200, 40, 11, 11) if everywhere else (200, 40, 9, 9)) < gamma
    gone = spread(seeds, (3, 3))
    gone = gone[..., 1:-1, 1:-1] if everywhere else gone
    assert not uncovered(IMAGES, gone).any()
    coins = coins_on_grid(IMAGES, gone)
    assert coins.shape == (200 * 9, 40)
    p = drops_at(contract, 0.3)
    assert abs(coins.mean() - p) < 6 * np.sqrt(p * (1 - p) / coins.size)  # 2 in 10^9
    assert area(IMAGES) == 9 and list(grid(IMAGES)["h"]) == [2, 5, 8]


def test_what_no_block_covers_is_found() -> None:
    gone = np.zeros((1, 1, 11, 11), bool)
    gone[0, 0, 4:7, 4:7] = gone[0, 0, :2, :2] = True  # a whole block, and one that is cut by the border
    assert not uncovered(IMAGES, gone).any()
    gone[0, 0, 9, 4] = True
    assert np.argwhere(uncovered(IMAGES, gone)).tolist() == [[0, 0, 9, 4]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_realised_scale_has_the_bounds_of_an_ordinary_right_layer(dtype: str) -> None:
    x = to_float64(to_dtype(np.linspace(0.5, 8, 999), dtype), dtype)
    y = to_float64(to_dtype(x * float(to_float64(to_dtype(np.array([9801 / 7000]), dtype), dtype)[0]), dtype), dtype)
    low, high = realised_bounds(x, 9801, 7000, dtype)
    assert ((y >= low) & (y <= high)).all()
    low, high = realised_bounds(x, 9801, 6700, dtype)
    assert not ((y >= low) & (y <= high)).any()


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("flat", "mask.whole-channels"),
        ("rate-of-seeds", "rate.marginal"),
        ("plain-area", "rate.marginal"),
        ("shared", "mask.distinct-channels"),
        ("factor-of-rate", "scale.kept-values"),
        ("unscaled", "scale.kept-values"),
        ("larger", "mask.independent-samples"),
        ("one-mask-a-batch", "mask.distinct-samples"),
    ],
)
def test_a_planted_block_is_caught(name: str, check: str) -> None:
    found = asked(
        f"broken.blocks-{name}", check, rates=(0.5,) if check.startswith("mask") else (0.3,), dtypes=("float32",)
    )
    assert "fail" in verdicts(found)[check]


def test_blocks_in_inference_are_caught() -> None:
    assert "fail" in verdicts(asked("broken.blocks-infer", "mode.inference", dtypes=("float32",)))["mode.inference"]


@pytest.mark.parametrize("name", ["blocks-everywhere", "blocks-shared"])
def test_a_right_layer_of_blocks_keeps_its_claims(name: str) -> None:
    select = ("mask", "rate", "scale", "mode.toggle", "form.batch-change")
    found = asked(f"unusual.{name}", *select, dtypes=("float32",), rates=(0.5,))
    told = verdicts(found)
    assert found.verdict == "pass"
    assert told["rate.one"] == told["mask.ignores-values"] == told["rate.per-shape"] == {"skipped"}
    for check in ("mask.whole-channels", "rate.marginal", "scale.kept-values", "mask.distinct-samples"):
        assert "pass" in told[check]


def test_a_realised_scale_without_blocks_is_judged_call_by_call() -> None:
    case = "float32 rate=0.3 64,32,1 calls=20"
    assert asked("unusual.realised", "mask", "scale", cases=case).verdict == "pass"


def test_a_case_of_blocks_cannot_be_named() -> None:
    with pytest.raises(UsageError, match="leave out --case and --shape"):
        asked("unusual.blocks", "rate.marginal", cases="float32 rate=0.3 64,32,1 calls=20")


def test_explain_and_verification_know_blocks(tmp_path: Any) -> None:
    from typer.testing import CliRunner

    from dropcheck.cli import app
    from dropcheck.plan.targets import parse
    from dropcheck.report import explain_target
    from dropcheck.results.audit import save

    text = " ".join(explain_target.text(parse("unusual.blocks"), 100).split())
    assert "Blocks of 3 x 3 that overlap along h and w, as declared." in text
    assert "This is the pattern that audit expects." in text
    found = asked("unusual.blocks", "scale", "rate.marginal", dtypes=("float32",), rates=(0.5,))
    save(found, tmp_path / "found.json")
    told = CliRunner().invoke(app, ["report", "--verify", str(tmp_path / "found.json")])
    assert told.exit_code == 0, told.output


def test_few_calls_of_a_coin_a_row_are_no_copies() -> None:
    """Of three calls of a coin a row, a quarter of the rows never changes; all others show six words, as they must."""
    from dropcheck.contract.cases import Case
    from dropcheck.count.copies import rows_alike
    from dropcheck.count.counting import tally
    from dropcheck.count.gathered import Gathered
    from dropcheck.worker.server.coinwise import pack

    coins = np.random.default_rng(7).random((3 * 4000, 1)) < 0.5
    packed = pack(coins)
    case = Case("float32", 0.5, 4000, 1, 3, 3)
    proof: dict[str, Any] = dict.fromkeys(("violations", "wrong_values", "nonfinite", "nan"), 0)
    contract = Contract(pattern=Pattern.parse("n c l -> n"))
    assert rows_alike(Gathered(case, contract, tally(packed, 1, 4000), proof, packed)) is None
    coins[1::2] = coins[::2]
    copied = pack(coins)
    assert rows_alike(Gathered(case, contract, tally(copied, 1, 4000), proof, copied)) is None  # too few calls to tell
