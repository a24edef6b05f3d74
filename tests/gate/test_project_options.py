"""A project's policy file serves ``audit``: its options hold beneath those of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dropcheck.gate import project_options
from dropcheck.gate.policy import PolicyError

PATTERNED = 'version = 1\ntargets = ["a", "b"]\n[patterns]\na = "n l c -> n c"\n'


def of(folder: Path, text: str) -> project_options.ProjectOptions:
    (folder / "dropcheck.toml").write_text(text)
    return project_options.read(folder)


def test_only_what_the_file_says_is_an_option(tmp_path: Path) -> None:
    assert project_options.read(tmp_path) == project_options.ProjectOptions()
    assert of(tmp_path, "version = 1\n").options == {}
    found = of(tmp_path, 'version = 1\npreset = "strict"\ndevices = ["cuda", "cpu"]\nignore = ["rate.one"]\n')
    assert found.options == {"profile": "standard", "device": "cuda", "ignore": ("rate.one",), "strict": True}
    assert of(tmp_path, 'version = 1\nfail_on = "defect"\n').options == {"fail_on": "defect"}


def test_an_audit_has_one_pattern(tmp_path: Path) -> None:
    found = of(tmp_path, PATTERNED)
    assert found.pattern(["a"]) == "n l c -> n c" and found.pattern(["b"]) is None
    with pytest.raises(PolicyError, match=r"dropcheck.toml:3: .*a: n l c -> n c, b: none"):
        found.pattern(["a", "b"])


@pytest.fixture
def asked(call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The request that the command makes of words, in a folder with a file; nothing runs."""
    from dropcheck.auditing import run as auditing

    class Asked(Exception):
        pass

    def go(text: str, *words: str, file: str = "dropcheck.toml") -> Any:
        (tmp_path / file).write_text(text)
        seen: list[Any] = []

        def run(request: Any, told: Any = None) -> None:
            seen.append(request)
            raise Asked

        monkeypatch.setattr(auditing, "run", run)
        done = call("audit", *words)
        return (seen[0] if seen else None), done

    return go


def test_the_command_line_comes_before_the_file(asked: Any) -> None:
    text = 'version = 1\ntargets = ["torch.Dropout1d"]\nprofile = "standard"\nignore = ["rate.one"]\n'
    request, done = asked(text)
    assert (request.targets, request.profile, request.ignore) == (("torch.Dropout1d",), "standard", ("rate.one",))
    assert done.out == "dropcheck.toml sets: targets = torch.Dropout1d; profile = standard; ignore = rate.one\n"
    request, _ = asked(text, "custom.reference", "--profile", "quick", "--select", "rate.one")
    assert (request.targets, request.profile, request.ignore) == (("custom.reference",), "quick", ())
    assert request.select == ("rate.one",)
    _, done = asked(text, "custom.reference", "--format", "json", "--select", "mask")
    assert (done.out, done.err.splitlines()[0]) == ("", "dropcheck.toml sets: profile = standard")
    assert not asked('version = 1\nprofile = "quick"\n', "custom.reference")[1].out, "it changes nothing"
    request, done = asked(text, "--all")
    assert request.targets == () and request.profile == "standard"


def test_a_project_file_serves_too_and_a_typo_is_named_with_its_line(asked: Any) -> None:
    request, _ = asked('[tool.dropcheck]\nversion = 1\nprofile = "deep"\n', "a.b:C", file="pyproject.toml")
    assert request.profile == "deep"
    request, done = asked('[tool.dropcheck]\nversion = 1\nprofil = "deep"\n', "a.b:C", file="pyproject.toml")
    assert request is None and done.code == 2 and "pyproject.toml:3" in done.err
    assert "the nearest is 'profile'" in done.err


def test_pytest_has_the_options_beneath_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dropcheck

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dropcheck.toml").write_text(
        'version = 1\nchecks = ["rate"]\nignore = ["rate.one"]\nprofile = "deep"\n'
    )
    claims = [one.values[1] for one in dropcheck.parametrize_with_checks(["custom.reference"]).args[1]]
    names = {claim.name for claim in claims}
    assert "rate.marginal" in names and "rate.one" not in names and all(name.startswith("rate.") for name in names)
    assert claims[0].audit.options["profile"] == "deep"
    mine = dropcheck.parametrize_with_checks(["custom.reference"], select="rate.one", profile="quick").args[1]
    assert [one.values[1].name for one in mine] == ["rate.one"]
    assert mine[0].values[1].audit.options["profile"] == "quick"


def test_without_a_target_nothing_is_audited(asked: Any) -> None:
    request, done = asked("version = 1\n")
    assert request is None and done.code == 2 and "--all" in done.err and "default layers" in done.err
    request, done = asked("version = 1\n", "--all", "custom.reference")
    assert request is None and done.code == 2 and "leave out custom.reference" in done.err
