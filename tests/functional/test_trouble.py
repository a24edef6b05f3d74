"""Bad input and bad layers: each gets its sentence and its exit code, and what was finished is not lost."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]

LAYERS = '''
"""Layers that go wrong in every way that one can."""
import os, sys, time
import numpy as np

def good(x, rate, *, training, rng):
    if not 0 <= rate <= 1:
        raise ValueError(f"rate {rate} is no probability")
    if not training or rate == 0:
        return x.copy()
    mask = rng.random(x.shape[:2]) < rate
    if rate == 1:
        return np.zeros_like(x)
    return np.where(mask[:, :, None], x.dtype.type(0), (x.astype(np.float64) / (1 - rate)).astype(x.dtype))

def prints(x, rate, *, training, rng):
    print("hello from a layer", flush=True)
    os.write(1, b"and from below\\n")
    return good(x, rate, training=training, rng=rng)

def hangs(x, rate, *, training, rng):
    time.sleep(1000)

def crashes(x, rate, *, training, rng):
    os.kill(os.getpid(), 11)

def eats(x, rate, *, training, rng):
    hoard.append(np.ones((64, 1024, 1024)))
    time.sleep(0.05)
    return good(x, rate, training=training, rng=rng)

hoard = []

def leaves(x, rate, *, training, rng):
    sys.exit(7)

def quits(x, rate, *, training, rng):
    os._exit(9)

def raises(x, rate, *, training, rng):
    raise RuntimeError("no [bold]luck[/bold] today")

def short(x, rate, *, training, rng):
    return good(x, rate, training=training, rng=rng)[:, :, :-1]

def shared(x, rate, *, training, rng):
    if not training or not 0 < rate < 1:
        return good(x, rate, training=training, rng=rng)
    return np.where(rng.random((1, x.shape[1], 1)) < rate, x.dtype.type(0), x / x.dtype.type(1 - rate))

def dies(x, rate, *, training, rng):
    if x.size == 0:
        os.abort()
    return shared(x, rate, training=training, rng=rng)

tall = [0]

def seeded(x, rate, *, training, rng):
    tall[0] += x.shape[0] == 130
    if tall[0] == 6:  # after the first masks of a process, in the exact questions
        os.abort()
    return shared(x, rate, training=training, rng=rng)

def lasts(x, rate, *, training, rng):
    if x.size == 0:
        time.sleep(1000)
    return shared(x, rate, training=training, rng=rng)

calls = [0]

def later(x, rate, *, training, rng):
    calls[0] += 1
    y = good(x, rate, training=training, rng=rng)
    return y[:, :, :-1] if calls[0] > 60 and training and 0 < rate < 1 else y

def flat(x, rate, *, training, rng):
    return np.zeros(x.shape[:2], x.dtype) if training and rate == 1 else good(x, rate, training=training, rng=rng)

def nothing(x, rate, *, training, rng):
    return None

from fractions import Fraction
from dropcheck import Implementation
from spatial_dropouts.adapters.numpy_functions import NumpyFunctions

class Unwritable(NumpyFunctions):
    def version(self):
        return Fraction(2)

unwritable = Implementation(make="bad.py:good", adapter=Unwritable)

def nan(x, rate, *, training, rng):
    y = good(x, rate, training=training, rng=rng)
    return y + x.dtype.type(np.nan) if training and 0 < rate < 1 else y

class Refuses:
    def __init__(self, rate):
        raise ValueError("this layer wants a licence")
    def __call__(self, x, *, training, rng):
        return x

class NoLayer:
    pass

number = 3
'''


@pytest.fixture
def layers(write: Write) -> Path:
    return write("bad.py", LAYERS)


FEW = ("--case", "float32 rate=0.3 33,17,4 calls=128")  # more calls than the 60 after which a layer here changes
QUICK = ("--select", "mask.whole-channels,form.shape-dtype", *FEW)


@pytest.mark.parametrize(
    ("words", "given", "nearest"),
    [
        (["audit", "torch.Dropout1"], "torch.Dropout1", "torch.Dropout1d"),
        (["audit", "keras.SpatialDropout1D@torsh"], "torsh", "torch"),
        (["audit", "broken.drop-elements"], "drop-elements", "broken.drops-elements"),
        (["audit", "bad.py"], "bad.py", "path/to/file.py:LayerName"),
        (["audit", "bda.py:good"], "bda.py", "bad.py"),
        (["audit", "bad.py:god", "bad.py:good"], "god", "good"),
        (["audit", "bad.py:good", "--select", "mask.whole-chanels"], "mask.whole-chanels", "mask.whole-channels"),
        (["audit", "bad.py:good", "--ignore", "sed"], "sed", "seed"),
        (["audit", "bad.py:good", "--rate", "1.5"], "1.5", "the nearest is 1"),
        (["audit", "bad.py:good", "--rate", "half"], "half", "probability"),
        (["audit", "bad.py:good", "--rate", "nan"], "nan", "probability"),
        (["audit", "bad.py:good", "--dtype", "float8"], "float8", "float"),
        (["audit", "bad.py:good", "--profile", "quik"], "quik", "quick"),
        (["audit", "bad.py:good", "--shape", "4,0,2"], "4,0,2", "256,64,3"),
        (["audit", "bad.py:good", "--shape", "4,5"], "4, 5", "3"),
        (["audit", "bad.py:good", "--pattern", "n c l -> n k"], "k", "nearest"),
        (["audit", "bad.py:good", "--case", "flot32 rate=.3 5,5,5"], "flot32", "float32"),
        (["audit", "bad.py:good", "--case", "float32 rate=.3"], "sizes", "rows,channels,shared"),
        (["audit", "bad.py:good", "--seed", "-4"], "-4", "whole number"),
        (["audit", "bad.py:good", "--timeout", "soon"], "soon", "90s"),
        (["audit", "bad.py:good", "--budget", "0"], "0", "above 0"),
        (["audit", "bad.py:good", "--device", "cudda"], "cudda", "cuda"),
        (["audit", "bad.py:good", "--mode", "compild"], "compild", "compiled"),
        (["audit", "bad.py:good", "--resolution", "7"], "7", "0.005"),
        (["audit", "bad.py:good", "--proflie", "quick"], "--proflie", "--profile"),
        (["audit", "bad.py:good", "--resume"], "--resume", "--out"),
        (
            ["audit", "bad.py:good", "--case", "rate=.3 9,8,4 values batches=4,5"],
            "values batches=4,5",
            "one batch size",
        ),
        (["audti"], "audti", "audit"),
        (["explain", "mask.paterns"], "mask.paterns", "mask.patterns"),
        (["report", "missing.json"], "missing.json", "No such file"),
    ],
)
def test_usage_gets_one_sentence_with_the_nearest_valid_thing(
    call: Any, layers: Path, words: list[str], given: str, nearest: str
) -> None:
    done = call(*words)
    assert done.code == 2, done
    assert done.out == ""
    said = done.err[done.err.index("dropcheck: ") :].strip()
    assert given in said and nearest in said
    assert len(said.splitlines()) <= 3  # a pattern error adds the quoted pattern and its marks


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("hangs", 3, ["time limit of 4 s"]),
        ("crashes", 3, ["signal SIGSEGV"]),
        ("leaves", 3, ["SystemExit: 7"]),
        ("quits", 3, ["exit status 9"]),
        ("raises", 3, ["RuntimeError: no [bold]luck[/bold] today", "in raises"]),
        ("Refuses", 3, ["this layer wants a licence", "constructor rejects"]),
        ("NoLayer", 3, ["NoLayer", "expected a torch.nn.Module"]),
        ("number", 3, ["an object of type int was given"]),
        ("short", 1, ["form.shape-dtype", "(3"]),
        ("unwritable", 3, ["exit status 1", "Fraction is not JSON serializable"]),
        ("nothing", 3, ["returned a NoneType, expected a tensor"]),
        ("nan", 1, ["outputs are NaN for finite inputs"]),
        ("prints", 0, ["Of 2 implementations, 2 pass all checks."]),
    ],
)
def test_a_bad_layer_costs_itself_only(call: Any, layers: Path, name: str, code: int, words: list[str]) -> None:
    """Beside it a good layer finishes, its result is whole, and nothing that a layer prints gets into ours."""
    select = QUICK if name != "nan" else ("--select", "scale.kept-values", *FEW)
    limit = "4s" if name == "hangs" else "5m"
    done = call("audit", f"bad.py:{name}", "bad.py:good", *select, "--timeout", limit, "--json", "r.json")
    assert done.code == code, done
    for word in words:
        assert word in done.out, done.out
    result = done.result()
    assert [t["target"] for t in result["targets"]] == [f"bad.py:{name}", "bad.py:good"]
    assert result["targets"][1]["verdict"] == "pass" or name == "hangs"
    assert "hello from a layer" not in done.out
    if code == 3:
        assert result["targets"][0]["error"]
        assert result["verdict"] == "error"


@pytest.mark.parametrize(
    ("name", "words"), [("later", "a call returns float32 ("), ("flat", "gives an output of shape (33, 65)")]
)
def test_another_shape_after_some_calls_or_at_rate_one_is_a_failure(
    call: Any, layers: Path, name: str, words: str
) -> None:
    done = call("audit", f"bad.py:{name}", *QUICK, "--json", "r.json")
    assert done.code == 1, done
    (target,) = done.result()["targets"]
    (broken,) = {f["check"] for f in target["findings"] if f["verdict"] == "fail"}
    assert broken == "form.shape-dtype"
    lead = next(f for f in target["findings"] if f["verdict"] == "fail")
    assert words in lead["message"]
    again = call(*shlex.split(lead["replay"])[1:])
    assert again.code == 1, "the command of the finding shows it"


def test_outputs_of_another_shape_are_no_pass_of_the_checks_that_were_selected(call: Any, layers: Path) -> None:
    done = call("audit", "bad.py:later", "--select", "mask.whole-channels", *FEW)
    assert done.code == 3, done
    assert "bad.py:later: no verdict, 1 check could not be judged." in done.out
    assert "see form.shape-dtype" in done.out


def test_edges_of_the_rate_that_could_not_be_read_are_no_clean_pass(call: Any, layers: Path) -> None:
    done = call("audit", "bad.py:flat", "--select", "rate", *FEW, "--json", "r.json")
    (target,) = done.result()["targets"]
    one = next(f for f in target["findings"] if f["check"] == "rate.one")
    assert one["verdict"] == "inconclusive" and "see form.shape-dtype" in one["message"]
    assert done.code in (1, 3), done


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("dies", ("--jobs", "1"), "signal SIGABRT"),
        ("dies", ("--jobs", "2"), "signal SIGABRT"),
        ("seeded", ("--jobs", "2"), "signal SIGABRT"),
        ("lasts", ("--timeout", "10s", "--jobs", "2"), "time limit of 10 s"),
    ],
)
def test_what_was_found_before_a_target_ended_stands(
    call: Any, layers: Path, name: str, options: tuple[str, ...], words: str
) -> None:
    """A failure outranks the missing rest; what passed so far is no pass of its family."""
    names = "mask.distinct-samples,mask.whole-channels,form.empty,seed.reproducible"
    select = ("--select", names, *FEW)
    done = call("audit", f"bad.py:{name}", *select, *options, "--json", "r.json")
    assert done.code == 1, done
    (target,) = done.result()["targets"]
    assert target["verdict"] == "fail" and words in target["error"]
    assert {f["check"] for f in target["findings"] if f["verdict"] == "fail"} == {"mask.distinct-samples"}
    assert "The audit did not reach its end" in done.out and words in " ".join(done.out.split())


def test_memory_is_limited_by_resident_size(call: Any, layers: Path) -> None:
    done = call("audit", "bad.py:eats", *QUICK, "--memory", "900", "--timeout", "60s")
    assert done.code == 3
    assert "resident memory" in done.out and "900 MB" in done.out


def test_a_module_that_does_not_import_is_shown_with_its_own_traceback(call: Any, write: Write) -> None:
    write("typo.py", "import numpy as np\n\ndef layer(x, rate, *, training, rng)\n    return x\n")
    done = call("audit", "typo.py:layer")
    assert done.code == 2
    assert "SyntaxError" in done.err and "typo.py" in done.err
    assert all(line.startswith((" ", "\t")) or "File" not in line for line in done.err.splitlines())
    missing = call("audit", "no_such_package.layers:Drop")
    assert missing.code == 2 and "Traceback" not in missing.err
    assert "no module 'no_such_package'" in missing.err


def test_an_interpreter_that_does_not_exist(call: Any, layers: Path) -> None:
    done = call("audit", "bad.py:good", *QUICK, "--python", "/nowhere/python")
    assert done.code == 2
    assert "'/nowhere/python' does not start" in done.err


def test_places_that_cannot_be_written(call: Any, layers: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for option in ("--out", "--json"):
        done = call("audit", "bad.py:good", *QUICK, option, "file/below/r.json")
        assert done.code == 2
        assert "cannot be written" in done.err and option in done.err
    assert call("audit", "bad.py:good", *QUICK, "--json", ".").code == 2
    assert (tmp_path / "file").read_text() == "x"


def test_damaged_results_are_refused_with_the_place(call: Any, layers: Path, tmp_path: Path) -> None:
    done = call("audit", "bad.py:good", *QUICK, "--json", "r.json")
    assert done.code == 0
    whole = (tmp_path / "r.json").read_text()
    (tmp_path / "cut.json").write_text(whole[: len(whole) // 2])
    (tmp_path / "other.json").write_text('{"schema": "somebody.else/3"}')
    tree = json.loads(whole)
    tree["targets"][0]["findings"][2]["coins"] = "many"
    (tmp_path / "wrong.json").write_text(json.dumps(tree))
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    for name, place in [
        ("cut.json", "line "),
        ("other.json", "somebody.else/3"),
        ("wrong.json", "$.targets[0].findings[2].coins"),
        ("bytes.json", "bytes.json"),
    ]:
        bad = call("report", name, "--out", "page")
        assert bad.code == 2
        assert name in bad.err and place in bad.err
        assert not (tmp_path / "page" / "index.html").exists()
    assert call("report", "r.json", "--out", "page").code == 0
    assert (tmp_path / "page" / "index.html").exists()


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dropcheck", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "NO_COLOR": "1"},
    )


SLOW = """
import time
from bad import good

def slow(x, rate, *, training, rng):
    time.sleep(0.001)
    return good(x, rate, training=training, rng=rng)
"""


def interrupted(folder: Path, how: int) -> subprocess.Popen[str]:
    """An audit of a fast and a slow target, stopped after the fast one is on disk."""
    process = start(folder, "audit", "bad.py:good", "slow.py:slow", *RESUMED, "--jobs", "2")
    journal = folder / "r.json.journal"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if journal.exists() and journal.read_text().count("\n") >= 2:
            break
        time.sleep(0.05)
    else:
        process.kill()
        raise AssertionError("nothing was journalled")
    os.kill(process.pid, how)
    return process


CASES = ("--case", "float32 rate=0.3 33,17,4 calls=640", "--case", "float32 rate=0.5 65,64,3 calls=2000")
RESUMED = ("--select", "mask,rate.marginal", *CASES, "--json", "r.json")


def comparable(result: Any) -> Any:
    """What must not depend on interruptions: everything but clocks and the command line."""
    for target in result["targets"]:
        target.pop("timing")
    result.pop("argv")
    result.pop("environment")
    return result


def test_kill_minus_nine_and_resume_give_the_unbroken_result(
    call: Any, layers: Path, write: Write, tmp_path: Path
) -> None:
    write("slow.py", SLOW)
    process = interrupted(tmp_path, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "r.json").exists()
    again = call("audit", "bad.py:good", "slow.py:slow", *RESUMED, "--resume")
    assert again.code == 0
    assert "bad.py:good: starting" not in again.err, "what was finished is not run again"
    resumed = comparable(again.result())
    whole = call("audit", "bad.py:good", "slow.py:slow", *RESUMED)
    assert comparable(whole.result()) == resumed
    assert not (tmp_path / "r.json.journal").exists()


def test_a_file_that_was_edited_meanwhile_is_audited_anew(
    call: Any, layers: Path, write: Write, tmp_path: Path
) -> None:
    write("slow.py", SLOW)
    interrupted(tmp_path, signal.SIGKILL).wait()
    write(
        "bad.py", LAYERS.replace("mask = rng.random(x.shape[:2]) < rate", "mask = rng.random(x.shape[:2]) < .7 * rate")
    )
    again = call("audit", "bad.py:good", "slow.py:slow", *RESUMED, "--resume")
    assert again.code == 1, again
    assert "bad.py:good: starting" in again.err
    assert again.result()["targets"][0]["verdict"] == "fail"


def test_a_journal_of_other_options_or_a_damaged_one_is_refused(
    call: Any, layers: Path, write: Write, tmp_path: Path
) -> None:
    write("slow.py", SLOW)
    process = interrupted(tmp_path, signal.SIGKILL)
    process.wait()
    journal = tmp_path / "r.json.journal"
    saved = journal.read_bytes()
    other = call("audit", "bad.py:good", "slow.py:slow", *RESUMED, "--resume", "--seed", "4")
    assert other.code == 2 and "other options" in other.err
    assert journal.read_bytes() == saved, "nothing finished is lost by a refusal"
    journal.write_bytes(b"nonsense\n")
    damaged = call("audit", "bad.py:good", "slow.py:slow", *RESUMED, "--resume")
    assert damaged.code == 2 and "no journal" in damaged.err
    assert journal.read_bytes() == b"nonsense\n"
    # a last line that the kill cut short is only left out
    journal.write_bytes(saved + b'{"target": "slow.py:sl')
    assert call("audit", "bad.py:good", "slow.py:slow", *RESUMED, "--resume").code == 0


def test_control_c_keeps_what_is_finished_and_stops_the_workers(
    call: Any, layers: Path, write: Write, tmp_path: Path
) -> None:
    write("slow.py", SLOW)
    process = interrupted(tmp_path, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    kept = json.loads((tmp_path / "r.json").read_text())
    assert kept["interrupted"] is True
    assert [t["target"] for t in kept["targets"]] == ["bad.py:good"]
    assert call("audit", "bad.py:good", "slow.py:slow", *RESUMED, "--resume").code == 0
