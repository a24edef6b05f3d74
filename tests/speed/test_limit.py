"""The limit: the layout model against counting by hand, and what it makes of a copy and a fill."""

from __future__ import annotations

import numpy as np
import pytest

from dropcheck.contract.cells import Cell, parse_cell
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Pattern
from dropcheck.speed import limit
from dropcheck.speed.cells import CENTRE, plan

FIRST, LAST = Pattern.parse("n c l -> n c"), Pattern.parse("n l c -> n c")


def test_channels_first_gains_1_33_over_a_copy_at_rate_half_and_1_82_at_nine_tenths() -> None:
    for rate, gain in ((0.5, 4 / 3), (0.9, 1.82)):
        need = limit.traffic(Cell(64, 256, 1024, rate=rate), FIRST)
        assert 2 * need.written / need.total == pytest.approx(gain, abs=0.01)


def test_channels_last_gains_practically_nothing() -> None:
    need = limit.traffic(Cell(64, 256, 1024), LAST)
    assert need.skipped == pytest.approx(0.5**16)


def test_a_granule_of_a_gpu_is_32_bytes() -> None:
    assert limit.traffic(Cell(64, 256, 1024), LAST, "cuda").skipped == pytest.approx(0.5**8)


def test_the_permuted_layout_of_one_is_the_native_layout_of_the_other() -> None:
    one, two = Cell(8, 48, 40), Cell(8, 48, 40, layout="permuted")
    assert limit.skippable(one, LAST, 64) == limit.skippable(two, FIRST, 64)
    assert limit.skippable(two, LAST, 64) == limit.skippable(one, FIRST, 64)


@pytest.mark.parametrize("text", ["3,5,7", "2,3,100 bfloat16 rate=.3", "4,3,33 permuted float64", "2,70,1 rate=.9"])
@pytest.mark.parametrize("pattern", [FIRST, LAST, Pattern.parse("n c l -> n"), Pattern.parse("n c l -> n c l")])
def test_the_share_that_can_be_skipped_is_that_of_masks_drawn(text: str, pattern: Pattern) -> None:
    cell = parse_cell(text)
    shape = cell.shape(pattern)
    assert int(np.prod(shape)) == cell.elements
    rng, granule, skipped, granules = np.random.default_rng(5), 64, 0, 0
    a_granule = granule // {"float32": 4, "bfloat16": 2, "float64": 8}[cell.dtype]
    for _ in range(3000):
        dropped = np.broadcast_to(rng.random(pattern.noise_shape(shape)) < cell.rate, shape)
        memory = np.ascontiguousarray(dropped.transpose(cell.order(pattern))).ravel()
        count = max(1, memory.size // a_granule)
        whole = memory[: count * a_granule].reshape(count, -1)
        skipped, granules = skipped + int(whole.all(axis=1).sum()), granules + count
    # 5 standard errors of fully dependent granules of a call
    assert skipped / granules == pytest.approx(limit.skippable(cell, pattern, granule), abs=5 * 0.5 / 3000**0.5)


def test_a_copy_is_at_its_own_limit_where_nothing_is_skipped_and_a_fill_where_all_is() -> None:
    assert limit.seconds(limit.traffic(Cell(rate=1.0), FIRST), 3.0, 1.0) == pytest.approx(1.0)
    assert limit.seconds(limit.traffic(Cell(64, 256, 1024), LAST), 3.0, 1.0) == pytest.approx(3.0, abs=1e-4)
    assert limit.seconds(limit.traffic(Cell(64, 256, 1024), FIRST), 3.0, 1.0) == pytest.approx(2.0)
    both = limit.traffic(Cell(64, 256, 1024, direction="backward"), FIRST)
    assert limit.seconds(both, 3.0, 1.0) == pytest.approx(4.0)
    assert both.mask == 2 * 64 * 256 / 8


def test_a_fill_that_measures_slower_than_the_copy_makes_no_faster_limit() -> None:
    assert limit.seconds(limit.traffic(Cell(64, 256, 1024), FIRST), 1.0, 3.0) == pytest.approx(1.0)


@pytest.mark.parametrize("cell", [Cell(rate=0.0), Cell(direction="inference")])
def test_where_nothing_need_be_moved_there_is_no_limit(cell: Cell) -> None:
    assert limit.seconds(limit.traffic(cell, FIRST), 3.0, 1.0) is None


def test_the_best_of_several_copies_counts() -> None:
    assert limit.best({"copy:a": [3.0, 1.0, 2.0], "copy:b": [1.5], "fill:a": [1.0]}, "copy") == ("copy:b", 1.5)
    assert limit.best({"fill:a": [1.0]}, "copy") is None


def test_profiles_are_as_large_as_they_say() -> None:
    quick, standard, deep = (plan(name) for name in ("quick", "standard", "deep"))
    assert 8 <= len(quick) <= 12 and 38 <= len(standard) <= 52 and len(deep) > 500
    assert CENTRE in standard and {c.direction for c in quick} == {"inference", "forward", "backward"}
    for device, largest in (("cpu", 2**26), ("cuda", 2**30)):
        assert max(c.nbytes for c in plan("standard", device) if c.dtype == "float32") == pytest.approx(
            largest, rel=0.01
        )
    assert min(c.nbytes for c in quick) == 2**12


@pytest.mark.parametrize("cell", [*plan("standard"), Cell(rate=0.1234567890123)])
def test_a_cell_reads_back_as_it_was_written(cell: Cell) -> None:
    assert parse_cell(str(cell)) == cell


def test_a_word_that_is_none_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'backwards' is not understood.*the nearest is 'backward'"):
        parse_cell("64,256,1024 backwards")
    with pytest.raises(UsageError, match=r"no profile 'quik'.*nearest is 'quick'"):
        plan("quik")
