"""Modes dtensor-shard and dtensor-replicate: shards of one DTensor must differ, replicas must agree."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import dropcheck

torch = pytest.importorskip("torch")
if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
    pytest.skip("this build of PyTorch has no gloo", allow_module_level=True)
if find_spec("torch.distributed.tensor") is None:  # found, not imported: each process of the tests collects them
    pytest.skip("this release of PyTorch has no DTensor", allow_module_level=True)

pytestmark = pytest.mark.workers("torch", "torch.distributed.tensor")

LAYERS = str(Path(__file__).parents[1] / "kits" / "dtensor_layers.py")


def _asked(target: str, check: str, **more: Any) -> Any:
    # one small case of coins beside the question itself
    options: dict[str, Any] = dict(select=check, dtypes="float32", cases="float32 rate=0.5 40,33,1 calls=16", jobs=1)
    (found,) = dropcheck.audit(target, causes=False, **{**options, **more}).targets
    return found


@pytest.mark.parametrize(
    "name, verdict",
    [("torch.Dropout", "fail"), ("torch.Dropout1d", "pass")],
)
def test_shards_under_one_seed_have_masks_of_their_own(name: str, verdict: str) -> None:
    """PyTorch 2.13 on CPU: F.dropout draws each shard from the rank's own generator, F.dropout1d the noise of the whole."""
    target = _asked(f"{name}@dtensor-shard", "mask.distinct-samples")
    assert target.error is None and target.skipped is None
    (found,) = [one for one in target.findings if "seeded alike" in one.case]
    assert found.verdict == verdict and ("100.0% of the drop decisions" in found.message) == (verdict == "fail")
    assert "asks ranks that are seeded alike" in target.traits["ranks"]


@pytest.mark.parametrize("name, verdict", [(f"{LAYERS}:ByRank", "fail"), ("torch.Dropout1d", "pass")])
def test_replicas_under_one_seed_agree(name: str, verdict: str) -> None:
    target = _asked(f"{name}@dtensor-replicate", "seed.reproducible", cases=())
    assert target.error is None and target.skipped is None
    (found,) = [one for one in target.findings if "replicas" in one.case]
    assert found.verdict == verdict, found.message
    assert "give all ranks one seed" in target.traits["ranks seeded by rank"]


def test_a_layer_that_takes_no_dtensor_is_not_audited_in_that_mode() -> None:
    target = _asked("custom.torch@dtensor-shard", "mask.distinct-samples")
    assert "the layer takes no DTensor" in str(target.skipped or target.error) and target.verdict != "pass"
