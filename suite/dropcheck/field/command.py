"""Making the field report: everything that is registered in every mode, failing cells confirmed, pages written."""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from dropcheck import modes, results, targets
from dropcheck.field import report
from dropcheck.field.cells import Failure, failures, row, rows
from dropcheck.field.deviations import Deviation
from dropcheck.field.report import Confirmation
from dropcheck.results import Result, TargetResult, Timing, write_atomically

Key = tuple[str, str, str]  # target, check, dtype
# (failure, path of the script to write) to what running it said
Confirm = Callable[[Failure, Path], Confirmation]


def everything(names: Sequence[str] = (), eager_only: bool = False) -> tuple[list[str], list[TargetResult]]:
    """Names of all registered implementations that can run here, in every mode, and the others as skipped targets.

    ``names``: only these (globs are the caller's business); an unknown one raises UnknownTarget.
    """
    can: list[str] = []
    cannot: list[TargetResult] = []
    wanted = {targets.parse(name).name for name in names}
    for one in targets.available():
        if wanted and one.name not in wanted:
            continue
        if not one.runnable:
            cannot.append(_skipped(one.name, one.framework, one.reason))
            continue
        framework = targets.parse(one.name).framework
        can += [one.name, *(f"{one.name}@{mode}" for mode in ([] if eager_only else modes.of(framework)))]
    return can, cannot


def _skipped(name: str, framework: str, reason: str) -> TargetResult:
    return TargetResult(
        target=name,
        framework=framework,
        version="",
        contract={},
        verdict="skipped",
        timing=Timing(),
        traits={},
        findings=[],
        skipped=reason,
    )


def joined(result: Result, cannot: Iterable[TargetResult], also: Iterable[Result]) -> Result:
    """The result with the targets that cannot run here, and with results made elsewhere, which outrank those."""
    every = {t.target: t for t in cannot}
    every |= {t.target: t for one in also for t in one.targets}
    every |= {t.target: t for t in result.targets}
    ordered = sorted(every.values(), key=lambda t: (t.skipped is not None, report.library(row(t)), t.target))
    return msgspec.structs.replace(result, verdict=results.overall([t.verdict for t in ordered]), targets=ordered)


def confirmed(result: Result, out: Path, confirm: Confirm, say: Callable[[str], None]) -> dict[Key, Confirmation]:
    """A script for every failing check of every cell, written below ``out`` and run."""
    found: dict[Key, Confirmation] = {}
    some = failures(rows(result))
    for number, failure in enumerate(some, 1):
        name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{failure.target}-{failure.check}-{failure.dtype}").strip("-") + ".py"
        said = confirm(failure, out / "scripts" / name)
        found[failure.target, failure.check, failure.dtype] = said
        word = {True: "confirmed", False: "NOT confirmed", None: "no script"}[said.confirmed]
        say(f"{number} of {len(some)}: {failure.target} {failure.check} {failure.dtype}: {word}")
    return found


def write(
    result: Result, said: dict[Key, Confirmation], known: Sequence[Deviation], out: Path, command: str
) -> list[report.Group]:
    """All files of the report, each whole or not at all."""
    table = rows(result)
    told = report.groups(table, said, known)
    write_atomically(out / "result.json.xz", lzma.compress(results.encode(result), preset=6))
    kept = [
        {"target": t, "check": c, "dtype": d, **{k: getattr(v, k) for k in ("script", "confirmed", "output")}}
        for (t, c, d), v in sorted(said.items())
    ]
    write_atomically(out / "confirmations.json", (json.dumps(kept, indent=1) + "\n").encode())
    write_atomically(out / "README.md", report.markdown(result, table, told, command).encode())
    write_atomically(out / "index.html", report.html(result, table, told, command).encode())
    return told


def read(out: Path) -> tuple[Result, dict[Key, Confirmation]]:
    """What ``write`` kept. Raises ResultError where it is damaged."""
    from dropcheck.results import ResultError, decode

    place = out / "result.json.xz"
    try:
        data = lzma.decompress(place.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise ResultError(f"cannot read the result {place}: {error}") from error
    said = {}
    for one in json.loads((out / "confirmations.json").read_text()):
        said[one["target"], one["check"], one["dtype"]] = Confirmation(one["script"], one["confirmed"], one["output"])
    return decode(data, str(place)), said
