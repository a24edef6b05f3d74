"""Exact questions to a layer: one call, its output as float64, and the coins that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.adapter import Unsupported
from dropcheck.contract.blocks import elsewhere
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks.base import Bench
from dropcheck.worker.client import Refused, ask
from dropcheck.worker.server import rounding
from dropcheck.worker.server.probe import clear_pool

Values = NDArray[np.float64]
# Elements of an input whose bounds are kept for the next question: of many small ones, and of a few that are asked in turn.
_SMALL, _MOST_REMEMBERED = 8192, 1 << 17
OUTPUT_SHAPE = "gives an output of shape"  # by this part of a sentence ``judge.following`` knows a wrong shape
Step = tuple[tuple[int, ...], bool, bool, str]  # shape, training, recording, way of switching


@dataclass(frozen=True)
class Answer:
    """One call: raw arrays, values, and what happened to the input."""

    raw: list[Any]
    dtype: str
    shape: tuple[int, ...]
    input_changed: bool
    earlier_changed: bool
    same_object: bool

    def values(self, index: int = 0) -> Values:
        """Output of call ``index`` as float64."""
        return np.asarray(rounding.to_float64(self.raw[index], self.dtype))


class Layer:
    """One layer of the target, made for one rate and dtype (without one: the first that is asked about), that can be asked."""

    def __init__(
        self, bench: Bench, rate: float, dtype: str = "", seed: int | None = None, way: str = "", control: bool = False
    ) -> None:
        """``control``: the framework's own plain layer instead. Raises Refused (unsupported) where there is none."""
        self.bench, self.rate, self.dtype = bench, rate, dtype or bench.first
        self.way = way or (bench.contract.seeds[0] if bench.contract.seeds else "global")
        self.id = int(
            ask(
                bench.session,
                "make",
                rate=rate,
                dtype=self.dtype,
                seed=bench.seed if seed is None else seed,
                way=self.way,
                **({"control": True} if control else {}),
            )["id"]
        )

    def call(
        self,
        x: Values,
        *,
        training: bool = True,
        record: bool = False,
        layout: str = "contiguous",
        times: int = 1,
        then: bool = False,
    ) -> Answer:
        """Call the layer ``times`` times on one input; ``then`` once more in inference, before results are looked at again."""
        got = ask(
            self.bench.session,
            "apply",
            id=self.id,
            x=x,
            dtype=self.dtype,
            layout=layout,
            training=training,
            record=record,
            times=times,
            **({"then": True} if then else {}),
        )
        return Answer(
            got["ys"],
            got["dtype"],
            tuple(got["shape"]),
            got["input_changed"],
            got["earlier_changed"],
            got["same_object"],
        )

    def alternate(
        self,
        values: Values,
        steps: Sequence[Step],
        *,
        layout: str = "contiguous",
        bounds: tuple[Values, Values] | None = None,
        gone: tuple[float, float] = (0.0, 0.0),
        outputs: bool = False,
        compared: bool = False,
        masks: bool = False,
    ) -> list[dict[str, Any]]:
        """Training and inference calls in turn: what each output is beside its input; see worker/server/alternating.py."""
        got = ask(
            self.bench.session,
            "alternate",
            id=self.id,
            values=values,
            steps=[list(step) for step in steps],
            dtype=self.dtype,
            layout=layout,
            bounds=bounds,
            gone=gone,
            outputs=outputs,
            compared=compared,
            masks=masks,
        )
        answers: list[dict[str, Any]] = got["answers"]
        return answers

    def gradient(self, x: Values, cotangent: Values, training: bool = True) -> tuple[Values, Values | None, str | None]:
        """Output and gradient of sum(output * cotangent), as float64, and the gradient's dtype."""
        more = {} if training else {"training": False}
        got = ask(self.bench.session, "gradient", id=self.id, x=x, dtype=self.dtype, cotangent=cotangent, **more)
        y = rounding.to_float64(got["y"], got["dtype"])
        if got["gradient"] is None:
            return y, None, None
        return y, rounding.to_float64(got["gradient"], got["gradient_dtype"]), got["gradient_dtype"]

    def reseed(self, seed: int) -> None:
        """Reseed by the layer's way."""
        self.id = int(ask(self.bench.session, "reseed", id=self.id, seed=seed, way=self.way)["id"])


def enough(pattern: Pattern, rows: int, channels: int, shared: int) -> tuple[int, int, int]:
    """These sizes for a pattern that lacks rows or channels: as many coins, spread over the axes that it has."""
    if pattern.channel_axis is None:
        return rows * channels, 1, shared
    return (rows, channels, shared) if pattern.row_axes else (1, rows * channels, shared)


def familiar(bench: Bench, sizes: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    """These sizes; where every new shape is compiled, ``other`` ones, which another question asks as well."""
    return other if bench.info.get("heavy") else sizes


def coins_of(pattern: Pattern, shape: Sequence[int]) -> int:
    """Coins that one call on an input of this shape flips; where they depend on each other as many as it is worth at least."""
    rows, channels = pattern.matrix_shape(shape)
    if pattern.exact or pattern.stretch:
        return rows  # each of which drops with the rate at least, wherever a channel can drop at all
    return elsewhere(pattern, rows * channels) if pattern.blocks else rows * channels


def probe(pattern: Pattern, dtype: str, rows: int, channels: int, shared: int, seed: int = 5) -> Values:
    """Distinct values of both signs in the input shape with these sizes."""
    return _arranged(pattern, rounding.pool(dtype, 509, seed), rows, channels, shared)


def telling(
    bench: Bench,
    rate: float,
    dtype: str,
    rows: int,
    channels: int,
    shared: int,
    seed: int = 5,
    pattern: Pattern | None = None,
) -> Values:
    """A ``probe`` whose values, kept at ``rate``, cannot be taken for the dropped value. Raises Refused (unsupported)."""
    try:
        values = clear_pool(dtype, 509, seed, rate, bench.contract)
    except Unsupported as reason:
        raise Refused("unsupported", "Unsupported", str(reason), []) from reason
    return _arranged(pattern or bench.contract.pattern, values, rows, channels, shared)


def _arranged(pattern: Pattern, values: Values, rows: int, channels: int, shared: int) -> Values:
    shape = pattern.shape(rows, channels, shared)
    size = int(np.prod(shape))
    # a prime number of values, so that none aligns with channels, rows or vector lanes
    return np.asarray(values[np.arange(size) % 509].reshape(shape))


def by_coin(
    pattern: Pattern,
    values: Any,
) -> Any:
    """Reorder an input-shaped array to (coin axes ..., shared): coins, elements of a coin."""
    order = tuple(pattern.axes.index(a) for a in pattern.coins + pattern.shared)
    moved = np.asarray(values).transpose(order)
    coins = int(np.prod([values.shape[pattern.axes.index(a)] for a in pattern.coins], dtype=np.int64))
    return moved.reshape(coins, -1)


def dropped(values: Any, bench: Bench, rate: float, dtype: str) -> NDArray[np.bool_]:
    """Which elements hold the dropped value of the target at ``rate``."""
    return np.asarray(rounding.is_dropped(values, rounding.dropped_bounds(rate, bench.contract.dropped, dtype)))


def kept_bounds(
    contract: Contract, x: Any, rate: float, dtype: str, gradient: bool = False, of: Any = None
) -> tuple[Values, Values]:
    """Least and greatest right value of each element of ``x`` if it is kept, in its shape; see ``rounding.bounds``.

    ``gradient``: of a gradient whose cotangent is ``x``, which an offset does not reach. ``of``: the output of the call, from
    which a realised scale is read.
    """
    if contract.scale == "realised":
        size = int(np.size(x if of is None else of))
        return rounding.realised_bounds(x, size, size if of is None else int(np.count_nonzero(of)), dtype)
    x, offset = np.asarray(x), 0.0 if gradient else contract.offset
    if x.size > _MOST_REMEMBERED:
        return _distinct_bounds(x, rate, contract.scale, dtype, offset)
    remembered = _bounds_of_small if x.size <= _SMALL else _bounds_of_large
    return remembered(x.tobytes(), x.dtype.str, x.shape, rate, contract.scale, dtype, offset)


def _unwritable_bounds(
    x: bytes, kind: str, shape: tuple[int, ...], rate: float, scale: str | float, dtype: str, offset: str | float
) -> tuple[Values, Values]:
    found = _distinct_bounds(np.frombuffer(x, kind).reshape(shape), rate, scale, dtype, offset)
    for bound in found:
        bound.flags.writeable = False  # it is handed out again
    return found


# the same few inputs are asked again and again
_bounds_of_small = lru_cache(maxsize=256)(_unwritable_bounds)
_bounds_of_large = lru_cache(maxsize=4)(_unwritable_bounds)  # up to 3 MB each


def _distinct_bounds(x: Any, rate: float, scale: str | float, dtype: str, offset: str | float) -> tuple[Values, Values]:
    unique, index = np.unique(x, return_inverse=True)
    low, high = rounding.bounds(unique, rate, scale, dtype, offset)
    return low[index].reshape(x.shape), high[index].reshape(x.shape)


def ladder(bench: Bench, wanted: tuple[float, ...]) -> tuple[float, ...]:
    """The wanted rates, or the only ones that the layer can be asked for."""
    return bench.contract.rates or wanted
