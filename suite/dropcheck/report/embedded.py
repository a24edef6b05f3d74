"""Raw results inside of a page: in columns, compressed, in a block of data that no browser runs or shows."""

from __future__ import annotations

import base64
import lzma
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup

from dropcheck.report import columns
from dropcheck.results import ResultError

MEDIA = "application/x-dropcheck+json"
_BLOCK = re.compile(rf'<script[^>]*type="{re.escape(MEDIA)}"[^>]*>([^<]*)</script>', re.IGNORECASE)
_LARGEST = 2**30  # bytes that a block may unpack to: a page that holds more was not made by this tool
_FAST = 4_000_000  # bytes from which the quickest compression is taken: it is three times as fast and 15 % larger
ROOM = 2_000_000  # bytes of a page that its raw results may take
# what compression makes of such documents at the very best; longer ones need not be tried
_AT_BEST = 16

LEFT_OUT = "left out of the page"
_WHOLE = ""
_COUNTS = "counts behind findings that pass; the result file has them"
_DIGITS = "counts behind findings that pass, and their digits after the sixth; the result file has them"


@dataclass(frozen=True)
class Embedded:
    """The blocks of a page, and what had to be left out of them (an empty text: nothing)."""

    blocks: Markup
    left_out: str


def embed(documents: Sequence[Any], room: int = ROOM) -> Embedded:
    """Results (records, or trees of JSON) as blocks that fit into ``room`` bytes.

    An audit that does not fit is told without the counts behind what passes, then with six digits of what passes: every
    verdict, and everything about what is not a pass, is always there. ``LEFT_OUT`` in its environment then says so.
    """
    trees = [msgspec.to_builtins(d) for d in documents]
    for left_out, made in ((_WHOLE, trees), (_COUNTS, None), (_DIGITS, None)):
        some = made if made is not None else [_lighter(t, left_out) for t in trees]
        texts = [_encoded(t, room) for t in some]
        fits = all(t is not None for t in texts) and sum(len(t or "") for t in texts) <= room
        if fits or left_out == _DIGITS:
            whole = [t if t is not None else _encoded(s, None) or "" for t, s in zip(texts, some, strict=True)]
            return Embedded(Markup("\n").join(_block(t) for t in whole), left_out)
    raise AssertionError("the last step is always taken")


def read(text: str, name: str) -> list[bytes]:
    """The JSON documents that a page holds, in order, any schema. Raises ResultError where there is none or one is damaged."""
    found = _BLOCK.findall(text)
    if not found:
        raise ResultError(f"{name} holds no result: expected a page that dropcheck report wrote")
    return [_decoded(block, f"result {i} of {len(found)} in {name}") for i, block in enumerate(found, 1)]


def _block(text: str) -> Markup:
    return Markup('<script type="{}" data-packed="columns xz base64">{}</script>').format(MEDIA, text)


def _encoded(tree: Any, room: int | None) -> str | None:
    """The text of one block; None where it is plain that it does not fit."""
    data = msgspec.json.encode(columns.packed(tree))
    if room is not None and len(data) / _AT_BEST * 4 / 3 > room:
        return None
    packed = lzma.compress(data, preset=1 if len(data) > _FAST else 6)
    return base64.b64encode(packed).decode("ascii")


def _decoded(text: str, name: str) -> bytes:
    try:
        packed = base64.b64decode(re.sub(r"\s+", "", text), validate=True)
    except ValueError as error:
        raise ResultError(f"{name} is damaged: it is not in base64 ({error})") from error
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
    try:
        data = unpacker.decompress(packed, max_length=_LARGEST)
    except lzma.LZMAError as error:
        raise ResultError(f"{name} is damaged: {error}") from error
    if not unpacker.eof:
        why = f"it unpacks to more than {_LARGEST:,} bytes" if len(data) >= _LARGEST else "its end is missing"
        raise ResultError(f"{name} is damaged: {why}")
    try:
        return msgspec.json.encode(columns.restored(msgspec.json.decode(data)))
    except (msgspec.DecodeError, ValueError) as error:
        raise ResultError(f"{name} is damaged: {error}") from error


def _lighter(tree: Any, left_out: str) -> Any:
    """An audit without what ``left_out`` names; other documents as they are."""
    if not isinstance(tree, dict) or tree.get("kind") != "audit":
        return tree
    targets = [{**t, "findings": list(_light(t["findings"], left_out == _DIGITS))} for t in tree["targets"]]
    return {**tree, "environment": {**tree["environment"], LEFT_OUT: left_out}, "targets": targets}


def _light(findings: Sequence[dict[str, Any]], rounded: bool) -> Iterator[dict[str, Any]]:
    for one in findings:
        if one["verdict"] not in ("pass", "skipped"):
            yield one
            continue
        short = {**one, "tallies": {}, "statistics": []}
        yield {k: _rounded(v) for k, v in short.items()} if rounded else short


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return [_rounded(v) for v in value] if isinstance(value, (list, tuple)) else value
