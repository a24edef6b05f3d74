"""The modes of PyTorch: one small class for each way in which a layer is run beside a plain eager call."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any, Callable, ClassVar, Dict, List, Mapping, Tuple

import torch

from dropcheck.contract.adapter import Unsupported
from dropcheck.contract.promise import Pattern
from spatial_dropouts.adapters.torch_mode import Mode, sample_axis

# Compiled inputs of at least so many elements meet a kernel of their own shape, as a training loop with one batch size has
# it; smaller ones share a kernel of symbolic sizes. Every pair of rate and dtype costs a compilation of about a second.
_STATIC_ELEMENTS = 1 << 15
_INSIDE = "checkpoint-in-compiled"


class Compiled(Mode):
    """torch.compile with inductor. ``runs``: how often compiled code was entered; ``compilations``: how often it was made."""

    options: ClassVar[str] = ""  # a mode of torch.compile

    def __init__(self, adapter: Any) -> None:
        super().__init__(adapter)
        self.runs = self.compilations = 0
        self.layer: Any = None
        self.calls: Dict[bool, Callable[..., Any]] = {}
        # two backends, since compiled code is looked up by its backend: shapes of one must not be served by the other
        self.backends = {dynamic: self._backend() for dynamic in (False, True)}
        self.patched: List[Tuple[Any, str, Any]] = []

    def enter(self) -> None:
        """Raises Unsupported where torch.compile cannot compile (no C++ compiler, a Python that it does not know)."""
        self._configure()
        try:
            torch.compile(lambda x: x + 1, backend=self.backends[False])(torch.ones(3, device=self.adapter.device))
        except Exception as error:  # whatever is missing, its first lines say so
            words = " ".join(line.strip() for line in str(error).splitlines()[:2])
            self.leave()
            raise Unsupported(
                f"torch.compile does not work here ({type(error).__name__}: {words[:200]}); on a CPU it takes a C++ "
                "compiler such as g++"
            ) from error
        self.adapter.heavy = True
        # a compilation for every dtype and rate: all four dtypes take twice as long, and inductor draws float32 in each
        self.adapter.dtypes = lambda: ("float32", "bfloat16")
        self.around = self.adapter.recompute
        self.adapter.recompute = self.recompute
        self.adapter.recompute_ways = (*self.adapter.recompute_ways, _INSIDE)
        super().enter()

    def _configure(self) -> None:
        """No limit after which PyTorch goes on in eager mode without a word; compilation in this process alone."""
        import torch._dynamo.config as dynamo
        import torch._inductor.config as inductor

        wanted = [(dynamo, name, 1 << 20) for name in ("recompile_limit", "cache_size_limit")]
        wanted += [(dynamo, f"accumulated_{name}", 1 << 20) for name in ("recompile_limit", "cache_size_limit")]
        wanted += [(dynamo, name, True) for name in ("fail_on_recompile_limit_hit", "fail_on_cache_limit_hit")]
        wanted += [(dynamo, "suppress_errors", False), (inductor, "compile_threads", 1)]
        for module, name, value in wanted:
            if hasattr(module, name):  # names differ between releases
                self.patched.append((module, name, getattr(module, name)))
                setattr(module, name, value)

    def leave(self) -> None:
        while self.patched:
            module, name, value = self.patched.pop()
            setattr(module, name, value)

    def _backend(self) -> Callable[[Any, Any], Any]:
        """Inductor, whose compiled graphs count their runs."""

        def backend(graph: Any, inputs: Any) -> Any:
            from torch._inductor.compile_fx import compile_fx

            options = torch._inductor.list_mode_options(self.options) if self.options else None
            compiled: Any = compile_fx(graph, inputs, config_patches=options)
            self.compilations += 1

            def run(*given: Any) -> Any:
                self.runs += 1
                return compiled(*given)

            return run

        return backend

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        """One call. Raises RuntimeError where a training call did something, but not in compiled code."""
        module = isinstance(layer, torch.nn.Module)
        if module and layer.training != training:
            layer.train(training)
        if layer is not self.layer:
            self.layer = layer
            call = layer if module else lambda given, training: self.eager(layer, given, training)
            # the compiled code belongs to the code of the layer and to the backend: another layer like it has it already
            self.calls = {d: torch.compile(call, backend=b, dynamic=d) for d, b in self.backends.items()}
        call = self.calls[x.numel() < _STATIC_ELEMENTS]
        before = self.runs
        y = self.called(call, (x,) if module else (x, training))
        # a layer that returns its input, at rate 0, leaves the compiler nothing to compile
        if training and y is not x and not (self.runs == before and _same(y, x)):
            self._ran_since(before)
        return y

    def _ran_since(self, runs: int) -> None:
        if self.runs == runs:
            raise RuntimeError(
                "the call ran outside compiled code, although it was compiled: this is no compiled audit"
            )

    def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Any]:
        """The adapter's own ways are checkpoints around compiled code; one more is a checkpoint inside of it."""
        if way != _INSIDE:
            return self.around(layer, x, cotangent, way)
        from torch.utils.checkpoint import checkpoint

        call = layer if isinstance(layer, torch.nn.Module) else lambda given: self.eager(layer, given, True)
        whole = torch.compile(
            lambda given: checkpoint(call, given, use_reentrant=False), backend=self.backends[True], dynamic=True
        )
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            before = self.runs
            y = whole(x)
            self._ran_since(before)
            if not y.requires_grad:
                return y.detach(), None
            (gradient,) = torch.autograd.grad(y, x, cotangent, allow_unused=True)
        return y.detach(), gradient

    def called(self, call: Callable[..., Any], given: Tuple[Any, ...]) -> Any:
        """The compiled call itself."""
        return call(*given)


class ReduceOverhead(Compiled):
    """torch.compile, mode reduce-overhead: CUDA graphs on a GPU.

    On a CPU there is no graph and it compiles as the default does, so that one dtype is enough there. On a GPU the next
    replay overwrites an output: every output is copied before it is returned.
    """

    options = "reduce-overhead"

    def enter(self) -> None:
        super().enter()
        if self.adapter.device.type == "cpu":
            self.adapter.dtypes = lambda: ("float32",)

    def called(self, call: Callable[..., Any], given: Tuple[Any, ...]) -> Any:
        if self.adapter.device.type != "cuda":
            return call(*given)
        torch.compiler.cudagraph_mark_step_begin()
        return call(*given).clone()


class Vmapped(Mode):
    """torch.func.vmap over the samples. Each enters as a batch of one, so that the layer sees the rank of its contract."""

    randomness: ClassVar[str] = "different"

    def enter(self) -> None:
        """Raises Unsupported where the contract has no sample axis to map over."""
        contract = self.adapter.contract
        self.axis = sample_axis(contract.pattern)
        # ranks without a sample axis are another question, which eager answers
        self.adapter.contract = replace(contract, pattern=self.pattern(contract.pattern), ranks=())
        self.adapter.heavy = True
        super().enter()

    def pattern(self, pattern: Pattern) -> Pattern:
        """What the mapped layer follows where the layer follows ``pattern``."""
        return pattern

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        axis = self.axis

        def one(sample: Any) -> Any:
            return self.eager(layer, sample.unsqueeze(axis), training).squeeze(axis)

        return torch.func.vmap(one, in_dims=axis, out_dims=axis, randomness=self.randomness)(x)


class VmappedSame(Vmapped):
    """The same with randomness='same': by intention all samples share their coins."""

    randomness = "same"

    def pattern(self, pattern: Pattern) -> Pattern:
        """Raises Unsupported where the samples are the only coin axis, so that nothing would be left to check."""
        kept = tuple(axis for axis in pattern.coins if axis != pattern.axes[self.axis])
        if not kept:
            raise Unsupported(
                f"under '{pattern}' samples that share their coins leave one coin a call: nothing to check"
            )
        return Pattern(pattern.axes, kept)


class Checkpointed(Mode):
    """Training calls under torch.utils.checkpoint (not reentrant): a backward pass runs the forward pass again."""

    preserve: ClassVar[bool] = True

    def enter(self) -> None:
        """Raises Unsupported for a layer that draws from a source of its own, whose state PyTorch does not keep."""
        if self.adapter.implementation.seed is not None or "global" not in self.adapter.contract.seeds:
            raise Unsupported(
                "the layer does not draw from PyTorch's generator, the only one whose state checkpointing restores"
            )
        self.without_recomputing("in this mode every training call is recomputed: gradient.mask judges it")
        super().enter()

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        from torch.utils.checkpoint import checkpoint

        if not training:
            return self.eager(layer, x, False)
        recording = torch.is_grad_enabled()
        with torch.enable_grad():  # without a gradient to come, checkpointing does nothing
            given = x if x.requires_grad else x.detach().requires_grad_(True)
            y = checkpoint(
                lambda one: self.eager(layer, one, True),
                given,
                use_reentrant=False,
                preserve_rng_state=self.preserve,
            )
        return y if recording and x.requires_grad else y.detach()


class CheckpointedUnpreserved(Checkpointed):
    """The same without the random state: the recomputed pass draws other coins, as PyTorch's documentation warns."""

    preserve = False


class InPlace(Mode):
    """The layer's own in-place variant, on a copy of the input as it stands between two layers of a network.

    What is returned is what the copy holds after the call: who calls a layer in place reads it there.
    """

    def enter(self) -> None:
        """Raises Unsupported for a layer without ``inplace``."""
        self.argument = _takes_inplace(self.adapter.obj)
        if not self.argument and not self._has_attribute():
            raise Unsupported("the layer has no in-place variant: no argument or attribute named 'inplace'")
        self.adapter.overwrites = True
        if self.argument and not isinstance(self.adapter.obj, (type, torch.nn.Module)):
            implementation = self.adapter.implementation
            # functions take it with every call, and classes and factories when they are called
            self.adapter.implementation = replace(implementation, options={**implementation.options, "inplace": True})
        super().enter()

    def _has_attribute(self) -> bool:
        layer = self.adapter.obj
        if not isinstance(layer, torch.nn.Module):
            try:
                layer = self.adapter.implementation.construct(layer, 0.5)
            except Exception:  # it is constructed again, and judged, when it is audited
                return False
        return isinstance(getattr(layer, "inplace", None), bool)

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        if isinstance(layer, torch.nn.Module):
            layer.inplace = True
        given = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device)
        given.copy_(x)  # of memory and strides like the input's; differentiable, and no leaf
        y = self.eager(layer, given, training)
        if y is not given and not (y.shape == given.shape and torch.equal(y, given)):
            raise RuntimeError("the in-place variant returned something else than it left in its input")
        return given


class Autocast(Mode):
    """Under torch.autocast to bfloat16."""

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        with torch.autocast(self.adapter.device.type, dtype=torch.bfloat16):
            return self.eager(layer, x, training)


class CudaGraph(Mode):
    """Replays of one CUDA graph for every layer, shape and dtype, captured once; inference is eager.

    Tests have its order of calls alone, with a capture that is none; reports/gpu has what an H200 said.
    """

    def enter(self) -> None:
        """Raises Unsupported without a CUDA device."""
        self.adapter.place("cuda" if self.adapter.device.type == "cpu" else str(self.adapter.device))
        self.layer: Any = None
        self.captured: Dict[Tuple[Any, ...], Tuple[Any, Any, Callable[[], Any]]] = {}
        self.adapter.gradients = lambda: False  # the graph holds the forward pass alone
        self.without_recomputing("a captured graph has no backward pass")
        self.adapter.heavy = True
        super().enter()

    def capture(self, layer: Any, x: Any) -> Tuple[Any, Any, Callable[[], Any]]:
        """(static input, static output, replay): one training call, recorded after three that warm up."""
        static = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device)
        static.copy_(x)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(stream):
            for _ in range(3):
                self.eager(layer, static, True)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            output = self.eager(layer, static, True)
        return static, output, graph.replay

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        if not training or x.numel() == 0:
            return self.eager(layer, x, training)
        if layer is not self.layer:  # the graphs of one layer at a time: each holds memory of its own
            self.layer = layer
            self.captured = {}
        key = (tuple(x.shape), tuple(x.stride()), x.dtype)
        if key not in self.captured:
            state = torch.cuda.get_rng_state(self.adapter.device) if x.is_cuda else torch.get_rng_state()
            self.captured[key] = self.capture(layer, x)
            # warming up must not move the generator on: the first replay draws what a first call draws
            if x.is_cuda:
                torch.cuda.set_rng_state(state, self.adapter.device)
            else:
                torch.set_rng_state(state)
        static, output, replay = self.captured[key]
        static.copy_(x)
        replay()
        return output.clone()


def _ranks(adapter: Any) -> Mode:
    from spatial_dropouts.adapters.torch_ranks import Ranks

    return Ranks(adapter)


def _dtensor(placement: str) -> Callable[[Any], Mode]:
    def made(adapter: Any) -> Mode:
        from spatial_dropouts.adapters.torch_dtensor import Placed

        return Placed(adapter, placement)

    return made


def _takes_inplace(function: Any) -> bool:
    try:
        return "inplace" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


MODES: Mapping[str, Callable[[Any], Mode]] = {
    "compiled": Compiled,
    "reduce-overhead": ReduceOverhead,
    "vmap-different": Vmapped,
    "vmap-same": VmappedSame,
    "checkpoint": Checkpointed,
    "checkpoint-unpreserved": CheckpointedUnpreserved,
    "in-place": InPlace,
    "autocast": Autocast,
    "cuda-graph": CudaGraph,
    "ranks": _ranks,
    "dtensor-shard": _dtensor("shard"),
    "dtensor-replicate": _dtensor("replicate"),
}


def _same(output: Any, given: Any) -> bool:
    """Whether an output is its input, element by element."""
    return isinstance(output, torch.Tensor) and output.shape == given.shape and bool(torch.equal(output, given))
