"""The Markdown says what the page says, renders as tables and folded parts, and is cut by whole sections."""

from __future__ import annotations

import re

import pytest
from kits.stored import drawn, finding, rate, result, target
from markdown_it import MarkdownIt

from dropcheck.contract.errors import UsageError
from dropcheck.report import fitting, markdown
from dropcheck.report.github_text import code, prose

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MANY = result(
    target(
        "mine.py:bad",
        [
            rate(520_000, 1_579_008, picture=drawn(), cause="half of the coins are twins"),
            finding("form.strides", "waived"),
        ],
    ),
    target(
        "torch.Dropout1d@compiled", [rate(473_000, 1_579_008), finding("form.nonfinite", "skipped", message="a trait")]
    ),
    target("gone", [], error="it crashed", details="Traceback\nValueError: no"),
    target("cuda", [], skipped="there is no such device"),
)


def test_it_says_the_answer_the_matrix_the_failures_and_what_did_not_run() -> None:
    text = markdown.render(MANY)
    shown = GITHUB.render(text)
    assert text.startswith(
        "## Of 4 implementations, 1 passes all checks, 1 has defects, 1 is incomplete, 1 cannot run here."
    )
    for part in (
        "<th>implementation</th>",
        "<strong>✗ FAIL</strong>",
        "32.9 %",
        "dropcheck audit mine.py:layer --select rate.marginal --case 'float32 rate=0.3 257,64,4 calls=96'",
        "row 0  ##..##..",
        "it crashed",
        "ValueError: no",
        "there is no such device",
        "a trait",
        "known upstream",
        "2027-01-31",
        "PyTorch 2.13.0",
    ):
        assert part in shown, part
    assert shown.count("<details>") == shown.count("</details>") >= 4
    # a target's name is code: @compiled is nobody who is mentioned
    assert "<code>torch.Dropout1d@compiled</code>" in shown


def test_every_row_of_a_table_has_the_cells_of_its_head() -> None:
    shown = GITHUB.render(markdown.render(MANY))
    for table in re.findall(r"<table>.*?</table>", shown, re.S):
        sizes = {len(re.findall(r"<t[hd]", row)) for row in re.findall(r"<tr>.*?</tr>", table, re.S)}
        assert len(sizes) == 1, table
    assert "|" not in re.sub(r"<(pre|code)>.*?</\1>", "", shown, flags=re.S)


def test_what_does_not_fit_is_left_out_by_whole_sections_and_named() -> None:
    checks = ("form.strides", "form.empty", "mode.toggle", "mode.inference", "seed.reset", "gradient.edges")
    big = result(
        *[
            target(f"layer{i}", [finding(c, "fail", message="word " * 100, picture=drawn()) for c in checks])
            for i in range(40)
        ]
    )
    whole = markdown.render(big)
    for most in (3 << 10, 6 << 10, 9 << 10):
        text = markdown.render(big, most=most)
        assert len(text.encode()) <= most < len(whole.encode())
        assert text.startswith(whole.split("\n", 1)[0])
        assert "**Left out for want of room:**" in text
        assert text.count("<details>") == text.count("</details>")
        # what is there is there whole
        for part in text.split("\n\n**Left out")[0].split("\n\n"):
            assert part in whole
    assert "Left out" not in markdown.render(big, most=markdown.SUMMARY)


@pytest.mark.parametrize(("text", "size"), [("64KiB", 65_536), ("1MiB", 1 << 20), ("65536", 65_536), ("70 kb", 70_000)])
def test_a_limit_is_read(text: str, size: int) -> None:
    assert fitting.limit(text) == size


@pytest.mark.parametrize("text", ["", "many", "64 parsecs", "12", "-5KiB"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--limit takes a size"):
        fitting.limit(text)


@pytest.mark.parametrize(
    "text",
    [
        "a|b",
        "`a`",
        "**a** _b_",
        "<b>a</b>",
        "[a](http://b.c)",
        "![x](y)",
        "# a",
        "- a",
        "1. a",
        "> a",
        "a &lt; b",
        "~~a~~",
        "\\a",
    ],
)
def test_markup_is_shown_as_it_was_typed(text: str) -> None:
    for made in (prose(text), code(text)):
        shown = GITHUB.renderInline(made) if made == code(text) else GITHUB.render(made)
        plain = (
            re.sub(r"<[^>]*>", "", shown)
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", '"')
            .replace("&amp;", "&")
        )
        assert plain.replace("\u200b", "").strip() == text
        assert set(re.findall(r"<(\w+)", shown)) <= {"p", "code"}


@pytest.mark.parametrize(
    "text", ["@octocat broke it", "see #123", "GH-12", "https://a.b/c", "www.a.b", "x@y.org", ":tada:"]
)
def test_nothing_in_a_sentence_is_mentioned_or_linked(text: str) -> None:
    shown = GITHUB.render(prose(text))
    assert not re.search(r"@\w|#\d|GH-\d|https?:|www\.|:tada:", shown), shown
