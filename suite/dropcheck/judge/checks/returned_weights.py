"""Attention that returns its weights: whether these are before dropout or after it, a trait of the layer (``site.weights``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench
from dropcheck.judge.checks.exact_questions import Layer, probe
from dropcheck.judge.checks.looks import life, standing
from dropcheck.worker.client import Refused

TRAIT = "site.weights"
_SIZES = (5, 8, 16)  # rows, channels, shared: some hundred weights


def told(bench: Bench) -> str:
    """In one sentence; empty where the layer returns none, or is not asked."""
    if not bench.info.get("returns_weights"):
        return ""
    try:
        layer = Layer(bench, standing(bench, 0.3))
        x = np.abs(probe(bench.contract.pattern, bench.first, *_SIZES))
        answer = life(bench, "weights", id=layer.id, x=x, dtype=bench.first)
    except Refused as refused:
        return f"not seen: {refused.message or refused}"
    return sentence(np.asarray(answer["weights"]), np.asarray(answer["used"]))


def sentence(weights: Any, used: Any) -> str:
    """``weights``: as returned; ``used``: as the output shows them, 0 where dropped. Arrays of one shape."""
    if weights.shape != used.shape:
        return f"the returned weights have the shape {weights.shape}, the dropped ones {used.shape}"
    dropped, zero = used == 0, weights == 0
    seen = f"of {used.size:,} weights {int(dropped.sum()):,} are dropped, and {int(zero.sum()):,} are returned as 0"
    if not dropped.any():
        return f"not seen: {seen}"
    if np.array_equal(dropped, zero):
        return f"returned attention weights are those after dropout: {seen}"
    if not zero.any():
        return f"returned attention weights are those before dropout: {seen}"
    both = int((dropped & zero).sum())
    return f"returned attention weights have a different mask: {seen}, {both:,} of them the same"
