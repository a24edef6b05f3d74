"""Rates that are not what was asked for: one law that all cases follow, or the cases that have a rate of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from dropcheck.judge.diagnosis.places import only
from dropcheck.judge.diagnosis.seen import Cause, Seen, at, case_of, cause, percent, shown
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import strongest

_MARGINAL = "rate.marginal"
_APART = ("rate.per-channel", "rate.per-sample", "rate.per-shape")
_HALF = {"float16", "bfloat16"}
_GRIDS = tuple(2**k for k in range(3, 13))
Law = Callable[[float], float]


def marginal(seen: Seen) -> Iterator[Cause]:
    """The ratio of the measured to the requested rate over all cases, where one law explains them."""
    some = seen.failing(_MARGINAL)
    if not some:
        return
    judged = [f for f in seen.judged[_MARGINAL] if _measured(f)]
    wrong = [f for f in some if _measured(f)]
    if not wrong or any("odd_calls" in f.tallies for f in some) or _of_positions(seen, wrong):
        return
    if (blocks := _blocks(seen, judged)) is not None:
        text, fix = blocks
        yield cause("rate: blocks", text, fix, seen.take(some), strongest(wrong))
        return
    dtypes = {case_of(f.case).dtype for f in wrong}
    within = [f for f in judged if case_of(f.case).dtype in dtypes]
    others = [f for f in judged if case_of(f.case).dtype not in dtypes]
    lead = strongest(wrong)
    place = only(judged)
    found = _law(within, wrong)
    if found is None and place:
        found = _law(wrong, wrong)
    if found is None:
        return
    name, observed, fix, whole = found
    if place and not (whole and "rate" in place):
        observed += f", {place}"
    elif others and _law([*within, *others], wrong) != found:
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
    yield cause(f"calls of another rate {place}".strip(), text, "", seen.take(follow), lead)


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
            text += " and are not scaled: the layer returns them as they are"
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
    """Wrong values of the same cases that are multiplied by 1, where some positions never drop: they were left out."""
    cases = {f.case for f in some if "never drop" in f.message}
    values = seen.failing("scale.kept-values")
    fit = values and all(f.case in cases and f.estimate == 1 and f.expected != 1 for f in values)
    return values if fit else []


def shapes(seen: Seen) -> Iterator[Cause]:
    """Shapes with a rate of their own, beside a rate that follows no law."""
    some = seen.failing("rate.per-shape", _MARGINAL)
    if not some or not seen.failing(_MARGINAL):
        return
    lead = strongest([f for f in seen.failing(_MARGINAL) if _measured(f)] or seen.failing(_MARGINAL))
    place = only([f for f in seen.judged[_MARGINAL] if _measured(f)])
    text = lead.message if place else _by_shape(seen) or lead.message
    yield cause(f"{_MARGINAL} {place}".strip(), at(text, place), "", seen.take(some), lead)


def _by_shape(seen: Seen) -> str | None:
    """Shapes that drop otherwise than others at one rate; None where no rate has both."""
    judged = [f for f in seen.judged[_MARGINAL] if _measured(f) and case_of(f.case).rows is not None]
    for rate in sorted({f.expected for f in judged if f.expected is not None}, key=lambda r: abs(r - 0.3)):
        bad = [f for f in _at(judged, rate) if f.verdict == "fail"]
        fine = [f for f in _at(judged, rate) if f.verdict == "pass"]
        # the same shapes drop otherwise in another dtype or way of calling: the shape is no cause
        if bad and fine and not {_size(f) for f in bad} & {_size(f) for f in fine}:
            word = "more" if _share(bad) > _share(fine) else "less"
            return (
                f"the rate depends on the shape: at rate {rate:g} the layer drops {percent(_share(bad))} in calls of "
                f"{_sizes(bad)}, {word} than the {percent(_share(fine))} in calls of {_sizes(fine)} (samples, channels, positions)"
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


def _holds(law: Law, findings: Sequence[Finding]) -> bool:
    """Whether a law fits every measured rate to within what chance allows."""
    for one in findings:
        n, k = one.tallies["coins"], one.tallies["dropped"]
        assert one.expected is not None
        p = min(1.0, max(0.0, law(one.expected)))
        room = 5.2 * math.sqrt(n * p * (1 - p)) + 3 if 0 < p < 1 else 0.0
        if abs(k - n * p) > room:
            return False
    return True


def _law(within: Sequence[Finding], wrong: Sequence[Finding]) -> tuple[str, str, str, bool] | None:
    """The simplest law of the measured rates: its name, sentence, fix, and whether it says at which rates."""
    rates = sorted({f.expected for f in within if f.expected is not None})
    bad = sorted({f.expected for f in wrong if f.expected is not None})
    each = "at every rate" if len(rates) > 2 else f"at rate {' and '.join(f'{r:g}' for r in rates)}"
    if _holds(lambda p: 0.0, within):
        fix = "Check that the layer runs in training mode and that the mask is multiplied in."
        return (
            "never",
            f"the layer never drops, {each}" if len(rates) > 2 else f"the layer never drops {each}",
            fix,
            True,
        )
    if _holds(lambda p: 1.0, within):
        return "always", "the layer drops everything, at every rate", "", True
    if max(bad) != min(bad) or abs(bad[0] - 0.5) > 0.01:
        p = min((b for b in bad if abs(b - 0.5) > 0.01), key=lambda b: abs(b - 0.1))
        if _holds(lambda p: 1 - p, within) and len(rates) > 1:
            text = f"keep and drop are swapped: the layer drops {shown(1 - p)} at rate {p:g}"
            return (
                "keep and drop",
                text,
                "If the argument is the keep probability by design, declare it: Implementation(keep_probability=True). "
                "Otherwise compare the other way round.",
                True,
            )
    if len(bad) > 1:
        level = _share(wrong)
        if _holds(lambda p: level, within):
            return "constant", f"the layer drops {shown(level, 3)} of the elements at every requested rate", "", True
        ratio = sum(f.tallies["dropped"] for f in within) / sum(f.tallies["coins"] * (f.expected or 0) for f in within)
        off = _mean_difference(within)
        scaled, moved = _holds(lambda p: p * ratio, within), _holds(lambda p: p + off, within)
        if scaled and not moved:
            text = f"the layer drops {shown(ratio, 3)} times the requested rate {each}"
            return "ratio", text, "Compare the uniform numbers with the rate itself.", True
        if moved and not scaled:
            word = "more" if off > 0 else "less"
            text = f"the layer drops {shown(100 * abs(off), 3)} percentage points {word} than requested {each}"
            return "offset", text, "Compare the uniform numbers with the rate itself.", True
        for steps in _GRIDS:
            for how, rounded in (
                ("up to multiples", math.ceil),
                ("down to multiples", math.floor),
                ("to multiples", round),
            ):
                if _holds(_rounding(steps, rounded), within):
                    there = shown(_share(_at(wrong, bad[0])), 3)
                    text = f"rates are rounded {how} of 1/{steps}: the layer drops {there} at rate {bad[0]:g}"
                    fix = "Draw the uniform numbers with at least 24 bits, for every dtype of the input."
                    return "grid", text, fix, True
        return None
    measured = _share(wrong)
    if measured == 0:
        return "never", f"the layer never drops at rate {bad[0]:g}", "", True
    off = measured - bad[0]
    word = "more" if off > 0 else "less"
    text = (
        f"at rate {bad[0]:g} the layer drops {percent(measured)}: {shown(100 * abs(off), 3)} percentage points {word}"
    )
    return "one rate", text, "", True


def _blocks(seen: Seen, judged: Sequence[Finding]) -> tuple[str, str] | None:
    """Of blocks that overlap: how often one begins, in units of what is declared, where that is one number at every rate."""
    contract = seen.contract
    if contract is None or not contract.pattern.blocks:
        return None
    area = math.prod(size for _, size in contract.pattern.blocks)
    ratios = []
    for one in judged:
        n, k, p = one.tallies["coins"], one.tallies["dropped"], one.expected or 0.0
        if not 100 < k < n - 100 or not 0 < p < 1:
            continue  # nearly all fall, or none: how often a block begins is not seen
        begins, declared = (1 - (1 - share) ** (1 / area) for share in (k / n, p))
        ratios.append((begins / declared, one))
    if len(ratios) < 2:
        return None
    ratio = ratios[0][0]
    if abs(ratio - 1) < 0.02 or any(abs(other / ratio - 1) > 0.05 for other, _ in ratios):
        return None
    one = min((f for _, f in ratios), key=lambda f: f.expected or 0.0)
    text = f"blocks begin {shown(ratio, 3)} times as often as declared at every rate: the layer drops {percent(_share([one]))} "
    text += f"instead of {percent(one.expected or 0.0)} at rate {case_of(one.case).rate or 0:g}"
    if abs(ratio / area - 1) < 0.05:
        return text, f"Divide the rate at which blocks begin by the {area} positions of a block."
    return text, ""


def _rounding(steps: int, rounded: Callable[[float], int]) -> Law:
    return lambda p: rounded(p * steps) / steps


def _at(findings: Sequence[Finding], rate: float) -> list[Finding]:
    return [f for f in findings if f.expected == rate]


def _share(findings: Sequence[Finding]) -> float:
    return float(sum(f.tallies["dropped"] for f in findings) / max(1, sum(f.tallies["coins"] for f in findings)))


def _mean_difference(findings: Sequence[Finding]) -> float:
    """The mean of measured minus requested rate, each case by its precision."""
    top = bottom = 0.0
    for one in findings:
        n, p = one.tallies["coins"], one.expected or 0.0
        weight = n / max(p * (1 - p), 1e-9)
        top += weight * (one.tallies["dropped"] / n - p)
        bottom += weight
    return top / max(bottom, 1e-300)
