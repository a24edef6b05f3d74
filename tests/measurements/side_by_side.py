"""What an audit costs under two trees of the source, both at once, so that both meet the same load.

    python tests/measurements/side_by_side.py PAIRS TREE OTHER_TREE TARGET[,TARGET...] ... [-- OPTION ...]

Processor time is that of the command and of all processes that it started and waited for.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time


def audit(tree: str, words: list[str], told: dict[str, tuple[float, float]]) -> None:
    """Processor and wall seconds of one command under one tree, into ``told``."""
    variables = {**os.environ, "PYTHONPATH": f"{tree}/suite:{tree}/implementations", "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "dropcheck", "audit", *words],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, _, spent = os.wait4(process.pid, 0)
    told[tree] = spent.ru_utime + spent.ru_stime, time.perf_counter() - began


def pairs(count: int, trees: list[str], targets: list[str], options: list[str]) -> None:
    """Both trees at once, ``count`` times a target."""
    for target in targets:
        ratios: list[tuple[float, float]] = []
        for _ in range(count):
            told: dict[str, tuple[float, float]] = {}
            words = [*target.split(","), "--jobs", "1", *options]
            both = [threading.Thread(target=audit, args=(tree, words, told)) for tree in trees]
            for one in both:
                one.start()
            for one in both:
                one.join()
            (cpu, wall), (other_cpu, other_wall) = (told[tree] for tree in trees)
            ratios.append((cpu / other_cpu, wall / other_wall))
            print(
                f"{target}: processor {cpu:.2f} over {other_cpu:.2f} s = {ratios[-1][0]:.3f}, by the clock {wall:.1f} over "
                f"{other_wall:.1f} s = {ratios[-1][1]:.3f}, load {os.getloadavg()[0]:.0f}",
                flush=True,
            )
        medians = [statistics.median(column) for column in zip(*ratios, strict=True)]
        print(f"{target}: medians {medians[0]:.3f} and {medians[1]:.3f}", flush=True)


def main() -> None:
    words = sys.argv[1:]
    options = words[words.index("--") + 1 :] if "--" in words else []
    words = words[: words.index("--")] if "--" in words else words
    pairs(int(words[0]), words[1:3], words[3:], options)


if __name__ == "__main__":
    main()
