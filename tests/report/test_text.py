"""The report in a terminal: one block a cause, short by default, the answer at its end, everything with details."""

from __future__ import annotations

import msgspec
from kits.page import everything
from kits.stored import drawn, finding, rate, result, target

from dropcheck.report import text
from dropcheck.results.audit import Finding, Picture

OBSERVED = "the layer drops 1.1 times the requested rate at every rate"


def rates(times: float = 1.1) -> list[Finding]:
    """A layer that drops too often, at three rates."""
    n = 1_000_000
    return [rate(round(n * p * times), n, f"float32 rate={p} 257,64,4 calls=96") for p in (0.1, 0.3, 0.5)]


def edges() -> list[Finding]:
    return [
        finding("rate.one", "fail", "float32 rate=1", tallies={"nonfinite": 9, "elements": {"NaN": 9}}),
        finding("rate.rejects-invalid", "fail", "rate=1.5", estimate=1.0),
    ]


def test_one_failing_layer_fits_a_screen_and_its_last_line_says_what_was_observed() -> None:
    whole = Picture(caption="", columns="channel", rows=["#.#."] * 16, labels=[f"call 0 row {i}" for i in range(16)])
    found = [*rates(), *edges(), finding("mask.distinct-calls", "fail", picture=whole), finding("seed.reset", "fail")]
    shown = text.render(result(target("mine.py:layer", found)), width=80)
    lines = [line for line in shown.splitlines() if "rerun" not in line]  # commands are not cut
    assert len(lines) <= 34 and max(map(len, lines)) <= 80
    assert shown.count("call 0 row") == 4 and "seed.reset fails for the same cause" in shown
    last = " ".join(shown.split("\n\n")[-1].split())
    assert last == "mine.py:layer FAILS: mask.distinct-calls fail; and 1 other defect, 2 edge cases."


def test_each_target_has_its_own_numbers() -> None:
    shown = text.render(result(target("a.py:one", rates(1.1)), target("b.py:two", rates(1.3))), width=100)
    assert "a.py:one   rate.marginal, defect" in shown and "b.py:two   rate.marginal, defect" in shown
    assert shown.splitlines()[-2:] == [
        f"a.py:one FAILS: {OBSERVED}.",
        f"b.py:two FAILS: {OBSERVED.replace('1.1', '1.3')}.",
    ]


def test_at_most_three_causes_of_a_target_are_shown_unless_everything_is_asked_for() -> None:
    checks = ("form.input-untouched", "form.nonfinite", "mode.threads", "mode.settings")
    many = result(target("mine.py:layer", [finding(check, "fail") for check in checks]))
    assert "and 1 more cause: --verbose" in text.render(many)
    assert "more cause" not in text.render(many, details=True)


def test_many_failing_targets_have_a_line_a_cause() -> None:
    many = [target(f"m.py:layer{i}", [*rates(), finding("form.copies", "fail", picture=drawn())]) for i in range(6)]
    shown = text.render(result(*many))
    assert "picture" not in shown and "  fix" not in shown and shown.count(f"observed  {OBSERVED}") == 6


def test_a_layer_with_edge_cases_alone_does_not_read_like_a_broken_one() -> None:
    shown = text.render(result(target("mine.py:layer", edges())), width=200)
    assert shown.splitlines()[-1] == (
        "mine.py:layer fails in edge cases: at rate 1 the output is NaN: 1 / (1 - rate) divides by zero; "
        "and 1 other edge case."
    )


def test_numbers_traits_and_reasons_are_details() -> None:
    short, whole = text.render(everything()), text.render(everything(), details=True)
    for word in ("evidence", "Skipped:", "probability 0.999999"):
        assert word not in short and word in whole, word
    assert "skipped" in short and "--verbose" in short and "--verbose" not in whole
    assert len(short.splitlines()) < len(whole.splitlines())


def test_known_defects_are_named_in_details_alone_and_only_where_exact() -> None:
    exact = finding("form.copies", "fail", cause="four (planted defect quads, exact signature)", defect="quads")
    like = msgspec.structs.replace(exact, cause="not recognised, but like planted defect quads")
    for one, named in ((exact, True), (like, False)):
        made = result(target("mine.py:layer", [one]))
        assert "quads" not in text.render(made)
        assert ("known defect quads" in text.render(made, details=True)) is named
