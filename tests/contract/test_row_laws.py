"""An exact number of dropped channels, and one stretch of random length: the notation, the laws, what is asked of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck import Contract, Pattern
from dropcheck.contract import row_laws
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import ContractError
from dropcheck.judge.checks import row_laws as asking
from dropcheck.report.sentences import worth
from spatial_dropouts.broken.rows import chosen, stretches


def asked(target: str, *select: str, **more: Any) -> Any:
    return dropcheck.audit(target, select=select, jobs=1, causes=False, in_process=True, dtypes=("float32",), **more)


def failing(found: Any) -> set[str]:
    return {one.check for one in found.targets[0].findings if one.verdict not in ("pass", "skipped")}


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("n c h w -> n c=2", "n c=8 h w -> n c=2"),
        ("n c=3 h w -> n c=1", "n c=3 h w -> n c=1"),
        ("n c -> n c=rate", "n c=20 -> n c=rate"),
        ("n f t -> f/*", "n f=40 t -> f/*"),
    ],
)
def test_a_pattern_says_its_law_and_is_read_again(text: str, whole: str) -> None:
    pattern = Pattern.parse(text)
    assert str(pattern) == whole and Pattern.parse(whole) == pattern and pattern.apart
    contract = Contract(pattern=pattern, scale="none", stretch="real")
    assert Contract.from_dict(contract.to_dict()) == contract


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n c -> n c=0", "a whole number of at least 1, as in 'c=2', or the share 'c=rate'"),
        ("n c=3 h -> n c=3", "a row cannot lose 3 and keep one"),
        ("n c h -> n=2 c", "'n' is not the last axis of the mask"),
        ("n h w -> n h/3 w/*", "has two laws on its right"),
    ],
)
def test_what_is_no_law_has_its_sentence(text: str, words: str) -> None:
    with pytest.raises(ContractError, match=words.replace("*", r"\*")):
        Pattern.parse(text)


def test_blocks_beside_another_law_are_refused() -> None:
    with pytest.raises(ContractError, match="another law beside blocks"):
        Contract(pattern=Pattern.parse("n c h -> n c=2"), block={"c": 3})


@pytest.mark.parametrize("word", ["whole", "paper", "real"])
def test_the_law_of_a_stretch_is_what_is_drawn(word: str) -> None:
    """Each cell of 200,000 rows against the law; above 6 standard deviations with probability below 1e-6 together."""
    rng, n, size, most = np.random.default_rng(3), 200_000, 40, 8
    law = row_laws.law(Contract(pattern=Pattern.parse("n f -> n f/*"), stretch=word), 0.2)
    assert law is not None and law.starts is not None
    if word == "real":
        real = rng.random(n) * most
        lengths, starts = real.astype(int), (rng.random(n) * (size - real)).astype(int)
    else:
        lengths = rng.integers(0, most + 1, n)
        starts = rng.integers(0, size - lengths + (word == "whole"))
    rows = stretches(size, lengths, starts)
    assert not row_laws.torn(rows).any()

    def agree(found: Any, chance: Any) -> None:
        spread = np.sqrt(n * chance * (1 - chance)) + 1e-9
        assert np.max(np.abs(found - n * chance) / spread) < 6

    agree(np.bincount(lengths, minlength=size + 1), law.counts)
    cells = np.zeros((size + 1, size))
    np.add.at(cells, (lengths, np.minimum(starts, size - 1)), 1)
    agree(cells[1:], law.counts[1:, None] * law.starts[1:])
    agree(rows[:, list(law.places)].sum(axis=0), np.full(len(law.places), law.marginal))


def test_the_law_of_an_exact_number_and_of_a_share() -> None:
    two = row_laws.law(Contract(pattern=Pattern.parse("n c -> n c=2")), 0.3)
    assert two is not None and two.marginal == pytest.approx(0.3 * 2 / 8) and two.number == 2
    assert two.same == pytest.approx(0.7**2 + 0.3**2 / 28)
    share = Contract(pattern=Pattern.parse("n c -> n c=rate"))
    exact = row_laws.law(share, 0.3)
    assert exact is not None and exact.number == 6 and not exact.event and exact.marginal == pytest.approx(0.3)
    assert row_laws.law(share, 0.33) is None  # 6.6 channels
    assert (
        row_laws.law(Contract(pattern=Pattern.parse("n f -> n f/*")), 0.5) is None
    )  # no place has all its stretches within


def test_rows_of_a_call_and_one_channel_of_each() -> None:
    pattern = Pattern.parse("n c l -> n c=2")
    gone = np.repeat(chosen(np.random.default_rng(0), 16, 8, 2)[:, :, None], 3, axis=2)
    rows, split = row_laws.rows_of(pattern, gone)
    assert rows.shape == (16, 8) and split == 0 and (rows.sum(axis=1) == 2).all()
    read = row_laws.readings(rows, tuple(range(8)))
    assert read.shape == (2, 8) and all(read[i, j] == rows[8 * i + j, j] for i in range(2) for j in range(8))
    gone[3, 4, 0] ^= True
    assert row_laws.rows_of(pattern, gone)[1] == 1


@pytest.fixture
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the rows: what is planted here needs no more."""
    monkeypatch.setitem(asking._ROWS, "quick", 50_000)


@pytest.mark.usefixtures("fewer")
@pytest.mark.parametrize("name", ["exactly-two", "stretch-real"])
def test_right_rows_pass_and_say_what_was_not_asked(name: str) -> None:
    found = asked(f"unusual.{name}", "mask", "rate.marginal", "rate.per-channel", "rate.one", rates=(0.3,))
    assert failing(found) == set()
    findings = found.targets[0].findings
    assert {"mask.dropped-count", "mask.whole-channels", "rate.marginal", "rate.per-channel"} <= {
        one.check for one in findings if one.verdict == "pass"
    }
    one = next(f for f in findings if f.check == "rate.one")
    assert one.verdict == "skipped" and "rate 1 does not drop everything" in one.message


@pytest.mark.usefixtures("fewer")
@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("exact-never-last", "rate.per-channel"),
        ("exact-neighbours", "mask.independent-channels"),
        ("exact-pairs-alike", "mask.independent-samples"),
        ("share-by-coins", "mask.dropped-count"),
    ],
)
def test_a_row_that_breaks_its_law_fails_one_check_alone(name: str, check: str) -> None:
    assert failing(asked(f"broken.{name}", "mask", "rate.marginal", "rate.per-channel", rates=(0.3,))) == {check}


def test_cases_cannot_be_named() -> None:
    with pytest.raises(UsageError, match="a law of its rows"):
        asked("unusual.exactly-two", "mask", cases=("float32 rate=0.3 8,8,2 calls=4",))


@pytest.mark.usefixtures("fewer")
def test_a_pass_names_the_share_that_would_have_been_seen() -> None:
    select = ("rate.per-channel", "mask.independent-channels", "mask.independent-calls", "mask.dropped-count")
    found = asked("unusual.exactly-two", *select, rates=(0.3,))
    assert failing(found) == set()
    said = worth(found.targets)
    assert {line.partition(",")[0] for line in said} >= {
        "mask.dropped-count: another share of rows with a wrong number of dropped channels",
        "rate.per-channel: another share of rows at one channel",
        "mask.independent-channels: another share of rows in which one pair drops",
        "mask.independent-calls: another share of pairs of rows that are alike",
    }
    one = next(f for f in found.targets[0].findings if f.check == "mask.dropped-count" and f.verdict == "pass")
    assert one.resolution == pytest.approx(1 - 1e-6 ** (1 / one.coins))
