"""Caches: where they lie, what a worker is told of them, and that a user's own setting stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropcheck.auditing.run import AuditRequest, run
from dropcheck.worker import caches


def test_the_folder_follows_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert caches.folder() == tmp_path / "dropcheck"
    assert caches.compiled()["JAX_COMPILATION_CACHE_DIR"].startswith(str(tmp_path / "dropcheck" / "jax"))


def findings(target: str) -> list[tuple[str, str, str, int]]:
    cases = ("float32 rate=0.3 65,33,3 calls=64",)
    request = AuditRequest(targets=(target,), select=("rate.marginal", "mask.distinct-calls"), cases=cases, jobs=1)
    (one,) = run(request).targets
    assert one.error is None
    return [(f.check, f.case, f.verdict, f.coins) for f in one.findings]


@pytest.mark.keras
def test_what_was_compiled_before_changes_no_coin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    first = findings("custom.jax")
    kept = list((tmp_path / "dropcheck" / "jax").rglob("*-cache"))
    assert kept
    assert findings("custom.jax") == first
    assert any(verdict == "pass" for _, _, verdict, _ in first)


@pytest.mark.keras
def test_a_users_own_folder_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "ours"))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "theirs"))
    findings("custom.jax")
    assert list((tmp_path / "theirs").rglob("*-cache"))
    assert not (tmp_path / "ours").exists()
