"""PyTorch models: dropout modules are found, fed by hooks inside real forward passes, and read with their neighbours."""

from __future__ import annotations

import contextlib
import difflib
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch

from spatial_dropouts.adapters import sites_torch, torch_programs, torch_roles
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import STILL, Use, rate_of, rateless, timed
from spatial_dropouts.adapters.torch_inputs import arguments


def is_model(thing: Any) -> bool:
    """A module with modules inside, or one that tells no rate; any other leaf is a layer."""
    thing = torch_programs.unwrapped(thing)
    return any(True for _ in thing.children()) or rateless(thing)


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
        if isinstance(module, torch_roles.KNOWN):
            found[name] = (module, "class")
        elif "drop" in type(module).__name__.lower():
            found[name] = (module, "name")
        elif rate_of(module) is not None and not list(module.parameters(False)):
            found[name] = (module, "rate")
        else:
            found[name] = (module, "behaviour")
    return found


def names(model: Any) -> List[str]:
    """The names of all modules of a model."""
    return [name for name, _ in torch_programs.unwrapped(model).named_modules() if name]


def survey(
    model: Any, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """Uses of dropout layers in forward passes in training, and what cannot be seen. The model is left as it was."""
    compiled, model = model, torch_programs.unwrapped(model)
    watch = _Watch(_candidates(model), True)
    with sites_torch.left_alone(model), torch.no_grad():
        torch_programs.refuse(model, lambda: arguments(model, sample, shape))
        model.train()
        args, kwargs, how = arguments(model, sample, shape)
        uses = _observe(model, args, kwargs, calls, seconds, watch)
    notes = [how] if how else []
    if compiled is not model:
        notes.append("the model is compiled, and its layers are asked as they stand in the module that was compiled")
    reached = {use.name for use in uses}
    for name, (module, by) in watch.candidates.items():
        if name in reached or by == "behaviour":
            continue
        if name in watch.unasked:
            notes.append(
                f"{name} ({type(module).__name__}) is called with {watch.unasked[name]}: only floating-point tensors are asked"
            )
        elif name in watch.other:
            notes.append(f"{name} ({type(module).__name__}) {watch.other[name]}")
    return uses, notes


def sites(model: Any, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. ``reached``: the layers that are audited in place."""
    model = torch_programs.unwrapped(model)
    with sites_torch.left_alone(model), torch.no_grad():
        args, kwargs, _ = arguments(model, sample, shape)
    return sites_torch.found(model, args, kwargs, reached)


class _Watch:
    """Hooks on every leaf and on candidates: the order of execution, what tensors mean, and the outputs of candidates."""

    def __init__(self, candidates: Dict[str, Tuple[Any, str]], swapping: bool) -> None:
        self.candidates, self.swapping = candidates, swapping
        self.uses: Dict[Tuple[str, int], Use] = {}
        self.seen: Dict[str, int] = {}
        self.trace: List[Tuple[str, Any, Any, Any]] = []  # (name, module, input, output) of the first call
        self.tracing = self.still = self.rolled = False
        self.unasked: Dict[str, str] = {}  # layers that are called with something else than a floating-point tensor
        self.other: Dict[str, str] = {}  # layers that are no dropout by what they do, with what that is

    def before(self, name: str) -> Any:
        def hook(module: Any, given: Any, keywords: Any) -> Any:
            x = _first(given, keywords)
            if x is None or not self.swapping or name not in self.candidates:
                return None
            if words := torch_programs.unasked(x):
                self.unasked[name] = words
                return None
            use = self._use(name, module, x)
            if use is None:
                return None
            values = np.roll(use.x, 1, None) if self.rolled else use.x
            fed = torch.as_tensor(values).to(x.dtype).to(x.device).reshape(x.shape)
            if given:
                return (fed, *given[1:]), keywords
            return given, {**keywords, next(iter(keywords)): fed}

        return hook

    def _use(self, name: str, module: Any, x: Any) -> Optional[Use]:
        key = (name, self.seen.get(name, 0))
        if key not in self.uses:
            use = Use(name, type(module).__name__, self.candidates[name][1], rate_of(module), x.shape)
            use.use = key[1]
            torch_roles.describe(use, module, x.ndim)
            self.uses[key] = use
        return self.uses[key] if self.uses[key].shape == tuple(x.shape) else None

    def after(self, name: str) -> Any:
        def hook(module: Any, given: Any, keywords: Any, output: Any) -> None:
            y = output[0] if isinstance(output, (tuple, list)) and output else output
            x = _first(given, keywords)
            nested = any(getattr(one, "is_nested", False) for one in (x, y))
            if self.tracing and torch.is_tensor(x) and torch.is_tensor(y) and not nested:
                self.trace.append((name, module, x, y))
            if name in self.candidates and self.swapping:
                use = self.uses.get((name, self.seen.get(name, 0)))
                if use is not None and torch.is_tensor(y) and tuple(y.shape) == use.shape:
                    values = y[use.cut].detach().double().cpu().numpy()
                    if self.rolled:
                        use.rolled = np.array(values)
                    else:
                        use.take(values, self.still)
                self.seen[name] = self.seen.get(name, 0) + 1

        return hook


def _first(given: Any, keywords: Any) -> Any:
    """What a module is called with, by place or by name."""
    return given[0] if given else next(iter(keywords.values()), None)


def _observe(model: Any, args: Any, kwargs: Any, calls: int, seconds: float, watch: _Watch) -> List[Use]:
    candidates = watch.candidates
    leaves = [(n, m) for n, m in model.named_modules() if n and (n in candidates or torch_roles.speaks(m))]

    def forward() -> Any:
        return model(*args, **kwargs)

    trace = _hooked(leaves, _Watch(candidates, False), forward, 1, seconds, True).trace
    _hooked(leaves, watch, forward, calls, seconds, False)
    if any(use.found_by == "rate" and use.constant for use in watch.uses.values()):
        watch.rolled = True  # whether the same elements are 0 in every call, or the same values
        _hooked(leaves, watch, forward, 1, seconds, False)
        watch.rolled = False
    model.eval()
    watch.still = True
    with contextlib.suppress(Exception):  # a model that runs in training only: inference is not looked at
        _hooked(leaves, watch, forward, STILL, seconds, False)
    uses = []
    for use in watch.uses.values():
        if words := _no_dropout(use):
            watch.other.setdefault(use.name, words)
        elif use.found_by != "behaviour" or (use.drops and use.multiplies):
            uses.append(use)
    for use in uses:
        torch_roles.place(use, trace)
        # an LSTM, or attention, that takes time first tells which axis the batch is on
        if len(use.shape) == 3 and use.channel == 2:
            use.batch = int(any(_time_first(m) and x.shape[:2] == use.shape[:2] for _, m, x, _ in trace))
    return uses


def _time_first(module: Any) -> bool:
    return isinstance(module, (torch.nn.RNNBase, torch.nn.MultiheadAttention)) and not module.batch_first


def _no_dropout(use: Use) -> str:
    """What a layer does that is a dropout neither by its class nor by what it makes of its input; empty where it may be one."""
    if use.found_by in ("class", "behaviour"):
        return ""
    if not use.ys:
        return "changes the shape of its input: it is not audited in place"
    if not use.multiplies and not (use.found_by == "name" and use.drops):
        return "makes other values of its input than a multiple or 0: it is no dropout of its input"
    if use.found_by == "rate" and use.rate and not use.ever_zero and not use.untouched:
        return f"holds a rate of {use.rate:g}, and multiplies its input without dropping: it is taken for no dropout"
    moved = use.rolled is not None and not np.array_equal(use.rolled == 0, use.ys[0] == 0)
    if use.found_by == "rate" and use.constant and moved:
        return "drops by the values of its input, the same in every call: it is no dropout"
    return ""


def _hooked(leaves: Any, watch: _Watch, forward: Any, calls: int, seconds: float, tracing: bool) -> _Watch:
    handles = [m.register_forward_pre_hook(watch.before(n), with_kwargs=True) for n, m in leaves]
    handles += [m.register_forward_hook(watch.after(n), with_kwargs=True) for n, m in leaves]
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
