"""The raw results inside of a page: nothing is lost, damage is named, and what does not fit is told."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropcheck.results import columns, embedded
from dropcheck.results.audit import Finding, Result, ResultError, TargetResult, Timing, decode

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["a", "@texts", "@keys", "@@b", "c"]), inner)
    ),
    max_leaves=40,
)


def audit(findings: int, verdict: Any = "pass", counts: int = 30) -> Result:
    """One target with findings whose counts and digits do not compress well."""
    some = [
        Finding(
            check="rate.per-channel",
            case=f"float32 rate=0.3 {i},65,3",
            verdict=verdict,
            message=f"all {i} channels drop alike",
            estimate=0.3 + i * 1.2345678901e-7,
            coins=1000 + i,
            tallies={"dropped": [(i * 7919 + j * 104729) % 10007 for j in range(counts)]},
        )
        for i in range(findings)
    ]
    one = TargetResult(
        target="x", framework="f", version="1", contract={}, verdict=verdict, timing=Timing(), traits={}, findings=some
    )
    return Result(
        verdict=verdict, environment={}, argv=[], profile="quick", seed=0, alpha=1e-6, beta=1e-6, targets=[one]
    )


@settings(max_examples=60, deadline=None)
@given(_JSON)
def test_columns_lose_nothing(tree: Any) -> None:
    assert columns.restored(json.loads(json.dumps(columns.packed(tree)))) == tree


def test_a_page_gives_back_every_document_in_order() -> None:
    first, second = audit(40), {"schema": "dropcheck.bench/1", "kind": "bench", "cells": ["</script><script>", '"']}
    made = embedded.embed([first, second])
    assert made.left_out == "" and str(made.blocks).lower().count("</script>") == 2
    one, two = embedded.read(f"<html>{made.blocks}</html>", "p.html")
    assert decode(one, "p") == first and json.loads(two) == second


@pytest.mark.parametrize("verdict", ["fail", "waived", "inconclusive", "error"])
def test_what_is_not_a_pass_is_always_there_to_the_last_digit(verdict: str) -> None:
    made = embedded.embed([audit(60, verdict)], room=10)
    (one,) = embedded.read(str(made.blocks), "p")
    assert decode(one, "p").targets == audit(60, verdict).targets


def test_what_does_not_fit_is_left_out_and_told() -> None:
    whole = audit(300)
    sizes = []
    for room in (10**7, 10):
        made = embedded.embed([whole], room=room)
        (text,) = embedded.read(str(made.blocks), "p")
        back = decode(text, "p")
        sizes.append(len(made.blocks))
        assert back.environment.get(embedded.LEFT_OUT, "") == made.left_out
        assert bool(made.left_out) == (room == 10)
        assert [f.verdict for f in back.targets[0].findings] == ["pass"] * 300
        digits = [f.estimate for f in back.targets[0].findings] == [f.estimate for f in whole.targets[0].findings]
        assert digits == bool(back.targets[0].findings[0].tallies) == (room > 10)
        assert [f.estimate for f in back.targets[0].findings] == pytest.approx(
            [f.estimate for f in whole.targets[0].findings], rel=5e-6
        )
    assert sizes[0] > sizes[1]
    assert whole == audit(300)


def test_a_page_without_results_or_with_damaged_ones_is_refused_by_name() -> None:
    with pytest.raises(ResultError, match=r"p\.html holds no result"):
        embedded.read("<html></html>", "p.html")
    block = str(embedded.embed([audit(40)]).blocks)
    start = block.index(">") + 1
    for damaged in (
        block[: start + 40] + "$$" + block[start + 42 :],
        block[: start + 40] + "AAAA" + block[start + 44 :],
        block[: start + 80] + "</script>",
        block[:start] + "</script>",
    ):
        with pytest.raises(ResultError, match=r"result 1 of 1 in p\.html is damaged"):
            embedded.read(damaged, "p.html")


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"format": "x"},
        {"format": columns.FORMAT},
        {"format": columns.FORMAT, "root": {"@texts": [3]}, "texts": []},
    ],
)
def test_columns_that_do_not_fit_are_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a document|do not fit"):
        columns.restored(document)


def test_nothing_is_read_that_unpacks_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    block = str(embedded.embed([msgspec.to_builtins(audit(400))]).blocks)
    monkeypatch.setattr(embedded, "_LARGEST", 1000)
    with pytest.raises(ResultError, match="unpacks to more than 1,000 bytes"):
        embedded.read(block, "p.html")
