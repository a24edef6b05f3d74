"""What a PyTorch module is, by its type and by sizes that agree: where it has channels, and what its class documents of dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import nn

from spatial_dropouts.adapters.models_base import Use, expected_of

KNOWN = torch.nn.modules.dropout._DropoutNd
_CONV = torch.nn.modules.conv._ConvNd
_NORM = torch.nn.modules.batchnorm._NormBase
_INSTANCE = torch.nn.modules.instancenorm._InstanceNorm
_FEATURES: Tuple[Any, ...] = tuple(
    kind for name in ("LayerNorm", "RMSNorm") if (kind := getattr(nn, name, None)) is not None
)
_WHOLE = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout)
_ALPHA = (nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(frozen=True)
class Witness:
    """What one module says of its tensor: channels, or features that it mixes, on ``axis``. ``sure``: it says channels."""

    axis: int
    sure: bool
    text: str


def speaks(module: Any) -> bool:
    """Whether a module of this type says where channels or features are."""
    return isinstance(
        module,
        (_CONV, _NORM, nn.GroupNorm, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.MultiheadAttention, nn.Linear)
        + _FEATURES,
    )


def witness(name: str, module: Any, tensor: Any, made: bool) -> Optional[Witness]:
    """What a module says of a tensor that it made (``made``) or took; None where sizes disagree, or it says nothing."""
    axis, count, sure = _place(module, tensor.dim(), made)
    if axis is None or not 0 <= axis < tensor.dim() or (count is not None and tensor.shape[axis] != count):
        return None
    where = {tensor.dim() - 1: "the last axis", 0: "the first axis"}.get(axis, f"axis {axis}")
    what = "channels" if sure else "features"
    verb = "makes" if made else "takes"
    text = f"{type(module).__name__} at {name} {verb} {tensor.shape[axis]} {what} on {where}"
    return Witness(axis, sure or tensor.dim() == 2, text)


def _place(module: Any, rank: int, made: bool) -> Tuple[Optional[int], Optional[int], bool]:
    """Axis, number and certainty of channels, for a tensor of this rank."""
    last = rank - 1
    if isinstance(module, _CONV):  # without a batch axis, too
        count = module.out_channels if made else module.in_channels
        return rank - 1 - len(module.kernel_size), count, True
    if isinstance(module, _INSTANCE) and rank == module._get_no_batch_dim():
        return 0, module.num_features, True
    if isinstance(module, _NORM):
        return 1, module.num_features, True
    if isinstance(module, nn.GroupNorm):
        return 1, module.num_channels, True
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return (last, module.embedding_dim, True) if made else (None, None, True)
    if isinstance(module, nn.RNNBase):
        wide = (module.proj_size or module.hidden_size) * (2 if module.bidirectional else 1)
        return last, wide if made else module.input_size, True
    if isinstance(module, nn.MultiheadAttention):
        return last, module.embed_dim, True
    if isinstance(module, nn.Linear):
        return last, module.out_features if made else module.in_features, False
    if isinstance(module, _FEATURES):
        return last, int(module.normalized_shape[-1]), False
    return None, None, False


def describe(use: Use, module: Any, rank: int) -> None:
    """Fill in what the class of a dropout module documents: its pattern, where it takes channels to be, what it keeps."""
    kind, own = type(module).__name__, type(module)
    use.expected = expected_of(kind)
    for known, expected in ((nn.Dropout, "all"), (nn.AlphaDropout, "all"), *((k, "batch channel") for k in _WHOLE)):
        if (
            isinstance(module, known) and own.forward is known.forward
        ):  # a subclass with a pass of its own is judged by its name
            use.expected = expected
    if isinstance(module, _WHOLE):
        use.own_channel = 1 if rank > 2 else None
    use.plain = not isinstance(module, _ALPHA) and "Alpha" not in kind
    if kind == "StochasticDepth" and getattr(module, "mode", "") == "batch":
        use.expected = ""  # documented: one decision for the whole batch
    if getattr(module, "block_size", None) is not None:
        use.expected, use.form = None, "it drops blocks that overlap, and its rate is not that of an element"
    if getattr(module, "scale_by_keep", True) is False:
        use.form = "scale_by_keep=False is set: kept values are x"


def place(use: Use, trace: Sequence[Tuple[str, Any, Any, Any]]) -> None:
    """Decide the channel axis from what stands before and after: the very tensors first, sizes where code stands between.

    ``trace``: (name, module, input, output) in the order of execution. Two that disagree decide nothing; what only mixes
    features (a Linear) does not say that they are channels. Both leave a question, ``use.doubt``.
    """
    rank = len(use.shape)
    index = [i for i, (name, *_) in enumerate(trace) if name == use.name]
    if use.use >= len(index) or rank < 2:
        return
    here = index[use.use]
    _, _, given, made = trace[here]
    before, after = trace[:here][::-1], trace[here + 1 :]
    said = [*_along(before, given, True), *_along(after, made, False)]
    if not any(one.sure for one in said):
        said = [*_by_size(use, before, True), *_by_size(use, after, False), *said]
    sure = [one for one in said if one.sure]
    axes = list(dict.fromkeys(one.axis for one in sure))
    if len(axes) > 1:
        one, other = (next(w for w in sure if w.axis == axis) for axis in axes[:2])
        use.doubt = f"{one.text}, and {other.text}: which axis holds your channels?"
    elif axes:
        use.channel, use.why = axes[0], sure[0].text
    elif said and use.expected == "all":
        use.channel, use.why = said[0].axis, said[0].text  # a name for the axis: nothing is expected of it
    elif said and use.own_channel is not None and use.own_channel != said[0].axis:
        where = "the last axis" if use.own_channel == rank - 1 else f"axis {use.own_channel}"
        use.doubt = f"{said[0].text}; {use.kind} drops along {where}: does that axis hold your channels?"
    elif said:
        use.channel, use.why = said[0].axis, said[0].text
        use.unsure = True
    if use.channel == 0:
        use.batch = -1  # a single sample


def _along(some: Sequence[Tuple[str, Any, Any, Any]], tensor: Any, made: bool) -> List[Witness]:
    """What modules say that the very tensor came from, or goes to, through modules that keep its axes."""
    found: List[Witness] = []
    for name, module, x, y in some:
        end, start = (y, x) if made else (x, y)
        if end is not tensor:
            continue
        said = witness(name, module, end, made)
        if said is not None:
            found.append(said)
            if said.sure:
                break
        if x.dim() == y.dim() and (x.shape == y.shape or isinstance(module, nn.Linear)):
            tensor = start
    return found


def _by_size(use: Use, some: Sequence[Tuple[str, Any, Any, Any]], made: bool) -> List[Witness]:
    """The nearest module that says channels, if just one axis of the layer has as many."""
    for name, module, x, y in some:
        tensor = y if made else x
        said = witness(name, module, tensor, made)
        if said is None or not _says_channels(module):
            continue
        count = int(tensor.shape[said.axis])
        fitting = [i for i in range(1, len(use.shape)) if use.shape[i] == count]
        if len(fitting) != 1:
            return []
        verb = "makes" if made else "takes"
        where = "the last axis" if fitting[0] == len(use.shape) - 1 else f"axis {fitting[0]}"
        text = f"{type(module).__name__} at {name} {verb} {count} channels, as many as {where} has"
        return [Witness(fitting[0], True, text)]
    return []


def _says_channels(module: Any) -> bool:
    return not isinstance(module, (nn.Linear, *_FEATURES))
