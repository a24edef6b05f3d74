"""Functions of one array and objects like them, on NumPy, TensorFlow, JAX and in Equinox: their draws are seen and judged."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dropcheck.contract.sites import Sites
from dropcheck.judge.checks import CHECK

NUMPY = """
import numpy as np
from numpy.random import default_rng, rand

RNG = np.random.default_rng(1)

def right(x, rng, training=True):
    return np.where(rng.random(x.shape) >= 0.3, x / 0.7, 0) if training else x

def always(x, rng, training=True): return np.where(rng.random(x.shape) >= 0.3, x / 0.7, 0)
def flag_between(x, train, rng): return right(x, rng, train)
def thrown_away(x, rng, training): return np.where(training, x * (rng.random(x.shape) > 0.3), x)
def noise(x, rng, training): return x + rng.normal(size=x.shape)
def lone(x, rng): return right(x, rng)
def own(x): return np.where(np.random.rand(*x.shape) < 0.3, 0, x)
def imported(x): return x * (rand(*x.shape) < 0.7)
def module(x): return x * RNG.binomial(1, 0.7, x.shape) / 0.7
def zeroed(x, rng):
    y = x.copy()
    y[rng.uniform(size=x.shape) < 0.3] = 0
    return y
def chosen(x, rng):
    x *= rng.choice([0, 1], size=x.shape, p=[0.3, 0.7])
    return x
def rows(x, rng): return x * (rng.random(x.shape[:1])[:, None] >= 0.3).astype(x.dtype)
def reseeded(x): return right(x, default_rng(0))
def twins(x, seed):
    one, other = default_rng(seed), default_rng(seed)
    x = right(x, one)
    return np.where(other.random(x.shape) >= 0.3, x, 0)

def one_helper(x, seed):
    x = lone(x, default_rng(seed))
    return lone(2 * x, default_rng(seed))
def own_seeds(x, seed):
    x = lone(x, default_rng(seed))
    return lone(2 * x, default_rng(seed + 1))

class Net:
    def __init__(self):
        self.w, self.rng = np.ones((8, 4)), np.random.default_rng(3)
    def drop(self, x): return np.where(self.rng.random(x.shape) >= 0.3, x / 0.7, 0)
    def __call__(self, x, training=False): return (self.drop(x) if training else x) @ self.w

class Always(Net):
    def __call__(self, x, training=False): return self.drop(x) @ self.w

net = Net()
def rate(x, p, rng): return x
class Rate:
    def __init__(self, p=0.5): self.p = p
    def __call__(self, x, *, training, rng): return x
def alien(x):
    import random
    return x * random.random() + np.zeros(1)
"""
TENSORFLOW = """
import tensorflow as tf

def right(x, training=False): return tf.nn.dropout(x, 0.3) if training else x
def always(x, training=False): return tf.nn.dropout(x, 0.3)
def lone(x): return tf.nn.dropout(x, 0.3)
def uniform(x): return tf.where(tf.random.uniform(tf.shape(x)) >= 0.3, x / 0.7, 0.0)
def seeded(x, seed): return tf.nn.experimental.stateless_dropout(x, 0.3, seed=seed)
def frozen(x): return seeded(x, (1, 2))
def twins(x, seed):
    x = seeded(x, seed)
    return tf.nn.experimental.stateless_dropout(2 * x, 0.3, seed=seed)
def one_helper(x, seed):
    x = seeded(x, seed)
    return seeded(2 * x, seed)
def own_seeds(x, seed):
    x = seeded(x, seed)
    return seeded(2 * x, (seed[0] + 7, 3))
def generator(x, rng):
    x = x * tf.cast(rng.uniform(tf.shape(x)) >= 0.3, x.dtype)
    return x * tf.cast(rng.uniform(tf.shape(x)) >= 0.3, x.dtype)

class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(tf.ones((8, 4)))
    def __call__(self, x, training=False): return right(x, training) @ self.w

class Counts(tf.Module):
    def __init__(self):
        super().__init__()
        self.count = tf.Variable(0)
    def __call__(self, x):
        for _ in range(2):
            self.count.assign_add(1)
            x = seeded(x, tf.stack([self.count, 0]))
        return x

graph = tf.function(right)
def rate(x, rate): return x
"""
JAX = """
import jax, jax.numpy as jnp

def drop(x, key): return jnp.where(jax.random.bernoulli(key, 0.7, x.shape), x / 0.7, 0)
def right(x, key, training=True): return drop(x, key) if training else x
def by_keyword(x, *, training, key): return right(x, key, training)
def other_flag(x, key, deterministic=False): return x if deterministic else drop(x, key)
def always(x, key, deterministic=False): return drop(x, key)
def lone(x, key): return drop(x, key)
@jax.jit
def compiled(x, key): return drop(x, key)
def one_helper(x, key):
    x = compiled(x, key)
    return compiled(2 * x, key)
def own_seeds(x, key):
    a, b = jax.random.split(key)
    x = compiled(x, a)
    return compiled(2 * x, b)
"""
EQUINOX = """
import equinox as eqx, jax, jax.numpy as jnp

def drop(x, key): return jnp.where(jax.random.bernoulli(key, 0.7, x.shape), x / 0.7, 0)

class Right(eqx.Module):
    w: jax.Array
    def __init__(self): self.w = jnp.ones(8)
    def __call__(self, x, *, key=None, inference=False): return x * self.w if inference else drop(x * self.w, key)

class Always(Right):
    def __call__(self, x, *, key=None, inference=False): return drop(x * self.w, key)

class NeedsKey(Right):
    def __call__(self, x, key): return drop(x * self.w, key)

class Bare(eqx.Module):
    def __call__(self, x, key): return drop(x, key)
"""
TORCH = """
import torch, torch.nn.functional as F
def right(x, training=True): return F.dropout(x, 0.3, training)
def always(x, training=True): return F.dropout(x, 0.3)
def one_helper(x):
    state = torch.get_rng_state()
    x = right(x)
    torch.set_rng_state(state)
    return right(2 * x)
def own_seeds(x):
    x = right(x)
    return right(2 * x)
def half(x, training):
    x = right(x, training)
    return right(2 * x, True)
"""
ALL = {"numpy": NUMPY, "tensorflow": TENSORFLOW, "jax": JAX, "equinox": EQUINOX, "torch": TORCH}


def seen(path: Path, framework: str, name: str) -> Sites:
    """The sites on an input of ones, as sample inputs often are."""
    from spatial_dropouts.adapters import models_base

    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    sample = "sample_input = __import__('numpy').ones(8 if '{0}' == 'equinox' else (4, 8), 'float32')\n"
    if framework == "torch":
        sample = "sample_input = torch.ones(4, 8)\n"
    (path / "net.py").write_text(ALL[framework] + sample.format(framework))
    answer = models_base.survey(f"{path}/net.py:{name}", None, 3, 1.0)
    assert answer["kind"] == "model" and answer["framework"] == framework and answer["layers"] == [], answer
    assert answer["sites"] is not None, answer["notes"]
    return Sites.from_answer(answer["sites"], answer["framework"], ())


def verdicts(sites: Sites) -> dict[str, str]:
    checks = [CHECK[n] for n in ("site.reached", "site.independent")]
    found: list[Any] = [f for check in checks if check.sites is not None for f in check.sites(check, sites, "")]
    return {f"{f.check} {f.case.partition(' ')[0]}": f.verdict for f in found}


RIGHT = {
    "numpy": ("right", "flag_between", "thrown_away", "noise", "Net", "net"),
    "tensorflow": ("right", "Net", "graph"),
    "jax": ("right", "by_keyword", "other_flag"),
    "equinox": ("Right",),
    "torch": ("right",),
}
ALWAYS = {
    "numpy": ("always", "Always"),
    **{f: ("always",) for f in ("tensorflow", "jax", "torch")},
    "equinox": ("Always",),
}
WITHOUT_FLAG = {
    "numpy": ("lone", "own", "imported", "module", "zeroed", "chosen", "rows"),
    "tensorflow": ("lone", "uniform", "seeded", "generator", "Counts"),
    "jax": ("lone", "compiled"),
    "equinox": ("NeedsKey", "Bare"),
}


def pairs(some: dict[str, tuple[str, ...]]) -> list[Any]:
    marks = {"tensorflow": pytest.mark.keras, "jax": pytest.mark.keras, "equinox": pytest.mark.keras}
    return [pytest.param(f, n, marks=[marks[f]] if f in marks else []) for f, names in some.items() for n in names]


@pytest.mark.parametrize(("framework", "name"), pairs(RIGHT))
def test_what_drops_in_training_alone_passes(tmp_path: Path, framework: str, name: str) -> None:
    sites = seen(tmp_path, framework, name)
    found = verdicts(sites)
    assert found["site.reached training"] == "pass" and "fail" not in found.values()
    assert name == "noise" or found["site.reached inference"] == "pass"
    assert [(d.rate, d.place.partition(":")[0]) for d in sites.training] == [
        (None if name == "noise" else 0.3, "net.py")
    ]


@pytest.mark.parametrize(("framework", "name"), pairs(ALWAYS))
def test_what_drops_in_inference_fails_by_its_place_and_rate(tmp_path: Path, framework: str, name: str) -> None:
    sites = seen(tmp_path, framework, name)
    assert [check for check, verdict in verdicts(sites).items() if verdict == "fail"] == ["site.reached inference"]
    assert [d.rate for d in sites.inference] == [0.3] and sites.inference[0].place.startswith("net.py:")


@pytest.mark.parametrize(("framework", "name"), pairs(WITHOUT_FLAG))
def test_what_cannot_be_told_that_it_infers_is_not_judged_there(tmp_path: Path, framework: str, name: str) -> None:
    sites = seen(tmp_path, framework, name)
    found = verdicts(sites)
    assert found["site.reached inference"] == "skipped" and "fail" not in found.values()
    assert sites.training and sites.uninferred and {d.rate for d in sites.training} == {0.3}


@pytest.mark.parametrize(
    ("framework", "name"),
    pairs({"numpy": ("reseeded", "twins"), "tensorflow": ("frozen", "twins")}),
)
def test_one_random_state_for_two_masks_fails(tmp_path: Path, framework: str, name: str) -> None:
    found = verdicts(seen(tmp_path, framework, name))
    assert [check for check, verdict in found.items() if verdict == "fail"] == ["site.independent sites"]


@pytest.mark.parametrize(("framework", "name"), pairs({"numpy": ("rate", "Rate"), "tensorflow": ("rate",)}))
def test_what_takes_a_rate_is_a_layer(tmp_path: Path, framework: str, name: str) -> None:
    from spatial_dropouts.adapters import models_base

    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    (tmp_path / "net.py").write_text(ALL[framework])
    assert models_base.survey(f"{tmp_path}/net.py:{name}", (4, 8), 3, 1.0) == {"kind": "other"}


def test_random_numbers_that_cannot_be_watched_are_said(tmp_path: Path) -> None:
    from spatial_dropouts.adapters import models_base

    (tmp_path / "net.py").write_text(NUMPY)
    answer = models_base.survey(f"{tmp_path}/net.py:alien", (4, 8), 3, 1.0)
    assert answer["sites"] is None and "by no generator of NumPy" in answer["notes"][0]
    with pytest.raises(TypeError, match="a function does not tell what it takes; put a variable sample_input"):
        models_base.survey(f"{tmp_path}/net.py:alien", None, 3, 1.0)


def test_generators_of_the_code_do_not_move(tmp_path: Path) -> None:
    import sys

    import numpy as np

    for name in ("module", "own", "net"):
        state = np.random.get_state()[1].copy()
        seen(tmp_path, "numpy", name)
        loaded = sys.modules["dropcheck_target_net"]
        assert np.array_equal(np.random.get_state()[1], state)
        assert loaded.RNG.bit_generator.state == np.random.default_rng(1).bit_generator.state
        assert loaded.net.rng.bit_generator.state == np.random.default_rng(3).bit_generator.state
        assert type(loaded.RNG) is type(loaded.net.rng) is np.random.Generator


HELPERS = ("numpy", "tensorflow", "jax", "torch")


@pytest.mark.parametrize(("framework", "name"), pairs({f: ("one_helper",) for f in HELPERS}))
def test_two_calls_of_one_helper_with_one_random_state_fail_by_the_lines_that_call_it(
    tmp_path: Path, framework: str, name: str
) -> None:
    sites = seen(tmp_path, framework, name)
    assert [check for check, v in verdicts(sites).items() if v == "fail"] == ["site.independent sites"]
    (shared,) = sites.shared
    lines = [one.rpartition(" called at ")[2] for one in (shared.first, shared.second)]
    text = ALL[framework].splitlines()
    assert ["2 * x" in text[int(line.partition(":")[2]) - 1] for line in lines] == [False, True]


@pytest.mark.parametrize(("framework", "name"), pairs({f: ("own_seeds",) for f in HELPERS}))
def test_two_calls_of_one_helper_are_two_places(tmp_path: Path, framework: str, name: str) -> None:
    sites = seen(tmp_path, framework, name)
    assert "fail" not in verdicts(sites).values()
    assert (
        len({sites.where(one) for one in sites.training})
        == len(sites.training)
        == len(sites.grouped(sites.training))
        == 2
    )


def test_the_call_of_a_helper_that_drops_in_inference_is_named(tmp_path: Path) -> None:
    sites = seen(tmp_path, "torch", "half")
    ((drawn,), lines) = sites.inference, (tmp_path / "net.py").read_text().splitlines()
    assert "right(2 * x, True)" in lines[int(sites.where(drawn).rpartition(":")[2]) - 1]


def test_loops_and_many_callers_stay_one_place() -> None:
    from dropcheck.contract.sites import way_apart

    ways = {(f"net.py:{n}",) for n in range(3)}
    assert [way_apart(ways, one) for one in sorted(ways)] == ["net.py:0", "net.py:1", "net.py:2"]
    assert way_apart({("net.py:1",)}, ("net.py:1",)) == ""
    assert way_apart({(f"net.py:{n}",) for n in range(9)}, ("net.py:1",)) == ""
    assert way_apart({("a.py:1", "/x/net.py:2"), ("a.py:1", "/x/net.py:3")}, ("a.py:1", "/x/net.py:3")) == "net.py:3"
