"""A result in a notebook: the answer and a compact table of causes, one row a cause, as HTML without style or script."""

from __future__ import annotations

from dropcheck.judge.levels import LEVELS
from dropcheck.report import sentences
from dropcheck.report.furniture import GLYPHS
from dropcheck.report.templates import environment
from dropcheck.results.audit import Result


def table(result: Result, most: int = 20) -> str:
    """The HTML that a ``_repr_html_`` returns; at most ``most`` causes of all targets, worst first, every value escaped."""
    causes = [(target.target, cause) for target in result.targets for cause in sentences.diagnosed(target)]
    causes.sort(key=lambda pair: LEVELS.index(pair[1].level))
    return (
        environment()
        .get_template("notebook.html.j2")
        .render(
            headline=sentences.headline(result),
            causes=causes,
            several=len(result.targets) > 1,
            most=most,
            glyph=GLYPHS,
        )
    )
