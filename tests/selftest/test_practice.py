"""What the frameworks' own assertions and a user's scripts catch and miss, as it follows from what they look at."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from dropcheck.results.selftest import Comparison, Score
from dropcheck.selftest import practice, practice_work, zoo
from dropcheck.selftest.practice import BATTERIES, compared, ours_from, table
from dropcheck.selftest.scripts import COMPARISONS, RATES, associated, homogeneous, p_values

BY_NAME = {battery.name: battery for battery in BATTERIES}
# batteries that accuse correct layers less than once in a thousand runs: no p-value, and tolerances of 4 sigma or more
CERTAIN = ("Keras SpatialDropout", "MLX", "Equinox")

LAYERS = '''
"""Four layers with one defect each."""
import numpy as np


class Layer:
    def __init__(self, rate):
        if not 0 <= rate <= 1:
            raise ValueError("rate")
        self.rate = rate

    def mask(self, x, rng):
        return rng.random(x.shape[:2]) < self.rate

    def __call__(self, x, *, training, rng):
        if not training or self.rate == 0:
            return x.copy()
        if self.rate == 1:
            return np.zeros_like(x)
        return np.where(self.mask(x, rng)[:, :, None], 0, x / (1 - self.rate)).astype(x.dtype)


class Correct(Layer):
    pass


class Identity(Layer):
    def __call__(self, x, *, training, rng):
        return x.copy()


class WholeSamples(Layer):
    def mask(self, x, rng):
        return np.broadcast_to(rng.random((x.shape[0], 1)) < self.rate, x.shape[:2])


class Quads(Layer):
    def mask(self, x, rng):
        few = rng.random((x.shape[0], -(-x.shape[1] // 4))) < self.rate
        return np.repeat(few, 4, axis=1)[:, : x.shape[1]]


class Frozen(Layer):
    kept = None

    def mask(self, x, rng):
        if self.kept is None or self.kept.shape != x.shape[:2]:
            self.kept = super().mask(x, rng)
        return self.kept


class Raises(Layer):
    def __call__(self, x, *, training, rng):
        raise RuntimeError("no such kernel")
'''


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("layers") / "practice_layers.py"
    path.write_text(LAYERS)
    return lambda attr: f"{path}:{attr}"


def compare(broken, correct, *, root, runs, correct_runs=None, batteries=BATTERIES) -> Comparison:
    plan = [(name, runs) for name in broken] + [(name, correct_runs or 4 * runs) for name in correct]
    said = {b.name: [practice.ask(b, name, root, times) for name, times in plan] for b in batteries}
    return compared(said, root=root, correct=correct, seconds=1.0)


def verdict(battery: str, name: str, runs: int = 5, root: int = 11) -> Score:
    return compare([name], [], root=root, runs=runs, batteries=[BY_NAME[battery]]).scores[0]


@pytest.mark.parametrize("battery", CERTAIN)
def test_a_battery_without_chance_accuses_no_correct_layer(battery: str, layer) -> None:
    correct = [layer("Correct"), "custom.reference", "unusual.constant", "unusual.unscaled", "unusual.grid"]
    correct += ["unusual.plain-dropout", "unusual.channels-last", "torch.Dropout2d"]
    score = compare([], correct, root=5, runs=2, batteries=[BY_NAME[battery]]).scores[0]
    assert (score.accusations, score.correct_runs) == (0, 64), [o.words for o in score.outcomes if o.failed]


def test_the_tolerance_of_pytorch_and_tensorflow_accuses_correct_layers_in_free_runs(layer) -> None:
    # PyTorch: sd of a mean over 100 to 225 coins is .4 / sqrt(coins), .027 to .04, against .05. TensorFlow: at keep .1
    # the relative sd over 1200 coins is .087 against .15, three times over: 1 - .917**3, about .23
    for name in ("PyTorch Dropout1d", "TensorFlow"):
        score = compare([], [layer("Correct")], root=3, runs=1, correct_runs=120, batteries=[BY_NAME[name]]).scores[0]
        low, high = score.interval
        assert 3 <= score.accusations <= 60, name
        assert low < score.accusations / 120 < high and low > 0


def test_no_accusation_of_a_correct_layer_comes_from_an_error_of_the_battery() -> None:
    correct = [
        "unusual.drop-path",
        "unusual.batch-shared",
        "unusual.locked",
        "unusual.plain-dropout",
        "torch.Dropout3d",
    ]
    for score in compare([], correct, root=2, runs=1, correct_runs=2).scores:
        words = [o.words for o in score.outcomes]
        assert not any("raised" in w or "cannot be compared" in w for w in words), words
        assert not score.not_run


def test_the_restated_pytorch_assertion_cannot_see_a_frozen_mask(layer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never calls one layer twice in training, so with the same seeds both layers give the same outputs."""
    battery = BY_NAME["PyTorch Dropout1d"]
    monkeypatch.setattr(practice, "seed_of", lambda root, *path: path[-1])
    frozen, right = (practice.ask(battery, layer(n), 1, 40) for n in ("Frozen", "Correct"))
    assert (frozen.failed, frozen.words) == (right.failed, right.words)


@pytest.mark.parametrize("battery", ["Keras SpatialDropout", "MLX"])
def test_what_only_looks_at_form_passes_an_identity_a_sample_dropper_quads_and_a_frozen_mask(
    battery: str, layer
) -> None:
    for attr in ("Identity", "WholeSamples", "Quads", "Frozen"):
        assert len(verdict(battery, layer(attr)).missed) == 1, attr


def test_equinox_sees_an_identity_but_neither_quads_nor_a_frozen_mask(layer) -> None:
    assert verdict("Equinox", layer("Identity")).caught
    assert verdict("Equinox", layer("Quads")).missed and verdict("Equinox", layer("Frozen")).missed


def test_two_keys_of_flax_see_a_mask_that_never_changes(layer) -> None:
    score = verdict("Flax linen", layer("Frozen"))
    assert score.caught and score.outcomes[0].words == "two seeds give one mask"


@pytest.mark.parametrize("attr", ["Identity", "WholeSamples", "Quads", "Frozen"])
def test_the_careful_script_catches_what_the_frameworks_pass(attr: str, layer) -> None:
    score = verdict("SciPy careful, .01 in all", layer(attr))
    assert score.caught == [layer(attr)], score.outcomes


def test_the_careful_script_cannot_see_three_channels_tied_by_parity() -> None:
    """Pairs are independent and every rate is right; at the corrected level chance alone accuses in at most 1 run of 100."""
    outcome = verdict("SciPy careful, .01 in all", "broken.parity-of-three", runs=20).outcomes[0]
    assert outcome.failed <= 3  # P(more than 3 of 20 at .01) is below 5e-5, exact binomial sum


def test_p_values_of_independent_coins_are_uniform_enough() -> None:
    rng = np.random.default_rng(8)
    draws = [p_values(rng.random((100, 16, 16)) < 0.3, 0.3) for _ in range(200)]
    assert 6 * len(RATES) == COMPARISONS and set(map(len, draws)) == {6}
    below = sum(p < 0.05 for one in draws for p in one.values())
    # 1200 p-values, expected 60 below .05; 20 and 110 are more than 5 standard deviations off
    assert 20 < below < 110


def test_the_chi_square_has_one_degree_of_freedom_a_position() -> None:
    # one position alone: Pearson's chi-square with one degree of freedom, 40 of 100 at .3: 100 / 21, p = .0291
    assert homogeneous(np.array([40]), 100, 0.3) == pytest.approx(0.0291, abs=2e-4)
    assert associated(np.zeros((4, 4), bool), np.ones((4, 4), bool)) is None


def test_a_comparison_repeats_with_its_root_seed(layer) -> None:
    def once(root: int) -> list[tuple[object, ...]]:
        found = compare(["broken.half-a-point-more"], [layer("Correct")], root=root, runs=2, correct_runs=3)
        return [(o.layer, o.seeds, o.failed, o.words, o.absent) for s in found.scores for o in s.outcomes]

    assert once(1) == once(1)
    assert once(1) != once(2)


def test_the_comparison_does_not_depend_on_how_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    named = ["broken.half-a-point-more", "broken.frozen-mask", "unusual.constant", "unusual.grid", "broken.not-scaled"]
    monkeypatch.setattr(zoo, "names", lambda: dict.fromkeys(named))
    monkeypatch.setattr(practice, "BATTERIES", (BY_NAME["Keras Dropout"], BY_NAME["Equinox"]))

    def once(block: int) -> tuple[int, list[tuple[str, list[object]]]]:
        monkeypatch.setattr(practice_work, "BLOCK", block)
        items = practice_work.items(5, 0.4)
        assert {i.call for i in items} == {"practice_work:asked"}
        kept = []
        monkeypatch.setattr(practice, "table", lambda made, ours: kept.append(made) or "")
        practice_work.conclude({i.key: practice_work.asked(**i.arguments) for i in items}, [], [], root=5, seconds=1)
        (made,) = kept
        assert (made.runs, made.correct_runs, made.root) == (2, 8, 5)  # 5 and 20 runs by .4
        said = [(s.battery, sorted((o.layer, o.seeds, o.failed, o.words) for o in s.outcomes)) for s in made.scores]
        return len(items), said

    (few, whole), (many, cut) = once(20), once(1)
    assert few < many and whole == cut and [len(rows) for _, rows in whole] == [3, 3]


def test_a_layer_that_needs_a_process_of_its_own_is_opened_anew_for_each_run() -> None:
    outcome = practice.ask(BY_NAME["Keras Dropout"], "broken.keras-frozen-noise@jax", 3, 2)
    assert not outcome.error and outcome.runs == 2
    again = practice.ask(BY_NAME["Keras Dropout"], "broken.keras-frozen-noise@jax", 3, 2)
    assert (again.seeds, again.failed, again.words) == (outcome.seeds, outcome.failed, outcome.words)


def test_a_layer_that_raises_is_caught_with_its_words(layer) -> None:
    for score in compare([layer("Raises")], [], root=1, runs=2).scores:
        assert score.caught == [layer("Raises")]
        assert "RuntimeError: no such kernel" in score.outcomes[0].words


def test_what_a_layer_lacks_does_not_count() -> None:
    outcome = verdict("SciPy careful, .01 in all", "custom.reference").outcomes[0]
    assert outcome.absent == ["gradient: numpy gives no gradients"]


def test_a_layer_that_cannot_be_opened_is_not_run_rather_than_caught() -> None:
    score = verdict("MLX", "no_such_module_at_all:Layer")
    assert not score.caught and not score.missed and len(score.not_run) == 1


def test_ours_is_a_row_like_the_others_and_only_fail_accuses() -> None:
    ours = ours_from([("a", "fail", 2.0), ("b", "inconclusive", 4.0), ("r", "pass", 3.0)], ["a", "b", "c"], ["r"])
    assert (ours.caught, ours.missed, ours.accusations, ours.correct_runs) == (["a"], ["b"], 0, 1)
    assert ours.not_run == ["c: not audited"] and ours.seconds_a_layer == 3.0


def test_table_and_chart_show_every_battery(layer) -> None:
    found = compare([layer("Identity"), layer("Quads")], [layer("Correct")], root=4, runs=1)
    ours = ours_from([(layer("Identity"), "fail", 9.0)], found.layers, found.correct)
    text, svg = table(found, ours), practice.figure(found, ours=ours)
    assert type(svg) is str  # a result holds it, and JSON knows no other kind of text
    root = ElementTree.fromstring(svg)
    assert root[0].tag.endswith("title") and root[1].tag.endswith("desc") and root[0].text
    for name in [*BY_NAME, "dropcheck quick"]:
        assert f"| {name} |" in text and name in svg and name in (root[1].text or "")
    assert svg == practice.figure(found, ours=ours)


def test_the_comparison_loads_no_framework_before_it_asks_one() -> None:
    code = "import sys, dropcheck.selftest.practice; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
