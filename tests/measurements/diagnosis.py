"""Diagnosis, measured: of every planted defect, whether the first block of its report names the true cause.

    python tests/measurements/diagnosis.py audit FOLDER [NAME ...]   audits what FOLDER lacks; may be stopped and resumed
    python tests/measurements/diagnosis.py tell FOLDER [NAME ...]    what is said of each, computed anew from FOLDER
    python tests/measurements/diagnosis.py measure FOLDER            shares right, silent and false, before and after
    python tests/measurements/diagnosis.py keep FOLDER FILE [NAME ...]  results without what no sentence needs, for the
                                                                     tests: these names beside those that FILE has

The truth is a table that was written from the defects' own descriptions (tests/kits/true_causes.py).
"""

from __future__ import annotations

import gzip
import lzma
import sys
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

from kits.true_causes import false, right

import dropcheck
from dropcheck.judge.checks import CHECK
from dropcheck.judge.diagnosis import diagnose
from dropcheck.judge.diagnosis.seen import OBSERVED
from dropcheck.report import sentences
from dropcheck.results.audit import Finding, Result, TargetResult, Timing
from spatial_dropouts import broken, unusual

IN_PROCESS = ("numpy", "torch", "torch-function")


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json.gz"


def _order() -> list[str]:
    """One defect of each check first, then the second of each, and so on; correct layers last."""
    turns: dict[str, int] = {}
    found = []
    for defect in sorted(broken.DEFECTS, key=lambda d: bool(d.backend)):  # those that take a process of their own last
        turns[defect.check] = turns.get(defect.check, 0) + 1
        found.append((bool(defect.backend), turns[defect.check], defect.name))
    return [name for *_, name in sorted(found, key=lambda one: one[:2])] + list(unusual.REGISTER)


def audit(folder: Path, names: list[str]) -> None:
    """Audit what is not stored yet: in profile quick or, where only that catches it, standard.

    In float32 alone, unless the defect lives in another dtype: other dtypes say the same.
    """
    defects = {d.name: d for d in broken.DEFECTS}
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or _order():
        path = _path(folder, name)
        if path.exists():
            continue
        start = time.monotonic()
        defect = defects.get(name)
        if defect is None:
            result = dropcheck.audit(name, profile="quick", seed=20141111, jobs=1, in_process=True, dtypes=("float32",))
        else:
            result = dropcheck.audit(
                defect.target,
                profile="quick" if defect.quick else "standard",
                seed=20141111,
                jobs=1,
                strict=defect.strict,
                dtypes=() if "float" in defect.regime else ("float32",),
                in_process=not defect.backend and defect.framework in IN_PROCESS,
            )
        path.write_bytes(gzip.compress(msgspec.json.encode(result)))
        (target,) = result.targets
        checks = sorted({f.check for f in target.findings if f.verdict == "fail"})
        print(f"{time.monotonic() - start:5.0f} s  {name}  {target.verdict}  {' '.join(checks)}", flush=True)


def stored(folder: Path, name: str) -> TargetResult:
    """The target of one stored result."""
    data = gzip.decompress(_path(folder, name).read_bytes())
    (target,) = msgspec.json.decode(data, type=Result).targets
    return target


def after(target: TargetResult) -> str:
    """What the first block says: what was observed, and the fix where it is more than the check's own remedy."""
    found = diagnose(target)
    if not found:
        return ""
    own = "" if found[0].fix == CHECK[found[0].check].remedy else found[0].fix
    return f"{found[0].observed} | {own}"


def before(target: TargetResult) -> str:
    """What the report of before said of its first failing check: the message, and the cause by likeness."""
    failing = sentences.groups([target], ("fail",))
    return f"{failing[0].lead.message} | {failing[0].lead.cause or ''}" if failing else ""


def outcome(name: str, text: str) -> str:
    """right, silent or false, by the table; empty where nothing fails."""
    if not text:
        return ""
    if false(name, text):
        return "false"
    return "right" if right(name, text) else "silent"


def tell(folder: Path, names: list[str]) -> None:
    """What is said of each stored defect, with the outcome."""
    for name in names or [d.name for d in broken.DEFECTS if _path(folder, d.name).exists()]:
        target = stored(folder, name)
        text = after(target)
        defect = next(d for d in broken.DEFECTS if d.name == name)
        print(f"{outcome(name, text):7}{name}: {defect.summary} ({defect.regime})")
        if topics := false(name, text):
            print(f"       FALSE {', '.join(topics)}")
        print(f"       {text}")
        for one in diagnose(target)[1:]:
            print(f"       - [{one.level}] {one.check}: {one.observed}")


def measure(folder: Path) -> None:
    """Shares right, silent and false over what is stored, before and after; causes named in correct layers."""
    names = [d.name for d in broken.DEFECTS if _path(folder, d.name).exists()]
    for title, said in (("before", before), ("after", after)):
        told = {name: outcome(name, said(stored(folder, name))) for name in names}
        seen = {name: word for name, word in told.items() if word}
        counts = {word: sum(v == word for v in seen.values()) for word in ("right", "silent", "false")}
        shares = ", ".join(f"{n} {word} ({n / max(1, len(seen)):.1%})" for word, n in counts.items())
        print(f"{title:7}{len(seen)} planted defects: {shares}")
        print(f"       nothing fails: {', '.join(n for n, word in told.items() if not word) or 'none'}")
        if title == "after":
            print("       not right: " + ", ".join(f"{n} ({word})" for n, word in seen.items() if word != "right"))
    right_ones = [n for n in unusual.REGISTER if _path(folder, n).exists()]
    named = [n for n in right_ones if diagnose(stored(folder, n))]
    print(f"       {len(right_ones)} correct layers, causes named in {len(named)} {named or ''}")


def keep(folder: Path, file: Path, names: list[str]) -> None:
    """Stored results of the defects as the tests read them: no coins, no commands, no text that no sentence needs."""
    made = {}
    kept = (
        msgspec.json.decode(lzma.decompress(file.read_bytes()), type=dict[str, TargetResult]) if file.exists() else {}
    )
    for name in [d.name for d in broken.DEFECTS if d.name in kept or d.name in names]:
        target = stored(folder, name)
        findings = [stripped(f) for f in target.findings if f.verdict in ("pass", "fail")]
        traits = {OBSERVED: target.traits[OBSERVED]} if OBSERVED in target.traits else {}
        made[name] = msgspec.structs.replace(
            target, findings=findings, traits=traits, planned=None, details=None, version="", timing=Timing()
        )
    data = msgspec.json.encode({name: msgspec.to_builtins(t) for name, t in made.items()})
    file.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(made)} results, {file.stat().st_size} bytes")


_NUMBERS = frozenset(
    [
        "dropped",
        "coins",
        "tolerated",
        "odd_calls",
        "wrong",
        "kept",
        "example",
        "positions",
        "position",
        "size",
        "zero",
        "factor",
        "nonfinite",
        "elements",
        "leaking",
        "missing",
        "missing_at_zero",
        "repeats",
        "words",
        "copied_rows",
        "rows",
        "copies",
        "variance_ratio",
        "stuck",
        "calls",
        "odd_calls",
        "first_odd_call",
        "single_places",
        "sizes",
        "offset_repeats",
        "offset_words",
        "offset_coins",
    ]
)


_LISTS = ("kinds", "others", "drops_by_block", "coins_by_block")


def stripped(one: Finding) -> Finding:
    """A result without what no sentence reads; of one that passes its case and counts alone."""
    failed = one.verdict == "fail"
    tallies = {k: v for k, v in one.tallies.items() if k in _NUMBERS and not isinstance(v, list)}
    tallies |= {k: v for k, v in one.tallies.items() if k in _LISTS}
    return Finding(
        check=one.check,
        case=one.case,
        verdict=one.verdict,
        message=one.message if failed else "",
        estimate=one.estimate if failed else None,
        expected=one.expected if failed or one.check == "rate.marginal" else None,
        unit=one.unit if failed else "",
        log10_evidence=one.log10_evidence if failed else None,
        tallies=tallies if failed or one.check == "rate.marginal" else {},
        picture=one.picture if failed and one.check == "mask.whole-channels" else None,
    )


def main() -> None:
    what, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if what == "audit":
        audit(folder, names)
    elif what == "tell":
        tell(folder, names)
    elif what == "measure":
        measure(folder)
    elif what == "keep":
        keep(folder, Path(names[0]), names[1:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
