"""Power: coins planted at exactly the printed resolution, and how often each check misses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scipy.stats import beta as beta_law
from scipy.stats import binom

from dropcheck.contract.cases import parse_case
from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks.base import BETA, Limits
from dropcheck.results.selftest import Power, Promise
from dropcheck.selftest import anywhere, certain, plants, row_laws, simulated
from dropcheck.selftest.misses import exact
from dropcheck.selftest.plants import Plant, independent
from dropcheck.selftest.simulated import failed, generator, named, record
from dropcheck.selftest.work import Item

__all__ = ["PLANTS", "conclude", "exact", "items", "planted", "planted_shape", "printed"]

PLANTS: Mapping[str, Plant] = {**plants.PLANTS, **{p.key: p for p in (*certain.plants(), *anywhere.plants())}}
INFLATED = 0.05
UNLIKELY = 1e-6
TRIES = 2000
TRIES_INFLATED = 6000  # three times as many: a promise of 95 % that is kept in 93.5 % shows
CHUNK = 500
SHAPES = ((64, 3), (21, 17), (128, 4))


def items(seed: int, scale: float) -> list[Item]:
    """All work of the part."""
    found = []
    for key in (*PLANTS, *row_laws.PLANTS):
        call = "power:planted" if key in PLANTS else "row_laws:planted"
        for beta in (INFLATED, BETA):
            tries = max(5, int((TRIES_INFLATED if beta == INFLATED else TRIES) * scale))
            for number, start in enumerate(range(0, tries, CHUNK)):
                some = min(CHUNK, tries - start)
                place = {"key": key, "beta": beta, "tries": some, "number": number, "seed": seed}
                found.append(Item(f"power/{key}/{beta:g}/{number}", call, place, 5e-3 * some))
    for sign in (1, -1):
        for beta in (INFLATED, BETA):
            tries = max(5, int(TRIES * scale))
            arguments = {"sign": sign, "beta": beta, "tries": tries, "seed": seed}
            found.append(Item(f"power/shapes {sign:+d}/{beta:g}/0", "power:planted_shape", arguments, 1e-3 * tries))
    draws = max(500, int(200_000 * min(1.0, scale)))
    found.append(Item("power/exact/0/0", "power:exact", {"draws": draws, "seed": seed}, 20.0))
    return found


def _record(plant: Plant, made: Any) -> Gathered:
    coins, classes = made if isinstance(made, tuple) else (made, None)
    return record(plant.case, coins, classes)


def printed(plant: Plant, limits: Limits, seed: int) -> float:
    """The resolution that the check prints for coins without a defect; for copies, the coins of a word.

    For what must be certain, whatever the level, the size that the check's rule promises: see ``certain``.
    """
    case = parse_case(plant.case)
    rng = generator(seed, "printed", plant.key)
    if plant.promised is not None:
        return plant.promised(rng, case, limits)
    coins = independent(rng, case)
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
        f"{len(table) - len(bad)} of {len(table)} known defects of exactly the printed detection limit are detected "
        "(beta .05 and 1e-6 by counting, 1e-6 by exact sums where the distribution is known)"
    )
    for r in bad[:8]:
        seen = (
            f"missed with probability {r.miss:.3g}"
            if r.miss is not None
            else f"{r.caught} of {r.tries} detected, at least {r.least} expected"
        )
        text += f"; {r.check}, {r.plant}, {r.case}, beta {r.beta:g}: {seen}"
    name = "a defect of the printed detection limit is detected"
    return table, [Promise(part="power", name=name, held=not bad, n=sum(r.tries for r in table), text=text)]
