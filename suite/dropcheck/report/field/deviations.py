"""Known deviations: why a shipping implementation breaks a promise, in a sentence, and where it was reported."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from importlib.resources import files

import msgspec

from dropcheck.report.field.cells import Failure
from dropcheck.results.naming import split_name


class Deviation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class _Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    deviation: tuple[Deviation, ...]


def known() -> tuple[Deviation, ...]:
    """The known deviations of the registered implementations; the register keeps them, the suite has no favourites."""
    data = files("spatial_dropouts").joinpath("deviations.toml").read_bytes()
    return msgspec.toml.decode(data, type=_Known).deviation


def explained(failure: Failure, every: Iterable[Deviation]) -> Deviation | None:
    """The first known deviation that a failure is one of."""
    return next((one for one in every if one.explains(failure)), None)
