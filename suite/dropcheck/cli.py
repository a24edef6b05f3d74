"""The command line: what was typed becomes a request, a result becomes text and an exit code."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from dropcheck.commands import bench as bench_commands
from dropcheck.commands import compare as compare_commands
from dropcheck.commands import field as field_commands
from dropcheck.commands import gate as gate_commands
from dropcheck.commands import options
from dropcheck.commands import releases as releases_commands
from dropcheck.commands import report as report_commands
from dropcheck.commands import repro as repro_commands
from dropcheck.commands import trend as trend_commands
from dropcheck.commands import waive as waive_commands
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.contract.version import __version__
from dropcheck.plan import option_values

app = typer.Typer(
    name="dropcheck",
    help="Does a dropout layer keep its promise? Statistical verification of spatial (channel-wise) dropout.",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    "list",
    "explain",
    "audit",
    "bench",
    "compare",
    "report",
    "trend",
    "gate",
    "waive",
    "selftest",
    "bisect",
    "repro",
    "field",
    "environments",
)

Texts = list[str] | None


def _colour(stream: Any) -> bool:
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _width() -> int:
    return max(60, min(140, shutil.get_terminal_size((100, 24)).columns))


def _out(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        _out(f"dropcheck {__version__}")
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        _out(context.get_help())
        raise typer.Exit(0)


@app.command("list")
def list_command(
    checks: Annotated[bool, typer.Option("--checks", help="List the checks instead.")] = False,
    zoo: Annotated[bool, typer.Option("--zoo", help="List planted defects and unusual correct layers too.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a result file.")] = False,
) -> None:
    """Implementations, their contracts, which can run here and why the others cannot."""
    if schema:
        import json

        from dropcheck.results.audit import schema as result_schema

        _out(json.dumps(result_schema(), indent=1))
        return
    if checks:
        from dropcheck.judge.claims import CLAIMS

        for name, claim in CLAIMS.items():
            _out(f"{name:<28} {claim}")
        return
    from dropcheck.plan import targets
    from dropcheck.results.plain_text import line

    rows = targets.available(zoo)
    wide = max(len(r.name) for r in rows)
    for row in rows:
        state = "runs here" if row.runnable else f"cannot run here: {row.reason}"
        _out(f"{line(row.name):<{wide}}  {row.pattern:<18} {state:<10}  {line(row.summary)}".rstrip())


@app.command("explain")
def explain_command(
    name: Annotated[str, typer.Argument(metavar="CHECK|TARGET", help="A check, a family or a target.")],
    pattern: options.Pattern = None,
    given: options.Input = None,
    python: options.Python = None,
) -> None:
    """A check in plain words; or a target: which elements share a coin in fact, drawn beside plain Dropout."""
    from dropcheck.report.explain_check import explain

    sizes = option_values.shape(given, "--input") if given is not None else None
    _out(explain(name, _width(), pattern=pattern, python=python, shape=sizes))


@app.command("audit")
def audit_command(
    names: options.Names = None,
    profile: options.Profile = "quick",
    plan: Annotated[bool, typer.Option("--plan", help="Show cases, coins, time and resolution; run nothing.")] = False,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Coins that fit this time a target, such as 2m.")
    ] = None,
    resolution: Annotated[float | None, typer.Option(help="Rate deviation that must be caught, such as .005.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Judge traits too.")] = False,
    case: Annotated[Texts, typer.Option("--case", metavar="CASE", help="Repeat one case.")] = None,
    select: Annotated[Texts, typer.Option("--select", metavar="CHECK", help="Checks or families.")] = None,
    ignore: Annotated[Texts, typer.Option("--ignore", metavar="CHECK", help="Checks or families to leave out.")] = None,
    rate: Annotated[Texts, typer.Option("--rate", metavar="RATE", help="Rates to ask for.")] = None,
    dtype: Annotated[
        Texts, typer.Option("--dtype", metavar="DTYPE", help="float32, float64, float16, bfloat16.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the layer runs.")] = "cpu",
    mode: Annotated[
        Texts, typer.Option("--mode", metavar="MODE", help="How the layer is run: eager, compiled, jit, ..., or all.")
    ] = None,
    shape: Annotated[
        Texts, typer.Option("--shape", metavar="SHAPE", help="Input shape in the pattern's axis order.")
    ] = None,
    given: options.Input = None,
    pattern: options.Pattern = None,
    inference: Annotated[
        str | None, typer.Option(metavar="WORD", help="Declare what inference returns: identity, keep or active.")
    ] = None,
    seed: options.Seed = None,
    jobs: options.Jobs = 0,
    timeout: options.TargetLimit = "10m",
    memory: options.Memory = None,
    python: options.Python = None,
    releases: Annotated[
        Texts,
        typer.Option(
            "--with",
            metavar="REQUIREMENTS",
            help="Audit in an environment of these, such as 'torch==2.4.1'; repeat for more, 'installed' is the present one.",
        ),
    ] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="Count on the Dask cluster of this scheduler.")
    ] = None,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="End cases that ask for nothing but the rate as soon as it is decided.")
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(
            "--ledger",
            metavar="FILE",
            help="Make this audit a run of FILE: the evidence of all its runs decides, at one alpha for the life of FILE.",
        ),
    ] = None,
    fail_on: options.FailOn = None,
    json_file: options.ResultFile = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write a report: index.html, result.json, report.txt.")
    ] = None,
    resume: options.Resume = False,
    history: options.History = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every pass too.")] = False,
    complete: Annotated[
        bool, typer.Option("--complete-is-success", help="Exit 0 whenever the audit ran to its end.")
    ] = False,
) -> None:
    """Verify layers. No target: every implementation that can run here."""
    from dropcheck.auditing import journal as journals
    from dropcheck.auditing import run as auditing
    from dropcheck.results import audit as results

    limit = option_values.duration(timeout, "--timeout")
    root, drawn = option_values.seed(seed, auditing.DEFAULT_SEED)
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
    request = auditing.AuditRequest(
        targets=tuple(names or ()),
        profile=profile,
        select=option_values.listed(select or ()),
        ignore=option_values.listed(ignore or ()),
        rates=option_values.rates(rate or ()),
        dtypes=option_values.listed(dtype or ()),
        shapes=tuple(option_values.shape(s) for s in shape or ()),
        input=option_values.shape(given, "--input") if given is not None else None,
        pattern=pattern,
        inference=inference,
        device=device,
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
        strict=strict,
        fail_on=fail_on,
        journal=journal,
        resume=resume,
        argv=tuple(sys.argv[1:]),
    )
    if drawn:
        print(f"root seed {root}", file=sys.stderr)
    if plan:
        from dropcheck.report.plan_text import render as render_plan

        planned = auditing.plan(request)
        _out(render_plan(planned, _width()))
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
    from dropcheck.report.text import render

    _out(render(result, width=_width(), colour=_colour(sys.stdout), every=verbose))
    if out is not None:
        _out(f"Report: {out / 'index.html'}")
    if history is not None:
        from dropcheck.results.history import stores

        _out(stores.record(history, result))
    if result.interrupted:
        raise typer.Exit(130)
    from dropcheck.judge.levels import exit_code

    code = exit_code(result)
    raise typer.Exit(0 if complete and code in (0, 1, 3) and result.targets else code)


@app.command("selftest")
def selftest_command(
    profile: Annotated[
        Texts, typer.Option("--profile", metavar="PROFILE", help="quick (default), standard; for the zoo.")
    ] = None,
    part: Annotated[
        Texts,
        typer.Option("--part", metavar="PART", help="calibration, power, thresholds, zoo, practice; all by default."),
    ] = None,
    seed: options.Seed = None,
    jobs: Annotated[int, typer.Option(help="Processes; 0: as many as cores.")] = 0,
    scale: Annotated[float, typer.Option(help="Share of the full self-test, such as .01 for a first look.")] = 1.0,
    json_file: options.ResultFile = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write index.html, report.md and selftest.json.")
    ] = None,
    resume: options.Resume = False,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Audit the layers of a Python file against the table EXPECTED in it."
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --from: how long to look for what would have caught a miss (60s)."),
    ] = None,
) -> None:
    """Measure the suite's own promises: calibration, power, thresholds, the zoo, and today's practice beside it."""
    from dropcheck.commands import selftest as command
    from dropcheck.report import selftest as report

    result, code = command.execute(
        profile=profile or (),
        part=part or (),
        seed=seed,
        jobs=jobs,
        scale=scale,
        json_file=json_file,
        out=out,
        resume=resume,
        from_file=from_file,
        search=search,
        argv=sys.argv[1:],
    )
    _out(report.summary(result))
    if out is not None:
        _out(f"Report: {out / 'index.html'}")
    raise typer.Exit(code)


bench_commands.add(app)
report_commands.add(app)
compare_commands.add(app)
releases_commands.add(app)
repro_commands.add(app)
field_commands.add(app)
gate_commands.add(app)
trend_commands.add(app)
waive_commands.add(app)


def _usage_sentence(error: Any) -> str:
    """One sentence from a usage error of the command line library, with the nearest valid word."""
    text = str(getattr(error, "message", "") or error).strip().rstrip(".")
    given = getattr(error, "option_name", None)
    if given:
        context = getattr(error, "ctx", None)
        valid = [o for p in getattr(getattr(context, "command", None), "params", []) for o in getattr(p, "opts", [])]
        return f"there is no option {given!r}{nearest(given, [v for v in valid if v.startswith('--')])}"
    if "No such command" in text:
        word = text.split("'")[1] if "'" in text else text
        return f"there is no command {word!r}; expected one of {', '.join(COMMANDS)}{nearest(word, COMMANDS)}"
    return text


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code of design.md section 6."""
    command = typer.main.get_command(app)
    try:
        code = command.main(args=argv, prog_name="dropcheck", standalone_mode=False)
        return int(code or 0)
    except UsageError as error:
        print(f"dropcheck: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dropcheck: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # whoever read our output has gone; there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except SystemExit:
        return 2  # click ends a broken pipe with 1, which here would say that a claim is broken
    except Exception as error:
        names = {c.__name__ for c in type(error).__mro__}
        if "Exit" in names:
            return int(getattr(error, "exit_code", 0))
        if "Abort" in names:
            return 130
        if "ClickException" in names:
            print(f"dropcheck: {_usage_sentence(error)}", file=sys.stderr)
            return 2
        from dropcheck.results.audit import ResultError, full

        if isinstance(error, ResultError):
            print(f"dropcheck: {error}", file=sys.stderr)
            return 2
        if full(error):
            place = getattr(error, "filename", None)
            where = f" where {place} is to be written" if place else ""
            print(f"dropcheck: the disk is full{where}; make room and repeat the command", file=sys.stderr)
            return 2
        print(f"dropcheck: {type(error).__name__}: {error}; this is a fault of dropcheck", file=sys.stderr)
        print(textwrap.indent(traceback.format_exc().rstrip(), "    "), file=sys.stderr)
        return 2


def entry() -> None:
    """The console script."""
    sys.exit(main())
