"""A journal goes on after a kill: a cut last line is left out; a damaged line and another request's journal are refused."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dropcheck.contract.errors import UsageError
from dropcheck.results.journal import Head, Journal
from dropcheck.selftest import signatures, work


class Line(msgspec.Struct, frozen=True):
    name: str
    value: float


class Wide(Head, frozen=True):
    more: dict[str, int]


ONE, TWO, THREE = Line("a", 1.0), Line("b", 2.5), Line("c", 3.0)


def kept(path: Path, request: str = "x", **options: Any) -> Journal[Head, Line]:
    return Journal(path, Head("test/1", request), Line, "a test", "a test with other options: repeat those", **options)


def begun(path: Path, *lines: Line) -> Path:
    one = kept(path / "j")
    one.begin(())
    for line in lines:
        one.append(line, "the lines before")
    return path / "j"


def test_what_was_appended_and_what_a_new_beginning_keeps_is_read(tmp_path: Path) -> None:
    place = begun(tmp_path, ONE, TWO)
    assert place.read_bytes() == (
        b'{"journal": "test/1", "request": "x"}\n{"name":"a","value":1.0}\n{"name":"b","value":2.5}\n'
    )
    assert kept(place).read() == (Head("test/1", "x"), [ONE, TWO])
    kept(place).begin([TWO])
    kept(place).append(THREE, "the lines before")
    assert kept(place).read() == (Head("test/1", "x"), [TWO, THREE])
    assert kept(tmp_path / "none").read() is None


@pytest.mark.parametrize("cut", range(1, 25))
def test_a_last_line_that_was_cut_is_left_out_wherever_it_was(tmp_path: Path, cut: int) -> None:
    place = begun(tmp_path, ONE, TWO)
    place.write_bytes(place.read_bytes()[:-cut])
    read = kept(place).read()
    assert read is not None and read[1] == ([ONE, TWO] if cut == 1 else [ONE])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: d.replace(b'"a"', b"a"), "is damaged at line 2"),
        (lambda d: d.replace(b'"value":2.5', b'"value":"much"'), "is damaged at line 3"),
        (lambda d: d.replace(b'"a"', b'"\xff"'), "is damaged at line 2"),
        (lambda d: d.replace(b'{"name":"a"', b"[" * 100_000), "is damaged at line 2"),
        (lambda d: b"", "is no journal of a test: nothing to resume; run without --resume"),
        (lambda d: b"{}\n", "is no journal of a test"),
        (lambda d: b"[" * 100_000, "is no journal of a test"),
        (
            lambda d: d.replace(b"test/1", b"test/2"),
            "belongs to a test with other options: repeat those, or run without",
        ),
        (lambda d: d.replace(b'"x"', b'"y"'), "belongs to a test with other options"),
    ],
)
@pytest.mark.parametrize("infinite", [False, True])
def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path: Path, damage: Any, words: str, infinite: bool) -> None:
    place = begun(tmp_path, ONE, TWO)
    place.write_bytes(damage(place.read_bytes()))
    with pytest.raises(UsageError, match=words):
        kept(place, infinite=infinite).read()
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        kept(tmp_path).read()


def test_a_head_may_hold_more_which_is_no_part_of_the_request(tmp_path: Path) -> None:
    one = Journal(tmp_path / "j", Wide("test/1", "x", {}), Line, "a test", "another")
    one.begin([ONE], Wide("test/1", "x", {"a": 1}))
    assert one.read() == (Wide("test/1", "x", {"a": 1}), [ONE])
    kept(tmp_path / "k").begin([])
    with pytest.raises(UsageError, match="is no journal of a test"):
        Journal(tmp_path / "k", Wide("test/1", "x", {}), Line, "a test", "another").read()


def test_a_full_disk_ends_the_journal_with_a_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = begun(tmp_path, ONE)
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_room)
        words = r"the disk is full. It keeps the lines before: make room and repeat the command with --resume$"
        with pytest.raises(UsageError, match=words):
            kept(place).append(TWO, "the lines before")
        with pytest.raises(UsageError, match=r"cannot be written: the disk is full$"):
            kept(place).begin([TWO])
    kept(place).append(THREE, "the lines before")
    assert kept(place).read() == (Head("test/1", "x"), [ONE, THREE])
    place.unlink()
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        kept(place).append(THREE, "the lines before")


def test_numbers_that_are_infinite_or_none_are_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    one = kept(tmp_path / "j", infinite=True)
    one.begin([Line("a", -math.inf), Line("b", math.nan)])
    read = one.read()
    assert read is not None and read[1][0].value == -math.inf and math.isnan(read[1][1].value)


# --- files that were written before there was one module for them -------------------------------------------------------


def test_a_self_test_goes_on_from_a_journal_of_before(tmp_path: Path) -> None:
    items = [work.Item("thresholds/a", "thresholds:events"), work.Item("thresholds/b", "nothing:never")]
    head = json.dumps({"journal": "dropcheck.selftest-journal/1", "request": work.fingerprint(items)}) + "\n"
    done = [json.dumps({"item": i.key, "value": {"x": [1, -math.inf]}, "seconds": 2}) + "\n" for i in items]
    (tmp_path / "j").write_text(head + "".join(done) + '{"item": "thres')
    values, seconds = work.run(items, jobs=1, journal=tmp_path / "j", resume=True)
    assert values == {i.key: {"x": [1, -math.inf]} for i in items} and set(seconds.values()) == {2.0}


def test_a_rebuild_of_signatures_goes_on_from_a_file_without_a_head(tmp_path: Path) -> None:
    (tmp_path / "w").write_text('{"key": "a", "audit": {"error": "no"}}\n{"key": "b", "aud')
    signatures.rebuild([], [1, 2], tmp_path / "w", lambda _: None)
    assert json.loads((tmp_path / "w").read_text()) == {"key": "a", "audit": {"error": "no"}}
    (tmp_path / "w").write_text('{"key": "b", "aud\n{"key": "a", "audit": {"error": "no"}}\n')
    with pytest.raises(UsageError, match="w is damaged at line 1"):
        signatures.rebuild([], [1, 2], tmp_path / "w", lambda _: None)
