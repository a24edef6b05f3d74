"""Bridges to frameworks: objects are recognised, factories with their own contracts are driven, dtypes and layouts hold."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

import dropcheck
from dropcheck.contract.adapter import DTYPES, Implementation
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.worker.server import rounding
from spatial_dropouts import names
from spatial_dropouts.adapters import adapter_for, load, recognise, recognised
from spatial_dropouts.adapters.loading import NoDropout, TargetNotFound


def numpy_layer(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    return x


def torch_function(x: Any, rate: float, training: bool) -> Any:
    return torch.nn.functional.dropout1d(x, rate, training)


def keyed(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    return x


@pytest.mark.parametrize(
    ("thing", "framework"),
    [
        (torch.nn.Dropout1d, "torch"),
        (torch.nn.Dropout1d(0.2), "torch"),
        (numpy_layer, "numpy"),
        (torch_function, "torch-function"),
    ],
)
def test_the_framework_is_recognised_from_the_object(thing: Any, framework: str) -> None:
    assert recognise(thing) == framework


def test_keras_is_recognised_from_the_object() -> None:
    import keras  # takes seconds: not while tests are collected, in every process of them

    assert recognise(keras.layers.SpatialDropout1D) == recognise(keras.layers.SpatialDropout1D(0.2)) == "keras"


def test_what_is_no_layer_is_told_what_was_expected() -> None:
    with pytest.raises(TypeError, match=r"int was given; expected a torch\.nn\.Module"):
        recognise(3)
    with pytest.raises(TypeError, match="it takes no rate"):
        recognise(lambda x: x)
    assert recognise(keyed) == "jax"


def test_loading_names_the_nearest() -> None:
    assert load("torch.nn:Dropout1d") is torch.nn.Dropout1d
    with pytest.raises(TargetNotFound, match="nearest is 'Dropout1d'"):
        load("torch.nn:Dropout1")
    with pytest.raises(TargetNotFound, match="no module 'no_such'"):
        load("no_such.thing:X")


@pytest.mark.parametrize("make", ["torch.nn:Dropout1d", "keras.layers:SpatialDropout1D", "numpy"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["contiguous", "strided", "transposed"])
def test_tensors_keep_values_dtype_and_layout(make: str, dtype: str, layout: str) -> None:
    obj = numpy_layer if make == "numpy" else load(make)
    driver = adapter_for(obj, Implementation(make=make))
    if dtype not in driver.dtypes() or layout not in driver.layouts():
        pytest.skip("the framework has no such thing")
    values = rounding.pool(dtype, 60, 3).reshape(3, 4, 5)
    tensor = driver.tensor(values, dtype, layout)
    assert driver.dtype_of(tensor) == dtype
    np.testing.assert_array_equal(rounding.to_float64(driver.array(tensor), dtype), values)
    if hasattr(tensor, "stride") and layout != "contiguous":
        assert not tensor.is_contiguous()


class Inverse(torch.nn.Module):
    """Takes the probability of keeping as a keyword, needs an option, draws from a generator of its own."""

    generator = torch.Generator()

    def __init__(self, *, keep: float, flavour: str) -> None:
        super().__init__()
        if not 0 <= keep <= 1 or flavour != "plain":
            raise ValueError((keep, flavour))
        self.keep = keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.keep == 1:
            return x.clone()
        if self.keep == 0:
            return torch.zeros_like(x)
        kept = torch.rand(x.shape[0], x.shape[1], 1, generator=Inverse.generator) < self.keep
        return torch.where(kept, x / self.keep, torch.zeros((), dtype=x.dtype))


FACTORY = Implementation(
    make=Inverse,
    contract=Contract(Pattern.parse("n c l -> n c")),
    rate_argument="keep",
    keep_probability=True,
    options={"flavour": "plain"},
    seed=Inverse.generator.manual_seed,
)

CONSTANT = Implementation(
    make=numpy_layer, contract=Contract(Pattern.parse("n c l -> n c"), scale="none", seeds=("generator",))
)


def test_a_factory_with_its_own_contract_is_driven(tmp_path: Any) -> None:
    """Keyword arguments, keep probability and a way of seeding of its own, beside the user's code."""
    result = dropcheck.audit(f"{__file__}:FACTORY", dtypes=("float32",), in_process=True, jobs=1)
    (target,) = result.targets
    bad = [(f.check, f.case, f.message) for f in target.findings if f.verdict not in ("pass", "skipped")]
    assert target.error is None and not bad, (target.error, bad)
    judged = {f.check for f in target.findings if f.verdict == "pass"}
    assert {"seed.reset", "seed.reproducible", "rate.marginal", "rate.rejects-invalid"} <= judged


def test_a_layer_that_drops_nothing_is_accused() -> None:
    result = dropcheck.audit(f"{__file__}:CONSTANT", dtypes=("float32",), in_process=True, jobs=1)
    failed = {f.check for f in result.targets[0].findings if f.verdict == "fail"}
    assert {"rate.marginal", "rate.one", "rate.rejects-invalid"} <= failed
    # what cannot be asked of coins that all fell alike is not called a pass
    for one in result.targets[0].findings:
        if one.check.startswith("mask.independent"):
            assert one.verdict == "skipped", one


@pytest.mark.parametrize("name", [name for name in names() if not name.startswith("tfjs.")])  # test_tfjs.py opens those
def test_everything_registered_opens_and_declares_its_contract(name: str) -> None:
    from spatial_dropouts import find

    implementation = find(name)
    assert implementation is not None and isinstance(implementation.make, str)
    for module in implementation.requires:
        if module in implementation.unimported:
            if importlib.util.find_spec(module) is None:
                pytest.skip(f"{module} is not installed")
        else:
            pytest.importorskip(module)
    driver = adapter_for(load(implementation.make), implementation)
    assert driver.dtypes()[0] == "float32"
    assert isinstance(driver.contract, Contract)
    layer = driver.make(0.3, "float32", 1, driver.contract.seeds[0] if driver.contract.seeds else "global")
    shape = driver.contract.pattern.shape(64, 5, 4)
    values = rounding.pool("float32", 251, 3)[np.arange(int(np.prod(shape))) % 251].reshape(shape)
    y = np.asarray(driver.array(driver.apply(layer, driver.tensor(values, "float32"), True)))
    assert y.shape == shape
    if driver.contract.dropped == 0.0:
        assert (y == 0).any() and (y != 0).any()
    else:  # what is dropped becomes one value, which no other element has so often
        _, counts = np.unique(y, return_counts=True)
        assert counts.max() > 0.1 * y.size > 10 * np.sort(counts)[-2]


# --- plain functions: told from each other by what their code uses ------------------------------------------------------------


class _Library:
    """Something callable whose code nobody sees, on NumPy arrays or on tensors of PyTorch."""

    def __init__(self, random: Any) -> None:
        self.random = random

    def __call__(self, x: Any, rate: float, training: bool) -> Any:
        return x * (self.random(x.shape) >= rate)

    def drop(self, x: Any, rate: float, training: bool) -> Any:
        return torch.nn.functional.dropout1d(x, rate, training)


on_arrays, on_tensors = _Library(np.random.random), _Library(torch.rand)


def by_a_library(x: Any, rate: float, training: bool) -> Any:
    return on_arrays(x, rate, training)


def by_another(x: Any, rate: float, training: bool) -> Any:
    return on_tensors(x, rate, training)


def with_a_key(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    import jax

    return x * jax.random.bernoulli(rng, 1 - rate, x.shape)


def with_a_generator(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    return _mask(x, rate, rng)


def _mask(x: Any, rate: float, rng: Any) -> Any:
    return np.where(rng.random(x.shape) < rate, 0, x)


def annotated(x: Any, rate: float, *, training: bool, rng: jax.Array) -> Any:  # type: ignore[name-defined] # noqa: F821
    return x


def test_a_function_that_takes_rng_is_of_jax_where_its_code_or_its_annotation_says_so() -> None:
    assert [recognise(f) for f in (with_a_key, annotated, with_a_generator)] == ["jax", "jax", "numpy"]


def test_a_key_called_rng_is_given() -> None:
    pytest.importorskip("jax")
    adapter = adapter_for(with_a_key, Implementation(make=with_a_key))
    x = adapter.tensor(np.ones((4, 9, 2)), "float32")
    y = adapter.array(adapter.apply(adapter.make(0.3, "float32", 5, "key"), x, True))
    assert {0.0, 1.0} == set(y.ravel().tolist())


def test_what_a_function_was_taken_for_by_trying_is_said_with_the_way_to_say_otherwise() -> None:
    for function, framework, words in (
        (by_a_library, "numpy", "a function on NumPy arrays"),
        (by_another, "torch-function", "a function on PyTorch's tensors"),
    ):
        found, guessed = recognised(function)
        assert found == framework
        assert words in guessed and "framework=" in guessed
    assert recognised(torch_function) == ("torch-function", "")
    found_in = dropcheck.audit(by_a_library, select="form.shape-dtype", causes=False).targets[0]
    assert "NumPy arrays" in found_in.traits["framework"]


def test_a_method_is_driven_and_one_without_its_object_is_told_what_it_lacks() -> None:
    assert recognise(on_tensors.drop) == "torch-function"
    with pytest.raises(NoDropout, match=r"_Library\.drop is a method and needs an object of _Library: write `layer = "):
        recognise(_Library.drop)


def test_a_function_on_jax_arrays_that_is_driven_as_numpy_is_told_of_key() -> None:
    pytest.importorskip("jax")
    adapter = adapter_for(with_a_key, Implementation(make=with_a_key, framework="numpy"))
    with pytest.raises(TypeError, match="functions on JAX arrays take key"):
        adapter.apply(adapter.make(0.3, "float32", 5, "generator"), adapter.tensor(np.ones((4, 9)), "float32"), True)
