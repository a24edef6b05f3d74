"""What fails for inputs of one memory layout alone, and seeds that reach nothing."""

from __future__ import annotations

from collections.abc import Iterator

from dropcheck.judge.diagnosis.places import only
from dropcheck.judge.diagnosis.seen import Cause, Seen, case_of, cause
from dropcheck.results.plain_text import strongest

_STRIDES = "form.strides"


def strides(seen: Seen) -> Iterator[Cause]:
    """Strided or transposed inputs that are read wrongly: whatever else fails with them alone follows."""
    some = seen.failing(_STRIDES)
    if not some:
        return
    follow = list(some)
    for check, findings in list(seen.left.items()):
        if check != _STRIDES and all(case_of(f.case).layout != "contiguous" for f in findings):
            follow += findings
    lead, place = strongest(some), only(seen.judged[_STRIDES])
    yield cause(f"{_STRIDES} {place}".strip(), lead.message, "", seen.take(follow), lead)


def seeds(seen: Seen) -> Iterator[Cause]:
    """Seeds that do not repeat the masks: reseeding fails with them."""
    some = seen.failing("seed.reproducible")
    if not some:
        return
    lead, place = strongest(some), only(seen.judged["seed.reproducible"])
    follow = [*some, *seen.failing("seed.reset")]
    text = f"{lead.message}, {place}" if place else lead.message
    yield cause(f"seed.reproducible {place}".strip(), text, "", seen.take(follow), lead)
