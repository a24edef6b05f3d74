"""What changed between two runs of one target: what ``dropcheck compare`` finds between their results, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dropcheck.report.compare import audits, benches, presenting
from dropcheck.report.compare.records import GLYPHS, WORDS, Word
from dropcheck.results import reading
from dropcheck.results.audit import Result, overall
from dropcheck.results.bench import BenchResult
from dropcheck.results.history.entries import base
from dropcheck.results.history.stores import History

TOLD: tuple[Word, ...] = ("worse", "better", "moved", "unproven", "lost", "gained")
_GLYPHS: dict[str, str] = {**{str(k): v for k, v in GLYPHS.items()}, "slower": "✗", "faster": "✓"}
_WORDS: dict[str, str] = {**{str(k): v for k, v in WORDS.items()}, "slower": "got slower", "faster": "got faster"}
WORSE, BETTER = ("worse", "slower"), ("better", "faster")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is different between two rows of a target, at ``when``; ``before``, ``after``: release, dropcheck, profile, pattern.

    ``what``: the check, or the cell of a bench. ``word``: as ``dropcheck compare`` has it; ``unproven`` is another verdict
    that shows no other layer.
    """

    what: str
    word: str
    text: str
    when: str = ""
    before: list[str] = []
    after: list[str] = []

    @property
    def glyph(self) -> str:
        """The word as one sign."""
        return _GLYPHS[self.word]

    @property
    def says(self) -> str:
        """The word in a table's head."""
        return _WORDS[self.word]


def between(
    history: History, target: str, old: tuple[str, str], new: tuple[str, str], checks: Sequence[str] = ()
) -> list[Change]:
    """Changes of a target from one run to another, each named by its id and the target's version in it."""
    was, now = (_only(reading.parsed(history.document(run), run)[0], target, version) for run, version in (old, new))
    if isinstance(was, Result) and isinstance(now, Result):
        return [c for c in _verdicts(was, now) if not checks or c.what in checks]
    if isinstance(was, BenchResult) and isinstance(now, BenchResult):
        return _times(was, now, target)
    return []


def _only(result: reading.Stored, target: str, version: str) -> reading.Stored:
    """The audit of one target by its plain name; a bench as it is, since ratios need their reference."""
    if not isinstance(result, Result):
        return result
    some = [t for t in result.targets if base(t.target) == target and t.version == version]
    some = [msgspec.structs.replace(t, target=target) for t in some[-1:]]
    return msgspec.structs.replace(result, targets=some, verdict=overall([t.verdict for t in some]))


def _verdicts(was: Result, now: Result) -> list[Change]:
    found = audits.compare([was, now], ["before", "after"])
    made = []
    for word in TOLD:
        for group in presenting.groups(found, word):
            cells = [c.verdict if c is not None else "not tested" for c in group.lead.cells]
            cases = group.lead.case + (f" and {group.cases - 1} more" if group.cases > 1 else "")
            verdicts = f"{cells[0]} -> {cells[1]}, " if cells[0] != cells[1] else ""
            made.append(Change(what=group.check, word=word, text=f"{verdicts}{group.text} ({cases})"))
        for _, _, reason in presenting.whole(found, word):
            made.append(Change(what="the audit", word=word, text=reason))
    return made


def _times(was: BenchResult, now: BenchResult, target: str) -> list[Change]:
    made = []
    for one in benches.compare(was, now):
        if base(one.target) != target or one.verdict not in ("slower", "faster"):
            continue
        high = "" if one.high is None else f" to {one.high:.3f}"
        text = f"{one.ratio:.3f} times the time before ({one.low:.3f}{high}), against {one.anchor}"
        made.append(Change(what=one.cell, word=one.verdict, text=text))
    return made
