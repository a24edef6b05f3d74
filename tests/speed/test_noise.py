"""Which cells have no figure."""

from __future__ import annotations

import math

import pytest

from dropcheck.contract.errors import UsageError
from dropcheck.results.bench import Yardstick
from dropcheck.speed.noise import accepted, noisy
from dropcheck.speed.ratio import Interval


def stick(fraction: float | None) -> Yardstick:
    return Yardstick(cell=0, copy="a", copy_s=1e-6, fill="b", fill_s=1e-6, copy_fraction=fraction)


def beside(ratio: float, error: float = 0.001) -> dict[int, Interval]:
    return {0: Interval(math.log(ratio), error, 4, 5)}


@pytest.mark.parametrize(
    ("placebos", "fraction", "words"),
    [
        (beside(1.04), 1.08, None),
        (beside(1.06), 1.0, "the reference took 1.06 times its own time, expected 0.95 to 1.05"),
        (beside(0.94), None, "the reference took 0.94 times its own time"),
        (beside(1.0, 0.07), 1.0, "standard error 7%, expected at most 5%"),
        (beside(1.0), 0.8, "a copy took 1.25 times its own time, expected 0.91 to 1.10"),
        ({0: Interval(math.nan, math.inf, 0, 0)}, None, None),
        ({0: Interval(0.0, math.inf, 0, 1)}, 1.0, None),
    ],
)
def test_what_did_not_repeat_itself_has_no_figure(
    placebos: dict[int, Interval], fraction: float | None, words: str | None
) -> None:
    found = noisy(placebos, [stick(fraction)], 0.05)
    assert words in found[0] if words else not found


@pytest.mark.parametrize("share", [0.0, -1.0, math.nan])
def test_a_share_that_no_cell_can_keep_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="--noise takes a share"):
        accepted(share)
