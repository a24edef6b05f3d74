"""Layers of PyTorch libraries by their rate, where a class is not enough: helpers of a network, one class of a large file."""

from __future__ import annotations

import types
from functools import partialmethod
from typing import Any, Union

from spatial_dropouts.libraries.one_file import module, nothing, one_class


def module_of(forward: Any, **parts: Any) -> Any:
    """A torch.nn.Module whose forward pass is ``forward(module, x)``, with these attributes."""
    import torch

    made = type("Layer", (torch.nn.Module,), {"forward": forward})()
    for name, part in parts.items():
        setattr(made, name, part)
    return made


def names_of_torch() -> Any:
    """What files of layers import of PyTorch, by the names that they use."""
    import torch
    from torch.nn.modules.dropout import _DropoutNd

    return {
        "torch": torch,
        "nn": torch.nn,
        "F": torch.nn.functional,
        "Tensor": torch.Tensor,
        "_DropoutNd": _DropoutNd,
    }


def boltz(rate: float, columnwise: bool) -> Any:
    """The mask of get_dropout_mask, multiplied as Boltz' trunk does it."""
    from boltz.model.layers.dropout import get_dropout_mask

    return module_of(lambda self, x: x * get_dropout_mask(rate, x, self.training, columnwise=columnwise))


def drop_connect(rate: float) -> Any:
    """drop_connect of efficientnet_pytorch as its blocks call it."""
    from efficientnet_pytorch.utils import drop_connect as function

    return module_of(lambda self, x: function(x, rate, self.training))


def mmcv(rate: float) -> Any:
    """DropPath of MMCV, which registers nowhere."""
    registry = {"MODELS": types.SimpleNamespace(register_module=nothing)}
    return module("mmcv", "cnn/bricks/drop.py", {"mmengine.registry": registry}).DropPath(rate)


def braindecode(rate: float) -> Any:
    """drop_path of Braindecode as its module DropPath calls it; the package wants MNE."""
    function = module("braindecode", "functional/functions.py", {"braindecode.functional": {}}).drop_path
    return module_of(lambda self, x: function(x, rate, self.training))


def e2cnn(rate: float, name: str) -> Any:
    """A dropout of e2cnn on fields of one channel each; its layers have a fixed number of fields: one layer a number."""
    from e2cnn import gspaces, nn

    def sized(size: int) -> Any:
        space = gspaces.Rot2dOnR2(4)
        return getattr(nn, name)(nn.FieldType(space, size * [space.trivial_repr]), rate)

    def forward(self: Any, x: Any) -> Any:
        size = x.shape[1]
        if size not in self.layers:
            self.layers[size] = sized(size)
        inner = self.layers[size].train(self.training)
        return inner(nn.GeometricTensor(x, inner.in_type)).tensor if self.training else x

    return module_of(forward, layers={1: sized(1)})  # a rate that it refuses is refused at once


def spikingjelly(rate: float) -> Any:
    """Dropout of SpikingJelly, one call one simulation: it keeps its mask until it is reset, as documented."""
    from spikingjelly.activation_based import layer

    def forward(self: Any, x: Any) -> Any:
        self.inner.reset()
        return self.inner(x)

    return module_of(forward, inner=layer.Dropout(rate, step_mode="m"))


def ultralytics(rate: float) -> Any:
    """DropPath of Ultralytics' SAM."""
    return one_class("ultralytics", "models/sam/modules/blocks.py", "DropPath", names_of_torch())(rate)


def protenix(rate: float) -> Any:
    """DropoutRowwise of Protenix."""
    file, names = "model/triangular/layers.py", names_of_torch()
    base = one_class("protenix", file, "Dropout", names)
    return one_class("protenix", file, "DropoutRowwise", {**names, "Dropout": base, "partialmethod": partialmethod})(
        rate
    )


def darts(rate: float) -> Any:
    """MonteCarloDropout of Darts."""
    return one_class("darts", "utils/torch.py", "MonteCarloDropout", names_of_torch())(rate)


def e3nn(rate: float) -> Any:
    """Dropout of e3nn on scalars, irreps of one component, of the input's size."""
    given = {"compile_mode": nothing, "o3": types.SimpleNamespace(Irreps=list)}
    made = one_class("e3nn", "nn/_dropout.py", "Dropout", {**names_of_torch(), **given})
    made([(1, (0, 1))], rate)
    return module_of(lambda self, x: made([(x.shape[-1], (0, 1))], rate).train(self.training)(x))


def torchrl(rate: float) -> Any:
    """ConsistentDropout of TorchRL, which makes a mask of its own where none is given to it."""
    inner = one_class("torchrl", "modules/models/exploration.py", "ConsistentDropout", names_of_torch())(rate)

    def forward(self: Any, x: Any) -> Any:
        y = self.inner(x)
        return y[0] if self.training else y

    return module_of(forward, inner=inner)


def kornia(rate: float, number: int) -> Any:
    """RandomChannelDropout of Kornia."""
    from kornia.augmentation import RandomChannelDropout

    return RandomChannelDropout(num_drop_channels=number, p=rate)


def torchaudio(rate: float, name: str, size: int, iid_masks: bool) -> Any:
    """TimeMasking or FrequencyMasking of torchaudio; the rate is the largest share of ``size`` positions."""
    absent = {"torchaudio": {}, "torchaudio.functional.filtering": {"highpass_biquad": None, "treble_biquad": None}}
    absent["torchaudio._internal"] = {"module_utils": None}
    functions = module("torchaudio", "functional/functional.py", absent, "torchaudio.functional.functional")
    file, names = "transforms/_transforms.py", {**names_of_torch(), "Union": Union, "F": functions}
    base = one_class("torchaudio", file, "_AxisMasking", names)
    made = one_class("torchaudio", file, name, {**names, "_AxisMasking": base})
    if name == "TimeMasking":
        return made(size, iid_masks, p=rate)
    return made(int(size * rate + 1e-6), iid_masks)
