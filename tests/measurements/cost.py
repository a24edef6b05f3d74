"""What the statistics cost: time over the bare layer for the same coins, and memory as coins grow tenfold.

    python tests/measurements/cost.py [TARGET ...]

Each pair runs the bare layer and the audited layer one after the other, so that both meet the same load; the ratio of a
pair is wall time of everything (calls, proof, packing, pipe, counting, judging) over the time of the calls alone.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time

import psutil

from dropcheck import targets
from dropcheck.auditing import AuditRequest, run
from dropcheck.worker.client import ProcessSession, ask

RATE, ROWS, CHANNELS, SHARED = 0.3, 1025, 64, 4
CALLS, PAIRS = 2000, 5


def bare(name: str, calls: int) -> float:
    """Seconds of the calls alone, in a worker of its own."""
    target = targets.parse(name)
    session = ProcessSession(environment=dict(target.environment), path=target.path, packages=target.packages)
    try:
        opened = ask(session, "open", locator=target.locator, source=target.source, pattern=None)
        from dropcheck.contract import Pattern

        shape = list(Pattern.parse(opened["contract"]["pattern"]).shape(ROWS, CHANNELS, SHARED))
        ask(session, "bare", rate=RATE, dtype="float32", shape=shape, calls=20)
        return float(ask(session, "bare", rate=RATE, dtype="float32", shape=shape, calls=calls)["bare_s"])
    finally:
        session.close()


def audited(name: str, calls: int) -> tuple[float, int]:
    """Seconds of one case with every check of masks and rates, without start-up; coins."""
    case = f"float32 rate={RATE:g} {ROWS},{CHANNELS},{SHARED} calls={calls}"
    names = ("mask", "rate.marginal", "rate.per-channel", "rate.per-sample", "scale.kept-values")
    result = run(AuditRequest(targets=(name,), cases=(case,), select=names, profile="standard"))
    (target,) = result.targets
    assert target.error is None, target.error
    return target.timing.wall_s - target.timing.start_s, target.coins


class Peak:
    """Largest resident size of this process and its children while the block runs, in MB."""

    def __enter__(self) -> Peak:
        self.most, self.on = 0.0, True
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        me = psutil.Process()
        while self.on:
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.most = max(self.most, total / 2**20)
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self.on = False
        self.thread.join()


def main() -> None:
    names = sys.argv[1:] or ["torch.Dropout1d", "custom.reference", "keras.SpatialDropout1D@torch"]
    audited("custom.reference", 64)  # imports and caches of this process
    for name in names:
        ratios, coins = [], 0
        for _ in range(PAIRS):
            alone = bare(name, CALLS)
            whole, coins = audited(name, CALLS)
            ratios.append(whole / alone)
        print(
            f"{name}: {coins:,} coins; audited / bare {statistics.median(ratios):.3f} "
            f"(from {min(ratios):.3f} to {max(ratios):.3f} over {PAIRS} pairs)"
        )
    peaks = []
    for calls in (155, 1550):
        with Peak() as peak:
            _, coins = audited(names[0], calls)
        peaks.append(peak.most)
        print(f"{names[0]}: {coins:,} coins, peak resident size of suite and worker {peak.most:.0f} MB")
    print(f"growth for ten times the coins: {peaks[1] - peaks[0]:.0f} MB")


if __name__ == "__main__":
    main()
