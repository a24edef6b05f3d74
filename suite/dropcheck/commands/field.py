"""The command ``field``: everything that is registered, in every mode, each failing cell confirmed; a page to send."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dropcheck.commands import field_releases, options
from dropcheck.contract import requirements
from dropcheck.contract.errors import UsageError
from dropcheck.plan import option_values


def field_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET", help="Registered names, with or without a mode; none: all, in every mode."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder of the report.")] = None,
    stored: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="RESULT", help="Audit nothing: make the report of these stored results."),
    ] = None,
    profile: options.Profile = "quick",
    seed: options.Seed = None,
    device: Annotated[str, typer.Option(help="Where the layers run: cpu or cuda.")] = "cpu",
    jobs: Annotated[int, typer.Option(help="Targets, then scripts, to run in parallel; 0: as many as cores.")] = 0,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="Stop a target, or a script, after this time.")] = "30m",
    resume: options.Resume = False,
    series: Annotated[
        int | None,
        typer.Option(
            "--releases",
            metavar="N",
            help="Compare the newest releases of the last N series, such as 3.11 and 3.12. No target: the default layers.",
        ),
    ] = None,
    package: Annotated[
        str | None, typer.Option("--package", metavar="NAME", help="Of --releases: compare releases of this package.")
    ] = None,
    beside: Annotated[
        options.Texts,
        typer.Option(
            "--with", metavar="REQUIREMENTS", help="Of --releases: install these besides, such as jax==0.8.3."
        ),
    ] = None,
    select: Annotated[
        options.Texts,
        typer.Option("--select", metavar="CHECKS", help="Of --releases: these families and checks alone."),
    ] = None,
    allow_large: Annotated[
        bool, typer.Option("--allow-large", help="Of --releases: install more than 500 MB for a release.")
    ] = False,
) -> None:
    """Audit everything that is registered, in every mode, or the last releases; confirm each failure by a script."""
    from dropcheck.auditing.machine import processors
    from dropcheck.report.field import command, confirming, report
    from dropcheck.report.field.deviations import known

    if out is None:
        raise UsageError("dropcheck field writes a report: give the folder, such as --out reports/field")
    options.writable_folder(out, "--out")
    limit = option_values.duration(timeout, "--timeout")
    if series is not None:
        if stored:
            raise UsageError("--releases audits, and --from audits nothing: leave out one of them")
        field_releases.run(
            field_releases.Asked(
                tuple(names or ()),
                out,
                series,
                package,
                allow_large,
                tuple(w for text in beside or () for w in requirements.read(text) if w != requirements.INSTALLED),
                option_values.listed(select or ()),
                profile,
                seed,
                device,
                jobs,
                limit,
                resume,
            )
        )
    alone = {"--package": package, "--select": select, "--allow-large": allow_large, "--with": beside}
    if given := next((name for name, value in alone.items() if value), None):
        raise UsageError(f"{given} belongs to --releases N: add it, or leave out {given}")
    if stored and (names or resume):
        raise UsageError("--from makes the report of stored results and audits nothing: leave out targets and --resume")
    if stored:
        some, others = [command.stored(path) for path in stored], command.everything()[1]
    else:
        can, others = command.everything()
        chosen = names or can
        some = [_audited(chosen, out, profile, seed, device, jobs, limit, resume)]
        if some[0].interrupted:
            typer.echo("interrupted: --resume goes on", err=True)
            raise typer.Exit(130)
    whole = command.joined(some, [*others, *command.left_out(t.target for one in some for t in one.targets)])
    words = [
        "dropcheck",
        "field",
        *(names or ()),
        "--out",
        str(out),
        *(("--device", device) if device != "cpu" else ()),
        *(w for p in stored or () for w in ("--from", p.name)),
    ]
    shown = " ".join(shlex.quote(w) for w in words)
    before = command.kept(out)
    said = command.confirmed(
        whole,
        out,
        confirming.by_script(whole, None, min(limit, 600.0), before),
        _say,
        jobs or min(processors(), 8),
        before,
    )
    told = command.write(whole, said, known(), out, shown)
    # not before: what was audited would be lost with an interrupted script
    (out / "journal.jsonl").unlink(missing_ok=True)
    table = report.rows(whole, report.of_frameworks(told))
    typer.echo(report.headline(table))
    typer.echo(report.confirmation(told))
    typer.echo(f"Report: {out / 'index.html'} and {out / 'README.md'}")
    doubtful = [one for one in said.values() if one.confirmed is not True and not one.same]
    raise typer.Exit(3 if doubtful or not any(r.ran for r in table) else 0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _audited(
    chosen: list[str], out: Path, profile: str, seed: str | None, device: str, jobs: int, limit: float, resume: bool
) -> Any:
    from dropcheck.auditing import journal
    from dropcheck.auditing import run as auditing
    from dropcheck.commands.progress import reporter

    root, drawn = option_values.seed(seed, auditing.DEFAULT_SEED)
    if drawn:
        _say(f"root seed {root}")
    request = auditing.AuditRequest(
        targets=tuple(chosen),
        profile=profile,
        seed=root,
        device=device,
        jobs=jobs,
        timeout_s=limit,
        journal=out / "journal.jsonl",
        resume=resume,
    )
    with journal.alone(request.journal), reporter() as progress:
        return auditing.run(request, progress)


def add(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("field")(field_command)
