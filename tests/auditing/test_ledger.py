"""The ledger: no run can be dropped or changed, and its evidence accuses a right layer as rarely as it says, for life."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import special
from scipy.stats import binom

from dropcheck.auditing.ledger import Ledger
from dropcheck.contract.errors import UsageError
from dropcheck.statistics import evalues

SAME = {"version": "1.0", "contract": "n c l -> n c", "profile": "quick"}


def filled(folder: Path, runs: int = 3) -> Ledger:
    book = Ledger(folder / "book.jsonl")
    for run in range(runs):
        book.finish(book.begin("t", SAME), {"rate.marginal": {"a": 0.5 + run}})
    return book


@pytest.mark.parametrize("damage", ["removed", "first", "edited", "swapped", "last", "edited last"])
def test_a_changed_ledger_is_refused_with_its_line(tmp_path: Path, damage: str) -> None:
    book = filled(tmp_path)
    lines = book.path.read_bytes().splitlines(keepends=True)
    if damage == "swapped":
        lines[2], lines[3] = lines[3], lines[2]
    elif damage.startswith("edited"):
        at = 5 if damage.endswith("last") else 1
        lines[at] = lines[at].replace(b"0.5", b"0.1").replace(b"2.5", b"0.1")
    else:
        del lines[{"removed": 2, "first": 0, "last": 5}[damage]]
    book.path.write_bytes(b"".join(lines))
    with pytest.raises(UsageError, match=r"line \d"):
        book.begin("t", SAME)


@pytest.mark.parametrize(("head", "words"), [(None, "is missing"), (b"six lines", "is damaged")])
def test_a_lost_or_damaged_head_is_refused(tmp_path: Path, head: bytes | None, words: str) -> None:
    book = filled(tmp_path)
    if head is None:
        book.head.unlink()
    else:
        book.head.write_bytes(head)
    with pytest.raises(UsageError, match=words):
        book.begin("t", SAME)


def test_seeds_are_drawn_once_and_a_repeated_one_is_refused(tmp_path: Path) -> None:
    book = filled(tmp_path)
    one = book.begin("t", SAME, 77)
    book.finish(one, {})
    with pytest.raises(UsageError, match="root seed 77 already"):
        book.begin("t", SAME, 77)


def test_another_version_or_contract_is_refused(tmp_path: Path) -> None:
    book = filled(tmp_path)
    with pytest.raises(UsageError, match=r"version '1\.0', not '1\.1'"):
        book.begin("t", {**SAME, "version": "1.1"})
    with pytest.raises(UsageError, match="contract"):
        book.begin("t", {**SAME, "contract": "n c -> n"})
    book.finish(book.begin("other", {**SAME, "version": "2"}), {})


def test_an_unfinished_run_must_be_resumed_with_its_seed(tmp_path: Path) -> None:
    book = filled(tmp_path)
    left = book.begin("t", SAME)
    beside = book.begin("t", SAME)  # the first is alive: another run may go on beside it
    assert beside.run != left.run
    book.finish(beside, {})
    left.lock.close()  # what the system does when the process dies
    with pytest.raises(UsageError, match=f"--seed {left.seed}"):
        book.begin("t", SAME, left.seed + 1)
    again = book.begin("t", SAME)
    assert (again.run, again.seed, again.resumed) == (left.run, left.seed, True)


def test_kill_9_leaves_the_ledger_whole(tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    code = (
        "import os, signal, sys; from pathlib import Path; from dropcheck.auditing.ledger import Ledger\n"
        f"Ledger(Path(sys.argv[1])).begin('t', {SAME!r}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -signal.SIGKILL
    with open(path, "ab") as stream:
        stream.write(b'{"after": "cut sho')
    again = Ledger(path).begin("t", SAME)
    assert again.resumed
    Ledger(path).finish(again, {})


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    code = (
        "import sys; from pathlib import Path; from dropcheck.auditing.ledger import Ledger\n"
        f"b = Ledger(Path(sys.argv[1]))\nfor _ in range(12): b.finish(b.begin('t', {SAME!r}), {{'c': {{'a': 0.1}}}})"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(path)], env=dict(os.environ)) for _ in range(2)]
    assert [p.wait() for p in both] == [0, 0]
    assert Ledger(path).evidence("t", 4)["c"].runs == 24


def test_calibrated_p_values_have_mean_at_most_one() -> None:
    p = (np.arange(200_000) + 0.5) / 200_000
    values = 10.0 ** np.array([evalues.log10_e(float(v)) for v in np.log10(p)])
    assert 0.7 < values.mean() <= 1.0  # what is missing lies below the grid: 1/ln(1/p) of the mass
    assert evalues.log10_e(-1e6) == evalues.IMPOSSIBLE
    assert evalues.log10_e(-400) == pytest.approx(400 - 2 * np.log10(400 * np.log(10)), abs=0.01)
    with pytest.raises(ValueError, match="at most 0"):
        evalues.log10_e(0.1)


def life(score: float, runs: int, most: int, seed: int, level: float) -> int | None:
    """The run after which one of ``most`` cases, shifted by ``score`` standard errors, brings the evidence to 1/level."""
    rng = np.random.default_rng(seed)
    cases: dict[str, list[float]] = {str(i): [] for i in range(most)}
    for run in range(1, runs + 1):
        z = rng.standard_normal(most)
        z[0] += score
        logs = (special.log_ndtr(-np.abs(z)) + np.log(2)) / np.log(10)
        for i, log in enumerate(logs):
            cases[str(i)].append(evalues.log10_e(min(0.0, float(log))))
        if evalues.combined({k: evalues.product(v) for k, v in cases.items()}, most) >= -np.log10(level):
            return run
    return None


def test_false_accusations_over_the_life_of_a_ledger_stay_below_nominal() -> None:
    accused = sum(life(0.0, 25, 2, seed, 0.1) is not None for seed in range(1000))
    assert binom.sf(accused - 1, 1000, 0.1) > 1e-6
    assert accused > 0


def test_half_the_resolution_is_found_after_a_few_runs() -> None:
    """Half of z(1e-8/2) + z(1e-6) standard errors, in one of 8 of 96 cases' worth of alpha: missed by one run, found by some."""
    score = (5.73 + 4.75) / 2
    found = [life(score, 12, 8, seed, 1e-6 * 0.12 / 12) for seed in range(20)]
    assert all(f is not None for f in found)
    assert 1 < np.mean([f for f in found if f is not None]) < 6
