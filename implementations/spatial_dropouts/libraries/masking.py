"""The register of augmentations of PyTorch libraries that drop channels: an exact number of them, or one stretch."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern

_MADE = "spatial_dropouts.libraries.made_torch:"
_KORNIA, _AUDIO = "kornia==0.9.0", "torchaudio==2.11.1"
_FREQUENCIES = (0.1, 0.2, 0.3)


def _augmentation(
    make: str, pattern: str, install: str, unimported: Tuple[str, ...], summary: str, options: Any, **promise: Any
) -> Implementation:
    """An augmentation multiplies nothing, and goes on in ``eval()``."""
    return Implementation(
        make=_MADE + make,
        framework="torch",
        contract=Contract(pattern=Pattern.parse(pattern), scale="none", inference="active", **promise),
        options=options,
        requires=("torch", make),
        unimported=unimported,
        install=f"pip install --no-deps {install}",
        default=False,
        summary=summary,
    )


def _kornia(number: int, summary: str) -> Implementation:
    pattern = f"n c h w -> n c={number}"
    return _augmentation("kornia", pattern, f"{_KORNIA} kornia_rs", (), summary, {"number": number})


def _audio(name: str, pattern: str, iid_masks: bool, summary: str, **promise: Any) -> Implementation:
    """torchaudio's compiled part belongs to another PyTorch."""
    options = {"name": name, "size": 40, "iid_masks": iid_masks}
    install = f"{_AUDIO} (only two files of it are run)"
    return _augmentation("torchaudio", pattern, install, ("torchaudio",), summary, options, stretch="real", **promise)


REGISTER: Mapping[str, Implementation] = {
    "kornia.RandomChannelDropout": _kornia(1, "Kornia's channel dropout: one channel of a sample that drops"),
    "kornia.RandomChannelDropout.two": _kornia(2, "Kornia's channel dropout: two channels of a sample that drops"),
    "torchaudio.TimeMasking": _audio(
        "TimeMasking",
        "n c f t -> n c t/*",
        True,
        "torchaudio's time masking: one stretch of each sample and channel, of rate x 40 steps at most",
    ),
    "torchaudio.TimeMasking.shared": _audio(
        "TimeMasking", "n c f t -> t/*", False, "torchaudio's time masking: one stretch of the whole call"
    ),
    "torchaudio.FrequencyMasking": _audio(
        "FrequencyMasking",
        "n c f=40 t -> n c f/*",
        True,
        "torchaudio's frequency masking: one stretch of each sample and channel, of rate x 40 bins at most",
        rates=_FREQUENCIES,
    ),
}
