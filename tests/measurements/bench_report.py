"""The page and the figures of a folder of bench results, written by bench_everything.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dropcheck.speed.records import BenchResult


def write(found: Sequence[BenchResult], out: Path) -> None:
    """OUT/README.md and its figures."""
