"""Failures of layers that drop an exact number of channels, or one stretch: told by their law, with a fix that keeps it."""

from __future__ import annotations

from collections.abc import Iterator

from dropcheck.judge.diagnosis.seen import Cause, Seen, cause
from dropcheck.results.plain_text import strongest

_ROWS = "mask.independent-samples"
# check -> what to do: of an exact number, and of a stretch
_FIXES = {
    "mask.whole-channels": (
        "Give all elements of a channel one decision.",
        "Mask start <= index < start + length, for all elements of a channel. Keep start + length below the size.",
    ),
    "mask.dropped-count": (
        "Draw the channels without replacement: torch.rand(n, c).argsort(1)[:, :k].",
        "Draw each length from 0 to the largest with the same probability: torch.randint(0, largest + 1, (n,)).",
    ),
    "rate.per-channel": (
        "Draw from all channels: torch.rand(n, c).argsort(1)[:, :k].",
        "Let the stretch begin at every place where it fits: from 0 to size - length. If the last place is left out on purpose, "
        'declare it: Contract(..., stretch="paper").',
    ),
    "mask.independent-channels": ("Draw any set of channels alike: torch.rand(n, c).argsort(1)[:, :k].", ""),
    _ROWS: (
        "Draw the channels of each sample by themselves. If a batch shares them on purpose, leave the axis out of the pattern.",
        "Draw length and place of each sample. If a batch shares them on purpose, leave the axis out of the pattern.",
    ),
    "mask.independent-calls": ("Draw anew in every call.", "Draw length and place anew in every call."),
    "rate.marginal": ("Let a row lose its channels with the probability of the rate: torch.rand(n) < rate.", ""),
}


def rows(seen: Seen) -> Iterator[Cause]:
    """Each check that a law failed, in the words of the strongest failure."""
    contract = seen.contract
    if contract is None or not (contract.pattern.exact or contract.pattern.stretch):
        return
    for check, fixes in _FIXES.items():
        some = [one for one in seen.failing(check) if " rows " in one.case]
        if some:
            lead = strongest(some)
            yield cause(f"rows: {check}", lead.message, fixes[bool(contract.pattern.stretch)], seen.take(some), lead)
