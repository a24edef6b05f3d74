"""Compiled counting gives NumPy's numbers: every field of a tally, every sample of words, at every edge."""

from __future__ import annotations

import shutil
import sysconfig
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropcheck.count import coins, compiled, counting
from dropcheck.count.counting import tally
from dropcheck.count.repeated_words import Sample

CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 17, 24, 25, 31, 33, 63, 64, 65, 72, 130, 161, 259, 513)
ROWS = (None, 1, 2, 3, 5, 63, 64, 65, 129, 300)


@pytest.fixture
def numpy_alone(monkeypatch: Any) -> Any:
    """A function that runs another one without the library."""

    def alone(function: Any, *arguments: Any, **named: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(compiled, "library", lambda: None)
            return function(*arguments, **named)

    return alone


def same(a: Any, b: Any, where: str = "") -> None:
    """Equal in value, type, shape and keys."""
    assert type(a) is type(b), (where, type(a), type(b))
    if is_dataclass(a):
        for item in fields(a):
            same(getattr(a, item.name), getattr(b, item.name), f"{where}.{item.name}")
    elif isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            same(a[key], b[key], f"{where}[{key}]")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{where}[{i}]")
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), (where, a.dtype, b.dtype, a.shape, b.shape)
        np.testing.assert_array_equal(a, b, where)
    else:
        assert a == b, where


def packed_coins(rows: int, channels: int, rate: float, seed: int) -> Any:
    random = np.random.default_rng(seed).random((rows, channels), dtype=np.float32)
    return np.packbits(random < rate, axis=1, bitorder="little")


@settings(max_examples=120, deadline=None)
@given(
    channels=st.sampled_from(CHANNELS),
    rows_per_call=st.sampled_from(ROWS),
    calls=st.integers(1, 200),
    start=st.sampled_from((0, 0, 64, 4096, 32768, 40000)),
    rate=st.sampled_from((0.0, 0.001, 0.3, 0.5, 0.999, 1.0)),
    classes=st.booleans(),
    seed=st.integers(0, 99),
)
def test_tallies_are_the_same(
    channels: int, rows_per_call: int | None, calls: int, start: int, rate: float, classes: bool, seed: int
) -> None:
    rows = calls * (rows_per_call or 1)
    if rows * channels > 2_000_000:
        rows = max(1, 2_000_000 // channels // (rows_per_call or 1)) * (rows_per_call or 1)
    packed = packed_coins(rows, channels, rate, seed)
    given_classes = np.stack([packed_coins(rows, channels, 0.5, seed + i) for i in (1, 2)]) if classes else None
    first = start * (rows_per_call or 1)
    found = tally(packed, channels, rows_per_call, given_classes, start=first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "library", lambda: None)
        same(found, tally(packed, channels, rows_per_call, given_classes, start=first))


def test_wide_layers_and_thinned_rows(numpy_alone: Any) -> None:
    """Above 160 channels all pairs, strided eights behind the rows that are counted in full, and none of a chunk."""
    for channels, per_call, calls, start in (
        (1025, 65, 200, 0),
        (513, 129, 300, 0),
        (1101, 3, 100, 0),
        (259, 1, 4000, 64 * 600),
        (200, 64, 64, 64 * 1025),
    ):
        packed = packed_coins(per_call * calls, channels, 0.3, channels)
        first = start * per_call
        same(
            tally(packed, channels, per_call, start=first), numpy_alone(tally, packed, channels, per_call, start=first)
        )


def test_words_turned_once_more_count_the_same_rows(numpy_alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for channels, per_call, calls, start in (
        (32, 65, 40, 0),
        (200, 70, 30, 0),
        (64, 127, 7, 0),
        (33, 65, 600, 64 * 65),
    ):
        packed = packed_coins(per_call * calls, channels, 0.3, channels)
        for count in (tally, lambda *a, **k: numpy_alone(tally, *a, **k)):
            monkeypatch.setattr(counting, "EMPTY", 1.0)
            found = count(packed, channels, per_call, start=start * per_call)
            monkeypatch.setattr(counting, "EMPTY", 1e9)
            same(found, count(packed, channels, per_call, start=start * per_call))


def test_seeds_and_no_coins(numpy_alone: Any) -> None:
    packed = packed_coins(18 * 64, 131, 0.5, 3)
    numbers = [n ^ bit for n in range(0, 128, 8) for bit in (0, 1, 4, 5)]
    same(tally(packed, 131, 18, seeds=numbers), numpy_alone(tally, packed, 131, 18, seeds=numbers))
    nothing = np.zeros((0, 9), np.uint8)
    same(tally(nothing, 65, 5), numpy_alone(tally, nothing, 65, 5))
    for rates_alone in (True, False):
        one = packed_coins(1, 65, 0.5, 1)
        same(tally(one, 65, 1, pairs=rates_alone), numpy_alone(tally, one, 65, 1, pairs=rates_alone))


@settings(max_examples=80, deadline=None)
@given(
    rows=st.sampled_from((0, 1, 7, 8, 63, 64, 65, 127, 128, 300, 4099)),
    channels=st.sampled_from(CHANNELS),
    gaps=st.booleans(),
)
def test_coins_are_turned_and_summed_the_same(rows: int, channels: int, gaps: bool) -> None:
    packed = packed_coins(rows, channels, 0.4, rows + channels)
    if gaps:
        wide = np.zeros((rows, 2 * packed.shape[1]), np.uint8)
        wide[:, ::2] = packed
        packed = wide[:, ::2]
    found = (
        coins.by_channel(packed, channels),
        coins.column_sums(packed),
        coins.count(coins.by_channel(packed, channels)),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "library", lambda: None)
        turned = coins.by_channel(packed, channels)
        same(found, (turned, coins.column_sums(packed), coins.count(turned)))


@settings(max_examples=60, deadline=None)
@given(
    channels=st.sampled_from((1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 57, 64, 65, 131)),
    rows_per_word=st.sampled_from((1, 2, 3, 6, 8, 16, 32, 98)),
    most=st.sampled_from((16, 300, 1 << 16)),
    seed=st.integers(0, 99),
)
def test_samples_of_words_are_the_same(channels: int, rows_per_word: int, most: int, seed: int) -> None:
    """Whatever the chunks, with repeats planted."""
    rng = np.random.default_rng(seed)
    packed = packed_coins(6000, channels, 0.5, seed)
    packed[4000:4200] = packed[100:300]
    cuts = sorted(rng.integers(rows_per_word, 6000, 3).tolist())

    def sampled() -> Any:
        sample = Sample(channels, rows_per_word, most)
        for part in np.split(packed, cuts):
            if len(part):
                sample.add(part)
        return sample.kept(), sample.repeated()

    found = sampled()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "library", lambda: None)
        same(found, sampled())


def test_sizes_that_do_not_fit_are_refused() -> None:
    """An error in Python, never a read behind an array."""
    library = compiled.library()
    if library is None:
        pytest.skip("no library: see the test of its presence")
    words = np.zeros((9, 4), np.uint64)
    packed = np.zeros((10, 2), np.uint8)
    bad = [
        lambda: library.by_channel(packed, 17),
        lambda: library.octets(words, 2, np.array([0])),
        lambda: library.joint(words, [9]),
        lambda: library.joint(words, [2, 1]),
        lambda: library.joint(words, [1], [5]),
        lambda: library.joint(words[:, ::2], [1]),
        lambda: library.within(words, [64], [np.uint64(1)]),
        lambda: library.apart(words, 1, [0]),
        lambda: library.shifted(words[:, None], 1, np.zeros(3, np.uint64)),
        lambda: library.neighbour_runs(words[:, None], np.zeros(5, np.uint64)),
        lambda: library.neighbour_calls(words[:, None], 1, 200),
        lambda: library.chosen(packed, 16, 11, 1, 2, (1, 3), 9),
        lambda: library.chosen(packed[:, :1].copy(), 1, 10, 4, 2, (1, 3), 9),
        lambda: library.hashes(packed, 3, np.array([8]), [0] * 7),
    ]
    for wrong in bad:
        with pytest.raises(ValueError, match=r"\w"):
            wrong()


def test_the_library_is_there_where_a_compiler_was() -> None:
    """Else the tests above would hold NumPy against itself."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip(f"no C compiler ({compiler}): NumPy does all the work")
    assert compiled.library() is not None, "install again: pip install -e ."
