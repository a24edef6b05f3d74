"""Identical code, and code that does a tenth more work: what dropcheck's verdicts say, and other tools' rules on the same samples.

    python tests/measurements/bench_promises.py [--runs 100] [--busy] [--framework numpy|torch] [--json FILE]

A run is one bench: a layer that drops ten slices (the reference, twice), the same layer once more (A/A), and one that drops
eleven (10 % more of the same work). ``--busy``: another process spins on one core on purpose. The rules beside it:

``pytest-benchmark mean/min``  `--benchmark-compare-fail=mean:5%` and `min:5%`: the new value 5 % above the old one. It times
                               one test after the other; here its samples are all blocks of all processes, which is kinder.
``pyperf``                     Student's two-sample t-test at 95 %, which its `compare_to` calls significant.
``torch.utils.benchmark``      has no verdict of its own: medians that differ after `Measurement.significant_figures` digits,
                               which is what its `Compare` prints.

Printed: of how many runs each rule calls A/A different, and finds the slow-down. Raw figures with ``--json``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from dropcheck.speed.ratio import LEVEL, MARGIN
from dropcheck.speed.run import BenchRequest, prepare
from dropcheck.speed.runner import measure
from dropcheck.speed.summary import summarise

LAYERS = {
    "numpy": """
import numpy as np

def many(count):
    def layer(x, rate, *, training, rng):
        for _ in range(count):
            y = np.where(rng.random((*x.shape[:2], 1)) < rate, x.dtype.type(0), x * x.dtype.type(1 / (1 - rate)))
        return y
    return layer

ten, again, eleven = many(10), many(10), many(11)
""",
    "torch": """
import torch

def many(count):
    class Layer(torch.nn.Module):
        def __init__(self, rate):
            super().__init__()
            self.drop = torch.nn.Dropout1d(rate)

        def forward(self, x):
            for _ in range(count):
                y = self.drop(x)
            return y
    return Layer

ten, again, eleven = many(10), many(10), many(11)
""",
}
CELL = "8,64,64 float32 rate=0.5 forward"


def spin() -> None:
    """Takes one core until it is killed."""
    while True:
        pass


def pyperf_rule(new: Any, old: Any) -> bool:
    return bool(stats.ttest_ind(new, old).pvalue < 0.05)


def torch_rule(new: Any, old: Any) -> bool:
    try:
        from torch.utils.benchmark import Measurement
        from torch.utils.benchmark.utils.common import TaskSpec
    except ImportError:
        return False

    def shown(values: Any) -> float:
        one = Measurement(number_per_run=1, raw_times=list(values), task_spec=TaskSpec("", ""))
        return float(f"{one.median:.{one.significant_figures - 1}e}")

    return shown(new) != shown(old)


RULES = {
    "pytest-benchmark mean +5 %": lambda new, old: float(np.mean(new)) > 1.05 * float(np.mean(old)),
    "pytest-benchmark min +5 %": lambda new, old: float(np.min(new)) > 1.05 * float(np.min(old)),
    "pyperf t-test": pyperf_rule,
    "torch.utils.benchmark digits": torch_rule,
}


def one_run(folder: Path, seed: int, processes: int, blocks: int) -> dict[str, Any]:
    """Verdicts of one bench and of the other rules on its samples."""
    names = [f"{folder}/mine.py:{n}" for n in ("ten", "again", "eleven")]
    request = BenchRequest(
        targets=tuple(names), cells=(CELL,), processes=processes, blocks=blocks, threads=1, seed=seed, slot_ms=10.0
    )
    plan = prepare(request)
    raw = measure(plan, lambda lane, cell, version: "")
    made = summarise(plan, raw, MARGIN, LEVEL, None)
    told = {c.target.rpartition(":")[2]: c for c in made.comparisons}
    times = {
        n: [s.device_ns / 1e9 for s in raw.samples if s.target.endswith(":" + n) and s.what == "target" and not s.again]
        for n in ("ten", "again", "eleven")
    }
    found: dict[str, Any] = {
        "seed": seed,
        "resolution": made.resolution,
        "copy_fraction": made.yardsticks[0].copy_fraction if made.yardsticks else None,
        "aa_ratio": told["again"].ratio,
        "slow_ratio": told["eleven"].ratio,
        "dropcheck": [told["again"].verdict, told["eleven"].verdict],
    }
    for name, rule in RULES.items():
        found[name] = [bool(rule(times["again"], times["ten"])), bool(rule(times["eleven"], times["ten"]))]
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--runs", type=int, default=100)
    words.add_argument("--busy", action="store_true")
    words.add_argument("--framework", choices=sorted(LAYERS), default="numpy")
    words.add_argument("--processes", type=int, default=9)
    words.add_argument("--blocks", type=int, default=7)
    words.add_argument("--json", type=Path)
    given = words.parse_args()
    load = multiprocessing.Process(target=spin, daemon=True)
    if given.busy:
        load.start()
    start, runs = time.monotonic(), []
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "mine.py").write_text(LAYERS[given.framework])
            for number in range(given.runs):
                runs.append(one_run(folder, 1000 + number, given.processes, given.blocks))
                print(f"{number + 1} of {given.runs}: {runs[-1]['dropcheck']}", file=sys.stderr, flush=True)
                if given.json:
                    given.json.write_text(json.dumps(runs, indent=1))
    finally:
        if given.busy:
            load.kill()
    count = len(runs)
    print(f"{count} runs, {given.framework}, load {os.getloadavg()[0]:.1f}, {time.monotonic() - start:.0f} s")
    alarms = sum(r["dropcheck"][0] in ("faster", "slower") for r in runs)
    caught = sum(r["dropcheck"][1] == "slower" for r in runs)
    print(f"{'rule':<32}{'A/A called different':>22}{'10 % slow-down found':>22}")
    print(f"{'dropcheck':<32}{alarms:>22}{caught:>22}")
    for name in RULES:
        print(f"{name:<32}{sum(r[name][0] for r in runs):>22}{sum(r[name][1] for r in runs):>22}")
    print("A/A verdicts of dropcheck:", dict(Counter(r["dropcheck"][0] for r in runs)))
    print("slow-down verdicts of dropcheck:", dict(Counter(r["dropcheck"][1] for r in runs)))
    middle = float(np.median([r["resolution"] for r in runs]))
    slow = float(np.median([r["slow_ratio"] for r in runs]))
    print(f"median resolution {middle:.1%}; median ratio of the slow-down {slow:.3f}")


if __name__ == "__main__":
    main()
