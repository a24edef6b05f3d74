"""The register of checks: every name and sentence, in the order of judgement; read without SciPy, NumPy or a check.

A new check is a ``Check`` in a module of judge/checks and a line here. A line without a check, or a check without its line,
is an error as soon as ``judge.checks`` is imported (a new module is named there, too).
"""

from __future__ import annotations

from collections.abc import Iterable

from dropcheck.contract.errors import UsageError, nearest

# form and mode, then structure, then duplicates, then dependence, then rates; a layer in daily use depends on all of them
CLAIMS: dict[str, str] = {
    "form.shape-dtype": "the output has the shape and dtype of the input",
    "form.strides": "strided and transposed inputs work, or are rejected",
    "form.batch-change": "one layer accepts batches of changing size",
    "form.empty": "empty inputs work, or are rejected",
    "form.ranks": "inputs of each declared rank follow the declared pattern",
    "form.input-untouched": "a call does not modify its input or an earlier output",
    "form.nonfinite": "Inf and NaN in a dropped channel become 0",
    "mode.inference": "inference returns its input bit for bit and uses no random numbers",
    "mode.toggle": "training drops again after inference",
    "mask.whole-channels": "channels are dropped as a whole, along the declared axes",
    "mask.distinct-channels": "no two channels have the same mask",
    "mask.distinct-samples": "no two samples of a batch have the same mask",
    "mask.distinct-calls": "no call reuses the mask of an earlier call",
    "mask.independent-channels": "the masks of different channels are independent",
    "mask.independent-samples": "the masks of different samples are independent",
    "mask.independent-calls": "the masks of successive calls are independent",
    "mask.dropped-count": "the number of dropped channels per sample varies as with independent channels",
    "mask.patterns": "groups of three, four and eight channels are independent",
    "mask.ignores-values": "the mask does not depend on the values of the input",
    "rate.marginal": "the drop rate equals the requested rate",
    "rate.per-channel": "every channel has the same drop rate, including odd sizes",
    "rate.per-sample": "every batch position has the same drop rate",
    "rate.per-shape": "every shape, layout and mode has the same drop rate",
    "rate.zero": "rate 0 returns the input unchanged",
    "rate.one": "rate 1 drops everything, without NaN or Inf",
    "rate.rejects-invalid": "invalid rates are rejected",
    "scale.kept-values": "every kept value is the input times the scale, within rounding",
    "scale.mean": "the scale factor has no systematic error",
    "seed.reproducible": "the same seed gives the same masks",
    "seed.reset": "reseeding gives the same masks again, also after other calls",
    "seed.distinct": "different seeds give unrelated masks",
    "seed.neighbours": "the masks of neighbouring seeds and of seeds one bit apart are independent",
    "gradient.mask": "the gradient is 0 exactly where the forward pass drops",
    "gradient.scale": "the gradient has the scale of the forward pass",
    "gradient.recompute": "activation checkpointing uses the same mask in both forward passes",
    "gradient.edges": "gradients are right at rate 0 and rate 1, without NaN or Inf",
    "mode.settings": "the layer works under other global settings of the framework, and does not change them",
    "mode.threads": "two threads can call one layer at the same time, and get different masks",
    "form.copies": "a copy of a layer keeps pattern, rate and scale",
    "seed.instances": "two layers of one class draw different masks, and others draw on as before",
    "rate.set-later": "a rate that is set later applies to mask and scale, or is rejected",
    "gradient.two-passes": "each backward pass uses the mask of its own forward pass",
    "gradient.cotangents": "the backward pass accepts expanded, transposed and strided gradients",
    "gradient.second-derivative": "the gradient can be differentiated again, with the same mask",
    "site.reached": "each dropout of a model draws in training, and none draws in inference",
    "site.gradient": "the backward pass of a model uses the masks of its forward pass",
    "site.independent": "each dropout of a model draws masks of its own",
}

# as results are told
FAMILIES: tuple[str, ...] = ("mask", "rate", "scale", "seed", "gradient", "mode", "form", "site")
OF_MODELS = ("site",)  # families that only whole models are asked

# whose findings hold an estimate with the interval of a failure
INTERVALS: tuple[str, ...] = ("rate.marginal", "scale.mean")


def families(checks: Iterable[str]) -> tuple[str, ...]:
    """The families that a table of these checks has columns for: all of layers, those of whole models where one was asked."""
    asked = {name.partition(".")[0] for name in checks}
    return tuple(name for name in FAMILIES if name not in OF_MODELS or name in asked)


def of_whole_models(check: str) -> bool:
    """Whether a check is one of models as a whole."""
    return check.partition(".")[0] in OF_MODELS


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
            f"there is no check {prefix!r} (`dropcheck list --checks` shows all){nearest(prefix, [*CLAIMS, *FAMILIES])}"
        )
    return found


def selected(prefixes: Iterable[str]) -> tuple[str, ...]:
    """The checks of several prefixes in the order of judgement; of none: all. Raises UnknownName."""
    words = list(prefixes)
    if not words:
        return tuple(CLAIMS)
    wanted = {name for word in words for name in matching(word)}
    return tuple(name for name in CLAIMS if name in wanted)
