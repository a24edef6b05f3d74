"""What dropcheck says of the layers of ``makers.py``, claim by claim, beside what ``truth.py`` measured, as a table.

``python compare.py TRUTH RESULTS [RESULTS ...]``: the lines of truth.py, and folders that hold NAME.json, results of audits.
A *deviation* is a claim that truth.py found broken: shown where the check fails. A claim that truth.py found to hold and whose
check fails is *false*. What truth.py does not measure is not counted.
"""

import json
import sys
from pathlib import Path

ALSO = {"scale.mean": "scale.kept-values", "seed.reset": "seed.reproducible"}  # measured under another name


def failing(path):
    """Checks that fail in a result, and those that were asked; None where there is no result."""
    if not path.is_file():
        return None
    (target,) = json.loads(path.read_text())["targets"]
    if target["verdict"] in ("error", "skipped"):
        return target.get("error") or target.get("skipped") or target["verdict"]
    found = {}
    for one in target["findings"]:
        found.setdefault(one["check"], set()).add(one["verdict"])
    return found


def main():
    """Print the table."""
    truth = {}
    for line in Path(sys.argv[1]).read_text().splitlines():
        if line.startswith("{"):
            one = json.loads(line)
            truth[one["layer"]] = one
    folders = [Path(name) for name in sys.argv[2:]]
    head = " | ".join(f"{f.name}: shown | {f.name}: false" for f in folders)
    print(f"| layer | deviations that truth.py measures | {head} |\n|---|---|" + "---|---|" * len(folders))
    sums = {f: [0, 0, 0, 0] for f in folders}  # layers, deviations, shown, false
    for name, one in truth.items():
        wrong = {check: text for check, text in one.get("wrong", {}).items() if text}
        cells = []
        for folder in folders:
            asked = failing(folder / f"{name}.json")
            if asked is None or isinstance(asked, str):
                cells += ["not asked" if asked is None else f"did not run: {asked.splitlines()[0][:90]}", ""]
                continue
            due = [c for c in wrong if c in asked]
            shown = [c for c in due if "fail" in asked[c]]
            holds = [c for c, text in one["wrong"].items() if not text]
            false = [c for c in asked if "fail" in asked[c] and ALSO.get(c, c) in holds]
            missed = [c for c in due if c not in shown]
            said = f"{len(shown)} of {len(due)}" + (f" (not: {', '.join(missed)})" if missed else "")
            cells += [said, ", ".join(false) or "none"]
            for i, n in enumerate((1, len(due), len(shown), len(false))):
                sums[folder][i] += n
        text = "; ".join(f"{c}: {t}" for c, t in wrong.items()).replace("|", "/") or "none"
        print(f"| {name} | {one.get('missing') or text} | " + " | ".join(cells) + " |")
    print()
    for folder, (layers, due, shown, false) in sums.items():
        print(
            f"{folder.name}: {layers} layers, {shown} of {due} deviations shown, {false} claims that hold reported broken."
        )


main()
