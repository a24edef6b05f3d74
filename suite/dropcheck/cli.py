"""The command line: what was typed becomes a request, a result becomes text and an exit code."""

from __future__ import annotations

import os
import sys
import textwrap
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from dropcheck.commands import audit as audit_commands
from dropcheck.commands import bench as bench_commands
from dropcheck.commands import compare as compare_commands
from dropcheck.commands import explain as explain_commands
from dropcheck.commands import field as field_commands
from dropcheck.commands import gate as gate_commands
from dropcheck.commands import init as init_commands
from dropcheck.commands import listing as list_commands
from dropcheck.commands import options
from dropcheck.commands import releases as releases_commands
from dropcheck.commands import report as report_commands
from dropcheck.commands import repro as repro_commands
from dropcheck.commands import trend as trend_commands
from dropcheck.commands import waive as waive_commands
from dropcheck.commands.help_text import COMMANDS as GROUPS
from dropcheck.commands.help_text import Command, Commands
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.contract.version import __version__

app = typer.Typer(
    name="dropcheck",
    cls=Commands,
    help="Test whether a dropout layer does what it documents: which elements it drops together, how often, how it scales, "
    "seeds, gradients and modes.",
    epilog="Example: dropcheck audit my_layers.py:ChannelDrop. Help on a command: dropcheck audit --help.",
    add_completion=True,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = tuple(name for names in GROUPS.values() for name in names)

Texts = list[str] | None


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


@app.command("selftest")
def selftest_command(
    profile: Annotated[
        Texts, typer.Option("--profile", metavar="PROFILE", help="Of the part zoo: quick (default), standard.")
    ] = None,
    part: Annotated[
        Texts,
        typer.Option("--part", metavar="PART", help="calibration, power, thresholds, zoo, practice; all by default."),
    ] = None,
    seed: options.Seed = None,
    jobs: Annotated[int, typer.Option(help="Number of processes; 0: as many as cores.")] = 0,
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
        typer.Option(
            metavar="TIME", help="With --from: how long to search for a case that detects a missed layer (60s)."
        ),
    ] = None,
) -> None:
    """Measure dropcheck itself: false alarms, detection limits, known defects, and common tests beside it."""
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


list_commands.add(app)
explain_commands.add(app)
audit_commands.add(app)
init_commands.add(app)
bench_commands.add(app)
report_commands.add(app)
compare_commands.add(app)
releases_commands.add(app)
repro_commands.add(app)
field_commands.add(app)
gate_commands.add(app)
trend_commands.add(app)
waive_commands.add(app)
for one in app.registered_commands:
    if not issubclass(one.cls or object, Command):
        one.cls = Command


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
    except SystemExit as ended:
        # a script of completion ends with 0; a broken pipe with 1, which here would say that a claim is broken
        return 0 if ended.code in (None, 0) else 2
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
