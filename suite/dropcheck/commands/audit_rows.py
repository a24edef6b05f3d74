"""The options of ``dropcheck audit`` as its help shows them, in five groups.

What an option does to an audit stands in ``plan/audit_options``; how its words become a value, in ``plan/python_options``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropcheck.commands import options
from dropcheck.commands.help_text import Command
from dropcheck.commands.rows import Row, option, shared

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


_TARGETS = typer.Argument(
    metavar="TARGET",
    help="A registered name, module:attr or file.py:attr. Without one: the targets of dropcheck.toml.",
    autocompletion=options.complete_target,
)
_CHECKS = options.complete_check

ROWS: tuple[Row, ...] = (
    shared("names", Annotated[options.Texts, _TARGETS], group=WHAT),
    option("--all", "The default layers that can run here.", kind=bool, group=WHAT),
    shared("pattern", options.Pattern, group=WHAT),
    option("--inference", "What inference returns: identity, keep or active.", metavar="WORD", group=WHAT),
    shared("input", options.Input, group=WHAT),
    option("--mode", "How the layer is run: eager, compiled, jit, ..., or all.", metavar="MODE", many=True, group=WHAT),
    option("--device", "cpu (default) or cuda.", metavar="DEVICE", group=WHAT),
    shared("python", options.Python, group=WHAT),
    option(
        "--with",
        "Audit in an environment with these, such as 'torch==2.4.1'. Repeat it for more. 'installed' is this environment; "
        "beside others, they are installed over it.",
        metavar="REQUIREMENTS",
        many=True,
        group=WHAT,
    ),
    option("--profile", "quick (default), standard or deep.", metavar="PROFILE", group=MUCH),
    option("--plan", "Show cases, samples and time; run nothing.", kind=bool, group=MUCH),
    option(
        "--budget",
        "Take fewer samples, so that a target takes about this time, such as 2m.",
        metavar="TIME",
        group=MUCH,
    ),
    option("--resolution", "Smallest rate error to detect, e.g. .005.", metavar="NUMBER", kind=float, group=MUCH),
    option(
        "--select",
        "Run these checks or families only, e.g. mask,rate.zero.",
        metavar="CHECK",
        many=True,
        group=MUCH,
        complete=_CHECKS,
    ),
    option("--ignore", "Leave these checks or families out.", metavar="CHECK", many=True, group=MUCH, complete=_CHECKS),
    option("--rate", "Rates to test, e.g. .1,.5.", metavar="RATE", many=True, group=MUCH),
    option("--dtype", "float32, float64, float16, bfloat16.", metavar="DTYPE", many=True, group=MUCH),
    option(
        "--shape",
        "Input shape, in the order of the pattern's axes, e.g. 256,64,3.",
        metavar="SHAPE",
        many=True,
        group=MUCH,
    ),
    option("--case", "Repeat this case of a report.", metavar="CASE", many=True, group=MUCH),
    option("--seed", "Root seed (fixed by default), or 'fresh' for a new one.", metavar="SEED", group=STATISTICS),
    option("--strict", "Also fail on traits.", kind=bool, group=STATISTICS),
    option(
        "--sequential",
        "End a case that only measures the rate as soon as its verdict is sure.",
        kind=bool,
        group=STATISTICS,
    ),
    option(
        "--ledger",
        "Add this run to FILE: the evidence of all its runs decides, and the false-alarm probability stays below "
        "1e-6 per target over all of them.",
        metavar="FILE",
        kind=Path,
        group=STATISTICS,
    ),
    shared("json", options.ResultFile, group=OUTPUT),
    option("--out", "Write a report: index.html, result.json, report.txt.", metavar="DIR", kind=Path, group=OUTPUT),
    shared("history", options.History, group=OUTPUT),
    option(
        "--verbose",
        "Show all causes, the numbers of each check, passes, what was skipped, traits.",
        kind=bool,
        also=("-v",),
        group=OUTPUT,
    ),
    option("--format", "What is printed: text (default), markdown or json.", metavar="FORMAT", many=True, group=OUTPUT),
    shared("fail_on", options.FailOn, group=OUTPUT),
    option("--complete-is-success", "Exit 0 once the audit completes, even if a layer fails.", kind=bool, group=OUTPUT),
    option(
        "--jobs",
        "Number of targets to run in parallel; 0 (default): as many as cores.",
        metavar="N",
        kind=int,
        default=0,
        group=RUNNING,
    ),
    option("--timeout", "Stop a target after this time.", metavar="TIME", default="10m", group=RUNNING),
    shared("memory", options.Memory, group=RUNNING),
    option("--dask", "Count on the Dask cluster of this scheduler.", metavar="ADDRESS", group=RUNNING),
    shared("resume", options.Resume, False, RUNNING),
)
