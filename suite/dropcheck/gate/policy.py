"""A policy: what a release must show, with the presets, and where each of its values is from."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.judge.claims import selected
from dropcheck.results.audit import Level

PROFILES = ("quick", "standard", "deep")  # from coarse to fine
DEVICES = ("cpu", "cuda")
PRESETS = ("default", "strict", "quick")


class PolicyError(UsageError):
    """A policy that cannot be followed; the message names the file and the line."""


Missing = Literal["fail", "inconclusive", "skip"]


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which findings of a check and target a waiver accepts; what is not said is any."""

    dtype: str | None = None
    mode: str | None = None
    device: str | None = None


Of = Literal["failure", "not judged"]
OF_LEVELS = ("edge", "trait")  # levels that a waiver can name in place of a check; a defect is waived by its check
FAILURE: Of = "failure"
NOT_JUDGED: Of = "not judged"


class Waiver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An accepted deviation. ``target`` is a glob; ``expires`` the last day that it holds.

    ``check``: a check, or ``edge`` or ``trait`` for the failures of that level in all checks, judged or not.
    ``of``: what it accepts, a failure, or that a check is not judged beside a more basic failure; the second ends the moment
    the check is judged. ``ceiling``: the largest deviation. ``unmeasured``: a failure without a number is accepted too, and
    one with a number only below a ceiling; without it a ceiling accepts only failures that have a number.
    """

    check: str
    target: str
    reason: str
    expires: datetime.date
    of: Of = FAILURE
    id: str = ""
    link: str = ""
    when: When = When()
    ceiling: float | None = None
    unmeasured: bool = False


class Speed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What speed must be, as ratios to the reference in the same run, or as shares of the physical limit.

    ``max_resolution``: the coarsest half-width of the reference against itself that counts as evidence; ``level``: the
    probability that a target which is exactly as slow as allowed fails, or that one which is slower passes.
    """

    reference: str | None = None
    max_ratio: float | None = None
    min_fraction_of_limit: float | None = None
    max_resolution: float | None = None
    max_compile_ratio: float | None = None
    max_memory_ratio: float | None = None
    cells: tuple[str, ...] = ()
    profile: Literal["quick", "standard", "deep"] = "quick"
    level: float = 0.01


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a gate asks. Every key that is left out has the value of the preset.

    ``checks``: prefixes that are required, none: all. ``profile``: the coarsest that counts. ``alpha``: the largest
    probability per target of accusing a correct layer. ``releases``: which releases the evidence must be about.
    ``tolerances``: the deviation that the owner grants, by check. ``on_missing``: what evidence counts that is not there.
    ``fail_on``: the least grave failure that counts; None: every failure does, traits where an audit judges them.
    """

    version: Literal[1] = 1
    preset: Literal["default", "strict", "quick"] = "default"
    targets: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    profile: Literal["quick", "standard", "deep"] = "quick"
    devices: tuple[Literal["cpu", "cuda"], ...] = ("cpu",)
    dtypes: tuple[Literal["float32", "float64", "float16", "bfloat16"], ...] = ()
    alpha: float = 1e-6
    max_age: str | None = None
    releases: dict[str, str] = {}
    patterns: dict[str, str] = {}
    tolerances: dict[str, float] = {}
    fail_on: Level | None = None
    on_missing: Missing = "inconclusive"
    missing_reason: str = ""
    traits: bool = False
    stale_waivers: Literal["warn", "fail"] = "warn"
    warn_days: int = 14
    ratchet: str | None = None
    ratchet_slack: float = 0.1
    speed: Speed | None = None
    waiver: tuple[Waiver, ...] = ()


# What a preset says differently from the defaults of the fields above.
PRESET: dict[str, dict[str, Any]] = {
    "default": {},
    "strict": {
        "profile": "standard",
        "traits": True,
        "max_age": "7d",
        "on_missing": "fail",
        "stale_waivers": "fail",
    },
    "quick": {"checks": ["form", "mode", "mask", "rate", "scale", "site"]},
}


@dataclass(frozen=True)
class Sourced:
    """A policy, the name of its file, and where each value is from (``dropcheck.toml:3``, ``preset strict``, ``--profile``)."""

    policy: Policy
    name: str = ""
    origins: Mapping[tuple[str | int, ...], str] = field(default_factory=dict)

    def origin(self, *key: str | int) -> str:
        """Where a value is from: its own place, that of the list that it stands in, or the preset."""
        for depth in range(len(key), 0, -1):
            if key[:depth] in self.origins:
                return self.origins[key[:depth]]
            if depth > 1 and isinstance(key[depth - 1], str):
                break  # a key that a table leaves out is not from where the table is
        return f"preset {self.policy.preset}"

    def rule(self, *key: str | int) -> str:
        """The policy line that makes something count: where it stands and what it says."""
        value: Any = self.policy
        for word in key:
            if value is None:
                break
            if isinstance(value, tuple) and isinstance(word, int):
                value = value[word]
            elif isinstance(value, dict):
                value = value.get(word)
            else:
                value = getattr(value, str(word), None)
        if isinstance(value, msgspec.Struct):
            value = None
        said = ".".join(str(w) for w in key if not isinstance(w, int))
        if key == ("checks",) and not value:
            text = "checks: all"
        elif value is None:
            text = said
        else:
            text = f"{said} = {_shown(value)}"
        return f"{self.origin(*key)}: {text}"

    @property
    def checks(self) -> tuple[str, ...]:
        """The checks that are required."""
        left_out = set(selected(self.policy.ignore)) if self.policy.ignore else set()
        return tuple(name for name in selected(self.policy.checks) if name not in left_out)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_shown(v) for v in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def age(text: str) -> datetime.timedelta:
    """``30d``, ``12h`` or ``2w`` as a duration. Raises ValueError."""
    number, unit = text[:-1], text[-1:]
    hours = {"h": 1, "d": 24, "w": 24 * 7}.get(unit)
    if hours is None or not number.isascii() or not number.isdigit() or not 0 < int(number) <= 10_000:
        raise ValueError(f"an age is a number of hours, days or weeks such as 12h, 30d or 2w, not {text!r}")
    return datetime.timedelta(hours=hours * int(number))
