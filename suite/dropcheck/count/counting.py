"""How the counts of a tally are made from arranged words: ``tally`` and the arithmetic behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dropcheck.count import coins as bits
from dropcheck.count import compiled
from dropcheck.count.tallies import (
    ALL_PAIRS_UP_TO,
    BLOCK,
    CALL_LAGS,
    FAR_PAIRS_UP_TO,
    PLACES,
    ROW_LAGS,
    VARYING_BLOCK,
    Arranged,
    Association,
    Counts,
    Tally,
    _thin,
    arrange,
    group_starts,
    group_strides,
    pair_strides,
)

DENSE_FROM = 32  # channels from which words are turned once more where calls leave them so empty,
EMPTY = 1.2  # that there are so many bits a row

_CACHED = 1 << 16  # words of a block: half a megabyte, so that a block and its products stay in a core's second cache


@dataclass
class Thinned:
    """The words (channels, n) and the number of rows that thinned statistics look at; None: none of this chunk."""

    words: bits.Words | None
    rows: int
    chosen: Any  # rows of the chunk, as a mask or slice
    whole: bool


def count_margins(result: Tally, packed: bits.Bytes, arranged: Arranged, rows_per_call: int | None) -> None:
    """Drops of every channel, and of every position of a call over the calls."""
    channels = result.channels
    if rows_per_call is None:
        result.channel = bits.count(arranged.words[:, 0])
        return
    result.position_calls = result.calls
    if arranged.short:
        result.position = np.ascontiguousarray(bits.count(arranged.words).T)
    else:
        flat = packed.reshape(result.calls, -1)
        sums = bits.column_sums(flat).reshape(rows_per_call, -1)
        result.position = np.ascontiguousarray(sums[:, :channels])
    result.channel = result.position.sum(axis=0)


def thinned(arranged: Arranged, rows: int, rows_per_call: int | None, start: int, every: bits.Words) -> Thinned:
    """What thinned statistics look at: blocks of calls, chosen by their number in the whole case. ``every``: see ``dense``."""
    words = arranged.words
    channels = len(words)
    if rows_per_call is None:
        block = np.arange(start, start + rows) // VARYING_BLOCK
        chosen = _thin(block, VARYING_BLOCK)
        first = start // bits.WORD * bits.WORD
        unit = _thin((first + bits.WORD * np.arange(words.shape[2])) // VARYING_BLOCK, VARYING_BLOCK)
        some = words[:, 0, unit]
    else:
        calls = rows // rows_per_call
        call = start // rows_per_call + np.arange(calls)
        chosen = np.repeat(_thin(call // BLOCK, BLOCK * rows_per_call), rows_per_call)
        if arranged.short:
            first = start // rows_per_call // BLOCK
            unit = _thin(first + np.arange(words.shape[2]), BLOCK * rows_per_call)
            some = words[:, :, unit]
        else:
            unit = _thin(call // BLOCK, BLOCK * rows_per_call)
            some = words[:, unit]
    if chosen.all():
        return Thinned(every, rows, slice(None), True)
    count = int(np.count_nonzero(chosen))
    return Thinned(np.ascontiguousarray(some.reshape(channels, -1)) if count else None, count, chosen, False)


def dense(packed: bits.Bytes, arranged: Arranged, rows_per_call: int | None) -> bits.Words:
    """The words (channels, n) of all rows, for statistics of rows by themselves.

    Turned once more, without regard to calls, where the last words of the calls are so empty that all pairs would cost more.
    """
    words = arranged.words.reshape(len(arranged.words), -1)
    empty = words.shape[1] * bits.WORD > EMPTY * len(packed)
    if rows_per_call and not arranged.short and len(words) >= DENSE_FROM and empty:
        return bits.by_channel(packed, len(words))
    return words


def count_channels(result: Tally, words: bits.Words, thin: Thinned) -> None:
    """Pairs, triples and fours of channels on all rows; all pairs of many channels, and strided eights, on thinned rows."""
    result.pair_rows = result.rows
    if result.channels > 1:
        _groups(result, words)
    if thin.words is None:
        return
    if ALL_PAIRS_UP_TO < result.channels <= FAR_PAIRS_UP_TO:
        _far(result, thin)
    for stride in group_strides(result.channels, 8):
        if stride > 1:
            result.octets[stride] = _strided_octets(thin.words, stride, thin.rows)
            result.octet_rows[stride] = thin.rows


def _blocks(words: bits.Words) -> Iterator[bits.Words]:
    """Blocks of (channels, n) that stay in the cache; words of one block add up within 16 bits."""
    size = min(bits.SEGMENT, max(8, _CACHED // len(words)))
    for i in range(0, words.shape[1], size):
        yield np.ascontiguousarray(words[:, i : i + size])


def _groups(result: Tally, words: bits.Words) -> None:
    channels = result.channels
    strides = pair_strides(channels)
    triples = [s for s in group_strides(channels, 3) if s in strides and 2 * s in strides]
    quads = group_strides(channels, 4)
    result.pairs = {s: np.zeros(channels - s, np.int64) for s in strides}
    result.triples = {s: np.zeros(channels - 2 * s, np.int64) for s in triples}
    joint = {s: np.zeros((5, *_quad_shape(channels, s)), np.int64) for s in quads}
    missing = sorted({k * s for s in quads for k in (1, 2, 3)} - set(strides))
    extra = {s: np.zeros(channels - s, np.int64) for s in missing}
    if (library := compiled.library()) is not None:
        lags = sorted((*strides, *missing))
        found, threes, fours = library.joint(words, lags, triples, quads)
        for s, counts in zip(lags, _cut(found, [channels - s for s in lags]), strict=True):
            (result.pairs if s in result.pairs else extra)[s] = counts
        for s, counts in zip(triples, _cut(threes, [channels - 2 * s for s in triples]), strict=True):
            result.triples[s] = counts
        for s, counts in zip(quads, _cut(fours, [joint[s].size for s in quads]), strict=True):
            joint[s] = counts
    else:
        _groups_by_numpy(result, words, extra, joint)
    for s in quads:
        result.quads[s] = _quad_patterns(result, extra, joint[s].reshape(5, -1), s)


def _cut(whole: Counts, sizes: list[int]) -> list[Counts]:
    """One array into several of these sizes."""
    return np.split(whole, np.cumsum(sizes)[:-1]) if sizes else []


def _groups_by_numpy(result: Tally, words: bits.Words, extra: dict[int, Counts], joint: dict[int, Counts]) -> None:
    """Joint drops of pairs, triples and fours added up, each product of two rows of words used as often as it can be."""
    channels = result.channels
    size = channels * min(bits.SEGMENT, max(8, _CACHED // channels))
    one, two, three = bits.Joint(size), bits.Joint(size), bits.Joint(size)
    for x in _blocks(words):
        for s in (*result.pairs, *extra):
            both = one.of(x[:-s], x[s:])
            (result.pairs if s in result.pairs else extra)[s] += one.count(both)
            if s in result.triples:
                result.triples[s] += two.count(two.of(both[:-s], x[2 * s :]))
        for s in joint:
            groups, _ = _quad_shape(channels, s)
            a, b, c, d = (x[: 4 * s * groups].reshape(groups, 4, s, -1)[:, i] for i in range(4))
            ab, cd = one.of(a, b), two.of(c, d)
            for i, (left, right) in enumerate(((ab, c), (ab, d), (a, cd), (b, cd), (ab, cd))):
                joint[s][i] += three.count(three.of(left, right))


def _quad_shape(channels: int, stride: int) -> tuple[int, int]:
    return channels // (4 * stride), stride


def _quad_patterns(result: Tally, extra: dict[int, Counts], joint: Counts, stride: int) -> Counts:
    """(groups, 16) patterns of channels c, c+s, c+2s, c+3s, bit i channel c+i s, from the joint drops of every subset.

    By inclusion and exclusion over supersets.
    """
    starts = group_starts(result.channels, stride, 4)
    counts = np.zeros((len(starts), 16), np.int64)
    counts[:, 0] = result.rows
    for i in range(4):
        counts[:, 1 << i] = result.channel[starts + i * stride]
        for j in range(i + 1, 4):
            gap = (j - i) * stride
            counts[:, 1 << i | 1 << j] = (result.pairs.get(gap, extra.get(gap)))[starts + i * stride]  # type: ignore[index]
    for subset, both in zip((0b0111, 0b1011, 0b1101, 0b1110, 0b1111), joint, strict=True):
        counts[:, subset] = both
    for i in range(4):
        for subset in range(16):
            if not subset >> i & 1:
                counts[:, subset] -= counts[:, subset | 1 << i]
    return counts


def _far(result: Tally, thin: Thinned) -> None:
    channels = result.channels
    assert thin.words is not None
    result.far_rows = thin.rows
    result.far_channel = result.channel.copy() if thin.whole else bits.count(thin.words)
    if (library := compiled.library()) is not None:
        result.far = library.joint(thin.words, range(1, channels))[0]
        return
    result.far = np.zeros(channels * (channels - 1) // 2, np.int64)
    size = channels * min(bits.SEGMENT, max(8, _CACHED // channels))
    joint = bits.Joint(size)
    for x in _blocks(thin.words):
        for stride in range(1, channels):
            result.far_of(stride)[...] += joint.count(joint.of(x[:-stride], x[stride:]))


def _strided_octets(words: bits.Words, stride: int, rows: int) -> Counts:
    """(groups, 256) patterns of channels c, c+s, ..., c+7s over disjoint groups; bit i of a pattern is channel c + i s."""
    starts = group_starts(len(words), stride, 8)
    if (library := compiled.library()) is not None:
        counts = library.octets(words, stride, starts)
    else:
        counts = np.zeros((len(starts), 256), np.int64)
        size = max(8, _CACHED // 8)
        for group, start in enumerate(starts):
            members = words[start : start + 8 * stride : stride]
            for i in range(0, words.shape[1], size):
                eight = np.ascontiguousarray(members[:, i : i + size]).view(np.uint8)  # (8, n): 8 rows a byte
                codes = bits.turn_8(np.ascontiguousarray(eight.T).view(np.uint64)[:, 0]).view(np.uint8)
                counts[group] += np.bincount(codes, minlength=256)
    counts[:, 0] = rows - counts[:, 1:].sum(axis=1)  # bits behind the last row look like rows that drop nothing
    return counts


def count_octets(result: Tally, packed: bits.Bytes, thin: Thinned) -> None:
    """Patterns of eight adjacent channels: the bytes as they are, on all rows of few channels, else on thinned rows."""
    full = result.channels // 8
    if not full or not thin.rows:
        return
    some = packed if thin.whole else packed[thin.chosen]
    if (library := compiled.library()) is not None:
        result.octets[1] = library.bytes(some, full)
    else:
        result.octets[1] = np.stack([np.bincount(some[:, i], minlength=256) for i in range(full)])
    result.octet_rows[1] = thin.rows


def _firsts(words: bits.Words, axis: int, lag: int) -> Iterator[tuple[bits.Words, bits.Words]]:
    """Disjoint pairs ``lag`` apart along an axis, as views: whole blocks of 2 lag, then what pairs of the rest."""
    length = words.shape[axis]
    whole = length // (2 * lag)
    before, behind = words.shape[:axis], words.shape[axis + 1 :]
    index: tuple[slice, ...] = (slice(None),) * axis
    if whole:
        blocks = words[(*index, slice(0, 2 * lag * whole))].reshape(*before, whole, 2, lag, *behind)
        pairs = np.moveaxis(blocks, axis + 1, 0)
        yield pairs[0], pairs[1]
    rest = length - 2 * lag * whole
    if rest > lag:
        base = 2 * lag * whole
        yield words[(*index, slice(base, base + rest - lag))], words[(*index, slice(base + lag, base + rest))]


def _both(one: bits.Words, two: bits.Words) -> Counts:
    """Joint drops of each channel: (channels, ...) words to (channels,)."""
    return bits.count((one & two).reshape(len(one), -1))


def count_rows(result: Tally, arranged: Arranged, rows_per_call: int) -> None:
    """Rows of one call that are a lag apart, over disjoint pairs."""
    words = arranged.words
    lags = [lag for lag in ROW_LAGS if 2 * lag <= rows_per_call]
    if arranged.short:
        found = _apart(words, 1, lags)
    else:
        found = _within(words, [lag for lag in lags if lag < bits.WORD])
        found += _apart(words, 2, [lag // bits.WORD for lag in lags if lag >= bits.WORD])
    result.row_both = dict(zip(lags, found, strict=True))


def _within(words: bits.Words, lags: list[int]) -> list[Counts]:
    """Joint drops of rows of one word, (channels,) for each lag."""
    masks = [bits.lag_mask(lag) for lag in lags]
    if (library := compiled.library()) is not None:
        return list(library.within(words, lags, masks)) if lags else []
    found = []
    for lag, mask in zip(lags, masks, strict=True):
        t = words >> np.uint64(lag)
        t &= words
        t &= mask
        found.append(bits.count(t.reshape(len(words), -1)))
    return found


def _apart(words: bits.Words, axis: int, lags: list[int]) -> list[Counts]:
    """Joint drops of disjoint pairs of words along an axis, (channels,) for each lag."""
    if (library := compiled.library()) is not None:
        return list(library.apart(words, axis, lags)) if lags else []
    none = np.zeros(len(words), np.int64)
    return [sum((_both(a, b) for a, b in _firsts(words, axis, lag)), none) for lag in lags]


def count_calls(result: Tally, arranged: Arranged, rows_per_call: int) -> None:
    """The same position in calls a lag apart, and neighbouring calls one row shifted against each other."""
    words, count = arranged.words, result.calls
    lags = [lag for lag in CALL_LAGS if count > lag]
    if arranged.short:
        for lag in lags:
            first = bits.lag_firsts(count, lag)
            pairs = np.full(result.channels, len(first) * rows_per_call, np.int64)
            sides = _shifted(words, lag, _word_mask(first, words.shape[2]))
            result.call_lags[lag] = Association(pairs, *sides)
    else:
        per_call = bits.count(words)
        for lag, both in zip(lags, _apart(words, 1, lags), strict=True):
            first = bits.lag_firsts(count, lag)
            pairs = np.full(result.channels, len(first) * rows_per_call, np.int64)
            one, two = per_call[:, first].sum(axis=1), per_call[:, first + lag].sum(axis=1)
            result.call_lags[lag] = Association(pairs, one, two, both)
    if rows_per_call < 2 or count < 2:
        return
    first = bits.lag_firsts(count, 1)
    pairs = np.full(result.channels, len(first) * (rows_per_call - 1), np.int64)
    if arranged.short:
        forwards, backwards = _neighbour_runs(words, _word_mask(first, words.shape[2]))
    else:
        forwards, backwards = _neighbour_calls(words, len(first), rows_per_call)
    result.call_shifts[1] = Association(pairs, *forwards)
    result.call_shifts[-1] = Association(pairs, *backwards)


def count_places(result: Tally, packed: bits.Bytes, rows_per_call: int) -> None:
    """Every place (row, channel) of a call by itself: in calls 2 k and 2 k + 1, and with the row 2 r + 1 behind its row 2 r.

    What is tied with both signs cancels in counts over places. ``call_places``: (rows x channels,) each; ``row_places``:
    (rows // 2, channels) joint drops, whose margins are in ``position``.
    """
    width = packed.shape[1]
    calls = packed.reshape(result.calls, rows_per_call, width)

    def sums(some: Any) -> Counts:
        found = bits.column_sums(np.ascontiguousarray(some).reshape(len(some), -1))
        return np.ascontiguousarray(found.reshape(some.shape[1], -1)[:, : result.channels])

    pairs = result.calls // 2
    if pairs:
        one, two = calls[: 2 * pairs : 2], calls[1 : 2 * pairs : 2]
        first, both = sums(one), sums(one & two)
        second = (result.position - first) if result.calls == 2 * pairs else sums(two)
        n = np.full(first.size, pairs, np.int64)
        result.call_places[1] = Association(n, first.ravel(), second.ravel(), both.ravel())
    half = rows_per_call // 2
    if half:
        result.row_places = sums(calls[:, : 2 * half : 2] & calls[:, 1 : 2 * half : 2])


_Sides = tuple[Counts, Counts, Counts]  # of pairs: first dropped, second dropped, both dropped, (channels,) each


def _columns(found: Counts) -> Iterator[Counts]:
    return (np.ascontiguousarray(column) for column in found.T)


def _shifted(words: bits.Words, lag: int, mask: bits.Words) -> _Sides:
    """Calls a lag apart where they are the bits of words."""
    if (library := compiled.library()) is not None:
        one, two, both = _columns(library.shifted(words, lag, mask))
        return one, two, both
    return _sides(words & mask, (words >> np.uint64(lag)) & mask)


def _neighbour_runs(words: bits.Words, mask: bits.Words) -> tuple[_Sides, _Sides]:
    """Row r of a call against row r + 1 of the next and the other way round, where calls are the bits of words."""
    if (library := compiled.library()) is not None:
        a, b, c, d, e, f = _columns(library.neighbour_runs(words, mask))
        return (a, b, c), (d, e, f)
    one, two = words & mask, (words >> np.uint64(1)) & mask
    return _sides(one[:, :-1], two[:, 1:]), _sides(one[:, 1:], two[:, :-1])


def _neighbour_calls(words: bits.Words, pairs: int, rows_per_call: int) -> tuple[_Sides, _Sides]:
    """The same where words hold the rows of a call."""
    if (library := compiled.library()) is not None:
        sums = list(_columns(library.neighbour_calls(words, pairs, rows_per_call)))
        totals, heads, ends, joint = sums[:2], sums[2:4], sums[4:6], sums[6:]
    else:
        one, two = words[:, : 2 * pairs : 2], words[:, 1 : 2 * pairs : 2]
        top, last = np.uint64(bits.WORD - 1), (rows_per_call - 1) // bits.WORD
        totals = [bits.count(x.reshape(len(words), -1)) for x in (one, two)]
        heads = [(x[:, :, 0] & np.uint64(1)).sum(axis=1).astype(np.int64) for x in (one, two)]
        place = np.uint64((rows_per_call - 1) % bits.WORD)
        ends = [((x[:, :, last] >> place) & np.uint64(1)).sum(axis=1).astype(np.int64) for x in (one, two)]
        joint = []
        for still, moved in ((one, two), (two, one)):
            up = moved >> np.uint64(1)
            up[:, :, :-1] |= moved[:, :, 1:] << top
            joint.append(_both(still, up))
    return (
        (totals[0] - ends[0], totals[1] - heads[1], joint[0]),
        (totals[0] - heads[0], totals[1] - ends[1], joint[1]),
    )


def _word_mask(places: Any, words: int) -> bits.Words:
    """Words with the bits at ``places`` set: (words,)."""
    flags = np.zeros(words * bits.WORD, np.uint8)
    flags[places] = 1
    return np.packbits(flags, bitorder="little").view(np.uint64)


def _sides(one: bits.Words, two: bits.Words) -> _Sides:
    a, b, both = (bits.count(x.reshape(len(x), -1)) for x in (one, two, one & two))
    return a, b, both


def count_value_places(result: Tally, packed: bits.Bytes, classes: bits.Bytes, rows_per_call: int, start: int) -> None:
    """How often coin and class differ at every place (row, channel) of a call, in even and in odd calls of the case by themselves.

    ``value_places``: (classes, 2, rows, channels), ``value_calls``: (2,) numbers of such calls.
    """
    calls = packed.reshape(result.calls, rows_per_call, -1)
    first = start // rows_per_call % 2  # the parity of the first call
    result.value_calls = np.array([len(calls[(first + half) % 2 :: 2]) for half in (0, 1)], np.int64)
    result.value_places = np.zeros((len(classes), 2, rows_per_call, result.channels), np.int64)
    for number, one in enumerate(classes):
        differ = calls ^ one.reshape(calls.shape)
        for half in (0, 1):
            some = np.ascontiguousarray(differ[(first + half) % 2 :: 2])
            if len(some):
                sums = bits.column_sums(some.reshape(len(some), -1)).reshape(rows_per_call, -1)
                result.value_places[number, half] = sums[:, : result.channels]


def count_against(result: Tally, arranged: Arranged, classes: Arranged) -> Association:
    """Coins against one class of inputs, channel by channel."""
    pairs = np.full(result.channels, result.rows, np.int64)
    return Association(pairs, *_sides(arranged.words, classes.words))


def count_seeds(result: Tally, packed: bits.Bytes, rows_per_seed: int, numbers: list[int]) -> None:
    """Two calls under each seed: shifted calls of neighbouring seeds, seeds one bit apart by their bit, and both place by place.

    ``numbers``: seeds in the order of ``gather.neighbouring_seeds`` (s, s + 1, s ^ bit, (s + 1) ^ bit). Pairs are disjoint:
    seeds 2k and 2k + 1 for the shifts, 4k + i and 4k + i + 2 for the bits.
    """
    channels, half = result.channels, rows_per_seed // 2
    if rows_per_seed % 2:
        raise ValueError(f"two calls under one seed have an even number of rows, not {rows_per_seed}")
    size = 4 * max(1, (1 << 20) // (4 * rows_per_seed * channels))
    for at in range(0, len(numbers), size):
        some = numbers[at : at + size]
        rows = packed[at * rows_per_seed : (at + len(some)) * rows_per_seed]
        coins = bits.unpack(rows, channels).reshape(-1, rows_per_seed, channels)
        two = len(coins) // 2 * 2
        even, odd = coins[:two:2], coins[1:two:2]
        shifts = {
            "call 2 of seed s and call 1 of seed s + 1": (even[:, half:], odd[:, :half]),
            "call 1 of seed s and call 2 of seed s + 1": (even[:, :half], odd[:, half:]),
        }
        for name, (a, b) in shifts.items():
            _add(result.seed_shifts, name, a, b)
        four = len(coins) // 4 * 4
        by_four = coins[:four].reshape(-1, 4, *coins.shape[1:])
        places = {
            "neighbouring seeds": (even, odd),
            "seeds one bit apart": (
                by_four[:, :2].reshape(-1, *coins.shape[1:]),
                by_four[:, 2:].reshape(-1, *coins.shape[1:]),
            ),
        }
        for name, (a, b) in places.items():
            if len(a):
                _add(result.seed_places, name, *(one.reshape(1, len(one), -1) for one in (a, b)))
        for i in range(0, len(some) - 3, 4):
            for j in (i, i + 1):
                bit = (some[j] ^ some[j + 2]).bit_length() - 1
                _add(result.seed_bits, bit, coins[j : j + 1], coins[j + 2 : j + 3])


def _add(tables: dict[Any, Association], name: Any, one: Any, two: Any) -> None:
    pairs = np.full(one.shape[-1], one.shape[0] * one.shape[1], np.int64)
    table = Association(pairs, *(x.sum(axis=(0, 1), dtype=np.int64) for x in (one, two, one & two)))
    tables[name] = tables[name] + table if name in tables else table


def _histogram(packed: bits.Bytes, channels: int) -> Counts:
    """Rows by their number of drops: (channels + 1,)."""
    if (library := compiled.library()) is not None:
        return library.histogram(packed, channels)
    if channels == 1:
        dropped = int(np.count_nonzero(packed))
        return np.array([len(packed) - dropped, dropped])
    words = packed.view(np.uint64) if packed.shape[1] % 8 == 0 and packed.flags.c_contiguous else packed
    ones = np.bitwise_count(words)
    per_row = ones[:, 0].astype(np.uint16)
    if ones.shape[1] <= 16:  # NumPy sums short rows one by one, short columns all at once
        for i in range(1, ones.shape[1]):
            per_row += ones[:, i]
    else:
        per_row = ones.sum(axis=1, dtype=np.uint16)
    return np.asarray(np.bincount(per_row, minlength=channels + 1), dtype=np.int64)


def tally(
    packed: bits.Bytes,
    channels: int,
    rows_per_call: int | None,
    classes: bits.Bytes | None = None,
    *,
    pairs: bool = True,
    start: int = 0,
    seeds: list[int] | None = None,
) -> Tally:
    """Count one chunk of coins.

    ``packed``: (rows, bytes), rows of successive whole calls in order. ``rows_per_call``: None where batches vary.
    ``classes``: (classes, rows, bytes), bits of the inputs whose influence is asked for. ``pairs``: False for rates alone.
    ``start``: rows of the case before this chunk. ``seeds``: where every "call" is two calls under one seed, the seeds.
    """
    result = Tally(channels)
    rows = result.rows = packed.shape[0]
    if rows_per_call:
        if rows % rows_per_call:
            raise ValueError(f"{rows} rows are no whole number of calls of {rows_per_call} rows")
        result.calls = rows // rows_per_call
    if not rows:
        return result
    result.histogram = _histogram(packed, channels)
    result.dropped = int(result.histogram @ np.arange(channels + 1))
    arranged = arrange(packed, channels, rows_per_call, start)
    count_margins(result, packed, arranged, rows_per_call)
    if not pairs:
        return result
    every = dense(packed, arranged, rows_per_call)
    thin = thinned(arranged, rows, rows_per_call, start, every)
    count_channels(result, every, thin)
    count_octets(result, packed, thin)
    if rows_per_call:
        count_rows(result, arranged, rows_per_call)
        count_calls(result, arranged, rows_per_call)
        if seeds is None and rows_per_call * channels <= PLACES:
            count_places(result, packed, rows_per_call)
        if seeds is not None:
            count_seeds(result, packed, rows_per_call, seeds)
    if classes is not None:
        result.values = [count_against(result, arranged, arrange(c, channels, rows_per_call, start)) for c in classes]
        if rows_per_call and rows_per_call * channels <= PLACES:
            count_value_places(result, packed, classes, rows_per_call, start)
    return result
