"""Known deviations: why a shipping implementation breaks a promise, in a sentence, and where it was reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dropcheck.field.cells import Failure, split_name


@dataclass(frozen=True)
class Deviation:
    """One known deviation. ``targets``, ``checks``, ``dtypes``, ``modes`` are globs, a failure must match one of each."""

    targets: tuple[str, ...]
    checks: tuple[str, ...]
    reason: str
    links: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ("*",)
    modes: tuple[str, ...] = ("*",)

    def explains(self, failure: Failure) -> bool:
        """Whether a failure is one of these."""
        implementation, mode = split_name(failure.target)
        pairs = (
            (implementation, self.targets),
            (failure.check, self.checks),
            (failure.dtype, self.dtypes),
            (mode, self.modes),
        )
        return all(any(fnmatchcase(word, glob) for glob in globs) for word, globs in pairs)


def explained(failure: Failure, known: Iterable[Deviation]) -> Deviation | None:
    """The first known deviation that a failure is one of."""
    return next((one for one in known if one.explains(failure)), None)
