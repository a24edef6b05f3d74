"""The template engine of all reports: where templates lie, and the filters that make foreign text harmless."""

from __future__ import annotations

import re
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from dropcheck.report import github_text, sentences
from dropcheck.results import plain_text


def environment(*, html: bool = True) -> Environment:
    """The one environment of pages (every value escaped) and of Markdown (``html=False``: nothing is)."""
    found = Environment(
        loader=PackageLoader("dropcheck", "report"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["clean"] = plain_text.clean
    found.filters["line"] = plain_text.line
    found.filters["case_words"] = sentences.case_words
    found.filters["number"] = plain_text.number
    found.filters["evidence"] = sentences.evidence
    found.filters["known_defect"] = sentences.known_defect
    found.filters["reason"] = sentences.reason
    found.filters["breakable"] = breakable
    found.filters["capital"] = capital
    found.filters["ticks"] = ticks
    found.filters["cell"] = markdown_cell
    found.filters["prose"] = github_text.prose
    found.filters["code"] = github_text.code
    return found


def breakable(name: str) -> Markup:
    """A name that may be broken after dots and colons and before its @, on narrow screens."""
    return Markup(re.sub(r"(\.(?!py:)|:)", r"\1<wbr>", str(escape(name))).replace("@", "<wbr>@"))


def capital(text: str) -> str:
    """A sentence with a capital letter at its beginning, but for a word that is a name of code (``rate=1``, ``x.y``)."""
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() else text


def ticks(text: str) -> Markup:
    """Text in which what stands between backticks is code, everything escaped."""
    parts = str(escape(text)).split("`")
    if len(parts) % 2 == 0:
        return Markup("`").join(map(Markup, parts))
    return Markup("").join(Markup(f"<code>{one}</code>" if i % 2 else one) for i, one in enumerate(parts))


def markdown_cell(text: str, most: int = 400) -> str:
    """Text that stays in its cell of a Markdown table, and is no markup there."""
    return github_text.prose(text, most).replace("|", "\\|")


def source(name: str) -> str:
    """A file that stands in pages as it is."""
    return (files("dropcheck") / "report" / name).read_text(encoding="utf-8")
