"""Help in groups, whole sentences, examples that the command itself takes, and the scripts of completion."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import typer

from dropcheck import cli
from dropcheck.commands import help_text
from dropcheck.commands.audit_rows import AuditCommand


def commands() -> Any:
    return typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def test_every_command_stands_in_one_group_with_a_whole_sentence(call: Any) -> None:
    assert sorted(cli.COMMANDS) == sorted(commands())
    shown = " ".join(call("--help", COLUMNS="80").out.split())
    for name, command in commands().items():
        assert f"{name} {help_text.sentence(command.help)}" in shown
        assert help_text.sentence(command.help).endswith(".")


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_options_of_audit_stand_in_groups_and_no_line_is_too_long(call: Any, columns: str) -> None:
    text = call("audit", "--help", COLUMNS=columns).out
    headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == [f"{name}:" for name in (*AuditCommand.examples, "Help")]
    assert max(map(len, text.splitlines())) <= 80 and text.count("...") == 2  # of the usage, and of the modes


def test_each_example_is_a_command_line_that_audit_takes() -> None:
    known = {word for one in commands()["audit"].params for word in one.opts}
    for example in AuditCommand.examples.values():
        words = shlex.split(example)
        assert words[:2] == ["dropcheck", "audit"]
        assert {word for word in words if word.startswith("--")} <= known, example


def test_a_shell_is_given_its_script_of_completion(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    done = call("--show-completion", "bash")
    assert done.code == 0 and "_DROPCHECK_COMPLETE" in done.out


def test_names_of_targets_and_checks_are_completed() -> None:
    from dropcheck.commands import options

    assert "torch.Dropout1d" in options.complete_target("torch.Drop")
    assert {"rate", "rate.zero"} <= set(options.complete_check("rate")) and not options.complete_check("x")
