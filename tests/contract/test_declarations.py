"""What a user declares, or does not: rates of any kind of number, no seeds, another rank, and the sentence where it does not do."""

from __future__ import annotations

import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck import Implementation
from dropcheck.contract.errors import UsageError
from dropcheck.plan.targets import parse
from dropcheck.report import explain_target
from spatial_dropouts.adapters import adapter_for, load
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import scalar


def explained(path: Path, name: str, source: str, **more: Any) -> str:
    """What ``explain`` prints of a target in a file with this source."""
    file = path / "mine.py"
    file.write_text(source)
    return " ".join(explain_target.text(parse(f"{file}:{name}"), 100, **more).split())


# --- rates ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rate", [np.float32(0.3), np.float64(0.3), np.array(0.3), Fraction(3, 10), Decimal("0.3"), 0.3]
)
def test_a_rate_is_any_real_number(rate: Any) -> None:
    assert scalar(rate) == pytest.approx(0.3)


@pytest.mark.parametrize("rate", [np.array([0.3]), "0.3", None, 0.3j, float, object()])
def test_what_is_no_number_is_no_rate(rate: Any) -> None:
    assert scalar(rate) is None


def test_a_pytorch_instance_tells_its_rate_whatever_number_it_is() -> None:
    import torch

    def rates(p: Any) -> Any:
        return adapter_for(torch.nn.Dropout1d(p), Implementation(make="torch.nn:Dropout1d")).contract.rates

    assert rates(np.float32(0.25)) == rates(torch.tensor(0.25)) == rates(np.array(0.25)) == (0.25,)
    assert rates(True) == (1.0,)
    assert all(type(rate) is float for rate in rates(torch.tensor(0.25)))
    with pytest.raises(NoDropout, match=r"whose p is a Tensor of shape \(1,\) was given; expected one number"):
        rates(torch.tensor([0.3]))


def test_an_instance_of_keras_and_of_mlx_does_so_too() -> None:
    keras, nn = pytest.importorskip("keras"), pytest.importorskip("mlx.nn")
    layer = keras.layers.SpatialDropout1D(0.25)
    layer.rate = np.float32(0.25)
    assert adapter_for(layer, Implementation(make="keras.layers:SpatialDropout1D")).contract.rates == (0.25,)
    dropout = nn.Dropout(np.float32(0.25))
    assert adapter_for(dropout, Implementation(make="mlx.nn:Dropout")).contract.rates == (0.75 - 0.5,)


def test_a_layer_whose_rate_is_a_tensor_keeps_its_claims() -> None:
    import torch

    case = "float32 rate=0.25 64,32,3 calls=20"
    select = ("mask.whole-channels", "scale")
    found = dropcheck.audit(torch.nn.Dropout1d(torch.tensor(0.25)), select=select, cases=case, causes=False)
    assert found.verdict == "pass"


# --- no seeds ------------------------------------------------------------------------------------------------------------

SEEDED_ONCE = '''
import numpy as np
from dropcheck import Contract, Implementation, Pattern

def drop(x, rate, rng):
    """Whoever seeds it gets one mask; left alone it draws from the system."""
    given = rng.bit_generator.seed_seq.entropy
    coins = np.random.default_rng(given if given < 2**40 else None)
    return x * ((coins.random((*x.shape[:2], 1)) >= rate) / (1 - rate)).astype(x.dtype)

unseeded = Implementation(make=drop, contract=Contract(Pattern.parse("n c l -> n c"), seeds=()))
seeded = Implementation(make=drop)
'''


def test_a_layer_that_promises_no_seeds_is_given_none(tmp_path: Path) -> None:
    assert "never changes" not in explained(tmp_path, "unseeded", SEEDED_ONCE)
    assert "never changes between calls" in explained(tmp_path, "seeded", SEEDED_ONCE)


# --- another rank --------------------------------------------------------------------------------------------------------

IMAGES = """
import torch

class Images(torch.nn.Module):
    def __init__(self, p=0.3):
        super().__init__()
        self.p = p

    def forward(self, x):
        n, c, h, w = x.shape
        return torch.nn.functional.dropout2d(x, self.p, self.training)

layer = Images()
"""


def test_explain_of_a_layer_that_takes_another_rank_says_which_and_what_to_write(tmp_path: Path) -> None:
    shown = explained(tmp_path, "layer", IMAGES)
    assert "takes no input of 3 axes and takes one of 4: give --pattern 'n c h w -> n c'" in shown
    assert shown.rstrip().endswith('--pattern "n c h w -> n c"')
    assert "One drop decision per (n, c), shared along h and w." in shown


def test_an_audit_of_it_says_so_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(IMAGES)
    found = dropcheck.audit(f"{tmp_path}/mine.py:layer", in_process=True, select="mask").targets[0]
    assert "takes one of 4: give --pattern 'n c h w -> n c'" in (found.error or "")


@pytest.mark.parametrize("rate", [1.0, 0.999])
def test_an_instance_that_drops_everything_or_nearly_so_is_not_reported_for_it(rate: float) -> None:
    import torch

    select = ("seed.reproducible", "seed.reset", "form.batch-change")
    found = dropcheck.audit(torch.nn.Dropout1d(rate), select=select, causes=False)
    assert not [f for f in found.targets[0].findings if f.verdict == "fail"]


# --- what a layer returns, what its constructor takes -------------------------------------------------------------------------

BUILT = """
import dataclasses
import torch
from torch.nn.functional import dropout1d
from dropcheck import Implementation

class Pair(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return dropout1d(x, self.p, self.training), x.shape

class Words(Pair):
    def forward(self, x):
        return {"y": super().forward(x)[0], "mask": None}

@dataclasses.dataclass
class Out:
    y: object
    mask: object = None

class Fields(Pair):
    def forward(self, x):
        return Out(super().forward(x)[0])

class Wide(torch.nn.Module):
    def __init__(self, channels, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return dropout1d(x, self.p, self.training)

class Further(Wide):
    def __init__(self, p, channels):
        super().__init__(channels, p)

def pair(x, rate, *, training, rng):
    return (x * (rng.random((*x.shape[:2], 1)) >= rate).astype(x.dtype) if training else x), rate

by_place = Implementation(make=Pair, output=0)
by_key = Implementation(make=Words, output="y")
by_name = Implementation(make=Fields, output="y")
by_function = Implementation(make=Pair, output=lambda found: found[0])
by_factory = Implementation(make=lambda p: Pair(p), framework="torch", output=0)
instance = Implementation(make=Pair(0.3), output=0)
function = Implementation(make=pair, output=0)
wide = Implementation(make=Wide, rate_argument="p", options={"channels": 3})
further = Implementation(make=Further, options={"channels": 3})

def network():
    return torch.nn.Sequential(torch.nn.Conv1d(4, 8, 3), torch.nn.Dropout1d(0.3), torch.nn.Conv1d(8, 2, 3))
"""


def audited(path: Path, name: str, select: Any = "form.shape-dtype") -> Any:
    (path / "mine.py").write_text(BUILT)
    return dropcheck.audit(f"{path}/mine.py:{name}", in_process=True, select=select, causes=False)


@pytest.mark.parametrize("name", ["by_place", "by_key", "by_name", "by_function", "by_factory", "instance", "function"])
def test_the_part_that_an_implementation_chooses_is_the_output(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BUILT)
    declared = load(f"{tmp_path}/mine.py:{name}")
    adapter = adapter_for(declared.make, declared)
    x = adapter.tensor(np.ones((4, 9, 2)), "float32")
    y = adapter.array(adapter.apply(adapter.make(0.3, "float32", 5, adapter.contract.seeds[0]), x, True))
    assert y.shape == (4, 9, 2)
    assert {0.0} < set(y.ravel().tolist())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "Pair",
            "returned a tuple of 2, expected a tensor like its input; say which part is the output, as in .*output=0",
        ),
        ("Words", "returned a dict with 'y', 'mask', .*output='y'"),
        ("Fields", "returned a Out with y, mask, .*output='y'"),
        ("pair", "returned a tuple of 2, .*output=0"),
        (
            "Wide",
            r"called Wide\(0.3\): 'channels' took the rate, and 'p' looks like it; .*rate_argument='p', options={'channels': ...}",
        ),
        (
            "Further",
            r"called Further\(0.3\), which lacks 'channels'; .*Implementation\(make=Further, options={'channels': ...}",
        ),
    ],
)
def test_without_a_declaration_one_sentence_says_what_to_write(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        audited(tmp_path, name)


@pytest.mark.parametrize("name", ["wide", "further"])
def test_with_the_declaration_it_is_driven(name: str, tmp_path: Path) -> None:
    assert audited(tmp_path, name).verdict == "pass"


def test_a_function_that_makes_a_model_is_a_model(tmp_path: Path) -> None:
    assert [one.target.rpartition("#")[2] for one in audited(tmp_path, "network").targets] == ["1"]


# --- the interpreter -------------------------------------------------------------------------------------------------------


def test_an_interpreter_that_is_too_old_is_named_and_nothing_is_blamed_on_the_layer(tmp_path: Path) -> None:
    wrapper, interpreter = tmp_path / "old.py", tmp_path / "python3.8"
    wrapper.write_text(
        "import runpy, sys\nsys.version_info = (3, 8, 10)\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], {}, '__main__')\n"
    )
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} {wrapper} "$@"\n')
    interpreter.chmod(0o755)
    with pytest.raises(UsageError, match=f"worker needs Python 3.9 or newer; {interpreter} is 3.8"):
        dropcheck.audit("custom.reference", python=str(interpreter), select="form.shape-dtype")
