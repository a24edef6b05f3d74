"""Linear dependence of random bits over GF(2): one vector that is the exclusive or of others, and the chance of that."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from dropcheck.statistics.evidence import LOG10E


def dependent(vectors: Sequence[int]) -> tuple[int, ...] | None:
    """The first vector that is the exclusive or of earlier ones, with these; none of them can be left out.

    ``vectors``: bits as integers. Of what is returned the exclusive or is 0; None: the vectors are linearly independent.
    """
    n = len(vectors)
    by_bit: dict[int, int] = {}  # highest bit -> a sum of vectors, and behind it which ones
    for i, vector in enumerate(vectors):
        one = vector << n | 1 << i
        while (high := one.bit_length()) > n:
            other = by_bit.get(high)
            if other is None:
                by_bit[high] = one
                break
            one ^= other
        else:
            return tuple(k for k in range(n) if one >> k & 1)
    return None


def log10_dependent(n: int, bits: int, lean: float = 0.0) -> float:
    """log10 of a bound of the chance that any of n vectors of so many independent bits, or the vector of ones, depends on others.

    ``lean``: at most |1 - 2 p| for the probability p of each bit. The exclusive or of w bits is 0 with probability at most
    (1 + lean^w) / 2, and it is 1 no likelier; summed over all sets of w vectors, and over both values. At p = 1/2 it is
    2^(n + 1 - bits), the leading term of the law of the rank (Landsberg 1893; Marsaglia and Tsay 1985, section 3).
    """
    w = np.arange(1, n + 1)
    sets = special.gammaln(n + 1) - special.gammaln(w + 1) - special.gammaln(n - w + 1)
    each = bits * np.log((1 + lean**w) / 2)
    return min(0.0, (float(special.logsumexp(sets + each)) + math.log(2)) * LOG10E)
