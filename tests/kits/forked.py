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
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kits.forking import NUMBER

from dropcheck.worker import stems

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
# of these, what PyTorch alone does not read, or reads at each compilation
NOT_BY_TORCH = re.compile(r"(JAX|XLA|KERAS|TF)\w*|TORCHINDUCTOR_CACHE_DIR")


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


def read_at_import(modules: Iterable[str], variables: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What of these variables must be the same where ``modules`` were imported."""
    read = {name: value for name, value in variables.items() if READ_AT_IMPORT.fullmatch(name)}
    if {module.partition(".")[0] for module in modules} <= {"numpy", "torch"}:
        read = {name: value for name, value in read.items() if not NOT_BY_TORCH.fullmatch(name)}
    return tuple(sorted(read.items()))


class Program(stems.Grown):
    """A program under way, as ``subprocess.Popen`` has it."""

    def __init__(self, argv: Sequence[str], told: int) -> None:
        try:
            (pid,) = NUMBER.unpack(os.read(told, NUMBER.size))
        except struct.error:
            raise RuntimeError("the process that forks has ended") from None
        super().__init__(pid, told, list(argv))


class Parent:
    """A process that has imported ``modules`` and forks once for each program that it is given."""

    def __init__(self, modules: Sequence[str], variables: Mapping[str, str]) -> None:
        self.line, theirs = socket.socketpair()
        self.alone = threading.Lock()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("forking.py")), str(theirs.fileno()), *modules],
                env=dict(variables),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self.words = Connection(os.dup(self.line.fileno()))

    def start(
        self,
        argv: Sequence[str],
        cwd: str,
        variables: Mapping[str, str],
        places: tuple[int, int],
        pipe: Sequence[int] = (),
        group: bool = False,
    ) -> Program:
        """Start a program. ``places``: where its two outputs go; ``pipe``: its first argument is the number that it has there."""
        told, telling = os.pipe()
        try:
            with self.alone:
                socket.send_fds(self.line, [b"x"], [telling, *places, *pipe])
                self.words.send((list(argv), cwd, dict(variables), group))
        finally:
            os.close(telling)
        return Program(argv, told)

    def run(
        self, argv: Sequence[str], cwd: str, variables: Mapping[str, str], timeout: float | None
    ) -> subprocess.CompletedProcess[str]:
        """What ``subprocess.run([sys.executable, *argv])`` returns, or TimeoutExpired."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            program = self.start(argv, cwd, variables, (out.fileno(), err.fileno()))
            try:
                code = program.wait(timeout)
            except subprocess.TimeoutExpired:
                os.kill(program.pid, signal.SIGKILL)
                program.wait()
                raise
            said = []
            for file in (out, err):
                file.seek(0)
                said.append(file.read().decode())
        return subprocess.CompletedProcess([*argv], code, *said)

    def close(self) -> None:
        self.words.close()
        self.line.close()
        self.process.wait(60)


class Parents:
    """One process for each set of modules and of variables that are read at import, started when the first program asks."""

    def __init__(self) -> None:
        self.known: dict[Any, Parent] = {}
        self.alone = threading.Lock()

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
        return self.of(modules, first).run(argv, cwd or os.getcwd(), variables, timeout)

    def of(self, modules: Iterable[str], variables: Mapping[str, str]) -> Parent:
        """The process that has imported these modules under what of these variables is read at import."""
        wanted = tuple(modules)
        with self.alone:
            for (has, read), parent in self.known.items():
                # one that has imported more will do, but where NumPy is enough
                imported = {*has, *(module.partition(".")[0] for module in has)}
                enough = set(wanted) <= imported if len(wanted) > 1 else wanted == has
                if enough and read == read_at_import(has, variables):
                    return parent
            key = (wanted, read_at_import(wanted, variables))
            self.known[key] = Parent(wanted, variables)
            return self.known[key]

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

    def workers_of(self, monkeypatch: pytest.MonkeyPatch, client: Any, modules: Sequence[str]) -> None:
        """Workers that ``client`` starts under this interpreter are forks of a process that has imported ``modules``.

        Of Keras' backends it has the one that the worker is started for.
        """

        def popen(
            command: list[str], *, stdout: Any, stderr: Any, pass_fds: Sequence[int], env: Any, **more: Any
        ) -> Any:
            program, path, _, *rest = command
            if program != sys.executable:
                return subprocess.Popen(command, stdout=stdout, stderr=stderr, pass_fds=pass_fds, env=env, **more)
            places = (stdout.fileno(), stderr.fileno())
            return self.of(dict.fromkeys(modules), env).start(
                [path, *rest], os.getcwd(), env, places, pass_fds, group=True
            )

        shown = {name: getattr(subprocess, name) for name in ("DEVNULL", "TimeoutExpired")}
        monkeypatch.setattr(client, "subprocess", SimpleNamespace(Popen=popen, **shown))
        monkeypatch.setattr(stems, "possible", lambda: False)  # these have their import already
