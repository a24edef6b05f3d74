"""The checks by name, in the order in which they are judged (that of judge/claims.py), and the selection of some by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from dropcheck.judge import claims
from dropcheck.judge.checks import (
    form,
    form_batches,
    form_inputs,
    form_ranks,
    gradient,
    gradient_edges,
    gradient_recompute,
    graphs,
    instances,
    later,
    mask_channels,
    mask_copies,
    mask_counts,
    mask_dependence,
    mask_lags,
    mask_patterns,
    mask_values,
    mask_whole,
    mode,
    rate,
    rate_invalid,
    rate_one,
    rate_positions,
    rate_zero,
    scale,
    scale_mean,
    seed,
    seed_distinct,
    settings,
    site,
)
from dropcheck.judge.checks.base import Check, Role

_MODULES: tuple[tuple[Check, ...], ...] = (
    form.CHECKS,
    form_batches.CHECKS,
    form_ranks.CHECKS,
    form_inputs.CHECKS,
    mode.CHECKS,
    mask_whole.CHECKS,
    mask_channels.CHECKS,
    mask_copies.CHECKS,
    mask_dependence.CHECKS,
    mask_lags.CHECKS,
    mask_counts.CHECKS,
    mask_patterns.CHECKS,
    mask_values.CHECKS,
    rate.CHECKS,
    rate_positions.CHECKS,
    rate_zero.CHECKS,
    rate_one.CHECKS,
    rate_invalid.CHECKS,
    scale.CHECKS,
    scale_mean.CHECKS,
    seed.CHECKS,
    seed_distinct.CHECKS,
    gradient.CHECKS,
    gradient_recompute.CHECKS,
    gradient_edges.CHECKS,
    settings.CHECKS,
    instances.CHECKS,
    later.CHECKS,
    graphs.CHECKS,
    site.CHECKS,
)


def in_order(checks: Iterable[Check]) -> dict[str, Check]:
    """Checks by name, in the order of the register. Raises LookupError for a name that one of the two lacks or has twice."""
    made = list(checks)
    named = {check.name: check for check in made}
    if len(named) < len(made):
        twice = sorted(check.name for check in made if named[check.name] is not check)
        raise LookupError(f"defined twice in judge/checks: {', '.join(twice)}")
    if alone := sorted(named.keys() ^ claims.CLAIMS.keys()):
        raise LookupError(f"named in one of judge/claims.py and judge/checks, but not in both: {', '.join(alone)}")
    return {name: named[name] for name in claims.CLAIMS}


CHECK: Mapping[str, Check] = in_order(chain.from_iterable(_MODULES))
CHECKS: tuple[Check, ...] = tuple(CHECK.values())


def of(*roles: Role) -> tuple[str, ...]:
    """Names of the checks that are one of these in the order of judgement."""
    return tuple(check.name for check in CHECKS if check.role in roles)


def matching(prefixes: Iterable[str]) -> list[Check]:
    """Checks whose name is one of these, or whose family is; of none, none. Raises UnknownName with the nearest valid name."""
    words = list(prefixes)
    return [CHECK[name] for name in claims.selected(words)] if words else []
