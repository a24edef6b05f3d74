"""What a user declares, or does not: rates of any kind of number, no seeds, another rank, and the sentence where it does not do."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck import Implementation, explain_target
from dropcheck.targets import parse
from spatial_dropouts.adapters import NoDropout, adapter_for
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
    assert "One coin per (n, c), shared along h and w." in shown


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
