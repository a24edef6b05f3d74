"""``dropcheck waive``: an accepted deviation, or a whole present state, written into the policy with reason and expiry date."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropcheck.errors import UsageError, nearest

if TYPE_CHECKING:
    from dropcheck.gate.policy import Waiver


def waive(
    check: Annotated[str | None, typer.Argument(metavar="[CHECK]", help="The check that is not kept.")] = None,
    target: Annotated[str | None, typer.Argument(metavar="[TARGET]", help="The target; * stands for anything.")] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why this is accepted.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DATE", help="The last day that it holds, as 2027-01-31.")
    ] = None,
    link: Annotated[str, typer.Option(metavar="URL", help="Where it is discussed.")] = "",
    dtype: Annotated[str | None, typer.Option(help="Only in this dtype.")] = None,
    mode: Annotated[str | None, typer.Option(help="Only in this mode.")] = None,
    device: Annotated[str | None, typer.Option(help="Only on this device.")] = None,
    ceiling: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="The largest deviation that is accepted, in the finding's unit."),
    ] = None,
    stored: Annotated[
        Path | None, typer.Option("--from", metavar="RESULT", help="Waive everything that fails in this stored audit.")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The policy; dropcheck.toml, or [tool.dropcheck] of pyproject.toml."),
    ] = None,
) -> None:
    """Record an accepted deviation in the policy, with reason and expiry date."""
    from dropcheck.gate import decoding, writing

    day = _day(expires)
    path = policy or decoding.find(Path()) or Path(decoding.FILE)
    if stored is not None:
        if check is not None or dtype or mode or device or ceiling is not None:
            raise UsageError("--from waives whatever fails in a result; leave out CHECK, TARGET and conditions")
        made = _adopted(stored, day, reason, link)
        if not made:
            print(f"Nothing fails in {stored}: there is nothing to waive.")
            return
    else:
        made = [_single(check, target, reason, day, link, dtype, mode, device, ceiling)]
    new = writing.write(path, made)
    for one in new:
        print(f"{one.id}: {one.check} of {one.target} is waived until {one.expires.isoformat()}")
    kept = len(made) - len(new)
    if kept:
        print(f"{kept} waiver{'s are' if kept > 1 else ' is'} there already, as {'they are' if kept > 1 else 'it is'}.")
    if new:
        print(f"Written to {path}. Waived checks still run, and reports show them.")


def _day(text: str | None) -> datetime.date:
    if text is None:
        raise UsageError("a waiver needs --expires DATE, the last day that it holds, as 2027-01-31")
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--expires takes a date such as 2027-01-31, not {text!r}") from None
    if day < datetime.datetime.now(datetime.UTC).date():
        raise UsageError(f"--expires {text} has passed already: such a waiver accepts nothing")
    return day


def _adopted(stored: Path, day: datetime.date, reason: str | None, link: str) -> list[Waiver]:
    from dropcheck.gate import evidence, writing
    from dropcheck.report.words import line

    found = evidence.load([stored])
    if not found.audits:
        raise UsageError(f"{stored} is a bench; only what fails in an audit can be waived at once")
    made: list[Waiver] = []
    for name, result in found.audits:
        made += writing.present_state(result, day, reason or f"present state of {Path(name).name}", link)
        for text in writing.unadopted(result):
            print(f"dropcheck: not waived, since only a failure can be: {line(text)}", file=sys.stderr)
    return made


def _single(
    check: str | None,
    target: str | None,
    reason: str | None,
    day: datetime.date,
    link: str,
    dtype: str | None,
    mode: str | None,
    device: str | None,
    ceiling: float | None,
) -> Waiver:
    from dropcheck.gate import claims
    from dropcheck.gate.policy import Waiver, When

    known = [*claims.CHECKS, *claims.SPEED]
    if check is None or target is None:
        raise UsageError("waive takes a check and a target, such as rate.marginal mine.py:Layer; or --from RESULT")
    if check not in known:
        raise UsageError(f"there is no check {check!r}{nearest(check, known)}")
    if not (reason or "").strip():
        raise UsageError("a waiver needs --reason TEXT: why is this accepted?")
    return Waiver(
        check=check,
        target=target,
        reason=reason or "",
        expires=day,
        link=link,
        when=When(dtype=dtype, mode=mode, device=device),
        ceiling=ceiling,
    )


def add(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("waive")(waive)
