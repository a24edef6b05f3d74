"""dropcheck as a library: one assertion that says the finding, and a process that is left as it was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from kits import layers_of_a_user as user
from kits.forked import Parents
from kits.layers_of_a_user import CLAIM, FEW

import dropcheck
from dropcheck.contract.errors import UsageError
from dropcheck.library import Broken, Unproven
from dropcheck.plan import python_objects

HERE = Path(__file__).parents[1] / "kits"


@pytest.fixture(autouse=True)
def _in_the_folder_of_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)


def test_a_layer_that_keeps_its_promise_is_returned_as_a_result() -> None:
    result = dropcheck.check(user.right, select=CLAIM, **FEW)
    assert [t.target for t in result.targets] == ["layers_of_a_user.py:right"]
    assert [f.check for f in result.targets[0].findings] == [CLAIM]


def test_the_message_is_the_finding_with_the_command_that_repeats_it() -> None:
    with pytest.raises(AssertionError) as told:
        dropcheck.check(user.shares, select=[CLAIM], seed=7, **FEW)
    text = str(told.value)
    observed, empty, answer = text.split("\n")[:3]
    assert "has the mask of sample 0" in observed and not empty
    assert answer == "layers_of_a_user.py:shares: 1 of 1 check fails (mask.distinct-samples)."
    again = text.split("rerun     ")[1].strip()
    assert again == (
        f"dropcheck audit layers_of_a_user.py:shares --select {CLAIM} --case 'float32 rate=0.3 64,32,3 calls=20' --seed 7"
    )
    assert told.value.result.targets[0].findings[0].verdict == "fail"  # type: ignore[attr-defined]


def test_the_same_seed_tells_the_same_and_another_one_other_coins() -> None:
    asked = {"select": "rate.marginal", "cases": "float32 rate=0.3 64,32,3 calls=20", "resolution": 0.1}
    one, again, other = (
        dropcheck.check(user.right, seed=seed, **asked).targets[0].findings[0].tallies for seed in (7, 7, 8)
    )
    assert one == again != other


def test_a_name_and_the_object_of_that_name_are_the_same_target() -> None:
    asked = {"select": "rate.marginal", "cases": "float32 rate=0.3 64,32,3 calls=20", "resolution": 0.1}
    by_object = dropcheck.check(user.right, **asked).targets[0]
    by_name = dropcheck.check("layers_of_a_user.py:right", **asked).targets[0]
    assert by_object.findings == by_name.findings


def test_a_layer_without_a_name_is_repeated_in_python() -> None:
    def nested(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        return user.shares(x, rate, training=training, rng=rng)

    with pytest.raises(Broken) as told:
        dropcheck.check(nested, select=CLAIM, **FEW)
    assert f"rerun     dropcheck.check(nested, select='{CLAIM}', case='float32 rate=0.3 64,32,3 calls=20')" in str(
        told.value
    )


def test_an_implementation_brings_its_contract_and_is_found_by_its_name() -> None:
    one_row = {"cases": "float32 rate=0.3 1,32,3 calls=400", "causes": False}
    result = dropcheck.check(user.DECLARED, select=["mask.distinct-channels"], **one_row)
    assert result.targets[0].target == "layers_of_a_user.py:DECLARED"
    assert result.targets[0].contract["pattern"] == "n c l -> c"


def test_a_pattern_changes_what_is_promised() -> None:
    asked = {"select": "mask.distinct-channels", "cases": "float32 rate=0.3 1,32,3 calls=400", "causes": False}
    dropcheck.check(user.shares, pattern="n c l -> c", **asked)


def test_what_fails_below_the_level_is_a_warning_and_the_result_keeps_its_verdict() -> None:
    few = {"select": "rate.rejects-invalid", **FEW}
    with pytest.raises(dropcheck.Broken, match=r"^invalid rates are accepted"):
        dropcheck.check(user.careless, **few)
    with pytest.warns(dropcheck.Tolerated, match=r"edge cases fail \(rate.rejects-invalid\)"):
        result = dropcheck.check(user.careless, fail_on="defect", **few)
    assert result.verdict == "fail"
    with pytest.raises(UsageError, match="the nearest is 'defect'"):
        dropcheck.check(user.careless, fail_on="defects", **few)


def test_too_few_coins_are_no_pass() -> None:
    with pytest.raises(Unproven, match="1 of 1 check needs more samples"):
        dropcheck.check(user.right, select="rate.marginal", cases="float32 rate=0.3 8,8,3 calls=2")


def test_a_layer_that_raises_is_told_in_its_own_words() -> None:
    def raises(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        raise RuntimeError("no such kernel")

    with pytest.raises(Unproven, match="no such kernel"):
        dropcheck.check(raises, select=CLAIM, **FEW)


@pytest.mark.parametrize(
    ("target", "options", "sentence"),
    [
        (user.right, {"selct": "mask"}, "there is no option 'selct'; the nearest is 'select'"),
        (user.right, {"select": "mask.distinct-sample"}, "the nearest is 'mask.distinct-samples'"),
        (user.right, {"seed": "new"}, "seed takes a whole number of at least 0, or 'fresh', not 'new'"),
        (user.right, {"profile": "quik"}, "the nearest is 'quick'"),
        (user.right, {"python": sys.executable}, "was handed over as an object"),
        ("layers_of_a_user.py:rigth", {}, "the nearest is 'right'"),
        ("torch.Dropuot1d", {}, "the nearest is 'torch.Dropout1d'"),
        (user.right, {"pattern": "n c l -> c", **FEW}, "of rows,channels,shared 64,32,3 the nearest is 1,32,3"),
        (3, {}, "an object of type int was given"),
    ],
)
def test_bad_input_is_one_sentence(target: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises((UsageError, Unproven)) as told:
        dropcheck.check(target, **options)
    assert sentence in str(told.value)


def test_a_target_of_another_keras_backend_runs_in_a_process_of_its_own() -> None:
    from dropcheck.library import fits
    from dropcheck.plan import targets

    here = sys.modules.get("keras")
    other = "jax" if here is None or here.config.backend() != "jax" else "torch"
    assert not fits(targets.parse(f"keras.SpatialDropout1D@{other}"), {})
    assert fits(targets.parse("torch.Dropout1d"), {})


def test_a_registered_class_brings_its_registered_contract() -> None:
    torch = pytest.importorskip("torch")
    from dropcheck.plan.python_objects import target_of

    assert target_of(torch.nn.Dropout2d).name == "torch.Dropout2d"


def test_registered_files_of_packages_that_are_absent_do_not_matter() -> None:
    from spatial_dropouts.adapters import lone_files  # asked for timm's file, it raises where timm is not there

    assert python_objects._at(lone_files.__name__, "timm.DropPath") is None
    assert dropcheck.check(user.right, select="rate.zero").verdict == "pass"


def test_a_lazy_module_that_cannot_be_asked_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = ModuleType("lazy")

    def absent(name: str) -> Any:
        raise ImportError(f"{name} needs a package that is not there")

    lazy.__getattr__ = absent  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    monkeypatch.setitem(sys.modules, "no-module", object())  # type: ignore[arg-type]
    assert python_objects.typed(object()) is None
    assert python_objects.typed(user.right) is not None


def test_a_factory_and_an_instance_are_targets_and_what_is_no_dropout_is_told() -> None:
    torch = pytest.importorskip("torch")
    dropcheck.check(lambda rate: torch.nn.Dropout1d(rate), select=CLAIM, **FEW)
    result = dropcheck.check(torch.nn.Dropout1d(0.3), select=CLAIM, **FEW)
    assert result.targets[0].target == "a Dropout1d"
    with pytest.raises((UsageError, Unproven), match="holds no rate"):
        dropcheck.check(torch.nn.Linear(3, 3), select=CLAIM, **FEW)


# --- the process is left as it was ---------------------------------------------------------------------------------------


class Switches:
    """Everything that a layer of a rude user could leave changed, and what comes next from all streams."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        torch.manual_seed(11)
        np.random.seed(12)
        random.seed(13)
        self.expected = self.next()
        torch.manual_seed(11)
        np.random.seed(12)
        random.seed(13)
        self.before = self.settings()

    def next(self) -> Any:
        return self.torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.random() for _ in range(3)]

    def settings(self) -> Any:
        torch = self.torch
        return (
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_num_threads(),
            list(sys.path),
            dict(os.environ),
            np.geterr(),
        )

    def assert_untouched(self) -> None:
        assert self.settings() == self.before
        assert self.next() == self.expected
        assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPoolExecutor")], "it goes on drawing"


def _rude(torch: Any, do: Any) -> Any:
    def layer(x: Any, rate: float, training: bool) -> Any:
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_grad_enabled(False)
        np.random.seed(1)
        random.seed(1)
        os.environ["LEFT_BY_A_LAYER"] = "1"
        sys.path.insert(0, "/left/by/a/layer")
        do()
        return torch.nn.functional.dropout1d(x, rate, training)

    return layer


def test_streams_and_settings_are_untouched_whatever_happens() -> None:
    torch = pytest.importorskip("torch")
    asked = {"select": CLAIM, "cases": "float32 rate=0.3 64,32,3 calls=20", "causes": False}

    kept = Switches(torch)
    dropcheck.check(_rude(torch, lambda: None), **asked)
    kept.assert_untouched()

    with torch.no_grad():
        kept = Switches(torch)
        by_element = {"pattern": "n c l -> n c l", "select": "mask.distinct-channels", "causes": False}
        with pytest.raises(Broken):
            dropcheck.check(_rude(torch, lambda: None), cases="float32 rate=0.3 64,32,1 calls=20", **by_element)
        kept.assert_untouched()

    def refuse() -> None:
        raise RuntimeError("no")

    kept = Switches(torch)
    with pytest.raises(Unproven):
        dropcheck.check(_rude(torch, refuse), **asked)
    kept.assert_untouched()


def test_an_interrupted_check_ends_and_leaves_streams_and_settings_untouched() -> None:
    torch = pytest.importorskip("torch")
    calls = 0

    def interrupted() -> None:
        nonlocal calls
        calls += 1
        if calls == 9:
            os.kill(os.getpid(), signal.SIGINT)

    kept = Switches(torch)
    with pytest.raises(KeyboardInterrupt):
        dropcheck.check(
            _rude(torch, interrupted), select="rate.marginal", cases=["float32 rate=0.3 64,32,3 calls=4000"] * 3
        )
    kept.assert_untouched()


STREAMS_OF_KERAS = """
import os, sys
os.environ["KERAS_BACKEND"] = "tensorflow"
sys.path.insert(0, {here!r})
import keras, tensorflow as tf
import dropcheck

def seeded():
    keras.utils.set_random_seed(5)
    tf.random.set_seed(6)
    return tf.random.uniform([2]).numpy().tolist()

def rest():
    return tf.random.uniform([3]).numpy().tolist(), keras.random.uniform((3,)).numpy().tolist()

first = seeded(); expected = rest()
assert seeded() == first
keras.config.set_dtype_policy("bfloat16"); keras.config.set_floatx("float64")
dropcheck.check("keras.SpatialDropout1D", select=["rate.zero", "seed.reset"], dtypes="float32")
assert keras.config.dtype_policy().name == "bfloat16" and keras.config.floatx() == "float64"
keras.config.set_dtype_policy("float32"); keras.config.set_floatx("float32")
assert rest() == expected
print("untouched")
"""


@pytest.mark.keras
def test_streams_and_policy_of_keras_and_tensorflow_are_untouched(parents: Parents, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    script = STREAMS_OF_KERAS.format(here=str(HERE))
    (tmp_path / "streams.py").write_text(script)
    done = parents.run([str(tmp_path / "streams.py")], ("numpy", "keras"), timeout=240, backend="tensorflow")
    assert done.stdout.strip() == "untouched", done.stderr[-3000:]


def test_importing_dropcheck_and_its_decorator_loads_no_framework() -> None:
    script = (
        "import sys, dropcheck, dropcheck.pytest_plugin; early = set(sys.modules);"
        "dropcheck.parametrize_with_checks(['torch.Dropout1d', 'keras.SpatialDropout1D@jax'], select='mask');"
        "heavy = {'torch', 'keras', 'tensorflow', 'jax', 'flax', 'mlx'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "assert not {*heavy, 'scipy', 'pandas', 'numpy'} & early, early; print('light')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "light\n", done.stderr


@pytest.mark.parametrize(
    ("targets", "options", "words"),
    [
        ((dict,), {}, "dict was handed over as an object.*name it as path/to/file.py:attr"),
        (("custom.reference",), {"cel": "4,8,8"}, "there is no option 'cel'.*the nearest is 'cell'"),
        (("custom.reference",), {"cells": "4,8,x"}, "cell '4,8,x': the word '4,8,x' is not understood"),
    ],
)
def test_bench_refuses_objects_and_unknown_options_in_one_sentence(targets: Any, options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        dropcheck.bench(*targets, **options)
