"""The pieces of PyTorch: layers and functions, their modes, layouts and gradients."""

from __future__ import annotations

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
TORCH_GRADIENT = """
def gradient(layer, x, cotangent):
    x = x.detach().requires_grad_()
    y = call(layer, x)
    (g,) = torch.autograd.grad(y, x, cotangent, allow_unused=True) if y.requires_grad else (None,)
    return numpy(y), np.zeros(x.shape) if g is None else numpy(g)
"""

# what multiplies x is read from the output of a real layer: its own backward pass is another question
_TORCH_SHOWN = """

def gradient(layer, x, cotangent):  # of what the real layer is given, put together as a gradient of x
    if CONTROL:
        return plain_gradient(layer, x, cotangent)
    layer.train()
    x = x.detach()
    given = layer.carrier(x).detach().requires_grad_()
    output = layer.run(given)
    y = numpy(x * layer.read(output, x))
    if not output.requires_grad:
        return y, np.zeros(x.shape)
    output.backward(layer.cotangent(output, x))
    return y, numpy(cotangent * layer.read_back(given.grad, x))
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

STRIDED = {
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
    gradient=TORCH_GRADIENT,
    shown=_TORCH_SHOWN,
    recompute=_TORCH_RECOMPUTE,
    layouts=STRIDED,
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
    gradient=TORCH_GRADIENT,
    recompute=_TORCH_RECOMPUTE,
    layouts=STRIDED,
)
