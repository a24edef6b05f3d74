"""``dropcheck init``: a commented policy for the present folder, with the dropout layers that its files hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dropcheck.commands.report import out_text
from dropcheck.contract.errors import UsageError

_TEXT = """\
# What `dropcheck audit`, `dropcheck gate` and the pytest plugin do in this folder. The command line comes first.
# `dropcheck gate --dump-config` prints every key with its value.
version = 1

# The layers: names of `dropcheck list`, module:attr or file.py:attr.
{targets}

# Checks or families that are required (default: all), and those that are not; `dropcheck list --checks` shows them.
# checks = ["mask", "rate", "scale", "mode", "gradient", "seed"]
# ignore = ["rate.rejects-invalid"]

# How fine the audit looks: quick, standard or deep.
# profile = "quick"

# The dtypes that are tested (default: all that the framework has), and where.
# dtypes = ["float32", "bfloat16"]
# devices = ["cpu"]

# The least grave failure that counts: defect, edge (rates 0 and 1, invalid rates, empty inputs) or trait; others are warnings.
# fail_on = "edge"

# What the gate makes of missing evidence: fail, inconclusive or skip.
# on_missing = "inconclusive"

# Which elements are dropped together, where it is not the default of the framework.
# [patterns]
# "{example}" = "n l c -> n c"

# Speed, relative to a reference in the same run.
# [speed]
# reference = "torch.Dropout1d"
# max_ratio = 1.1

# An accepted failure; `dropcheck waive` writes one.
# [[waiver]]
# check = "rate.rejects-invalid"
# target = "{example}"
# reason = "why this is accepted"
# expires = {expires}
"""


def text(found: Sequence[str], expires: str) -> str:
    """The policy, with these targets."""
    if not found:
        targets = '# none was found here, so this is an example\n# targets = ["my_layers.py:ChannelDrop"]'
    else:
        targets = "targets = [\n" + "".join(f'    "{one}",\n' for one in found) + "]"
    return _TEXT.format(targets=targets, example=found[0] if found else "my_layers.py:ChannelDrop", expires=expires)


def init(
    force: Annotated[bool, typer.Option("--force", help="Replace a dropcheck.toml that is there.")] = False,
) -> None:
    """Write a commented dropcheck.toml for this folder, with the dropout layers that its Python files define."""
    import datetime

    from dropcheck.gate import decoding
    from dropcheck.plan.finding_layers import dropouts
    from dropcheck.results.audit import write_atomically
    from dropcheck.results.plain_text import count

    file = Path(decoding.FILE)
    there = decoding.find(Path())
    if there is not None and there.name == decoding.PROJECT:
        raise UsageError(f"{there} has [tool.dropcheck] already, and a folder has one policy; nothing was written")
    if file.exists() and not force:
        raise UsageError(f"{file} exists already, and nothing was written; --force replaces it")
    layers = [one for one in dropouts(Path()) if '"' not in one.target and "\\" not in one.target]
    found = [one.target for one in layers if not one.why_not]
    day = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=90)
    write_atomically(file, text(found, day.isoformat()).encode())
    shown = "".join(f"\n  {one}" for one in found)
    others = "".join(f"\n  {one.target}: {one.why_not}" for one in layers if one.why_not)
    lines = [f"{file} is written, with {count(len(found), 'target')}:{shown}"]
    if not found:
        lines = [
            f"{file} is written. No layer that can be audited was found in the Python files of this folder: name yours under "
            "targets."
        ]
    lines += [f"Left out, since they cannot be audited as they are:{others}"] if others else []
    lines += ["Next: dropcheck audit"] if found else []
    out_text("\n".join(lines))


def add(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("init")(init)
