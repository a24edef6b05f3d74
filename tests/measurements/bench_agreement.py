"""Our clock against two others on the same layer and input, block by block: torch.utils.benchmark, and a bare loop.

    python tests/measurements/bench_agreement.py [--rounds 30] [--threads 1]

``agreement``: the median over rounds of our time a call over the median of `Timer.blocked_autorange` on five cells; the
promise is 3 %. ``overhead``: our time a call over that of a plain `for` loop around the layer, the promise is 2 % at 4 KiB and
above. Each round times all in shuffled order, so that whatever drifts meets all alike; the ratio is the median of the rounds'
ratios, with the range that holds it at 99 % (order statistics).
"""

from __future__ import annotations

import argparse
import random
import time
from itertools import repeat
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch.utils.benchmark import Timer

from dropcheck import targets
from dropcheck.contract import Pattern
from dropcheck.speed.cells import parse_cell
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
    given = words.parse_args()
    target, pattern = targets.parse("torch.Dropout1d"), Pattern.parse("n c l -> n c")
    session = LocalSession()
    ask(session, "open", locator=target.locator, source=target.source, pattern=None)
    ask(session, "time", do="threads", wanted=given.threads)
    print(f"{'cell':<44}{'torch.utils.benchmark':>26}{'bare loop':>26}")
    for text in CELLS:
        cell = parse_cell(text)
        ask(session, "time", do="setup", cell=cell.request(pattern, 1), slot_ms=15.0, yard_ms=1.0)
        watch = session.worker.stopwatch
        loops, x = watch.loops["target"], watch.items["target"].inputs[0]
        layer = torch.nn.Dropout1d(0.5)
        timer = Timer("layer(x)", globals={"layer": layer, "x": x}, num_threads=given.threads)

        def ours(watch: Any = watch) -> float:
            return float(watch.run("target")["device_ns"]) / 1e9

        def theirs(timer: Timer = timer) -> float:
            with torch.no_grad():
                return float(timer.blocked_autorange(min_run_time=0.03).median)

        def bare(layer: torch.nn.Module = layer, x: torch.Tensor = x, loops: int = loops) -> float:
            with torch.no_grad():
                layer(x)
                start = time.perf_counter_ns()
                for _ in repeat(None, loops):
                    layer(x)
                return (time.perf_counter_ns() - start) / loops / 1e9

        found: dict[str, list[float]] = {"ours": [], "theirs": [], "bare": []}
        for _ in range(given.rounds):
            ways = [("ours", ours), ("theirs", theirs), ("bare", bare)]
            random.shuffle(ways)
            for name, way in ways:
                found[name].append(way())
        row = f"{cell!s:<44}"
        for other in ("theirs", "bare"):
            middle, low, high = around([a / b for a, b in zip(found["ours"], found[other], strict=True)])
            row += f"{middle:>10.3f} [{low:.3f}, {high:.3f}]"
        print(row, flush=True)


if __name__ == "__main__":
    main()
