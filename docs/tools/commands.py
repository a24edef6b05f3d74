"""Files and commands in the documents: what a page shows is what the commands print.

A fenced block with a title is a file of the page's folder (```python title="mine.py"). A ```console block holds commands
(`$ dropcheck ...`) and what they print. A line `...` stands for any number of lines that are left out. A comment above a
block says how it is run:

    <!-- run: long -->          takes more than a few seconds: run by `make test-long` and `python docs/tools/refresh.py`
    <!-- not run: REASON -->    needs what a test does not have, such as a GPU; nothing checks it
    <!-- files: FOLDER -->      the page begins with the files of this folder of the repository
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
WIDTH = "90"  # columns of the terminal that the documents show
CUT = "..."

_FENCE = re.compile(r"^(\s*)```(\w*)(.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_COMMENT = re.compile(r"^\s*<!-- (run|not run|files): (.+?) -->\s*$")


@dataclass(frozen=True)
class Command:
    """One command of a console block, what the page says that it prints, and the lines of the page that say so."""

    words: str
    expected: list[str]
    first: int  # index of the first line of the output, in the page
    last: int  # one behind its last line


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the name of its file, its lines, how it is run, and where it begins (from 1)."""

    language: str
    title: str
    lines: list[str]
    how: str
    line: int
    commands: list[Command] = field(default_factory=list)


def pages() -> list[Path]:
    """Every document whose commands are run: README.md, docs/ and the examples."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "examples").rglob("README.md"))]


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    found: list[Block] = []
    lines = text.splitlines()
    how, number = "", 0
    while number < len(lines):
        comment, fence = _COMMENT.match(lines[number]), _FENCE.match(lines[number])
        if comment and comment[1] != "files":
            how = f"{comment[1]}: {comment[2]}"
        elif fence:
            end = number + 1
            while lines[end].strip() != "```":
                end += 1
            title = _TITLE.search(fence[3])
            body = lines[number + 1 : end]
            language = fence[2]
            found.append(
                Block(
                    language,
                    title[1] if title else "",
                    body,
                    how,
                    number + 1,
                    list(_commands(body, number + 1)) if language == "console" else [],
                )
            )
            how, number = "", end
        elif lines[number].strip():
            how = ""
        number += 1
    return found


def folders(text: str) -> list[str]:
    """The folders of the repository whose files a page begins with."""
    return [m[2] for line in text.splitlines() if (m := _COMMENT.match(line)) and m[1] == "files"]


def _commands(body: list[str], offset: int) -> Iterator[Command]:
    starts = [i for i, line in enumerate(body) if line.startswith("$ ")]
    for i, following in zip(starts, [*starts[1:], len(body)], strict=True):
        words, last = body[i][2:], i
        while words.endswith("\\"):
            last += 1
            words = words[:-1] + body[last].strip()
        yield Command(words, body[last + 1 : following], offset + last + 1, offset + following)


@dataclass
class Folder:
    """The folder that the commands of one page run in, and the exit code of the last one."""

    path: Path
    code: int = 0

    def write(self, block: Block) -> None:
        """The file that a block shows."""
        place = self.path / block.title
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("\n".join(block.lines) + "\n")

    def run(self, command: str) -> str:
        """What a command prints. Raises ValueError for a command that the documents do not use."""
        if command == "echo $?":
            return f"{self.code}\n"
        words = shlex.split(command)
        if words[0] == "cat":
            return (self.path / words[1]).read_text()
        if words[0] == "dropcheck":
            return self._dropcheck(words[1:])
        if words[0] in ("python", "pytest"):
            return self._process(words)
        raise ValueError(f"{command!r}: a document shows dropcheck, python, pytest, cat and echo $?")

    def _dropcheck(self, words: list[str]) -> str:
        from dropcheck import cli

        out, err = io.StringIO(), io.StringIO()
        loaded = set(sys.modules)
        with _environment(self.path), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            before, sys.argv = sys.argv, ["dropcheck", *words]
            try:
                self.code = cli.main(words)
            finally:
                sys.argv = before
        for name in set(sys.modules) - loaded:  # files of this page; another has others of the same names
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(self.path)):
                del sys.modules[name]
        return err.getvalue() if self.code == 2 else out.getvalue()

    def _process(self, words: list[str]) -> str:
        with _environment(self.path):
            start = (
                [sys.executable] if words[0] == "python" else [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
            )
            done = subprocess.run([*start, *words[1:]], capture_output=True, text=True, timeout=600)
        self.code = done.returncode
        return done.stdout or done.stderr


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[None]:
    before, old = os.getcwd(), dict(os.environ)
    os.environ.update(NO_COLOR="1", COLUMNS=WIDTH, OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(old)


def begin(page: Path, text: str, folder: Path) -> Folder:
    """The folder of a page before its first block."""
    for name in folders(text):
        shutil.copytree(
            ROOT / name, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "README.md")
        )
    return Folder(folder)


# what differs between two runs or two machines: times, releases, days, numbers of processes
_DIFFERS = (
    (re.compile(r"\d{4}-\d\d-\d\d(T[\d:+.]+)?"), "DAY"),
    (re.compile(r"\b(\w[\w-]*)(==| )v?\d+(\.\d+)+[\w.+]*"), r"\1\2RELEASE"),
    (re.compile(r"\b\d[\d.,]* ?(s|ms|min|h|hours?)\b"), "TIME"),
    (re.compile(r"[─━═]{3,}|-{3,}|={3,}"), "RULE"),
    (re.compile(r"[ \t]+"), " "),
)


def plain(line: str) -> str:
    """A line without what differs between runs."""
    for pattern, word in _DIFFERS:
        line = pattern.sub(word, line)
    return line.strip()


def _parts(lines: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == CUT:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def same(expected: list[str], printed: list[str]) -> bool:
    """Whether a page shows what was printed: line by line, with anything where it says ``...``."""
    shown = [[plain(line) for line in part if line.strip()] for part in _parts(expected)]
    real = [plain(line) for line in printed if line.strip()]
    if len(shown) == 1:
        return shown[0] == real
    first, *middle, last = shown
    if real[: len(first)] != first or (last and real[-len(last) :] != last):
        return False
    place, end = len(first), len(real) - len(last)
    for part in middle:
        while place + len(part) <= end and real[place : place + len(part)] != part:
            place += 1
        if place + len(part) > end:
            return False
        place += len(part)
    return place <= end


def renewed(expected: list[str], printed: list[str]) -> list[str] | None:
    """What the page is to show: as many lines from the beginning and from the end as before. None: it must be cut by hand."""
    real = [line.rstrip() for line in printed]
    while real and not real[-1]:
        real.pop()
    parts = _parts(expected)
    if len(parts) == 1:
        return real
    if len(parts) > 2:
        return None
    head, tail = len(parts[0]), len(parts[1])
    if head + tail >= len(real):
        return real
    return [*real[:head], CUT, *(real[-tail:] if tail else [])]
