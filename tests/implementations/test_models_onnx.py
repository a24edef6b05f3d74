"""ONNX files as targets: what drops in them is found, layers that share decisions are named, and bad files cost one sentence."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.contract.errors import UsageError
from dropcheck.judge.checks import CHECK
from dropcheck.plan import models, targets
from dropcheck.report import explain_model
from dropcheck.report.reproduction import Confirmed, confirm
from spatial_dropouts import adapters
from spatial_dropouts.adapters.loading import NoDropout

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
onnx_models = importlib.import_module("kits.onnx_models")


def _seen(path: Path, words: str = "", shape: Any = None) -> models.Model:
    found = models.look(targets.parse(f"{path}{words}"), shape, in_process=True)
    assert found is not None
    return found


def _saved(made: Any, folder: Path) -> Path:
    onnx.save(made, str(folder / "model.onnx"))
    return folder / "model.onnx"


def test_random_subgraphs_and_dropout_nodes_are_found_with_rate_shape_and_pattern(tmp_path: Path) -> None:
    first, second = _seen(_saved(onnx_models.two_layers(0.7), tmp_path)).layers
    assert (first.name, first.rate, first.shape, second.name) == ("first", 0.3, (8, 6, 5), "second")
    assert first.pattern is not None and first.pattern.coins == ("batch", "time") and dict(first.pattern.sizes) == {
        "batch": 8, "time": 6}  # fmt: skip
    assert not first.refusal and abs(first.found.rate - 0.3) < 0.05
    (drop,) = _seen(_saved(onnx_models.dropout(batch="b"), tmp_path), "@reference", (4, 6, 5)).layers
    assert (drop.name, drop.rate, drop.shape, drop.kind) == ("drop", 0.3, (4, 6, 5), "Dropout")
    assert drop.pattern is not None and not drop.pattern.sizes and not drop.pattern.shared


@pytest.mark.parametrize(
    "words, shared, verdict, said",
    [
        ("@onnxruntime", False, "fail", "first and second: their masks depend on each other: over 24 sessions"),
        ("@reference", False, "pass", "no two layers have one mask, or masks that depend on each other"),
        ("@reference", True, "fail", "first and first/2: their masks are equal in all"),
    ],
)
def test_layers_that_share_decisions_are_named(
    tmp_path: Path, words: str, shared: bool, verdict: str, said: str
) -> None:
    """ONNX Runtime seeds the generators of neighbouring nodes with neighbouring numbers; the reference does not."""
    path = _saved(onnx_models.two_layers(shared=shared), tmp_path)
    sites = _seen(path, words).sites
    assert sites is not None
    check = CHECK["site.independent"]
    assert check.sites is not None
    (found,) = check.sites(check, sites, "")
    assert found.verdict == verdict and said in found.message, found.message


def test_a_node_is_a_target_of_its_own(tmp_path: Path) -> None:
    path = _saved(onnx_models.two_layers(0.7), tmp_path)
    (target,) = dropcheck.audit(
        f"{path}#first", select="mask.whole-channels", cases="float32 rate=0.3 8,6,5 calls=64", jobs=1, in_process=True
    ).targets
    assert target.verdict == "pass" and target.framework == "onnxruntime", target.error
    assert any(f.verdict == "pass" for f in target.findings)


@pytest.mark.parametrize(
    "sign, noted, verdict", [(1, False, "pass"), (1, True, "pass"), (-1, True, "fail")], ids=["seen", "noted", "wrong"]
)
def test_an_exported_alpha_dropout_is_held_to_its_own_law(tmp_path: Path, sign: int, noted: bool, verdict: str) -> None:
    path = _saved(onnx_models.alpha(sign=sign, noted=noted), tmp_path)
    (target,) = dropcheck.audit(
        f"{path}#alpha@reference",
        select=("scale.kept-values", "mask.ignores-values"),
        cases="float32 rate=0.3 48,5,1 calls=64",
        jobs=1,
        in_process=True,
        causes=False,
    ).targets
    assert target.error is None and target.contract["dropped"] == "alpha", target.error
    assert target.verdict == verdict, [f.message for f in target.findings]


def test_explain_shows_the_table_and_marks_what_is_shared(tmp_path: Path) -> None:
    path = _saved(onnx_models.two_layers(), tmp_path)
    told = " ".join(explain_model.text(_seen(path), 100).split())
    assert told.startswith("✗") and "model.onnx: 2 dropout layers" in told and "✗ first and second" in told


def _with(domain: str, opset: int = 20) -> Any:
    made = onnx_models.dropout()
    node = onnx.helper.make_node("Strange", ["y"], ["z"], domain=domain)
    made.graph.node.append(node if domain else onnx.helper.make_node("Identity", ["y"], ["z"]))
    if domain:
        made.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    made.opset_import[0].version = opset
    return made


@pytest.mark.parametrize(
    "made, said",
    [
        (lambda: onnx_models.dropout(False), "its Dropout node is in inference mode: training_mode is false"),
        (lambda: onnx_models.dropout(opset=11), "its Dropout node is in inference mode: opset 11 has no training mode"),
        (lambda: _with("mine"), "has operators that ONNX Runtime does not know: mine::Strange"),
        (lambda: _with("", 99), "is of opset 99; the onnx that is installed here knows opsets up to"),
        (
            lambda: onnx_models.model([onnx.helper.make_node("Relu", ["x"], ["y"])], {}),
            "has no dropout among its 1 nodes: no Dropout node, and none that draws random numbers",
        ),
        (
            lambda: onnx_models.model(
                [
                    onnx.helper.make_node("RandomNormalLike", ["x"], ["noise"], name="noise"),
                    onnx.helper.make_node("Add", ["x", "noise"], ["y"]),
                ],
                {},
            ),
            "RandomNormalLike at noise decide nothing as a mask does",
        ),
    ],
)
def test_a_file_that_drops_nothing_or_cannot_be_run_costs_one_sentence(made: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        _seen(_saved(made(), tmp_path))
    assert said in str(refused.value) and "\n" not in str(refused.value), refused.value


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "is empty"),
        (b"no model at all, but a text", "is no ONNX model, or is cut off"),
        (None, "is no ONNX model, or"),  # cut off
    ],
)
def test_a_file_that_is_no_model_costs_one_sentence(content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_models.two_layers().SerializeToString()[:90] if content is None else content)
    with pytest.raises(UsageError) as refused:
        _seen(path)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_weights_that_do_not_lie_beside_the_file_are_named(tmp_path: Path) -> None:
    made = onnx_models.two_layers()
    onnx.save(made, str(tmp_path / "model.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert _seen(tmp_path / "model.onnx").layers
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(UsageError, match=r"keeps its weights in other files.*weights.bin does not lie beside it"):
        _seen(tmp_path / "model.onnx")


def test_sizes_that_do_not_fit_are_said_with_the_way_out(tmp_path: Path) -> None:
    made = onnx_models.dropout(batch="b")
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((3, 1, 1), np.float32), "three"))
    made.graph.node.append(onnx.helper.make_node("Add", ["y", "three"], ["z"]))
    path = _saved(made, tmp_path)
    assert _seen(path, shape=(3, 6, 5)).layers
    with pytest.raises(UsageError, match=r"does not run in ONNX Runtime on inputs.*x \(8, 6, 5\).*give --input"):
        _seen(path)


@pytest.mark.parametrize(
    "words, said",
    [
        ("@refrence", "'@refrence' is no engine for an ONNX file; expected @onnxruntime or @reference"),
        ("@reference@onnxruntime", "is one word too many"),
    ],
)
def test_words_of_an_engine_are_checked(words: str, said: str, tmp_path: Path) -> None:
    path = _saved(onnx_models.dropout(), tmp_path)
    with pytest.raises(targets.UnknownTarget, match=said):
        targets.parse(f"{path}{words}")
    with pytest.raises(targets.UnknownTarget, match=r"there is no file .*modle.onnx"):
        targets.parse(str(tmp_path / "modle.onnx"))


def test_the_nearest_node_is_named(tmp_path: Path) -> None:
    path = _saved(onnx_models.two_layers(), tmp_path)
    with pytest.raises(NoDropout, match="has no node 'frist' that drops in training; the nearest is 'first'"):
        adapters.load(f"{path}:onnxruntime#frist")


@pytest.mark.parametrize(
    ("condition", "names", "note"),
    [
        (
            None,
            ["split/then/drop", "split/else/first"],
            "both branches of If split are run, whatever its condition says",
        ),
        (True, ["split/then/drop"], "the else branch of If split never runs: its condition is a constant"),
        (False, ["split/else/first"], "the then branch of If split never runs: its condition is a constant"),
    ],
)
def test_what_drops_in_branches_is_found(condition: bool | None, names: list[str], note: str, tmp_path: Path) -> None:
    found = _seen(_saved(onnx_models.branches(condition), tmp_path), "@reference")
    assert [layer.name for layer in found.layers] == names and note in found.notes
    rates = {"split/then/drop": 0.3, "split/else/first": 0.5}
    for layer in found.layers:
        assert layer.rate == rates[layer.name] and layer.shape == (8, 6, 5) and not layer.refusal
        assert abs(layer.found.rate - rates[layer.name]) < 0.05
        assert layer.pattern is not None and ("channel" in layer.pattern.coins) == (layer.name == "split/then/drop")


def test_branches_that_never_run_together_share_nothing(tmp_path: Path) -> None:
    """ONNX Runtime seeds generators of neighbouring nodes with neighbouring numbers, in both branches of an If as well."""
    sites = _seen(_saved(onnx_models.branches(), tmp_path)).sites
    assert sites is not None and not sites.shared


@pytest.mark.parametrize(("seed", "verdict"), [({}, "pass"), ({"seed": 7}, "fail")], ids=["new", "one mask"])
def test_each_iteration_of_a_loop_has_decisions_of_its_own(seed: Any, verdict: str, tmp_path: Path) -> None:
    """onnx.reference starts a generator from the seed of a node each time that it runs it: one mask for all iterations."""
    path = _saved(onnx_models.loop(**seed), tmp_path)
    (drop,) = _seen(path, "@reference").layers
    assert drop.axes == ("iteration", "batch", "time", "channel") and drop.shape == (4, 8, 6, 5)
    assert ("all of iteration shares one" in drop.wrong) == (verdict == "fail")
    (target,) = dropcheck.audit(
        f"{path}#steps/body/drop@reference",
        select=("mask.distinct-samples", "mask.whole-channels", "form.empty"),
        cases="float32 rate=0.3 128,65,1 calls=4",
        jobs=1,
        in_process=True,
        causes=False,
    ).targets
    assert target.error is None and target.contract["pattern"].startswith("iteration ")
    failing = [f for f in target.findings if f.verdict == "fail"]
    assert {f.check for f in failing} == ({"mask.distinct-samples"} if verdict == "fail" else set()), failing
    for one in failing:
        shown = confirm(target, one)
        assert isinstance(shown, Confirmed), shown


def test_bodies_that_do_not_run_written_out_are_left_alone_and_named(tmp_path: Path) -> None:
    """The other branch wants a shape that this input does not have: it never runs with it."""
    made = onnx_models.branches()
    other = next(a.g for a in made.graph.node[0].attribute if a.name == "else_branch")
    other.node[-1].input[0] = "wide"
    other.node.insert(0, onnx.helper.make_node("Reshape", ["x", "sizes"], ["wide"]))
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([7, 7, 7]), "sizes"))
    with pytest.raises(UsageError, match="inside of If split: written out, the branches and loops do not all run"):
        _seen(_saved(made, tmp_path), "@reference")


def test_what_draws_in_a_scan_is_named_and_not_looked_into(tmp_path: Path) -> None:
    info = onnx.helper.make_tensor_value_info
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Dropout", ["row", "ratio", "training"], ["kept"], name="drop")],
        "body",
        [info("row", onnx_models.FLOAT, [6, 5])],
        [info("kept", onnx_models.FLOAT, [6, 5])],
    )
    scan = onnx.helper.make_node("Scan", ["x"], ["y"], name="rows", body=body, num_scan_inputs=1)
    made = onnx_models.model([scan], {"ratio": np.float32(0.3), "training": np.array(True)})
    with pytest.raises(UsageError, match="Dropout inside of Scan rows: only If and Loop are looked into"):
        _seen(_saved(made, tmp_path))
