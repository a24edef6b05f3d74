"""Releases: which ones a policy asks for, and which ones the evidence is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from dropcheck.contract.errors import nearest
from dropcheck.gate.policy import Sourced
from dropcheck.gate.values import specifier
from dropcheck.results.audit import TargetResult

if TYPE_CHECKING:
    from dropcheck.gate.records import Evidence


def other_release(sourced: Sourced, target: TargetResult, environment: Mapping[str, Any]) -> tuple[str, str] | None:
    """Which release differs from what the policy asks for, and the policy line; None where none does."""
    for name, wanted in sourced.policy.releases.items():
        found = _release(name, target.framework, target.version, environment)
        if found is None:
            continue
        try:
            good = SpecifierSet(specifier(wanted)).contains(Version(found), prereleases=True)
        except InvalidVersion:
            good = False
        if not good:
            return f"it is of {name} {found or 'of no known release'}", sourced.rule("releases", name)
    return None


def unmatched_releases(sourced: Sourced, evidence: Evidence) -> list[tuple[str, str]]:
    """Names of [releases] that no evidence has to do with, each with the nearest that one has."""
    some = [(t.framework, t.version, result.environment) for _, result in evidence.audits for t in result.targets]
    some += [(t.framework, t.version, bench.environment) for _, bench in evidence.benches for t in bench.targets]
    known = {"dropcheck", *(framework.partition("@")[0] for framework, _, _ in some if framework)}
    known |= {words[0] for _, version, _ in some if (words := version.partition(" on ")[2].split())}
    return [
        (name, nearest(name, sorted(known)))
        for name in sourced.policy.releases
        if some and all(_release(name, *one) is None for one in some)
    ]


def _release(name: str, framework: str, version: str, environment: Mapping[str, Any]) -> str | None:
    """The release of a package that a target was audited with; None where the target has nothing to do with it."""
    head, _, backend = version.partition(" on ")
    name = name.lower()
    if name in (framework.lower(), framework.partition("@")[0].lower()):
        return head
    words = backend.split()
    if len(words) == 2 and words[0].lower() == name:
        return words[1]
    packages = environment.get("packages")
    if name == "dropcheck":
        return str(packages.get(name, "")) if isinstance(packages, dict) else ""
    return None
