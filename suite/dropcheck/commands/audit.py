"""``dropcheck audit``: words and the project's file to a request, a result to text, files and an exit code."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from dropcheck.commands import options
from dropcheck.commands.help_text import Command
from dropcheck.commands.report import chosen, colour, out_text, width
from dropcheck.contract.errors import UsageError
from dropcheck.plan import option_values

if TYPE_CHECKING:
    from dropcheck.gate.project_options import ProjectOptions
    from dropcheck.plan.request import AuditRequest
    from dropcheck.results.audit import Result

Texts = list[str] | None

WHAT, MUCH, STATISTICS, OUTPUT, RUNNING = "What to audit", "How much", "Statistics", "Output", "Running"


class AuditCommand(Command):
    """Its options in five groups."""

    examples = {
        WHAT: "dropcheck audit my_layers.py:ChannelDrop --pattern 'n l c -> n c'",
        MUCH: "dropcheck audit my_layers.py:ChannelDrop --profile standard --select mask,rate --dtype bfloat16",
        STATISTICS: "dropcheck audit my_layers.py:ChannelDrop --seed fresh",
        OUTPUT: "dropcheck audit my_layers.py:ChannelDrop --out report --fail-on defect",
        RUNNING: "dropcheck audit --all --out report --jobs 4 --resume",
    }


def audit(
    names: Annotated[
        Texts,
        typer.Argument(
            metavar="TARGET",
            help="A registered name, module:attr or file.py:attr. Without one: the targets of dropcheck.toml.",
            rich_help_panel=WHAT,
            autocompletion=options.complete_target,
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="The default layers that can run here.", rich_help_panel=WHAT)
    ] = False,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN", help="Which elements are dropped together, as 'n c l -> n c'.", rich_help_panel=WHAT
        ),
    ] = None,
    inference: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="What inference returns: identity, keep or active.", rich_help_panel=WHAT),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="SHAPE", help="Shape of a model's input, such as 8,16,32.", rich_help_panel=WHAT
        ),
    ] = None,
    mode: Annotated[
        Texts,
        typer.Option(
            "--mode",
            metavar="MODE",
            help="How the layer is run: eager, compiled, jit, ..., or all.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="cpu (default) or cuda.", rich_help_panel=WHAT)
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The interpreter that runs the layer.", rich_help_panel=WHAT),
    ] = None,
    releases: Annotated[
        Texts,
        typer.Option(
            "--with",
            metavar="REQUIREMENTS",
            help="Audit in an environment with these, such as 'torch==2.4.1'. Repeat it for more. 'installed' is this environment; "
            "beside others, they are installed over it.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(metavar="PROFILE", help="quick (default), standard or deep.", rich_help_panel=MUCH),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show cases, samples and time; run nothing.", rich_help_panel=MUCH)
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Take fewer samples, so that a target takes about this time, such as 2m.",
            rich_help_panel=MUCH,
        ),
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Smallest rate error to detect, e.g. .005.", rich_help_panel=MUCH),
    ] = None,
    select: Annotated[
        Texts,
        typer.Option(
            "--select",
            metavar="CHECK",
            help="Run these checks or families only, e.g. mask,rate.zero.",
            rich_help_panel=MUCH,
            autocompletion=options.complete_check,
        ),
    ] = None,
    ignore: Annotated[
        Texts,
        typer.Option(
            "--ignore",
            metavar="CHECK",
            help="Leave these checks or families out.",
            rich_help_panel=MUCH,
            autocompletion=options.complete_check,
        ),
    ] = None,
    rate: Annotated[
        Texts, typer.Option("--rate", metavar="RATE", help="Rates to test, e.g. .1,.5.", rich_help_panel=MUCH)
    ] = None,
    dtype: Annotated[
        Texts,
        typer.Option("--dtype", metavar="DTYPE", help="float32, float64, float16, bfloat16.", rich_help_panel=MUCH),
    ] = None,
    shape: Annotated[
        Texts,
        typer.Option(
            "--shape",
            metavar="SHAPE",
            help="Input shape, in the order of the pattern's axes, e.g. 256,64,3.",
            rich_help_panel=MUCH,
        ),
    ] = None,
    case: Annotated[
        Texts,
        typer.Option("--case", metavar="CASE", help="Repeat this case of a report.", rich_help_panel=MUCH),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(
            metavar="SEED", help="Root seed (fixed by default), or 'fresh' for a new one.", rich_help_panel=STATISTICS
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Also fail on traits.", rich_help_panel=STATISTICS)] = False,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential",
            help="End a case that only measures the rate as soon as its verdict is sure.",
            rich_help_panel=STATISTICS,
        ),
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(
            "--ledger",
            metavar="FILE",
            help="Add this run to FILE: the evidence of all its runs decides, and the false-alarm probability stays below "
            "1e-6 per target over all of them.",
            rich_help_panel=STATISTICS,
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result.", rich_help_panel=OUTPUT)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Write a report: index.html, result.json, report.txt.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            "--history",
            metavar="PLACE",
            help="Add the result to this history: a folder, an SQLite file or a URL.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Show all causes, the numbers of each check, passes, what was skipped, traits.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    formats: Annotated[
        Texts,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="What is printed: text (default), markdown or json.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="LEVEL",
            help="The least grave failure that counts: defect, edge (rates 0 and 1, invalid rates, empty inputs) or trait.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete-is-success",
            help="Exit 0 once the audit completes, even if a layer fails.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Number of targets to run in parallel; 0 (default): as many as cores.",
            rich_help_panel=RUNNING,
            show_default=False,
        ),
    ] = 0,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="Stop a target after this time.", rich_help_panel=RUNNING)
    ] = "10m",
    memory: Annotated[
        int | None,
        typer.Option(metavar="MB", help="Most memory that the process of a layer may use.", rich_help_panel=RUNNING),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask", metavar="ADDRESS", help="Count on the Dask cluster of this scheduler.", rich_help_panel=RUNNING
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Resume an interrupted run with the same options.", rich_help_panel=RUNNING),
    ] = False,
) -> None:
    """Audit dropout layers: test masks, rates, scaling, seeds, gradients and modes.

    Options of dropcheck.toml, or of [tool.dropcheck] in pyproject.toml, apply here, too. Those of the command line take
    precedence.
    """
    from dropcheck.worker.server.collecting import uncollected

    with uncollected():
        from dropcheck.auditing import journal as journals
        from dropcheck.auditing import run as auditing
        from dropcheck.gate import project_options
        from dropcheck.results import audit as results

    limit = option_values.duration(timeout, "--timeout")
    root, drawn = option_values.seed(seed, auditing.DEFAULT_SEED)
    printed = chosen(formats, ("text", "markdown", "json"), None, out) or ("text",)
    notes = sys.stdout if printed == ("text",) else sys.stderr  # what a program reads has no other line in it
    options.writable_file(json_file, "--json")
    options.writable_folder(out, "--out")
    options.history(history)
    if jobs < 0:
        raise UsageError(f"--jobs takes a number of at least 0, not {jobs}")
    if memory is not None and memory < 64:
        raise UsageError(f"--memory takes megabytes, at least 64, not {memory}")
    if resume and out is None and json_file is None:
        raise UsageError(
            "--resume continues the run of a result: give the --out DIR or --json FILE of the interrupted run"
        )
    journal = (
        out / "journal.jsonl"
        if out is not None
        else json_file.with_name(json_file.name + ".journal")
        if json_file
        else None
    )
    typed: dict[str, Any] = {
        "profile": profile,
        "select": option_values.listed(select or ()),
        "ignore": option_values.listed(ignore or ()),
        "dtypes": option_values.listed(dtype or ()),
        "device": device,
        "pattern": pattern,
        "strict": strict,
        "fail_on": fail_on,
    }
    request = auditing.AuditRequest(
        targets=tuple(names or ()),
        rates=option_values.rates(rate or ()),
        shapes=tuple(option_values.shape(s) for s in shape or ()),
        input=option_values.shape(given, "--input") if given is not None else None,
        inference=inference,
        modes=option_values.listed(mode or ()),
        cases=tuple(case or ()),
        seed=root,
        jobs=jobs,
        timeout_s=limit,
        memory_mb=memory,
        python=python,
        releases=tuple(releases or ()),
        dask=dask,
        ledger=ledger,
        sequential=sequential,
        seed_given=seed is not None,
        budget_s=option_values.duration(budget, "--budget") if budget is not None else None,
        resolution=resolution,
        journal=journal,
        resume=resume,
        argv=tuple(sys.argv[1:]),
    )
    request = _asked(request, every, {k: v for k, v in typed.items() if v}, project_options.read(Path()), notes)
    if drawn:
        print(f"root seed {root}", file=sys.stderr)
    if plan:
        from dropcheck.report.plan_text import render as render_plan

        planned = auditing.plan(request)
        out_text(render_plan(planned, width()))
        if any(one.error for one in planned):
            raise typer.Exit(3)  # what cannot be planned cannot be audited
        return
    from dropcheck.commands.progress import reporter

    with journals.alone(journal):
        with reporter() as progress:
            result = auditing.run(request, progress)
        try:
            if json_file is not None:
                results.save(result, json_file)
            if out is not None:
                from dropcheck.report import html

                html.write(result, out)
        except results.DiskFull as error:
            raise results.DiskFull(
                f"{error}. {journal} keeps the finished targets: make room and repeat the command with --resume"
            ) from error
        if journal is not None and not result.interrupted:
            journal.unlink(missing_ok=True)
    for one in printed:
        out_text(_shown(result, one, verbose))
    if out is not None:
        print(f"Report: {out / 'index.html'}", file=notes)
    if history is not None:
        from dropcheck.results.history import stores

        print(stores.record(history, result).rstrip("\n"), file=notes)
    if result.interrupted:
        raise typer.Exit(130)
    from dropcheck.judge.levels import exit_code

    code = exit_code(result)
    raise typer.Exit(0 if complete and code in (0, 1, 3) and result.targets else code)


def _shown(result: Result, form: str, verbose: bool) -> str:
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
