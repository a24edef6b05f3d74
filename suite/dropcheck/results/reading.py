"""Any stored result, whatever it is called: plain, compressed, inside of a page or in a folder; and several as one."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.results import asked
from dropcheck.results import audit as results
from dropcheck.results import bench as bench_records
from dropcheck.results.audit import SCHEMA, Result, ResultError, TargetResult, decode, decode_as, overall
from dropcheck.results.bench import BenchResult
from dropcheck.results.selftest import SelfTest

Stored = Result | BenchResult | SelfTest

FOLDER = ("result.json", "bench.json", "selftest.json")  # what a folder is asked for, in this order
MOST_BYTES = 1 << 30  # a result that unpacks to more is none: the field report, the largest so far, has 60 MB
_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"


def kind(stored: Stored) -> str:
    """``audit``, ``bench`` or ``selftest``."""
    return stored.kind


def load(path: Path) -> Stored:
    """The result in a file, a page or a folder; of a page that holds several, the audit.

    Raises ResultError with the file, the place of the damage and what was expected.
    """
    found = load_all(path)
    return next((one for one in found if isinstance(one, Result)), found[0])


def load_audit(path: Path) -> Result:
    """The audit in a file, a page or a folder. Raises ResultError as ``load`` does, and where there is none."""
    found = load(path)
    if not isinstance(found, Result):
        raise ResultError(
            f"{path} is of kind {found.kind}; expected a stored audit, as `dropcheck audit --json` writes"
        )
    return found


def load_all(path: Path) -> list[Stored]:
    """Every result in a file, a page or a folder; at least one. Raises ResultError as ``load`` does."""
    path = Path(path)
    if path.is_dir():
        chosen = next((path / name for name in FOLDER if (path / name).is_file()), None)
        if chosen is None:
            raise ResultError(f"the folder {path} holds no result; expected one of {', '.join(FOLDER)} in it")
        path = chosen
    return parsed(results.read(path), str(path))


def parsed(data: bytes, name: str) -> list[Stored]:
    """The results in these bytes, told by their content. Raises ResultError."""
    data = unpacked(data, name)
    if data.lstrip()[:1] == b"<":
        from dropcheck.results import embedded

        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise ResultError(f"{name} is no page of dropcheck: byte {error.start} is not UTF-8") from error
        return [_document(one, f"the result in {name}") for one in embedded.read(text, name)]
    return [_document(data, name)]


def unpacked(data: bytes, name: str) -> bytes:
    """The bytes as they are, or what is compressed in them by gzip or xz. Raises ResultError where that is damaged."""
    make: Callable[[], Any]
    if data[:2] == _GZIP:
        how, make = "gzip", partial(zlib.decompressobj, wbits=31)
    elif data[:6] == _XZ:
        how, make = "xz", lzma.LZMADecompressor
    else:
        return data
    parts, size = [], 0
    try:
        while data:
            stream = make()
            part = stream.decompress(data, MOST_BYTES - size + 1)
            size += len(part)
            if size > MOST_BYTES:
                raise ResultError(f"{name} unpacks to more than {MOST_BYTES >> 20} MiB; expected a result of dropcheck")
            if not stream.eof:
                raise ResultError(
                    f"{name} is damaged: its {how} data end after {size} unpacked bytes, before they are complete"
                )
            parts.append(part)
            data = stream.unused_data.lstrip(b"\x00")
    except (zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise ResultError(
            f"{name} is damaged: its {how} data cannot be unpacked after {size} bytes: {error}"
        ) from error
    return b"".join(parts)


def _document(data: bytes, name: str) -> Stored:
    """One JSON document, read by the reader of its kind."""
    schema, found = _kind(data)
    if schema == SCHEMA and found == "audit":
        try:
            return msgspec.json.decode(data, type=Result)  # at once, for large results
        except (msgspec.MsgspecError, RecursionError):
            pass  # the strict reader names the place
    if schema == bench_records.SCHEMA:
        return bench_records.decode(data, name)
    if schema == SCHEMA and found == "selftest":
        return decode_as(SelfTest, data, name, SCHEMA, "it is no self-test")
    if schema is None or schema == SCHEMA:
        return _writable(decode(data, name), name)
    raise ResultError(
        f"{name} has schema {schema!r}, expected {SCHEMA!r} or {bench_records.SCHEMA!r}: "
        "it is not a result that this release reads"
    )


def _writable(found: Result, name: str) -> Result:
    """A result whose texts can be written again: JSON may spell half a character, which no text can hold."""
    try:
        msgspec.json.encode(found)
    except UnicodeEncodeError as error:
        where = error.object[max(0, error.start - 20) : error.start]
        raise ResultError(f"{name} is damaged: half a character (a lone surrogate) after {where!r}") from error
    return found


def _kind(data: bytes) -> tuple[str | None, str | None]:
    """(schema, kind) as far as the document says them; its reader then names what is wrong with the rest."""

    class Head(msgspec.Struct):
        schema: str | None = None
        kind: str | None = None

    try:
        head = msgspec.json.decode(data, type=Head)
    except (msgspec.MsgspecError, RecursionError):
        return None, None
    return head.schema, head.kind


# --- several results as one --------------------------------------------------------------------------------------------


def together(loaded: Sequence[Result], names: Sequence[str]) -> Result:
    """Audits as one, in their order. A target that several of them have is kept from each, told apart in its name.

    Command lines that differ stay apart as ``commands`` of the environment; ``argv`` holds the words of all.

    ``names``: how the results are called, for targets that differ in nothing else. Equal targets are kept once.
    """
    if len(loaded) == 1:
        return loaded[0]
    held: dict[str, list[tuple[int, TargetResult]]] = {}
    for place, one in enumerate(loaded):
        for target in one.targets:
            same = held.setdefault(target.target, [])
            if all(target != other for _, other in same):
                same.append((place, target))
    renamed: dict[tuple[int, str], TargetResult] = {}
    for name, members in held.items():
        for (place, target), words in zip(members, _apart(members, loaded, names), strict=True):
            shown = f"{name} [{words}]" if words else name
            renamed[place, name] = msgspec.structs.replace(target, target=shown)
    targets = [renamed[i, t.target] for i, one in enumerate(loaded) for t in one.targets if (i, t.target) in renamed]
    first = loaded[0]
    runs = [
        {"name": name, "profile": one.profile, "seed": one.seed, "environment": one.environment}
        for name, one in zip(names, loaded, strict=True)
    ]
    alike = all(r["environment"] == first.environment for r in runs)
    environment = first.environment if alike else {**first.environment, "results": runs}
    typed = [words for one in loaded for words in commands(one)]
    if any(words != typed[0] for words in typed):
        environment = {**environment, "commands": typed}
    return msgspec.structs.replace(
        first,
        verdict=overall([t.verdict for t in targets]),
        environment=environment,
        argv=[word for one in loaded for word in one.argv],
        profile=", ".join(dict.fromkeys(word for one in loaded for word in one.profile.split(", "))),
        alpha=max(one.alpha for one in loaded),
        beta=max(one.beta for one in loaded),
        targets=targets,
        interrupted=any(one.interrupted for one in loaded),
        asked=results.asked_of_all(list(loaded)),
        device=results.device_of_all(list(loaded)),
        request=results.request_of_all(list(loaded)),
    )


def commands(result: Result) -> list[list[str]]:
    """The command lines of a result, as words: its own, or those of the results that it was made of."""
    held = result.environment.get("commands")
    if isinstance(held, list) and all(isinstance(one, list) for one in held):
        return [[str(word) for word in one] for one in held]
    return [result.argv]


def _apart(members: Sequence[tuple[int, TargetResult]], loaded: Sequence[Result], names: Sequence[str]) -> list[str]:
    """What tells members of one name apart, in few words: the release, then the machine, the profile, the file."""
    if len(members) == 1:
        return [""]
    ways: tuple[Callable[[int, TargetResult], str], ...] = (
        lambda i, t: f"{t.framework} {t.version}".strip(),
        lambda i, t: machine(loaded[i]),
        lambda i, t: loaded[i].profile,
        lambda i, t: f"seed {loaded[i].seed}",
        lambda i, t: names[i],
    )
    told = [[way(i, t) for i, t in members] for way in ways]
    used: list[list[str]] = []
    for words in told:
        if len(set(words)) > 1:
            used.append(words)
        if used and len(set(zip(*used, strict=True))) == len(members):
            return [", ".join(w for w in parts if w) for parts in zip(*used, strict=True)]
    return [f"result {i + 1}" for i, _ in members]


def machine(result: Result) -> str:
    """The machine of a run, as far as the result says it."""
    seen = result.environment
    words = [str(seen[key]) for key in ("processor", "platform") if seen.get(key)]
    if seen.get("cores"):
        words.append(f"{seen['cores']} cores")
    typed = result.device if result.device not in (None, "cpu") else ""  # the processor is told where it was named
    if device := typed or asked.option(result.argv, "--device"):
        words.append(f"device {device}")
    return ", ".join(words)


def packages(environment: Mapping[str, Any]) -> dict[str, str]:
    """The releases of packages that a result tells, by name; none where it holds something else in their place."""
    told = environment.get("packages")
    return {str(name): str(release) for name, release in told.items()} if isinstance(told, dict) else {}
