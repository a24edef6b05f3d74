"""Pages in a real browser: no error, no request, filters and sorting, narrow and wide, light and dark, axe-core.

They need a Chromium on the machine (``apt-get install chromium``, or its path in CHROMIUM) and are left out without one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kits.bench import Workshop, bench
from kits.page import drawn, everything, finding, hostile, many, result, target

from dropcheck.report import html
from dropcheck.results.audit import Result

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install 'dropcheck[test]'"
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium was found: install it, or name it in CHROMIUM")


def measured() -> Result:
    """Like ``everything``, with names that a simulated bench can measure."""
    first, *others = everything().targets
    return result([target("custom.reference", first.findings), target("torch.Dropout1d", drawn()), *others[1:]])


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All kinds of pages, as files."""
    folder = tmp_path_factory.mktemp("pages")
    speed = bench(Workshop(), "custom.reference", "torch.Dropout1d", cells=("64,256,1024", "8,256,1024"))
    texts = {
        "whole": html.render(measured(), benches=[speed]),
        "hostile": html.render(hostile()),
        "large": html.render(many(12, 39, 9)),
        "passing": html.render(result([target("good.Layer", [f for f in drawn() if f.verdict == "pass"])])),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        try:
            running = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        except sync_api.Error as error:
            pytest.skip(f"{BROWSER} does not start: {str(error).splitlines()[0]}")
        yield running
        running.close()


class Opened:
    """A page that was opened, and what it complained of and asked for meanwhile."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": WIDE, **options})
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.address = path.as_uri()
        self.page.goto(self.address)

    def ask(self, script: str) -> Any:
        return self.page.evaluate(script)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


# rules of axe that depend on how a page is laid out and coloured
SEEN = ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"]
KINDS = ("whole", "hostile", "large", "passing")


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_opens_without_a_complaint_and_asks_for_nothing(browser: Any, pages: dict[str, Path], kind: str) -> None:
    with Opened(browser, pages[kind]) as shown:
        assert shown.said == [] and shown.asked == [shown.address]
        assert shown.ask("document.getElementById('filter').hidden") == (kind == "passing")  # one row needs no filter
        # every anchor leads to an element, and what stands in a closed part is opened on the way
        broken = "[...document.querySelectorAll('a')].filter(a => !document.getElementById(a.hash.slice(1))).length"
        assert shown.ask(broken) == 0
        assert shown.ask("document.title").startswith("dropcheck: ")


def test_the_policy_stops_what_would_leave_the_page(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    text = pages["passing"].read_text(encoding="utf-8")
    bad = '<img src="http://127.0.0.1:9/x.png"><script>document.title = "owned"</script>'
    (tmp_path / "bad.html").write_text(text.replace("<main", bad + "<main"), encoding="utf-8")
    with Opened(browser, tmp_path / "bad.html") as shown:
        assert shown.ask("document.title") != "owned"
        assert len(shown.said) >= 2 and all("Content Security Policy" in said for said in shown.said)


@pytest.mark.parametrize(
    ("kind", "look"),
    [("whole", {}), ("whole", {"viewport": NARROW, "color_scheme": "dark"}), ("hostile", {"viewport": NARROW})],
    ids=["whole", "whole-narrow-dark", "hostile-narrow"],
)
def test_axe_finds_nothing(browser: Any, pages: dict[str, Path], kind: str, look: dict[str, Any]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with Opened(browser, pages[kind], **look) as shown:
        # in the lists of all findings every row is like the other
        shown.ask("document.querySelectorAll('.bulk tbody tr:nth-child(n+4)').forEach(row => row.remove())")
        shown.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
        # the first look answers the rules that read the document and no colours or sizes
        only = {"runOnly": {"type": "rule", "values": SEEN}, "resultTypes": ["violations"]}
        asked = {"options": only} if look.get("color_scheme") == "dark" else {}
        found = Axe().run(shown.page, **asked).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"][:200], len(v["nodes"])) for v in found] == []


@pytest.mark.parametrize("kind", ["whole", "hostile"])
@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")])
def test_the_matrix_fits_and_can_be_read(
    browser: Any, pages: dict[str, Path], kind: str, scheme: str, viewport: Any
) -> None:
    with Opened(browser, pages[kind], viewport=viewport, color_scheme=scheme) as shown:
        assert shown.ask("document.documentElement.scrollWidth") <= viewport["width"]
        box = shown.ask(
            "(() => { const r = document.getElementById('claims').getBoundingClientRect(); return r.right })()"
        )
        assert box <= viewport["width"]
        cells = shown.ask(
            "[...document.querySelectorAll('#claims td.v')].map(cell => [cell.innerText.trim(), "
            "cell.getBoundingClientRect().width, parseFloat(getComputedStyle(cell.querySelector('.g')).fontSize)])"
        )
        assert cells and all(text and width >= 20 and size >= 12 for text, width, size in cells)
        seen = shown.ask("getComputedStyle(document.body).backgroundColor")
        assert (seen == "rgb(255, 255, 255)") == (scheme == "light")


def rows(shown: Opened) -> list[str]:
    """Names in the matrix that can be seen, in order."""
    found = shown.ask(
        "[...document.querySelectorAll('#claims tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].innerText)"
    )
    return [str(name) for name in found]


def test_the_filter_shows_what_was_asked_for_and_a_link_shows_what_it_hid(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["whole"]) as shown:
        assert len(rows(shown)) == 5
        shown.page.fill("#filter-text", "UNSURE")
        assert rows(shown) == ["unsure.Layer"]
        assert shown.page.locator("#filter-told").inner_text() == "1 of 5 implementations"
        assert shown.ask("[...document.querySelectorAll('article')].filter(a => !a.hidden).length") == 1
        shown.page.fill("#filter-text", "distinct-channels")
        assert rows(shown) == ["torch.Dropout1d"]
        shown.page.fill("#filter-text", "")
        shown.page.select_option("#filter-verdict", "waived")
        assert rows(shown) == ["waived.Layer"]
        shown.ask("location.hash = '#t1-1'")
        shown.page.wait_for_function("document.getElementById('t1-1').closest('details').open")
        assert len(rows(shown)) == 5
        assert shown.said == []


def test_the_matrix_is_sorted_by_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["whole"]) as shown:
        button = shown.page.locator("#claims thead th").nth(1).locator("button")
        button.focus()
        shown.page.keyboard.press("Enter")
        assert rows(shown)[0] == "torch.Dropout1d"
        assert shown.page.locator("#claims thead th").nth(1).get_attribute("aria-sort") == "ascending"
        shown.page.keyboard.press("Enter")
        assert rows(shown)[-1] == "torch.Dropout1d"
        # from the top of the page, the first stop skips to the content
        shown.page.reload()
        shown.page.keyboard.press("Tab")
        assert shown.ask("document.activeElement.className") == "skip"


def test_without_javascript_everything_is_there(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["whole"], java_script_enabled=False) as shown:
        assert not shown.page.locator("#filter").is_visible()
        assert shown.page.locator("#claims tbody tr").count() == 5
        assert shown.page.locator("article h4").first.is_visible()
        assert shown.page.locator(".command button").count() == 0
        assert shown.page.locator("article .command pre").first.is_visible()
        # everything that is closed opens by a click
        shown.page.locator("article > details.bulk > summary").first.click()
        shown.page.locator("article details.bulk details.bulk summary").first.click()
        assert shown.page.locator("article details.bulk table.results").first.is_visible()


def test_a_command_is_copied_without_network_by_mouse_and_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["whole"]) as shown:
        shown.context.grant_permissions(["clipboard-read", "clipboard-write"])
        boxes = shown.page.locator(".command")
        buttons = shown.page.locator(".command button")
        assert boxes.count() == buttons.count() > 5
        for place, way in ((0, "click"), (1, "Enter")):
            if way == "click":
                buttons.nth(place).click()
            else:
                buttons.nth(place).focus()
                shown.page.keyboard.press(way)
            shown.page.wait_for_function(
                "n => document.querySelectorAll('.command button')[n].textContent == 'Copied'", arg=place
            )
            assert shown.ask("navigator.clipboard.readText()") == boxes.nth(place).locator("pre").inner_text()
        # where the clipboard is closed the text is selected
        shown.ask(
            "Object.defineProperty(navigator, 'clipboard', {value: undefined}); document.execCommand = () => false"
        )
        buttons.nth(2).click()
        shown.page.wait_for_function("document.querySelectorAll('.command button')[2].textContent == 'Selected'")
        assert shown.ask("getSelection().toString()") == boxes.nth(2).locator("pre").inner_text()
        assert shown.said == [] and shown.asked == [shown.address]


def test_numbers_on_the_page_are_those_of_the_embedded_result(browser: Any, pages: dict[str, Path]) -> None:
    from dropcheck.results import embedded
    from dropcheck.results.audit import decode
    from dropcheck.results.plain_text import number

    text = pages["whole"].read_text(encoding="utf-8")
    raw = decode(embedded.read(text, "page")[0], "page")
    assert raw == measured()
    with Opened(browser, pages["whole"]) as shown:
        found = shown.ask(
            "[...document.querySelectorAll('article')].map(a => [a.querySelector('h3').textContent, "
            "[...a.querySelectorAll('.results tbody')].map(b => [b.rows[0].cells[0].firstChild.textContent.trim(), "
            "[...b.rows].slice(1).map(r => [...r.cells].map(c => c.textContent))])])"
        )
    ran = [t for t in raw.targets if t.skipped is None]
    assert len(found) == len(ran)
    order = {one.target: place for place, one in enumerate(ran)}
    for (name, told), one in zip(sorted(found, key=lambda pair: order[pair[0]]), ran, strict=True):
        assert name == one.target
        assert sorted((check, r[0], r[1][2:], r[3], r[4], r[5]) for check, rows in told for r in rows) == sorted(
            (f.check, f.case, f.verdict, number(f.estimate), number(f.resolution), f"{f.coins:,}" if f.coins else "")
            for f in one.findings
        )


def test_a_print_holds_the_evidence_and_not_the_controls(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["whole"], color_scheme="dark") as shown:
        shown.page.emulate_media(media="print")
        assert not shown.page.locator("#filter").is_visible() and not shown.page.locator("nav").is_visible()
        assert shown.page.locator("article h4").first.is_visible()
        assert shown.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert shown.ask("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def two_releases() -> Any:
    """A new failure, one that is gone, one that stays, and a release that is not installed."""
    from dropcheck.report.releases.records import Cell, Change, Column, Line, Owner, Package, Table

    good, bad = Cell(verdict="pass"), Cell(verdict="fail", level="defect", cases=2, message="masks repeat")
    columns = [Column(release="1.0", requirements="keras==1.0 installed", installed={"keras": "1.0"})]
    columns += [Column(release="1.1", requirements="keras==1.1 installed", why="keras 1.1 does not install: no wheel")]
    columns += [Column(release="1.2", requirements="keras==1.2 installed", installed={"keras": "1.2", "optree": "0.1"})]
    name = "keras.SpatialDropout1D@tensorflow"
    lines = [
        Line(
            target=name, check=check, dtypes=["float32", "float16", "bfloat16"], word=word, cells=cells, changes=changes
        )  # type: ignore[arg-type]
        for check, word, cells, changes in (
            ("seed.reset", "new", [good, Cell(), bad], [Change(kind="new", before="1.0", since=["1.1", "1.2"])]),
            ("rate.one", "gone", [bad, Cell(), good], [Change(kind="gone", before="1.0", since=["1.2"])]),
            ("mask.distinct-calls", "fails", [bad, Cell(), bad], []),
            ("mode.inference", "keeps", [good, Cell(), good], []),
        )
    ]
    owner = Owner(target=name, cells=[bad, Cell(), bad], versions=["1.0 on tensorflow 2.21.0", "", "1.2"])
    package = Package(name="keras", present="1.2", columns=columns, between=[], owners=[owner], lines=lines)
    return Table(series=3, profile="quick", seed=1, device="cpu", packages=[package], environment={"python": "3.11"})


def test_the_pages_of_the_self_test_and_of_the_field_share_style_and_care(browser: Any, tmp_path: Path) -> None:
    import gzip

    import msgspec
    from axe_playwright_python.sync_playwright import Axe

    from dropcheck.report import selftest as report
    from dropcheck.report.field import report as field
    from dropcheck.report.releases import page as releases
    from dropcheck.results import selftest as records

    reports = Path(__file__).parents[2] / "reports"
    kept = msgspec.json.decode(
        gzip.decompress((reports / "selftest" / "selftest.json.gz").read_bytes()), type=records.SelfTest
    )
    lists = ("calibration", "tails", "power", "thresholds", "goldens", "zoo", "owners")
    kept = msgspec.structs.replace(kept, **{name: getattr(kept, name)[:8] for name in lists})
    run = result([target("torch.Dropout1d", [finding("rate.zero"), *drawn()])])
    table = field.rows(run)
    told = field.groups(table, {}, ())
    texts = {
        "selftest": report.page(kept),
        "field": field.html(run, told, "dropcheck field"),
        "releases": releases.html(two_releases(), "dropcheck field --releases 2"),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
        with Opened(browser, tmp_path / f"{name}.html", color_scheme="dark", viewport=NARROW) as shown:
            assert shown.said == [] and shown.asked == [shown.address], name
            assert shown.ask("document.documentElement.scrollWidth") <= NARROW["width"]
            found = Axe().run(shown.page).response["violations"]
            assert [(name, v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
