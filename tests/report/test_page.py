"""The page as text: order, links, numbers, figures, waivers, speed beside a passed audit, names that would do harm."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from kits.bench import Workshop, audit_of, bench
from kits.page import HOSTILE, drawn, everything, finding, hostile, many, result, target

from dropcheck.judge import levels
from dropcheck.judge.diagnosis import diagnose
from dropcheck.report import html, markdown, sentences, speeds, this_run, view
from dropcheck.report.figures import coins, counts, ladder, pace, pairs, positions, strength
from dropcheck.report.figures.sheet import Sheet
from dropcheck.results import bench as records
from dropcheck.results import embedded, plain_text, reading
from dropcheck.results.audit import Picture, Result, decode

VOID = {"meta", "input", "link", "br", "img", "wbr"}


class Page(HTMLParser):
    """Tags with their attributes, texts outside of scripts and styles, and whether everything that opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.found if t == tag]


@pytest.fixture(scope="module")
def whole() -> Result:
    return everything()


@pytest.fixture(scope="module")
def shown(whole: Result) -> str:
    return html.render(whole)


def test_the_page_tells_things_in_their_order(shown: str) -> None:
    order = [
        "<h1>",
        'id="matrix"',
        'id="failures"',
        'id="undecided"',
        'id="passed"',
        'id="waived"',
        'id="skipped"',
        'id="run"',
        'id="reading"',
    ]
    places = [shown.index(mark) for mark in order]
    assert places == sorted(places)
    assert "Of 6 implementations, 1 passes all checks" in shown
    assert "1 passes with failures that waivers accept" in shown


def test_every_link_of_the_page_leads_to_a_place_in_it(shown: str) -> None:
    page = Page(shown)
    ids = [a["id"] for _, a in page.found if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in page.all("a")]
    assert len(links) > 30
    assert all(href and href.startswith("#") and href[1:] in ids for href in links)
    told = [i for _, a in page.found for i in (a.get("aria-labelledby") or "").split()]
    assert set(told) <= set(ids)


def test_the_page_names_what_a_reader_by_ear_needs(shown: str) -> None:
    page = Page(shown)
    tags = Counter(tag for tag, _ in page.found)
    assert tags["h1"] == tags["main"] == tags["header"] == tags["footer"] == 1
    assert tags["table"] == tags["caption"]
    assert all("scope" in a for a in page.all("th"))
    drawings = [a for a in page.all("svg") if "aria-hidden" not in a]
    assert len(drawings) == tags["figure"] == 8
    assert all(a["role"] == "img" for a in drawings)
    assert shown.count("<desc") == tags["figure"] == shown.count("How to read it")


def test_every_cell_leads_to_evidence_and_every_failure_to_its_command(whole: Result, shown: str) -> None:
    page = Page(shown)
    for index, one in enumerate(whole.targets):
        if one.skipped is not None:
            continue
        links = re.findall(r'href="#([^"]*)"', shown[shown.index(f'<tr data-of="t{index}"') :].split("</tr>")[0])
        for family in {plain_text.family(f.check) for f in one.findings}:
            some = [f for f in one.findings if plain_text.family(f.check) == family]
            gravest = next(
                (v for v in ("fail", "error", "inconclusive", "waived") if v in {f.verdict for f in some}), ""
            )
            place = r"\d+" if not gravest else r"w\d+" if gravest == "waived" else r"c\d+"
            aims = [x for x in links if re.fullmatch(rf"t{index}-{place}", x)]
            assert any(_section(shown, aim, some) for aim in aims), (one.target, family)
        failing = [g for g in sentences.groups([one], ("fail", "error", "inconclusive"))]
        assert all(group.lead.replay in page.text for group in failing)
    # what passes is repeated a family at a time
    assert "dropcheck audit x --select seed" in page.text


def _section(shown: str, place: str, findings: list[Any]) -> bool:
    """Whether what a link leads to is about a check of these findings."""
    told = shown[shown.index(f'id="{place}"') :][:4000]
    return any(f.check in told for f in findings)


def test_each_cause_stands_once_worst_first_with_its_fix_and_command(whole: Result, shown: str) -> None:
    for index, one in enumerate(whole.targets):
        causes = diagnose(one)
        blocks = re.findall(
            rf'<div class="case is-(\w+)" id="t{index}-c\d+">(.*?)\n</div>\n(?=<div|<details|</article)', shown, re.S
        )
        assert [level for level, _ in blocks if level in levels.LEVELS] == [d.level for d in causes]
        for cause, (_, text) in zip(causes, blocks, strict=False):
            plain = Page(f"<div>{text}</div>").text
            assert cause.observed[1:] in plain.split("Details")[0] and cause.check in plain
            assert plain.count("Fix:") == 1 and "Details" in plain
            assert plain.index("Fix:") < plain.index("dropcheck audit x") < plain.index("Details")
    text = re.sub(r"<table.*?</table>|<dl>.*?</dl>|<figure.*?</figure>", "", shown, flags=re.S)
    for cause in diagnose(whole.targets[1]):
        assert Page(text).text.count(cause.observed[1:]) == 1, cause.observed


def test_what_explains_a_failure_in_full_is_closed_at_first(shown: str) -> None:
    page = Page(shown)
    assert all("open" not in a for a in page.all("details")) and len(page.all("details")) > 20
    outside = shown
    while "<details" in outside:
        outside = re.sub(r"<details[^>]*>(?:(?!<details|</details>).)*</details>", "", outside, flags=re.S)
    text = Page(outside).text
    for word in ("9.877e+04", "degrees of freedom", "interval 0.", "python3.11", "detection limit 0.0123"):
        assert word in page.text and word not in text, word
    for word in ("Fix:", "Smallest case:", "Waived failures", "Skipped checks", "What the verdicts mean"):
        assert word in text


def test_failures_of_edge_cases_alone_are_marked_so_and_come_after_defects() -> None:
    edge = target("edge.Layer", [finding("rate.one", "fail", "float32 rate=1"), finding("mask.patterns")])
    defect = target("defect.Layer", [finding("scale.mean", "fail"), finding("rate.zero", "fail", "float32 rate=0")])
    text = html.render(result([edge, defect]))
    rows = re.findall(r'<tr data-of="t\d" data-verdict="(\w+)".*?</tr>', text, re.S)
    assert rows == ["edge", "fail"]
    one, two = re.findall(r'<tr data-of="t\d".*?</tr>', text, re.S)
    assert 'class="edge" href="#t0-c1"' in one and 'class="fail" href' not in one
    assert 'class="fail" href="#t1-c1"' in two and 'class="edge" href="#t1-c2"' in two
    assert text.index('<article id="t1"') < text.index('<article id="t0"')
    assert "1 defect" in Page(text).text and "1 edge case" in Page(text).text


def test_several_results_list_their_commands_and_what_differs_and_no_literal_of_python() -> None:
    other = {"python": "3.12", "packages": {"numpy": "2.4.6"}, "load": [1.0], "compiled": True, "cores": 2}
    one = result([target("a.Layer", drawn())], argv=["audit", "a.py:Layer", "--case", "float32 rate=.5"])
    two = result([target("b.Layer", [finding("rate.zero")])], argv=["audit", "b.py:Layer"], environment=other)
    both = reading.together([one, two], ["a.json", "b.json"])
    shown = html.render(both)
    text = Page(shown).text
    place = shown.index('id="run"')
    assert re.findall(r'<pre class="wrap">(.*?)</pre>', shown[place:]) == [
        "dropcheck audit a.py:Layer --case &#39;float32 rate=.5&#39;",
        "dropcheck audit b.py:Layer",
    ]
    assert this_run.commands(both) == [
        "dropcheck audit a.py:Layer --case 'float32 rate=.5'",
        "dropcheck audit b.py:Layer",
    ]
    names, rows = this_run.differences(both)
    assert names[0] == "name" and "python" in names and "packages" not in names
    assert [row[0] for row in rows] == ["a.json", "b.json"]
    for sign in ("[{", "{'", "['", "': '", "True", "None"):
        assert sign not in text.replace("None.", ""), sign
    # results that an older release joined
    old = result([target("a.Layer", [])], argv=["audit", "a.py:Layer", "audit", "b.py:Layer"])
    assert this_run.commands(old) == ["dropcheck audit a.py:Layer", "dropcheck audit b.py:Layer"]
    assert this_run.commands(result([], argv=[])) == []


def test_numbers_of_failures_are_those_of_the_result(whole: Result, shown: str) -> None:
    text = Page(shown).text
    for one in whole.targets:
        for group in sentences.groups([one], ("fail", "error", "inconclusive")):
            lead = group.lead
            for value in (lead.estimate, lead.expected, lead.resolution):
                assert plain_text.number(value) in text
            assert f"{lead.coins:,} decisions" in text and lead.case in text
    for one in whole.targets:
        for family in {plain_text.family(f.check) for f in one.findings}:
            told = Counter(f.verdict for f in one.findings if plain_text.family(f.check) == family)
            for verdict, n in told.items():
                assert re.search(rf"{family}: [^:]*: [^:]*\b{n} {verdict}\b", text), (family, verdict, n)


def test_a_page_made_from_a_page_is_the_same_page(whole: Result, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (raw,) = embedded.read(shown, "page")
    assert html.render(decode(raw, "page")) == shown
    # what was left out stays told
    monkeypatch.setattr(embedded, "_AT_BEST", 1e-9)
    (light,) = embedded.read(html.render(whole), "page")
    monkeypatch.undo()
    assert "the counts behind results that pass" in html.render(decode(light, "page"))


def test_a_waiver_stands_with_its_reason_its_name_and_its_last_day(shown: str) -> None:
    place = shown.index('id="waived"')
    for text in ("W-1", "known upstream", "2027-01-31", "https://example.org/1", "waived.Layer"):
        assert text in shown[place:]
    assert shown.count("known upstream") == 1
    assert 'href="https' not in shown


def test_what_did_not_run_is_told_with_its_reason(shown: str) -> None:
    text = Page(shown).text
    assert "jax is not installed: away.Layer" in text and "no empty input here" in text
    assert "the worker was killed" in text and "last line" in text


def test_nothing_can_leave_the_page_and_nothing_of_others_runs_in_it(shown: str) -> None:
    page = Page(shown)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert "default-src 'none'" in policy and "unsafe" not in policy and "base-uri 'none'" in policy
    for _, attributes in page.found:
        assert not any(name.startswith("on") or name in ("src", "style", "action") for name in attributes)


@pytest.mark.parametrize("brief", [False, True])
def test_names_that_would_do_harm_are_text(brief: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if brief:
        monkeypatch.setattr(view, "WHOLE", 1)
    text = html.render(hostile())
    page = Page(text)
    tags = Counter(tag for tag, _ in page.found)
    assert tags["img"] == 0 and "<b>bold" not in text
    assert [a.get("type") or a.get("id") for a in page.all("script")] == ["application/x-dropcheck+json", "filters"]
    assert not any(name.startswith("on") for _, a in page.found for name in a)
    assert all((a["href"] or "").startswith("#") for a in page.all("a"))
    assert all(name in page.text for name in HOSTILE[:2])
    for sign in ("\x1b", "\u202e", "\u200f"):
        assert sign not in page.text
    assert "x" * 6100 not in page.text and "49" not in re.findall(r"\b49\b", page.text)
    ids = [a["id"] or "" for _, a in page.found if "id" in a]
    assert all(re.fullmatch(r"[\w.-]+", i) for i in ids)


# --- speed --------------------------------------------------------------------------------------------------------------


PASSES, FAILS = "custom.reference", "torch.Dropout1d"


def test_speed_stands_beside_a_passed_audit_only() -> None:
    cells = ("64,256,1024", "8,256,1024", "64,256,1024 backward")
    measured = bench(Workshop(), PASSES, FAILS, cells=cells)
    same = {"version": "1.0"}  # the release of the bench
    audits = result(
        [target(PASSES, [finding("rate.zero")], **same), target(FAILS, drawn(), **same), target("x.Layer", [])]
    )
    text = html.render(audits, benches=[measured])
    page = Page(text)
    rows = re.findall(r'<tr data-of="t\d".*?</tr>', text, re.S)
    told = [(re.sub(r"<[^>]*>", "", r.split("</th>")[0]).strip(), r.rsplit("<td", 1)[1]) for r in rows]
    beside = dict(told)
    assert "of the limit" in beside[PASSES] and 'href="#speed"' in beside[PASSES]
    assert "not timed: fails" in beside[FAILS] and "not measured" in beside["x.Layer"]
    assert f"{FAILS}: every cell" not in page.text and f"{PASSES}: every cell" in page.text
    assert "Throughput against size" in page.text and "Distance to the physical limit" in page.text
    drawing = text[text.index("Throughput against size") :][:4000]
    assert PASSES in drawing and FAILS not in drawing
    twin = markdown.render(audits, benches=[measured])
    assert f"{FAILS} is not timed: fails" in twin and f"{FAILS} against" not in twin
    of_it = [
        row.split("|") for row in twin.splitlines() if row.startswith("|") and f"`{FAILS}`" in row and "forward" in row
    ]
    assert len(of_it) >= 2 and all(not "".join(row[3:6]).strip() and "not timed" in row[6] for row in of_it)


def test_a_target_that_the_page_has_no_audit_of_is_told_by_the_audit_of_its_bench() -> None:
    measured = bench(
        Workshop(), PASSES, FAILS, audit=lambda names: audit_of(names, {FAILS: ("seed.reset", "float32 x")})
    )
    one, two = speeds.section(measured, result([]), Sheet()).rows
    assert not one.barred and "reference" in one.told
    assert two.barred.startswith("not timed: ") and "seed.reset" in two.barred and not two.told


def test_a_speed_stands_beside_edge_cases_that_fail_and_names_them() -> None:
    edge = {FAILS: ("rate.one", "float32 rate=1")}
    measured = bench(Workshop(), PASSES, FAILS, audit=lambda names: audit_of(names, edge))
    for page in (result([]), result(audit_of([FAILS], edge).targets)):
        two = speeds.section(measured, page, view.Sheet()).rows[1]
        assert not two.barred and two.told.endswith("; edge cases fail: rate.one")


def test_the_heading_of_speeds_alone_bars_what_the_page_bars() -> None:
    cells = ("4,8,8 float32", "4,8,8 float16")
    bad = {FAILS: ("rate.marginal", "float16 rate=0.3 5,5,5")}
    measured = bench(Workshop(), PASSES, FAILS, cells=cells, audit=lambda names: audit_of(names, bad))
    assert [c.target for c in measured.comparisons] == [FAILS]
    (section,) = [speeds.section(measured, result([]), Sheet())]
    told = speeds.headline([section])
    assert told.startswith(f"{FAILS} is not timed: fails rate.marginal.") and "against" not in told
    assert f"{PASSES}: measured in 2 of 2 cells." in told


def test_an_audit_of_another_release_or_of_few_checks_clears_no_bench() -> None:
    measured = bench(Workshop(), PASSES)
    (one,) = measured.targets
    bare = msgspec.structs.replace(one, audit=None)
    (whole,) = audit_of([PASSES]).targets
    other = msgspec.structs.replace(whole, version="0.9")
    narrow = target(PASSES, [finding("rate.zero")], version="1.0")

    def barred(audit: Any) -> str:
        return speeds._row(measured, bare, audit).barred

    assert barred(whole) == ""
    assert barred(other) == "not timed: its audit was of another release or file, 0.9"
    assert "its audit left out" in barred(narrow)
    failing = msgspec.structs.replace(other, verdict="fail", findings=[finding("seed.reset", "fail")])
    assert not speeds._row(measured, one, failing).barred  # of another release: the bench's own audit tells


def test_a_page_of_speeds_alone_says_so_and_holds_them() -> None:
    measured = bench(Workshop(), PASSES, FAILS)
    text = html.render(None, benches=[measured])
    page = Page(text)
    ids = {a["id"] for _, a in page.found if "id" in a}
    assert all((a["href"] or "")[1:] in ids for a in page.all("a")) and "failures" not in ids and "speed" in ids
    assert f"{FAILS} against {PASSES}" in page.text and "This page holds no audit" in page.text
    (raw,) = embedded.read(text, "page")
    assert records.decode(raw, "page") == measured


def test_throughput_has_one_shape_a_size_the_first_of_the_plan_for_all() -> None:
    cells = ("64,256,1024", "4,64,16", "16384,256,4", "64,4096,64")
    measured = bench(Workshop(), PASSES, FAILS, cells=cells, processes=1)
    slow = [msgspec.structs.replace(s, device_s=(s.device_s or 0) * (1 + 9 * s.cell)) for s in measured.speeds]
    made = pace.throughput(msgspec.structs.replace(measured, speeds=slow), {PASSES, FAILS})
    first = pace.throughput(msgspec.structs.replace(measured, speeds=[s for s in slow if s.cell < 2]), {PASSES, FAILS})
    assert made is not None and first is not None and made.rows == first.rows and len(made.rows) == 4


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 10**400, -1.0, "many", None, [1]])
def test_counts_that_cannot_be_drawn_give_no_figure(bad: Any) -> None:
    for tallies in (
        {"histogram": [4.0, bad], "expected": [2.0, 3.0]},
        {"histogram": [4.0, 2.0], "expected": [bad, 3.0]},
    ):
        assert counts.figure(finding("mask.dropped-count", tallies=tallies)) is None
    assert positions.figure(finding("rate.per-channel", tallies={"dropped": [5, 4, bad], "size": 9})) is None
    assert counts.figure(finding("mask.dropped-count", tallies={"histogram": [0.0], "expected": [0.1]})) is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 10**400])
def test_correlations_that_cannot_be_drawn_give_no_figure(bad: Any) -> None:
    some = {"lags": {"1": 0.1, "2": 0.2, "3": bad}}
    assert pairs.lags(finding("mask.independent-channels", tallies=some)) is None
    for table in ([[], [bad]], [[], ["x"]], [[], 3], [[], [0.1, 0.1, 0.1]]):
        held = {"matrix": {"channels": [0, 1], "correlation": table}}
        assert pairs.matrix(finding("mask.independent-channels", tallies=held)) is None
    assert pairs.lags(finding("mask.independent-channels", resolution=bad, tallies={"lags": {"1": 0.1, "2": 0.2}}))


# --- large runs ---------------------------------------------------------------------------------------------------------


def test_a_large_run_counts_what_passes_and_stays_small() -> None:
    large = many(30, 30, 6)
    text = html.render(large)
    page = Page(text)
    assert len(text) < 1_200_000
    assert page.text.count("All 180 results, by family") == 30
    ids = {a["id"] for _, a in page.found if "id" in a}
    assert all((a["href"] or "")[1:] in ids for a in page.all("a"))
    assert page.text.count("what was seen of mask.dropped-count") >= 3
    assert "what was seen of rate.zero" not in page.text


def test_many_failing_targets_share_their_causes_in_one_table_worst_first() -> None:
    bad = [finding("rate.one", "fail", "float32 rate=1"), finding("scale.mean", "fail")]
    names = [f"a.Layer{i}" for i in range(view.MANY + 1)]
    text = html.render(result([target(name, bad[: 1 + (i < 3)]) for i, name in enumerate(names)]))
    table = text[text.index("<caption>Causes in several implementations") :].split("</table>")[0]
    rows = table.split("<tbody>")[1].split("</tr>")[:-1]
    assert ["defect" in row for row in rows] == [True, False]
    assert re.findall(r'href="#(t\d+-c\d)"', rows[0]) == ["t0-c1", "t1-c1", "t2-c1"]
    assert len(re.findall(r"href=", rows[1])) == len(names) and f">{len(names)}: <" in rows[1]
    few = html.render(result([target(name, bad) for name in names[:-1]]))
    assert "Causes in several implementations" not in few


def test_figures_stop_where_the_page_is_full_and_that_is_told() -> None:
    sheet = Sheet(room=3000)
    some = [f for f in drawn() if f.check == "mask.dropped-count"]
    assert len(sheet.take(counts.figure(some[0]))) + len(sheet.take(counts.figure(some[0]))) < 2
    assert sheet.left_out >= 1


# --- figures ------------------------------------------------------------------------------------------------------------


def of(check: str) -> Any:
    return next(f for f in drawn() if f.check == check and f.verdict == "fail")


def test_a_coin_is_a_cell_of_the_drawing() -> None:
    picture = Picture(caption="c", columns="", rows=["##.. ?", "....", "#"], labels=["a", "b", "c"])
    body = str(coins.figure(picture, "x").body)
    kept = re.search(r'class="kept" d="([^"]*)"', body)
    dropped = re.search(r'class="dropped" d="([^"]*)"', body)
    torn = re.search(r'class="torn" d="([^"]*)"', body)
    assert kept and dropped and torn
    lengths = [float(n) for n in re.findall(r"h([\d.]+)", kept[1])]
    assert sum(round((n + 2) / 11) for n in lengths) == 3
    assert sum(round(float(n) / 11) for n in re.findall(r"h([\d.]+)", dropped[1])) == 6
    assert torn[1].count("z") == 1


@pytest.mark.parametrize("words", ["all # or all .", "all # (kept) or all . (dropped)"])
def test_a_caption_speaks_of_squares_and_dots(words: str) -> None:
    caption = f"across: channels; # kept, . dropped. Expected: each column {words}"
    made = coins.figure(Picture(caption=caption, columns="", rows=["#."]), "x")
    assert made.note == "Across: channels. Expected: each column all squares or all dots."
    assert [word for _, word in made.legend] == ["kept", "dropped"]


def test_the_histogram_shows_the_counts_of_the_finding() -> None:
    one = of("mask.dropped-count")
    made = counts.figure(one)
    assert made is not None
    rows = {int(r[0]): r[1] for r in made.rows}
    assert rows[18] == "4,000" and rows[19] == "5,509"
    assert counts.figure(finding("mask.dropped-count")) is None


def test_the_channel_with_a_rate_of_its_own_is_crossed_out_and_comes_first() -> None:
    made = positions.figure(of("rate.per-channel"))
    assert made is not None and made.rows[0][0] == "63" and made.rows[0][1] == "12"
    assert str(made.body).count("cross") == 1


def test_intervals_hold_their_rate_and_are_exact() -> None:
    from dropcheck.statistics.binomial import clopper_pearson

    low, high = positions.intervals([0, 3, 10], 10, 1e-3)
    for i, k in enumerate((0, 3, 10)):
        assert (low[i], high[i]) == pytest.approx(clopper_pearson(k, 10, 1e-3), abs=1e-9)


def test_correlations_beyond_the_resolution_are_crossed_out() -> None:
    made = pairs.lags(of("mask.independent-channels"))
    assert made is not None and str(made.body).count("cross") == 1 and made.rows[0][1] == "0.2"
    table = pairs.matrix(of("mask.independent-channels"))
    assert table is not None and len(table.rows) == 12
    assert abs(float(table.rows[0][2])) == max(abs(float(r[2])) for r in table.rows)


def test_the_ladder_has_a_series_a_dtype_and_crosses_for_failures() -> None:
    made = ladder.figure("x", drawn())
    assert made is not None and [told for _, told in made.legend] == ["float32", "bfloat16", "a cross: a wrong rate"]
    assert str(made.body).count("cross") == 4 and len(made.rows) == 8


def test_evidence_is_drawn_where_two_checks_fail_and_not_otherwise() -> None:
    some = [("x", f) for f in drawn()]
    made = strength.figure(some, "Evidence")
    assert made is not None and {r[0] for r in made.rows} == {f.check for _, f in some if f.verdict == "fail"}
    assert strength.figure(some[-1:], "Evidence") is None


@pytest.mark.parametrize(
    "tallies",
    [{}, {"histogram": 3}, {"histogram": [], "expected": []}, {"dropped": [5, 9], "size": 3}, {"lags": {"a": None}},
     {"matrix": {"channels": [1], "correlation": []}}, {"matrix": 3}, {"histogram": [0, 0], "expected": [0.0, 0.0]}],
)  # fmt: skip
def test_counts_that_are_not_there_draw_nothing(tallies: Any) -> None:
    one = finding("mask.dropped-count", "fail", tallies=tallies)
    for draw in (counts.figure, positions.figure, pairs.lags, pairs.matrix):
        assert draw(one) is None
