"""The plan by cost and benefit: the planted defects that only one case of a profile catches, and the case's processor seconds.

    python tests/measurements/plan.py --profile quick --out reports/plan [--part audits|costs|table|add] [--shard 1/2]
    python tests/measurements/plan.py --profile standard --out reports/plan --beyond quick

Each planted defect is audited with all checks, in float32 and, where nothing fails there, in all dtypes. What fails is kept
with its case before more basic failures withhold it: were the basic case not asked, that is what would be seen. ``audits``
grows ``audits-PROFILE.jsonl`` by one line a defect; what the files of the folder hold is not run again, and each shard has a
file of its own. ``costs`` times each case and each exact question on correct layers. ``table`` writes ``PROFILE.json`` and
``PROFILE.md`` from both. ``add`` puts the audits of defects that a written table does not have beside what it says of the
others: these are not audited again, so that what newer code catches of them stays as it was.

``--beyond quick``: an audit in ``standard`` takes a quarter of a minute, so only defects that the table of ``quick`` leaves open
are audited: those that one case of it catches alone, those that it misses and those that it does not have. What an exact check or
two cases of ``quick`` catch has no case of its own in ``standard``, which asks the same exact checks, and larger cases of the same
kinds. The rows then count the audited defects alone, and the page says so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import statistics
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dropcheck.auditing import dispatch
from dropcheck.auditing import target as examination
from dropcheck.auditing.state import Outcome, TargetAudit
from dropcheck.auditing.target import audit_target
from dropcheck.contract.adapter import DTYPES
from dropcheck.contract.promise import Pattern
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import Check
from dropcheck.plan.profiles import PROFILES, _fitted, core
from dropcheck.plan.request import AuditRequest, prepare
from dropcheck.results.audit import Finding, write_atomically
from dropcheck.selftest import zoo

MARGINAL = next(c for c in CHECKS if c.name == "rate.marginal")
EXACT = {c.name for c in CHECKS if c.observe is not None}
PLAIN = Pattern.parse("n c l -> n c")
CORRECT = ("torch.Dropout1d", "custom.reference")  # their cases are timed
REPEATS = 3


def noted(check: Check, note: Any) -> Check:
    """The same check; ``note(check, findings, processor seconds)`` sees all that it decides."""

    def wrapped(decide: Any) -> Any:
        def deciding(*arguments: Any) -> Any:
            began = time.process_time()
            found = decide(*arguments)
            some: Sequence[Finding] = found if isinstance(found, list) else [found] if found is not None else []
            note(check, some, time.process_time() - began)
            return found

        return deciding if decide is not None else None

    return replace(check, judge=wrapped(check.judge), observe=wrapped(check.observe), compare=wrapped(check.compare))


def roles(outcome: Outcome) -> dict[str, str]:
    """The text of each planned case of a layer: the case of the plain pattern that it stands for; a drawn one is "drawn"."""
    opened = outcome.opened
    if opened is None:
        return {}
    contract, info, profile = opened.contract, opened.info, PROFILES[opened.request.profile]
    plain = replace(contract, pattern=PLAIN)
    heavy = bool(info.get("heavy"))

    def planned(heavy: bool) -> list[Any]:
        wanted = opened.request.dtypes
        dtypes = [d for d in DTYPES if d in info["dtypes"] and (not wanted or d in wanted)]
        return core(plain, heavy, dtypes, info["layouts"], info["gradients"], profile, MARGINAL, None)

    own, light = planned(heavy), planned(False)
    found = {str(case): "drawn" for case in outcome.asked if case.drawn}
    for case, name in zip(own, light if len(light) == len(own) else own, strict=True):
        found.setdefault(str(_fitted(case, contract.pattern, profile)), str(name))
    return found


def audited(layer: str, profile: str, strict: bool, dtypes: tuple[str, ...] = ()) -> dict[str, Any]:
    """One defect: pairs of check and case that fail, before and after what withholds them."""
    in_process = zoo.framework(layer) in zoo.IN_PROCESS
    request = AuditRequest(
        targets=(layer,), profile=profile, jobs=1, in_process=in_process, strict=strict, causes=False, dtypes=dtypes
    )
    (target,), checks = prepare(request)
    failed: set[tuple[str, str]] = set()

    def note(_: Check, some: Sequence[Finding], __: float) -> None:
        failed.update((one.check, one.case) for one in some if one.verdict == "fail")

    began = time.process_time()
    outcome = audit_target(TargetAudit(target, request, [noted(c, note) for c in checks], None))
    result, named = outcome.result, roles(outcome)
    final = sorted({(one.check, named.get(one.case, one.case)) for one in result.findings if one.verdict == "fail"})
    return {
        "layer": layer,
        "verdict": result.verdict,
        "error": result.error,
        "raw": sorted({(check, named.get(case, case)) for check, case in failed}),
        "final": final,
        "seconds": round(time.process_time() - began, 2),
    }


def known(folder: Path, profile: str, others: Sequence[Path] = ()) -> Iterator[dict[str, Any]]:
    """Audits that the files of a folder hold, all shards, and those of ``others``; a last line that was cut off is left out.

    A line of others may hold ``target`` and ``findings`` with check, case and verdict, as a result has them.
    """
    for path in (*others, *sorted(folder.glob(f"audits-{profile}*.jsonl"))):
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                one = json.loads(line)
                if "findings" in one:
                    some = [f for f in one["findings"] if f["verdict"] == "fail"]
                    one = {"layer": one["target"], "raw": [(f["check"], f["case"]) for f in some]}
                yield one


def open_in(folder: Path, profile: str) -> tuple[list[str], int]:
    """Planted defects that the table of another profile does not settle, and how many it settles."""
    whole = json.loads((folder / f"{profile}.json").read_text())
    alone = {layer for row in whole["rows"] if not row["exact"] for layer in row["only"]}
    settled = set(whole["layers"]) - alone - set(whole["missed"])
    names = sorted(name for name, check in zoo.names().items() if check is not None)
    return [name for name in names if name not in settled], len(settled & set(names))


def audits(folder: Path, profile: str, shard: str, beyond: str | None = None) -> None:
    """Audit what no file holds yet. ``beyond``: only what the table of this profile leaves open."""
    number, _, count = shard.partition("/")
    names = {name: check for name, check in zoo.names().items() if check is not None}
    if beyond is not None:
        names = {name: names[name] for name in open_in(folder, beyond)[0]}
    strict = zoo.asked_strictly()
    done = {one["layer"] for one in known(folder, profile)}
    with (folder / f"audits-{profile}-{number}of{count}.jsonl").open("a") as out:
        for layer in sorted(names)[int(number) - 1 :: int(count)]:
            if layer in done:
                continue
            one = audited(layer, profile, layer in strict, ("float32",))
            if one["verdict"] != "fail":
                one = audited(layer, profile, layer in strict)
            out.write(json.dumps(one) + "\n")
            out.flush()


def costs(folder: Path, profile: str) -> None:
    """Processor seconds of each case (calls, counting, judging) and of each exact check, the median of a few audits."""
    found: dict[str, dict[str, float]] = {}
    for layer in CORRECT:
        times: dict[str, list[float]] = defaultdict(list)
        for _ in range(REPEATS):
            for name, spent in timed(layer, profile).items():
                times[name].append(spent)
        found[layer] = {name: round(statistics.median(some), 4) for name, some in times.items()}
    write_atomically(folder / f"costs-{profile}.json", json.dumps(found, indent=1).encode() + b"\n")


def timed(layer: str, profile: str) -> dict[str, float]:
    """Processor seconds of one audit in this process, by case of the plan and by exact check."""
    spent: Counter[str] = Counter()
    count_unit, judged = dispatch.executors.count_unit, dispatch._judged

    def counting(work: Any) -> Any:
        began = time.process_time()
        try:
            return count_unit(work)
        finally:
            spent[str(work.unit.case)] += time.process_time() - began

    def judging(opened: Any, found: Any, one: Any, *more: Any) -> Any:
        began = time.process_time()
        try:
            return judged(opened, found, one, *more)
        finally:
            spent[str(one.case)] += time.process_time() - began

    def note(check: Check, _: Sequence[Finding], seconds: float) -> None:
        if check.name in EXACT:
            spent[check.name] += seconds

    request = AuditRequest(targets=(layer,), profile=profile, jobs=1, in_process=True, causes=False)
    (target,), checks = prepare(request)
    dispatch.executors.count_unit, dispatch._judged = counting, judging
    try:
        outcome = examination.audit_target(TargetAudit(target, request, [noted(c, note) for c in checks], None))
    finally:
        dispatch.executors.count_unit, dispatch._judged = count_unit, judged
    named, whole = roles(outcome), Counter[str]()
    for name, seconds in spent.items():
        role = named.get(name, name)
        whole[DRAWN if role == "drawn" else role] += seconds
    return dict(whole)


def table(folder: Path, profile: str, others: Sequence[Path] = (), beyond: str | None = None) -> None:
    """One row a case or exact check: defects that only it catches, that it catches at all, its seconds."""
    seconds: dict[str, dict[str, float]] = json.loads((folder / f"costs-{profile}.json").read_text())
    records = {one["layer"]: one for one in known(folder, profile, others)}
    catches: dict[str, set[str]] = defaultdict(set)
    for layer, one in records.items():
        for check, case in {
            tuple(pair) for pair in (*one["raw"], *one.get("final", ()))
        }:  # some fail by no check's own function
            catches[_row(check, case, seconds)].add(layer)
    by_defect: dict[str, set[str]] = defaultdict(set)
    for row, layers in catches.items():
        for layer in layers:
            by_defect[layer].add(row)
    rows = []
    for row in dict.fromkeys([*seconds[CORRECT[0]], *seconds[CORRECT[1]], *catches]):
        only = sorted(layer for layer in catches[row] if by_defect[layer] == {row})
        spent = {layer: seconds[layer].get(row) for layer in CORRECT}
        rows.append({"row": row, "exact": row in EXACT, "only": only, "catches": len(catches[row]), "seconds": spent})
    missed = sorted(layer for layer in records if layer not in by_defect)
    whole = {"profile": profile, "defects": len(records), "missed": missed, "rows": rows, "layers": sorted(records)}
    if beyond is not None:
        whole.update(beyond=beyond, settled=open_in(folder, beyond)[1])
    _write(folder, whole)


def add(folder: Path, others: Sequence[Path], profile: str) -> None:
    """Defects that the written table lacks, each in the rows that catch it."""
    seconds: dict[str, dict[str, float]] = json.loads((folder / f"costs-{profile}.json").read_text())
    whole = json.loads((folder / f"{profile}.json").read_text())
    records = {one["layer"]: one for one in known(folder, profile, others)}
    # tables from before they named their defects have all but those of the given audits
    layers = whole.get("layers") or sorted(n for n, check in zoo.names().items() if check and n not in records)
    assert len(layers) == whole["defects"], (len(layers), whole["defects"])
    rows = {row["row"]: row for row in whole["rows"]}
    for layer in sorted(set(records) - set(layers)):
        caught = {_row(check, case, seconds) for check, case in records[layer]["raw"]}
        if not caught:
            whole["missed"] = sorted([*whole["missed"], layer])
        for name in sorted(caught):
            empty = {"row": name, "exact": name in EXACT, "only": [], "catches": 0}
            row = rows.setdefault(name, {**empty, "seconds": {one: seconds[one].get(name) for one in CORRECT}})
            row["catches"] += 1
            row["only"] = sorted([*row["only"], layer]) if caught == {name} else row["only"]
        layers = sorted([*layers, layer])
    _write(folder, {**whole, "defects": len(layers), "rows": list(rows.values()), "layers": layers})


def _write(folder: Path, whole: dict[str, Any]) -> None:
    profile = whole["profile"]
    write_atomically(folder / f"{profile}.json", json.dumps(whole, indent=1).encode() + b"\n")
    write_atomically(folder / f"{profile}.md", markdown(whole).encode())


DRAWN = "drawn cases"
OTHER = "cases of other patterns and rates, and several cases together"


def _row(check: str, case: str, seconds: dict[str, dict[str, float]]) -> str:
    """The row of a failure: its case where the plain plan has it, its exact check, else one row for all drawn or other cases."""
    if any(case in some for some in seconds.values()):
        return case
    if check in EXACT and "calls=" not in case:
        return check
    # drawn rates have six digits
    return DRAWN if case == "drawn" or re.search(r"rate=0\.\d{5}", case) else OTHER


def markdown(whole: dict[str, Any]) -> str:
    """The table for readers, dearest cases first."""
    rows = whole["rows"]
    alone = sum(len(r["only"]) for r in rows)
    beyond = whole.get("beyond")
    which = (
        "" if beyond is None else f" that the table of `{beyond}` leaves open (it settles {whole['settled']} others)"
    )
    text = [
        f"# The plan of `{whole['profile']}` by cost and benefit",
        "",
        f"{whole['defects']} planted defects{which}, each audited with all checks; "
        f"{len(whole['missed'])} are missed"
        + (f" ({', '.join(whole['missed'])})" if whole["missed"] else "")
        + f"; {alone} are caught by one case or one exact check only. Seconds: processor time of calls, counting and judging "
        f"in one process, the median of {REPEATS} audits of {CORRECT[0]} and of {CORRECT[1]}. A case that catches nothing of "
        "its own may still carry a promise: a rate, a dtype or a resolution.",
        "",
        f"`python tests/measurements/plan.py --profile {whole['profile']} --out reports/plan"
        + (f" --beyond {beyond}" if beyond else "")
        + "` makes this table.",
        "",
    ]
    for title, exact in (("Cases", False), ("Exact checks", True)):
        text += [
            f"## {title}",
            "",
            f"| {title.lower()} | only it catches | catches | seconds | seconds, reference | which |",
        ]
        text += ["|---|---|---|---|---|---|"]
        some = [r for r in rows if r["exact"] is exact]
        for r in sorted(some, key=lambda r: -(r["seconds"][CORRECT[0]] or 0)):
            first, second = ("" if v is None else f"{v:.3f}" for v in r["seconds"].values())
            which = ", ".join(name.removeprefix("broken.") for name in r["only"])
            text.append(f"| {r['row']} | {len(r['only'])} | {r['catches']} | {first} | {second} | {which} |")
        text.append("")
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--profile", choices=("quick", "standard"), default="quick")
    parser.add_argument("--out", type=Path, default=Path("reports/plan"))
    parser.add_argument(
        "--part", nargs="*", choices=("audits", "costs", "table", "add"), default=["audits", "costs", "table"]
    )
    parser.add_argument(
        "--from", type=Path, nargs="*", default=[], dest="others", help="further files with a line an audit"
    )
    parser.add_argument("--beyond", choices=("quick",), help="only the defects that this profile's table leaves open")
    parser.add_argument("--shard", default="1/1", help="this part of the defects, as 1/2")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    given.out.mkdir(parents=True, exist_ok=True)
    if "audits" in given.part:
        audits(given.out, given.profile, given.shard, given.beyond)
    if "costs" in given.part:
        costs(given.out, given.profile)
    if "table" in given.part:
        table(given.out, given.profile, given.others, given.beyond)
    if "add" in given.part:
        add(given.out, given.others, given.profile)


if __name__ == "__main__":
    main()
