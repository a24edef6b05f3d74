"""One command for a machine with a GPU: audits on it, what fails confirmed there, then speed; raw results and pages are kept.

    python tests/measurements/gpu.py OUT [--audit-seconds S] [--bench-minutes M] [--jobs N] [--profile quick] [TARGET ...]

Without targets: everything registered that computes on a GPU, in every mode but ``ranks`` (two processes of one CPU machine).
OUT/field is what ``dropcheck field --device cuda`` writes; OUT/speed what ``bench_everything.py --device cuda`` does, for what
was audited eager, compiled or under jit. An audit that is stopped by ``--audit-seconds`` keeps its journal: the same command
goes on.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from dropcheck.plan import targets
from dropcheck.report.field import command

ON_A_GPU = ("torch", "jax", "keras", "tensorflow", "tf_keras")
TIMED = ("", "compiled", "jit")


def everything() -> list[str]:
    """Names with modes; what computes on the CPU only is left out, since it would only say so."""
    names, _ = command.everything()
    return [name for name in names if not name.endswith("@ranks") and _computes(name)]


def _computes(name: str) -> bool:
    from dropcheck.contract.modes import FRAMEWORK_OF

    framework = targets.parse(name).framework
    return FRAMEWORK_OF.get(framework, framework).partition("@")[0] in ON_A_GPU


def mode_of(name: str) -> str:
    """The mode in a name, an empty text for eager."""
    found = targets.parse(name).mode
    return "" if found == "eager" else found


def _run(words: list[str], seconds: float | None) -> int:
    """A command to its end, or interrupted as Ctrl-C does."""
    process = subprocess.Popen(words)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return process.wait()


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("out", type=Path)
    words.add_argument("targets", nargs="*")
    words.add_argument("--audit-seconds", type=float)
    words.add_argument("--bench-minutes", type=float, default=float("inf"))
    words.add_argument("--jobs", type=int, default=0)
    words.add_argument("--profile", default="quick")
    words.add_argument("--processes", type=int, default=3)
    words.add_argument("--timeout", default="10m", help="limit of one target")
    given = words.parse_intermixed_args()
    names = given.targets or everything()
    field, speed = given.out / "field", given.out / "speed"
    field.mkdir(parents=True, exist_ok=True)
    resume = ["--resume"] if (field / "journal.jsonl").exists() else []
    asked = ["--profile", given.profile, "--jobs", str(given.jobs), "--timeout", given.timeout, *resume]
    python = [sys.executable, "-m", "dropcheck"]
    code = _run([*python, "field", *names, "--device", "cuda", "--out", str(field), *asked], given.audit_seconds)
    if code not in (0, 1, 3):
        return code
    timed = [name for name in names if mode_of(name) in TIMED]
    script = str(Path(__file__).with_name("bench_everything.py"))
    options = ["--minutes", str(given.bench_minutes), "--processes", str(given.processes)]
    # what a rate of 1.5 does, or a seed, is about something else than what is timed; the page names it beside each target
    accepted = "rate.rejects-invalid,rate.zero,rate.one,gradient.edges,form.ranks,seed.distinct,seed.neighbours"
    stored = str(field / "result.json.xz")
    return _run(
        [
            sys.executable,
            script,
            str(speed),
            *timed,
            "--device",
            "cuda",
            "--audit",
            stored,
            "--accept",
            accepted,
            *options,
        ],
        None,
    )


if __name__ == "__main__":
    sys.exit(main())
