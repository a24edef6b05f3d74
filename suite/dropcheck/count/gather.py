"""Gathering: one unit of a case as requests to a session, counted while the next answer is made; units as one case."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case, seed_of
from dropcheck.contract.promise import Contract
from dropcheck.count.coins import WORD, Bytes
from dropcheck.count.copies import odd_calls
from dropcheck.count.counting import tally
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_stretches import CERTAIN, Stretches, log10_chance, stretches_of
from dropcheck.count.repeated_words import MOST_WORD_ROWS, Lookup, Sample, place_of, repeats, sample_of, searched
from dropcheck.count.tallies import SAMPLE, Tally
from dropcheck.count.units import Unit
from dropcheck.worker.client import Refused, Session
from dropcheck.worker.sessions import SessionSpec

CHUNK = 1 << 22  # coins of one answer: half a megabyte of bits
AHEAD = 2  # requests that a session has before it while its last answer is counted


@dataclass
class Clock:
    """Seconds spent, by kind; see results.Timing."""

    bare_s: float = 0.0
    gather_s: float = 0.0
    tally_s: float = 0.0
    judge_s: float = 0.0

    def add(self, other: Clock) -> None:
        """Add another clock's seconds."""
        self.bare_s += other.bare_s
        self.gather_s += other.gather_s
        self.tally_s += other.tally_s
        self.judge_s += other.judge_s


@dataclass(frozen=True)
class Work:
    """One unit as plain data: everything that a machine needs that has never heard of the audit."""

    unit: Unit
    spec: SessionSpec
    contract: dict[str, Any]
    root: int
    target: str


@dataclass
class Refusal:
    """The layer's own exception, as plain data; see worker.client.Refused."""

    where: str
    kind: str
    message: str
    lines: list[str]

    @classmethod
    def of(cls, refused: Refused) -> Refusal:
        """From the exception."""
        return cls(refused.where, refused.kind, refused.message, refused.lines)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass
class Counted:
    """What one unit came to: counts, the proof, the first coins and repeated words. ``lost``: workers that died under it.

    ``lookup``: of words of rows; ``anywhere``: of words at any offset.
    """

    unit: Unit
    tally: Tally
    proof: dict[str, Any] = field(default_factory=dict)
    sample: list[Bytes] = field(default_factory=list)
    lookup: Lookup | None = None
    anywhere: Lookup | None = None
    seeds: list[int] | None = None
    refusal: Refusal | None = None
    clock: Clock = field(default_factory=Clock)
    lost: int = 0


@dataclass
class Joined:
    """Units of one case put together in their order as they come, so that memory does not grow with their number.

    ``whole``: the first ``units`` of them as one; ``ahead``: later ones that came before their turn.
    """

    whole: Counted | None = None
    units: int = 0
    ahead: dict[int, Counted] = field(default_factory=dict)

    def add(self, counted: Counted) -> None:
        """One further unit of the case, in any order."""
        self.ahead[counted.unit.index] = counted
        while (following := self.ahead.pop(self.units, None)) is not None:
            self.whole = following if self.whole is None else _joined(self.whole, following)
            self.units += 1


def _joined(one: Counted, other: Counted) -> Counted:
    """Two successive pieces of a case as one piece: exactly what counting them in one go would give."""
    return replace(
        one,
        tally=one.tally.merge(other.tally),
        proof=_merged_proof([one, other]),
        sample=one.sample,
        lookup=_beside(one.lookup, other.lookup, one.tally.rows),
        anywhere=_beside(one.anywhere, other.anywhere, one.tally.coins),
    )


def _beside(one: Lookup | None, other: Lookup | None, size: int) -> Lookup | None:
    """Two lookups of successive pieces of a case as one; ``size``: of the first piece, in rows or coins as the lookups are."""
    return one if other is None else other if one is None else one.merge(other, size)


def stream_request(case: Case, contract: Contract, seed: int) -> dict[str, Any]:
    """What a worker needs to open the stream of one case."""
    return {
        "pattern": str(contract.pattern),
        "dtype": case.dtype,
        "layout": case.layout,
        "rate": case.rate,
        "way": case.way or (contract.seeds[0] if contract.seeds else "global"),
        "record": case.grad,
        # large calls reuse one buffer, which is verified unchanged; others get their own copy
        "reuse": case.regime == "stream" and case.rows * case.channels >= 4096,
        "values": case.regime == "values",
        "infer": case.infer,
        "shapes": [list(s) for s in case.shapes(contract.pattern)],
        "seed": seed if contract.seeds else None,
        "probe_seed": seed % 1009,
    }


def neighbouring_seeds(root: int, count: int) -> list[int]:
    """Seeds in the order in which they are compared: neighbours side by side, and one bit apart at distance two.

    (s, s+1, s^bit, (s+1)^bit), with another s and another bit for each four.
    """
    found: dict[int, None] = {}
    attempt = 0
    while len(found) < count:
        base = (seed_of(root, "seeds", attempt) % 2**30) & ~1
        bit = 1 << (2 + attempt % 28)
        attempt += 1
        four = (base, base + 1, base ^ bit, (base + 1) ^ bit)
        if not any(seed in found for seed in four):  # a seed that stands twice would repeat its coins, rightly
            found.update(dict.fromkeys(four))
    return list(found)[:count]


def _requests(unit: Unit, stream: dict[str, Any], seeds: list[int] | None) -> Iterator[dict[str, Any]]:
    """The requests of one unit, in order."""
    case, identity = unit.case, -1
    if seeds is not None:
        yield {"ask": "seeds", "id": identity, "seeds": seeds, "calls": 2, "fresh": True, "stream": stream}
        return
    per_call = max(1, case.coins // max(1, case.calls))
    size = max(1, CHUNK // per_call)
    if size >= WORD:
        size = size // WORD * WORD  # whole words of calls
    left = unit.calls
    while left > 0:
        request = {"ask": "draw", "id": identity, "calls": min(size, left)}
        if left == unit.calls:
            request["stream"] = stream
        left -= size
        yield request


def _answers(session: Session, requests: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The answers in order, some requests ahead of them, so that the session never waits for us. Raises Refused, once."""
    ahead = 0
    try:
        for request in requests:
            session.submit(request)
            ahead += 1
            if ahead > AHEAD:
                ahead -= 1
                yield session.collect()
        while ahead:
            ahead -= 1
            yield session.collect()
    except Refused:
        for _ in range(ahead):  # what was asked for meanwhile is of no use
            with contextlib.suppress(Refused):
                session.collect()
        raise


def count(session: Session, work: Work, done: Any = None) -> Counted:
    """Run one unit. The session works on the next requests while the last answer is counted.

    ``done`` is called as soon as the session is free again, before the last answer is counted. A refusal of the layer is in
    the result; TargetError passes through.
    """
    unit, contract = work.unit, Contract.from_dict(work.contract)
    seed = unit.seed(work.root, work.target)
    seeds = neighbouring_seeds(seed, max(1, unit.calls // 2)) if unit.case.regime == "seeds" else None
    counted = Counted(unit, Tally(unit.case.channels), seeds=seeds)
    words, held = _Words(sample_of(unit.case), stretches_of(unit.case)), None
    requests = list(_requests(unit, stream_request(unit.case, contract, seed), seeds))
    forget = {"ask": "forget", "id": -1}
    try:
        for left, answer in zip(range(len(requests), -1, -1), _answers(session, [*requests, forget]), strict=True):
            if left > 1:
                _take(counted, answer, words)
            elif left == 1:  # to be counted when the session has gone to others
                held = answer
    except Refused as refused:
        counted.refusal, held = Refusal.of(refused), None
        session.submit(forget)
        session.collect()
    if done is not None:
        done()
    if held is not None:
        _take(counted, held, words)
        counted.clock.bare_s = counted.proof.get("bare_s", 0.0)
    if counted.refusal is None:
        start = time.perf_counter()
        counted.lookup = words.rows.lookup(unit.case) if words.rows is not None else None
        counted.anywhere = words.anywhere.lookup(unit.case) if words.anywhere is not None else None
        counted.clock.tally_s += time.perf_counter() - start
    return counted


@dataclass
class _Words:
    """What is looked up of one unit: words of rows, and words at any offset."""

    rows: Sample | None
    anywhere: Stretches | None


def _take(counted: Counted, answer: dict[str, Any], words: _Words) -> None:
    """Count the coins of one answer."""
    start = time.perf_counter()
    counted.clock.gather_s += answer["gather_s"]
    counted.proof = answer["proof"]
    coins = answer.get("coins")
    if coins is None:
        return
    case = counted.unit.case
    if counted.seeds is not None:
        # one "call" of the tally is one seed, so that its call lags compare seeds
        seeds = coins.shape[0]
        coins = coins.reshape(-1, coins.shape[-1])
        rows_per_call: int | None = coins.shape[0] // seeds
    else:
        rows_per_call = None if case.batches else case.rows
    counted.tally = counted.tally.merge(
        tally(
            coins,
            case.channels,
            rows_per_call,
            answer.get("classes"),
            start=counted.tally.rows,
            seeds=counted.seeds,
        )
    )
    sampled = sum(len(part) for part in counted.sample) * case.channels
    if sampled < SAMPLE and counted.unit.index == 0:
        counted.sample.append(coins[: max(1, (SAMPLE - sampled) // case.channels)])
    for one in (words.rows, words.anywhere):
        if one is not None:
            one.add(coins)
    counted.clock.tally_s += time.perf_counter() - start


def gathered(case: Case, contract: Contract, parts: Sequence[Counted], alpha_of_words: float) -> Gathered:
    """The units of one case, in their order, as what its checks judge."""
    whole = Tally(case.channels)
    for part in parts:
        whole = whole.merge(part.tally)
    sample = np.concatenate(parts[0].sample) if parts[0].sample else None
    got = Gathered(case, contract, whole, _merged_proof(parts), sample, seeds=parts[0].seeds)
    if sample is not None and searched(case):
        look_for_repeats(got, alpha_of_words / 2)
        _look_up(got, parts, alpha_of_words / 2)
        _look_anywhere(got, parts)
    return got


def _merged_proof(parts: Sequence[Counted]) -> dict[str, Any]:
    """Counts add; of examples the first stands."""
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.proof.items():
            if isinstance(value, int | float):
                whole[key] = whole.get(key, 0) + value
            elif whole.get(key) is None:
                whole[key] = value
    return whole


def look_for_repeats(got: Gathered, alpha: float) -> None:
    """Repeated words in the first coins: the longest sample for which one row is a word, else words of several rows."""
    assert got.sample is not None
    sample, channels = got.sample, got.tally.channels
    agree = _agree_log10(got)
    if agree >= 0:
        return
    chosen: tuple[int, int] | None = None
    for rows in (len(sample), 65536, 16384, 4096, 1024, 256):
        if rows > len(sample):
            continue
        if math.log10(rows * rows / 2) + agree <= math.log10(alpha):
            chosen = rows, 1
            break
    if chosen is None:
        rows = len(sample)
        length = math.ceil((math.log10(alpha) - math.log10(rows * rows / 2)) / agree)
        length = min(length, max(1, min(MOST_WORD_ROWS, rows // 4)))
        chosen = rows, length
    rows, length = chosen
    calls = place_of(got.case, np.arange(rows))[0]
    got.repeats = repeats(sample[:rows], length, channels, calls, got.positions, math.log10(alpha))
    got.word_log10 = math.log10(max(1.0, rows * rows / 2)) + length * agree
    if got.repeats.repeats and (odd := got.once(odd_calls)) is not None:
        # words of calls with a rate of their own agree at that rate: they are left out, and the rest is looked at again
        keep = np.flatnonzero(~np.isin(calls, odd.calls))
        found = repeats(sample[keep], length, channels, calls[keep], got.positions, math.log10(alpha))
        got.repeats = replace(found, places=[(int(keep[a]), int(keep[b])) for a, b in found.places])


def _look_up(got: Gathered, parts: Sequence[Counted], alpha: float) -> None:
    """Repeated words of all coins of all units, if at the measured rates they are long enough to mean anything."""
    whole, rows = None, 0
    for part in parts:
        whole = _beside(whole, part.lookup, rows)
        rows += part.tally.rows
    if whole is None:
        return
    chance = math.log10(max(1.0, whole.pairs)) + whole.rows * _agree_log10(got)
    if chance <= math.log10(alpha):
        got.lookup, got.lookup_log10 = whole.beyond(got.positions, math.log10(alpha)), chance
        if got.lookup.within + got.lookup.across and (odd := got.once(odd_calls)) is not None:
            got.lookup = got.lookup.without(place_of(got.case, got.lookup.kinds[:, 4:])[0], odd.calls)


def _look_anywhere(got: Gathered, parts: Sequence[Counted]) -> None:
    """Repeated words at any offset of all units."""
    whole, coins = None, 0
    for part in parts:
        whole = _beside(whole, part.anywhere, coins)
        coins += part.tally.coins
    keep_anywhere(got, whole if coins else None)


def keep_anywhere(got: Gathered, whole: Lookup | None) -> None:
    """Repeated words at any offset, if at the measured rates they are long enough to be certain.

    Nothing where rows or calls have rates of their own: words of those agree more often than the rates of channels say.
    """
    if whole is None or (got.positions is not None and got.positions.own.any()):
        return
    if whole.within + whole.across and got.once(odd_calls) is not None:
        return
    chance = log10_chance(whole.pairs, got.tally.channel / max(1, got.tally.rows), whole.rows)
    if chance <= CERTAIN:
        got.anywhere, got.anywhere_log10 = whole, chance


def _agree_log10(got: Gathered) -> float:
    """log10 of the chance that two independent rows agree, at the measured rates: unequal ones make it likelier."""
    if got.positions is not None and got.positions.own.any():
        return got.positions.agree  # of the rows without a rate of their own
    rates = got.tally.channel / max(1, got.tally.rows)
    return float(np.log10(np.maximum(rates**2 + (1 - rates) ** 2, 1e-300)).sum())
