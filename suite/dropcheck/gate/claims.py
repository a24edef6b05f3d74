"""What a policy can require: the names of all checks with their claims, told without loading the statistics."""

from __future__ import annotations

from collections.abc import Iterable

from dropcheck.contract.errors import UsageError, nearest

# As dropcheck.checks has them (a test compares), so that a policy is read without SciPy.
CHECKS: dict[str, str] = {
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
SPEED: dict[str, str] = {
    "speed.ratio": "a target is not slower than the reference by more than the policy allows",
    "speed.limit": "a target reaches the share of the physical limit that the policy asks for",
    "speed.compile": "compiling a target takes no longer, beside the reference, than the policy allows",
    "speed.memory": "a target needs no more memory, beside the reference, than the policy allows",
}
GATE: dict[str, str] = {
    "gate.evidence": "everything that the policy requires was measured, as it requires it",
    "gate.waiver": "every waiver still matches something",
    "gate.ratchet": "no figure is worse than what was reached before on this machine",
    "gate.run": "the gate itself could run",
}
RULES: dict[str, str] = {**CHECKS, **SPEED, **GATE}
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(name.partition(".")[0] for name in CHECKS))


def matching(prefix: str) -> tuple[str, ...]:
    """The checks that a prefix names: itself, its family, or what begins so (``rate.per*``). Raises UsageError."""
    bare = prefix.removesuffix("*")
    found = tuple(
        name
        for name in CHECKS
        if name == prefix or name.startswith(prefix.rstrip("*") + ".") or (prefix != bare and name.startswith(bare))
    )
    if not found or not prefix:
        raise UsageError(
            f"there is no check {prefix!r}; a check is family.claim (`dropcheck list --checks` shows them)"
            f"{nearest(prefix, [*CHECKS, *FAMILIES])}"
        )
    return found


def selected(prefixes: Iterable[str]) -> tuple[str, ...]:
    """The checks of several prefixes in the order of judgement; of none: all."""
    words = list(prefixes)
    if not words:
        return tuple(CHECKS)
    wanted = {name for word in words for name in matching(word)}
    return tuple(name for name in CHECKS if name in wanted)
