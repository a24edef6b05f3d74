"""One command for a machine: everything that runs on it, side by side, with raw results and the page made of them.

    python tests/measurements/bench_everything.py reports/speed [--device cuda] [--audit RESULT] [--minutes 5] [TARGET ...]

Targets are measured in groups of three beside the same reference, so that no more processes live together than a machine
holds; OUT/raw/GROUP.json.xz is the result of each group (every raw sample). A group that is there already is not measured
again, so the command goes on where it was stopped; ``--minutes`` ends it early on purpose, and ``--draw`` only draws. At last
OUT/README.md and its figures are made from what is there (``bench_report.py``).

``--audit``: a stored audit to stand beside, ``.json`` or ``.json.xz``; without it a quick audit of the group is made first.
``--accept CHECK,...``: failures of these checks that do not disqualify here, since they are about something else than what is
timed; the page names them beside each target. ``--wait 10``: each group waits up to ten minutes until nothing else works on the
machine; what is noisy all the same has no figure. On CUDA the cells go up to 1 GiB.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "kits"))
import bench_report

from dropcheck.contract.cells import Cell, parse_cell
from dropcheck.plan import targets
from dropcheck.results import audit as results
from dropcheck.results import bench as records
from dropcheck.results.audit import Finding, Result, TargetResult, Waiver
from dropcheck.speed.cells import CENTRE
from dropcheck.speed.run import BenchRequest, run

REFERENCE = "custom.reference"
BUSY = 10.0  # per cent of all processors
COMPILED = (
    *(f"{name}@compiled" for name in ("torch.Dropout1d", "torch.Dropout2d", "custom.torch")),
    *(f"{name}@jit" for name in ("custom.jax", "flax.linen.SpatialDropout1D", "flax.nnx.SpatialDropout1D")),
    *(f"{name}@jit" for name in ("haiku.SpatialDropout1D", "equinox.Dropout", "mlx.Dropout2d")),
    *(f"{name}@graph" for name in ("keras.SpatialDropout1D@tensorflow", "tf_keras.SpatialDropout1D")),
    *(f"tensorflow.spatial_dropout1d@{mode}" for mode in ("graph", "xla")),
)
CELLS = (
    *(f"{shape} float32 rate=0.5 forward" for shape in ("1,64,16", "16,64,16", "1,256,1024", "16,256,1024")),
    *(
        f"1,256,1024 {words}"
        for words in (
            "float32 rate=0.5 inference",
            "float32 rate=0.5 backward",
            "float32 rate=0.5 forward permuted",
            "float32 rate=0.5 forward strided",
            "float32 rate=0.9 forward",
            "float16 rate=0.5 forward",
            "bfloat16 rate=0.5 forward",
            "float64 rate=0.5 forward",
        )
    ),
    "16,256,1024 float32 rate=0.5 forward fresh",
)
CUDA_CELLS = tuple(
    dict.fromkeys(
        [
            *(str(parse_cell(text)) for text in CELLS if not text.endswith("fresh")),
            *(str(Cell(samples=n * 16)) for n in (4, 16, 64)),
            *(str(Cell(dtype=d, direction=w)) for d in ("float32", "bfloat16") for w in ("forward", "backward")),
            str(CENTRE),
        ]
    )
)


def accepting(result: Result, checks: Sequence[str]) -> Result:
    """The audit with failures of these checks waived. Their words say in the page what was accepted."""
    waiver = Waiver(id="speed", reason="not about what is timed", expires="9999-12-31")

    def waived(one: Finding) -> Finding:
        if one.verdict == "fail" and one.check in checks:
            return msgspec.structs.replace(one, verdict="waived", waiver=waiver)
        return one

    def seen(one: TargetResult) -> TargetResult:
        found = [waived(f) for f in one.findings]
        verdict = results.overall([f.verdict for f in found]) if found else one.verdict
        return msgspec.structs.replace(one, findings=found, verdict=one.verdict if one.error else verdict)

    made = [seen(t) for t in result.targets]
    return msgspec.structs.replace(result, targets=made, verdict=results.overall([t.verdict for t in made]))


def stored(path: Path) -> Result:
    data = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    return results.decode(data, str(path))


def everything() -> list[str]:
    """All that can run here, eager and compiled; what cannot on the device says so in its cells."""
    names = [one.name for one in targets.available() if one.runnable]
    return names + [name for name in COMPILED if name.rpartition("@")[0] in names]


def groups(names: Sequence[str], size: int = 3) -> list[list[str]]:
    """Neighbours of the register in groups, without the reference."""
    some = [n for n in names if n != REFERENCE]
    return [some[i : i + size] for i in range(0, len(some), size)]


def quiet(minutes: float) -> bool:
    """Whether the processors came to rest (below BUSY per cent for three looks in a row) before so many minutes had passed."""
    end, calm = time.monotonic() + minutes * 60, 0
    while calm < 3:
        calm = calm + 1 if psutil.cpu_percent(interval=5) < BUSY else 0
        if calm < 3 and time.monotonic() > end:
            return False
    return True


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("out", type=Path)
    words.add_argument("targets", nargs="*")
    words.add_argument("--device", default="cpu")
    words.add_argument("--audit", type=Path)
    words.add_argument("--accept", default="")
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--processes", type=int, default=3)
    words.add_argument("--blocks", type=int, default=3)
    words.add_argument("--slot", type=float, default=8.0, help="milliseconds")
    words.add_argument("--minutes", type=float, default=float("inf"), help="begin no group after so many")
    words.add_argument("--wait", type=float, default=0.0, help="minutes that a group waits for a quiet machine")
    words.add_argument("--cell", action="append", help="these cells instead of those of the page")
    words.add_argument("--draw", action="store_true", help="measure nothing")
    given = words.parse_intermixed_args()
    start, raw = time.monotonic(), given.out / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    reference = REFERENCE if given.device == "cpu" else "torch.Dropout1d"
    audit = stored(given.audit) if given.audit is not None else None
    left = 0
    wanted = given.targets or everything()
    if audit is not None:  # what nobody has audited has no speed
        known = {t.target for t in audit.targets if t.skipped is None}
        wanted = [n for n in wanted if n in known]
    for group in groups(wanted):
        place = raw / (group[0].replace("/", "-") + ".json.xz")
        if given.draw or place.exists():
            continue
        if time.monotonic() - start > given.minutes * 60:
            left += 1
            continue
        names = [reference, *(n for n in group if n != reference)]
        if given.wait and not quiet(given.wait):
            print(f"{', '.join(names[1:])}: other work on this machine; noisy cells get no figure", file=sys.stderr)
        journal, beside = place.with_suffix(".journal"), place.with_suffix(".audit")
        _beside(beside, audit, names, given.device, [w for w in given.accept.split(",") if w])
        result = run(
            BenchRequest(
                targets=tuple(names),
                cells=tuple(given.cell or (CELLS if given.device == "cpu" else CUDA_CELLS)),
                device=given.device,
                threads=given.threads,
                processes=given.processes,
                blocks=given.blocks,
                slot_ms=given.slot,
                audit=beside,
                journal=journal,
                resume=True,
                argv=("bench_everything.py", *names),  # no path of this machine
            ),
            lambda said, done: None,
        )
        if result.interrupted:
            return 130
        for one in (journal, beside):
            one.unlink(missing_ok=True)
        results.write_atomically(place, lzma.compress(msgspec.json.encode(result), preset=9))
        told = {
            s: sum(one.state == s for one in result.speeds)
            for s in ("measured", "noisy", "skipped", "disqualified", "error")
        }
        print(
            f"{time.monotonic() - start:6.0f} s  {', '.join(names[1:])}: {json.dumps(told)}",
            file=sys.stderr,
            flush=True,
        )
    found = [records.decode(lzma.decompress(one.read_bytes()), one.name) for one in sorted(raw.glob("*.json.xz"))]
    if found:
        bench_report.write(found, given.out, everything())
    if left:
        print(f"{left} groups are left: run the same command again", file=sys.stderr)
    return 3 if left else 0


def _beside(path: Path, audit: Result | None, names: Sequence[str], device: str, accepted: Sequence[str]) -> None:
    """The audit of these targets as a file that a bench reads; what is there already stays."""
    if path.exists():
        return
    if audit is None:
        from dropcheck.auditing import run as auditing

        audit = auditing.run(auditing.AuditRequest(targets=tuple(names), device=device, causes=False))
    some = [t for t in audit.targets if t.target in names]
    results.save(accepting(msgspec.structs.replace(audit, targets=some), accepted), path)


if __name__ == "__main__":
    sys.exit(main())
