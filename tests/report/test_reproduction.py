"""Scripts of findings: each shows its planted defect and acquits a right layer, with no word of the suite inside."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kits.forked import Parents
from kits.script import failed

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.plan import targets
from dropcheck.report.reproduction import Confirmed, NotConfirmed, confirm, together, write
from dropcheck.report.reproduction import layer as layers
from dropcheck.report.reproduction import told as run_script
from dropcheck.report.reproduction.bodies import BODIES

STREAM = "float32 rate=0.3 257,64,4 calls=64"
WIDE = "float32 rate=0.3 65,1025,2 calls=21"
SEEDS = "float32 rate=0.5 9,131,3 calls=256 seeds"
# check, planted defect, case of the finding; the right twin is custom.reference, or custom.torch
NUMPY = [
    ("mask.whole-channels", "drops-elements", STREAM),
    ("mask.whole-channels", "strided-tears-channels", f"{STREAM} strided"),
    ("mask.distinct-channels", "quads-share-a-coin", STREAM),
    ("mask.distinct-samples", "one-mask-per-batch", WIDE),
    ("mask.distinct-calls", "frozen-mask", WIDE),
    ("mask.independent-channels", "neighbour-leans", "float32 rate=0.3 1025,64,1 calls=21"),
    ("mask.independent-samples", "samples-lean", STREAM),
    ("mask.independent-calls", "calls-lean", "float32 rate=0.3 131,34,6 calls=300"),
    ("mask.dropped-count", "exactly-k", STREAM),
    ("mask.patterns", "parity-of-three", "float32 rate=0.5 129,513,3 calls=25"),
    ("mask.ignores-values", "prefers-negative", "float32 rate=0.5 129,65,3 calls=128 values"),
    ("rate.marginal", "swaps-keep-and-drop", STREAM),
    ("rate.per-channel", "tail-lanes-kept", "float32 rate=0.5 257,33,3 calls=192 infer=3"),
    ("rate.per-sample", "first-sample-kept", "float32 rate=0.5 5,131,3 calls=512"),
    ("rate.zero", "zero-still-drops", "float32 rate=0"),
    ("rate.one", "one-is-nan", "float32 rate=1"),
    ("rate.rejects-invalid", "obeys-any-rate", "rate=1.5"),
    ("scale.kept-values", "not-scaled", "float32 rate=0.1"),
    ("scale.mean", "not-scaled", "float32 rate=0.1"),
    ("mode.inference", "active-in-inference", "float32 rate=0.5"),
    ("mode.inference", "inference-spends-randomness", "spends no randomness"),
    ("mode.inference", "mask-by-shape", "float32 after training"),
    ("mode.inference", "drops-after-many-calls", "float32 after training"),
    ("mode.toggle", "stuck-off", "float32 rate=0.5"),
    ("seed.reproducible", "ignores-seed", "float32 5,7,3 way=generator"),
    ("seed.reproducible", "ignores-seed", "float32 130,129,3 way=generator fresh process"),
    ("seed.distinct", "always-seed-zero", SEEDS),
    ("seed.neighbours", "neighbour-seeds-lean", SEEDS),
    ("form.shape-dtype", "drops-last-step", "float32 rate=0.3"),
    ("form.strides", "ignores-strides", "float32 rate=0.3 strided"),
    ("form.batch-change", "first-batch-frozen", "float32 rate=0.3 batches=4,64,1,513,64,2"),
    ("form.empty", "empty-becomes-scalar", "float32 no rows"),
    ("form.empty", "empty-crashes", "float32 no rows"),  # a crash is no refusal
    ("form.empty", "no-channels-becomes-one", "float32 no channels"),
    ("form.input-untouched", "overwrites-input", "float32 rate=0.3"),
    ("form.nonfinite", "nan-leaks", "float32 rate=0.5 with Inf and NaN"),
]
TORCH = [
    ("gradient.mask", "backward-other-coins", "float32 rate=0.3 grad plain"),
    ("gradient.scale", "backward-no-scale", "float32 rate=0.3 grad plain"),
]


@pytest.fixture(autouse=True)
def in_forks(parents: Parents, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each script runs in a fork of a process that has imported its framework"""
    parents.scripts_of(monkeypatch, confirm)


def told(target: str, check: str, case: str, framework: str = "numpy", contract: Contract | None = None) -> Any:
    """A result of that target, and one failing finding in it."""
    if contract is None:
        found = layers._origin(targets.parse(target))[0]
        contract = found.contract if found is not None and isinstance(found.contract, Contract) else None
    way = "generator" if framework == "numpy" else "global"
    contract = contract or Contract(pattern=Pattern.parse("n c l -> n c"), seeds=(way,))
    return failed(target, framework, contract, check, case, "it fails")


@pytest.mark.parametrize("check, name, case", [*NUMPY, *TORCH])
def test_a_script_shows_the_planted_defect(check: str, name: str, case: str) -> None:
    framework = "torch" if (check, name, case) in TORCH else "numpy"
    got = confirm(*told(f"broken.{name}", check, case, framework))
    assert isinstance(got, Confirmed), got.output
    assert got.expected and got.observed and got.control


@pytest.mark.parametrize("check, case", sorted({(check, case) for check, _, case in NUMPY}))
def test_the_same_script_acquits_a_right_layer(check: str, case: str) -> None:
    got = confirm(*told("custom.reference", check, case))
    assert isinstance(got, NotConfirmed) and got.ran, got


@pytest.mark.parametrize("check", ["gradient.mask", "gradient.scale", "gradient.recompute", "seed.reset"])
@pytest.mark.parametrize("target", ["torch.Dropout1d", "custom.torch"])
def test_scripts_with_gradients_acquit_right_layers(check: str, target: str) -> None:
    got = confirm(*told(target, check, "float32 rate=0.3 grad plain", "torch"))
    assert isinstance(got, NotConfirmed) and got.ran, got


@pytest.mark.parametrize("check", ["rate.marginal", "mask.distinct-calls", "form.batch-change", "seed.reproducible"])
def test_a_script_that_measures_wrongly_is_told_by_its_control(check: str) -> None:
    case = {"seed.reproducible": "float32 130,129,3 way=generator fresh process", "rate.marginal": STREAM}
    owner, found = told("custom.reference", check, case.get(check, "float32 rate=0.3 batches=4,64,1"))
    script = write(owner, found)
    wrong = script.replace("return expected, observed, bool(defect)", "return expected, observed, True")
    got = run_script(owner, wrong)
    assert wrong != script and isinstance(got, NotConfirmed) and got.ran and got.control, got
    assert got.word == "the control shows it too"


# a function is run again with the generator as it is by then
OF_FRAMEWORKS = [("mlx", "mlx.Dropout2d"), ("tensorflow", "tensorflow.spatial_dropout1d@graph")]


@pytest.mark.parametrize("framework, target", OF_FRAMEWORKS)
def test_what_every_layer_of_a_framework_does_is_not_confirmed_of_one(framework: str, target: str) -> None:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    got = confirm(*told(target, "gradient.recompute", "float32 rate=0.3", framework))
    assert isinstance(got, NotConfirmed) and got.control, got


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="Keras is not installed")
def test_a_mask_that_a_recomputed_recurrent_layer_leaves_behind_is_confirmed() -> None:
    case = "float32 rate=0.3 recompute checkpoint call 2"
    got = confirm(*told("keras.SimpleRNN#input@torch", "gradient.recompute", case, "keras@torch"))
    assert isinstance(got, Confirmed), got.output


@pytest.mark.parametrize("declared, shown", [("keep", False), ("identity", True)])
def test_inference_that_scales_is_right_where_the_contract_says_so(
    declared: str, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\ndef layer(x, rate, *, training, rng):\n    if not training:\n"
        "        return (x * (1 - rate)).astype(x.dtype)\n"
        "    return x * (rng.random((*x.shape[:2], 1)) >= rate).astype(x.dtype)\n"
    )
    monkeypatch.chdir(tmp_path)
    contract = Contract(pattern=Pattern.parse("n c l -> n c"), seeds=("generator",), scale="none", inference=declared)
    got = confirm(*told("mine.py:layer", "mode.inference", "float32 rate=0.5", "numpy", contract))
    assert isinstance(got, Confirmed) == shown and (shown or (got.ran and not got.control)), got


FOLLOWS = [  # what only follows from another failure: a script measures its own claim
    ("broken.not-scaled", "form.strides", "float32 rate=0.3 strided", "numpy"),
    ("broken.not-scaled", "form.batch-change", "float32 rate=0.3 batches=4,64,1,513", "numpy"),
    ("broken.drops-elements", "form.strides", "float32 rate=0.3 strided", "numpy"),
    ("broken.drops-elements", "form.batch-change", "float32 rate=0.3 batches=4,64,1,513", "numpy"),
    ("broken.active-in-inference", "form.strides", "float32 rate=0.5 strided", "numpy"),
    ("broken.one-is-nan", "form.input-untouched", "float32 rate=0.3", "numpy"),
    ("broken.overwrites-input", "scale.kept-values", "float32 rate=0.3", "numpy"),
    ("torch.Dropout", "gradient.mask", "float32 rate=0.3 grad zeros", "torch"),
    ("torch.Dropout", "gradient.recompute", "float32 rate=0.3", "torch"),
]


@pytest.mark.parametrize("target, check, case, framework", FOLLOWS)
def test_a_script_does_not_confirm_what_only_follows(target: str, check: str, case: str, framework: str) -> None:
    contract = Contract(pattern=Pattern.parse("n c l -> n c")) if framework == "torch" else None
    got = confirm(*told(target, check, case, framework, contract))
    assert isinstance(got, NotConfirmed) and got.ran and not got.control, got


def test_one_mask_for_the_whole_batch_of_one_channel_repeats_no_call_and_no_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\ndef layer(x, rate, *, training, rng):\n    return x * (rng.random() >= rate) / (1 - rate)\n"
    )
    monkeypatch.chdir(tmp_path)
    contract = Contract(pattern=Pattern.parse("n c l -> n"), seeds=("generator",))
    for check, case in (("mask.distinct-calls", WIDE), ("seed.distinct", SEEDS), ("seed.neighbours", SEEDS)):
        got = confirm(*told("mine.py:layer", check, case, "numpy", contract))
        assert isinstance(got, NotConfirmed) and got.ran and not got.control, got


TWICE = """
import torch

class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, mask):
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0] * FACTOR, None

class Mine(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return Scaled.apply(x, (torch.rand(*x.shape[:2], 1) >= self.p).to(x)) if self.training else x
"""


@pytest.mark.parametrize("factor, shown", [("1", False), ("1 / 0.7", True)])
def test_the_gradient_is_compared_with_the_factor_of_the_forward_pass(
    factor: str, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(TWICE.replace("FACTOR", factor))  # it does not scale, against its contract
    monkeypatch.chdir(tmp_path)
    contract = Contract(pattern=Pattern.parse("n c l -> n c"))
    got = confirm(*told("mine.py:Mine", "gradient.scale", "float32 rate=0.3 grad plain", "torch", contract))
    assert isinstance(got, Confirmed) == shown and (shown or got.ran), got


def test_a_checkpoint_inside_of_compiled_code_has_a_script_of_its_own() -> None:
    case = "float32 rate=0.3 recompute checkpoint-in-compiled call 1"
    owner, found = told("torch.Dropout1d@compiled", "gradient.recompute", case, "torch")
    assert "lambda given: checkpoint(layer, given" in write(owner, found)
    for one in (found, msgspec.structs.replace(found, tallies={"raised": "RuntimeError"})):
        got = confirm(owner, one)
        assert isinstance(got, NotConfirmed) and got.ran, got


def test_a_way_that_raises_is_shown_to_raise(tmp_path: Path) -> None:
    place = tmp_path / "mine.py"
    place.write_text(
        "import torch\n\nclass Mine(torch.nn.Dropout1d):\n    def forward(self, x):\n        if x.requires_grad and not "
        "torch.is_grad_enabled():\n            raise RuntimeError('no second pass')\n        return super().forward(x)\n"
    )
    case = "float32 rate=0.3 recompute reentrant-checkpoint call 1"
    owner, found = told(f"{place}:Mine", "gradient.recompute", case, "torch")
    got = confirm(owner, msgspec.structs.replace(found, tallies={"raised": "RuntimeError"}))
    assert isinstance(got, Confirmed) and got.observed == "it raises RuntimeError: no second pass"
    other = confirm(owner, msgspec.structs.replace(found, tallies={"raised": "BackendCompilerFailed"}))
    assert isinstance(other, NotConfirmed) and not other.ran


def test_a_rate_that_compiled_code_obeys_is_asked_of_compiled_code() -> None:
    # torch.nn.Dropout lets NaN through its constructor, and refuses it in eager calls only (PyTorch 2.13)
    shown = confirm(*told("torch.Dropout@compiled", "rate.rejects-invalid", "rate=nan", "torch"))
    assert isinstance(shown, Confirmed), shown.output
    acquitted = confirm(*told("torch.Dropout", "rate.rejects-invalid", "rate=nan", "torch"))
    assert isinstance(acquitted, NotConfirmed) and acquitted.ran


def test_what_fails_on_a_gpu_has_a_script_for_a_gpu() -> None:
    owner, found = told("torch.Dropout1d@autocast", "mask.distinct-calls", WIDE, "torch")
    plain = write(owner, found)
    there = write(
        owner, msgspec.structs.replace(found, replay="dropcheck audit torch.Dropout1d@autocast --device cuda")
    )
    assert 'set_default_device("cuda")' in there and 'autocast("cuda"' in there
    assert ".double().cpu().numpy()" in there
    assert "cuda" not in plain and ".cpu()" not in plain and 'autocast("cpu"' in plain
    graph = write(*told("torch.Dropout1d@cuda-graph", "mask.distinct-calls", WIDE, "torch"))
    assert 'set_default_device("cuda")' in graph and "graph.replay()" in graph


def test_scripts_name_no_suite_and_are_python() -> None:
    for check in BODIES:
        script = write(*told("torch.Dropout1d", check, "float32 rate=0.3", "torch"))
        compile(script, check, "exec")
        assert "dropcheck" not in script and len(script.splitlines()) <= 160


LIBRARIES = [
    ("flax-linen", "flax.linen:Dropout", {"broadcast_dims": (1,)}, "n l c -> n c"),
    ("flax-nnx", "flax.nnx:Dropout", {"broadcast_dims": (1,)}, "n l c -> n c"),
    ("equinox-batch", "equinox.nn:Dropout", {}, "n c l -> n c l"),
    ("haiku", "haiku:dropout", {"broadcast_dims": (1,)}, "n l c -> n c"),
    ("tensorflow", "tensorflow.nn:dropout", {}, "n l c -> n c"),
    ("tf_keras", "tf_keras.layers:SpatialDropout1D", {}, "n l c -> n c"),
    ("mlx", "mlx.nn:Dropout2d", {}, "n h w c -> n c"),
    ("haliax", "haliax.nn:Dropout", {}, "n c l -> n c"),
    ("penzai", "penzai.pz.nn:StochasticDropout", {}, "n c l -> n c"),
    ("onnxruntime", "spatial_dropouts.adapters.onnx_runtime:dropout", {}, "n c l -> n c l"),
]


@pytest.mark.parametrize("framework, make, options, pattern", LIBRARIES)
@pytest.mark.parametrize("mode", ["", "@jit", "@graph"])
def test_scripts_run_in_other_frameworks_and_acquit_them(
    framework: str, make: str, options: Any, pattern: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode.removeprefix("@") not in ("", *layers.FRAMEWORKS[framework].modes):
        pytest.skip("no such mode")
    try:
        missing = importlib.util.find_spec(make.partition(":")[0]) is None
    except ModuleNotFoundError:
        missing = True
    if missing:
        pytest.skip(f"{make} is not installed")
    place, _, attr = make.partition(":")
    found = Implementation(make=make, framework=framework, options=options)
    monkeypatch.setattr(layers, "_origin", lambda target: (found, place, attr, "class"))
    contract = Contract(pattern=Pattern.parse(pattern))
    wrong = Contract(pattern=Pattern.parse(pattern), scale="none")
    for check in ("mask.distinct-calls", *(("rate.marginal",) if not mode else ())):
        got = confirm(*told(f"custom.reference{mode}", check, "float32 rate=0.3 65,129,2 calls=8", framework, contract))
        assert isinstance(got, NotConfirmed) and got.ran, got
    # and a contract that it does not keep is seen: it scales what it keeps
    got = confirm(*told(f"custom.reference{mode}", "scale.kept-values", "float32 rate=0.3", framework, wrong))
    assert isinstance(got, Confirmed), got


# a defect of the mode and the check that shows it; a target and a check that are right in that mode
IN_MODES = [
    ("tensorflow.spatial_dropout1d@xla", "seed.reproducible", "tensorflow.spatial_dropout1d@graph", "gradient.mask"),
    (
        "keras.SpatialDropout1D@tensorflow@ranks",
        "mask.distinct-samples",
        "tensorflow.spatial_dropout1d@ranks",
        "mask.distinct-samples",
    ),
]


@pytest.mark.parametrize("bad, shows, good, acquits", IN_MODES)
def test_scripts_in_a_mode_show_its_defect_and_acquit_what_is_right_there(
    bad: str, shows: str, good: str, acquits: str
) -> None:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed")
    case = "float32 rate=0.3 grad plain" if shows.startswith("gradient") else WIDE
    shown = confirm(*told(bad, shows, case, "keras@tensorflow" if bad.startswith("keras") else "tensorflow"))
    assert isinstance(shown, Confirmed), shown.output
    acquitted = confirm(*told(good, acquits, case, "tensorflow"))
    assert isinstance(acquitted, NotConfirmed) and acquitted.ran, acquitted


@pytest.mark.parametrize("mode, check", [("@graph", "mask.distinct-calls"), ("", "gradient.recompute")])
def test_no_script_accuses_a_function_whose_seed_it_would_give_wrongly(mode: str, check: str) -> None:
    with pytest.raises(UsageError, match="given its seed at each call"):
        write(*told(f"tensorflow.stateless_dropout{mode}", check, WIDE, "tensorflow"))


@pytest.mark.parametrize("mode", ["vmap", "scan", "checkpoint", "ranks"])
def test_scripts_in_the_modes_of_jax_acquit_a_right_layer(mode: str) -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    got = confirm(*told(f"custom.jax@{mode}", "gradient.mask", "float32 rate=0.3 grad plain", "jax"))
    assert isinstance(got, NotConfirmed) and got.ran, got


def test_dtypes_of_a_check_share_a_script_that_takes_one_as_its_argument() -> None:
    cases = {"float32": "float32 rate=0.3 257,64,4 calls=8", "float64": "float64 rate=0.1 257,64,4 calls=8"}
    some = {dtype: told("broken.swaps-keep-and-drop", "rate.marginal", case) for dtype, case in cases.items()}
    result = some["float32"][0]
    (script,) = together(result, {dtype: finding for dtype, (_, finding) in some.items()})
    assert script.dtypes == ("float32", "float64")
    assert all(case in " ".join(script.text.split()) for case in cases.values())
    for dtype, rate in (("float32", "0.3"), ("float64", "0.1")):
        got = run_script(result, script.text, script.arguments(dtype))
        assert isinstance(got, Confirmed) and got.expected == f"the drop rate is {rate}"
    right = told("custom.reference", "rate.marginal", cases["float32"])[0]
    (acquits,) = together(right, {dtype: finding for dtype, (_, finding) in some.items()})
    got = run_script(right, acquits.text, acquits.arguments("float64"))
    assert isinstance(got, NotConfirmed) and got.ran, got


def test_findings_that_need_different_source_get_scripts_of_their_own() -> None:
    some = {
        d: told("custom.reference", "mask.whole-channels", f"{d} rate=0.3 257,64,4 calls=8 {layout}".strip())[1]
        for d, layout in (("float32", ""), ("float16", "strided"), ("float64", ""))
    }
    result = told("custom.reference", "mask.whole-channels", STREAM)[0]
    scripts = together(result, some)
    assert [one.dtypes for one in scripts] == [("float32", "float64"), ("float16",)]
    assert scripts[1].arguments("float16") == () and "sys.argv" not in scripts[1].text


def test_scripts_for_libraries_import_nothing_of_ours() -> None:
    for name in (
        "timm.DropPath",
        "flair.LockedDropout",
        "onnxruntime.Dropout",
        "haliax.SpatialDropout1D",
        "torch.Dropout1d",
    ):
        found = layers._origin(targets.parse(name))[0]
        assert found is not None
        script = write(*told(name, "rate.marginal", "float32 rate=0.3", found.framework or ""))
        assert "dropcheck" not in script and "spatial_dropouts" not in script


COMPILED = """
import torch

class Frozen(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        if torch.compiler.is_compiling():
            return x * (torch.arange(x.shape[1]) % 2)[None, :, None] * 2
        return torch.nn.functional.dropout1d(x, self.p)
"""


def test_a_defect_of_one_mode_is_shown_in_that_mode_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(COMPILED)
    monkeypatch.chdir(tmp_path)
    contract = Contract(pattern=Pattern.parse("n c l -> n c"))
    got = confirm(*told("mine.py:Frozen@compiled", "mask.distinct-calls", WIDE, "torch", contract))
    assert isinstance(got, Confirmed), got
    assert "'mine.py'" in got.script or '"mine.py"' in got.script
    assert str(tmp_path) not in got.script
    eager = confirm(*told("mine.py:Frozen", "mask.distinct-calls", WIDE, "torch", contract))
    assert isinstance(eager, NotConfirmed) and eager.ran, eager


def test_a_script_that_dies_confirms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import nothing_of_this_name\n\ndef layer(x, rate, *, training, rng):\n    return x\n"
    )
    monkeypatch.chdir(tmp_path)
    got = confirm(*told("mine.py:layer", "rate.marginal", STREAM))
    assert isinstance(got, NotConfirmed) and not got.ran and "nothing_of_this_name" in got.output


def test_coins_of_alpha_dropout_are_seen_in_both_passes_and_its_scale_has_no_script() -> None:
    for target, pattern, kind in (
        ("torch.AlphaDropout", "n c l -> n c l", NotConfirmed),
        ("torch.AlphaDropout", "n c l -> n c", Confirmed),
    ):
        contract = Contract.alpha(pattern)
        got = confirm(*told(target, "mask.whole-channels", STREAM, "torch", contract))
        assert isinstance(got, kind), got
        assert isinstance(got, Confirmed) or got.ran, got
    rate = confirm(*told("torch.AlphaDropout", "rate.marginal", STREAM, "torch", Contract.alpha("n c l -> n c l")))
    assert isinstance(rate, NotConfirmed) and rate.ran, rate
    for target in ("torch.AlphaDropout", "torch.FeatureAlphaDropout"):
        pattern = "n c l -> n c" if "Feature" in target else "n c l -> n c l"
        kept = confirm(*told(target, "gradient.recompute", "float32 rate=0.3", "torch", Contract.alpha(pattern)))
        assert isinstance(kept, NotConfirmed) and kept.ran, kept
    with pytest.raises(UsageError, match="affine correction"):
        write(*told("torch.AlphaDropout", "scale.mean", "float32 rate=0.3", "torch", contract))


def test_what_has_no_script_says_so() -> None:
    with pytest.raises(UsageError, match="no script for the mode 'ranks' of torch"):
        write(*told("torch.Dropout1d@ranks", "rate.marginal", STREAM, "torch"))


def test_the_command_lists_prints_writes_and_runs(call: Any, write: Any, tmp_path: Path) -> None:
    write("mine.py", "import numpy as np\n\ndef layer(x, rate, *, training, rng):\n    return np.array(x)\n")
    done = call(
        "audit",
        "mine.py:layer",
        "--select",
        "rate.marginal,rate.one",
        "--dtype",
        "float32",
        *("--case", "float32 rate=0.3 65,33,3 calls=64", "--case", "float32 rate=0.5 129,65,3 calls=64"),
        "--json",
        "r.json",
        inside=True,
    )
    assert done.code == 1
    failing = sum(f["verdict"] == "fail" for t in done.result()["targets"] for f in t["findings"])
    listed = call("repro", "r.json")
    assert f"{failing} failures, " in listed.out and "r.json#1" in listed.out
    shown = call("repro", "r.json#1")
    assert shown.code == 0 and shown.out.startswith('"""mine.py:layer: ')
    told_of_all = call("repro", "r.json", "mine.py:layer", "rate.marginal", "--all", "--run", "--out", "scripts")
    assert told_of_all.code == 0 and ", 0 not confirmed, 0 without a script." in told_of_all.out, told_of_all.out
    assert len(list((tmp_path / "scripts").glob("*.py"))) == told_of_all.out.count("confirmed      ")
    assert call("repro", "r.json#999").code == 2
    wrong = call("repro", "r.json", "mine.py:layer", "rate.marginl")
    assert wrong.code == 2 and "the nearest is 'rate.marginal'" in wrong.err
    json.loads((tmp_path / "r.json").read_text())  # the result is only read


SHOWN = [
    # float64 rounds its output as float32 on this backend, and its gradient does not
    ("keras.LSTM#recurrent@torch", "keras@torch", "n t=2 g=3 h -> n g h", "float64", True),
    ("keras.LSTM#recurrent@torch", "keras@torch", "n t=2 g=3 h -> n g h", "float32", False),
    ("torch.MultiheadAttention#weights", "torch", "n h q k -> n h q k", "float32", False),
]


@pytest.mark.parametrize("name, framework, pattern, dtype, wrong", SHOWN)
def test_gradients_of_an_instrument_are_those_of_the_real_layer_inside(
    name: str, framework: str, pattern: str, dtype: str, wrong: bool
) -> None:
    contract = Contract(pattern=Pattern.parse(pattern))
    about = told(name, "gradient.scale", f"{dtype} rate=0.3 grad plain", framework, contract)
    assert "read_back(" in write(*about).split("def gradient(")[1]
    got = confirm(*about)
    assert isinstance(got, Confirmed) if wrong else isinstance(got, NotConfirmed) and got.ran, got


def test_inference_in_another_dtype_shows_though_its_values_are_right() -> None:
    result, found = told("torch.Dropout1d", "mode.inference", "float32 rate=0.3", "torch")
    spoken = msgspec.structs.replace(found, message="inference returns float64 (3, 4), expected float32 (3, 4)")
    assert "answer.dtype" in write(result, spoken) and "answer.dtype" not in write(result, found)


@pytest.fixture(scope="module")
def dropout_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file of a weight and a Dropout node in training mode."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    held = [
        helper.make_tensor("rate", TensorProto.FLOAT, [], [0.3]),
        helper.make_tensor("on", TensorProto.BOOL, [], [1]),
    ]
    nodes = [
        helper.make_node("Relu", ["x"], ["h"]),
        helper.make_node("Dropout", ["h", "rate", "on"], ["y"], name="drop"),
    ]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "c"])]
    graph = helper.make_graph(nodes, "net", given, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    place = tmp_path_factory.mktemp("onnx") / "net.onnx"
    onnx.save(model, place)
    return place


@pytest.mark.parametrize("engine, framework", [("", "onnxruntime"), ("@reference", "onnx.reference")])
def test_a_node_of_a_file_is_written_down_in_its_script(dropout_file: Path, engine: str, framework: str) -> None:
    if not engine:
        pytest.importorskip("onnxruntime")
    contract = Contract(pattern=Pattern.parse("n c -> n c"), seeds=("global",), gradient=False, rates=(0.3,))
    target = f"{dropout_file}#drop{engine}"
    result, found = told(target, "mask.distinct-channels", "float32 rate=0.3 1,1031,1 calls=256", framework, contract)
    script = write(result, found)
    assert "Dropout (part_x, part_ratio, part_training)" in script
    assert "dropcheck" not in script.split('"""', 2)[2]
    got = confirm(result, found)
    # a defect of ONNX Runtime 1.32: far channels of neighbouring calls agree
    assert isinstance(got, NotConfirmed) and got.ran if engine else isinstance(got, Confirmed), got


def test_samples_that_are_equal_in_all_calls_show_where_a_call_has_one_channel() -> None:
    result, found = told("broken.one-mask-per-batch", "mask.distinct-samples", "float32 rate=0.3 1025,1,2 calls=200")
    for tallies in ({"copied_rows": 1024}, {"lag": 1, "equal": 9, "pairs": 9}):
        got = confirm(result, msgspec.structs.replace(found, tallies=tallies))
        assert isinstance(got, Confirmed) and got.observed.startswith("1024 of 1025 samples"), got
        acquitted = confirm(*told("custom.reference", "mask.distinct-samples", found.case))
        assert isinstance(acquitted, NotConfirmed) and acquitted.ran
