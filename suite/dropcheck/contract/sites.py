"""The sites of a model: every random draw of its passes, the dropout layers that no pass reaches, what a backward pass showed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence, Set, Tuple

# Imported by the worker: the standard library only, Python 3.9 at run time.

# public functions whose dropout has a registered target of its own
AUDITED_AS = {
    "F.dropout": "torch.Dropout",
    "F.dropout1d": "torch.Dropout1d",
    "F.dropout2d": "torch.Dropout2d",
    "F.dropout3d": "torch.Dropout3d",
    "F.scaled_dot_product_attention": "torch.sdpa#weights",
    "F.multi_head_attention_forward": "torch.MultiheadAttention#weights",
    "torch.lstm": "torch.LSTM#between",
    "torch.gru": "torch.GRU#between",
    "torch.rnn_tanh": "torch.RNN#between",
    "torch.rnn_relu": "torch.RNN#between",
    "F.alpha_dropout": "torch.AlphaDropout",
    "F.feature_alpha_dropout": "torch.FeatureAlphaDropout",
}
# classes of layers whose dropout has registered targets of its own, by the framework of a model; Keras' take a backend
_RECURRENT = ("#input", "#recurrent")
LAYERS_AUDITED_AS: Dict[str, Dict[str, Tuple[str, ...]]] = {
    "keras": {
        **{kind: tuple(f"keras.{kind}{site}" for site in _RECURRENT) for kind in ("GRU", "LSTM", "SimpleRNN")},
        **{kind: (f"keras.{kind}#input",) for kind in ("ConvLSTM1D", "ConvLSTM2D", "Bidirectional", "StackedRNNCells")},
        **{
            kind: (f"keras.{kind}#weights",)
            for kind in ("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention")
        },
    },
    "flax-linen": {
        "MultiHeadDotProductAttention": ("flax.linen.MultiHeadDotProductAttention#weights",),
        "MultiHeadAttention": ("flax.linen.MultiHeadDotProductAttention#weights",),
        "SelfAttention": ("flax.linen.SelfAttention#weights",),
    },
    "flax-nnx": {"MultiHeadAttention": ("flax.nnx.MultiHeadAttention#weights",)},
    "equinox": {"MultiheadAttention": ("equinox.MultiheadAttention#weights",)},
}

_WAYS = 8  # callers of one line that are told apart
# how notes end that say what is wrong
DROPS = ": drops in inference"
SHARES = "; expected masks of their own"


@dataclass(frozen=True)
class Draw:
    """One random draw of a forward pass.

    ``op``: the operation that drew. ``function``: the framework's public function around it, empty for none. ``module``,
    ``kind``: the innermost module and its class. ``rate``: its drop probability, None where it has none. ``shape``: of what
    it drew. ``file``, ``line``, ``where``: the line of code that called it, and the function that the line stands in.
    ``made``: a layer drew that was made during the pass, and belongs to no model. ``via``: the lines that called this line,
    from the nearest on, inside of one module.
    """

    op: str
    function: str
    module: str
    kind: str
    rate: Optional[float]
    shape: Tuple[int, ...]
    file: str
    line: int
    where: str
    made: bool = False
    via: Tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it was called, for a reader: ``net.py:12``."""
        return _named(f"{self.file}:{self.line}") if self.file else ""

    @property
    def what(self) -> str:
        """The function, or the operation where there is none, as it is called in code."""
        return short(self.function or self.op)

    @property
    def drops(self) -> bool:
        """Whether it is a dropout by what it calls: Bernoulli numbers, or a function with a drop probability."""
        return (
            self.rate is not None or self.op.startswith(("bernoulli", "native_dropout")) or "dropout" in self.function
        )

    @property
    def of_a_dropout(self) -> bool:
        """Whether uniform numbers are drawn by a class that calls itself a dropout."""
        word = self.kind.lower()
        named = "drop" in word or "stochasticdepth" in word
        return named and self.op.startswith(("rand", "uniform")) and not self.op.startswith(("randn", "randint"))


def _named(line: str) -> str:
    """A line of code without its folder."""
    return line.replace(chr(92), "/").rpartition("/")[2]


def way_apart(ways: Collection[Tuple[str, ...]], way: Tuple[str, ...]) -> str:
    """The line on one of several ways to a place at which they part: ``net.py:20``; empty where there is one way, or too many."""
    if not 1 < len(ways) <= _WAYS:
        return ""
    for place in range(max(map(len, ways))):
        lines = {one[place] if place < len(one) else "" for one in ways}
        if len(lines) > 1:
            return _named(way[place]) if place < len(way) else ""
    return ""


@dataclass(frozen=True)
class Unreached:
    """A dropout layer of a model that no training pass calls. ``user``: the function that takes its rate instead of it."""

    name: str
    kind: str
    rate: Optional[float]
    user: str

    @property
    def used(self) -> str:
        """Who takes its rate instead of calling it; an empty text for nobody."""
        return f"; its rate {self.rate:g} is used by {short(self.user)}" if self.user else ""


@dataclass(frozen=True)
class Shared:
    """Two places of one model that drop alike in every pass: ``how`` says what was seen.

    ``passes``: it is one place, which starts from the same random state in every pass. ``leans``: the masks are not equal, and
    depend on each other over the starts of an engine.
    """

    first: str
    second: str
    how: str
    passes: bool = False
    leans: bool = False


@dataclass(frozen=True)
class Backward:
    """What one backward pass showed of one use of one layer: ``problem`` is empty where it used the forward pass's mask.

    ``unasked``: why the gradient of this use cannot be seen, or empty.
    """

    name: str
    use: int
    dropped: int
    problem: str
    unasked: str = ""


@dataclass(frozen=True)
class Sites:
    """All of it, of one model.

    ``version``: of the framework. ``unasked``, ``uninferred``: why there was no backward pass, no inference, or empty.
    ``layers``: audited in place. ``dropouts``: all that are dropouts by their class or by what they do, these among them.
    """

    framework: str
    version: str
    layers: Tuple[str, ...]
    training: Tuple[Draw, ...]
    inference: Tuple[Draw, ...]
    unreached: Tuple[Unreached, ...]
    backward: Tuple[Backward, ...]
    unasked: str
    shared: Tuple[Shared, ...] = ()
    dropouts: Tuple[str, ...] = ()
    uninferred: str = ""
    compared: bool = True  # whether ``shared`` was looked for
    declared: str = ""  # what inference returns, a word of INFERENCE; empty: the input

    @classmethod
    def from_answer(
        cls, answer: Mapping[str, Any], framework: str, layers: Tuple[str, ...], dropouts: Tuple[str, ...] = ()
    ) -> Sites:
        """From a worker's answer, plain data."""
        return cls(
            framework=framework,
            version=str(answer["version"]),
            layers=layers,
            training=tuple(_draw(one) for one in answer["training"]),
            inference=tuple(_draw(one) for one in answer["inference"]),
            unreached=tuple(Unreached(**one) for one in answer["unreached"]),
            backward=tuple(Backward(**one) for one in answer["backward"]),
            unasked=str(answer["unasked"]),
            shared=tuple(Shared(**one) for one in answer.get("shared", ())),
            dropouts=tuple(dict.fromkeys((*layers, *dropouts))),
            uninferred=str(answer.get("uninferred", "")),
            compared="shared" in answer,
        )

    @cached_property
    def _ways(self) -> Dict[Tuple[str, str, str], Set[Tuple[str, ...]]]:
        found: Dict[Tuple[str, str, str], Set[Tuple[str, ...]]] = {}
        for one in (*self.training, *self.inference):
            found.setdefault((one.module, one.what, one.place), set()).add(one.via)
        return found

    def where(self, draw: Draw) -> str:
        """The line that drew, and the one that called it where several do: ``net.py:5, called at net.py:12``."""
        apart = way_apart(self._ways.get((draw.module, draw.what, draw.place), set()), draw.via)
        return f"{draw.place}, called at {apart}" if apart else draw.place

    def grouped(self, draws: Sequence[Draw]) -> List[str]:
        """Draws of one module, function, line and rate as one text: ``attn (Attention): F.dropout at net.py:12, rate 0.1``."""
        some: Dict[Tuple[str, str, str, str, Optional[float]], List[Draw]] = {}
        for one in draws:
            some.setdefault((one.module, one.kind, one.what, self.where(one), one.rate), []).append(one)
        said = []
        for (module, kind, what, place, rate), same in some.items():
            text = f"{module or 'the model itself'} ({kind}): {what}" + (f" at {place}" if place else "")
            text += f", rate {rate:g}" if rate is not None else ""
            shapes = list(dict.fromkeys(" x ".join(map(str, one.shape)) or "one number" for one in same))
            said.append(f"{text}, {' and '.join(shapes[:3])}" + (f", {len(same)} times" if len(same) > 1 else ""))
        return said

    def inside(self, draw: Draw) -> bool:
        """Whether a draw is made by a layer that is audited in place, or inside of it."""
        return _within(draw, self.layers)

    def is_dropout(self, draw: Draw) -> bool:
        """Whether a draw decides what is dropped: by what it calls, by its class, or as the layer was seen to drop.

        Everything else (noise, sampling) is named where it draws in inference, and fails nothing.
        """
        return draw.drops or draw.of_a_dropout or _within(draw, self.dropouts)

    @property
    def active(self) -> Tuple[Draw, ...]:
        """Draws of dropout in inference that nobody declared, outside of the layers audited in place, judged by themselves."""
        if self.declared == "active":  # Monte Carlo dropout: it shall draw
            return ()
        return tuple(one for one in self.inference if not self.inside(one) and self.is_dropout(one))

    @property
    def sampled(self) -> Tuple[Draw, ...]:
        """Other draws in inference, outside of these layers."""
        return tuple(one for one in self.inference if not self.inside(one) and not self.is_dropout(one))

    @property
    def wrong(self) -> bool:
        """Whether something here is a failure of the model: dropout in inference, another mask backward, one mask for two."""
        return bool(self.active or self.shared) or any(one.problem for one in self.backward)

    @property
    def hidden(self) -> Tuple[Draw, ...]:
        """Draws of the training pass that no audited layer makes."""
        return tuple(one for one in self.training if not self.inside(one))

    def notes(self) -> List[str]:
        """What is not audited in place, a sentence each: draws by module and function, and layers that are not called."""
        said = [f"{words}: not audited in place" for words in self.grouped(self.hidden)]
        by_name = sorted({AUDITED_AS[one.what] for one in self.hidden if one.what in AUDITED_AS})
        said += [f"The function itself is a target: dropcheck audit {name}" for name in by_name]
        said += [f"The layer itself is a target: dropcheck audit '{name}'" for name in self.layer_targets]
        said += [f"{words}{DROPS}" for words in self.grouped(self.active)]
        said += [f"{words}: random in inference, by no dropout" for words in self.grouped(self.sampled)]
        said += [f"{one.first}{f' and {one.second}' if one.second else ''}: {one.how}{SHARES}" for one in self.shared]
        if self.uninferred:
            said.append(f"Not run in inference: {self.uninferred}")
        for one in self.unreached:
            said.append(f"{one.name} ({one.kind}) is not called in this forward pass{one.used}")
        return said

    @property
    def layer_targets(self) -> Tuple[str, ...]:
        """Registered targets that are the dropout inside of layers of which draws are hidden."""
        framework, at, backend = self.framework.partition("@")
        kinds = LAYERS_AUDITED_AS.get(framework, {})
        found = sorted({f"{name}{at}{backend}" for one in self.hidden for name in kinds.get(one.kind, ())})
        return tuple(found)

    @property
    def counted(self) -> str:
        """``7 draws in training: 5 in layers that are audited in place, 2 elsewhere``."""
        total, hidden = len(self.training), len(self.hidden)
        draws = f"{total} random draw{'' if total == 1 else 's'} in a training pass"
        return f"{draws}: {total - hidden} in layers that are audited in place, {hidden} elsewhere"


def _within(draw: Draw, names: Sequence[str]) -> bool:
    return any(draw.module == name or draw.module.startswith(f"{name}.") for name in names)


def short(function: str) -> str:
    """A public function as it is called in code: ``F.dropout``."""
    for long in ("torch.nn.functional.", "torch._C._nn."):
        if function.startswith(long):
            return "F." + function[len(long) :]
    return function


def _draw(one: Dict[str, Any]) -> Draw:
    return Draw(**{**one, "shape": tuple(one["shape"]), "via": tuple(one.get("via", ()))})
