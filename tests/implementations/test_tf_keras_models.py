"""Models of Keras 2 (tf_keras): looked through like those of Keras 3, with recurrent dropout among their draws."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import dropcheck
from spatial_dropouts.adapters import models_base

pytestmark = pytest.mark.skipif(find_spec("tf_keras") is None, reason="not installed")

MODELS = """
import numpy as np
import tf_keras
from tf_keras import layers as L

recurrent = tf_keras.Sequential([
    L.Input((7, 5)), L.GRU(6, dropout=.5, return_sequences=True, name="gru"), L.SpatialDropout1D(.4, name="drop"),
    L.Dense(3, name="out"), L.Dropout(.2, name="end"),
])

class Block(L.Layer):
    def __init__(self):
        super().__init__(name="block")
        self.dense, self.drop = L.Dense(8, name="dense"), L.Dropout(.5, name="drop")
    def call(self, x, training=None):
        return self.drop(self.dense(x), training=training)

class Net(tf_keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block()
    def call(self, x, training=None):
        return self.block(x)

nested, nested_input = Net(), np.ones((4, 6), "float32")
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("keras2") / "models.py"
    Path(place).write_text(MODELS)
    return str(place)


def test_a_recurrent_model_is_looked_through_and_what_is_inside_of_it_is_named(models: str) -> None:
    found = models_base.survey(f"{models}:recurrent", None, 20, 5.0)
    assert found["kind"] == "model" and found["framework"] == "tf_keras"
    drop, end = found["layers"]
    assert (drop["name"], drop["rate"], drop["expected"]) == ("drop", 0.4, "batch time channel -> batch channel")
    assert (end["name"], end["rate"]) == ("end", 0.2) and 0.05 < np.mean(end["ys"] == 0) < 0.4
    drawn = {(one["module"].partition(".")[0], one["rate"]) for one in found["sites"]["training"]}
    assert {("drop", 0.4), ("end", 0.2)} < drawn and {name for name, _ in drawn} == {"drop", "end", "gru"}


def test_layers_at_depth_are_found_by_their_path(models: str) -> None:
    found = models_base.survey(f"{models}:nested", None, 20, 5.0)
    assert [one["name"] for one in found["layers"]] == ["block.drop"]


def test_a_layer_is_audited_where_it_stands(models: str) -> None:
    given = {"select": ("mode.inference",), "dtypes": ("float32",), "in_process": True, "jobs": 1, "causes": False}
    (found,) = dropcheck.audit(f"{models}:recurrent#drop", **given).targets  # type: ignore[arg-type]
    assert found.error is None and any(f.verdict == "pass" for f in found.findings)
    assert not [f for f in found.findings if f.verdict == "fail"]
