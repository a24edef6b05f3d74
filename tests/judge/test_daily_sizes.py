"""Sizes, rates and inputs of daily use: what is planned, what is drawn, and what a few calls of each show."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from kits.counted_bits import judged

import dropcheck
from dropcheck.contract.adapter import Implementation
from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.units import split
from dropcheck.judge.checks import CHECKS, daily_cases, daily_faults, daily_inputs, daily_sizes
from dropcheck.judge.checks.base import Bench
from dropcheck.plan.profiles import PROFILES, Wanted, plan_cases
from dropcheck.results.audit import TargetResult
from dropcheck.worker.server.coinwise import pack
from spatial_dropouts.broken import sizes_daily

DTYPES = ["float32", "float64", "float16"]


def planned(profile: str, heavy: bool = False, pattern: str = "n c l -> n c", **more: Any) -> list[Case]:
    info = {"dtypes": DTYPES, "layouts": ["contiguous"], "gradients": True, "heavy": heavy}
    contract = Contract(Pattern.parse(pattern), seeds=("global",), **more)
    marginal = next(c for c in CHECKS if c.name == "rate.marginal")
    return plan_cases(contract, info, PROFILES[profile], marginal, 1, "t", Wanted())


def bench(pattern: str = "n c l -> n c", heavy: bool = False, profile: str = "quick", **more: Any) -> Bench:
    contract = Contract(Pattern.parse(pattern))
    info = {"heavy": heavy, "dtypes": DTYPES}
    return Bench(None, info, contract, ("float32",), 1, (0.1, 0.5, 0.9), profile, {}, **more)  # type: ignore[arg-type]


def test_quick_counts_fifths_and_quarters_at_powers_of_two() -> None:
    sizes = {(c.rate, c.rows, c.channels) for c in planned("quick") if not c.drawn}
    assert {(0.2, 32, 256), (0.25, 128, 128)} <= sizes


def test_standard_counts_every_rate_and_the_large_sizes_of_daily_use() -> None:
    cases = [c for c in planned("standard") if not c.drawn]
    assert {0.2, 0.25, 0.75, 0.99, 1e-4} <= {c.rate for c in cases}
    assert any(c.rows > 3000 and c.channels > 3 and c.rows * c.channels > 1 << 18 for c in cases)
    assert any(c.channels == c.shared for c in cases) and any(c.channels > 2048 for c in cases)


@pytest.mark.parametrize("profile", ["quick", "standard", "deep"])
def test_many_small_calls_are_calls_of_one_layer(profile: str) -> None:
    many = max(planned(profile), key=lambda c: c.calls)
    assert (
        many.calls >= (12_000 if profile == "quick" else (1 << 16) + 2_000) and many.rows == 1
    )  # a counter of 16 bits begins anew
    assert len(split(many)) == 1, "each unit would have a new layer"


def test_where_calls_are_dear_there_are_fewer_of_them() -> None:
    assert 1_000 < max(c.calls for c in planned("quick", heavy=True)) < 5_000


def test_drawn_cases_are_powers_of_two_squares_and_rates_of_daily_use_first() -> None:
    cases = [c for c in planned("deep") if c.drawn]
    two = sum(sizes_daily.power_of_two(c.rows) or sizes_daily.power_of_two(c.channels) for c in cases)
    assert two > len(cases) / 2
    assert sum(c.rows == c.channels or c.channels == c.shared for c in cases) >= 10
    rates = Counter(c.rate for c in cases)
    assert {0.2, 0.25, 0.75} <= set(rates) and len(rates) > len(cases) / 3
    assert len([c for c in planned("standard") if c.drawn]) > 24


def test_a_layer_of_fixed_rates_is_asked_no_others() -> None:
    assert {c.rate for c in planned("standard", rates=(0.3,))} == {0.3}
    contract = Contract(Pattern.parse("n c l -> n c"), rates=(0.3,))
    fixed = Bench(None, {"dtypes": DTYPES}, contract, ("float32",), 1, (0.3,), "quick", {})  # type: ignore[arg-type]
    assert {c.rate for c in daily_cases.cases(fixed)} == {0.3}


# --- the sweep -------------------------------------------------------------------------------------------------------


def test_the_sweep_has_powers_of_two_squares_and_large_calls() -> None:
    cases = daily_cases.cases(bench())
    assert (cases[0].rows, cases[0].channels, cases[0].shared) == daily_cases.CONTROL
    rows, channels, shared = ({getattr(c, name) for c in cases} for name in ("rows", "channels", "shared"))
    assert {1 << k for k in range(13)} <= rows and {1 << k for k in range(3, 13)} <= channels
    assert {512, 1000, 1024} <= shared and any(s > 512 and s % 4 for s in shared)
    assert any(
        c.rows * c.channels * c.shared > 1 << 22 and c.rows * c.channels > 1 << 18 and c.rows > 3000 for c in cases
    )
    for one, other in (("rows", "channels"), ("channels", "shared"), ("rows", "shared")):
        assert sum(getattr(c, one) == getattr(c, other) for c in cases) >= 3
    assert {0.2, 0.25, 0.75, 0.99, 1e-4} <= {c.rate for c in cases}


def test_the_sweep_is_short_where_shapes_are_compiled_and_whole_in_deep() -> None:
    few = daily_cases.cases(bench(heavy=True, requested=True))
    assert [(c.rows, c.channels, c.shared) for c in few[1:]] == list(daily_cases.FEW)
    some = daily_cases.cases(bench(heavy=True, profile="standard", requested=True))
    assert {(c.rows, c.channels, c.shared) for c in some[1:]} == {*daily_cases.SOME, daily_cases.LARGE}
    assert {*daily_cases.FEW} < {*daily_cases.SOME} < {*daily_cases.SIZES}
    assert len(daily_cases.cases(bench(heavy=True, profile="deep", requested=True))) > 60
    assert len(daily_cases.cases(bench(profile="standard", requested=True))) > 60


def test_named_cases_are_asked_alone() -> None:
    assert daily_cases.cases(bench(named=True)) == []


@pytest.mark.parametrize(
    "pattern", ["n c l -> n c l", "n c l -> n", "n c l -> c", "n c=3 l -> n c", "n c h w -> n c", "t b h -> b h"]
)
def test_sizes_fit_every_pattern(pattern: str) -> None:
    parsed = Pattern.parse(pattern)
    for case in daily_cases.cases(bench(pattern)):
        shape = parsed.shape(case.rows, case.channels, case.shared)
        assert (*parsed.matrix_shape(shape), parsed.shared_size(shape)) == (case.rows, case.channels, case.shared)


def test_a_pattern_of_one_coin_a_call_has_no_sizes() -> None:
    assert daily_cases.cases(bench("n c l -> 1")) == []


def faults(mask: Any) -> list[str]:
    calls, rows, channels = mask.shape
    case = Case("float32", 0.5, rows, channels, 1, calls)
    return [check for check, _, log in daily_faults.mask_faults(bench(), case, pack(mask.reshape(-1, channels)))]


def fair(calls: int, rows: int, channels: int) -> Any:
    return np.random.default_rng(calls + rows + channels).random((calls, rows, channels)) < 0.5


def test_fair_coins_show_nothing() -> None:
    for sizes in ((3, 32, 256), (72, 1, 4096), (3, 32768, 2), (8, 9, 2049), (3, 1000, 1), (12, 12, 12)):
        assert faults(fair(*sizes)) == [], sizes


def test_what_is_wrong_has_its_own_name() -> None:
    mask = fair(4, 32, 256)
    rows, channels, frozen = mask.copy(), mask.copy(), mask.copy()
    rows[:, 5], channels[:, :, 7], frozen[1:] = rows[:, 3], channels[:, :, 6], frozen[0]
    assert faults(rows) == ["mask.distinct-samples"]
    assert faults(channels) == ["mask.distinct-channels"]
    assert faults(frozen) == ["mask.distinct-calls"]
    kept, first, late = mask.copy(), mask.copy(), fair(4, 3, 64)
    kept[:, :, -1], first[:, 0] = False, False
    assert faults(kept) == ["rate.per-channel"] and faults(first) == ["rate.per-sample"]
    assert faults(np.random.default_rng(1).random((4, 32, 256)) < 0.4) == ["rate.marginal"]
    assert faults(np.argsort(np.random.default_rng(1).random((4, 32, 256))) < 128) == ["mask.dropped-count"]
    assert faults(late) == []


def test_one_mask_for_a_batch_is_not_called_a_channel_that_never_drops() -> None:
    assert faults(np.repeat(fair(3, 1, 256), 32, axis=1)) == ["mask.distinct-samples"]
    assert faults(np.zeros((3, 32, 256), bool)) == ["rate.marginal"]


# --- layers ----------------------------------------------------------------------------------------------------------

SWEPT = (*daily_sizes.ORDER, daily_faults.VALUES, daily_inputs.IGNORES)


def exact(monkeypatch: pytest.MonkeyPatch, make: Any) -> TargetResult:
    """The exact questions of these checks alone."""
    monkeypatch.setattr("dropcheck.plan.plan.plan_cases", lambda *a, **k: [])
    (found,) = dropcheck.audit(
        Implementation(make=make, framework="numpy"), select=SWEPT, in_process=True, jobs=1, causes=False
    ).targets
    assert found.error is None, found.error
    return found


def test_what_every_size_shows_is_told_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneMask(sizes_daily.Layer):
        def mask(self, x: Any, rng: Any) -> Any:
            return np.repeat(super().mask(x[:1], rng), len(x), axis=0)

    found = exact(monkeypatch, OneMask)
    swept = [f for f in found.findings if "daily use" in f.case]
    assert swept and not [f for f in found.findings if f.verdict == "fail"]
    assert "mask.distinct-samples" not in {f.check for f in swept}
    assert "mask.whole-channels" in {f.check for f in swept}


def test_a_crash_at_one_size_is_a_failure_and_a_refusal_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Crashes(sizes_daily.Layer):
        def mask(self, x: Any, rng: Any) -> Any:
            if x.shape[0] == 256:
                return super().mask(x, rng)[:, x.shape[1] + 1]
            if x.shape[0] == 4096:
                raise ValueError("batches of 4096 are too large for me")
            return super().mask(x, rng)

    found = exact(monkeypatch, Crashes)
    (failed, *_) = [f for f in found.findings if f.verdict == "fail"]
    assert failed.check == "form.shape-dtype" and "256," in failed.case and "IndexError" in failed.message


def test_a_failing_size_is_named_as_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    found = exact(monkeypatch, sizes_daily.BatchOf32)
    (first, *_) = [f for f in found.findings if f.verdict == "fail"]
    assert first.check == "mask.distinct-samples" and first.case.startswith("float32 rate=0.5 32,256,4 calls=")


# what failed in a whole audit fails again in the command that the report prints, case named
AGAIN = {
    "ManyChannels": ("mask.distinct-channels", "float32 rate=0.5 9,2049,3 calls=8"),
    "CoinsBeyond": ("rate.per-sample", "float32 rate=0.5 3073,86,16 calls=2"),
}


@pytest.mark.parametrize("name", AGAIN)
def test_what_fails_at_a_size_fails_again_when_that_size_is_named(name: str) -> None:
    check, case = AGAIN[name]

    def asked(make: Any) -> Any:
        layer = Implementation(make=make, framework="numpy")
        return dropcheck.audit(layer, cases=(case,), select=(check,), in_process=True, jobs=1, causes=False).targets[0]

    found = asked(getattr(sizes_daily, name)).findings
    (first, *_) = [f for f in found if f.verdict == "fail"]
    assert first.check == check and first.case.startswith(case.partition(" calls")[0])
    assert f"case='{first.case}'" in (first.replay or "")
    right = asked(sizes_daily.Layer).findings
    assert right and {(f.check, f.verdict) for f in right} == {(check, "pass")}


def test_channels_too_far_apart_to_be_counted_are_compared() -> None:
    case = Case("float32", 0.5, 9, 2049, 3, 16)
    bits = fair(16, 9, 2049)
    assert judged(case, bits, "mask.distinct-channels").verdict == "pass"
    bits[:, :, 2048] = bits[:, :, 0]
    found = judged(case, bits, "mask.distinct-channels")
    assert found.verdict == "fail" and "in all 144 samples: 0-2048" in found.message
    bits[:, :, [0, 2048]] = False  # two channels that never drop have rates of their own
    assert judged(case, bits, "mask.distinct-channels").verdict == "pass"


def test_square_calls_that_come_again_transposed_are_told_by_their_form() -> None:
    mask = fair(4, 32, 32)
    assert faults(mask) == []
    mask[2] = mask[1].T
    assert faults(mask) == ["mask.distinct-calls"]
    mask[2] = ~mask[0].T[::-1]
    assert faults(mask) == ["mask.distinct-calls"]
    upper = np.triu(np.ones((32, 32), bool))
    assert faults(np.where(upper, mask, mask.transpose(0, 2, 1))[::3]) == ["mask.distinct-samples"]
