"""The law that measured rates follow in fact: one formula of the requested rate that all cases have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dropcheck.judge.diagnosis.seen import Seen, case_of, percent, shown
from dropcheck.results.audit import Finding

_GRIDS = tuple(2**k for k in range(3, 13))
Law = Callable[[float], float]


def holds(law: Law, findings: Sequence[Finding]) -> bool:
    """Whether a law fits every measured rate to within what chance allows."""
    for one in findings:
        n, k = one.tallies["coins"], one.tallies["dropped"]
        assert one.expected is not None
        p = min(1.0, max(0.0, law(one.expected)))
        room = 5.2 * math.sqrt(n * p * (1 - p)) + 3 if 0 < p < 1 else 0.0
        if abs(k - n * p) > room:
            return False
    return True


def named(within: Sequence[Finding], wrong: Sequence[Finding], some: bool = False) -> tuple[str, str, str, bool] | None:
    """The simplest law of the measured rates: its name, sentence, fix, and whether it says at which rates.

    ``some``: other rates are right.
    """
    rates = sorted({f.expected for f in within if f.expected is not None})
    bad = sorted({f.expected for f in wrong if f.expected is not None})
    shown_rates = [f"{r:g}" for r in rates]
    each = f"at rate{'s' if len(rates) > 1 else ''} {' and '.join([', '.join(shown_rates[:-1]), shown_rates[-1]][-len(rates) :])}"
    if len(rates) > 2 and not some:
        each = "at every rate"
    if holds(lambda p: 0.0, within):
        fix = "Check that the layer runs in training mode and that the mask is multiplied in."
        return (
            "never",
            f"the layer never drops, {each}" if "every" in each else f"the layer never drops {each}",
            fix,
            True,
        )
    if holds(lambda p: 1.0, within):
        text = "the layer drops everything, at every rate" if not some else f"the layer drops everything {each}"
        return "always", text, "", True
    if max(bad) != min(bad) or abs(bad[0] - 0.5) > 0.01:
        p = min((b for b in bad if abs(b - 0.5) > 0.01), key=lambda b: abs(b - 0.1))
        if holds(lambda p: 1 - p, within) and len(rates) > 1:
            text = f"keep and drop are swapped: the layer drops {shown(1 - p)} at rate {p:g}"
            return (
                "keep and drop",
                text,
                "If the argument is the keep probability by design, declare it: Implementation(keep_probability=True). "
                "Otherwise compare the other way round.",
                not some,
            )
    if len(bad) > 1:
        level = share(wrong)
        if holds(lambda p: level, within):
            where = each if some else "at every requested rate"
            return "constant", f"the layer drops {shown(level, 3)} of the elements {where}", "", True
        ratio = sum(f.tallies["dropped"] for f in within) / sum(f.tallies["coins"] * (f.expected or 0) for f in within)
        off = _mean_difference(within)
        scaled, moved = holds(lambda p: p * ratio, within), holds(lambda p: p + off, within)
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
                if holds(_rounding(steps, rounded), within):
                    there = shown(share(at_rate(wrong, bad[0])), 3)
                    text = f"rates are rounded {how} of 1/{steps}: the layer drops {there} at rate {bad[0]:g}"
                    fix = "Draw the uniform numbers with at least 24 bits, for every dtype of the input."
                    return "grid", text, fix, not some
        return None
    measured = share(wrong)
    if measured == 0:
        return "never", f"the layer never drops at rate {bad[0]:g}", "", True
    off = measured - bad[0]
    word = "more" if off > 0 else "less"
    text = (
        f"at rate {bad[0]:g} the layer drops {percent(measured)}: {shown(100 * abs(off), 3)} percentage points {word}"
    )
    return "one rate", text, "", True


def blocks(seen: Seen, judged: Sequence[Finding]) -> tuple[str, str] | None:
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
    text = f"blocks begin {shown(ratio, 3)} times as often as declared at every rate: the layer drops {percent(share([one]))} "
    text += f"instead of {percent(one.expected or 0.0)} at rate {case_of(one.case).rate or 0:g}"
    if abs(ratio / area - 1) < 0.05:
        return text, f"Divide the rate at which blocks begin by the {area} positions of a block."
    return text, ""


def _rounding(steps: int, rounded: Callable[[float], int]) -> Law:
    return lambda p: rounded(p * steps) / steps


def at_rate(findings: Sequence[Finding], rate: float) -> list[Finding]:
    return [f for f in findings if f.expected == rate]


def share(findings: Sequence[Finding]) -> float:
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
