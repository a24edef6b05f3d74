"""Raw results inside of a page: in columns, compressed, in a block of data that no browser runs or shows."""

from __future__ import annotations

import base64
import lzma
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup

from dropcheck.results import columns
from dropcheck.results.audit import ResultError

MEDIA = "application/x-dropcheck+json"
_BLOCK = re.compile(rf'<script[^>]*type="{re.escape(MEDIA)}"[^>]*>([^<]*)</script>', re.IGNORECASE)
_LARGEST = 2**30  # bytes that a block may unpack to: a page that holds more was not made by this tool
_FAST = 4_000_000  # bytes from which the quickest compression is taken: it is three times as fast and 15 % larger
ROOM = 2_000_000  # bytes of a page that its raw results may take
# what columns and compression make of JSON at the very best; longer documents need not be tried
_AT_BEST = 24

LEFT_OUT = "left out of the page"
_COUNTS = (
    "the counts behind results that pass, and what follows the sixth digit of their numbers; the result that it was made "
    "from has them"
)
_NUMBERS = ("estimate", "expected", "resolution", "log10_evidence", "fail_interval", "pass_interval")


@dataclass(frozen=True)
class Embedded:
    """The blocks of a page, and what had to be left out of them (an empty text: nothing)."""

    blocks: Markup
    left_out: str


def embed(documents: Sequence[Any], room: int = ROOM) -> Embedded:
    """Results (records, or trees of JSON) as blocks that take ``room`` bytes.

    Audits that do not fit are told without the counts behind what passes, and with six digits of what passes: every verdict,
    and everything about what is not a pass, is always there. ``LEFT_OUT`` in their environment then says so.
    """
    if sum(len(msgspec.json.encode(d)) for d in documents) / _AT_BEST * 4 / 3 <= room:
        whole = [_block(msgspec.to_builtins(d)) for d in documents]
        if sum(map(len, whole)) <= room:
            return Embedded(Markup("\n").join(whole), "")
    light = [_block(_lighter(msgspec.to_builtins(d))) for d in documents]
    return Embedded(Markup("\n").join(light), _COUNTS)


def read(text: str, name: str) -> list[bytes]:
    """The JSON documents that a page holds, in order, any schema. Raises ResultError where there is none or one is damaged."""
    found = _BLOCK.findall(text)
    if not found:
        raise ResultError(f"{name} holds no result: expected a page that dropcheck report wrote")
    return [_decoded(block, f"result {i} of {len(found)} in {name}") for i, block in enumerate(found, 1)]


def _block(tree: Any) -> Markup:
    data = msgspec.json.encode(columns.packed(tree))
    packed = lzma.compress(data, preset=1 if len(data) > _FAST else 6)
    text = base64.b64encode(packed).decode("ascii")
    return Markup('<script type="{}" data-packed="columns xz base64">{}</script>').format(MEDIA, text)


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
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ResultError(f"{name} is damaged: {error}") from error


def _lighter(tree: Any) -> Any:
    """An audit without what ``_COUNTS`` names; other documents as they are."""
    if not isinstance(tree, dict) or tree.get("kind") != "audit":
        return tree
    for target in tree["targets"]:
        for one in target["findings"]:
            if one["verdict"] in ("pass", "skipped"):
                one["tallies"], one["statistics"] = {}, []
                one.update({key: _rounded(one[key]) for key in _NUMBERS})
    tree["environment"][LEFT_OUT] = _COUNTS
    return tree


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return [_rounded(v) for v in value] if isinstance(value, (list, tuple)) else value
