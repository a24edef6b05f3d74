"""What the names of targets and cases hold: library and layer, dtype."""

from __future__ import annotations

from dropcheck.contract.adapter import DTYPES
from dropcheck.contract.modes import EAGER, MODES
from dropcheck.contract.requirements import JOIN
from dropcheck.results.audit import Finding

ANY = "any"  # findings that belong to no dtype: what a constructor refuses


def split_name(target: str) -> tuple[str, str]:
    """The implementation (with its Keras backend and its release) and the mode of a target's name."""
    base, join, release = target.partition(JOIN)
    words = base.split("@")
    mode = next((w for w in words[1:] if w in MODES), EAGER)
    return "@".join(w for i, w in enumerate(words) if i == 0 or w not in MODES) + join + release, mode


def lead(case: str) -> str:
    """The first word of a case: its dtype, as a rule; of an exact question it may be another word."""
    return case.partition(" ")[0]


def dtype_in(case: str) -> str:
    """The dtype that a case is about; an empty text where it names none."""
    word = lead(case)
    return word if word in DTYPES else ""


def dtype_of(finding: Finding) -> str:
    """The dtype that a finding is about; ``any`` where its case names none."""
    return dtype_in(finding.case) or ANY
