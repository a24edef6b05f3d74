"""Pages that are made of the program itself: one for each check, and one of all commands and options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dropcheck.commands import help_text
from dropcheck.judge import examples, levels
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import ALPHA, BETA, Check
from dropcheck.judge.claims import FAMILIES

DOCS = Path(__file__).resolve().parents[1]

FAMILY = {
    "mask": "Which elements are dropped together, and whether the drop decisions are independent.",
    "rate": "How often a position is dropped, and what the layer does at rate 0, at rate 1 and with invalid rates.",
    "scale": "What the kept values are multiplied by.",
    "seed": "Whether seeds repeat masks, and whether different seeds give different ones.",
    "gradient": "Whether the backward pass matches the forward pass.",
    "mode": "Training, inference, global settings and threads.",
    "form": "Shapes, dtypes, memory layouts and copies.",
    "site": "Models as a whole: where dropout draws, whether places share masks, and whether the backward pass uses them.",
}
LEVEL = {
    "defect": "wrong results at a rate between 0 and 1",
    "edge": "wrong results only at rate 0, at rate 1, for invalid rates or for empty inputs",
    "trait": "reported, and judged only with `--strict`",
}


def pages() -> dict[str, str]:
    """Path below docs/ -> text of every generated page."""
    made = {f"reference/checks/{check.name}.md": check_page(check) for check in CHECKS}
    made["reference/checks/index.md"] = check_index()
    made["reference/cli.md"] = cli_page()
    return made


def names() -> list[str]:
    """The paths of the generated pages, without making them."""
    return [*(f"reference/checks/{check.name}.md" for check in CHECKS), "reference/checks/index.md", "reference/cli.md"]


def _level(check: Check) -> str:
    """The level of a failure at a rate between 0 and 1; what only --strict or a promise judges is a trait."""
    return "trait" if check.name == "form.nonfinite" else levels.level(check.name)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def check_index() -> str:
    """All checks by family, with their levels."""
    parts = [
        "# Checks",
        "",
        "Each check tests one sentence about a layer. Names are stable: use them in `--select`, `--ignore`, waivers and tests. "
        "A family name selects all its checks.",
        "",
        "A failure has a [level](../glossary.md#level): "
        + "; ".join(f"*{name}*, {text}" for name, text in LEVEL.items())
        + ". Any check that fails only at rate 0 or rate 1 counts as an edge there.",
    ]
    for family in FAMILIES:
        parts += ["", f"## {family}", "", FAMILY[family], "", "| check | what it tests | level |", "|---|---|---|"]
        parts += [f"| [{c.name}]({c.name}.md) | {_cell(c.claim)} | {_level(c)} |" for c in CHECKS if c.family == family]
    return "\n".join([*parts, ""])


def check_page(check: Check) -> str:
    """One check: sentence, level, reason, code, decision, detection limit, error probability, remedy."""
    why, covers = examples.notes(check.name)
    parts = [f"# {check.name}", "", f"**{_capital(check.claim)}**", ""]
    parts += [f"Level of a failure: [{_level(check)}](../glossary.md#level).", ""]
    parts += ["## Why it matters", "", why, ""]
    for heading, field in (("Wrong", "wrong"), ("Right", "right")):
        if code := str(getattr(check, field, "") or "").strip("\n"):
            parts += [f"## {heading}", "", "```python", code, "```", ""]
    parts += ["## What to do when it fails", "", _capital(check.remedy), ""]
    parts += ["## How it decides", "", _capital(check.how), ""]
    if covers:
        parts += ["## What it covers", "", covers, ""]
    parts += ["## What the verdicts are worth", "", *_worth(check), ""]
    parts += _defects(check)
    parts += ["## Try it", "", "```", f"dropcheck audit TARGET --select {check.name}", "```", ""]
    return "\n".join(parts)


def _worth(check: Check) -> list[str]:
    lines = [
        f"* **Fail**: the probability that a correct layer fails this check is below {ALPHA * check.share:.2g} for one target "
        f"(its share of {ALPHA:g})."
        if check.share
        else "* **Fail**: a correct layer cannot fail this check: chance plays no part."
    ]
    if check.resolution_words:
        lines.append(
            f"* **Pass**: the printed detection limit is the size of one kind of defect: {check.resolution_words}. A larger "
            f"defect is missed with probability below {BETA:g}."
        )
    if check.coarsest:
        limits = ", ".join(f"{name} {value:g}" for name, value in check.coarsest.items())
        lines.append(
            f"* **Inconclusive**: the detection limit is coarser than the profile accepts ({limits}). Small cases may "
            "have larger limits: 4 times as large below 4096 decisions a call, 16 times below 64. So may long channels: 2 times "
            "as large above 8 positions a channel, 4 times above 40."
        )
    return lines


def _defects(check: Check) -> list[str]:
    from dropcheck.report.explain_check import defects_of

    found = defects_of(check.name)
    if not found:
        return []
    parts = [
        "## Known defects that it finds",
        "",
        "Each is a layer that you can audit, such as `dropcheck audit broken.NAME`.",
        "",
    ]
    parts += ["| layer | what is wrong | seen in |", "|---|---|---|"]
    parts += [
        f"| `broken.{d.name}` | {_cell(d.summary)}{' (with `--strict`)' if d.strict else ''} | {_cell(d.source)} |"
        for d in found
    ]
    return [*parts, ""]


def cli_page() -> str:
    """Every command with its arguments and options, as ``--help`` has them."""
    import typer

    from dropcheck.cli import app
    from dropcheck.commands.help_text import COMMANDS, sentence

    root: Any = typer.main.get_command(app)
    parts = [
        "# Command line",
        "",
        "This page is made of the commands' own help. [Exit codes](exit-codes.md) are the same for every command. "
        "[Case notation](cases.md) explains targets, patterns and cases.",
        "",
        "| command | what it does |",
        "|---|---|",
    ]
    commands = {name: root.commands[name] for group in COMMANDS.values() for name in group}
    parts += [f"| [{name}](#{name}) | {_cell(sentence(one.help))} |" for name, one in commands.items()]
    parts += ["", *_table(root, root.params)]
    for name, one in commands.items():
        parts += ["", f"## {name}", "", *_help(one), "", *_table(one, one.params)]
    return "\n".join([*parts, ""])


def _help(command: Any) -> list[str]:
    words = [f"dropcheck {command.name}", "[OPTIONS]"]
    words += [str(p.metavar or p.name) for p in command.params if p.param_type_name == "argument"]
    text = (command.help or "").replace("\b\n", "").strip()
    epilog = (command.epilog or "").replace("\b\n", "").strip()
    return ["```", " ".join(words), "```", "", text, *(["", "```", epilog, "```"] if epilog else [])]


def _table(command: Any, params: list[Any]) -> list[str]:
    import typer

    context = typer.Context(command, info_name=command.name)
    groups: dict[str, list[str]] = {}
    for param in params:
        found = None if getattr(param, "hidden", False) else help_text.record(param, context)
        if found:
            names, told = found
            panel = getattr(param, "rich_help_panel", None) or ""
            groups.setdefault(panel, []).append(f"| `{_cell(names)}` | {_cell(told)} |")
    parts: list[str] = []
    examples = getattr(command, "examples", {})
    for group, rows in groups.items():
        parts += [*([f"**{group}**", ""] if group else []), "| option | meaning |", "|---|---|", *rows, ""]
        parts += [f"Example: `{examples[group]}`", ""] if group in examples else []
    return parts[:-1]


def write(folder: Path) -> None:
    """All generated pages as files, for who wants to read them without building the site."""
    for name, text in pages().items():
        place = folder / name
        os.makedirs(place.parent, exist_ok=True)
        place.write_text(text)
