"""Cases of layers whose calls cost tens of milliseconds, whatever their size: as many decisions in fewer and larger calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Pattern

# ``heavy`` of an adapter: what one call costs, whatever its size
MILLISECONDS, TENS_OF_MILLISECONDS = 1, 2

# Calls of one layer, one after the other. Fewer than 2^12 calls meet keys of 24 bits again with a probability below .4: that is
# left to modes whose calls cost less, and to larger profiles.
MANY_CALLS = {"quick": 300, "standard": 3_000, "deep": 30_000}
MANY_CHANNELS = 521  # so many that the rate of these calls is told as finely as that of cheaper ones
_ENOUGH = {"quick": 24, "standard": 96, "deep": 384}  # calls of one case; larger ones take the place of further ones
# calls of a single row, and of few, whose length is fixed
_ONE_ROW = {"quick": 96, "standard": 512, "deep": 4096}
_SOME_ROWS = {"quick": 256, "standard": 1024, "deep": 8192}
_SEEDS = 2  # so many times fewer seeds: each of them needs a layer of its own
# Rows and calls of cases that show what a place in the batch has of its own: rate.per-sample counts in words of 64 calls.
_FEW_ROWS, _WORD = 64, 64
_TIMES = (8, 4, 2)  # powers of two, so that rows just above a power of two stay there
_ELEMENTS = 1 << 21  # of one call at most


def larger(case: Case, pattern: Pattern, profile: str, asked: Callable[[Case], bool]) -> Case:
    """The case with rows, or one longer row, in place of calls; a case of few calls as it is.

    ``asked``: whether a case has decisions enough for its rate: larger calls need more of them, and a case that has enough
    keeps enough.
    """
    if case.regime == "seeds":
        return replace(case, calls=max(2, case.calls // _SEEDS // 2 * 2))
    few = 1 < case.rows <= _FEW_ROWS
    least = 2 * _WORD if few else _ENOUGH[profile] + 1
    elements = case.coins * case.shared // max(1, case.calls)
    some = [t for t in _TIMES if 2 * case.calls >= least * t and elements * t <= _ELEMENTS]
    if case.calls < least or not some:
        return case
    enough = asked(case)
    made = (_times(case, pattern, times) for times in some)
    found = next((one for one in made if one.calls < case.calls and (asked(one) or not enough)), None)
    if found is not None:
        return found
    if case.rows > _FEW_ROWS or enough:
        return case
    return replace(case, calls=min(case.calls, (_ONE_ROW if case.rows == 1 else _SOME_ROWS)[profile]))


def narrower(cases: list[Case], widest: int) -> list[Case]:
    """The cases with at most ``widest`` channels (0: any number), as many decisions in more rows, or in calls of one row."""

    def fitted(case: Case) -> Case:
        if not widest or case.channels <= widest:
            return case
        rows = case.rows if case.rows == 1 or case.batches else -(-case.rows * case.channels // widest)
        calls = min(2 * case.calls, -(-case.calls * case.channels // widest)) if rows == case.rows else case.calls
        return replace(case, rows=rows, channels=widest, calls=calls)

    return list(dict.fromkeys(map(fitted, cases)))


def _times(case: Case, pattern: Pattern, times: int) -> Case:
    """The case with so many times as many rows, or as long ones where there are few."""
    if case.rows > _FEW_ROWS:
        more = replace(case, rows=case.rows * times, batches=tuple(b * times for b in case.batches))
        return _of_as_many_coins(more, case, pattern)
    return _of_as_many_coins(replace(case, channels=case.channels * times), case, pattern)


def _of_as_many_coins(wanted: Case, case: Case, pattern: Pattern) -> Case:
    """What the pattern allows of the sizes that are wanted, and as many coins as ``case`` has."""

    def rows_of(rows: int) -> int:
        return pattern.matrix_shape(pattern.shape(rows, wanted.channels, wanted.shared))[0]

    shape = pattern.shape(wanted.rows, wanted.channels, wanted.shared)
    rows, channels = pattern.matrix_shape(shape)
    found = replace(wanted, rows=rows, channels=channels, shared=pattern.shared_size(shape))
    found = replace(found, batches=tuple(dict.fromkeys(map(rows_of, wanted.batches))))
    if len(found.batches) < len(wanted.batches):
        return case  # its batches would be alike
    one = max(1, found.coins // max(1, found.calls))
    return replace(found, calls=max(2, -(-case.coins // one)))
