"""All correct layers that run in process, under many root seeds: is one accused?

    python tests/measurements/seeds.py --seeds 200 --coins 2e6 --out seeds.jsonl
    python tests/measurements/seeds.py --seeds 200 --shares 10 --out seeds.jsonl    # each seed: a tenth of the layers

Every audit asks all exact questions and, of the coin cases of `quick` for that root seed, the cheapest that make up so many
coins together; drawn cases differ from seed to seed. The file grows by one line an audit; what it holds is not run again.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dropcheck.auditing import target as examination
from dropcheck.auditing.run import run
from dropcheck.contract.cases import Case
from dropcheck.judge.checks.base import Check
from dropcheck.plan import targets
from dropcheck.plan.request import AuditRequest
from dropcheck.results.audit import TargetResult
from dropcheck.statistics import binomial

FRAMEWORKS = ("numpy", "torch", "torch-function")
PREFIXES = ("custom.", "unusual.", "torch.")
# what these release versions do wrong under every seed (reports/models.md, D9): no accusation of a correct layer
TRUE = {(f"torch.{name}#weights", "rate.rejects-invalid") for name in ("sdpa", "MultiheadAttention")}
BAD = ("fail", "error", "inconclusive")


def layers() -> list[str]:
    """Registered correct layers of frameworks that run in this process."""
    rows = targets.available(zoo=True)
    return [r.name for r in rows if r.runnable and r.framework in FRAMEWORKS and r.name.startswith(PREFIXES)]


def cheapest(asked: dict[Case, list[Check]], coins: float) -> dict[Case, list[Check]]:
    """The cases with the fewest coins, in the plan's order, that make up so many coins together; never none."""
    chosen: set[Case] = set()
    spent = 0
    for case in sorted(asked, key=lambda c: (c.coins, str(c))):
        spent += case.coins
        if chosen and spent > coins:
            break
        chosen.add(case)
    return {case: checks for case, checks in asked.items() if case in chosen}


def known(path: Path) -> Iterator[dict[str, Any]]:
    """Audits that a file holds; a last line that was cut off is left out."""
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def told(records: list[dict[str, Any]], coins: float) -> str:
    """What the audits of a file came to."""
    accused = [
        r
        for r in records
        if any(f["verdict"] in ("fail", "error") and (r["layer"], f["check"]) not in TRUE for f in r["findings"])
    ]
    unsure = sum(r["verdict"] == "inconclusive" for r in records)
    names, seeds = {r["layer"] for r in records}, {r["seed"] for r in records}
    most = binomial.one_sided(len(accused), len(records), 0.05)[1] if records else 1.0
    cases = Counter({r["layer"]: r["cases"] for r in records})
    return (
        f"{len(records)} audits of {len(names)} correct layers under {len(seeds)} root seeds ({min(cases.values(), default=0)} to "
        f"{max(cases.values(), default=0)} coin cases of {coins:g} coins each, and all exact questions): {len(accused)} accused, "
        f"{unsure} inconclusive; the share of accused audits is below {most:.2g} (exact, 95 %)"
    )


def accusing(target: TargetResult) -> list[dict[str, str]]:
    """What does not pass of a correct layer."""
    bad = [
        {"check": f.check, "case": f.case, "verdict": f.verdict, "message": f.message}
        for f in target.findings
        if f.verdict in BAD
    ]
    if target.error is not None:
        bad.append({"check": "", "case": "", "verdict": "error", "message": target.error})
    return bad


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--coins", type=float, default=2e6, help="coins of one audit")
    parser.add_argument("--out", type=Path, default=Path("seeds.jsonl"))
    parser.add_argument(
        "--shares", type=int, default=1, help="under each seed one of so many shares of the layers, in turns"
    )
    parser.add_argument("--layers", nargs="*", default=[], help="names; none: all that run in process")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    whole, counted = examination.asked_cases, [0]

    def some(*arguments: Any, **more: Any) -> Any:
        asked = cheapest(whole(*arguments, **more), given.coins)
        counted[0] = len(asked)
        return asked

    examination.asked_cases = some  # type: ignore[assignment]
    records = list(known(given.out))
    done = {(r["layer"], r["seed"]) for r in records}
    began = time.monotonic()
    with given.out.open("a") as out:
        for seed in range(given.first, given.first + given.seeds):
            for layer in (given.layers or layers())[seed % given.shares :: given.shares]:
                if (layer, seed) in done:
                    continue
                request = AuditRequest(targets=(layer,), seed=seed, jobs=1, in_process=True, causes=False)
                (target,) = run(request).targets
                bad = accusing(target)
                record = {"layer": layer, "seed": seed, "verdict": target.verdict, "cases": counted[0], "findings": bad}
                records.append(record)
                out.write(json.dumps(record) + "\n")
                out.flush()
                for one in bad:
                    print(
                        f"{layer} seed {seed}: {one['verdict']} {one['check']} {one['case']} {one['message']}",
                        flush=True,
                    )
            print(f"seed {seed}: {told(records, given.coins)}; {time.monotonic() - began:.0f} s", flush=True)
    print(told(records, given.coins))


if __name__ == "__main__":
    main()
