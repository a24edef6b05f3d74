"""Null calibration: audits of perfect coins, how often each check fails them, and what its size is at the gate's level."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.stats import binom, binomtest

from dropcheck.contract.cases import Case, parse_case
from dropcheck.judge.checks.base import Check, Limits
from dropcheck.results.selftest import Calibration, Promise, Tail
from dropcheck.selftest import row_laws, simulated
from dropcheck.selftest.simulated import failed, generator, named, record, sharpened, statistical
from dropcheck.selftest.work import Item

LEVELS = (0.05, 0.01)
UNLIKELY = 1e-6  # the probability with which a right suite breaks one of these bounds
BOTH = 50  # audits of an item that are judged at every level, whether or not they fail at the first

# Audits of each case at full scale: every check meets at least 1e5 in all. Discreteness differs: rates .1, .3, .5, one to
# 64 channels, sizes that are no multiples of 8.
PLAN: Mapping[str, int] = {
    "float32 rate=0.1 64,1,3 calls=64": 20_000,
    "float32 rate=0.3 2,3,3 calls=64": 52_000,
    "float32 rate=0.1 8,17,3 calls=64": 26_000,
    "float32 rate=0.5 4,9,3 calls=64": 48_000,
    "float32 rate=0.5 4,64,3 calls=64": 3_000,
    "float32 rate=0.5 8,5,3 calls=64 values": 50_000,
    "float32 rate=0.3 8,7,3 calls=64 values": 50_000,
    "float32 rate=0.5 9,13,3 calls=128 seeds way=generator": 50_000,
    "float32 rate=0.5 3,64,3 calls=256 seeds way=generator": 50_000,
}
SHAPES = (
    ("float32 rate=0.3", ((64, 3), (21, 17), (128, 1))),
    ("float32 rate=0.1", ((65, 8), (33, 3), (7, 64), (90, 5))),
)
SHAPE_AUDITS = 50_000
ROW_AUDITS = 25_000  # of each law of rows
CHUNK = 1000


def items(seed: int, scale: float) -> list[Item]:
    """All work of the part."""
    found = []
    for text, audits in PLAN.items():
        case = parse_case(text)
        # measured: most of the time goes to pairs and groups of channels
        cost = 1.5e-3 if case.regime != "stream" else (3e-3 + 6e-4 * case.channels) * (case.channels > 1) + 2e-3
        for number, size in enumerate(_chunks(audits, scale)):
            arguments = {"text": text, "audits": size, "number": number, "seed": seed}
            found.append(Item(f"calibration/{text}/{number}", "calibration:null_audits", arguments, cost * size))
    for index in range(len(SHAPES)):
        for number, size in enumerate(_chunks(SHAPE_AUDITS, scale)):
            arguments = {"index": index, "audits": size, "number": number, "seed": seed}
            found.append(
                Item(f"calibration/shapes {index}/{number}", "calibration:shape_audits", arguments, 1e-3 * size)
            )
    for index, law in enumerate(row_laws.LAWS):
        for number, size in enumerate(_chunks(ROW_AUDITS, scale)):
            arguments = {"index": index, "audits": size, "number": number, "seed": seed}
            key = f"calibration/{row_laws.where(*law).replace('/', ':')}/{number}"
            found.append(Item(key, "row_laws:null_audits", arguments, 1e-2 * size))
    return [*found, *(_tail_items(seed, scale))]


def _tail_items(seed: int, scale: float) -> list[Item]:
    from dropcheck.selftest import tails

    draws = max(500, int(100_000 * min(1.0, scale)))
    return [
        Item(f"calibration/tail {name}", "tails:measure", {"name": name, "draws": draws, "seed": seed}, cost)
        for name, cost in tails.NAMES.items()
    ]


def _chunks(audits: int, scale: float) -> list[int]:
    whole = max(20, int(audits * scale))
    return [min(CHUNK, whole - done) for done in range(0, whole, CHUNK)]


def _asked(case: Case) -> list[Check]:
    return [c for c in statistical() if c.judge is not None and c.wants is not None and c.wants(case)]


def null_audits(text: str, audits: int, number: int, seed: int) -> dict[str, Any]:
    """Counts of one chunk: {check: [judged, fails at .05, at .01, at the gate's level, contradictions]}."""
    case = parse_case(text)
    rng = generator(seed, "null", text, number)
    rows = case.rows * case.calls
    counts: dict[str, list[int]] = {}
    with sharpened():
        checks = _asked(case)
        for audit in range(audits):
            coins = rng.random((rows, case.channels)) < case.rate
            classes = simulated.classes_of(rng, case, rows) if case.regime == "values" else None
            got = record(text, coins, classes)
            for check in checks:
                if check.words or check.role == "copied channels":
                    simulated.look(got, LEVELS[0])
                one = simulated.judge(check, got, Limits(LEVELS[0]))
                if one is None or one.verdict == "skipped":
                    continue
                levels = (*LEVELS, check.limits("quick", case).alpha)
                marks = [one.verdict == "fail"]
                # what passes at one level passes at every smaller one; on some audits this is not taken for granted
                for level in levels[1:]:
                    marks.append((marks[-1] or audit < BOTH) and failed(check, got, Limits(level)))
                row = counts.setdefault(check.name, [0, 0, 0, 0, 0])
                row[0] += 1
                for i, mark in enumerate(marks):
                    row[1 + i] += mark
                row[4] += any(later and not before for before, later in pairwise(marks))
    return counts


def shape_audits(index: int, audits: int, number: int, seed: int) -> dict[str, Any]:
    """The same for rate.per-shape, which compares cases of several shapes."""
    start, shapes = SHAPES[index]
    rng = generator(seed, "shapes", index, number)
    check = named("rate.per-shape")
    assert check.compare is not None
    row = [0, 0, 0, 0, 0]
    with sharpened():
        for _ in range(audits):
            members = []
            for rows, channels in shapes:
                case = parse_case(f"{start} {rows},{channels},3 calls=1")
                members.append(record(str(case), rng.random((rows, channels)) < case.rate))
            marks = []
            for level in (*LEVELS, check.limits("quick").alpha):
                (one,) = check.compare(check, members, Limits(level))
                marks.append(one.verdict == "fail")
            row[0] += 1
            for i, mark in enumerate(marks):
                row[1 + i] += mark
            row[4] += any(later and not before for before, later in pairwise(marks))
    return {check.name: row}


def marginal_size(n: int, p: float, alpha: float) -> float:
    """The attained size of the exact binomial test with doubled tails, by summing the law where it rejects."""
    k = np.arange(n + 1)
    tail = np.where(k >= n * p, binom.sf(k - 1, n, p), binom.cdf(k, n, p))
    return float(binom.pmf(k, n, p)[2 * tail <= alpha].sum())


def conclude(values: Mapping[str, Any]) -> tuple[list[Calibration], list[Tail], list[Promise]]:
    """Tables and promises from the counts of all chunks."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 5)
    tails: list[Tail] = []
    for key, value in sorted(values.items()):
        where = key.split("/")[1]
        if where.startswith("tail "):
            tails.extend(Tail(**one) for one in value)
            continue
        for check, row in value.items():
            total = sums[(check, where)]
            for i, count in enumerate(row):
                total[i] += count
    table: list[Calibration] = []
    order = {c.name: i for i, c in enumerate(statistical())}
    for (check, where), row in sorted(sums.items(), key=lambda kv: (order.get(kv[0][0], 99), kv[0][1])):
        for i, alpha in enumerate(LEVELS):
            exact = agrees = None
            if check == "rate.marginal":
                case = parse_case(where)
                exact = marginal_size(case.coins, case.rate, alpha)
                agrees = bool(binomtest(row[1 + i], row[0], exact).pvalue > UNLIKELY)
            most = int(binom.isf(UNLIKELY, row[0], alpha))
            table.append(
                Calibration(
                    check=check,
                    case=where,
                    alpha=alpha,
                    audits=row[0],
                    rejections=row[1 + i],
                    most=most,
                    attained=exact,
                    agrees=agrees,
                )
            )
    return table, tails, _promises(sums, table, tails)


def _promises(sums: Mapping[tuple[str, str], list[int]], table: list[Calibration], tails: list[Tail]) -> list[Promise]:
    found = []
    bad = [c for c in table if not c.holds]
    audits = sum(c.audits for c in table if c.alpha == LEVELS[0])
    found.append(
        Promise(
            part="calibration",
            name="no check fails correct drop decisions more often than its level",
            held=not bad and audits > 0,
            n=audits,
            text=f"{len(table) - len(bad)} of {len(table)} counts of failures lie within the exact bound of their level "
            f"(exceeded by chance with probability {UNLIKELY:g}) and agree with exactly known sizes"
            + "".join(
                f"; {c.check} at alpha {c.alpha:g} in '{c.case}': {c.rejections} of {c.audits} fail, at most {c.most}"
                + (f", exact size {c.attained:.4g}" if c.attained is not None else "")
                for c in bad[:6]
            ),
        )
    )
    judged = sum(row[0] for row in sums.values())
    accused = {c: n for (c, _), n in _gate(sums).items() if n}
    cases: dict[str, int] = {}
    for (_, where), row in sums.items():
        cases[where] = max(cases.get(where, 0), row[0])
    whole = sum(cases.values())
    upper = 3.0 / max(1, whole)
    found.append(
        Promise(
            part="calibration",
            name="no false alarm at the level of an audit",
            held=not accused and judged > 0,
            n=whole,
            text=f"{sum(accused.values())} false alarms in {whole:,} audits of correct drop decisions ({judged:,} results) "
            f"at the levels of an audit (about 1e-8); the rate is below {upper:.1e} with 95 % confidence by counting alone"
            + "".join(f"; {name}: {n}" for name, n in accused.items()),
        )
    )
    odd = sum(row[4] for row in sums.values())
    found.append(
        Promise(
            part="calibration",
            name="what passes at one level passes at every smaller one",
            held=odd == 0,
            n=judged,
            text=f"{odd} contradictions between levels",
        )
    )
    if tails:
        over = [t for t in tails if not t.holds]
        found.append(
            Promise(
                part="calibration",
                name="the far tail keeps its level",
                held=not over,
                n=sum(t.n for t in tails),
                text=f"{len(tails) - len(over)} of {len(tails)} false-alarm probabilities at the level of an audit are at "
                "most nominal, by exact sums or tilted sampling"
                + "".join(
                    f"; {t.check}, {t.case}: {t.size:.3g} (error {t.error:.1g}) above {t.alpha:g}" for t in over[:6]
                ),
            )
        )
    return found


def _gate(sums: Mapping[tuple[str, str], list[int]]) -> dict[tuple[str, str], int]:
    return {key: row[3] for key, row in sums.items()}


def log10_ratio(row: Calibration) -> float:
    """log10 of attained over nominal, for the chart; -3 where nothing was rejected."""
    share = row.rejections / max(1, row.audits)
    return math.log10(share / row.alpha) if share > 0 else -3.0
