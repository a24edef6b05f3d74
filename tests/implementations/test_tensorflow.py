"""TensorFlow's functions: noise shapes, pairs of seeds, recognised user functions, and modes that are really entered."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.contract.adapter import Implementation, Unsupported
from spatial_dropouts import find
from spatial_dropouts.adapters import adapter_for, load, recognise

pytestmark = pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")


@pytest.fixture(autouse=True, scope="module")
def _tensorflow() -> None:
    """Imported by the process that runs these tests: each process collects them."""
    global tf
    import tensorflow as tf


def mine(x: Any, rate: float, training: bool = True) -> Any:
    return tf.nn.dropout(x, rate, noise_shape=(x.shape[0], 1, x.shape[2])) if training else x


def driver(name: str) -> Any:
    implementation = find(name)
    assert implementation is not None and isinstance(implementation.make, str)
    return adapter_for(load(implementation.make), implementation)


def masks(adapter: Any, layer: Any, shape: tuple[int, ...] = (8, 3, 40), calls: int = 2) -> list[Any]:
    x = adapter.tensor(np.ones(shape), "float32")
    return [adapter.array(adapter.apply(layer, x, True)) == 0 for _ in range(calls)]


def test_a_function_whose_module_uses_tensorflow_is_recognised() -> None:
    assert recognise(mine) == "tensorflow"
    assert recognise(tf.nn.dropout) == "tensorflow"


def test_the_noise_shape_is_that_of_the_pattern() -> None:
    shared, alone = driver("tensorflow.spatial_dropout1d"), driver("tensorflow.dropout")
    (mask, _) = masks(shared, shared.make(0.5, "float32", 1, "global"))
    assert (mask == mask[:, :1]).all() and mask.any() and not mask.all()
    (mask, _) = masks(alone, alone.make(0.5, "float32", 1, "global"))
    assert not (mask == mask[:, :1]).all()
    with pytest.raises(Unsupported, match="another rank"):
        masks(shared, shared.make(0.5, "float32", 1, "global"), (8, 40))


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_pairs_of_seeds_are_a_stream_and_no_constant_of_the_trace(mode: str) -> None:
    adapter = driver("tensorflow.stateless_dropout")
    if mode != "eager":
        adapter.use(mode)
    first, second = masks(adapter, adapter.make(0.5, "float32", 3, "key"))
    again, _ = masks(adapter, adapter.make(0.5, "float32", 3, "key"))
    other, _ = masks(adapter, adapter.make(0.5, "float32", 4, "key"))
    assert (first == again).all() and (first != second).any() and (first != other).any()


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_a_mode_is_traced_once_a_shape(mode: str) -> None:
    traces = []

    def counted(x: Any, rate: float, training: bool = True) -> Any:
        traces.append(tf.executing_eagerly())
        return tf.nn.dropout(x, rate)

    adapter: Any = adapter_for(counted, Implementation(make=counted, contract="n l c -> n l c", framework="tensorflow"))
    adapter.use(mode)
    layer = adapter.make(0.5, "float32", 1, "global")
    masks(adapter, layer, calls=5)
    assert traces == [False]
    masks(adapter, layer, (4, 3, 40), calls=5)
    assert traces == [False, False]
    program = (
        layer.traced["training=True"].experimental_get_compiler_ir(tf.ones((8, 3, 40)))("hlo") if mode == "xla" else ""
    )
    assert mode == "graph" or "HloModule" in program


def test_xla_is_the_compiler_that_runs() -> None:
    """What XLA cannot compile runs in a graph and is refused under XLA."""

    def uncompilable(x: Any, rate: float) -> Any:
        return tf.reshape(tf.py_function(lambda t: t, [x], tf.float32), x.shape)

    implementation = Implementation(make=uncompilable, contract="n l c -> n c", framework="tensorflow")
    for mode in ("graph", "xla"):
        adapter: Any = adapter_for(uncompilable, implementation)
        adapter.use(mode)
        layer = adapter.make(0.5, "float32", None, "global")
        if mode == "graph":
            masks(adapter, layer)
        else:
            with pytest.raises(tf.errors.OpError):
                masks(adapter, layer)


def test_replicas_are_two_and_split_the_batch() -> None:
    """In a process of its own: virtual devices must be there before TensorFlow computes anything."""
    result = dropcheck.audit(
        "tensorflow.spatial_dropout1d@ranks",
        select=("mask.distinct-samples", "mask.whole-channels", "scale.kept-values"),
        cases=("float32 rate=0.5 65,65,4 calls=16",),
        jobs=1,
    )
    (target,) = result.targets
    assert target.error is None and target.skipped is None
    assert target.verdict == "pass", [(f.check, f.message) for f in target.findings if f.verdict == "fail"]


def test_replicas_are_refused_where_tensorflow_has_begun() -> None:
    tf.ones(1).numpy()
    with pytest.raises(Unsupported, match="in a process of its own"):
        driver("tensorflow.dropout").use("ranks")
    assert "ranks" not in driver("tensorflow.stateless_dropout").modes


def test_a_new_batch_size_repeats_the_coins_of_the_first_under_a_global_seed() -> None:
    """A defect of TensorFlow 2: every trace counts its operations' seeds from the start."""
    case = {"cases": ("float32 rate=0.5 3,511,4 calls=16 batches=3,1,7",), "select": ("mask.distinct-calls",)}
    (eager,) = dropcheck.audit("tensorflow.spatial_dropout1d", in_process=True, jobs=1, **case).targets
    (graph,) = dropcheck.audit("tensorflow.spatial_dropout1d@graph", in_process=True, jobs=1, **case).targets
    assert [f.verdict for f in eager.findings] == ["pass"] and "fail" in [f.verdict for f in graph.findings]


def test_recomputing_draws_other_coins_unless_the_seed_is_given() -> None:
    """A defect of tf.recompute_grad: stateful draws are repeated with other coins in the backward pass."""
    agree = {}
    for name, way in (("spatial_dropout1d", "global"), ("stateless_dropout", "key")):
        adapter = driver(f"tensorflow.{name}")
        layer, x = adapter.make(0.5, "float32", 1, way), adapter.tensor(np.ones((8, 3, 40)), "float32")
        y, gradient = adapter.recompute(layer, x, x, "tf.recompute_grad")
        agree[name] = np.array_equal(adapter.array(y) == 0, adapter.array(gradient) == 0)
    assert agree == {"spatial_dropout1d": False, "stateless_dropout": True}
