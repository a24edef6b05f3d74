"""``dropcheck list``: implementations by framework, the checks, and the schema of a result."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dropcheck.commands.report import out_text
from dropcheck.commands.report import width as columns
from dropcheck.results.plain_text import line

if TYPE_CHECKING:
    from dropcheck.plan.targets import Listing

_FRAMEWORKS = {
    "torch": "PyTorch",
    "torch-function": "PyTorch",
    "keras": "Keras",
    "tf_keras": "Keras 2",
    "tensorflow": "TensorFlow",
    "numpy": "NumPy",
    "jax": "JAX",
    "flax-linen": "Flax",
    "flax-nnx": "Flax",
    "equinox": "Equinox",
    "equinox-batch": "Equinox",
    "haiku": "Haiku",
    "haliax": "Haliax",
    "penzai": "Penzai",
    "brainstate": "BrainState",
    "mlx": "MLX",
    "onnxruntime": "ONNX Runtime",
    "paddle": "PaddlePaddle",
    "tfjs": "TensorFlow.js",
}
_WIDEST = 100
_WHOSE = re.compile(r"^\S+( 2)?'s? ")  # PyTorch's, Keras 2's


def listing(
    checks: Annotated[bool, typer.Option("--checks", help="List the checks instead.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Also what cannot run here, and why.", show_default=False)
    ] = False,
    zoo: Annotated[bool, typer.Option("--zoo", help="Also known defects and unusual correct layers.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a result file.")] = False,
) -> None:
    """List the implementations that can run here, by framework; or the checks."""
    if schema:
        import json

        from dropcheck.results.audit import schema as result_schema

        out_text(json.dumps(result_schema(), indent=1))
        return
    width = min(columns(), _WIDEST)
    if checks:
        from dropcheck.judge.claims import CLAIMS

        out_text("\n".join(_claim(name, claim, width) for name, claim in CLAIMS.items()))
        return
    from dropcheck.plan import targets

    out_text(text(targets.available(zoo), every, width))


def text(rows: Sequence[Listing], every: bool, width: int) -> str:
    """The table: one group a framework, one line a row. ``every``: with what cannot run here, and why."""
    groups: dict[str, list[Listing]] = {}
    for row in rows:
        if row.runnable or every:
            framework = _FRAMEWORKS.get(row.framework.partition("@")[0], row.framework or "Others")
            groups.setdefault(framework, []).append(row)
    lines: list[str] = []
    for name, some in groups.items():
        words = list(dict.fromkeys(row.name.partition("@")[2] for row in some))
        heading = f"{name}, on {' or '.join(f'@{word}' for word in words if word)}" if any(words) else name
        lines += ["", heading] if lines else [heading]
        merged = {(line(row.name.partition("@")[0]), row.pattern): row for row in some}
        wide = min(max(len(name) for name, _ in merged), width // 2 - 4)
        pattern = min(max(len(row.pattern) for row in some), 18)
        for (base, _), row in merged.items():
            mark = "  " if row.runnable else "- "
            lines.append(_row(f"{mark}{base:<{wide}}  {row.pattern:<{pattern}}", line(row.summary), width))
        lines += _modes((row for row in some if row.modes), width)
        lines += _reasons(merged.values(), width)
    hidden = sum(not row.runnable for row in rows)
    if hidden and not every:
        lines += ["", f"{hidden} more cannot run here, as packages are missing: dropcheck list --all"]
    return "\n".join(lines)


def _claim(name: str, claim: str, width: int) -> str:
    return textwrap.fill(claim, width, initial_indent=f"{name:<26}  ", subsequent_indent=" " * 28)


def _modes(rows: Iterable[Listing], width: int) -> list[str]:
    """The modes of instruments, each list once, with what has it where that is not all."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row.modes, []).append(line(row.name))
    lines = []
    most = max(map(len, names.values()), default=0)
    for words, some in names.items():
        backends = sorted({name.partition("@")[2] for name in some} - {""})
        whose = " #sites" + (f" on {' and '.join(f'@{one}' for one in backends)}" if backends else "")
        if len(some) < most and not backends:
            whose = f" {', '.join(some)}"
        told = f"  modes of{whose}: {words}"
        lines += textwrap.wrap(told, width, subsequent_indent="    ", break_on_hyphens=False)
    return lines


def _reasons(rows: Iterable[Listing], width: int) -> list[str]:
    """Why some rows cannot run here, each reason once."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if not row.runnable:
            names.setdefault(row.reason, []).append(line(row.name))
    lines = []
    for reason, some in names.items():
        named = some[0] if len(some) == 1 else f"the {len(some)} of {some[0].partition('.')[0]}"
        told = f"- {named} cannot run here: {line(reason, 400)}"
        lines += textwrap.wrap(told, width, subsequent_indent="  ", break_on_hyphens=False)
    return lines


def _row(head: str, words: str, width: int) -> str:
    """A row with as many of its words as fit beside it; ``explain`` has all of them."""
    own = _WHOSE.sub("", words)  # the heading says it
    own = own.partition(": ")[2] or own if "#" in head else own  # the name of an instrument says the layer
    room = width - len(head) - 2
    return f"{head}  {textwrap.shorten(own, room, placeholder=' ...') if room > 11 else ''}".rstrip()


def add(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("list")(listing)
