"""The zoo of planted defects: each names the check that must catch it, and the real defect that it stands for."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.broken import (
    consequences,
    records_alone,
    records_alpha,
    records_blocks,
    records_controls,
    records_corners,
    records_declared,
    records_follows_places,
    records_inference,
    records_jax_modes,
    records_leaves,
    records_life,
    records_passes,
    records_rates,
    records_sizes_daily,
    records_streams,
    records_stretches,
    records_structure,
    records_switching,
    records_ties,
)
from spatial_dropouts.broken.record import Defect

__all__ = ["DEFECTS", "IN_MODES", "REGISTER", "Defect", "caught_by"]

_PLANTED: Tuple[Defect, ...] = (
    *records_structure.DEFECTS,
    *records_rates.DEFECTS,
    *records_passes.DEFECTS,
    *records_alone.DEFECTS,
    *records_alpha.DEFECTS,
    *records_blocks.DEFECTS,
    *records_controls.DEFECTS,
    *records_corners.DEFECTS,
    *records_declared.DEFECTS,
    *records_inference.DEFECTS,
    *records_leaves.DEFECTS,
    *records_streams.DEFECTS,
    *records_life.DEFECTS,
    *records_stretches.DEFECTS,
    *records_sizes_daily.DEFECTS,
    *records_ties.DEFECTS,
    *records_follows_places.DEFECTS,
)

DEFECTS: Tuple[Defect, ...] = consequences.told(_PLANTED)

_REQUIRES: Mapping[str, Tuple[str, ...]] = {
    **{name: (name,) for name in ("torch", "keras", "jax", "mlx", "equinox", "haiku", "tf_keras")},
    "flax-linen": ("flax",),
    "flax-nnx": ("flax",),
}
_BACKENDS = ("tensorflow", "jax", "torch")


def _implementation(defect: Defect) -> Implementation:
    return Implementation(
        make=defect.make,
        framework=defect.framework,
        contract=defect.contract,
        requires=_REQUIRES.get(defect.framework, ()),
        backends=_BACKENDS if defect.framework == "keras" else (),
        default=False,
        summary=f"planted: {defect.summary}",
    )


REGISTER: Mapping[str, Implementation] = {f"broken.{d.name}": _implementation(d) for d in DEFECTS}

# found by name like the others, and audited in the mode that they live in or where their framework runs;
# signatures are learned from eager defects only
IN_MODES: Mapping[str, Implementation] = {
    f"broken.{d.name}": _implementation(d)
    for d in (
        *records_jax_modes.DEFECTS,
        *records_inference.ELSEWHERE,
        *records_switching.ELSEWHERE,
        *records_switching.SEEDED,
    )
}


def caught_by() -> Dict[str, Tuple[Defect, ...]]:
    """Defects by the check that must catch them."""
    return {c: tuple(d for d in DEFECTS if d.check == c) for c in sorted({d.check for d in DEFECTS})}
