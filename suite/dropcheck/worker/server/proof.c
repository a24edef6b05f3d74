/* The proof of proof.py for outputs whose right bits are known already: every element is compared, in one pass.

   A block of outputs lies in memory as (calls, before, shared, behind): "before" and "behind" are coins, the elements of one
   coin are "shared" apart by "behind". An element is right where its bits are those of a kept value, or, under a mask, those of
   what is dropped; a coin where all its elements are alike. Anything else makes the answer 1, and proof.py looks closer.
   Coins are written as bytes of 0 and 1 (dropped), or as bits, every "row" of so many coins padded to whole bytes.  */

#ifndef T

#include "portable.h"

#define STEP 1024   /* elements at a time, so that input, table and marks stay in the nearest cache */
#define LONG_RUN 16 /* elements of a coin from which a branch for every coin is cheaper than a mark for every element */

/* A place in the table that comes round; divisions are slow and seldom needed. */
INLINE int64_t wrapped(int64_t at, int64_t period) { return at < period ? at : at % period; }

/* Eight bytes of 0 or 1 as eight bits, the first the lowest. */
INLINE uint8_t eight(const uint8_t *coins)
{
    uint64_t x;
    memcpy(&x, coins, 8);
    return (uint8_t)((x * UINT64_C(0x0102040810204080)) >> 56);
}

/* Rows of coins as bits, each row from the byte of coin c0 (a multiple of 8) on. */
INLINE void pack(const uint8_t *coins, int64_t rows, int64_t count, uint8_t *out, int64_t width)
{
    if (count == 1 && width == 1) {
        memcpy(out, coins, (size_t)rows);
        return;
    }
    for (int64_t r = 0; r < rows; r++, coins += count, out += width) {
        int64_t c = 0;
        for (; c + 8 <= count; c += 8) out[c >> 3] = eight(coins + c);
        if (c < count) {
            unsigned byte = 0;
            for (int64_t i = 0; c + i < count; i++) byte |= (unsigned)coins[c + i] << i;
            out[c >> 3] = (uint8_t)byte;
        }
    }
}

/* One byte a coin from one mark an element; nonzero where the marks of a coin differ. inside: 1 but for the last of a coin. */
INLINE unsigned alike(const uint8_t *marks, int64_t coins, int64_t shared, const uint8_t *inside, uint8_t *out)
{
    unsigned differ = 0;
    switch (shared) {
    case 1:
        memcpy(out, marks, (size_t)coins);
        return 0;
    case 2:
        for (int64_t i = 0; i < coins; i++) {
            uint16_t w;
            memcpy(&w, marks + 2 * i, 2);
            out[i] = (uint8_t)(w & 1);
            differ |= w ^ (w & 1u) * 0x0101u;
        }
        return differ;
    case 4:
        for (int64_t i = 0; i < coins; i++) {
            uint32_t w;
            memcpy(&w, marks + 4 * i, 4);
            out[i] = (uint8_t)(w & 1);
            differ |= w ^ (w & 1u) * UINT32_C(0x01010101);
        }
        return differ;
    default:
        /* neighbours in one long run, not in many short ones: a vector at a time */
        for (int64_t i = 0; i + 1 < coins * shared; i++) differ |= (marks[i] ^ marks[i + 1]) & inside[i];
        for (int64_t i = 0; i < coins; i++) out[i] = marks[i * shared];
        return differ;
    }
}

#define PASTE(name, type) name##_##type
#define NAMED(name, type) PASTE(name, type)
#define OF(name) NAMED(name, T)

#define T uint16_t
#include "proof.c"
#undef T
#define T uint32_t
#include "proof.c"
#undef T
#define T uint64_t
#include "proof.c"

#else /* what follows is compiled for every type T that carries the bits of one element */

/* Marks of some elements, 1 where dropped; nonzero where one is neither dropped nor kept. */
INLINE unsigned OF(marks)(const T *x, const T *kept, T mask, T gone, int64_t n, uint8_t *marks)
{
    T odd = 0;
    for (int64_t i = 0; i < n; i++) {
        T dropped = (T)((x[i] & mask) == gone), right = (T)(x[i] == kept[i]);
        marks[i] = (uint8_t)dropped;
        odd |= (T)((dropped | right) ^ 1);
    }
    return odd != 0;
}
/* The same against coins that are known from a plane before. */
INLINE unsigned OF(plane)(const T *x, const T *kept, T mask, T gone, int64_t n, const uint8_t *coins)
{
    T odd = 0;
    for (int64_t i = 0; i < n; i++) {
        T dropped = (T)((x[i] & mask) == gone), right = (T)(x[i] == kept[i]), coin = (T)coins[i];
        odd |= (T)((dropped | right) ^ 1) | (dropped ^ coin);
    }
    return odd != 0;
}
/* A long run of one coin, by pieces that the table has. */
INLINE unsigned OF(run)(const T *x, const T *kept, int64_t at, int64_t period, T mask, T gone, int64_t n, uint8_t *coin)
{
    T odd = 0;
    *coin = (uint8_t)((x[0] & mask) == gone);
    if (*coin) {
        for (int64_t i = 0; i < n; i++) odd |= (T)((x[i] & mask) ^ gone);
        return odd != 0;
    }
    while (n > 0) {
        int64_t some = n < STEP ? n : STEP;
        const T *right = kept + at;
        for (int64_t i = 0; i < some; i++) odd |= (T)(x[i] ^ right[i]);
        x += some, n -= some, at = wrapped(at + some, period);
    }
    return odd != 0;
}
/* kept: the bits of kept values by place in a call, "period" of them and STEP more. */
API CLONES int OF(prove)(const T *x, const T *kept, int64_t period, T mask, T gone, int64_t calls, int64_t before,
                         int64_t shared, int64_t behind, int64_t row, int bits, uint8_t *out)
{
    uint8_t marks[STEP], coins[STEP], inside[STEP];
    int64_t size = before * shared * behind, width = bits ? (row + 7) / 8 : row;
    for (int64_t i = 0; shared < LONG_RUN && i < STEP; i++) inside[i] = (i + 1) % shared != 0;
    for (int64_t call = 0; call < calls; call++, x += size) {
        if (behind == 1) {
            /* runs: whole rows of coins at a time, or parts of a row */
            int64_t most = shared < LONG_RUN ? STEP / shared : STEP, rows = before / row, at = 0;
            int64_t some_rows = row <= most ? most / row : 1, part = row <= most ? row : most / 8 * 8;
            const T *y = x;
            for (int64_t r = 0; r < rows; r += some_rows) {
                int64_t these = rows - r < some_rows ? rows - r : some_rows;
                for (int64_t c = 0; c < row; c += part) {
                    int64_t wide = row - c < part ? row - c : part, count = these * wide;
                    if (shared < LONG_RUN) {
                        if (OF(marks)(y, kept + at, mask, gone, count * shared, marks)) return 1;
                        if (alike(marks, count, shared, inside, coins)) return 1;
                        at = wrapped(at + count * shared, period);
                        y += count * shared;
                    } else
                        for (int64_t i = 0; i < count; i++, y += shared) {
                            if (OF(run)(y, kept, at, period, mask, gone, shared, coins + i)) return 1;
                            at = wrapped(at + shared, period);
                        }
                    if (bits)
                        pack(coins, these, wide, out + r * width + c / 8, width);
                    else
                        memcpy(out + r * width + c, coins, (size_t)count);
                }
            }
            out += rows * width;
            continue;
        }
        /* planes: every row of "behind" coins against its first plane */
        int64_t at = 0;
        const T *y = x;
        if (shared * behind <= STEP) { /* short ones: marks of whole rows, each against the one a plane before */
            int64_t one = shared * behind, most = STEP / one;
            for (int64_t r = 0; r < before; r += most) {
                int64_t these = before - r < most ? before - r : most;
                unsigned differ = 0;
                if (OF(marks)(y, kept + at, mask, gone, these * one, marks)) return 1;
                for (int64_t k = 0; k < these; k++) {
                    const uint8_t *m = marks + k * one;
                    for (int64_t i = behind; i < one; i++) differ |= m[i] ^ m[i - behind];
                    memcpy(coins + k * behind, m, (size_t)behind);
                }
                if (differ) return 1;
                if (bits)
                    pack(coins, these, behind, out, width);
                else
                    memcpy(out, coins, (size_t)(these * behind));
                out += these * (bits ? width : behind);
                y += these * one, at = wrapped(at + these * one, period);
            }
            continue;
        }
        for (int64_t r = 0; r < before; r++) {
            for (int64_t c = 0; c < behind; c += STEP) {
                int64_t wide = behind - c < STEP ? behind - c : STEP;
                int64_t start = (r * shared * behind + c) % period;
                const T *z = x + r * shared * behind + c;
                if (OF(marks)(z, kept + start, mask, gone, wide, coins)) return 1;
                for (int64_t k = 1; k < shared; k++)
                    if (OF(plane)(z + k * behind, kept + (start + k * behind) % period, mask, gone, wide, coins))
                        return 1;
                if (bits)
                    pack(coins, 1, wide, out + c / 8, width);
                else
                    memcpy(out + c, coins, (size_t)wide);
            }
            out += bits ? width : behind;
        }
    }
    return 0;
}

#endif
