"""Identical code, and code that does a tenth more work: what dropcheck's verdicts say, and other tools' rules on the same samples.

    python tests/measurements/bench_promises.py [--runs 100] [--busy] [--framework numpy|torch] [--raw FILE] [--minutes 5]

A run is one bench: a layer that drops ten slices (the reference, twice), the same layer once more (A/A), and one that drops
eleven (10 % more of the same work). ``--busy``: another process spins on one core on purpose. The rules beside it:

``pytest-benchmark mean/min``  `--benchmark-compare-fail=mean:5%` and `min:5%`: the new value 5 % above the old one. It times
                               one test after the other; here its samples are all blocks of all processes, which is kinder.
``pyperf``                     Student's two-sample t-test at 95 %, which its `compare_to` calls significant.
``torch.utils.benchmark``      has no verdict of its own: medians that differ after `Measurement.significant_figures` digits,
                               which is what its `Compare` prints.

Printed: of how many runs each rule calls A/A different, and finds the slow-down. ``--raw FILE`` keeps every sample, a line a
run, and goes on where the file ends; ``--minutes`` ends this call early, so that the runs can be made in pieces. Everything
that is printed is computed from the file, by whatever the rules are now: ``--runs 0`` only computes.
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

from dropcheck.speed.ratio import LEVEL, MARGIN, Interval, judge, over_processes, process_median
from dropcheck.speed.run import BenchRequest, prepare
from dropcheck.speed.runner import measure

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
    """Takes one core until it is killed, at ordinary priority, whatever that of the runs is."""
    os.nice(max(0, -os.nice(0)))
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
    """The samples of one bench: by layer a list of processes, each a list of blocks, in nanoseconds a call."""
    names = [f"{folder}/mine.py:{n}" for n in ("ten", "again", "eleven")]
    request = BenchRequest(
        targets=tuple(names), cells=(CELL,), processes=processes, blocks=blocks, threads=1, seed=seed, slot_ms=10.0
    )
    start = time.monotonic()
    raw = measure(prepare(request), lambda lane, cell, version: "")
    times: dict[str, list[list[float]]] = {}
    for who in ("ten", "placebo", "again", "eleven", "copy", "copy again"):
        layer = {"placebo": "ten", "copy": "ten", "copy again": "ten"}.get(who, who)
        what = {"copy": "copy:numpy", "copy again": "again:copy:numpy"}.get(who, "target")
        times[who] = [
            [
                round(s.device_ns, 1)
                for s in raw.samples
                if (s.process, s.what, s.again) == (process, what, who == "placebo") and s.target.endswith(":" + layer)
            ]
            for process in range(processes)
        ]
    return {
        "seed": seed,
        "nice": os.nice(0),
        "load": round(os.getloadavg()[0], 2),
        "s": round(time.monotonic() - start, 1),
        "ns": times,
    }


def told(run: dict[str, Any]) -> dict[str, Any]:
    """What every rule says of one run's samples, on A/A and on the slow-down."""
    ns = run["ns"]

    def interval(one: str, two: str) -> Interval:
        return over_processes([process_median(a, b) for a, b in zip(ns[one], ns[two], strict=True) if a and b])

    (aa,), (slow,) = judge([interval("again", "ten")], MARGIN, LEVEL), judge([interval("eleven", "ten")], MARGIN, LEVEL)
    (placebo,) = judge([interval("placebo", "ten")], MARGIN, LEVEL)
    differs = placebo.verdict in ("faster", "slower")
    found: dict[str, Any] = {
        "resolution": float(np.expm1(interval("placebo", "ten").half_width(LEVEL))),
        "copy": float(np.exp(interval("copy", "copy again").mean)),
        "aa_ratio": aa.ratio,
        "slow_ratio": slow.ratio,
        "dropcheck": ["inconclusive" if differs else one.verdict for one in (aa, slow)],
    }
    flat = {name: [t for process in some for t in process] for name, some in ns.items()}
    for name, rule in RULES.items():
        found[name] = [bool(rule(flat["again"], flat["ten"])), bool(rule(flat["eleven"], flat["ten"]))]
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--runs", type=int, default=100)
    words.add_argument("--busy", action="store_true")
    words.add_argument("--framework", choices=sorted(LAYERS), default="numpy")
    words.add_argument("--processes", type=int, default=9)
    words.add_argument("--blocks", type=int, default=7)
    words.add_argument("--raw", type=Path, help="a line a run; what is there already counts")
    words.add_argument("--pool", type=int, default=1, help="take so many runs as one, with so many times the processes")
    words.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after so many")
    given = words.parse_args()
    kept = given.raw.read_text().splitlines() if given.raw is not None and given.raw.exists() else []
    runs = [json.loads(text) for text in kept]
    load = multiprocessing.Process(target=spin, daemon=True)
    if given.busy and len(runs) < given.runs:
        load.start()
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "mine.py").write_text(LAYERS[given.framework])
            for number in range(len(runs), given.runs):
                if time.monotonic() - start > given.minutes * 60:
                    break
                runs.append({"busy": given.busy, **one_run(folder, 1000 + number, given.processes, given.blocks)})
                print(f"{number + 1} of {given.runs}: {told(runs[-1])['dropcheck']}", file=sys.stderr, flush=True)
                if given.raw is not None:
                    with given.raw.open("a") as stream:
                        stream.write(json.dumps(runs[-1], separators=(",", ":")) + "\n")
    finally:
        if load.pid is not None:
            load.kill()
    if runs:
        tell(pooled(runs, given.pool), given.framework)


def pooled(runs: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Every ``count`` runs in a row as one: a run of so many times the fresh processes is made no otherwise."""
    made = []
    for i in range(0, len(runs) - count + 1, count):
        some = runs[i : i + count]
        ns = {who: [process for run in some for process in run["ns"][who]] for who in some[0]["ns"]}
        made.append({**some[0], "s": sum(run["s"] for run in some), "ns": ns})
    return made


def tell(runs: list[dict[str, Any]], framework: str) -> None:
    """The table."""
    said = [told(run) for run in runs]
    loads, spent = [r["load"] for r in runs], sum(r["s"] for r in runs)
    busy, processes = sum(r["busy"] for r in runs), len(runs[0]["ns"]["ten"])
    print(
        f"{len(runs)} runs of {processes} processes, {framework}, {busy} of them beside a process that spins, load "
        f"{min(loads):.1f} to {max(loads):.1f} (median {np.median(loads):.1f}), {spent:.0f} s in all"
    )
    alarms = sum(r["dropcheck"][0] in ("faster", "slower") for r in said)
    caught = sum(r["dropcheck"][1] == "slower" for r in said)
    print(f"{'rule':<32}{'A/A called different':>22}{'10 % slow-down found':>22}")
    print(f"{'dropcheck':<32}{alarms:>22}{caught:>22}")
    for name in RULES:
        print(f"{name:<32}{sum(r[name][0] for r in said):>22}{sum(r[name][1] for r in said):>22}")
    print("A/A verdicts of dropcheck:", dict(Counter(r["dropcheck"][0] for r in said)))
    print("slow-down verdicts of dropcheck:", dict(Counter(r["dropcheck"][1] for r in said)))
    for name, key in (
        ("resolution", "resolution"),
        ("ratio of A/A", "aa_ratio"),
        ("ratio of the slow-down", "slow_ratio"),
    ):
        low, middle, high = np.quantile([r[key] for r in said], [0.05, 0.5, 0.95])
        print(f"{name}: median {middle:.3f}, 90 % of runs within {low:.3f} and {high:.3f}")
    copies = [r["copy"] for r in said]
    print(
        f"a copy over itself: median {np.median(copies):.3f}, within 3 % in {sum(abs(c - 1) <= 0.03 for c in copies)} runs"
    )


if __name__ == "__main__":
    main()
