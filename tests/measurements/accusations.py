"""Correct layers under many root seeds: how often is one accused?

    python tests/measurements/accusations.py [RUNS] [FIRST_SEED]

Every run is a whole quick audit with a root seed of its own; layers take turns. Drawn cases differ from run to run.
"""

from __future__ import annotations

import itertools
import sys
import time

import dropcheck
from spatial_dropouts import unusual


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    layers = ["custom.reference", "custom.torch", *unusual.REGISTER]
    accused = unsure = 0
    start = time.monotonic()
    for done, (seed, name) in enumerate(zip(range(first, first + runs), itertools.cycle(layers), strict=False)):
        if done and done % 20 == 0:
            print(f"{done} audits: {accused} accused, {unsure} inconclusive", flush=True)
        (target,) = dropcheck.audit(name, seed=seed, in_process=True, jobs=1).targets
        for one in target.findings:
            if one.verdict in ("fail", "error", "inconclusive"):
                print(name, "seed", seed, one.verdict, one.check, one.case, one.message, flush=True)
        accused += target.verdict in ("fail", "error")
        unsure += target.verdict == "inconclusive"
    print(
        f"{runs} audits of {len(layers)} correct layers: {accused} accused, {unsure} inconclusive; {time.monotonic() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
