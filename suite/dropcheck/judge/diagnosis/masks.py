"""Masks that are not what is declared: which elements are dropped together in fact, what repeats, what depends on what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dropcheck.judge.checks import CHECK
from dropcheck.judge.diagnosis.other_patterns import another, declared_in, found_in
from dropcheck.judge.diagnosis.places import only
from dropcheck.judge.diagnosis.seen import Cause, Seen, at, case_of, cause, percent, shown
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import strongest
from dropcheck.worker.server.probe import POOL

_WHOLE, _CHANNELS = "mask.whole-channels", "mask.distinct-channels"
_FRESH = "Use each random number for one drop decision: do not use it again inverted (1 - u) or in reverse order."
_SAMPLES, _CALLS = "mask.distinct-samples", "mask.distinct-calls"
_TIES = ("mask.independent-channels", "mask.dropped-count", "mask.patterns")
_PAIRS = 8  # a fixed number of drops among C channels ties pairs by 1 / (C - 1)
_IN_GROUPS = ("groups", "copies")
_STRONG = 0.5  # from such a correlation on, a few samples show channels that are equal by chance
_AS_INDEPENDENT = 0.05  # so near to 1 is the spread of the dropped channels that it names no cause
# what a mask that never changes fails, too: reseeding changes nothing, copies and later rates show the old mask
_OF_OLD_MASKS = (
    "mask.independent-calls",
    "seed.reset",
    "seed.distinct",
    "seed.neighbours",
    "form.copies",
    "rate.set-later",
)


def values(seen: Seen) -> Iterator[Cause]:
    """Equal inputs that get equal masks: samples that the probe repeats repeat their masks, and no others."""
    some = seen.failing("mask.ignores-values")
    equal = [f for f in some if "equal samples" in f.tallies.get("kinds", ())]
    rows = seen.failing(_SAMPLES)
    if not equal or not rows:
        return
    # in counted calls the inputs of samples come again after POOL of them
    if any(max(case_of(f.case).samples, default=0) <= POOL for f in rows):
        return
    lead = strongest(equal)
    text = f"samples with equal inputs get the same mask: {lead.message}"
    fix = "Draw the mask from a generator, whatever the values of the input."
    yield cause("masks follow the values", text, fix, seen.take([*some, *rows]), lead)


def pattern(seen: Seen) -> Iterator[Cause]:
    """Elements that should fall together do not, or more of them than declared do."""
    declared, found = declared_in(seen), found_in(seen)
    for check in (_WHOLE, _CHANNELS, _SAMPLES):
        some = seen.failing(check)
        if not some or (check != _WHOLE and _by_dependence(seen, some)):
            continue
        place = _place(seen, check)
        sentence = None
        if declared is not None and found is not None and not place:
            sentence = another(declared, found)
        if sentence is not None:
            follow = [one for other in (_WHOLE, _CHANNELS, _SAMPLES) for one in seen.failing(other)]
            observed, fix, name = sentence
            if check == _WHOLE:
                follow += seen.failing("form.batch-change", "form.strides")
            if found is not None and found.axes.get("n") == "shared":  # a call of one channel keeps or drops all
                follow += [f for f in seen.failing("rate.marginal") if "odd_calls" in f.tallies]
            if found is not None and found.calls == "shared" and seen.failing(_CALLS):
                observed += ", and every call uses the same mask"
                follow += seen.failing(_CALLS, *_OF_OLD_MASKS)
            yield cause(name, observed, fix, seen.take(follow), strongest(some))
            continue
        lead = strongest([f for f in some if f.estimate is not None] or some)
        text = {_WHOLE: _torn, _CHANNELS: _copied, _SAMPLES: _repeated}[check](seen, lead, place)
        if check == _SAMPLES and (period := _period(some)) is not None:
            text = f"{period}: {text}"
        fix = _FRESH if "form" in lead.tallies else ""
        yield cause(f"{check} {place}".strip(), at(text, place), fix, seen.take(some), lead)


def calls(seen: Seen) -> Iterator[Cause]:
    """Calls that repeat the masks of earlier calls."""
    some = seen.failing(_CALLS)
    if not some:
        return
    place, found = _place(seen, _CALLS), found_in(seen)
    lead = strongest([f for f in some if f.tallies.get("repeats") and f.picture is not None] or some)
    fix = "Draw a new mask in every training call"
    if found is not None and found.calls == "shared" and not place:
        repeats, words = lead.tallies.get("repeats"), lead.tallies.get("words")
        share = f" ({repeats} of {words} mask rows are repeated)" if repeats and words else ""
        observed = f"every call reuses the mask of the first call{share}"
        if _seeded_by_constructor(seen):
            observed = f"with a seed, {observed}: a whole training has one mask"
            fix = (
                "Start a generator from the seed once, in the constructor, and draw from it in every training call. To test "
                "the layer without a seed, give its contract `seeds=()`."
            )
        else:
            fix += ": do not keep the mask or the seed on the layer, and do not seed within the call."
        name = "one mask for every call"
    else:
        observed, name = at(lead.message, place), f"{_CALLS} {place}".strip()
        fix = _FRESH if "form" in lead.tallies else ""
    spent = [one for one in seen.failing("mode.inference") if "randomness" in one.case]
    yield cause(name, observed, fix, seen.take([*some, *seen.failing(*_OF_OLD_MASKS), *spent]), lead)


def _seeded_by_constructor(seen: Seen) -> bool:
    """Whether the layers that were counted were made with a seed."""
    return seen.contract is not None and seen.contract.seeds[:1] == ("constructor",)


def kept(seen: Seen) -> Iterator[Cause]:
    """Calls that depend on the calls before, by what the layer keeps: it outlives reseeding."""
    some, reset = seen.failing("mask.independent-calls"), seen.failing("seed.reset")
    if not some or not reset or seen.failing("seed.reproducible", _CALLS):
        return
    lead, place = strongest(some), only(seen.judged["mask.independent-calls"])
    text = f"{at(lead.message, place)}; what the layer keeps of a call outlives reseeding"
    yield cause(f"mask.independent-calls {place}".strip(), text, "", seen.take([*some, *reset]), lead)


def ties(seen: Seen) -> Iterator[Cause]:
    """Channels that depend on each other: pairs, the number of dropped channels, joint patterns are one cause."""
    some = seen.failing(*_TIES)
    if not some:
        return
    some = [
        *some,
        *(
            f
            for check in (_CHANNELS, _SAMPLES)
            if _by_dependence(seen, seen.failing(check))
            for f in seen.failing(check)
        ),
    ]
    first = {check: strongest(f) for check in _TIES if (f := seen.failing(check))}
    count = first.get("mask.dropped-count")
    ratio = count.tallies.get("variance_ratio") if count is not None else None
    fix = ""
    if count is not None and ratio is not None and ratio < 0.5 and not _by_pairs(some):
        lead = count
        channels = case_of(count.case).channels
        if ratio < 1e-9:
            observed = f"every sample drops the same number of its {channels} channels"
            if rounded := _rounded(seen):
                shown_first = strongest(rounded)
                n, rate = case_of(shown_first.case).channels or 0, shown_first.expected or 0.0
                dropped = round(n * shown_first.tallies["dropped"] / shown_first.tallies["coins"])
                observed += f"; the number is rounded: {dropped or 'none'} of {n} at rate {rate:g}"
                some += rounded
        else:
            observed = (
                f"the number of dropped channels varies too little from sample to sample: {shown(ratio, 3)} times the variance "
                "of independent decisions"
            )
        fix = "Decide for every channel by itself; do not choose a fixed number or share of the channels."
    else:
        lead = first[next(check for check in _TIES if check in first)]
        if lead is count and "mask.patterns" in first and ratio is not None and abs(ratio - 1) < _AS_INDEPENDENT:
            lead = first["mask.patterns"]  # neither pairs nor their number show it
        observed = lead.message
        if count is not None and lead is not count and ratio is not None and abs(ratio - 1) >= _AS_INDEPENDENT:
            observed += f"; the number of dropped channels varies {shown(ratio, 3)} times as much as that of independent decisions"
    place = only(seen.judged[lead.check])
    yield cause(f"channels depend on each other {place}".strip(), at(observed, place), fix, seen.take(some), lead)


def _rounded(seen: Seen) -> list[Finding]:
    """Wrong rates that are a whole number of channels a sample, the next one above or below rate * channels."""
    found = []
    for one in seen.failing("rate.marginal"):
        channels, coins = case_of(one.case).channels, one.tallies.get("coins")
        if not channels or not coins or one.expected is None:
            continue
        number, rest = divmod(one.tallies["dropped"] * channels, coins)
        if not rest and abs(number - one.expected * channels) < 1:
            found.append(one)
    return found


def _by_pairs(some: Sequence[Finding]) -> bool:
    """Whether pairs of channels depend on each other by much more than a fixed number of dropped ones among all makes them."""
    return any(
        f.check == "mask.independent-channels"
        and f.estimate is not None
        and abs(f.estimate) * ((case_of(f.case).channels or 0) - 1) > _PAIRS
        for f in some
    )


# --- sentences -------------------------------------------------------------------------------------------------------


def _torn(seen: Seen, lead: Finding, place: str) -> str:
    share = lead.estimate
    declared = declared_in(seen)
    axes = " and ".join(declared.shared) if declared is not None else ""
    if share is None or not axes:
        return lead.message
    what = "channels" if declared is not None and "c" in declared.coins else "groups of elements"
    text = f"{what} are not dropped as a whole: in {percent(share)} of them some positions are kept and others dropped"
    text += f" (along {axes})"
    if (position := _odd_position(lead)) is not None:
        text += f"; the odd one is position {position}"
    elif (found := found_in(seen)) is not None and not place:
        grouped = [
            axis for axis in (declared.shared if declared is not None else ()) if found.axes.get(axis) in _IN_GROUPS
        ]
        if grouped:
            text += f"; several positions along {' and '.join(grouped)} share one decision, others have another"
    return text


def _odd_position(lead: Finding) -> int | None:
    """The one position of a picture that differs from all others wherever a channel is torn; None where there is none."""
    if lead.picture is None or len(lead.picture.rows) < 4:  # of three, every second one is one, too
        return None
    rows = [row.replace(" ", "") for row in lead.picture.rows]
    odd: set[int] = set()
    for column in zip(*rows, strict=False):
        for mark in "#.":
            if column.count(mark) == 1:
                odd.add(column.index(mark))
        if min(column.count("#"), column.count(".")) > 1:
            return None
    return odd.pop() if len(odd) == 1 else None


def _place(seen: Seen, check: str) -> str:
    """Where copies show and where not; a rate is no place: at high ones, and at low ones, fewer rows can show copies."""
    place = only(seen.judged[check])
    return "" if check != _WHOLE and place.startswith("only at rate") else place


def _by_dependence(seen: Seen, some: Sequence[Finding]) -> bool:
    """Whether these copies follow from channels that depend on each other strongly.

    They show at sizes of few samples, and with more samples no channel copies another.
    """
    tied = [f.estimate for f in seen.failing("mask.independent-channels") if f.estimate is not None]
    if not some or not tied or min(tied) < _STRONG or not all("sizes" in f.tallies for f in some):
        return False
    return any(f.verdict == "pass" and case_of(f.case).rows for f in seen.judged.get(_CHANNELS, ()))


def _copied(seen: Seen, lead: Finding, place: str) -> str:
    copies, channels = lead.tallies.get("copies"), case_of(lead.case).channels
    if copies and channels:
        size = 2 * copies / channels + 1
        if copies == channels * (channels - 1) // 2:
            return (
                f"all {channels} channels of a sample are copies of each other: they are dropped together or not at all"
            )
        if size == int(size) and channels % int(size) == 0:
            return (
                f"channels are copies of each other in groups of {int(size)} ({copies} pairs among {channels} channels)"
            )
    return lead.message


def _period(some: Sequence[Finding]) -> str | None:
    """After how many decisions the same ones come again, where every result names one number."""
    found = {int(m.group(1)) for f in some if (m := re.search(r"(\d+) decisions before", f.message))}
    if len(some) < 2 or len(found) != 1 or not all(" decisions before" in f.message for f in some):
        return None
    return f"drop decisions repeat after {found.pop()} decisions, so that samples have parts of the masks of earlier samples"


def _repeated(seen: Seen, lead: Finding, place: str) -> str:
    rows, copied = lead.tallies.get("rows"), lead.tallies.get("copied_rows")
    if rows and copied and copied == rows - 1:
        return f"all {rows} samples of a batch share one mask"
    return lead.message


assert all(check in CHECK for check in (_WHOLE, _CHANNELS, _SAMPLES, _CALLS, *_TIES, *_OF_OLD_MASKS))
