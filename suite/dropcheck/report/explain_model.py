"""What ``dropcheck explain`` says of a model: the table of its layers, what is wrong, what else draws random numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from dropcheck.contract.errors import UsageError
from dropcheck.contract.sites import DROPS, SHARES, Sites
from dropcheck.plan.models import Layer, Model, draws, named, without
from dropcheck.results.plain_text import line


def text(model: Model, width: int) -> str:
    """The table of layers with their patterns, the wrong ones named in a sentence, and what to do next.

    Raises UsageError for a model without dropout.
    """
    if not model.layers:
        if model.sites is None or not draws(model.sites):
            raise UsageError(without(model))
        return _hidden_only(model, model.sites, width)
    target = model.target
    bad = [one for one in model.layers if one.faults]
    names = len({one.name for one in model.layers})
    mark = "✗ " if model.wrong else ""
    head = (
        f"{mark}{line(target.name)}: {names} dropout layer{'' if names == 1 else 's'} in {model.calls} forward passes"
    )
    head += f"; {len(bad)} of their uses {'is' if len(bad) == 1 else 'are'} wrong" if bad else ""
    head += _elsewhere(model.sites)
    lines = textwrap.wrap(f"{head}.", width)
    rows = [("layer", "class", "input", "noise shape here", "rate", "seen")]
    for one in model.layers:
        sizes = ", ".join(f"{a} {s}" for a, s in zip(one.axes, one.shape, strict=True))
        seen = f"{one.found.rate:.3f}" if not one.found.nothing else "none"
        rate = f"{one.rate:g}" if one.rate is not None else "?"
        name = one.name + (f" (use {one.use + 1})" if one.use else "")
        mark = "✗ " if one.faults else "  "
        shape = "off" if one.off else one.found.noise_shape or ("none fits" if one.found.sure else "not seen")
        rows.append((mark + _cut(line(name, 400)), line(one.kind, 30), sizes, shape, rate, seen))
    rows[0] = ("  layer", *rows[0][1:])
    wide = [max(len(row[i]) for row in rows) for i in range(6)]
    lines += ["", *("  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows), ""]
    for sentence in _sentences(model.layers):
        lines += textwrap.wrap(
            line(sentence, 600) + ("" if sentence.endswith("?") else "."), width, subsequent_indent="    "
        )
    unknown = [one for one in model.layers if one.found_by == "behaviour"]
    for one in unknown:
        sentence = f"{line(one.name)} was found by its behaviour: its output is sometimes 0 where its input is not."
        lines += ["", *textwrap.wrap(sentence, width)]
    if model.notes:
        lines += ["", *_notes(model, width)]
    lines += ["", f"Audit them where they stand: {_audit(model)}"]
    drawn = [one for one in (*bad, *model.layers) if not one.refusal]
    if drawn:
        lines.append(f"One of them, drawn: dropcheck explain {named(target, drawn[0]).name}")
    return "\n".join([*lines, ""])


def _audit(model: Model) -> str:
    declared = model.sites.declared if model.sites is not None else ""
    return f"dropcheck audit {model.target.name}" + (f" --inference {declared}" if declared else "")


def _elsewhere(sites: Sites | None) -> str:
    """What the head of the table says of dropout in inference and of shared masks."""
    drawn, shared = (len(sites.active), len(sites.shared)) if sites is not None else (0, 0)
    said = f"; {drawn} dropout draw{'' if drawn == 1 else 's'} in inference, expected 0" if drawn else ""
    return said + (f"; {shared} shared mask{'' if shared == 1 else 's'}, expected 0" if shared else "")


def _cut(name: str, most: int = 40) -> str:
    """A name cut in its middle: its end tells layers apart."""
    return name if len(name) <= most else f"{name[:12]}...{name[len(name) - most + 15 :]}"


def _sentences(layers: Sequence[Layer]) -> list[str]:
    """A sentence for each layer; layers without a fault that have the same to say share one."""
    some: dict[str, list[Layer]] = {}
    for one in layers:
        alike = one.sentence.partition(": ")[2] if not one.faults and not one.question else one.sentence
        some.setdefault(f"{one.kind}: {alike}", []).append(one)
    said = []
    for same in some.values():
        first, names = same[0], list(dict.fromkeys(one.name for one in same))
        if len(same) == 1:
            said.append(first.sentence)
        elif len(names) == 1:
            said.append(f"{first.kind} at {names[0]} ({len(same)} uses): {first.sentence.partition(': ')[2]}")
        else:
            more = (
                f"{', '.join(names[:2])} and {len(names) - 2} more"
                if len(names) > 3
                else f"{', '.join(names[:-1])} and {names[-1]}"
            )
            said.append(f"{first.kind} at {more}: {first.sentence.partition(': ')[2]}")
    return said


def _notes(model: Model, width: int) -> list[str]:
    """What else was seen, marked where it is wrong."""
    marked = [("✗ " if note.endswith((DROPS, SHARES)) else "") + line(note) for note in model.notes]
    if model.sites is not None:
        marked += [f"✗ {line(one.name)}: {line(one.problem)}" for one in model.sites.backward if one.problem]
    return [piece for note in marked for piece in textwrap.wrap(note, width, subsequent_indent="    ")]


def _hidden_only(model: Model, sites: Sites, width: int) -> str:
    """What ``text`` is of a model whose dropout stands in functions alone."""
    mark = "✗ " if sites.wrong else ""
    head = f"{mark}{line(model.target.name)}: no dropout layer, {sites.counted}{_elsewhere(sites)}."
    notes = _notes(model, width)
    return "\n".join([*textwrap.wrap(head, width), "", *notes, "", f"Audit it: {_audit(model)}", ""])
