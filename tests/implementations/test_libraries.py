"""Layers of libraries that were measured without dropcheck: their rows, what makes them, and what is said where they are absent."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropcheck.contract.adapter import Unsupported
from dropcheck.contract.promise import Contract
from dropcheck.plan import targets
from dropcheck.report.reproduction.layer import layer_of
from spatial_dropouts import REGISTER, libraries
from spatial_dropouts.adapters import lone_files, opening
from spatial_dropouts.libraries import one_file

CORES = {"torch", "keras", "tf_keras", "tensorflow", "jax", "custom"}
MADE = {
    place: [one.make.partition(":")[2] for one in libraries.REGISTER.values() if str(one.make).startswith(f"{place}:")]
    for place in (f"spatial_dropouts.libraries.made_{kind}" for kind in ("torch", "blocks", "keras", "arrays"))
}


def test_there_are_sixty_implementations_in_thirty_five_libraries_and_two_languages() -> None:
    others = [name for name in REGISTER if name.partition(".")[0] not in CORES]
    assert len(others) >= 60
    assert len({name.partition(".")[0] for name in others}) >= 35
    assert {REGISTER[name].framework == "tfjs" for name in others} == {True, False}
    told = f"{len(others)} layers of {len({name.partition('.')[0] for name in others})} libraries are registered"
    assert told in Path(__file__).parents[2].joinpath("README.md").read_text()


@pytest.mark.parametrize("name", libraries.REGISTER)
def test_a_row_has_a_contract_a_release_and_something_that_makes_it(name: str) -> None:
    one = libraries.REGISTER[name]
    assert REGISTER[name] is one and not one.default and isinstance(one.contract, Contract)
    assert re.search(r"^pip install (--no-deps )?[\w-]+==[\d.]+", one.install) and one.summary
    place, _, attr = str(one.make).partition(":")
    if place in MADE:
        assert callable(getattr(importlib.import_module(place), attr))
    elif place.endswith("lone_files"):
        assert lone_files.FILES[attr.partition(".")[0]][0] in one.unimported
    else:
        assert place.partition(".")[0] in one.requires


def test_what_makes_the_layers_imports_no_framework_and_no_library() -> None:
    absent = sorted({module for one in libraries.REGISTER.values() for module in one.requires})
    program = f"import sys, {', '.join(MADE)}\nassert not set({absent}) & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and all(MADE.values()), done.stderr


@pytest.mark.parametrize("name", ["stanza.WordDropout", "boltz.rows", "mmcv.DropPath", "numpy_ml.Dropout"])
def test_an_absent_library_is_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, library = libraries.REGISTER[name], name.partition(".")[0]
    there = importlib.util.find_spec
    for module in (targets, importlib.util):
        monkeypatch.setattr(module, "find_spec", lambda word: None if word == library else there(word))
    monkeypatch.setitem(sys.modules, library, None)
    for module in {*one.requires} - {library}:  # PyTorch, which nothing here needs
        monkeypatch.setitem(sys.modules, module, sys)
    told = f"{library} is not installed: {one.install}"
    (row,) = [row for row in targets.available() if row.name == name]
    assert row.reason == told and not row.runnable
    with pytest.raises(Unsupported, match=f"^{re.escape(told)}$"):
        opening.opened(name, "spatial_dropouts:find", None, None)


def test_an_audit_of_what_is_absent_is_skipped_with_exit_code_3(call: Any) -> None:
    if importlib.util.find_spec("numpy_ml") is not None:
        pytest.skip("numpy_ml is installed")
    done = call("audit", "numpy_ml.Dropout", "--jobs", "1")
    assert done.code == 3 and "numpy_ml is not installed: pip install --no-deps numpy-ml==0.1.2" in done.out


def package(folder: Path, name: str, files: dict[str, str]) -> None:
    for inside, text in {"__init__.py": "raise RuntimeError('imported whole')\n", **files}.items():
        path = folder / name / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_file_runs_with_stand_ins_that_are_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from far.away import WORD\nfrom ..near import OTHER\n"
    package(tmp_path, "lone_package", {"parts/layer.py": text, "parts/broken.py": "import far.away\n1 / 0\n"})
    monkeypatch.syspath_prepend(tmp_path)
    given = {"far.away": {"WORD": 3}, "lone_package.near": {"OTHER": 4}}
    name = "lone_package.parts.layer"
    made = one_file.module("lone_package", "parts/layer.py", given, name)
    del sys.modules[name]
    assert (made.WORD, made.OTHER) == (3, 4)
    with pytest.raises(ZeroDivisionError):
        one_file.module("lone_package", "parts/broken.py", given)
    left = {"far", "far.away", "lone_package", "lone_package.near", "lone_package.parts", "lone_package_broken"}
    assert not left & set(sys.modules)


def test_what_is_imported_whole_already_is_there_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "lone_package", {"layer.py": "import json\nSEEN = json.WORD\n"})
    monkeypatch.syspath_prepend(tmp_path)
    json = importlib.import_module("json")
    made = one_file.module("lone_package", "layer.py", {"json": {"WORD": 3}}, "lone_package_once")
    del sys.modules["lone_package_once"]
    assert made.SEEN == 3 and sys.modules["json"] is json


def test_one_class_of_a_file_that_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import nowhere\n@nowhere.decorated\nclass Layer(Base):\n    def twice(self, x: nowhere.T):\n        return 2 * x\n"
    package(tmp_path, "lone_package", {"layer.py": text})
    monkeypatch.syspath_prepend(tmp_path)
    assert one_file.one_class("lone_package", "layer.py", "Layer", {"Base": object})().twice(3) == 6
    with pytest.raises(ImportError, match=r"the file layer\.py of lone_package defines no class Other here"):
        one_file.one_class("lone_package", "layer.py", "Other", {})
    with pytest.raises(ImportError, match=r"lone_package has no file other\.py here"):
        one_file.path_of("lone_package", "other.py")
    with pytest.raises(ImportError, match="there is no package 'no_such_package' here"):
        one_file.path_of("no_such_package", "layer.py")


@pytest.mark.parametrize(
    ("name", "framework", "made"),
    [
        ("mmcv.DropPath", "torch", "mmcv(rate)"),
        ("keras_cv.DropPath@torch", "keras@torch", "keras_cv(rate, dtype=DTYPE)"),
        ("equimo.DropPath", "jax", "lambda x, **given: equimo(x, rate, **given)"),
        ("stanza.WordDropout", "torch", "stanza.WordDropout(rate)"),
    ],
)
def test_a_script_holds_what_makes_its_layer(name: str, framework: str, made: str) -> None:
    layer = layer_of(name, framework, "global", False)
    compile(layer.imports, "imports", "exec")
    assert layer.make == made and "spatial_dropouts" not in re.sub('""".*?"""', "", layer.imports, flags=re.DOTALL)


def test_the_seed_of_a_node_is_out_of_reach_and_that_of_a_call_is_not() -> None:
    pytest.importorskip("onnx")
    x = np.ones((8, 6, 4), np.float32)
    equal = {}
    for name in ("onnx.reference.Dropout", "onnx.reference.Dropout.seed"):
        adapter = opening.opened(name, "spatial_dropouts:find", None, None)
        layer = adapter.make(0.5, "float32", 1, "generator")
        first, second = (np.array(adapter.apply(layer, x, True)) for _ in range(2))
        assert set(np.unique(first)) == {0, 2}
        equal[adapter.contract.seeds] = np.array_equal(first, second)
    assert equal == {("generator",): False, (): True}
