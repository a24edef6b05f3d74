"""dropcheck gate as a release engineer meets it: the sample project in every format, stored results, start-up, kill -9."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from kits.gate import FILE, ROOT, SOURCE, TARGET, XSD, audit, bench, failing, finding
from lxml import etree
from ruamel.yaml import YAML

from dropcheck import cli
from dropcheck.gate import decision as decisions
from dropcheck.gate import ratchet
from dropcheck.gate.formats.register import FORMATS
from dropcheck.results import audit as results
from dropcheck.results import bench as records

PROJECT = ROOT / "tests" / "projects"
LARGE = "float32 rate=0.3 257,64,4 calls=96"  # its coins resolve what the ratchet is told
CODES = {"good": 0, "defect": 1, "damaged": 2, "absent": 3}


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, Path]]:
    """The sample project, gated as in a fresh clone: exit code, standard output, and the folder that was written."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    made = {}
    for name in CODES:
        words = ["gate", "--policy", f"{name}.toml", "--out", name, "--jobs", "1"]
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as here, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            here.chdir(folder)
            here.setattr(sys, "argv", ["dropcheck", *words])
            code = cli.main(words)
        assert "Traceback" not in err.getvalue()
        made[name] = (code, out.getvalue(), folder / name)
    return made


@pytest.mark.parametrize("name", CODES)
@pytest.mark.skipif(importlib.util.find_spec("paddle") is not None, reason="the absent framework is installed here")
def test_the_sample_project_is_gated_and_every_format_says_the_same(gated: Any, name: str) -> None:
    code, _, out = gated[name]
    assert code == CODES[name]
    stored = decisions.decode((out / "gate.json").read_bytes(), "gate.json")
    assert stored.exit_code == code
    jsonschema.validate(json.loads((out / "gate.json").read_text()), decisions.schema())
    tree = etree.parse(str(out / "gate.xml"))
    etree.XMLSchema(etree.parse(str(XSD))).assertValid(tree)
    assert bool(tree.findall(".//failure")) == (code == 1) and bool(tree.findall(".//error")) == (code in (2, 3))
    assert json.loads((out / "gate.sarif").read_text())["runs"][0]["invocations"][0]["exitCode"] == code
    assert f"exit code {code}" in (out / "gate.txt").read_text()
    assert f"exit code {code}" in (out / "gate.md").read_text()


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("fmt", FORMATS)
def test_stored_results_give_the_same_exit_code_in_every_format(
    gated: Any, name: str, fmt: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = gated[name][2]
    monkeypatch.chdir(folder.parent)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    given = ["--from", f"{name}/audit.json"] if name != "damaged" else ["--from", "good/audit.json"]
    assert cli.main(["gate", "--policy", f"{name}.toml", *given, "--format", fmt]) == CODES[name]
    told = capsys.readouterr()
    if fmt != "text" or name != "damaged":
        assert told.out
    if name == "damaged":
        assert told.err == "dropcheck: damaged.toml:4: there is no key 'check'; the nearest is 'checks'\n"


def test_the_planted_defect_is_told_with_the_policy_line_and_the_way_on(gated: Any) -> None:
    _, out, _ = gated["defect"]
    assert out.startswith("Gate failed: 1 required check of layers.py:tied fails (1 defect).")
    for part in (
        "mask.distinct-channels",
        "defect.toml:4: checks = ",
        "dropcheck audit layers.py:tied",
        "dropcheck waive mask.",
    ):
        assert part in out


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with a policy and two stored audits, one that passes and one that fails."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "dropcheck.toml").write_text(f'version = 1 # ours\ntargets = ["{TARGET}"]\n')
    (tmp_path / "mine.py").write_bytes(FILE)
    results.save(audit(source=SOURCE), tmp_path / "good.json")
    results.save(failing(source=SOURCE), tmp_path / "bad.json")
    return tmp_path


def test_a_policy_is_found_dumped_and_overruled(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gate", "--from", "bad.json"]) == 1
    assert cli.main(["gate", "--from", "bad.json", "--select", "mask"]) == 0
    assert cli.main(["gate", "--from", "bad.json", "--set", "tolerances.rate.marginal=0.5"]) == 0
    assert cli.main(["gate", "--from", "good.json", "other"]) == 3
    capsys.readouterr()
    assert cli.main(["gate", "--dump-config", "--profile", "deep", "--set", "on_missing=fail"]) == 0
    told = capsys.readouterr().out
    assert (
        "# --profile" in told
        and "# --set on_missing" in told
        and "# dropcheck.toml:2" in told
        and "# preset default" in told
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--format", "jnuit"], "there is no format 'jnuit'; expected one of text, json, junit"),
        (["--set", "alpha"], "--set takes a key and a value such as speed.max_ratio=1.1, not 'alpha'"),
        (["--set", "alfa=1"], "--set alfa: there is no key 'alfa'; the nearest is 'alpha'"),
        (["--policy", "none.toml"], "cannot read the policy none.toml: No such file or directory"),
        (["--from", "none.json"], "cannot read the result none.json: No such file or directory"),
        (["--from", "dropcheck.toml"], "dropcheck.toml is damaged at line 1"),
        (["--update-ratchet", "--from", "good.json"], "--update-ratchet needs the name of the file in the policy"),
        (["--profil", "deep"], "there is no option '--profil'; the nearest is '--profile'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert cli.main(["gate", *words]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"dropcheck: {sentence}") and len(told.err.splitlines()) == 1


def test_a_gate_that_selects_nothing_is_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "dropcheck.toml").unlink()
    assert cli.main(["gate"]) == 3
    assert (
        "No targets: there is no dropcheck.toml here. Name a target (`dropcheck gate mine.py:MyDropout`)"
        in " ".join(capsys.readouterr().out.split())
    )


def test_audits_and_benches_are_told_apart_by_their_content(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records.save(bench(900.0, spread=0.002), folder / "bench.json")
    results.save(audit(target="torch.Dropout1d"), folder / "torch.json")
    (folder / "dropcheck.toml").write_text(
        'version = 1\ntargets = ["torch.Dropout1d"]\n[speed]\nreference = "custom.reference"\nmax_ratio = 1.1\n'
        'cells = ["64,256,1024"]\n'
    )
    assert cli.main(["gate", "--from", "bench.json", "--from", "torch.json"]) == 0
    assert cli.main(["gate", "--from", "torch.json"]) == 3
    assert cli.main(["gate", "--from", "torch.json", "--from", "bench.json", "--set", "speed.max_ratio=0.5"]) == 1


def test_a_layer_whose_file_is_gone_or_was_edited_does_not_pass(folder: Path) -> None:
    assert cli.main(["gate", "--from", "good.json"]) == 0
    (folder / "mine.py").write_bytes(FILE + b"\n")
    assert cli.main(["gate", "--from", "good.json"]) == 3
    (folder / "mine.py").unlink()
    assert cli.main(["gate", "--from", "good.json"]) == 3
    (folder / "dropcheck.toml").write_text("version = 1\n")
    assert cli.main(["gate", "--from", "good.json"]) == 3


def test_the_summary_is_added_to_the_file_that_github_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "summary.md").write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    assert cli.main(["gate", "--from", "bad.json", "--format", "github"]) == 1
    text = (folder / "summary.md").read_text()
    assert text.startswith("before\n## dropcheck gate: Gate failed: 1 required check of mine.py:Drop fails (1 defect).")


def test_the_steps_of_the_action_run_the_gate(folder: Path) -> None:
    step = YAML(typ="safe").load((ROOT / "action.yml").read_text())["runs"]["steps"][1]
    assert set(step["env"]) == {"POLICY", "TARGETS", "RESULTS", "OUT"}
    for given, code in (("good.json", 0), ("bad.json", 1), ("good.json bad.json", 1)):
        environment = {
            **os.environ,
            "POLICY": "",
            "TARGETS": "",
            "RESULTS": given,
            "OUT": "out dir",
            "GITHUB_OUTPUT": "o.txt",
        }
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]], env=environment, capture_output=True, text=True, cwd=folder
        )
        assert done.returncode == code, done.stderr
        assert (folder / "o.txt").read_text().splitlines()[-2:] == [f"code={code}", "out=out dir"]
        assert (folder / "out dir" / "gate.sarif").exists()


def test_a_waiver_is_told_with_its_name_and_where_it_was_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["waive", "rate.marginal", "mine.py:*", "--reason", "known", "--expires", "2099-01-01"]
    assert cli.main(words) == 0
    told = capsys.readouterr().out.splitlines()
    assert re.fullmatch("rate-marginal-[0-9a-f]{6}: rate.marginal of mine.py:\\* is waived until 2099-01-01", told[0])
    assert told[1].startswith("Written to dropcheck.toml.")
    assert cli.main(words) == 0 and capsys.readouterr().out == "1 waiver is there already, as it is.\n"
    assert cli.main(["gate", "--from", "bad.json"]) == 0


def test_adopting_the_present_state_lets_a_project_gate_today(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["waive", "--from", "bad.json", "--expires", "2099-01-01"]) == 0
    assert cli.main(["gate", "--from", "bad.json"]) == 0
    assert "waived until 2099-01-01" in capsys.readouterr().out
    assert (folder / "dropcheck.toml").read_text().startswith("version = 1 # ours\n")
    assert cli.main(["waive", "--from", "good.json", "--expires", "2099-01-01"]) == 0
    assert "there is nothing to waive" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rate.marginal"], "a waiver needs --expires DATE"),
        (["rate.marginal", "--expires", "2099-01-01"], "waive takes a check and a target"),
        (
            ["rate.margnal", "a", "--expires", "2099-01-01"],
            "there is no check 'rate.margnal'; the nearest is 'rate.marginal'",
        ),
        (["rate.marginal", "a", "--expires", "2099-01-01"], "a waiver needs --reason TEXT"),
        (["rate.marginal", "a", "--expires", "soon"], "--expires takes a date such as 2027-01-31, not 'soon'"),
        (["rate.marginal", "a", "--reason", "r", "--expires", "2020-01-01"], "--expires 2020-01-01 has passed already"),
        (["rate.marginal", "a", "--reason", "r", "--expires", "2099-01-01", "--mode", "jitt"], "dropcheck.toml:"),
        (
            ["rate.marginal", "--from", "bad.json", "--expires", "2099-01-01"],
            "--from waives whatever fails in a result",
        ),
    ],
)
def test_a_waiver_that_cannot_be_written_is_one_sentence_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    before = (folder / "dropcheck.toml").read_text()
    assert cli.main(["waive", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"dropcheck: {sentence}") and len(told.splitlines()) == 1
    assert (folder / "dropcheck.toml").read_text() == before


def test_a_ratchet_is_made_kept_and_refused_in_ci(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / "dropcheck.toml").open("a") as stream:
        stream.write('ratchet = "ratchet.json"\n')
    fine = audit(finding("rate.marginal", "pass", LARGE, resolution=0.01, coins=1_579_008), source=SOURCE)
    results.save(fine, folder / "fine.json")
    results.save(
        audit(finding("rate.marginal", "pass", LARGE, resolution=0.02, coins=1_579_008), source=SOURCE),
        folder / "coarse.json",
    )
    assert cli.main(["gate", "--from", "fine.json"]) == 3  # no figure of this machine yet
    monkeypatch.setenv("CI", "true")
    assert cli.main(["gate", "--from", "fine.json", "--update-ratchet"]) == 2
    assert not (folder / "ratchet.json").exists()
    monkeypatch.setenv("CI", "")
    assert cli.main(["gate", "--from", "fine.json", "--update-ratchet"]) == 0
    before = (folder / "ratchet.json").read_bytes()
    assert cli.main(["gate", "--from", "fine.json"]) == 0
    assert cli.main(["gate", "--from", "coarse.json", "--update-ratchet"]) == 1
    assert (folder / "ratchet.json").read_bytes() == before


HEAVY = (
    "torch",
    "keras",
    "tensorflow",
    "jax",
    "flax",
    "equinox",
    "haiku",
    "mlx",
    "onnx",
    "onnxruntime",
    "scipy",
    "pandas",
)


def test_a_gate_keeps_what_it_rests_on_in_a_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dropcheck.results.history import stores

    monkeypatch.chdir(tmp_path)
    results.save(audit(), tmp_path / "audit.json")
    records.save(bench(), tmp_path / "bench.json")
    for told in ("added", "this very result is kept there already"):
        assert cli.main(["gate", "--from", "audit.json", "--from", "bench.json", "--history", "kept"]) in (0, 1, 3)
        assert capsys.readouterr().err.count(f"History kept: {told}") == 2
    assert len(stores.at("kept").entries()) == 2
    assert cli.main(["gate", "--from", "audit.json", "--history", "oracle://x", "--format", "json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["exit_code"] == 2 and "oracle" in said.err


@pytest.mark.parametrize("words", [["--help"], ["gate", "--help"], ["gate", "--from", "bad.json"], ["waive", "--help"]])
def test_help_and_a_gate_on_stored_results_load_no_framework(folder: Path, words: list[str]) -> None:
    # a stored result is computed again before it decides, which takes SciPy
    heavy = [name for name in HEAVY if name != "scipy" or "--from" not in words]
    script = (
        "import sys\nfrom dropcheck.cli import main\ncode = main(sys.argv[1:])\n"
        f"print('LOADED', [m for m in {heavy!r} if m in sys.modules], code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=folder, timeout=120
    )
    assert done.stdout.splitlines()[-1] == f"LOADED [] {1 if '--from' in words else 0}", done.stderr


KILLED = """
import os, signal, sys
from scipy import stats  # all forks have it
from dropcheck.cli import main
import dropcheck.commands.gate, dropcheck.commands.waive, dropcheck.judge.recomputing

def killed(at):
    seen = [0]
    def hook(event, arguments):
        # every step of a replaced file: the new one is opened, its mode is set, it takes the old one's place
        if event in ("tempfile.mkstemp", "os.chmod", "os.rename"):
            seen[0] += 1
            if seen[0] == at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os._exit(main(sys.argv[1:]))

for line in sys.stdin:  # a process of its own for each number, with all that is imported
    child = os.fork()
    if child == 0:
        killed(int(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.parametrize("kind", ["waive", "gate"])
def test_a_command_that_is_killed_at_any_step_leaves_every_file_whole(folder: Path, kind: str) -> None:
    with (folder / "dropcheck.toml").open("a") as stream:
        stream.write('ratchet = "ratchet.json"\n')
    results.save(
        audit(finding("rate.marginal", "pass", LARGE, resolution=0.01, coins=1_579_008), source=SOURCE),
        folder / "fine.json",
    )
    old = {
        "dropcheck.toml": (folder / "dropcheck.toml").read_bytes(),
        "ratchet.json": b'{"machines": {"m": {"resolution | a | b": 1.0}}}',
        "gate.json": b"old",
        "gate.xml": b"old",
    }
    words = {
        "waive": ["waive", "rate.one", "a", "--reason", "r", "--expires", "2099-01-01"],
        "gate": ["gate", "--from", "fine.json", "--update-ratchet", "--json", "gate.json", "--junit", "gate.xml"],
    }[kind]
    new: dict[str, bytes] = {}
    ends = set()
    command, pipe = [sys.executable, "-c", KILLED, *words], subprocess.PIPE
    parent = subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, text=True)
    assert parent.stdin is not None and parent.stdout is not None
    for at in (0, *range(1, 30)):  # 0: never killed, to know what the new files are
        for name, data in old.items():
            (folder / name).write_bytes(data)
        parent.stdin.write(f"{at}\n")
        parent.stdin.flush()
        code = int(parent.stdout.readline())
        ends.add(code)
        found = {name: (folder / name).read_bytes() for name in old}
        new = new or found
        for name in old:
            assert found[name] in (old[name], new[name]), f"{name} is neither old nor new after step {at}"
        if at and code != -signal.SIGKILL:
            break
    parent.communicate()
    assert ends == {0, -signal.SIGKILL}
    assert ratchet.load(folder / "ratchet.json").machines["m"]
    assert new["dropcheck.toml"] != old["dropcheck.toml"] if kind == "waive" else new["gate.json"] != b"old"
