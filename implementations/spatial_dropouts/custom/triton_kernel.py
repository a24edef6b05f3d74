"""The pass of selecting.c for GPUs, as a kernel of Triton: the same coins of the same key, the same quotients."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def select_elements(
    x_start,
    y_start,
    key_start,
    below,
    up_bits,
    down_bits,
    middle,
    inner,
    x_outer,
    x_middle,
    x_inner,
    y_outer,
    y_middle,
    y_inner,
    coin_outer,
    coin_middle,
    coin_inner,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    ALONG_MIDDLE: tl.constexpr,
    ALONG_INNER: tl.constexpr,
    SCALED: tl.constexpr,
):
    """One tile of ROWS by COLUMNS elements of the two inner loops. Numbers are 64 bits wide, and come as bits, not as float32.

    ALONG_MIDDLE, ALONG_INNER: whether the coins change along these loops; a coin that covers a loop is drawn once for the tile.
    SCALED: 1 / (1 - rate) is a power of two, and the product with ``up`` is the quotient.
    """
    across = tl.cdiv(inner, COLUMNS)
    down_the = tl.cdiv(middle, ROWS)
    tile = tl.program_id(0)
    outer = (tile // across // down_the).to(tl.int64)
    rows = (tile // across % down_the).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    columns = (tile % across).to(tl.int64) * COLUMNS + tl.arange(0, COLUMNS)[None, :]

    # the coins: as many as the tile has, not one an element
    coin = outer * coin_outer + tl.zeros([1, 1], tl.int64)
    if ALONG_MIDDLE:
        coin = coin + rows * coin_middle
    if ALONG_INNER:
        coin = coin + columns * coin_inner
    left, right = tl.load(key_start), tl.load(key_start + 1)
    block = coin // 2
    none = block * 0
    a, b, c, d = tl.philox(
        left,
        block.to(tl.uint32),
        (block >> 32).to(tl.uint32),
        (right + none).to(tl.uint32),
        ((right >> 32) + none).to(tl.uint32),
        10,
    )
    second = coin % 2 == 1
    high = tl.where(second, c, a).to(tl.uint64)
    low = tl.where(second, d, b).to(tl.uint64)
    kept = (((high << 32) | low) >> 11).to(tl.int64) >= below

    inside = (rows < middle) & (columns < inner)
    # a load that skips single elements of a row reads as much, and no longer by 128 bits
    read = inside if ALONG_INNER else inside & kept
    kind: tl.constexpr = x_start.dtype.element_ty
    up = up_bits.to(tl.int64).to(tl.float64, bitcast=True)
    down = down_bits.to(tl.int64).to(tl.float64, bitcast=True)
    x_at = x_start + outer * x_outer + rows * x_middle + columns * x_inner
    y_at = y_start + outer * y_outer + rows * y_middle + columns * y_inner
    if kind == tl.int16:
        # bfloat16 is the upper half of a float32: to nearest, ties to even; NaN stays one
        wide = (tl.load(x_at, mask=read, other=0).to(tl.int32) << 16).to(tl.float32, bitcast=True)
        wide = wide * up.to(tl.float32) if SCALED else tl.div_rn(wide, down.to(tl.float32))
        bits = wide.to(tl.uint32, bitcast=True)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        rounded = tl.where(wide == wide, rounded, 0x7FC0)
        y = rounded.to(tl.uint16).to(tl.int16, bitcast=True)
    elif kind == tl.float16:
        wide = tl.load(x_at, mask=read, other=0).to(tl.float32)
        y = (wide * up.to(tl.float32) if SCALED else tl.div_rn(wide, down.to(tl.float32))).to(tl.float16)
    elif kind == tl.float32:
        x = tl.load(x_at, mask=read, other=0)
        y = x * up.to(tl.float32) if SCALED else (x.to(tl.float64) / down).to(tl.float32)
    else:
        x = tl.load(x_at, mask=read, other=0)
        y = x * up if SCALED else x * up / down
    tl.store(y_at, tl.where(kept, y, tl.zeros_like(y)), mask=inside)
