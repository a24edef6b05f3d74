"""Words at any offset of the flat stream: what is looked up, what repeats there, and what makes coins repeat rightly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kits.counted_bits import counted, draws, judged, packed

from dropcheck.auditing.run import AuditRequest, run
from dropcheck.contract.cases import Case
from dropcheck.count import compiled as native_counting
from dropcheck.count import repeated_stretches
from dropcheck.count.gather import Joined
from dropcheck.count.repeated_stretches import (
    ANCHOR,
    CERTAIN,
    Stretches,
    anchored,
    flat,
    log10_chance,
    word_coins,
)
from dropcheck.count.repeated_words import Lookup, least_extent
from dropcheck.judge.checks import CHECKS

# --- what is looked up -----------------------------------------------------------------------------------------------


def test_no_end_of_the_anchor_is_a_beginning_of_it() -> None:
    assert all(ANCHOR[:k] != ANCHOR[-k:] for k in range(1, len(ANCHOR)))


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.62, 0.7])
def test_chance_repeats_of_all_pairs_of_offsets_lie_below_the_share_of_any_check(rate: float) -> None:
    case = Case("float32", rate, 257, 65, 2, 5000)
    length = word_coins(case)
    assert length is not None
    chance = math.log10(case.coins**2 / 2) + length * math.log10(rate**2 + (1 - rate) ** 2)
    assert chance <= CERTAIN
    assert 1e-3 * min(c.limits("deep").alpha for c in CHECKS if c.share) > 10**CERTAIN, "it takes nothing from a share"


def test_the_chance_is_that_of_the_channels_that_agree_most() -> None:
    rates = np.array([0.5, 0.5, 0.3, 0.5])
    agree = np.log10(rates**2 + (1 - rates) ** 2)
    worst = max(sum(agree[(c + k) % 4] for k in range(70)) for c in range(4))
    assert log10_chance(1e6, rates, 70) == pytest.approx(6 + worst)


@pytest.mark.parametrize("channels", [1, 3, 8, 17, 64, 65, 131, 200])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_sample_is_the_same_however_the_stream_is_cut_and_counted(
    channels: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the definition, word by word, on the unpacked coins."""
    if not compiled:
        monkeypatch.setattr(native_counting, "library", lambda: None)
    elif native_counting.library() is None:
        pytest.skip("the compiled loops were not built")
    length, rows = 70, 3000 // channels
    bits = draws(rows * channels, 0.4)
    places = [
        i
        for i in range(len(bits) - length + 1)
        if tuple(bits[i : i + 6].astype(int)) == ANCHOR
        and not any(abs(int(bits[j : j + 32].sum()) - 16) == 16 for j in range(i, i + length - 31))
    ]
    for step in (rows, 7, 2):
        found = Stretches(channels, length)
        for at in range(0, rows, step):
            found.add(packed(bits, channels)[at : at + step])
        assert sorted(found.kept()[2].tolist()) == places
        assert found.words == len(bits) - length + 1


def test_compiled_and_numpy_loops_give_equal_words(monkeypatch: pytest.MonkeyPatch) -> None:
    if native_counting.library() is None:
        pytest.skip("the compiled loops were not built")
    bits = draws(50_000, 0.7, 3)
    bits[20_000:20_090] = False  # a call that drops nothing
    for channels, held in ((1, 0), (5, 3), (65, 100), (500, 63)):
        tail = np.packbits(np.resize(bits[:held], 128) & (np.arange(128) < held), bitorder="little").view(np.uint64)
        rows = packed(bits[: 50_000 // channels * channels], channels)
        answers = []
        for library in (native_counting.library, lambda: None):
            with monkeypatch.context() as patch:
                patch.setattr(native_counting, "library", library)
                words = flat(rows, channels, tail, held)
                answers.append((words, *anchored(words, held + 50_000 // channels * channels, 100, 1 << 63)))
        for one, two in zip(*answers, strict=True):
            assert np.array_equal(one, two)


def test_a_full_sample_keeps_the_smallest_hashes_of_any_cut_and_units_merge() -> None:
    bits = draws(400_000, seed=5)
    whole, cut = Stretches(64, 92, most=500), Stretches(64, 92, most=500)
    whole.add(packed(bits, 64))
    for at in range(0, 6250, 250):
        cut.add(packed(bits, 64)[at : at + 250])
    assert [a.tolist() for a in whole.kept()] == [a.tolist() for a in cut.kept()]
    assert len(whole.kept()[0]) == 500

    case = Case("float32", 0.5, 25, 64, 2, 100)
    joined = Joined()
    parts = [counted(case, draws(160_000, seed=i), index=i) for i in range(3)]
    for part in reversed(parts):
        joined.add(part)
    assert joined.whole is not None and isinstance(joined.whole.anywhere, Lookup)
    assert joined.whole.anywhere.words == 3 * (160_000 - word_coins(case) + 1)  # type: ignore[operator]
    assert joined.whole.anywhere.kept == sum(p.anywhere.kept for p in parts if p.anywhere)


# --- what repeats ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [65_536, 40_001, 65_000])
def test_a_stretch_that_repeats_within_a_call_fails_its_samples(offset: int) -> None:
    case = Case("float32", 0.5, 1025, 65, 2, 4)
    bits = draws(case.coins)
    size = 1025 * 65
    bits[2 * size + offset : 2 * size + offset + 1000] = bits[2 * size + 11 : 2 * size + 1011]
    found = judged(case, bits, "mask.distinct-samples")
    assert found.verdict == "fail" and f"{offset - 11} decisions before" in found.message
    assert found.tallies["repeats"] == found.tallies["offset_repeats"] > 0
    assert found.log10_evidence is not None and found.log10_evidence <= CERTAIN
    assert judged(case, bits, "mask.distinct-calls").verdict == "pass"


def test_a_stretch_that_repeats_in_a_later_call_fails_calls_and_leaves_samples_alone() -> None:
    case = Case("float32", 0.3, 257, 65, 2, 40)
    bits = draws(case.coins, 0.3)
    bits[500_001:503_001] = bits[100_020:103_020]
    assert judged(case, bits, "mask.distinct-samples").verdict == "pass"
    found = judged(case, bits, "mask.distinct-calls")
    assert found.verdict == "fail" and "399981 decisions before" in found.message


@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_a_pass_says_which_stretch_would_have_shown(rate: float) -> None:
    case = Case("float32", rate, 257, 65, 2, 40)
    found = judged(case, draws(case.coins, rate, 7), "mask.distinct-calls")
    kept = found.tallies
    assert (
        found.verdict == "pass"
        and f"({kept['offset_extent']} repeated decisions would have been missed" in found.message
    )
    assert kept["offset_extent"] == least_extent(kept["offsets"], kept["offset_words"], kept["offset_coins"], 1e-6)
    assert kept["offset_extent"] < 2000


@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_stretches_of_the_printed_extent_escape_no_more_often_than_said(rate: float) -> None:
    """At a level of .05: of 200 stretches planted one by one, at most as many escape as a binomial of .05 shows once in 10^6."""
    rng = np.random.default_rng(11)
    length, size = 92 if rate == 0.5 else 117, 40_000
    escaped = 0
    bits = rng.random(size) < rate
    some = Stretches(65, length)
    some.add(packed(bits[: size // 65 * 65], 65))
    extent = least_extent(some.words, len(some.kept()[0]), length, 0.05)
    for _ in range(200):
        bits = rng.random(size) < rate
        bits[30_001 : 30_001 + extent] = bits[5_000 : 5_000 + extent]
        one = Stretches(65, length)
        one.add(packed(bits[: size // 65 * 65], 65))
        escaped += not len(one.repeated())
    assert escaped <= 28


def test_calls_that_drop_nothing_and_rows_with_a_rate_of_their_own_are_no_repeats() -> None:
    case = Case("float32", 0.5, 9, 65, 2, 1200)
    bits = draws(case.coins, seed=9).reshape(1200, 9, 65)
    bits[::100] = False
    for name in ("mask.distinct-samples", "mask.distinct-calls"):
        assert judged(case, bits, name).verdict == "pass"
    bits = draws(case.coins, seed=9).reshape(1200, 9, 65)
    bits[:, 4:6] = False
    for name in ("mask.distinct-samples", "mask.distinct-calls"):
        assert judged(case, bits, name).verdict == "pass"


def test_coins_tied_within_rows_fail_as_what_they_are() -> None:
    """Groups of four equal coins make words repeat oftener than chance allows; what fails is dependence, or copies of channels."""
    case = Case("float32", 0.5, 65, 64, 2, 64)
    bits = np.repeat(draws(case.coins // 16, seed=2), 16)
    noise = draws(case.coins, 0.01, 3)
    found = judged(case, bits ^ noise, "mask.distinct-calls")
    assert found.verdict != "fail" or "spread" in found.tallies


# --- layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("defect", "twin", "case", "check"),
    [
        ("block-in-call", "blocks-used-up", "float32 rate=0.5 1025,65,2 calls=9", "mask.distinct-samples"),
        ("jumps-back", "blocks-used-up", "float32 rate=0.5 257,65,2 calls=40", "mask.distinct-calls"),
        (
            "seeds-a-step-apart",
            "seeds-far-apart",
            "float32 rate=0.5 9,131,2 calls=64 seeds way=generator",
            "seed.distinct",
        ),
    ],
)
def test_planted_defects_fail_that_check_alone_and_their_twins_pass(
    defect: str, twin: str, case: str, check: str
) -> None:
    select = ("mask.distinct-samples", "mask.distinct-calls", "mask.patterns", "seed.distinct")
    targets = (f"broken.{defect}", f"unusual.{twin}")
    bad, good = run(AuditRequest(targets=targets, cases=(case,), select=select, jobs=1)).targets
    assert [f.check for f in bad.findings if f.verdict == "fail"] == [check]
    assert good.findings and all(f.verdict in ("pass", "skipped") for f in good.findings)


def test_words_need_balanced_coins_and_enough_of_them() -> None:
    assert word_coins(Case("float32", 0.1, 257, 64, 2, 100)) is None
    assert word_coins(Case("float32", 0.5, 2, 10, 2, 4)) is None
    assert repeated_stretches.stretches_of(Case("float32", 0.9, 257, 64, 2, 100)) is None
