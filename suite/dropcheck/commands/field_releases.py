"""``dropcheck field --releases N``: the last series of each package, side by side."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import typer

from dropcheck.contract.errors import UsageError

LARGE_MB = 1e9


@dataclass(frozen=True)
class Asked:
    """The words of the command."""

    names: tuple[str, ...]
    out: Path
    series: int
    package: str | None
    allow_large: bool
    beside: tuple[str, ...]
    select: tuple[str, ...]
    profile: str
    seed: str | None
    device: str
    jobs: int
    timeout_s: float
    resume: bool

    def words(self) -> list[str]:
        """The command that repeats it."""
        return [
            "dropcheck",
            "field",
            *self.names,
            "--releases",
            str(self.series),
            *(("--package", self.package) if self.package else ()),
            *(("--with", " ".join(self.beside)) if self.beside else ()),
            *(("--select", ",".join(self.select)) if self.select else ()),
            *(("--profile", self.profile) if self.profile != "quick" else ()),
            *(("--device", self.device) if self.device != "cpu" else ()),
            *(("--allow-large",) if self.allow_large else ()),
            "--out",
            str(self.out),
        ]


def run(asked: Asked) -> None:
    """Audit, date, confirm, write; ends the command with its exit code."""
    from dropcheck.auditing import journal
    from dropcheck.auditing import run as auditing
    from dropcheck.commands.progress import reporter
    from dropcheck.commands.report import width
    from dropcheck.plan import option_values
    from dropcheck.report.releases import confirming, page, records, surveying, text

    if asked.series < 2:
        raise UsageError(f"--releases takes 2 or more, so that there is something to compare, not {asked.series}")
    root, drawn = option_values.seed(asked.seed, auditing.DEFAULT_SEED)
    if drawn:
        _say(f"root seed {root}")
    request = auditing.AuditRequest(
        targets=asked.names,
        profile=asked.profile,
        select=asked.select,
        seed=root,
        device=asked.device,
        jobs=asked.jobs,
        timeout_s=asked.timeout_s,
        journal=asked.out / "journal.jsonl",
        resume=asked.resume,
    )
    limit = LARGE_MB if asked.allow_large else surveying.LIMIT_MB
    question = surveying.Question(request, asked.series, asked.package, limit, asked.beside)
    with journal.alone(request.journal):
        try:
            with reporter() as progress:
                table, result = surveying.survey(question, _say, progress)
            table = confirming.confirmed(table, result, asked.out, min(asked.timeout_s, 600.0), _say)
        except KeyboardInterrupt:
            typer.echo("interrupted: --resume goes on", err=True)
            raise typer.Exit(130) from None
        page.write(table, result, asked.out, shlex.join(asked.words()))
        # not before: what was audited would be lost with an interrupted script
        surveying.forget(request.journal)
    typer.echo(text.render(table, width()), nl=False)
    typer.echo(f"Report: {asked.out / 'index.html'} and {asked.out / 'README.md'}")
    raise typer.Exit(records.exit_code(table))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
