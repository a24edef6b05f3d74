"""What a report of many findings costs: 100 targets x all checks x 12 cases (more than 100 x 40 x 10), every format.

    python tests/measurements/report_size.py [--runs 3]

One finding in eighteen or so fails, with a coin matrix; the rest pass with their numbers. Printed: seconds by the clock and of
processor time of `dropcheck report`, start-up included, its largest resident size, and the bytes of what it wrote.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "suite"))
from kits.stored import BY_NAME, drawn, finding, rate, result, target

from dropcheck.results import audit as results

TARGETS, CASES, EVERY = 100, 12, 7
FORMATS = ("html", "html,markdown,csv,parquet")


def many() -> results.Result:
    """The result; a rate fails by its own law, other checks by their verdict."""
    made, number = [], 0
    for t in range(TARGETS):
        found = []
        for check in BY_NAME:
            for c in range(CASES):
                number += 1
                # what fails in these families makes nothing else "not interpretable"
                bad = check.startswith(("gradient.", "mode.", "form.")) and number % EVERY == 0
                case = f"float32 rate=0.3 {257 + c},64,4 calls=96"
                if check == "rate.marginal":
                    found.append(rate(473_700, 1_579_008, case))
                else:
                    more = {"picture": drawn(), "cause": "columns are copies"} if bad else {}
                    found.append(finding(check, "fail" if bad else "pass", case, coins=100_000, **more))
        made.append(target(f"library{t % 9}.Layer{t}", found))
    return result(*made)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--runs", type=int, default=3)
    runs = words.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        results.save(many(), place / "r.json")
        print(f"{TARGETS} targets, {len(BY_NAME)} checks, {CASES} cases; load {os.getloadavg()[0]:.1f}")
        for formats in FORMATS:
            for run in range(runs):
                out = place / f"{formats}{run}"
                command = [
                    sys.executable,
                    "-m",
                    "dropcheck",
                    "report",
                    "r.json",
                    "--out",
                    str(out),
                    "--format",
                    formats,
                ]
                start = time.monotonic()
                process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL)
                _, status, used = os.wait4(process.pid, 0)
                spent = time.monotonic() - start
                assert os.waitstatus_to_exitcode(status) in (0, 1), status
                size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
                print(
                    f"{formats}: {spent:.1f} s by the clock, {used.ru_utime + used.ru_stime:.1f} s of processor time, "
                    f"{used.ru_maxrss / 1024:.0f} MB resident, {size / 1e6:.1f} MB written"
                )


if __name__ == "__main__":
    main()
