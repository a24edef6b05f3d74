"""A comparison as one page of HTML that stands alone, in the style of the report."""

from __future__ import annotations

from dropcheck.report.compare import presenting
from dropcheck.report.compare.records import GLYPHS, Comparison
from dropcheck.report.furniture import furniture
from dropcheck.report.templates import environment
from dropcheck.results import plain_text


def render(found: Comparison) -> str:
    """The page as text. Every value is escaped by the template engine."""
    parts = []
    for word in presenting.SHOWN:
        groups, whole = presenting.groups(found, word), presenting.reasons(found, word)
        if groups or whole:
            parts.append({"word": word, "title": presenting.TITLES[word], "groups": groups, "whole": whole})
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            **furniture(),
            found=found,
            sentences=presenting.sentences(found),
            promise=presenting.promise(found),
            pairs=presenting.pairs(found),
            matrix=presenting.matrix(found),
            releases=presenting.releases(found),
            parts=parts,
            short=presenting.SHORT,
            sign=GLYPHS,
            digits=presenting.digits,
            replay=presenting.replay,
            some=plain_text.some,
            count=plain_text.count,
        )
    )
