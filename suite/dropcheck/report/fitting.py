"""A text of at most so many bytes: parts by rank, with a list of what was left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from dropcheck.contract.errors import UsageError

LEAST = 2 << 10  # a limit below holds no more than the answer and what was left out


_UNITS = {"": 1, "B": 1, "KB": 1000, "MB": 10**6, "KIB": 1 << 10, "MIB": 1 << 20}


@dataclass(frozen=True)
class Section:
    """One part that is shown whole or not at all. ``rank``: parts of a higher one are left out first."""

    title: str
    rank: int
    lines: list[str]
    parent: str = ""
    head: list[str] = field(default_factory=list)


def limit(text: str) -> int:
    """``64KiB`` or ``1MiB`` in bytes. Raises UsageError."""
    found = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", text.strip())
    size = int(found[1]) * _UNITS.get(found[2].upper(), 0) if found else 0
    if size < LEAST:
        raise UsageError(f"--limit takes a size of at least 2KiB, such as 64KiB or 1MiB, not {text!r}")
    return size


def fitted(sections: Sequence[Section], most: int | None) -> str:
    """Sections as one text: by rank, each that still fits beside the list of those that do not."""
    text = _joined(sections, [])
    if most is None or len(text.encode()) <= most:
        return text
    names = {one.parent or one.title for one in sections}
    room = most - 120 - sum(len(name.encode()) + 16 for name in names)
    kept, opened = set(), set()
    for place in sorted(range(len(sections)), key=lambda i: (sections[i].rank, i)):
        one = sections[place]
        head = 0 if one.parent in opened else len("\n".join(one.head).encode()) + 2
        size = head + len("\n".join(one.lines).encode()) + 2
        if size <= room or one.rank == 0:
            room -= size
            kept.add(place)
            opened.add(one.parent)
    gone = [one for place, one in enumerate(sections) if place not in kept]
    return _joined([one for place, one in enumerate(sections) if place in kept], gone)


def _joined(sections: Sequence[Section], gone: Sequence[Section]) -> str:
    parts: list[str] = []
    opened: set[str] = set()
    for one in sections:
        if one.parent and one.parent not in opened:
            opened.add(one.parent)
            parts.append("\n".join(one.head))
        parts.append("\n".join(one.lines))
    if gone:
        counts: dict[str, int] = {}
        for one in gone:
            counts[one.parent or one.title] = counts.get(one.parent or one.title, 0) + 1
        named = [name if n == 1 else f"{name} ({n} parts)" for name, n in counts.items()]
        parts.append(f"**Left out for want of room:** {'; '.join(named)}. The page and the result hold everything.")
    return "\n\n".join(part for part in parts if part) + "\n"
