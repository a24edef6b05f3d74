"""``dropcheck explain``: a check or a family of checks in plain words; targets are explained in ``explain_target``."""

from __future__ import annotations

import textwrap
from typing import Any

from dropcheck.contract.errors import UsageError, nearest
from dropcheck.judge.checks import CHECK, CHECKS
from dropcheck.judge.checks.base import ALPHA, BETA, Check
from dropcheck.judge.claims import FAMILIES
from dropcheck.judge.traits import TRAITS
from dropcheck.report import explain_target
from dropcheck.report.explain_target import Explained


def explain(
    word: str,
    width: int = 100,
    *,
    pattern: str | None = None,
    python: str | None = None,
    shape: tuple[int, ...] | None = None,
) -> str:
    """The text of ``explained``."""
    return explained(word, width, pattern=pattern, python=python, shape=shape).text


def explained(
    word: str,
    width: int = 100,
    *,
    pattern: str | None = None,
    python: str | None = None,
    shape: tuple[int, ...] | None = None,
    inference: str | None = None,
) -> Explained:
    """What to say of a check, a family, a trait, or a target (which is run). Raises UsageError with the nearest valid name.

    ``pattern``: what the target is declared to follow; ``python``: the interpreter that runs it;
    ``shape``: of an input for a model; ``inference``: what inference returns, as a contract says it.
    """
    if word in CHECK:
        return Explained(_check(CHECK[word], width))
    if word in FAMILIES:
        lines = [f"{word}: {sum(c.family == word for c in CHECKS)} checks", ""]
        lines += [f"  {c.name:<28} {c.claim}" for c in CHECKS if c.family == word]
        more = f"More: dropcheck explain {next(c.name for c in CHECKS if c.family == word)}"
        return Explained("\n".join([*lines, "", more, ""]))
    if word in TRAITS:
        parts = [
            word,
            _wrap(TRAITS[word], width),
            "",
            "A trait of the layer: reported under Traits, for information.",
            "",
        ]
        return Explained("\n".join(parts))
    from dropcheck.contract.register import register
    from dropcheck.plan import targets

    try:
        target = targets.parse(word)
    except targets.UnknownTarget as error:
        if ":" in word or "@" in word:
            raise  # it can be a target only
        known = [*CHECK, *FAMILIES, *TRAITS, *register()]
        if "." in word and word.split(".", 1)[0] in FAMILIES:
            known = [*CHECK, *TRAITS]
        raise UsageError(f"{word!r} is neither a check nor a target{nearest(word, known)}") from error
    return explain_target.explained(target, width, pattern=pattern, python=python, shape=shape, inference=inference)


def _wrap(text: str, width: int, indent: str = "  ") -> str:
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)


def defects_of(check: str) -> list[Any]:
    """Known defects that name this check."""
    try:
        from spatial_dropouts.broken import DEFECTS
    except ImportError:
        return []
    return [d for d in DEFECTS if d.check == check]


def _example(title: str, code: str) -> list[str]:
    return [title, textwrap.indent(code.strip("\n"), "  "), ""] if code else []


def _check(check: Check, width: int) -> str:
    parts = [check.name, _wrap(check.claim, width), "", "How it decides", _wrap(check.how, width)]
    if check.share:
        parts += [
            "",
            "Error probabilities",
            _wrap(
                f"Fail: a correct layer fails this check with probability below {ALPHA * check.share:.2g} in an audit of one "
                f"target (the share of this check in {ALPHA:g}). Pass: {check.resolution_words or 'a defect'} above the printed "
                f"detection limit is missed with probability below {BETA:g}.",
                width,
            ),
        ]
    if check.coarsest:
        levels = ", ".join(f"{name} {value:g}" for name, value in check.coarsest.items())
        parts += [
            _wrap(
                f"Largest detection limit of a pass, by profile: {levels}. Above it the result is inconclusive. "
                "Limits are relaxed for small cases: 4x below 4096 drop decisions per call, 16x below 64; 2x above 8 and 4x "
                "above 40 elements per decision.",
                width,
            )
        ]
    defects = defects_of(check.name)
    if defects:
        parts += ["", f"Known defects that it detects ({len(defects)})"]
        parts += [
            _wrap(f"broken.{d.name}: {d.summary}{', under --strict' if d.strict else ''} ({d.source})", width)
            for d in defects
        ]
    parts += ["", *_example("Wrong", check.wrong), *_example("Right", check.right)]
    parts += ["What to do when it fails", _wrap(check.remedy, width), ""]
    return "\n".join(parts)
