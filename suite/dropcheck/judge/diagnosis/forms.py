"""What fails for inputs of one memory layout alone, and seeds that reach nothing."""

from __future__ import annotations

from collections.abc import Iterator

from dropcheck.judge.diagnosis.places import only
from dropcheck.judge.diagnosis.seen import Cause, Seen, at, case_of, cause, percent
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import strongest

_STRIDES, _BATCHES, _LATER = "form.strides", "form.batch-change", "rate.set-later"
_FAR = 0.1  # a share of drops that is off by more than chance allows in the calls of rate.set-later


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


def batches(seen: Seen) -> Iterator[Cause]:
    """A layer that does not take batches of another size: whatever else fails with changing sizes alone follows."""
    some = seen.failing(_BATCHES)
    here = [
        f
        for check, findings in list(seen.left.items())
        if check != _BATCHES and all(case_of(f.case).batches for f in findings)
        for f in findings
    ]
    if some and here:
        lead = strongest(some)
        yield cause(_BATCHES, lead.message, "", seen.take([*some, *here]), lead)


def overwritten(seen: Seen) -> Iterator[Cause]:
    """Inputs that a call overwrites: a framework that refuses that for inputs with a gradient raises for it."""
    some = seen.failing("form.input-untouched")
    raised = [f for checks in list(seen.left.values()) for f in checks if "in-place operation" in f.message]
    if some and raised:
        lead = strongest([f for f in some if case_of(f.case).rows is None] or some)
        text = f"{lead.message}; with an input that requires a gradient the layer raises for it"
        yield cause("form.input-untouched", text, "", seen.take([*some, *raised]), lead)


def later(seen: Seen) -> Iterator[Cause]:
    """A rate that is set after construction and is not what the layer does."""
    some = seen.failing(_LATER)
    if not some:
        return
    lead = strongest(some)
    text, fix = lead.message, ""
    if "set later" in lead.case:
        if lead.estimate is not None and lead.expected is not None and abs(lead.estimate - lead.expected) > _FAR:
            text = f"a rate that is set after construction does not change what is dropped: {percent(lead.estimate)} instead of "
            text += f"{percent(lead.expected)}"
        else:
            text = f"a rate that is set after construction changes the mask and not the scale: {lead.message}"
        fix = "Compute thresholds and factors from the rate in each call, or make the rate read-only."
    yield cause(_LATER, text, fix, seen.take(some), lead)


def seeds(seen: Seen) -> Iterator[Cause]:
    """Seeds that do not repeat the masks: reseeding fails with them."""
    some = seen.failing("seed.reproducible")
    if not some:
        return
    lead, place = strongest(some), only(seen.judged["seed.reproducible"])
    follow = [*some, *seen.failing("seed.reset")]
    if all("another seed" in f.case for f in some):  # the same masks whatever the seed
        follow += [*seen.failing("seed.distinct"), *_of_equal_seeds(seen)]
    text = at(lead.message, place)
    yield cause(f"seed.reproducible {place}".strip(), text, "", seen.take(follow), lead)


def alike(seen: Seen) -> Iterator[Cause]:
    """Different seeds that give the same masks: reseeding changes nothing then, and layers of two seeds are alike."""
    some = seen.failing("seed.distinct")
    if not some:
        return
    lead = strongest(some)
    text, fix = lead.message, ""
    repeats, words, length = (lead.tallies.get(f"offset_{name}") for name in ("repeats", "words", "coins"))
    if repeats and not seen.failing("mask.distinct-calls", "mask.distinct-samples"):
        text = f"different seeds repeat parts of each other's masks: {repeats} of {words} stretches of {length} decisions occur "
        text += "under two seeds, expected none"
        fix = "Derive a stream of its own from each seed; do not take the seed as a place in one stream."
    follow = [*some, *seen.failing("seed.reset"), *_of_equal_seeds(seen)]
    yield cause("seed.distinct", text, fix, seen.take(follow), lead)


def _of_equal_seeds(seen: Seen) -> list[Finding]:
    """What fails, too, where several seeds give one mask."""
    turns = [f for f in seen.failing("form.copies") if "in turn" in f.case]
    return [*seen.failing("seed.neighbours", "seed.instances"), *turns]


def copies(seen: Seen) -> Iterator[Cause]:
    """Copies of a layer that are not like it, with the ways that they were made."""
    some = seen.failing("form.copies")
    if not some:
        return
    lead = strongest(some)
    ways = dict.fromkeys(" ".join(w for w in case_of(f.case).words if w not in ("in", "turn")) for f in some)
    text = f"{lead.message} (made by {', '.join(w for w in ways if w)})" if any(ways) else lead.message
    yield cause("form.copies", text, "", seen.take(some), lead)
