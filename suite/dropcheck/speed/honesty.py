"""No speed without a passed audit: which cells of a target are disqualified, and by which check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropcheck.contract.cells import Cell
from dropcheck.contract.promise import Contract
from dropcheck.judge import levels, recomputing
from dropcheck.judge.checks import CHECK, CHECKS
from dropcheck.plan.profiles import PROFILES, core
from dropcheck.results import reading
from dropcheck.results.asked import option
from dropcheck.results.audit import Result, TargetResult, for_another
from dropcheck.results.bench import Audit
from dropcheck.results.naming import ANY, dtype_of

Audits = dict[str, Audit]


@dataclass(frozen=True)
class Timed:
    """What is about to be timed: the digest of the user's own file, the pattern, the device, the dtypes that it has.

    What is empty is not known and not compared.
    """

    digest: str = ""
    pattern: str = ""
    device: str = ""
    dtypes: tuple[str, ...] = ()


def stamp(found: TargetResult, profile: str, source: str, device: str = "") -> Audit:
    """What an audit of one target allows. A failure in one dtype disqualifies that dtype, any other one all cells.

    Edge cases and traits disqualify nothing: no cell is timed at rate 0 or 1. Evidence that is missing disqualifies like a
    failure, and so does an audit in which checks were left out, or not judged because an edge case fails.
    """
    out: dict[str, str] = {}
    if found.skipped is not None:
        out[ANY] = f"not audited: {found.skipped}"
    elif found.error is not None:
        out[ANY] = f"its audit ended early: {found.error}"
    missing = [name for name in due(found.contract, profile) if name not in {f.check for f in found.findings}]
    if missing and ANY not in out:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        out[ANY] = f"its audit left out {missing[0]}{more}"
    words = {"fail": "fails", "inconclusive": "is inconclusive in", "error": "has an error in"}
    defects = [one for one in found.findings if levels.of(one) == "defect"]
    for one in defects:
        if one.verdict in words:
            out.setdefault(dtype_of(one), f"{words[one.verdict]} {one.check}")
    level = levels.worst(found.findings)
    for one in defects if level is not None else ():
        if one.verdict == "skipped" and for_another(one.message):
            out.setdefault(dtype_of(one), f"{one.check} was not judged")
    claims = len({f.check for f in found.findings if f.verdict in ("pass", "waived")})
    return Audit(
        verdict=found.verdict,
        profile=profile,
        version=found.version,
        source=source,
        claims=claims,
        disqualified=out,
        waived=sorted({f.check for f in found.findings if f.verdict == "waived"}),
        digest=found.source,
        pattern=str(found.contract.get("pattern", "")),
        device=device,
        dtypes=sorted({dtype_of(f) for f in found.findings if f.verdict in ("pass", "fail", "waived")} - {ANY}),
        level=level,
        edges=sorted({f.check for f in found.findings if f.verdict == "fail" and levels.of(f) != "defect"}),
    )


def due(contract: Mapping[str, Any], profile: str) -> list[str]:
    """The checks that a full audit of a contract makes: every exact one, and those that some case of its plan bears on.

    Where every element has a coin of its own there are no whole channels, and where a coin drops a sample no channels.
    """
    marginal = CHECK["rate.marginal"]
    try:
        promise = Contract.from_dict(contract)
    except (KeyError, TypeError, ValueError):  # none, or one that says too little to leave a check out
        return [c.name for c in CHECKS if c.sites is None]
    # a layer whose calls are expensive has larger and fewer ones: which it was, the result does not tell
    plans = [
        core(promise, heavy, ("float32",), ("contiguous",), promise.gradient, PROFILES[profile], marginal, None)
        for heavy in (False, True)
    ]
    of_layers = [c for c in CHECKS if c.sites is None]
    return [c.name for c in of_layers if c.wants is None or all(any(c.asks(x, profile) for x in p) for p in plans)]


def stamps(result: Result, source: str, device: str = "") -> Audits:
    """All targets of an audit."""
    return {one.target: stamp(one, result.profile, source, device) for one in result.targets}


def from_file(path: Path) -> Audits:
    """The audits of a stored result, however it is stored. Raises ResultError, also where verdicts and numbers disagree."""
    found = reading.load_audit(path)
    recomputing.verified(found, str(path))
    # an older result of a library call names no command line, and so no device
    device = found.device or option(found.argv, "--device") or ("cpu" if found.argv else "")
    return stamps(found, path.name, device)


def audited(names: Sequence[str], run: Callable[[Sequence[str]], Result], device: str = "") -> Audits:
    """A quick audit of each, now."""
    return stamps(run(names), "quick audit before this run", device) if names else {}


def verdict_on(audit: Audit | None, cell: Cell, version: str, timed: Timed | None = None) -> str:
    """Why a cell has no speed; an empty text where its audit passed and looked at what is timed."""
    if audit is None:
        return "no audit of it was given or made"
    reason = audit.disqualified.get(ANY) or audit.disqualified.get(cell.dtype)
    if reason:
        return reason
    if version and audit.version and audit.version != version:
        return f"its audit was of release {audit.version}, this is {version}"
    if not audit.claims:
        return "its audit judged nothing"
    return _not_looked_at(audit, cell, timed or Timed())


def _not_looked_at(audit: Audit, cell: Cell, timed: Timed) -> str:
    """What is timed and was not audited. A dtype that the target has not is left to its worker, which says so."""
    if timed.digest and audit.digest != timed.digest:
        return "its audit was of another state of its file" if audit.digest else "its audit names no state of its file"
    if timed.pattern and audit.pattern and audit.pattern != timed.pattern:
        return f"its audit was of the pattern {audit.pattern}, this is {timed.pattern}"
    if timed.device and (audit.device or "cpu") != timed.device:
        return f"its audit was on {audit.device or 'a device that it does not name'}, this is {timed.device}"
    if cell.dtype not in audit.dtypes and (not timed.dtypes or cell.dtype in timed.dtypes):
        return f"its audit judged nothing in {cell.dtype}"
    return ""
