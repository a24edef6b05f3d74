"""Exclusive ors among random bits: which vectors they are, and a bound of the chance of any, held against enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np

from dropcheck.statistics.binary_ranks import dependent, log10_dependent


def _vectors(seed: int, n: int, bits: int) -> list[int]:
    rows = np.random.default_rng(seed).integers(0, 2, (n, bits), dtype=np.uint8)
    return [int.from_bytes(np.packbits(row).tobytes(), "big") for row in rows]


def test_the_vector_that_is_the_exclusive_or_of_others_is_found_with_just_these() -> None:
    vectors = _vectors(1, 60, 128)
    assert dependent(vectors) is None  # by chance with probability 2^-68
    vectors[41] = vectors[3] ^ vectors[17] ^ vectors[30]
    assert dependent(vectors) == (3, 17, 30, 41)
    vectors[41] ^= 1
    assert dependent(vectors) is None
    assert dependent([5, 0]) == (1,) and dependent([5, 9, 5]) == (0, 2)


def test_the_bound_is_never_below_the_chance_by_enumeration() -> None:
    """All matrices of two vectors of five bits, with the vector of ones beside them."""
    for p in (0.5, 0.3):
        chance = 0.0
        for vectors in itertools.product(range(32), repeat=2):
            if dependent([31, *vectors]) is not None:
                ones = sum(v.bit_count() for v in vectors)
                chance += p**ones * (1 - p) ** (10 - ones)
        bound = 10 ** log10_dependent(2, 5, abs(1 - 2 * p))
        assert chance <= bound
        if p == 0.5:  # of the number of such matrices (Landsberg 1893): 1 - product of 1 - 2^(k - 5), k = 1, 2
            exact = 1 - math.prod(1 - 2.0 ** (k - 5) for k in (1, 2))
            assert math.isclose(chance, exact) and bound < 1.4 * exact


def test_at_one_half_the_bound_is_a_power_of_two() -> None:
    assert math.isclose(log10_dependent(65, 130), (66 - 130) * math.log10(2), abs_tol=1e-6)
    assert log10_dependent(65, 130, 0.4) > log10_dependent(65, 130)
