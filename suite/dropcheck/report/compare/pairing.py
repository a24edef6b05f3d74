"""What belongs together in two or more results: their targets across releases, and their findings across profiles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dropcheck.contract.requirements import JOIN
from dropcheck.results.audit import Finding, Result, TargetResult

Key = tuple[str, str]  # check, and its case without the number of calls

_CALLS = re.compile(r" calls=\d+| over \d+ shapes")
_ENDING = re.compile(r"(\.json|\.html)?(\.gz|\.xz)?$", re.IGNORECASE)
_ORDER = ("fail", "waived", "error", "inconclusive", "pass", "skipped")


def base(target: TargetResult) -> str:
    """The name of a target without the release that it was audited in."""
    return re.sub(r" \[[^\]]*\]$", "", target.target.partition(JOIN)[0])


def owners(loaded: Sequence[Result]) -> dict[str, list[TargetResult | None]]:
    """For every target its result in each file. One name is one target; else one base, where no file has it twice.

    Files with one target each are about one pair, whatever their names are.
    """
    if len(loaded) > 1 and all(len(one.targets) == 1 for one in loaded):
        some = [one.targets[0] for one in loaded]
        same = len({base(one) for one in some}) == 1
        distinct = list(dict.fromkeys(one.target for one in some))
        return {distinct[0] if len(distinct) == 1 else base(some[0]) if same else " and ".join(distinct): [*some]}
    names = [{t.target: t for t in one.targets} for one in loaded]
    shared = set.intersection(*(set(n) for n in names)) if names else set()
    found: dict[str, list[TargetResult | None]] = {}
    bases = [Counter(base(t) for t in one.targets if t.target not in shared) for one in loaded]
    for place, one in enumerate(loaded):
        for target in one.targets:
            alone = target.target not in shared and all(count[base(target)] <= 1 for count in bases)
            row = found.setdefault(base(target) if alone else target.target, [None] * len(loaded))
            row[place] = target
    return found


def key(one: Finding) -> Key:
    """What a finding is an answer to. The number of calls is left out: it is how finely a profile asks, not what."""
    return one.check, _CALLS.sub("", one.case)


def answers(target: TargetResult | None) -> dict[Key, Finding]:
    """The findings of a target by what they answer; the worst where several answer the same."""
    found: dict[Key, Finding] = {}
    for one in target.findings if target is not None else ():
        mine = key(one)
        held = found.get(mine)
        if held is None or _ORDER.index(one.verdict) < _ORDER.index(held.verdict):
            found[mine] = one
    return found


def labels(names: Sequence[str]) -> list[str]:
    """Short names of the columns, all different: of the files, or of their folders, or numbers."""
    paths = [Path(name) for name in names]
    plain = [_ENDING.sub("", path.name) or str(path) for path in paths]
    folders = [path.parent.name if path.suffix else path.name for path in paths]
    for shown in (plain, folders, [f"{f}/{p}" for f, p in zip(folders, plain, strict=True)]):
        if len(set(shown)) == len(shown) and all(shown):
            return shown
    return [f"{p} ({i})" for i, p in enumerate(plain, 1)]
