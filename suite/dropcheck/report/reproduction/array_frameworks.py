"""Pieces of source for TensorFlow, Keras 2, MLX, PaddlePaddle and ONNX Runtime; see frameworks.py."""

from __future__ import annotations

from dropcheck.report.reproduction.snippet import Snippet

_TF_TENSOR = """
def tensor(values):
    return tf.cast(tf.constant(values), DTYPE)


def numpy(y):
    return tf.cast(y, "float64").numpy()


def seed_everything(seed):
    tf.random.set_seed(seed)
"""

TF_GRADIENT = """
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

# ``run`` is what a mode makes of a body: a whole training step, its backward pass too, is one graph
_TF_STEPS = """
def call(layer, x, training=True):
    return run(layer, training, lambda given: @CALL@, x)


def step(layer, wrap):
    def body(x, cotangent):
        with tf.GradientTape() as tape:
            tape.watch(x)
            training = True
            y = wrap(lambda given: @CALL@)(x)
        return y, tape.gradient(y, x, output_gradients=cotangent)

    return body


def gradient(layer, x, cotangent):
    y, g = run(layer, "gradient", step(layer, lambda f: f), x, cotangent)
    return numpy(y), numpy(g)


def recompute(layer, x, cotangent, reentrant):
    y, g = run(layer, "recompute", step(layer, tf.recompute_grad), x, cotangent)
    return numpy(y), numpy(g)
"""

_TF_GRAPH = """
GRAPHS = {}


def run(layer, name, body, *tensors):
    if (id(layer), name) not in GRAPHS:
        GRAPHS[id(layer), name] = layer, tf.function(body@JIT@)
    return GRAPHS[id(layer), name][1](*tensors)

"""

_TF_RANKS = """
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
STRATEGY, GRAPHS = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), {}


def make(rate, seed):
    seed_everything(seed)
    with STRATEGY.scope():
        return ControlLayer(rate, seed) if CONTROL else @LAYER@


def run(layer, name, body, *tensors):  # half the batch on each of two replicas
    if (id(layer), name) not in GRAPHS:
        GRAPHS[id(layer), name] = layer, tf.function(lambda *shares: STRATEGY.run(body, args=shares))
    half = -(-len(tensors[0]) // 2)
    shares = [
        STRATEGY.experimental_distribute_values_from_function(
            lambda context, t=t: t[half:] if context.replica_id_in_sync_group else t[:half]
        )
        for t in tensors
    ]
    whole = GRAPHS[id(layer), name][1](*shares)
    return tf.nest.map_structure(lambda parts: tf.concat(STRATEGY.experimental_local_results(parts), 0), whole)

"""


def tf_modes(call: str) -> dict[str, str]:
    """The modes of TensorFlow, where ``call`` is one call of the layer with ``given`` and ``training``."""
    steps = _TF_STEPS.replace("@CALL@", call)
    return {
        "graph": _TF_GRAPH.replace("@JIT@", "") + steps,
        "xla": _TF_GRAPH.replace("@JIT@", ", jit_compile=True") + steps,
        "ranks": _TF_RANKS + steps,
    }


_EAGER = """
def make(rate, seed):
    seed_everything(seed)
    return ControlLayer(rate@SEED@) if CONTROL else @LAYER@
"""
_EAGER_STATE, _STATE_OF_ITS_OWN = _EAGER.replace("@SEED@", ""), _EAGER.replace("@SEED@", ", seed")

ARRAY_FRAMEWORKS: dict[str, Snippet] = {
    "onnxruntime": Snippet(
        imports="import onnxruntime\nfrom onnx import TensorProto, helper",
        tensor="""
def tensor(values):
    return np.array(values, DTYPE)


def numpy(y):
    return np.array(y, np.float64)


def seed_everything(seed):
    onnxruntime.set_seed(seed)
""",
        make="""
onnxruntime.set_default_logger_severity(4)


def make(rate, seed):
    seed_everything(seed)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(DTYPE))
    precise = TensorProto.DOUBLE if DTYPE == "float64" else TensorProto.FLOAT
    node = helper.make_node("Dropout", ["x", "rate", "training"], ["y"]@LAYER@)
    inputs = [("x", kind, None), ("rate", precise, []), ("training", TensorProto.BOOL, [])]
    given = [helper.make_tensor_value_info(*one) for one in inputs]
    graph = helper.make_graph([node], "dropout", given, [helper.make_tensor_value_info("y", kind, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return ControlLayer(rate, seed) if CONTROL else session, np.array(rate, helper.tensor_dtype_to_np_dtype(precise))
""",
        call="""
def call(layer, x, training=True):
    session, rate = layer
    return session.run(["y"], {"x": x, "rate": rate, "training": np.array(training)})[0]
""",
    ),
    "tensorflow": Snippet(
        imports="import tensorflow as tf",
        tensor=_TF_TENSOR,
        make=_STATE_OF_ITS_OWN,
        call="\ndef call(layer, x, training=True):\n    return layer(x) if training else x\n",
        gradient=TF_GRADIENT,
        recompute=TF_RECOMPUTE,
        modes=tf_modes("layer(given) if training else given"),
    ),
    "tf_keras": Snippet(
        imports="import tensorflow as tf\nimport tf_keras",
        tensor=_TF_TENSOR,
        make=_STATE_OF_ITS_OWN.replace("    seed_everything(seed)", "    tf_keras.utils.set_random_seed(seed)"),
        call="\ndef call(layer, x, training=True):\n    return layer(x, training=training)\n",
        gradient=TF_GRADIENT,
        recompute=TF_RECOMPUTE,
        modes={
            **tf_modes("layer(given, training=training)"),
            "mixed": """
def call(layer, x, training=True):  # under a mixed policy the layer casts what it is given
    return layer(tf.cast(x, "float32"), training=training)
""",
        },
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
