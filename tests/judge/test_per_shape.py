"""Shapes of a few coins each are compared without a verdict: a pass would claim nothing."""

from __future__ import annotations

import dropcheck


def test_shapes_of_few_coins_do_not_pass() -> None:
    cases = tuple(f"float32 rate=.5 {rows},2,3 calls=2" for rows in (1, 2, 3))
    result = dropcheck.audit("custom.reference", in_process=True, jobs=1, select=("rate.per-shape",), cases=cases)
    (one,) = result.targets[0].findings
    assert one.verdict == "inconclusive" and one.resolution is not None and one.resolution > 0.25


def test_a_rate_of_few_coins_has_no_verdict_where_other_rates_decide() -> None:
    few = tuple(f"float32 rate=.25 {rows},2,3 calls=2" for rows in (1, 2))
    many = tuple(f"float32 rate=.5 {rows},64,3 calls=20" for rows in (33, 65))
    result = dropcheck.audit("custom.reference", in_process=True, jobs=1, select=("rate.per-shape",), cases=few + many)
    found = {one.case: one for one in result.targets[0].findings}
    assert found["float32 rate=0.5 over 2 shapes"].verdict == "pass" and result.verdict == "pass"
    one = found["float32 rate=0.25 over 2 shapes"]
    assert one.verdict == "skipped" and "too few drop decisions" in one.message
