"""What the statistics cost: time over the bare layer for the same coins, memory as coins grow, and two workers over one.

    python tests/measurements/cost.py [whole|bulk|plan|processor|memory|workers] [TARGET ...]

``whole``: what a user waits for. All coins of a standard audit as it runs by default, a session a core, over a plain loop of the
same calls in one process that has all cores; pairs one after the other.

``bulk``: one large case, one session. A pair runs the bare layer and the audited layer one after the other: both meet the
same load; the ratio of a pair is wall time of everything (calls, proof, packing, pipe, counting, judging) over the time
of the calls alone. ``plan``: all coins of a standard audit, the same ratio, the calls timed where they are made.
``processor``: user and system time of a whole ``dropcheck audit --profile standard``, all processes and their start included, over
that of one worker that opens the target and makes the same calls in a plain loop; pairs one after the other.
``memory``: resident size of suite and worker at 10^7, 10^8 and 10^9 coins. ``workers``: one case on one session and on two,
in turn. On a machine with other work to do the ratios are too large: the layer and its counting share the cores.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import psutil

from dropcheck.auditing.run import AuditRequest, run
from dropcheck.auditing.run import plan as planned
from dropcheck.contract.cases import Case, parse_case
from dropcheck.contract.promise import Pattern
from dropcheck.judge.checks import CHECKS
from dropcheck.plan import targets
from dropcheck.worker.client import ProcessSession, ask

RATE, ROWS, CHANNELS, SHARED = 0.3, 1025, 64, 4
CALLS, PAIRS = 6000, 5
PARTS = ("whole", "bulk", "plan", "processor", "memory", "workers")
EXACT = tuple(c.name for c in CHECKS if c.observe is not None)  # checks that count no coins


def bare(name: str, calls: int) -> float:
    """Seconds of the calls of the one large case alone, in a worker of its own."""
    return loop(name, [Case("float32", RATE, ROWS, CHANNELS, SHARED, calls)])


def audited(name: str, calls: int) -> tuple[float, int]:
    """Seconds of one case with every check of masks and rates, without start-up; coins."""
    case = f"float32 rate={RATE:g} {ROWS},{CHANNELS},{SHARED} calls={calls}"
    names = ("mask", "rate.marginal", "rate.per-channel", "rate.per-sample", "scale.kept-values")
    result = run(AuditRequest(targets=(name,), cases=(case,), select=names, profile="standard", jobs=1))
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


def bulk(names: list[str]) -> None:
    """Ratio for one large case, pair by pair."""
    audited("custom.reference", 64)  # imports and caches of this process
    for name in names:
        ratios, coins = [], 0
        for _ in range(PAIRS):
            alone = bare(name, CALLS)
            whole, coins = audited(name, CALLS)
            ratios.append(whole / alone)
        print(
            f"{name}: {coins:,} coins; audited / bare {statistics.median(ratios):.3f} "
            f"(from {min(ratios):.3f} to {max(ratios):.3f} over {PAIRS} pairs)",
            flush=True,
        )


def loop(name: str, cases: list[Case]) -> float:
    """Seconds of the calls of some cases in a plain loop: one process, nothing looked at."""
    target = targets.parse(name)
    session = ProcessSession(environment=dict(target.environment), path=target.path, packages=target.packages)
    try:
        opened = ask(session, "open", locator=target.locator, source=target.source, pattern=None)
        pattern, spent = Pattern.parse(opened["contract"]["pattern"]), 0.0
        for case in cases:
            seeds = case.calls // 2 if case.regime == "seeds" else 1
            calls = 2 if case.regime == "seeds" else case.calls
            shapes = case.shapes(pattern)
            for shape in shapes:
                spent += float(
                    ask(
                        session,
                        "bare",
                        rate=case.rate,
                        dtype=case.dtype,
                        shape=list(shape),
                        calls=-(-calls // len(shapes)),
                        layout=case.layout,
                        record=case.grad,
                        way=case.way or None,
                        seeds=seeds,
                    )["bare_s"]
                )
        return spent
    finally:
        session.close()


def whole(names: list[str]) -> None:
    """A standard audit's counted cases by default, over the plain loop."""
    for name in names:
        ratios, coins, alone = [], 0, 0.0
        cases = [
            parse_case(c.case)
            for c in planned(AuditRequest(targets=(name,), ignore=EXACT, profile="standard"))[0].cases
        ]
        for _ in range(PAIRS):
            alone = loop(name, cases)
            (target,) = run(AuditRequest(targets=(name,), ignore=EXACT, profile="standard")).targets
            assert target.error is None, target.error
            ratios.append((target.timing.wall_s - target.timing.start_s) / alone)
            coins = target.coins
        print(
            f"{name}: {coins:,} coins; default audit / plain loop {statistics.median(ratios):.3f} (from {min(ratios):.3f} to "
            f"{max(ratios):.3f} over {PAIRS} pairs; loop {alone:.1f} s)",
            flush=True,
        )


def plan(names: list[str]) -> None:
    """Ratio for all counted cases of a standard audit: one session, so that nothing runs beside but the counting."""
    for name in names:
        result = run(AuditRequest(targets=(name,), ignore=EXACT, profile="standard", jobs=1))
        (target,) = result.targets
        assert target.error is None, target.error
        t = target.timing
        wall = t.wall_s - t.start_s
        print(
            f"{name}: {target.coins:,} coins; wall / bare {wall / t.bare_s:.3f}; bare {t.bare_s:.1f} s, calls with proof "
            f"{t.gather_s / t.bare_s:.3f}, counting {t.tally_s / t.bare_s:.3f}, judging {t.judge_s / t.bare_s:.3f} of it",
            flush=True,
        )


def spent() -> float:
    """User and system seconds of all processes that this one started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processor(names: list[str]) -> None:
    """A whole standard audit over a worker that makes the same calls and nothing else, both with their start."""
    for name in names:
        request = AuditRequest(targets=(name,), ignore=EXACT, profile="standard")
        cases = [parse_case(c.case) for c in planned(request)[0].cases]
        command = [sys.executable, "-m", "dropcheck", "audit", name, "--profile", "standard", "--jobs", "1"]
        ratios = []
        for _ in range(PAIRS):
            before = spent()
            loop(name, cases)
            alone, before = spent() - before, spent()
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # 1: it fails
            whole = spent() - before
            ratios.append(whole / alone)
            print(f"{name}: processor {whole:.1f} over {alone:.1f} s = {ratios[-1]:.2f}", flush=True)
        print(f"{name}: median {statistics.median(ratios):.2f}")


def peak(name: str, calls: int) -> tuple[int, float]:
    """Coins of the large case, and the peak resident size of this process and its worker while they are audited."""
    with Peak() as most:
        _, coins = audited(name, calls)
    return coins, most.most


def memory(name: str) -> None:
    """Peak resident size as the coins of one case grow, each size in a process of its own."""
    peaks = []
    for calls in (155, 1550, 15500):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            coins, most = pool.submit(peak, name, calls).result()
        peaks.append(most)
        print(f"{name}: {coins:,} coins, peak resident size of suite and worker {most:.0f} MB", flush=True)
    print(f"growth for a hundred times the coins: {peaks[-1] - peaks[0]:.0f} MB")


def workers(name: str) -> None:
    """One worker against two on the same case, in turn: on the same cores, and each worker with one core to itself.

    One worker alone is counted for by a second core already, so that on two cores it has more than its share. The second
    ratio holds one worker, its counting included, to one core, and gives two workers two.
    """
    case = f"float32 rate={RATE:g} {ROWS},{CHANNELS},{SHARED} calls=16000"
    cores = sorted(psutil.Process().cpu_affinity() or [])[:2]
    ways = {"one on both cores": (1, cores), "one on one core": (1, cores[:1]), "two": (2, cores)}
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(PAIRS):
        for way, (jobs, allowed) in ways.items():
            psutil.Process().cpu_affinity(allowed)
            (target,) = run(
                AuditRequest(
                    targets=(name,), cases=(case,), select=("mask", "rate"), ignore=("rate.zero", "rate.one"), jobs=jobs
                )
            ).targets
            assert target.error is None, target.error
            took[way].append(target.timing.wall_s - target.timing.start_s)
    psutil.Process().cpu_affinity(cores)
    for way in list(ways)[:2]:
        ratios = [one / two for one, two in zip(took[way], took["two"], strict=True)]
        print(
            f"{name}: two workers on two cores are {statistics.median(ratios):.2f} times as fast as {way} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def main() -> None:
    words = sys.argv[1:]
    parts = [w for w in words if w in PARTS] or list(PARTS)
    names = [w for w in words if w not in parts]
    if "whole" in parts:
        whole(names or ["torch.Dropout1d", "keras.SpatialDropout1D@torch", "keras.SpatialDropout1D@jax"])
    if "bulk" in parts:
        bulk(names or ["torch.Dropout1d", "custom.reference", "keras.SpatialDropout1D@torch"])
    if "plan" in parts:
        plan(names or ["torch.Dropout1d", "keras.SpatialDropout1D@jax", "keras.SpatialDropout1D@tensorflow"])
    if "processor" in parts:
        processor(names or ["torch.Dropout1d"])
    if "memory" in parts:
        memory((names or ["torch.Dropout1d"])[0])
    if "workers" in parts:
        workers((names or ["custom.reference"])[0])


if __name__ == "__main__":
    main()
