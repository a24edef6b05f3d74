"""The worker's answers: open a target, make a layer, apply, differentiate, reseed, flip coins."""

from __future__ import annotations

import platform
import sys
import time
import traceback
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

import numpy as np

from dropcheck.contract import outputs
from dropcheck.contract.adapter import Adapter, Lost, Unsupported
from dropcheck.contract.offers import offered
from dropcheck.worker.server import faults, packages, rounding
from dropcheck.worker.server.draw import Stream


class Refusal(Exception):
    """The layer's own exception, told apart from a fault of the worker."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__(faults.said(error))
        self.where = where
        self.error = error


def describe_error(error: BaseException, skip: int = 0) -> Dict[str, Any]:
    """An exception as plain data: its type, its words, and the last lines of its traceback."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    tail = "".join(lines).strip().splitlines()
    return {"type": type(error).__name__, "message": faults.said(error), "traceback": tail[-12:]}


class Worker:
    """Holds one implementation; ``handle`` answers one request. The same object serves a pipe or a library call."""

    def __init__(self) -> None:
        self.adapter: Optional[Adapter] = None
        self.things: Dict[int, Any] = {}
        self.next_id = 0
        self.stopwatch: Any = None
        self.control: Any = None  # the adapter of the framework's own plain layer
        self.of_control: Set[int] = set()  # its layers

    def handle(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Answer one request; never raises: an exception comes back as ``{"error": ..., "where": ...}``."""
        answers: Dict[str, Callable[..., Dict[str, Any]]] = {
            "open": self.open,
            "layers": self.layers,
            "make": self.make,
            "apply": self.apply,
            "alternate": self.alternate,
            "gradient": self.gradient,
            "recompute": self.recompute,
            "reseed": self.reseed,
            "draw": self.draw,
            "seeds": self.seeds,
            "forget": self.forget,
            "bare": self.bare,
            "time": self.time,
            "life": self.life,
        }
        request = dict(request)
        ask = request.pop("ask")
        try:
            return answers[ask](**request)
        except Refusal as refusal:
            return self._raised(refusal.error, refusal.where)
        except Unsupported as error:
            return {"error": describe_error(error), "where": "unsupported"}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit in a layer costs this request, not the worker
            # around a call, inputs are made and outputs described: the layer has no part in it
            return self._raised(error, "worker", alone=ask == "apply" and isinstance(error, Exception))

    def _raised(self, error: BaseException, where: str, alone: bool = False) -> Dict[str, Any]:
        """An exception as an answer; ``fault``: what went wrong where it was raised by the suite's own code."""
        told: Dict[str, Any] = {"error": describe_error(error), "where": where}
        if isinstance(error, Lost):
            told["lost"] = str(error)
        elif alone or faults.ours(error, self.adapter):
            told["fault"] = faults.described(error)
        return told

    def _keep(self, thing: Any) -> int:
        self.next_id += 1
        self.things[self.next_id] = thing
        return self.next_id

    @property
    def driver(self) -> Adapter:
        """The adapter of the opened target."""
        if self.adapter is None:
            raise RuntimeError("no target is open: ask 'open' first")
        return self.adapter

    def open(
        self,
        locator: str,
        source: str,
        pattern: Optional[str],
        mode: str = "eager",
        device: str = "cpu",
        inference: Optional[str] = None,
    ) -> Dict[str, Any]:
        """Load a target, to be run in ``mode`` on ``device``. ``pattern``, ``inference``: instead of what its contract says.

        ``source``: ``user`` (module:attr or file.py:attr), or ``module:function`` of a register.
        """
        from spatial_dropouts.adapters import opening

        start = time.perf_counter()
        try:
            self.adapter = opening.opened(locator, source, pattern, inference)
            _place(self.adapter, device)
            if mode != "eager":
                # a mode of several processes opens the same target in each
                asked = {"locator": locator, "source": source, "pattern": pattern, "inference": inference}
                self.adapter.origin = {**asked, "packages": packages.folders()}  # type: ignore[attr-defined]
                _use(self.adapter, mode)
        except BaseException as error:
            raise Refusal("open", error) from error
        adapter = self.adapter
        return {
            "framework": adapter.framework,
            "version": adapter.version(),
            "contract": adapter.contract.to_dict(),
            "dtypes": list(adapter.dtypes()),
            "layouts": list(adapter.layouts()),
            "guessed": str(offered(adapter, "guessed")),
            "mode": mode,
            "modes": ["eager", *offered(adapter, "modes")],
            "heavy": int(offered(adapter, "heavy")),
            "widest": int(offered(adapter, "widest")),
            "inference": bool(offered(adapter, "inference")),
            "records": bool(offered(adapter, "records")),
            "overwrites": bool(offered(adapter, "overwrites")),
            "switches": list(offered(adapter, "switches")),
            "returns_weights": bool(offered(adapter, "returns_weights")),
            "fixed": dict(offered(adapter, "fixed")),
            "gradients": adapter.gradients() and adapter.contract.gradient,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "open_s": time.perf_counter() - start,
        }

    def layers(self, locator: str, shape: Optional[List[int]] = None) -> Dict[str, Any]:
        """The dropout layers of a model with what each did in forward passes; nothing needs to be open for it."""
        from spatial_dropouts.adapters import models_base

        try:
            return models_base.survey(locator, shape)
        except BaseException as error:
            raise Refusal("open", error) from error

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str, control: bool = False) -> Dict[str, Any]:
        """A fresh layer; the constructor's refusal is an answer, not a fault. One that no seed reaches is given none.

        ``control``: the framework's own plain Dropout instead of the target's, to be asked the same. Optional in an adapter:
        ``control()``, a like adapter of that layer in the same mode, or None. Raises Unsupported where there is none, or where
        the target itself is a layer of the framework's own.
        """
        if not self.driver.contract.seeds:
            seed = None
        try:
            if control:
                self.control = self.control or _control(self.driver)
                kept = self._keep(self.control.make(rate, dtype, seed, way))
                self.of_control.add(kept)
                return {"id": kept}
            return {"id": self._keep(self.driver.make(rate, dtype, seed, way))}
        except Unsupported:
            raise
        except BaseException as error:
            raise Refusal("construct", error) from error

    def reseed(self, id: int, seed: int, way: str) -> Dict[str, Any]:
        """The layer after reseeding, under its old or a new id."""
        layer = self.driver.reseed(self.things[id], seed, way)
        if layer is self.things[id]:
            return {"id": id}
        return {"id": self._keep(layer)}

    def apply(
        self,
        id: int,
        x: Any,
        dtype: str,
        layout: str,
        training: bool,
        record: bool,
        times: int = 1,
        then: bool = False,
    ) -> Dict[str, Any]:
        """``times`` calls on one input: outputs as the adapter returns arrays, and what happened to the input.

        ``then``: an inference call follows, whose output counts for nothing but what it does to input and earlier results.
        """
        adapter = self.driver
        native = first_given = adapter.tensor(np.asarray(x), dtype, layout)
        before = rounding.bits(adapter.array(native), dtype).copy()
        given = tracked = adapter.track(native) if record else native
        outputs: List[Any] = []
        first = None
        overwritten = False
        try:
            with adapter.recording(record):
                for number in range(times):
                    y = adapter.apply(self.things[id], given, training)
                    if first is None:
                        first = y
                    outputs.append(_copied(adapter, y))
                    asked_again = number + 1 < times and not offered(adapter, "immutable")
                    if asked_again and not np.array_equal(before, rounding.bits(adapter.array(native), dtype)):
                        # what it did to this input is told once: the next call gets the values that it was meant to have
                        overwritten = True
                        native = adapter.tensor(np.asarray(x), dtype, layout)
                        given = adapter.track(native) if record else native
                if then:
                    adapter.apply(self.things[id], given, False)
        except Unsupported:
            raise
        except BaseException as error:
            raise Refusal("call", error) from error
        kept = np.asarray(adapter.array(first))
        after = rounding.bits(adapter.array(native), dtype)
        return {
            "ys": outputs,
            "dtype": adapter.dtype_of(first),
            "shape": list(outputs[0].shape),
            "input_changed": overwritten or not np.array_equal(before, after),
            # a later call must not reach back into an earlier result
            "earlier_changed": not _same_array(kept, outputs[0]),
            "same_object": first is first_given or first is tracked or _shares(adapter, first, first_given),
        }

    def alternate(self, id: int, **request: Any) -> Dict[str, Any]:
        """Training and inference calls in turn on one layer, each compared with its input: see ``alternating``.

        Optional in an adapter: ``switches`` (further ways of telling a layer that it trains or infers, in words) and
        ``switched(layer, x, training, way)``, one call after such a way. One without them has its own way alone.
        """
        from dropcheck.worker.server.alternating import alternate

        return {"answers": alternate(self.driver, self.things[id], request)}

    def gradient(self, id: int, x: Any, dtype: str, cotangent: Any, training: bool = True) -> Dict[str, Any]:
        """One call and its gradient.

        In inference, what the adapter offers: ``inference_gradient(layer, x, cotangent)``, as ``gradient``; optional.
        """
        adapter = self.driver
        differentiate = adapter.gradient if training else offered(adapter, "inference_gradient")
        if differentiate is None:
            raise Unsupported(f"the adapter of {adapter.framework} asks for no gradient in inference")
        try:
            y, grad = differentiate(
                self.things[id],
                adapter.tensor(np.asarray(x), dtype, "contiguous"),
                adapter.tensor(np.asarray(cotangent), dtype, "contiguous"),
            )
        except Unsupported:
            raise
        except BaseException as error:
            raise Refusal("gradient", error) from error
        return _differentiated(adapter, y, grad)

    def recompute(self, id: int, x: Any, dtype: str, cotangent: Any, times: int) -> Dict[str, Any]:
        """``times`` training calls under each way of checkpointing that the adapter has: outputs and gradients.

        A way that raises is told as such, by ``error`` or ``unsupported``, and the others are asked all the same.

        Optional in an adapter: ``recompute(layer, x, cotangent, way) -> (output, gradient or None)`` for each of its
        ``recompute_ways``. Raises Unsupported where the adapter has none.
        """
        adapter: Any = self.control if id in self.of_control else self.driver
        ways: Tuple[str, ...] = offered(adapter, "recompute_ways")
        if not ways:
            raise Unsupported(f"{adapter.framework} has no checkpointing here that this adapter can ask for")
        answers: List[Dict[str, Any]] = []
        for way in ways:
            for call in range(1, times + 1):
                told = {"way": way, "call": call}
                try:
                    y, grad = adapter.recompute(
                        self.things[id],
                        adapter.tensor(np.asarray(x), dtype, "contiguous"),
                        adapter.tensor(np.asarray(cotangent), dtype, "contiguous"),
                        way,
                    )
                    answers.append({**told, **_differentiated(adapter, y, grad)})
                except KeyboardInterrupt:
                    raise
                except Unsupported as reason:
                    answers.append({**told, "unsupported": str(reason)})
                    break
                except BaseException as error:
                    if faults.ours(error, adapter):
                        raise
                    answers.append({**told, "error": describe_error(error)})
                    break
        return {"answers": answers}

    def start(self, id: int, stream: Dict[str, Any]) -> None:
        """Open a stream of calls under an id that the asker chose; see ``draw.Stream``."""
        try:
            self.things[id] = Stream(self.driver, stream)
        except Unsupported:
            raise
        except BaseException as error:
            raise Refusal("construct", error) from error

    def draw(self, id: int, calls: int, stream: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Further calls of a stream; with ``stream``, its first ones."""
        start = time.perf_counter()
        if stream is not None:
            self.start(id, stream)
        try:
            answer: Dict[str, Any] = self.things[id].draw(calls)
        except Unsupported:
            raise
        except BaseException as error:
            raise Refusal("call", error) from error
        answer["gather_s"] = time.perf_counter() - start
        return answer

    def seeds(self, id: int, seeds: List[int], calls: int, fresh: bool, stream: Dict[str, Any]) -> Dict[str, Any]:
        """Calls under many seeds."""
        start = time.perf_counter()
        self.start(id, stream)
        try:
            answer: Dict[str, Any] = self.things[id].seeds(seeds, calls, fresh)
        except Unsupported:
            raise
        except BaseException as error:
            raise Refusal("call", error) from error
        answer["gather_s"] = time.perf_counter() - start
        return answer

    def bare(
        self,
        rate: float,
        dtype: str,
        shape: List[int],
        calls: int,
        layout: str = "contiguous",
        record: bool = False,
        way: Optional[str] = None,
        seeds: int = 1,
    ) -> Dict[str, Any]:
        """Seconds of ``calls`` calls in a plain loop, once for each of ``seeds`` fresh layers: the yardstick for the cost."""
        adapter = self.driver
        way = way or (adapter.contract.seeds[0] if adapter.contract.seeds else "global")
        x = adapter.tensor(rounding.pool(dtype, int(np.prod(shape)), 3).reshape(shape), dtype, layout)
        adapter.apply(adapter.make(rate, dtype, 1, way), x, True)
        start = time.perf_counter()
        for seed in range(seeds):
            layer = adapter.make(rate, dtype, seed if adapter.contract.seeds else None, way)
            if record:
                for _ in range(calls):
                    given = adapter.track(x)
                    with adapter.recording(True):
                        adapter.apply(layer, given, True)
            else:
                with adapter.recording(False):
                    for _ in range(calls):
                        adapter.apply(layer, x, True)
        return {"bare_s": time.perf_counter() - start}

    def time(self, do: str, **request: Any) -> Dict[str, Any]:
        """A request of the clock: ``threads``, ``setup``, ``run``, ``compile``, ``state`` or ``end``; see ``timing.Stopwatch``."""
        from dropcheck.worker.server import timing

        if self.stopwatch is None:
            self.stopwatch = timing.stopwatch(self.driver)
        try:
            answer: Dict[str, Any] = getattr(self.stopwatch, do)(**request)
            return answer
        except timing.Stopped as stopped:
            raise Refusal(stopped.where, stopped.error) from stopped

    def life(self, do: str, **request: Any) -> Dict[str, Any]:
        """A question about daily use: a function of ``daily``; see ``life``."""
        from dropcheck.worker.server import daily

        try:
            return daily.QUESTIONS[do](self, **request)
        except Unsupported:
            raise
        except BaseException as error:
            raise Refusal(do, error) from error

    def forget(self, id: int) -> Dict[str, Any]:
        """Drop a layer or a stream, so that memory stays flat."""
        self.things.pop(id, None)
        return {}


def _control(adapter: Any) -> Any:
    """The adapter's twin for the framework's own plain layer. Raises Unsupported where there is none or nothing to tell apart."""
    package = adapter.framework.partition("@")[0].partition("-")[0]
    mine = offered(adapter, "obj")
    for thing in (mine, type(mine)):
        if (getattr(thing, "__module__", None) or "").partition(".")[0] == package:
            raise Unsupported(f"the layer is {adapter.framework}'s own")
    made = offered(adapter, "control")()
    if made is None:
        raise Unsupported(f"the adapter of {adapter.framework} names no plain layer of its framework")
    return made


def _place(adapter: Any, device: str) -> None:
    """Have the adapter's layers and tensors live on a device. Raises Unsupported with the reason where they cannot.

    Optional in an adapter: ``place(device)``, called once, before ``use`` and before any layer is made. One without it runs on
    the CPU.
    """
    place = offered(adapter, "place")
    if place is None and device == "cpu":
        return
    if place is None:
        raise Unsupported(f"the adapter of {adapter.framework} runs on the CPU only; leave out --device {device}")
    place(device)


def _use(adapter: Any, mode: str) -> None:
    """Have the adapter run its layers in a mode. Raises Unsupported with the reason where it cannot.

    Optional in an adapter: ``modes`` (the words that it knows) and ``use(mode)``, called once, before any layer is made; it
    may change the contract (a mode in which samples share their coins by intention) and raises Unsupported itself where
    this object or machine has no such mode.
    """
    known = tuple(offered(adapter, "modes"))
    if mode not in known:
        has = f"its modes are eager, {', '.join(known)}" if known else "it has no mode but eager"
        raise Unsupported(f"mode {mode!r} does not exist for {adapter.framework} here; {has}")
    adapter.use(mode)


def _copied(adapter: Adapter, output: Any) -> Any:
    """A copy of a layer's output as a NumPy array. Raises TypeError that says what came instead of a tensor."""
    outputs.check(output)
    try:
        found = np.array(adapter.array(output), copy=True)
    except (TypeError, AttributeError, ValueError):
        found = None
    if found is None or found.dtype.kind == "O":
        raise TypeError(f"the layer returned a {type(output).__name__}, expected a tensor like its input")
    return found


def _differentiated(adapter: Adapter, y: Any, grad: Any) -> Dict[str, Any]:
    """Output and gradient of one call as plain data; the gradient may be None."""
    return {
        "y": np.array(adapter.array(y), copy=True),
        "dtype": adapter.dtype_of(y),
        "gradient": None if grad is None else np.array(adapter.array(grad), copy=True),
        "gradient_dtype": None if grad is None else adapter.dtype_of(grad),
    }


def _same_array(a: Any, b: Any) -> bool:
    return (
        a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(a.view(np.uint8), b.view(np.uint8)))
        if a.flags.c_contiguous and b.flags.c_contiguous and a.ndim
        else bool(np.array_equal(a, b))
    )


def _shares(adapter: Adapter, one: Any, two: Any) -> bool:
    """Whether two tensors share memory, as far as NumPy can see."""
    if adapter.framework.endswith(("tensorflow", "jax")):  # their arrays reach NumPy as copies
        return one is two
    try:
        a: Tuple[Any, Any] = (adapter.array(one), adapter.array(two))
        return a[0].size > 0 and bool(np.shares_memory(a[0], a[1]))
    except Exception:  # too hard to decide: it is only a trait
        return False


def main() -> int:
    """Module entry for tests: the version of Python and NumPy that serve."""
    sys.stdout.write(f"{platform.python_version()} {np.__version__}\n")
    return 0
