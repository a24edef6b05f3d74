"""Models as targets in PyTorch: layers are found, run in place, judged by their neighbours, and audited one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dropcheck.contract.errors import UsageError
from dropcheck.plan import models
from dropcheck.plan.targets import parse

pytestmark = pytest.mark.workers("torch")

TEXT = '''
"""A text classifier in four versions, and what else people write."""
import torch
from torch import nn

class Wrong(nn.Module):
    def __init__(self, drop=nn.Dropout1d(0.3)):
        super().__init__()
        self.emb = nn.Embedding(50, 24)
        self.drop = drop
        self.conv = nn.Conv1d(24, 16, 3)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
    def forward(self, words):
        x = self.drop(self.emb(words))
        return self.head(self.conv(x.transpose(1, 2)).amax(2))

class Right(Wrong):
    def forward(self, words):
        x = self.drop(self.emb(words).transpose(1, 2))
        return self.head(self.conv(x).amax(2))

class Square(Wrong):
    """As many words as features: sizes cannot tell the axes apart, the tensors themselves do."""

class Home(nn.Module):
    def __init__(self, amount):
        super().__init__()
        self.amount = amount
    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand(x.shape[0], 1, x.shape[2]) >= self.amount) / (1 - self.amount)

class Frozen(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p, self.mask = p, None
    def forward(self, x):
        if self.mask is None:
            self.mask = torch.rand_like(x) >= self.p
        return x * self.mask / (1 - self.p)

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.drop = nn.Embedding(30, 12), nn.Dropout1d(0.3)
        self.rnn, self.out, self.unused = nn.LSTM(12, 10, num_layers=2, dropout=0.2), nn.Linear(10, 3), nn.Dropout(0.1)
    def forward(self, words):
        y, _ = self.rnn(self.drop(self.emb(words)))
        return self.out(self.drop(y))

model, right, square = Wrong(), Right(), Square()
square_input = torch.zeros(3, 24, dtype=torch.long)
home = nn.Sequential(nn.Embedding(50, 24), Home(0.3), nn.Linear(24, 3))
frozen = nn.Sequential(nn.Linear(8, 64), Frozen(0.4), nn.Linear(64, 2))
block = nn.TransformerEncoderLayer(32, 4, batch_first=True)
tagger, tagger_input = Tagger(), torch.arange(35).reshape(7, 5) % 30
mlp = nn.Sequential(nn.Linear(8, 16), nn.Dropout1d(0.3), nn.Linear(16, 2))
plain = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.BatchNorm1d(64), nn.Linear(64, 2))
layer = nn.Dropout1d(0.2)
'''


@pytest.fixture
def at(write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., models.Model]:
    """The survey of one of the models, in this process."""
    path = write("text.py", TEXT)

    def look(name: str, **options: Any) -> models.Model:
        found = models.look(parse(f"{path}:{name}"), in_process=True, **options)
        assert found is not None
        return found

    return look


def test_channels_last_data_in_a_channels_first_layer_is_named_in_one_sentence(at: Any) -> None:
    drop, end = at("model").layers
    assert drop.sentence == (
        "Dropout1d at drop: one drop decision per (batch, time); channels are on the last axis: did you mean to transpose? "
        "(Embedding at emb makes 24 channels on the last axis)"
    )
    assert not end.wrong and end.name == "head.1" and end.found.noise_shape == "(batch, channel)"


def test_the_same_layer_after_a_transposition_is_right(at: Any) -> None:
    drop, _ = at("right").layers
    assert (
        not drop.wrong and drop.found.noise_shape == "(batch, channel, 1)" and drop.axes == ("batch", "channel", "time")
    )


def test_equal_sizes_do_not_confuse_the_axes(at: Any) -> None:
    drop = at("square").layers[0]
    assert drop.shape == (3, 24, 24) and drop.channel == 2 and "did you mean to transpose" in drop.sentence


def test_a_home_made_layer_is_found_by_its_behaviour(at: Any) -> None:
    (home,) = at("home").layers
    assert home.found_by == "behaviour" and home.found.noise_shape == "(batch, 1, channel)"
    assert "holds no rate" in home.refusal


def test_a_frozen_mask_is_named(at: Any) -> None:
    (frozen,) = at("frozen").layers
    assert frozen.faults[0] == "its mask never changes between calls" and not frozen.wrong


def test_the_dropouts_of_a_transformer_block(at: Any) -> None:
    block = at("block")
    assert [one.name for one in block.layers] == ["dropout1", "dropout", "dropout2"]
    assert all(one.found.noise_shape == "(batch, time, channel)" and not one.wrong for one in block.layers)
    assert any("self_attn (MultiheadAttention): F.multi_head_attention_forward" in note for note in block.notes)


def test_uses_of_one_layer_time_first_and_what_is_not_reached(at: Any) -> None:
    tagger = at("tagger")
    assert [(one.name, one.use, one.axes) for one in tagger.layers] == [
        ("drop", 0, ("time", "batch", "channel")),
        ("drop", 1, ("time", "batch", "channel")),
    ]
    assert all(one.wrong for one in tagger.layers)
    assert any("unused" in note for note in tagger.notes) and any("LSTM" in note for note in tagger.notes)


def test_two_axes_given_to_a_spatial_layer_lose_whole_samples(at: Any) -> None:
    (drop,) = at("mlp").layers
    assert drop.coins == "one drop decision per (batch)"
    assert (
        drop.wrong
        == "a dropped position loses all its channels at once; expected one drop decision per (batch, channel)"
    )


def test_a_model_without_dropout_says_so(at: Any) -> None:
    """ReLU makes zeros, too, but always the same ones."""
    found = at("plain")
    assert not found.layers
    with pytest.raises(UsageError, match="model without dropout"):
        models.layers_of(found.target, found)


def test_a_model_is_left_as_it_was() -> None:
    """Neither hooks nor modes nor a single random number of the user's own stream are touched."""
    import torch

    from spatial_dropouts.adapters import models_torch

    block = torch.nn.TransformerEncoderLayer(8, 2, batch_first=True).eval()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    uses, _ = models_torch.survey(block, torch.ones(2, 3, 8), None, 10, 1.0)
    assert len(uses) == 3 and all(len(use.ys) >= 8 for use in uses)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks or m._forward_pre_hooks or m.training for m in block.modules())


def test_what_stands_in_the_file_as_a_class_is_not_run_twice(write: Any) -> None:
    path = write("text.py", TEXT)
    assert not models.may_be_model(parse(f"{path}:Wrong"))
    assert models.may_be_model(parse(f"{path}:model")) and models.may_be_model(parse(f"{path}:layer"))
    assert models.look(parse(f"{path}:layer"), in_process=True) is None
    assert not models.may_be_model(parse("torch.Dropout1d"))


def test_the_audit_expands_a_model_and_fails_the_wrong_axis(call: Any, write: Any) -> None:
    write("text.py", TEXT)
    done = call(
        "audit",
        "text.py:model",
        "--dtype",
        "float32",
        "--select",
        "mask,rate.marginal",
        "--resolution",
        ".02",
        "--json",
        "r.json",
        inside=True,
    )
    assert done.code == 1
    drop, end = done.result()["targets"]
    assert (drop["target"], end["target"]) == ("text.py:model#drop", "text.py:model#head.1")
    assert drop["contract"]["pattern"] == "batch time channel -> batch channel"
    failed = {f["check"]: f for f in drop["findings"] if f["verdict"] == "fail"}
    assert set(failed) == {"mask.whole-channels"}
    assert "did you mean to transpose?" in failed["mask.whole-channels"]["cause"]
    assert end["verdict"] == "pass"
    again = call(
        "audit",
        "text.py:right#drop",
        "--dtype",
        "float32",
        "--select",
        "mask.whole-channels,rate.marginal",
        "--resolution",
        ".02",
        inside=True,
    )
    assert again.code == 0


def test_explain_shows_the_table_and_one_layer_drawn(call: Any, write: Any) -> None:
    write("text.py", TEXT)
    table = call("explain", "text.py:model")
    assert table.code == 0 and "✗ drop" in table.out and "(batch, time, 1)" in table.out
    drawn = call("explain", "text.py:model#drop")
    assert "shared along channel" in drawn.out and "In this model it should follow" in drawn.out
    wrong = call("explain", "text.py:model#drp")
    assert wrong.code == 2 and "nearest is 'drop'" in wrong.err
    assert call("explain", "text.py:plain", "--input", "4,8").code == 2


def test_an_input_that_does_not_fit_is_said_with_its_remedy(call: Any, write: Any) -> None:
    write("text.py", TEXT)
    done = call("explain", "text.py:mlp", "--input", "4,9")
    assert done.code == 2 and "does not run on the given input" in done.err and "sample_input" in done.err
