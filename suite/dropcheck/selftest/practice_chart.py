"""The chart of the comparison: defects caught against seconds spent, one labelled point a battery."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropcheck.selftest.practice import Comparison, Score

TITLE = "Planted defects caught against seconds spent"


def figure(comparison: Comparison, ours: Score | None = None) -> str:
    """SVG text, black on white, seconds of one run on one layer on a log axis; Matplotlib is imported here and only here.

    A filled point never accused a correct layer in these runs; an open one did, in the share that stands beside its name.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    scores = [s for s in [*comparison.scores, *([ours] if ours is not None else [])] if s.seconds_a_layer > 0]
    total = len(comparison.layers)
    # text stays text, so that it can be searched and read aloud; a fixed salt gives the same file for the same numbers
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dropcheck", "font.size": 9}):
        drawing = Figure(figsize=(8.4, 5.2), facecolor="white", layout="constrained")
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
        _label(axes, scores, total)
        if scores:
            times = [s.seconds_a_layer for s in scores]
            axes.set_xlim(min(times) / 2, max(times) * 12)  # room for the names right of the points
        stream = io.StringIO()
        drawing.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Title": TITLE})
    return _described(stream.getvalue(), scores, total)


def _label(axes: Any, scores: list[Score], total: int) -> None:
    """Names right of the points, moved apart vertically where they would overlap."""
    gap, last = 0.042 * max(total, 1), -1e9
    for one in sorted(scores, key=lambda s: (len(s.caught), s.seconds_a_layer)):
        height = max(float(len(one.caught)), last + gap)
        last = height
        share = f", accuses {one.accusations / one.correct_runs:.1%}" if one.accusations else ""
        axes.annotate(
            f"{one.battery} ({len(one.caught)}{share})",
            xy=(one.seconds_a_layer, len(one.caught)),
            xytext=(one.seconds_a_layer * 1.2, height),
            va="center",
            color="black",
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.5},
        )


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
