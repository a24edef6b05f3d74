"""Texts that users read are plain: no banned word, no long sentence, in messages, help, README and documents."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from dropcheck import cli

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "suite" / "dropcheck"
FOLDERS = (
    *("judge", "count", "worker", "contract", "plan", "results"),
    *("statistics", "auditing", "speed", "gate", "commands", "report", "selftest"),
)
# programs that users run, and the words that are replaced
OTHERS = ("examples", "reproduction", "earlier.py")

# what is not written, as a regular expression, and what is written instead
BANNED = {
    r"accus\w+": "fail, report",
    r"obey\w*": "accept, follow",
    r"told": "said, reported",
    r"tells? (\w+ )?apart|apart from each other": "distinguish",
    r"gone on with|went on with": "continued",
    r"mend(s|ed|ing)?": "fix",
    r"(has|have|had) not (a|an|the|any|been)": "has no, is not",
    r"what \w+ \w+ that|that has not": "say the subject",
    r"promis(e|es|ed|ing)": "declare; the contract",
    r"not interpretable": "skipped because ... fails",
    r"planted": "known (defect)",
    r"claims?(?!\.py)": "check",
    r"findings?(?!\[)": "result",
    r"coins?": "drop decision, mask",
    r"words of": "stretches of",
    r"a (rate|scale|mask) of (its|their) own": "a different, its own",
    r"is no probability": "must lie in [0, 1]",
    r"this layer stands": "the layer has the fixed rate",
    r"refus(e|es|ed|al)": "reject",
}
LONGEST = 30  # words of a sentence; most have fewer than 25
# texts that name a key, a field or an option of the outer contract, or that are no sentences
NAMES = {
    "coins of a copy",
    "of the coins drop, expected",  # of earlier results
    "promises takes X, not X",
    "coins follow X, X",  # a key of the self-test
}


def _docstrings(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield id(first.value)


@cache
def templates(place: Path) -> tuple[tuple[int, str], ...]:
    """(line, text) of the texts of a module that have several words; what is filled in reads as X."""
    tree = ast.parse(place.read_text())
    left_out = set(_docstrings(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(value) for value in node.values}
        elif isinstance(node, ast.Dict):
            left_out |= {id(key) for key in node.keys}
    found = []
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(v.value) if isinstance(v, ast.Constant) else "X" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if text.count(" ") > 2 and text not in NAMES and not text.startswith("--audit --blocks"):
            found.append((node.lineno, text))
    return tuple(found)


def sentences(text: str) -> list[str]:
    """Its sentences: what stands between marks, or between lines of a list."""
    return [one for one in re.split(r"(?<=[.:;?!])\s|\n\s*\n|\n\s*[-*|#]", text) if one.strip()]


def wrong(text: str, banned: Iterable[str] = BANNED) -> list[str]:
    """What is not plain in a text, with the plain word."""
    found = [
        f"{m[0]!r} (write: {plain})"
        for word, plain in BANNED.items()
        if word in banned
        for m in re.finditer(rf"\b({word})\b", text, re.I)
    ]
    long = [one for one in sentences(text) if len(one.split()) > LONGEST]
    return found + [f"{len(one.split())} words: {one[:60]}..." for one in long]


def modules() -> list[Path]:
    every = [*SUITE.glob("*.py"), *(p for folder in FOLDERS for p in (SUITE / folder).rglob("*.py"))]
    return sorted(p for p in every if not set(OTHERS) & set(p.parts))


TEMPLATES = ("page", "parts", "notebook", "comparison", "trend", "selftest", "field")


@pytest.mark.parametrize("name", TEMPLATES)
def test_pages_are_plain(name: str) -> None:
    text = (SUITE / "report" / f"{name}.html.j2").read_text()
    shown = re.sub(r"\{%.*?%\}", "", re.sub(r"\{\{.*?\}\}", "X", text, flags=re.S), flags=re.S)
    pieces = [one for one in re.split(r"<[^>]*>", shown) if one.count(" ") > 1]
    labels = re.findall(r'(?:aria-label|title)="([^"]*)"', shown)
    assert len(pieces) + len(labels) > 0
    said = [f"{what} in {one.strip()[:90]!r}" for one in [*pieces, *labels] for what in wrong(one)]
    assert not said, "\n".join(said)


@pytest.mark.parametrize("folder", (*FOLDERS, "."))
def test_messages_are_plain(folder: str) -> None:
    said = [
        f"{place.relative_to(ROOT)}:{line}: {what} in {text[:90]!r}"
        for place in modules()
        if place.parent == SUITE / folder or (folder != "." and place.is_relative_to(SUITE / folder))
        for line, text in templates(place)
        for what in wrong(text)
    ]
    assert not said, "\n".join(said)


# in documents, a glossary says what a coin and a finding are
DOCUMENTS = {word for word in BANNED if not re.match(r"coins|findings|refus|claims|words of|a \(rate|promis", word)}


def prose(markdown: str) -> str:
    """A page without its code, its commands and its links."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", markdown, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "X", text))


def paragraphs(markdown: str) -> list[str]:
    """Its paragraphs, items of lists and cells of tables, each on one line."""
    return [" ".join(one.split()) for one in re.split(r"\n\s*\n|\n(?=\s*[*#|-])|\|", prose(markdown)) if one.strip()]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_documents_are_plain(page: Path) -> None:
    said = [what for text in paragraphs(page.read_text()) for what in wrong(text, DOCUMENTS)]
    assert not said, "\n".join(said)


def test_help_is_plain() -> None:
    said = []
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        texts = [command.help or "", *(str(getattr(one, "help", None) or "") for one in command.params)]
        said += [f"{name}: {what}" for text in texts for one in paragraphs(text) for what in wrong(one, DOCUMENTS)]
    assert not said, "\n".join(said)


@pytest.mark.parametrize(
    "text",
    ["the layer is accused of it", "a rate above 1 is obeyed", "no coin drops here", "word " * 40],
)
def test_what_is_not_plain_is_seen(text: str) -> None:
    assert wrong(text)
