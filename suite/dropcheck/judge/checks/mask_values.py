"""The mask does not depend on the values of the input."""

from __future__ import annotations

import msgspec

from dropcheck.count.copies import CERTAIN
from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks.base import Check, Limits, finding
from dropcheck.judge.checks.daily_inputs import IGNORES, on_inputs
from dropcheck.judge.checks.mask_lags import lagged
from dropcheck.judge.checks.mask_ties import CONDITIONAL, lags_reach, no_spread
from dropcheck.judge.checks.value_places import by_place
from dropcheck.results.audit import Finding


def _values(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    if not got.tally.values:
        return None
    names = ("the sign of the input", "the magnitude of the input")
    lags = list(zip(names, got.tally.values, strict=False))
    if (early := no_spread(check, got)) is not None:
        return early
    result = lagged(check, got, limits, lags, "values")
    if result is None:
        return None
    coins = got.tally.coins
    if "single" in result.tallies:
        text = f"the mask depends on the input: the mask and {result.message}"
        return msgspec.structs.replace(result, message=text, coins=coins, picture=None)
    if result.verdict != "fail":
        log, words, lean = by_place(got.tally, names)
        if log <= CERTAIN:  # takes nothing from the check's share
            numbers = {**result.tallies, "single": lean}
            text = f"the mask depends on {words}"
            return finding(
                check, got.case, "fail", text, estimate=lean, expected=0.0, unit="correlation", coins=coins,
                resolution=result.resolution, log10_evidence=log, tallies=numbers,
            )  # fmt: skip
        most = f"{result.estimate or 0:+.4f}"
        text = f"the mask is independent of the sign and magnitude of the input; the largest correlation is {most}"
        return msgspec.structs.replace(result, message=text, coins=coins)
    name, rho = max(result.tallies["lags"].items(), key=lambda kv: abs(kv[1]))
    text = f"the mask depends on {name}: correlation {rho:+.4f}, expected 0"
    return msgspec.structs.replace(result, message=text, estimate=rho, coins=coins, picture=None)


CHECKS = (
    Check(
        name="mask.ignores-values",
        role="values",
        conditional=True,
        how=f"{CONDITIONAL}. The inputs have random signs and magnitudes, and the mask is compared with both. A dependence whose "
        "direction differs from place to place is located in every second call and tested in the others (below 10^-15 by "
        "chance). Special inputs are tested, too: zero channels, equal samples, constants.",
        remedy="Draw the mask without looking at the values: torch.rand(n, c, 1, device=x.device). Do not seed from x.sum() or "
        "a hash of x, and do not compare with x. Do not take 0 in the input for a dropped element.",
        resolution_words="a correlation between the mask and the sign or magnitude of the input",
        share=0.04,
        coarsest={"quick": 0.05, "standard": 0.02, "deep": 0.005},
        most=0.5,
        wants=lambda case: case.regime == "values",
        judge=_values,
        observe=on_inputs(IGNORES),
        reach=lambda case, limits: lags_reach(case, limits, case.row_count, 2),
    ),
)
