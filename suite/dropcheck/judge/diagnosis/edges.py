"""The edges of the rate: 0, 1 and what is no probability."""

from __future__ import annotations

from collections.abc import Iterator

from dropcheck.judge.diagnosis.seen import Cause, Seen, case_of, cause, percent
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import strongest

_ONE, _INVALID, _GRADIENT = "rate.one", "rate.rejects-invalid", "gradient.edges"


def one(seen: Seen) -> Iterator[Cause]:
    """Rate 1: outputs that are NaN, and gradients that are; or elements that are kept."""
    some = seen.failing(_ONE)
    beside = [f for f in seen.failing(_GRADIENT) if case_of(f.case).rate == 1]
    broken = [f for f in some if f.tallies.get("nonfinite")]
    backward = [f for f in beside if f.tallies.get("nonfinite")]
    if broken or backward:
        what = " and ".join([*(["the output"] if broken else []), *(["the gradient"] if backward else [])])
        plural = "are" if broken and backward else "is"
        names = _values(broken) or "NaN or Inf"
        text = f"at rate 1 {what} {plural} {names}: 1 / (1 - rate) divides by zero"
        fix = "Return zeros at rate 1, or select with `where` instead of multiplying."
        lead = strongest(broken or backward)
        yield cause("division by zero at rate 1", text, fix, seen.take([*broken, *backward]), lead)


def invalid(seen: Seen) -> Iterator[Cause]:
    """Rates that are no probability and are accepted."""
    some = seen.failing(_INVALID)
    accepted = [f for f in some if f.estimate is not None]
    if not accepted:
        return
    parts = []
    for f in accepted:
        name = f.case.partition("rate=")[2].replace("nan", "NaN")
        parts.append(f"{name} ({_did(f)})")
    crashed = [f.case.partition("rate=")[2].replace("nan", "NaN") for f in some if f not in accepted]
    text = f"invalid rates are accepted: {', '.join(parts)}; expected a ValueError"
    if crashed:
        text += f"; {' and '.join(crashed)} end{'s' if len(crashed) == 1 else ''} in a crash"
    fix = "Validate in the constructor: `if not 0 <= rate <= 1: raise ValueError(...)`; this rejects NaN, too."
    lead = next((f for f in accepted if f.case == "rate=1.5"), accepted[0])
    yield cause("invalid rates are accepted", text, fix, seen.take(some), lead)


def _did(finding: Finding) -> str:
    share = finding.estimate or 0.0
    if share == 1:
        return "drops everything"
    return f"drops {percent(share)} of the elements" if share else "drops no element"


def _values(some: list[Finding]) -> str:
    """NaN, Inf or both, and whether that is all of it."""
    kinds: dict[str, int] = {}
    for f in some:
        for name, n in dict(f.tallies.get("elements", {})).items():
            kinds[name] = kinds.get(name, 0) + int(n)
    names = [n for n in ("NaN", "Inf") if kinds.get(n)]
    return " and ".join(names)
