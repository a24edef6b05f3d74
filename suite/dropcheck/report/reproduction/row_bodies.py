"""What scripts compute of layers whose rows lose an exact number of channels, or one stretch: rows against those of a right layer.

The right rows are drawn in the script, by the law that the contract declares. A count is compared with theirs in standard
deviations of the difference; the control is a layer that draws its rows so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from dropcheck.contract import row_laws
from dropcheck.contract.errors import UsageError
from dropcheck.contract.modes import EAGER
from dropcheck.contract.promise import Contract
from dropcheck.report.reproduction.situation import Situation
from dropcheck.results.audit import Finding

FRAMEWORKS = ("numpy", "torch")  # whose control draws such rows
_SEEN_AT = 12  # standard deviations at which a script sees what the audit saw; more than half of them decide
_ELEMENTS = 16_000_000  # of the right rows
_MOST_CALLS = 5  # times as many calls as the audit's

# the laws, as functions that draw rows: (n, CHANNELS), True where dropped
_EXACT = """
def right_rows(rng, n, rate):  # the rows of a right layer: any channels as likely as any other
    number, chance = @NUMBER@
    rows = np.zeros((n, CHANNELS), bool)
    np.put_along_axis(rows, np.argsort(rng.random((n, CHANNELS)), axis=1)[:, :number], True, axis=1)
    return rows & (rng.random((n, 1)) < chance)
"""
_STRETCH = """
def right_rows(rng, n, rate):  # the rows of a right layer: one stretch each
    longest = int(CHANNELS * rate + 1e-6)
    @LENGTHS@
    at = np.arange(CHANNELS)
    return (at >= starts[:, None]) & (at < (starts + lengths)[:, None])
"""
_LENGTHS = {
    "whole": """lengths = rng.integers(0, longest + 1, n)
    starts = rng.integers(0, CHANNELS - lengths + 1)""",
    "paper": """lengths = rng.integers(0, longest + 1, n)
    starts = rng.integers(0, np.maximum(1, CHANNELS - lengths))  # the last channel never drops""",
    "real": """real = rng.random(n) * longest
    lengths, starts = real.astype(int), (rng.random(n) * (CHANNELS - real)).astype(int)""",
}

_BY_LAW = """
def by_law(rng, shape, rate):  # which elements a right layer drops
    sizes = [shape[a] for a in ORDER if a not in SHARED]
    rows = right_rows(rng, int(np.prod(sizes[:-1])), rate)
    return rows.reshape(*sizes, *(1 for _ in SHARED)).transpose(np.argsort(ORDER))
"""

PIECES: dict[str, str] = {
    "decisions": """
def decisions(layer):  # (rows, CHANNELS, elements of one decision) of successive calls, True where dropped
    for y in outputs(layer):
        yield (y == DROPPED).transpose(ORDER).reshape(-1, CHANNELS, SHARE)
""",
    "unlike": """
def unlike(found, n, right, m):  # counts of n rows and of m right ones: the differences in standard deviations
    p = (found + right) / (n + m)
    return (found / n - right / m) / np.sqrt(np.maximum(p * (1 - p), 1e-12) * (1 / n + 1 / m))
""",
}

_BOTH = """
rows = np.concatenate([gone[:, :, 0] for gone in decisions(make(RATE, SEED))])
right = right_rows(np.random.default_rng(7), RIGHT_ROWS, RATE)
"""
_DROPPING = _BOTH + "rows, right = rows[rows.any(axis=1)], right[right.any(axis=1)]\n"

_WHOLE = """
split = total = 0
for gone in decisions(make(RATE, SEED)):
    split, total = split + int((gone.any(axis=2) & ~gone.all(axis=2)).sum()), total + len(gone)
expected = "elements that share a decision are dropped or kept together"
observed = f"{split} decisions of {total} rows are dropped in part only"
defect = split > 0
"""
_TORN = """
split = torn = total = 0
for gone in decisions(make(RATE, SEED)):
    rows = gone[:, :, 0]
    split, total = split + int((gone.any(axis=2) & ~gone.all(axis=2)).sum()), total + len(gone)
    torn += int(((rows[:, 1:] & ~rows[:, :-1]).sum(axis=1) + rows[:, 0] > 1).sum())
expected = "a row loses one stretch at most; elements that share a decision are dropped or kept together"
observed = f"{torn} of {total} rows lose more than one stretch; {split} decisions are dropped in part only"
defect = torn + split > 0
"""
_COUNTS = (
    _BOTH
    + """
found, usual = (np.bincount(some.sum(axis=1), minlength=CHANNELS + 1) for some in (rows, right))
wrong = int(found.sum() - found[POSSIBLE].sum())
z = unlike(found, len(rows), usual, len(right))
worst = int(np.argmax(abs(z)))
expected = f"a row loses {POSSIBLE} channels; {worst} in {usual[worst] / len(right):.4f} of the rows"
observed = f"{wrong} of {len(rows)} rows lose another number; {worst} in {found[worst] / len(rows):.4f} of them"
observed += f" ({z[worst]:+.1f} standard deviations)"
defect = wrong > 0 or CHANCE and abs(z[worst]) > 8  # a right layer: below 10^-9
"""
)
_PLACES = (
    _DROPPING
    + """
found, usual = rows.sum(axis=0), right.sum(axis=0)
z = unlike(found, len(rows), usual, len(right))
worst = int(np.argmax(abs(z)))
expected = f"channel {worst} drops in {usual[worst] / len(right):.4f} of the rows that drop"
observed = f"channel {worst} in {found[worst] / len(rows):.4f} of {len(rows)} ({z[worst]:+.1f} standard deviations)"
defect = abs(z[worst]) > 8  # a right layer: below 10^-9
"""
)
_ENDS = (
    _DROPPING
    + """
words = ("begins", "ends")
each = [(some.argmax(axis=1), CHANNELS - 1 - some[:, ::-1].argmax(axis=1)) for some in (rows, right)]
found, usual = (np.stack([np.bincount(at, minlength=CHANNELS) for at in some]) for some in each)
z = unlike(found, len(rows), usual, len(right))
end, worst = np.unravel_index(np.argmax(abs(z)), z.shape)
expected = f"a stretch {words[end]} at channel {worst} in {usual[end, worst] / len(right):.4f} of the rows that drop"
observed = f"one {words[end]} at channel {worst} in {found[end, worst] / len(rows):.4f} of {len(rows)}"
observed += f" ({z[end, worst]:+.1f} standard deviations)"
defect = abs(z[end, worst]) > 8  # a right layer: below 10^-9
"""
)
_PAIRS = (
    _DROPPING
    + """
found, usual = (some.T.astype(float) @ some for some in (rows, right))  # rows in which both channels drop
z = np.triu(unlike(found, len(rows), usual, len(right)), 1)
one, two = np.unravel_index(np.argmax(abs(z)), z.shape)
expected = f"channels {one} and {two} drop together in {usual[one, two] / len(right):.4f} of the rows that drop"
observed = f"channels {one} and {two} in {found[one, two] / len(rows):.4f} of {len(rows)} ({z[one, two]:+.1f} standard deviations)"
defect = abs(z[one, two]) > 9  # a right layer: below 10^-9
"""
)
_ALIKE = """
calls = np.stack([gone[:, :, 0] for gone in decisions(make(RATE, SEED))])  # (calls, rows, CHANNELS)


def told(one, two):  # of pairs of rows: whether both drop the same, whether both drop, and how many channels both drop
    both = one.any(axis=-1) & two.any(axis=-1)
    return [part.ravel() for part in ((one == two).all(axis=-1), both, (one & two).sum(axis=-1))]


part = len(calls) // 4
far = told(calls[2 * part : 3 * part], np.roll(calls[3 * part : 4 * part], 1, axis=1))
worst, observed = 0.0, "none is seen"
near = calls[: 2 * part]@NEAR@
for lag in LAGS:
    some = near[: len(near) // (2 * lag) * 2 * lag].reshape(-1, 2, lag, *near.shape[1:])
    for word, one, other in zip(("are alike", "both drop", "lose channels in common"), told(some[:, 0], some[:, 1]), far):
        if one.size and np.r_[one, other].std() > 0:
            z = (one.mean() - other.mean()) / (np.r_[one, other].std() * np.sqrt(1 / one.size + 1 / other.size))
            if abs(z) > abs(worst):
                worst = z
                observed = f"@WORDS@ {lag} apart {word}: {one.mean():.4f} for {other.mean():.4f} ({z:+.1f} standard deviations)"
expected = "@WORDS@ depend on each other no more than rows of calls that are far apart"
defect = abs(worst) > 9  # a right layer: below 10^-9
"""
_RATE = (
    _BOTH
    + """
# of a stretch the rate shows in its channels, of an exact number in the rows that drop
found, usual = (np.array([some.any(axis=1).sum(), some[:, CHANNELS // 2].sum()]) for some in (rows, right))
z = unlike(found, len(rows), usual, len(right))
worst = int(np.argmax(abs(z)))
word = ("rows that drop a channel", f"rows that drop channel {CHANNELS // 2}")[worst]
expected = f"at rate {RATE:g} the share of {word} is {usual[worst] / len(right):.4f}"
observed = f"the share of {word} is {found[worst] / len(rows):.4f} of {len(rows)} ({z[worst]:+.1f} standard deviations)"
defect = abs(z[worst]) > 8  # a right layer: below 10^-9
"""
)
_SAMPLES = """
calls = np.stack([gone[:, :, 0] for gone in decisions(make(RATE, SEED))])
found = calls.any(axis=2).sum(axis=0)  # of each sample, the calls in which it drops
p = found.mean() / len(calls)
z = (found - len(calls) * p) / np.sqrt(len(calls) * max(p * (1 - p), 1e-12))
worst, together = int(np.argmax(abs(z))), (np.sum(z**2) - len(z)) / np.sqrt(2 * len(z))
expected = f"every sample drops in the share of all, {p:.4f}"
observed = f"sample {worst} drops in {found[worst] / len(calls):.4f} ({z[worst]:+.1f} standard deviations); all together are "
observed += f"{together:+.1f} standard deviations too unequal"
defect = abs(z[worst]) > 9 or together > 9  # a right layer: below 10^-8
"""
_DISTINCT = """
calls = np.stack([gone[:, :, 0] for gone in decisions(make(RATE, SEED))])
words = [row.tobytes() for row in np.packbits(calls.reshape(-1, CHANNELS), axis=1)]
wide = int(np.ceil(np.log(1e9 * len(words) ** 2) / -np.log(ALIKE)))  # rows that are unlike by chance, 10^-9 over all pairs
seen, found, each = {}, [], calls.shape[1]
for row in range(len(words) - wide + 1):
    first = seen.setdefault(b"".join(words[row : row + wide]), row)
    if row - first >= wide and (first // each @SAME@ row // each):
        found.append((first, row))
expected = f"no {wide} rows occur twice"
observed = f"{len(found)} runs of {wide} rows occur twice"
observed += f": those from row {found[0][0]} on are those from row {found[0][1]} on, {each} rows a call" if found else ""
defect = bool(found)
"""

_SAMPLES_ALIKE = _ALIKE.replace("@NEAR@", ".swapaxes(0, 1)").replace("@WORDS@", "samples")
_CALLS_ALIKE = _ALIKE.replace("@NEAR@", "").replace("@WORDS@", "calls")
_REPEATED, _REPEATS = (_DISTINCT.replace("@SAME@", sign) for sign in ("==", "!="))

# check -> the source for an exact number, and that for a stretch
BODIES: Mapping[str, tuple[str, str]] = {
    "mask.whole-channels": (_WHOLE, _TORN),
    "mask.dropped-count": (_COUNTS, _COUNTS),
    "mask.independent-channels": (_PAIRS, _PAIRS),
    "mask.independent-samples": (_SAMPLES_ALIKE, _SAMPLES_ALIKE),
    "mask.independent-calls": (_CALLS_ALIKE, _CALLS_ALIKE),
    "mask.distinct-samples": (_REPEATED, _REPEATED),
    "mask.distinct-calls": (_REPEATS, _REPEATS),
    "rate.marginal": (_RATE, _RATE),
    "rate.per-channel": (_PLACES, _ENDS),
    "rate.per-sample": (_SAMPLES, _SAMPLES),
}


def applies(contract: Contract) -> bool:
    """Whether the rows of this contract have such a law."""
    return bool(contract.pattern.exact or contract.pattern.stretch)


def answers(check: str) -> bool:
    """Whether a check of such rows has a source of its own; others ask what they ask of any layer."""
    return check in BODIES


def body(found: Finding, contract: Contract) -> str:
    """The source of a finding of one of these checks."""
    return BODIES[found.check][bool(contract.pattern.stretch)]


def law(framework: str, mode: str, contract: Contract) -> str:
    """Functions by which the control of a framework drops. Raises UsageError where it cannot."""
    if framework not in FRAMEWORKS or mode != EAGER:
        raise UsageError(
            f"there is no script for {framework}{'' if mode == EAGER else f' in mode {mode}'} of a layer that drops an exact "
            f"number of channels or one stretch: expected eager calls of {' or '.join(FRAMEWORKS)}"
        )
    if contract.pattern.stretch:
        rows = _STRETCH.replace("@LENGTHS@", _LENGTHS[contract.stretch])
    else:
        number = contract.pattern.exact[0][1]
        rows = _EXACT.replace("@NUMBER@", f"{number}, rate" if number else "round(rate * CHANNELS), 1")
    return rows + _BY_LAW


def calls(found: Finding, planned: int) -> int:
    """Calls of a script: enough that what the audit saw at its probability is at 12 standard deviations here."""
    log = found.log10_evidence
    if log is None or log >= 0 or not math.isfinite(log):
        return planned
    seen = math.sqrt(2 * math.log(10) * -log)
    return math.ceil(planned * min(_MOST_CALLS, max(1.0, (_SEEN_AT / seen) ** 2)))


def constants(found: Finding, case: Situation, contract: Contract) -> dict[str, str]:
    """Constants of these scripts beside those of all."""
    pattern, shape = case.pattern, case.shapes[0]
    order = [pattern.axes.index(a) for a in (*pattern.coins, *pattern.shared)]
    rows = row_laws.law(contract, case.rate)
    known = {
        "ORDER": f"{tuple(order)!r}  # the axes of rows, that of channels, and those along which all share one decision",
        "SHARE": repr(pattern.shared_size(shape)),
    }
    if rows is None:
        return known
    one = math.prod(shape[pattern.axes.index(a)] for a in pattern.row_axes)
    across = one if found.check == "mask.independent-samples" else case.calls // 2
    lags = {1, 2, 3, 4, 8, 16, 32, *(int(n) for n in re.findall(r"(\d+) apart", found.message)), across // 2}
    return known | {
        "POSSIBLE": repr([int(n) for n in np.flatnonzero(rows.counts)]),
        "CHANCE": repr(bool(contract.pattern.stretch)),
        "RIGHT_ROWS": repr(max(20_000, min(1_000_000, _ELEMENTS // rows.size))),
        "LAGS": repr(sorted(n for n in lags if 0 < n <= across // 2)),
        "ALIKE": f"{rows.same!r}  # the probability that two rows are alike",
    }
