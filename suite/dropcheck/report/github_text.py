"""Words from outside as GitHub's Markdown shows them: as they are, never as markup, mention, reference or link."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dropcheck.results import plain_text

GAP = "&#x200B;"  # no width: what it parts is no mention, reference, link or emoji any more
_MARKUP = re.compile(r"([\\`*_\[\]~])")
_STARTS = re.compile(r"^(\s*)([-+#=]|&gt;|\d+[.)])")
# what GitHub links or draws in the finished text, whatever Markdown made of it: gaps go between the groups
_LINKED = (
    re.compile(r"(@)(?=\w)"),
    re.compile(r"(#)(?=\d)"),
    re.compile(r"(?i)\b(GH)(?=-\d)"),
    re.compile(r"(?i)\b(https?|ftp|mailto|www)(?=[:.])"),
    re.compile(r"(:)(?=[a-z0-9_+-]+:)"),
)


def prose(text: str, most: int = 600) -> str:
    """Text on one line, fit for a paragraph and for a cell of a table."""
    shown = _MARKUP.sub(r"\\\1", _escaped(plain_text.line(text, most)))
    return _STARTS.sub(lambda m: m.group(1) + GAP + m.group(2), _unlinked(shown))


def plain(text: str, most: int = 160) -> str:
    """Text on one line between HTML tags, where Markdown is not read."""
    return _unlinked(_escaped(plain_text.line(text, most)))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unlinked(text: str) -> str:
    for pattern in _LINKED:
        text = pattern.sub(r"\1" + GAP, text)
    return text.replace("$", "<span>$</span>")


def code(text: str, most: int = 400) -> str:
    """Text on one line as code, in which nothing is linked."""
    shown = plain_text.line(text, most).strip()
    # a backslash before a pipe cannot be kept in a cell of a table
    return _fenced(shown.replace("\\|", "\\¦")) if shown else ""


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest or text.startswith(" ") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def block(lines: Sequence[str]) -> list[str]:
    """Lines as a block of code that they cannot end themselves."""
    shown = [plain_text.line(text, 2000) for text in lines]
    longest = max((len(run) for text in shown for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *shown, fence]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """A table of cells that are fit for it; columns in ``right`` stand to the right."""
    rule = ["---:" if i in right else "---" for i in range(len(head))]
    shown = [[text.replace("|", r"\|") for text in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in ([*head], rule, *shown)]


def details(summary: str, body: Sequence[str]) -> list[str]:
    """A part that is folded until it is asked for. ``summary`` is HTML: made by ``plain`` and ``tagged``."""
    return ["<details>", f"<summary>{summary}</summary>", "", *body, "", "</details>"]


def tagged(text: str, most: int = 300) -> str:
    """Text on one line as code between HTML tags."""
    shown = _escaped(plain_text.line(text, most))
    return f"<code>{shown}</code>" if shown else ""
