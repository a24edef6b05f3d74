"""What is open about GPUs, in ten minutes at most: one command for a machine with one.

    python tests/measurements/gpu_ten_minutes.py OUT [--minutes 10] [--rehearse]

In this order, each with a limit of its own: whether the kernel of custom.torch passes its check, for each dtype; a quick audit of
custom.torch; its speed beside torch.Dropout1d at 1, 16 and 64 MiB; mask.distinct-calls of custom.torch@reduce-overhead, whose
failure nobody explains; the scripts of the checks that reports/gpu could not confirm, until the time is over.
OUT/N-*.txt is what each printed, OUT/README.md the table. ``--rehearse`` does all of it on the CPU, the scripts of the last step
apart, to see that the commands run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

REPORT = Path(__file__).parents[2] / "reports" / "gpu" / "field"
CHECKED = """
import sys, torch
from spatial_dropouts.custom import on_gpu
device = torch.device(sys.argv[1], 0) if sys.argv[1] == "cuda" else torch.device("cpu")
found = {str(d): on_gpu.fault(device, d) for d in (torch.float32, torch.float64, torch.bfloat16, torch.float16)}
for dtype, fault in found.items():
    print(f"{dtype:15} {fault or 'equal bit for bit'}")
sys.exit(any(found.values()))
"""
UNEXPLAINED = "float32 rate=0.5 32769,1,4 calls=50"
CELLS = [f"{samples},256,1024 float32 rate=0.5 {way}" for way in ("forward", "backward") for samples in (1, 16, 64)]


@dataclass(frozen=True)
class Step:
    """A command, what it answers, and its limit in seconds."""

    name: str
    question: str
    words: list[str]
    seconds: float


def steps(device: str, report: Path, out: Path) -> list[Step]:
    """What is run, in this order. ``report``: the folder of the audits whose unconfirmed checks are tried again."""
    dropcheck = [sys.executable, "-m", "dropcheck"]
    audit = [*dropcheck, "audit", "--device", device, "--jobs", "1"]
    cells = [word for cell in CELLS for word in ("--cell", cell)]
    bench = [*dropcheck, "bench", "torch.Dropout1d", "custom.torch", "--device", device, *cells, "--processes", "2"]
    stored = ["--audit", str(out / "audit" / "result.json")]
    odd = [*audit, "custom.torch@reduce-overhead", "--select", "mask.distinct-calls", "--case", UNEXPLAINED]
    made = [
        Step("kernel", "Does the kernel pass its check?", [sys.executable, "-c", CHECKED, device], 60),
        Step("audit", "Does `custom.torch` pass?", [*audit, "custom.torch", "--out", str(out / "audit")], 90),
        Step("speed", "How fast is `custom.torch`?", [*bench, *stored, "--out", str(out / "bench")], 120),
        Step("distinct-calls", "Do calls of `custom.torch@reduce-overhead` share masks?", odd, 120),
    ]
    if device == "cpu":
        return made
    result = str(report / "result.json.xz")
    for one in unconfirmed(report):
        words = [*dropcheck, "repro", result, one["target"], one["check"], one["case"], "--run", "--timeout", "60s"]
        made.append(Step("script", f"`{one['target']}` fails `{one['check']}`?", words, 75))
    return made


def unconfirmed(report: Path) -> list[dict[str, str]]:
    """The checks that no script has shown yet, one case of each target and check."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for one in json.loads((report / "confirmations.json").read_text()):
        if not one["confirmed"]:
            found.setdefault((one["target"], one["check"]), one)
    return list(found.values())


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("out", type=Path)
    words.add_argument("--minutes", type=float, default=10.0)
    words.add_argument("--rehearse", action="store_true", help="on the CPU")
    given = words.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + given.minutes * 60 - 5
    device = "cpu" if given.rehearse else "cuda"
    rows = [f"Device: {device}.", "", "| | question | exit code | seconds | printed |", "|---|---|---|---|---|"]
    for number, step in enumerate(steps(device, REPORT, given.out), 1):
        began = time.monotonic()
        path = given.out / f"{number}-{step.name}.txt"
        code = _run(step.words, min(step.seconds, end - began), path)
        rows.append(
            f"| {number} | {step.question} | {code} | {time.monotonic() - began:.0f} | [{path.name}]({path.name}) |"
        )
        (given.out / "README.md").write_text("\n".join(rows) + "\n")
        print(rows[-1], flush=True)
    return 0


def _run(words: list[str], seconds: float, path: Path) -> str:
    if seconds < 10:
        return "no time left"
    with path.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)
        try:
            return str(process.wait(seconds))
        except subprocess.TimeoutExpired:
            process.terminate()  # the command ends its workers, and keeps what it has
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return "stopped by its limit"


if __name__ == "__main__":
    sys.exit(main())
