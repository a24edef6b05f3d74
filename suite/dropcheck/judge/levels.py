"""How much a failure matters: a wrong result at an ordinary rate, an edge case, or a trait that only --strict judges."""

from __future__ import annotations

from typing import Literal

from dropcheck.results.audit import Finding

# defect: wrong for a rate in (0, 1). edge: rate 0 or 1, invalid rates, empty inputs. trait: no promise of the contract.
Level = Literal["defect", "edge", "trait"]
LEVELS: tuple[Level, ...] = ("defect", "edge", "trait")  # worst first

EDGES = ("rate.zero", "rate.one", "rate.rejects-invalid", "gradient.edges", "form.empty")
_EDGE_CASES = {"rate=0", "rate=1"}


def level(check: str, case: str = "") -> Level:
    """The level of a check, or of its result on one case: of the other checks, cases of rate 0 and 1 are edges, too."""
    return "edge" if check in EDGES or _EDGE_CASES & set(case.split()) else "defect"


def of(finding: Finding) -> Level:
    """The level of one result."""
    return level(finding.check, finding.case)
