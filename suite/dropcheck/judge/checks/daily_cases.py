"""The calls of the sweep over sizes and rates of daily use."""

from __future__ import annotations

import math

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Pattern
from dropcheck.judge.checks.base import Bench

# (rows, channels, elements of a coin): the first is the control, which other checks ask about, too
CONTROL = (33, 65, 3)

# these first: where every new shape is compiled, they are all that profile quick asks
FEW = ((32, 256, 4), (128, 128, 2), (9, 2049, 3))

SIZES = (
    *FEW,
    (16, 64, 64),
    # powers of two
    *((1, 512, 2), (2, 2048, 4), (4, 1024, 8), (8, 512, 8), (16, 256, 16), (32, 64, 32), (32, 128, 8), (64, 32, 64)),
    *(
        (64, 512, 2),
        (64, 1024, 1),
        (128, 64, 16),
        (256, 16, 8),
        (512, 128, 2),
        (1024, 64, 2),
        (2048, 8, 4),
        (4096, 4, 2),
    ),
    *((1, 4096, 1), (256, 256, 1)),
    # below them, and round numbers
    *((31, 63, 15), (127, 255, 3), (7, 1023, 7), (10, 1000, 3), (100, 96, 10), (20, 300, 50), (1000, 10, 5)),
    # multiples of a vector
    *((96, 192, 5), (24, 768, 5), (6, 1536, 3), (48, 384, 7), (12, 1280, 4), (5, 320, 56)),
    # equal lengths, where axes are guessed: rows and channels, channels and positions, rows and positions, all three
    *((10, 10, 7), (32, 32, 5), (64, 64, 3), (100, 100, 2), (7, 24, 24), (5, 100, 100), (3, 128, 128)),
    *((24, 40, 24), (64, 10, 64), (128, 16, 128), (12, 12, 12), (64, 64, 64)),
    # many positions, with and without a tail
    *((3, 17, 517), (3, 32, 512), (2, 33, 1024), (2, 24, 1000), (2, 8, 4096), (1, 9, 10007)),
    # many channels, many rows
    *((2, 3001, 2), (1, 10001, 2), (3, 4097, 1), (1, 65537, 1), (5001, 5, 2), (10007, 48, 1), (32768, 2, 1)),
)

# where every new shape is compiled, those of profile standard: one or two of each kind, since all take a fifth of the audit
SOME = (
    *FEW,
    *((16, 64, 64), (1, 512, 2), (2, 2048, 4), (8, 512, 8), (64, 1024, 1), (512, 128, 2), (4096, 4, 2), (256, 256, 1)),
    *((31, 63, 15), (7, 1023, 7), (1000, 10, 5), (24, 768, 5), (5, 320, 56)),
    *((10, 10, 7), (64, 64, 3), (7, 24, 24), (3, 128, 128), (24, 40, 24), (12, 12, 12)),
    *((3, 32, 512), (2, 33, 1024), (2, 3001, 2), (1, 65537, 1), (10007, 48, 1)),
)

LARGE = (3073, 86, 16)  # above 3000 rows, 2^18 coins and 2^22 elements

RATES = (0.05, 0.2, 0.25, 0.35, 0.4, 0.6, 0.7, 0.75, 0.8, 0.95, 0.99, 1e-4)

RATE_SIZES = (128, 129, 1)

COINS = 1 << 13  # of each size, in three calls at least

RATE_COINS = 1 << 15  # of each rate; more where fewer than 40 coins would fall, or stay

ROWS = 72  # of each size, so that copies of one pair of MANY channels are certain

MANY = 4097

MOST_CALLS = 72


def cases(bench: Bench) -> list[Case]:
    """The calls of the sweep for a target, the control first; empty where its pattern has one coin a call, or dependent coins.

    Where cases are named, those of the sweep among them: what failed at one of them fails again when it is named.
    """
    pattern, first = bench.contract.pattern, bench.first
    if not pattern.coins or pattern.apart or (bench.named and not bench.cases):
        return []
    usable = [r for r in bench.rates if 0 < r < 1]
    if not usable:
        return []
    rate = min(usable, key=lambda r: abs(r - 0.5))
    heavy = bool(bench.info.get("heavy")) or bench.info.get("mode", "eager") != "eager"
    widest = int(bench.info.get("widest", 0)) or MANY * MANY
    usual: tuple[tuple[int, int, int], ...] = (*SIZES, LARGE)
    if heavy and bench.profile != "deep":
        usual = FEW if bench.profile == "quick" else (*SOME, LARGE)
    some = [(r, min(c, widest), s) for r, c, s in usual]  # its rows and positions all the same

    def sized(rate: float, rows: int, channels: int, shared: int, coins: int, least: int) -> Case:
        rows, channels, shared = _fitting(pattern, rows, channels, shared)
        if channels <= MANY:
            least = max(least, -(-ROWS // rows))
        return Case(
            first, rate, rows, channels, shared, calls=min(MOST_CALLS, max(least, -(-coins // (rows * channels))))
        )

    # a call of a megabyte is made twice
    found = [sized(rate, r, c, s, COINS, 3 if r * c * s < 1 << 18 else 2) for r, c, s in (CONTROL, *some)]
    if not bench.contract.rates and not bench.requested:
        for other in RATES:
            coins = max(RATE_COINS, math.ceil(40 / min(other, 1 - other)))
            # where every new shape is compiled, one that is asked already
            rows, channels, shared = FEW[1] if heavy else RATE_SIZES
            found.append(sized(other, rows, min(channels, widest), shared, coins, 2))
    if bench.named:
        named = [one for one in found[1:] if one in bench.cases]
        found = [found[0], *named] if named else []
    return list(dict.fromkeys(found))


def _fitting(pattern: Pattern, rows: int, channels: int, shared: int) -> tuple[int, int, int]:
    """These sizes as a pattern has them: what indexes no coin is shared."""
    if pattern.channel_axis is None:
        channels, shared = 1, channels * shared
    elif not pattern.row_axes:
        rows, shared = 1, rows * shared
    if not pattern.shared:
        shared = 1
    shape = pattern.shape(rows, channels, shared)
    return (*pattern.matrix_shape(shape), pattern.shared_size(shape))
