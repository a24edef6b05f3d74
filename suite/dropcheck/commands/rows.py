"""A command's options as rows of a table: what is typed, what help says of it, and the argument that it becomes."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from dropcheck.plan.audit_options import argument_of

Callee = TypeVar("Callee", bound=Callable[..., None])


@dataclass(frozen=True)
class Row:
    """One option or argument: its word in Python, its type with what help says of it, and its value where it is not typed."""

    argument: str
    annotation: Any
    default: Any = None


def option(
    name: str,
    help: str,
    *,
    metavar: str | None = None,
    kind: Any = str,
    many: bool = False,
    default: Any = None,
    group: str | None = None,
    complete: Callable[[str], list[str]] | None = None,
    also: Sequence[str] = (),
) -> Row:
    """An option ``--name``. ``kind``: the type of its value, ``bool`` for a flag; ``many``: it may be repeated.

    ``default``: help shows it, where its words do not; without one the value is None, or False of a flag. ``also``: other names.
    """
    shown = typer.Option(
        name,
        *also,
        metavar=metavar,
        help=help,
        rich_help_panel=group,
        autocompletion=complete,
        show_default=default is not None and "(default)" not in help,
    )
    kept: Any = kind if kind is bool or default is not None else list[kind] | None if many else kind | None
    return Row(argument_of(name), Annotated[kept, shown], False if kind is bool else default)


def shared(argument: str, annotation: Any, default: Any = None, group: str | None = None) -> Row:
    """A row of what other commands have, too (``options``), in this group of the help."""
    kind, shown = annotation.__origin__, copy.copy(annotation.__metadata__[0])
    shown.rich_help_panel = group
    return Row(argument, Annotated[kind, shown], default)


def takes(rows: Sequence[Row]) -> Callable[[Callee], Callee]:
    """The command line gives the function these arguments, in this order, whatever it calls them itself (``**typed``)."""

    def sign(function: Callee) -> Callee:
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter(r.argument, keyword, default=r.default, annotation=r.annotation) for r in rows]
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return function

    return sign
