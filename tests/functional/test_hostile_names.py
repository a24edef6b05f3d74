"""Names that are markup, formulas, terminal codes, directions or ten thousand characters long harm no format."""

from __future__ import annotations

import functools
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import msgspec
import pandas
import pytest
from kits.stored import drawn, finding, rate, result, target
from markdown_it import MarkdownIt

from dropcheck.report import html, markdown, tables, text
from dropcheck.report.compare import audits, page, records
from dropcheck.report.compare import markdown as compared_markdown
from dropcheck.report.compare import text as compared_text
from dropcheck.results import reading
from dropcheck.results.audit import Result, ResultError, Waiver, encode

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\"><img src=x onerror='alert(1)'>",
    "comment": "--></style></title><!-- <svg onload=alert(1)>",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "newline": "first\nsecond\r\nthird\x0b\x0cfourth\u2028fifth\u2029sixth",
    "terminal": "\x1b[2J\x1b]0;title\x07\x1b[31mred\x9b1m\x08\x08",
    "nothing": "a\x00b\ufeffc\u200bd",
    "direction": "abc\u202egnp.exe\u2066x\u2069\u200f",
    "markdown": "| a | b |\n|---|---|\n# head `code` **bold** [x](http://evil.example) ~~~ ``` <details> \\| ![i](http://evil.example/i.png)",
    "mention": "@octocat fixes #123 GH-7 octo/cat#9 https://evil.example www.evil.example :tada: $\\frac{1}{2}$",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "minus": "-2+3+cmd|' /C calc'!A0",
    "at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "tab": "\t=1+1",
    "quotes": "a\"b'c,d;e\\",
    "path": "../../etc/passwd\\..\\..",
    "long": "x" * 10_000,
    "long words": "word " * 2_000,
    "wide": "\u0301" * 300 + "𝕏🏳️‍🌈" * 40,
    "empty": "",
}


def whole(words: str, version: str = "") -> Result:
    """A result that says these words wherever words from outside can stand."""
    bad = rate(
        520_000,
        1_579_008,
        message=words,
        cause=words,
        defect=words,
        replay=words,
        smallest=words,
        smallest_replay=words,
        unit=words,
        picture=msgspec.structs.replace(drawn(), caption=words, rows=[words, "##.."], labels=[words, "row"]),
    )
    waived = finding("form.strides", "waived", f"float32 {words}", message=words)
    waived = msgspec.structs.replace(waived, waiver=Waiver(id=words, reason=words, expires=words, link=words))
    others = [
        finding("form.empty", v, f"float64 {words} {v}", message=words) for v in ("pass", "skipped", "inconclusive")
    ]
    made = target(words, [bad, waived, *others, finding("mode.toggle", "fail", words, message=words)], version or words)
    made = msgspec.structs.replace(
        made, framework=words, contract={"pattern": words}, traits={words: {words: words}, "b": words}
    )
    broken = target(f"{words} ", [], error=words, details=f"Traceback\n{words}\n{words}")
    away = target(f"{words}  ", [], skipped=words)
    return result(
        made, broken, away, environment={"python": words, words: words, "packages": {words: words}}, argv=[words]
    )


def other(words: str) -> Result:
    """A later one, in which much is otherwise."""
    made = target(
        words, [rate(473_000, 1_579_008, unit=words, message=words), finding("mode.toggle", "pass", words)], f"{words}2"
    )
    return result(made, environment={"python": words, "packages": {words: "2"}})


class Tags(HTMLParser):
    """What a browser would make of a page: elements, attributes that run something, and where links lead."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: set[str] = set()
        self.runs: list[str] = []
        self.links: list[str] = []
        self.script = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.runs += [f"{tag} {name}" for name, _ in attrs if name.startswith("on")]
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "data")]


def _page(shown: str, plain: str) -> None:
    """A page of hostile words has the elements of a page of plain ones, runs nothing and leads nowhere."""
    found, expected = Tags(shown), Tags(plain)
    assert found.seen <= expected.seen | {"wbr"}, found.seen - expected.seen
    assert not found.runs
    assert all(link.startswith("#") for link in found.links)
    assert shown.count("<script") == plain.count("<script")
    _text(shown, "\n\t")


def _text(shown: str, allowed: str = "\n") -> None:
    """Nothing that a terminal obeys and nothing that turns the direction of writing."""
    bad = {c for c in shown if c not in allowed and not c.isprintable() and c not in "\u00a0\u200d"}
    assert not bad, {hex(ord(c)) for c in bad}
    shown.encode()


GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OURS = {"details", "summary", "code", "span", "/details", "/summary", "/code", "/span"}


def _markdown(shown: str) -> None:
    """On GitHub: no element but ours, tables whole, nothing mentioned, nothing linked."""
    _text(shown)
    raw = [t.content for t in GITHUB.parse(shown) if t.type == "html_block"]
    raw += [c.content for t in GITHUB.parse(shown) for c in t.children or [] if c.type == "html_inline"]
    named = {name for content in raw for name in re.findall(r"<(/?[a-zA-Z!][\w-]*)", content)}
    assert named <= OURS, named - OURS
    made = GITHUB.render(shown)
    assert made.count("<details>") == made.count("</details>")
    assert not re.search(r"<(a|img|script|del)\b", made)
    for table in re.findall(r"<table>.*?</table>", made, re.S):
        assert len({len(re.findall(r"<t[hd]", row)) for row in re.findall(r"<tr>.*?</tr>", table, re.S)}) == 1
    plain = re.sub(r"<[^>]*>", "", re.sub(r"<(code|pre)[^>]*>.*?</\1>", "", made, flags=re.S))
    assert not re.search(r"@octocat|#123|GH-7|https://|www\.evil|:tada:", plain)
    assert not re.search(r"(?<!<span>)\$", re.sub(r"<(code|pre)[^>]*>.*?</\1>", "", made, flags=re.S))


def as_text(words: str) -> None:
    for colour in (False, True):
        shown = text.render(whole(words), every=True, colour=colour)
        _text(re.sub(r"\x1b\[[0-9;]*m", "", shown) if colour else shown)


plain_page = functools.cache(lambda: html.render(whole("plain")))


def as_html(words: str) -> None:
    shown = html.render(whole(words))
    _page(shown, plain_page())
    assert len(shown) < 1_500_000


def as_markdown(words: str) -> None:
    _markdown(markdown.render(whole(words)))
    cut = markdown.render(whole(words), most=markdown.COMMENT)
    assert len(cut.encode()) <= markdown.COMMENT
    _markdown(cut)


def as_csv(words: str) -> None:
    for table in (tables.findings(whole(words)), tables.timings(whole(words))):
        data = tables.csv(table)
        _text(data.decode(), "\r\n")
        read = pandas.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
        assert read.shape == table.shape and list(read.columns) == list(table.columns)
        kinds = [name for name in table.columns if not pandas.api.types.is_numeric_dtype(table[name].dtype)]
        cells = [value for name in kinds for value in read[name]]
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
        assert all(len(cell) < 32_767 and "\n" not in cell for cell in cells)


def as_parquet(words: str) -> None:
    table = tables.findings(whole(words))
    read = pandas.read_parquet(io.BytesIO(tables.parquet(table)))
    assert read["target"].iloc[0] == words
    assert read.shape == table.shape


def as_comparison(words: str) -> None:
    found = audits.compare([whole(words), other(words), whole(words, "3")], [words, f"{words}/b.json", "c.json"])
    assert any(change.word == "better" for row in found.rows for change in row.changes)
    _text(compared_text.render(found))
    _markdown(compared_markdown.render(found))
    plain = audits.compare([whole("p"), other("p"), whole("p", "3")], ["p", "p/b.json", "c.json"])
    _page(page.render(found), page.render(plain))
    assert msgspec.convert(json.loads(records.encode(found)), records.Comparison) == found


def as_merged(words: str) -> None:
    both = reading.together([whole(words), other(words)], [words, f"{words}2"])
    assert len({t.target for t in both.targets}) == len(both.targets) == 4
    _text(text.render(both))
    assert reading.parsed(encode(both), "both") == [both]
    assert reading.parsed(html.render(both).encode(), "page") == [both]


@pytest.mark.parametrize("form", [as_text, as_html, as_markdown, as_csv, as_parquet, as_comparison, as_merged])
@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_words_harm_no_format(form: Callable[[str], None], name: str) -> None:
    form(HOSTILE[name])


def test_half_a_character_is_damage_and_not_a_fault() -> None:
    data = encode(whole("fine")).replace(b'"fine"', b'"half \\ud800"', 1)
    with pytest.raises(ResultError, match=r"r\.json is damaged: half a character"):
        reading.parsed(data, "r.json")
    assert b"half" in tables.csv(tables.findings(whole("half \ud800")))
