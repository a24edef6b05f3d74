"""``dropcheck init``: a policy that the gate reads, also with every comment taken as a line of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dropcheck.commands import init
from dropcheck.gate import decoding

LAYER = "class ChannelDrop:\n    def forward(self, x): ...\n"


def test_the_policy_names_the_layers_of_the_folder_and_is_read_by_the_gate(call: Any, tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text(LAYER)
    done = call("init")
    assert done.code == 0 and "1 target" in done.out and "layers.py:ChannelDrop" in done.out
    assert decoding.load(tmp_path / "dropcheck.toml").policy.targets == ("layers.py:ChannelDrop",)


def test_what_cannot_be_audited_is_named_and_left_out(call: Any, tmp_path: Path) -> None:
    base = "class DropBase:\n    def forward(self, x):\n        raise NotImplementedError\n"
    (tmp_path / "layers.py").write_text(LAYER + base)
    done = call("init")
    assert done.code == 0 and "1 target:" in done.out
    assert "layers.py:DropBase: a base class: forward raises NotImplementedError" in done.out
    assert decoding.load(tmp_path / "dropcheck.toml").policy.targets == ("layers.py:ChannelDrop",)


def test_a_file_that_is_there_is_kept_unless_forced(call: Any, tmp_path: Path) -> None:
    (tmp_path / "dropcheck.toml").write_text("version = 1\n")
    done = call("init")
    assert done.code == 2 and "exists already" in done.err and "--force" in done.err
    assert (tmp_path / "dropcheck.toml").read_text() == "version = 1\n"
    assert call("init", "--force").code == 0
    assert len((tmp_path / "dropcheck.toml").read_text()) > 500


def test_a_second_policy_beside_a_project_is_refused(call: Any, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.dropcheck]\nversion = 1\n")
    done = call("init", "--force")
    assert done.code == 2 and "pyproject.toml has [tool.dropcheck] already" in done.err
    assert not (tmp_path / "dropcheck.toml").exists()


def test_every_comment_that_is_a_setting_is_one_that_the_gate_takes() -> None:
    lines = init.text(["a.py:B"], "2999-01-31").splitlines()
    whole = "\n".join(line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in lines)
    policy = decoding.decode(whole, "dropcheck.toml").policy
    assert policy.checks and policy.patterns and policy.speed and policy.waiver and policy.dtypes


def test_without_a_layer_the_example_stays_a_comment() -> None:
    assert decoding.decode(init.text([], "2999-01-31"), "dropcheck.toml").policy.targets == ()
