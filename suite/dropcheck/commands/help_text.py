"""How ``--help`` is laid out: commands and options in groups, whole sentences, one example a group."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from typer.core import TyperCommand, TyperGroup

# what a user wants to do, in the order in which he meets it
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "Audit": ("audit", "explain", "list", "repro", "init"),
    "Gate a release": ("gate", "waive"),
    "Speed": ("bench",),
    "Stored results": ("report", "compare", "trend"),
    "Several releases": ("bisect", "environments", "field"),
    "This tool": ("selftest",),
}
_OTHERS = "Help"
_KINDS = {"str": "WORD", "int": "N", "float": "NUMBER", "path": "FILE"}  # what takes the place of a Python type


class Command(TyperCommand):
    """A command whose options stand in the groups that they name (``rich_help_panel``), each with its example.

    ``examples``: one command line a group.
    """

    examples: Mapping[str, str] = {}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for one in self.get_params(ctx):
            found = record(one, ctx)
            if found is None:
                continue
            argument = one.param_type_name == "argument"
            group = getattr(one, "rich_help_panel", None) or ("Arguments" if argument else "Options")
            if "--help" in one.opts and self.examples:
                group = _OTHERS
            groups.setdefault(group, []).append(found)
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows)
                if group in self.examples:
                    formatter.write_text(f"Example: {self.examples[group]}")


class Commands(TyperGroup):
    """The commands in groups, each with the whole first sentence of its help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        wide = max(map(len, self.commands))
        for group, names in COMMANDS.items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(wide), sentence(self.commands[name].help or "")) for name in names])


def record(param: Any, ctx: Any) -> tuple[str, str] | None:
    """What help says of an option or an argument: its names with the kind of its value as a word, and its meaning."""
    found = param.get_help_record(ctx)
    if found is None:
        return None
    if param.param_type_name == "argument":
        return str(param.metavar or param.name), found[1]
    return re.sub(r"<([a-z]+)[^>]*>", lambda kind: _KINDS.get(kind[1], kind[1].upper()), found[0]), found[1]


def sentence(text: str) -> str:
    """The first paragraph of a help text on one line."""
    return " ".join(text.strip().split("\n\n")[0].split())
