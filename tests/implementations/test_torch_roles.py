"""What a module is, is known by its type, by sizes that agree and by what it does: well-made models are not failed."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from kits import planted_models as kit  # noqa: E402
from torch import nn  # noqa: E402

from dropcheck.plan import models, shared_masks  # noqa: E402
from spatial_dropouts.adapters import models_torch  # noqa: E402
from spatial_dropouts.adapters.loading import NoDropout  # noqa: E402


def looked(model: Any, *sample: int, calls: int = 60) -> tuple[dict[str, models.Layer], list[str]]:
    """The layers of a model by name, and the notes."""
    torch.manual_seed(1)
    with torch.random.fork_rng():
        uses, notes = models_torch.survey(model, torch.randn(*sample) if sample else None, None, calls, 5.0)
    return {use.name: models._layer(use.answer()) for use in uses}, notes


def one(model: Any, *sample: int, **options: Any) -> models.Layer:
    (layer,) = looked(model, *sample, **options)[0].values()
    return layer


def test_a_class_called_conv_says_nothing_of_channels() -> None:
    net = kit.Chain(kit.Conv1D(24, 8), nn.ReLU(), kit.LockedDropout(0.3), kit.Conv1D(8, 24))
    locked = one(net, 4, 11, 8)
    assert not locked.faults and locked.axes == ("batch", "time", "channel")


def test_a_wrong_axis_beside_a_real_convolution_is_still_wrong() -> None:
    layer = one(kit.Chain(nn.Conv1d(8, 16, 1), kit.LockedDropout(0.3), nn.Conv1d(16, 4, 1)), 4, 8, 20)
    assert "channels are on axis 1" in layer.wrong and layer.faults


@pytest.mark.parametrize("net", [kit.ConvNet, kit.EmbeddingNet])
def test_containers_are_no_layers_and_an_input_by_name_is_seen(net: type[Any]) -> None:
    """Both were crashes; a layer that is called with ``input=`` was not seen to drop."""
    layer = one(net())
    assert (layer.name, layer.found.noise_shape) == ("drop", "(batch, channel, 1, 1)") and not layer.faults


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv1d(8, 16, 1), nn.Linear(20, 20), nn.Dropout1d(0.3), nn.Conv1d(16, 4, 1)),
        (nn.Conv1d(8, 16, 1), nn.Linear(20, 20), nn.Dropout1d(0.3)),
    ],
)
def test_a_linear_layer_over_time_says_nothing_of_channels(layers: tuple[Any, ...]) -> None:
    layer = one(kit.Chain(*layers), 4, 8, 20)
    assert not layer.faults and not layer.question and layer.channel == 1


def test_a_linear_layer_alone_is_a_question() -> None:
    layer = one(kit.Chain(nn.Dropout1d(0.3), nn.Linear(24, 6)), 8, 7, 24)
    assert not layer.faults and layer.question.endswith("does that axis hold your channels?")
    assert str(layer.pattern) == "batch channel time -> batch channel"
    assert not one(kit.Chain(nn.Linear(9, 24), nn.Dropout(0.3), nn.Linear(24, 6)), 8, 7, 9).question


def test_layers_that_disagree_are_a_question() -> None:
    layer = one(kit.Chain(nn.RNN(20, 20), First(), nn.Dropout1d(0.3), nn.Conv1d(16, 4, 1)), 4, 16, 20)
    assert not layer.faults and "which axis holds your channels?" in layer.question


class First(nn.Module):
    """The output of a recurrent layer, as one tensor."""

    def forward(self, given: Any) -> Any:
        return given[0]


def test_documented_modes_of_a_drop_path_are_read() -> None:
    batch = one(kit.Chain(nn.Conv2d(3, 8, 3), kit.StochasticDepth(0.3, "batch")), 4, 3, 9, 9, calls=100)
    row = one(kit.Chain(nn.Conv2d(3, 8, 3), kit.StochasticDepth(0.3, "row")), 4, 3, 9, 9)
    wrong = one(kit.Chain(nn.Conv2d(3, 8, 3), kit.ForgetsRows(0.3, "row")), 4, 3, 9, 9, calls=100)
    assert not batch.faults and str(batch.pattern) == "batch channel height width -> 1" and not batch.refusal
    assert not row.faults and str(row.pattern) == "batch channel height width -> batch"
    assert wrong.faults == ("all of batch shares one; expected one drop decision per (batch)",)


def test_blocks_are_listed_and_not_judged() -> None:
    layer = one(kit.Chain(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), kit.DropBlock2d(0.3, 3)), 4, 3, 9, 9)
    assert not layer.faults and layer.refusal.startswith("it drops blocks that overlap")


@pytest.mark.parametrize("layer", [kit.WeightsAttention(0.2), kit.Largest(), kit.GaussianDropout(0.3)])
def test_what_is_no_multiple_of_its_input_is_no_dropout_that_drops_nothing(layer: Any) -> None:
    layers, notes = looked(kit.Chain(nn.Linear(8, 8), layer), 2, 5, 8)
    assert not layers and any("is no dropout" in note for note in notes)


def test_a_layer_of_a_rate_that_multiplies_is_named_and_one_that_returns_its_input_never_drops() -> None:
    class Rated(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.p, self.factor = 0.4, factor

        def forward(self, x: Any) -> Any:
            return self.factor * x

    layers, notes = looked(kit.Chain(nn.Linear(8, 8), Rated(2.0)), 2, 8)
    assert not layers and "holds a rate of 0.4, and multiplies its input without dropping" in notes[0]
    assert one(kit.Chain(nn.Linear(8, 8), Rated(1.0)), 2, 8).faults[0].startswith("it never drops")


def test_a_small_rate_that_dropped_nothing_in_few_calls_is_not_wrong() -> None:
    """timm's deep nets have rates of .02, and large models run eight times in the time of a look."""

    class DropPath(nn.Module):
        def __init__(self, drop_prob: float, dead: bool = False) -> None:
            super().__init__()
            self.drop_prob, self.dead = drop_prob, dead

        def forward(self, x: Any) -> Any:
            if not self.training or self.dead:
                return x
            keep = x.new_empty(len(x), *[1] * (x.dim() - 1)).bernoulli_(1 - self.drop_prob)
            return x * keep / (1 - self.drop_prob)

    few = one(kit.Chain(nn.Linear(8, 8), DropPath(1e-5)), 4, 5, 8, calls=8)
    assert few.found.nothing and not few.faults
    assert "nothing was dropped (a rate above" in few.sentence
    dead = one(kit.Chain(nn.Linear(8, 8), DropPath(0.4, dead=True)), 4, 5, 8, calls=8)
    assert dead.faults[0] == "it never drops: nothing was dropped in 8 calls at rate 0.4"


def test_two_layers_of_one_mask_are_named_and_their_twins_are_not() -> None:
    def shared(model: Any) -> list[str]:
        layers, _ = looked(model, 16, 8)
        return [f"{one.first} {one.second}" for one in shared_masks.among(list(layers.values()))]

    assert shared(kit.TwoOfOneMask()) == ["first second"]
    assert shared(kit.Two()) == []


def test_samples_of_every_form_are_given_as_the_model_takes_them() -> None:
    class Listed(nn.Module):
        """One argument that is a list of pictures of different sizes."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.drop = nn.Conv2d(3, 8, 3), nn.Dropout2d(0.25)

        def forward(self, pictures: Any) -> Any:
            return {"made": [self.drop(torch.relu(self.conv(one[None]))) for one in pictures]}

    class Keyed(Listed):
        def forward(self, given: Any) -> Any:
            return super().forward([given["left"], given["right"]])

    pictures = [torch.randn(3, 9, 9), torch.randn(3, 12, 12)]
    for model, sample in ((Listed(), pictures), (Keyed(), {"left": pictures[0], "right": pictures[1]})):
        uses, _ = models_torch.survey(model, sample, None, 40, 5.0)
        assert [(use.name, use.use) for use in uses] == [("drop", 0), ("drop", 1)]


def test_words_are_tried_first_where_there_is_an_embedding() -> None:
    class Words(nn.Module):
        embed_dim = 12

        def __init__(self) -> None:
            super().__init__()
            self.project, self.drop, self.table = nn.Linear(12, 12), nn.Dropout(0.3), nn.Embedding(30, 12)

        def forward(self, words: Any) -> Any:
            return self.drop(self.project(self.table(words)))

    layers, notes = looked(Words())
    assert list(layers) == ["drop"] and notes == ["input guessed: (4, 11) int64"]


def test_a_scripted_model_without_a_sample_is_refused_in_one_sentence() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.3)))
    with pytest.raises(NoDropout, match="a scripted program was given, whose layers cannot be asked one by one"):
        models_torch.survey(scripted, None, None, 8, 1.0)
