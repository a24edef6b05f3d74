"""Pieces of source for daily use, by framework: siblings, copies, several passes, settings, threads; see frameworks.py.

A piece is asked for by the name of its function; a framework that has none has no script for what needs it.
"""

from __future__ import annotations

import re

from dropcheck.contract.errors import UsageError
from dropcheck.report.reproduction.layer import Layer
from dropcheck.report.reproduction.situation import Situation
from dropcheck.results.audit import Finding

_TORCH_PASSES = """
def passes(layer, xs, cotangents):  # all forward passes, then the backward passes in their order, then the first once more
    xs = [x.detach().requires_grad_() for x in xs]
    ys, found = [call(layer, x) for x in xs], []
    for i in (0, 1, 0):
        (g,) = torch.autograd.grad(ys[i], xs[i], cotangents[i].clone(), retain_graph=True, allow_unused=True)
        found.append((numpy(ys[i]), np.zeros(xs[i].shape) if g is None else numpy(g)))
    return found
"""
_TORCH_TWICE = """
def twice(layer, x, cotangent, direction):  # the gradient, differentiated by the cotangent in a direction
    x, cotangent = x.detach().requires_grad_(), cotangent.detach().requires_grad_()
    y = call(layer, x)
    (g,) = torch.autograd.grad(y, x, cotangent, create_graph=True)
    if g.requires_grad:
        g.backward(direction)
    return numpy(y), np.zeros(x.shape) if cotangent.grad is None else numpy(cotangent.grad)
"""
_TF_PASSES = """
def passes(layer, xs, cotangents):  # all forward passes, then the backward passes in their order, then the first once more
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(list(xs))
        ys = [call(layer, x) for x in xs]
    some = [(ys[i], xs[i], tape.gradient(ys[i], xs[i], output_gradients=cotangents[i])) for i in (0, 1, 0)]
    return [(numpy(y), np.zeros(x.shape) if g is None else numpy(g)) for y, x, g in some]
"""
_TF_TWICE = """
def twice(layer, x, cotangent, direction):  # the gradient, differentiated by the cotangent in a direction
    with tf.GradientTape() as outer:
        outer.watch(cotangent)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = call(layer, x)
        g = inner.gradient(y, x, output_gradients=cotangent)
    second = None if g is None else outer.gradient(g, cotangent, output_gradients=direction)
    return numpy(y), np.zeros(x.shape) if second is None else numpy(second)
"""
_JAX_PASSES = """
def passes(layer, xs, cotangents):  # all forward passes, then the backward passes in their order, then the first once more
    some = [pulled(layer, x) for x in xs]
    return [(numpy(some[i][0]), numpy(some[i][1](cotangents[i])[0])) for i in (0, 1, 0)]
"""
_JAX_TWICE = """
def twice(layer, x, cotangent, direction):  # the gradient, differentiated by the cotangent in a direction
    y, pull = pulled(layer, x)
    return numpy(y), numpy(jax.vjp(lambda c: pull(c)[0], cotangent)[1](direction)[0])
"""
_PULLED = {
    "keras@jax": """
def pulled(layer, x):  # an output and the function of its cotangent
    y, pull, state = jax.vjp(lambda given: forward(layer, given), x, has_aux=True)
    moved_on(layer, state)
    return y, pull
""",
    "brainstate": """
def pulled(layer, x):  # an output and the function of its cotangent
    return jax.vjp(lambda given: call(layer, given), x)
""",
    "": """
def pulled(layer, x):  # an output and the function of its cotangent
    layer["key"], key = jax.random.split(layer["key"])
    return jax.vjp(lambda given: once(layer, key, given, True), x)
""",
}
_KEYED = ("flax-linen", "equinox-batch", "equinox", "haiku", "jax", "haliax", "penzai")
_TORCH, _TF = ("torch", "torch-function", "keras@torch"), ("keras@tensorflow", "tensorflow", "tf_keras")

_COPIED = {
    "copy.deepcopy": "return copy.deepcopy(@IT@)",
    "pickle": "return pickle.loads(pickle.dumps(@IT@))",
    "torch.save": "buffer = io.BytesIO()\n    torch.save(@IT@, buffer)\n    buffer.seek(0)\n"
    "    return torch.load(buffer, weights_only=False)",
    "state_dict": "other = sibling(RATE, OTHER)\n    other.load_state_dict(layer.state_dict())\n    return other",
    "from_config(get_config())": "return type(layer).from_config(layer.get_config())",
    "clone_model": "return @KERAS@.models.clone_model(@KERAS@.Sequential([layer])).layers[-1]",
    "set_weights(get_weights())": "other = sibling(RATE, OTHER)\n    other.set_weights(layer.get_weights())\n    return other",
    "nnx.clone": "return nnx.clone(layer)",
    "nnx.split and nnx.merge": "return nnx.merge(*nnx.split(layer))",
    "tree_flatten and tree_unflatten": "leaves, structure = jax.tree_util.tree_flatten(@IT@)\n"
    "    return jax.tree_util.tree_unflatten(structure, leaves)",
}

_SET = """
@contextlib.contextmanager
def setting():
    before = @GET@
    @SET@
    try:
        yield
    finally:
        @BACK@
"""


def _set(get: str, set_to: str, value: str) -> str:
    to, back = set_to.replace("@VALUE@", value), set_to.replace("@VALUE@", "before")
    return _SET.replace("@GET@", get).replace("@SET@", to).replace("@BACK@", back)


_PLAIN = "\ndef setting():\n    return {}\n"
_DEFAULT = ("torch.get_default_dtype()", "torch.set_default_dtype(@VALUE@)")
_TORCH_SETTINGS = {
    **{n: _PLAIN.format(f"torch.{n}()") for n in ("no_grad", "enable_grad", "inference_mode")},
    "wider default dtype": _set(*_DEFAULT, "torch.float64"),
    "narrower default dtype": _set(*_DEFAULT, "torch.bfloat16"),
    "deterministic algorithms": _set(
        "torch.get_deterministic_debug_mode()", "torch.set_deterministic_debug_mode(@VALUE@)", '"error"'
    ),
}
_FLOATX = _set("keras.backend.floatx()", "keras.backend.set_floatx(@VALUE@)", '"float64"')
_POLICY = _set("keras.config.dtype_policy()", "keras.config.set_dtype_policy(@VALUE@)", '"mixed_float16"')
_OLD_POLICY = _set(
    "tf_keras.mixed_precision.global_policy()",
    "tf_keras.mixed_precision.set_global_policy(@VALUE@)",
    '"mixed_float16"',
)
_NO_JIT = {"disable_jit": _PLAIN.format("jax.disable_jit()")}
_KERAS_SETTINGS = {"wider floatx": _FLOATX, "mixed dtype policy": _POLICY}
_OLD_KERAS = {"wider floatx": _FLOATX.replace("keras.", "tf_keras."), "mixed dtype policy": _OLD_POLICY}
_TORCH_AMBIENT = """"gradient recording": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "default dtype": torch.get_default_dtype(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "number of threads": torch.get_num_threads(),"""
_JAX_AMBIENT = '"x64": jax.config.jax_enable_x64,\n        "disable_jit": jax.config.jax_disable_jit,'
_AMBIENT = "\ndef ambient():  # what is set globally\n    return {\n        @WHAT@\n    }\n"
_KERAS_AMBIENT = '"floatx": keras.backend.floatx(),'

_THREADS = """
def files_of(layer):  # with the layer's own source, without that of the class of all modules
    found = {sys.modules[c.__module__].__file__ for c in type(layer).__mro__ if c.__module__ not in LIBRARY}
    return found@FUNCTION@


def at_once(work, files):  # two threads take turns at every line of these files, so that a race shows each time
    turn, start, state, results = threading.Condition(), threading.Barrier(2), {"next": 0, "left": 400}, [None, None]

    def run(number):
        def step(frame, event, arg):
            with turn:
                if event == "line" and state["left"] > 0:
                    state.update(next=1 - number, left=state["left"] - 1)
                    turn.notify_all()
                    turn.wait_for(lambda: state["next"] == number or state["left"] <= 0, 0.05)
            return step

        start.wait()
        sys.settrace(lambda frame, event, arg: step if frame.f_code.co_filename in files else None)
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = error
        sys.settrace(None)
        with turn:  # the other one goes on alone
            state["left"] = 0
            turn.notify_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
"""

_OWN_GENERATORS = """
def make(rate, seed):  # with a generator of its own
    made, own = ControlLayer(rate) if CONTROL else @LAYER@, np.random.default_rng(seed)

    def layer(x, training=True):
        global GENERATOR
        GENERATOR = own
        return made(x, **{k: v for k, v in {"training": training, "rng": own}.items() if k in TAKES})

    return layer


def call(layer, x, training=True):
    return layer(x, training=training)
"""
_EXPANDED = """
def arranged(x):  # one element for all, as y.sum().backward() makes it
    return torch.ones((), dtype=x.dtype@DEVICE@).expand(x.shape)
"""


def own_generators(found: Finding, layer: Layer) -> str:
    """``make`` and ``call`` of layers that are given a generator each, where a finding asks for such; else empty."""
    if layer.framework == "numpy" and "generators of two seeds" in found.case:
        return _OWN_GENERATORS.replace("@LAYER@", layer.make)
    return ""


def pieces(found: Finding, case: Situation, layer: Layer, make: str, body: str) -> list[str]:
    """The framework's pieces that a body of daily use calls. Raises UsageError where it has none."""
    sources = []
    if "pulled" not in body and ("passes(" in body or "twice(" in body) and _pulls(layer.framework):
        sources.append(_PULLED.get(layer.framework, _PULLED[""]))
    table = {
        "passes": _by_family(layer.framework, _TORCH_PASSES, _TF_PASSES, _JAX_PASSES),
        "twice": _by_family(layer.framework, _TORCH_TWICE, _TF_TWICE, _JAX_TWICE),
        "setting": _setting(found, layer.framework),
        "plainly": _plainly(layer.framework),
        "ambient": _ambient(layer.framework),
        "at_once": _threads(layer),
        "copied": _copied(found, layer),
    }
    for name, source in table.items():
        if f"{name}(" in body:
            if not source:
                raise UsageError(f"there is no script for {found.check}, {found.case}, of {layer.framework}")
            sources.append(source)
    if "arranged(" in body and "expanded" in case.words:
        if layer.framework not in _TORCH:
            raise UsageError(f"there is no script for {found.check}, {found.case}, of {layer.framework}")
        sources.append(_EXPANDED.replace("@DEVICE@", "" if case.device == "cpu" else ", device=x.device"))
    if "sibling(" in body + "".join(sources):
        if layer.framework == "flax-nnx" and "both" in case.words:
            raise UsageError(f"there is no script for {found.check}, {found.case}, of {layer.framework}")
        sources.insert(0, _sibling(make))
    return sources


def _by_family(framework: str, torch: str, tensorflow: str, jax: str) -> str:
    if framework in _TORCH:
        return torch
    return tensorflow if framework in _TF else jax if _pulls(framework) else ""


def _pulls(framework: str) -> bool:
    return framework in (*_KEYED, "keras@jax", "brainstate")


def _sibling(make: str) -> str:
    """Another layer of the same model: made without seeding what it draws from."""
    text = make[make.index("def make(") :].replace(
        "def make(rate, seed):", "def sibling(rate, seed):  # not seeded anew"
    )
    return "\n" + re.sub(r"\n    (?!return|with|if)[^\n]*\(seed\)(?=\n)", "", text)


def _setting(found: Finding, framework: str) -> str:
    tables = {
        "torch": _TORCH_SETTINGS,
        "torch-function": _TORCH_SETTINGS,
        "keras@torch": {**_KERAS_SETTINGS, **_TORCH_SETTINGS},
        "keras@jax": {**_KERAS_SETTINGS, **_NO_JIT},
        "keras@tensorflow": _KERAS_SETTINGS,
        "tf_keras": _OLD_KERAS,
        **{name: {**_NO_JIT, "x64": _PLAIN.format("jax.enable_x64(True)")} for name in _KEYED},
    }
    return next((text for name, text in tables.get(framework, {}).items() if found.case.endswith(name)), "")


def _plainly(framework: str) -> str:
    """How a call is made when nothing is set: without recording gradients, where calls are recorded."""
    usual = "torch.no_grad()" if framework in _TORCH else "contextlib.nullcontext()"
    return f"\ndef plainly():\n    return {usual}\n"


def _ambient(framework: str) -> str:
    keras = _KERAS_AMBIENT.replace("keras.", "tf_keras.") if framework == "tf_keras" else _KERAS_AMBIENT
    words = [keras] if "keras" in framework else []
    words += [_TORCH_AMBIENT] if framework in _TORCH else [_JAX_AMBIENT] if framework in _KEYED else []
    return _AMBIENT.replace("@WHAT@", "\n        ".join(words)) if words else ""


def _threads(layer: Layer) -> str:
    if layer.framework not in ("torch", "torch-function"):
        return ""
    own = " if CONTROL else found | {" + layer.thing + ".__code__.co_filename}"
    return _THREADS.replace("@FUNCTION@", own if layer.framework == "torch-function" else "")


def _copied(found: Finding, layer: Layer) -> str:
    way = next((way for way in _COPIED if f" {way}" in found.case), "")
    if not way:
        return ""
    keyed = layer.framework in _KEYED
    text = _COPIED[way].replace("@IT@", 'layer["made"]' if keyed else "layer")
    text = text.replace("@KERAS@", "tf_keras" if layer.framework == "tf_keras" else "keras")
    if keyed:
        text = re.sub(r"return (.*)$", r'return {**layer, "made": \1}', text)
    if "keras" in layer.framework:  # the control has no configuration
        text = f"if CONTROL:\n        return sibling(RATE, OTHER)\n    {text}"
    return f"\ndef copied(layer):\n    {text}\n"
