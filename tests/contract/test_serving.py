"""The server protocol: layers in C, and servers that are missing, die, hang, write garbage or speak another version."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropcheck import Implementation
from dropcheck.adapter import ServerAdapter, Unsupported
from dropcheck.contract.adapter import Lost
from dropcheck.contract.serving import PROTOCOLS, Server, ServerError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "c_server"

# a server in Python's standard library that behaves as its argument says
FAKE = """
import json, os, struct, sys, time

how = sys.argv[1]


def say(head, body=b""):
    text = json.dumps(head).encode()
    os.write(1, struct.pack("<I", len(text)) + text + body)


while first := sys.stdin.buffer.read(4):
    head = json.loads(sys.stdin.buffer.read(struct.unpack("<I", first)[0]))
    body = sys.stdin.buffer.read(head["bytes"])
    if head["ask"] == "hello":
        known = {"framework": "fake", "version": "1", "dtypes": ["float32"], "gradients": False}
        if how.startswith("many"):
            known["calls"] = True
        say({"protocol": 9 if how == "protocol" else 1, **({} if how == "shy" else known)})
    elif head["ask"] == "make":
        say({"id": 1})
    elif how == "dies":
        os._exit(3)
    elif how == "killed":
        os.kill(os.getpid(), 9)
    elif how == "hangs":
        time.sleep(60)
    elif how == "prints":
        os.write(1, b"training step 1 of 10\\n")
    elif how == "no-json":
        os.write(1, struct.pack("<I", 9) + b"{'id': 1}")
    elif how == "short":
        say({"arrays": head["arrays"], "bytes": 4}, b"1234")
    elif how == "kinds":
        say({"arrays": [{"shape": [1], "dtype": "int7"}], "bytes": 4}, b"1234")
    elif how == "none":
        say({})
    elif how == "throws":
        say({"error": {"type": "OutOfPaper", "message": "tray 2 is empty"}})
    elif how == "unsupported":
        say({"error": {"type": "Unsupported", "message": "no such thing here"}})
    elif how.startswith("many"):
        values = struct.unpack(f"<{len(body) // 4}f", body)
        for call in range(head.get("calls", 1)):
            if call == 2 and how == "many-throw":
                say({"error": {"type": "OutOfPaper", "message": "tray 2 is empty"}})
                break
            if call == 2 and how == "many-die":
                os._exit(3)
            more = struct.pack(f"<{len(values)}f", *(value + call for value in values))
            say({"arrays": head["arrays"], "bytes": len(body), "ns": 1}, more)
    else:
        say({"arrays": head["arrays"], "bytes": head["bytes"]}, body)
"""


@pytest.fixture
def fake(tmp_path: Path) -> Any:
    """``fake("dies")``: the command of such a server."""
    (tmp_path / "fake.py").write_text(FAKE)
    return lambda how: [sys.executable, "-S", str(tmp_path / "fake.py"), how]


def called(command: list[str], patience_s: float = 60.0) -> Any:
    unbound = ServerAdapter(command=command, layer="any", patience_s=patience_s)
    adapter = unbound(unbound, Implementation(make=unbound, contract="n c l -> n c"))
    layer = adapter.make(0.5, "float32", None, "global")
    return adapter, adapter.apply(layer, np.ones((2, 3, 4), np.float32), True)


@pytest.mark.parametrize(
    "how, words",
    [
        ("protocol", "speaks protocol 9; dropcheck speaks 1"),
        ("shy", "answers 'hello' without 'framework' (str)"),
        ("dies", "ends by itself with exit status 3 at 'apply'"),
        ("killed", "is ended by signal 9 at 'apply'"),
        ("prints", "answers 'apply' with b'training step 1 of 10\\n'; expected a frame"),
        ("no-json", "answers 'apply' with b\"{'id': 1}\"; expected a frame"),
        ("short", "answers 'apply' with 4 bytes for arrays of 96"),
        ("kinds", "expected shapes and dtypes"),
        ("none", "answers 'apply' with 0 arrays; expected 1"),
    ],
)
def test_a_server_that_goes_wrong_is_one_sentence_and_is_not_asked_again(fake: Any, how: str, words: str) -> None:
    with pytest.raises(Lost) as raised:
        called(fake(how))
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_a_server_that_hangs_is_killed_after_its_time(fake: Any) -> None:
    server = Server(fake("hangs"), patience_s=30.0)
    server.patience_s = 0.0
    with pytest.raises(Lost, match="gives no answer to 'apply' within 0 s"):
        server.ask({"ask": "apply"})
    assert server.process.poll() is not None
    with pytest.raises(Lost, match="gives no answer"):
        server.ask({"ask": "hello"})


def test_what_a_layer_raises_has_the_type_and_the_words_of_the_server(fake: Any) -> None:
    with pytest.raises(ServerError, match="tray 2 is empty") as raised:
        called(fake("throws"))
    assert raised.type.__name__ == "OutOfPaper"
    with pytest.raises(Unsupported, match="no such thing here"):
        called(fake("unsupported"))


def test_arrays_come_back_bit_for_bit(fake: Any) -> None:
    adapter, y = called(fake("right"))
    np.testing.assert_array_equal(y, np.ones((2, 3, 4)))
    for dtype in ("float64", "float16", "bfloat16", "float32"):
        x = adapter.tensor(np.array([[1.5, -0.0, 2.0**-14]]), dtype)
        (back,) = adapter.server.ask({"ask": "apply"}, [x])[1]
        assert back.tobytes() == x.tobytes() and adapter.dtype_of(back) == dtype
    empty = adapter.server.ask({"ask": "apply"}, [np.ones((0, 3), np.float32)])[1][0]
    assert empty.shape == (0, 3)


def adapter_and_layer(command: list[str]) -> tuple[Any, Any]:
    unbound = ServerAdapter(command=command, layer="any")
    adapter = unbound(unbound, Implementation(make=unbound, contract="n c l -> n c"))
    return adapter, adapter.make(0.5, "float32", None, "global")


def test_many_calls_on_one_input_cross_in_few_requests_and_come_in_order(
    fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, layer = adapter_and_layer(fake("many"))
    sent = []
    ask = adapter.server._request
    monkeypatch.setattr(adapter.server, "_request", lambda head, arrays: (sent.append(head), ask(head, arrays))[1])
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    found = list(adapter.repeated(layer, x, 70))
    assert [head["calls"] for head in sent] == [64, 6] and layer.calls == 70
    for number, y in enumerate(found):
        np.testing.assert_array_equal(y, x + number % 64)
    assert adapter.server.inside_ns == 70
    large = np.ones((1, 1 << 19), np.float32)  # more than a pipe holds
    del sent[:]
    assert [y[0, -1] for y in adapter.repeated(layer, large, 3)] == [1, 2, 1]
    assert [head["calls"] for head in sent] == [2, 1]


def test_a_request_between_many_calls_loses_none_of_them(fake: Any) -> None:
    adapter, layer = adapter_and_layer(fake("many"))
    x = np.ones((2, 3, 4), np.float32)
    found = adapter.repeated(layer, x, 5)
    assert next(found)[0, 0, 0] == 1
    np.testing.assert_array_equal(adapter.apply(layer, 7 * x, True), 7 * x)
    assert [y[0, 0, 0] for y in found] == [2, 3, 4, 5]
    some = adapter.repeated(layer, x, 5)
    next(some)
    del some  # who gives up leaves nothing in the pipe
    np.testing.assert_array_equal(adapter.apply(layer, 7 * x, True), 7 * x)


def test_what_a_layer_raises_among_many_calls_comes_in_its_place(fake: Any) -> None:
    adapter, layer = adapter_and_layer(fake("many-throw"))
    x = np.ones((2, 3, 4), np.float32)
    found = adapter.repeated(layer, x, 5)
    assert [next(found)[0, 0, 0] for _ in range(2)] == [1, 2]
    with pytest.raises(ServerError, match="tray 2 is empty"):
        next(found)
    np.testing.assert_array_equal(adapter.apply(layer, x, True), x)
    adapter, layer = adapter_and_layer(fake("many-die"))
    found = adapter.repeated(layer, x, 5)
    assert [next(found)[0, 0, 0] for _ in range(2)] == [1, 2]
    with pytest.raises(Lost, match="ends by itself with exit status 3 at 'apply'"):
        next(found)


def test_a_server_that_does_not_say_so_is_asked_call_by_call(fake: Any) -> None:
    adapter, layer = adapter_and_layer(fake("right"))
    assert adapter.repeated(layer, np.ones((2, 3, 4), np.float32), 5) is None


def test_an_audit_goes_on_without_the_target_whose_server_is_lost(call: Any, fake: Any, tmp_path: Path) -> None:
    fake("dies")
    (tmp_path / "bad.py").write_text(
        "import sys\nfrom dropcheck import Implementation\nfrom dropcheck.adapter import ServerAdapter\n"
        "def of(how):\n"
        "    command = [sys.executable, '-S', 'fake.py', how]\n"
        "    return Implementation(make=ServerAdapter(command=command), contract='n c l -> n c')\n"
        "dies, prints, throws = of('dies'), of('prints'), of('throws')\n"
        "missing = Implementation(make=ServerAdapter(command=['no-such-program']), contract='n c l -> n c')\n"
    )
    targets = ["bad.py:dies", "bad.py:prints", "bad.py:throws", "bad.py:missing", "custom.reference"]
    done = call("audit", *targets, "--select", "rate.zero", "--json", "r.json", inside=True)
    found = {t["target"]: t for t in done.result()["targets"]}
    assert done.code == 3 and found["custom.reference"]["verdict"] == "pass"
    said = " ".join(done.out.split())
    for words in ("ends by itself with exit status 3", "expected a frame", "OutOfPaper: tray 2 is empty"):
        assert words in said
    assert "the program 'no-such-program' is not here: install it, or give its path" in said


def test_a_program_in_c_is_audited_and_its_defect_is_found(call: Any, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    assert len((EXAMPLE / "server.c").read_text().splitlines()) < 100
    subprocess.run([compiler, "-O2", "-o", "server", "server.c"], cwd=tmp_path, check=True)
    case = ("--case", "float32 rate=0.5 65,33,3 calls=64", "--select", "mask.distinct-samples,rate.marginal,seed.reset")
    case = (*case, "--select", "gradient.mask,rate.one,rate.rejects-invalid,mode.inference", "--json", "r.json")
    right = call("audit", "layers.py:channels", *case, inside=True)
    assert right.code == 0, right.out
    (target,) = right.result()["targets"]
    assert target["framework"] == "c"
    assert {"rate.marginal", "seed.reset", "gradient.mask", "rate.rejects-invalid"} <= {
        f["check"] for f in target["findings"] if f["verdict"] == "pass"
    }
    wrong = call("audit", "layers.py:thrifty", *case, inside=True)
    assert wrong.code == 1 and "share one mask" in wrong.out


def test_the_page_shows_the_bytes_that_cross() -> None:
    page = (ROOT / "docs" / "reference" / "server-protocol.md").read_text()
    assert f"version {PROTOCOLS[0]}" in page
    blocks = [block.partition("```")[0] for block in page.split("```hexdump\n")[1:]]
    frames = [bytes.fromhex("".join(line[10:58] for line in block.splitlines())) for block in blocks]
    for frame in frames:
        (length,) = struct.unpack("<I", frame[:4])
        head = json.loads(frame[4 : 4 + length])
        assert len(frame) == 4 + length + head.get("bytes", 0)
    assert json.loads(frames[0][4:])["ask"] == "hello" and json.loads(frames[1][4:])["protocol"] == 1
