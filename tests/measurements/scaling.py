"""How the cost of an audit grows: processor time and memory against targets, drop decisions, layers of a model, and on Dask.

    python tests/measurements/scaling.py [targets|coins|layers|dask|memory] [--most N] [--out FILE.json]

Each size is one command in processes of its own: user and system time of all of them, and the largest resident size of all that
live at once. The exponent is the slope of log(cost) against log(size) between the two largest sizes:
what every audit pays once (imports, start of processes) is taken out first, as the cost of the smallest size.

``targets``: 1, 4, 16 and 64 NumPy layers of one file, all families in float32. ``coins``: one large case of 10^7 to 10^9
decisions. ``layers``: a PyTorch model of 1 to 200 dropout layers, the checks of the whole model. ``dask``: as ``coins``, counted on
a local cluster of two workers. ``--most`` leaves out sizes above it.

``memory``: a standard audit of torch.Dropout1d against one process that imports PyTorch and calls the layer once: what all its
processes hold at the peak, shared pages divided among those that share them (PSS; resident size where the system has none).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROWS, CHANNELS = 1025, 64
CASE = "float32 rate=0.3 1025,64,4 calls={calls}"
COUNTED = "mask,rate.marginal,rate.per-channel,rate.per-sample"

LAYER = '''
class Layer{number}:
    """One of many: each element of (sample, channel) by itself."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, x, *, training, rng):
        if not training or self.rate == 0:
            return x
        keep = rng.random((*x.shape[:2], 1)) >= self.rate
        return (np.where(keep, x / (1 - self.rate), 0)).astype(x.dtype)
'''

MODEL = """
import torch
from torch import nn

model = nn.Sequential(*[part for _ in range({number}) for part in (nn.Conv1d(8, 8, 1), nn.Dropout1d(0.2))])
"""


class Cost:
    """Processor seconds and peak resident MB of the commands that ran in the block."""

    cpu = peak = wall = 0.0
    processes = 0  # at the peak


def size_of(process: psutil.Process, proportional: bool) -> float:
    """Resident MB of a process; ``proportional``: its share of what several processes have in common. 0 where it has ended."""
    try:
        if proportional and hasattr(found := process.memory_full_info(), "pss"):
            return float(found.pss) / 2**20
        return float(process.memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0


@contextmanager
def measured(proportional: bool = False) -> Iterator[Cost]:
    """What all processes below this one cost while the block runs."""
    cost, over = Cost(), threading.Event()
    seen: dict[int, float] = {}  # of each process when it was last looked at: whoever is killed is waited for by nobody

    def watch() -> None:
        me = psutil.Process()
        while not over.wait(0.1):
            below = me.children(recursive=True)
            for process in below:
                with suppress(psutil.Error):
                    spent = process.cpu_times()
                    seen[process.pid] = spent.user + spent.system
            held = [mb for process in below if (mb := size_of(process, proportional)) > 1]
            if sum(held) > cost.peak:
                cost.peak, cost.processes = sum(held), len(held)

    thread = threading.Thread(target=watch)
    thread.start()
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    try:
        yield cost
    finally:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cost.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        cost.wall = time.monotonic() - start
        over.set()
        thread.join()
        cost.cpu = max(cost.cpu, sum(seen.values()))


def audit(*words: str) -> None:
    """One audit in processes of its own; what it finds is not looked at, that it ends is."""
    command = [sys.executable, "-m", "dropcheck", "audit", *words, "--jobs", "1"]
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run([*command, "--json", f"{folder}/r.json"], capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1, 3), ended.stderr[-2000:]


def targets(size: int) -> None:
    """So many layers of one file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "many.py")
        path.write_text("import numpy as np\n" + "\n".join(LAYER.format(number=i) for i in range(size)))
        audit(*(f"{path}:Layer{i}" for i in range(size)), "--profile", "quick", "--dtype", "float32")


def _calls(size: int) -> int:
    return max(4, round(size / (ROWS * CHANNELS)))


def coins(size: int) -> None:
    """One case of so many decisions."""
    audit("torch.Dropout1d", "--case", CASE.format(calls=_calls(size)), "--select", COUNTED)


def layers(size: int) -> None:
    """A model of so many dropout layers, its own checks alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.py")
        path.write_text(MODEL.format(number=size))
        audit(f"{path}:model", "--input", "4,8,16", "--select", "site")


def dask(size: int) -> None:
    """As ``coins``, on two workers of a local cluster; their time counts, that of starting the cluster, too."""
    code = (
        "import subprocess, sys, distributed\n"
        "if __name__ == '__main__':\n"
        "    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:\n"
        "        words = [sys.executable, '-m', 'dropcheck', 'audit', 'torch.Dropout1d', '--dask', cluster.scheduler_address]\n"
        f"        more = ['--case', {CASE.format(calls=_calls(size))!r}, '--select', {COUNTED!r}]\n"
        "        assert subprocess.run([*words, *more], stdout=subprocess.DEVNULL).returncode in (0, 1, 3)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "on_dask.py")
        path.write_text(code)
        subprocess.run([sys.executable, str(path)], check=True, capture_output=True)


def memory() -> None:
    """A standard audit of one PyTorch target over the framework's own."""
    code = "import time, torch; torch.nn.Dropout1d(0.5)(torch.ones(8, 8, 8)); time.sleep(1)"
    with measured(proportional=True) as alone:
        subprocess.run([sys.executable, "-c", code], check=True)
    with measured(proportional=True) as whole:
        audit("torch.Dropout1d", "--profile", "standard")
    print(
        f"memory: standard audit of torch.Dropout1d {whole.peak:.0f} MB in {whole.processes} processes, PyTorch and one call "
        f"{alone.peak:.0f} MB: {whole.peak - alone.peak:.0f} MB more"
    )


PARTS: dict[str, tuple[Callable[[int], None], tuple[int, ...]]] = {
    "targets": (targets, (1, 4, 16, 64)),
    "layers": (layers, (1, 10, 50, 200)),
    "coins": (coins, (10**6, 10**7, 10**8, 10**9)),
    "dask": (dask, (10**7, 10**8, 10**9)),
}


def exponent(sizes: list[int], costs: list[float]) -> float:
    """Slope of log cost against log size between the last two sizes, the smallest size's cost taken out of both."""
    if len(sizes) < 3 or min(costs[-2:]) <= costs[0]:
        return math.nan
    return math.log((costs[-1] - costs[0]) / (costs[-2] - costs[0])) / math.log(sizes[-1] / sizes[-2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all of them")
    parser.add_argument("--most", type=float, default=math.inf, help="no size above it")
    parser.add_argument("--out", type=Path, help="a file for the figures")
    asked = parser.parse_args()
    known = (*PARTS, "memory")
    if unknown := set(asked.parts) - set(known):
        parser.error(f"unknown part {sorted(unknown)[0]!r}; the parts are {', '.join(known)}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = []
    for part in asked.parts or known:
        if part == "memory":
            memory()
            continue
        run, sizes = PARTS[part]
        done: list[tuple[int, Cost]] = []
        for size in (s for s in sizes if s <= asked.most):
            with measured() as cost:
                run(size)
            done.append((size, cost))
            rows.append({"part": part, "size": size, "cpu_s": cost.cpu, "peak_mb": cost.peak, "wall_s": cost.wall})
            print(
                f"{part} {size:,}: processor {cost.cpu:.1f} s, peak {cost.peak:.0f} MB, {cost.wall:.0f} s", flush=True
            )
            if asked.out is not None:
                asked.out.write_text(json.dumps(rows, indent=1) + "\n")
        each = [size for size, _ in done]
        print(
            f"{part}: exponent of processor time {exponent(each, [c.cpu for _, c in done]):.2f}, of memory "
            f"{exponent(each, [c.peak for _, c in done]):.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
