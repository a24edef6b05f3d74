"""The zoo, measured: every planted defect by the check that names it, every unusual correct layer by all checks.

    python tests/measurements/zoo.py [quick|standard] [FILE] [defects|correct] [JOBS]

Writes one line a layer, and a table of all of them to FILE (CSV).
"""

from __future__ import annotations

import csv
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import dropcheck
from spatial_dropouts import broken, unusual


def defect_row(name: str, profile: str) -> list[object]:
    """One planted defect under the check that must catch it."""
    defect = next(d for d in broken.DEFECTS if d.name == name)
    start = time.monotonic()
    here = not defect.backend  # a Keras backend is chosen by a process of its own
    options = {"profile": profile, "select": (defect.check,), "in_process": here, "jobs": 1, "strict": defect.strict}
    (target,) = dropcheck.audit(defect.target, **options).targets
    failed = [f for f in target.findings if f.verdict == "fail"]
    strongest = min((f.log10_evidence or 0.0 for f in failed), default=0.0)
    outcome = "caught" if failed else "MISSED"
    return [defect.target, defect.check, outcome, len(failed), round(strongest, 1), round(time.monotonic() - start)]


def correct_row(name: str, profile: str) -> list[object]:
    """One correct layer under all checks."""
    start = time.monotonic()
    (target,) = dropcheck.audit(name, profile=profile, in_process=True, jobs=1).targets
    bad = [f"{f.check} {f.verdict}" for f in target.findings if f.verdict not in ("pass", "skipped")]
    outcome = "ACCUSED" if bad or target.error else "passed"
    return [name, "all", outcome, len(bad), "; ".join(bad), round(time.monotonic() - start)]


def main() -> None:
    words = dict(enumerate(sys.argv[1:]))
    profile, part = words.get(0, "standard"), words.get(2, "")
    rows = []
    with ProcessPoolExecutor(int(words.get(3, "1"))) as pool:
        todo = [] if part == "correct" else [pool.submit(defect_row, d.name, profile) for d in broken.DEFECTS]
        if part != "defects":
            todo += [pool.submit(correct_row, name, profile) for name in unusual.REGISTER]
        for future in as_completed(todo):
            rows.append(future.result())
            print(*rows[-1], flush=True)
    caught, passed = sum(r[2] == "caught" for r in rows), sum(r[2] == "passed" for r in rows)
    print(f"{profile}: {caught} defects caught, {passed} correct layers passed, of {len(rows)}")
    if words.get(1):
        with Path(words[1]).open("w", newline="") as stream:
            csv.writer(stream).writerows(
                [["layer", "check", "outcome", "findings", "evidence", "seconds"], *sorted(rows)]
            )


if __name__ == "__main__":
    main()
