"""The search for a case that catches what a profile missed: larger profiles, other drawn cases, unusual sizes and rates."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.contract.cases import Case
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks import CHECKS, matching
from dropcheck.plan import opening
from dropcheck.plan.plan import planned
from dropcheck.plan.profiles import PROFILES, _fitted
from dropcheck.plan.request import AuditRequest, prepare
from dropcheck.results.audit import Finding
from dropcheck.results.selftest import Sought
from dropcheck.selftest import expected
from dropcheck.selftest.expected import Expected
from dropcheck.selftest.fromfile import coins_of, command
from dropcheck.worker.client import Refused, TargetError

MOST_ELEMENTS = 1 << 27  # of a case that is tried: about a second
FIRST = 24  # cases of the first audit of the search; each later one has twice as many
DRAWN_FROM = range(1, 6)  # root seeds whose drawn cases are tried
RATES = (0.2, 0.25, 0.5, 0.75)
RARE_RATES = (0.0001, 0.05, 0.6, 0.8, 0.95, 0.99)
SIZES = (  # rows, channels, elements of a coin
    (1, 1, 1),
    (1, 2, 1),
    (2, 1, 1),
    (1, 16, 1000),
    (2, 64, 512),
    (4, 32, 513),
    (8, 8, 8),
    (8, 4096, 2),
    (16, 2048, 4),
    (16, 16, 16),
    (32, 256, 8),
    (33, 255, 1),
    (64, 64, 1),
    (64, 64, 64),
    (128, 128, 4),
    (512, 1, 16),
    (512, 512, 2),
    (3001, 8, 2),
    (4096, 4, 2),
    (1, 65536, 4),
)
COINS = 1 << 16  # of a case of unusual sizes


def unusual(pattern: Pattern, info: dict[str, Any]) -> Iterator[Case]:
    """Sizes and rates of daily use and their neighbours that no profile asks, and many small calls."""
    first, *others = [d for d in ("float32", "float64", "float16", "bfloat16") if d in info["dtypes"]]
    for rows, channels, shared in SIZES:
        calls = max(4, min(4096, COINS // (rows * channels)))
        plain = Case(first, 0.5, rows, channels, shared, calls)
        yield from (replace(plain, rate=rate) for rate in RATES)
        yield from (replace(plain, dtype=dtype, rate=0.3) for dtype in others)
        yield replace(plain, infer=1)
        if info["gradients"]:
            yield replace(plain, grad=True)
    for rate in RARE_RATES:
        yield Case(first, rate, 257, 64, 4, 128)
    yield Case(first, 0.5, 1, 8, 2, 30_000)
    yield Case(first, 0.5, 2, 64, 2, 8_192)
    for batches in ((2, 3), (64, 63, 64), (1, 256), (32, 32, 7)):
        yield Case(first, 0.5, batches[0], 64, 4, 256, batches=batches)


def price(case: Case) -> float:
    """What a case costs: its elements, and so many more for each call as a call costs beside them."""
    return case.coins * case.shared + 4000.0 * case.calls


def candidates(one: Expected, path: Path, profile: str, seed: int) -> dict[Case, str]:
    """All cases that may be tried, cheapest first, each with the place that it comes from. Raises TargetError, Refused."""
    asked = expected.request(path, one, profile, seed)
    (target, *_), _ = prepare(asked)
    session = opening.of_request(target, asked).start()
    try:
        info = session.collect()
    finally:
        session.close()
    contract = Contract.from_dict(info["contract"])
    found: dict[Case, str] = {}

    def planned_in(name: str, root: int) -> list[Case]:
        return planned(replace(asked, profile=name, seed=root), target.name, contract, info)

    before = set(planned_in(profile, seed))
    names = list(PROFILES)
    for name in names[names.index(profile) + 1 :]:
        for case in planned_in(name, seed):
            found.setdefault(case, f"the profile {name}")
    for root in DRAWN_FROM:
        for case in planned_in("quick", root):
            if case.drawn:
                found.setdefault(case, f"drawn cases of --seed {root}")
    for case in unusual(contract.pattern, info):
        found.setdefault(_fitted(case, contract.pattern, PROFILES["quick"]), "unusual sizes and rates")
    kept = {c: p for c, p in found.items() if c not in before and c.coins * c.shared <= MOST_ELEMENTS}
    return dict(sorted(kept.items(), key=lambda pair: price(pair[0])))


def sought(path: str, row: dict[str, Any], profile: str, seed: int, limit_s: float) -> dict[str, Any]:
    """The cheapest case that fails, of those that are tried within ``limit_s`` seconds."""
    one, file = msgspec.convert(row, Expected), Path(path)
    began = time.monotonic()
    tried, found, whole = 0, None, True
    exact, coin = _split(one)
    names = list(PROFILES)
    try:
        for name in names[names.index(profile) + 1 : -1]:  # the exact questions of the largest are those before it
            if exact and found is None:
                some = _failing(expected.request(file, one, name, seed, causes=False), exact, began + limit_s)
                found = _best(one, some, {}, f"the profile {name}", file, name)
                tried += len(exact)
        left = list(candidates(one, file, profile, seed).items()) if coin and found is None else []
        size = FIRST
        while left and found is None:
            if time.monotonic() - began >= limit_s:
                whole = False
                break
            batch, left = dict(left[:size]), left[size:]
            texts = tuple(str(case) for case in batch)
            request = expected.request(file, one, "quick", seed, causes=False, cases=texts)
            places = {str(case): place for case, place in batch.items()}
            found = _best(one, _failing(request, coin, began + limit_s), places, "", file, profile)
            tried, size = tried + len(batch), 2 * size
    except (Refused, TargetError, UsageError):
        whole = False
    result = Sought(
        layer=one.layer,
        profile=profile,
        tried=tried,
        seconds=round(time.monotonic() - began, 1),
        whole=whole,
        **(found or {}),
    )
    return msgspec.to_builtins(result)  # type: ignore[no-any-return]


def _split(one: Expected) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The exact checks and the checks of coins that the row asks."""
    select, ignore = one.options.get("select", ()), one.options.get("ignore", ())
    asked = matching(select) if select else list(CHECKS)
    left_out = {c.name for c in matching(ignore)}
    asked = [c for c in asked if c.name not in left_out]
    return (
        tuple(c.name for c in asked if c.observe is not None),
        tuple(c.name for c in asked if c.counts),
    )


def _failing(request: AuditRequest, select: Sequence[str], until: float) -> list[Finding]:
    """What fails in one audit that asks these checks only. Raises KeyboardInterrupt where it was interrupted."""
    from dropcheck.auditing.run import run

    left = max(5.0, until - time.monotonic() + 5.0)
    result = run(replace(request, select=tuple(select), ignore=(), timeout_s=left))
    if result.interrupted:
        raise KeyboardInterrupt
    return [f for target in result.targets for f in target.findings if f.verdict == "fail"]


def _best(
    one: Expected, some: Sequence[Finding], places: dict[str, str], place: str, path: Path, profile: str
) -> dict[str, Any] | None:
    """The failure of the cheapest case, an expected check before others; ``places``: of coin cases, else the ``place``."""
    some = [f for f in some if not places or f.case in places]
    if not some:
        return None
    order = list(places)
    best = min(some, key=lambda f: (order.index(f.case) if places else 0, not one.names(f.check)))
    larger = place.rpartition(" ")[2]
    return {
        "case": best.case,
        "check": best.check,
        "place": places.get(best.case, place),
        "coins": coins_of(best.case) if places else 0,
        "command": command(path, one.layer, best.check, best.case if places else None, larger),
    }
