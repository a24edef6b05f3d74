"""Mode ranks asks both ways of seeding: apart, and all ranks alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dropcheck

torch = pytest.importorskip("torch")
if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
    pytest.skip("this build of PyTorch has no gloo", allow_module_level=True)

pytestmark = pytest.mark.workers("torch", "torch.distributed.tensor")

LAYERS = str(Path(__file__).parents[1] / "kits" / "ranked_layers.py")


def _asked(target: str, **more: Any) -> tuple[Any, Any]:
    # one small case of coins beside the question itself
    options = dict(select="mask.distinct-samples", dtypes="float32", cases="float32 rate=0.5 40,33,2 calls=16")
    (target,) = dropcheck.audit(f"{target}@ranks", jobs=1, causes=False, **{**options, **more}).targets
    (found,) = [one for one in target.findings if "seeded alike" in one.case]
    return target, found


def test_shards_that_share_a_mask_under_one_seed_fail() -> None:
    target, found = _asked(f"{LAYERS}:Elementwise", pattern="n c l -> n c l", cases="float32 rate=0.5 40,33,1 calls=16")
    assert found.verdict == "fail" and "with one seed on both ranks, 100.0% of the drop decisions" in found.message
    assert "seeded alike" in target.traits["ranks"]


def test_shards_with_masks_of_their_own_pass() -> None:
    target, found = _asked(f"{LAYERS}:Channels")
    assert found.verdict == "pass" and target.verdict == "pass", found.message


def test_a_layer_that_knows_of_no_ranks_is_pytorchs_own_affair() -> None:
    target, found = _asked("torch.Dropout1d")
    assert found.verdict == "skipped" and target.verdict == "pass"
    assert target.traits["ranks seeded alike"].startswith("both ranks draw the same masks")


@pytest.mark.parametrize(
    "name, words",
    [
        ("replicated", ""),
        ("seeded_by_rank", "replicas disagree in"),
        ("scaled_by_rank", "replicas have the same mask but other values in 8 of 8 calls"),
    ],
)
def test_replicas_must_agree_where_a_contract_says_that_they_are(name: str, words: str) -> None:
    given = {"select": "seed.reproducible", "dtypes": "float32", "jobs": 1}
    (target,) = dropcheck.audit(f"{LAYERS}:{name}@ranks", causes=False, **given).targets  # type: ignore[arg-type]
    assert target.error is None
    (found,) = [f for f in target.findings if "replicas" in f.case]
    assert found.verdict == ("fail" if words else "pass") and words in found.message, found.message
    failed = {(f.check, f.case) for f in target.findings if f.verdict == "fail"}
    assert failed == ({(found.check, found.case)} if words else set())
    assert "seed.reproducible asks ranks" in target.traits["ranks"]
