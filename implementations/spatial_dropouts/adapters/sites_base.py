"""What the sites of all frameworks share: layers that are never called, and how a backward pass is read."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Sequence, Tuple

import numpy as np

from spatial_dropouts.adapters.models_base import rate_of


def unreached(
    layers: Iterable[Tuple[str, Any]], draws: Sequence[Dict[str, Any]], reached: Sequence[str], near: float = 1e-5
) -> List[Dict[str, Any]]:
    """Dropout layers (name, layer) with a rate inside (0, 1) that drew nothing, each with who uses its rate instead of it.

    ``near``: how far rates may be apart that are one; a framework may have rounded them to float32.
    """
    drew = {one["module"] for one in draws} | set(reached)
    missing = []
    for name, layer in layers:
        rate = rate_of(layer)
        if name in drew or any(one.startswith(f"{name}.") for one in drew) or rate is None or not 0 < rate < 1:
            continue
        parent = name.rpartition(".")[0]
        user = next(
            (d["function"] or d["op"] for d in draws if d["module"] == parent and d["rate"] is not None
             and abs(d["rate"] - rate) < near), ""
        )  # fmt: skip
        missing.append({"name": name, "kind": type(layer).__name__, "rate": rate, "user": user})
    return missing


def judged(name: str, use: int, x: Any, y: Any, into: Any, out: Any) -> Dict[str, Any]:
    """A row of ``dropcheck.contract.sites.Backward``: arrays of one use of one layer.

    ``x``, ``y``: its input and output. ``into``: the gradient of its input through this layer alone. ``out``: of its output.
    """
    x, y, into, out = (np.asarray(one, "float64") for one in (x, y, into, out))
    mask = (x != 0) & (y == 0)
    through = int((mask & (into != 0)).sum())
    lost = int(((x != 0) & ~mask & (np.abs(out) > 1e-30) & (into == 0)).sum())
    problem = ""
    if through or lost:
        problem = uneven(through, lost)
    return {"name": name, "use": use, "dropped": int(mask.sum()), "problem": problem}


def uneven(through: int, lost: int) -> str:
    """What is wrong with a gradient that does not follow the mask."""
    return f"{through} dropped elements have a gradient and {lost} kept elements have none; expected 0 of both"


def not_asked(name: str, use: int, why: str) -> Dict[str, Any]:
    """The row of a use whose gradient cannot be had. ``why``: said of it."""
    return {"name": name, "use": use, "dropped": 0, "problem": "", "unasked": why}


def raised(error: Exception) -> str:
    """Why there was no backward pass."""
    words = str(error).splitlines()[0][:160] if str(error) else ""
    return f"a backward pass raises {type(error).__name__}: {words}"
