"""The plan of an audit as text: cases, coins, time and resolution, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from dropcheck.auditing.run import PlannedCase, TargetPlan
from dropcheck.contract.cases import parse_case
from dropcheck.contract.errors import UsageError
from dropcheck.count.units import split
from dropcheck.results.plain_text import count, line


def render(plans: Sequence[TargetPlan], width: int) -> str:
    """One block a target, one line a case."""
    lines = []
    for one in plans:
        if one.error is not None:
            lines += [f"{line(one.target)}: cannot be planned: {line(one.error)}", ""]
            continue
        lines.append(
            f"{line(one.target)}  {one.contract_text}   {count(len(one.cases), 'case')}, {one.coins:,} decisions, about "
            f"{one.seconds:.0f} s"
        )
        for case in one.cases:
            lines.append(
                f"  {case.case:<58} {case.coins:>12,} decisions {case.seconds:7.2f} s  {_layers(case)}{case.resolution}".rstrip()
            )
        lines.append("")
    total = sum(p.seconds for p in plans)
    lines.append(f"In all about {total:.0f} s on one core, without what two cores share. Nothing was run.")
    return "\n".join(lines) + "\n"


def _layers(planned: PlannedCase) -> str:
    """How many layers make the calls of a case, where it is more than one."""
    try:
        case = parse_case(planned.case)
    except UsageError:
        return ""  # the exact questions, in one line
    number = len(split(case))
    return f"by {number} layers  " if case.regime == "stream" and number > 1 else ""
