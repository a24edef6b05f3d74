"""Who called a random function: the innermost Python frame outside of the frameworks, and the public function that it called."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from types import FrameType
from typing import Iterable, Iterator, List, Optional, Tuple

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LIBRARIES = (
    "jax", "jaxlib", "flax", "equinox", "jaxtyping", "keras", "tf_keras", "tensorflow", "torch", "wadler_lindig", "optree", "numpy",
)  # fmt: skip
VIA = 6  # lines that led to a draw and are kept
END = "_pass_of_the_model"  # the function of an adapter that runs a model: what stands outside of it is no caller
# files of a library below which its functions of this public module stand
_PUBLIC = (
    ("keras.src.backend.", "keras.random"),
    ("keras.src.random.", "keras.random"),
    ("tf_keras.src.backend", "tf_keras.backend"),
    ("tensorflow.python.ops.nn", "tf.nn"),
    ("tensorflow.python.ops.stateless_random", "tf.random"),
    ("tensorflow.python.ops.random", "tf.random"),
    ("flax.linen.attention", "flax.linen"),
    ("flax.nnx.nn.attention", "flax.nnx"),
    ("jax._src.random", "jax.random"),
)


@dataclass(frozen=True)
class Caller:
    """``file``, ``line``, ``where`` (its function): of the user's code; ``function``: the library's function that was called.

    ``via``: the lines of the user's code that called this one, from the nearest on, inside of one layer.
    """

    file: str
    line: int
    where: str
    function: str
    via: Tuple[str, ...] = ()


def of_library(file: str) -> bool:
    """Whether a file is of a framework."""
    return _library(file) != ""


def _library(file: str) -> str:
    """``jax._src.random`` for a file of a framework, an empty text for others."""
    tail = file.replace(os.sep, "/").replace("\\", "/").rpartition("-packages/")[2] if "-packages" in file else ""
    return tail.rpartition(".")[0].replace("/", ".") if tail.partition("/")[0] in _LIBRARIES else ""


def caller(frames: Iterable[Tuple[str, int, str]]) -> Optional[Caller]:
    """Of frames from the innermost on (file, line, function); None where no code of the user's stands among them."""
    function = ""
    some = iter(frames)
    for file, line, name in some:
        name = name.rpartition(".")[2]
        name = name[:-3] if name.endswith("_v2") else name  # what TensorFlow calls functions that it exports without it
        module = _library(file)
        if module:
            public = next((to for start, to in _PUBLIC if module.startswith(start)), "")
            if public and _has(public, name):
                function = f"{public}.{name}"  # of functions that call each other, the outermost one
            continue
        if file.startswith(_HERE):
            if name == END:
                break
            continue
        if _nobodys(file):
            continue
        return Caller(file, line, name, function, led((file, line) for file, line, _ in some))
    return Caller("", 0, "", function) if function else None


def _nobodys(file: str) -> bool:
    return file.startswith("<") or os.sep + "contextlib" in file or os.sep + "functools" in file


def led(frames: Iterable[Tuple[str, int]]) -> Tuple[str, ...]:
    """The lines of the user's code among outer frames, up to the call of a layer, whose wrappers are ours."""
    found: List[str] = []
    for file, line in frames:
        if file.startswith(_HERE) or len(found) == VIA:
            break
        if not (_nobodys(file) or of_library(file)):
            found.append(f"{file}:{line}")
    return tuple(found)


def _has(public: str, name: str) -> bool:
    """Whether a public module has a function of this name."""
    package, _, rest = public.partition(".")
    module = sys.modules.get("tensorflow" if package == "tf" else package)
    return not name.startswith(("_", "<")) and callable(getattr(getattr(module, rest, None), name, None))


def stack(frame: Optional[FrameType]) -> Iterator[Tuple[str, int, str]]:
    """The frames of running Python code, from this one outwards."""
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
        frame = frame.f_back
