"""Pieces of source for JAX and its libraries; see frameworks.py."""

from __future__ import annotations

from dropcheck.report.reproduction.snippet import Snippet

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

# one call in a mode, made of ``plain``, the same call without it
_JAX_MODES = {
    "jit": """
PROGRAMS = {}


def once(layer, key, x, training):
    if (id(layer), training) not in PROGRAMS:
        PROGRAMS[id(layer), training] = layer, jax.jit(lambda key, given: plain(layer, key, given, training))
    return PROGRAMS[id(layer), training][1](key, x)
""",
    "vmap": """
def once(layer, key, x, training):  # a key of its own for every sample
    mapped = jax.vmap(lambda one, sample: plain(layer, one, sample[None], training)[0])
    return jax.jit(mapped)(jax.random.split(key, len(x)), x)
""",
    "scan": """
def once(layer, key, x, training):  # the last of three steps
    def step(key, _):
        key, mine = jax.random.split(key)
        return key, plain(layer, mine, x, training)

    return jax.lax.scan(step, key, None, length=3)[1][-1]
""",
    "checkpoint": """
def once(layer, key, x, training):
    return jax.checkpoint(lambda key, given: plain(layer, key, given, training))(key, x)
""",
    "ranks": """
jax.config.update("jax_num_cpu_devices", 2)


def once(layer, key, x, training):  # half the batch on each of two devices, with a key of its own
    mesh, split = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("ranks",)), jax.sharding.PartitionSpec("ranks")
    odd = len(x) % 2
    whole = jnp.concatenate([x, x[:odd]])
    over = jax.shard_map(
        lambda keys, given: plain(layer, keys[0], given, training),
        mesh=mesh, in_specs=(split, split), out_specs=split, check_vma=False,
    )
    return jax.jit(over)(jax.random.split(key, 2), whole)[: len(x)]
""",
}

_CONTROLLED = '    if CONTROL:\n        return layer["made"](key, x, training)\n'


def _keyed(imports: str, once: str, before: str = "") -> Snippet:
    """A layer that is given a key at each call: ``once`` is one call, an expression of layer, key, x and training.

    ``before``: lines of its function in front of that expression.
    """
    body = f"(layer, key, x, training):\n{_CONTROLLED}{before}    return {once}\n\n"
    return Snippet(
        imports="import jax\nimport jax.numpy as jnp" + imports,
        tensor='\nif DTYPE == "float64":\n    jax.config.update("jax_enable_x64", True)\n\n' + _JAX_TENSOR,
        make="""
def make(rate, seed):
    return {"made": ControlLayer(rate) if CONTROL else @LAYER@, "key": jax.random.key(seed)}
""",
        call=f"\ndef once{body}" + _KEYED_CALL,
        gradient=_KEYED_GRADIENT,
        recompute=_JAX_RECOMPUTE,
        modes={mode: f"\ndef plain{body}" + text + "\n" + _KEYED_CALL for mode, text in _JAX_MODES.items()},
    )


_EAGER_STATE = """
def make(rate, seed):
    seed_everything(seed)
    return ControlLayer(rate) if CONTROL else @LAYER@
"""

JAX_FRAMEWORKS: dict[str, Snippet] = {
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
    "haliax": _keyed(
        "\nimport haliax",
        """made(haliax.named(x, axes), inference=not training, key=key).rearrange(axes).array""",
        """    axes = tuple(haliax.Axis(f"a{i}", size) for i, size in enumerate(x.shape))
    made = layer["made"](tuple(axis for i, axis in enumerate(axes) if i in SHARED))
""",
    ),
    "penzai": _keyed(
        "\nimport penzai.pz",
        "made(penzai.pz.nx.wrap(x).tag(*names), random_stream=stream).untag(*names).unwrap()",
        """    names = tuple(f"a{i}" for i in range(x.ndim))
    stream = penzai.pz.RandomStream.from_base_key(key)
    made = layer["made"] if training else layer["made"].disable()
""",
    ),
    "brainstate": Snippet(
        imports="import brainstate\nimport jax\nimport jax.numpy as jnp",
        tensor='\nif DTYPE == "float64":\n    jax.config.update("jax_enable_x64", True)\n\n'
        + _JAX_TENSOR.replace(
            'raise NotImplementedError("keys are given to each layer")', "brainstate.random.seed(seed)"
        ),
        make=_EAGER_STATE,
        call="""
def call(layer, x, training=True):
    with brainstate.environ.context(fit=training):
        return layer(x)
""",
        gradient="""
def gradient(layer, x, cotangent):
    y, pull = jax.vjp(lambda given: call(layer, given), x)
    return numpy(y), numpy(pull(cotangent)[0])
""",
        modes={
            "jit": """
def call(layer, x, training=True):
    def step(given):
        with brainstate.environ.context(fit=training):
            return layer(given)

    return brainstate.transform.jit(step)(x)
"""
        },
    ),
    "flax-nnx": Snippet(
        imports="import jax\nimport jax.numpy as jnp\nfrom flax import nnx",
        tensor='\nif DTYPE == "float64":\n    jax.config.update("jax_enable_x64", True)\n\n' + _JAX_TENSOR,
        make="\ndef make(rate, seed):\n    return ControlLayer(rate, seed) if CONTROL else @LAYER@\n",
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
}
