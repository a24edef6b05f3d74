"""Pieces of source for JAX and its libraries, TensorFlow, Keras 2, MLX and PaddlePaddle; see frameworks.py."""

from __future__ import annotations

from dropcheck.reproduction.snippet import Snippet

_JAX_TENSOR = """
def tensor(values):
    return jnp.asarray(values, DTYPE)


def numpy(y):
    return np.asarray(y if DTYPE == "float64" else y.astype("float32"), np.float64)


def seed_everything(seed):
    raise NotImplementedError("keys are given to each layer")
"""

_KEYED_CALL = """
def call(layer, x, training=True):
    layer["key"], key = jax.random.split(layer["key"])
    return once(layer, key, x, training)
"""

_JIT_CALL = """
def call(layer, x, training=True):
    layer["key"], key = jax.random.split(layer["key"])
    if training not in layer:
        layer[training] = jax.jit(lambda key, given: once(layer, key, given, training))
    return layer[training](key, x)
"""

_KEYED_GRADIENT = """
def gradient(layer, x, cotangent, wrap=lambda f: f):
    layer["key"], key = jax.random.split(layer["key"])
    y, pull = jax.vjp(wrap(lambda given: once(layer, key, given, True)), x)
    return numpy(y), numpy(pull(cotangent)[0])
"""

_JAX_RECOMPUTE = """
def recompute(layer, x, cotangent, reentrant):
    return gradient(layer, x, cotangent, jax.checkpoint)
"""


def _keyed(imports: str, once: str) -> Snippet:
    """A layer that is given a key at each call: ``once`` is one call, an expression of layer, key, x and training."""
    before = f"\ndef once(layer, key, x, training):\n    return {once}\n\n"
    return Snippet(
        imports="import jax\nimport jax.numpy as jnp" + imports,
        tensor='\nif DTYPE == "float64":\n    jax.config.update("jax_enable_x64", True)\n\n' + _JAX_TENSOR,
        make='\ndef make(rate, seed):\n    return {"made": @LAYER@, "key": jax.random.key(seed)}\n',
        call=before + _KEYED_CALL,
        gradient=_KEYED_GRADIENT,
        recompute=_JAX_RECOMPUTE,
        modes={"jit": before + _JIT_CALL},
    )


_TF_TENSOR = """
def tensor(values):
    return tf.cast(tf.constant(values), DTYPE)


def numpy(y):
    return tf.cast(y, "float64").numpy()


def seed_everything(seed):
    tf.random.set_seed(seed)
"""

_TF_GRADIENT = """
def gradient(layer, x, cotangent):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(layer, x)
    g = tape.gradient(y, x, output_gradients=cotangent)
    return numpy(y), np.zeros(x.shape) if g is None else numpy(g)
"""

TF_RECOMPUTE = """
def recompute(layer, x, cotangent, reentrant):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.recompute_grad(lambda given: call(layer, given))(x)
    return numpy(y), numpy(tape.gradient(y, x, output_gradients=cotangent))
"""

_TF_GRAPH = """
GRAPHS = {}


def call(layer, x, training=True):
    if (layer, training) not in GRAPHS:
        GRAPHS[layer, training] = tf.function(lambda given: @CALL@@JIT@)
    return GRAPHS[layer, training](x)
"""


def _graphs(call: str) -> dict[str, str]:
    graph = _TF_GRAPH.replace("@CALL@", call)
    return {"graph": graph.replace("@JIT@", ""), "xla": graph.replace("@JIT@", ", jit_compile=True")}


_EAGER_STATE = """
def make(rate, seed):
    seed_everything(seed)
    return @LAYER@
"""

ARRAY_FRAMEWORKS: dict[str, Snippet] = {
    "flax-linen": _keyed(
        "\nimport flax.linen",
        'layer["made"].apply({}, x, deterministic=not training, rngs={"dropout": key})',
    ),
    "equinox-batch": _keyed("\nimport equinox", 'layer["made"](x, key=key, inference=not training)'),
    "equinox": _keyed(
        "\nimport equinox",
        'jax.vmap(lambda one, k: layer["made"](one, key=k, inference=not training))(x, jax.random.split(key, len(x)))',
    ),
    "haiku": _keyed("\nimport haiku", 'layer["made"](key, x) if training else x'),
    "jax": _keyed(
        "",
        'layer["made"](x, **{k: v for k, v in {"key": key, "training": training}.items() if k in TAKES})',
    ),
    "flax-nnx": Snippet(
        imports="import jax\nimport jax.numpy as jnp\nfrom flax import nnx",
        tensor='\nif DTYPE == "float64":\n    jax.config.update("jax_enable_x64", True)\n\n' + _JAX_TENSOR,
        make="\ndef make(rate, seed):\n    return @LAYER@\n",
        call="\ndef call(layer, x, training=True):\n    return layer(x, deterministic=not training)\n",
        modes={
            "jit": """
@nnx.jit(static_argnames="training")
def jitted(layer, x, training):
    return layer(x, deterministic=not training)


def call(layer, x, training=True):
    return jitted(layer, x, training=training)
"""
        },
    ),
    "tensorflow": Snippet(
        imports="import tensorflow as tf",
        tensor=_TF_TENSOR,
        make=_EAGER_STATE,
        call="\ndef call(layer, x, training=True):\n    return layer(x) if training else x\n",
        gradient=_TF_GRADIENT,
        recompute=TF_RECOMPUTE,
        modes=_graphs("layer(given) if training else given"),
    ),
    "tf_keras": Snippet(
        imports="import tensorflow as tf\nimport tf_keras",
        tensor=_TF_TENSOR,
        make=_EAGER_STATE.replace("    seed_everything(seed)", "    tf_keras.utils.set_random_seed(seed)"),
        call="\ndef call(layer, x, training=True):\n    return layer(x, training=training)\n",
        gradient=_TF_GRADIENT,
        recompute=TF_RECOMPUTE,
        modes=_graphs("layer(given, training=training)"),
    ),
    "mlx": Snippet(
        imports="import mlx.core as mx\nimport mlx.nn",
        tensor="""
def tensor(values):
    return mx.array(values).astype(getattr(mx, DTYPE))


def numpy(y):
    return np.array(y if DTYPE == "float64" else y.astype(mx.float32), np.float64)


def seed_everything(seed):
    mx.random.seed(seed)
""",
        make=_EAGER_STATE,
        call="\ndef call(layer, x, training=True):\n    layer.train(training)\n    return layer(x)\n",
        gradient="""
def gradient(layer, x, cotangent):
    (y,), (g,) = mx.vjp(lambda given: call(layer, given), [x], [cotangent])
    return numpy(y), numpy(g)
""",
        recompute="""
def recompute(layer, x, cotangent, reentrant):
    (y,), (g,) = mx.vjp(mx.checkpoint(lambda given: call(layer, given)), [x], [cotangent])
    return numpy(y), numpy(g)
""",
        modes={
            "jit": """
COMPILED = {}


def call(layer, x, training=True):
    layer.train(training)
    if (id(layer), training) not in COMPILED:
        state = [mx.random.state]
        COMPILED[id(layer), training] = layer, mx.compile(lambda given: layer(given), inputs=state, outputs=state)
    return COMPILED[id(layer), training][1](x)
"""
        },
    ),
    "paddle": Snippet(
        imports="import paddle",
        tensor="""
def tensor(values):
    return paddle.to_tensor(values).astype(DTYPE)


def numpy(y):
    return y.astype("float64").numpy()


def seed_everything(seed):
    paddle.seed(seed)
""",
        make=_EAGER_STATE,
        call="""
def call(layer, x, training=True):
    layer.train() if training else layer.eval()
    return layer(x)
""",
        gradient="""
def gradient(layer, x, cotangent):
    x = x.detach()
    x.stop_gradient = False
    y = call(layer, x)
    (g,) = paddle.grad([y], [x], [cotangent])
    return numpy(y), numpy(g)
""",
    ),
}
