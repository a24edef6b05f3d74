"""What the sites of all frameworks share: layers that are never called, places that drop alike, how a backward pass is read."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, List, Sequence, Tuple

import numpy as np

from dropcheck.contract.sites import way_apart
from spatial_dropouts.adapters.models_base import rate_of

_PAIRS = 8  # that are named


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
    return f"a backward pass raises {error_in_words(error)}"


def error_in_words(error: Exception) -> str:
    """The class of an error and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"


def shared(
    draws: Sequence[Dict[str, Any]],
    states: Sequence[str],
    again: Sequence[str],
    reached: Sequence[str],
    state: str = "the same state of the random generator, so they drop alike",
) -> List[Dict[str, Any]]:
    """Dropout draws of two passes that start from one random state: they use the same random numbers.

    Only where a layer of another name, or the same line of code in the other pass, does so: two uses of one layer may share a
    mask on purpose. ``states``, ``again``: of the draws of the first and of the second pass, empty where nothing is known of
    one. ``state``: what the two draw from, for a reader.
    """
    found: List[Dict[str, Any]] = []
    seen: Dict[str, Dict[str, Any]] = {}
    told = set()
    for draw, known in zip(draws, states):
        if not known or not _decides(draw, reached):
            continue
        first = seen.setdefault(known, draw)
        pair = _sites(first, draw, reached)
        if pair[0] != pair[1] and pair not in told:
            told.add(pair)
            found.append({"first": pair[0], "second": pair[1], "how": f"both draw from {state}", "passes": False})
    ours = {m for pair in told for m in pair}
    repeated = [d for d, a, b in zip(draws, states, again) if a and a == b and _decides(d, reached)]
    for name in dict.fromkeys(_site(one, reached) for one in repeated if one["module"] not in reached):
        if name not in ours:
            how = f"it draws from {state.partition(',')[0]} in each pass, so its mask never changes"
            found.append({"first": name, "second": "", "how": how, "passes": True})
    return found[:_PAIRS]


def to_repeat(draws: Sequence[Dict[str, Any]], reached: Sequence[str]) -> bool:
    """Whether a second pass has anything to show: a dropout that is not audited in place."""
    return any(one["module"] not in reached and _decides(one, reached) for one in draws)


def last(again: Sequence[str], once: Sequence[str]) -> Sequence[str]:
    """The states of the last of one or two passes. ``once``: of one pass."""
    return again[-len(once) :] if once else ()


def _decides(draw: Dict[str, Any], reached: Sequence[str]) -> bool:
    """Whether it decides what is dropped: by its rate, by what it calls, or as it stands in a layer that drops."""
    called = draw["op"].startswith(("bernoulli", "native_dropout")) or "dropout" in draw["function"]
    return draw["rate"] is not None or called or "drop" in draw["kind"].lower() or draw["module"] in reached


def _sites(first: Dict[str, Any], second: Dict[str, Any], reached: Sequence[str]) -> Tuple[str, str]:
    """Two places as a reader calls them: where they are one line, each with the line that called it."""
    names = _site(first, reached), _site(second, reached)
    if names[0] != names[1] or first["module"] in reached or not first["file"]:
        return names
    ways = {tuple(first.get("via", ())), tuple(second.get("via", ()))}
    one, other = (way_apart(ways, tuple(draw.get("via", ()))) for draw in (first, second))
    return (f"{names[0]} called at {one}", f"{names[1]} called at {other}") if one and other else names


def _site(draw: Dict[str, Any], reached: Sequence[str]) -> str:
    """What a reader calls the place of a draw: the layer, or the module and the line of a function."""
    layer = draw["module"] or draw["kind"]
    if layer in reached or not draw["file"]:
        return layer
    return f"{layer} ({os.path.basename(draw['file'])}:{draw['line']})"
