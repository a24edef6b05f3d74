"""From the options of `dropcheck selftest` to work items, and from their values to one result and its exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dropcheck.commands import options
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.plan import option_values
from dropcheck.results.audit import write_atomically
from dropcheck.results.selftest import PARTS, Promise, SelfTest, encode
from dropcheck.selftest import work

PROFILES = ("quick", "standard")
SEARCH_S = 60.0  # for one layer that is missed


def _chosen(words: Iterable[str], valid: Sequence[str], what: str) -> list[str]:
    given = option_values.listed(words)
    for word in given:
        if word not in valid:
            raise UsageError(f"there is no {what} {word!r}; expected {', '.join(valid)}{nearest(word, valid)}")
    return [name for name in valid if name in given]


def planned(parts: Sequence[str], profiles: Sequence[str], seed: int, scale: float) -> list[work.Item]:
    """All work items of a request."""
    from dropcheck.selftest import calibration, power, practice_work, thresholds, zoo

    found: list[work.Item] = []
    if "thresholds" in parts:
        found += thresholds.items(seed, scale)
    if "calibration" in parts:
        found += calibration.items(seed, scale)
    if "power" in parts:
        found += power.items(seed, scale)
    if "zoo" in parts:
        found += zoo.items(seed, scale, profiles)
    if "practice" in parts:
        found += practice_work.items(seed, scale)
    # long items first: no core waits for one that began last
    return sorted(found, key=lambda i: -i.cost)


def conclude(
    values: dict[str, Any],
    seconds: dict[str, float],
    *,
    parts: Sequence[str],
    profiles: Sequence[str],
    seed: int,
    scale: float,
    argv: Sequence[str],
) -> SelfTest:
    """One result from the values of all items: a pure function of them."""
    from dropcheck.auditing.machine import describe
    from dropcheck.selftest import calibration, power, practice_work, thresholds, zoo

    by_part: dict[str, dict[str, Any]] = {p: {} for p in PARTS}
    spent = dict.fromkeys(parts, 0.0)
    for key in sorted(values):
        part = key.split("/", 1)[0]
        by_part[part][key] = values[key]
        spent[part] += seconds[key]
    promises: list[Promise] = []
    table, tails, more = calibration.conclude(by_part["calibration"]) if "calibration" in parts else ([], [], [])
    promises += more
    powers, more = power.conclude(by_part["power"]) if "power" in parts else ([], [])
    promises += more
    sums, figures, more = thresholds.conclude(by_part["thresholds"]) if "thresholds" in parts else ([], [], [])
    promises += more
    layers, clocks, owners, signatures, more = zoo.conclude(by_part["zoo"], scale >= 1)
    promises += more
    practice = None
    if "practice" in parts:
        practice = practice_work.conclude(by_part["practice"], layers, clocks, root=seed, seconds=spent["practice"])
    held = all(p.held for p in promises)
    return SelfTest(
        verdict="skipped" if not promises else "pass" if held else "fail",
        environment=describe(),
        argv=list(argv),
        parts=list(parts),
        profiles=list(profiles),
        seed=seed,
        scale=scale,
        promises=promises,
        calibration=table,
        tails=tails,
        power=powers,
        thresholds=sums,
        goldens=figures,
        zoo=layers,
        owners=owners,
        signatures=signatures,
        practice=practice,
        clocks=clocks,
        seconds=spent,
    )


class Teller:
    """Progress on standard error: a line every few seconds, with what remains."""

    def __init__(self, every_s: float = 5.0) -> None:
        self.every_s, self.last = every_s, 0.0

    def __call__(self, key: str, done: int, whole: int, elapsed: float, left: float | None) -> None:
        """One finished item."""
        from dropcheck.commands.progress import seconds

        now = time.monotonic()
        if done < whole and now - self.last < self.every_s:
            return
        self.last = now
        text = f"selftest: {done} of {whole} steps after {seconds(elapsed)}"
        if left is not None and done < whole:
            text += f", about {seconds(left)} left"
        print(f"{text} ({key.split('/', 1)[0]})", file=sys.stderr, flush=True)


def execute(
    *,
    profile: Iterable[str] = (),
    part: Iterable[str] = (),
    seed: str | None = None,
    jobs: int = 0,
    scale: float = 1.0,
    json_file: Path | None = None,
    out: Path | None = None,
    resume: bool = False,
    from_file: Path | None = None,
    search: str | None = None,
    argv: Sequence[str] = (),
) -> tuple[SelfTest, int]:
    """Run what the command line asked for; the result and its exit code. Raises UsageError for what cannot be run."""
    from dropcheck.auditing.machine import processors
    from dropcheck.plan.request import DEFAULT_SEED

    parts = _chosen(part, PARTS, "part") or (list(PARTS) if from_file is None else ["zoo"])
    if from_file is not None and parts != ["zoo"]:
        others = ", ".join(p for p in parts if p != "zoo")
        raise UsageError(f"--from audits the layers of a file: leave out --part {others}; expected --part zoo")
    if from_file is not None and scale != 1:
        raise UsageError("--from audits every layer of its file: leave out --scale")
    if search is not None and from_file is None:
        raise UsageError("--search limits the search for a case that detects a missed layer: it goes with --from FILE")
    limit_s = option_values.duration(search, "--search") if search is not None else SEARCH_S
    profiles = _chosen(profile, PROFILES, "profile of the self-test") or ["quick"]
    root, drawn = option_values.seed(seed, DEFAULT_SEED)
    if drawn:
        print(f"root seed {root}", file=sys.stderr)
    if not 0 < scale <= 100:
        raise UsageError(f"--scale takes a number above 0 and up to 100, such as 0.01, not {scale:g}")
    if jobs < 0:
        raise UsageError(f"--jobs takes a number of at least 0, not {jobs}")
    options.writable_file(json_file, "--json")
    options.writable_folder(out, "--out")
    journal = None
    if out is not None:
        journal = out / "selftest.journal"
    elif json_file is not None:
        journal = json_file.with_name(json_file.name + ".journal")
    options.resumable(resume, journal)
    jobs = jobs or min(processors(), 32)
    if from_file is not None:
        from dropcheck.selftest import fromfile

        told = fromfile.execute(
            from_file,
            profiles=profiles,
            seed=root,
            jobs=jobs,
            limit_s=limit_s,
            json_file=json_file,
            write=(lambda result: _pages(result, out)) if out is not None else None,
            resume=resume,
            journal=journal,
            argv=argv,
            tell=Teller(),
        )
        return told, exit_code(told)
    items = planned(parts, profiles, root, scale)
    values, seconds = work.run(items, jobs=jobs, journal=journal, resume=resume, tell=Teller())
    result = conclude(values, seconds, parts=parts, profiles=profiles, seed=root, scale=scale, argv=argv)
    if json_file is not None:
        write_atomically(json_file, encode(result))
    if out is not None:
        _pages(result, out)
    if journal is not None:
        journal.unlink(missing_ok=True)
    return result, exit_code(result)


def exit_code(result: SelfTest) -> int:
    """0 all promises held, 1 one is broken, 2 nothing was measured, 130 interrupted."""
    if result.from_file is not None and result.from_file.interrupted:
        return 130
    return {"pass": 0, "fail": 1}.get(result.verdict, 2)


def _pages(result: SelfTest, out: Path) -> None:
    from dropcheck.report.selftest import write

    write(result, out)
