"""What is written where a file stands already: links, devices, a reader that has gone, a folder that is none."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dropcheck.gate.decision import failed
from dropcheck.gate.formats import github
from dropcheck.results.audit import write_atomically


def test_the_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text("old")
    link.symlink_to(real)
    write_atomically(link, b"new")
    assert link.is_symlink() and real.read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, b"told")
    assert os.read(reader, 10) == b"told" and stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)


@pytest.mark.parametrize("words", [["list", "--checks"], ["explain", "rate.marginal"]])
def test_a_reader_that_has_gone_is_no_broken_claim(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "dropcheck", *words], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_a_summary_that_cannot_be_written_leaves_the_decision(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "such" / "folder"))
    github.write_summary(failed("nothing could be decided"))
    assert "the job summary" in capsys.readouterr().err


def test_a_file_and_a_folder_of_one_name_are_refused_in_a_sentence(call: Any) -> None:
    done = call("audit", "custom.reference", "--select", "rate.zero", "--json", "x.json", "--out", "x.json")
    assert done.code == 2 and "x.json" in done.err
