"""How a script makes, seeds and calls a layer in each framework, without dropcheck: a table of small pieces of source.

Every framework defines ``tensor(values)``, ``numpy(y)`` (float64), ``seed_everything(seed)``, ``make(rate, seed)`` and
``call(layer, x, training=True)``; where it differentiates also ``gradient(layer, x, cotangent)`` (output and gradient as
NumPy) and, where it checkpoints, ``recompute``. ``@LAYER@`` is replaced by the construction of the layer. Another framework
is another entry; another mode is another piece, and what that defines (``call``, ``make``, ...) takes the plain one's place.
"""

from __future__ import annotations

from dropcheck.report.reproduction.array_frameworks import ARRAY_FRAMEWORKS, TF_RECOMPUTE, tf_modes
from dropcheck.report.reproduction.jax_frameworks import JAX_FRAMEWORKS
from dropcheck.report.reproduction.snippet import Snippet

_TORCH_TENSOR = """
def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().numpy()


def seed_everything(seed):
    torch.manual_seed(seed)
"""

# zeros that a layer makes at rate 1 do not depend on x: that has no gradient, which is a gradient of 0
_TORCH_GRADIENT = """
def gradient(layer, x, cotangent):
    x = x.detach().requires_grad_()
    y = call(layer, x)
    (g,) = torch.autograd.grad(y, x, cotangent, allow_unused=True) if y.requires_grad else (None,)
    return numpy(y), np.zeros(x.shape) if g is None else numpy(g)
"""

_TORCH_RECOMPUTE = """
def recompute(layer, x, cotangent, reentrant):
    from torch.utils.checkpoint import checkpoint

    x = x.detach().requires_grad_()
    y = checkpoint(lambda given: call(layer, given), x, use_reentrant=reentrant)
    y.backward(cotangent)
    return numpy(y), numpy(x.grad)
"""

TORCH_RECOMPUTE_COMPILED = """
def recompute(layer, x, cotangent, reentrant):  # a checkpoint inside of what is compiled
    from torch.utils.checkpoint import checkpoint

    layer.train()
    x = x.detach().requires_grad_()
    whole = torch.compile(lambda given: checkpoint(layer, given, use_reentrant=False), dynamic=True)
    y = whole(x)
    (g,) = torch.autograd.grad(y, x, cotangent, allow_unused=True)
    return numpy(y), np.zeros(x.shape) if g is None else numpy(g)
"""

_STRIDED = {
    "strided": """
def arranged(x):  # every second element of a larger tensor
    wide = torch.zeros((*x.shape[:-1], 2 * x.shape[-1]), dtype=x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]
""",
    "transposed": """
def arranged(x):  # the memory of the transposed tensor
    order = list(range(x.ndim))[::-1]
    return x.permute(order).contiguous().permute(order)
""",
}

_TORCH_MODES = {
    "compiled": """
def call(layer, x, training=True):
    layer.train(training)
    if not hasattr(layer, "compiled"):
        object.__setattr__(layer, "compiled", torch.compile(layer))
    return layer.compiled(x)
""",
    "in-place": """
def call(layer, x, training=True):
    layer.inplace = True
    layer.train(training)
    return layer(x.clone())
""",
    "autocast": """
def call(layer, x, training=True):
    layer.train(training)
    with torch.autocast("cpu", torch.bfloat16):
        return layer(x)
""",
    "vmap-different": """
def call(layer, x, training=True):
    layer.train(training)
    return torch.func.vmap(lambda one: layer(one[None])[0], randomness="different")(x)
""",
    "checkpoint": """
def call(layer, x, training=True):
    from torch.utils.checkpoint import checkpoint

    layer.train(training)
    return checkpoint(layer, x, use_reentrant=False)
""",
}
_TORCH_MODES["cuda-graph"] = """
GRAPHS = {}


def call(layer, x, training=True):  # replays of one graph a layer and shape, captured after a call that warms up
    layer.train(training)
    if not training:
        return layer(x)
    if (id(layer), x.shape) not in GRAPHS:
        given, graph, state, side = x.clone(), torch.cuda.CUDAGraph(), torch.cuda.get_rng_state(), torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(side):
            layer(given)
        torch.cuda.current_stream().wait_stream(side)
        with torch.no_grad(), torch.cuda.graph(graph):
            output = layer(given)
        torch.cuda.set_rng_state(state)
        GRAPHS[id(layer), x.shape] = layer, given, graph, output
    _, given, graph, output = GRAPHS[id(layer), x.shape]
    given.copy_(x)
    graph.replay()
    return output.clone()
"""
_TORCH_MODES["reduce-overhead"] = _TORCH_MODES["compiled"].replace(
    "torch.compile(layer)", 'torch.compile(layer, mode="reduce-overhead")'
)
_TORCH_MODES["vmap-same"] = _TORCH_MODES["vmap-different"].replace('"different"', '"same"')
_TORCH_MODES["checkpoint-unpreserved"] = _TORCH_MODES["checkpoint"].replace(
    "use_reentrant=False", "use_reentrant=False, preserve_rng_state=False"
)

TORCH = Snippet(
    imports="import torch",
    tensor=_TORCH_TENSOR,
    make="""
def make(rate, seed):
    torch.manual_seed(seed)
    return ControlLayer(rate) if CONTROL else @LAYER@
""",
    call="""
def call(layer, x, training=True):
    layer.train(training)
    return layer(x)
""",
    gradient=_TORCH_GRADIENT,
    recompute=_TORCH_RECOMPUTE,
    layouts=_STRIDED,
    modes=_TORCH_MODES,
)

TORCH_FUNCTION = Snippet(
    imports="import torch",
    tensor=_TORCH_TENSOR,
    make="""
def make(rate, seed):
    torch.manual_seed(seed)
    return ControlLayer(rate) if CONTROL else lambda x, **given: @LAYER@
""",
    call="""
def call(layer, x, training=True):
    if "training" in TAKES:
        return layer(x, training=training)
    return layer(x) if training else x
""",
    gradient=_TORCH_GRADIENT,
    recompute=_TORCH_RECOMPUTE,
    layouts=_STRIDED,
)

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


def _keras(backend: str, imports: str, gradient: str, recompute: str, modes: dict[str, str]) -> Snippet:
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
        recompute=recompute,
        layouts=_STRIDED if backend == "torch" else {},
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

FRAMEWORKS: dict[str, Snippet] = {
    "torch": TORCH,
    "torch-function": TORCH_FUNCTION,
    "numpy": NUMPY,
    "keras@tensorflow": _keras(
        "tensorflow",
        "\nimport tensorflow as tf",
        """
def gradient(layer, x, cotangent):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(layer, x)
    g = tape.gradient(y, x, output_gradients=cotangent)
    return numpy(y), np.zeros(x.shape) if g is None else numpy(g)
""",
        TF_RECOMPUTE,
        {**tf_modes("layer(given, training=training)"), "mixed": _MIXED},
    ),
    "keras@jax": _keras(
        "jax",
        "\nimport jax",
        _JAX_GRADIENT,
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
        _TORCH_GRADIENT,
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
    **ARRAY_FRAMEWORKS,
    **JAX_FRAMEWORKS,
}
