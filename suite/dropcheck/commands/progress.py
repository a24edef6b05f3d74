"""Progress on standard error: a live table on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Any

from dropcheck.auditing.run import Event
from dropcheck.results.plain_text import line

_EVERY_S = 10.0


def seconds(value: float | None) -> str:
    """``12 s``, ``3 min``, or nothing where it is not known."""
    if value is None:
        return ""
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"


class Plain:
    """For logs and pipes: one line when a target starts and ends, and one every ten seconds between."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        with self.lock:
            if event.state == "preparing":
                print(f"dropcheck: {event.message}", file=sys.stderr, flush=True)
                return
            ended = event.state in ("finished", "failed")
            if not ended and event.state != "starting" and now - self.last.get(event.target, 0.0) < _EVERY_S:
                return
            self.last[event.target] = now
            if ended:
                text = f"{line(event.target)}: {event.message} after {seconds(event.elapsed_s)}"
            elif event.state == "starting":
                text = f"{line(event.target)}: starting"
            else:
                left = f", about {seconds(event.remaining_s)} left" if event.remaining_s is not None else ""
                text = f"{line(event.target)}: {event.done:.0%} after {seconds(event.elapsed_s)}{left}"
            print(text, file=sys.stderr, flush=True)


class Live:
    """For terminals: one bar a target, with elapsed and remaining time."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.bars = Progress(
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            TextColumn("{task.fields[word]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self.tasks: dict[str, Any] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> Live:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def __call__(self, event: Event) -> None:
        with self.lock:
            if event.state == "preparing":
                self.bars.console.print(f"dropcheck: {event.message}", markup=False, highlight=False)
                return
            if event.target not in self.tasks:
                self.tasks[event.target] = self.bars.add_task(
                    "", total=1.0, name=line(event.target, 40), left="", word=""
                )
            left = f"{seconds(event.remaining_s)} left" if event.remaining_s and event.done < 1 else ""
            self.bars.update(self.tasks[event.target], completed=event.done, left=left, word=line(event.message, 40))


def reporter() -> Plain | Live:
    """The kind that fits standard error."""
    return Live() if sys.stderr.isatty() else Plain()
