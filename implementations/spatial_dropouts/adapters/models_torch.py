"""PyTorch models: dropout modules are found, fed by hooks inside real forward passes, and read with their neighbours."""

from __future__ import annotations

import contextlib
import difflib
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch

from spatial_dropouts.adapters import sites_torch, torch_programs
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import STILL, Use, expected_of, rate_of, timed, wanted

_LAST = ("Embedding", "EmbeddingBag", "Linear", "LSTM", "GRU", "RNN", "LayerNorm", "RMSNorm", "MultiheadAttention")
_FIRST = ("Conv", "BatchNorm", "InstanceNorm", "GroupNorm", "LazyConv", "LazyBatchNorm")
_OUT = ("embedding_dim", "out_features", "out_channels", "hidden_size", "num_features", "num_channels", "embed_dim")
_IN = ("in_features", "in_channels", "input_size", "num_features", "num_channels", "embed_dim")
_KNOWN = torch.nn.modules.dropout._DropoutNd


def is_model(thing: Any) -> bool:
    """A module with modules inside; a leaf is a layer."""
    return any(True for _ in torch_programs.unwrapped(thing).children())


def inside(model: Any, path: str) -> Any:
    found = dict(torch_programs.unwrapped(model).named_modules())
    if path not in found:
        near = difflib.get_close_matches(path, [n for n in found if n], 1, 0.0)
        raise NoDropout(f"the model has no module {path!r}" + (f"; the nearest is {near[0]!r}" if near else ""))
    return found[path]


def _candidates(model: Any) -> Dict[str, Tuple[Any, str]]:
    """Modules that may drop, with what speaks for it; modules that hold others are looked at inside."""
    found: Dict[str, Tuple[Any, str]] = {}
    for name, module in model.named_modules():
        if not name or any(True for _ in module.children()):
            continue
        if isinstance(module, _KNOWN):
            found[name] = (module, "class")
        elif "drop" in type(module).__name__.lower():
            found[name] = (module, "name")
        elif rate_of(module) is not None and not list(module.parameters(False)):
            found[name] = (module, "rate")
        else:
            found[name] = (module, "behaviour")
    return found


def survey(
    model: Any, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """Uses of dropout layers in forward passes in training, and what cannot be seen. The model is left as it was."""
    compiled, model = model, torch_programs.unwrapped(model)
    unasked: Dict[str, str] = {}
    with sites_torch.left_alone(model), torch.no_grad():
        torch_programs.refuse(model, lambda: _arguments(model, sample, shape))
        model.train()
        args, kwargs, how = _arguments(model, sample, shape)
        uses = _observe(model, args, kwargs, calls, seconds, unasked)
    notes = [how] if how else []
    if compiled is not model:
        notes.append("the model is compiled, and its layers are asked as they stand in the module that was compiled")
    reached = {use.name for use in uses}
    for name, (module, by) in _candidates(model).items():
        if name not in reached and name in unasked and by in ("class", "name", "rate"):
            notes.append(
                f"{name} ({type(module).__name__}) is called with {unasked[name]}: only floating-point tensors are asked"
            )
    return uses, notes


def sites(model: Any, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. ``reached``: the layers that are audited in place."""
    model = torch_programs.unwrapped(model)
    with sites_torch.left_alone(model), torch.no_grad():
        args, kwargs, _ = _arguments(model, sample, shape)
    return sites_torch.found(model, args, kwargs, reached)


def _arguments(model: Any, sample: Any, shape: Optional[Sequence[int]]) -> Tuple[Any, Dict[str, Any], str]:
    """Arguments of a forward pass that runs, and a remark where they were guessed. Raises NoDropout where none does."""
    if sample is not None:
        if isinstance(sample, dict):
            choices: List[Tuple[Any, Dict[str, Any], str]] = [((), sample, "")]
        else:
            one = sample if isinstance(sample, (tuple, list)) else (sample,)
            choices = [(tuple(torch.as_tensor(v) if isinstance(v, np.ndarray) else v for v in one), {}, "")]
    elif shape is not None:
        choices = [((torch.randn(*shape),), {}, ""), ((torch.zeros(*shape, dtype=torch.long),), {}, "")]
    else:
        choices = [((x,), {}, f"input guessed: {tuple(x.shape)} {str(x.dtype)[6:]}") for x in _guesses(model)]
        if not choices:
            raise wanted(f"{type(model).__name__} is a model without a sample input", "its input cannot be guessed")
    said = ""
    for args, kwargs, how in choices:
        try:
            model(*args, **kwargs)
            return args, kwargs, how
        except Exception as error:
            said = said or f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
    given = "the given input" if shape is not None or sample is not None else "an input guessed from its first layer"
    raise wanted(f"the model {type(model).__name__} does not run on {given}", said)


def _guesses(model: Any) -> List[Any]:
    for module in model.modules():
        kind = type(module).__name__
        if kind.startswith("Embedding"):
            return [torch.arange(4 * 11).reshape(4, 11) % module.num_embeddings]
        if kind.startswith("Conv") and "Transpose" not in kind:
            rank = len(module.kernel_size)
            return [torch.randn(4, module.in_channels, *(11 * 2, 26, 18)[:rank])]
        size = next(
            (getattr(module, n) for n in ("in_features", "input_size", "embed_dim") if hasattr(module, n)), None
        )
        if size is not None:
            rank2 = [torch.randn(4, size)]
            return rank2 + [torch.randn(4, 11, size)] if kind == "Linear" else [torch.randn(4, 11, size)] + rank2
    return []


class _Watch:
    """Hooks on every leaf and on candidates: the order of execution, what tensors mean, and the outputs of candidates."""

    def __init__(self, candidates: Dict[str, Tuple[Any, str]], swapping: bool) -> None:
        self.candidates, self.swapping = candidates, swapping
        self.uses: Dict[Tuple[str, int], Use] = {}
        self.seen: Dict[str, int] = {}
        self.trace: List[Tuple[str, Any, Any, Any]] = []  # (name, module, input, output) of the first call
        self.tracing = self.still = False
        self.unasked: Dict[str, str] = {}  # layers that are called with something else than a floating-point tensor

    def before(self, name: str) -> Any:
        def hook(module: Any, given: Any) -> Any:
            x = given[0] if given else None
            if x is None or not self.swapping or name not in self.candidates:
                return None
            if words := torch_programs.unasked(x):
                self.unasked[name] = words
                return None
            use = self._use(name, module, x)
            if use is None:
                return None
            return (torch.as_tensor(use.x).to(x.dtype).to(x.device).reshape(x.shape), *given[1:])

        return hook

    def _use(self, name: str, module: Any, x: Any) -> Optional[Use]:
        key = (name, self.seen.get(name, 0))
        if key not in self.uses:
            kind = type(module).__name__
            use = Use(name, kind, self.candidates[name][1], rate_of(module), x.shape)
            use.use = key[1]
            use.expected = expected_of(kind)
            use.plain = "Alpha" not in kind
            if kind in ("Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"):
                use.own_channel = 1 if x.ndim > 2 else None
            self.uses[key] = use
        return self.uses[key] if self.uses[key].shape == tuple(x.shape) else None

    def after(self, name: str) -> Any:
        def hook(module: Any, given: Any, output: Any) -> None:
            y = output[0] if isinstance(output, (tuple, list)) and output else output
            x = given[0] if given else None
            nested = any(getattr(one, "is_nested", False) for one in (x, y))
            if self.tracing and torch.is_tensor(x) and torch.is_tensor(y) and not nested:
                self.trace.append((name, module, x, y))
            if name in self.candidates and self.swapping:
                use = self.uses.get((name, self.seen.get(name, 0)))
                if use is not None and torch.is_tensor(y) and tuple(y.shape) == use.shape:
                    use.take(y[use.cut].detach().double().cpu().numpy(), self.still)
                self.seen[name] = self.seen.get(name, 0) + 1

        return hook


def _observe(model: Any, args: Any, kwargs: Any, calls: int, seconds: float, unasked: Dict[str, str]) -> List[Use]:
    candidates = _candidates(model)
    leaves = [(n, m) for n, m in model.named_modules() if n and (n in candidates or _convention(m) is not None)]
    trace = _hooked(model, leaves, _Watch(candidates, False), lambda: model(*args, **kwargs), 1, seconds, True).trace
    watch = _hooked(model, leaves, _Watch(candidates, True), lambda: model(*args, **kwargs), calls, seconds, False)
    unasked.update(watch.unasked)
    model.eval()
    watch.still = True
    with contextlib.suppress(Exception):  # a model that runs in training only: inference is not looked at
        _hooked(model, leaves, watch, lambda: model(*args, **kwargs), STILL, seconds, False)
    uses = [use for use in watch.uses.values() if use.found_by in ("class", "name", "rate") or _drops(use)]
    for use in uses:
        _neighbours(use, trace)
        # an LSTM, or attention, that takes time first tells which axis the batch is on
        if len(use.shape) == 3 and use.channel == 2:
            use.batch = int(
                any(getattr(m, "batch_first", True) is False and x.shape[:2] == use.shape[:2] for _, m, x, _ in trace)
            )
    return uses


def _hooked(model: Any, leaves: Any, watch: _Watch, forward: Any, calls: int, seconds: float, tracing: bool) -> _Watch:
    handles = [m.register_forward_pre_hook(watch.before(n)) for n, m in leaves]
    handles += [m.register_forward_hook(watch.after(n)) for n, m in leaves]
    watch.tracing = tracing

    def once() -> None:
        watch.seen.clear()
        forward()

    try:
        timed(once, calls, seconds)
    finally:
        for handle in handles:
            handle.remove()
    return watch


def _drops(use: Use) -> bool:
    """Whether outputs are sometimes 0 where the input is not, and not always at the same places (as ReLU's are)."""
    if len(use.ys) < 2 or "Noise" in use.kind:
        return False
    zero = np.stack(use.ys) == 0
    return bool((zero.any(axis=0) & ~zero.all(axis=0)).any())


def _convention(module: Any) -> Optional[int]:
    """Where a module puts channels: -1 for the last axis, 1 for the second; None for one that does not say."""
    kind = type(module).__name__
    if any(kind.startswith(k) for k in _FIRST):
        return 1
    return -1 if any(k == kind or kind.startswith(f"Lazy{k}") for k in _LAST) else None


def _count(module: Any, names: Sequence[str]) -> Optional[int]:
    value = next((getattr(module, n) for n in names if isinstance(getattr(module, n, None), int)), None)
    if value is None and getattr(module, "normalized_shape", None):
        return int(module.normalized_shape[-1])
    return value * 2 if value is not None and getattr(module, "bidirectional", False) and names is _OUT else value


def _neighbours(use: Use, trace: Any) -> None:
    """Decide the channel axis from what stands before and after: the very tensors first, sizes where code stands between."""
    rank = len(use.shape)
    index = [i for i, (name, *_) in enumerate(trace) if name == use.name]
    if not index or use.use >= len(index) or rank < 2:
        return
    here = index[use.use]
    _, _, given, made = trace[here]
    before, after = trace[:here][::-1], trace[here + 1 :]
    for direction, some in (("before", before), ("after", after)):
        tensor = given if direction == "before" else made
        for name, module, x, y in some:
            axis = _convention(module)
            if axis is None:
                if direction == "before" and y is tensor and x.shape == y.shape:
                    tensor = x  # an activation or another dropout: what it was given has the same axes
                elif direction == "after" and x is tensor and x.shape == y.shape:
                    tensor = y
                continue
            if (y if direction == "before" else x) is tensor:
                _decide(use, axis % rank, name, module, direction)
                return
    for direction, some, names in (("before", before, _OUT), ("after", after, _IN)):
        for name, module, _, _ in some:
            count = _count(module, names)
            if _convention(module) is None or count is None:
                continue
            fitting = [i for i in range(1, rank) if use.shape[i] == count]
            if len(fitting) == 1:
                _decide(use, fitting[0], name, module, direction)
                return
            break


def _decide(use: Use, axis: int, name: str, module: Any, direction: str) -> None:
    use.channel = axis
    verb = "makes" if direction == "before" else "takes"
    kind = type(module).__name__
    where = {len(use.shape) - 1: "the last axis", 0: "the first axis"}.get(axis, f"axis {axis}")
    use.why = f"{kind} at {name} {verb} {use.shape[axis]} channels on {where}"
