"""What masks follow instead of the declared pattern, by the trait that an audit took of them."""

from __future__ import annotations

from typing import Any

from dropcheck.contract.promise import ContractError, Pattern
from dropcheck.judge.diagnosis.seen import OBSERVED, Seen


class Found:
    """The trait with what masks follow."""

    def __init__(self, trait: dict[str, Any]) -> None:
        self.pattern = str(trait.get("pattern", ""))
        self.axes: dict[str, str] = {str(k): str(v) for k, v in dict(trait.get("axes", {})).items()}
        self.calls = str(trait.get("calls", ""))


def found_in(seen: Seen) -> Found | None:
    trait = seen.target.traits.get(OBSERVED)
    return Found(trait) if isinstance(trait, dict) else None


def declared_in(seen: Seen) -> Pattern | None:
    try:
        return Pattern.parse(str(seen.target.contract.get("pattern", "")))
    except ContractError:
        return None


def _per(axes: tuple[str, ...]) -> str:
    return f"({', '.join(axes)})" if axes else "call"


def another(declared: Pattern, found: Found) -> tuple[str, str, str] | None:
    """Another pattern than the declared one: what is observed, the fix, a name; None where it is the declared one."""
    kinds = [found.axes.get(axis, "") for axis in declared.axes]
    if not all(kind in ("coin", "shared") for kind in kinds) or declared.apart:
        return None
    coins = tuple(axis for axis, kind in zip(declared.axes, kinds, strict=True) if kind == "coin")
    wanted = tuple(axis for axis in declared.axes if axis in declared.coins)
    if coins == wanted:
        return None
    per, asked = _per(coins), f"declared: one per {_per(wanted)}"
    if coins == declared.axes:
        fix = f"Draw one decision per {_per(wanted)} and broadcast it along {' and '.join(_rest(declared, wanted))}."
        return f"every element has its own drop decision; {asked}", fix, f"one decision per {per}"
    shared = _rest(declared, coins)
    observed = f"there is one drop decision per {per}, shared along {' and '.join(shared)}; {asked}"
    if "n" in wanted and "n" not in coins and set(wanted) - set(coins) == {"n"} and set(coins) <= set(wanted):
        observed = f"all samples of a batch share one mask: there is one drop decision per {per}; {asked}"
    elif set(coins) < set(wanted):
        lost = " and ".join(axis for axis in wanted if axis not in coins)
        observed = f"the elements along {lost} are dropped together: there is one drop decision per {per}; {asked}"
    fix = f"Draw one decision per {_per(wanted)}."
    if len(coins) == len(wanted) and (other := _renamed(declared, coins)) is not None:
        fix = f"If the layer takes `{' '.join(other.axes)}` by design, rerun with --pattern '{other}'. Otherwise draw one decision "
        fix += f"per {_per(wanted)}."
    elif coins:
        fix += f" If this is by design, rerun with --pattern '{' '.join(declared.axes)} -> {' '.join(coins)}'."
    return observed, fix, f"one decision per {per}"


def _rest(declared: Pattern, coins: tuple[str, ...]) -> list[str]:
    return [axis for axis in declared.axes if axis not in coins]


def _renamed(declared: Pattern, coins: tuple[str, ...]) -> Pattern | None:
    """The declared pattern with its axes in another order, so that its coin axes lie where drop decisions vary."""
    wanted = [axis for axis in declared.axes if axis in declared.coins]
    others = iter([axis for axis in declared.axes if axis not in declared.coins])
    named = iter(wanted)
    axes = tuple(next(named) if axis in coins else next(others) for axis in declared.axes)
    try:
        made = Pattern(axes, declared.coins)
    except ContractError:
        return None
    return made if made != declared else None
