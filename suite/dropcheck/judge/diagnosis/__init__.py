"""Diagnosis: the failures of one target, one block a cause: what was observed, how to fix it, what else fails for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from dropcheck.judge.checks import CHECK
from dropcheck.judge.diagnosis import edges, forms, gradients, masks, modes, rates, row_laws, scales, sites
from dropcheck.judge.diagnosis.places import only
from dropcheck.judge.diagnosis.record import Diagnosis
from dropcheck.judge.diagnosis.seen import Cause, Seen, at, case_of, cause
from dropcheck.judge.levels import EDGES, LEVELS, of
from dropcheck.results.audit import Finding, TargetResult
from dropcheck.results.plain_text import strongest

__all__ = ["Diagnosis", "diagnose"]

Look = Callable[[Seen], Iterator[Cause]]

# each takes the failures that its cause explains from those that the looks before it left; the most basic first
LOOKS: tuple[Look, ...] = (
    row_laws.rows,
    forms.strides,
    forms.batches,
    forms.overwritten,
    masks.values,
    masks.pattern,
    masks.calls,
    rates.calls,
    rates.schedules,
    rates.positions,
    masks.ties,
    rates.marginal,
    rates.shapes,
    modes.toggle,
    modes.inference,
    scales.forward,
    forms.seeds,
    masks.kept,
    forms.alike,
    gradients.sign,
    gradients.mask,
    gradients.recomputed,
    scales.backward,
    edges.one,
    edges.invalid,
    forms.later,
    sites.inference,
    sites.shared,
    forms.copies,
)


def diagnose(target: TargetResult) -> tuple[Diagnosis, ...]:
    """The causes of all failures of a target, worst first: by level, then the most basic first.

    A failure that no cause explains is a block of its own, with its check's sentence and remedy.
    """
    seen = Seen.of(target)
    found = [one for look in LOOKS for one in look(seen)]
    for check, some in list(seen.left.items()):
        lead, place = strongest(some), only(seen.judged[check]) or _all_in(some)
        if check in EDGES or check == "form.batch-change":
            place = ""  # their sentences say where
        text = at(lead.message, place)
        found.append(cause(f"{check} {place}".strip(), text, "", some, lead))
    made = [_told(one) for one in found]
    return tuple(sorted(made, key=lambda d: (LEVELS.index(d.level), _order(d.check))))


def _all_in(failing: list[Finding]) -> str:
    """What all failing cases are in, also where some passing ones are."""
    return "in inference" if all("inference" in case_of(f.case).words for f in failing) else ""


def _told(one: Cause) -> Diagnosis:
    level = min((of(f) for f in one.findings), key=LEVELS.index)
    failing = {f.check for f in one.findings} - {one.lead.check}
    also = tuple(sorted(failing, key=_order))
    known = CHECK.get(one.lead.check)  # stored results may name checks of other releases
    fix = one.fix or (known.remedy if known is not None else "")
    return Diagnosis(level, one.name, one.observed, fix, one.lead, also, one.findings)


@lru_cache
def _order(check: str) -> int:
    """The place of a check among causes: what makes everything else unreadable, masks, rates, scale, then the rest."""
    families = ("mask", "rate", "scale", "mode", "seed", "gradient", "form", "site")
    if check == "form.shape-dtype":
        return 0
    if check not in CHECK:
        return 10_000
    if check == "gradient.recompute":
        return 9_000  # a forward pass that runs again depends on everything else
    return 1 + families.index(check.partition(".")[0]) * 100 + list(CHECK).index(check)
