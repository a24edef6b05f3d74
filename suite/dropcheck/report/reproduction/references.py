"""The control of a script: a plain right layer in each framework, made of its primitive operations alone.

``ControlLayer(rate)`` or ``ControlLayer(rate, seed)`` stands where the layer under test stands, and is called in the same
way. What a script measures wrongly, and what a framework does to every layer, it shows of the control too. ``@KEPT@`` is
replaced by what the contract makes of a kept ``wide``, the input in a type that does not round it, at ``rate``.
"""

from __future__ import annotations

import re

from dropcheck.contract.promise import Contract

_SHAPE = "[1 if a in SHARED else n for a, n in enumerate(x.shape)]"

_INIT = """
    def __init__(self, rate@MORE@):
        @SUPER@if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate@STORE@
"""


def _init(more: str = "", base: bool | str = False, store: str = "") -> str:
    call = f"super().__init__({base if isinstance(base, str) else ''})\n        " if base else ""
    return _INIT.replace("@MORE@", more).replace("@SUPER@", call).replace("@STORE@", store)


def _class(base: str, init: str, body: str) -> str:
    return f"\nclass ControlLayer{base}:  # the control: a plain right layer{init}\n{body.strip(chr(10))}\n"


def _torch(head: str, quiet: str, more: str = "") -> str:
    return f"""
    def {head}:
        if {quiet}:
            return x
        coins = torch.rand({_SHAPE}, dtype=torch.float64{more or ", device=x.device"})
        wide, rate = x.double(), self.rate
        return torch.where(coins{".to(x.device)" if more else ""} < rate, DROPPED, @KEPT@).to(x.dtype)
"""


_TENSORFLOW = f"""
    def __call__(self, x, training=True):
        x = tf.cast(x, DTYPE)
        if not training:
            return x
        coins = self.generator.uniform({_SHAPE}, dtype=tf.float64)
        wide, rate = tf.cast(x, tf.float64), self.rate
        return tf.cast(tf.where(coins < rate, tf.constant(DROPPED, tf.float64), @KEPT@), DTYPE)
"""
_TF = _class("", _init(", seed", store="\n        self.generator = tf.random.Generator.from_seed(seed)"), _TENSORFLOW)

_KERAS_TORCH = f"""
    def __call__(self, x, training=True):
        x = x.to(getattr(torch, DTYPE))
        if not training:
            return x
        coins = torch.rand({_SHAPE}, dtype=torch.float64, device="cpu", generator=self.generator).to(x.device)
        wide, rate = x.double(), self.rate
        return torch.where(coins < rate, DROPPED, @KEPT@).to(x.dtype)
"""

_KERAS_JAX = f"""
    def call(self, x, training=True):
        if not training:
            return x
        coins = keras.random.uniform({_SHAPE}, dtype="float32", seed=self.generator)
        wide, rate = keras.ops.cast(x, "float32"), self.rate
        return keras.ops.cast(keras.ops.where(coins < rate, DROPPED, @KEPT@), x.dtype)
"""


def _jax(head: str, quiet: str, coins: str) -> str:
    return f"""
    def {head}:
        if {quiet}:
            return x
        coins = {coins.replace("SHAPE", _SHAPE)}
        wide, rate = x if x.dtype == "float64" else x.astype("float32"), self.rate
        return jnp.where(coins < rate, DROPPED, @KEPT@).astype(x.dtype)
"""


_KEYED = _class("", _init(), _jax("__call__(self, key, x, training)", "not training", "jax.random.uniform(key, SHAPE)"))

_MLX = f"""
    def __call__(self, x):
        if not self.training:
            return x
        coins = mx.random.uniform(shape={_SHAPE})
        wide, rate = x if x.dtype == mx.float64 else x.astype(mx.float32), self.rate
        return mx.where(coins < rate, DROPPED, @KEPT@).astype(x.dtype)
"""

_PADDLE = f"""
    def forward(self, x):
        if not self.training:
            return x
        coins = paddle.rand({_SHAPE}, "float64")
        wide, rate = x.astype("float64"), self.rate
        gone = paddle.broadcast_to(coins < rate, x.shape)
        return paddle.where(gone, paddle.full_like(wide, DROPPED), @KEPT@).astype(x.dtype)
"""


def _numpy(head: str, before: str, quiet: str, generator: str, returned: str) -> str:
    return f"""
    def {head}:
        {before}if {quiet}:
            return {returned.replace("Y", "x")}
        coins = {generator}.random({_SHAPE})
        wide, rate = x.astype(np.float64), self.rate
        y = np.where(coins < rate, DROPPED, @KEPT@).astype(x.dtype)
        return {returned.replace("Y", "y")}
"""


_GENERATOR = "\n        self.generator = np.random.default_rng(seed)"

# a place of an ONNX file is called as a node of ONNX Runtime
_SAME = {"onnxruntime-file": "onnxruntime", "onnx.reference": "onnxruntime"}

REFERENCES: dict[str, str] = {
    "torch": _class("(torch.nn.Module)", _init(base=True), _torch("forward(self, x)", "not self.training")),
    "torch-function": _class("", _init(), _torch("__call__(self, x, training=True)", "not training")),
    "numpy": _class(
        "", _init(), _numpy("__call__(self, x, training=True, rng=None)", "", "not training", "GENERATOR", "Y")
    ),
    "onnxruntime": _class(
        "",
        _init(", seed", store=_GENERATOR),
        _numpy("run(self, names, given)", 'x = given["x"]\n        ', 'not given["training"]', "self.generator", "[Y]"),
    ),
    "keras@tensorflow": _TF,
    "tensorflow": _TF,
    "tf_keras": _TF,
    "keras@jax": _class(
        "(keras.Layer)",
        _init(
            ", seed",
            "dtype=DTYPE",
            "\n        self.generator = keras.random.SeedGenerator(seed)\n        self.built = True",
        ),
        _KERAS_JAX,
    ),
    "keras@torch": _class(
        "", _init(", seed", store='\n        self.generator = torch.Generator("cpu").manual_seed(seed)'), _KERAS_TORCH
    ),
    "mlx": _class("(mlx.nn.Module)", _init(base=True), _MLX),
    "paddle": _class("(paddle.nn.Layer)", _init(base=True), _PADDLE),
    **dict.fromkeys(("flax-linen", "equinox-batch", "equinox", "haiku", "jax", "haliax", "penzai"), _KEYED),
    "brainstate": _class(
        "",
        _init(),
        _jax("__call__(self, x)", 'not brainstate.environ.get("fit")', "brainstate.random.rand(*SHAPE)"),
    ),
    "flax-nnx": _class(
        "(nnx.Module)",
        _init(", seed", store="\n        self.rngs = nnx.Rngs(seed)"),
        _jax("__call__(self, x, deterministic=False)", "deterministic", "jax.random.uniform(self.rngs(), SHAPE)"),
    ),
}


# how a control drops whose rows have a law: its source calls ``by_law(rng, shape, rate)``
_BY_LAW = {
    "numpy": "by_law(GENERATOR, x.shape, self.rate)",
    "torch": "torch.from_numpy(by_law(np.random.default_rng(int(torch.randint(2**31, ()))), x.shape, self.rate)).to(x.device)",
}


def reference(framework: str, contract: Contract, rate: float, law: str = "") -> str:
    """The source of the control of a framework, for a layer of this contract that is asked at ``rate``.

    ``law``: the source of ``by_law``, where rows lose an exact number of channels, or one stretch.
    """
    if not contract.keeps_at(rate):
        kept = "wide * 0.0"  # nothing is kept at rate 1
    elif contract.affine:
        kept = f"wide * {contract.scale_at(rate)!r} + {contract.offset_at(rate)!r}"
    elif contract.scale == "inverted":
        kept = "wide * (0.0 if rate == 1 else 1 / (1 - rate))"
    else:
        kept = "wide" if contract.scale == "none" else f"wide * {float(contract.scale)!r}"
    source = REFERENCES[_SAME.get(framework, framework)].replace("@KEPT@", kept)
    if law:
        source = re.sub(r"coins = .*", f"coins = {_BY_LAW[framework]}", source).replace("coins < rate", "coins") + law
    if contract.inference == "keep":  # the older convention
        source = source.replace("            return x\n", "            return x * (1 - self.rate)\n")
        source = source.replace("            return [x]\n", "            return [x * (1 - self.rate)]\n")
    return source
