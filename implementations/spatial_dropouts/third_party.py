"""The register of PyTorch dropout outside torch.nn's spatial layers: path, locked, word and block dropout of libraries."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern, patterns

_FILES = "spatial_dropouts.adapters.lone_files:"
_TIMM = "pip install --no-deps timm (only its file layers/drop.py is run)"
_PATH_RANKS = ("n c l -> n", "n c -> n")


def _layer(
    make: str,
    pattern: str,
    summary: str,
    *,
    requires: Tuple[str, ...] = (),
    ranks: Tuple[str, ...] = (),
    framework: str = "torch",
    rate_argument: str = "",
    install: str = "",
    options: Any = None,
    **promise: Any,
) -> Implementation:
    return Implementation(
        make=make,
        framework=framework,
        contract=Contract(pattern=Pattern.parse(pattern), ranks=patterns(ranks), **promise),
        rate_argument=rate_argument or None,
        options=options or {},
        requires=("torch", *requires),
        unimported=requires if make.startswith(_FILES) else (),
        default=False,
        summary=summary,
        install=install,
    )


def _transformers(model: str, attr: str, pattern: str, summary: str, **more: Any) -> Implementation:
    return _layer(f"transformers.models.{model}:{attr}", pattern, summary, requires=("transformers",), **more)


REGISTER: Mapping[str, Implementation] = {
    # torch itself
    "torch.Dropout": _layer("torch.nn:Dropout", "n c l -> n c l", "PyTorch's Dropout, each element by itself"),
    "torch.functional.dropout1d": _layer(
        "torch.nn.functional:dropout1d", "n c l -> n c", "the functional form of Dropout1d", framework="torch-function"
    ),
    "torch.functional.dropout2d": _layer(
        "torch.nn.functional:dropout2d",
        "n c h w -> n c",
        "the functional form of Dropout2d",
        framework="torch-function",
    ),
    "torch.functional.dropout3d": _layer(
        "torch.nn.functional:dropout3d",
        "n c d h w -> n c",
        "the functional form of Dropout3d",
        framework="torch-function",
    ),
    # timm, whose layers are one file
    "timm.DropPath": _layer(
        _FILES + "timm.DropPath",
        "n c h w -> n",
        "timm's stochastic depth: whole samples",
        requires=("timm",),
        install=_TIMM,
        ranks=_PATH_RANKS,
    ),
    "timm.DropPath.unscaled": _layer(
        _FILES + "timm.DropPath",
        "n c h w -> n",
        "timm's stochastic depth with scale_by_keep=False",
        requires=("timm",),
        install=_TIMM,
        options={"scale_by_keep": False},
        scale="none",
    ),
    # blocks overlap, so only blocks of one element have independent coins
    "timm.DropBlock2d": _layer(
        _FILES + "timm.DropBlock2d",
        "n c h w -> n h w",
        "timm's DropBlock2d with blocks of one element, channels coupled, not normalised",
        requires=("timm",),
        install=_TIMM,
        options={"block_size": 1, "scale_by_keep": False},
        scale="none",
    ),
    "timm.DropBlock2d.normalised": _layer(
        _FILES + "timm.DropBlock2d",
        "n c h w -> n h w",
        "the same as it comes, held against 1 / (1 - rate): its paper normalises by the realised share instead",
        requires=("timm",),
        install=_TIMM,
        options={"block_size": 1},
    ),
    # torchvision, where it matches the installed torch
    "torchvision.StochasticDepth": _layer(
        "torchvision.ops:StochasticDepth",
        "n c h w -> n",
        "torchvision's stochastic depth, mode 'row'",
        requires=("torchvision",),
        options={"mode": "row"},
        install="pip install torchvision, in the release that belongs to the installed torch",
    ),
    "monai.DropPath": _layer(
        "monai.networks.layers.drop_path:DropPath",
        "n c h w -> n",
        "MONAI's stochastic depth",
        requires=("monai",),
        ranks=_PATH_RANKS,
    ),
    "transformers.SwinDropPath": _transformers(
        "swin.modeling_swin", "SwinDropPath", "n l c -> n", "stochastic depth of Swin", ranks=("n c h w -> n",)
    ),
    "transformers.ConvNextDropPath": _transformers(
        "convnext.modeling_convnext", "ConvNextDropPath", "n c h w -> n", "stochastic depth of ConvNeXt"
    ),
    "transformers.EsmFoldDropout": _transformers(
        "esm.modeling_esmfold",
        "EsmFoldDropout",
        "n l m c -> n m c",
        "ESMFold's dropout along rows of pairs, one coin shared by a whole axis (batch_dim 1)",
        rate_argument="r",
        options={"batch_dim": 1},
    ),
    "transformers.StableDropout": _transformers(
        "sew_d.modeling_sew_d", "StableDropout", "n l c -> n l c", "DeBERTa's StableDropout, as SEW-D keeps it"
    ),
    "torchnlp.LockedDropout": _layer(
        "torchnlp.nn.lock_dropout:LockedDropout",
        "t b h -> b h",
        "PyTorch-NLP's locked dropout, time first",
        requires=("torchnlp",),
    ),
    "flair.LockedDropout": _layer(
        _FILES + "flair.LockedDropout",
        "n l c -> n c",
        "flair's locked dropout, batch first",
        requires=("flair",),
        install="pip install --no-deps flair: only its file nn/dropout.py is run",
    ),
    "flair.LockedDropout.time-first": _layer(
        _FILES + "flair.LockedDropout",
        "t b h -> b h",
        "flair's locked dropout with batch_first=False",
        requires=("flair",),
        options={"batch_first": False},
        install="pip install --no-deps flair: only its file nn/dropout.py is run",
    ),
    "flair.WordDropout": _layer(
        _FILES + "flair.WordDropout",
        "n l c -> n l",
        "flair's word dropout: whole words, not scaled",
        requires=("flair",),
        scale="none",
        install="pip install --no-deps flair: only its file nn/dropout.py is run",
    ),
    "fastai.RNNDropout": _layer(
        "fastai.text.models.awdlstm:RNNDropout",
        "n l c -> n c",
        "fastai's dropout that is the same along the sequence",
        requires=("fastai", "torchvision", "spacy"),
        install="pip install fastai (brings torchvision and spaCy)",
    ),
    "speechbrain.Dropout2d": _layer(
        "speechbrain.nnet.dropout:Dropout2d",
        "n t f c -> n f",
        "SpeechBrain's Dropout2d: its channels are the axis after time, as its transpositions have it",
        requires=("speechbrain", "torchaudio", "hyperpyyaml"),
        install="pip install speechbrain (brings torchaudio, in the release that belongs to the installed torch)",
    ),
}
