"""Contracts of an exact number of dropped channels, or of one stretch of random length: read and judged by their law.

What a row does is held to its law (contract/row_laws.py). Whether it drops at all is an independent coin, and so is one channel
of each row: the checks of copies, dependence and rates judge these as any others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from dropcheck.contract import row_laws
from dropcheck.contract.cases import LADDER, Case
from dropcheck.contract.promise import Pattern
from dropcheck.contract.row_laws import Law
from dropcheck.count.coins import Bytes
from dropcheck.count.counting import tally
from dropcheck.count.gather import look_for_repeats
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_words import searched
from dropcheck.judge.checks import row_claims
from dropcheck.judge.checks.base import Bench, Check, Limits, skipped
from dropcheck.judge.checks.blocks import COARSER, UNASKED, alpha_of_words, count_values
from dropcheck.judge.checks.exact_questions import Layer, dropped, probe
from dropcheck.judge.checks.row_claims import Rows
from dropcheck.judge.checks.visible import follows
from dropcheck.results.audit import Finding
from dropcheck.worker.server.coinwise import pack

_ROWS = {"quick": 250_000, "standard": 1_000_000, "deep": 5_000_000}  # of one case
_A_ROW_A_CALL = {"quick": 20_000, "standard": 100_000, "deep": 500_000}  # the same where a call has one row
_A_CALL = 16_000  # elements, about
_AT_ONCE = 1 << 21  # elements of one request
_MOST_AT_ONCE = 512  # calls of one request
_RATES = {"exact": (0.1, 0.3, 0.5), "stretch": (0.1, 0.2, 0.3)}
_OWN: dict[str, Callable[[Check, Rows, Limits], Finding]] = {
    "mask.whole-channels": row_claims.whole,
    "mask.dropped-count": row_claims.counts,
    "rate.per-channel": row_claims.places,
    "mask.independent-channels": row_claims.pairs,
}
_UNASKED = {
    **{name: text.replace("overlapping blocks", "{law}") for name, text in UNASKED.items()},
    "rate.one": "with {law}, rate 1 does not drop everything",
    **dict.fromkeys(
        ("mask.distinct-channels", "mask.patterns"),
        "not tested with {law}: mask.dropped-count, rate.per-channel and mask.independent-channels hold a row to its law",
    ),
}
# what an independent coin a row is judged by: whether the row drops, or one of its channels
_EVENTS = ("rate.marginal", "rate.per-sample", "mask.independent-samples", "mask.independent-calls")
_ALIKE = {"mask.independent-samples": row_claims.alike_rows, "mask.independent-calls": row_claims.alike_calls}
_ROWS_ALIKE = tuple(_ALIKE)
# what a check says nothing beside: rows that depend on each other have other frequencies, channels with rates of their own
# other pairs. A wrong number is told first, as it needs no frequency.
_ORDER = {
    "mask.dropped-count": _ROWS_ALIKE,
    "rate.per-channel": (*_ROWS_ALIKE, "mask.dropped-count"),
    "mask.independent-channels": (*_ROWS_ALIKE, "mask.dropped-count", "rate.per-channel"),
    "rate.marginal": (*_ROWS_ALIKE, "mask.dropped-count", "rate.per-channel"),
    "mask.independent-calls": ("mask.independent-samples",),  # pairs of rows that are tied count as one
}


@dataclass(frozen=True)
class Read:
    """Calls of one layer. ``coins``: a channel of each row; ``events``: whether each row drops, None where it always does."""

    text: str
    rows: Rows
    coins: Gathered
    events: Gathered | None


def asked(check: Check, bench: Bench, limits: Limits, profile: str) -> list[Finding]:
    """All findings of one check under a contract of an exact number or of a stretch."""
    name = "one stretch a row" if bench.contract.pattern.stretch else "an exact number of channels"
    if check.name in _UNASKED:
        return [skipped(check, "rows", _UNASKED[check.name].format(law=name))]
    found = check.observe(check, bench, limits) if check.observe is not None else []
    if check.name == "gradient.edges":
        text = _UNASKED["rate.one"].format(law=name)
        found = [skipped(check, one.case, text) if "rate=1 " in one.case else one for one in found]
    if check.judge is None and check.name not in _OWN:
        return found
    for read in _reads(bench):
        if isinstance(read, Finding):
            found.append(msgspec.structs.replace(read, check=check.name))
        elif (cause := _cause(check, read, bench, profile)) is not None:
            found.append(skipped(check, read.text, follows(cause)))
        elif check.name in _OWN:
            found.append(_OWN[check.name](check, read.rows, check.limits(profile, None, limits.strict)))
        else:
            found.extend(_judged(check, read, bench, limits, profile))
    return found or [skipped(check, "rows", f"no case of {name} has enough drop decisions for this check")]


def _cause(check: Check, read: Read, bench: Bench, profile: str) -> str | None:
    """The failing check because of which this one says nothing of a case: rows alike, then numbers, places and pairs."""
    after = _ORDER.get(check.name)
    if after is None or (check.name == "rate.marginal" and not bench.contract.pattern.stretch):
        return None
    if "rows broken" not in bench.answers:
        bench.answers["rows broken"] = {r.text: _broken(r, profile) for r in _reads(bench) if isinstance(r, Read)}
    every: dict[str, list[str]] = bench.answers["rows broken"]
    # rows that depend on each other at one rate do so at all of them, though one case may not show it
    dependent = [name for some in every.values() for name in some if name in _ROWS_ALIKE]
    return next((name for name in (*every[read.text], *dependent) if name in after), None)


def _broken(read: Read, profile: str) -> list[str]:
    """The checks of rows that this case fails, the most basic first."""
    from dropcheck.judge.checks import CHECK

    found = []
    for name, ask in {**_ALIKE, **_OWN}.items():
        check = CHECK[name]
        if ask(check, read.rows, check.limits(profile)).verdict == "fail":
            found.append(name)
    certain = np.bincount(read.rows.rows.sum(axis=1), minlength=read.rows.law.size + 1)[read.rows.law.counts == 0].any()
    order = ["mask.whole-channels", *(["mask.dropped-count"] if certain else []), *_ALIKE]
    return sorted(found, key=lambda name: order.index(name) if name in order else len(order))


def _judged(check: Check, read: Read, bench: Bench, limits: Limits, profile: str) -> list[Finding]:
    """The usual decision over coins that rows give, and whether whole rows are alike."""
    # of a stretch the rate is the largest share, which its channels show; a row that drops shows that of an exact number
    of_channels = check.name == "rate.marginal" and bool(bench.contract.pattern.stretch)
    got = read.events if check.name in _EVENTS and read.events is not None and not of_channels else read.coins
    own = check.limits(profile, got.case, limits.strict, bench.resolution)
    if own.coarsest is not None and bench.resolution is None:
        own = replace(own, coarsest=min(check.most, COARSER * own.coarsest))
    found = []
    if check.judge is not None and _bears(check, got.case, own) and (one := check.judge(check, got, own)) is not None:
        if one.alpha is None and math.isfinite(own.alpha):
            one = msgspec.structs.replace(one, alpha=own.alpha)
        found.append(msgspec.structs.replace(one, case=read.text, message=_words(check, one, read, got)))
    if check.name in _ALIKE:
        found.append(_ALIKE[check.name](check, read.rows, check.limits(profile, None, limits.strict)))
    return found


def _bears(check: Check, case: Case, own: Limits) -> bool:
    """Whether a case bears on a check, and has coins enough for a pass, whatever they show."""
    if check.wants is None or not check.wants(case):
        return False
    return check.reach is None or own.coarsest is None or check.reach(case, own) <= own.coarsest


def _words(check: Check, one: Finding, read: Read, got: Gathered) -> str:
    """What was counted is not what the rate of the layer says: the message has both."""
    if check.name not in _EVENTS:
        return one.message
    what = "rows that drop" if got is read.events else "one channel of each row"
    return f"{one.message} ({what}; the layer has rate {read.rows.rate:g})"


def _reads(bench: Bench) -> list[Read | Finding]:
    """The cases, asked once for all checks."""
    if "rows" not in bench.answers:
        bench.answers["rows"] = [
            _read(bench, dtype, rate, law)
            for dtype in bench.dtypes
            for rate in _rates(bench, dtype)
            if 0 < rate < 1 and (law := row_laws.law(bench.contract, rate)) is not None
        ]
    found: list[Read | Finding] = bench.answers["rows"]
    return found


def _rates(bench: Bench, dtype: str) -> Sequence[float]:
    usual = _RATES["stretch" if bench.contract.pattern.stretch else "exact"]
    known = bench.contract.rates or (bench.rates if set(bench.rates) != set(LADDER) else usual)
    return known if dtype == bench.first else known[len(known) // 2 :][:1]


def _shape(pattern: Pattern, places: int) -> tuple[int, ...]:
    """Sizes of a call: rows about as many as elements allow, in groups of ``places``, and few elements a coin."""
    sizes = dict(pattern.sizes)
    free = [a for a in pattern.row_axes if a not in sizes]
    few = {a: 2 for a in pattern.shared if a not in sizes}
    left = _A_CALL / math.prod([*sizes.values(), *few.values()])
    each = max(2, round(left ** (1 / max(1, len(free)))))
    chosen = {a: max(places, each // places * places) if a == free[0] else each for a in free} if free else {}
    return tuple({**few, **chosen, **sizes}[a] for a in pattern.axes)


def _read(bench: Bench, dtype: str, rate: float, law: Law) -> Read | Finding:
    pattern, contract, places = bench.contract.pattern, bench.contract, len(law.places)
    shape = _shape(pattern, places)
    layer = Layer(bench, rate, dtype)
    x = np.resize(probe(Pattern.parse("n -> n"), dtype, 509, 1, 1), math.prod(shape)).reshape(shape)
    one = math.prod(shape[pattern.axes.index(a)] for a in pattern.row_axes)
    most = (_ROWS if one > 1 else _A_ROW_A_CALL).get(bench.profile, _ROWS["quick"])
    calls = max(2, -(-most // one))
    calls = calls if one % places == 0 else -(-calls // places) * places
    text = f"{dtype} rate={rate:g} rows {'x'.join(map(str, shape))} in {calls} calls"
    proof = dict.fromkeys(("violations", "wrong_values", "nonfinite", "nan", "changed_inputs"), 0)
    examples: dict[str, Any] = {}
    kept: list[Any] = []
    while len(kept) < calls:
        answer = layer.call(x, times=min(calls - len(kept), max(1, _AT_ONCE // x.size), _MOST_AT_ONCE))
        if answer.dtype != dtype or answer.shape != x.shape:
            words = follows("form.shape-dtype", f"{dtype} {x.shape} comes out as {answer.dtype} {answer.shape}")
            return Finding(check="", case=text, verdict="skipped", message=words)
        for number in range(len(answer.raw)):
            y = answer.values(number)
            gone = dropped(y, bench, rate, dtype)
            rows, split = row_laws.rows_of(pattern, gone)
            kept.append(rows)
            proof["violations"] += split
            count_values(bench, x, y, gone, rate, dtype, proof, examples)
    every = np.concatenate(kept)
    shared = pattern.shared_size(shape)

    def gathered(bits: Any, chance: float, a_call: int) -> Gathered:
        case = Case(dtype, chance, a_call, bits.shape[1], shared, len(bits) // a_call)
        coins: Bytes = pack(np.ascontiguousarray(bits))
        counts = tally(coins, case.channels, case.rows)
        got = Gathered(case, contract, counts, {**proof, "wrong_example": None, "example": None, **examples}, coins)
        if searched(case):
            look_for_repeats(got, alpha_of_words(bench.profile) / 2)
        return got

    coins = gathered(row_laws.readings(every, law.places), law.marginal, one // places if one % places == 0 else 1)
    events = gathered(np.asarray(every.any(axis=1)).reshape(-1, 1), law.drops, one) if law.event else None
    return Read(text, Rows(text, pattern, law, rate, every, one, proof["violations"]), coins, events)
