"""Cells without a figure: the reference, or a copy, did not repeat itself there, so a time says nothing of a layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dropcheck.contract.errors import UsageError
from dropcheck.results.bench import Yardstick
from dropcheck.speed.ratio import Interval

NOISE = 0.05  # by default: the reference against itself may differ by this share
COPIES = 2.0  # copies, which take less time and are timed less often, by so many times as much


def accepted(noise: float) -> None:
    """Raise UsageError for a share at which every cell, or none, would be noisy."""
    if not noise > 0:
        raise UsageError(f"--noise takes a share of the time above 0, such as {NOISE:g}, not {noise:g}")


def _quiet(noise: float) -> str:
    return f", expected {1 / (1 + noise):.2f} to {1 + noise:.2f}"


def noisy(placebos: Mapping[int, Interval], sticks: Sequence[Yardstick], noise: float) -> dict[int, str]:
    """Why a cell has no figure, by cell; cells that are quiet, or whose reference was timed once, are not in it.

    ``placebos``: the log ratio of the reference's second process to its first, over processes.
    """
    found: dict[int, str] = {}
    for stick in sticks:
        if stick.copy_fraction is not None and abs(math.log(stick.copy_fraction)) > math.log1p(COPIES * noise):
            found[stick.cell] = f"a copy took {1 / stick.copy_fraction:.2f} times its own time{_quiet(COPIES * noise)}"
    for cell, interval in placebos.items():
        if interval.processes and abs(interval.mean) > math.log1p(noise):
            ratio = math.exp(min(700.0, interval.mean))
            found[cell] = f"the reference took {ratio:.2f} times its own time{_quiet(noise)}"
        elif interval.degrees > 0 and interval.error > math.log1p(noise):
            found[cell] = (
                f"the reference beside itself varies from process to process: standard error {math.expm1(interval.error):.0%}, "
                f"expected at most {noise:.0%}"
            )
    return found
