"""Samples of a bench in the JSON of pytest-benchmark, so that its `compare` and other people's tools read them."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dropcheck.results.audit import write_atomically
from dropcheck.results.bench import BenchResult, Speed

VERSION = "5.0.0"  # of the format that is written


def stats(data: Sequence[float], loops: int) -> dict[str, Any]:
    """The numbers that pytest-benchmark keeps of rounds (seconds a call), by its own definitions."""
    ordered = sorted(data)
    mean = statistics.fmean(ordered)
    middle = statistics.median(ordered)
    deviation = statistics.stdev(ordered) if len(ordered) > 1 else 0.0
    q1, q3 = _quartiles(ordered)
    iqr = q3 - q1
    low = next((x for x in ordered if x >= q1 - 1.5 * iqr), ordered[0])
    high = next((x for x in reversed(ordered) if x <= q3 + 1.5 * iqr), ordered[-1])
    by_iqr = sum(1 for x in ordered if x < q1 - 1.5 * iqr or x > q3 + 1.5 * iqr)
    by_deviation = sum(1 for x in ordered if x < mean - deviation or x > mean + deviation)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": deviation,
        "rounds": len(ordered),
        "median": middle,
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": by_iqr,
        "stddev_outliers": by_deviation,
        "outliers": f"{by_deviation};{by_iqr}",
        "ld15iqr": low,
        "hd15iqr": high,
        "ops": 1 / mean if mean else 0.0,
        "total": sum(ordered),
        "iterations": loops,
    }


def _quartiles(ordered: Sequence[float]) -> tuple[float, float]:
    """Quartiles as pytest-benchmark takes them: medians of the halves, and for odd counts the weights of the third method of
    https://en.wikipedia.org/wiki/Quartile#Computing_methods."""
    count = len(ordered)
    if count == 1:
        return ordered[0], ordered[0]
    half, m = count // 2, count // 4
    if count % 2 == 0:
        return statistics.median(ordered[:half]), statistics.median(ordered[half:])
    if count % 4 == 1:
        return 0.25 * ordered[m - 1] + 0.75 * ordered[m], 0.75 * ordered[3 * m] + 0.25 * ordered[3 * m + 1]
    return 0.75 * ordered[m] + 0.25 * ordered[m + 1], 0.25 * ordered[3 * m + 1] + 0.75 * ordered[3 * m + 2]


def document(result: BenchResult) -> dict[str, Any]:
    """The whole file: one benchmark for each target and cell that was measured."""
    entries = []
    for one in result.speeds:
        if one.state == "measured":
            entries.append(_entry(result, one))
    return {
        "machine_info": {
            "node": "",  # no host is named
            "processor": platform.processor(),
            "machine": platform.machine(),
            "python_version": platform.python_version(),
            "python_implementation": platform.python_implementation(),
            "system": platform.system(),
            "release": platform.release(),
            "cpu": {"brand_raw": result.environment.get("processor", ""), "count": result.environment.get("cores")},
        },
        "commit_info": {"id": "unknown", "time": None, "dirty": False, "error": "not recorded", "branch": "(unknown)"},
        "benchmarks": entries,
        "datetime": datetime.now(UTC).isoformat(),
        "version": VERSION,
    }


def extra(one: Speed) -> dict[str, Any]:
    """What pytest-benchmark's own numbers do not say of a cell; seconds and bytes."""
    return {
        "bytes": one.moved,
        "limit_s": one.limit_s,
        "fraction_of_limit": one.fraction,
        "device_s": one.device_s,
        "host_s": one.host_s,
        "first_s": one.first_s,
        "peak_memory_bytes": one.memory,
        "how": one.how,
    }


def _entry(result: BenchResult, one: Speed) -> dict[str, Any]:
    samples = [
        s
        for s in result.samples
        if s.target == one.target and s.cell == one.cell and s.what == "target" and not s.again
    ]
    data = [s.device_ns / 1e9 for s in samples]
    cell = result.cells[one.cell]
    name = f"{one.target}[{cell}]"
    return {
        "group": cell,
        "name": name,
        "fullname": f"dropcheck bench::{name}",
        "params": {"target": one.target, "cell": cell},
        "param": cell,
        "extra_info": extra(one),
        "options": {
            "disable_gc": True,
            "timer": "perf_counter",
            "min_rounds": len(data),
            "max_time": 0.0,
            "min_time": result.slot_ms / 1e3,
            "warmup": True,
        },
        "stats": {**stats(data, samples[0].loops), "data": data},
    }


def save(result: BenchResult, path: Path) -> None:
    """Write the file atomically."""
    write_atomically(path, (json.dumps(document(result), indent=1) + "\n").encode())
