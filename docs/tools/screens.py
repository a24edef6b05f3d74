"""Write docs/explanation/answers.md: what `dropcheck audit` prints of layers that people write in a minute.

The layers are those of tests/kits/layers_in_a_minute.py; auditing all of them takes some minutes.
"""

from __future__ import annotations

import argparse
import inspect
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "answers.md"
LAYERS = ROOT / "tests" / "kits" / "layers_in_a_minute.py"
NAMES = (
    "Good", "PerElement", "OnePercent", "Frozen", "Unscaled", "ChannelsLast", "KeepProb", "OneMaskPerBatch",
    "OneDecisionPerSample", "AlwaysOn", "NeverOn", "ScaledInInference", "DividedByRate", "OwnSeed", "Detached",
)  # fmt: skip
WIDTHS, HEIGHT = (80, 120), 40
HEAD = f"""# What an answer looks like

Each block below is the whole output of `dropcheck audit` for a small layer, in a terminal of {WIDTHS[0]} or {WIDTHS[1]} columns.
The first and the last screen of {HEIGHT} rows both show what is wrong. `python docs/tools/screens.py` makes this page.
"""


def printed(command: list[str], width: int, folder: Path) -> str:
    """What a command prints in a terminal of that width."""
    environment = {**os.environ, "COLUMNS": str(width), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout


def section(name: str, folder: Path) -> list[str]:
    """One layer: its code, and what is said of it."""
    sys.path.insert(0, str(LAYERS.parent))
    import layers_in_a_minute as layers

    kind = getattr(layers, name)
    stored = folder / f"{name}.json"
    dropcheck = [sys.executable, "-m", "dropcheck"]
    printed([*dropcheck, "audit", f"layers.py:{name}", "--jobs", "1", "--json", str(stored)], WIDTHS[0], folder)
    lines = [f"## {name}", "", inspect.getdoc(kind) or "", "", "```python", inspect.getsource(kind).rstrip(), "```", ""]
    for width in WIDTHS:
        text = printed([*dropcheck, "report", str(stored)], width, folder).rstrip()
        rows = text.count("\n") + 1
        lines += ['<details markdown="1">', f"<summary>{width} columns, {rows} rows</summary>", "", "```text"]
        lines += [*(line.rstrip() for line in text.splitlines()), "```", "", "</details>", ""]
    return lines


def main() -> None:
    argparse.ArgumentParser(prog="python docs/tools/screens.py", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "layers.py").write_text(LAYERS.read_text())
        lines = [HEAD]
        for one in NAMES:
            lines += section(one, folder)
            print(one, flush=True)
    PAGE.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
