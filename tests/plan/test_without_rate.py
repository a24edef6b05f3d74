"""Classes and functions of a file that take no rate: known by reading, before anything runs."""

from __future__ import annotations

import ast

import pytest

from dropcheck.plan import without_rate

FILE = ast.parse(
    """
class Bare(nn.Module):
    def forward(self, x): return F.dropout(x, 0.3, self.training)

class Made(nn.Module):
    def __init__(self): super().__init__()
    def forward(self, x): return x

class Below(Made): pass

class Keyed(nnx.Module):
    def __init__(self, *, rngs): self.rngs = rngs
    def __call__(self, x): return x

class Linen(nn.Module):
    @nn.compact
    def __call__(self, x): return x

class Model(keras.Model):
    def call(self, x, training=False): return x

class Rate(nn.Module):
    def __init__(self, p=0.5): self.p = p
    def forward(self, x): return x

class OtherWord(nn.Module):
    def __init__(self, strength=0.5): self.strength = strength
    def forward(self, x): return x

class BelowRate(Rate): pass

class Anything(nn.Module):
    def __init__(self, *args): pass
    def forward(self, x): return x

class Field(nn.Module):
    rate: float = 0.5
    def __call__(self, x): return x

class Extended(nn.Dropout):
    def forward(self, x): return x

class NoLayer:
    def __init__(self): pass

def model(): return Bare()
def model_of(width=8): return Bare()
def draws(x): return F.dropout(x, 0.3)
def keyed(x, key): return x
def keyed_by_name(x, *, key): return x
def flagged(x, training=False, rng=None): return x
def factory(p): return nn.Dropout(p)
def dropout(x, rate, training): return x
def method(self): return x
def some(*args): return x
"""
)


@pytest.mark.parametrize("name", ["Bare", "Made", "Below", "Keyed", "Linen", "Model"])
def test_a_class_that_takes_no_rate_may_be_a_model(name: str) -> None:
    assert without_rate.layer(_node(name), FILE)


@pytest.mark.parametrize("name", ["Rate", "OtherWord", "BelowRate", "Anything", "Field", "Extended", "NoLayer"])
def test_a_class_that_may_take_a_rate_is_a_layer(name: str) -> None:
    assert not without_rate.layer(_node(name), FILE)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        *((n, True) for n in ("model", "model_of", "draws", "keyed", "keyed_by_name", "flagged", "some")),
        *((n, False) for n in ("factory", "dropout", "method")),
    ],
)
def test_a_function_of_one_array_may_draw_by_itself(name: str, model: bool) -> None:
    assert without_rate.function(_node(name)) == model


def _node(name: str) -> ast.ClassDef | ast.FunctionDef:
    (found,) = [one for one in FILE.body if one.name == name]  # type: ignore[attr-defined]
    return found  # type: ignore[return-value]
