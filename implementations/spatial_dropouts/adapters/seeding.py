"""How a seed reaches a layer: by what its Implementation declares, else by the framework's own way. Every adapter asks here."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from dropcheck.contract.adapter import Implementation


def way_of(implementation: Implementation, own: str) -> str:
    """The way of seeding that an Implementation declares by ``seed_argument`` or ``seed``; else the framework's own."""
    return "constructor" if implementation.seed_argument else "global" if implementation.seed is not None else own


def sow(implementation: Implementation, seed: Optional[int], way: str, own: Callable[[int], Any]) -> None:
    """Seed what the layer draws from: by the Implementation's own function, else by ``own``.

    Nothing is seeded without a seed, nor where the constructor takes it.
    """
    if seed is None or way == "constructor":
        return
    (implementation.seed if implementation.seed is not None else own)(seed)


def keyword(implementation: Implementation, seed: Optional[int], way: str) -> Dict[str, Any]:
    """The constructor's further keyword: the seed, where that is the way."""
    if seed is None or way != "constructor" or not implementation.seed_argument:
        return {}
    return {implementation.seed_argument: seed}


def function_only(implementation: Implementation, given: Any) -> None:
    """Raise TypeError where a seed is declared as an argument of the constructor of a plain function, which has none."""
    if implementation.seed_argument and not isinstance(given, type):
        name = getattr(given, "__name__", type(given).__name__)
        raise TypeError(
            f"seed_argument={implementation.seed_argument!r} names an argument of a constructor, and {name} is a function "
            "that is called with the input; give seed=, a function of one integer that seeds what it draws from"
        )
