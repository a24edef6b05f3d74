"""Models: which dropout layers stand in one, and what each did in real forward passes on a sample input."""

from __future__ import annotations

import importlib
import math
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from dropcheck.contract.promise import Pattern
from spatial_dropouts.adapters import unspecified
from spatial_dropouts.adapters.loading import NoDropout, loaded, walk

SAMPLES = ("sample_input", "example_input", "sample_inputs", "example_inputs", "example_input_array")
RATES = ("p", "rate", "drop_prob", "drop_rate", "drop_p", "dropout", "dropout_rate", "prob")
KEPT = ("keep_prob", "keep", "q")
NUMBERS = ("p", "rate", "prob", "drop_prob", "drop_rate", "dropout_rate", "keep_prob")  # no flags: True is 1 there
CALLS, SECONDS = 100, 10.0  # forward passes of one look, and the time that they may take
STILL = 4  # forward passes in inference
_SPREAD = 2e-2  # relative: models may compute in half precision
MOST = 8192  # elements of one call that are sent on: further positions of large feature maps are left out


def rate_of(layer: Any) -> Optional[float]:
    """The drop probability that a layer holds under one of the usual names, or None."""
    for names, keep in ((RATES, False), (KEPT, True)):
        for name in names:
            value = getattr(layer, name, None)
            if isinstance(value, bool) and name not in NUMBERS:
                continue
            number = scalar(value)
            if number is not None and 0 <= number <= 1:
                return 1 - number if keep else number
    return None


def scalar(value: Any) -> Optional[float]:
    """A real number of any kind as a float: Python's, NumPy's, a framework's tensor without axes; None for what is none."""
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, (str, bytes, complex)) or value is None or isinstance(value, type):
        return None
    try:
        if tuple(getattr(value, "shape", ())) != ():
            return None
        return float(value)
    except Exception:  # no number, or one that is not known yet (traced, on the meta device)
        return None


def no_rate(layer: Any, article: str = "instance ") -> NoDropout:
    """What is said of a layer without a rate that can be read: the names, and what stands under one of them."""
    kind = type(layer).__name__
    held = next(
        (n for n in (*RATES, *KEPT) if getattr(layer, n, None) is not None and not callable(getattr(layer, n))), ""
    )
    if held:
        value = getattr(layer, held)
        shape = tuple(getattr(value, "shape", ()))
        what = f"a {type(value).__name__} of shape {shape}" if shape else f"{value!r}"[:80]
        return NoDropout(
            f"a {kind} {article}whose {held} is {what} was given; expected one number from 0 to 1 there. Its class, or a factory "
            "with a contract, can be audited at any rate"
        )
    return NoDropout(
        f"a {kind} {article}that holds no rate ({', '.join(RATES)}) was given: it is no dropout, or does not tell its rate; its "
        "class or a factory with a contract can be audited"
    )


def names_of(rank: int, channel: int, batch: int = 0) -> Tuple[str, ...]:
    """Axis names of a tensor whose channels are on axis ``channel``: batch, time or height and width, channel.

    ``batch`` -1: a single sample, without that axis.
    """
    rest = [i for i in range(rank) if i not in (channel, batch)]
    words = {1: ("time",), 2: ("height", "width"), 3: ("depth", "height", "width")}.get(len(rest))
    inner = dict(zip(rest, words or tuple(f"axis{i}" for i in rest)))
    return tuple("batch" if i == batch else "channel" if i == channel else inner[i] for i in range(rank))


def probe(shape: Sequence[int]) -> Any:
    """Distinct values of both signs away from 0: what a layer is fed in place of the activations (ReLU leaves zeros)."""
    size = math.prod(shape)
    values = (0.5 + 2.0 * np.arange(size) / max(1, size)) * np.where(np.arange(size) % 2, 1.0, -1.0)
    return np.random.default_rng(3).permutation(values).reshape(shape)


def crop(shape: Sequence[int]) -> Tuple[slice, ...]:
    """The first positions along every axis, at most MOST elements."""
    sizes = list(shape)
    while math.prod(sizes) > MOST:
        largest = sizes.index(max(sizes))
        sizes[largest] = max(1, sizes[largest] // 2)
    return tuple(slice(0, s) for s in sizes)


class Use:
    """One place in a forward pass where a layer is called: its input's shape, and what came out, call by call.

    ``still``: what came out in inference, where that was looked at.

    ``channel``, ``batch``: axes by the layers around it; ``why``: the sentence that says so; ``unsure``: it says features, not
    channels; ``doubt``: a question where it says too little, or two layers disagree. ``expected``: the coin axes that the
    layer's class documents, by name, empty for one coin a call; None: unknown. ``form``: what its class documents that no
    pattern says. ``found_by``: class, name, rate or behaviour. ``rolled``: what came out of rolled input, if that was asked.
    """

    def __init__(self, name: str, kind: str, found_by: str, rate: Optional[float], shape: Sequence[int]) -> None:
        self.name, self.kind, self.found_by, self.rate = name, kind, found_by, rate
        self.shape = tuple(int(s) for s in shape)
        self.cut = crop(self.shape)
        self.x = probe(self.shape)
        self.ys: List[Any] = []
        self.still: List[Any] = []
        self.use = 0
        self.channel: Optional[int] = None
        self.batch = 0
        self.why = ""
        self.expected: Optional[str] = None
        self.own_channel: Optional[int] = None  # where the class takes channels to be
        self.noise: Optional[List[int]] = None  # coin axes that a noise shape given to it asks for
        self.plain = True  # kept values are x / (1 - rate) by its class
        self.unsure = False
        self.doubt = self.form = ""
        self.rolled: Optional[Any] = None

    def take(self, y: Any, still: bool = False) -> None:
        """One output, as an array. ``still``: of inference."""
        (self.still if still else self.ys).append(np.array(y[self.cut], dtype=np.float64))

    @property
    def ever_zero(self) -> bool:
        """Whether an output is ever 0."""
        return any(bool((y == 0).any()) for y in self.ys)

    @property
    def untouched(self) -> bool:
        """Whether all outputs are the input, within rounding."""
        return all(np.allclose(y, self.x[self.cut], rtol=_SPREAD, atol=0) for y in self.ys)

    @property
    def constant(self) -> bool:
        """Whether outputs are 0 at the same places in every call, and at some."""
        return self.ever_zero and all(np.array_equal(y == 0, self.ys[0] == 0) for y in self.ys)

    @property
    def drops(self) -> bool:
        """Whether outputs are sometimes 0 where the input is not, and not always at the same places (as ReLU's are)."""
        return len(self.ys) >= 2 and self.ever_zero and not self.constant

    @property
    def multiplies(self) -> bool:
        """Whether what is not 0 is a multiple of the input, the same for all of a sample of one call."""
        x = self.x[self.cut].reshape(self.cut[0].stop if self.cut else 1, -1)
        for y in self.ys[:16]:
            flat = y.reshape(x.shape)
            ratio = flat / x
            high, low = np.where(flat == 0, -np.inf, ratio).max(axis=1), np.where(flat == 0, np.inf, ratio).min(axis=1)
            kept = (flat != 0).any(axis=1)
            if bool(((high - low)[kept] > _SPREAD * np.abs(high[kept])).any()):
                return False
        return bool(self.ys)

    def answer(self) -> Dict[str, Any]:
        """As plain data for the suite."""
        rank = len(self.shape)
        last = self.channel if self.channel is not None else self.own_channel
        names = names_of(rank, rank - 1 if last is None else last, self.batch) if rank > 1 else ("batch",)
        if self.batch < 0 and rank == 1:
            names = ("channel",)
        return {
            "name": self.name,
            "kind": self.kind,
            "found_by": self.found_by,
            "rate": self.rate,
            "shape": list(self.shape),
            "axes": list(names),
            "use": self.use,
            "channel": self.channel,
            "own_channel": self.own_channel,
            "why": self.why,
            "expected": self.pattern(names),
            "plain": self.plain,
            "unsure": self.unsure,
            "doubt": self.doubt,
            "form": self.form,
            "x": np.ascontiguousarray(self.x[self.cut]),
            "ys": self._stacked(self.ys),
            "still": self._stacked(self.still),
        }

    def _stacked(self, ys: List[Any]) -> Any:
        return np.stack(ys) if ys else np.zeros((0, *[s.stop for s in self.cut]))

    def pattern(self, names: Sequence[str]) -> Optional[str]:
        """The pattern that its noise shape or its class promises on this tensor."""
        if self.noise is not None:
            asked = tuple(names[i] for i in self.noise)
            return str(Pattern(tuple(names), asked)) if asked else None
        if self.expected is None:
            return None
        coins = [n for n in names if self.expected == "all" or n in self.expected.split()]
        return str(Pattern(tuple(names), tuple(coins))) if coins or not self.expected else None


_WHOLE = ("spatialdropout", "channeldropout", "featuredropout", "featurealphadropout", "lockeddropout")
_WHOLE_CHANNELS = (*_WHOLE, *(f"{word}dropout{n}d" for word in ("", "spatial") for n in (1, 2, 3)))


def expected_of(kind: str) -> Optional[str]:
    """Coin axes that a class documents by its whole name: ``all``, or names; None where the name says nothing."""
    word = kind.lower().replace("_", "")
    if word.endswith(("droppath", "stochasticdepth", "dropsample")):
        return "batch"
    if word in _WHOLE_CHANNELS:
        return "batch channel"
    return "all" if word in ("dropout", "alphadropout") else None


def timed(run: Any, calls: int, seconds: float) -> int:
    """Call ``run`` up to ``calls`` times, for ``seconds`` at most (8 calls at least); how often."""
    start = time.perf_counter()
    for done in range(1, calls + 1):
        run()
        if done >= 8 and time.perf_counter() - start > seconds:
            return done
    return calls


def framework_of(thing: Any) -> Optional[Tuple[str, str]]:
    """(module of its survey, what it is) for an object that may hold dropout layers; None for anything else."""
    from spatial_dropouts.adapters.loading import belongs

    for name, module, attr in (
        ("keras", "keras", "Layer"),
        ("tf_keras", "tf_keras.layers", "Layer"),
        ("torch", "torch.nn", "Module"),
        ("linen", "flax.linen", "Module"),
        ("nnx", "flax.nnx", "Module"),
        ("equinox", "equinox", "Module"),
        ("onnx", "spatial_dropouts.adapters.onnx_loading", "File"),
        ("exported", "torch.export", "ExportedProgram"),
    ):
        if belongs(thing, module, attr)[1]:
            return f"models_{name}".replace("tf_keras", "keras"), name
    return None


def rateless(layer: Any) -> bool:
    """Whether a layer of the user's own holds nothing under the name of a rate: its draws are seen as those of a model are."""
    ours = type(layer).__module__.partition(".")[0] not in ("torch", "keras", "tf_keras", "flax", "equinox")
    return ours and not any(getattr(layer, n, None) is not None for n in (*RATES, *KEPT))


def built(thing: Any) -> Any:
    """What a function, or a class of layers, makes without an argument, where that is a model; anything else as it is."""
    made = unspecified.made(thing)
    return thing if made is None or framework_of(made) is None else made


def survey(
    locator: str, shape: Optional[Sequence[int]], calls: int = CALLS, seconds: float = SECONDS
) -> Dict[str, Any]:
    """The dropout layers of the model at ``locator`` (what stands behind # is left to the asker).

    ``shape``: of an input to make, where no sample input lies beside the model. The answer's ``kind`` is ``model``, or
    ``other`` for what is no model. Raises NoDropout with a sentence where the model cannot be run.
    """
    place, _, attr = locator.partition("#")[0].rpartition(":")
    module = loaded(place)
    thing = built(walk(module, place, attr))
    known, flagless = framework_of(thing), ""
    if known is None:
        thing, known = unspecified.of_function(thing)
        flagless = (
            "" if known is None or getattr(thing, "flag", None) or unspecified.flags(thing) else unspecified.FLAGLESS
        )
    if known is None:
        return {"kind": "other"}
    part = importlib.import_module(f"{__package__}.{known[0]}")
    if not part.is_model(thing):
        return {"kind": "other"}
    sample = None if shape is not None else _sample(module, thing, attr)
    uses, notes = part.survey(thing, sample, shape, calls, seconds)
    layers = [use.answer() for use in uses]
    names = part.names(thing) if hasattr(part, "names") else None
    sites = None  # a framework whose draws nobody watches yet has none
    if hasattr(part, "sites"):
        try:
            sites = part.sites(thing, sample, shape, [use.name for use in uses])
            if flagless:
                sites = {**sites, "inference": [], "uninferred": flagless}
            # what was not seen layer by layer is among the draws
            notes = [n for n in notes if not n.endswith((": not seen", " is not called in this forward pass"))]
        except Exception as error:  # a model that runs, but not while it is watched
            words = str(error).splitlines()[0][:160] if str(error) else ""
            notes = [*notes, f"its random draws cannot be recorded ({type(error).__name__}: {words})"]
    framework = part.framework(thing) if hasattr(part, "framework") else known[1]
    found = {"kind": "model", "framework": framework, "layers": layers, "notes": notes, "sites": sites}
    return {**found, "names": names} if names is not None else found


def _sample(module: Any, thing: Any, attr: str) -> Any:
    """A sample input that lies beside the model (``sample_input``, ``NAME_input``) or on it; None if there is none."""
    for name in (f"{attr}_input", f"{attr}_sample_input", *SAMPLES):
        if hasattr(module, name):
            return getattr(module, name)
    for name in SAMPLES:
        found = getattr(thing, name, None)
        if found is not None and not callable(found):
            return found
    return None


def inside(thing: Any, path: str, module: Any, attr: str) -> Any:
    """The layer at ``path`` inside a model, as a survey named it, or an Implementation that makes such layers.

    Raises NoDropout with the nearest name.
    """
    thing = built(thing)
    known = framework_of(thing)
    if known is None:
        raise NoDropout(f"a {type(thing).__name__} is no model of a known framework: nothing stands at #{path}")
    part = importlib.import_module(f"{__package__}.{known[0]}")
    if hasattr(part, "found"):  # layers that exist only while the model is called
        return part.found(thing, path, _sample(module, thing, attr))
    return part.inside(thing, path)


def wanted(given: str, hint: str) -> NoDropout:
    """What is said where a model has no input to run on, or does not run on it."""
    return NoDropout(f"{given}: {hint}; put a variable sample_input beside the model, or give --input 8,16,32")


def neighbours(use: Use, trace: Any, convention: Callable[[Any], Optional[int]]) -> None:
    """Decide the channel axis from what stands before and after: the nearest layers that say it and fit in rank and size.

    ``trace``: (name, layer, input, output) in the order of execution. ``convention``: the axis on which a layer has its
    channels (-1 last, 1 second), None for one that does not say.
    """
    rank = len(use.shape)
    index = [i for i, (name, *_) in enumerate(trace) if name == use.name]
    if use.use >= len(index) or rank < 2:
        return
    here = index[use.use]
    for direction, some in (("before", trace[:here][::-1]), ("after", trace[here + 1 :])):
        for name, layer, x, y in some:
            axis = convention(layer)
            if axis is None:
                continue
            tensor = y if direction == "before" else x
            count = int(tensor.shape[axis])
            straight = tuple(tensor.shape) == use.shape
            pooled = (
                len(tensor.shape) == rank and int(use.shape[axis]) == count
            )  # pooling keeps channels and their axis
            fitting = [axis % rank] if straight or pooled else [i for i in range(1, rank) if use.shape[i] == count]
            if len(fitting) == 1:
                where = "the last axis" if fitting[0] == rank - 1 else f"axis {fitting[0]}"
                verb = "makes" if direction == "before" else "takes"
                use.channel = fitting[0]
                use.why = f"{type(layer).__name__} at {name} {verb} {count} channels on {where}"
                return
            break
