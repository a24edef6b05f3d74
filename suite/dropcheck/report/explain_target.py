"""``dropcheck explain TARGET``: the pattern that it really follows, drawn beside plain Dropout, and when to use it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, ContractError, Pattern
from dropcheck.judge.pattern_inference import Inferred, unfitting
from dropcheck.plan import models, observed_faults, observed_masks, other_ranks, targets
from dropcheck.plan.observed_masks import Observed, batch_axis, channel_axis, observe
from dropcheck.plan.targets import Target
from dropcheck.report import explain_model
from dropcheck.worker.client import Refused, TargetError

_GAP = 4
_AGREES = "This is the pattern that audit expects."


@dataclass(frozen=True)
class Explained:
    """``wrong``: whether something in the text is marked ✗."""

    text: str
    wrong: bool = False


def text(
    target: Target,
    width: int = 100,
    pattern: str | None = None,
    python: str | None = None,
    shape: tuple[int, ...] | None = None,
) -> str:
    """The text of ``explained``."""
    return explained(target, width, pattern, python, shape).text


def explained(
    target: Target,
    width: int = 100,
    pattern: str | None = None,
    python: str | None = None,
    shape: tuple[int, ...] | None = None,
    inference: str | None = None,
) -> Explained:
    """The explanation of a target; of a model, the table of its layers.

    Raises UsageError where the user's own target does not load.
    """
    if pattern is not None:
        try:
            Pattern.parse(pattern)
        except ContractError as error:
            raise UsageError(str(error)) from error
    model = models.look(target, shape, python, inference=inference) if models.may_be_model(target) else None
    if model is not None:
        if "#" not in target.locator:
            return Explained(explain_model.text(model, width), model.wrong)
        (target,) = models.layers_of(target, model)
    implementation = _declared(target)
    lines = []
    if target.note:
        lines += _wrap(target.note + ".", width, "  ")
    if target.skip:
        raise UsageError(f"{target.note}; not drawn: {target.skip}" if target.note else f"not drawn: {target.skip}")
    if implementation is not None and implementation.summary:
        lines.append(f"  {implementation.summary}")
    given = pattern or target.pattern
    try:
        seen = observe(target, given, python, inference)
    except Refused as refused:
        sentence = refused.message or str(refused)
        if target.source == "user":
            raise UsageError(_not_run(refused, given)) from refused
        return Explained("\n".join([target.name, *lines, "", *_unseen(implementation, sentence, width), ""]))
    except TargetError as ended:
        if target.source == "user":
            raise UsageError(str(ended)) from ended
        return Explained("\n".join([target.name, *lines, "", *_unseen(implementation, str(ended), width), ""]))
    declares = implementation is not None and implementation.contract is not None
    faults = observed_masks.faults(seen, bool(declares or pattern or target.note))
    if seen.info.get("guessed"):
        lines += _wrap(f"Framework: {seen.info['guessed']}.", width, "  ")
    if seen.refused is not None:
        other = other_ranks.sentence(seen.refused, _shown(seen))
        lines += _wrap(f"With the pattern '{seen.refused}' it raises: {other}.", width, "  ")
    lines += ["", *_pattern(seen), *_found(seen, width, _says(seen, target, pattern, declares))]
    lines += ["", *_drawing(seen, _short(target.name)), "", *_numbers(seen, _short(target.name))]
    again = f"dropcheck audit {target.name}" + (f" --inference {inference}" if inference else "")
    if seen.refused is not None:
        again += f' --pattern "{_shown(seen)}"'
    elif pattern:
        again += f' --pattern "{pattern}"'
    elif not (declares or target.note or faults) and seen.found.pattern not in (None, seen.contract.pattern):
        again += f' --pattern "{seen.found.pattern}"'
    if faults:
        lines += [*_wrap(seen.inference, width), "", f"For numbers, and how to fix it:  {again}"]
    else:
        # nobody chooses the dropout inside of a framework's layer: no advice for what an instrument shows
        instrument = "mask.ignores-values" in seen.info.get("fixed", {})
        plain = not instrument and not _of_rows(seen.contract.pattern)
        advice = _wrap(use(_shown(seen)), width) if plain else []
        lines += [*_wrap(seen.inference, width), *advice, "", *_contract(seen.contract)]
        if instrument and implementation is not None:
            modes = targets.modes_of(implementation, seen.info["framework"].partition("@")[2])
            lines += _wrap(f"modes: {modes}", width, "  ", "    ")
        lines += ["", f"To verify this for all sizes, rates and seeds:  {again}"]
    return Explained("\n".join([*_first(target, seen, faults, width), *lines, ""]), bool(faults))


def _first(target: Target, seen: Observed, faults: tuple[str, ...], width: int) -> list[str]:
    """The name and the release; of a layer with faults ✗ and the faults, one a line."""
    release = f"{seen.info['framework'].partition('@')[0]} {seen.info['version']}".rstrip()
    if not faults:
        return [f"{target.name}   {release}"]
    rows = [f"{target.name} ({release}): {faults[0]}", *faults[1:]]
    return [line for row in rows for line in _wrap(row, width, "✗ ", "  ")]


def _says(seen: Observed, target: Target, pattern: str | None, declares: bool) -> str:
    """Who says which pattern it should follow."""
    if seen.refused is not None:
        return "The usual layer of this rank follows"
    if pattern or target.note:
        return "--pattern says" if pattern else "In this model it should follow"
    return "It declares" if declares else "Without --pattern, audit expects"


def _not_run(refused: Refused, pattern: str | None) -> str:
    """Why a layer of the user's cannot be drawn, and the way out."""
    sentence = refused.message or str(refused)
    if refused.kind in ("TargetNotFound", "NoDropout", "Undeclared"):
        return sentence
    if refused.where != "call":
        return "\n    ".join([str(refused), *refused.lines])
    tried = f"'{pattern}'" if pattern else "any usual pattern (2 to 5 axes)"
    return (
        f"the layer raises when called on inputs of {tried}: {refused}; name the axes of its input, and those with a drop "
        "decision of their own, as in --pattern 'n c l -> n c'"
    )


def _declared(target: Target) -> Implementation | None:
    from dropcheck.contract.register import register

    entry = register().get(target.locator)
    if entry is not None:
        return entry.implementation
    import spatial_dropouts

    found: Implementation | None = spatial_dropouts.find(target.locator)
    return found


def _wrap(sentence: str, width: int, indent: str = "", after: str | None = None) -> list[str]:
    """Lines of a sentence; ``x * 1.667`` is one word. ``after``: the indent of all lines but the first."""
    whole = sentence.replace("x * ", "x\u00a0*\u00a0")
    lines = textwrap.wrap(whole, width, initial_indent=indent, subsequent_indent=indent if after is None else after)
    return [line.replace("\u00a0", " ") for line in lines]


def _short(name: str) -> str:
    """What a column is headed by: the last name of a target, without its @words."""
    return name.partition("@")[0].rpartition(":")[2].rpartition("#")[2].rpartition(".")[2][:20] or name[:20]


def _shown(seen: Observed) -> Pattern:
    """The pattern to speak of: the one that it follows, else the declared one."""
    return seen.found.pattern or seen.contract.pattern


def one_coin_per(pattern: Pattern) -> str:
    """``One drop decision per (n, c), shared along l.``"""
    if not pattern.coins:
        return "One drop decision for the whole tensor."
    shared = f", shared along {' and '.join(pattern.shared)}" if pattern.shared else ": every element has its own"
    return f"One drop decision per ({', '.join(pattern.coins)}){shared}."


def _pattern(seen: Observed) -> list[str]:
    found, declared = seen.found, seen.contract.pattern
    if found.nothing or found.everything:
        return [f"No pattern can be seen.   declared  {declared}"]
    if _of_rows(declared) and not difference(found, declared):
        return [f"{_law_of_rows(declared)}, as declared.   pattern  {declared}"]
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


def _of_rows(declared: Pattern) -> bool:
    """Whether a row has a law of its own."""
    return bool(declared.exact or declared.stretch)


def _law_of_rows(declared: Pattern) -> str:
    """What a row loses, in words."""
    rows = f"Each ({', '.join(declared.row_axes)})" if declared.row_axes else "Each call"
    if declared.stretch:
        return f"{rows} loses one stretch of random length along {declared.stretch}"
    axis, number = declared.exact[0]
    if not number:
        return f"{rows} loses exactly the share rate of its {dict(declared.sizes)[axis]} positions along {axis}"
    return f"{rows} that drops loses exactly {number} of {dict(declared.sizes)[axis]} positions along {axis}"


def difference(found: Inferred, declared: Pattern, says: str = "It declares") -> str:
    """One sentence on how the masks differ from a declared pattern; empty where they follow it. ``says``: who declares."""
    told = observed_faults.axes(found, declared, batch_axis(declared))
    return f"{says} {declared}, but {told}." if told else ""


def _found(seen: Observed, width: int, says: str) -> list[str]:
    found, read = seen.found, seen.marks
    sizes = ", ".join(f"{a} {s}" for a, s in zip(seen.contract.pattern.axes, seen.shape, strict=True))
    differs = difference(found, seen.contract.pattern, says)
    head = f"Found in {seen.calls} calls at rate {seen.rate:g} on a tensor of sizes {sizes}"
    if found.sure:
        head += " (wrong with probability below 1e-6). "
        agrees = "" if observed_faults.one_for_all(found, seen.contract.pattern, seen.batch) else _AGREES
        head += differs or agrees
    else:
        head += "."
    lines = _wrap(head.rstrip(), width)
    if not (found.nothing or found.everything):
        counted = f"Of {found.coins:,} drop decisions {100 * found.rate:.3g} % dropped"
        if found.interval is not None:
            low, high = (100 * v for v in found.interval)
            counted += f" ({low:.3g} to {high:.3g} %)"
        else:
            counted += ", and they depend on each other"
        kept = observed_faults.kept(read.scale, read.offset) if read.affine else "no fixed multiple of x"
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
            f"  {'Dropout':<{wide}}{_listed(plain)}   such as this: 6 decisions",
            f"  {title:<{wide}}{_listed(own)}",
        ]
    fits = seen.found.pattern
    if fits is not None and not _of_rows(seen.contract.pattern) and fits.shared and len(fits.axes) <= 4:
        elements, each = 2 ** len(fits.axes), 2 ** len(fits.shared)
        counts = [str(n) for n in range(0, elements + 1, each)]
        shape = ", ".join("2" for _ in fits.axes)
        lines.append(
            f"On a ({shape}) tensor it makes {2 ** len(fits.coins)} decisions, so {', '.join(counts[:-1])} or {counts[-1]} "
            f"elements are dropped; Dropout makes {elements}: 0 to {elements}."
        )
    return [*lines, ""] if lines else []


def _listed(values: Any) -> str:
    return "[" + ", ".join("[" + ", ".join(f"{v:.3g}" for v in row) + "]" for row in values) + "]"


def use(pattern: Pattern) -> str:
    """When a layer of this pattern is the right one, in a short paragraph with its source."""
    batch, channel = batch_axis(pattern), channel_axis(pattern)
    if not pattern.shared:
        return (
            "Use it where neighbouring elements are independent: between dense layers, after flattening or pooling. In a "
            "feature map neighbours are correlated, and a layer that drops whole channels regularises better (Tompson et al. "
            "2015, arXiv:1411.4280)."
        )
    if batch not in pattern.coins:
        return (
            "Every sample of the batch loses the same elements. This is seldom wanted: in a step the network sees one thinned "
            "version of itself, and the gradients of the batch average over one mask only."
        )
    if pattern.coins == (batch,):
        return (
            "Use it around residual branches (stochastic depth, Huang et al. 2016, arXiv:1603.09382): a dropped sample skips "
            "the branch, and the shortcut carries it on. Without a shortcut the sample would be lost."
        )
    if channel not in pattern.coins:
        return (
            f"Whole positions along {' and '.join(a for a in pattern.coins if a != batch)} are dropped with all their "
            "channels, as in word dropout. If features should be dropped instead, the axes are in the wrong order."
        )
    shared = " and ".join(pattern.shared)
    return (
        f"Use it where neighbouring positions along {shared} are correlated: after an Embedding, between convolutions, before "
        "a recurrent layer. When plain Dropout hides one value of a feature map, its neighbours still show it, so plain "
        "Dropout hardly regularises there and mostly slows the training. Dropping the whole channel makes the network do "
        "without that feature (Tompson et al. 2015, arXiv:1411.4280). Where positions are independent, after flattening or "
        "between dense layers, use plain Dropout."
    )


_SEEDS = {
    "global": "global seed",
    "constructor": "constructor argument",
    "generator": "generator argument",
    "key": "key argument",
}


def _contract(contract: Contract) -> list[str]:
    lines = ["Its contract"]
    gone = "a alpha' + b" if contract.dropped == "alpha" else f"{contract.dropped:g}"
    lines.append(f"  dropped values are {gone}, kept values are {contract.kept_words()}")
    if "alpha" in (contract.scale, contract.offset, contract.dropped):
        lines.append(
            "  with a = ((1 - rate)(1 + rate alpha'^2))^(-1/2), b = -a rate alpha', alpha' = -1.7581 (self-normalizing networks)"
        )
    if contract.inference != "identity":
        does = {"keep": "inference returns x (1 - rate)", "active": "inference drops as training does"}
        lines.append(f"  {does[contract.inference]}")
    lines.append(f"  seeding: {', '.join(_SEEDS[way] for way in contract.seeds) or 'none'}")
    if contract.grid:
        lines.append(f"  rates are rounded to multiples of {contract.grid:g}")
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
    return [*lines, "", *_wrap(use(pattern), width), "", *_contract(whole)]
