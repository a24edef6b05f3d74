"""The chart of the comparison: defects caught against seconds spent, one numbered point a battery."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dropcheck.results.selftest import Comparison, Score

TITLE = "Known defects detected, by seconds spent"
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 900, 60, 560, 40, 330
_LINE = 19.0  # from one name to the next
_STYLE = "text{font:12px sans-serif;fill:#000}.grid{stroke:#ddd}circle{stroke:#000;fill:#000}.open{fill:#fff}"


def figure(comparison: Comparison, ours: Score | None = None) -> str:
    """SVG text, black on white, for a file of its own: seconds of one run on one layer on a log axis.

    A filled point never accused a correct layer in these runs; an open one did, in the share that stands beside its name.
    Every point has the number of a name on the right, best first.
    """
    scores = [s for s in [*comparison.scores, *([ours] if ours is not None else [])] if s.seconds_a_layer > 0]
    scores.sort(key=lambda s: (-len(s.caught), s.seconds_a_layer))
    total = max(len(comparison.layers), 1)
    logs = [math.log10(s.seconds_a_layer) for s in scores] or [0.0]
    low, high = math.floor(min(logs)), max(math.floor(min(logs)) + 1, math.ceil(max(logs)))

    def across(seconds: float) -> float:
        return _LEFT + (math.log10(seconds) - low) / (high - low) * (_RIGHT - _LEFT)

    def up(caught: float) -> float:
        return _BOTTOM - caught / total * (_BOTTOM - _TOP)

    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if total / s <= 8)
    parts = [_text(_LEFT, 22, TITLE)]
    for exponent in range(low, high + 1):
        x = across(10.0**exponent)
        parts += [_line(x, _TOP, x, _BOTTOM), _text(x, _BOTTOM + 18, f"{10.0**exponent:g}", "middle")]
    for caught in range(0, total + 1, step):
        y = up(caught)
        parts += [_line(_LEFT, y, _RIGHT, y), _text(_LEFT - 8, y + 4, str(caught), "end")]
    middle = (_LEFT + _RIGHT) / 2
    parts.append(_text(middle, _BOTTOM + 40, "seconds for one layer (median of one run)", "middle"))
    turned = Markup('<g transform="rotate(-90 16 {0:.0f})">{1}</g>')
    height = (_TOP + _BOTTOM) / 2
    parts.append(turned.format(height, _text(16, height, f"defects detected in every run, of {total}", "middle")))
    for number, one in enumerate(scores, 1):
        x, y = across(one.seconds_a_layer), up(len(one.caught))
        kind = Markup(' class="open"') if one.accusations else Markup("")
        parts.append(Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4"{}/>').format(x, y, kind))
        # alternating sides keep the numbers of neighbouring points apart
        parts.append(_text(x + 7, y - 5, str(number)) if number % 2 else _text(x - 7, y + 14, str(number), "end"))
        share = f", fails correct layers in {one.accusations / one.correct_runs:.1%}" if one.accusations else ""
        name = f"{number}  {one.battery} ({len(one.caught)}{share})"
        parts.append(_text(_RIGHT + 24, _TOP + _LINE * number - 8, name))
    tall = max(_BOTTOM + 56, _TOP + _LINE * len(scores) + 12)
    whole = Markup(
        '<svg role="img" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1:.0f}" width="{0}" height="{1:.0f}">\n'
        '<title>{2}</title>\n<desc>{3}</desc>\n<style>{4}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n{5}\n</svg>\n'
    ).format(_WIDTH, tall, TITLE, _described(scores, total), Markup(_STYLE), Markup("\n").join(parts))
    return str(whole)  # a plain string: results hold it, and JSON knows no Markup


def _described(scores: Sequence[Score], total: int) -> str:
    """The numbers of the chart, for screen readers."""
    return "; ".join(
        f"{s.battery}: {len(s.caught)} of {total} in {s.seconds_a_layer:.2g} s, "
        f"{s.accusations} failures in {s.correct_runs} runs of correct layers"
        for s in scores
    )


def _text(x: float, y: float, label: str, anchor: str = "start") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, label)


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<path class="grid" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(x1, y1, x2, y2)
