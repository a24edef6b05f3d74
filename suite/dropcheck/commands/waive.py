"""``dropcheck waive``: an accepted deviation, or a whole present state, written into the policy with reason and expiry date."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropcheck.commands import options
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.plan import option_values

if TYPE_CHECKING:
    from dropcheck.gate.policy import Waiver

Texts = list[str] | None


def waive(
    check: Annotated[
        str | None,
        typer.Argument(
            metavar="CHECK", help="The failing check to accept, or edge: all edge cases; several with commas."
        ),
    ] = None,
    target: Annotated[str | None, typer.Argument(metavar="TARGET", help="The target; * stands for anything.")] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why this is accepted.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DATE", help="The last day of the waiver, such as 2027-01-31.")
    ] = None,
    link: Annotated[str, typer.Option(metavar="URL", help="Where it is discussed.")] = "",
    dtype: Annotated[
        Texts, typer.Option(metavar="DTYPE", help="Only in these dtypes; repeat it or use commas.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="Only in this mode.")] = None,
    device: Annotated[str | None, typer.Option(help="Only on this device.")] = None,
    ceiling: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="The largest deviation that is accepted, in the unit of the check."),
    ] = None,
    unmeasured: Annotated[
        bool, typer.Option("--unmeasured", help="Accept failures without a number; others only below --ceiling.")
    ] = False,
    of: Annotated[
        str,
        typer.Option(metavar="KIND", help="failure; or 'not judged': that the check is skipped, until it is tested."),
    ] = "failure",
    hides: Annotated[
        Texts,
        typer.Option(
            metavar="CHECK", help="Checks that this failure hides: skipped, and accepted until they are tested."
        ),
    ] = None,
    stored: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="RESULT", help="Waive everything that fails in this stored audit."),
    ] = None,
    policy: options.PolicyFile = None,
) -> None:
    """Record an accepted deviation in the policy, with reason and expiry date."""
    from dropcheck.gate import decoding, writing

    day = _day(expires)
    path = policy or decoding.find(Path()) or Path(decoding.FILE)
    if stored:
        if check is not None or dtype or mode or device or ceiling is not None or hides or unmeasured:
            raise UsageError("--from waives whatever fails in a result; leave out CHECK, TARGET and conditions")
        made = [one for name in stored for one in _adopted(name, day, reason, link)]
        if not made:
            print(f"Nothing fails in {', '.join(map(str, stored))}: there is nothing to waive.")
            return
    else:
        dtypes = option_values.listed(dtype or ())
        made = _named(check, target, reason, day, link, dtypes, mode, device, ceiling, unmeasured, of)
        made += _hidden(made[0], option_values.listed(hides or ()))
    new = writing.write(path, made)
    for one in new:
        what = "is waived" if one.of == "failure" else "is accepted while it is skipped"
        where = f" in {one.when.dtype}" if one.when.dtype else ""
        print(f"{one.id}: {one.check} of {one.target}{where} {what} until {one.expires.isoformat()}")
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
    from dropcheck.results.plain_text import line

    found = evidence.load([stored])
    if not found.audits:
        raise UsageError(f"{stored} is a bench; only what fails in an audit can be waived at once")
    made: list[Waiver] = []
    for name, result in found.audits:
        made += writing.present_state(result, day, reason or f"present state of {Path(name).name}", link)
        for text in writing.unadopted(result):
            print(f"dropcheck: not waived, since only a failure can be: {line(text)}", file=sys.stderr)
    return made


def _named(
    check: str | None,
    target: str | None,
    reason: str | None,
    day: datetime.date,
    link: str,
    dtypes: Sequence[str],
    mode: str | None,
    device: str | None,
    ceiling: float | None,
    unmeasured: bool,
    of: str,
) -> list[Waiver]:
    """One waiver for each check and dtype that the command names."""
    from dropcheck.gate.policy import FAILURE, NOT_JUDGED, Waiver, When

    if check is None or target is None:
        raise UsageError("waive takes a check and a target, such as rate.marginal mine.py:Layer; or --from RESULT")
    names = _checks(option_values.listed([check]))
    kinds = {FAILURE: FAILURE, NOT_JUDGED: NOT_JUDGED, NOT_JUDGED.replace(" ", "-"): NOT_JUDGED}
    if of not in kinds:
        raise UsageError(f"--of takes 'failure' or 'not judged', not {of!r}{nearest(of, kinds)}")
    if not (reason or "").strip():
        raise UsageError("a waiver needs --reason TEXT: why is this accepted?")
    if kinds[of] == NOT_JUDGED and (ceiling is not None or unmeasured):
        raise UsageError("a skipped check has no deviation: leave out --ceiling and --unmeasured")
    return [
        Waiver(
            check=name,
            target=target,
            reason=reason or "",
            expires=day,
            of=kinds[of],
            link=link,
            when=When(dtype=dtype, mode=mode, device=device),
            ceiling=ceiling,
            unmeasured=unmeasured,
        )
        for name in names
        for dtype in (dtypes or (None,))
    ]


def _hidden(lead: Waiver, names: Sequence[str]) -> list[Waiver]:
    """Waivers of what is not judged beside a failure: in every dtype, since they end by themselves."""
    import msgspec

    from dropcheck.gate.policy import NOT_JUDGED

    when = msgspec.structs.replace(lead.when, dtype=None)
    more = {"of": NOT_JUDGED, "when": when, "ceiling": None, "unmeasured": False}
    return [msgspec.structs.replace(lead, check=name, **more) for name in _checks(names)]


def _checks(names: Sequence[str]) -> Sequence[str]:
    from dropcheck.gate.claims import SPEED
    from dropcheck.gate.policy import OF_LEVELS
    from dropcheck.judge.claims import CLAIMS

    known = [*CLAIMS, *SPEED, *OF_LEVELS]
    for name in names:
        if name == "defect":
            raise UsageError("waive takes checks, 'edge' or 'trait'; a defect is waived by its check")
        if name not in known:
            raise UsageError(f"there is no check {name!r}{nearest(name, known)}")
    return names


def add(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("waive")(waive)
