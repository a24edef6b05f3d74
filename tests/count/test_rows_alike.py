"""Samples of a call that are equal wherever they are compared, where no word of the stream tells it."""

from __future__ import annotations

import numpy as np
import pytest

from dropcheck.count.copies import calls_alike, rows_alike_apart
from dropcheck.judge.checks.base import Limits
from dropcheck.selftest.simulated import judge, look, named, record

ROWS, CALLS = 1025, 40


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_one_coin_for_all_samples_is_seen_where_a_call_has_one_channel(rate: float) -> None:
    draws = np.random.default_rng(1)
    text = f"float32 rate={rate:g} {ROWS},1,4 calls={CALLS}"
    got = record(text, np.repeat(draws.random((CALLS, 1)) < rate, ROWS, axis=0))
    look(got, 1e-8)
    found = judge(named("mask.distinct-samples"), got, Limits(1e-8))
    assert found is not None and found.verdict == "fail" and "samples 1 apart have the same mask" in found.message
    assert rows_alike_apart(got) is not None and found.log10_evidence < -15


def test_independent_samples_and_samples_that_never_differ_by_their_rate_alone_are_not_accused() -> None:
    draws = np.random.default_rng(2)
    for rate in (0.1, 0.5):
        got = record(f"float32 rate={rate:g} {ROWS},1,4 calls={CALLS}", draws.random((ROWS * CALLS, 1)) < rate)
        assert rows_alike_apart(got) is None
    for coins in (np.zeros((ROWS * CALLS, 1), bool), np.ones((ROWS * CALLS, 1), bool)):
        assert rows_alike_apart(record(f"float32 rate=0.5 {ROWS},1,4 calls={CALLS}", coins)) is None
    one = np.repeat(draws.random((CALLS, 1)) < 0.5, 3, axis=0)
    one[1] = ~one[0]  # a single pair of samples that differs
    assert rows_alike_apart(record(f"float32 rate=0.5 3,1,4 calls={CALLS}", one)) is None


def test_few_pairs_are_not_certain() -> None:
    one = np.repeat(np.random.default_rng(3).random((12, 1)) < 0.5, 2, axis=0)
    assert rows_alike_apart(record("float32 rate=0.5 2,1,4 calls=12", one)) is None


def test_calls_of_one_size_that_repeat_are_seen_where_batches_vary() -> None:
    """A mask kept for each shape: with few channels, copied columns explain equal words, and calls must be compared as a whole."""
    draws, batches = np.random.default_rng(4), (3, 1, 7)
    text = "float32 rate=0.3 3,31,5 calls=180 batches=3,1,7"
    kept = [draws.random((batch, 31)) < 0.3 for batch in batches]
    got = record(text, np.concatenate(kept * 60))
    alike = calls_alike(got, 8.0)
    assert alike is not None
    lag, equal, pairs, log = alike
    assert lag % 3 == 0 and equal == pairs and log < -6
    look(got, 1e-8)
    found = judge(named("mask.distinct-calls"), got, Limits(1e-8))
    assert found is not None and found.verdict == "fail"
    assert calls_alike(record(text, np.concatenate([draws.random((b, 31)) < 0.3 for b in batches * 60])), 8.0) is None
