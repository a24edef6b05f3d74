"""Causes: which planted defect has the signature of what fails in a target, in words, and how sure that is."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.results import Finding, write_atomically
from dropcheck.signatures import (
    FACTS,
    SCHEMA,
    Calibration,
    Facts,
    Library,
    Likeness,
    Signature,
    added,
    facts,
    few,
    library,
    likeness,
)

# Measured by `python -m dropcheck.causes --rebuild` on the zoo, each defect under a seed that its signature had not seen;
# the shares of right and wrong names at these thresholds stand in signatures.json under "calibration".
EXACT = 0.95  # score from which, with EXACT_AGREE of the features, a signature is called exact
EXACT_AGREE = 0.95
LIKE = 0.8  # score below which nothing is named, and LIKE_AGREE the same for the share of features
LIKE_AGREE = 0.6
PART = 0.85  # the same where a signature explains only a part of the failing checks
OFTEN = 0.2  # share of a signature's cases from which it is no chance that none of the target's fails
NEAR = 0.02  # signatures this close to the best are named with it
MOST_NAMES = 3
MOST_CAUSES = 5
SHAPE = "form.shape-dtype"
STRICT = "only --strict calls it a defect"


@dataclass(frozen=True)
class Cause:
    """Planted defects whose signature fits, the failing checks that they explain, and how well.

    ``exact``: as well as a defect fits its own signature. ``narrow``: so little was asked (--select, --case) that much of
    the signature could not show.
    """

    defects: tuple[Signature, ...]
    checks: frozenset[str]
    exact: bool
    fit: Likeness
    narrow: bool = False

    @property
    def names(self) -> str:
        """The defect, or the defects that cannot be told apart here."""
        return " or ".join(d.name for d in self.defects)

    @property
    def text(self) -> str:
        """The line of a report: the mechanism, the name, and how sure the match is."""
        what = " or ".join(dict.fromkeys(d.summary for d in self.defects))
        word = "planted defect" if len(self.defects) == 1 else "planted defects"
        features = f"{self.fit.agree} of {self.fit.features} feature{'s' if self.fit.features != 1 else ''}"
        if self.exact and self.narrow:
            return f"{what} ({word} {self.names}, as far as was asked: {features})"
        if self.exact:
            sure = "exact signature" if len(self.defects) == 1 else "one signature, not to be told apart"
            return f"{what} ({word} {self.names}, {sure})"
        return f"not recognised, but like {word} {self.names}: {what} ({features})"


# --- matching --------------------------------------------------------------------------------------------------------


def causes(findings: Sequence[Finding], known: Sequence[Signature] | None = None) -> list[Cause]:
    """The likely causes of what fails in one target, most often one; an empty list where nothing fails or nothing fits."""
    if not any(f.verdict == "fail" for f in findings):
        return []
    seen = facts(findings)
    failing = frozenset(c for c, f in seen.items() if f.fails)
    return match(seen, failing, library().signatures if known is None else known)


def match(seen: Facts, failing: frozenset[str], known: Sequence[Signature]) -> list[Cause]:
    """One signature for all failing checks; else two for disjoint parts; else one for most of them; else several.

    A signature that what was seen contradicts is left out, however alike the rest is: see ``contradicted``.
    """
    known = [s for s in known if not contradicted(seen, s)]
    ranked = _ranked(seen, known, None)
    whole = _best(seen, ranked, failing, LIKE)
    if whole is not None and not failing - whole.checks:
        return [whole]
    if ranked and ranked[0][0].score >= LIKE and whole is None:
        return []  # too many fit equally well: a name would be a guess
    fits = _partial_fits(seen, failing, known)
    parts = _parts(seen, failing, fits)
    if parts:
        return parts
    return [whole] if whole is not None else _several(seen, failing, fits)


def contradicted(seen: Facts, signature: Signature) -> bool:
    """Whether what was seen speaks against what a signature says of its own check, the one that names the defect.

    The check never fails though it was asked as widely; or it fails in most cases of a class of cases (a dtype, a rate, a
    size) where the signature never does, or never where the signature always does. Where outputs have another shape or
    dtype, whatever reads them fails with them: a signature in which they have not explains no failure of form and mode.
    """
    own, mine = signature.facts.get(signature.check), seen.get(signature.check)
    shapes, known = seen.get(SHAPE), signature.facts.get(SHAPE)
    malformed = shapes is not None and shapes.fails > 0
    if malformed and signature.check.startswith(("form.", "mode.")) and (known is None or not known.fails):
        return True
    if own is None or mine is None or not own.fails or few(mine, own):
        return False
    if not mine.fails:
        return own.failed_in == own.audits and own.fails >= OFTEN * own.judged
    for dimension in {*own.where} & {*mine.where}:
        for name in {*own.where[dimension]} & {*mine.where[dimension]}:
            theirs, of = own.where[dimension][name]
            fails, judged = mine.where[dimension][name]
            sure = of >= 2 * own.audits and judged >= 2
            if sure and ((theirs == 0 and 2 * fails >= judged) or (theirs == of and fails == 0)):
                return True
    return False


def _ranked(seen: Facts, known: Iterable[Signature], only: frozenset[str] | None) -> list[tuple[Likeness, Signature]]:
    found = [(likeness(seen, s.facts, only), s) for s in known]
    return sorted(((fit, s) for fit, s in found if fit.checks), key=lambda pair: (-pair[0].score, pair[1].name))


def _best(
    seen: Facts, ranked: Sequence[tuple[Likeness, Signature]], failing: frozenset[str], least: float
) -> Cause | None:
    if not ranked or ranked[0][0].score < least:
        return None
    fit, _ = ranked[0]
    near = [(f, s) for f, s in ranked if f.score >= fit.score - NEAR]
    if len(near) > MOST_NAMES:
        return None
    if fit.agree < LIKE_AGREE * fit.features:
        return None
    exact = fit.score >= EXACT and fit.agree >= EXACT_AGREE * fit.features
    narrow = any(_narrow(seen, s.facts) for _, s in near)
    return Cause(tuple(s for _, s in near), frozenset(fit.checks) & failing, exact, fit, narrow)


def _narrow(seen: Facts, known: Facts) -> bool:
    """Whether a check that always fails in the signature was not judged, or in less than half of its usual cases."""
    return any(
        check not in seen or few(seen[check], f) for check, f in known.items() if f.fails and f.failed_in == f.audits
    )


def _broken(signature: Signature) -> frozenset[str]:
    return frozenset(c for c, f in signature.facts.items() if f.fails)


def _partial_fits(seen: Facts, failing: frozenset[str], known: Sequence[Signature]) -> list[tuple[Likeness, Signature]]:
    """Signatures that explain some of the failing checks, compared in their own checks alone; most checks first."""
    fits = [(likeness(seen, s.facts, _broken(s)), s) for s in known if _broken(s) & failing]
    good = [(fit, s) for fit, s in fits if fit.score >= PART and fit.checks]
    return sorted(good, key=lambda pair: (-len(pair[0].checks), -pair[0].score, pair[1].name))


def _parts(seen: Facts, failing: frozenset[str], fits: Sequence[tuple[Likeness, Signature]]) -> list[Cause]:
    """Two defects that live in different checks."""
    partial = [(fit, s) for fit, s in fits if frozenset(fit.checks) < failing]
    best: tuple[float, list[Cause]] = (0.0, [])
    for fit, s in partial:
        mine = frozenset(fit.checks)
        group = [(f, t) for f, t in partial if frozenset(f.checks) == mine]
        first = _best(seen, sorted(group, key=lambda pair: -pair[0].score), mine, PART)
        if first is None or s not in first.defects:
            continue
        rest = failing - mine
        others = [(f, t) for f, t in partial if frozenset(f.checks) <= rest]
        second = _best(seen, sorted(others, key=lambda pair: (-len(pair[0].checks), -pair[0].score)), rest, PART)
        if second is not None and second.checks == rest:
            score = min(first.fit.score, second.fit.score)
            if score > best[0]:
                best = (score, [first, second])
    return best[1]


def _several(seen: Facts, failing: frozenset[str], fits: Sequence[tuple[Likeness, Signature]]) -> list[Cause]:
    """A layer with more than two defects: the signature that explains most, then the one for most of the rest, and so on.

    What no signature explains stays without a name.
    """
    found: list[Cause] = []
    rest = failing
    while rest and len(found) < MOST_CAUSES:
        partial = [(fit, s) for fit, s in fits if _broken(s) <= rest and frozenset(fit.checks) <= rest]
        best = None
        for fit, _ in partial:
            alike = [(f, s) for f, s in partial if frozenset(f.checks) == frozenset(fit.checks)]
            best = _best(seen, sorted(alike, key=lambda pair: (-pair[0].score, pair[1].name)), rest, PART)
            if best is not None:
                break
        if best is None:
            break
        # other signatures may have parts as good: of several at once none is sure
        found.append(replace(best, exact=False))
        rest -= best.checks
    return found


def named(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, those that fail with their cause: its text, and the name by which reports group it."""
    found = {check: cause for cause in causes(findings) for check in cause.checks}
    return [
        msgspec.structs.replace(f, cause=found[f.check].text, defect=found[f.check].names)
        if f.verdict == "fail" and f.check in found
        else f
        for f in findings
    ]


# --- making the signatures -------------------------------------------------------------------------------------------


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
            ranked = [s.name for _, s in _ranked(seen, known, None)]
            found = match(seen, failing, known)
            names = {d.name for cause in found for d in cause.defects}
            exact = any(cause.exact for cause in found)
            count["audits"] += 1
            count["first"] += ranked[:1] == [name]
            count["in_three"] += name in ranked[:3]
            count["named"] += bool(found)
            count["right"] += name in names
            count["exact_named"] += exact
            count["exact_right"] += exact and name in names
            if name not in names:
                place = ranked.index(name) + 1 if name in ranked else 0
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
    """
    # in an audit without --strict it is no defect, and nothing there may be put down to it
    without: dict[str, str] = {d.name: STRICT for d in defects if d.strict}
    defects = [d for d in defects if not d.strict]
    done = _journal(work)
    for number, defect in enumerate(defects, 1):
        for seed in seeds:
            key = _key(defect, seed)
            if key not in done:
                say(f"{number} of {len(defects)}  {defect.name}  seed {seed}")
                done[key] = _audited(defect, seed)
                _append(work, key, done[key])
    audited: dict[int, dict[str, Facts]] = {seed: {} for seed in seeds}
    signatures = {}
    for defect in defects:
        found = {seed: done[_key(defect, seed)] for seed in seeds}
        if errors := [f["error"] for f in found.values() if f.get("error")]:
            without[defect.name] = errors[0].splitlines()[0]
            continue
        read = {seed: msgspec.convert(f["facts"], Facts) for seed, f in found.items()}
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
    from dropcheck.auditing import AuditRequest, run

    try:
        request = AuditRequest(targets=(f"broken.{defect.name}",), seed=seed, in_process=True, jobs=1, causes=False)
        target = run(request).targets[0]
    except Exception as error:  # one defect that cannot run here must not end the rebuild of the others
        return {"error": f"{type(error).__name__}: {error}"}
    if target.error is not None and not any(f.verdict == "fail" for f in target.findings):
        return {"error": target.error}
    return {"facts": msgspec.to_builtins(facts(target.findings))}


def _journal(path: Path) -> dict[str, Any]:
    """Audits that are done; a last line that was cut by a crash is left out and made again."""
    done = {}
    if path.exists():
        for text in path.read_text().splitlines():
            try:
                line = json.loads(text)
                done[line["key"]] = line["audit"]
            except (json.JSONDecodeError, KeyError, TypeError):
                continue
    return done


def _append(path: Path, key: str, audit: dict[str, Any]) -> None:
    with path.open("a") as stream:
        stream.write(json.dumps({"key": key, "audit": audit}) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dropcheck.causes", description=__doc__)
    parser.add_argument("--rebuild", action="store_true", help="audit the zoo and write the signatures")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("signatures.json"))
    parser.add_argument(
        "--work", type=Path, default=Path("signatures.work.jsonl"), help="finished audits, to go on from"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[20141110, 7, 8], help="root seeds, at least two")
    given = parser.parse_args(argv)
    if given.rebuild:
        from spatial_dropouts.broken import DEFECTS

        if len(set(given.seeds)) < 2:
            parser.error("the calibration matches every audit with signatures of other seeds: give two seeds or more")
        made, notes = rebuild(DEFECTS, given.seeds, given.work, lambda text: print(text, file=sys.stderr, flush=True))
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
