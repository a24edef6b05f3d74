"""Makes the signatures of the planted defects: each audited in quick under several seeds, and matched with the others.

python -m dropcheck.selftest.signatures --rebuild
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.judge import signatures
from dropcheck.judge.causes import match, ranked
from dropcheck.judge.signatures import FACTS, SCHEMA, Calibration, Facts, Library, Signature, added, facts, library
from dropcheck.results.audit import write_atomically
from dropcheck.results.journal import Journal

STRICT = "only --strict calls it a defect"


class _Line(msgspec.Struct, frozen=True):
    """A finished audit of a defect under a seed."""

    key: str
    audit: dict[str, Any]


def calibrate(audited: dict[int, dict[str, Facts]], signatures: dict[str, Signature]) -> tuple[Calibration, list[str]]:
    """Match every audit with signatures of the other seeds, and with its own signature left out.

    Returns the counts, and one line for every audit that got no name or a wrong one.
    """
    count = dict.fromkeys(Calibration.__struct_fields__, 0)
    notes = []
    for seed, layers in audited.items():
        others: dict[str, list[Facts]] = {}
        for other, layers_of in audited.items():
            if other != seed:
                for name, one in layers_of.items():
                    others.setdefault(name, []).append(one)
        known = [msgspec.structs.replace(signatures[n], facts=added(f)) for n, f in others.items()]
        for name, seen in layers.items():
            failing = frozenset(c for c, f in seen.items() if f.fails)
            if not failing or name not in others:
                continue
            order = [s.name for _, s in ranked(seen, known, None)]
            found = match(seen, failing, known)
            names = {d.name for cause in found for d in cause.defects}
            exact = any(cause.exact for cause in found)
            count["audits"] += 1
            count["first"] += order[:1] == [name]
            count["in_three"] += name in order[:3]
            count["named"] += bool(found)
            count["right"] += name in names
            count["exact_named"] += exact
            count["exact_right"] += exact and name in names
            if name not in names:
                place = order.index(name) + 1 if name in order else 0
                notes.append(f"{name}, seed {seed}: {'; '.join(c.text for c in found) or 'no name'}; rank {place}")
            strangers = match(seen, failing, [s for s in known if s.name != name])
            count["strangers"] += 1
            count["strangers_exact"] += any(c.exact for c in strangers)
            count["strangers_like"] += bool(strangers) and not any(c.exact for c in strangers)
    return Calibration(**count), notes


def rebuild(
    defects: Sequence[Any], seeds: Sequence[int], work: Path, say: Callable[[str], None]
) -> tuple[Library, list[str]]:
    """Audit every defect in quick under every seed, in this process, and put the signatures together.

    ``work`` keeps one line an audit; a rebuild that was interrupted goes on from it, and audits again only defects whose
    maker or summary changed. Defects that cannot run here, or that nothing catches, get no signature and are named.
    Raises UsageError where ``work`` is damaged or cannot be written.
    """
    # in an audit without --strict it is no defect, and nothing there may be put down to it
    without: dict[str, str] = {d.name: STRICT for d in defects if d.strict}
    defects = [d for d in defects if not d.strict]
    kept = Journal(work, None, _Line, "a rebuild", "", again="repeat the command", infinite=True)
    found = kept.read()
    lines = [] if found is None else found[1]
    kept.begin(lines)
    done = {line.key: line.audit for line in lines}
    for number, defect in enumerate(defects, 1):
        for seed in seeds:
            key = _key(defect, seed)
            if key not in done:
                say(f"{number} of {len(defects)}  {defect.name}  seed {seed}")
                done[key] = _audited(defect, seed)
                kept.append(_Line(key, done[key]), "the audits that are finished")
    audited: dict[int, dict[str, Facts]] = {seed: {} for seed in seeds}
    signatures = {}
    for defect in defects:
        audits = {seed: done[_key(defect, seed)] for seed in seeds}
        if errors := [f["error"] for f in audits.values() if f.get("error")]:
            without[defect.name] = errors[0].splitlines()[0]
            continue
        read = {seed: msgspec.convert(f["facts"], Facts) for seed, f in audits.items()}
        if not any(f.fails for one in read.values() for f in one.values()):
            without[defect.name] = "quick does not catch it"
            continue
        for seed, one in read.items():
            audited[seed][defect.name] = one
        signatures[defect.name] = Signature(
            name=defect.name,
            check=defect.check,
            summary=defect.summary,
            source=defect.source,
            framework=defect.framework,
            seeds=len(seeds),
            facts=added(read.values()),
        )
    calibration, notes = calibrate(audited, signatures)
    ordered = [signatures[name] for name in sorted(signatures)]
    made = Library(
        schema=SCHEMA,
        seeds=list(seeds),
        calibration=calibration,
        signatures=ordered,
        without=dict(sorted(without.items())),
    )
    return made, [f"{name} has no signature: {why}" for name, why in without.items()] + notes


def _key(defect: Any, seed: int) -> str:
    return json.dumps([FACTS, defect.name, seed, defect.make, defect.summary])


def _audited(defect: Any, seed: int) -> dict[str, Any]:
    from dropcheck.auditing.run import AuditRequest, run

    try:
        request = AuditRequest(targets=(f"broken.{defect.name}",), seed=seed, in_process=True, jobs=1, causes=False)
        target = run(request).targets[0]
    except Exception as error:  # one defect that cannot run here must not end the rebuild of the others
        return {"error": f"{type(error).__name__}: {error}"}
    if target.error is not None and not any(f.verdict == "fail" for f in target.findings):
        return {"error": target.error}
    return {"facts": msgspec.to_builtins(facts(target.findings))}


def _main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dropcheck.selftest.signatures", description=__doc__)
    parser.add_argument("--rebuild", action="store_true", help="audit the zoo and write the signatures")
    parser.add_argument("--out", type=Path, default=Path(signatures.__file__).with_name("signatures.json"))
    parser.add_argument(
        "--work", type=Path, default=Path("signatures.work.jsonl"), help="finished audits, to go on from"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[20141110, 7, 8], help="root seeds, at least two")
    given = parser.parse_args(argv)
    if given.rebuild:
        from spatial_dropouts.broken import DEFECTS

        if len(set(given.seeds)) < 2:
            parser.error("the calibration matches every audit with signatures of other seeds: give two seeds or more")
        try:
            made, notes = rebuild(
                DEFECTS, given.seeds, given.work, lambda text: print(text, file=sys.stderr, flush=True)
            )
        except UsageError as error:
            parser.error(str(error))
        write_atomically(given.out, msgspec.json.encode(_rounded(msgspec.to_builtins(made))) + b"\n")
        print("\n".join(notes))
    else:
        made = library()
    print(msgspec.json.format(msgspec.json.encode(made.calibration)).decode())
    return 0


def _rounded(tree: Any) -> Any:
    """Numbers to five digits after the point, so that the file stays small."""
    if isinstance(tree, dict):
        return {k: _rounded(v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [_rounded(v) for v in tree]
    return round(tree, 5) if isinstance(tree, float) else tree


if __name__ == "__main__":
    raise SystemExit(_main())
