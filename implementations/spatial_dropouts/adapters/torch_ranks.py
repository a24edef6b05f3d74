"""Two data-parallel ranks of torch.distributed on gloo: this process, and one that it starts and that ends with it."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Dict, List, Optional, Tuple

import torch

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.adapters import torch_mode

START_S = 90.0  # importing PyTorch on a busy machine
ANSWER_S = 60.0  # a call of the other rank, or an exchange with it
# In all questions but ``alike`` ranks are seeded seed and seed + 2**31: rank 1 under one seed must not be rank 0 under its
# neighbour, which the checks of neighbouring seeds would rightly take for a copy. Seeds of the suite are below 2**31; the CPU
# generator takes 32 bits.
APART = 1 << 31

# Run by the second interpreter: it finds the packages where this one found them, and serves.
_CHILD = """
import importlib.util, json, os, sys
settings = json.loads(sys.argv[1])
sys.path[:] = settings["path"]
for name, folder in settings["packages"].items():
    start = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location(name, start, submodule_search_locations=[folder])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
from spatial_dropouts.adapters import torch_ranks
torch_ranks.serve(settings)
"""


class Ranked:
    """A layer of rank 0 with the key of its twin of rank 1."""

    def __init__(self, layer: Any, key: int, forgotten: List[int]) -> None:
        self.layer, self.key, self._forgotten = layer, key, forgotten

    def __del__(self) -> None:
        self._forgotten.append(self.key)


class Ranks(torch_mode.Mode):
    """Every call splits its samples between the two ranks; the outputs are gathered by all_gather and put together.

    A batch of one goes to both, as every batch of replicas does, and what rank 1 makes of it is looked at by ``alike`` alone.
    """

    settings: Dict[str, Any] = {}  # what rank 1 is told besides

    def enter(self) -> None:
        """Raises Unsupported without gloo, samples to split, or a target that a second process can load."""
        adapter = self.adapter
        self.child: Optional[subprocess.Popen[bytes]] = None
        self.axis = torch_mode.sample_axis(adapter.contract.pattern)
        origin: Optional[Dict[str, Any]] = getattr(adapter, "origin", None)
        if origin is None:
            raise Unsupported("ranks need a target that a second process can load by its name; this is an object")
        if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
            raise Unsupported("this build of PyTorch has no torch.distributed with gloo")
        if torch.distributed.is_initialized():
            raise Unsupported("this process belongs to a torch.distributed group already; ranks need one of their own")
        if adapter.device.type != "cpu":
            raise Unsupported("the ranks of this mode run on the CPU; leave out --device")
        self.key = 0
        self.forgotten: List[int] = []
        self.seeded_alike = False
        self.whole: bool = adapter.contract.replicas  # every rank has the whole batch
        self.compared = False  # rank 1's output is wanted beside rank 0's
        self.make, self.reseed, self.differentiate = adapter.make, adapter.reseed, adapter.gradient
        try:
            self._start(origin)
        except BaseException:
            self.leave()
            raise
        adapter.make, adapter.reseed, adapter.gradient = self.made, self.reseeded, self.gradient
        adapter.alike = self.alike
        # ranks without a sample axis are another question, which eager answers
        adapter.contract = replace(adapter.contract, ranks=())
        adapter.layouts = lambda: ("contiguous",)  # what travels to the other rank has no strides
        self.without_recomputing("recomputing is a matter of one rank: the target in eager mode is asked")
        adapter.heavy = True
        super().enter()

    def _start(self, origin: Dict[str, Any]) -> None:
        """Start rank 1 in this process's group, so that whoever ends the worker ends it, too, and join it."""
        own, theirs = socket.socketpair()
        self.pipe = Connection(own.detach())
        self.folder = tempfile.TemporaryDirectory()
        settings = {
            "path": sys.path,
            "pipe": theirs.fileno(),
            "store": os.path.join(self.folder.name, "store"),
            **origin,
            **self.settings,
        }
        self.child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, json.dumps(settings)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._answer(START_S)
        join(settings["store"], 0)

    def leave(self) -> None:
        if self.child is None:
            return
        self.pipe.close()  # at its end rank 1 leaves by itself
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(5.0)
        self.child.kill()
        self.child.wait()
        self.child = None
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        self.folder.cleanup()

    def _ask(self, what: str, **request: Any) -> None:
        """Send a request to rank 1; the keys of layers that nobody holds any more go with it."""
        gone, self.forgotten[:] = list(self.forgotten), []
        self.pipe.send({"ask": what, "gone": gone, **request})

    def _answer(self, limit_s: float = ANSWER_S) -> Any:
        """What rank 1 answers. Raises RuntimeError with its words where it raised, ended or does not answer."""
        try:
            if not self.pipe.poll(limit_s):
                raise RuntimeError(f"rank 1 does not answer within {limit_s:g} s")
            answer = self.pipe.recv()
        except (EOFError, OSError):
            raise RuntimeError("rank 1 has ended") from None
        if "error" in answer:
            raise RuntimeError(f"on rank 1: {answer['error']}")
        return answer

    def made(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Ranked:
        """The layer of each rank, seeded apart but for ``alike``."""
        layer = self.make(rate, dtype, seed, way)
        self.key += 1
        self._ask("make", key=self.key, rate=rate, dtype=dtype, seed=self._theirs(seed), way=way)
        self._answer()
        return Ranked(layer, self.key, self.forgotten)

    def reseeded(self, ranked: Ranked, seed: int, way: str) -> Ranked:
        """Both layers after reseeding."""
        ranked.layer = self.reseed(ranked.layer, seed, way)
        self._ask("reseed", key=ranked.key, seed=self._theirs(seed), way=way)
        self._answer()
        return ranked

    def _theirs(self, seed: Optional[int]) -> Optional[int]:
        """The seed of rank 1 where rank 0 has this one."""
        return seed if seed is None or self.seeded_alike else seed + APART

    def alike(self, rate: float, dtype: str, seed: int, way: str, x: Any, times: int) -> Dict[str, Any]:
        """Training calls with both ranks under one seed: outputs, the axis of samples, and whether the layer knows of ranks.

        It knows of them where code of torch.distributed runs inside of its own calls (DTensor, get_rank). Outputs of replicas
        are those of rank 0, and those of rank 1 behind them, along the samples.
        """
        self.seeded_alike, self.compared = True, self.whole
        try:
            layer = self.made(rate, dtype, seed, way)
            eager, seen = self.eager, _Distributed()

            def watched(*given: Any) -> Any:
                with seen:
                    return eager(*given)

            self.eager = watched
            try:
                with torch.no_grad():
                    outputs = [self.apply(layer, x, True) for _ in range(times)]
            finally:
                self.eager = eager
            self.seeded_alike = False
            apart = self._apart(rate, dtype, seed, way, x) if self.whole else None
        finally:
            self.seeded_alike = self.compared = False
        return {"ys": outputs, "axis": self.axis, "knows": seen.ran, "apart": apart}

    def _apart(self, rate: float, dtype: str, seed: int, way: str, x: Any) -> float:
        """The share of elements in which replicas differ that are seeded by rank, in one call."""
        with torch.no_grad():
            one, other = self.apply(self.made(rate, dtype, seed, way), x, True).chunk(2, self.axis)
        return float((one != other).double().mean())

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        """One call of both ranks on their parts of the samples."""
        mine, theirs = self._split(x.detach())
        self._ask("apply", key=layer.key, x=packed(theirs), training=training)
        given = mine.requires_grad_(True) if x.requires_grad else mine
        (y,) = self._together(x, lambda: (self.eager(layer.layer, given, training),))
        return y

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        """Output and gradient, each rank's by its own backward pass."""
        mine, theirs = self._split(x)
        my_cotangent, their_cotangent = self._split(cotangent)
        self._ask("gradient", key=layer.key, x=packed(theirs), cotangent=packed(their_cotangent))
        # the adapter's own way, with eager calls
        y, gradient = self._together(x, lambda: self._own_gradient(layer.layer, mine, my_cotangent))
        return y, gradient

    def _own_gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Any]:
        self.adapter.apply = self.eager
        try:
            y, gradient = self.differentiate(layer, x, cotangent)
        finally:
            self.adapter.apply = self.apply
        return y, torch.zeros_like(x) if gradient is None else gradient

    def _split(self, x: Any) -> Tuple[Any, Any]:
        """The samples of each rank; both have a batch of one, or none, or the whole batch of replicas."""
        rows = x.shape[self.axis]
        if self.whole or rows < 2:
            return x.clone(), x
        first = (rows + 1) // 2
        return x.narrow(self.axis, 0, first).clone(), x.narrow(self.axis, first, rows - first)

    def _together(self, x: Any, own: Any) -> List[Any]:
        """The tensors of both ranks, put together along the samples. Raises what either rank raised."""
        try:
            mine: Tuple[Any, ...] = own()
        except BaseException:
            with contextlib.suppress(RuntimeError):
                self._answer()
                self.pipe.send({"ask": "skip"})
            raise
        kinds = self._answer()["kinds"]
        together = self.compared or (not self.whole and x.shape[self.axis] >= 2)
        for one, (shape, dtype) in zip(mine, kinds):
            if together and (one.dtype != dtype or one.ndim != len(shape)):
                self.pipe.send({"ask": "skip"})
                raise RuntimeError(f"rank 0 returns {one.dtype} of {one.ndim} axes, rank 1 {dtype} of {len(shape)}")
        self.pipe.send({"ask": "gather", "sizes": [one.numel() * one.element_size() for one in mine]})
        whole = []
        for one, (shape, dtype) in zip(mine, kinds):
            size = int(torch.Size(shape).numel()) * torch.empty((), dtype=dtype).element_size()
            other = gathered(one, size)[1].view(dtype).reshape(shape)
            own_part = one.detach()
            whole.append(torch.cat([own_part, other], self.axis) if together else own_part)
        return whole


class _Distributed:
    """A context that sees whether Python code of torch.distributed runs in this thread."""

    def __init__(self) -> None:
        self.ran = False
        self.folder = os.path.dirname(os.path.abspath(str(torch.distributed.__file__))) + os.sep

    def _called(self, frame: Any, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(self.folder):
            self.ran = True

    def __enter__(self) -> None:
        self.before = sys.getprofile()
        sys.setprofile(self._called)

    def __exit__(self, *_: Any) -> None:
        sys.setprofile(self.before)


def join(store: str, rank: int) -> None:
    """Become a rank of the group of two that meets in the file ``store``."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    torch.distributed.init_process_group(
        "gloo",
        store=torch.distributed.FileStore(store, 2),
        rank=rank,
        world_size=2,
        timeout=datetime.timedelta(seconds=ANSWER_S),
    )


def gathered(mine: Any, other_size: int) -> List[Any]:
    """The bytes of both ranks' tensors, by rank; parts of unequal size are padded on their way.

    ``other_size``: bytes of the other rank's tensor. Returns uint8 tensors; the other rank's is cut to its size.
    """
    flat = mine.detach().contiguous().reshape(-1).view(torch.uint8)
    size = max(flat.numel(), other_size)
    padded = torch.zeros(size, dtype=torch.uint8)
    padded[: flat.numel()] = flat
    parts = [torch.empty(size, dtype=torch.uint8) for _ in range(2)]
    torch.distributed.all_gather(parts, padded)
    return [part[:other_size].clone() for part in parts]


def packed(x: Any) -> Tuple[Tuple[int, ...], Any, bytes]:
    """A tensor as (shape, dtype, bytes) for the pipe."""
    whole = x.detach().contiguous()
    return tuple(whole.shape), whole.dtype, whole.reshape(-1).view(torch.uint8).numpy().tobytes()


def unpacked(given: Tuple[Tuple[int, ...], Any, bytes]) -> Any:
    """The inverse of ``packed``."""
    shape, dtype, data = given
    if not data:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


def serve(settings: Dict[str, Any]) -> None:
    """Rank 1: answer requests until the pipe closes, then end this process."""
    pipe = Connection(settings["pipe"])
    try:
        _serve(pipe, settings)
    except (EOFError, OSError):
        pass  # rank 0 has ended
    finally:
        os._exit(0)  # threads of gloo and of a framework must not keep it


def _serve(pipe: Connection, settings: Dict[str, Any]) -> None:
    from spatial_dropouts.adapters import opening

    try:
        adapter: Any = opening.opened(*(settings[k] for k in ("locator", "source", "pattern", "inference")))
    except Exception as error:
        pipe.send({"error": str(error)})
        return
    if "placement" in settings:
        importlib.import_module("spatial_dropouts.adapters.torch_dtensor").serve_as(adapter, settings)
    pipe.send({})
    join(settings["store"], 1)
    layers: Dict[int, Any] = {}
    while True:
        request = pipe.recv()
        for key in request.get("gone", ()):
            layers.pop(key, None)
        try:
            results = _answered(adapter, layers, request)
        except Exception as error:
            pipe.send({"error": f"{type(error).__name__}: {error}"})
            continue
        if results is None:
            pipe.send({})
            continue
        pipe.send({"kinds": [(tuple(one.shape), one.dtype) for one in results]})
        agreed = pipe.recv()
        if agreed["ask"] == "gather":
            for one, size in zip(results, agreed["sizes"]):
                gathered(one, size)


def _answered(adapter: Any, layers: Dict[int, Any], request: Dict[str, Any]) -> Optional[Tuple[Any, ...]]:
    """Do what rank 0 asks; the tensors to gather, or None where there are none."""
    ask, key = request["ask"], request["key"]
    adapter.rows = request.get("rows", 0)
    if ask == "make":
        layers[key] = adapter.make(request["rate"], request["dtype"], request["seed"], request["way"])
        return None
    if ask == "reseed":
        layers[key] = adapter.reseed(layers[key], request["seed"], request["way"])
        return None
    x = unpacked(request["x"])
    if ask == "apply":
        with torch.no_grad():
            return (adapter.apply(layers[key], x, request["training"]).detach(),)
    y, gradient = adapter.gradient(layers[key], x, unpacked(request["cotangent"]))
    return y, torch.zeros_like(x) if gradient is None else gradient
