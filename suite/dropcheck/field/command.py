"""Making the field report: everything that is registered in every mode, failing cells confirmed, pages written."""

from __future__ import annotations

import json
import lzma
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec

from dropcheck import modes, requirements, results, targets
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


def left_out(names: Iterable[str]) -> list[TargetResult]:
    """Everything registered that is none of ``names``, as skipped targets: a report says what it does not tell of."""
    given = {name.partition(requirements.JOIN)[0] for name in names}
    can, _ = everything()
    text = "left out of this run: dropcheck field audits it"
    return [_skipped(name, "", text) for name in can if name not in given]


def joined(some: Sequence[Result], others: Iterable[TargetResult]) -> Result:
    """Results as one, with targets that did not run; what ran, here or elsewhere, outranks what did not."""
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
    result: Result, out: Path, confirm: Confirm, say: Callable[[str], None], jobs: int = 1
) -> dict[Key, Confirmation]:
    """A script for every failing check of every cell, written below ``out`` and run, ``jobs`` at once.

    What was said is kept as it comes, so that a run that was cut off goes on from there (see ``by_script``).
    """
    some = failures(rows(result))

    def one(failure: Failure) -> tuple[Key, Confirmation]:
        key = (failure.target, failure.check, failure.dtype)
        return key, confirm(failure, out / "scripts" / (plain_name(*key) + ".py"))

    found: dict[Key, Confirmation] = {}
    with ThreadPoolExecutor(jobs) as threads:
        for number, (key, said) in enumerate(threads.map(one, some), 1):
            found[key] = said
            word = {True: "confirmed", False: "NOT confirmed", None: "no script"}[said.confirmed]
            say(f"{number} of {len(some)}: {' '.join(key)}: {word}")
            if number % 10 == 0:
                keep(found, out)
    return found


def by_script(
    result: Result, python: str | None, timeout_s: float, before: dict[Key, Confirmation] | None = None
) -> Confirm:
    """Confirmation by the finding's own reproduction script; the three strongest findings of a cell are tried.

    Where there is no such script, ``by-hand/TARGET-CHECK.py`` beside the folder of scripts is run, with the dtype as its
    argument: it tells as those do (exit status 1 and a line ``observed: ...`` where the defect shows). A cell that
    ``before`` has as confirmed by the very same script is not run again.
    """
    from dropcheck import reproduction
    from dropcheck.errors import UsageError
    from dropcheck.reproduction.confirm import interpreter

    owners = {t.target: t for t in result.targets}

    def confirm(failure: Failure, path: Path) -> Confirmation:
        shown = f"{path.parent.name}/{path.name}"
        earlier = (before or {}).get((failure.target, failure.check, failure.dtype))
        kept = path.read_text() if earlier is not None and earlier.confirmed is True and path.is_file() else None
        said = Confirmation("", None, "")
        for one in failure.findings[:3]:
            try:
                if earlier is not None and kept is not None and kept == reproduction.write(owners[failure.target], one):
                    return earlier
                told = reproduction.confirm(owners[failure.target], one, python, timeout_s)
            except UsageError as error:
                hand = path.parent.parent / "by-hand" / (plain_name(failure.target, failure.check) + ".py")
                if hand.is_file():
                    return _by_hand(hand, failure.dtype, python or interpreter(owners[failure.target]), timeout_s)
                said = Confirmation("", None, str(error))
                continue
            write_atomically(path, told.script.encode())
            if isinstance(told, reproduction.Confirmed):
                return Confirmation(shown, True, f"expected {told.expected}; observed {told.observed}")
            said = Confirmation(shown, False, told.output[-600:])
        return said

    return confirm


def _by_hand(path: Path, dtype: str, python: str, timeout_s: float) -> Confirmation:
    """Run a script that somebody wrote for a cell that no template serves."""
    shown = f"{path.parent.name}/{path.name}"
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            [python, str(path), dtype], capture_output=True, text=True, timeout=timeout_s, env=variables
        )
    except subprocess.TimeoutExpired:
        return Confirmation(shown, False, f"stopped after {timeout_s:g} s")
    lines = dict(
        line.split(": ", 1) for line in done.stdout.splitlines() if line.startswith(("expected: ", "observed: "))
    )
    if done.returncode == 1 and "observed" in lines:
        return Confirmation(shown, True, f"expected {lines.get('expected', '')}; observed {lines['observed']}")
    return Confirmation(shown, False, (done.stdout + done.stderr)[-600:])


def keep(said: dict[Key, Confirmation], out: Path) -> None:
    """Write what the scripts said."""
    rows_of = [
        {"target": t, "check": c, "dtype": d, **{k: getattr(v, k) for k in ("script", "confirmed", "output")}}
        for (t, c, d), v in sorted(said.items())
    ]
    write_atomically(out / "confirmations.json", (json.dumps(rows_of, indent=1) + "\n").encode())


def kept(out: Path) -> dict[Key, Confirmation]:
    """What ``keep`` wrote; nothing where there is no such file or it is damaged: the scripts are run again then."""
    try:
        every = json.loads((out / "confirmations.json").read_text())
        return {
            (one["target"], one["check"], one["dtype"]): Confirmation(one["script"], one["confirmed"], one["output"])
            for one in every
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


# Folders of the machine that made a report, in front of a part of a path that means something elsewhere
_FOLDERS = re.compile(
    rb"(?:/[\w.+-]+)+/(?=site-packages/|suite/dropcheck/|implementations/spatial_dropouts/|python3\.\d+/)"
)


def _portable(text: str) -> str:
    """What a script said, without the folders of this machine."""
    plain = text.replace(tempfile.gettempdir(), "").replace(str(Path.cwd()), ".").replace(str(Path.home()), "~")
    return _FOLDERS.sub(b"", plain.encode()).decode()


def write(
    result: Result, said: dict[Key, Confirmation], known: Sequence[Deviation], out: Path, command: str
) -> list[report.Group]:
    """All files of the report, each whole or not at all."""
    result = msgspec.structs.replace(result, argv=command.split()[1:])
    said = {key: replace(one, output=_portable(one.output)) for key, one in said.items()}
    table = rows(result)
    told = report.groups(table, said, known)
    data = _FOLDERS.sub(b"", results.encode(result))
    write_atomically(out / "result.json.xz", lzma.compress(data, preset=6))
    keep(said, out)
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
    return decode(data, str(place)), kept(out)
