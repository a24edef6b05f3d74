"""One command for a machine: everything that runs here, audited and benched, with raw results kept.

    python tests/measurements/bench_everything.py OUT [--profile standard] [--device cuda] [TARGET ...]

Writes OUT/audit.json (a quick audit of all targets), OUT/bench.json (every raw sample), OUT/bench.txt, OUT/pytest-benchmark.json
and OUT/limit.txt (what a copy measures of its own limit in each cell; the promise is 1.00 within 0.03).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dropcheck import auditing, results, targets
from dropcheck.speed import pytest_json, records, text
from dropcheck.speed.run import BenchRequest, run


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("out", type=Path)
    words.add_argument("targets", nargs="*")
    words.add_argument("--profile", default="standard")
    words.add_argument("--device", default="cpu")
    words.add_argument("--threads", type=int, default=0)
    given = words.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    names = tuple(given.targets) or tuple(t.name for t in targets.defaults())
    audit = given.out / "audit.json"
    if not audit.exists():
        request = auditing.AuditRequest(targets=names, device=given.device, causes=False)
        results.save(auditing.run(request), audit)
    result = run(
        BenchRequest(
            targets=names,
            profile=given.profile,
            device=given.device,
            threads=given.threads,
            audit=audit,
            argv=tuple(sys.argv[1:]),
        ),
        lambda said, done: print(f"{done:.0%} {said}", file=sys.stderr, flush=True),
    )
    records.save(result, given.out / "bench.json")
    pytest_json.save(result, given.out / "pytest-benchmark.json")
    results.write_atomically(given.out / "bench.txt", text.render(result, 120).encode())
    lines = [f"{result.cells[y.cell]:<56}{y.copy:<10}{y.copy_fraction or float('nan'):.3f}" for y in result.yardsticks]
    results.write_atomically(given.out / "limit.txt", ("\n".join(lines) + "\n").encode())
    print(text.render(result, 120))
    return records.exit_code(result)


if __name__ == "__main__":
    sys.exit(main())
