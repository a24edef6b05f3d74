"""The mask of the smallest failing example: squares are kept, dots dropped."""

from __future__ import annotations

import re
from itertools import groupby

from markupsafe import Markup

from dropcheck.report.figures.svg import Figure, joined, short, text
from dropcheck.results import plain_text
from dropcheck.results.audit import Picture

_CELL = 11.0
_MOST_ROWS, _MOST_COLUMNS = 32, 96
# what captions say of the characters of a terminal
_LEGEND = re.compile(r"[;,]\s*# kept, \. dropped")
_COLUMNS = re.compile(r"all #(?: \(kept\))? or all \.(?: \(dropped\))?")

READING = (
    "One square or dot is one drop decision. Independent decisions look like noise. Rows or groups that look alike, or a number "
    "of dots that never changes, are the defect."
)
_KEY = {"#": ("kept", "kept"), ".": ("dropped", "dropped"), "?": ("torn", "kept in some positions, dropped in others")}


def figure(picture: Picture, what: str) -> Figure:
    """The drawing of a picture. ``what``: whose it is."""
    rows = [plain_text.line(row, _MOST_COLUMNS + _MOST_COLUMNS // 4) for row in picture.rows[:_MOST_ROWS]]
    labels = [plain_text.line(label, 22) for label in picture.labels[: len(rows)]]
    left = max([7.2 * len(label) for label in labels], default=0.0) + (8 if labels else 1)
    parts: list[Markup] = []
    paths: dict[str, list[str]] = {"#": [], ".": [], "?": []}
    widest = left
    for i, row in enumerate(rows):
        y, x = 2 + i * (_CELL + 2), left
        if i < len(labels):
            parts.append(text(left - 8, y + _CELL - 1, labels[i], "end"))
        for sign, run in groupby(row):
            n = len(list(run))
            if sign in "#.":
                # a run of coins is one dashed line: many coins take few bytes
                paths[sign].append(f"M{short(x)} {short(y + _CELL / 2)}h{short(_CELL * n - (2 if sign == '#' else 0))}")
            elif sign == "?":
                for k in range(n):
                    at = f"M{short(x + _CELL * k)} {short(y + 1)}"
                    paths[sign].append(f"{at}h9v9h-9zl9 9m0-9l-9 9")
            elif sign != " ":
                parts.append(text(x, y + _CELL - 1, sign * n))
            x += _CELL * n * (0.5 if sign == " " else 1)
        widest = max(widest, x)
    for kind, sign in (("kept", "#"), ("dropped", "."), ("torn", "?")):
        if paths[sign]:
            parts.append(Markup('<path class="{}" d="{}"/>').format(kind, "".join(paths[sign])))
    caption = _COLUMNS.sub("all squares or all dots", plain_text.clean(_LEGEND.sub("", picture.caption)))
    more = "" if len(picture.rows) <= _MOST_ROWS else f" The first {_MOST_ROWS} of {len(picture.rows)} rows are drawn."
    return Figure(
        title=f"Mask of {what}",
        note=caption[:1].upper() + caption[1:].rstrip(".") + "." + more,
        desc=f"{plain_text.line(picture.caption)}. {len(rows)} rows: "
        + "; ".join(f"{labels[i] + ': ' if i < len(labels) else ''}{row}" for i, row in enumerate(rows[:8]))
        + ("; and more" if len(rows) > 8 else ""),
        reading=READING,
        width=widest + 2,
        height=4 + len(rows) * (_CELL + 2),
        body=joined(parts),
        legend=[key for sign, key in _KEY.items() if paths[sign]],
    )
