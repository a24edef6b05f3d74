"""The coins of the smallest failing example: filled cells are kept, empty ones dropped."""

from __future__ import annotations

from itertools import groupby

from markupsafe import Markup

from dropcheck.report import words
from dropcheck.report.figures.svg import Figure, joined, short, text
from dropcheck.results import Picture

_CELL = 11.0
_MOST_ROWS, _MOST_COLUMNS = 32, 96

READING = (
    "A row is one line of the coin matrix, a column one coin: filled cells were kept, empty ones dropped, crossed ones hold "
    "elements that disagree. Independent coins look like static; rows or groups of columns that look alike, or a count that "
    "never changes, are the defect."
)


def figure(picture: Picture, what: str) -> Figure:
    """The drawing of a picture. ``what``: whose it is."""
    rows = [words.line(row, _MOST_COLUMNS + _MOST_COLUMNS // 4) for row in picture.rows[:_MOST_ROWS]]
    labels = [words.line(label, 22) for label in picture.labels[: len(rows)]]
    left = max([7.2 * len(label) for label in labels], default=0.0) + (8 if labels else 1)
    parts: list[Markup] = []
    empty: list[str] = []
    full: list[str] = []
    torn: list[str] = []
    widest = left
    for i, row in enumerate(rows):
        y, x = 2 + i * (_CELL + 2), left
        if i < len(labels):
            parts.append(text(left - 8, y + _CELL - 1, labels[i], "end"))
        for sign, run in groupby(row):
            n = len(list(run))
            if sign == " ":
                x += _CELL / 2 * n
                continue
            # neighbours of one kind are one path: many coins take few bytes
            path = f"M{short(x)} {short(y)}h{short(_CELL * n)}v{short(_CELL)}h-{short(_CELL * n)}z"
            (full if sign == "#" else empty if sign == "." else torn).append(path)
            if sign not in "#.":
                torn.append(f"M{short(x)} {short(y)}l{short(_CELL * n)} {short(_CELL)}")
            x += _CELL * n
        widest = max(widest, x)
    for kind, paths in (("kept", full), ("dropped", empty), ("torn", torn)):
        if paths:
            parts.append(Markup('<path class="{}" d="{}"/>').format(kind, "".join(paths)))
    more = "" if len(picture.rows) <= _MOST_ROWS else f" The first {_MOST_ROWS} of {len(picture.rows)} rows are drawn."
    return Figure(
        title=f"Coins of {what}",
        desc=f"{words.line(picture.caption)}. {len(rows)} rows: "
        + "; ".join(f"{labels[i] + ': ' if i < len(labels) else ''}{row}" for i, row in enumerate(rows[:8]))
        + ("; and more" if len(rows) > 8 else ""),
        reading=f"{words.clean(picture.caption)}. {READING}{more}",
        width=widest + 2,
        height=4 + len(rows) * (_CELL + 2),
        body=joined(parts),
    )
