"""The register of claims: every check's name and sentence, in the order of judgement; read without SciPy, NumPy or a check.

A new check is a ``Check`` in a module of judge/checks and a line here. A line without a check, or a check without its line,
is an error as soon as ``judge.checks`` is imported (a new module is named there, too).
"""

from __future__ import annotations

from collections.abc import Iterable

from dropcheck.contract.errors import UsageError, nearest

# form and mode, then structure, then duplicates, then dependence, then rates; a layer in daily use depends on all of them
CLAIMS: dict[str, str] = {
    "form.shape-dtype": "shape and dtype survive",
    "form.strides": "strided, sliced and transposed inputs work or are refused",
    "form.batch-change": "one layer accepts batches of changing size",
    "form.empty": "empty inputs work or are refused",
    "form.ranks": "declared ranks follow their declared patterns; what other ranks do is a trait",
    "form.input-untouched": "the input is not modified, and a later call changes no earlier result",
    "form.nonfinite": "Inf and NaN in a dropped channel do not leak",
    "mode.inference": "inference returns the input bit for bit and spends no randomness",
    "mode.toggle": "training works again after inference",
    "mask.whole-channels": "elements that share a coin are dropped or kept together, on the declared axis",
    "mask.distinct-channels": "no two channels that should differ are copies of each other",
    "mask.distinct-samples": "no two samples of a batch are copies of each other",
    "mask.distinct-calls": "no call repeats the coins of an earlier call",
    "mask.independent-channels": "the coins of different channels are independent",
    "mask.independent-samples": "the coins of different samples are independent",
    "mask.independent-calls": "the coins of successive calls are independent",
    "mask.dropped-count": "the number of dropped channels per row follows the law of independent coins",
    "mask.patterns": "joint patterns of channel groups follow the product law",
    "mask.ignores-values": "the coins do not depend on the input's values",
    "rate.marginal": "a coin drops with probability rate, over a ladder of rates, most of them off the dyadic grid",
    "rate.per-channel": "no channel, tail lane or odd size has a rate of its own",
    "rate.per-sample": "no position in the batch has a rate of its own",
    "rate.per-shape": "no shape, layout or mode has a rate of its own",
    "rate.zero": "rate 0 changes nothing",
    "rate.one": "rate 1 drops everything and stays finite",
    "rate.rejects-invalid": "a rate that is no probability is refused",
    "scale.kept-values": "every kept value is x * scale, to the rounding of its dtype",
    "scale.mean": "what all kept values share: the systematic error of the scale",
    "seed.reproducible": "the same seed gives the same masks",
    "seed.reset": "reseeding gives the same masks again, also after other calls",
    "seed.distinct": "different seeds give unrelated streams",
    "seed.neighbours": "neighbouring seeds, seeds one bit apart and shifted calls are unrelated",
    "gradient.mask": "the backward pass uses the forward pass's coins, also where the input is 0 or negative",
    "gradient.scale": "the backward pass uses the forward pass's scale",
    "gradient.recompute": "the backward pass uses the forward pass's coins "
    "also when the forward pass is recomputed (activation checkpointing)",
    "gradient.edges": "gradients are finite and right at rate 0 and rate 1",
    "mode.settings": "training calls are right under the framework's other global settings, and leave them as "
    "they were",
    "mode.threads": "two threads that call one layer at once each get a right output with coins of its own",
    "form.copies": "a copy of a layer keeps pattern, rate and scale, and draws from where its framework has it draw",
    "seed.instances": "two layers of one class have coins of their own",
    "rate.set-later": "a rate that is set after construction holds for mask and scale, or is refused; another "
    "layer's rate changes nothing",
    "gradient.two-passes": "each backward pass uses the coins of its own forward pass, however many forward passes "
    "come before it",
    "gradient.cotangents": "the backward pass takes cotangents of any memory: expanded, transposed, strided",
    "gradient.second-derivative": "the gradient can be differentiated once more, with the same coins",
}

# as results are told
FAMILIES: tuple[str, ...] = ("mask", "rate", "scale", "seed", "gradient", "mode", "form")

# whose findings hold an estimate with the interval of a failure
INTERVALS: tuple[str, ...] = ("rate.marginal", "scale.mean")


class UnknownName(UsageError):
    """A check or a prefix that does not exist."""


def matching(prefix: str) -> tuple[str, ...]:
    """The checks that a prefix names: itself, its family, or what begins so (``rate.per*``). Raises UnknownName."""
    bare = prefix.rstrip("*")
    found = tuple(
        name
        for name in CLAIMS
        if name == prefix or name.startswith(bare + ".") or (prefix != bare and name.startswith(bare))
    )
    if not found:
        raise UnknownName(
            f"there is no check {prefix!r}; a check is family.claim (`dropcheck list --checks` shows them)"
            f"{nearest(prefix, [*CLAIMS, *FAMILIES])}"
        )
    return found


def selected(prefixes: Iterable[str]) -> tuple[str, ...]:
    """The checks of several prefixes in the order of judgement; of none: all. Raises UnknownName."""
    words = list(prefixes)
    if not words:
        return tuple(CLAIMS)
    wanted = {name for word in words for name in matching(word)}
    return tuple(name for name in CLAIMS if name in wanted)
