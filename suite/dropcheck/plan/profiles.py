"""Which cases a profile asks for: a fixed core, and cases drawn from the root seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dropcheck.contract import requirements
from dropcheck.contract.adapter import DTYPES
from dropcheck.contract.cases import LADDER, Case, parse_case, seed_of
from dropcheck.contract.promise import Contract, ContractError, Pattern
from dropcheck.judge.checks import CHECK
from dropcheck.judge.checks.base import ALPHA, BETA, MOST_CASES, Check, allowance, long_channels
from dropcheck.plan import costly_calls
from dropcheck.plan.costly_calls import narrower
from dropcheck.statistics.evidence import z

# Rates and sizes of daily use, counted; many more are asked in a few calls each: see ``judge.checks.daily_sizes``.
DAILY_RATES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75)
_DAILY = ((0.2, 32, 256, 4), (0.25, 128, 128, 2))
_DAILY_BEYOND_QUICK = (
    *((0.75, 64, 1024, 2), (0.99, 32, 256, 4), (1e-4, 1024, 256, 1), (0.5, 64, 64, 3), (0.5, 9, 2049, 3)),
    (0.3, 3073, 86, 16),
)
# these catch no planted defect that others miss (reports/plan): asked where a shape costs nothing but its calls
_DAILY_WHERE_CHEAP = ((0.5, 16, 64, 64), (0.5, 3, 128, 515))
# Rates of the ladder that quick asks in the first dtype only: of few bits are the others' own defects at small and odd rates.
NOT_IN_QUICK = {"float64": (0.15, 0.3), "float16": (0.3,), "bfloat16": (0.3,)}
# Calls of one layer. Keys of 24 bits meet again n^2 / 2^25 times on average: 4.3 in quick (seen by 98.6 %), 138 in standard.
# Those of standard are more than a counter of 16 bits has numbers; twice as many would show nothing else for certain, for 2 s.
_MANY_CALLS = {"quick": 12_000, "standard": 68_000, "deep": 400_000}
# Where a call costs milliseconds, 12,000 of them in standard took a sixth of the audit, and no planted defect needs them.
_MANY_HEAVY_CALLS = {"quick": 1_500, "standard": 3_000, "deep": 150_000}
_MANY = (_MANY_CALLS, _MANY_HEAVY_CALLS, costly_calls.MANY_CALLS)  # by what a call costs


@dataclass(frozen=True)
class Profile:
    """How many coins a profile spends. Rows of the three structure cases, calls of short cases, drawn cases."""

    name: str
    structure_rows: int
    regime_rows: int
    drawn: int
    seeds: int
    batch_one_calls: int
    rowless_calls: int  # most calls of one case where a call has a single row


PROFILES = {
    "quick": Profile("quick", 16_448, 8_000, 6, 256, 512, 8_000),
    "standard": Profile("standard", 1_400_000, 60_000, 36, 1024, 2048, 60_000),
    "deep": Profile("deep", 20_000_000, 1_000_000, 160, 8192, 16384, 400_000),
}


# Calls of a drawn case at most. Where a call costs milliseconds whatever its size, rows take the place of calls: in ``standard`` a
# third of the calls for as many coins. What shows after many calls only is the business of fixed cases.
_DRAWN_CALLS = {"quick": 400, "standard": 2000, "deep": 20_000}
# Each shape is compiled anew there, which costs more than its calls: fewer shapes in standard (``_spares_shapes``).
_DRAWN_OF_COMPILED_SHAPES = 24
_DRAWN_HEAVY_CALLS = {"quick": 100, "standard": 125, "deep": 5000}
_MOST_CALLS = 20_000  # of one case whose sizes are fixed by its pattern, where more calls take the place of larger ones


def _spares_shapes(heavy: int, profile: Profile) -> bool:
    """Whether a profile asks fewer shapes and calls since each is dear: ``quick`` asks few of all layers, ``deep`` asks all."""
    return bool(heavy) and profile.name == "standard"


def ladder_coins(
    rate: float, check: Check, profile: str, resolution: float | None, rows_channels: int, shared: int
) -> int:
    """Coins that make the rate's resolution as fine as the profile wants, by the normal formula with a small reserve.

    n = (z(alpha/2) sqrt(pq) + z(beta) sqrt(p'q'))^2 / delta^2 with p' the rate under the defect (statistics.md); the exact
    resolution is printed with the finding.
    """
    delta = resolution if resolution is not None else check.coarsest[profile]
    # sized finer than the coarsest that is accepted
    delta *= min(4.0, allowance(rows_channels)) * long_channels(shared)
    alpha = ALPHA * check.share / MOST_CASES[profile]
    worst = 0.0
    for other in (rate - delta, rate + delta):
        if 0 < other < 1:
            need = (
                z(alpha / 2) * math.sqrt(rate * (1 - rate)) + z(BETA) * math.sqrt(other * (1 - other))
            ) ** 2 / delta**2
            worst = max(worst, need)
    if rate - delta <= 0:
        # a rate far below the resolution: dropping nothing must still be told from dropping at the rate
        worst = max(worst, math.log(1 / alpha) / rate * 1.5)
    return int(worst * 1.12) + 1  # Check.asks keeps three per cent of the resolution in reserve


def kept_coins(rate: float, share: float) -> int:
    """Coins of which so many are kept that one wrong share of them is not missed: high rates keep few.

    ln(1 / beta) / share kept ones, with a reserve of six standard deviations, as how many are kept is chance.
    """
    need = math.log(1 / BETA) / share
    return math.ceil((math.sqrt(need + 9) + 3) ** 2 / (1 - rate)) if 0 < rate < 1 else 0


def core(
    contract: Contract,
    heavy: int,
    dtypes: Sequence[str],
    layouts: Sequence[str],
    gradients: bool,
    profile: Profile,
    marginal: Check,
    resolution: float | None,
) -> list[Case]:
    """The fixed cases of a profile for one target.

    ``heavy``: 1, its calls cost milliseconds, so they are larger and fewer; 2, tens of milliseconds (``costly_calls``).
    """

    def sized(dtype: str, rate: float, rows: int, channels: int, shared: int, least_rows: int = 0, **more: Any) -> Case:
        coins = ladder_coins(rate, marginal, profile.name, resolution, rows * channels, shared)
        coins = max(coins, kept_coins(rate, CHECK["scale.kept-values"].coarsest[profile.name]))
        calls = max(2, -(-max(coins, least_rows * channels) // (rows * channels)))
        return Case(dtype=dtype, rate=rate, rows=rows, channels=channels, shared=shared, calls=calls, **more)

    rates = contract.rates or LADDER
    quick = profile.name == "quick"
    judged = [r for r in rates if 0 < r < 1]
    first = dtypes[0]
    # what quick and standard leave out catches no planted defect that their other cases miss: reports/plan
    middle = judged if contract.rates else [0.1, 0.3, 0.5] if profile.name == "deep" else [0.1, 0.5]
    half = 0.5 if not contract.rates else judged[0] if judged else 0.5
    third = 0.3 if not contract.rates else half
    cases: list[Case] = []
    if not judged:
        return cases
    # structure: rows just above a power of two; 64 channels; four elements a coin
    rows = 257 if quick else 4097 if heavy else 1025
    for rate in middle:
        cases.append(
            sized(first, rate, rows, 64, 4, profile.structure_rows * 3 // 7 if heavy else profile.structure_rows)
        )
    # the ladder of rates, in every dtype
    for dtype in dtypes:
        left_out = NOT_IN_QUICK.get(dtype, ()) if quick and dtype != first and not contract.rates else ()
        for rate in judged:
            if rate in left_out:
                continue
            cases.append(sized(dtype, rate, 4097 if heavy else 1025, 65, 4))
    regime = profile.regime_rows
    # rows of cases that are about something else than rows: where a call costs milliseconds, more of them in fewer calls
    some, fewer = (1025, 521) if heavy and not quick else (257, 131)
    # channel counts: one, three (whole rows fall), odd, above 256 and 512
    # (one channel costs the most a coin, and a rate of .1 asks the fewest coins)
    one_channel = 0.1 if quick and not contract.rates else half
    cases.append(sized(first, one_channel, 32769 if heavy else 4097, 1, 4))
    cases.append(sized(first, judged[-1], 16385 if heavy else 4097, 3, 4))
    cases.append(sized(first, third, 1025, 17, 3, regime))
    if not quick:
        cases.append(sized(first, half, 129, 513, 3, regime // 4))
    cases.append(sized(first, third, 65, 1025, 2, regime // 8))
    # shared axes: one element a coin, just above a vector width, hundreds
    cases.append(sized(first, third, 1025, 64, 1, regime // 2))
    cases.append(sized(first, half, 129, 64, 33, regime // 4))
    cases.append(sized(first, third, 9, 129, 257))
    # many short calls, batches of one, batches that change, a batch larger than 128
    short = max(profile.batch_one_calls // (2 if heavy else 1), 64)
    cases.append(sized(first, half, 5, 131, 3, 5 * short))
    cases.append(sized(first, half, 1, 259, 3, short))
    changing = sized(first, half, 50, 65, 3, 64 * 64, batches=(64, 1, 130, 5))  # 50 rows a call on average
    cases.append(changing)
    cases.append(sized(first, third, 1, 1031, 2, short // 2))
    # what people use: powers of two, squares, rates that are no halves; and one layer that is called many times
    daily = [*_DAILY]
    if not quick:
        daily += _DAILY_BEYOND_QUICK
        daily += () if _spares_shapes(heavy, profile) else _DAILY_WHERE_CHEAP
    for rate, *sizes in daily:
        if not contract.rates or rate in contract.rates:
            cases.append(sized(first, rate, *sizes))
    many = _MANY[heavy][profile.name]
    wide = 257 if _spares_shapes(heavy, profile) else 65  # fewer calls tell the rate as finely by more channels
    if heavy == costly_calls.TENS_OF_MILLISECONDS:
        wide = costly_calls.MANY_CHANNELS
    often = Case(first, half, 1, wide, 1, calls=many)
    cases.append(often)
    # other dtypes, layouts and gradient recording get structure too
    for dtype in dtypes[1:]:
        cases.append(sized(dtype, half, some, 66, 4, regime))
    for layout in layouts:
        if layout != "contiguous":
            cases.append(sized(first, half, some, 66, 6, regime, layout=layout))
            cases.append(sized(first, third, fewer, 34, 6, layout=layout))
    if gradients:
        cases.append(sized(first, half, some, 66, 4, regime, grad=True))
        cases.append(sized(first, third, fewer, 34, 4, grad=True))
    cases.append(sized(first, half, some, 33, 3, regime // 2, infer=3))
    # inputs whose values vary coin by coin
    cases.append(Case(first, half, 129, 65, 3, calls=max(64, regime // 500), regime="values"))
    # first calls under many seeds, by every way that a seed reaches the layer
    for way in contract.seeds:
        count = profile.seeds // (2 if heavy else 1)
        cases.append(Case(first, half, 9, 131, 3, calls=2 * count, regime="seeds", way=way))
    fitted = [_fitted(c, contract.pattern, profile, heavy) for c in cases]
    if heavy == costly_calls.TENS_OF_MILLISECONDS:
        fitted = [
            replace(one, calls=many) if case is often else _larger(one, contract.pattern, profile, marginal, resolution)
            for case, one in zip(cases, fitted, strict=True)
        ]
    return list(dict.fromkeys(fitted))


def _larger(case: Case, pattern: Pattern, profile: Profile, marginal: Check, resolution: float | None) -> Case:
    return costly_calls.larger(case, pattern, profile.name, lambda one: marginal.asks(one, profile.name, resolution))


def _fitted(case: Case, pattern: Pattern, profile: Profile, heavy: int = 0) -> Case:
    """The same case for a pattern that has no rows, no channels or no shared axes: as many coins, otherwise spread."""
    if not pattern.shared:
        case = replace(case, shared=1)
    if not pattern.coins:
        # one coin a call: calls take the place of coins, and every axis is longer than one
        calls = min(max(2, case.coins), profile.rowless_calls)
        return replace(case, rows=1, channels=1, batches=(), shared=max(60, case.shared), calls=calls)
    if pattern.sizes:
        spread = _spread(case, pattern, profile)
        most = _MOST_CALLS
        if heavy and _grows(spread, pattern):
            spread, most = _of_more_rows(spread, pattern), profile.batch_one_calls
        return _of_fixed_sizes(spread, pattern, case.coins, max(case.calls, most))
    return _spread(case, pattern, profile)


def _grows(case: Case, pattern: Pattern) -> bool:
    """Whether the pattern fixes channels and leaves rows open."""
    rows, channels = pattern.matrix_shape(pattern.shape(64 * case.rows, case.channels, case.shared))
    return rows >= 32 * case.rows and channels < case.channels


def _of_more_rows(case: Case, pattern: Pattern) -> Case:
    """The same case with rows in place of the channels that the pattern lacks: a call costs more than its coins.

    Calls of one row stay what they are, and are fewer.
    """
    _, channels = pattern.matrix_shape(pattern.shape(case.rows, case.channels, case.shared))
    times = -(-case.channels // channels) if case.rows > 1 else 1
    return replace(case, rows=case.rows * times, channels=channels, batches=tuple(b * times for b in case.batches))


def _of_fixed_sizes(case: Case, pattern: Pattern, coins: int, most: int) -> Case:
    """The same case with the sizes that the pattern allows, and about so many coins in at most so many calls."""
    rows, channels = pattern.matrix_shape(shape := pattern.shape(case.rows, case.channels, case.shared))
    batches = tuple(
        dict.fromkeys(pattern.matrix_shape(pattern.shape(b, case.channels, case.shared))[0] for b in case.batches)
    )
    found = replace(case, rows=rows, channels=channels, shared=pattern.shared_size(shape))
    found = replace(found, batches=batches if len(batches) > 1 else ())
    one = found.coins / max(1, found.calls)
    return replace(found, calls=max(2, min(-(-coins // max(1, int(one))), most)))


def _spread(case: Case, pattern: Pattern, profile: Profile) -> Case:
    """The same case for a pattern without rows or without channels."""
    if pattern.channel_axis is None:
        # one coin a row: the channels become rows
        case = replace(case, rows=case.rows * case.channels, channels=1)
        if case.batches:
            step = case.rows // max(1, sum(case.batches) // len(case.batches))
            case = replace(case, batches=tuple(b * step for b in case.batches))
    elif not pattern.row_axes and case.rows > 1:
        # one row a call: calls take the place of rows where rows are the point, else channels do
        wide = case.channels > 8 and case.channels != 64 and case.regime == "stream"
        factor = max(1, min(case.rows, 4160 // case.channels)) if wide else 1
        calls = -(-case.calls * case.rows // factor)
        case = replace(
            case, rows=1, batches=(), channels=case.channels * factor, calls=min(calls, profile.rowless_calls)
        )
    return case


def _drawn_sizes(rng: np.random.Generator, most: int) -> tuple[int, int, int]:
    """(rows, channels, shared): powers of two first, then their neighbours, a few small ones; equal lengths now and then.

    ``most``: elements of a call.
    """
    shift = rng.choice([0, 0, 0, -1, 1], 8)
    rows = int(rng.choice([1, 2, 3, *2 ** rng.integers(2, 11, 4) + shift[:4]]))
    channels = int(rng.choice([1, 2, 3, *2 ** rng.integers(2, 12, 4) + shift[4:]]))
    shared = int(rng.choice([1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 130, 512, 515]))
    equal = rng.random()
    if equal < 0.1:
        channels = rows = min(rows, 256)
    elif equal < 0.2:
        shared = channels = min(channels, 128)
    elif equal < 0.25:
        shared = rows = min(rows, 128)
    # elements are what a call costs: a long row has few channels
    while rows * channels * shared > most:
        rows, channels = (rows // 2, channels) if rows >= channels else (rows, channels // 2)
    return rows, channels, shared


def drawn(
    contract: Contract,
    heavy: int,
    dtypes: Sequence[str],
    layouts: Sequence[str],
    gradients: bool,
    profile: Profile,
    marginal: Check,
    root: int,
    target: str,
    resolution: float | None,
) -> list[Case]:
    """Cases from the root seed: shapes, rates with many digits, dtypes, layouts, gradients and batches nobody chose."""
    found: list[Case] = []
    for i in range(_DRAWN_OF_COMPILED_SHAPES if _spares_shapes(heavy, profile) else profile.drawn):
        rng = np.random.default_rng(seed_of(root, requirements.plain(target), "drawn", profile.name, i))
        rate = float(np.round(rng.uniform(0.02, 0.95), 6))
        if rng.random() < 0.4:
            rate = float(rng.choice(DAILY_RATES))
        if contract.rates:
            rate = contract.rates[i % len(contract.rates)]
        rows, channels, shared = _drawn_sizes(rng, 1 << (16 if profile.name == "quick" else 19))
        dtype = str(rng.choice(list(dtypes)))
        layout = str(rng.choice(list(layouts))) if rng.random() < 0.4 else "contiguous"
        grad = bool(gradients and rng.random() < 0.3)
        batches: tuple[int, ...] = ()
        if rows > 1 and rng.random() < 0.25:
            batches = (rows, 1, int(2 * rows + 1))
        if not contract.pattern.row_axes:
            rows, batches = 1, ()
        if contract.pattern.channel_axis is None:
            channels = 1
        if not contract.pattern.shared:
            shared = 1
        coins = ladder_coins(rate, marginal, profile.name, resolution, rows * channels, shared)
        calls = -(-coins // (rows * channels))
        most = (_DRAWN_HEAVY_CALLS if heavy else _DRAWN_CALLS)[profile.name]
        if calls > most:
            # few coins a call: more channels or rows instead of ever more calls
            factor = -(-calls // most)
            if contract.pattern.row_axes and rows > 1:
                rows, batches = rows * factor, tuple(b * factor for b in batches)
            elif contract.pattern.channel_axis is not None and channels > 1:
                channels *= factor
            elif contract.pattern.row_axes:
                rows *= factor
            coins = ladder_coins(rate, marginal, profile.name, resolution, rows * channels, shared)
            calls = max(2, -(-coins // (rows * channels)))
            calls = min(calls, 4 * most)
        if not contract.pattern.coins:
            rows = channels = 1
        found.append(
            Case(
                dtype,
                rate,
                rows,
                channels,
                shared,
                max(2, calls),
                layout=layout,
                grad=grad,
                batches=batches,
                drawn=True,
            )
        )
    if contract.pattern.sizes or not contract.pattern.coins:
        found = [_fitted(c, contract.pattern, profile, heavy) for c in found]
    if heavy == costly_calls.TENS_OF_MILLISECONDS:
        found = [_larger(c, contract.pattern, profile, marginal, resolution) for c in found]
    return found


@dataclass(frozen=True)
class Wanted:
    """What the user narrows the plan to; empty means everything."""

    rates: tuple[float, ...] = ()
    dtypes: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    cases: tuple[str, ...] = ()
    resolution: float | None = None


def _fitting(case: Case, contract: Contract) -> Case:
    """A case that the user named, if the contract's coin matrix can have its sizes. Raises ContractError."""
    pattern = contract.pattern
    shape = pattern.shape(case.rows, case.channels, case.shared)
    found = (*pattern.matrix_shape(shape), pattern.shared_size(shape))
    given = (case.rows, case.channels, case.shared)
    if found == given:
        return case
    lacking = [
        what for what, a, b in zip(("rows", "channels", "shared positions"), given, found, strict=True) if a != b
    ]
    raise ContractError(
        f"the case {str(case)!r} has {' and '.join(lacking)} that {pattern} lacks: of rows,channels,shared "
        f"{','.join(map(str, given))} the nearest is {','.join(map(str, found))}"
    )


def plan_cases(
    contract: Contract,
    info: dict[str, Any],
    profile: Profile,
    marginal: Check,
    root: int,
    target: str,
    wanted: Wanted,
) -> list[Case]:
    """All coin cases of one target in the order in which they run."""
    dtypes = [d for d in DTYPES if d in info["dtypes"] and (not wanted.dtypes or d in wanted.dtypes)]
    if contract.pattern.apart:
        if wanted.cases or wanted.shapes:
            what = "overlapping blocks" if contract.pattern.blocks else "a law of its rows"
            raise ContractError(
                f"the pattern '{contract.pattern}' has {what}, whose cases are given by their sizes: leave out "
                "--case and --shape; the nearest is --rate"
            )
        return []  # see judge/checks/blocks.py and judge/checks/row_laws.py
    if wanted.cases:
        return [_fitting(parse_case(text), contract) for text in wanted.cases]
    if not dtypes:
        return []
    asked = contract
    if wanted.rates:
        asked = replace(contract, rates=tuple(r for r in wanted.rates if not contract.rates or r in contract.rates))
    arguments = (asked, int(info.get("heavy", 0)), dtypes, info["layouts"], info["gradients"], profile, marginal)
    cases = core(*arguments, wanted.resolution)
    fixed = {(c.dtype, c.rate, c.layout, c.grad) for c in cases}
    cases += drawn(*arguments, root, target, wanted.resolution)
    if not info.get("records", True):  # calls with and without gradients are one and the same
        cases = [replace(c, grad=False) for c in cases if c.drawn or not c.grad]
    if wanted.shapes:
        sizes = []
        for shape in wanted.shapes:
            rows, channels = contract.pattern.matrix_shape(shape)
            sizes.append((rows, channels, contract.pattern.shared_size(shape)))
        some = {(c.dtype, c.rate, c.layout, c.grad) for c in cases if c.regime == "stream"}
        cases = []
        for dtype, rate, layout, grad in sorted(some):
            for rows, channels, shared in sizes:
                coins = ladder_coins(rate, marginal, profile.name, wanted.resolution, rows * channels, shared)
                calls = max(64, -(-coins // max(1, rows * channels)))
                new = (dtype, rate, layout, grad) not in fixed
                calls = min(calls, 50_000)
                cases.append(Case(dtype, rate, rows, channels, shared, calls, layout=layout, grad=grad, drawn=new))
        return cases
    return narrower(cases, int(info.get("widest", 0)))
