"""JAX: what all its libraries share: arrays, keys, gradients, and the modes in which a layer is run.

An adapter of a library says how a layer is built (``build``) and how it is called with a key (``call``); one whose layers
keep their randomness themselves overrides ``begin``, ``run`` and ``several``. float64 cases run with x64 on, and nothing
else does, unless the environment has it on: x64 changes the coins of float32 layers, too.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from typing import Any, ContextManager, Dict, Hashable, Iterator, Optional, Tuple, Type

import jax
import jax.numpy as jnp
import numpy as np

from dropcheck.contract.adapter import Implementation, Unsupported, global_generators_kept, unchanged
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.adapters import jax_modes, placing, seeding
from spatial_dropouts.adapters.life_jax import JaxLife, x64

_ON = ("training", "train", "is_training")
_OFF = ("inference", "deterministic")  # Equinox has both, and warns of the second


def switch(function: Any) -> Optional[Tuple[str, bool]]:
    """(keyword that tells training from inference, its value in training); None where there is none."""
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    for name in (*_ON, *_OFF):
        if name in names:
            return name, name in _ON
    return None


def built_flag(built: Any, called: Any) -> Optional[Tuple[str, bool]]:
    """Like ``switch``, of a constructor, where the call has no such keyword or leaves it open by default."""
    flag, at_call = switch(built), switch(called)
    if at_call is not None and inspect.signature(called).parameters[at_call[0]].default is not None:
        return None
    return flag


class Layer:
    """A layer with what it keeps between calls. ``pending``: outputs of a scan that nobody has asked for yet."""

    def __init__(self, made: Any, state: Any, rate: float, dtype: str) -> None:
        self.made, self.state, self.rate, self.dtype = made, state, rate, dtype
        self.pending: Tuple[Any, ...] = ()
        self.scanned: Any = None


class JaxArrays(JaxLife):
    """The base of all JAX adapters."""

    framework = "jax"
    library = ""  # the distribution whose release is shown beside JAX's own
    default_pattern = "n l c -> n c"
    immutable = True
    heavy: int = 1  # dispatching one eager call costs about a millisecond, and a new shape a compilation
    records = False  # gradients are those of a function: nothing is recorded in a call
    bare_samples = False  # under vmap the layer takes samples without a batch axis
    kept_as: Type[Layer] = Layer
    modes: Tuple[str, ...] = jax_modes.MODES
    recompute_ways: Tuple[str, ...] = ("jax.checkpoint",)

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        self.obj, self.implementation, self.mode = obj, implementation, "eager"
        way = seeding.way_of(implementation, "key")
        self.contract: Contract = implementation.resolve_contract(Pattern.parse(self.default_pattern), (way,))
        self.programs: Dict[Any, jax_modes.Program] = {}

    def place(self, device: str) -> None:
        """Arrays and layers live on a device from now on. Raises Unsupported where JAX finds none of that kind."""
        placing.jax(device)

    def use(self, mode: str) -> None:
        """Run the layers in a mode from now on. Raises Unsupported where the pattern or the machine has no such mode."""
        self.mode = mode
        if mode in ("vmap", "ranks", jax_modes.SHARDED, *jax_modes.IMPLS):
            jax_modes.sample_axis(self.contract.pattern)
        if mode in jax_modes.IMPLS:
            jax.config.update("jax_default_prng_impl", jax_modes.IMPLS[mode])
        if mode in ("ranks", jax_modes.SHARDED):
            jax_modes.prepare_ranks()
            jax_modes.two_devices()

    def version(self) -> str:
        if not self.library:
            return str(jax.__version__)
        from importlib.metadata import version

        return f"{version(self.library)} on JAX {jax.__version__}"

    def dtypes(self) -> Tuple[str, ...]:
        return ("float32", "float64", "float16", "bfloat16")

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous",)

    def gradients(self) -> bool:
        return True

    def precision(self, dtype: str) -> ContextManager[Any]:
        """The context in which arrays of this dtype live."""
        return x64() if dtype == "float64" else unchanged()

    def tensor(self, values: Any, dtype: str, layout: str = "contiguous") -> Any:
        if layout != "contiguous":
            raise Unsupported("JAX arrays have no strides")
        with self.precision(dtype):
            # a copy; jnp.array makes it by a program, which is compiled for each new shape and dtype
            return jax.device_put(np.ascontiguousarray(values).astype(jnp.dtype(dtype)))

    def array(self, tensor: Any) -> Any:
        found = np.asarray(tensor)
        return np.ascontiguousarray(found).view(np.uint16) if found.dtype.name == "bfloat16" else found

    def dtype_of(self, tensor: Any) -> str:
        return str(tensor.dtype)

    # --- what a library says ---------------------------------------------------------------------------------------

    def build(self, rate: float, dtype: str, extra: Dict[str, Any]) -> Any:
        """The layer itself, of the library's own kind."""
        return self.implementation.construct(self.obj, rate, extra)

    def call(self, made: Any, x: Any, key: Any, training: bool) -> Any:
        """One call of the layer with this key; pure."""
        raise NotImplementedError

    def token(self, made: Any) -> Hashable:
        """What two layers have in common that may share a compiled program; the layer itself unless it is known."""
        return id(made)

    def begin(self, made: Any, seed: Optional[int], way: str) -> Any:
        """The state of a fresh layer: a key of the seed. A seed that the constructor took says nothing of keys."""
        self.sow(seed, way)
        fresh = int.from_bytes(os.urandom(4), "big") >> 1
        return jax.random.key(fresh if seed is None or way == "constructor" else seed)

    def sow(self, seed: Optional[int], way: str) -> None:
        """Seed the layer's own source, where its Implementation declares one; JAX itself has none."""
        seeding.sow(self.implementation, seed, way, lambda number: None)

    def run(self, made: Any, state: Any, x: Any) -> Tuple[Any, Any]:
        """One training call: (output, the state that goes on); pure."""
        state, key = jax.random.split(state)
        return self.call(made, x, key, True), state

    def several(self, state: Any, count: int) -> Tuple[Any, Any]:
        """``count`` unrelated states in front, and the state that goes on."""
        keys = jax.random.split(state, count + 1)
        return keys[1:], keys[0]

    def infer(self, layer: Layer, x: Any) -> Any:
        """One inference call; it spends no key."""
        return self.call(layer.made, x, layer.state, False)

    # --- what the suite asks ---------------------------------------------------------------------------------------

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        with self.precision(dtype):
            self.sow(seed, way)  # a constructor may draw, too
            made = self.build(rate, dtype, seeding.keyword(self.implementation, seed, way))
            return self.kept_as(made, self.begin(made, seed, way), rate, dtype)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        if way == "constructor":
            return self.make(layer.rate, layer.dtype, seed, way)
        with self.precision(layer.dtype):
            return self.kept_as(layer.made, self.begin(layer.made, seed, way), layer.rate, layer.dtype)

    def program(self, layer: Layer, mode: str) -> jax_modes.Program:
        """The layer's training call in a mode; layers that are equal share what was compiled."""
        place = (mode, self.token(layer.made))
        if place not in self.programs:
            made = layer.made

            def step(state: Any, x: Any) -> Tuple[Any, Any]:
                return self.run(made, state, x)

            self.programs[place] = self._in_mode(step, mode)
        return self.programs[place]

    def _in_mode(self, step: jax_modes.Step, mode: str) -> jax_modes.Program:
        if mode == "eager":
            return step
        if mode == "jit":
            return jax_modes.jitted(step)
        if mode == "checkpoint":
            return jax_modes.checkpointed(step)
        if mode == "scan":
            return jax_modes.scanned(step)
        axis = jax_modes.sample_axis(self.contract.pattern)
        if mode == jax_modes.SHARDED:
            return jax_modes.sharded(step, axis)
        if mode in ("vmap", *jax_modes.IMPLS):
            return jax_modes.mapped(step, self.several, axis, self.bare_samples)
        return jax_modes.ranked(step, self.several, axis)

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        with self.precision(layer.dtype):
            if not training:
                y = self.infer(layer, x)
            elif self.mode == "scan":
                y = self._scanned(layer, x)
            else:
                y, layer.state = self.program(layer, self.mode)(layer.state, x)
            return jax.block_until_ready(y)

    def _scanned(self, layer: Layer, x: Any) -> Any:
        """The next output of the last scan on this input, or the first of a new one."""
        if not layer.pending or layer.scanned is not x:
            ys, layer.state = self.program(layer, "scan")(layer.state, x)
            layer.pending, layer.scanned = tuple(ys), x
        y, layer.pending = layer.pending[0], layer.pending[1:]
        return y

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        return self._pulled(layer, x, cotangent, self.mode)

    def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Optional[Any]]:
        """Like ``gradient``, with the forward pass run again in the backward pass."""
        return self._pulled(layer, x, cotangent, "checkpoint")

    def _pulled(self, layer: Layer, x: Any, cotangent: Any, mode: str) -> Tuple[Any, Optional[Any]]:
        program = self.program(layer, mode)

        def forward(x: Any) -> Tuple[Any, Any]:
            y, state = program(layer.state, x)
            return (y[-1] if mode == "scan" else y), state  # of a scan, the last step

        with self.precision(layer.dtype):
            y, pull, layer.state = jax.vjp(forward, x, has_aux=True)
            layer.pending = ()
            (gradient,) = jax.block_until_ready(pull(cotangent))
        return y, gradient

    def recording(self, on: bool) -> ContextManager[Any]:
        return unchanged()

    def track(self, x: Any) -> Any:
        return x

    def own_keys(self, rate: float, dtype: str, seed: int, way: str, x: Any) -> Tuple[Any, Any]:
        """One training call that is mapped over samples, and the same of each sample alone with its own state.

        Where samples lie on two devices, one training call of them, and the same on one device.
        """
        if self.mode == jax_modes.SHARDED:
            return self._sharded_and_whole(rate, dtype, seed, way, x)
        if self.mode not in ("vmap", *jax_modes.IMPLS):
            raise Unsupported("a sample has a key of its own under vmap only")
        axis = jax_modes.sample_axis(self.contract.pattern)
        layer = self.make(rate, dtype, seed, way)
        with self.precision(dtype):
            states, _ = self.several(layer.state, int(x.shape[axis]))

            def step(state: Any, x: Any) -> Tuple[Any, Any]:
                return self.run(layer.made, state, x)

            over = jax.jit(jax_modes.over_samples(step, axis, self.bare_samples))
            alone = []
            for i in range(int(x.shape[axis])):
                mine = jax.tree_util.tree_map(lambda leaf, i=i: leaf[i : i + 1], states)
                alone.append(over(mine, jax.lax.slice_in_dim(x, i, i + 1, axis=axis)))
            return jax.block_until_ready((over(states, x), jnp.concatenate(alone, axis)))

    def _sharded_and_whole(self, rate: float, dtype: str, seed: int, way: str, x: Any) -> Tuple[Any, Any]:
        """One training call whose samples lie on two devices, and the same call on one, both compiled."""
        found = []
        with self.precision(dtype):
            for mode in (jax_modes.SHARDED, "jit"):
                layer = self.make(rate, dtype, seed, way)
                found.append(jax.block_until_ready(self.program(layer, mode)(layer.state, x)[0]))
        return found[0], found[1]

    @contextlib.contextmanager
    def _preserved(self) -> Iterator[None]:
        before = jax.config.jax_default_prng_impl
        try:
            with global_generators_kept():
                yield
        finally:
            jax.config.update("jax_default_prng_impl", before)

    def preserved(self) -> ContextManager[Any]:
        return self._preserved()
