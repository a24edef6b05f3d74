"""Waivers written into a policy file, which keeps its comments and its order; nothing is written that could not be read again."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropcheck.gate import decoding
from dropcheck.gate.accepting import ceiling
from dropcheck.gate.decoding import PROJECT
from dropcheck.gate.evidence import device_of
from dropcheck.gate.policy import FAILURE, NOT_JUDGED, Of, PolicyError, Sourced, Waiver, When
from dropcheck.gate.waivers import escaped, id_of, measured, unjudged
from dropcheck.results.audit import Result, write_atomically

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

NEW = "version = 1\n"
_BOUNDS = ("ceiling", "unmeasured")


def with_waivers(text: str, name: str, added: Sequence[Waiver], project: bool) -> tuple[str, list[Waiver]]:
    """The text of a policy with these waivers, and those that are new; one that is there already stays as it is.

    A waiver of the same check, target and condition is renewed: its date, reason, link and ceiling change in place.
    Raises PolicyError where the text is no policy, or would be none afterwards.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    before = decoding.decode(text, name, project=project)
    added = [_named(one) for one in added]
    known = {id_of(one): place for place, one in enumerate(before.policy.waiver)}
    try:
        document = tomlkit.parse(text)
        new: list[Waiver] = []
        for one in added:
            place = known.get(id_of(one))
            if place is None:
                _append(document, one, project)
                new.append(one)
            elif not _same(before.policy.waiver[place], one):
                _renew(_table(document, project)["waiver"][place], one)
                new.append(one)
        made = tomlkit.dumps(document)
    except (TOMLKitError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise PolicyError(f"{name}: the waiver cannot be written into this file: {error}") from error
    after = decoding.decode(made, name, project=project)
    if len(after.policy.waiver) < len(before.policy.waiver) or not {id_of(o) for o in added} <= {
        id_of(o) for o in after.policy.waiver
    }:
        raise PolicyError(f"{name}: the waiver cannot be written into this file; write it by hand")
    return made, new


def write(path: Path, added: Sequence[Waiver]) -> list[Waiver]:
    """Add waivers to a policy file, which is made if it is missing, atomically; those that are new or renewed."""
    text = decoding.read(path) if path.exists() else NEW
    made, new = with_waivers(text, str(path), added, path.name == PROJECT)
    if new:
        write_atomically(path, made.encode())
    return new


def _same(one: Waiver, other: Waiver) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in ("reason", "link", "expires", *_BOUNDS))


def _table(document: TOMLDocument, project: bool) -> Any:
    here: Any = document
    for word in decoding.TABLE if project else ():
        here = here[word]
    return here


def _append(document: TOMLDocument, one: Waiver, project: bool) -> None:
    import tomlkit

    table = tomlkit.table()
    for key, value in _fields(one).items():
        table.add(key, value)
    if one.when != When():
        condition = tomlkit.inline_table()
        condition.update({k: v for k in ("dtype", "mode", "device") if (v := getattr(one.when, k)) is not None})
        table.add("when", condition)
    table.add(tomlkit.nl())
    here = _table(document, project)
    if "waiver" in here:
        here["waiver"].append(table)
    else:
        array = tomlkit.aot()
        array.append(table)
        here.append("waiver", array)


def _renew(table: Any, one: Waiver) -> None:
    fields = _fields(one)
    for key, value in fields.items():
        table[key] = value
    for key in ("link", *_BOUNDS):
        if key in table and key not in fields:
            del table[key]


def _fields(one: Waiver) -> Mapping[str, Any]:
    fields: dict[str, Any] = {
        "id": one.id,
        "check": one.check,
        "target": one.target,
        "reason": one.reason,
        "expires": one.expires,
    }
    if one.of != FAILURE:
        fields["of"] = one.of
    if one.link:
        fields["link"] = one.link
    if one.ceiling is not None:
        fields["ceiling"] = one.ceiling
    if one.unmeasured:
        fields["unmeasured"] = True
    return fields


def present_state(result: Result, expires: datetime.date, reason: str, link: str = "") -> list[Waiver]:
    """One waiver for every check, target, dtype and device that fails in a result, so that only what is new fails from now on.

    It accepts the failure that was seen: the ceiling is the largest deviation of today, and what has no number is accepted
    without one. What was not judged beside a failure is accepted as that, until it is judged.
    """
    import msgspec

    from dropcheck.results.naming import ANY, dtype_of

    made: dict[str, Waiver] = {}
    seen: dict[str, list[float | None]] = {}
    for target in result.targets:
        for one in target.findings:
            of: Of = NOT_JUDGED if unjudged(one) else FAILURE
            if of == FAILURE and one.verdict != "fail":
                continue
            dtype = dtype_of(one)
            when = When(dtype=None if dtype == ANY else dtype, device=device_of(result, target))
            waiver = Waiver(
                check=one.check,
                target=escaped(target.target),
                reason=reason,
                expires=expires,
                of=of,
                link=link,
                when=when,
            )
            made.setdefault(id_of(waiver), waiver)
            if of == FAILURE:
                seen.setdefault(id_of(waiver), []).append(measured(one))
    for name, deviations in seen.items():
        most, unmeasured = ceiling(made[name].check, deviations)
        made[name] = msgspec.structs.replace(made[name], ceiling=most, unmeasured=unmeasured)
    return list(made.values())


def _named(one: Waiver) -> Waiver:
    import msgspec

    return msgspec.structs.replace(one, id=id_of(one))


def unadopted(result: Result) -> list[str]:
    """What a waiver cannot adopt: targets without a verdict and claims that could not be judged."""
    found = []
    for target in result.targets:
        if target.skipped is not None or target.error is not None:
            found.append(f"{target.target}: {target.skipped or target.error}")
            continue
        open_ = sorted({one.check for one in target.findings if one.verdict in ("inconclusive", "error")})
        found += [f"{target.target}: {check} could not be judged" for check in open_]
    return found


def dumped(sourced: Sourced) -> str:
    """The effective policy as TOML that can be read again, with where each value is from."""
    import msgspec
    import tomlkit

    rows: list[tuple[str, str]] = []

    def put(key: str, value: Any, *path: str | int) -> None:
        if value is None:
            rows.append((f"# {key} is not set", ""))
        else:
            rows.append((f"{key} = {tomlkit.item(value).as_string()}", f"# {sourced.origin(*path)}"))

    plain = msgspec.to_builtins(sourced.policy, builtin_types=(datetime.date,))
    tables = ("releases", "patterns", "tolerances", "speed")
    for key, value in plain.items():
        if key not in (*tables, "waiver"):
            put(key, value, key)
    for name in tables:
        some = plain[name]
        if not some:
            continue
        rows += [("", ""), (f"[{name}]", "")]
        for key, value in some.items():
            put(tomlkit.item({key: 0}).as_string().partition(" =")[0] if name != "speed" else key, value, name, key)
    for place, one in enumerate(plain["waiver"]):
        rows += [("", ""), ("[[waiver]]", f"# {sourced.origin('waiver', place)}")]
        for key, value in one.items():
            if key == "when":
                value = {k: v for k, v in value.items() if v is not None}
                if value:
                    inline = ", ".join(f"{k} = {tomlkit.item(v).as_string()}" for k, v in value.items())
                    rows.append((f"when = {{ {inline} }}", ""))
            elif value not in (None, ""):
                put(key, value, "waiver", place, key)
    wide = min(60, max(len(text) for text, _ in rows))
    return "\n".join(f"{text:<{wide}}  {origin}".rstrip() if origin else text for text, origin in rows) + "\n"
