"""The command line as a user meets it: a layer written in a minute, every option, the report, the result file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import dropcheck
from dropcheck.contract.cases import Case, parse_case
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import ALPHA

Write = Callable[[str, str], Path]

MINE = '''
import torch

class MyDropout(torch.nn.Module):
    """Written in a minute: one coin per sample and channel."""
    def __init__(self, rate):
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(rate)
        self.rate = rate

    def forward(self, x):
        if not self.training or self.rate == 0:
            return x
        if self.rate == 1:
            return x * 0
        keep = torch.rand(x.shape[0], x.shape[1], 1) >= self.rate
        return torch.where(keep, x / (1 - self.rate), torch.zeros((), dtype=x.dtype))


class Shared(MyDropout):
    """The same with a bug: the batch shares its mask."""
    def forward(self, x):
        if not self.training or self.rate in (0, 1):
            return super().forward(x)
        keep = torch.rand(1, x.shape[1], 1) >= self.rate
        return torch.where(keep, x / (1 - self.rate), torch.zeros((), dtype=x.dtype))


def plain(x, rate, training):
    return torch.nn.functional.dropout1d(x, rate, training)
'''


FUNCTIONS = {
    "rng_only.py": """
import numpy as np

def drop(x, rate, rng):
    if not 0 <= rate <= 1:
        raise ValueError(rate)
    return np.where(rng.random(x.shape[:2] + (1,)) >= rate, x / x.dtype.type(1 - rate or 1), x.dtype.type(0))
""",
    "numpy_global.py": """
import numpy as np

def drop(x, rate):
    if not 0 <= rate <= 1:
        raise ValueError(rate)
    return np.where(np.random.random(x.shape[:2] + (1,)) >= rate, x / x.dtype.type(1 - rate or 1), x.dtype.type(0))
""",
    "torch_global.py": """
import torch

def drop(x, rate):
    if not 0 <= rate <= 1:
        raise ValueError(rate)
    keep = torch.rand(x.shape[0], x.shape[1], 1) >= rate
    return torch.where(keep, x / (1 - rate or 1), torch.zeros((), dtype=x.dtype))
""",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_given_what_it_takes_and_inference_is_its_callers_business(
    call: Any, write: Write, name: str
) -> None:
    write(name, FUNCTIONS[name])
    few = ("--case", "float32 rate=0.3 257,64,4 calls=84", "--case", "float32 rate=0.3 129,65,3 calls=64 values")
    done = call("audit", f"{name}:drop", "--dtype", "float32", *few, "--json", "r.json", inside=True)
    assert done.code == 0, done.out
    found = done.result()["targets"][0]["findings"]
    assert {f["verdict"] for f in found if f["check"] in ("mode.inference", "mode.toggle")} == {"skipped"}
    assert any(f["check"] == "seed.reproducible" and f["verdict"] == "pass" for f in found)


FEW = {"select": "mask.whole-channels", "cases": "float32 rate=0.3 33,17,4 calls=128", "dtypes": "float32"}


@pytest.fixture
def mine(write: Write) -> Path:
    return write("mine.py", MINE)


def test_a_layer_written_in_a_minute_is_audited_without_an_adapter(call: Any, mine: Path) -> None:
    done = call("audit", "mine.py:MyDropout", "--dtype", "float32", "--rate", ".3", "--json", "r.json", inside=True)
    assert done.code == 0, done.out
    assert "mine.py:MyDropout: all " in done.out and "checks pass." in done.out
    result = done.result()
    jsonschema.validate(result, json.loads(call("list", "--schema").out))
    (target,) = result["targets"]
    assert target["framework"] == "torch" and target["contract"]["pattern"] == "n c l -> n c"
    judged = {f["check"] for f in target["findings"] if f["verdict"] == "pass"}
    # everything applies to a torch layer but the other ranks, of which it declares none, and what is asked of whole models
    assert {c.name for c in CHECKS if c.family != "site"} - judged == {"form.ranks"}
    assert target["timing"]["bare_s"] > 0


def test_a_bug_is_named_with_estimate_coins_picture_and_replay(call: Any, mine: Path) -> None:
    done = call("audit", "mine.py:Shared", "--dtype", "float32", "--json", "r.json", inside=True)
    assert done.code == 1
    assert done.out.splitlines()[1].startswith("mine.py:Shared: 1 of ")
    assert "✗ FAIL" in done.out and "✗ mask.distinct-samples" in done.out
    findings = done.result()["targets"][0]["findings"]
    failed = [f for f in findings if f["verdict"] == "fail"]
    assert {f["check"] for f in failed} == {"mask.distinct-samples"}
    one = failed[0]
    assert one["coins"] > 0 and one["log10_evidence"] < -6 and one["picture"]["rows"]
    words = subprocess.run(["bash", "-c", f'printf "%s\\n" {one["replay"]}'], capture_output=True, text=True).stdout
    again = call(*words.splitlines()[1:], "--json", "again.json", inside=True)
    assert again.code == 1
    (same,) = [f for f in again.result("again.json")["targets"][0]["findings"] if f["case"] == one["case"]]
    for key in ("message", "estimate", "coins", "log10_evidence", "tallies"):
        assert same[key] == one[key], key
    # rates are not accused a second time while copies remain
    assert all(f["verdict"] == "skipped" for f in findings if f["check"] == "rate.marginal" and f["coins"])


def test_a_function_and_another_pattern(call: Any, mine: Path) -> None:
    words = ("audit", "mine.py:plain", "--select", "mask.whole-channels", "--case", FEW["cases"])
    assert call(*words, inside=True).code == 0
    wrong = call(*words, "--pattern", "n l c -> n c", inside=True)
    assert wrong.code == 1
    assert "there is one drop decision per (n, l), shared along c; declared: one per (n" in wrong.out


@pytest.mark.workers("torch")
def test_a_rerun_tells_the_same_and_another_seed_tells_other_coins(call: Any, mine: Path) -> None:
    cases = ("--case", "float32 rate=.3 257,66,6 calls=81", "--case", "float32 rate=.3 33,17,4 calls=640 grad")
    words = ("audit", "mine.py:plain", "--select", "rate.marginal", *cases)

    def estimates(name: str, *more: str, inside: bool = True) -> list[float]:
        assert call(*words, *more, "--json", name, inside=inside).code == 0
        findings = json.loads((mine.parent / name).read_text())["targets"][0]["findings"]
        return [f["estimate"] for f in findings if f["coins"]]

    first = estimates("a.json")
    assert estimates("b.json") == first
    assert estimates("c.json", "--seed", "5") != first
    assert estimates("d.json", "--jobs", "3", inside=False) == first
    some = call(*words, "--seed", "fresh", inside=True)
    assert "root seed " in some.err


def test_a_plan_runs_nothing_and_says_what_would_run(call: Any, mine: Path) -> None:
    done = call("audit", "mine.py:MyDropout", "--plan", "--profile", "standard", "--json", "r.json", inside=True)
    assert done.code == 0
    assert not (mine.parent / "r.json").exists()
    assert "decisions" in done.out and "points" in done.out and "rate=0.15" in done.out


def test_a_budget_is_kept_and_costs_resolution_not_truth(call: Any, mine: Path) -> None:
    done = call(
        "audit", "mine.py:MyDropout", "--dtype", "float32", "--profile", "standard", "--budget", "1s", "--json", "r.json",
        inside=True,
    )  # fmt: skip
    result = done.result()["targets"][0]
    assert done.code in (0, 3)
    assert result["coins"] < 200_000_000  # the whole plan has above 400 million
    verdicts = {f["verdict"] for f in result["findings"]}
    assert "fail" not in verdicts and "error" not in verdicts
    if done.code == 3:
        assert "inconclusive" in verdicts


def test_shapes_cases_and_dtypes_narrow_the_plan(call: Any, mine: Path) -> None:
    done = call("audit", "mine.py:plain", "--shape", "12,7,5", "--rate", ".3", "--dtype", "float64", "--select", "rate.marginal",
               "--json", "r.json", inside=True)  # fmt: skip
    cases = {f["case"] for f in done.result()["targets"][0]["findings"]}
    assert cases and all(c.startswith("float64 rate=0.3 12,7,5 ") for c in cases)
    text = "float32 rate=0.3 33,17,4 calls=70 grad"
    done = call("audit", "mine.py:plain", "--case", text, "--select", "rate.marginal", "--json", "r.json", inside=True)
    assert {f["case"] for f in done.result()["targets"][0]["findings"]} == {text}


@pytest.mark.parametrize(
    "case",
    [
        Case("float32", 0.3, 257, 64, 4, 64),
        Case("bfloat16", 0.123457, 1, 3, 1, 9, layout="strided", grad=True, batches=(5, 1, 9)),
        Case("float64", 0.5, 9, 131, 3, 512, regime="seeds", way="constructor"),
        Case("float32", 1e-7, 9, 131, 3, 512, infer=3),
    ],
)
def test_a_case_is_one_text_that_holds_all_of_it(case: Case) -> None:
    assert parse_case(str(case)) == case


def test_list_and_explain(call: Any) -> None:
    listed = call("list")
    for name in ("custom.reference", "torch.Dropout2d", "keras.SpatialDropout3D"):
        assert name in listed.out
    assert len(call("list", "--zoo").out.splitlines()) > 100
    assert [line.split()[0] for line in call("list", "--checks").out.splitlines() if line[0] != " "] == [
        one.name for one in CHECKS
    ]
    text = call("explain", "mask.patterns").out
    for word in ("How it decides", "Known defects", "What to do when it fails", f"{ALPHA:g}"):
        assert word in text
    for check in CHECKS:
        assert call("explain", check.name).code == 0 if check.name in ("rate.zero", "form.strides") else True
    assert call("--help").code == 0
    assert call("--version").out.startswith("dropcheck ")


@pytest.mark.workers("keras")
def test_a_layer_of_keras_is_explained(call: Any) -> None:
    picture = call("explain", "keras.SpatialDropout1D").out
    assert "n l c -> n c" in picture and "(n, 1, c)" in picture


def test_every_check_is_explained() -> None:
    from dropcheck.report.explain_check import explain

    for check in CHECKS:
        text = explain(check.name)
        assert check.claim.split()[0] in text and "What to do when it fails" in text


OURS = {"application/x-dropcheck+json", "filters"}  # the raw result, and the one script


class Reader(HTMLParser):
    """Texts, tags and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append(dict(attrs).get("type") or dict(attrs).get("id"))
        for key, value in attrs:
            if key == "id" and value:
                self.ids.append(value)
            if key in ("href", "src") and value:
                self.links.append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text())
    return reader


def test_the_page_is_whole_and_stands_alone(call: Any, mine: Path) -> None:
    some = ("--case", "float32 rate=0.3 33,17,4 calls=640", "--select", "mask,scale,form")
    done = call("audit", "mine.py:Shared", "mine.py:plain", *some, "--out", "page", inside=True)
    assert done.code == 1
    folder = mine.parent / "page"
    assert sorted(p.name for p in folder.iterdir()) == ["index.html", "report.txt", "result.json"]
    page = read(folder / "index.html")
    assert (
        "mask.distinct-samples" in page.text and "Of 2 implementations, 1 passes all checks, 1 has defects" in page.text
    )
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link.startswith("#") and link[1:] in page.ids, link
    assert set(page.scripts) <= OURS and "img" not in page.tags
    # the same page again from the stored result
    assert call("report", "page/result.json", "--out", "again").code == 1
    assert (mine.parent / "again" / "index.html").read_text() == (folder / "index.html").read_text()
    assert (folder / "report.txt").read_text().splitlines()[0] in call("report", "page/result.json").out


NASTY = """
class Evil(Exception):
    pass

def layer(x, rate, *, training, rng):
    raise Evil("<script>alert(1)</script> \\x1b[31mred\\x1b[0m [bold]b[/bold] {{7*7}} a\\nb")
"""


def test_names_with_markup_and_terminal_codes_are_escaped_everywhere(call: Any, write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "<b>x[red]{{1}}"
    folder.mkdir()
    (folder / "n.py").write_text(NASTY)
    done = call("audit", "<b>x[red]{{1}}/n.py:layer", "--out", "page", inside=True)
    assert done.code == 3
    for text in (done.out, done.err, (tmp_path / "page" / "report.txt").read_text()):
        assert "\x1b" not in text
    assert "[bold]b[/bold]" in done.out and "[red]" in done.out and "{{7*7}}" in done.out
    page = read(tmp_path / "page" / "index.html")
    assert set(page.scripts) <= OURS and "b" not in page.tags
    assert "<script>alert(1)</script>" in page.text and "{{7*7}}" in page.text
    assert {p.name for p in tmp_path.iterdir()} == {"page", folder.name}


def test_importing_and_help_load_nothing_heavy() -> None:
    code = (
        "import sys, dropcheck\n"
        "from dropcheck.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'keras', 'tensorflow', 'jax', 'scipy', 'pandas', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_an_audit_waits_for_no_library_that_it_does_not_need() -> None:
    code = "import sys, dropcheck.auditing; print('HEAVY', sorted({'scipy.stats', 'scipy.optimize', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_the_library_audits_in_this_process_and_leaves_no_trace() -> None:
    import torch

    torch.manual_seed(5)
    before = torch.get_rng_state().clone()
    result = dropcheck.audit(
        "torch.Dropout1d",
        select=("mask.whole-channels", "rate.marginal"),
        dtypes=("float32",),
        rates=(0.3,),
        in_process=True,
    )
    assert result.verdict == "pass"
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()


def test_check_is_an_assertion_for_other_peoples_tests() -> None:
    dropcheck.check("torch.Dropout1d", **FEW)
    with pytest.raises(AssertionError, match=r"mask\.whole-channels"):
        dropcheck.check("broken.drops-elements", **FEW)


def test_a_result_becomes_a_table() -> None:
    result = dropcheck.audit(
        "custom.reference", select="rate.marginal", cases="float32 rate=0.3 33,17,4 calls=640", in_process=True
    )
    table = dropcheck.frame(result)
    assert list(table.columns[:4]) == ["target", "check", "case", "verdict"]
    assert len(table) == len(result.targets[0].findings)
    assert (table["estimate"] - table["expected"]).abs().max() < 0.02
