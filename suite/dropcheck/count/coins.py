"""Packed coins: bit matrices turned so that one word holds 64 rows of one channel, and sums of bits along either axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.count import compiled

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Counts = NDArray[np.int64]

WORD = 64
SEGMENT = 1016  # words whose 64 bits each add up within 16 bits (1023), a multiple of 8


def unpack(packed: Bytes, channels: int) -> NDArray[np.uint8]:
    """(rows, bytes) packed along channels to (rows, channels) of 0 and 1, 1 dropped."""
    return np.unpackbits(packed, axis=-1, count=channels, bitorder="little")


def by_channel(packed: Bytes, channels: int) -> Words:
    """(rows, bytes) to (channels, words): bit i of word w is row 64 w + i; bits behind the last row are 0.

    Eight channels at a time are turned as blocks of 8 x 8 bits inside one word, 64 at a time as blocks of 64 x 64 bits
    over 64 words (Warren, Hacker's Delight, 7-3), each step over all blocks at once.
    """
    rows, width = packed.shape
    if (library := compiled.library()) is not None and width:
        return library.by_channel(packed, min(channels, 8 * width))
    length = -(-rows // WORD)
    wide, rest = divmod(width, 8)
    narrow = rest == 1  # one byte is turned by itself; more are cheaper as a padded word
    columns = wide + (rest > 1)
    turned = np.empty((columns * 64 + (8 if narrow else 0), length), np.uint64)
    if columns:
        if rest > 1 or rows % WORD or not packed.flags.c_contiguous:
            padded = np.zeros((length * WORD, columns * 8), np.uint8)
            part = packed[:, : columns * 8]
            padded[:rows, : part.shape[1]] = part
        else:
            padded = packed
        if narrow and padded is packed:
            words = np.ascontiguousarray(padded[:, : columns * 8]).view(np.uint64)
        else:
            words = padded.view(np.uint64)
        for i in range(columns):
            turned[64 * i : 64 * i + 64] = words[:, i].reshape(length, WORD).T
            _turn_64(turned[64 * i : 64 * i + 64])
    if narrow:
        column = np.zeros(length * WORD, np.uint8)
        column[:rows] = packed[:, -1]
        if channels - 64 * columns <= 4:  # bit by bit is faster than all eight together
            for i in range(channels - 64 * columns):
                one = np.packbits(column & np.uint8(1 << i), bitorder="little")
                turned[64 * columns + i] = one.view(np.uint64)
            return turned[:channels]
        eights = turn_8(column.view(np.uint64)).view(np.uint8).reshape(-1, 8)
        turned[64 * columns :] = np.ascontiguousarray(eights.T).view(np.uint64)
    return turned[:channels]


def _turn_64(x: Words) -> None:
    """Transpose (64, blocks) in place, each block of 64 words as a bit matrix."""
    half = np.empty((32, x.shape[1]), np.uint64)
    step, mask = 32, 0x00000000FFFFFFFF
    while step:
        pairs = x.reshape(32 // step, 2, step, -1)
        a, b, t = pairs[:, 0], pairs[:, 1], half.reshape(32 // step, step, -1)
        np.right_shift(a, np.uint64(step), out=t)
        np.bitwise_xor(t, b, out=t)
        np.bitwise_and(t, np.uint64(mask), out=t)
        np.bitwise_xor(b, t, out=b)
        np.left_shift(t, np.uint64(step), out=t)
        np.bitwise_xor(a, t, out=a)
        step >>= 1
        mask ^= (mask << step) & 0xFFFFFFFFFFFFFFFF


def turn_8(x: Words) -> Words:
    """Every word as a matrix of 8 x 8 bits, transposed: bit j of byte i becomes bit i of byte j."""
    for shift, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        t = (x ^ (x >> np.uint64(shift))) & np.uint64(mask)
        x = x ^ t ^ (t << np.uint64(shift))
    return x


def count(words: Words) -> Counts:
    """Set bits along the last axis. Population counts are added in 16 bits, SEGMENT words at a time: no byte is widened."""
    if (library := compiled.library()) is not None:
        return library.count(words)
    ones = np.bitwise_count(words)
    length = words.shape[-1]
    total = np.zeros(words.shape[:-1], np.int64)
    for i in range(0, length, SEGMENT):
        total += np.add.reduce(ones[..., i : i + SEGMENT], axis=-1, dtype=np.uint16)
    return total


class Joint:
    """Joint drops of two arrays of words, counted along the last axis, in buffers that are used again and again."""

    def __init__(self, most: int) -> None:
        """``most``: words of the largest product."""
        self._both = np.empty(most, np.uint64)
        self._ones = np.empty(most, np.uint8)

    def of(self, a: Words, b: Words) -> Words:
        """a & b, valid until the next call."""
        shape = np.broadcast_shapes(a.shape, b.shape)
        both = self._both[: int(np.prod(shape))].reshape(shape)
        np.bitwise_and(a, b, out=both)
        return both

    def count(self, words: Words) -> Counts:
        """``count`` without new memory; ``words`` has at most SEGMENT words along its last axis."""
        ones = self._ones[: words.size].reshape(words.shape)
        np.bitwise_count(words, out=ones)
        return np.asarray(np.add.reduce(ones, axis=-1, dtype=np.uint16), dtype=np.int64)


def column_sums(packed: Bytes) -> Counts:
    """Set bits of every bit column of (n, bytes), over the first axis: (8 bytes,).

    Carry-save adders on whole words make the binary digits of all sums at once, about five word operations for 64 bits; only
    the digits are unpacked.
    """
    n, size = packed.shape
    if not n:
        return np.zeros(8 * size, np.int64)
    if (library := compiled.library()) is not None:
        return library.column_sums(packed)
    if size % 8 or not packed.flags.c_contiguous:
        padded = np.zeros((n, -(-size // 8) * 8), np.uint8)
        padded[:, :size] = packed
        packed = padded
    level: Words = packed.view(np.uint64)
    digits: list[Words] = []
    while True:
        carries: list[Any] = []
        while len(level) >= 3:
            third = len(level) // 3
            a, b, c = level[:third], level[third : 2 * third], level[2 * third : 3 * third]
            either = a ^ b
            carry = either & c
            carry |= a & b
            either ^= c
            carries.append(carry)
            rest = level[3 * third :]
            level = np.concatenate([either, rest]) if len(rest) else either
        if len(level) == 2:
            carries.append(level[:1] & level[1:])
            level = level[:1] ^ level[1:]
        digits.append(level[0])
        if not carries:
            break
        level = np.concatenate(carries) if len(carries) > 1 else carries[0]
    narrow = n < 256
    sums = np.zeros(packed.shape[1] * 8, np.uint8 if narrow else np.int64)
    for place, digit in enumerate(digits):
        bits = np.unpackbits(digit.view(np.uint8), bitorder="little")
        sums += (bits << np.uint8(place)) if narrow else bits.astype(np.int64) << place
    return sums[: 8 * size].astype(np.int64)


def lag_mask(lag: int) -> np.uint64:
    """Bits of a word that come first in a disjoint pair ``lag`` apart: those with bit // lag even (lag a power of two < 64)."""
    return np.uint64(sum(1 << b for b in range(WORD) if (b // lag) % 2 == 0))


def lag_firsts(count: int, lag: int) -> NDArray[np.intp]:
    """Which of ``count`` places come first in a disjoint pair ``lag`` apart: i with i // lag even and i + lag < count.

    No place is in two pairs, since overlapping pairs are dependent.
    """
    index = np.arange(max(0, count - lag))
    return np.asarray(index[(index // lag) % 2 == 0])
