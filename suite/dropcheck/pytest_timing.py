"""Speed under pytest: cells of dropcheck timed by pytest-benchmark. Importing it loads no framework, no SciPy and no pandas.

    from dropcheck.pytest_plugin import cells

    @cells("torch.Dropout1d", "mine.py:MyDropout")          # the quick cells; or profile="standard", or cell=[...]
    def test_speed(dropcheck_benchmark, target, cell):
        dropcheck_benchmark(target, cell)

``pytest --benchmark-only``, ``--benchmark-json`` and ``pytest-benchmark compare`` then work as people know them. Verdicts are
the paired engine's (``dropcheck bench``): these records are for looking. A share of what the memory allows stands only beside
an audit that holds: ``audit="result.json"``, as ``dropcheck audit --json`` writes it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dropcheck.contract.cells import Cell
    from dropcheck.plan.targets import Target

Timed = Callable[..., dict[str, Any]]
BLOCKS = 5  # for device time and the limit, which pytest-benchmark has no numbers for


def cells(*names: str, profile: str = "quick", cell: Sequence[str] = ()) -> pytest.MarkDecorator:
    """A parametrisation over ``target`` and ``cell``: the same cells that ``dropcheck bench`` times. Raises UsageError."""
    from dropcheck.contract.cells import parse_cell
    from dropcheck.speed.cells import plan

    some = [parse_cell(text) for text in cell] or list(plan(profile))
    pairs = [(name, str(one)) for one in some for name in names]
    return pytest.mark.parametrize(("target", "cell"), pairs)


class _Timer:
    """What the fixture is: called with a target and a cell, it times it once and fills ``extra_info``."""

    def __init__(self, benchmark: Any) -> None:
        self.benchmark = benchmark

    def __call__(
        self,
        target: str,
        cell: str,
        *,
        rounds: int = 20,
        slot_ms: float = 15.0,
        threads: int = 0,
        audit: str | os.PathLike[str] | None = None,
    ) -> dict[str, Any]:
        """Time ``rounds`` blocks of about ``slot_ms`` milliseconds; a cell that does not apply is skipped with its reason.

        Returns what stands in ``extra_info``: bytes, device_s, host_s, first_s, ..., what ``audit`` (a stored result) says of
        the target in this cell, and, where it passed, limit_s and fraction_of_limit. The device is waited for inside the
        target. Generators, modes and numbers of threads are as before at the end. Raises what the layer raises.
        """
        from dropcheck.contract.cells import parse_cell
        from dropcheck.contract.devices import allocation
        from dropcheck.plan import targets
        from dropcheck.worker.caller_state import untouched
        from dropcheck.worker.client import LocalSession

        chosen, one = targets.parse(target), parse_cell(cell)
        if reason := _elsewhere(chosen):
            pytest.skip(reason)
        with contextlib.ExitStack() as restored:
            restored.enter_context(untouched())
            session = LocalSession()
            restored.callback(session.close)
            restored.callback(allocation, "fresh")  # malloc may give memory back again
            return self._timed(chosen, one, session, restored, (rounds, slot_ms, threads), audit)

    def _timed(
        self,
        chosen: Target,
        one: Cell,
        session: Any,
        restored: contextlib.ExitStack,
        how: tuple[int, float, int],
        audit: str | os.PathLike[str] | None,
    ) -> dict[str, Any]:
        from dropcheck.auditing.machine import processors
        from dropcheck.contract.promise import Pattern
        from dropcheck.speed import limit
        from dropcheck.worker.caller_state import untouched
        from dropcheck.worker.client import Refused, ask

        rounds, slot_ms, threads = how
        try:
            request = {"locator": chosen.locator, "source": chosen.source, "pattern": None, "mode": chosen.mode}
            opened = ask(session, "open", **request)
            restored.enter_context(untouched())  # of a framework that is imported only now, too
            pattern = Pattern.parse(opened["contract"]["pattern"])
            ask(session, "time", do="threads", wanted=threads or processors())
            ready = ask(session, "time", do="setup", cell=one.request(pattern, 1), slot_ms=slot_ms, yard_ms=slot_ms / 3)
        except Refused as refused:
            if refused.where == "unsupported" or refused.kind == "Unsupported":
                pytest.skip(refused.message)
            raise
        said = _audited(audit, chosen, one, opened)
        watch = session.worker.stopwatch
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
            "target": chosen.name,
            "version": opened["version"],
            "cell": str(one),
            "bytes": need.total,
            "audit": said,
            "device_s": device,
            "host_s": _median([b["host_ns"] for b in blocks]) / 1e9,
            "first_s": ready["first_ns"] / 1e9,
            "how": ready["how"],
        }
        if said == "pass":  # what did less than was promised is no measure of what the memory allows
            info["limit_s"] = least
            info["fraction_of_limit"] = least / device if least is not None and device else None
        self.benchmark.extra_info.update(info)
        return info


def _elsewhere(chosen: Target) -> str:
    """Why a target cannot be timed in this process; an empty text where it can."""
    from dropcheck.library import fits

    if fits(chosen, {}):
        return ""
    backend = dict(chosen.environment).get("KERAS_BACKEND")
    if chosen.releases or backend is None:
        return (
            f"{chosen.name} needs an environment of its own, and cells are timed in this process; use dropcheck bench"
        )
    keras: Any = sys.modules.get("keras")
    if keras is None and os.environ.get("KERAS_BACKEND") == backend:
        return ""  # Keras will come with that backend
    has = f"has Keras on {keras.config.backend()}" if keras is not None else "does not ask for it"
    return f"{chosen.name} needs Keras on {backend}, and this process {has}; run pytest with KERAS_BACKEND={backend}"


def _audited(audit: str | os.PathLike[str] | None, chosen: Target, one: Cell, opened: dict[str, Any]) -> str:
    """``none`` without an audit, ``pass`` where it holds in this cell, else why this cell has no speed.

    A file that cannot be read fails the test.
    """
    if audit is None:
        return "none"
    from dropcheck.results.audit import ResultError
    from dropcheck.speed import honesty

    try:
        known = honesty.from_file(Path(audit)).get(chosen.name)
    except ResultError as error:  # one sentence, not the way that it came
        pytest.fail(str(error), pytrace=False)
    timed = honesty.Timed(chosen.digest(), opened["contract"]["pattern"], "cpu", tuple(opened["dtypes"]))
    return honesty.verdict_on(known, one, opened["version"], timed) or "pass"


def _median(values: Sequence[float]) -> float:
    import statistics

    return statistics.median(values) if values else 0.0


@pytest.fixture
def dropcheck_benchmark(benchmark: Any) -> Timed:
    """``dropcheck_benchmark("torch.Dropout1d", "64,256,1024 float32 rate=.5 forward")``, on pytest-benchmark's fixture."""
    return _Timer(benchmark)
