"""Elements that share a drop decision are dropped together."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks.base import ALPHA, Check, Limits, finding, picture, settle, skipped
from dropcheck.judge.checks.daily_faults import WHOLE
from dropcheck.judge.checks.daily_sizes import at_sizes
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import percent
from dropcheck.statistics import binomial


def _whole(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    coins = got.tally.coins
    case, proof = got.case, got.proof
    if case.shared < 2 or not coins:
        return None
    if not 0 < got.tally.dropped < coins and not proof["violations"]:
        return skipped(
            check, case, f"all {coins} drop decisions are the same, so the sharing of the mask is not visible"
        )
    resolution = binomial.zero_tolerance_resolution(coins, limits.beta)
    if not proof["violations"]:
        return finding(
            check,
            case,
            settle(False, resolution, limits.coarsest),
            f"in all {coins} drop decisions the {case.shared} elements are dropped or kept together",
            estimate=0.0,
            expected=0.0,
            unit="share of decisions whose elements disagree",
            resolution=resolution,
            coins=coins,
            tallies={"disagreeing": 0, "coins": coins},
        )
    share = proof["violations"] / coins
    shown = None
    if proof.get("example"):
        block = np.asarray(proof["example"]["block"])
        rows = [
            " ".join("".join("." if v else "#" for v in line)[i : i + 4] for i in range(0, len(line), 4))
            for line in block.T
        ]
        shared = " ".join(got.contract.pattern.shared)
        shown = picture(
            f"one sample; across: channels, down: positions along {shared}. Expected: each column all # (kept) or all . (dropped)",
            "channel",
            rows,
            [f"{shared} {i}" for i in range(len(rows))],
        )
    return finding(
        check,
        case,
        "fail",
        f"{_groups_of(got)} not dropped as a whole: in {percent(share, 1)} of them some elements along "
        f"{' '.join(got.contract.pattern.shared)} are dropped and others kept, expected 0%",
        estimate=share,
        expected=0.0,
        unit="share of decisions whose elements disagree",
        # one disagreement fails, so the check has no alpha of its own: the interval is at that of the whole run
        fail_interval=binomial.clopper_pearson(proof["violations"], coins, ALPHA),
        log10_evidence=-math.inf,
        coins=coins,
        resolution=resolution,
        tallies={"disagreeing": proof["violations"], "coins": coins},
        picture=shown,
    )


def _groups_of(got: Gathered) -> str:
    """What the pattern drops as a whole, as the subject of a sentence."""
    pattern = got.contract.pattern
    if pattern.channel_axis is not None:
        return "channels are"
    return "samples are" if pattern.row_axes else "calls are"


CHECKS = (
    Check(
        name="mask.whole-channels",
        role="whole",
        zero_events=True,
        forbidden=("disagreeing",),
        coins_are="coins",
        how="All elements that share a drop decision under the pattern must be dropped or kept together. One exception is a "
        "failure. With n decisions, a defect that splits a share eps of them is missed with probability (1 - eps)^n.",
        remedy="Draw one number per channel and broadcast it: torch.rand(n, c, 1) for an input of shape (n, c, l), "
        "noise_shape=(n, 1, c) in Keras, jax.random.bernoulli(key, 1 - rate, (n, 1, c)). Check which axis holds the channels. "
        "If the layer is right, declare its pattern with --pattern; `dropcheck explain TARGET` draws it.",
        resolution_words="a share of decisions whose elements disagree",
        share=0.0,
        coarsest={"quick": 1e-2, "standard": 1e-3, "deep": 1e-4},
        wants=lambda case: case.regime in ("stream", "values", "seeds") and case.shared > 1,
        judge=_whole,
        observe=at_sizes(WHOLE),
    ),
)
