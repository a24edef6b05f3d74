"""Speed under pytest: cells of dropcheck timed by pytest-benchmark. Importing it loads no framework, no SciPy and no pandas.

    from dropcheck.pytest_plugin import cells

    @cells("torch.Dropout1d", "mine.py:MyDropout")          # the quick cells; or profile="standard", or cell=[...]
    def test_speed(dropcheck_benchmark, target, cell):
        dropcheck_benchmark(target, cell)

``pytest --benchmark-only``, ``--benchmark-json`` and ``pytest-benchmark compare`` then work as people know them. Verdicts are
the paired engine's (``dropcheck bench``): these records are for looking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

Timed = Callable[..., dict[str, Any]]
BLOCKS = 5  # for device time and the limit, which pytest-benchmark has no numbers for


def cells(*names: str, profile: str = "quick", cell: Sequence[str] = ()) -> pytest.MarkDecorator:
    """A parametrisation over ``target`` and ``cell``: the same cells that ``dropcheck bench`` times. Raises UsageError."""
    from dropcheck.speed.cells import parse_cell, plan

    some = [parse_cell(text) for text in cell] or list(plan(profile))
    pairs = [(name, str(one)) for one in some for name in names]
    return pytest.mark.parametrize(("target", "cell"), pairs)


class _Timer:
    """What the fixture is: called with a target and a cell, it times it once and fills ``extra_info``."""

    def __init__(self, benchmark: Any) -> None:
        self.benchmark = benchmark
        self.session: Any = None

    def __call__(
        self, target: str, cell: str, *, rounds: int = 20, slot_ms: float = 15.0, threads: int = 0
    ) -> dict[str, Any]:
        """Time ``rounds`` blocks of about ``slot_ms`` milliseconds; a cell that does not apply is skipped with its reason.

        Returns what stands in ``extra_info``: bytes, limit_s, fraction_of_limit, device_s, host_s, first_s, ... The device is
        waited for inside the target. Raises what the layer raises.
        """
        from dropcheck import targets
        from dropcheck.contract import Pattern
        from dropcheck.speed import limit
        from dropcheck.speed.cells import parse_cell
        from dropcheck.speed.run import processors
        from dropcheck.worker.client import LocalSession, Refused, ask

        chosen, one = targets.parse(target), parse_cell(cell)
        self.session = LocalSession()
        try:
            request = {"locator": chosen.locator, "source": chosen.source, "pattern": None, "mode": chosen.mode}
            opened = ask(self.session, "open", **request)
            pattern = Pattern.parse(opened["contract"]["pattern"])
            ask(self.session, "time", do="threads", wanted=threads or processors())
            ready = ask(
                self.session, "time", do="setup", cell=one.request(pattern, 1), slot_ms=slot_ms, yard_ms=slot_ms / 3
            )
        except Refused as refused:
            if refused.where == "unsupported" or refused.kind == "Unsupported":
                pytest.skip(refused.message)
            raise
        watch = self.session.worker.stopwatch
        loop, loops = watch.items["target"], ready["loops"]["target"]
        blocks: list[dict[str, float]] = []
        yards: dict[str, list[float]] = {what: [] for what in ready["loops"] if what != "target"}
        for _ in range(BLOCKS):  # device time and yardsticks, side by side
            blocks.append(watch.run("target"))
            for what, found in yards.items():
                found.append(watch.run(what)["device_ns"])
        call, wait = loop.call, watch.device.wait

        def synchronised(x: Any) -> None:
            wait(call(x))

        self.benchmark.group = self.benchmark.group or str(one)
        with loop.context():
            self.benchmark.pedantic(
                synchronised if watch.device.asynchronous else call,
                args=(loop.inputs[0],),
                rounds=rounds,
                iterations=loops,
                warmup_rounds=1,
            )
        need = limit.traffic(one, pattern, watch.device.name)
        copy, fill = limit.best(yards, "copy"), limit.best(yards, "fill")
        device = _median([b["device_ns"] for b in blocks]) / 1e9
        least = limit.seconds(need, copy[1] / 1e9, fill[1] / 1e9) if copy and fill else None
        info = {
            "target": target,
            "version": opened["version"],
            "cell": str(one),
            "bytes": need.total,
            "limit_s": least,
            "fraction_of_limit": least / device if least is not None and device else None,
            "device_s": device,
            "host_s": _median([b["host_ns"] for b in blocks]) / 1e9,
            "first_s": ready["first_ns"] / 1e9,
            "how": ready["how"],
        }
        self.benchmark.extra_info.update(info)
        return info

    def close(self) -> None:
        """Restore generators and modes, and let malloc give memory back again."""
        if self.session is not None:
            from dropcheck.worker.devices import allocation

            allocation("fresh")
            self.session.close()


def _median(values: Sequence[float]) -> float:
    import statistics

    return statistics.median(values) if values else 0.0


@pytest.fixture
def dropcheck_benchmark(benchmark: Any) -> Iterator[Timed]:
    """``dropcheck_benchmark("torch.Dropout1d", "64,256,1024 float32 rate=.5 forward")``, on pytest-benchmark's fixture."""
    timer = _Timer(benchmark)
    try:
        yield timer
    finally:
        timer.close()
