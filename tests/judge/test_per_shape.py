"""Shapes of a few coins each are compared without a verdict: a pass would claim nothing."""

from __future__ import annotations

import dropcheck


def test_shapes_of_few_coins_do_not_pass() -> None:
    cases = tuple(f"float32 rate=.5 {rows},2,3 calls=2" for rows in (1, 2, 3))
    result = dropcheck.audit("custom.reference", in_process=True, jobs=1, select=("rate.per-shape",), cases=cases)
    (one,) = result.targets[0].findings
    assert one.verdict == "inconclusive" and one.resolution is not None and one.resolution > 0.25
