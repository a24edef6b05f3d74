"""Dropout of PyTorch libraries beyond torch.nn: what is registered, what runs alone, and what audits of it say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

import dropcheck
from dropcheck.contract.adapter import Implementation
from dropcheck.plan import targets
from spatial_dropouts import alpha, names, third_party
from spatial_dropouts.adapters import lone_files
from spatial_dropouts.adapters.loading import TargetNotFound

BOTH = {**third_party.REGISTER, **alpha.REGISTER}


def here(name: str) -> Any:
    """A mark that skips where a library that the implementation needs is not installed."""
    absent = [m for m in BOTH[name].requires if importlib.util.find_spec(m) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


def audit(name: str, **options: Any) -> Any:
    (target,) = dropcheck.audit(name, in_process=True, jobs=1, causes=False, **options).targets
    return target


def failed(target: Any) -> set[str]:
    assert target.error is None
    return {f.check for f in target.findings if f.verdict in ("fail", "error")}


def test_both_registers_are_part_of_the_whole_and_none_is_audited_by_default() -> None:
    assert set(BOTH) <= set(names())
    assert not any(entry.default for entry in BOTH.values())
    assert all(entry.summary and entry.requires for entry in BOTH.values())
    libraries = {name.partition(".")[0] for name in third_party.REGISTER}
    assert len(libraries) >= 6


def test_what_is_absent_is_listed_with_what_would_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "find_spec", lambda module: None if module in ("flair", "timm") else object())
    rows = {row.name: row for row in targets.available()}
    assert rows["flair.WordDropout"].reason.startswith("flair is not installed: pip install --no-deps flair")
    assert rows["timm.DropPath"].reason.startswith("timm is not installed: pip install --no-deps timm")
    assert rows["monai.DropPath"].reason == ""


def test_a_lone_file_runs_without_its_package() -> None:
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    program = (
        "import sys\n"
        "from spatial_dropouts.adapters import load\n"
        "layer = load('spatial_dropouts.adapters.lone_files:timm.DropPath')\n"
        "assert layer.__name__ == 'DropPath' and 'timm' not in sys.modules and 'torchvision' not in sys.modules\n"
        "assert layer is load('spatial_dropouts.adapters.lone_files:timm.DropPath')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_lone_file_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lone_files.FILES, "nowhere", ("no_such_package", "a.py", ""))
    with pytest.raises(TargetNotFound, match="there is no package 'no_such_package' in this environment: pip install"):
        lone_files.__getattr__("nowhere")
    monkeypatch.setitem(lone_files.FILES, "moved", ("numpy", "no/such/file.py", ""))
    with pytest.raises(TargetNotFound, match=r"numpy has no file no/such/file\.py here"):
        lone_files.__getattr__("moved")
    with pytest.raises(AttributeError):
        lone_files.__getattr__("anything")


@pytest.mark.parametrize(
    "name",
    [
        "torch.FeatureAlphaDropout",
        "torch.AlphaDropout",
        "torch.feature_alpha_dropout",
        "torch.functional.dropout2d",
        *(
            pytest.param(n, marks=here(n))
            for n in ("timm.DropPath", "timm.DropBlock2d", "flair.WordDropout", "torchnlp.LockedDropout")
        ),
    ],
)
def test_layers_that_keep_their_promise_pass(name: str) -> None:
    select = ("mask.whole-channels", "rate.zero", "scale", "gradient.scale", "form.strides")
    target = audit(name, dtypes=("float32",), rates=(0.3,), select=select)
    assert target.verdict == "pass", [(f.check, f.case, f.message) for f in target.findings if f.verdict != "pass"]


@pytest.mark.parametrize(
    ("name", "dtype", "checks"),
    [
        # confirmed without dropcheck by reports/confirm/timm_drop_block.py, transformers_drop_path.py and rate_one.py
        pytest.param(
            "timm.DropBlock2d.normalised", "float32", {"scale.kept-values"}, marks=here("timm.DropBlock2d.normalised")
        ),
        pytest.param(
            "transformers.SwinDropPath",
            "bfloat16",
            {"rate.marginal", "rate.one", "scale.kept-values", "rate.rejects-invalid"},
            marks=here("transformers.SwinDropPath"),
        ),
        pytest.param("torchnlp.LockedDropout", "float32", {"rate.one"}, marks=here("torchnlp.LockedDropout")),
        pytest.param("flair.LockedDropout", "float32", {"rate.one"}, marks=here("flair.LockedDropout")),
    ],
)
def test_defects_of_libraries_that_were_confirmed_by_hand_are_found(name: str, dtype: str, checks: set[str]) -> None:
    select = ("rate.marginal", "rate.one", "rate.rejects-invalid", "scale.kept-values")
    assert failed(audit(name, dtypes=(dtype,), select=select)) == checks


@pytest.mark.parametrize("name", ["torch.AlphaDropout", "unusual.feature-alpha", "unusual.alpha-around-the-middle"])
def test_roundings_that_do_not_average_out_are_no_error_of_the_coefficients(name: str) -> None:
    """At small rates a is nearly 1 and b nearly 0: every product is rounded alike. Once accused in float64 and float16."""
    target = audit(name, profile="standard", rates=(0.001, 0.01, 0.9), select=("scale.mean",))
    assert target.verdict == "pass", [(f.case, f.message) for f in target.findings if f.verdict != "pass"]


@pytest.mark.parametrize("name", ["alpha-offset-omitted", "alpha-without-root", "alpha-of-elu", "alpha-kept-untouched"])
def test_wrong_coefficients_show_in_what_kept_values_share(name: str) -> None:
    assert failed(audit(f"broken.{name}", rates=(0.1,), select=("scale.mean",))) == {"scale.mean"}


def test_an_implementation_says_how_it_is_installed() -> None:
    assert Implementation(make="a:b").install == ""
    assert "torchvision" in third_party.REGISTER["torchvision.StochasticDepth"].install
