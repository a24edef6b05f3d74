"""The traits that a result holds, each in a sentence: what is reported of a layer and fails nothing."""

from __future__ import annotations

TRAITS: dict[str, str] = {
    "Inf and NaN in dropped channels": (
        "Whether Inf and NaN that stand in a dropped channel become 0. A layer that multiplies by a mask of 0 and 1 lets them "
        "through, since 0 * NaN is NaN. Judged by form.nonfinite where the contract declares nonfinite, or with --strict."
    ),
    "coins of a copy": (
        "Whether a copy of a layer (copy.deepcopy, pickle, state_dict, get_config, clone) goes through the masks of the original, "
        "or draws its own. Judged by form.copies where the framework documents that copies draw their own."
    ),
    "framework": "No framework was declared. dropcheck guessed it from the class or the signature; framework= declares it.",
    "in the model": "The layer is audited where it stands in a model: this is its use there.",
    "inference returns the input itself": (
        "Whether inference returns the same object, and no copy. Code that writes into the output then changes the input."
    ),
    "observed pattern": "The pattern that the masks follow in fact, where they do not follow the declared one.",
    "one seed, one thread and two": (
        "Whether one seed gives the same masks with one thread of the framework and with two. Frameworks document neither."
    ),
    "other ranks": (
        "What the layer does with inputs of other numbers of axes than its contract declares: it rejects them, or which axes "
        "have a drop decision each."
    ),
    "ranks": "How the two processes of the mode ranks are seeded.",
    "ranks seeded alike": "Whether two processes with one seed draw the same masks, or each its own.",
    "ranks seeded by rank": (
        "Whether replicas of a DTensor draw the same masks where each rank has a seed of its own. PyTorch asks for one seed on "
        "all ranks."
    ),
    "rate 0 returns the input itself": "Whether rate 0 returns the same object, and no copy.",
    "rate 1": "How the layer rejects rate 1, where it does. A contract may leave rate 1 out.",
    "recomputed forward passes": (
        "How activation checkpointing was applied, and how many forward passes it ran. See gradient.recompute."
    ),
    "refused dtypes": "Dtypes that the framework has and the layer raises for. Their checks are skipped.",
    "scale rounding": (
        "How kept values are rounded: exact (the nearest number to x / (1 - rate)), by a rounded factor, or otherwise, in units "
        "in the last place (u)."
    ),
    "site.weights": (
        "Attention layers that return their weights: whether these are the weights before dropout or after it. PyTorch's "
        "MultiheadAttention returns those after dropout, so that rows do not sum to 1 in training. Documentation seldom says "
        "it, so it is reported and fails nothing."
    ),
    "sites": "How many random draws a forward pass of the model makes, and how many of them are audited in place.",
    "two processes without a seed": "Whether two fresh processes without a seed draw the same masks.",
    "channels left out": "The largest number of channels of a case, where the cost of a call grows with the square of channels.",
    "workers lost and replaced": "How many workers of a cluster ended before their cases did. Other workers took the cases.",
}
