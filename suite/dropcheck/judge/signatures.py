"""Signatures: what the findings of one target say beyond the names of the checks that fail, and how alike two are."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from dropcheck.contract.adapter import DTYPES, LAYOUTS
from dropcheck.results.audit import Finding

SCHEMA = "dropcheck.signatures/1"
FACTS = 1  # raised when the facts that are taken from findings change: signatures are then made anew
AGREE = 0.8  # a feature of two signatures agrees from this similarity on (1: the same)


class CheckFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one check's findings say: counts and sums, so that those of several seeds add.

    ``where``: dimension -> class -> (failing cases, judged cases). ``kinds``: what -> value -> failing cases.
    ``sizes``: what -> (sum, count) over failing cases, mostly of log10 of a deviation.
    """

    fails: int = 0
    judged: int = 0
    audits: int = 1  # audits in which the check was judged, and in which it failed
    failed_in: int = 0
    where: dict[str, dict[str, tuple[int, int]]] = {}
    kinds: dict[str, dict[str, int]] = {}
    sizes: dict[str, tuple[float, int]] = {}


Facts = dict[str, CheckFacts]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One planted defect's facts, in the words that a report needs."""

    name: str
    check: str
    summary: str
    source: str
    framework: str
    seeds: int
    facts: Facts


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """How often a name was right when every defect was audited under a seed that its signature had not seen.

    ``audits``: how many were asked. ``named``, ``right``: how many got a name, and the right one (or a set that holds
    it). ``in_three``: how many had the right one among the best three. ``exact_*``: of those with the words "exact
    signature". ``strangers*``: audits matched with their own signature left out, as a defect that is not in the zoo
    would be, and how many of them were called exact or like something.
    """

    audits: int = 0
    named: int = 0
    right: int = 0
    first: int = 0
    in_three: int = 0
    exact_named: int = 0
    exact_right: int = 0
    strangers: int = 0
    strangers_exact: int = 0
    strangers_like: int = 0


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """All signatures, what is known of their worth, and the defects that have none, with the reason."""

    schema: str
    seeds: list[int]
    calibration: Calibration
    signatures: list[Signature]
    without: dict[str, str] = {}


@cache
def library() -> Library:
    """The signatures that ship with the package; an empty library where the file is missing."""
    try:
        data = files("dropcheck.judge").joinpath("signatures.json").read_bytes()
    except FileNotFoundError:
        return Library(schema=SCHEMA, seeds=[], calibration=Calibration(), signatures=[])
    return msgspec.json.decode(data, type=Library)


# --- facts of a target -----------------------------------------------------------------------------------------------


def facts(findings: Iterable[Finding]) -> Facts:
    """The facts of one target's findings. Those that were not judged say nothing and are left out."""
    by_check: dict[str, list[Finding]] = {}
    for one in findings:
        if one.verdict in ("pass", "fail"):
            by_check.setdefault(one.check, []).append(one)
    return {check: _facts(check, found) for check, found in sorted(by_check.items())}


def _facts(check: str, found: list[Finding]) -> CheckFacts:
    failing = [f for f in found if f.verdict == "fail"]
    if not failing:
        return CheckFacts(fails=0, judged=len(found))
    where: dict[str, dict[str, tuple[int, int]]] = {}
    kinds: dict[str, dict[str, int]] = {}
    sizes: dict[str, tuple[float, int]] = {}
    for one in found:
        for dimension, name in classes(one.case).items():
            fails, judged = where.setdefault(dimension, {}).get(name, (0, 0))
            where[dimension][name] = fails + (one.verdict == "fail"), judged + 1
    for one in failing:
        for what, value in _kinds(one):
            kinds.setdefault(what, {})
            kinds[what][value] = kinds[what].get(value, 0) + 1
        for what, number in _sizes(one):
            total, count = sizes.get(what, (0.0, 0))
            sizes[what] = total + number, count + 1
    return CheckFacts(fails=len(failing), judged=len(found), failed_in=1, where=where, kinds=kinds, sizes=sizes)


def added(several: Iterable[Facts]) -> Facts:
    """The facts of several audits of one layer together."""
    total: dict[str, dict[str, Any]] = {}
    for facts_ in several:
        for check, one in facts_.items():
            tree = msgspec.to_builtins(one)
            total[check] = tree if check not in total else _add(total[check], tree)
    return msgspec.convert(total, Facts)


def _add(a: Any, b: Any) -> Any:
    if isinstance(a, dict):
        return {k: _add(a[k], b[k]) if k in a and k in b else a.get(k, b.get(k)) for k in {**a, **b}}
    if isinstance(a, list | tuple):
        return [x + y for x, y in zip(a, b, strict=True)]
    return a + b


def _band(value: float, edges: tuple[float, ...], names: tuple[str, ...]) -> str:
    return names[sum(value >= e for e in edges)]


def _rate_band(rate: float) -> str:
    return _band(rate, (0.02, 0.2, 0.48, 0.52), ("below .02", ".02 to .2", ".2 to .48", ".5", "above .52"))


def classes(case: str) -> dict[str, str]:
    """dimension -> class of one case's text; words that name no number count as they stand."""
    found: dict[str, str] = {}
    sized = bool(re.search(r"\bcalls=", case))
    if sized:
        found.update(layout="contiguous", gradient="not recorded", inference="none", regime="stream", batches="fixed")
    for word in case.split():
        key, _, value = word.partition("=")
        if word in DTYPES:
            found["dtype"] = word
        elif word in LAYOUTS:
            found["layout"] = word
        elif word == "grad":
            found["gradient"] = "recorded"
        elif key == "rate" and _is_number(value):
            found["rate"] = _rate_band(float(value))
        elif key == "infer":
            found["inference"] = "between calls"
        elif key == "batches":
            found["batches"] = "varying"
        elif key == "way":
            found["way"] = value
        elif re.fullmatch(r"\d+(,\d+)+", word):
            found.update(_size_classes(*map(int, word.split(",")[:3])))
        elif word.isalpha() and word not in ("over", "shapes"):
            found["regime" if sized else "situation"] = word
    return found


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _size_classes(rows: int, channels: int, shared: int = 1) -> dict[str, str]:
    return {
        "rows": _band(rows, (2, 129), ("1", "2 to 128", "above 128")),
        "channels": _band(channels, (2, 4, 257), ("1", "2 to 3", "4 to 256", "above 256")),
        "odd channels": "one" if channels == 1 else "odd" if channels % 2 else "even",
        "coins a call": _band(rows * channels, (10_001,), ("up to 10 000", "above 10 000")),
        "shared": _band(shared, (2, 33), ("1", "2 to 32", "above 32")),
    }


def _kinds(one: Finding) -> Iterator[tuple[str, str]]:
    """Facts of a failing case that are no numbers: direction, distance, position, kind of rounding."""
    if one.estimate is not None and one.expected is not None:
        yield "direction", "more" if one.estimate > one.expected else "less"
    tallies = one.tallies
    if "worst_pair" in tallies:
        a, b = tallies["worst_pair"]
        yield "channels apart", str(b - a)
    if isinstance(tallies.get("lags"), dict) and tallies["lags"]:
        lags = {k: v for k, v in tallies["lags"].items() if v is not None}
        if lags:
            yield "strongest", max(lags, key=lambda k: abs(lags[k]))
    if isinstance(tallies.get("correlations"), dict) and tallies["correlations"]:
        yield "strongest", max(tallies["correlations"], key=lambda k: abs(tallies["correlations"][k] or 0.0))
    if isinstance(tallies.get("strongest"), str):
        yield "strongest", re.split(r" from channel|, all groups", tallies["strongest"])[0]
    if "position" in tallies and "positions" in tallies:
        i, n = tallies["position"], tallies["positions"]
        yield "position", "first" if i == 0 else "last" if i == n - 1 else "between"
    if isinstance(tallies.get("class"), str):
        yield "rounding", tallies["class"]
    if one.check == "mask.whole-channels" and one.picture is not None:
        # one sample's elements: do the channels of a position fall together, or each for itself?
        together = all(len(set(row.replace(" ", ""))) == 1 for row in one.picture.rows)
        yield "torn", "a position in all channels" if together else "element by element"
    if "variance_ratio" in tallies and tallies["variance_ratio"] is not None:
        yield "spread", "clumped" if tallies["variance_ratio"] > 1 else "rationed"


# units of estimates that are plain numbers; ``words`` in earlier results
_NUMBERS = ("words", "stretches", "pairs", "positions")
_OF = ("coins", "kept", "words", "positions", "dropped")  # what a count is a share of, in the order of preference


def _sizes(one: Finding) -> Iterator[tuple[str, float]]:
    """Numbers of a failing case that do not grow with its coins, most as log10; rates by the band of the rate asked for."""
    if one.estimate is not None and one.expected is not None and not one.unit.startswith(_NUMBERS):
        off = abs(one.estimate - one.expected)
        band = classes(one.case).get("rate", "")
        if off > 0:
            yield f"deviation at {band}".strip(), math.log10(off)
    tallies = one.tallies
    channels = re.search(r"\b\d+,(\d+),\d+\b", one.case)
    if "copies" in tallies and channels:
        yield "copies", math.log10(max(1e-3, tallies["copies"] / int(channels.group(1))))
    whole = next((tallies[k] for k in _OF if isinstance(tallies.get(k), int) and tallies[k] > 0), None)
    if whole:
        for key, value in tallies.items():
            if isinstance(value, int) and key not in (
                *_OF,
                "position",
                "size",
                "degrees",
                "word_coins",
                "seeds",
                "rows",
            ):
                if key in ("pairs", "copies", "tests"):
                    continue
                yield f"share of {key}", max(-4.0, math.log10(value / whole) if value > 0 else -4.0)


# --- likeness --------------------------------------------------------------------------------------------------------


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """How alike two sets of facts are: a score from 0 to 1, features that agree, features that were compared."""

    score: float
    agree: int
    features: int
    checks: tuple[str, ...]  # failing checks of the signature that fail in the target as well


def likeness(seen: Facts, known: Facts, only: frozenset[str] | None = None) -> Likeness:
    """Compare a target's facts with a signature's, over the checks that fail in one of them and were judged in both.

    Every check counts by the share of its cases that fail: one that fails in one case of forty is a weak sign, and so is
    its absence, the more so where the signature's own audits differ in it. Within a check all features count alike.
    ``only``: the failing checks of the target that the signature shall explain; its others are left aside.
    """
    weights = total = 0.0
    agree = features = 0
    shared = []
    for check in sorted({*seen, *known}):
        # what the target was not asked says nothing; what a signature was never asked, it does not explain
        a, b = seen.get(check), known.get(check, CheckFacts(judged=1))
        if a is None or not (a.fails or b.fails):
            continue
        if only is not None and check not in only and not b.fails:
            continue
        weight = max(a.fails / a.judged, b.fails / b.judged)
        if a.fails and b.fails:
            shared.append(check)
            values = list(_compared(a, b))
        else:
            values = [0.0]
            weight *= (b.failed_in / b.audits) ** 2 if b.fails else 1.0
        weights += weight
        total += weight * sum(values) / len(values)
        features += len(values)
        agree += sum(v >= AGREE for v in values)
    return Likeness(score=total / weights if weights else 0.0, agree=agree, features=features, checks=tuple(shared))


def few(seen: CheckFacts, known: CheckFacts) -> bool:
    """Whether a check was judged in less than half of the cases of an audit that leaves none out (--select, --case)."""
    return 2 * seen.judged * known.audits < known.judged


def _compared(a: CheckFacts, b: CheckFacts) -> Iterator[float]:
    """One similarity a feature of a check that fails in both."""
    narrow = few(a, b)
    yield 1.0 if narrow else 1.0 - abs(a.fails / a.judged - b.fails / b.judged)
    for dimension in sorted({*a.where} & {*b.where}):
        one, two = a.where[dimension], b.where[dimension]
        common = sorted({*one} & {*two})
        if narrow and common:
            # a few chosen cases have shares of their own: they can only contradict what never, or always, fails
            yield float(all(two[c][0] > 0 if one[c][0] else two[c][0] < two[c][1] for c in common))
            continue
        if len(common) < 2:
            continue
        # a class that few cases stand for weighs less: its share is known less well
        weigh = {c: min(one[c][1], two[c][1]) / (1 + min(one[c][1], two[c][1])) for c in common}
        off = {c: abs(one[c][0] / one[c][1] - two[c][0] / two[c][1]) for c in common}
        yield 1.0 - sum(weigh[c] * off[c] for c in common) / sum(weigh.values())
    for what in sorted({*a.kinds} & {*b.kinds}):
        left, right = a.kinds[what], b.kinds[what]
        n, m = sum(left.values()), sum(right.values())
        yield sum(min(left.get(k, 0) / n, right.get(k, 0) / m) for k in {*left, *right})
    for what in sorted({*a.sizes} & {*b.sizes}):
        (s, n), (t, m) = a.sizes[what], b.sizes[what]
        # a factor of two is half a feature, a factor of five none
        yield max(0.0, 1.0 - abs(s / n - t / m) / math.log10(4))
