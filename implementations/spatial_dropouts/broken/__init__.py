"""The zoo of planted defects: each names the check that must catch it, and the real defect that it stands for."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.broken import consequences
from spatial_dropouts.broken.records import alone as records_alone
from spatial_dropouts.broken.records import alpha as records_alpha
from spatial_dropouts.broken.records import anywhere as records_anywhere
from spatial_dropouts.broken.records import blocks as records_blocks
from spatial_dropouts.broken.records import controls as records_controls
from spatial_dropouts.broken.records import corners as records_corners
from spatial_dropouts.broken.records import declared as records_declared
from spatial_dropouts.broken.records import distances as records_distances
from spatial_dropouts.broken.records import follows_places as records_follows_places
from spatial_dropouts.broken.records import inference as records_inference
from spatial_dropouts.broken.records import jax_modes as records_jax_modes
from spatial_dropouts.broken.records import leaves as records_leaves
from spatial_dropouts.broken.records import life as records_life
from spatial_dropouts.broken.records import passes as records_passes
from spatial_dropouts.broken.records import rates as records_rates
from spatial_dropouts.broken.records import rows as records_rows
from spatial_dropouts.broken.records import schedules as records_schedules
from spatial_dropouts.broken.records import sizes_daily as records_sizes_daily
from spatial_dropouts.broken.records import streams as records_streams
from spatial_dropouts.broken.records import stretches as records_stretches
from spatial_dropouts.broken.records import structure as records_structure
from spatial_dropouts.broken.records import switching as records_switching
from spatial_dropouts.broken.records import ties as records_ties
from spatial_dropouts.broken.records.record import Defect

__all__ = ["DEFECTS", "IN_MODES", "REGISTER", "Defect", "caught_by"]

_PLANTED: Tuple[Defect, ...] = (
    *records_structure.DEFECTS,
    *records_rates.DEFECTS,
    *records_passes.DEFECTS,
    *records_alone.DEFECTS,
    *records_alpha.DEFECTS,
    *records_blocks.DEFECTS,
    *records_rows.DEFECTS,
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
    *records_schedules.DEFECTS,
    *records_distances.DEFECTS,
    *records_anywhere.DEFECTS,
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
