"""Claims as pytest items: from the decorator and from ``pytest --dropcheck``, alone and over the workers of xdist."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import dropcheck
from dropcheck.contract.errors import UsageError

pytest_plugins = ["pytester"]

LAYERS = Path(__file__).parents[1] / "kits" / "layers_of_a_user.py"
CASE = "float32 rate=0.3 64,32,3 calls=20"
CLAIMS = ("mask.distinct-samples", "rate.zero", "rate.one")

DECORATED = f"""
import dropcheck
import layers_of_a_user as user

def shared_by_design(target):
    return {{"mask": "one mask a batch, see issue 12"}} if target is user.shares else {{}}

@dropcheck.parametrize_with_checks(
    [user.right, user.shares, "layers_of_a_user.py:right"],
    expected_failures=shared_by_design, select={CLAIMS}, cases="{CASE}", dtypes="float32", causes=False,
)
def test_dropout(target, check):
    check(target)
"""


@pytest.fixture(scope="module", autouse=True)
def _everything_is_loaded() -> None:
    """A run inside of this process forgets what it imports first, and NumPy and SciPy cannot be imported twice."""
    with pytest.raises(AssertionError):
        dropcheck.check("broken.one-mask-per-batch", select=CLAIMS, cases=CASE, dtypes="float32")
    import scipy.stats  # noqa: F401


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with the layers of a user; it counts the audits that are really made, in every process."""
    # another file of this process may have imported its neighbour of that name
    monkeypatch.delitem(sys.modules, "layers_of_a_user", raising=False)
    pytester.makepyfile(layers_of_a_user=LAYERS.read_text())
    pytester.makeconftest("""
        import os, pathlib
        from dropcheck.auditing import run as auditing
        run = auditing.run
        def counted(request, progress=None):
            with open(pathlib.Path(__file__).with_name("audits.txt"), "a") as file:
                file.write(f"{os.getpid()} {request.targets[0].name} {','.join(request.select)}\\n")
            return run(request, progress)
        auditing.run = counted
        def pytest_unconfigure():
            auditing.run = run
    """)
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(pytester.path)
    return pytester


def audits(project: pytest.Pytester) -> list[str]:
    file = project.path / "audits.txt"
    return [line.partition(" ")[2] for line in file.read_text().splitlines()] if file.is_file() else []


def test_a_decorated_test_has_one_item_a_target_and_check_and_one_audit_a_target(project: pytest.Pytester) -> None:
    project.makepyfile(test_mine=DECORATED)
    ran = project.runpytest_inprocess("-rA", "-p", "no:cacheprovider")
    ran.assert_outcomes(passed=8, xfailed=1)
    ran.stdout.fnmatch_lines(
        [
            "PASSED test_mine.py::test_dropout[[]right-mask.distinct-samples[]]",
            "PASSED test_mine.py::test_dropout[[]layers_of_a_user.py:right-rate.one[]]",
            "XFAIL test_mine.py::test_dropout[[]shares-mask.distinct-samples[]] - one mask a batch, see issue 12",
        ]
    )
    assert [line.split()[0] for line in audits(project)] == [
        "layers_of_a_user.py:right",
        "layers_of_a_user.py:shares",
        "layers_of_a_user.py:right",
    ]


def test_what_is_not_selected_is_not_audited(project: pytest.Pytester) -> None:
    project.makepyfile(test_mine=DECORATED)
    project.runpytest_inprocess("-k", "shares-rate.zero").assert_outcomes(passed=1, deselected=8)
    assert audits(project) == ["layers_of_a_user.py:shares rate.zero"]


def test_failures_speak_for_themselves_and_a_surprising_pass_is_told(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_mine=f"""
        import dropcheck, pytest
        import layers_of_a_user as user

        def raises(x, rate, *, training, rng):
            raise RuntimeError("no such kernel")

        few = dict(cases="{CASE}", dtypes="float32", causes=False, select="mask.distinct-samples")

        @dropcheck.parametrize_with_checks([user.shares, raises], **few)
        def test_bad(target, check):
            check(target)

        @dropcheck.parametrize_with_checks([user.right], expected_failures={{"mask": "old"}}, strict=True, **few)
        def test_strict(target, check):
            check(target)

        @dropcheck.parametrize_with_checks([user.right], expected_failures={{"mask": "old"}}, strict=False, **few)
        def test_lenient(target, check):
            check(target)

        @dropcheck.parametrize_with_checks([raises], expected_failures={{"mask": "old"}}, **few)
        def test_an_error_is_no_expected_failure(target, check):
            check(target)

        @dropcheck.parametrize_with_checks([user.right], **{{**few, "cases": "float32 rate=0.3 8,8,3 calls=2",
                                                             "select": ["rate.marginal"]}})
        def test_unsure(target, check):
            check(target)

        @dropcheck.parametrize_with_checks([user.right], select="gradient.mask", dtypes="float32")
        def test_no_such_thing(target, check):
            check(target)
        """
    )
    ran = project.runpytest_inprocess("-rA")
    ran.assert_outcomes(failed=5, skipped=1, xpassed=1)
    ran.stdout.fnmatch_lines_random(
        [
            "E *dropcheck.Broken: in call 0, sample *",
            "*rerun     dropcheck audit layers_of_a_user.py:shares --select mask.distinct-samples --case '"
            + CASE
            + "'",
            "*RuntimeError: no such kernel*",
            "[[]XPASS(strict)[]] old",
            "*needs more samples*",
            "FAILED test_mine.py::test_bad[[]shares-mask.distinct-samples[]] - in call 0*",
            "SKIPPED *test_mine.py*: *gradient*",
        ]
    )


def test_what_fails_below_the_level_is_a_warning_and_a_level_can_be_expected(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_mine=f"""
        import dropcheck
        import layers_of_a_user as user

        def shares_and_careless(x, rate, *, training, rng):
            return user.shares(x, min(max(rate, 0.0), 1.0) if rate == rate else 0.5, training=training, rng=rng)

        few = dict(cases="{CASE}", dtypes="float32", causes=False, select="mask.distinct-samples,rate.rejects-invalid")
        both = [user.careless, shares_and_careless]

        @dropcheck.parametrize_with_checks(both, fail_on="defect", **few)
        def test_below(target, check):
            check(target)

        @dropcheck.parametrize_with_checks(both, expected_failures={{"edge": "issue 12"}}, **few)
        def test_expected(target, check):
            check(target)
        """
    )
    ran = project.runpytest_inprocess("-rA")
    outcomes = ran.parseoutcomes()  # frameworks may warn when they are imported first
    assert {k: outcomes[k] for k in ("passed", "failed", "xfailed")} == {"passed": 4, "failed": 2, "xfailed": 2}
    assert sum("Tolerated: " in line for line in ran.outlines) == 2
    ran.stdout.fnmatch_lines_random(
        [
            "*Tolerated: *careless: edge cases fail (rate.rejects-invalid); they do not count with fail_on='defect'",
            "XFAIL test_mine.py::test_expected[[]careless-rate.rejects-invalid[]] - issue 12",
            "FAILED test_mine.py::test_below[[]shares_and_careless-mask.distinct-samples[]]*",
            "FAILED test_mine.py::test_expected[[]shares_and_careless-mask.distinct-samples[]]*",
        ]
    )
    words = ("--dropcheck", "layers_of_a_user.py:careless", "--dropcheck-select", "rate.rejects-invalid")
    project.runpytest_inprocess(*words).assert_outcomes(failed=1)
    below = project.runpytest_inprocess(*words, "--dropcheck-fail-on", "defect")
    below.assert_outcomes(passed=1)  # pytest may warn of modules that it finds imported
    assert sum("Tolerated: " in line for line in below.outlines) == 1
    refused = project.runpytest_inprocess(*words, "--dropcheck-fail-on", "edges")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*--fail-on takes defect, edge or trait, not 'edges'; the nearest is 'edge'"])


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("'torch.Dropout1d'", "takes a list of targets, not 'torch.Dropout1d'; write ['torch.Dropout1d']"),
        ("['torch.Dropuot1d']", "the nearest is 'torch.Dropout1d'"),
        ("[print], expected_failures={'mask.distinct-smaples': 'x'}", "the nearest is 'mask.distinct-samples'"),
        ("[print], expected_failures={'mask': ''}", "gives no reason for 'mask'"),
        ("[print], expected_failures={'defect': 'x'}", "name the checks of a defect"),
        ("[print], fail_on='trai'", "the nearest is 'trait'"),
        ("[print], slect='mask'", "the nearest is 'select'"),
    ],
)
def test_a_decorator_that_cannot_be_is_one_sentence(written: str, sentence: str) -> None:
    with pytest.raises(UsageError) as told:
        eval(f"dropcheck.parametrize_with_checks({written})", {"dropcheck": dropcheck})
    assert sentence in str(told.value)


def test_targets_are_collected_without_a_test_file(project: pytest.Pytester) -> None:
    project.makepyfile(test_other="def test_other(): pass")
    few = ("--dropcheck-select", ",".join(CLAIMS), "--dropcheck", "layers_of_a_user.py:right")
    listed = project.runpytest_inprocess("--collect-only", "-q", *few)
    listed.stdout.fnmatch_lines([f"layers_of_a_user.py:right::{name}" for name in CLAIMS])
    listed.stdout.no_fnmatch_line("*test_other*")
    assert not audits(project), "listing audits nothing"
    beside = project.runpytest_inprocess("--collect-only", "-q", "test_other.py", *few)
    beside.stdout.fnmatch_lines(["layers_of_a_user.py:right::rate.one", "test_other.py::test_other"])
    project.makeini(f"[pytest]\naddopts = {' '.join(few)}\n")
    of_the_project = project.runpytest_inprocess("--collect-only", "-q")
    of_the_project.stdout.fnmatch_lines(["layers_of_a_user.py:right::rate.one", "test_other.py::test_other"])


def test_targets_obey_k_and_x_and_are_written_to_junit_xml(project: pytest.Pytester) -> None:
    words = (
        "--dropcheck",
        "layers_of_a_user.py:careless",
        "--dropcheck-select",
        "rate.zero,rate.one,rate.rejects-invalid",
    )
    ran = project.runpytest_inprocess(*words, "--dropcheck-seed", "7", "-x", "--junitxml=j.xml", "-k", "invalid or one")
    ran.assert_outcomes(failed=1, passed=1, deselected=1)
    ran.stdout.fnmatch_lines(
        [
            "*layers_of_a_user.py:careless: *1 edge case to fix (invalid rates).",
            "*rerun     dropcheck audit layers_of_a_user.py:careless --select rate.rejects-invalid --seed 7",
            "FAILED layers_of_a_user.py:careless::rate.rejects-invalid - invalid rates are*",
        ]
    )
    ran.stdout.no_fnmatch_line("*Traceback*")
    passed, failed = ElementTree.parse(project.path / "j.xml").iter("testcase")
    assert (failed.get("classname"), failed.get("name")) == ("layers_of_a_user.py:careless", "rate.rejects-invalid")
    assert "rejects-invalid" in (failed[0].text or "") and not len(passed)


def test_workers_of_xdist_share_one_audit_a_target(project: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    project.makepyfile(test_mine=DECORATED)
    words = ("test_mine.py", "--dropcheck", "layers_of_a_user.py:shares", "--dropcheck-select", "rate.zero,rate.one")
    ran = project.runpytest_subprocess("-n", "2", *words)
    ran.assert_outcomes(passed=10, xfailed=1)
    made = audits(project)
    assert len(made) == len(set(made)) == 3, "of a name and of the object of that name there is one audit, too"
    workers = {line.partition(" ")[0] for line in (project.path / "audits.txt").read_text().splitlines()}
    assert 1 <= len(workers) <= 2


def test_a_run_that_asks_for_no_audit_loads_nothing_of_ours_and_makes_no_folder(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("xdist")
    seen = "[n for n in ('msgspec', 'dropcheck.shared_audits', 'dropcheck.pytest_claims') if n in sys.modules]"
    pytester.makeconftest(f"""
        import os, pathlib, sys
        def pytest_unconfigure(config):
            plugin = "dropcheck.pytest_plugin" in sys.modules
            with open(pathlib.Path(__file__).with_name("loaded.txt"), "a") as file:
                file.write(f"{{plugin}} {{{seen}}} {{sorted(os.listdir({str(tmp_path)!r}))}}\\n")
    """)
    pytester.makepyfile("def test_of_somebody_else(): pass")
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    pytester.runpytest_subprocess("-n", "1").assert_outcomes(passed=1)
    told = pytester.path.joinpath("loaded.txt").read_text().splitlines()
    assert len(told) == 2  # the controller and its worker
    assert set(told) == {"True [] []"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--dropcheck", "layers_of_a_user.py:rihgt"], "has no attribute 'rihgt'; the nearest is 'right'"),
        (["--dropcheck", "layers_of_a_usr.py:right"], "there is no file layers_of_a_usr.py; the nearest is"),
        (["--dropcheck", "torch.Dropuot1d"], "the nearest is 'torch.Dropout1d'"),
        (["--dropcheck", "torch.Dropout1d", "--dropcheck-profile", "quik"], "the nearest is 'quick'"),
        (["--dropcheck", "torch.Dropout1d", "--dropcheck-seed", "seven"], "takes a whole number"),
        (["--dropcheck", "torch.Dropout1d", "--dropcheck-seed", "fresh"], "--dropcheck-seed takes a number"),
        (["--dropcheck", "torch.Dropout1d", "--dropcheck-select", "mask.distinct-smaples"], "the nearest is"),
        (["--dropcheck-select", "mask"], "name a target with --dropcheck"),
    ],
)
def test_bad_options_are_a_usage_error_of_pytest(project: pytest.Pytester, words: list[str], sentence: str) -> None:
    ran = project.runpytest_inprocess(*words)
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    (told,) = [line for line in ran.errlines if line.strip()]
    assert told.startswith("ERROR: ") and sentence in told


def test_patterns_of_the_projects_file_hold_for_targets_and_decorated_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(mine="def drop(x, rate, *, training, rng): ...")
    pytester.makefile(
        ".toml", dropcheck='version = 1\ndtypes = ["float32"]\n[patterns]\n"mine.py:drop" = "n l c -> n c"\n'
    )
    words = ("--collect-only", "-p", "no:xdist", "--dropcheck", "mine.py:drop", "--dropcheck-select", "rate.one")
    items, _ = pytester.inline_genitems(*words)
    assert [item.claim.audit.options["pattern"] for item in items] == ["n l c -> n c"]
    given = ("--dropcheck-pattern", "n c l -> n c")
    items, _ = pytester.inline_genitems(*words, *given)
    assert [item.claim.audit.options["pattern"] for item in items] == ["n c l -> n c"]

    pytester.runpytest(*words).stdout.fnmatch_lines(
        ["dropcheck.toml sets: dtypes = float32; patterns = n l c -> n c (mine.py:drop)"]
    )
    pytester.runpytest(*words, *given).stdout.fnmatch_lines(["dropcheck.toml sets: dtypes = float32"])

    mark = dropcheck.parametrize_with_checks(["mine.py:drop"], select="rate.one").mark
    (parameter,) = mark.args[1]
    assert parameter.values[1].audit.options["pattern"] == "n l c -> n c"
