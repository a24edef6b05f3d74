"""Environments of other releases: audited side by side, built once, whole or not at all, and told in names and commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dropcheck.contract import requirements
from dropcheck.contract.errors import UsageError
from dropcheck.plan import release_environments, targets
from dropcheck.plan.request import AuditRequest, prepare

sys.path.insert(0, str(Path(__file__).parents[1] / "kits"))
from kits import releases


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables that send pip to a folder of wheels and dropcheck to a cache of its own."""
    folder = tmp_path_factory.mktemp("index")
    releases.numpy_wheel(folder)
    for version, wrong in (("1.0", "False"), ("1.1", "True")):
        releases.wheel(folder, version, releases.SOURCE.replace("@WRONG@", wrong))
    releases.wheel(folder, "1.2", "", requires="nothing-of-this-name")
    cache = tmp_path_factory.mktemp("cache")
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "XDG_CACHE_HOME": str(cache)}


@pytest.fixture
def here(index: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same variables in this process."""
    for name, value in index.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "text, words",
    [
        ("torch==2.4.1", ("torch==2.4.1",)),
        ("keras==3.5.0 jax==0.10.2", ("keras==3.5.0", "jax==0.10.2")),
        ("keras==3.5.0, jax == 0.10.2", ("keras==3.5.0", "jax==0.10.2")),
        ("numpy>=1.26,<2 torch", ("numpy>=1.26,<2", "torch")),
        ("jax[cpu,k8s]==0.4,flax", ("jax[cpu,k8s]==0.4", "flax")),
        ("a @ file:///x/a.whl b", ("a@file:///x/a.whl", "b")),
    ],
)
def test_requirements_of_one_environment_are_split_and_whole_ones_stay(text: str, words: tuple[str, ...]) -> None:
    assert requirements.read(text) == words


@pytest.mark.parametrize("text, says", [("torch=2.4", "no requirement"), ("", "empty")])
def test_what_is_no_requirement_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        requirements.read(text)


def test_an_edited_package_is_another_environment(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    first = requirements.key((str(tmp_path),), "3.11")
    (tmp_path / "a.py").write_text("x = 2")
    assert requirements.key((str(tmp_path),), "3.11") != first
    assert (
        requirements.key(("a", "b"), "3.11")
        == requirements.key(("b", "a"), "3.11")
        != requirements.key(("a", "b"), "3.12")
    )


def test_a_target_names_its_environment_and_is_found_again_by_that_name() -> None:
    request = AuditRequest(
        targets=("custom.reference",),
        releases=("a==1 b==2", "installed"),
        modes=("eager", "jit"),
        select=("rate.zero",),
    )
    names = [t.name for t in prepare(request)[0]]
    assert names == [
        "custom.reference with a==1 b==2",
        "custom.reference",
        "custom.reference@jit with a==1 b==2",
        "custom.reference@jit",
    ]
    again = targets.parse(names[2])
    assert (again.name, again.mode, again.releases) == (names[2], "jit", ("a==1", "b==2"))


@pytest.mark.parametrize(
    "request_, says",
    [
        (AuditRequest(releases=("a==1",)), "name them"),
        (AuditRequest(targets=("custom.reference with a==1",), releases=("b",)), "names its environment already"),
        (AuditRequest(targets=("custom.reference",), releases=("a",), in_process=True), "not in this process"),
    ],
)
def test_what_cannot_be_asked_of_environments_is_refused(request_: AuditRequest, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        prepare(request_)


FEW = ("--dtype", "float32", "--case", "float32 rate=0.3 257,64,4 calls=84")


def test_two_releases_are_audited_side_by_side_and_the_defect_is_in_one(call: Any, index: dict[str, str]) -> None:
    words = ("audit", "tinydrop:layer", "--select", "rate.marginal", *FEW, "--json", "r.json")
    done = call(*words, "--with", "tinydrop==1.0", "--with", "tinydrop==1.1", **index)
    found = {t["target"]: t["verdict"] for t in done.result()["targets"]}
    assert found == {"tinydrop:layer with tinydrop==1.0": "pass", "tinydrop:layer with tinydrop==1.1": "fail"}
    assert done.code == 1
    failed = next(f for t in done.result()["targets"] for f in t["findings"] if f["verdict"] == "fail")
    assert "--with tinydrop==1.1" in failed["replay"]
    import shlex

    again = call(*shlex.split(failed["replay"])[1:], "--json", "again.json", **index)
    (target,) = again.result("again.json")["targets"]
    assert failed["estimate"] in [f["estimate"] for f in target["findings"] if f["verdict"] == "fail"]
    listed = call("environments", **index)
    assert "tinydrop==1.0" in listed.out and "2 environments" in listed.out
    repeated = call("repro", "r.json#1", "--run", **index)
    assert repeated.code == 0 and "confirmed" in repeated.out, repeated.out


def test_an_environment_that_cannot_be_built_is_one_sentence_with_pips_own_lines(
    call: Any, index: dict[str, str]
) -> None:
    done = call("audit", "tinydrop:layer", "--with", "tinydrop==9", **index)
    assert done.code == 2
    assert "the environment with tinydrop==9 could not be built; pip says:\n    ERROR" in done.err
    left = [
        p for p in (Path(index["XDG_CACHE_HOME"]) / "dropcheck" / "environments").iterdir() if p.name.startswith(".")
    ]
    assert not left


@pytest.mark.usefixtures("here")
def test_two_builders_of_one_environment_build_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []
    build = release_environments._build

    def counted(words: tuple[str, ...], base: str, folder: Path, limit_mb: float | None) -> None:
        built.append(folder)
        build(words, base, folder, limit_mb)

    monkeypatch.setattr(release_environments, "_build", counted)
    release_environments.remove("all")
    found: list[release_environments.Environment] = []
    threads = [
        threading.Thread(target=lambda: found.append(release_environments.provide(("tinydrop==1.0",))))
        for _ in range(3)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(built) == 1 and len({e.python for e in found}) == 1
    have = subprocess.run(
        [found[0].python, "-c", "import tinydrop, numpy; print(tinydrop.__version__)"], capture_output=True
    )
    assert have.stdout.strip() == b"1.0"
    assert found[0].packages["tinydrop"] == "1.0" and set(found[0].packages) <= {
        "tinydrop",
        "numpy",
        "pip",
        "setuptools",
    }


def test_a_killed_build_is_never_used(index: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    variables = {**index, "XDG_CACHE_HOME": str(tmp_path)}
    code = "from dropcheck.plan import release_environments as e; e.provide(('tinydrop==1.0',))"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **variables}, start_new_session=True)
    place = tmp_path / "dropcheck" / "environments"
    deadline = time.monotonic() + 60
    while not list(place.glob(".*/lib*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)  # until the build is under way, whatever that takes
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert release_environments.listed() == []
    assert release_environments.provide(("tinydrop==1.0",)).packages["tinydrop"] == "1.0"


@pytest.mark.usefixtures("here")
def test_a_damaged_mark_means_that_the_environment_is_built_again() -> None:
    one = release_environments.provide(("tinydrop==1.0",))
    (one.folder / "dropcheck-environment.json").write_text(json.dumps({"python": "bin/python"}))
    assert one.key not in {e.key for e in release_environments.listed()}
    assert release_environments.provide(("tinydrop==1.0",)).key == one.key


@pytest.mark.usefixtures("here")
def test_what_is_removed_is_gone_and_what_is_not_there_is_refused() -> None:
    one = release_environments.provide(("tinydrop==1.0",))
    assert [e.key for e in release_environments.remove(one.key[:8])] == [one.key]
    with pytest.raises(UsageError, match="no environment"):
        release_environments.remove(one.key)
