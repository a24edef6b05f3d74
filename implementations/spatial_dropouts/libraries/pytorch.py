"""The register of PyTorch libraries whose layers were measured in reports/third-party, each row with the release of then."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Tuple

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern, patterns

_FILES = "spatial_dropouts.adapters.lone_files:"
_MADE = "spatial_dropouts.libraries.made_torch:"
_BLOCKS = "spatial_dropouts.libraries.made_blocks:"
_EACH, _LOCKED, _WORD, _PATH = "n l c -> n l c", "n l c -> n c", "n l c -> n l", "n c l -> n"


def _layer(
    make: str,
    pattern: str,
    pin: str,
    summary: str,
    *,
    module: str = "",
    one_file: bool = True,
    ranks: Tuple[str, ...] = (),
    output: Optional[int] = None,
    options: Optional[Mapping[str, Any]] = None,
    **promise: Any,
) -> Implementation:
    """``pin``: what was measured. ``module``: as it is imported, where its name differs. ``one_file``: the rest is not imported."""
    name = module or pin.partition("==")[0]
    return Implementation(
        make=make,
        framework="torch",
        contract=Contract(pattern=Pattern.parse(pattern), ranks=patterns(ranks), **promise),
        options=options or {},
        output=output,
        requires=("torch", name),
        unimported=(name,) if one_file else (),
        install=f"pip install --no-deps {pin}" + (" (only one file of it is run)" if one_file else ""),
        default=False,
        summary=summary,
    )


_BRAINDECODE, _DROPBLOCK, _E2CNN = "braindecode==1.8.1", "dropblock==0.3.0", "e2cnn==0.2.3"
_BOLTZ, _HANLP, _MMDET = "boltz==2.2.1", "hanlp==2.1.7", "mmdet==3.3.0"
_STANZA, _SUPAR, _TIMM, _VISION = "stanza==1.15.0", "supar==1.1.4", "timm==1.0.31", "torchvision==0.28.0"
_SHARED_BLOCK, _BLOCK = "n c h w -> n h/3 w/3", "n c h w -> n c h/3 w/3"

# word, locked and elementwise dropout
_SEQUENCES: Mapping[str, Implementation] = {
    "allennlp.InputVariationalDropout": _layer(
        _FILES + "allennlp.InputVariationalDropout",
        _LOCKED,
        "allennlp==2.10.1",
        "AllenNLP's dropout that is the same along the sequence",
    ),
    "hanlp.SharedDropout": _layer(
        _FILES + "hanlp.SharedDropout", _LOCKED, _HANLP, "HanLP's dropout that is the same along the sequence"
    ),
    "hanlp.LockedDropout": _layer(_FILES + "hanlp.LockedDropout", _LOCKED, _HANLP, "HanLP's locked dropout"),
    "supar.SharedDropout": _layer(
        _FILES + "supar.SharedDropout", _LOCKED, _SUPAR, "SuPar's dropout that is the same along the sequence"
    ),
    "supar.IndependentDropout": _layer(
        _FILES + "supar.IndependentDropout",
        _WORD,
        _SUPAR,
        "SuPar's dropout of whole words, of one tensor of its list",
        output=0,
        scale="none",
    ),
    "stanza.WordDropout": _layer(
        _FILES + "stanza.WordDropout", _WORD, _STANZA, "Stanza's word dropout: whole words, not scaled", scale="none"
    ),
    "stanza.LockedDropout": _layer(
        _FILES + "stanza.LockedDropout", _LOCKED, _STANZA, "Stanza's locked dropout, batch first"
    ),
    "boltz.rows": _layer(
        _MADE + "boltz",
        "b i j c -> b i",
        _BOLTZ,
        "Boltz' mask of rows of pairs, multiplied as in its trunk",
        one_file=False,
        options={"columnwise": False},
    ),
    "boltz.columns": _layer(
        _MADE + "boltz",
        "b i j c -> b j",
        _BOLTZ,
        "Boltz' mask of columns of pairs, multiplied as in its trunk",
        one_file=False,
        options={"columnwise": True},
    ),
    "protenix.DropoutRowwise": _layer(
        _MADE + "protenix", "b i j c -> b j c", "protenix==2.0.0", "Protenix' dropout that the rows of pairs share"
    ),
    "darts.MonteCarloDropout": _layer(
        _MADE + "darts", _EACH, "darts==0.48.1", "Darts' Monte Carlo dropout, off until a prediction is made with it"
    ),
    "torchrl.ConsistentDropout": _layer(
        _MADE + "torchrl", _EACH, "torchrl==0.14.1", "TorchRL's dropout with a mask of its own in each call"
    ),
    "e3nn.Dropout": _layer(
        _MADE + "e3nn", _LOCKED, "e3nn==0.6.0", "e3nn's dropout of irreps, here scalars: one decision a channel"
    ),
    "spikingjelly.Dropout": _layer(
        _MADE + "spikingjelly",
        "t n c -> n c",
        "spikingjelly==2.0.0",
        "SpikingJelly's dropout, time first, reset before each call",
        one_file=False,
    ),
    "e2cnn.FieldDropout": _layer(
        _MADE + "e2cnn",
        "n c h w -> n c h w",
        _E2CNN,
        "e2cnn's dropout of fields, of one channel each: one decision a position",
        one_file=False,
        options={"name": "FieldDropout"},
    ),
    "e2cnn.PointwiseDropout": _layer(
        _MADE + "e2cnn",
        "n c h w -> n c h w",
        _E2CNN,
        "e2cnn's dropout of each element",
        one_file=False,
        options={"name": "PointwiseDropout"},
    ),
}

_PATHS: Mapping[str, Implementation] = {
    "braindecode.DropPath": _layer(_MADE + "braindecode", _PATH, _BRAINDECODE, "Braindecode's stochastic depth"),
    "dynamic_network_architectures.DropPath": _layer(
        "dynamic_network_architectures.building_blocks.regularization:DropPath",
        _PATH,
        "dynamic-network-architectures==0.4.4",
        "stochastic depth of nnU-Net's networks",
        module="dynamic_network_architectures",
        one_file=False,
    ),
    "efficientnet_pytorch.drop_connect": _layer(
        _MADE + "drop_connect",
        "n c h w -> n",
        "efficientnet_pytorch==0.7.1",
        "EfficientNet-PyTorch's drop_connect as its blocks call it",
        one_file=False,
    ),
    "kornia.DropPath": _layer(_FILES + "kornia.DropPath", _PATH, "kornia==0.9.0", "Kornia's stochastic depth (DeDoDe)"),
    "mmcv.DropPath": _layer(
        _MADE + "mmcv", _PATH, "mmcv-lite==2.2.0", "MMCV's stochastic depth: whole samples", module="mmcv"
    ),
    "pytorchvideo.DropPath": _layer(
        _FILES + "pytorchvideo.DropPath", _PATH, "pytorchvideo==0.1.5", "PyTorchVideo's stochastic depth"
    ),
    "super_gradients.DropPath": _layer(
        _FILES + "super_gradients.DropPath",
        _PATH,
        "super-gradients==3.7.1",
        "SuperGradients' stochastic depth",
        module="super_gradients",
    ),
    "torchvision.StochasticDepth.batch": _layer(
        _BLOCKS + "torchvision_depth",
        "n c l -> 1",
        _VISION,
        "torchvision's stochastic depth, mode 'batch': one decision a call",
        options={"mode": "batch"},
    ),
    "ultralytics.DropPath": _layer(
        _MADE + "ultralytics", _PATH, "ultralytics==8.4.190", "Ultralytics' stochastic depth (SAM)"
    ),
}

# scaled by what each call keeps, as in the paper of DropBlock (arXiv:1810.12890)
_DROP_BLOCKS: Mapping[str, Implementation] = {
    "dropblock.DropBlock2D": _layer(
        "dropblock:DropBlock2D",
        "n c h w -> n h w",
        _DROPBLOCK,
        "dropblock's DropBlock2D with blocks of one element, channels coupled",
        one_file=False,
        options={"block_size": 1},
        scale="realised",
    ),
    "dropblock.DropBlock2D.blocks": _layer(
        "dropblock:DropBlock2D",
        _SHARED_BLOCK,
        _DROPBLOCK,
        "dropblock's DropBlock2D with blocks of three, channels coupled",
        one_file=False,
        options={"block_size": 3},
        scale="realised",
        gamma="area",
    ),
    "mmdet.DropBlock": _layer(
        _BLOCKS + "mmdet",
        "n c h w -> n c h w",
        _MMDET,
        "MMDetection's DropBlock with blocks of one element",
        options={"block_size": 1},
        scale="realised",
    ),
    "mmdet.DropBlock.blocks": _layer(
        _BLOCKS + "mmdet",
        _BLOCK,
        _MMDET,
        "MMDetection's DropBlock with blocks of three",
        options={"block_size": 3},
        scale="realised",
    ),
    "timm.DropBlock2d.realised": _layer(
        _FILES + "timm.DropBlock2d",
        "n c h w -> n h w",
        _TIMM,
        "timm's DropBlock2d with blocks of one element, scaled by what each call keeps",
        options={"block_size": 1},
        scale="realised",
    ),
    "timm.DropBlock2d.blocks": _layer(
        _FILES + "timm.DropBlock2d",
        _SHARED_BLOCK,
        _TIMM,
        "timm's DropBlock2d with blocks of three, scaled by what each call keeps",
        options={"block_size": 3},
        scale="realised",
    ),
    "torchvision.DropBlock2d": _layer(
        _BLOCKS + "torchvision_block",
        "n c h w -> n c h w",
        _VISION,
        "torchvision's DropBlock2d with blocks of one element",
        options={"block_size": 1},
        scale="realised",
    ),
    "torchvision.DropBlock2d.blocks": _layer(
        _BLOCKS + "torchvision_block",
        _BLOCK,
        _VISION,
        "torchvision's DropBlock2d with blocks of three",
        options={"block_size": 3},
        scale="realised",
    ),
}

REGISTER: Mapping[str, Implementation] = {**_SEQUENCES, **_PATHS, **_DROP_BLOCKS}
