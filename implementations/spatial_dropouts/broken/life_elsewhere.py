"""Planted defects of daily use in NumPy and JAX form: siblings on one generator, copies, a later rate, two passes."""

from __future__ import annotations

from typing import Any, ClassVar, List, Set, Tuple

from spatial_dropouts.broken.base import Layer, coins, dropped


class BlocksOfTheGenerator(Layer):
    """Masks are drawn ahead for a generator and kept on the class; every layer reads them from the first one on."""

    blocks: ClassVar[List[Tuple[Any, List[Any]]]] = []  # of the last generators, which are kept alive with them

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.place = 0

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known, self.place = rng, 0
        drawn = next((masks for known, masks in self.blocks if known is rng), None)
        if drawn is None:
            drawn = []
            self.blocks[:] = [*self.blocks[-7:], (rng, drawn)]
        while len(drawn) <= self.place or drawn[self.place].shape != x.shape[:2]:
            del drawn[self.place :]
            drawn.append(rng.random(x.shape[:2]))
        self.place += 1
        return drawn[self.place - 1] < self.rate


class KeepComputedOnce(Layer):
    """The keep probability is worked out in the first call and stays."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.keep: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.keep is None:
            self.keep = 1 - self.rate
        return rng.random(x.shape[:2]) >= self.keep

    def drop(self, x: Any, mask: Any) -> Any:
        return dropped(x, mask, 1 - self.keep)


_KNOWN: Set[int] = set()


class RateByIdentity(Layer):
    """Layers are in a table by id(): a copy is not in it and drops at the default rate."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        _KNOWN.add(id(self))

    def known_rate(self) -> float:
        """The rate of a layer that is in the table."""
        return self.rate if id(self) in _KNOWN else 0.5

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, self.known_rate(), x.shape[:2])

    def drop(self, x: Any, mask: Any) -> Any:
        return dropped(x, mask, self.known_rate())

    def __deepcopy__(self, memo: Any) -> Any:
        return _unregistered(self)

    def __reduce__(self) -> Any:
        return _unregistered, (self.rate,)


def _unregistered(given: Any) -> Any:
    """A layer as a copy makes it: its constructor did not run."""
    made = RateByIdentity.__new__(RateByIdentity)
    made.rate = given.rate if isinstance(given, RateByIdentity) else given
    _KNOWN.discard(id(made))
    return made
