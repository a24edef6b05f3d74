"""Planted defects that live in one of JAX's modes only: the eager layer is right."""

from __future__ import annotations

from typing import Optional, Tuple

from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.broken.records.record import Defect


def _form(
    name: str,
    attr: str,
    mode: str,
    check: str,
    summary: str,
    source: str,
    seeds: Tuple[str, ...] = ("key",),
    size: str = "every coin",
    contract: Optional[Contract] = None,
    beside: Tuple[str, ...] = (),
) -> Defect:
    promised = contract or Contract(pattern=Pattern.parse("n c l -> n c"), seeds=seeds)
    make = f"spatial_dropouts.broken.jax_functions:{attr}"
    return Defect(name, make, check, summary, size, f"mode {mode}", source, "jax", promised, mode=mode, beside=beside)


DEFECTS: Tuple[Defect, ...] = (
    _form(
        "jax-mask-at-trace-time",
        "trace_time_mask",
        "jit",
        "mask.distinct-calls",
        "NumPy draws the mask while the function is traced",
        "xla#1932; xla#8636",
        seeds=("global",),
    ),
    _form(
        "jax-one-key-for-the-map",
        "one_key_for_the_map",
        "vmap",
        "mask.distinct-samples",
        "all samples of a map draw with the first one's key",
        "functorch#575",
        beside=("seed.reproducible",),  # a sample has not the mask of its own key
    ),
    _form(
        "jax-same-key-in-every-step",
        "Counting",
        "scan",
        "mask.distinct-calls",
        "the key is counted by Python, which sees one step of a scan",
        "tensorflow#29391",
        seeds=(),
    ),
    _form(
        "jax-host-mask",
        "host_mask",
        "checkpoint",
        "gradient.mask",
        "the recomputed forward pass asks the host for another mask",
        "xla#4690",
        seeds=("global",),
    ),
    _form(
        "jax-key-of-the-first-rank",
        "key_of_the_first_rank",
        "ranks",
        "mask.distinct-samples",
        "both ranks draw with the first one's key",
        "transformers#31412",
    ),
    _form(
        "jax-key-of-the-shard",
        "key_of_the_shard",
        "jit-sharded",
        "seed.reproducible",
        "each shard of a batch folds its place into the key, so that masks depend on the number of devices",
        "jax#3388",
    ),
)
