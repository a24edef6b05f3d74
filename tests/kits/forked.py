"""Programs that run in forks of a process which has imported their frameworks once: a second a framework, not a second a program.

What a program does stays its own: a fork has its own memory, folder, variables, output and exit status, and whatever it leaves
behind ends with it. Only the import is shared, before any device or thread pool of a framework is started.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

# what takes long to import, and the modules that come with it in every program
HEAVY = {
    **{name: (name,) for name in ("torch", "keras", "equinox", "haiku", "onnxruntime")},
    **dict.fromkeys(("tensorflow", "tf_keras"), ("tensorflow", "tf_keras")),
    "jax": ("jax", "jax.numpy"),
    "flax": ("flax.linen", "flax.nnx"),
    "mlx": ("mlx.core", "mlx.nn"),
    "spatial_dropouts": ("spatial_dropouts.broken",),
}
# a variable that a framework reads when it is imported must be the same there
READ_AT_IMPORT = re.compile(r"(CUDA|HIP|JAX|XLA|KERAS|TF|TORCH|OMP|PYTHON)\w*|PATH")


def needed(script: str) -> tuple[str, ...]:
    """The modules worth importing once for programs like this one, in its own order."""
    tree = ast.parse(script)
    named = [
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    ]
    found = [module for name in dict.fromkeys(named) for module in HEAVY.get(name, ())]
    if "torch.compile(" in script:
        found += ["torch._dynamo", "torch._inductor.compile_fx"]
    return ("numpy", *dict.fromkeys(found))


class Parent:
    """A process that has imported ``modules`` and forks once for each program that it is given."""

    def __init__(self, modules: Sequence[str], variables: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("forking.py")), str(theirs.fileno()), *modules],
                env=dict(variables),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self.line = Connection(ours.detach())

    def run(
        self, argv: Sequence[str], cwd: str, variables: Mapping[str, str], timeout: float | None
    ) -> subprocess.CompletedProcess[str]:
        """What ``subprocess.run([sys.executable, *argv])`` returns, or TimeoutExpired."""
        with tempfile.TemporaryDirectory() as folder:
            places = [str(Path(folder, name)) for name in ("stdout", "stderr")]
            self.line.send((list(argv), cwd, dict(variables), places))
            pid = self.line.recv()
            if not self.line.poll(timeout):
                os.kill(pid, signal.SIGKILL)
                self.line.recv()
                raise subprocess.TimeoutExpired([*argv], timeout or 0)
            code = self.line.recv()
            said = [Path(place).read_text() for place in places]
        return subprocess.CompletedProcess([*argv], code, *said)

    def close(self) -> None:
        self.line.close()
        self.process.wait(60)


class Parents:
    """One process for each set of modules and of variables that are read at import, started when the first program asks."""

    def __init__(self) -> None:
        self.known: dict[Any, Parent] = {}

    def run(
        self,
        argv: Sequence[str],
        modules: Iterable[str] = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        backend: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program: the path of a script and its arguments. ``backend``: the one of Keras that it will choose."""
        variables = dict(os.environ if env is None else env)
        first = {**variables, **({"KERAS_BACKEND": backend} if backend else {})}
        key = (tuple(modules), tuple(sorted((k, v) for k, v in first.items() if READ_AT_IMPORT.fullmatch(k))))
        if key not in self.known:
            self.known[key] = Parent(tuple(modules), first)
        return self.known[key].run(argv, cwd or os.getcwd(), variables, timeout)

    def close(self) -> None:
        for one in self.known.values():
            with contextlib.suppress(Exception):
                one.close()

    def scripts_of(self, monkeypatch: pytest.MonkeyPatch, confirming: Any) -> None:
        """Scripts that ``confirming`` starts under this interpreter run in forks; others as ever."""

        def run(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
            program, path, *_ = command
            if program != sys.executable:
                return subprocess.run(command, **more)
            script = Path(path).read_text()
            chosen = re.search(r'environ\["KERAS_BACKEND"\] = "(\w+)"', script)
            return self.run(
                command[1:],
                needed(script),
                env=more["env"],
                timeout=more["timeout"],
                backend=chosen[1] if chosen else None,
            )

        monkeypatch.setattr(
            sys.modules[confirming.__module__],
            "subprocess",
            SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired),
        )
