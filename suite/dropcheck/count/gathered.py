"""What counting hands over: all that one coin case produced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract
from dropcheck.count.coins import Bytes
from dropcheck.count.repeated_words import Lookup, Repeats
from dropcheck.count.row_rates import Positions, live, positions_of
from dropcheck.count.tallies import Tally

T = TypeVar("T")


@dataclass
class Gathered:
    """All that one coin case produced: counts, proof, the first coins, and repeated words in them and in all coins."""

    case: Case
    contract: Contract
    tally: Tally
    proof: dict[str, Any]
    sample: Bytes | None = None
    repeats: Repeats | None = None
    word_log10: float | None = None
    lookup: Lookup | None = None
    lookup_log10: float = 0.0
    anywhere: Lookup | None = (
        None  # words at any offset of the flat stream, where a repeat is certain; see ``repeated_stretches``
    )
    anywhere_log10: float = 0.0
    seeds: Any = None
    traits: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict, init=False)  # see ``once``; a replaced record begins anew

    @cached_property
    def positions(self) -> Positions | None:
        """The rates of the rows of a call; to be asked first while the first coins are there."""
        return positions_of(self.case, self.tally, self.sample)

    def once(self, question: Callable[[Gathered], T]) -> T:
        """The answer to a question about the first coins, kept; to be asked first while they are there."""
        if question.__name__ not in self.kept:
            self.kept[question.__name__] = question(self)
        found: T = self.kept[question.__name__]
        return found

    def let_go(self) -> None:
        """Keep what a comparison with other cases asks, once the case is judged: memory stays flat however many there are."""
        self.tally, self.sample = self.tally.sums(), None
        self.repeats = self.lookup = self.anywhere = self.seeds = None
        self.kept.clear()
        for name in ("positions", "live"):
            vars(self).pop(name, None)

    @property
    def mostly_nonfinite(self) -> bool:
        """Whether above one per cent of the elements were NaN or Inf: coins then say nothing about the layer's rate."""
        return bool(self.proof["nonfinite"] > self.tally.coins * self.case.shared / 100)

    @property
    def unrecognisable(self) -> bool:
        """Whether a dropped value other than 0 was promised and so many elements are wrong that drops may be among them."""
        if self.contract.dropped == 0:
            return False
        elements = self.tally.coins * self.case.shared
        return bool(self.proof["wrong_values"] > elements * min(0.01, self.case.rate / 4))

    @cached_property
    def live(self) -> Tally:
        """The counts without rows that always fell alike by a rate of their own: what copies and dependence are counted from."""
        return live(self.tally, self.positions, self.sample)
