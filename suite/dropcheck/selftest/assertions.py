"""What the test suites of PyTorch, Keras, Flax, TensorFlow, MLX and Equinox assert on dropout, restated from behaviour.

Rates, sizes, tolerances and numbers of calls are those of the originals; shapes are the nearest that the layer's pattern
allows, with the original's number of coins. In-place variants, other ranks, graph building and printing are left out.
"""

from __future__ import annotations

import numpy as np

from dropcheck.judge.checks.exact_questions import Values
from dropcheck.selftest.subject import Battery, NotApplicable, Part, Subject


def _close(a: Values, b: Values | float, rtol: float, atol: float) -> bool:
    return bool(np.allclose(a, b, rtol=rtol, atol=atol))


def _refused(*rates: float) -> Part:
    def invalid_rates(layer: Subject) -> str | None:
        obeyed = [rate for rate in rates if not layer.refuses(rate)]
        return f"rate {obeyed[0]} was not rejected" if obeyed else None

    return invalid_rates


# --- PyTorch: test/nn/test_dropout.py ------------------------------------------------------------------------------------


def _torch_mean(layer: Subject, rows: int, channels: int, shared: int, dtype: str) -> str | None:
    """Means of output and gradient within .05 at rate .2, input .8; the input requires a gradient."""
    rate = 0.2
    x = layer.ones(rows, channels, shared, 1 - rate)
    made = layer.make(rate, dtype)
    try:
        y, gradient = made.gradient(x, x)
    except NotApplicable:
        ys, _ = made.answers(x, record=True)
        y, gradient = ys[0], None
    else:
        if gradient is None:
            return "the output has no gradient"
    if not abs(float(y.mean()) - layer.mean(1 - rate, rate)) < 0.05:
        return f"mean {y.mean():.3f} is not within .05 of {layer.mean(1 - rate, rate):.3f}"
    expected = (1 - layer.rate(rate)) * float(layer.kept(1 - rate, rate))
    if gradient is not None and not abs(float(gradient.mean()) - expected) < 0.05:
        return f"mean gradient {gradient.mean():.3f} is not within .05 of {expected:.3f}"
    tolerance = (1e-7, 1e-7) if dtype == "float64" else (1.3e-6, 1e-5)
    if not _close(made.call(x, training=False), x, *tolerance):
        return "inference changes the input"
    return None


def _torch_channels(layer: Subject, shared: int, dtype: str) -> str | None:
    """Of 40 channels of ones at rate .5, each has all elements dropped or none."""
    gone = layer.gone(layer.coins(layer.make(0.5, dtype).call(layer.ones(10, 4, shared))))
    return None if bool(np.all(gone.all(axis=1) | ~gone.any(axis=1))) else "a channel is neither dropped nor kept whole"


def torch_1d_mean(layer: Subject) -> str | None:
    """N, C and L are drawn from 10 to 15."""
    n, c, size = (int(v) for v in layer.rng.integers(10, 16, size=3))
    return _torch_mean(layer, n, c, size, "float64")


def torch_1d_channels(layer: Subject) -> str | None:
    """Input (10, 4, 2)."""
    return _torch_channels(layer, 2, "float64")


def torch_2d_mean(layer: Subject) -> str | None:
    """1000 samples; channels, height and width are drawn from 1 to 5."""
    c, w, h = (int(v) for v in layer.rng.integers(1, 6, size=3))
    return _torch_mean(layer, 1000, c, w * h, "float32")


def torch_2d_channels(layer: Subject) -> str | None:
    """Input (10, 4, 2, 2)."""
    return _torch_channels(layer, 4, "float32")


def torch_strided(layer: Subject) -> str | None:
    """A strided input of ones (2, 3, 3, 3) comes back unchanged at rates 0 and 1e-10."""
    if "strided" not in layer.info["layouts"]:
        raise NotApplicable(f"arrays of {layer.info['framework']} have no strides")
    x = layer.ones(2, 3, 9)
    for rate in (0.0, 1e-10):
        if not _close(layer.make(rate).call(x, layout="strided"), x, 1.3e-6, 1e-5):
            return f"rate {rate:g} changes a strided input"
    return None


# --- Keras: keras/src/layers/regularization/ -----------------------------------------------------------------------------


def keras_runs(layer: Subject) -> str | None:
    """Input (2, 3, 4) at rate .5: training and inference run; float16 in gives float16 out."""
    x = layer.rng.random(layer.shape(2, 4, 3)) * 3
    made = layer.make(0.5)
    made.call(x)
    made.call(x, training=False)
    if layer.info["gradients"]:
        made.gradient(x, np.ones_like(x))
    if "float16" in layer.info["dtypes"]:
        _, dtype = layer.make(0.5, "float16").answers(x)
        if dtype != "float16":
            return f"float16 comes out as {dtype}"
    return None


def _two_positions(layer: Subject, rows: int, size: int) -> str | None:
    axes = len(layer.pattern.shared)
    if not axes:
        raise NotApplicable("no axis is shared")
    y = layer.coins(layer.make(0.5).call(layer.ones(rows, 10, size**axes)))
    second = sum(size**i for i in range(axes))  # position (1, 1, ...)
    return None if _close(y[:, 0], y[:, second], 1e-6, 1e-6) else "two positions of a channel differ"


def keras_two_positions(layer: Subject) -> str | None:
    """Ones (10, 3, 10) at rate .5: positions 0 and 1 are equal in all channels."""
    return _two_positions(layer, 10, 3)


def keras_partial_noise_shape(layer: Subject) -> str | None:
    """Ones (20, 5, 10) at rate .5: positions 0 and 1 are equal in all channels."""
    return _two_positions(layer, 20, 5)


def keras_rescaling(layer: Subject) -> str | None:
    """Ones (20, 500) at rate .5: mean within .02, greatest value 2."""
    y = layer.make(0.5).call(layer.ones(20, 500))
    right, top = layer.mean(1.0, 0.5), float(layer.kept(1.0, 0.5))
    if not _close(y.mean(), right, 1e-6, 0.02):
        return f"mean {y.mean():.3f} is not within .02 of {right:.3f}"
    return None if _close(y.max(), top, 1e-6, 1e-6) else f"greatest value {y.max():.4g}, expected {top:.4g}"


# --- Flax: tests/linen/linen_test.py, tests/nnx/nn/stochastic_test.py ----------------------------------------------------


def flax_two_keys(layer: Subject) -> str | None:
    """Ones (20, 20) at rate .5: two keys give different outputs in training and equal ones in inference."""
    x, made = layer.ones(20, 20), layer.make(0.5)
    first = [made.call(x), made.call(x, training=False)]
    made.reseed()
    second = [made.call(x), made.call(x, training=False)]
    if np.array_equal(first[0], second[0]):
        return "two seeds give one mask"
    return None if np.array_equal(first[1], second[1]) else "inference depends on the seed"


def flax_rates(layer: Subject) -> str | None:
    """Ones (100, 100), ten keys, rates .1 to .9: the share of kept elements within 4 standard deviations."""
    x = layer.ones(100, 100)
    for rate in np.arange(0.1, 1.0, 0.1).tolist():
        made, kept, trials = layer.make(rate), 0, 10
        for _ in range(trials):
            made.reseed()
            kept += int(np.count_nonzero(~layer.gone(made.call(x))))
        share, right = kept / (x.size * trials), 1 - layer.rate(rate)
        if not abs(share - right) < 4 * np.sqrt(rate * (1 - rate) / (x.size * trials)):
            return f"rate {rate:.1f}: {share:.4f} of the elements are kept, expected {right:.4f}"
    return None


def flax_limits(layer: Subject) -> str | None:
    """Ones (20, 20): rate 0 changes nothing, rate 1 drops everything, and its gradient is not NaN."""
    x = layer.ones(20, 20)
    if not np.array_equal(layer.make(0.0).call(x), x):
        return "rate 0 changes the input"
    made = layer.make(1.0)
    if not bool(layer.gone(made.call(x)).all()):
        return "rate 1 keeps something"
    if layer.info["gradients"]:
        _, gradient = made.gradient(x, np.ones_like(x))
        if gradient is not None and bool(np.isnan(gradient).any()):
            return "the gradient at rate 1 is NaN"
    return None


def flax_slices(layer: Subject) -> str | None:
    """Ones, 10 along every axis, rate .5: elements that share a coin sum to 0 or to 2 each."""
    size = 10 ** len(layer.pattern.shared)
    sums = layer.coins(layer.make(0.5).call(layer.ones(10, 10, size))).sum(axis=1)
    right = (layer.dropped * size, float(layer.kept(1.0, 0.5)) * size)
    return None if bool(np.isin(sums, right).all()) else "elements that are dropped together differ"


def nnx_same_seed(layer: Subject) -> str | None:
    """Ones (1, 10) at rate .5: two layers with one seed agree in two calls, with two seeds they differ."""
    x, seed = layer.ones(1, 10), layer.seed()
    one, _ = layer.make(0.5, seed=seed).answers(x, 2)
    if layer.contract.seeds:
        two, _ = layer.make(0.5, seed=seed).answers(x, 2)
        for a, b in zip(one, two, strict=True):
            if not _close(a, b, 1e-7, 0.0):
                return "one seed gives two masks"
    other = layer.make(0.5).call(x)
    return "two seeds give one mask" if _close(one[0], other, 1e-7, 0.0) else None


def nnx_inference(layer: Subject) -> str | None:
    """Ones (1, 10) at rate .5: inference and training differ."""
    x, made = layer.ones(1, 10), layer.make(0.5)
    same = _close(made.call(x, training=False), made.call(x), 1e-7, 0.0)
    return "training and inference give the same" if same else None


# --- TensorFlow: tensorflow/python/ops/nn_test.py ------------------------------------------------------------------------


def _two_values(layer: Subject, rows: int, channels: int, shared: int) -> str | None:
    """One eager call, which the original evaluates ten times: two values, and 15 % relative error of what is kept."""
    for keep in (0.1, 0.5, 0.8):
        y = layer.make(1 - keep).call(layer.ones(rows, channels, shared))
        values = np.unique(y)
        right = sorted((layer.dropped, float(layer.kept(1.0, 1 - keep))))
        if len(values) < 2 or values[0] != right[0] or not _close(values[1], right[1], 1e-6, 1e-6):
            return f"keep {keep}: values {values[:3].tolist()}, expected {right}"
        expected = y.size * (1 - layer.rate(1 - keep))
        error = abs(np.count_nonzero(~layer.gone(y)) - expected) / expected
        if not error < 0.15:
            return f"keep {keep}: {error:.0%} off the expected number of kept elements"
    return None


def tensorflow_plain(layer: Subject) -> str | None:
    """Ones (40, 30)."""
    return _two_values(layer, 40, 30, 1)


def tensorflow_shaped(layer: Subject) -> str | None:
    """Ones (1200, 3), three elements a coin; the original does so twice, with a whole and a partial noise shape."""
    return _two_values(layer, 40, 30, 3) or _two_values(layer, 40, 30, 3)


def tensorflow_correlation(layer: Subject) -> str | None:
    """Ones (40, 30), thirty elements a coin: each coin has one value."""
    for keep in (0.1, 0.5, 0.8):
        y = layer.coins(layer.make(1 - keep).call(layer.ones(10, 4, 30)))
        if not bool(np.all(y == y[:, :1])):
            return f"keep {keep}: elements that are dropped together differ"
    return None


def tensorflow_edges(layer: Subject) -> str | None:
    """Rate .9 runs; five zeros come back at rate 0."""
    layer.make(0.9).call(layer.ones(40, 30))
    x = layer.ones(5, 1, 1, 0.0)
    return None if np.array_equal(layer.make(0.0).call(x), x) else "rate 0 changes the input"


# --- MLX: python/tests/test_nn.py; Equinox: tests/test_nn.py -------------------------------------------------------------


def mlx_shapes(layer: Subject) -> str | None:
    """Ones (2, 4), (2, 4, 4, 4), (2, 4, 4, 4, 4) at rate .5 in three dtypes: shape and dtype survive."""
    for dtype in ("float32", "bfloat16", "float16"):
        if dtype not in layer.info["dtypes"]:
            continue
        for shared in (1, 16, 64):
            x = layer.ones(2, 4, shared)
            (y,), found = layer.make(0.5, dtype).answers(x)
            if y.shape != x.shape or found != dtype:
                return f"{dtype} {x.shape} comes out as {found} {y.shape}"
    return None


def equinox_values(layer: Subject) -> str | None:
    """60 normal values (3, 4, 5) at rate .5: each output is 0 or x / .5."""
    x = layer.rng.standard_normal(layer.shape(3, 4, 5)).astype(np.float32).astype(np.float64)
    y = layer.make(0.5).call(x)
    right = layer.gone(y) | (y == layer.kept(x, 0.5).astype(np.float32))
    return None if bool(right.all()) else "an output is neither 0 nor the scaled input"


def equinox_inference(layer: Subject) -> str | None:
    """60 normal values: inference returns them, training changes at least one."""
    x = layer.rng.standard_normal(layer.shape(3, 4, 5)).astype(np.float32).astype(np.float64)
    made = layer.make(0.5)
    if not np.array_equal(made.call(x, training=False), x):
        return "inference changes the input"
    return "training changes nothing" if np.array_equal(made.call(x), x) else None


FRAMEWORKS: tuple[Battery, ...] = (
    Battery(
        "PyTorch Dropout1d",
        "pytorch/pytorch: test/nn/test_dropout.py",
        "means of output and gradient within .05 at rate .2 over 100 to 225 decisions, 40 whole channels, inference, rates",
        (torch_1d_mean, torch_1d_channels, _refused(-0.1, 1.1)),
    ),
    Battery(
        "PyTorch Dropout2d",
        "pytorch/pytorch: test/nn/test_dropout.py",
        "the same means over 1000 to 5000 decisions, 40 whole channels, strided input at rates 0 and 1e-10, inference, rates",
        (torch_2d_mean, torch_2d_channels, torch_strided, _refused(-0.1, 1.1)),
    ),
    Battery(
        "Keras SpatialDropout",
        "keras-team/keras: keras/src/layers/regularization/spatial_dropout_test.py, keras/src/testing/test_case.py",
        "it runs, float16 stays float16, two positions of 100 channels are equal at rate .5",
        (keras_runs, keras_two_positions),
    ),
    Battery(
        "Keras Dropout",
        "keras-team/keras: keras/src/layers/regularization/dropout_test.py",
        "mean within .02 and greatest value 2 over 10 000 decisions at rate .5, two positions equal, rates -.5 and 1.5 rejected",
        (keras_rescaling, keras_partial_noise_shape, _refused(-0.5, 1.5)),
    ),
    Battery(
        "Flax linen",
        "google/flax: tests/linen/linen_test.py",
        "kept share at nine rates over 100 000 decisions within 4 standard deviations, rates 0 and 1, whole slices, two keys",
        (flax_two_keys, flax_rates, flax_limits, flax_slices),
    ),
    Battery(
        "Flax nnx",
        "google/flax: tests/nnx/nn/stochastic_test.py",
        "ten decisions: one seed gives one stream, two seeds differ, training and inference differ",
        (nnx_same_seed, nnx_inference),
    ),
    Battery(
        "TensorFlow",
        "tensorflow/tensorflow: tensorflow/python/ops/nn_test.py",
        "two values and 15 % relative error over 1200 decisions at three rates, equal elements within a channel, rates -1 and 1.1",
        (tensorflow_plain, tensorflow_shaped, tensorflow_correlation, tensorflow_edges, _refused(-1.0, 1.1)),
    ),
    Battery(
        "MLX",
        "ml-explore/mlx: python/tests/test_nn.py",
        "shape and dtype survive in float32, bfloat16 and float16",
        (mlx_shapes,),
    ),
    Battery(
        "Equinox",
        "patrick-kidger/equinox: tests/test_nn.py",
        "60 values at rate .5 are 0 or doubled; inference changes none, training some",
        (equinox_values, equinox_inference),
    ),
)
