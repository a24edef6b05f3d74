"""The pieces of Keras on its three backends; gradients of an instrument are read from the real layer inside of it."""

from __future__ import annotations

from dropcheck.report.reproduction.array_frameworks import TF_GRADIENT, TF_RECOMPUTE, tf_modes
from dropcheck.report.reproduction.snippet import Snippet
from dropcheck.report.reproduction.torch_frameworks import STRIDED, TORCH_GRADIENT

_KERAS_SHOWN = """

def gradient(layer, x, cotangent@MORE@):  # of what the real layer is given, put together as a gradient of x
    if CONTROL:
        return plain_gradient(layer, x, cotangent@PASS@)
    layer.fit(tuple(x.shape))
    x = keras.ops.cast(x, layer.compute_dtype)
    given = layer.carrier(x)
@RUN@
    some = [back(keras.ops.cast(c, output.dtype)) for c in layer.cotangents(x)]
    y = numpy(layer.shown(x, output))
    return y, np.zeros(x.shape) if some[0] is None else numpy(cotangent * layer.read_back(some, x))
"""


def _keras_shown(run: str, more: str = "", passed: str = "") -> str:
    return _KERAS_SHOWN.replace("@RUN@", run.strip("\n")).replace("@MORE@", more).replace("@PASS@", passed)


def _keras(backend: str, imports: str, gradient: str, shown: str, recompute: str, modes: dict[str, str]) -> Snippet:
    return Snippet(
        imports=f'import os\n\nos.environ["KERAS_BACKEND"] = "{backend}"\nimport keras{imports}',
        tensor="""
def tensor(values):
    return keras.ops.cast(keras.ops.convert_to_tensor(np.asarray(values, "float32")), DTYPE)


def numpy(y):
    wide = "float64" if DTYPE == "float64" else "float32"
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(y, wide)), np.float64)


def seed_everything(seed):
    keras.utils.set_random_seed(seed)
""",
        make="""
def make(rate, seed):
    keras.utils.set_random_seed(seed)
    return ControlLayer(rate, seed) if CONTROL else @LAYER@
""",
        call="""
def call(layer, x, training=True):
    return layer(x, training=training)
""",
        gradient=gradient,
        shown=shown,
        recompute=recompute,
        layouts=STRIDED if backend == "torch" else {},
        modes=modes,
    )


_MIXED = """
def call(layer, x, training=True):  # under a mixed policy the layer casts what it is given
    return layer(keras.ops.cast(x, "float32"), training=training)
"""

_JAX_FORWARD = """
def forward(layer, x, training=True):  # stateless: the seed state goes in and comes out
    state = [v.value for v in layer.non_trainable_variables]
    return layer.stateless_call([v.value for v in layer.trainable_variables], state, x, training=training)


def moved_on(layer, state):
    for variable, value in zip(layer.non_trainable_variables, state):
        variable.assign(value)
"""

_JAX_GRADIENT = (
    _JAX_FORWARD
    + """

def gradient(layer, x, cotangent, wrap=lambda f: f):
    y, pull, state = jax.vjp(wrap(lambda given: forward(layer, given)), x, has_aux=True)
    moved_on(layer, state)
    return numpy(y), numpy(pull(cotangent)[0])
"""
)
KERAS_FRAMEWORKS: dict[str, Snippet] = {
    "keras@tensorflow": _keras(
        "tensorflow",
        "\nimport tensorflow as tf",
        TF_GRADIENT,
        _keras_shown("""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(given)
        output = layer(x, training=True, carrier=given, raw=True)
    back = lambda c: tape.gradient(output, given, output_gradients=c)
"""),
        TF_RECOMPUTE,
        {**tf_modes("layer(given, training=training)"), "mixed": _MIXED},
    ),
    "keras@jax": _keras(
        "jax",
        "\nimport jax",
        _JAX_GRADIENT,
        _keras_shown(
            """
    fixed, state = ([v.value for v in some] for some in (layer.trainable_variables, layer.non_trainable_variables))
    run = lambda given: layer.stateless_call(fixed, state, x, training=True, carrier=given, raw=True)
    output, pull, state = jax.vjp(wrap(run), given, has_aux=True)
    moved_on(layer, state)
    back = lambda c: pull(c)[0]
""",
            ", wrap=lambda f: f",
            ", wrap",
        ),
        """
def recompute(layer, x, cotangent, reentrant):
    return gradient(layer, x, cotangent, jax.checkpoint)
""",
        {
            "jit": _JAX_FORWARD
            + """

JITTED = {}


def call(layer, x, training=True):
    if (id(layer), training) not in JITTED:
        JITTED[id(layer), training] = layer, jax.jit(
            lambda state, given: layer.stateless_call([v.value for v in layer.trainable_variables], state, given, training=training)
        )
    y, state = JITTED[id(layer), training][1]([v.value for v in layer.non_trainable_variables], x)
    moved_on(layer, state)
    return y
""",
            "mixed": _MIXED,
        },
    ),
    "keras@torch": _keras(
        "torch",
        "\nimport torch",
        TORCH_GRADIENT,
        _keras_shown("""
    given = given.detach().requires_grad_()
    output = layer(x, training=True, carrier=given, raw=True)
    back = lambda c: torch.autograd.grad(output, given, c, retain_graph=True)[0] if output.requires_grad else None
"""),
        """
def recompute(layer, x, cotangent, reentrant):  # what keras.remat is on this backend
    from torch.utils.checkpoint import checkpoint

    if not hasattr(layer, "carrier"):
        x = x.detach().requires_grad_()
        y = checkpoint(lambda given: call(layer, given), x, use_reentrant=False)
        y.backward(cotangent)
        return numpy(y), numpy(x.grad)
    layer.fit(tuple(x.shape))  # the layer inside, and what shows its mask around it
    given = layer.carrier(x).detach().requires_grad_()
    run = lambda carrier: layer(x, training=True, carrier=carrier, raw=True)
    y = checkpoint(run, given, use_reentrant=False)
    some = [torch.autograd.grad(y, given, c.to(y.dtype), retain_graph=True)[0] for c in layer.cotangents(x)]
    return numpy(layer.shown(x, y.detach())), numpy(cotangent * layer.read_back(some, x))
""",
        {"mixed": _MIXED},
    ),
}
