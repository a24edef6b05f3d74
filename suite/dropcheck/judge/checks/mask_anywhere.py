"""Ties of samples and of calls wherever they are: any distance apart, of single channels, of mirrored samples, of exclusive ors."""

from __future__ import annotations

from dropcheck.count.adding_up import calls_that_add_up, samples_that_add_up
from dropcheck.count.copies import CERTAIN
from dropcheck.count.every_lag import ties_at_every_lag
from dropcheck.count.first_coins import Tied
from dropcheck.count.gathered import Gathered
from dropcheck.count.mirrored import ties_of_mirrored_samples
from dropcheck.count.neighbouring import ties_of_neighbours

# each is certain below 10^-15 only, so that all of them together take nothing from the share of a check


def tied_anywhere(got: Gathered, of_calls: bool) -> Tied:
    """The first certain tie of calls, or of samples of a call, else the strongest of those that are looked for."""
    best = got.once(ties_at_every_lag)[of_calls]
    if best[0] > CERTAIN:
        best = min(best, got.once(ties_of_neighbours)[of_calls])
    if best[0] > CERTAIN:
        best = min(best, got.once(calls_that_add_up if of_calls else samples_that_add_up), key=lambda tied: tied[0])
    if best[0] > CERTAIN and not of_calls:
        best = min(best, got.once(ties_of_mirrored_samples), key=lambda tied: tied[0])
    return best
