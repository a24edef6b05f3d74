"""What a project's policy file says of audits: the options of ``audit`` and of pytest that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dropcheck.gate import decoding
from dropcheck.gate.policy import PRESET, PolicyError, Sourced
from dropcheck.plan.request import AuditRequest

# key of the policy -> field of an audit's request
_FIELDS = {
    "profile": "profile",
    "checks": "select",
    "ignore": "ignore",
    "dtypes": "dtypes",
    "devices": "device",
    "traits": "strict",
    "fail_on": "fail_on",
}


@dataclass(frozen=True)
class ProjectOptions:
    """``options``: fields of an audit's request that the file, or its preset, sets; ``file``: its name, empty without one.

    ``targets``: what is audited where no target is named. ``patterns``: by target.
    """

    file: str = ""
    targets: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    patterns: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""

    def beneath(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the file says and ``given``, fields of a request, does not. A check that was asked for is not left out."""
        gone = {*given, *(["ignore"] if "select" in given else [])}
        return {key: value for key, value in self.options.items() if key not in gone}

    def sentence(self, used: Mapping[str, Any], targets: Sequence[str] = ()) -> str:
        """Which options this file sets, in one line; an empty text where it changes nothing.

        ``used``: fields of an audit's request, as ``beneath`` gives them. ``targets``: those that are audited for it.
        """
        usual = {one.name: one.default for one in fields(AuditRequest)}
        keys = {name: key for key, name in _FIELDS.items()} | {"pattern": "patterns"}
        parts = [f"targets = {', '.join(targets)}"] if targets else []
        for name, value in used.items():
            if value != usual.get(name):
                text = ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
                parts.append(f"{keys.get(name, name)} = {text}")
        path = Path(self.file)
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return f"{shown} sets: {'; '.join(parts)}" if parts else ""

    def patterned(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of an audit of one target, with its pattern where the options have none."""
        own = self.patterns.get(name)
        return {**({"pattern": own} if own is not None else {}), **options}

    def pattern(self, names: Sequence[str]) -> str | None:
        """The pattern of these targets. Raises PolicyError where they have different ones, as an audit has one."""
        found = {self.patterns.get(name) for name in names}
        if len(found) > 1:
            told = ", ".join(f"{name}: {self.patterns.get(name, 'none')}" for name in names)
            raise PolicyError(
                f"{self.origin}: these targets have different patterns, and an audit has one ({told}); name targets of one "
                "pattern, or give --pattern"
            )
        return found.pop() if found else None


def read(folder: Path) -> ProjectOptions:
    """The options of a folder: of dropcheck.toml, or of [tool.dropcheck] in pyproject.toml; empty where it has none.

    Raises PolicyError with file, line and the nearest key.
    """
    path = decoding.find(folder)
    return of(decoding.load(path)) if path is not None else ProjectOptions()


def of(sourced: Sourced) -> ProjectOptions:
    """The options of a policy. Of several devices an audit takes the first."""
    policy = sourced.policy
    said = {str(key[0]) for key in sourced.origins} | set(PRESET[policy.preset])
    options: dict[str, Any] = {}
    for key, name in _FIELDS.items():
        value = getattr(policy, key)
        if key in said and value:
            options[name] = value[0] if key == "devices" else value
    return ProjectOptions(sourced.name, policy.targets, options, dict(policy.patterns), sourced.origin("patterns"))
