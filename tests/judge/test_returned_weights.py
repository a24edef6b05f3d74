"""Returned attention weights are before dropout, after it, or have a different mask: named, not judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.judge.checks.returned_weights import TRAIT, sentence

USED = np.where(np.arange(64).reshape(4, 16) % 3 == 0, 0.0, 1.4)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (USED, "after dropout: of 64 weights 22 are dropped, and 22 are returned as 0"),
        (np.ones_like(USED), "before dropout: of 64 weights 22 are dropped, and 0 are returned as 0"),
        (USED[::-1], "have a different mask"),
        (np.ones((4, 4)), "have the shape (4, 4)"),
    ],
)
def test_the_returned_weights_are_told_by_their_zeros(weights: Any, words: str) -> None:
    assert words in sentence(weights, USED)


def test_pytorch_returns_the_weights_after_dropout() -> None:
    pytest.importorskip("torch")
    options: dict[str, Any] = {"select": ("rate.zero",), "in_process": True, "jobs": 1, "dtype": "float32"}
    (target,) = dropcheck.audit("torch.MultiheadAttention#weights", **options).targets
    assert target.traits[TRAIT].startswith("returned attention weights are those after dropout")
    (other,) = dropcheck.audit("torch.sdpa#weights", **options).targets
    assert TRAIT not in other.traits
