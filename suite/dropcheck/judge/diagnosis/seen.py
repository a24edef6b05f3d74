"""What was measured of one target, as the diagnosis reads it: failing and judged results by check, cases by their parts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from dropcheck.contract.adapter import DTYPES, LAYOUTS
from dropcheck.contract.promise import Contract, ContractError
from dropcheck.results.audit import Finding, TargetResult
from dropcheck.results.plain_text import strongest

OBSERVED = "observed pattern"  # the trait with what masks follow in fact, stored where masks fail
FIRST_CASES = ("stream", "seeds", "values")


@dataclass(frozen=True)
class Case:
    """The parts of a case's text; what it does not name is None, or the usual. ``batches``: sizes that take turns."""

    dtype: str = ""
    rate: float | None = None
    rows: int | None = None
    channels: int | None = None
    shared: int | None = None
    calls: int | None = None
    layout: str = "contiguous"
    grad: bool = False
    infer: bool = False
    batches: tuple[int, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[int, ...]:
        """The sizes of its batches; empty where they are not known."""
        return self.batches or (() if self.rows is None else (self.rows,))


@cache
def case_of(text: str) -> Case:
    """The parts of a case, also of an exact question."""
    given: dict[str, object] = {}
    words = []
    for word in text.split():
        key, _, value = word.partition("=")
        if word in DTYPES:
            given["dtype"] = word
        elif word in LAYOUTS:
            given["layout"] = word
        elif word == "grad":
            given["grad"] = True
        elif key == "rate" and _number(value):
            given["rate"] = float(value)
        elif key == "calls" and value.isdigit():
            given["calls"] = int(value)
        elif key == "infer":
            given["infer"] = True
        elif key == "batches":
            given["batches"] = tuple(int(n) for n in value.split(",") if n.isdigit()) or (0,)
        elif re.fullmatch(r"\d+,\d+,\d+", word):
            given["rows"], given["channels"], given["shared"] = map(int, word.split(","))
        else:
            words.append(word)
    return Case(**given, words=tuple(words))  # type: ignore[arg-type]


def _number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@dataclass
class Seen:
    """One target's results. ``left``: the failing ones that no cause has taken yet, by check."""

    target: TargetResult
    left: dict[str, list[Finding]] = field(default_factory=dict)
    judged: dict[str, list[Finding]] = field(default_factory=dict)

    @classmethod
    def of(cls, target: TargetResult) -> Seen:
        """What a target shows."""
        made = cls(target)
        for one in target.findings:
            if one.verdict in ("pass", "fail"):
                made.judged.setdefault(one.check, []).append(one)
            if one.verdict == "fail":
                made.left.setdefault(one.check, []).append(one)
        return made

    @property
    def contract(self) -> Contract | None:
        """The contract; None where the result holds none that is read."""
        try:
            return Contract.from_dict(self.target.contract)
        except (ContractError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def failing(self, *checks: str) -> list[Finding]:
        """Failing results of these checks that no cause has taken yet."""
        return [one for check in checks for one in self.left.get(check, ())]

    def take(self, findings: Iterable[Finding]) -> list[Finding]:
        """Give these results to a cause."""
        some = list({id(one): one for one in findings}.values())
        gone = {id(one) for one in some}
        for check in {one.check for one in some}:
            self.left[check] = [one for one in self.left.get(check, ()) if id(one) not in gone]
        self.left = {check: rest for check, rest in self.left.items() if rest}
        return some


@dataclass(frozen=True)
class Cause:
    """What a look at the results found: its name, its sentences, the result that shows it, and all that follows from it.

    ``fix``: empty where only the check's own remedy is known.
    """

    name: str
    observed: str
    fix: str
    findings: tuple[Finding, ...]
    lead: Finding


def cause(name: str, observed: str, fix: str, findings: Sequence[Finding], lead: Finding | None = None) -> Cause:
    """A cause of these results, shown by the strongest of them."""
    return Cause(name, observed, fix, tuple(findings), lead or strongest(findings))


def at(text: str, place: str) -> str:
    """A sentence with the one condition that separates failing cases from passing ones, where there is one."""
    return f"{text}, {place}" if place else text


def shown(value: float, digits: int = 5) -> str:
    """A number as a reader wants it: ``1.1111``."""
    return "0" if value == 0 else f"{value:.{digits}g}"


def percent(share: float) -> str:
    """A share in per cent."""
    value = 100 * share
    return f"{value:.3g} %" if share < 0.999 or share == 1 else f"{value:.5g} %"
