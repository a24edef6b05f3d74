"""The same commit gated again and again with other seeds, in quiet and beside a busy core: is the answer always the same?

python tests/measurements/gate_repeats.py --runs 100 --out repeats.jsonl           # goes on where it was
python tests/measurements/gate_repeats.py --runs 100 --busy --out busy.jsonl

The layers are those of the sample project; each run is the command itself, with a root seed of its own. A line a run is kept;
the table at the end counts the answers: exit code and the checks that fail.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "projects"
SEED = 7_000_000


def _spin(until: float) -> None:
    while time.monotonic() < until:
        pass


def gated(layer: str, seed: int, words: list[str], folder: Path) -> dict[str, object]:
    """One run of the command: its exit code, the checks that fail or lack evidence, and seconds."""
    out = folder / "gate.json"
    command = [
        sys.executable,
        "-m",
        "dropcheck",
        "gate",
        layer,
        "--seed",
        str(seed),
        "--json",
        str(out),
        "--jobs",
        "1",
        *words,
    ]
    start = time.monotonic()
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    lines = json.loads(out.read_text())["lines"] if out.exists() else []
    some = {kind: sorted({one["check"] for one in lines if one["counts"] == kind}) for kind in ("fail", "missing")}
    return {
        "layer": layer,
        "seed": seed,
        "code": done.returncode,
        **some,
        "seconds": round(time.monotonic() - start, 2),
    }


def main() -> int:
    """Run what is left of it, and print the table; 1 where answers differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--most", type=int, default=10**6, help="stop after so many runs of this call, and go on later")
    parser.add_argument("--layers", nargs="+", default=["layers.py:good", "layers.py:tied"])
    parser.add_argument("--busy", action="store_true", help="load one core on purpose while a gate runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--words", action="append", default=[], help="a further word of the command; repeat it for more"
    )
    asked = parser.parse_args()
    kept = [json.loads(row) for row in asked.out.read_text().splitlines()] if asked.out.exists() else []
    known = {(one["layer"], one["seed"]) for one in kept}
    todo = [(layer, SEED + n) for n in range(asked.runs) for layer in asked.layers if (layer, SEED + n) not in known]
    for layer, seed in todo[: asked.most]:
        spinner = multiprocessing.Process(target=_spin, args=(time.monotonic() + 600,), daemon=True)
        if asked.busy:
            spinner.start()
        with tempfile.TemporaryDirectory() as folder:
            made = gated(layer, seed, asked.words, Path(folder))
        if asked.busy:
            spinner.kill()
        kept.append(made)
        with asked.out.open("a") as stream:
            stream.write(json.dumps(made) + "\n")
    answers: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for one in kept:
        answers[one["layer"]][f"exit {one['code']}, fails {one['fail']}, missing {one['missing']}"] += 1
    for layer, counted in answers.items():
        for answer, count in counted.most_common():
            print(f"{layer}: {count} times {answer}")
    return int(any(len(counted) > 1 for counted in answers.values()))


if __name__ == "__main__":
    sys.exit(main())
