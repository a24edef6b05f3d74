"""``dropcheck explain``: a check in plain words, or a target's promise with a small picture of its mask."""

from __future__ import annotations

import textwrap
from typing import Any

from dropcheck.adapter import Implementation
from dropcheck.checks import CHECKS, FAMILIES
from dropcheck.checks.base import ALPHA, BETA, Check
from dropcheck.contract import Contract, Pattern
from dropcheck.errors import UsageError, nearest


def explain(word: str, width: int = 100) -> str:
    """The text for a check, a family, or a target. Raises UsageError with the nearest valid name."""
    for check in CHECKS:
        if check.name == word:
            return _check(check, width)
    if word in FAMILIES:
        lines = [f"{word}: {sum(c.family == word for c in CHECKS)} checks", ""]
        lines += [f"  {c.name:<28} {c.claim}" for c in CHECKS if c.family == word]
        return "\n".join(
            [*lines, "", f"More: dropcheck explain {next(c.name for c in CHECKS if c.family == word)}", ""]
        )
    from dropcheck import targets

    try:
        target = targets.parse(word)
    except targets.UnknownTarget as error:
        known = [*(c.name for c in CHECKS), *FAMILIES, *targets.register()]
        if "." in word and word.split(".", 1)[0] in FAMILIES:
            known = [c.name for c in CHECKS]
        raise UsageError(f"{word!r} is neither a check nor a target{nearest(word, known)}") from error
    entry = targets.register().get(target.locator)
    implementation = entry.implementation if entry is not None else None
    if implementation is None:
        import spatial_dropouts

        implementation = spatial_dropouts.find(target.locator)
    return _target(word, implementation, width)


def _wrap(text: str, width: int, indent: str = "  ") -> str:
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)


def defects_of(check: str) -> list[Any]:
    """Planted defects that name this check."""
    try:
        from spatial_dropouts.broken import DEFECTS
    except ImportError:
        return []
    return [d for d in DEFECTS if d.check == check]


def _check(check: Check, width: int) -> str:
    parts = [check.name, _wrap(check.claim, width), "", "How it decides", _wrap(check.how, width)]
    if check.share:
        parts += [
            "",
            "What its words are worth",
            _wrap(
                f"fail: a correct layer is accused by this check with probability below {ALPHA * check.share:.2g} in a run of "
                f"one target (its share of {ALPHA:g}). pass: {check.resolution_words or 'a defect'} of the printed resolution "
                f"would have been missed with probability below {BETA:g}.",
                width,
            ),
        ]
    if check.coarsest:
        levels = ", ".join(f"{name} {value:g}" for name, value in check.coarsest.items())
        parts += [
            _wrap(
                f"Coarsest resolution that counts as a pass: {levels}; coarser is inconclusive. "
                "Cases of short calls may be four times as coarse (a call flips fewer than 4096 coins) or sixteen times "
                "(fewer than 64), those of long channels twice (above 8 elements a coin) or four times (above 40).",
                width,
            )
        ]
    defects = defects_of(check.name)
    if defects:
        parts += ["", f"Planted defects that it must catch ({len(defects)})"]
        parts += [
            _wrap(f"broken.{d.name}: {d.summary}{', under --strict' if d.strict else ''} ({d.source})", width)
            for d in defects
        ]
    parts += ["", "When it fails", _wrap(check.remedy, width), ""]
    return "\n".join(parts)


def _target(word: str, implementation: Implementation | None, width: int) -> str:
    contract = implementation.contract if implementation is not None else None
    if isinstance(contract, Contract):
        pattern = contract.pattern
    elif isinstance(contract, str):
        pattern = Pattern.parse(contract)
    else:
        keras = implementation is not None and implementation.framework == "keras"
        pattern = Pattern.parse("n l c -> n c" if keras else "n c l -> n c")
        contract = None
    shape = pattern.shape(2, 8, 3)
    coin = ", ".join(pattern.coins)
    shared = f", shared along {' and '.join(pattern.shared)}" if pattern.shared else ""
    noise = tuple(a if a in pattern.coins else 1 for a in pattern.axes)
    shown = "(" + ", ".join(str(n) for n in noise) + ")"
    lines = [word]
    if implementation is not None and implementation.summary:
        lines.append(f"  {implementation.summary}")
    lines += [
        "",
        f"One coin per ({coin}){shared}.   pattern  {pattern}   noise_shape  {shown}",
        f"declared; `dropcheck audit {word} --select mask` tests it",
        "",
        *_drawing(pattern, shape),
        "",
    ]
    if pattern.shared and pattern.channel_axis is not None:
        lines.append(
            _wrap(
                "Use it where neighbouring positions carry the same information (after an Embedding, between convolutions): "
                "dropping single positions then hides little, because the neighbours still tell it; dropping whole channels "
                "makes the network do without a feature.",
                width,
                "",
            )
        )
    if isinstance(contract, Contract):
        lines += ["", "It promises"]
        gone = "a alpha' + b" if contract.dropped == "alpha" else f"{contract.dropped:g}"
        lines.append(f"  dropped values are {gone}, kept values are {contract.kept_words()}")
        if "alpha" in (contract.scale, contract.offset, contract.dropped):
            lines.append(
                "  with a = ((1 - rate)(1 + rate alpha'^2))^(-1/2), b = -a rate alpha', alpha' = -1.7581 (self-normalizing "
                "networks)"
            )
        lines.append(f"  seeds reach it by: {', '.join(contract.seeds) or 'nothing'}")
        if contract.grid:
            lines.append(f"  its rates are rounded to multiples of {contract.grid:g}")
        for other in contract.ranks:
            lines.append(f"  it also takes '{other}'")
    return "\n".join([*lines, ""])


def _drawing(pattern: Pattern, shape: tuple[int, ...]) -> list[str]:
    """Dropout beside the target's pattern on one sample: rows are shared positions, columns channels."""
    import numpy as np

    rng = np.random.default_rng(7)
    channels, positions = 8, 3
    plain = rng.random((positions, channels)) < 0.4
    coins = np.zeros((1, channels), bool)
    coins[0, [1, 4, 5]] = True
    if not pattern.shared:
        other = rng.random((positions, channels)) < 0.4
    elif pattern.channel_axis is None:
        other = np.zeros((positions, channels), bool)
    else:
        other = np.repeat(coins, positions, axis=0)

    def row(values: Any) -> str:
        return " ".join("." if v else "#" for v in values)

    left = f"{'Dropout':<{2 * channels + 6}}this layer"
    side = " and ".join(pattern.shared) or "positions"
    lines = [f"  {left}      rows: {side}, columns: channels, one sample (# kept, . dropped)"]
    for one, two in zip(plain, other, strict=True):
        lines.append(f"  {row(one):<{2 * channels + 6}}{row(two)}")
    return lines
