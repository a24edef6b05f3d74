"""``dropcheck audit``: words and the project's file to a request, a result to text, files and an exit code."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from dropcheck.commands import options
from dropcheck.commands.audit_rows import ROWS, AuditCommand
from dropcheck.commands.report import chosen, colour, out_text, width
from dropcheck.commands.rows import takes
from dropcheck.contract.errors import UsageError
from dropcheck.plan import option_values, python_options

if TYPE_CHECKING:
    from dropcheck.gate.project_options import ProjectOptions
    from dropcheck.plan.request import AuditRequest
    from dropcheck.results.audit import Result


@takes(ROWS)
def audit(**typed: Any) -> None:
    """Audit dropout layers: test masks, rates, scaling, seeds, gradients and modes.

    Options of dropcheck.toml, or of [tool.dropcheck] in pyproject.toml, apply here, too. Those of the command line take
    precedence.
    """
    from dropcheck.worker.server.collecting import uncollected

    with uncollected():
        from dropcheck.auditing import run as auditing
        from dropcheck.gate import project_options
    printed = chosen(typed.pop("format"), ("text", "markdown", "json"), None, typed["out"]) or ("text",)
    notes = sys.stdout if printed == ("text",) else sys.stderr  # what a program reads has no other line in it
    shown = _Shown(
        printed, notes, *(typed.pop(name) for name in ("json", "out", "history", "verbose", "complete_is_success"))
    )
    names, every, plan = (typed.pop(name) for name in ("names", "all", "plan"))
    shown.refuse(typed["resume"])
    fields, drawn = _fields(typed, auditing.DEFAULT_SEED)
    request = auditing.AuditRequest(targets=tuple(names or ()), argv=tuple(sys.argv[1:]), journal=shown.journal)
    request = _asked(request, every, fields, project_options.read(Path()), notes)
    if drawn:
        print(f"root seed {request.seed}", file=sys.stderr)
    if plan:
        _plan(request)
    else:
        _run(request, shown)


@dataclass(frozen=True)
class _Shown:
    """What becomes of a result: how it is printed, beside which notes, where it is written, and whether a failure counts."""

    printed: tuple[str, ...]
    notes: TextIO
    json_file: Path | None
    out: Path | None
    history: str | None
    verbose: bool
    complete: bool

    @property
    def journal(self) -> Path | None:
        """Where the finished targets of an audit are kept until its result is written."""
        if self.out is not None:
            return self.out / "journal.jsonl"
        return self.json_file.with_name(self.json_file.name + ".journal") if self.json_file else None

    def refuse(self, resume: bool) -> None:
        """Raise UsageError, before anything runs, for a place that cannot be written, and where there is none to resume."""
        options.writable_file(self.json_file, "--json")
        options.writable_folder(self.out, "--out")
        options.history(self.history)
        options.resumable(resume, self.journal)


def _fields(typed: dict[str, Any], default: int) -> tuple[dict[str, Any], bool]:
    """Fields of the request from the options' values, and whether the root seed was drawn. ``default``: the fixed seed."""
    jobs, memory, seed = typed["jobs"], typed["memory"], typed.pop("seed")
    if jobs < 0:
        raise UsageError(f"--jobs takes a number of at least 0, not {jobs}")
    if memory is not None and memory < 64:
        raise UsageError(f"--memory takes megabytes, at least 64, not {memory}")
    given = {name: value for name, value in typed.items() if value is not None and value is not False}
    fields = python_options.of_audit(given, typed=True)
    root, drawn = option_values.seed(seed, default)
    kept = {name: value for name, value in fields.items() if value not in ("", ())}  # an empty word is as good as none
    return {**kept, "seed": root, "seed_given": seed is not None}, drawn


def _plan(request: AuditRequest) -> None:
    """Show what would run."""
    from dropcheck.auditing import run as auditing
    from dropcheck.report.plan_text import render

    planned = auditing.plan(request)
    out_text(render(planned, width()))
    if any(one.error for one in planned):
        raise typer.Exit(3)  # what cannot be planned cannot be audited


def _run(request: AuditRequest, shown: _Shown) -> None:
    """Audit, write, print, and end with the exit code."""
    from dropcheck.auditing import journal as journals
    from dropcheck.auditing import run as auditing
    from dropcheck.commands.progress import reporter

    with journals.alone(request.journal):
        with reporter() as progress:
            result = auditing.run(request, progress)
        _write(result, shown)
        if request.journal is not None and not result.interrupted:
            request.journal.unlink(missing_ok=True)
    for one in shown.printed:
        out_text(_text(result, one, shown.verbose))
    if shown.out is not None:
        print(f"Report: {shown.out / 'index.html'}", file=shown.notes)
    if shown.history is not None:
        from dropcheck.results.history import stores

        print(stores.record(shown.history, result).rstrip("\n"), file=shown.notes)
    if result.interrupted:
        raise typer.Exit(130)
    from dropcheck.judge.levels import exit_code

    code = exit_code(result)
    if code == 0 and any(one.skipped is not None and one.target in request.targets for one in result.targets):
        code = 3  # the others pass; of a target that was asked for by its name and cannot run here, nothing is known
    raise typer.Exit(0 if shown.complete and code in (0, 1, 3) and result.targets else code)


def _write(result: Result, shown: _Shown) -> None:
    """The files of a result. Raises DiskFull, with what is kept and how to go on."""
    from dropcheck.results import audit as results

    try:
        if shown.json_file is not None:
            results.save(result, shown.json_file)
        if shown.out is not None:
            from dropcheck.report import html

            html.write(result, shown.out)
    except results.DiskFull as error:
        raise results.DiskFull(
            f"{error}. {shown.journal} keeps the finished targets: make room and repeat the command with --resume"
        ) from error


def _text(result: Result, form: str, verbose: bool) -> str:
    """A result as it is printed."""
    if form == "json":
        from dropcheck.results.audit import encode

        return encode(result).decode()
    if form == "markdown":
        from dropcheck.report import markdown

        return markdown.render(result)
    from dropcheck.report.text import render

    return render(result, width=width(), colour=colour(), every=verbose)


def _asked(
    request: AuditRequest, every: bool, typed: dict[str, Any], project: ProjectOptions, notes: TextIO
) -> AuditRequest:
    """The request with what was typed, and beneath it what the project's file says, which is said in one line.

    Raises UsageError without a target.
    """
    if every and request.targets:
        raise UsageError(f"--all audits the default layers that can run here; leave out {request.targets[0]}, or --all")
    names = request.targets or (() if every else project.targets)
    if not names and not every:
        raise UsageError(_no_target())
    beneath = project.beneath(typed)
    if "pattern" not in typed and (pattern := project.pattern([str(one) for one in names])) is not None:
        beneath["pattern"] = pattern
    named = () if request.targets or every else project.targets
    if said := project.sentence(beneath, named):
        print(said, file=notes)
    return replace(request, targets=names, **{**beneath, **typed})


def _no_target() -> str:
    from dropcheck.plan import targets

    found = [one.name for one in targets.defaults()]
    shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
    return (
        f"audit needs a target, such as my_layers.py:ChannelDrop. --all audits the {len(found)} default layers that can run here "
        f"({shown}); `dropcheck list` shows these and more, `dropcheck init` finds the layers of this folder"
    )


def add(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("audit", cls=AuditCommand)(audit)
