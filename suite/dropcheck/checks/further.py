"""Exact questions asked beside those of a check's own module: what a claim covers and its first questions leave out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from dropcheck.checks.base import Bench, Check, Limits
from dropcheck.results import Finding

Observe = Callable[[Check, Bench, Limits], list[Finding]]


@dataclass(frozen=True)
class Further:
    """Questions of one check, and the sentence that its ``how`` gains by them."""

    check: str
    how: str
    observe: Observe


def with_further(checks: Iterable[Check], furthers: Iterable[Further]) -> tuple[Check, ...]:
    """The checks, in their order, each asking its further questions after its own."""
    by_check: dict[str, list[Further]] = {}
    for one in furthers:
        by_check.setdefault(one.check, []).append(one)
    found = tuple(_with(check, by_check.pop(check.name, [])) for check in checks)
    assert not by_check, f"no such check: {', '.join(by_check)}"
    return found


def _with(check: Check, furthers: list[Further]) -> Check:
    if not furthers:
        return check
    own = [check.observe] if check.observe is not None else []
    asked: list[Observe] = [*own, *(one.observe for one in furthers)]

    def observe(c: Check, bench: Bench, limits: Limits) -> list[Finding]:
        return [finding for ask in asked for finding in ask(c, bench, limits)]

    return replace(check, how=" ".join([check.how, *(one.how for one in furthers)]), observe=observe)
