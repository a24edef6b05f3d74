"""Flipping coins: successive calls of a layer, proven and packed to one bit a coin."""

from __future__ import annotations

import time
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from dropcheck.contract.adapter import Adapter
from dropcheck.contract.offers import offered
from dropcheck.contract.promise import Pattern
from dropcheck.worker.server import rounding
from dropcheck.worker.server.coinwise import Proof, pack
from dropcheck.worker.server.pending import GROUP_CALLS, GROUP_ELEMENTS, Gathering
from dropcheck.worker.server.probe import Probe, make_probe

Shape = Tuple[int, ...]


class Stream:
    """Successive calls of one layer on inputs of one or several batch sizes."""

    def __init__(self, adapter: Adapter, request: Dict[str, Any]) -> None:
        self.adapter = adapter
        self.pattern = Pattern.parse(request["pattern"])
        self.dtype: str = request["dtype"]
        self.layout: str = request["layout"]
        self.rate: float = request["rate"]
        self.way: str = request["way"]
        self.record: bool = request["record"]
        # nobody can write into an immutable array: copies of it would be waste
        self.immutable = bool(offered(adapter, "immutable"))
        self.reuse: bool = request["reuse"] or self.immutable
        self.values: bool = request["values"]
        self.infer: int = request["infer"]
        self.shapes: List[Shape] = [tuple(s) for s in request["shapes"]]
        self.seed: Optional[int] = request["seed"]
        self.calls = 0
        self.proof = Proof()
        self.rng = np.random.default_rng(request["probe_seed"])
        self.probe_seed = int(request["probe_seed"])
        self.probes: Dict[Shape, Probe] = {}
        self.watched: Dict[Tuple[Shape, bool], int] = {}  # calls after which a reused input was looked at
        self.universe: Dict[str, Any] = {}
        self.gathering = Gathering(adapter, self.proof)
        self.ahead: Optional[Iterator[Any]] = None  # outputs of calls that were asked for together
        largest = max(int(np.prod(s, dtype=np.int64)) for s in self.shapes)
        own = adapter.contract.scale == "realised"  # each call has a scale of its own
        self.group = 1 if self.values or own else max(1, min(GROUP_CALLS, GROUP_ELEMENTS // max(1, largest)))
        self.layer = adapter.make(self.rate, self.dtype, self.seed, self.way)

    def probe(self, shape: Shape) -> Probe:
        """The probe for one shape, made once."""
        if shape not in self.probes:
            self.probes[shape] = make_probe(
                self.adapter, self.pattern, shape, self.dtype, self.layout, self.rate, self.probe_seed
            )
        return self.probes[shape]

    def inputs(self, shapes: Sequence[Shape]) -> Iterable[Any]:
        """One input a call: the reused one, or copies that nobody else holds."""
        if self.ahead is not None:  # whoever makes these calls has their input
            return [None] * len(shapes)
        if self.reuse:  # one by one: a call may show that none can be reused
            return (self._next(shape) for shape in shapes)
        copies = offered(self.adapter, "copies")
        if copies is None or self.values:
            return (self.adapter.tensor(self.fresh(shape), self.dtype, self.layout) for shape in shapes)
        made = {shape: iter(copies(self.probe(shape).x, shapes.count(shape))) for shape in set(shapes)}
        return [next(made[shape]) for shape in shapes]

    def _next(self, shape: Shape) -> Any:
        return self.probe(shape).x if self.reuse else self.adapter.tensor(self.fresh(shape), self.dtype, self.layout)

    def fresh(self, shape: Shape) -> Any:
        """The values of the probe as they now are."""
        probe = self.probe(shape)
        return probe.values[probe.index]

    def some(self, layer: Any, count: int) -> bool:
        """``count`` calls, gathered; False where an output has another shape or dtype."""
        shapes = [self.shapes[(self.calls + i) % len(self.shapes)] for i in range(count)]
        inputs = zip(shapes, self.inputs(shapes))
        if self.record:  # what was recorded of one call must not lie about during the next
            return all(self.recorded(layer, shape, x) for shape, x in inputs)
        with self.adapter.recording(False):
            return self.timed(layer, inputs)

    def recorded(self, layer: Any, shape: Shape, x: Any) -> bool:
        """One call of which the framework keeps what a gradient needs."""
        x = self.adapter.track(x)
        with self.adapter.recording(True):
            return self.timed(layer, [(shape, x)])

    def timed(self, layer: Any, inputs: Iterable[Tuple[Shape, Any]]) -> bool:
        """Calls, timed and gathered. One loop: what Python does between short calls costs as much as they do."""
        apply, add, clock, alone = self.adapter.apply, self.gathering.add, time.perf_counter, self.group == 1
        ahead = self.ahead
        for shape, x in inputs:
            start = clock()
            output = apply(layer, x, True) if ahead is None else next(ahead)
            self.proof.bare_s += clock() - start
            self.calls += 1
            probe = self.probe(shape)
            fine = add(probe, output, alone)
            if self.reuse and not self.immutable and x is not None:
                self._watch(probe, True)
            if self.infer and self.calls % self.infer == 0:
                apply(layer, probe.x, False)
                if not self.immutable:
                    self._watch(probe, False)
            if not fine:
                return False
        return True

    def draw(self, calls: int) -> Dict[str, Any]:
        """``calls`` further calls: packed coins of all rows in order, class bits of the inputs where asked for."""
        packed: List[Any] = []
        classes: List[Any] = []
        done, fine = 0, True
        self.ahead = self._asked_ahead(calls)
        while done < calls and fine:
            if self.values:
                classes.append(self._vary_values(self.shapes[self.calls % len(self.shapes)]))
            count = min(self.group, calls - done)
            fine = self.some(self.layer, count)
            done += count
            coins = self.gathering.flush()
            if coins is not None:
                packed.append(coins)
        self.ahead = None
        if self.reuse:
            self._verify_inputs()
        answer: Dict[str, Any] = {"proof": self.proof.report(), "calls": self.calls}
        if packed:
            answer["coins"] = np.concatenate(packed)
        if classes and packed:
            answer["classes"] = np.concatenate(classes, axis=1)[:, : len(answer["coins"])]
        return answer

    def _asked_ahead(self, calls: int) -> Optional[Iterator[Any]]:
        """All of these calls at once, where they have one input and the adapter can.

        Optional in an adapter: ``repeated(layer, x, calls)``, outputs of training calls on ``x``, each of which meets the same
        values in memory of its own; or None.
        """
        repeated = offered(self.adapter, "repeated")
        if repeated is None or self.record or self.values or self.infer or len(self.shapes) > 1:
            return None
        found: Optional[Iterator[Any]] = repeated(self.layer, self.probe(self.shapes[0]).x, calls)
        return found

    def seeds(self, seeds: Sequence[int], calls: int, fresh: bool) -> Dict[str, Any]:
        """For every seed, a fresh or a reseeded layer and ``calls`` calls: coins of shape (seeds, calls x rows, bytes)."""
        every: List[Any] = []
        layer = self.layer
        at_once = max(1, self.group // calls)
        if at_once == 1:
            self.group = 1
        for number, seed in enumerate(seeds):
            start = time.perf_counter()
            if fresh:
                layer = self.adapter.make(self.rate, self.dtype, int(seed), self.way)
            else:
                layer = self.adapter.reseed(layer, int(seed), self.way)
            self.proof.bare_s += time.perf_counter() - start  # these coins cannot be had without it
            for _ in range(calls):
                if not self.some(layer, 1):
                    return {"proof": self.proof.report(), "calls": self.calls}
                if self.group == 1:
                    every.append(self.gathering.flush())
            if self.group > 1 and ((number + 1) % at_once == 0 or number + 1 == len(seeds)):
                every.append(self.gathering.flush())
        coins = np.concatenate(every)
        return {
            "proof": self.proof.report(),
            "calls": self.calls,
            "coins": coins.reshape(len(seeds), -1, coins.shape[-1]),
        }

    def _vary_values(self, shape: Shape) -> Any:
        """A new input whose sign and magnitude differ coin by coin; the two classes of every coin, packed."""
        probe = self.probe(shape)
        rows, channels = self.pattern.matrix_shape(shape)
        sign, large = self.rng.random((2, rows, channels)) < 0.5
        if not self.universe:
            # every value that a varied input can have, once: the exact bounds are slow to compute
            absolute, place = np.unique(np.abs(probe.values), return_inverse=True)
            values = np.concatenate([absolute, -absolute, 16 * absolute, -16 * absolute])
            self.universe.update(place=place, base=probe.index)
            promise = self.adapter.contract
            probe.low, probe.high = rounding.bounds(values, self.rate, promise.scale, self.dtype, promise.offset)
            probe.forget(values)
        shift = (sign + 2 * large.astype(np.int64)) * (len(probe.values) // 4)
        sizes = [shape[i] if probe.pattern.axes[i] in probe.pattern.coins else 1 for i in probe.order]
        spread = shift.reshape(sizes).transpose(np.argsort(probe.order))
        probe.rearrange(self.universe["place"][self.universe["base"]] + spread)
        if self.immutable:
            probe.x = self.adapter.tensor(self.fresh(shape), self.dtype, self.layout)
            probe.bits_before = rounding.bits(self.adapter.array(probe.x), probe.dtype).copy()
        return np.stack([pack(sign), pack(large)])

    def _watch(self, probe: Probe, training: bool) -> None:
        """Look at a reused input after the first two calls on it of each kind: a layer that overwrites it is not asked again
        on what it left there, and gets inputs of its own from then on."""
        seen = self.watched.get((probe.shape, training), 0)
        if seen >= 2:
            return
        self.watched[probe.shape, training] = seen + 1
        self._restore(probe)

    def _restore(self, probe: Probe) -> None:
        """Count an overwritten input, and put another in its place."""
        now = rounding.bits(self.adapter.array(probe.x), probe.dtype)
        if np.array_equal(now, probe.bits_before):
            return
        self.proof.changed_inputs += 1
        self.reuse = False
        self.watched.clear()
        probe.x = self.adapter.tensor(self.fresh(probe.shape), self.dtype, self.layout)

    def _verify_inputs(self) -> None:
        """Reused inputs must be what they were."""
        for probe in self.probes.values():
            self._restore(probe)
