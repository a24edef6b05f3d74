"""Coins counted per second and core, statistic by statistic, and memory over many coins: ``python tests/measurements/counting.py``.

Prints nanoseconds a coin for each part on one core, the millions of coins per second of everything together, and the growth
of the resident memory from 10^7 to 10^9 coins (``--memory``).
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import psutil

from dropcheck.contract.cases import Case
from dropcheck.count import counting
from dropcheck.count.coins import Bytes
from dropcheck.count.counting import tally
from dropcheck.count.repeated_words import Sample, word_rows
from dropcheck.count.tallies import FULL_ROWS, THINNING, Tally, arrange
from dropcheck.count.units import UNIT_COINS

CHUNK = 1 << 22
SIZES = (
    (64, 4097),
    (64, 1025),
    (65, 4097),
    (17, 1025),
    (3, 4097),
    (1, 32769),
    (513, 129),
    (1025, 65),
    (131, 5),
    (259, 1),
)


def best(action: object, times: int = 7) -> float:
    """Seconds of the fastest of several runs."""
    assert callable(action)
    found = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return min(found)


def chunk(channels: int, rows: int, rate: float = 0.3) -> Bytes:
    """Packed coins of one answer."""
    calls = max(1, CHUNK // (channels * rows))
    calls = calls // 64 * 64 if calls >= 64 else calls
    coins = np.random.default_rng(0).random((rows * calls, channels), dtype=np.float32) < rate
    return np.packbits(coins, axis=1, bitorder="little")


def line(channels: int, rows: int) -> str:
    """One shape. ``first``: the first rows of a case; ``later``: behind them, the mean over thinned and other blocks."""
    packed = chunk(channels, rows)
    coins = packed.shape[0] * channels
    turn, result = arrange(packed, channels, rows), tally(packed, channels, rows)
    every = counting.dense(packed, turn, rows)
    thin = counting.thinned(turn, result.rows, rows, 0, every)
    nothing = counting.Thinned(None, 0, np.zeros(len(packed), bool), False)
    block = 64 * rows
    away = block * (THINNING * (FULL_ROWS // block // THINNING + 1) + 1)
    first = best(lambda: tally(packed, channels, rows))
    behind = best(lambda: tally(packed, channels, rows, start=away))
    later = behind + max(0.0, first - behind) / THINNING
    groups = best(lambda: counting.count_channels(result, every, nothing))
    parts = {
        "turn": best(lambda: arrange(packed, channels, rows)) + best(lambda: counting.dense(packed, turn, rows)),
        "margins, positions": best(lambda: counting.count_margins(result, packed, turn, rows)),
        "pairs, triples, fours": groups,
        "eights": best(lambda: counting.count_octets(result, packed, thin)),
        "row lags": best(lambda: counting.count_rows(result, turn, rows)),
        "call lags": best(lambda: counting.count_calls(result, turn, rows)),
        "strided eights, far pairs": max(0.0, best(lambda: counting.count_channels(result, every, thin)) - groups),
    }
    words = ", ".join(f"{name} {1e9 * s / coins:.3f}" for name, s in parts.items())
    return (
        f"{channels:5d} x {rows:5d}: first {1e9 * first / coins:.2f} ({coins / first / 1e6:.0f} M/s), "
        f"later {1e9 * later / coins:.2f} ({coins / later / 1e6:.0f} M/s): {words}"
    )


def repeated(channels: int, rows: int) -> str:
    """Repeated words of one shape: of the first answer, and the mean over a whole unit of a long case."""
    case = Case("float32", 0.5, rows, channels, 2, max(1, 10**9 // (rows * channels)))
    length, rng = word_rows(case), np.random.default_rng(0)
    assert length is not None
    sample, times, many = Sample(channels, length), [], max(1, CHUNK // channels)
    for _ in range(UNIT_COINS // (many * channels)):
        packed = rng.integers(0, 256, (many, -(-channels // 8)), dtype=np.uint8)
        packed[:, -1] &= (1 << ((channels - 1) % 8 + 1)) - 1
        start = time.perf_counter()
        sample.add(packed)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    sample.repeated()
    whole, coins = sum(times) + time.perf_counter() - start, many * channels
    return (
        f"{channels:5d}: words of {length} rows, first answer {1e9 * times[0] / coins:.2f}, "
        f"whole unit {1e9 * whole / coins / len(times):.2f}"
    )


def memory(channels: int = 64, rows: int = 4097) -> None:
    """Resident memory after 10^7, 10^8 and 10^9 coins."""
    packed = chunk(channels, rows)
    whole, coins = Tally(channels), 0
    for mark in (1e7, 1e8, 1e9):
        start, before = time.perf_counter(), coins
        while coins < mark:
            whole = whole.merge(tally(packed, channels, rows, start=whole.rows))
            coins = whole.rows * channels
        pace = (coins - before) / (time.perf_counter() - start) / 1e6
        print(f"{coins:.1e} coins: {psutil.Process().memory_info().rss / 2**20:.0f} MB resident, {pace:.0f} M coins/s")


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if "--memory" in sys.argv:
        memory()
    else:
        print("ns a coin; channels x rows a call")
        for shape in SIZES:
            print(line(*shape), flush=True)
        print("ns a coin: repeated words, rate .5")
        for channels, rows in SIZES:
            print(repeated(channels, rows), flush=True)
