"""Our clock against two others on the same layer and input, block by block: torch.utils.benchmark, and a bare loop.

    python tests/measurements/bench_agreement.py [--rounds 30] [--threads 1] [--cpu-time] [--raw FILE]

``agreement``: the median over rounds of our time a call over the median of `Timer.blocked_autorange` on five cells; the
promise is 3 %. ``overhead``: our mean over a block, over that of a plain `for` loop around the layer; the promise is 2 % at 4
KiB and above. Each round times all in shuffled order, so that whatever drifts meets all alike; the ratio is the median of the
rounds' ratios, with the range that holds it at 99 % (order statistics).

``--cpu-time``: all three count the processor time of the thread instead of the time of day, for a machine whose cores are
taken away for most of a block: a mean (the bare loop's) and a median then differ by what others did, not by the method.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch.utils.benchmark import Timer

from dropcheck.contract.cells import parse_cell
from dropcheck.contract.promise import Pattern
from dropcheck.plan import targets
from dropcheck.worker.client import LocalSession, ask

CELLS = ("4,16,16", "4,64,64", "16,256,64", "16,256,1024", "64,256,1024")  # 4 KiB to 64 MiB


def around(ratios: list[float]) -> tuple[float, float, float]:
    """The median and its interval at 99 %, from order statistics (binomial)."""
    ordered = sorted(ratios)
    below = int(stats.binom.ppf(0.005, len(ordered), 0.5))
    return float(np.median(ordered)), ordered[max(0, below - 1)], ordered[min(len(ordered) - 1, len(ordered) - below)]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=30)
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--cpu-time", action="store_true")
    words.add_argument("--raw", type=Path)
    given = words.parse_args()
    now = time.thread_time_ns if given.cpu_time else time.perf_counter_ns
    raw: dict[str, Any] = {}
    target, pattern = targets.parse("torch.Dropout1d"), Pattern.parse("n c l -> n c")
    session = LocalSession()
    ask(session, "open", locator=target.locator, source=target.source, pattern=None)
    ask(session, "time", do="threads", wanted=given.threads)
    print(f"{'cell':<44}{'torch.utils.benchmark':>26}{'bare loop':>26}")
    for text in CELLS:
        cell = parse_cell(text)
        ask(session, "time", do="setup", cell=cell.request(pattern, 1), slot_ms=15.0, yard_ms=1.0)
        watch = session.worker.stopwatch
        watch.device.clock.now = now
        loops, x = watch.loops["target"], watch.items["target"].inputs[0]
        layer = torch.nn.Dropout1d(0.5)
        timer = Timer(
            "layer(x)", globals={"layer": layer, "x": x}, num_threads=given.threads, timer=lambda: now() / 1e9
        )

        timer.timeit(loops)  # warm
        measured = timer.blocked_autorange(min_run_time=0.03)
        # parts as long as its blocks: on a machine whose cores are shared, how long they are decides what a median leaves out
        per_block, blocks = measured.number_per_run, max(3, len(measured.times))
        found: dict[str, list[float]] = {"ours": [], "mean": [], "theirs": [], "bare": []}

        def ours(
            watch: Any = watch, found: dict[str, list[float]] = found, per_block: int = per_block, blocks: int = blocks
        ) -> float:
            watch.items["target"].block(max(1, per_block // 16))
            one = watch.items["target"].block(per_block * blocks, blocks)
            found["mean"].append(float(one["mean_ns"]) / 1e9)
            return float(one["device_ns"]) / 1e9

        def theirs(timer: Timer = timer) -> float:
            with torch.no_grad():
                timer.timeit(1)
                return float(timer.blocked_autorange(min_run_time=0.03).median)

        def bare(layer: torch.nn.Module = layer, x: torch.Tensor = x, loops: int = loops) -> float:
            with torch.no_grad():
                layer(x)
                start = now()
                for _ in repeat(None, loops):
                    layer(x)
                return (now() - start) / loops / 1e9

        for _ in range(given.rounds):
            ways = [("ours", ours), ("theirs", theirs), ("bare", bare)]
            random.shuffle(ways)
            for name, way in ways:
                found[name].append(way())
        row = f"{cell!s:<44}"
        for one, other in (("ours", "theirs"), ("mean", "bare")):
            middle, low, high = around([a / b for a, b in zip(found[one], found[other], strict=True)])
            row += f"{middle:>10.3f} [{low:.3f}, {high:.3f}]"
        print(row, flush=True)
        raw[str(cell)] = found
    if given.raw is not None:
        given.raw.write_text(json.dumps({"cpu_time": given.cpu_time, "load": os.getloadavg(), "seconds": raw}))


if __name__ == "__main__":
    main()
