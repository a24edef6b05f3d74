"""Diagnosis, measured: of every planted defect, whether the first block of its report names the true cause.

    python tests/measurements/diagnosis.py audit FOLDER [NAME ...]   audits what FOLDER lacks; may be stopped and resumed
    python tests/measurements/diagnosis.py tell FOLDER [NAME ...]    what is said of each, computed anew from FOLDER
    python tests/measurements/diagnosis.py measure FOLDER            shares right, silent and false, before and after
    python tests/measurements/diagnosis.py keep FOLDER FILE          results without what no sentence needs, for the tests

The truth is a table that was written from the defects' own descriptions (tests/kits/true_causes.py).
"""

from __future__ import annotations

import gzip
import sys
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

import dropcheck
from dropcheck.results.audit import Result, TargetResult
from spatial_dropouts import broken, unusual

IN_PROCESS = ("numpy", "torch", "torch-function")


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json.gz"


def _order() -> list[str]:
    """One defect of each check first, then the second of each, and so on; correct layers last."""
    turns: dict[str, int] = {}
    found = []
    for defect in sorted(broken.DEFECTS, key=lambda d: bool(d.backend)):  # those that take a process of their own last
        turns[defect.check] = turns.get(defect.check, 0) + 1
        found.append((bool(defect.backend), turns[defect.check], defect.name))
    return [name for *_, name in sorted(found, key=lambda one: one[:2])] + list(unusual.REGISTER)


def audit(folder: Path, names: list[str]) -> None:
    """Audit what is not stored yet: in profile quick or, where only that catches it, standard.

    In float32 alone, unless the defect lives in another dtype: other dtypes say the same.
    """
    defects = {d.name: d for d in broken.DEFECTS}
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or _order():
        path = _path(folder, name.removeprefix("unusual."))
        if path.exists():
            continue
        start = time.monotonic()
        defect = defects.get(name)
        if defect is None:
            result = dropcheck.audit(name, profile="quick", seed=20141111, jobs=1, in_process=True, dtypes=("float32",))
        else:
            result = dropcheck.audit(
                defect.target,
                profile="quick" if defect.quick else "standard",
                seed=20141111,
                jobs=1,
                strict=defect.strict,
                dtypes=() if "float" in defect.regime else ("float32",),
                in_process=not defect.backend and defect.framework in IN_PROCESS,
            )
        path.write_bytes(gzip.compress(msgspec.json.encode(result)))
        (target,) = result.targets
        checks = sorted({f.check for f in target.findings if f.verdict == "fail"})
        print(f"{time.monotonic() - start:5.0f} s  {name}  {target.verdict}  {' '.join(checks)}", flush=True)


def stored(folder: Path, name: str) -> TargetResult:
    """The target of one stored result."""
    data = gzip.decompress(_path(folder, name.removeprefix("unusual.")).read_bytes())
    (target,) = msgspec.json.decode(data, type=Result).targets
    return target


def main() -> None:
    what, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if what == "audit":
        audit(folder, names)


if __name__ == "__main__":
    main()
