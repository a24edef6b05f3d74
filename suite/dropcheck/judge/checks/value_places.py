"""Coins that depend on the input with a sign of its own at every place, so that sums over rows and over channels cancel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.count.tallies import Tally
from dropcheck.statistics import binomial


def by_place(tally: Tally, names: tuple[str, ...]) -> tuple[float, str, float]:
    """(log10 of the chance, words, correlation) of what one half of the calls says of the other, place by place.

    At each place (row, channel), coin and class of the input differ more often or less often than not in every second call. In
    the other calls each coin is asked whether it does as its place. The audit draws the classes, each with probability 1/2:
    if coins do not depend on them, whatever else coins depend on, the answers are independent and fair, and their number is
    binomial, exactly. Bonferroni over classes and halves.
    """
    best: tuple[float, str, float] = (0.0, "", 0.0)
    if not tally.value_places.size or not tally.value_calls.all():
        return best
    tests = 2 * len(tally.value_places)
    for name, counts in zip(names, tally.value_places, strict=False):
        for half in (0, 1):
            leans: Any = np.sign(2 * counts[half] - tally.value_calls[half])
            told, calls = counts[1 - half], int(tally.value_calls[1 - half])
            as_there = int(told[leans > 0].sum() + (calls - told[leans < 0]).sum())
            coins = calls * int(np.count_nonzero(leans))
            if 2 * as_there <= coins:
                continue
            log = min(0.0, binomial.log10_two_sided(as_there, coins, 0.5) + math.log10(tests))
            if log < best[0]:
                text = (
                    f"{name}, in another direction at each place (row, channel): {as_there} of {coins} decisions follow the "
                    f"direction of their place in the other half of the calls (expected {coins / 2:.9g})"
                )
                best = log, text, 2 * as_there / coins - 1
    return best
