"""Homogeneity, association, dispersion, goodness of fit and copies: exact laws, goldens, calibration, power."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import beta as beta_law
from scipy.stats import binom, hypergeom

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.counting import tally
from dropcheck.count.gather import neighbouring_seeds
from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import Limits
from dropcheck.results.audit import Finding
from dropcheck.statistics import association, dispersion, duplicates, evidence, goodness, homogeneity


def most_rejections(audits: int, alpha: float) -> float:
    """What a test of level alpha exceeds with probability below 1e-6."""
    return float(binom.isf(1e-6, audits, alpha))


def least_power(caught: int, tries: int) -> float:
    """Lower Clopper-Pearson bound, level 1e-6."""
    return float(beta_law.ppf(1e-6, caught, tries - caught + 1)) if caught else 0.0


# --- one position against the rest ----------------------------------------------------------------------------------


def test_position_is_the_exact_hypergeometric_tail() -> None:
    population, marked, draws = 400, 60, 40
    for k in range(15, 41):
        expected = math.log10(min(1.0, 2 * float(hypergeom.sf(k - 1, population, marked, draws))))
        found = float(homogeneity.hypergeometric_log10(k, population, marked, draws))
        assert found == pytest.approx(expected, abs=1e-6)
    # within 3.5 standard deviations the normal value serves, which never reaches an alpha of 1e-6
    near = homogeneity.hypergeometric_log10(np.arange(0, 15), population, marked, draws)
    assert near.min() > -4.5


def test_position_false_alarms_stay_below_alpha_in_the_far_tail() -> None:
    """Exact sum over all counts of one position: the chance to fall below 1e-8 is at most 1e-8."""
    population, marked, draws = 64_000, 6_400, 1_000
    k = np.arange(draws + 1)
    law = hypergeom.pmf(k, population, marked, draws)
    logs = homogeneity.hypergeometric_log10(k, population, marked, draws)
    for alpha in (1e-6, 1e-8, 1e-10):
        assert law[logs <= math.log10(alpha)].sum() <= alpha


@pytest.mark.parametrize(("rows", "delta"), [(31_000, 0.02), (450_000, 0.005)])
def test_one_channel_resolution_is_that_of_the_table(rows: int, delta: float) -> None:
    found = homogeneity.position_resolution(rows, 64, 0.1, 1e-8, 1e-6)
    assert found == pytest.approx(delta, rel=0.12)


def test_one_odd_channel_of_the_printed_resolution_is_caught_as_promised() -> None:
    rows, channels, p, alpha, beta = 4000, 32, 0.3, 1e-6, 0.05
    delta = homogeneity.position_resolution(rows, channels, p, alpha, beta)
    rng = np.random.default_rng(2)
    for sign in (1, -1):
        tries, caught = 600, 0
        for _ in range(tries):
            rates = np.full(channels, p)
            rates[5] += sign * delta
            k = rng.binomial(rows, rates)
            logs = homogeneity.position_log10(k, rows)
            caught += bool(logs[5] + math.log10(channels) <= math.log10(alpha))
        assert least_power(caught, tries) >= 1 - beta - 0.06, (sign, caught / tries)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_spread_null_calibration(alpha: float) -> None:
    rng = np.random.default_rng(3)
    audits = 4000
    k = rng.binomial(500, 0.2, (audits, 24))
    logs = np.array([homogeneity.spread(row, 500)[2] for row in k])
    assert (logs <= math.log10(alpha)).sum() <= most_rejections(audits, alpha)


def test_spread_sees_all_channels_slightly_off() -> None:
    """statistics.md: 12 k rows show +-0.5 points in all of 64 channels at rate .1."""
    delta = homogeneity.spread_resolution(12_000, 64, 0.1, 1e-8, 1e-6)
    assert delta == pytest.approx(0.005, rel=0.35)
    rng = np.random.default_rng(4)
    rates = 0.1 + delta * np.where(np.arange(64) % 2, 1, -1)
    caught = sum(homogeneity.spread(rng.binomial(12_000, rates), 12_000)[2] <= -8 for _ in range(50))
    assert caught == 50


# --- association ----------------------------------------------------------------------------------------------------


def brute_association(tables: list[tuple[int, int, int]], total: int, upper: bool) -> float:
    """Exact tail of a sum of independent hypergeometric counts, by enumeration."""
    law = np.ones(1)
    for n, a, b in tables:
        law = np.convolve(law, hypergeom.pmf(np.arange(min(a, b) + 1), n, a, b))
    return float(law[total:].sum() if upper else law[: total + 1].sum())


def test_association_is_the_exact_conditional_law() -> None:
    n, a, b = [200, 150, 180], [60, 40, 50], [50, 45, 60]
    tables = list(zip(n, a, b, strict=True))
    mean = sum(x * y / z for z, x, y in tables)
    for total in range(60, 75):
        both = [total - 40, 20, 20]
        low, high = association.log10_association(n, a, b, both)
        expected = brute_association(tables, total, True)
        assert total > mean
        if expected < 1e-3:
            assert 10**high == pytest.approx(expected, rel=1e-3, abs=2e-13)
            assert low == 0.0


def test_association_far_tail_is_a_valid_bound() -> None:
    tables = [(400, 100, 100)] * 4
    both = [60] * 4
    _, high = association.log10_association(*(list(v) for v in zip(*tables, strict=True)), both)
    # exact tail of the sum by convolution in logarithms is smaller than any bound
    single = hypergeom.logsf(59, 400, 100, 100) / math.log(10)
    assert 4 * single - 3 <= high <= -20


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
def test_association_null_calibration(alpha: float) -> None:
    rng = np.random.default_rng(5)
    audits, rejected = 6000, 0
    for _ in range(audits):
        first, second = rng.random((2, 4, 256)) < 0.3
        n = np.full(4, 256)
        log = association.two_sided(n, first.sum(1), second.sum(1), (first & second).sum(1))
        rejected += log <= math.log10(alpha)
    # scores below 3 return the normal value, which gates nothing; it errs by the discreteness of the law
    assert rejected <= most_rejections(audits, alpha) * 1.15


def test_pair_resolution_is_that_of_the_table() -> None:
    """1.36 M rows for .01. For .05 the table's 54 k rows leave out that the spread grows with the defect: .06 is honest."""
    assert association.correlation_resolution(1_360_000, 0.1, 1e-8 / 2016, 1e-6) == pytest.approx(0.01, rel=0.05)
    assert 0.05 < association.correlation_resolution(54_000, 0.1, 1e-8 / 2016, 1e-6) < 0.06


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_a_correlation_of_the_printed_resolution_is_caught_as_promised(p: float) -> None:
    pairs, alpha, beta = 20_000, 1e-6, 0.05
    rho = association.correlation_resolution(pairs, p, alpha, beta)
    joint = p * p + rho * p * (1 - p)
    law = [joint, p - joint, p - joint, 1 - 2 * p + joint]
    rng = np.random.default_rng(6)
    tries, caught = 800, 0
    for both, one, two, _ in rng.multinomial(pairs, law, tries):
        caught += association.two_sided([pairs], [both + one], [both + two], [both]) <= math.log10(alpha)
    assert least_power(caught, tries) >= 1 - beta - 0.05


def test_many_single_tables_agree_with_the_pooled_form() -> None:
    rng = np.random.default_rng(7)
    first, second = rng.random((2, 2048)) < 0.4
    second = np.where(rng.random(2048) < 0.3, first, second)
    n, a, b, both = 2048, int(first.sum()), int(second.sum()), int((first & second).sum())
    one = float(association.association_many(np.array([n]), np.array([a]), np.array([b]), np.array([both]))[0])
    pooled = association.two_sided([n], [a], [b], [both])
    assert one <= pooled < -20  # the pooled form bounds far tails, the single one sums them
    assert association.correlation([n], [a], [b], [both]) == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-3)


# --- the law of the dropped count -----------------------------------------------------------------------------------


def test_poisson_binomial_equals_enumeration() -> None:
    p = [0.1, 0.5, 0.02, 0.9, 0.3]
    law = np.zeros(6)
    for pattern in itertools.product((0, 1), repeat=5):
        law[sum(pattern)] += math.prod(r if bit else 1 - r for r, bit in zip(p, pattern, strict=True))
    np.testing.assert_allclose(dispersion.poisson_binomial(p), law, atol=1e-15)
    np.testing.assert_allclose(
        dispersion.poisson_binomial(np.full(64, 0.1)), binom.pmf(np.arange(65), 64, 0.1), atol=1e-14
    )


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_exactly_k_droppers_show_in_a_dozen_rows(rate: float) -> None:
    k = round(64 * rate)
    histogram = np.zeros(65)
    rows = 1
    while rows < 40:
        histogram[k] = rows
        low, _, _ = dispersion.log10_dispersion(histogram, np.full(64, k / 64))
        if low <= -8:
            break
        rows += 1
    assert 8 <= rows <= 20


def test_mean_correlation_of_one_per_cent_shows_in_about_a_thousand_rows() -> None:
    found = dispersion.dispersion_resolution(915, np.full(64, 0.1), 1e-8, 1e-6)
    assert found == pytest.approx(0.01, rel=0.35)


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_dispersion_null_calibration_with_estimated_rates(p: float, alpha: float) -> None:
    """Where a scaled chi-square is unsafe (64 channels, rate .001) the Chernoff form is not."""
    rng = np.random.default_rng(8)
    audits, rows, channels, rejected = 300, 400, 64, 0
    for _ in range(audits):
        coins = rng.random((rows, channels)) < p
        histogram = np.bincount(coins.sum(1), minlength=channels + 1)
        low, high, _ = dispersion.log10_dispersion(histogram, coins.mean(0))
        rejected += min(low, high) + math.log10(2) <= math.log10(alpha)
    assert rejected <= most_rejections(audits, alpha)


def test_dispersion_far_tail_is_proven_by_an_exact_sum() -> None:
    """The whole law of the total over 30 rows of 8 coins, by convolution: P(p-value <= alpha) <= alpha at 1e-8."""
    channels, rows, p = 8, 30, 0.1
    row_law = binom.pmf(np.arange(channels + 1), channels, p)
    # the statistic of a row takes the values (d - mu)^2 - (1 - 2p)(d - mu): a function of d alone
    mu, slope = channels * p, 1 - 2 * p
    values = (np.arange(channels + 1) - mu) ** 2 - slope * (np.arange(channels + 1) - mu)
    grid = np.rint((values - values.min()) * 10).astype(int)
    single = np.zeros(grid.max() + 1)
    np.add.at(single, grid, row_law)
    total = np.ones(1)
    for _ in range(rows):
        total = np.convolve(total, single)
    upper = np.cumsum(total[::-1])[::-1]
    alpha = 1e-8
    # smallest observed total that fails, from histograms with j rows of extreme counts
    for j in range(rows + 1):
        histogram = np.zeros(channels + 1)
        histogram[5], histogram[1] = j, rows - j
        _, high, _ = dispersion.log10_dispersion(histogram, np.full(channels, p))
        if high <= math.log10(alpha):
            observed = int(j * grid[5] + (rows - j) * grid[1])
            assert upper[min(observed, len(upper) - 1)] <= alpha * 1.0001
            break
    else:
        pytest.fail("no histogram of the family was extreme enough")


def test_count_law_sees_a_wrong_shape_of_equal_mean_and_variance() -> None:
    channels, p = 8, 0.5
    law = dispersion.poisson_binomial(np.full(channels, p))
    values = np.arange(channels + 1) - 4.0
    # a change orthogonal to mass, mean and variance: the fourth difference
    change = np.array([0, 0, 1, -4, 6, -4, 1, 0, 0], dtype=float)
    assert abs(change @ values) + abs(change @ values**2) + abs(change.sum()) < 1e-12
    histogram = np.rint((law + 0.01 * change) * 100_000)
    low, high, _ = dispersion.log10_dispersion(histogram, np.full(channels, p))
    assert min(low, high) > -2
    assert dispersion.log10_count_law(histogram, np.full(channels, p))[2] < -8


# --- goodness of fit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [16, 256])
def test_g_with_its_safe_factor_keeps_its_level(cells: int) -> None:
    rng = np.random.default_rng(9)
    law = np.full(cells, 1 / cells)
    audits = 20_000
    seen = rng.multinomial(25 * cells, law, audits)
    _, _, logs = goodness.g_many(seen, np.broadcast_to(law * 25 * cells, seen.shape))
    for alpha in (0.05, 0.01, 0.001):
        assert (logs <= math.log10(alpha)).sum() <= most_rejections(audits, alpha)


def test_g_many_equals_g_test() -> None:
    rng = np.random.default_rng(10)
    law = goodness.product_law([0.1, 0.3, 0.05, 0.2])
    seen = rng.multinomial(3000, law, 20)
    values, degrees, logs = goodness.g_many(seen, np.broadcast_to(law * 3000, seen.shape))
    for row, value, d, log in zip(seen, values, degrees, logs, strict=True):
        one = goodness.g_test(row, law * 3000)
        assert (value, d, log) == (pytest.approx(one[0]), one[1], pytest.approx(one[2], abs=1e-9))


def test_product_law_is_the_product() -> None:
    law = goodness.product_law([0.1, 0.5, 0.3])
    assert law[0b101] == pytest.approx(0.1 * 0.5 * 0.3)
    assert law.sum() == pytest.approx(1)
    np.testing.assert_allclose(goodness.product_laws(np.array([[0.1, 0.5, 0.3]]))[0], law)


def test_groups_of_four_copies_show_as_soon_as_every_cell_expects_20() -> None:
    """Sooner (about 35 rows) the same groups are caught as copies, by their words; see the tests of mask.distinct-*."""
    coins = np.arange(330) % 2
    _, _, log = goodness.g_test(np.bincount(coins * 15, minlength=16), goodness.product_law([0.5] * 4) * 330)
    assert log < -200


def test_pearson_is_what_people_expect() -> None:
    value, degrees, p = goodness.pearson([44, 56], [50, 50])
    assert (value, degrees) == (pytest.approx(1.44), 1)
    assert p == pytest.approx(0.2301, abs=1e-4)


def test_g_resolution_is_caught_as_promised() -> None:
    n, cells, alpha, miss = 4000, 16, 1e-6, 0.05
    w = goodness.g_resolution(n, cells, alpha, miss)
    law = np.full(cells, 1 / cells)
    direction = np.where(np.arange(cells) % 2, 1, -1)
    other = law * (1 + w * direction)
    assert math.sqrt(((other - law) ** 2 / law).sum()) == pytest.approx(w)
    seen = np.random.default_rng(12).multinomial(n, other, 1000)
    _, _, logs = goodness.g_many(seen, np.broadcast_to(law * n, seen.shape))
    assert least_power(int((logs <= -6).sum()), 1000) >= 1 - miss - 0.05


# --- copies ----------------------------------------------------------------------------------------------------------


def test_word_lengths_are_those_of_the_table() -> None:
    """54 and 189 coins among 20 000 rows at rates .5 and .1; 30 and 105 for two identical masks (alpha 1e-9)."""
    assert duplicates.word_length(20_000, 0.5, 1e-8) == pytest.approx(54, abs=1)
    assert duplicates.word_length(20_000, 0.1, 1e-8) == pytest.approx(189, abs=3)
    assert duplicates.word_length(2, 0.5, 1e-9) == 30
    assert duplicates.word_length(2, 0.1, 1e-9) == pytest.approx(105, abs=1)
    with pytest.raises(ValueError, match="rate 0"):
        duplicates.word_length(100, 0.0, 1e-8)


def test_chance_of_equal_bounds_the_true_chance() -> None:
    rng = np.random.default_rng(13)
    audits, rows, coins = 20_000, 6, 8
    words = (rng.random((audits, rows, coins)) < 0.3) @ (1 << np.arange(coins))
    equal = sum(len(set(w)) < rows for w in words.tolist())
    bound = 10 ** duplicates.log10_chance_of_equal(15, 0.3, coins)
    assert equal <= binom.isf(1e-6, audits, bound)
    assert bound < 3 * equal / audits


def test_bonferroni_never_exceeds_one() -> None:
    assert evidence.bonferroni([-9.0, -3.0], 10) == pytest.approx(-8)
    assert evidence.bonferroni([-0.1], 10) == 0.0
    assert evidence.bonferroni([], 10) == 0.0


# --- planted streams that one statistic alone sees -------------------------------------------------------------------


def judged(name: str, coins: np.ndarray, rows: int, rate: float, seeds: list[int] | None = None) -> Finding:
    """What one check says of coins (calls x rows, channels)."""
    check = next(c for c in CHECKS if c.name == name)
    channels = coins.shape[1]
    calls = len(coins) // rows * (2 if seeds else 1)
    per_call = rows // 2 if seeds else rows
    case = Case("float32", rate, per_call, channels, 3, calls, regime="seeds" if seeds else "stream")
    packed = np.packbits(coins, axis=1, bitorder="little")
    counted = tally(packed, channels, rows, seeds=seeds)
    found = check.judge(
        check, Gathered(case, Contract(Pattern.parse("n c l -> n c")), counted, {}, seeds=seeds), LIMITS
    )
    assert found is not None
    return found


LIMITS = Limits(1e-6 * 0.06 / 96)


def test_one_pair_at_an_odd_distance_among_many_channels_is_seen() -> None:
    rng = np.random.default_rng(20)
    coins = rng.random((4096, 300)) < 0.3
    assert judged("mask.independent-channels", coins, 64, 0.3).verdict == "pass"
    coins[:, 223] = np.where(rng.random(4096) < 0.4, coins[:, 100], coins[:, 223])
    found = judged("mask.independent-channels", coins, 64, 0.3)
    assert found.verdict == "fail" and found.tallies["worst_pair"] == [100, 223]


@pytest.mark.parametrize("stride", [8, 16, 20])
def test_parity_of_eight_strided_channels_is_seen(stride: int) -> None:
    """The last of eight is the parity of the others: every seven are independent."""
    rng = np.random.default_rng(21)
    coins = rng.random((40_000, 160)) < 0.5
    assert judged("mask.patterns", coins, 200, 0.5).verdict == "pass"
    for o in range(stride):
        members = [o + i * stride for i in range(8)]
        coins[:, members[-1]] = coins[:, members[:-1]].sum(axis=1) % 2
    found = judged("mask.patterns", coins, 200, 0.5)
    assert found.verdict == "fail" and f"eight channels {stride} apart" in found.message
    assert judged("mask.independent-channels", coins, 200, 0.5).verdict == "pass"


@pytest.mark.parametrize("shift", [1, -1])
@pytest.mark.parametrize("rows", [17, 130])
def test_calls_that_follow_each_other_one_row_shifted_are_seen(rows: int, shift: int) -> None:
    rng = np.random.default_rng(22)
    coins = rng.random((256, rows, 16)) < 0.3
    assert judged("mask.independent-calls", coins.reshape(-1, 16), rows, 0.3).verdict == "pass"
    moved = np.roll(coins[::2], shift, axis=1)
    coins[1::2] = np.where(rng.random(moved.shape) < 0.3, moved, coins[1::2])
    found = judged("mask.independent-calls", coins.reshape(-1, 16), rows, 0.3)
    assert found.verdict == "fail" and f"{shift:+d} rows" in found.message
    assert judged("mask.independent-samples", coins.reshape(-1, 16), rows, 0.3).verdict == "pass"


def seeded() -> tuple[np.ndarray, list[int]]:
    numbers = neighbouring_seeds(3, 256)
    return np.random.default_rng(23).random((256, 18, 131)) < 0.5, numbers


def test_call_two_of_a_seed_that_follows_call_one_of_the_next_is_seen() -> None:
    coins, numbers = seeded()
    assert judged("seed.neighbours", coins.reshape(-1, 131), 18, 0.5, numbers).verdict == "pass"
    follow = np.random.default_rng(24).random((128, 9, 131)) < 0.1
    coins[1::2, :9] = np.where(follow, coins[::2, 9:], coins[1::2, :9])
    found = judged("seed.neighbours", coins.reshape(-1, 131), 18, 0.5, numbers)
    assert found.verdict == "fail" and "call 2 of seed s" in found.message


def test_one_bit_of_the_seed_that_hardly_matters_is_named() -> None:
    coins, numbers = seeded()
    rng = np.random.default_rng(25)
    for i in range(0, 256, 4):
        if numbers[i] ^ numbers[i + 2] == 1 << 9:
            for j in (i, i + 1):
                coins[j + 2] = np.where(rng.random((18, 131)) < 0.15, coins[j], coins[j + 2])
    found = judged("seed.neighbours", coins.reshape(-1, 131), 18, 0.5, numbers)
    assert found.verdict == "fail" and "bit 9" in found.message


def test_evidence_of_independent_channels_is_a_valid_p_value_also_when_it_passes() -> None:
    rng = np.random.default_rng(26)
    logs = []
    for _ in range(400):
        logs.append(judged("mask.independent-channels", rng.random((512, 6)) < 0.5, 8, 0.5).log10_evidence)
    for alpha in (0.2, 0.05):
        assert sum(log <= math.log10(alpha) for log in logs) <= most_rejections(400, alpha)
    assert min(logs) < 0
