"""Rates that are not what was asked for: one law that all cases follow, or the cases that have a rate of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dropcheck.judge.diagnosis import rate_laws
from dropcheck.judge.diagnosis.places import only
from dropcheck.judge.diagnosis.seen import Cause, Seen, at, case_of, cause, percent, shown
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import strongest

_MARGINAL = "rate.marginal"
_APART = ("rate.per-channel", "rate.per-sample", "rate.per-shape")
_LAGS = ("mask.independent-samples", "mask.independent-calls")
_ONE_RATE = (
    "Use the rate as it is in every call. Let the user move a schedule (by a method, or by a new rate), not the forward "
    "pass."
)
_HALF = {"float16", "bfloat16"}
_NOTHING = re.compile("never drop|drop nothing")
_UNCHANGED = " and are not scaled: the layer returns them as they are"


def marginal(seen: Seen) -> Iterator[Cause]:
    """The ratio of the measured to the requested rate over all cases, where one law explains them."""
    some = seen.failing(_MARGINAL)
    if not some:
        return
    judged = [f for f in seen.judged[_MARGINAL] if _measured(f)]
    wrong = [f for f in some if _measured(f)]
    if not wrong or any("odd_calls" in f.tallies for f in some) or _of_positions(seen, wrong):
        return
    if (blocks := rate_laws.blocks(seen, judged)) is not None:
        text, fix = blocks
        yield cause("rate: blocks", text, fix, seen.take(some), strongest(wrong))
        return
    dtypes = {case_of(f.case).dtype for f in wrong}
    within = [f for f in judged if case_of(f.case).dtype in dtypes]
    others = [f for f in judged if case_of(f.case).dtype not in dtypes]
    lead = strongest(wrong)
    place = only(judged)
    found = rate_laws.named(within, wrong)
    if found is None and place:
        found = rate_laws.named(wrong, wrong, "rate" in place)
    if found is None:
        return
    name, observed, fix, whole = found
    if place and not (whole and "rate" in place):
        observed += f", {place}"
    elif others and rate_laws.named([*within, *others], wrong) != found:
        observed += f", only in {' and '.join(sorted(dtypes))}"
    if dtypes <= _HALF and others and name not in ("never", "always"):
        fix = "Draw the uniform numbers in float32, whatever the dtype of the input, and compare them with the rate in float32."
    follow = [*some, *seen.failing("rate.per-shape")]
    if name == "keep and drop":
        follow += seen.failing("scale.kept-values", "scale.mean", "gradient.scale")
    if name in ("never", "always"):
        follow += seen.failing("mode.toggle", *_APART)
    values = seen.failing("scale.kept-values", "scale.mean")
    if name == "never" and not place and values and all(f.estimate == 1 for f in values if f.check != "scale.mean"):
        observed = observed.replace("never drops", "returns its input and never drops")
        follow += [*values, *seen.failing("gradient.scale", "form.input-untouched")]
    yield cause(f"rate: {name} {place}".strip(), observed, fix, seen.take(follow), lead)


def calls(seen: Seen) -> Iterator[Cause]:
    """Calls with a rate of their own, at one place of the order in all cases: channels that vary together follow from them."""
    some = seen.failing(_MARGINAL)
    odd = [f for f in some if "odd_calls" in f.tallies]
    kinds = {(f.tallies.get("first_odd_call"), f.tallies["odd_calls"]) for f in odd if not case_of(f.case).batches}
    if len(odd) < 3 or len(kinds) != 1:
        return
    first, number = kinds.pop()
    # the others have no more calls than these
    if not isinstance(first, int) or any((case_of(f.case).calls or 0) > first + number for f in some if f not in odd):
        return
    some_beside = [f for f in odd if not case_of(f.case).batches and f.tallies.get("calls", 0) > first + number]
    lead = strongest(some_beside or [f for f in odd if not case_of(f.case).batches])
    rate = case_of(lead.case).rate
    place = only([f for f in seen.judged[_MARGINAL] if "odd_calls" in f.tallies or f.verdict == "pass"])
    follow = [*some, *seen.failing("mode.toggle", "mask.independent-calls")]
    for check in ("mask.independent-channels", "mask.dropped-count", "mask.patterns"):
        follow += [f for f in seen.failing(check) if (case_of(f.case).calls or 0) > first]
    text = f"{lead.message}{f', at rate {rate:g}' if rate is not None else ''}"
    if unscaled := _passed_on(seen, odd):
        text += "; where nothing drops, the layer returns its input"
        follow += [*unscaled, *seen.failing("seed.reset")]
    yield cause(f"calls of another rate {place}".strip(), text, "", seen.take(follow), lead)


def schedules(seen: Seen) -> Iterator[Cause]:
    """A rate that follows the number of calls: calls of one rate each look tied, and what counts them outlives reseeding."""
    some = [f for f in seen.failing(_MARGINAL) if "drops_by_block" in f.tallies]
    if not some:
        return
    lead = max(some, key=lambda f: abs(_block_rate(f, -1) - _block_rate(f, 0)))
    rate = case_of(lead.case).rate
    text = lead.message + (f", at rate {rate:g}" if rate is not None else "")
    counted = [f for f in seen.failing("mode.inference") if "randomness" in f.case]
    if counted:
        text += "; inference calls count as calls"
    tied = ("mask.independent-channels", "mask.dropped-count", "mask.patterns", *_LAGS, *_APART)
    follow = [*seen.failing(_MARGINAL, *tied, "mode.toggle", "seed.reset"), *counted]
    yield cause("a rate that follows the number of calls", text, _ONE_RATE, seen.take(follow), lead)


def _block_rate(one: Finding, place: int) -> float:
    """The rate of one block of calls."""
    return float(one.tallies["drops_by_block"][place] / max(1, one.tallies["coins_by_block"][place]))


def positions(seen: Seen) -> Iterator[Cause]:
    """Channels, samples or shapes with a rate of their own; that the rate over all is off follows from it."""
    for check in ("rate.per-channel", "rate.per-sample"):
        some = seen.failing(check)
        if not some:
            continue
        lead, text = _position(check, some)
        place = only(seen.judged[check])
        single = [f for f in some if "single_places" in f.tallies]
        if single and not seen.failing("mask.independent-channels", "mask.dropped-count"):
            # pooled over places of several rates, groups of channels are no independent ones; the rates show more clearly
            tied = seen.failing("mask.patterns")
            if tied and _evidence(strongest(tied)) < _evidence(strongest(single)):
                some = [*some, *tied]
        unscaled = _returned(seen, some)
        if unscaled:
            text += _UNCHANGED
            some = [*some, *unscaled]
        follow = [*some, *seen.failing(_MARGINAL, *_APART)]
        if check == "rate.per-sample":  # rows of another rate go together from call to call
            follow += seen.failing("mask.independent-samples", "mask.independent-calls")
        if not seen.failing("mask.independent-channels", "mask.patterns"):
            follow += seen.failing("mask.dropped-count")  # rows of another rate spread the number of drops
        yield cause(f"{check} {place}".strip(), at(text, place), "", seen.take(follow), lead)


def _evidence(one: Finding) -> float:
    """How far from chance a failure is, in powers of ten."""
    return -(one.log10_evidence or 0.0)


def _returned(seen: Seen, some: Sequence[Finding]) -> list[Finding]:
    """Wrong values, and what a returned input fails, where values are multiplied by 1 in cases with what never drops."""
    cases = {f.case for f in some if f.estimate == 0 or _NOTHING.search(f.message)}
    values = seen.failing("scale.kept-values")
    if not values or not all(f.case in cases and f.estimate == 1 and f.expected != 1 for f in values):
        return []
    return [*values, *seen.failing("form.input-untouched")]


def _passed_on(seen: Seen, odd: Sequence[Finding]) -> list[Finding]:
    """The same of calls that drop nothing: as many values are multiplied by 1 as those calls have, in every case of both."""
    values = seen.failing("scale.kept-values")
    if not values or not all(f.estimate == 1 and f.expected != 1 for f in values):
        return []
    wrong = {f.case: f.tallies.get("wrong") for f in values}
    both = [(case_of(f.case), f) for f in odd if f.case in wrong and _NOTHING.search(f.message)]
    whole = [
        wrong[f.case] == f.tallies["odd_calls"] * (c.rows or 0) * (c.channels or 0) * (c.shared or 0)
        for c, f in both
        if not c.batches
    ]
    return [*values, *seen.failing("form.input-untouched")] if len(whole) > 1 and all(whole) else []


def shapes(seen: Seen) -> Iterator[Cause]:
    """Shapes with a rate of their own, beside a rate that follows no law."""
    some = seen.failing("rate.per-shape", _MARGINAL)
    if not some or not seen.failing(_MARGINAL):
        return
    lead = strongest([f for f in seen.failing(_MARGINAL) if _measured(f)] or seen.failing(_MARGINAL))
    place = only([f for f in seen.judged[_MARGINAL] if _measured(f)])
    text = lead.message if place else _by_shape(seen) or lead.message
    if unscaled := _returned(seen, some):
        text += "; where nothing drops, the layer returns its input"
        some = [*some, *unscaled]
    yield cause(f"{_MARGINAL} {place}".strip(), at(text, place), "", seen.take(some), lead)


def _by_shape(seen: Seen) -> str | None:
    """Shapes that drop otherwise than others at one rate; None where no rate has both."""
    judged = [f for f in seen.judged[_MARGINAL] if _measured(f) and case_of(f.case).rows is not None]
    for rate in sorted({f.expected for f in judged if f.expected is not None}, key=lambda r: abs(r - 0.3)):
        bad = [f for f in rate_laws.at_rate(judged, rate) if f.verdict == "fail"]
        fine = [f for f in rate_laws.at_rate(judged, rate) if f.verdict == "pass"]
        # the same shapes drop otherwise in another dtype or way of calling: the shape is no cause
        if bad and fine and not {_size(f) for f in bad} & {_size(f) for f in fine}:
            share, usual = rate_laws.share(bad), rate_laws.share(fine)
            return (
                f"the rate depends on the shape: at rate {rate:g} the layer drops {percent(share)} in calls of {_sizes(bad)}, "
                f"{'more' if share > usual else 'less'} than the {percent(usual)} in calls of {_sizes(fine)} (samples, channels, "
                "positions)"
            )
    return None


def _size(finding: Finding) -> str:
    """Samples, channels and positions of a case."""
    case = case_of(finding.case)
    return f"{case.rows},{case.channels},{case.shared}"


def _sizes(findings: Sequence[Finding]) -> str:
    """At most three shapes of cases."""
    words = list(dict.fromkeys(map(_size, findings)))
    return ", ".join(words[:3]) + (", ..." if len(words) > 3 else "")


def _position(check: str, some: Sequence[Finding]) -> tuple[Finding, str]:
    """The result that shows best which channel or sample it is, and its sentence."""
    known = [f for f in some if "position" in f.tallies and f.estimate is not None and f.expected is not None]
    if not known:
        return strongest(some), strongest(some).message
    word = "channel" if check == "rate.per-channel" else "sample of a batch"
    kinds: dict[str, list[Finding]] = {}
    for one in known:
        place, last = int(one.tallies["position"]), int(one.tallies.get("positions", 0)) - 1
        kinds.setdefault("last" if place == last and last > 0 else str(place), []).append(one)
    name, most = max(kinds.items(), key=lambda pair: len(pair[1]))
    if 2 * len(most) <= len(known):
        lead = strongest(known)
        return lead, lead.message
    lead = strongest([f for f in most if f.tallies.get("positions", 0) > 3] or most)
    who = f"the last {word}" if name == "last" else f"{word.partition(' of')[0]} {name}"
    low, high = lead.estimate or 0.0, lead.expected or 0.0
    does = "never drops" if low == 0 else f"drops with probability {shown(low, 4)}"
    return lead, f"{who} {does}, the others with probability {shown(high, 4)}"


def _measured(one: Finding) -> bool:
    """Whether a result counts the drops of all its calls at one rate."""
    return "dropped" in one.tallies and isinstance(one.tallies.get("coins"), int) and one.expected is not None


def _of_positions(seen: Seen, wrong: Sequence[Finding]) -> bool:
    """Whether positions with a rate of their own explain these: where they fail, too, and no law holds for all cases."""
    return bool(seen.failing("rate.per-channel", "rate.per-sample")) and any(
        0 < f.tallies["dropped"] < f.tallies["coins"] for f in wrong
    )
