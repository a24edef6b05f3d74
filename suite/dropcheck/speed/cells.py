"""Cells: one situation to time each, with a one-line text that repeats it, and the profiles that choose them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dropcheck.contract.adapter import DIRECTIONS, DTYPES
from dropcheck.contract.cells import ITEMSIZE, LAYOUTS, REGIMES, Cell
from dropcheck.contract.errors import UsageError, nearest

PROFILES = ("quick", "standard", "deep")


CENTRE = Cell()


def _of_bytes(target: int, base: Cell = CENTRE) -> Cell:
    """The base with its batch, then its channels, then its positions cut or grown to ``target`` bytes."""
    itemsize = ITEMSIZE[base.dtype]
    samples = target // (base.channels * base.shared * itemsize)
    if samples >= 1:
        return replace(base, samples=samples)
    channels, shared = min(base.channels, 64), 16
    return replace(base, samples=max(1, target // (channels * shared * itemsize)), channels=channels, shared=shared)


def _of_length(length: int, base: Cell = CENTRE) -> Cell:
    """The base's bytes with so many positions that share a coin."""
    return replace(base, shared=length, samples=base.elements // (base.channels * length))


def _of_channels(channels: int, base: Cell = CENTRE) -> Cell:
    """About the base's bytes with so many channels."""
    samples = max(1, round(base.elements / (channels * base.shared)))
    return replace(base, channels=channels, samples=samples)


def _unique(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    return tuple(dict.fromkeys(cells))


def _standard(largest: int) -> list[Cell]:
    one = CENTRE
    sizes = [_of_bytes(2**k) for k in range(12, largest.bit_length(), 2)]
    return [
        one,
        replace(one, regime="fresh"),
        replace(one, direction="inference"),
        replace(one, direction="backward"),
        *sizes,
        *(replace(c, regime="fresh") for c in sizes if c.nbytes >= 2**20),
        *(replace(c, direction="backward") for c in (sizes[0], sizes[len(sizes) // 2])),
        *(replace(c, direction="inference") for c in (sizes[0], sizes[len(sizes) // 2])),
        *(_of_length(n) for n in (1, 3, 16, 64, 257, 8192)),
        *(_of_channels(n) for n in (3, 64, 257, 4096)),
        *(replace(one, layout=word) for word in LAYOUTS[1:]),
        *(replace(one, dtype=word) for word in DTYPES[1:]),
        *(replace(one, dtype=word, direction="backward") for word in ("float16", "bfloat16")),
        *(replace(one, rate=rate) for rate in (0.0, 0.1, 0.9, 1.0)),
        *(replace(one, rate=rate, direction="backward") for rate in (0.1, 0.9)),
        *(replace(_of_length(1), layout=word) for word in LAYOUTS[1:]),
        replace(one, regime="fresh", direction="backward"),
    ]


def plan(profile: str, device: str = "cpu") -> tuple[Cell, ...]:
    """The cells of a profile: quick about 10, standard about 45, deep every pair of factors. Raises UsageError."""
    if profile not in PROFILES:
        raise UsageError(
            f"there is no profile {profile!r}; expected quick, standard or deep{nearest(profile, PROFILES)}"
        )
    one = CENTRE
    if profile == "quick":
        return _unique(
            [
                _of_bytes(2**12),
                _of_bytes(2**16),
                _of_bytes(2**20),
                replace(_of_bytes(2**12), direction="inference"),
                replace(_of_bytes(2**20), direction="backward"),
                replace(_of_bytes(2**24), regime="fresh"),
                _of_bytes(2**24),
                replace(_of_bytes(2**24), rate=0.1),
                replace(_of_bytes(2**24), dtype="bfloat16"),
                replace(_of_bytes(2**24), layout="permuted"),
            ]
        )
    largest = 2**30 if device != "cpu" else 2**26
    cells = _standard(largest)
    if profile == "deep":
        cells += [
            replace(base, dtype=dtype, rate=rate, direction=direction, layout=layout, regime=regime)
            for base in (_of_bytes(2**16), _of_bytes(2**20), one, _of_length(1), _of_channels(3))
            for dtype in DTYPES
            for rate in (0.0, 0.1, 0.5, 0.9, 1.0)
            for direction in DIRECTIONS
            for layout in LAYOUTS
            for regime in REGIMES
            if not (base.nbytes < 2**20 and regime == "fresh")
        ]
    if device != "cpu":  # there is one allocator of its own, which keeps what is freed
        cells = [replace(c, regime="reused") for c in cells]
    return _unique(cells)
