"""The chart of the comparison: defects caught against seconds spent, one labelled point a battery."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropcheck.results.selftest import Comparison, Score

TITLE = "Planted defects caught against seconds spent"


def figure(comparison: Comparison, ours: Score | None = None) -> str:
    """SVG text, black on white, seconds of one run on one layer on a log axis; Matplotlib is imported here and only here.

    A filled point never accused a correct layer in these runs; an open one did, in the share that stands beside its
    name. Every point has the number of a name on the right.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    scores = [s for s in [*comparison.scores, *([ours] if ours is not None else [])] if s.seconds_a_layer > 0]
    total = len(comparison.layers)
    # text stays text, so that it can be searched and read aloud; a fixed salt gives the same file for the same numbers
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dropcheck", "font.size": 9}):
        drawing = Figure(figsize=(9.6, 4.8), facecolor="white", layout="constrained")
        FigureCanvasSVG(drawing)
        axes = drawing.add_subplot()
        axes.set_xscale("log")
        axes.set_xlabel("seconds for one layer (median of one run)")
        axes.set_ylabel(f"defects caught in every run, of {total}")
        axes.set_ylim(-0.04 * max(total, 1), 1.09 * max(total, 1))
        axes.grid(True, color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(TITLE, loc="left", color="black")
        for one in scores:
            fill = "white" if one.accusations else "black"
            axes.plot(one.seconds_a_layer, len(one.caught), "o", color="black", markerfacecolor=fill, markersize=6)
        _label(axes, scores)
        stream = io.StringIO()
        drawing.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Title": TITLE})
    return _described(stream.getvalue(), scores, total)


def _label(axes: Any, scores: list[Score]) -> None:
    """A number beside each point, and the names by number in a column on the right, best first."""
    lines = []
    for number, one in enumerate(sorted(scores, key=lambda s: (-len(s.caught), s.seconds_a_layer)), 1):
        place = (one.seconds_a_layer, len(one.caught))
        # alternating sides keep the numbers of neighbouring points apart
        offset = (5, 4) if number % 2 else (-5, -10)
        axes.annotate(
            str(number),
            xy=place,
            xytext=offset,
            textcoords="offset points",
            ha="left" if number % 2 else "right",
            color="black",
        )
        share = f", accuses {one.accusations / one.correct_runs:.1%}" if one.accusations else ""
        lines.append(f"{number:>2}  {one.battery} ({len(one.caught)}{share})")
    axes.text(1.02, 1.0, "\n".join(lines), transform=axes.transAxes, va="top", linespacing=1.7, color="black")


def _described(svg: str, scores: list[Score], total: int) -> str:
    """The SVG with a title and a description as its first elements, for screen readers."""
    rows = "; ".join(
        f"{s.battery}: {len(s.caught)} of {total} in {s.seconds_a_layer:.2g} s, "
        f"{s.accusations} accusations in {s.correct_runs} runs of correct layers"
        for s in scores
    )
    words = f"<title>{_safe(TITLE)}</title>\n<desc>{_safe(rows)}</desc>\n"
    start = svg.index(">", svg.index("<svg")) + 1
    opening = svg[:start].replace("<svg", '<svg role="img"', 1)
    return f"{opening}\n{words}{svg[start:]}"


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
