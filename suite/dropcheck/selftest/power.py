"""Power: coins planted at exactly the printed resolution, and how often each check misses them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta as beta_law
from scipy.stats import binom, hypergeom

from dropcheck.cases import Case, parse_case
from dropcheck.checks.base import BETA, Gathered, Limits
from dropcheck.coins import lag_firsts
from dropcheck.selftest import simulated
from dropcheck.selftest.records import Power, Promise
from dropcheck.selftest.simulated import failed, generator, named, record
from dropcheck.selftest.work import Item
from dropcheck.statistics import association, binomial, homogeneity

INFLATED = 0.05
UNLIKELY = 1e-6
TRIES = 2000
CHUNK = 500
Any_ = np.random.Generator


@dataclass(frozen=True)
class Plant:
    """A way to plant a deviation of given size: ``coins(rng, case, size)`` is (rows, channels), or with classes a pair."""

    check: str
    words: str
    case: str
    coins: Callable[[Any_, Case, float], Any]
    sized: bool = True

    @property
    def key(self) -> str:
        """Its name among all plants."""
        return f"{self.check} {self.words}, {self.case}"


def _independent(rng: Any_, case: Case) -> Any:
    return rng.random((case.rows * case.calls, case.channels)) < case.rate


def _tied(rng: Any_, first: Any, p: float, rho: float) -> Any:
    """Coins of rate p whose correlation with ``first`` is rho, each with its own."""
    return rng.random(first.shape) < np.where(first, p + rho * (1 - p), p - rho * p)


def _rate(sign: int) -> Any:
    return lambda rng, case, size: rng.random((case.rows * case.calls, case.channels)) < case.rate + sign * size


def _channel(sign: int) -> Any:
    def coins(rng: Any_, case: Case, size: float) -> Any:
        rates = np.full(case.channels, case.rate)
        rates[case.channels // 2] += sign * size
        return rng.random((case.rows * case.calls, case.channels)) < rates

    return coins


def _row(sign: int) -> Any:
    def coins(rng: Any_, case: Case, size: float) -> Any:
        rates = np.full((case.rows, 1), case.rate)
        rates[case.rows // 2] += sign * size
        return rng.random((case.rows * case.calls, case.channels)) < np.tile(rates, (case.calls, 1))

    return coins


def _pair(sign: int) -> Any:
    def coins(rng: Any_, case: Case, size: float) -> Any:
        made = _independent(rng, case)
        made[:, 3] = _tied(rng, made[:, 2], case.rate, sign * size)
        return made

    return coins


def _rows_apart(lag: int, sign: int) -> Any:
    """Rows of one call tied over the disjoint pairs ``lag`` apart."""

    def coins(rng: Any_, case: Case, size: float) -> Any:
        made = _independent(rng, case).reshape(case.calls, case.rows, case.channels)
        first = lag_firsts(case.rows, lag)
        made[:, first + lag] = _tied(rng, made[:, first], case.rate, sign * size)
        return made.reshape(-1, case.channels)

    return coins


def _calls_apart(lag: int, sign: int, calls: int = 1) -> Any:
    """The same position in calls (with ``calls`` 2: under seeds) ``lag`` apart tied, over disjoint pairs."""

    def coins(rng: Any_, case: Case, size: float) -> Any:
        made = _independent(rng, case).reshape(case.calls // calls, calls * case.rows, case.channels)
        first = lag_firsts(len(made), lag)
        made[first + lag] = _tied(rng, made[first], case.rate, sign * size)
        return made.reshape(-1, case.channels)

    return coins


def _shifted_calls(sign: int) -> Any:
    """Every row of a call tied to the next row of the next call, over disjoint pairs of calls."""

    def coins(rng: Any_, case: Case, size: float) -> Any:
        made = _independent(rng, case).reshape(case.calls, case.rows, case.channels)
        made[1::2, 1:] = _tied(rng, made[:-1:2, :-1], case.rate, sign * size)
        return made.reshape(-1, case.channels)

    return coins


def _shifted_seeds(sign: int) -> Any:
    """The first call under a seed tied to the second under its neighbour."""

    def coins(rng: Any_, case: Case, size: float) -> Any:
        made = _independent(rng, case).reshape(case.calls // 2, 2, case.rows, case.channels)
        made[1::2, 0] = _tied(rng, made[:-1:2, 1], case.rate, sign * size)
        return made.reshape(-1, case.channels)

    return coins


def _clumped(rng: Any_, case: Case, size: float) -> Any:
    """Every row has one of two rates: correlation s^2 / (p q) of any two channels."""
    s = math.sqrt(size * case.rate * (1 - case.rate))
    rates = case.rate + s * np.where(rng.random((case.rows * case.calls, 1)) < 0.5, 1, -1)
    return rng.random((case.rows * case.calls, case.channels)) < rates


def _beta(rng: Any_, case: Case, size: float) -> Any:
    """Every row has a rate from a beta law: correlation 1 / (a + b + 1)."""
    strength = 1 / size - 1
    rates = rng.beta(case.rate * strength, (1 - case.rate) * strength, (case.rows * case.calls, 1))
    return rng.random((case.rows * case.calls, case.channels)) < rates


def _rationed(rng: Any_, case: Case, size: float) -> Any:
    """A share of the rows has exactly its expected number of drops: variance ratio 1 - share."""
    made = _independent(rng, case)
    k = round(case.rate * case.channels)
    exact = rng.random(made.shape).argsort(axis=1) < k
    chosen = rng.random(len(made)) < size * (case.channels - 1)
    made[chosen] = exact[chosen]
    return made


def _parity(group: int) -> Any:
    """Groups of channels (rate .5) of one parity more often: all but one of a group stay independent, effect size w = size."""

    def coins(rng: Any_, case: Case, size: float) -> Any:
        made = _independent(rng, case)
        for start in range(0, case.channels // group * group, group):
            odd = rng.random(len(made)) < 0.5 + size / 2
            made[:, start + group - 1] = made[:, start : start + group - 1].sum(axis=1) % 2 == odd
        return made

    return coins


def _follows(which: int, sign: int) -> Any:
    def coins(rng: Any_, case: Case, size: float) -> Any:
        classes = simulated.classes_of(rng, case, case.rows * case.calls)
        shift = sign * size * math.sqrt(case.rate * (1 - case.rate))
        return rng.random(classes[which].shape) < case.rate + shift * np.where(classes[which], 1, -1), classes

    return coins


def _copied_channel(rng: Any_, case: Case, size: float) -> Any:
    made = _independent(rng, case)
    one, two = rng.choice(case.channels, 2, replace=False)
    made[:, two] = made[:, one]
    return made


def _repeated(apart: Callable[[Any_, Case, int], tuple[int, int]]) -> Any:
    """One word of ``size`` coins (whole rows) stands twice."""

    def coins(rng: Any_, case: Case, size: float) -> Any:
        made = _independent(rng, case)
        length = round(size) // case.channels
        one, two = apart(rng, case, length)
        made[two : two + length] = made[one : one + length]
        return made

    return coins


def _in_call(rng: Any_, case: Case, length: int) -> tuple[int, int]:
    call = int(rng.integers(case.calls)) * case.rows
    return call, call + case.rows - length


def _in_calls(rng: Any_, case: Case, length: int) -> tuple[int, int]:
    one, two = sorted(rng.choice(case.calls, 2, replace=False))
    return int(one) * case.rows, int(two) * case.rows + case.rows - length


def _in_seeds(rng: Any_, case: Case, length: int) -> tuple[int, int]:
    one, two = sorted(rng.choice(case.calls // 2, 2, replace=False))
    return int(one) * 2 * case.rows, int(two) * 2 * case.rows + 2 * case.rows - length


def _plants() -> list[Plant]:
    found: list[Plant] = []

    def add(check: str, words: str, case: str, coins: Any, sized: bool = True) -> None:
        found.append(Plant(check, words, f"float32 {case}", coins, sized))

    small, half = "rate=0.3 8,17,3 calls=64", "rate=0.5 8,16,3 calls=64"
    for sign, word in ((1, "more"), (-1, "less")):
        add("rate.marginal", f"rate {word}", small, _rate(sign))
        add("rate.per-channel", f"one channel {word}", small, _channel(sign))
        add("rate.per-channel", f"one channel {word}", half, _channel(sign))
        add("rate.per-sample", f"one row {word}", small, _row(sign))
        add("mask.independent-channels", f"one pair tied, {word}", "rate=0.3 16,9,3 calls=64", _pair(sign))
        add("mask.independent-channels", f"one pair tied, {word}", half, _pair(sign))
        for lag, case in (
            (1, "rate=0.3 8,9,3 calls=64"),
            (4, "rate=0.3 8,9,3 calls=64"),
            (256, "rate=0.3 1000,3,3 calls=3"),
        ):
            add("mask.independent-samples", f"rows {lag} apart tied, {word}", case, _rows_apart(lag, sign))
        seeds = "rate=0.5 3,13,3 calls=256 seeds way=generator"
        for lag in (1, 2):
            calls = "rate=0.3 4,9,3 calls=128"
            add("mask.independent-calls", f"calls {lag} apart tied, {word}", calls, _calls_apart(lag, sign))
            add("seed.neighbours", f"seeds {lag} apart tied, {word}", seeds, _calls_apart(lag, sign, 2))
        add(
            "mask.independent-calls",
            f"calls shifted by a row tied, {word}",
            "rate=0.3 4,9,3 calls=128",
            _shifted_calls(sign),
        )
        add("seed.neighbours", f"shifted calls of neighbours tied, {word}", seeds, _shifted_seeds(sign))
        for which, name in enumerate(("sign", "magnitude")):
            add(
                "mask.ignores-values",
                f"coins follow {name}, {word}",
                "rate=0.3 8,9,3 calls=64 values",
                _follows(which, sign),
            )
    add("mask.dropped-count", "clumped, two rates", "rate=0.3 8,17,3 calls=64", _clumped)
    add("mask.dropped-count", "clumped, two rates", "rate=0.1 8,64,3 calls=64", _clumped)
    add("mask.dropped-count", "clumped, beta law", "rate=0.3 8,17,3 calls=64", _beta)
    add("mask.dropped-count", "rationed", half, _rationed)
    add("mask.patterns", "parity of eight", "rate=0.5 64,16,3 calls=64", _parity(8))
    add("mask.patterns", "parity of four", "rate=0.5 32,4,3 calls=64", _parity(4))
    # too few rows for patterns of eight: what is printed is the resolution of fours
    add("mask.patterns", "parity of four, eight channels", "rate=0.5 16,8,3 calls=64", _parity(4))
    add("mask.distinct-channels", "two channels are copies", half, _copied_channel, False)
    for case in ("rate=0.5 8,64,3 calls=64", "rate=0.3 12,17,3 calls=64"):
        add("mask.distinct-samples", "a word repeats in its call", case, _repeated(_in_call), False)
        add("mask.distinct-calls", "a word repeats in another call", case, _repeated(_in_calls), False)
    add(
        "seed.distinct",
        "a word repeats under another seed",
        "rate=0.5 9,131,3 calls=128 seeds way=generator",
        _repeated(_in_seeds),
        False,
    )
    return found


PLANTS: Mapping[str, Plant] = {p.key: p for p in _plants()}
SHAPES = ((64, 3), (21, 17), (128, 4))


def items(seed: int, scale: float) -> list[Item]:
    """All work of the part."""
    found = []
    tries = max(20, int(TRIES * scale))
    for key in PLANTS:
        for beta in (INFLATED, BETA):
            for number, start in enumerate(range(0, tries, CHUNK)):
                some = min(CHUNK, tries - start)
                place = {"key": key, "beta": beta, "tries": some, "number": number, "seed": seed}
                found.append(Item(f"power/{key}/{beta:g}/{number}", "power:planted", place, 5e-3 * some))
    for sign in (1, -1):
        for beta in (INFLATED, BETA):
            arguments = {"sign": sign, "beta": beta, "tries": tries, "seed": seed}
            found.append(Item(f"power/shapes {sign:+d}/{beta:g}/0", "power:planted_shape", arguments, 1e-3 * tries))
    draws = max(500, int(200_000 * min(1.0, scale)))
    found.append(Item("power/exact/0/0", "power:exact", {"draws": draws, "seed": seed}, 20.0))
    return found


def _record(plant: Plant, made: Any) -> Gathered:
    coins, classes = made if isinstance(made, tuple) else (made, None)
    return record(plant.case, coins, classes)


def printed(plant: Plant, limits: Limits, seed: int) -> float:
    """The resolution that the check prints for coins without a defect; for copies, the coins of a word."""
    case = parse_case(plant.case)
    rng = generator(seed, "printed", plant.key)
    coins = _independent(rng, case)
    classes = simulated.classes_of(rng, case, len(coins)) if case.regime == "values" else None
    got = record(plant.case, coins, classes)
    if not plant.sized:
        simulated.look(got, limits.alpha)
        return float(got.repeats.length if got.repeats is not None else 0.0)
    one = simulated.judge(named(plant.check), got, limits)
    assert one is not None and one.resolution is not None, plant.key
    return one.resolution


def planted(key: str, beta: float, tries: int, number: int, seed: int) -> dict[str, Any]:
    """One chunk: how many of ``tries`` defects of exactly the printed resolution are caught."""
    plant = PLANTS[key]
    check, case = named(plant.check), parse_case(plant.case)
    limits = Limits(check.limits("quick", case).alpha, beta)
    size = printed(plant, limits, seed)
    rng = generator(seed, "planted", key, beta, number)
    caught = sum(failed(check, _record(plant, plant.coins(rng, case, size)), limits) for _ in range(tries))
    return {
        "check": plant.check,
        "plant": plant.words,
        "case": plant.case,
        "beta": beta,
        "resolution": size,
        "tries": tries,
        "caught": caught,
    }


def planted_shape(sign: int, beta: float, tries: int, seed: int) -> dict[str, Any]:
    """The smallest of several shapes has a rate of its own."""
    check = named("rate.per-shape")
    assert check.compare is not None
    limits = Limits(check.limits("quick").alpha, beta)
    rng = generator(seed, "planted shape", sign, beta)
    p = 0.3

    def members(size: float) -> list[Gathered]:
        found = []
        for i, (rows, channels) in enumerate(SHAPES):
            text = f"float32 rate={p:g} {rows},{channels},3 calls=1"
            found.append(record(text, rng.random((rows, channels)) < (p + sign * size if i == 0 else p)))
        return found

    size = check.compare(check, members(0.0), limits)[0].resolution or 0.0
    caught = sum(check.compare(check, members(size), limits)[0].verdict == "fail" for _ in range(tries))
    return {
        "check": check.name,
        "plant": f"one shape {'more' if sign > 0 else 'less'}",
        "case": "three shapes, rate .3",
        "beta": beta,
        "resolution": size,
        "tries": tries,
        "caught": caught,
    }


# --- exact probabilities of a miss -----------------------------------------------------------------------------------


def exact(draws: int, seed: int) -> list[dict[str, Any]]:
    """Misses at beta 1e-6 where the law is known: sums, and one importance-sampled table."""
    found = []
    check = named("rate.marginal")
    for text in ("rate=0.3 8,17,3 calls=64", "rate=0.1 1025,65,4 calls=7", "rate=0.01 1025,65,4 calls=7"):
        case = parse_case(f"float32 {text}")
        alpha = check.limits("quick", case).alpha
        size = binomial.resolution(case.coins, case.rate, alpha, BETA)
        for sign in (1, -1):
            if 0 < case.rate + sign * size < 1:
                miss = marginal_miss(case.coins, case.rate, alpha, case.rate + sign * size)
                found.append(_exact_row(check.name, f"rate {'more' if sign > 0 else 'less'}", text, size, miss))
    for coins in (3537, 100_000):
        eps = binomial.zero_tolerance_resolution(coins, BETA)
        miss = math.exp(coins * math.log1p(-eps))
        found.append(_exact_row("mask.whole-channels", "a share of coins disagrees", f"{coins} coins", eps, miss))
    check = named("rate.per-channel")
    for positions, coins, p in ((17, 512, 0.3), (64, 1000, 0.1)):
        alpha = check.limits("quick").alpha / 2
        size = homogeneity.position_resolution(coins, positions, p, alpha, BETA)
        for sign in (1, -1):
            if not 0 <= p + sign * size <= 1:
                continue
            miss = position_miss(coins, positions, p, sign * size, alpha)
            words = f"one channel {'more' if sign > 0 else 'less'}"
            found.append(_exact_row(check.name, words, f"{positions} x {coins} coins, rate {p:g}", size, miss))
    check = named("mask.independent-channels")
    for channels, rows, p in ((9, 1024, 0.3), (64, 16_448, 0.1), (16, 512, 0.5)):
        tests = channels * (channels - 1) // 2
        alpha = check.limits("quick").alpha / 2 / tests
        size = association.correlation_resolution(rows, p, alpha, BETA)
        for sign in (1, -1):
            if sign < 0 and size >= p / (1 - p):
                continue  # coins of this rate cannot be so far apart
            miss, error = pair_miss(rows, p, sign * size, alpha, draws, generator(seed, "pair", rows, sign))
            words = f"one pair tied, {'more' if sign > 0 else 'less'}"
            found.append(
                _exact_row(check.name, words, f"{channels} channels, {rows} rows, rate {p:g}", size, miss, error)
            )
    return found


def _exact_row(check: str, plant: str, case: str, size: float, miss: float, error: float = 0.0) -> dict[str, Any]:
    return {
        "check": check,
        "plant": plant,
        "case": case,
        "beta": BETA,
        "resolution": float(size),
        "miss": float(miss),
        "error": float(error),
    }


def marginal_miss(n: int, p: float, alpha: float, rate: float) -> float:
    """P(the doubled binomial tail stays above alpha) under another rate, summed over all counts."""
    k = np.arange(n + 1)
    tail = np.where(k >= n * p, binom.sf(k - 1, n, p), binom.cdf(k, n, p))
    return float(binom.pmf(k, n, rate)[2 * tail > alpha].sum())


def position_miss(size: int, positions: int, p: float, deviation: float, alpha: float) -> float:
    """P(a position's hypergeometric p-value, times the positions, stays above alpha), summed over it and all others."""
    others = (positions - 1) * size
    spread = math.sqrt(others * p * (1 - p))
    rest = np.arange(max(0, int(others * p - 9 * spread)), min(others, int(others * p + 9 * spread)) + 1)
    law, total = binom.pmf(rest, others, p), 0.0
    for r, weight in zip(rest, law, strict=True):
        low, high = 0, size  # the count at which it is noticed, by bisection: evidence grows with the distance

        def noticed(k: int, r: int = int(r)) -> bool:
            marked = k + r
            tail = (
                hypergeom.sf(k - 1, positions * size, marked, size)
                if deviation > 0
                else hypergeom.cdf(k, positions * size, marked, size)
            )
            return bool(2 * tail * positions <= alpha)

        while low < high:
            middle = (low + high) // 2
            if deviation > 0:
                low, high = (low, middle) if noticed(middle) else (middle + 1, high)
            else:
                low, high = (middle + 1, high) if noticed(middle) else (low, middle)
        if deviation > 0:
            total += weight * float(binom.cdf(low - 1, size, p + deviation))
        else:
            total += weight * float(binom.sf(low - 1, size, p + deviation))
    return total


def pair_miss(n: int, p: float, rho: float, alpha: float, draws: int, rng: Any_) -> tuple[float, float]:
    """P(Fisher's p-value stays above alpha) and its standard error; tables drawn at a smaller correlation, weighted back."""

    def law(r: float) -> Any:
        both = p * p + r * p * (1 - p)
        return np.array([both, p - both, p - both, 1 - 2 * p + both])

    def log10_p(both: Any, one: Any, two: Any) -> Any:
        # one table at a time: of many at once only the farthest few are summed exactly
        return np.array([float(association.association_many(n, *v)) for v in zip(one, two, both, strict=True)])

    low, high = 0.0, abs(rho)
    for _ in range(30):  # the correlation whose mean table stands at the edge
        middle = (low + high) / 2
        mean = n * law(math.copysign(middle, rho))
        edge = log10_p([round(mean[0])], [round(n * p)], [round(n * p)])[0] > math.log10(alpha)
        low, high = (middle, high) if edge else (low, middle)
    near, far = law(math.copysign(low, rho)), law(rho)
    some = min(draws, 20_000)
    tables = rng.multinomial(n, near, some)
    logs = log10_p(tables[:, 0], tables[:, 0] + tables[:, 1], tables[:, 0] + tables[:, 2])
    weights = np.exp((tables * np.log(far / near)).sum(axis=1)) * (logs > math.log10(alpha))
    return float(weights.mean()), float(weights.std() / math.sqrt(some))


def conclude(values: Mapping[str, Any]) -> tuple[list[Power], list[Promise]]:
    """The table, chunks added, and the promise."""
    sums: dict[tuple[str, str, str, float], dict[str, Any]] = {}
    table: list[Power] = []
    for _, value in sorted(values.items()):
        if isinstance(value, list):
            table.extend(Power(**one) for one in value)
            continue
        place = (value["check"], value["plant"], value["case"], value["beta"])
        total = sums.setdefault(place, {**value, "tries": 0, "caught": 0})
        total["tries"] += value["tries"]
        total["caught"] += value["caught"]
    for one in sums.values():
        caught, tries = one["caught"], one["tries"]
        lower = float(beta_law.ppf(0.01, caught, tries - caught + 1)) if caught else 0.0
        table.append(Power(**one, least=int(binom.ppf(UNLIKELY, tries, 1 - one["beta"])), lower=lower))
    table.sort(key=lambda r: (r.check, r.plant, r.case, -r.beta, r.miss is not None))
    bad = [r for r in table if not r.holds]
    text = (
        f"{len(table) - len(bad)} of {len(table)} plants at exactly the printed resolution are caught as promised "
        "(beta .05 and 1e-6 by counting, 1e-6 by exact sums where the law is known)"
    )
    for r in bad[:8]:
        seen = (
            f"missed with probability {r.miss:.3g}"
            if r.miss is not None
            else f"{r.caught} of {r.tries} caught, promised {r.least}"
        )
        text += f"; {r.check}, {r.plant}, {r.case}, beta {r.beta:g}: {seen}"
    name = "a defect of the printed resolution is caught"
    return table, [Promise(part="power", name=name, held=not bad, n=sum(r.tries for r in table), text=text)]
