"""Making the field report: everything that is registered in every mode, failing cells confirmed, pages written."""

from __future__ import annotations

import json
import lzma
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import msgspec

from dropcheck.contract import modes, requirements
from dropcheck.contract.errors import UsageError
from dropcheck.plan import targets
from dropcheck.report import sentences
from dropcheck.report.field import report
from dropcheck.report.field.cells import Failure, Key, failures, row, rows
from dropcheck.report.field.deviations import Deviation
from dropcheck.report.field.earlier import today
from dropcheck.report.field.report import Confirmation
from dropcheck.results import asked, reading
from dropcheck.results import audit as results
from dropcheck.results.audit import Result, TargetResult, Timing, write_atomically

# (failures of one check of one target, path of the script to write) to what running it said, by dtype
Confirm = Callable[[Sequence[Failure], Path], dict[str, Confirmation]]


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


def left_out(names: Iterable[str]) -> list[TargetResult]:
    """Everything registered that is none of ``names``, as skipped targets: a report says what it does not tell of."""
    given = {name.partition(requirements.JOIN)[0] for name in names}
    can, _ = everything()
    text = f"{sentences.LEFT_OUT}: dropcheck field audits it"
    return [_skipped(name, "", text) for name in can if name not in given]


def joined(some: Sequence[Result], others: Iterable[TargetResult]) -> Result:
    """Results as one, with targets that did not run; what ran, here or elsewhere, outranks what did not.

    Raises UsageError for results of several devices, whose targets bear the same names.
    """
    devices = sorted({asked.device(one) or "cpu" for one in some})
    if len(devices) > 1:
        raise UsageError(
            f"a report is of one device, and these results are of {' and '.join(devices)}: make one of each"
        )
    ran = {t.target: t for one in some for t in one.targets}
    plain = {name.partition(requirements.JOIN)[0] for name in ran}
    every = {t.target: t for t in others if t.target not in plain} | ran
    ordered = sorted(every.values(), key=lambda t: (t.skipped is not None, report.library(row(t)), t.target))
    return msgspec.structs.replace(
        some[0],
        verdict=results.overall([t.verdict for t in ordered]),
        targets=ordered,
        interrupted=any(one.interrupted for one in some),
    )


def plain_name(*words: str) -> str:
    """Words as the name of a file that lies in no other folder."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(words)).strip("-.")


def confirmed(
    result: Result,
    out: Path,
    confirm: Confirm,
    say: Callable[[str], None],
    jobs: int = 1,
    before: dict[Key, Confirmation] | None = None,
) -> dict[Key, Confirmation]:
    """A script for every check that fails somewhere in a target, written below ``out`` and run in each dtype, ``jobs`` at once.

    What was said is kept as it comes, beside what was known ``before``, so that a run that was cut off goes on from there.
    """
    some: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures(rows(result)):
        some.setdefault((failure.target, failure.check), []).append(failure)

    def one(key: tuple[str, str]) -> dict[Key, Confirmation]:
        said = confirm(some[key], out / "scripts" / (plain_name(*key) + ".py"))
        return {(*key, dtype): what for dtype, what in said.items()}

    found: dict[Key, Confirmation] = {}
    with ThreadPoolExecutor(jobs) as threads:
        for number, said in enumerate(threads.map(one, some), 1):
            found |= said
            for key, what in said.items():
                say(f"{number} of {len(some)}: {' '.join(key)}: {what.word}")
            keep((before or {}) | found, out)
    for stale in {one.script for one in (before or {}).values()} - {one.script for one in found.values()}:
        if stale == f"scripts/{Path(stale).name}":
            (out / stale).unlink(missing_ok=True)
    return found


def keep(said: dict[Key, Confirmation], out: Path) -> None:
    """Write what the scripts said."""
    rows_of = [{"target": t, "check": c, "dtype": d, **asdict(v)} for (t, c, d), v in sorted(said.items())]
    write_atomically(out / "confirmations.json", (json.dumps(rows_of, indent=1) + "\n").encode())


def kept(out: Path) -> dict[Key, Confirmation]:
    """What ``keep`` wrote; nothing where there is no such file or it is damaged: the scripts are run again then."""
    try:
        every = json.loads((out / "confirmations.json").read_text())
        return {
            (one["target"], one["check"], one["dtype"]): Confirmation(
                one["script"],
                one["confirmed"],
                today(one["output"]),
                one.get("case", ""),
                one.get("device", "cpu"),
                today(one.get("control", "")),  # reports from before there were controls lack these two
                one.get("same", False),
            )
            for one in every
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


# Folders of the machine that made a report, in front of a part of a path that means something elsewhere
_FOLDERS = re.compile(
    rb"(?:/[\w.+-]+)+/(?=site-packages/|suite/dropcheck/|implementations/spatial_dropouts/|python3\.\d+/)"
)


def portable(text: str) -> str:
    """What a script said, without the folders of this machine."""
    plain = text.replace(tempfile.gettempdir(), "").replace(str(Path.cwd()), ".").replace(str(Path.home()), "~")
    return without_folders(plain.encode()).decode()


def without_folders(data: bytes) -> bytes:
    """Text without the folders in front of what lies in an environment or belongs to the suite."""
    return _FOLDERS.sub(b"", data)


def write(
    result: Result, said: dict[Key, Confirmation], known: Sequence[Deviation], out: Path, command: str
) -> list[report.Group]:
    """All files of the report, each whole or not at all."""
    result = msgspec.structs.replace(result, argv=command.split()[1:])
    said = {key: replace(one, output=portable(one.output), control=portable(one.control)) for key, one in said.items()}
    told = report.groups(rows(result), said, known)
    data = without_folders(results.encode(result))
    write_atomically(out / "result.json.xz", lzma.compress(data, preset=6))
    keep(said, out)
    write_atomically(out / "README.md", report.markdown(result, told, command).encode())
    write_atomically(out / "index.html", report.html(result, told, command).encode())
    return told


def stored(path: Path) -> Result:
    """A stored result, packed by xz (as a report keeps it) or plain. Raises ResultError where it is damaged."""
    return results.decode(reading.unpacked(results.read(path), str(path)), str(path))


def read(out: Path) -> tuple[Result, dict[Key, Confirmation]]:
    """What ``write`` kept. Raises ResultError where it is damaged."""
    return stored(out / "result.json.xz"), kept(out)
