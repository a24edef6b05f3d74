"""What a dropout layer promises: which elements share a coin, how often it drops, and how it scales."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Tuple, Union

# The worker imports this module under whatever interpreter runs the framework: NumPy and the standard library only,
# and nothing newer than Python 3.9 at run time.

# the fixed point of SELU for mean 0 and variance 1, to 32 digits (Klambauer et al., arXiv:1706.02515)
SELU_ALPHA = "1.6732632423543772848170429916717"
SELU_SCALE = "1.0507009873554804934193349852946"
_ALPHA = -float(SELU_ALPHA) * float(SELU_SCALE)

_AXIS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ARROW = "->"
_RATE, _ANY = "rate", "*"  # in the place of a number of channels, and of the length of a block
_SHARES, _STRETCHES = 20, 40  # sizes of axes where the pattern gives none: shares of them are whole numbers
_ONE = "1"  # in the place of coin axes: one coin a call


class ContractError(ValueError):
    """A pattern or a contract that cannot be understood; the message points at the place."""


def _point(text: str, start: int, length: int, problem: str) -> ContractError:
    """An error that quotes the pattern and underlines the offending axis."""
    return ContractError(f"{problem}\n    {text}\n    {' ' * start}{'^' * max(1, length)}")


@dataclass(frozen=True)
class Pattern:
    """Input axes and the axes that index the coins, as in ``n c l -> n c``.

    The last coin axis is the *channel*; the coin axes before it together index the *rows*. A single coin axis that is
    the first input axis indexes rows of one channel (drop path, ``n c l -> n``). ``n c l -> 1`` has one coin a call: one row of
    one channel. ``sizes``: axes that have one size only, as in ``n c=3 l -> n c``. ``blocks``: coin axes along which blocks of
    this length are dropped whole and may overlap, as in ``n c h w -> n c h/3 w/3`` (DropBlock; see blocks.py). ``exact``: the
    channels of which a row loses exactly so many, as in ``n c h w -> n c=2``, or the share of the rate (0 here), as in
    ``n c -> n c=rate``. ``stretch``: the channels of which a row loses one stretch of random length, as in ``n f t -> n f/*``
    (see row_laws.py).
    """

    axes: Tuple[str, ...]
    coins: Tuple[str, ...]
    sizes: Tuple[Tuple[str, int], ...] = field(default=(), compare=False)  # what inputs may be, not what shares a coin
    blocks: Tuple[Tuple[str, int], ...] = ()
    exact: Tuple[Tuple[str, int], ...] = ()
    stretch: str = ""

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read ``"n c l -> n c"``. Raises ContractError with the offending axis underlined."""
        if not isinstance(text, str):
            raise ContractError(f"a pattern is a text such as 'n c l -> n c', not {type(text).__name__}")
        if text.count(_ARROW) != 1:
            raise ContractError(
                f"the pattern {text!r} needs one arrow between the input axes and the axes of the mask, as in 'n c l -> n c'"
            )
        cut = text.index(_ARROW)
        words = [(m.group(), m.start()) for m in re.finditer(r"\S+", text)]
        left = [(w, s) for w, s in words if s < cut]
        right = [(w, s) for w, s in words if s >= cut + len(_ARROW)]
        arrow_stuck = [(w, s) for w, s in words if _ARROW in w and w != _ARROW]
        if arrow_stuck:
            word, start = arrow_stuck[0]
            raise _point(text, start, len(word), "put spaces around the arrow '->'")
        fixed: Dict[str, int] = {}
        for place, (word, start) in enumerate(left):
            name, equals, size = word.partition("=")
            if equals and not (size.isdigit() and int(size) > 0):
                raise _point(
                    text, start, len(word), f"{word!r}: a fixed size is a whole number of at least 1, as in 'c=3'"
                )
            if equals:
                left[place], fixed[name] = (name, start), int(size)
        blocks: Dict[str, int] = {}
        exact: Dict[str, int] = {}
        stretch = ""
        for place, (word, start) in enumerate(right):
            name, equals, number = word.partition("=")
            if equals:
                if number != _RATE and not (number.isdigit() and int(number) > 0):
                    problem = f"{word!r}: a row loses a whole number of at least 1, as in 'c=2', or the share 'c=rate'"
                    raise _point(text, start, len(word), problem)
                right[place], exact[name] = (name, start), 0 if number == _RATE else int(number)
                continue
            name, slash, size = word.partition("/")
            if slash and size == _ANY:
                right[place], stretch = (name, start), name
                continue
            if slash and not (size.isdigit() and int(size) > 0):
                problem = f"{word!r}: a block is a whole number of at least 1 long, as in 'h/3', or of any length, as in 'h/*'"
                raise _point(text, start, len(word), problem)
            if slash:
                right[place] = (name, start)
                if int(size) > 1:  # blocks of one are coins
                    blocks[name] = int(size)
        if [w for w, _ in right] == [_ONE]:
            right = []  # one coin a call
        elif not right:
            raise _point(text, cut, 2, "no axes stand after the arrow: write '-> 1' for one drop decision per call")
        for word, start in left + right:
            if not _AXIS.match(word):
                raise _point(text, start, len(word), f"{word!r} is no axis name: letters, digits and _ only")
        if not left:
            raise _point(text, cut, 2, "no input axes stand before the arrow")
        names = [w for w, _ in left]
        for side in (left, right):
            seen: set[str] = set()
            for word, start in side:
                if word in seen:
                    raise _point(text, start, len(word), f"axis {word!r} stands twice on one side of the arrow")
                seen.add(word)
        for word, start in right:
            if word not in names:
                near = difflib.get_close_matches(word, names, 1, 0.0)
                hint = f"; the input axes are {' '.join(names)}" + (f", the nearest is {near[0]!r}" if near else "")
                raise _point(text, start, len(word), f"the axis {word!r} is not an input axis{hint}")
        coin_names = [w for w, _ in right]
        ordered = [w for w in names if w in coin_names]
        if ordered != coin_names:
            word, start = next((w, s) for (w, s), o in zip(right, ordered) if w != o)
            raise _point(
                text,
                start,
                len(word),
                f"the axes of the mask keep the order of the input axes: write '-> {' '.join(ordered)}'",
            )
        _one_law(text, coin_names, blocks, exact, stretch)
        room = {**{a: 4 * k or _SHARES for a, k in exact.items()}, **({stretch: _STRETCHES} if stretch else {})}
        sizes = _with_room({**room, **fixed}, blocks, names)
        few = next((a for a, k in exact.items() if dict(sizes)[a] <= k), None)
        if few is not None:
            raise ContractError(
                f"axis {few!r} has size {dict(sizes)[few]}: a row cannot lose {exact[few]} and keep one"
            )
        return cls(tuple(names), tuple(coin_names), sizes, tuple(blocks.items()), tuple(exact.items()), stretch)

    @classmethod
    def from_noise_shape(
        cls,
        noise_shape: Sequence[Optional[int]],
        shape: Optional[Sequence[int]] = None,
        axes: Optional[Sequence[str]] = None,
    ) -> Pattern:
        """The pattern of a Keras or TensorFlow noise shape: 1 marks a shared axis, None or a size one with coins.

        With ``shape`` given, every entry must be 1, None or the size of its axis.
        """
        names = tuple(axes) if axes is not None else _default_axes(len(noise_shape))
        if len(names) != len(noise_shape):
            raise ContractError(
                f"noise shape {tuple(noise_shape)} has {len(noise_shape)} entries, the axes {len(names)}"
            )
        if shape is not None:
            if len(shape) != len(noise_shape):
                raise ContractError(
                    f"noise shape {tuple(noise_shape)} has {len(noise_shape)} entries, the input shape {tuple(shape)} "
                    f"has {len(shape)}: every input axis needs one"
                )
            for name, entry, size in zip(names, noise_shape, shape):
                if entry not in (None, 1, size):
                    raise ContractError(
                        f"noise shape {tuple(noise_shape)}: axis {name!r} has size {size}, so its entry is {size}, "
                        f"None or 1, not {entry}"
                    )
        return cls(names, tuple(name for name, entry in zip(names, noise_shape) if entry != 1))

    def noise_shape(self, shape: Sequence[int]) -> Tuple[int, ...]:
        """The Keras noise shape for an input of ``shape``: the size of each coin axis, 1 elsewhere."""
        self.check_shape(shape)
        return tuple(size if axis in self.coins else 1 for axis, size in zip(self.axes, shape))

    def check_shape(self, shape: Sequence[int]) -> None:
        """Raise ContractError unless ``shape`` has one size for each axis."""
        if len(shape) != len(self.axes):
            raise ContractError(
                f"shape {tuple(shape)} has {len(shape)} axes, the pattern '{self}' has {len(self.axes)}"
            )
        for axis, size in self.sizes:
            if shape[self.axes.index(axis)] not in (size, 0):
                raise ContractError(
                    f"shape {tuple(shape)} has {shape[self.axes.index(axis)]} along {axis!r}, the pattern '{self}' has {size} there"
                )

    @property
    def apart(self) -> bool:
        """Whether coins of a row depend on each other as declared: overlapping blocks, an exact number, or one stretch."""
        return bool(self.blocks or self.exact or self.stretch)

    @property
    def shared(self) -> Tuple[str, ...]:
        """Axes along which all elements share one coin."""
        return tuple(a for a in self.axes if a not in self.coins)

    @property
    def row_axes(self) -> Tuple[str, ...]:
        """Coin axes that together index the rows of the coin matrix."""
        if len(self.coins) == 1:
            return self.coins if self.coins[0] == self.axes[0] else ()
        return self.coins[:-1]

    @property
    def channel_axis(self) -> Optional[str]:
        """The coin axis that indexes channels; None for one channel (drop path)."""
        if not self.coins or (len(self.coins) == 1 and self.coins[0] == self.axes[0]):
            return None
        return self.coins[-1]

    def matrix_shape(self, shape: Sequence[int]) -> Tuple[int, int]:
        """(rows, channels) of the coin matrix of one call on an input of ``shape``."""
        self.check_shape(shape)
        sizes = dict(zip(self.axes, shape))
        rows = math.prod(sizes[a] for a in self.row_axes)
        channels = sizes[self.channel_axis] if self.channel_axis is not None else 1
        return rows, channels

    def shared_size(self, shape: Sequence[int]) -> int:
        """Elements that share one coin, for an input of ``shape``."""
        sizes = dict(zip(self.axes, shape))
        return math.prod(sizes[a] for a in self.shared)

    def shape(self, rows: int, channels: int, shared: int) -> Tuple[int, ...]:
        """An input shape with these sizes; several row axes, or several shared axes, split theirs as evenly as it goes.

        Axes of a fixed size have that one, whatever is asked for.
        """
        fixed = dict(self.sizes)
        sizes = dict.fromkeys(self.axes, 1)
        if self.channel_axis is not None:
            sizes[self.channel_axis] = channels
        for axes, total in ((self.row_axes, rows), (self.shared, shared)):
            free = [a for a in axes if a not in fixed]
            left = total // math.prod(fixed.get(a, 1) for a in axes)
            for axis, part in zip(free, _split(max(left, min(1, total)), len(free))):
                sizes[axis] = part
        return tuple({**sizes, **fixed}[a] for a in self.axes)

    def _law(self, axis: str) -> str:
        """What stands behind the name of an axis of the mask."""
        if axis in dict(self.exact):
            return f"={dict(self.exact)[axis] or _RATE}"
        if axis == self.stretch:
            return f"/{_ANY}"
        return f"/{dict(self.blocks)[axis]}" if axis in dict(self.blocks) else ""

    def __str__(self) -> str:
        fixed = dict(self.sizes)
        left = " ".join(f"{a}={fixed[a]}" if a in fixed else a for a in self.axes)
        right = " ".join(a + self._law(a) for a in self.coins)
        return f"{left} {_ARROW} {right or _ONE}"


def _one_law(text: str, coins: Sequence[str], blocks: Any, exact: Mapping[str, int], stretch: str) -> None:
    """An exact number and a stretch are of channels, the last axis of the mask, and nothing else is declared beside them."""
    axis = stretch or next(iter(exact), "")
    if not axis:
        return
    if len(exact) + bool(stretch) > 1 or blocks:
        raise ContractError(f"the pattern {text!r} has two laws on its right: blocks, an exact number, or one stretch")
    if axis != coins[-1]:
        raise ContractError(
            f"the pattern {text!r}: {axis!r} is not the last axis of the mask, {coins[-1]!r}, which it must be"
        )


def _with_room(fixed: Mapping[str, int], blocks: Mapping[str, int], axes: Sequence[str]) -> Tuple[Tuple[str, int], ...]:
    """The fixed sizes, with one for each axis of blocks: its law depends on its size, three blocks have to fit apart."""
    for axis, size in blocks.items():
        if axis in fixed and fixed[axis] < 2 * size - 1:
            raise ContractError(
                f"axis {axis!r} has size {fixed[axis]}: blocks of {size} need {2 * size - 1} at least, so that one position "
                "has all of its blocks within"
            )
    room = {axis: 4 * size - 1 for axis, size in blocks.items()}
    return tuple({a: fixed.get(a, room.get(a, 0)) for a in axes if a in fixed or a in room}.items())


def _default_axes(rank: int) -> Tuple[str, ...]:
    """Channels-last names, the layout in which noise shapes are usually written."""
    if rank == 1:
        return ("n",)
    if rank == 2:
        return ("n", "c")
    middle = {3: ("l",), 4: ("h", "w"), 5: ("d", "h", "w")}.get(rank, tuple(f"a{i}" for i in range(1, rank - 1)))
    return ("n", *middle, "c")


def _split(total: int, parts: int) -> Tuple[int, ...]:
    """``parts`` factors of ``total``, as equal as its divisors allow."""
    factors = []
    for left in range(parts, 1, -1):
        near = round(total ** (1 / left)) if total > 0 else 0
        step = next((d for d in range(max(near, 1), 0, -1) if total % d == 0), 1)
        factors.append(step)
        total //= step
    return (*factors, total) if parts else ()


def _mapping() -> Dict[str, float]:
    return {}


def _no_sizes() -> Dict[str, int]:
    return {}


@dataclass(frozen=True)
class Contract:
    """One layer's promise. Everything that the suite checks is a consequence of these lines.

    ``scale``      ``"inverted"`` (kept values are x / (1 - rate)), ``"none"``, ``"realised"`` (x times the elements of the call
                   over those that it keeps), or a number.
    ``offset``     what is added to kept values after scaling: 0, or a number.
    ``dropped``    the value of a dropped element: 0, or a constant.
                   Each of these three is also ``"alpha"``: the a, b and a * alpha' + b of self-normalizing networks, which
                   are functions of the rate (see worker/server/affine.py); ``Contract.alpha(pattern)`` has all three.
    ``grid``       the layer declares that its rates are rounded to multiples of this; tolerated deviation grid / 2.
    ``seeds``      how a seed reaches the layer (``global``, ``constructor``, ``generator``, ``key``); empty: it promises
                   no reproducibility and the seed checks do not apply.
    ``gradient``   the layer can be differentiated (only asked where the framework can).
    ``ranks``      patterns of other ranks that the layer declares as well.
    ``rates``      the only rates that can be asked (a layer instance has one); None: any.
    ``promises``   traits that this layer declares and is therefore judged on: ``nonfinite`` (dropped Inf and NaN become 0),
                   ``fresh-output`` (inference and rate 0 return a new array, not the input).
    ``sizes``      axis -> the only size that it has, as the pattern ``n c=3 l -> n c`` says it, too.
    ``tolerances`` check name -> largest acceptable deviation, in the unit of that check, granted by the owner.
    ``inference``  what inference returns: ``"identity"`` (the input), ``"keep"`` (the input times 1 - rate, the older
                   convention, beside scale ``"none"``), or ``"active"`` (it drops as training does: Monte Carlo dropout).
    ``block``      length of blocks that overlap (DropBlock), for each coin axis that is neither batch nor channel, or by axis;
                   the pattern ``n c h w -> n c h/3 w/3`` says it, too. ``scale`` is then usually ``"realised"``.
    ``gamma``      how the rate becomes that of the seeds of blocks: ``"paper"`` (arXiv:1810.12890, with the sizes of the
                   axes) or ``"area"`` (the rate over the elements of a block).
    ``stretch``    how length and place of one stretch, as in ``n f t -> n f/*``, are drawn; the rate is the largest share of it:
                   ``"whole"`` (lengths 0 to the largest, every place where it fits), ``"paper"`` (without the last place, as
                   arXiv:1904.08779 has it) or ``"real"`` (both are uniform real numbers, rounded down).
    ``replicas``   what mode ranks runs are replicas of one layer (tensor parallel): every rank has the whole batch, and ranks
                   that are seeded alike must drop the same. Else ranks are shards of a batch, with masks of their own.
    """

    pattern: Pattern
    scale: Union[str, float] = "inverted"
    dropped: Union[str, float] = 0.0
    grid: Optional[float] = None
    seeds: Tuple[str, ...] = ("global",)
    gradient: bool = True
    ranks: Tuple[Pattern, ...] = ()
    rates: Optional[Tuple[float, ...]] = None
    promises: Tuple[str, ...] = ()
    tolerances: Mapping[str, float] = field(default_factory=_mapping)
    offset: Union[str, float] = 0.0
    inference: str = "identity"
    sizes: Mapping[str, int] = field(default_factory=_no_sizes, compare=False)
    block: Union[int, Mapping[str, int]] = field(default=1, compare=False)
    gamma: str = "paper"
    replicas: bool = False
    stretch: str = "whole"

    def __post_init__(self) -> None:
        self._place_blocks()
        if self.sizes:
            unknown = [axis for axis in self.sizes if axis not in self.pattern.axes]
            if unknown:
                raise ContractError(f"sizes: {unknown[0]!r} is no axis of the pattern '{self.pattern}'")
            words = [f"{a}={self.sizes[a]}" if a in self.sizes else a for a in self.pattern.axes]
            whole = Pattern.parse(f"{' '.join(words)} {_ARROW} {str(self.pattern).partition(_ARROW)[2]}")
            object.__setattr__(self, "pattern", whole)
            object.__setattr__(self, "sizes", {})  # they stand in the pattern
        _word_or_number("scale", self.scale, ("inverted", "none", "alpha", "realised"))
        if self.scale == "realised" and (self.dropped != 0 or self.offset != 0):
            raise ContractError("scale 'realised' counts what is kept: dropped and offset are 0 beside it")
        _word_or_number("dropped", self.dropped, ("alpha",))
        _word_or_number("offset", self.offset, ("alpha",))
        if self.grid is not None and not 0 < self.grid <= 0.5:
            raise ContractError(f"grid is the step of the rates that can be kept, in (0, 0.5], not {self.grid}")
        for rate in self.rates or ():
            check_rate(rate)
        if self.inference not in INFERENCE:
            near = difflib.get_close_matches(str(self.inference), INFERENCE, 1, 0.0)
            raise ContractError(
                f"inference is {', '.join(map(repr, INFERENCE[:-1]))} or {INFERENCE[-1]!r}, not {self.inference!r}; the "
                f"nearest is {near[0]!r}"
            )
        if not isinstance(self.replicas, bool):
            raise ContractError(f"replicas is True or False, not {self.replicas!r}")
        known = ("global", "constructor", "generator", "key")
        for way in self.seeds:
            if way not in known:
                raise ContractError(f"a seed reaches a layer by one of {', '.join(known)}, not {way!r}")
        for promise in self.promises:
            if promise not in PROMISES:
                raise ContractError(f"promises takes {', '.join(PROMISES)}, not {promise!r}")
        for name, value in self.tolerances.items():
            if not (isinstance(value, (int, float)) and 0 <= value < math.inf):
                raise ContractError(f"the tolerance of {name} is a finite number of at least 0, not {value!r}")

    def _place_blocks(self) -> None:
        """Write ``block`` into the pattern."""
        _one_of("gamma", self.gamma, ("paper", "area"))
        _one_of("stretch", self.stretch, ("whole", "paper", "real"))
        if self.block == 1:
            return
        coins = self.pattern.coins
        if isinstance(self.block, int):
            places = [a for i, a in enumerate(self.pattern.axes) if i and a in coins and a not in _CHANNELS]
            blocks: Mapping[str, int] = dict.fromkeys(places, self.block)
        else:
            blocks = self.block
        if not blocks or any(axis not in coins for axis in blocks):
            odd = next((axis for axis in blocks if axis not in coins), None)
            what = f"{odd!r} is none of them" if odd is not None else "it has none beside those of batch and channels"
            raise ContractError(
                f"block: blocks lie along the axes of the mask in the pattern '{self.pattern}', and {what}"
            )
        if any(not isinstance(k, int) or isinstance(k, bool) or k < 1 for k in blocks.values()):
            raise ContractError(f"block: a length is a whole number of at least 1, not {self.block!r}")
        if self.pattern.exact or self.pattern.stretch:
            raise ContractError(
                f"block: the pattern '{self.pattern}' has another law beside blocks: leave one of them out"
            )
        right = " ".join(f"{a}/{blocks[a]}" if a in blocks else a for a in coins)
        whole = Pattern.parse(f"{str(self.pattern).partition(_ARROW)[0]}{_ARROW} {right}")
        object.__setattr__(self, "pattern", whole)
        object.__setattr__(self, "block", 1)  # they stand in the pattern

    @classmethod
    def alpha(cls, pattern: Union[Pattern, str], **more: Any) -> Contract:
        """Alpha dropout of self-normalizing networks: kept values a x + b, dropped ones a alpha' + b."""
        parsed = Pattern.parse(pattern) if isinstance(pattern, str) else pattern
        return cls(pattern=parsed, scale="alpha", offset="alpha", dropped="alpha", **more)

    def scale_at(self, rate: float) -> float:
        """The factor of kept values at ``rate``, as a float, for messages; checks compute it exactly."""
        if self.scale in ("inverted", "realised"):
            return math.inf if rate == 1 else 1.0 / (1.0 - rate)
        if self.scale == "alpha":
            return math.inf if rate == 1 else _alpha_factor(rate)
        return 1.0 if self.scale == "none" else float(self.scale)

    def offset_at(self, rate: float) -> float:
        """What is added to kept values at ``rate``, as a float, for messages."""
        if self.offset == "alpha":
            return math.inf if rate == 1 else -_alpha_factor(rate) * rate * _ALPHA
        return float(self.offset)

    def dropped_at(self, rate: float) -> float:
        """The value of a dropped element at ``rate``, as a float, for messages; at rate 1 alpha dropout has its limit 0."""
        if self.dropped == "alpha":
            return 0.0 if rate == 1 else _alpha_factor(rate) * _ALPHA * (1 - rate)
        return float(self.dropped)

    def keeps_at(self, rate: float) -> bool:
        """Whether a kept value is defined at ``rate``: 1 / (1 - rate) and a are not at rate 1."""
        return rate < 1 or (self.scale not in ("inverted", "alpha", "realised") and self.offset != "alpha")

    @property
    def affine(self) -> bool:
        """Whether kept values are more than x / (1 - rate), x, or x times a number."""
        return self.scale == "alpha" or self.offset != 0

    def kept_words(self, rate: Optional[float] = None) -> str:
        """What a kept value is, in a report's words; with ``rate``, in numbers."""
        if self.scale == "realised":
            return "x times all elements of the call over the kept ones"
        if rate is not None:
            plus = f" plus {self.offset_at(rate):.6g}" if self.offset != 0 else ""
            return f"x times {self.scale_at(rate):.6g}{plus}"
        scale = {"inverted": "x / (1 - rate)", "none": "x", "alpha": "a x"}.get(str(self.scale), f"{self.scale} x")
        return scale if self.offset == 0 else f"{scale} + {'b' if self.offset == 'alpha' else self.offset}"

    def rate_tolerance(self, rate: float) -> float:
        """Largest declared deviation of the drop probability at ``rate`` (absolute)."""
        granted = float(self.tolerances.get("rate.marginal", 0.0))
        return max(granted, self.grid / 2 if self.grid is not None else 0.0)

    def to_dict(self) -> Dict[str, Any]:
        """Plain data for the result file and for the pipe to a worker."""
        return {
            "pattern": str(self.pattern),
            "scale": self.scale,
            "dropped": self.dropped,
            "offset": self.offset,
            "grid": self.grid,
            "seeds": list(self.seeds),
            "gradient": self.gradient,
            "ranks": [str(p) for p in self.ranks],
            "rates": None if self.rates is None else list(self.rates),
            "promises": list(self.promises),
            "tolerances": dict(self.tolerances),
            # left out where it is the usual one: what was stored, ledgers among it, stays the same
            **({} if self.inference == "identity" else {"inference": self.inference}),
            **({} if self.gamma == "paper" else {"gamma": self.gamma}),
            **({"replicas": True} if self.replicas else {}),
            **({} if self.stretch == "whole" else {"stretch": self.stretch}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Contract:
        """The inverse of ``to_dict``."""
        return cls(
            pattern=Pattern.parse(data["pattern"]),
            scale=data["scale"],
            dropped=data["dropped"],
            offset=data.get("offset", 0.0),  # results from before there were offsets lack it
            grid=data["grid"],
            seeds=tuple(data["seeds"]),
            gradient=data["gradient"],
            ranks=tuple(Pattern.parse(p) for p in data["ranks"]),
            rates=None if data["rates"] is None else tuple(data["rates"]),
            promises=tuple(data["promises"]),
            tolerances=dict(data["tolerances"]),
            inference=data.get("inference", "identity"),
            gamma=data.get("gamma", "paper"),
            replicas=data.get("replicas", False),
            stretch=data.get("stretch", "whole"),
        )


PROMISES: Tuple[str, ...] = ("nonfinite", "fresh-output")
_CHANNELS = ("c", "channel", "channels", "features")
INFERENCE: Tuple[str, ...] = ("identity", "keep", "active")


def _alpha_factor(rate: float) -> float:
    return 1.0 / math.sqrt((1 - rate) * (1 + rate * _ALPHA**2))


def _one_of(name: str, value: Any, words: Tuple[str, ...]) -> None:
    """Raise ContractError unless ``value`` is one of ``words``."""
    if value not in words:
        near = difflib.get_close_matches(str(value), words, 1, 0.0)
        raise ContractError(f"{name} is {' or '.join(map(repr, words))}, not {value!r}; the nearest is {near[0]!r}")


def _word_or_number(name: str, value: Any, words: Tuple[str, ...]) -> None:
    """Raise ContractError unless ``value`` is one of ``words`` or a finite number."""
    known = " or ".join((*(repr(w) for w in words), "a finite number"))
    if isinstance(value, str):
        if value not in words:
            near = difflib.get_close_matches(value, words, 1, 0.0)
            raise ContractError(f"{name} is {known}, not {value!r}; the nearest is {near[0]!r}")
    elif not (isinstance(value, (int, float)) and math.isfinite(value)):
        raise ContractError(f"{name} is {known}, not {value!r}")


def check_rate(rate: float) -> float:
    """``rate`` if it is a probability; ContractError with the reason otherwise."""
    if not (isinstance(rate, (int, float)) and 0 <= rate <= 1):
        raise ContractError(f"a rate is a probability from 0 to 1, not {rate!r}")
    return float(rate)


def patterns(texts: Iterable[str]) -> Tuple[Pattern, ...]:
    """Parse several patterns at once."""
    return tuple(Pattern.parse(t) for t in texts)
