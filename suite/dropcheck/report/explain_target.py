"""``dropcheck explain TARGET``: the pattern that it really follows, drawn beside plain Dropout, and when to use it."""

from __future__ import annotations

import textwrap
from typing import Any

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, ContractError, Pattern
from dropcheck.judge.pattern_inference import Inferred, unfitting
from dropcheck.plan import models, other_ranks
from dropcheck.plan.observed_masks import Observed, batch_axis, channel_axis, observe
from dropcheck.plan.targets import Target
from dropcheck.worker.client import Refused, TargetError

_GAP = 4


def text(
    target: Target,
    width: int = 100,
    pattern: str | None = None,
    python: str | None = None,
    shape: tuple[int, ...] | None = None,
) -> str:
    """The explanation of a target; of a model, the table of its layers.

    Raises UsageError where the user's own target does not load.
    """
    if pattern is not None:
        try:
            Pattern.parse(pattern)
        except ContractError as error:
            raise UsageError(str(error)) from error
    model = models.look(target, shape, python) if models.may_be_model(target) else None
    if model is not None:
        if "#" not in target.locator:
            return models.text(model, width)
        (target,) = models.layers_of(target, model)
    implementation = _declared(target)
    lines = [target.name]
    if target.note:
        lines += _wrap(target.note + ".", width, "  ")
    if target.skip:
        raise UsageError(f"{target.note}; not drawn: {target.skip}")
    if implementation is not None and implementation.summary:
        lines.append(f"  {implementation.summary}")
    try:
        seen = observe(target, pattern or target.pattern, python)
    except Refused as refused:
        sentence = refused.message or str(refused)
        if target.source == "user":
            known = refused.kind in ("TargetNotFound", "NoDropout", "Undeclared")
            raise UsageError(sentence if known else "\n    ".join([str(refused), *refused.lines])) from refused
        return "\n".join([*lines, "", *_unseen(implementation, sentence, width), ""])
    except TargetError as ended:
        if target.source == "user":
            raise UsageError(str(ended)) from ended
        return "\n".join([*lines, "", *_unseen(implementation, str(ended), width), ""])
    declares = implementation is not None and implementation.contract is not None
    says = "It declares" if declares else "Without --pattern it would be audited as"
    if seen.refused is not None:
        says = "The usual layer of this rank follows"
    elif pattern or target.note:
        says = "--pattern says" if pattern else "In this model it should follow"
    lines[0] += f"   {seen.info['framework'].partition('@')[0]} {seen.info['version']}".rstrip()
    if seen.info.get("guessed"):
        lines += _wrap(f"Framework: {seen.info['guessed']}.", width, "  ")
    lines += ["", *_pattern(seen), *_found(seen, width, says), "", *_drawing(seen, _short(target.name))]
    lines += [
        "",
        *_numbers(seen, _short(target.name)),
        *_wrap(seen.inference, width),
        *_wrap(use(_shown(seen)), width),
        "",
        *_promises(seen.contract),
    ]
    if seen.refused is not None:
        other = other_ranks.sentence(seen.refused, _shown(seen))
        lines[1:1] = _wrap(f"With the pattern '{seen.refused}' it raises: {other}.", width, "  ")
    again = f"dropcheck audit {target.name}"
    if seen.refused is not None:
        again += f' --pattern "{_shown(seen)}"'
    elif not (declares or target.note) and seen.found.pattern not in (None, seen.contract.pattern):
        again += f' --pattern "{seen.found.pattern}"'
    elif pattern:
        again += f' --pattern "{pattern}"'
    return "\n".join([*lines, "", f"Is it so at every size, rate and seed?  {again}", ""])


def _declared(target: Target) -> Implementation | None:
    from dropcheck.contract.register import register

    entry = register().get(target.locator)
    if entry is not None:
        return entry.implementation
    import spatial_dropouts

    found: Implementation | None = spatial_dropouts.find(target.locator)
    return found


def _wrap(sentence: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(sentence, width, initial_indent=indent, subsequent_indent=indent)


def _short(name: str) -> str:
    """What a column is headed by: the last name of a target, without its @words."""
    return name.partition("@")[0].rpartition(":")[2].rpartition("#")[2].rpartition(".")[2][:20] or name[:20]


def _shown(seen: Observed) -> Pattern:
    """The pattern to speak of: the one that it follows, else the declared one."""
    return seen.found.pattern or seen.contract.pattern


def one_coin_per(pattern: Pattern) -> str:
    """``One coin per (n, c), shared along l.``"""
    if not pattern.coins:
        return "One coin for the whole tensor."
    shared = f", shared along {' and '.join(pattern.shared)}" if pattern.shared else ": every element has its own"
    return f"One coin per ({', '.join(pattern.coins)}){shared}."


def _pattern(seen: Observed) -> list[str]:
    found, declared = seen.found, seen.contract.pattern
    if found.pattern is not None:
        return [
            f"{one_coin_per(found.pattern)}   pattern  {found.pattern}   noise_shape  {found.noise_shape}",
        ]
    if found.fits:
        whole = Pattern(declared.axes, ())
        return [f"{one_coin_per(whole)}   pattern  {whole}   noise_shape  {found.noise_shape}"]
    if declared.blocks and not difference(found, declared):
        lengths = " x ".join(str(k) for _, k in declared.blocks)
        along = " and ".join(a for a, _ in declared.blocks)
        return [f"Blocks of {lengths} that overlap along {along}, as declared.   pattern  {declared}"]
    return [f"No noise shape fits: {unfitting(found)}.   declared  {declared}"]


def difference(found: Inferred, declared: Pattern, says: str = "It declares") -> str:
    """One sentence on how the masks differ from a declared pattern; empty where they follow it. ``says``: who declares."""
    if not found.sure:
        return ""
    parts = []
    for axis in found.axes:
        coin = axis.name in declared.coins
        if axis.kind in ("dependent", "groups") and axis.name in dict(declared.blocks):
            continue  # neighbours that overlapping blocks drop together
        if axis.kind == "shared" and coin:
            parts.append(f"its coins do not vary along {axis.name}")
        elif axis.kind == "groups":
            parts.append(f"blocks of {axis.group} along {axis.name} share a coin")
        elif axis.kind in ("copies", "dependent"):
            parts.append(axis.words)
        elif axis.kind == "coin" and not coin:
            parts.append(f"its coins vary along {axis.name}")
    parts = list(dict.fromkeys(parts))
    if found.frozen:
        parts.append("its mask never changes between calls")
    elif found.calls.kind == "copies":
        parts.append("its masks repeat between calls")
    return f"{says} {declared}, but {' and '.join(parts)}." if parts else ""


def _found(seen: Observed, width: int, says: str) -> list[str]:
    found, read = seen.found, seen.marks
    sizes = ", ".join(f"{a} {s}" for a, s in zip(seen.contract.pattern.axes, seen.shape, strict=True))
    differs = difference(found, seen.contract.pattern, says)
    head = f"Found in {seen.calls} calls at rate {seen.rate:g} on a tensor of sizes {sizes}"
    if found.sure:
        head += "; wrong with probability below 10^-6. "
        head += differs or "It agrees with the declared pattern."
    else:
        head += "."
    lines = _wrap(head, width)
    if not (found.nothing or found.everything):
        counted = f"Of {found.coins:,} coins {100 * found.rate:.3g} % dropped"
        if found.interval is not None:
            low, high = (100 * v for v in found.interval)
            counted += f" ({low:.3g} to {high:.3g} %)"
            if not low <= 100 * seen.rate <= high:
                counted += f", which is not the rate {seen.rate:g}"
        else:
            counted += ", and they depend on each other"
        kept = f"x * {read.scale:.4g}" + (
            f" {'+' if read.offset > 0 else '-'} {abs(read.offset):.4g}" if read.offset else ""
        )
        if not read.affine:
            kept = "no fixed multiple of x"
        lines += _wrap(f"{counted}; dropped values are {read.constant:.6g}, kept values are {kept}.", width)
    return lines


def _drawing(seen: Observed, title: str) -> list[str]:
    """Dropout beside the target on two samples of one call: rows are positions, columns channels."""
    import numpy as np

    pattern = seen.contract.pattern
    batch, channel = batch_axis(pattern), channel_axis(pattern)
    dependent = [a.name for a in seen.found.axes if a.kind == "dependent" and a.name != batch]
    if len(dependent) >= 2:
        rows, columns = dependent[0], dependent[1]
    else:
        rows = next((a for a in pattern.axes if a not in (batch, channel)), "")
        columns = channel
    mask = _moment(seen.marks.dropped)
    axes = pattern.axes
    order = [batch, *([rows] if rows else []), *([columns] if columns != batch else [])]
    rest = [a for a in axes if a not in order]
    picture = mask.transpose([axes.index(a) for a in (*order, *rest)])[(..., *[0] * len(rest))]
    picture = picture.reshape(picture.shape[0], -1, picture.shape[-1]) if rows else picture.reshape(len(picture), 1, -1)
    deep = 7 if len(dependent) >= 2 else 3
    picture = picture[: 2 if rows else 4, :deep, :12]
    plain = np.random.default_rng(7).random(picture.shape) < max(0.2, min(0.6, seen.found.rate or seen.rate))

    def row(values: Any) -> str:
        return " ".join("." if v else "#" for v in values)

    wide = max(2 * picture.shape[2] - 1, len("Dropout")) + _GAP
    legend = f"rows: {rows}, columns: {columns}" if rows else f"one row a sample, columns: {columns}"
    lines = [f"{'':<12}{'Dropout':<{wide}}{title}"]
    for sample, (left, right) in enumerate(zip(plain, picture, strict=True)):
        for number, (one, two) in enumerate(zip(left, right, strict=True)):
            head = f"  {batch} {sample}" if number == 0 else ""
            lines.append(f"{head:<12}{row(one):<{wide}}{row(two)}")
        if rows and sample == 0:
            lines.append("")
    return [*lines, f"            # kept, . dropped; one call; {legend}"]


def _moment(dropped: Any) -> Any:
    """The first call that shows both fates in its first two samples, or the first."""
    for mask in dropped[:64]:
        if 0.2 < mask[:2].mean() < 0.8:
            return mask
    return dropped[0]


def _numbers(seen: Observed, title: str) -> list[str]:
    """What it makes of [[1, 1, 1], [2, 2, 2]] beside Dropout, and how many elements can be zero."""
    import numpy as np

    lines = []
    pattern = seen.contract.pattern
    if seen.example is not None:
        _, y = seen.example
        batch, channel = batch_axis(pattern), channel_axis(pattern)
        middle = next(a for a in pattern.axes if a not in (batch, channel))
        own = y.transpose([pattern.axes.index(a) for a in (batch, middle, channel)])[0]
        kept = 1 / (1 - seen.example_rate) if seen.example_rate < 1 else 0.0
        plain = np.array([[1, 0, 1], [0, 2, 2]]) * kept
        wide = max(len(title), len("Dropout")) + 2
        lines += [
            f"On [[1, 1, 1], [2, 2, 2]] ({middle} 2, {channel} 3) at rate {seen.example_rate:g}, in one call",
            f"  {'Dropout':<{wide}}{_listed(plain)}   such as this: 6 coins",
            f"  {title:<{wide}}{_listed(own)}",
        ]
    fits = seen.found.pattern
    if fits is not None and fits.shared and len(fits.axes) <= 4:
        elements, each = 2 ** len(fits.axes), 2 ** len(fits.shared)
        counts = [str(n) for n in range(0, elements + 1, each)]
        shape = ", ".join("2" for _ in fits.axes)
        lines.append(
            f"On a ({shape}) tensor it flips {2 ** len(fits.coins)} coins, so {', '.join(counts[:-1])} or {counts[-1]} "
            f"elements are dropped; Dropout flips {elements}: 0 to {elements}."
        )
    return [*lines, ""] if lines else []


def _listed(values: Any) -> str:
    return "[" + ", ".join("[" + ", ".join(f"{v:.3g}" for v in row) + "]" for row in values) + "]"


def use(pattern: Pattern) -> str:
    """When a layer of this pattern is the right one, in a short paragraph with its source."""
    batch, channel = batch_axis(pattern), channel_axis(pattern)
    if not pattern.shared:
        return (
            "Use it where elements carry information of their own: between dense layers, after flattening or pooling. In a "
            "feature map, whose neighbours tell the same, a layer that drops whole channels regularises better (Tompson et "
            "al. 2015, arXiv:1411.4280)."
        )
    if batch not in pattern.coins:
        return (
            "Every sample of the batch loses the same elements. Seldom what is wanted: the network sees one thinned version "
            "of itself a step, and gradients of the batch average over one mask only."
        )
    if pattern.coins == (batch,):
        return (
            "Use it around residual branches (stochastic depth, Huang et al. 2016, arXiv:1603.09382): a dropped sample skips "
            "the branch, the shortcut carries it on. Without a shortcut beside it the sample would be lost."
        )
    if channel not in pattern.coins:
        return (
            f"Whole positions along {' and '.join(a for a in pattern.coins if a != batch)} are dropped with all their "
            "channels, as in word dropout. If features were meant to be dropped instead, the axes are the wrong way round."
        )
    shared = " and ".join(pattern.shared)
    return (
        f"Use it where neighbours along {shared} tell the same: after an Embedding, between convolutions, before a recurrent "
        "layer. Values of a feature map are strongly correlated with their neighbours, so when plain Dropout hides one, those "
        "beside it still show it: it hardly regularises and mostly slows the training. Dropping the whole channel makes the "
        "network do without that feature (Tompson et al. 2015, arXiv:1411.4280). Where positions are independent, after "
        "flattening or between dense layers, use plain Dropout."
    )


def _promises(contract: Contract) -> list[str]:
    lines = ["It promises"]
    gone = "a alpha' + b" if contract.dropped == "alpha" else f"{contract.dropped:g}"
    lines.append(f"  dropped values are {gone}, kept values are {contract.kept_words()}")
    if "alpha" in (contract.scale, contract.offset, contract.dropped):
        lines.append(
            "  with a = ((1 - rate)(1 + rate alpha'^2))^(-1/2), b = -a rate alpha', alpha' = -1.7581 (self-normalizing networks)"
        )
    if contract.inference != "identity":
        does = {"keep": "inference returns x (1 - rate)", "active": "inference drops as training does"}
        lines.append(f"  {does[contract.inference]}")
    lines.append(f"  seeds reach it by: {', '.join(contract.seeds) or 'nothing'}")
    if contract.grid:
        lines.append(f"  its rates are rounded to multiples of {contract.grid:g}")
    return lines + [f"  it also takes '{other}'" for other in contract.ranks]


def _unseen(implementation: Implementation | None, reason: str, width: int) -> list[str]:
    """What is declared of a target that does not run here."""
    contract = implementation.contract if implementation is not None else None
    if contract is None:
        keras = implementation is not None and implementation.framework == "keras"
        contract = "n l c -> n c" if keras else "n c l -> n c"
    whole = contract if isinstance(contract, Contract) else Contract(Pattern.parse(contract))
    pattern = whole.pattern
    noise = ", ".join(a if a in pattern.coins else "1" for a in pattern.axes)
    lines = [f"{one_coin_per(pattern)}   pattern  {pattern}   noise_shape  ({noise})"]
    lines += _wrap(f"Declared, not observed: it does not run here ({reason}).", width)
    return [*lines, "", *_wrap(use(pattern), width), "", *_promises(whole)]
