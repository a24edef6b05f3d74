"""What the values of a policy must be beyond their types; what is wrong is refused with its place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fnmatch import translate

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from dropcheck.contract.errors import UsageError, nearest
from dropcheck.gate.claims import SPEED
from dropcheck.gate.policy import NOT_JUDGED, OF_LEVELS, Policy, PolicyError, Sourced, Speed, Waiver, When, age
from dropcheck.gate.waivers import id_of
from dropcheck.judge.claims import CLAIMS, matching

Where = Callable[[tuple[str | int, ...]], str]  # from a key to its file and line


def _refuse(where: Where, key: tuple[str | int, ...], text: str) -> PolicyError:
    return PolicyError(f"{where(key)}: {text}")


def checked(where: Where, policy: Policy) -> Policy:
    """What types alone cannot tell. Raises PolicyError."""
    for name in ("checks", "ignore"):
        for place, prefix in enumerate(getattr(policy, name)):
            try:
                matching(prefix)
            except UsageError as error:
                raise _refuse(where, (name, place), str(error)) from error
    if not Sourced(policy).checks:
        raise _refuse(where, ("ignore",), "no check is left: everything that is required is ignored")
    for place, target in enumerate(policy.targets):
        if not target.strip() or any(c in target for c in "*?\n"):
            raise _refuse(
                where, ("targets", place), f"a target is one name, as `dropcheck list` shows them, not {target!r}"
            )
    if len(set(policy.targets)) < len(policy.targets):
        raise _refuse(where, ("targets",), "a target is named twice")
    if not policy.devices:
        raise _refuse(where, ("devices",), "no device is left; expected some of cpu, cuda")
    _number(where, policy.alpha, ("alpha",), 0, 0.5, "a probability such as 1e-6")
    if not 0 <= policy.warn_days <= 3650:
        raise _refuse(where, ("warn_days",), f"a number of days from 0 to 3650, not {policy.warn_days}")
    _number(where, policy.ratchet_slack, ("ratchet_slack",), 0, 1, "a share such as 0.1", closed=True)
    if policy.max_age is not None:
        try:
            age(policy.max_age)
        except ValueError as error:
            raise _refuse(where, ("max_age",), str(error)) from error
    for name, wanted in policy.releases.items():
        try:
            SpecifierSet(specifier(wanted))
        except InvalidSpecifier as error:
            raise _refuse(
                where, ("releases", name), f"a release such as '2.13.0' or '>=2.4,<3', not {wanted!r}"
            ) from error
    for target, text in policy.patterns.items():
        from dropcheck.contract.promise import ContractError, Pattern

        try:
            Pattern.parse(text)
        except ContractError as error:
            raise _refuse(where, ("patterns", target), str(error).partition("\n")[0]) from error
    for name, value in policy.tolerances.items():
        if name not in CLAIMS:
            raise _refuse(where, ("tolerances", name), f"there is no check {name!r}{nearest(name, list(CLAIMS))}")
        _number(where, value, ("tolerances", name), 0, math.inf, "a deviation above 0, in the unit of the result")
    if policy.on_missing == "skip" and not policy.missing_reason.strip():
        raise _refuse(where, ("on_missing",), 'evidence is skipped only for a reason: add missing_reason = "..."')
    if policy.speed is not None:
        _speed(where, policy.speed)
    return _waivers(where, policy)


def _number(
    where: Where, value: float, key: tuple[str | int, ...], low: float, high: float, what: str, closed: bool = False
) -> None:
    inside = low <= value < high if closed else low < value < high
    if not inside:
        raise _refuse(where, key, f"{key[-1]} is {what}, not {value:g}")


def _speed(where: Where, speed: Speed) -> None:
    for name in ("max_ratio", "max_compile_ratio", "max_memory_ratio"):
        value = getattr(speed, name)
        if value is not None:
            _number(where, value, ("speed", name), 0, math.inf, "a ratio above 0 such as 1.1")
            if speed.reference is None:
                raise _refuse(
                    where, ("speed", name), f'{name} is a ratio to a reference; add reference = "TARGET" to [speed]'
                )
    for name in ("min_fraction_of_limit", "max_resolution"):
        value = getattr(speed, name)
        if value is not None:
            _number(where, value, ("speed", name), 0, 1, "a share between 0 and 1 such as 0.3")
    _number(where, speed.level, ("speed", "level"), 0, 0.5, "a probability such as 0.01")
    for place, text in enumerate(speed.cells):
        from dropcheck.contract.cells import parse_cell

        try:
            parse_cell(text)
        except UsageError as error:
            raise _refuse(where, ("speed", "cells", place), str(error)) from error
    if not any(
        getattr(speed, name) is not None
        for name in ("max_ratio", "min_fraction_of_limit", "max_compile_ratio", "max_memory_ratio")
    ):
        raise _refuse(
            where,
            ("speed",),
            "[speed] asks for nothing; expected max_ratio, min_fraction_of_limit, max_compile_ratio or max_memory_ratio",
        )


def _waivers(where: Where, policy: Policy) -> Policy:
    known = [*CLAIMS, *SPEED, *OF_LEVELS]
    made: list[Waiver] = []
    seen: dict[str, int] = {}
    for place, one in enumerate(policy.waiver):
        key = ("waiver", place)
        if one.check == "defect":
            raise _refuse(
                where, (*key, "check"), "a waiver names a check, 'edge' or 'trait'; a defect is waived by its check"
            )
        if one.check not in known:
            raise _refuse(where, (*key, "check"), f"there is no check {one.check!r}{nearest(one.check, known)}")
        for name in ("target", "reason"):
            if not getattr(one, name).strip():
                raise _refuse(where, (*key, name), f"a waiver needs a {name}")
        if one.ceiling is not None:
            _number(where, one.ceiling, (*key, "ceiling"), 0, math.inf, "the largest deviation that is accepted")
        if one.of == NOT_JUDGED and one.check in OF_LEVELS:
            text = f"a waiver of level {one.check!r} accepts skipped checks, too: leave out of"
            raise _refuse(where, (*key, "of"), text)
        for name in ("ceiling", "unmeasured") if one.of == NOT_JUDGED else ():
            if getattr(one, name):
                raise _refuse(where, (*key, name), f"a skipped check has no deviation: leave out {name}")
        _words_of_when(where, one.when, key)
        re.compile(translate(one.target))
        one = one if one.id else msgspec.structs.replace(one, id=id_of(one))
        if one.id in seen:
            raise _refuse(where, key, f"the waiver {one.id} is there twice, first at {where(('waiver', seen[one.id]))}")
        seen[one.id] = place
        made.append(one)
    return msgspec.structs.replace(policy, waiver=tuple(made))


def _words_of_when(where: Where, when: When, key: tuple[str | int, ...]) -> None:
    from dropcheck.contract.adapter import DTYPES
    from dropcheck.contract.modes import MODES
    from dropcheck.gate.policy import DEVICES

    for name, valid in (("dtype", DTYPES), ("mode", tuple(MODES)), ("device", DEVICES)):
        word = getattr(when, name)
        if word is not None and word not in valid:
            raise _refuse(
                where,
                (*key, "when", name),
                f"there is no {name} {word!r}; expected one of {', '.join(valid)}{nearest(word, valid)}",
            )


def specifier(text: str) -> str:
    """A release as a specifier: a bare ``2.13.0`` is that release and no other."""
    text = text.strip()
    return text if not text or text[0] in "=<>!~" else f"=={text}"
