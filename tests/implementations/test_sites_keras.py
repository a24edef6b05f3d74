"""The sites of Keras models on its three backends: every draw is found, dropout in inference fails, and the gradient fits."""

from __future__ import annotations

import json
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from kits.forked import Parents

from dropcheck.contract.sites import Sites
from dropcheck.judge.checks import CHECK

pytestmark = pytest.mark.keras
BACKENDS = ["jax", "torch", "tensorflow"]
KITS = Path(__file__).parents[1]

AUDITED: dict[str, tuple[str, ...]] = {"NeverCalled": (), "Leaf": (), "LeafAlways": ()}  # else two layers

# one process a backend, which looks at all models
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv.pop(1))
from kits import planted_keras as kit
from spatial_dropouts.adapters import models_keras
found = {}
for name in sys.argv[1:]:
    audited = [] if name == "NeverCalled" or name.startswith("Leaf") else ["drop", "second"]
    model = getattr(kit, name)()
    assert models_keras.is_model(model), name
    found[name] = models_keras.sites(model, kit.INPUT, None, audited)
print(json.dumps(found))
"""
NAMES = (
    "Block",
    "FunctionAlways",
    "FunctionInTraining",
    "MadeInCall",
    "NeverCalled",
    "WrongFlag",
    "RightFlag",
    "Leaf",
    "LeafAlways",
    "Tagger",
    "OneSeed",
    "TwoSeeds",
    "SeedOfTheFunction",
)


@pytest.fixture(scope="module", autouse=True)
def _answers_of_forks(parents: Parents, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = tmp_path_factory.mktemp("sites") / "program.py"
    program.write_text(PROGRAM)

    @cache
    def asked(backend: str) -> dict[str, Any]:
        for module in ("keras", backend):
            if find_spec(module) is None:
                pytest.skip(f"{module} is not installed")
        environment = {**os.environ, "KERAS_BACKEND": backend}
        words = [str(program), str(KITS), *NAMES]
        done = parents.run(words, ("numpy", "keras"), env=environment, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    global answers
    answers = asked


def seen(backend: str, name: str) -> Sites:
    return Sites.from_answer(answers(backend)[name], "keras", AUDITED.get(name, ("drop", "second")))


def verdicts(backend: str, name: str) -> dict[str, str]:
    sites = seen(backend, name)
    found = [
        f for n in ("site.reached", "site.gradient", "site.independent") for f in CHECK[n].sites(CHECK[n], sites, "")
    ]  # type: ignore[misc]
    return {f"{f.check} {f.case}": f.verdict for f in found}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("wrong", ["FunctionAlways", "MadeInCall", "WrongFlag"])
def test_dropout_in_inference_fails_by_its_place_and_rate(backend: str, wrong: str) -> None:
    assert [n for n, v in verdicts(backend, wrong).items() if v == "fail"] == ["site.reached inference"]
    (drawn,) = [d for d in seen(backend, wrong).inference if d.module != "drop"]
    assert drawn.rate == pytest.approx(0.2) and drawn.place.startswith("planted_keras.py:")
    assert drawn.function == "keras.random.dropout" and drawn.made == (wrong == "MadeInCall")
    assert drawn.module.partition(".")[0] == ("attention" if wrong == "WrongFlag" else "")
    assert drawn.shape == ((6, 2, 4, 4) if wrong == "WrongFlag" else (6, 16))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("right", ["Block", "FunctionInTraining", "RightFlag", "Tagger"])
def test_their_correct_twins_fail_nothing(backend: str, right: str) -> None:
    found = verdicts(backend, right)
    assert not {"fail", "inconclusive"} & set(found.values())
    assert found["site.reached inference"] == found["site.gradient backward drop"] == "pass"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("wrong", "case"), [("OneSeed", "drop second"), ("SeedOfTheFunction", "SeedOfTheFunction (planted")]
)
def test_two_layers_of_one_seed_fail(backend: str, wrong: str, case: str) -> None:
    (failed,) = [n for n, v in verdicts(backend, wrong).items() if v == "fail"]
    assert failed.startswith(f"site.independent sites {case}")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("right", ["TwoSeeds", "RightFlag", "Tagger", "FunctionInTraining"])
def test_layers_with_seeds_of_their_own_pass(backend: str, right: str) -> None:
    assert verdicts(backend, right)["site.independent sites"] == "pass"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_layer_that_is_never_called_is_named(backend: str) -> None:
    found = verdicts(backend, "NeverCalled")
    assert found["site.reached layer drop"] == "inconclusive" and found["site.reached training"] == "fail"


@pytest.mark.parametrize("backend", BACKENDS)
def test_recurrent_masks_are_counted(backend: str) -> None:
    drawn = [d for d in seen(backend, "Tagger").training if d.module.startswith("gru")]
    assert {(round(d.rate or 0, 5), d.shape) for d in drawn} == {(0.2, (6, 4)), (0.1, (6, 4))}
    # recurrent dropout makes Keras draw one mask a gate; all backends draw as many
    assert len(drawn) == len([d for d in seen("jax", "Tagger").training if d.module.startswith("gru")])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_without_layers_is_judged_by_what_its_functions_draw(backend: str) -> None:
    right, wrong = verdicts(backend, "Leaf"), verdicts(backend, "LeafAlways")
    assert right["site.reached training"] == right["site.reached inference"] == "pass" and "fail" not in right.values()
    assert [n for n, v in wrong.items() if v == "fail"] == ["site.reached inference"]
