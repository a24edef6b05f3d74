"""TensorFlow.js: every target drops as its pattern says, and the audit says what its layers are known to do wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from kits.node import tensorflow_js

from dropcheck.auditing.run import AuditRequest, run
from dropcheck.contract import node_packages
from dropcheck.contract.adapter import Unsupported
from dropcheck.contract.server_adapter import ServerAdapter
from dropcheck.contract.serving import Server, ServerError
from dropcheck.judge.diagnosis import diagnose
from spatial_dropouts.adapters import opening
from spatial_dropouts.tfjs import REGISTER


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """One process a backend for all tests of this file."""
    tensorflow_js()
    made = {}
    for backend in ("cpu", "wasm"):
        adapter = opened("tfjs.dropout")
        adapter.use(backend)
        made[backend] = adapter.server
    yield made
    for server in made.values():
        server.process.kill()


def opened(name: str) -> Any:
    return opening.opened(name, "spatial_dropouts:find", None, None)


def driver(name: str, servers: dict[str, Server], backend: str = "cpu") -> Any:
    adapter = opened(name)
    adapter.server = servers[backend]
    return adapter


@pytest.mark.parametrize("backend", ["cpu", "wasm"])
@pytest.mark.parametrize("name", REGISTER)
def test_a_mask_is_shared_as_the_pattern_says_and_the_gradient_has_it(
    name: str, backend: str, servers: dict[str, Server]
) -> None:
    adapter = driver(name, servers, backend)
    seeds = adapter.contract.seeds
    layer = adapter.make(0.5, "float32", 3 if seeds else None, seeds[0] if seeds else "global")
    x = np.linspace(1, 2, 8 * 3 * 16, dtype=np.float32).reshape(8, 3, 16)
    y = adapter.apply(layer, x, True)
    np.testing.assert_array_equal(adapter.apply(layer, x, False), x)
    assert y.shape == x.shape and y.dtype == np.float32
    again, gradient = adapter.gradient(layer, x, np.full_like(x, 3))
    if "alpha" in name:
        return
    kept = y != 0
    shared = adapter.contract.pattern.shared
    assert (kept == kept[:, :1]).all() == bool(shared)
    assert 0.3 < kept.mean() < 0.7  # of 128 decisions at least: 4.5 standard deviations
    np.testing.assert_array_equal(gradient != 0, again != 0)
    np.testing.assert_allclose(gradient, 3 * again / x, rtol=1e-6)


def test_a_layer_that_throws_says_so_in_its_own_words(servers: dict[str, Server]) -> None:
    adapter = driver("tfjs.dropout", servers)
    layer = adapter.make(0.5, "float32", None, "global")
    layer.id += 1000
    with pytest.raises(Unsupported, match="there is no layer"):
        adapter.apply(layer, np.ones((1, 2, 3), np.float32), True)
    operation = driver("tfjs.dropout-op", servers)
    with pytest.raises(ServerError, match=r"^rate must be a float in the range"):
        operation.apply(operation.make(1.0, "float32", None, "global"), np.ones((1, 2, 3), np.float32), True)
    with pytest.raises(ServerError, match=r"^rate must be a float in the range"):
        operation.apply(operation.make(float("nan"), "float32", None, "global"), np.ones((1, 2, 3), np.float32), True)


def test_layers_that_nobody_holds_are_released(servers: dict[str, Server]) -> None:
    adapter = driver("tfjs.gru#input", servers)
    x = np.ones((1, 2, 3), np.float32)
    held = [adapter.make(0.5, "float32", None, "global") for _ in range(3)]
    ids = [layer.id for layer in held]
    for layer in held:
        adapter.apply(layer, x, True)
    before, _ = adapter.server.ask({"ask": "state"})
    del held, layer
    after, _ = adapter.server.ask({"ask": "state"})
    assert after["layers"] == before["layers"] - len(ids)
    assert after["tensors"] < before["tensors"]


def test_calls_that_are_asked_for_together_are_those_that_are_asked_for_one_by_one(servers: dict[str, Server]) -> None:
    adapter = driver("tfjs.dropout-op-seed", servers)
    for shape in ((8, 3, 16), (20, 16, 1024)):  # a frame that is read in one turn, and more than a pipe holds
        x = np.linspace(1, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        together, alone = (adapter.make(0.5, "float32", 3, "key") for _ in range(2))
        found = list(adapter.repeated(together, x, 2))
        assert not np.array_equal(*found)
        for y in found:
            np.testing.assert_array_equal(y, adapter.apply(alone, x, True))
        assert together.calls == alone.calls == 2
    np.testing.assert_array_equal(adapter.apply(alone, x, False), x)
    assert alone.calls == 2  # inference takes no number: the next training call has the mask that it would have had


def facts(name: str, *select: str, cases: tuple[str, ...] = ()) -> dict[str, str]:
    """Messages of failing checks, of an audit in this process."""
    request = AuditRequest(targets=(name,), select=select, cases=cases, jobs=1, in_process=True)
    (target,) = run(request).targets
    assert target.error is None, target.error
    return {f.check: f.message for f in target.findings if f.verdict == "fail"}


@pytest.mark.usefixtures("servers")
def test_the_audit_says_what_is_known_of_it() -> None:
    calls = "float32 rate=0.5 8,12,2 calls=8"
    seeded = facts("tfjs.spatialDropout1d-seed", "mask.distinct-calls", cases=(calls,))
    assert "call 1 reuses the mask of call 0" in seeded["mask.distinct-calls"]
    assert not facts("tfjs.spatialDropout1d", "mask.distinct-calls", cases=(calls,))
    edges = facts("tfjs.dropout", "rate.one", "rate.rejects-invalid")
    assert "unchanged" in edges["rate.one"]
    assert "accepted rate NaN and returned its input" in edges["rate.rejects-invalid"]
    assert not facts("tfjs.dropout-op", "rate.rejects-invalid")
    doubled = facts("tfjs.gru#recurrent", "scale.kept-values", cases=(calls,))["scale.kept-values"]
    assert "kept values are multiplied by 4, expected 2" in doubled
    assert not facts("tfjs.lstm#recurrent", "scale.kept-values", cases=(calls,))
    cases = tuple(f"float32 rate={rate} 8,12,1 calls=8" for rate in (0.3, 0.4, 0.5, 0.6))
    alpha = AuditRequest(
        targets=("tfjs.alphaDropout",), select=("scale.kept-values",), cases=cases, jobs=1, in_process=True
    )
    (cause,) = diagnose(run(alpha).targets[0])
    assert "alpha' has the wrong sign" in cause.observed


def test_no_process_is_left_after_the_worker_is_killed(tmp_path: Path) -> None:
    tensorflow_js()
    code = (
        "from spatial_dropouts.adapters import opening\n"
        "a = opening.opened('tfjs.dropout', 'spatial_dropouts:find', None, None)\n"
        "print(a.server.process.pid, a.version(), flush=True)\ninput()\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pid, version = worker.stdout.readline().split()
    assert version == node_packages.split(REGISTER["tfjs.dropout"].requires[0])[1]  # type: ignore[index]
    node = psutil.Process(int(pid))
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    node.wait(30)


def test_what_is_missing_is_one_sentence_with_what_to_do(
    call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = call("audit", "tfjs.dropout", **cache)
    assert done.code == 3
    assert "add --with 'npm:@tensorflow/tfjs@4.22.0', which installs it" in " ".join(done.out.split())
    listed = call("list", "--all", **cache)
    assert "- the 14 of tfjs cannot run here: @tensorflow/tfjs is not installed" in " ".join(listed.out.split())
    done = call("audit", "tfjs.dropout", **cache, DROPCHECK_NODE="node-that-is-not-here")
    assert done.code == 3
    assert "Node.js is not installed" in " ".join(done.out.split())


def test_a_program_that_is_not_there_is_said_by_name() -> None:
    with pytest.raises(Unsupported, match="the program 'no-such-program' is not here"):
        _ = ServerAdapter(command=["no-such-program"]).server
    with pytest.raises(TypeError, match="in a list"):
        ServerAdapter(command="node server.js")  # type: ignore[arg-type]
