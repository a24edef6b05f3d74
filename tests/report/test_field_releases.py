"""Releases side by side: what is new and what is gone is dated to the release, what is not installed is said, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from packaging.version import Version

from dropcheck.auditing import run as auditing
from dropcheck.contract.errors import UsageError
from dropcheck.plan import release_environments, released
from dropcheck.plan.installing import TooLarge
from dropcheck.plan.release_environments import BuildError, Environment
from dropcheck.plan.released import Package
from dropcheck.report.field.report import Confirmation
from dropcheck.report.releases import confirming, page, records, surveying, text, words
from dropcheck.report.releases.records import Line, Table
from dropcheck.results.audit import Finding, Result, ResultError, TargetResult, Timing

sys.path.insert(0, str(Path(__file__).parents[1] / "kits"))
from kits import releases

RELEASES = [f"1.{minor}.{patch}" for minor in range(5) for patch in range(4)]
Verdict = Callable[[Version], str]


def finding(check: str, verdict: str, dtype: str = "float32", value: float = 0.3) -> Finding:
    wrong = verdict == "fail"
    rate = 0.36 if wrong else value
    return Finding(
        check=check,
        case=f"{dtype} rate=0.3 257,64,4 calls=84",
        verdict=verdict,  # type: ignore[arg-type]
        message=f"<b>{verdict}</b>",
        estimate=rate,
        expected=0.3,
        unit="rate",
        fail_interval=(rate - 0.002, rate + 0.002),
        coins=1_000_000,
        resolution=0.003,
        log10_evidence=-99.0 if wrong else 0.0,
        alpha=1e-9,
        replay="dropcheck audit x",
    )


def result_of(name: str, *some: Finding, error: str | None = None) -> TargetResult:
    verdicts = [f.verdict for f in some]
    verdict: Any = "error" if error else "fail" if "fail" in verdicts else "pass"
    return TargetResult(
        target=name,
        framework="f",
        version="1",
        contract={},
        verdict=verdict,
        timing=Timing(),
        traits={},
        findings=list(some),
        error=error,
    )


class World:
    """Packages, environments and audits without pip and without processes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: Callable[[str, Version], TargetResult]) -> None:
        self.answer = answer
        self.built: list[str] = []
        self.audited: list[str] = []
        self.refused: dict[str, BuildError] = {}
        self.yanked: dict[str, str] = {}
        self.beside: tuple[str, ...] = ()
        monkeypatch.setattr(surveying.bisection, "available", lambda name: [Version(r) for r in RELEASES])
        monkeypatch.setattr(release_environments, "provide", self.provide)
        monkeypatch.setattr(auditing, "run", self.run)

    def provide(self, words: tuple[str, ...], base: Any, tell: Any, limit_mb: float) -> Environment:
        release = words[0].partition("==")[2]
        assert words == (f"tiny=={release}", *self.beside, "installed") and limit_mb == surveying.LIMIT_MB
        self.built.append(release)
        if release in self.refused:
            raise self.refused[release]
        gone = {f"Tiny {release}": self.yanked[release]} if release in self.yanked else {}
        return Environment("k", Path(), "python", words, {}, 1.0, "", "", {"tiny": release, "numpy": "2.0"}, gone)

    def run(self, request: auditing.AuditRequest, progress: Any = None) -> Result:
        found = []
        for one in request.targets:
            name, _, environment = str(one).partition(" with tiny==")
            self.audited.append(environment.split()[0])
            found.append(msgspec.structs.replace(self.answer(name, Version(environment.split()[0])), target=str(one)))
        if all(t.verdict == "error" for t in found):
            raise UsageError(found[0].error or "")
        return Result(
            verdict="pass",
            environment={"python": "3.11"},
            argv=[],
            profile="quick",
            seed=1,
            alpha=1e-6,
            beta=1e-6,
            targets=found,
        )

    def survey(self, series: int = 5, *names: str) -> tuple[Table, Result]:
        request = auditing.AuditRequest(targets=names or ("tiny:layer",))
        question = surveying.Question(request, series, beside=self.beside)
        return surveying.survey(question, lambda text: None)


def single(verdict: Verdict) -> Callable[[str, Version], TargetResult]:
    return lambda name, release: result_of(
        name, finding("rate.marginal", verdict(release)), finding("rate.one", "pass")
    )


def line(table: Table, check: str = "rate.marginal") -> Line:
    (found,) = [one for _, one in table.lines if one.check == check]
    return found


@pytest.mark.parametrize("first", ["1.2.0", "1.2.1", "1.2.2", "1.2.3"])
def test_a_regression_of_the_third_of_five_series_is_dated_to_its_release(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(monkeypatch, single(lambda release: "fail" if release >= Version(first) else "pass"))
    table, result = world.survey()
    (package,) = table.packages
    assert [column.release for column in package.columns] == ["1.0.3", "1.1.3", "1.2.3", "1.3.3", "1.4.3"]
    found = line(table)
    assert [cell.verdict for cell in found.cells] == ["pass", "pass", "fail", "fail", "fail"]
    (change,) = found.changes
    before = RELEASES[RELEASES.index(first) - 1]
    assert (change.kind, change.since, change.before, change.proven) == ("new", [first], before, True)
    assert found.word == "new" and words.since(found) == f"✗ new in {first}"
    assert len(change.tried) <= 2 and len(world.audited) == len(set(world.audited)) <= 7
    assert line(table, "rate.one").word == "keeps" and records.exit_code(table) == 1
    assert {t.target for t in result.targets} >= {f"tiny:layer with tiny=={first} installed"}


def test_what_is_installed_besides_is_part_of_names_and_of_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, single(lambda release: "fail" if release >= Version("1.2.1") else "pass"))
    world.beside = ("jax==0.8.3",)
    table, result = world.survey()
    assert result.targets[0].target == "tiny:layer with tiny==1.0.3 jax==0.8.3 installed"
    assert words.commands(table.packages[0], line(table)) == [
        "dropcheck audit tiny:layer --with 'tiny==1.4.3 jax==0.8.3 installed' --select rate.marginal",
        "dropcheck bisect tiny:layer --check rate.marginal --package tiny --from 1.2.0 --to 1.4.3 --with 'jax==0.8.3 installed'",
    ]


def test_a_failure_that_is_gone_is_dated_and_ends_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, single(lambda release: "pass" if release >= Version("1.3.2") else "fail"))
    table, _ = world.survey()
    found = line(table)
    assert (found.word, found.changes[0].since, found.changes[0].before) == ("gone", ["1.3.2"], "1.3.1")
    assert "rate.marginal passes since tiny 1.3.2; it fails in 1.3.1." in words.told(table.packages[0], found)[0]
    assert records.exit_code(table) == 0


def test_what_comes_and_goes_has_a_date_for_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = (Version("1.1.1"), Version("1.3.0"))
    world = World(monkeypatch, single(lambda release: "fail" if bad[0] <= release < bad[1] else "pass"))
    found = line(world.survey()[0])
    assert found.word == "changes" and [(c.kind, c.since) for c in found.changes] == [
        ("new", ["1.1.1"]),
        ("gone", ["1.3.0"]),
    ]
    assert words.since(found) == "✗ new in 1.1.1, ✓ gone since 1.3.0"


def test_another_verdict_without_proof_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def close(name: str, release: Version) -> TargetResult:
        late = release >= Version("1.2.0")
        one = finding("rate.marginal", "fail" if late else "pass")
        return result_of(
            name, msgspec.structs.replace(one, estimate=0.3021 if late else 0.3019, fail_interval=(0.3, 0.304))
        )

    world = World(monkeypatch, close)
    table, _ = world.survey()
    found = line(table)
    assert found.word == "unsure" and not found.changes[0].proven
    assert len(world.audited) == 5, "nothing is searched for"
    assert "do not prove a change" in words.told(table.packages[0], found)[0] and records.exit_code(table) == 3


def test_dtypes_that_behave_alike_share_a_line_and_others_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(name: str, release: Version) -> TargetResult:
        late = "fail" if release >= Version("1.2.1") else "pass"
        some = [finding("rate.marginal", v, d) for d, v in (("float32", "pass"), ("float16", late), ("bfloat16", late))]
        return result_of(name, *some)

    lines = [one for _, one in World(monkeypatch, answer).survey()[0].lines]
    assert [(one.dtypes, one.word) for one in lines] == [(["float32"], "keeps"), (["float16", "bfloat16"], "new")]


def test_releases_that_do_not_install_are_columns_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, single(lambda release: "fail" if release >= Version("1.2.0") else "pass"))
    world.refused = {
        "1.1.3": BuildError("x could not be built; pip says:\n    ERROR: No matching distribution found for tiny"),
        "1.3.3": TooLarge("x was not built: 888 MB or more to install (torch 888 MB), and 500 MB are allowed"),
    }
    world.yanked = {"1.4.3": "broken on Mondays"}
    table, _ = world.survey()
    (package,) = table.packages
    assert [column.why for column in package.columns] == [
        "",
        "tiny 1.1.3 does not install: No matching distribution found for tiny",
        "",
        "tiny 1.3.3: 888 MB or more to install (torch 888 MB), and 500 MB are allowed",
        "tiny 1.4.3 was yanked by its owners: broken on Mondays",
    ]
    found = line(table)
    assert [words.cell(c, column) for c, column in zip(found.cells, package.columns, strict=True)] == [
        "✓ pass",
        "not installed",
        "✗ FAIL",
        "not installed",
        "not installed",
    ]
    # the release that does not install may be the first that fails
    assert found.changes[0].since == ["1.1.3", "1.2.0"] and found.changes[0].before == "1.1.2"
    for shown in (text.render(table), page.markdown(table, "dropcheck"), page.html(table, "dropcheck")):
        assert "broken on Mondays" in shown and "888 MB or more" in shown


@pytest.mark.parametrize(
    "said, sentence",
    [
        (
            "    WARNING: slow\n    ERROR: No matching distribution found for jaxlib\n    WARNING: old",
            "No matching distribution found for jaxlib",
        ),
        (
            "    ERROR: Cannot install tiny==1.0 because these package versions have conflicting dependencies.\n"
            "    The conflict is caused by:\n        The user requested tiny==1.0\n        a 2 depends on tiny<1\n"
            "    To fix this you could try to:\n    ERROR: ResolutionImpossible: for help visit x",
            "Cannot install tiny==1.0 because these package versions have conflicting dependencies: The user requested "
            "tiny==1.0; a 2 depends on tiny<1",
        ),
        ("    killed", "killed"),
    ],
)
def test_pips_last_error_is_the_reason(said: str, sentence: str) -> None:
    error = BuildError(f"it could not be built; pip says:\n{said}")
    assert surveying._sentence(error, "tiny", Version("1.0")) == f"tiny 1.0 does not install: {sentence}"


def test_where_no_release_installs_each_has_its_sentence_and_the_end_is_3(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, single(lambda release: "pass"))
    large = "x was not built: 888 MB or more to install (torch 888 MB), and 500 MB are allowed"
    world.refused = {release: TooLarge(large) for release in RELEASES}
    table, whole = world.survey()
    assert all("888 MB or more" in column.why for column in table.packages[0].columns)
    assert not world.audited and not whole.targets and records.exit_code(table) == 3
    assert "888 MB or more" in text.render(table, 100)


def test_what_cannot_be_judged_leaves_several_candidates_and_ends_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, single(lambda release: "pass" if release >= Version("1.2.2") else "fail"))
    world.refused = {r: BuildError("pip says:\n    no") for r in ("1.2.0", "1.2.1", "1.2.2")}
    table, _ = world.survey()
    assert line(table).changes[0].since == ["1.2.0", "1.2.1", "1.2.2", "1.2.3"]
    assert "one of tiny 1.2.0, 1.2.1, 1.2.2, 1.2.3" in words.told(table.packages[0], line(table))[0]
    assert records.exit_code(table) == 3


def test_a_layer_that_old_releases_lack_is_an_error_of_these_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(name: str, release: Version) -> TargetResult:
        if release < Version("1.3.0"):
            return result_of(name, error="tiny has no attribute 'layer'")
        return result_of(name, finding("rate.marginal", "pass"))

    world = World(monkeypatch, answer)
    table, _ = world.survey()
    (owner,) = table.packages[0].owners
    assert [cell.verdict for cell in owner.cells] == ["error", "error", "error", "pass", "pass"]
    assert not line(table).changes and records.exit_code(table) == 0
    assert "tiny:layer could not be judged in tiny 1.0.3: tiny has no attribute 'layer'" in text.render(table, 200)
    world.answer = lambda name, release: result_of(name, error="no such layer")
    table, _ = world.survey()
    assert {cell.message for cell in table.packages[0].owners[0].cells} == {"no such layer"}
    assert records.exit_code(table) == 3 and "no check was judged" in words.headline(table)


def test_a_table_is_read_as_it_was_written_and_its_text_is_escaped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = World(monkeypatch, single(lambda release: "fail" if release >= Version("1.2.0") else "pass"))
    table, result = world.survey()
    page.write(table, result, tmp_path, "dropcheck field tiny:layer --releases 5 --out x")
    assert records.decode((tmp_path / "releases.json").read_bytes(), "x") == table
    # paths of this machine are in no file, wherever a message came from
    folder = "/home/me/.venv/lib/python3.11/site-packages/tiny.py"
    package = table.packages[0]
    cells = [msgspec.structs.replace(c, verdict="error", message=f"x ({folder})") for c in package.owners[0].cells]
    owners = [msgspec.structs.replace(package.owners[0], cells=cells)]
    table = msgspec.structs.replace(table, packages=[msgspec.structs.replace(package, owners=owners)])
    page.write(table, result, tmp_path, "dropcheck field tiny:layer --releases 5 --out x")
    for name in ("README.md", "index.html", "releases.json"):
        text_ = (tmp_path / name).read_text()
        assert "/home/me" not in text_ and "site-packages/tiny.py" in text_, name
    made = (tmp_path / "index.html").read_text()
    assert "<b>fail</b>" not in made and "&lt;b&gt;fail&lt;/b&gt;" in made
    assert "new in 1.2.0" in made and "new in 1.2.0" in (tmp_path / "README.md").read_text()
    with pytest.raises(ResultError, match="x: "):
        records.decode(b'{"schema": "dropcheck.releases/1"}', "x")


def test_a_script_shows_the_failure_in_one_release_and_nothing_in_the_one_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = World(monkeypatch, single(lambda release: "fail" if release >= Version("1.2.1") else "pass"))
    table, result = world.survey()
    asked: list[tuple[str, str]] = []

    def by_script(result: Result, python: Any, limit: float, before: Any) -> Any:
        def confirm(some: Any, path: Path) -> dict[str, Confirmation]:
            path.parent.mkdir(exist_ok=True)
            path.write_text("script")
            asked.append((some[0].target, path.name))
            return {f.dtype: Confirmation(f"scripts/{path.name}", True, "expected 0.3; observed 0.36") for f in some}

        return confirm

    def told(target: TargetResult, script: str, arguments: Any, python: Any, limit: float) -> Any:
        asked.append((target.target, script))
        return confirming.NotConfirmed(script, "observed: nothing", ran=True)

    monkeypatch.setattr(confirming.confirming, "by_script", by_script)
    monkeypatch.setattr(confirming.reproduction, "told", told)
    found = line(confirming.confirmed(table, result, tmp_path, 10.0, lambda text: None))
    assert (found.shown, found.silent, found.doubtful) == ("1.4.3", "1.2.0", False)
    assert asked == [
        ("tiny:layer with tiny==1.4.3 installed", "tiny-layer-rate.marginal.py"),
        ("tiny:layer with tiny==1.2.0 installed", "script"),
    ]
    assert json.loads((tmp_path / "confirmations.json").read_text())[0]["confirmed"] is True
    monkeypatch.setattr(confirming.reproduction, "told", lambda *_: confirming.NotConfirmed("", "no module", ran=False))
    assert line(confirming.confirmed(table, result, tmp_path, 10.0, lambda text: None)).silent == ""


def test_final_releases_of_the_last_series_one_build_each() -> None:
    some = [
        Version(v) for v in ("1.9.0", "1.10.0rc1", "1.10.1", "1.10.0", "2.0.0.dev1", "1.9.1+cpu", "1.9.1", "1.9.1+cu1")
    ]
    assert [str(v) for v in released.final(some)] == ["1.9.0", "1.9.1", "1.10.0", "1.10.1"]
    assert [str(v) for v in released.final(some, "1.8.0+cpu")] == ["1.9.0", "1.9.1+cpu", "1.10.0", "1.10.1"]
    last = released.last_of_series(released.final(some), 3)
    assert [str(v) for v in last] == ["1.9.1", "1.10.1"]
    tiny = [Version(f"0.0.{n}") for n in range(14, 18)]
    assert released.last_of_series(tiny, 3) == tiny[1:], "where the first two numbers are 0, each release is a series"


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    brings = {
        "mlx": ["mlx"],
        "mlx-cpu": ["mlx"],
        "mlx-other": ["mlx"],
        "tensorflow_cpu": ["tensorflow"],
        "keras": ["keras"],
    }
    has = {"mlx": "0.32.4", "mlx-cpu": "0.32.4", "mlx-other": "3", "tensorflow_cpu": "2.21.0", "keras": "3.15.1"}
    monkeypatch.setattr(released, "_modules", lambda: brings)
    monkeypatch.setattr(released, "version", has.__getitem__)
    yield


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    "target, package",
    [
        ("keras.SpatialDropout1D@jax", Package("keras", (), "3.15.1")),
        ("tensorflow.spatial_dropout1d", Package("tensorflow-cpu", (), "2.21.0")),
        # parts of one package move together; what bears another release is no part
        ("mlx.Dropout2d", Package("mlx", ("mlx-cpu",), "0.32.4")),
        ("my_layers.drop:Layer", Package("my-layers")),
    ],
)
def test_a_target_has_its_package(target: str, package: Package) -> None:
    from dropcheck.plan import targets

    assert released.package_of(targets.parse(target)) == package
    assert package.requirements(Version("1.0"))[-1] == "installed"


@pytest.mark.parametrize(
    "words_, says",
    [
        (
            ("keras.SpatialDropout1D", "--releases", "0"),
            "--releases takes 2 or more, so that there is something to compare, not 0",
        ),
        (("keras.SpatialDropou1D", "--releases", "3"), "there is no implementation 'keras.SpatialDropou1D'"),
        (("custom.reference", "--releases", "3"), "custom.reference comes from no package with releases"),
        (("tinydrop:layer with tinydrop==1", "--releases", "3"), "names its environment already"),
        (("tinydrop:layer", "--releases", "3", "--from", "x.json"), "--from audits nothing"),
        (("tinydrop:layer", "--releases", "3", "--profile", "quik"), "there is no profile 'quik'"),
        (("tinydrop:layer", "--package", "keras"), "--package belongs to --releases N"),
        (("tinydrop:layer", "--with", "keras==3.11.3"), "--with belongs to --releases N"),
        (("tinydrop:layer", "--releases", "3", "--with", "keras=3"), "is no requirement"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_sentence(
    words_: tuple[str, ...], says: str, call: Any, tmp_path: Path
) -> None:
    done = call("field", *words_, "--out", "o", PIP_NO_INDEX="1", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.code == 2 and says in done.err, done.err
    assert not (tmp_path / "o" / "index.html").exists()


def _index(folder: Path) -> None:
    """Five series of one package: rate.marginal fails since 1.2.1, invalid rates are rejected since 1.1.1, 1.3.0 lacks a part."""
    folder.mkdir()
    for name in ("1.0.0", "1.1.0", "1.1.1", "1.2.0", "1.2.1", "1.3.0", "1.4.0"):
        version = Version(name)
        source = releases.SOURCE.replace("@WRONG@", str(version >= Version("1.2.1")))
        if version < Version("1.1.1"):
            source = source.replace("not 0 <= rate <= 1", "False")
        releases.wheel(folder, name, source, requires="nothing-of-this-name" if name == "1.3.0" else "")


@pytest.mark.long
def test_a_survey_that_is_killed_goes_on_and_says_the_same(run: Any, tmp_path: Path) -> None:
    _index(tmp_path / "index")
    variables = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "index"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    words_ = [
        "field",
        "tinydrop:layer",
        "--releases",
        "5",
        "--select",
        "rate.marginal,rate.rejects-invalid",
        "--jobs",
        "1",
    ]
    environment = {**os.environ, **variables}
    killed = subprocess.Popen(
        [sys.executable, "-m", "dropcheck", *words_, "--out", "o"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert killed.stderr is not None
    # the first target is finished, a later one is not
    next(text for text in killed.stderr if "starting" in text)
    next(text for text in killed.stderr if "starting" in text)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stderr.close()
    assert [p.name for p in (tmp_path / "o").iterdir() if not p.name.startswith("journal")] == []
    resumed = run(*words_, "--out", "o", "--resume", **variables)
    assert resumed.err.count("with tinydrop==1.0.0 installed: starting") == 0
    whole = run(*words_, "--out", "whole", **variables)
    assert resumed.code == whole.code == 1
    tables = [records.decode((tmp_path / o / "releases.json").read_bytes(), o) for o in ("o", "whole")]
    assert tables[0].packages == tables[1].packages
    found = {one.check: one for one in tables[0].packages[0].lines if one.word != "keeps"}
    assert {c: (one.word, one.changes[0].since, one.changes[0].before) for c, one in found.items()} == {
        "rate.marginal": ("new", ["1.2.1"], "1.2.0"),
        "rate.rejects-invalid": ("gone", ["1.1.1"], "1.1.0"),
    }
    marginal = found["rate.marginal"]
    assert (marginal.shown, marginal.silent) == ("1.4.0", "1.2.0")
    column = next(c for c in tables[0].packages[0].columns if c.release == "1.3.0")
    assert column.why == "tinydrop 1.3.0 does not install: No matching distribution found for nothing-of-this-name"
    assert not list((tmp_path / "o").glob("journal*"))
    offline = run(*words_, "--out", "offline", PIP_NO_INDEX="1", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert offline.code == 2 and "pip lists no releases of 'tinydrop'" in offline.err
