"""Packages of npm beside those of pip: read, installed once and whole or not at all, and found again."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dropcheck.contract import node_packages, requirements
from dropcheck.contract.errors import UsageError
from dropcheck.plan import release_environments, targets

# installs what it is given as npm does, and counts its runs; @scope/broken ends half-way
NPM = """#!/bin/sh
echo run >>"$RUNS"
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) folder=$2; shift;;
    @scope/*) name=${1%@*}; mkdir -p "$folder/node_modules/$name"
      [ "$name" = @scope/broken ] && { echo "npm error code E404" >&2; exit 1; }
      printf '{"name": "%s", "version": "%s"}' "$name" "${1##*@}" >"$folder/node_modules/$name/package.json";;
  esac
  shift
done
"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with a line for each run of such an npm; the cache is a new one."""
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(NPM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def test_a_package_of_npm_is_a_name_and_one_version() -> None:
    assert requirements.read("npm:@a/b@1.2.3, numpy>=1,<2") == ("npm:@a/b@1.2.3", "numpy>=1,<2")
    assert node_packages.split("npm:left-pad@1.0.0-rc.1") == ("left-pad", "1.0.0-rc.1")
    for word in ("npm:@a/b", "npm:b@^1.0.0", "npm:b@1", "npm:../b@1.0.0", "npm:b@1.0.0;x"):
        with pytest.raises(UsageError, match=r"no package of npm; expected a name and one version"):
            requirements.read(word)


def test_several_who_ask_at_once_install_once_and_the_target_is_told_the_folder(runs: Path) -> None:
    target = targets.parse("custom.reference with npm:@scope/one@1.0.0 npm:@scope/two@2.0.0")
    found: list[targets.Target] = []
    threads = [threading.Thread(target=lambda: found.append(release_environments.placed(target))) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert runs.read_text() == "run\n" and len({t.environment for t in found}) == 1
    ((name, folder),) = found[0].environment
    assert name == node_packages.VARIABLE and found[0].python == ""
    assert node_packages.place_of("npm:@scope/two@2.0.0") == Path(folder)
    assert node_packages.place_of("npm:@scope/two@2.0.1") is None
    (listed,) = release_environments.listed()
    assert listed.packages == {"@scope/one": "1.0.0", "@scope/two": "2.0.0"}
    release_environments.remove("all")
    assert node_packages.place_of("npm:@scope/two@2.0.0") is None


def test_what_npm_cannot_install_is_one_sentence_and_leaves_nothing(runs: Path) -> None:
    with pytest.raises(release_environments.BuildError) as raised:
        release_environments.provide(("npm:@scope/one@1.0.0", "npm:@scope/broken@1.0.0"))
    assert "could not be built; npm says:\n    npm error code E404" in str(raised.value)
    assert not [p for p in release_environments.cache().iterdir() if p.is_dir()]
    assert node_packages.place_of("npm:@scope/one@1.0.0") is None


def test_a_tree_without_its_mark_is_not_used_and_made_anew(runs: Path) -> None:
    one = release_environments.provide(("npm:@scope/one@1.0.0",))
    (one.folder / node_packages.MARK).unlink()
    assert node_packages.place_of("npm:@scope/one@1.0.0") is None
    assert release_environments.provide(("npm:@scope/one@1.0.0",)).node == one.node
    assert runs.read_text() == "run\nrun\n"


def test_without_npm_that_is_said(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(release_environments.BuildError, match="npm is not installed"):
        release_environments.provide(("npm:@scope/one@1.0.0",))


def test_the_packages_of_a_project_come_first(runs: Path, tmp_path: Path) -> None:
    release_environments.provide(("npm:@scope/one@1.0.0",))
    own = tmp_path / "project" / "node_modules" / "@scope" / "one"
    own.mkdir(parents=True)
    (own / "package.json").write_text('{"version": "0.9.0"}')
    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path / "project")
        assert node_packages.place_of("npm:@scope/one@1.0.0") == tmp_path / "project"
