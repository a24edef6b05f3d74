"""The zoo, measured: every planted defect by the check that names it, every unusual correct layer by all checks.

    python tests/measurements/zoo.py [quick|standard] [FILE]

Writes one line a layer, and a table of all of them to FILE (CSV).
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import dropcheck
from spatial_dropouts import broken, unusual


def main() -> None:
    profile = sys.argv[1] if len(sys.argv) > 1 else "standard"
    rows = []
    for defect in broken.DEFECTS:
        start = time.monotonic()
        name, here = defect.target, not defect.backend
        (target,) = dropcheck.audit(name, profile=profile, select=(defect.check,), in_process=here, jobs=1).targets
        failed = [f for f in target.findings if f.verdict == "fail"]
        strongest = min((f.log10_evidence or 0.0 for f in failed), default=0.0)
        rows.append([name, defect.check, "caught" if failed else "MISSED", len(failed), round(strongest, 1)])
        print(*rows[-1], target.error or "", f"{time.monotonic() - start:.0f} s", flush=True)
    for name in unusual.REGISTER:
        start = time.monotonic()
        (target,) = dropcheck.audit(name, profile=profile, in_process=True, jobs=1).targets
        bad = [f"{f.check} {f.verdict}" for f in target.findings if f.verdict not in ("pass", "skipped")]
        rows.append([name, "all", "ACCUSED" if bad or target.error else "passed", len(bad), "; ".join(bad)])
        print(*rows[-1], f"{time.monotonic() - start:.0f} s", flush=True)
    caught = sum(r[2] == "caught" for r in rows)
    passed = sum(r[2] == "passed" for r in rows)
    print(f"{profile}: {caught} of {len(broken.DEFECTS)} defects caught, {passed} of {len(unusual.REGISTER)} passed")
    if len(sys.argv) > 2:
        with Path(sys.argv[2]).open("w", newline="") as stream:
            csv.writer(stream).writerows([["layer", "check", "outcome", "findings", "evidence"], *rows])


if __name__ == "__main__":
    main()
