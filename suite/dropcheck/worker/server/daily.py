"""From requests about daily use to the questions of ``life``: ids become layers, and new layers get ids."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

import numpy as np

from dropcheck.contract.offers import offered
from dropcheck.worker.server import life, streams


def _sibling(worker: Any, id: int, rate: float, dtype: str, way: str) -> Dict[str, Any]:
    return {"id": worker._keep(life.sibling(worker.driver, worker.things[id], rate, dtype, way))}


def _unseeded(worker: Any) -> Dict[str, Any]:
    found = life.default_seed(worker.driver)
    return {"default": None if found is None else repr(found)}


def _copies(worker: Any, id: int, rate: float, dtype: str, way: str) -> Dict[str, Any]:
    return {"answers": life.copies(worker.driver, worker.things[id], rate, dtype, way, worker._keep)}


def _set_rate(worker: Any, id: int, old: float, new: float) -> Dict[str, Any]:
    return life.set_rate(worker.driver, worker.things[id], old, new)


def _passes(worker: Any, id: int, xs: List[Any], cotangents: List[Any], dtype: str) -> Dict[str, Any]:
    return {"answers": life.passes(worker.driver, worker.things[id], xs, cotangents, dtype)}


def _cotangent(worker: Any, id: int, x: Any, cotangent: Any, dtype: str, kind: str) -> Dict[str, Any]:
    adapter = worker.driver
    given = life.cotangent(adapter, cotangent, dtype, kind)
    y, gradient = adapter.gradient(worker.things[id], adapter.tensor(np.asarray(x), dtype, "contiguous"), given)
    return life._plain(adapter, y, gradient, None)


def _twice(worker: Any, id: int, x: Any, cotangent: Any, direction: Any, dtype: str) -> Dict[str, Any]:
    return life.twice(worker.driver, worker.things[id], x, cotangent, direction, dtype)


def _settings(worker: Any) -> Dict[str, Any]:
    return {"names": list(life.needed(worker.driver, "settings")())}


def _under(worker: Any, id: int, x: Any, dtype: str, setting: str, times: int) -> Dict[str, Any]:
    return life.under(worker.driver, worker.things[id], x, dtype, setting, times)


def _together(worker: Any, id: int, xs: List[Any], dtype: str, times: int) -> Dict[str, Any]:
    return life.together(worker.driver, worker.things[id], xs, dtype, times)


def _counted(worker: Any, rate: float, dtype: str, seed: int, way: str, x: Any) -> Dict[str, Any]:
    return life.counted(worker.driver, rate, dtype, seed, way, x)


def _alike(worker: Any, rate: float, dtype: str, seed: int, way: str, x: Any, times: int) -> Dict[str, Any]:
    return life.alike(worker.driver, rate, dtype, seed, way, x, times)


def _own_keys(worker: Any, rate: float, dtype: str, seed: int, way: str, x: Any) -> Dict[str, Any]:
    return life.own_keys(worker.driver, rate, dtype, seed, way, x)


def _left_to_others(worker: Any, rate: float, dtype: str, way: str, seed: int, x: Any) -> Dict[str, Any]:
    return streams.left_to_others(worker.driver, rate, dtype, way, seed, x)


def _weights(worker: Any, id: int, x: Any, dtype: str) -> Dict[str, Any]:
    """One training call that returns attention weights: these, and what the output shows of the mask, as arrays of one shape."""
    adapter = worker.driver
    made = offered(adapter, "weights")(worker.things[id], adapter.tensor(np.asarray(x), dtype, "contiguous"))
    return dict(zip(("weights", "used"), (adapter.array(one) for one in made)))


QUESTIONS: Mapping[str, Callable[..., Dict[str, Any]]] = {
    "sibling": _sibling,
    "unseeded": _unseeded,
    "copies": _copies,
    "set_rate": _set_rate,
    "passes": _passes,
    "cotangent": _cotangent,
    "twice": _twice,
    "settings": _settings,
    "under": _under,
    "together": _together,
    "counted": _counted,
    "alike": _alike,
    "own_keys": _own_keys,
    "left_to_others": _left_to_others,
    "weights": _weights,
}
