"""How a script makes, seeds and calls a layer in each framework, without dropcheck: a table of small pieces of source.

Every framework defines ``tensor(values)``, ``numpy(y)`` (float64), ``seed_everything(seed)``, ``make(rate, seed)`` and
``call(layer, x, training=True)``; where it differentiates also ``gradient(layer, x, cotangent)`` (output and gradient as
NumPy) and, where it checkpoints, ``recompute``. ``@LAYER@`` is replaced by the construction of the layer. Another framework
is another entry; another mode is another piece, and what that defines (``call``, ``make``, ...) takes the plain one's place.
"""

from __future__ import annotations

from dropcheck.report.reproduction.array_frameworks import ARRAY_FRAMEWORKS
from dropcheck.report.reproduction.jax_frameworks import JAX_FRAMEWORKS
from dropcheck.report.reproduction.keras_frameworks import KERAS_FRAMEWORKS
from dropcheck.report.reproduction.onnx_files import ONNX_FILES
from dropcheck.report.reproduction.snippet import Snippet
from dropcheck.report.reproduction.torch_frameworks import TORCH, TORCH_FUNCTION

NUMPY = Snippet(
    imports="",
    tensor="""
def tensor(values):
    return np.array(values, DTYPE)


def numpy(y):
    return np.array(y, np.float64)


def seed_everything(seed):
    global GENERATOR
    np.random.seed(seed % 2**32)
    GENERATOR = np.random.default_rng(seed)
""",
    make="""
def make(rate, seed):
    seed_everything(seed)
    return ControlLayer(rate) if CONTROL else @LAYER@
""",
    call="""
def call(layer, x, training=True):  # what the function does not take is not given to it
    given = {k: v for k, v in {"training": training, "rng": GENERATOR}.items() if k in TAKES}
    return layer(x, **given) if training or "training" in TAKES else x
""",
    layouts={
        "strided": """
def arranged(x):  # every second element of a larger array
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]
""",
        "transposed": """
def arranged(x):  # the memory of the transposed array
    return np.array(x.T, copy=True, order="C").T
""",
    },
)

FRAMEWORKS: dict[str, Snippet] = {
    "torch": TORCH,
    "torch-function": TORCH_FUNCTION,
    "numpy": NUMPY,
    **KERAS_FRAMEWORKS,
    **ONNX_FILES,
    **ARRAY_FRAMEWORKS,
    **JAX_FRAMEWORKS,
}
