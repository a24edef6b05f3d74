"""Gathering: coin cases as requests to a session, one ahead of the counting, and their answers as tallies."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from dropcheck.cases import Case, seed_of
from dropcheck.checks.base import Gathered
from dropcheck.coins import Bytes
from dropcheck.contract import Contract
from dropcheck.tallies import MOST_WORD_ROWS, SAMPLE, Tally, repeats, tally
from dropcheck.worker.client import Refused, Session

CHUNK = 1 << 22  # coins of one answer: half a megabyte of bits


@dataclass
class Clock:
    """Seconds spent, by kind; see results.Timing."""

    bare_s: float = 0.0
    gather_s: float = 0.0
    tally_s: float = 0.0
    judge_s: float = 0.0


@dataclass
class _Open:
    """A case whose answers are still coming."""

    case: Case
    tally: Tally
    proof: dict[str, Any] = field(default_factory=dict)
    sample: list[Bytes] = field(default_factory=list)
    sampled: int = 0
    left: int = 0
    seeds: list[int] = field(default_factory=list)
    refused: Refused | None = None


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


def _requests(
    cases: Sequence[Case], contract: Contract, root: int, target: str
) -> Iterator[tuple[_Open, dict[str, Any], bool]]:
    """Requests of all cases in order: (state, request, last of its case)."""
    for number, case in enumerate(cases):
        seed = seed_of(root, target, case)
        state = _Open(case, Tally(case.channels), left=case.calls)
        stream = stream_request(case, contract, seed)
        identity = -1 - number
        if case.regime == "seeds":
            state.seeds = neighbouring_seeds(seed, max(1, case.calls // 2))
            yield (
                state,
                {"ask": "seeds", "id": identity, "seeds": state.seeds, "calls": 2, "fresh": True, "stream": stream},
                True,
            )
            yield state, {"ask": "forget", "id": identity}, False
            continue
        per_call = max(1, case.coins // max(1, case.calls))
        size = max(1, CHUNK // per_call)
        if size >= 64:
            size = size // 64 * 64  # whole words of calls
        first = True
        while state.left > 0 and state.refused is None:  # a refused case asks for no more
            calls = min(size, state.left)
            state.left -= calls
            request = {"ask": "draw", "id": identity, "calls": calls}
            if first:
                request["stream"] = stream
            first = False
            yield state, request, state.left == 0
        yield state, {"ask": "forget", "id": identity}, False


def gather(
    session: Session,
    cases: Sequence[Case],
    contract: Contract,
    root: int,
    target: str,
    clock: Clock,
    alpha_of_words: float,
    finished: Callable[[Gathered | tuple[Case, Refused], int], None],
) -> None:
    """Run all cases; ``finished`` gets each case's tallies, or the layer's own refusal, and the coins flipped.

    The session works on the next request while the answer to the last one is counted.
    """
    waiting: tuple[_Open, dict[str, Any], bool] | None = None
    for item in chain(_requests(cases, contract, root, target), (None,)):
        answered, answer = waiting, None
        if answered is not None:
            state, request, _ = answered
            try:
                answer = session.collect()
            except Refused as refused:
                if request["ask"] != "forget" and state.refused is None:
                    state.refused = refused
                    finished((state.case, refused), 0)
        waiting = item
        if item is not None:
            session.submit(item[1])
        if answered is None or answer is None or answered[1]["ask"] == "forget":
            continue
        state, _, last = answered
        clock.gather_s += answer["gather_s"]
        _count(state, answer, clock)
        if last:
            clock.bare_s += state.proof.get("bare_s", 0.0)
            finished(_close(state, contract, alpha_of_words, clock), state.tally.rows * state.case.channels)


def _count(state: _Open, answer: dict[str, Any], clock: Clock) -> None:
    start = time.perf_counter()
    state.proof = answer["proof"]
    coins = answer.get("coins")
    if coins is None:
        return
    case = state.case
    if case.regime == "seeds":
        # one "call" of the tally is one seed, so that its call lags compare seeds
        seeds = coins.shape[0]
        coins = coins.reshape(-1, coins.shape[-1])
        rows_per_call: int | None = coins.shape[0] // seeds
    else:
        rows_per_call = None if case.batches else case.rows
    state.tally = state.tally.merge(tally(coins, case.channels, rows_per_call, answer.get("classes")))
    if state.sampled < SAMPLE:
        take = coins[: max(1, (SAMPLE - state.sampled) // case.channels)]
        state.sample.append(take)
        state.sampled += take.shape[0] * case.channels
    clock.tally_s += time.perf_counter() - start


def _close(state: _Open, contract: Contract, alpha: float, clock: Clock) -> Gathered:
    start = time.perf_counter()
    case = state.case
    sample = np.concatenate(state.sample) if state.sample else None
    got = Gathered(case, contract, state.tally, state.proof, sample, seeds=state.seeds or None)
    if sample is not None and (0.3 <= case.rate <= 0.7 or case.regime == "seeds"):
        _look_for_repeats(got, alpha)
    clock.tally_s += time.perf_counter() - start
    return got


def _look_for_repeats(got: Gathered, alpha: float) -> None:
    """Repeated words in the first coins: the longest sample for which one row is a word, else words of several rows."""
    assert got.sample is not None
    sample, channels = got.sample, got.tally.channels
    rates = got.tally.channel / max(1, got.tally.rows)
    # the chance that two independent rows agree, channel by channel: unequal rates make agreement likelier
    agree = float(np.log10(np.maximum(rates**2 + (1 - rates) ** 2, 1e-300)).sum())
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
    got.call_of_row = _call_of_row(got, rows)
    got.repeats = repeats(sample[:rows], length, channels, got.call_of_row)
    got.word_log10 = math.log10(max(1.0, rows * rows / 2)) + length * agree


def _call_of_row(got: Gathered, rows: int) -> Any:
    case = got.case
    if case.regime == "seeds":
        return np.arange(rows) // (2 * case.rows)
    sizes = case.batches or (case.rows,)
    turn = np.repeat(np.arange(len(sizes)), sizes)
    cycle = len(turn)
    index = np.arange(rows)
    return (index // cycle) * len(sizes) + turn[index % cycle]
