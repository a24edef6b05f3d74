"""Stored results are read by what they are, whatever their name; damage is named with its place; verdicts are computed again."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path
from typing import Any

import msgspec
import pandas
import pytest
from kits.bench import Workshop, bench
from kits.stored import CASE, finding, rate, result, target

from dropcheck.cli import main
from dropcheck.judge import recomputing
from dropcheck.report import html
from dropcheck.results import bench as records
from dropcheck.results import reading
from dropcheck.results.audit import Result, ResultError, encode

GOOD = rate(473_000, 1_579_008)
BAD = rate(520_000, 1_579_008)


def two() -> Result:
    return result(
        target("mine.py:good", [GOOD]), target("mine.py:bad", [BAD, finding("form.empty", "pass", "no rows")])
    )


def test_a_result_is_told_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    whole, data = two(), encode(two())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "result.json").write_bytes(data)
    for name, stored in {
        "plain.txt": data,
        "as-if.json": gzip.compress(data),
        "as-if.gz": lzma.compress(data),
        "twice.xz": lzma.compress(data[:400]) + lzma.compress(data[400:]),
        "page.json": html.render(whole).encode(),
    }.items():
        (tmp_path / name).write_bytes(stored)
        assert reading.load(tmp_path / name) == whole, name
    assert reading.load(tmp_path / "folder") == whole


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda data: gzip.compress(data)[:-9], ["damaged", "gzip"]),
        (lambda data: lzma.compress(data)[: len(data) // 9], ["damaged", "xz", "end after"]),
        (lambda data: gzip.compress(data)[:40] + b"\x00" * 40, ["damaged", "gzip"]),
        (lambda data: data[: len(data) // 2], ["line ", "column "]),
        (lambda data: data.replace(b'"coins": 1579008', b'"coins": "many"', 1), ["$.targets[0].findings[0].coins"]),
        (lambda data: b'{"schema": "dropcheck.result/9"}', ["dropcheck.result/9", "dropcheck.result/1"]),
        (lambda data: b"[1, 2]", ["dropcheck.result/1"]),
        (lambda data: b"\xff\xfe\x00", ["UTF-8"]),
        (lambda data: b"", ["line 1"]),
        (lambda data: b"<!doctype html><title>another page</title>", ["no result"]),
        (lambda data: b"<p>\xff", ["UTF-8"]),
    ],
)
def test_damage_is_refused_with_its_place(make: Any, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(make(encode(two())))
    with pytest.raises(ResultError) as refused:
        reading.load(tmp_path / "r")
    assert all(word in str(refused.value) for word in [str(tmp_path / "r"), *words]), refused.value


def test_a_folder_without_a_result_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"holds no result; expected one of result\.json"):
        reading.load(tmp_path)
    with pytest.raises(ResultError, match="No such file"):
        reading.load(tmp_path / "gone.json")


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    with pytest.raises(ResultError, match="unpacks to more than"):
        reading.parsed(gzip.compress(encode(two())), "bomb")


def test_one_target_of_two_results_is_kept_from_both_and_told_apart() -> None:
    old = result(target("torch.Dropout1d", [GOOD], "2.4.1"), target("same", [GOOD]))
    new = result(target("torch.Dropout1d", [BAD], "2.13.0"), target("same", [GOOD]))
    whole = reading.together([old, new], ["old.json", "new.json"])
    assert [t.target for t in whole.targets] == [
        "torch.Dropout1d [PyTorch 2.4.1]",
        "same",
        "torch.Dropout1d [PyTorch 2.13.0]",
    ]
    assert whole.verdict == "fail"
    recomputing.verified(whole, "both")


def test_results_that_differ_in_nothing_but_their_machine_their_seed_or_their_file_are_told_apart() -> None:
    one = result(target("layer", [GOOD]))
    other = msgspec.structs.replace(one, environment={**one.environment, "processor": "another"})
    seeds = msgspec.structs.replace(one, seed=8)
    changed = result(target("layer", [rate(473_001, 1_579_008)]))
    for second, words in ((other, "another"), (seeds, "seed 8"), (one, "b.json")):
        second = msgspec.structs.replace(second, targets=changed.targets)
        names = [t.target for t in reading.together([one, second], ["a.json", "b.json"]).targets]
        assert len(set(names)) == 2 and words in names[1], names


# --- verdicts computed again -------------------------------------------------------------------------------------------


def tampered(**changed: Any) -> Result:
    return result(target("mine.py:bad", [msgspec.structs.replace(BAD, **changed)]))


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        (tampered(verdict="pass"), "the verdict is pass, but it fails"),
        (tampered(verdict="inconclusive"), "the verdict is inconclusive, but it fails"),
        (tampered(verdict="skipped"), "without a more basic failure"),
        (tampered(verdict="waived"), "but no waiver is named"),
        (tampered(verdict="pass", log10_evidence=-0.3), "the evidence is 10^-0.30"),
        (tampered(verdict="pass", log10_evidence=-0.3, estimate=0.3), "the estimate is 0.3, but 520000 of 1579008"),
        (tampered(fail_interval=(0.29, 0.31)), "but its counts make it"),
        (result(target("t", [msgspec.structs.replace(GOOD, verdict="fail")])), "but nothing fails"),
        (result(target("t", [rate(3000, 10_000, verdict="pass")])), "is the largest of a pass"),
        (result(target("t", [BAD]), verdict="pass"), "the verdict is pass, but that of all targets is fail"),
        (result(target("t", [BAD], verdict="pass")), "its results make it fail"),
        (result(target("t", [GOOD], verdict="skipped", error="it crashed")), "its results make it error"),
        (
            result(target("t", [finding("mask.whole-channels", "pass", tallies={"disagreeing": 3, "coins": 9})])),
            "the verdict is pass, but it fails",
        ),
        (
            result(target("t", [finding("mask.whole-channels", "fail", tallies={"disagreeing": 3, "coins": 9}), GOOD])),
            "skipped because mask.whole-channels fails",
        ),
        (result(target("t", [finding("form.empty", "pass", log10_evidence=-99999.0)])), "but it fails"),
    ],
)
def test_a_verdict_that_its_numbers_do_not_carry_is_refused_with_its_place(forged: Result, words: str) -> None:
    with pytest.raises(ResultError) as refused:
        recomputing.verified(forged, "r.json")
    assert "r.json does not agree with its own numbers" in str(refused.value)
    assert words in str(refused.value) and "at `$" in str(refused.value)


def test_honest_results_are_recomputed_without_a_word() -> None:
    done = recomputing.verified(two(), "r.json")
    assert (done.findings, done.counted, done.disagreements) == (3, 2, [])
    coarse = rate(3000, 10_000)
    assert coarse.verdict == "inconclusive"
    recomputing.verified(result(target("t", [coarse])), "r.json")
    # a coarser resolution that was asked for counts as one
    asked = result(target("t", [rate(3000, 10_000, verdict="pass")]), argv=["audit", "t", "--resolution", ".2"])
    recomputing.verified(asked, "r.json")


def test_the_field_report_agrees_with_its_own_numbers() -> None:
    stored = Path(__file__).parents[2] / "reports" / "pytorch-keras" / "result.json.gz"
    found = reading.load(stored)
    assert isinstance(found, Result)
    assert recomputing.verified(found, "stored").findings == sum(len(t.findings) for t in found.targets)


def test_the_command_reads_every_kind_and_a_tampered_page_says_no_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.json").write_bytes(encode(two()))
    assert main(["report", "r.json", "--out", "page", "--format", "html,markdown,csv,parquet"]) == 1
    made = {p.name for p in Path("page").iterdir()}
    assert made >= {
        "index.html",
        "result.json",
        "report.txt",
        "report.md",
        "findings.csv",
        "findings.parquet",
        "timings.csv",
    }
    capsys.readouterr()
    assert main(["report", "page/index.html", "--out", "again", "--verify"]) == 1
    assert "Recomputed: 3 verdicts" in capsys.readouterr().out
    assert Path("again/index.html").read_bytes() == Path("page/index.html").read_bytes()
    Path("forged.html").write_text(html.render(tampered(verdict="pass")))
    assert main(["report", "forged.html", "--out", "no"]) == 2
    said = capsys.readouterr().err
    assert "the verdict is pass, but it fails" in said and CASE in said
    assert not list(Path("no").iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--format", "cvs"],
            "there is no format 'cvs'; expected text, html, markdown, csv, parquet; the nearest is 'csv'",
        ),
        (["--format", "csv"], "--format csv writes files: give the folder with --out DIR"),
        (["--limit", "64KiB"], "--limit is of the Markdown: give --format markdown, or --out DIR"),
        (
            ["--format", "markdown", "--limit", "big"],
            "--limit takes a size of at least 2KiB, such as 64KiB or 1MiB, not 'big'",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_sentence(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_bytes(encode(two()))
    assert main(["report", str(tmp_path / "r.json"), *words]) == 2
    assert capsys.readouterr().err.strip() == f"dropcheck: {said}"


def test_audits_benches_and_a_self_test_make_one_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    speed = bench(Workshop(), "custom.reference", "custom.torch")
    Path("bench.json").write_bytes(records.encode(speed))
    Path("old.json").write_bytes(encode(result(target("torch.Dropout1d", [GOOD], "2.4.1"))))
    Path("new.json").write_bytes(encode(result(target("torch.Dropout1d", [BAD], "2.13.0"))))
    selftest = str(Path(__file__).parents[2] / "reports" / "selftest" / "selftest.json.gz")
    words = ["old.json", "new.json", "bench.json", selftest, "--out", "all", "--format", "html,markdown,csv,parquet"]
    assert main(["report", *words]) == 1
    made = {p.name for p in Path("all").iterdir()}
    assert made >= {
        "index.html",
        "report.md",
        "findings.csv",
        "timings.csv",
        "speeds.csv",
        "speeds.parquet",
        "bench.json",
    }
    for shown in (Path("all/index.html").read_text(), Path("all/report.md").read_text()):
        assert "2.4.1" in shown and "2.13.0" in shown and "custom.torch" in shown and "Self-test" in shown
    rows = pandas.read_csv("all/speeds.csv", float_precision="round_trip")
    assert list(rows["device_s"].dropna()) == [s.device_s for s in speed.speeds if s.device_s is not None]
    # the page alone is enough to make all of it again
    assert main(["report", "all/index.html", "--out", "again"]) == 1
    assert Path("again/report.md").read_text() == Path("all/report.md").read_text()
    assert main(["compare", "bench.json", "bench.json", "--json", "c.json", "--out", "changes"]) in (0, 3)
    assert Path("changes/compare.txt").read_text() in capsys.readouterr().out
    assert main(["compare", "bench.json", "old.json"]) == 2
    assert "bench.json is of kind bench, old.json is of kind audit" in capsys.readouterr().err
