"""The register of checks, in the order in which they are judged, and the selection of some by name."""

from __future__ import annotations

from collections.abc import Iterable

from dropcheck.contract.errors import UsageError, nearest
from dropcheck.judge.checks import form, gradient, graphs, instances, later, mode, rate, scale, seed, settings
from dropcheck.judge.checks import mask_copies as mask
from dropcheck.judge.checks import mask_dependence as dependence
from dropcheck.judge.checks import rate_edges as edges
from dropcheck.judge.checks.base import Check

# form and mode, then structure, then duplicates, then dependence, then rates
CHECKS: tuple[Check, ...] = (
    *form.CHECKS,
    *mode.CHECKS,
    *mask.CHECKS,
    *dependence.CHECKS,
    *rate.CHECKS,
    *edges.CHECKS,
    *scale.CHECKS,
    *seed.CHECKS,
    *gradient.CHECKS,
    # a layer in daily use: what depends on all of the above
    *settings.CHECKS,
    *instances.CHECKS,
    *later.CHECKS,
    *graphs.CHECKS,
)

FAMILIES: tuple[str, ...] = ("mask", "rate", "scale", "seed", "gradient", "mode", "form")


class UnknownName(UsageError):
    """A check or a prefix that does not exist."""


def names() -> list[str]:
    """Names of all checks."""
    return [check.name for check in CHECKS]


def matching(prefixes: Iterable[str]) -> list[Check]:
    """Checks whose name is one of these, or whose family is. Raises UnknownName with the nearest valid name."""
    found: list[Check] = []
    for prefix in prefixes:
        some = [
            c for c in CHECKS if c.name == prefix or c.family == prefix or c.name.startswith(prefix.rstrip("*") + ".")
        ]
        if not some and prefix.endswith("*"):
            some = [c for c in CHECKS if c.name.startswith(prefix.rstrip("*"))]
        if not some:
            raise UnknownName(
                f"there is no check {prefix!r}; a check is family.claim (`dropcheck list --checks` shows them)"
                f"{nearest(prefix, [*names(), *FAMILIES])}"
            )
        found.extend(c for c in some if c not in found)
    return [c for c in CHECKS if c in found]
