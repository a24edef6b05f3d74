"""Installing under watch: pip is ended before it downloads too much, and what its owners took back is noticed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dropcheck.contract import requirements
from dropcheck.plan import installing, overlays
from dropcheck.plan.installing import BuildError, TooLarge

WORDS = ("torch==2.15.0", "installed")


def program(*lines: str, then: str = "") -> list[str]:
    """A program that says these lines, as pip does."""
    return [sys.executable, "-S", "-c", f"for text in {lines!r}: print(text, flush=True)\n{then}"]


def test_pip_is_ended_with_its_children_before_it_installs_more_than_it_may(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    (tmp_path / "local-1.0.whl").write_bytes(bytes(2_000_000))
    child = f"import os,time; os.fork() or [open({str(mark)!r}, 'w').write(str(os.getpid())), time.sleep(60)]; time.sleep(60)"
    lines = (
        "  Downloading torch-2.15.0-cp311.whl.metadata (29 kB)",
        f"Processing {tmp_path}/local-1.0.whl",
        "Using cached triton-4.0.whl (188.5 MB)",
        "Downloading https://host.example/torch-2.15.0-cp311.whl (888.1 MB)",
    )
    with pytest.raises(TooLarge) as caught:
        installing.watched(program(*lines, then=child), WORDS, sys.executable, 500.0)
    assert str(caught.value) == (
        "the environment with torch==2.15.0 installed was not built: 1,079 MB or more to install (torch 888 MB and triton "
        "188 MB), and 500 MB are allowed"
    )
    if mark.exists() and mark.read_text():
        with pytest.raises(ProcessLookupError):
            os.kill(int(mark.read_text()), 0)


def test_what_is_allowed_runs_to_its_end_and_failures_are_told_in_pips_words() -> None:
    said = installing.watched(program("Downloading a-1.whl (499.9 MB)", "done"), WORDS, sys.executable, 500.0)
    assert said.endswith("done")
    with pytest.raises(BuildError, match="pip says:\n    ERROR: no"):
        installing.watched(program("ERROR: no", then="raise SystemExit(1)"), WORDS, sys.executable, 500.0)


def test_a_yanked_release_is_noticed_with_its_reason() -> None:
    said = (
        "WARNING: The candidate selected for download or install is a yanked version: 'tiny' candidate (version 1.0 at "
        "https://host.example/tiny-1.0.whl)\nReason for being yanked: broken on Mondays\nInstalling\n"
        "WARNING: The candidate selected for download or install is a yanked version: 'other' candidate (version 2 at x)\n"
        "Reason for being yanked: <none given>"
    )
    assert installing.yanked(said) == {"tiny 1.0": "broken on Mondays", "other 2": ""}
    assert installing.yanked("Successfully installed tiny-1.0") == {}


def test_an_environment_sees_through_to_the_packages_of_an_interpreter(tmp_path: Path) -> None:
    own = tmp_path / "lib" / "python3.11" / "site-packages"
    own.mkdir(parents=True)
    overlays.see_through(tmp_path, sys.executable)
    lines = (own / "over.pth").read_text().splitlines()
    assert lines and all(line.startswith("import site; site.addsitedir('/") for line in lines)
    assert overlays.installed(tmp_path) == {}
    (own / "tiny-1.0.dist-info").mkdir()
    (own / "tiny-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    assert overlays.installed(tmp_path) == {"tiny": "1.0"}


def test_installed_stands_beside_requirements_and_releases_are_asked_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from dropcheck.contract.cases import Case, parse_case
    from dropcheck.count.units import Unit
    from dropcheck.plan import targets

    assert requirements.read("keras==3.11.3 installed") == ("keras==3.11.3", "installed")
    case: Case = parse_case("float32 rate=0.3 8,8,4 calls=64")
    unit, name = Unit(case, 0, 64), "custom.reference"
    over = targets.parse(name).in_environment(("keras==3.11.3", "installed")).name
    assert over == "custom.reference with keras==3.11.3 installed"
    assert unit.seed(1, over) == unit.seed(1, name) != unit.seed(1, "custom.other")
