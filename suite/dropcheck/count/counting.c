/* The inner loops of counting.py, coins.py and repeated_words.py on packed coins; what each computes is said there.  */

#include "portable.h"

#if defined(__GNUC__)
#define ones(x) ((int64_t)__builtin_popcountll(x))
#else
static int64_t ones(uint64_t x)
{
    x -= (x >> 1) & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + ((x >> 2) & UINT64_C(0x3333333333333333));
    return (int64_t)((((x + (x >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F)) * UINT64_C(0x0101010101010101)) >> 56);
}
#endif

/* Up to eight bytes as a word; of these, eight are read at once where they are there ("last" is behind the array's last byte). */
INLINE uint64_t word_of(const uint8_t *bytes, int64_t count, const uint8_t *last)
{
    uint64_t x = 0;
    if (last - bytes >= 8) {
        memcpy(&x, bytes, 8);
        return count < 8 ? x & ((UINT64_C(1) << 8 * count) - 1) : x;
    }
    for (int64_t i = 0; i < count; i++) x |= (uint64_t)bytes[i] << 8 * i;
    return x;
}

/* A word as a matrix of 8 x 8 bits, transposed (coins.turn_8). */
INLINE uint64_t turn_8(uint64_t x)
{
    uint64_t t = (x ^ (x >> 7)) & UINT64_C(0x00AA00AA00AA00AA);
    x ^= t ^ (t << 7);
    t = (x ^ (x >> 14)) & UINT64_C(0x0000CCCC0000CCCC);
    x ^= t ^ (t << 14);
    t = (x ^ (x >> 28)) & UINT64_C(0x00000000F0F0F0F0);
    return x ^ t ^ (t << 28);
}

/* Eight words as a matrix of 8 x 8 bytes, transposed in place. */
INLINE void turn_bytes(uint64_t x[8])
{
    static const uint64_t masks[3] = {UINT64_C(0x00000000FFFFFFFF), UINT64_C(0x0000FFFF0000FFFF),
                                      UINT64_C(0x00FF00FF00FF00FF)};
    for (int s = 0, step = 4; step; s++, step >>= 1)
        for (int i = 0; i < 8; i++)
            if (!(i & step)) {
                uint64_t t = ((x[i] >> (8 * step)) ^ x[i + step]) & masks[s];
                x[i + step] ^= t;
                x[i] ^= t << (8 * step);
            }
}

/* 64 words as a bit matrix, transposed in place (Warren, Hacker's Delight, 7-3). */
INLINE void turn_64(uint64_t x[64])
{
    uint64_t mask = UINT64_C(0x00000000FFFFFFFF);
    for (int step = 32; step; step >>= 1, mask ^= mask << step)
        for (int i = 0; i < 64; i += 2 * step)
            for (int k = i; k < i + step; k++) {
                uint64_t t = ((x[k] >> step) ^ x[k + step]) & mask;
                x[k + step] ^= t;
                x[k] ^= t << step;
            }
}

/* coins.by_channel: (rows, width bytes) to (channels, length words), length = rows / 64 rounded up. */
API CLONES void by_channel(const uint8_t *packed, int64_t rows, int64_t width, int64_t channels, uint64_t *out)
{
    int64_t length = (rows + 63) / 64;
    const uint8_t *last = packed + rows * width;
    for (int64_t w = 0; w < length; w++) {
        int64_t some = rows - 64 * w < 64 ? rows - 64 * w : 64;
        const uint8_t *from = packed + 64 * w * width;
        int64_t column = 0;
        while (column < width) {
            int64_t left = width - column, first = 8 * column;
            uint64_t x[64] = {0};
            if (left > 3) { /* 64 channels at a time, or what is left of them */
                int64_t bytes = left < 8 ? left : 8, most = channels - first < 64 ? channels - first : 64;
                for (int64_t r = 0; r < some; r++) x[r] = word_of(from + r * width + column, bytes, last);
                turn_64(x);
                for (int64_t c = 0; c < most; c++) out[(first + c) * length + w] = x[c];
                column += bytes;
            } else { /* eight channels at a time */
                int64_t most = channels - first < 8 ? channels - first : 8;
                uint8_t *bytes = (uint8_t *)x;
                if (width == 1)
                    memcpy(bytes, from, (size_t)some);
                else
                    for (int64_t r = 0; r < some; r++) bytes[r] = from[r * width + column];
                if (most <= 3) { /* bit by bit is faster than all eight together */
                    for (int64_t c = 0; c < most; c++) {
                        uint64_t turned = 0;
                        for (int i = 0; i < 8; i++)
                            turned |= (x[i] >> c & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56 << 8 * i;
                        out[(first + c) * length + w] = turned;
                    }
                    column++;
                    continue;
                }
                for (int i = 0; i < 8; i++) x[i] = turn_8(x[i]);
                turn_bytes(x);
                for (int64_t c = 0; c < most; c++) out[(first + c) * length + w] = x[c];
                column++;
            }
        }
    }
}

/* coins.count: set bits of each of some runs of n words. */
API CLONES void count(const uint64_t *words, int64_t runs, int64_t n, int64_t *out)
{
    for (int64_t r = 0; r < runs; r++, words += n) {
        int64_t sum = 0;
        for (int64_t k = 0; k < n; k++) sum += ones(words[k]);
        out[r] = sum;
    }
}

/* coins.column_sums: set bits of every bit column of (n, size bytes). Sums of up to 255 rows stand in bit planes, 64 columns
   a word; planes are eight times a part of the columns. */
#define PART 64
API CLONES void column_sums(const uint8_t *packed, int64_t n, int64_t size, int64_t *out)
{
    uint64_t planes[8][PART];
    int64_t words = (size + 7) / 8;
    const uint8_t *last = packed + n * size;
    memset(out, 0, (size_t)(8 * size) * sizeof *out);
    for (int64_t w0 = 0; w0 < words; w0 += PART) {
        int64_t some = words - w0 < PART ? words - w0 : PART;
        int64_t whole = size - 8 * w0 >= 8 * some ? some : some - 1, rest = size - 8 * (w0 + whole);
        for (int64_t r0 = 0; r0 < n; r0 += 255) {
            int64_t rows = n - r0 < 255 ? n - r0 : 255;
            memset(planes, 0, sizeof planes);
            for (int64_t r = r0; r < r0 + rows; r++) {
                uint64_t carry[PART];
                const uint8_t *from = packed + r * size + 8 * w0;
                memcpy(carry, from, (size_t)whole * 8);
                if (whole < some) carry[whole] = word_of(from + 8 * whole, rest, last);
                for (int p = 0; p < 8; p++) {
                    /* plane p can only change from the 2^p-th row on */
                    if ((r - r0 + 1) >> p == 0) break;
                    for (int64_t w = 0; w < some; w++) {
                        uint64_t next = planes[p][w] & carry[w];
                        planes[p][w] ^= carry[w];
                        carry[w] = next;
                    }
                }
            }
            for (int64_t w = 0; w < some; w++) {
                int64_t *to = out + 64 * (w0 + w), bits = 8 * size - 64 * (w0 + w) < 64 ? 8 * size - 64 * (w0 + w) : 64;
                for (int64_t b = 0; b < bits; b++) {
                    unsigned sum = 0;
                    for (int p = 0; p < 8; p++) sum |= (unsigned)((planes[p][w] >> b) & 1) << p;
                    to[b] += sum;
                }
            }
        }
    }
}

/* Rows by their number of set bits: adds to out (8 width + 1). Neighbouring rows count in tables of their own, since an
   addition to where the last one went must wait for it. */
API CLONES void histogram(const uint8_t *packed, int64_t rows, int64_t width, int64_t *out)
{
    const uint8_t *last = packed + rows * width;
    if (width == 1) {
        int64_t values[4][256];
        memset(values, 0, sizeof values);
        for (int64_t r = 0; r < rows; r++) values[r & 3][packed[r]]++;
        for (uint64_t i = 0; i < 256; i++) out[ones(i)] += values[0][i] + values[1][i] + values[2][i] + values[3][i];
        return;
    }
    if (width <= 8) {
        int64_t tables[4][65];
        memset(tables, 0, sizeof tables);
        for (int64_t r = 0; r < rows; r++, packed += width) tables[r & 3][ones(word_of(packed, width, last))]++;
        for (int64_t i = 0; i <= 8 * width; i++) out[i] += tables[0][i] + tables[1][i] + tables[2][i] + tables[3][i];
        return;
    }
    for (int64_t r = 0; r < rows; r++, packed += width) {
        int64_t sum = 0, b = 0;
        for (; b + 8 <= width; b += 8) sum += ones(word_of(packed + b, 8, last));
        if (b < width) sum += ones(word_of(packed + b, width - b, last));
        out[sum]++;
    }
}

/* Values of each of the first columns of bytes: adds to out (columns, 256). */
API void bytes(const uint8_t *packed, int64_t rows, int64_t width, int64_t columns, int64_t *out)
{
    for (int64_t r = 0; r < rows; r++, packed += width)
        for (int64_t i = 0; i < columns; i++) out[256 * i + packed[i]]++;
}

/* counting._strided_octets: patterns of the eight channels stride apart from each start on, of (channels, n) words, all 64 rows
   of each word; adds to out (starts, 256). */
API CLONES void octets(const uint64_t *words, int64_t stride, int64_t n, const int64_t *starts, int64_t count_, int64_t *out)
{
    for (int64_t g = 0; g < count_; g++, out += 256) {
        const uint64_t *from = words + starts[g] * n;
        for (int64_t k = 0; k < n; k++) {
            uint64_t x[8];
            for (int i = 0; i < 8; i++) x[i] = from[i * stride * n + k];
            turn_bytes(x);
            for (int i = 0; i < 8; i++) {
                uint64_t codes = turn_8(x[i]);
                for (int b = 0; b < 64; b += 8) out[(codes >> b) & 255]++;
            }
        }
    }
}

/* Joint drops of two rows of n words, n a multiple of EVEN. Eight vectors are added up bit by bit to ones, twos, fours and eights
   (carry-save adders; Harley and Seal, in Warren, Hacker's Delight, 5-1), of which the eights alone are counted each time. */
#define EVEN 32
#if defined(__GNUC__)
typedef uint64_t vector __attribute__((vector_size(32), aligned(8), may_alias));
#define ADD(carry, sum, a, b, c)                                                                                                   \
    do {                                                                                                                           \
        vector a_ = (a), b_ = (b), c_ = (c), u_ = a_ ^ b_;                                                                         \
        (carry) = (a_ & b_) | (u_ & c_);                                                                                           \
        (sum) = u_ ^ c_;                                                                                                           \
    } while (0)
#define ALL_ONES(v) (ones((v)[0]) + ones((v)[1]) + ones((v)[2]) + ones((v)[3]))

INLINE int64_t joint_ones(const uint64_t *a, const uint64_t *b, int64_t n)
{
    vector one = {0}, two = {0}, four = {0};
    int64_t eights = 0;
    for (int64_t k = 0; k < n; k += EVEN) {
        const vector *x = (const vector *)(a + k), *y = (const vector *)(b + k);
        vector p, q, r, s, eight;
        ADD(p, one, one, x[0] & y[0], x[1] & y[1]);
        ADD(q, one, one, x[2] & y[2], x[3] & y[3]);
        ADD(r, two, two, p, q);
        ADD(p, one, one, x[4] & y[4], x[5] & y[5]);
        ADD(q, one, one, x[6] & y[6], x[7] & y[7]);
        ADD(s, two, two, p, q);
        ADD(eight, four, four, r, s);
        eights += ALL_ONES(eight);
    }
    return 8 * eights + 4 * ALL_ONES(four) + 2 * ALL_ONES(two) + ALL_ONES(one);
}
#else
static int64_t joint_ones(const uint64_t *a, const uint64_t *b, int64_t n)
{
    int64_t sum = 0;
    for (int64_t k = 0; k < n; k++) sum += ones(a[k] & b[k]);
    return sum;
}
#endif

/* Joint drops of all pairs of channels c < d of a block: adds to sums (channels, channels), of which the upper triangle counts.
   Channels are taken TILE by TILE against each other, so that a tile of words stays in the nearest cache. */
#define TILE 16
INLINE void every_pair(const uint64_t *block, int64_t pitch, int64_t channels, int64_t n, uint32_t *sums)
{
    for (int64_t c0 = 0; c0 < channels; c0 += TILE)
        for (int64_t d0 = c0; d0 < channels; d0 += TILE) {
            int64_t c1 = c0 + TILE < channels ? c0 + TILE : channels, d1 = d0 + TILE < channels ? d0 + TILE : channels;
            for (int64_t c = c0; c < c1; c++)
                for (int64_t d = d0 > c ? d0 : c + 1; d < d1; d++)
                    sums[c * channels + d] += (uint32_t)joint_ones(block + c * pitch, block + d * pitch, n);
        }
}

/* Such sums in the order of lags: pairs 1 apart, 2 apart, ... TILE rows at a time, since a column's entries lie far apart. */
INLINE void by_lag(const uint32_t *sums, int64_t channels, int64_t *pairs)
{
    for (int64_t c0 = 0; c0 < channels; c0 += TILE)
        for (int64_t lag = 1; c0 + lag < channels; lag++) {
            int64_t *out = pairs + (lag - 1) * channels - lag * (lag - 1) / 2;
            for (int64_t c = c0; c < c0 + TILE && c + lag < channels; c++) out[c] += sums[c * channels + c + lag];
        }
}

/* counting._groups and counting._far: joint drops of groups of channels of (channels, n words), block by block of so many
   words (a multiple of EVEN), which are copied to scratch (channels, block + 8) so that their places in the cache do not
   collide. Where all pairs are asked for, their sums stand in "all" (channels, channels; zeros) before they are put in order.

   pairs: one after the other for each lag, (channels - lag) each; triples c, c + s, c + 2 s likewise, (channels - 2 s) each;
   fours of disjoint groups, (5, groups x stride) each: abc, abd, acd, bcd, abcd. All of them are added to. */
API CLONES void joint(const uint64_t *words, int64_t channels, int64_t n, int64_t block, uint64_t *scratch, uint32_t *all,
                      const int64_t *lags, int64_t lag_count, int64_t *pairs, const int64_t *threes, int64_t three_count, int64_t *triples,
                      const int64_t *fours, int64_t four_count, int64_t *quads)
{
    int64_t pitch = block + 8;
    for (int64_t start = 0; start < n; start += block) {
        int64_t some = n - start < block ? n - start : block, even = (some + EVEN - 1) / EVEN * EVEN;
        for (int64_t c = 0; c < channels; c++) {
            memcpy(scratch + c * pitch, words + c * n + start, (size_t)some * sizeof *words);
            memset(scratch + c * pitch + some, 0, (size_t)(even - some) * sizeof *words);
        }
        int64_t *out = pairs;
        if (lag_count == channels - 1) every_pair(scratch, pitch, channels, even, all);
        for (int64_t l = 0; l < lag_count && lag_count < channels - 1; l++)
            for (int64_t c = 0; c + lags[l] < channels; c++)
                *out++ += joint_ones(scratch + c * pitch, scratch + (c + lags[l]) * pitch, even);
        out = triples;
        for (int64_t l = 0; l < three_count; l++) {
            int64_t s = threes[l];
            for (int64_t c = 0; c + 2 * s < channels; c++) {
                const uint64_t *a = scratch + c * pitch, *b = a + s * pitch, *d = b + s * pitch;
                int64_t sum = 0;
                for (int64_t k = 0; k < some; k++) sum += ones(a[k] & b[k] & d[k]);
                out[c] += sum;
            }
            out += channels - 2 * s;
        }
        out = quads;
        for (int64_t l = 0; l < four_count; l++) {
            int64_t s = fours[l], groups = channels / (4 * s), all_groups = groups * s;
            for (int64_t g = 0; g < all_groups; g++) {
                const uint64_t *a = scratch + (g / s * 4 * s + g % s) * pitch, *b = a + s * pitch, *d = b + s * pitch;
                const uint64_t *e = d + s * pitch;
                int64_t abc = 0, abd = 0, acd = 0, bcd = 0, every = 0;
                for (int64_t k = 0; k < some; k++) {
                    uint64_t one = a[k] & b[k], two = d[k] & e[k];
                    abc += ones(one & d[k]);
                    abd += ones(one & e[k]);
                    acd += ones(a[k] & two);
                    bcd += ones(b[k] & two);
                    every += ones(one & two);
                }
                out[g] += abc, out[all_groups + g] += abd, out[2 * all_groups + g] += acd;
                out[3 * all_groups + g] += bcd, out[4 * all_groups + g] += every;
            }
            out += 5 * all_groups;
        }
    }
    if (lag_count == channels - 1) by_lag(all, channels, pairs);
}

/* Joint drops of bits lag apart within words, under a mask for each lag (all below 64): out (lags, channels). */
API CLONES void within(const uint64_t *words, int64_t channels, int64_t n, const int64_t *lags, const uint64_t *masks,
                       int64_t count_, int64_t *out)
{
    for (int64_t c = 0; c < channels; c++, words += n)
        for (int64_t l = 0; l < count_; l++) {
            int64_t lag = lags[l], sum = 0;
            uint64_t mask = masks[l];
            for (int64_t k = 0; k < n; k++) sum += ones(words[k] & (words[k] >> lag) & mask);
            out[l * channels + c] = sum;
        }
}

/* counting._firsts and _both: joint drops of disjoint pairs lag apart along the axis "length" of (channels, outer, length,
   inner) words: out (lags, channels). */
API CLONES void apart(const uint64_t *words, int64_t channels, int64_t outer, int64_t length, int64_t inner, const int64_t *lags,
                      int64_t count_, int64_t *out)
{
    int64_t size = outer * length * inner;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t l = 0; l < count_; l++) {
            int64_t lag = lags[l], sum = 0;
            for (int64_t o = 0; o < outer; o++) {
                const uint64_t *from = words + c * size + o * length * inner;
                for (int64_t i = 0; i + lag < length; i += 2 * lag) {
                    int64_t firsts = length - lag - i < lag ? length - lag - i : lag;
                    const uint64_t *a = from + i * inner, *b = a + lag * inner;
                    for (int64_t k = 0; k < firsts * inner; k++) sum += ones(a[k] & b[k]);
                }
            }
            out[l * channels + c] = sum;
        }
}

/* counting.count_calls where bits are calls: first, second and both dropped of the bits under masks (n), lag apart, over runs of n
   words: out (channels, 3). */
API CLONES void shifted(const uint64_t *words, int64_t channels, int64_t runs, int64_t n, int64_t lag, const uint64_t *masks,
                        int64_t *out)
{
    for (int64_t c = 0; c < channels; c++) {
        int64_t one = 0, two = 0, both = 0;
        for (int64_t r = 0; r < runs; r++, words += n)
            for (int64_t k = 0; k < n; k++) {
                uint64_t a = words[k] & masks[k], b = (words[k] >> lag) & masks[k];
                one += ones(a), two += ones(b), both += ones(a & b);
            }
        out[3 * c] = one, out[3 * c + 1] = two, out[3 * c + 2] = both;
    }
}

/* The same for neighbouring calls one run (a row of a call) apart: of a run and the next call's next run, then of the run
   behind and the next call's run before: out (channels, 6). */
API CLONES void neighbour_runs(const uint64_t *words, int64_t channels, int64_t runs, int64_t n, const uint64_t *masks, int64_t *out)
{
    for (int64_t c = 0; c < channels; c++, words += runs * n, out += 6) {
        int64_t sums[6] = {0, 0, 0, 0, 0, 0};
        for (int64_t r = 0; r + 1 < runs; r++) {
            const uint64_t *here = words + r * n, *next = here + n;
            for (int64_t k = 0; k < n; k++) {
                uint64_t a = here[k] & masks[k], b = (next[k] >> 1) & masks[k];
                uint64_t d = next[k] & masks[k], e = (here[k] >> 1) & masks[k];
                sums[0] += ones(a), sums[1] += ones(b), sums[2] += ones(a & b);
                sums[3] += ones(d), sums[4] += ones(e), sums[5] += ones(d & e);
            }
        }
        memcpy(out, sums, sizeof sums);
    }
}

/* counting.count_calls where words hold rows of a call: neighbouring calls 2 k and 2 k + 1 of (channels, calls, n words), one row
   shifted against each other: totals, first rows and last rows of the even and the odd calls, and joint drops of row r of the
   even with row r + 1 of the odd call, and the other way round: out (channels, 8). */
API CLONES void neighbour_calls(const uint64_t *words, int64_t channels, int64_t calls, int64_t n, int64_t pairs, int64_t rows,
                                int64_t *out)
{
    int64_t last = (rows - 1) / 64, place = (rows - 1) % 64;
    for (int64_t c = 0; c < channels; c++, words += calls * n, out += 8) {
        int64_t sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (int64_t p = 0; p < pairs; p++) {
            const uint64_t *one = words + 2 * p * n, *two = one + n;
            sums[2] += (int64_t)(one[0] & 1), sums[3] += (int64_t)(two[0] & 1);
            sums[4] += (int64_t)(one[last] >> place & 1), sums[5] += (int64_t)(two[last] >> place & 1);
            for (int64_t k = 0; k < n; k++) {
                uint64_t above = k + 1 < n ? two[k + 1] << 63 : 0, before = k + 1 < n ? one[k + 1] << 63 : 0;
                sums[0] += ones(one[k]), sums[1] += ones(two[k]);
                sums[6] += ones(one[k] & (two[k] >> 1 | above));
                sums[7] += ones(two[k] & (one[k] >> 1 | before));
            }
        }
        memcpy(out, sums, sizeof sums);
    }
}

/* words._keys of the words that begin at the first rows, and which of them are at most "most": the rows and keys of these.
   size: bytes of a key, 8 (the row's first) or 2 (the row's first two bytes or, where rows are one byte, the coins of "span"
   rows, so many channels each). Returns how many there are. */
API CLONES int64_t chosen(const uint8_t *packed, int64_t rows, int64_t width, int64_t channels, int64_t words, int64_t span,
                          int64_t size, uint64_t start, uint64_t factor, uint64_t most, uint64_t *keys, int64_t *places)
{
    const uint8_t *last = packed + rows * width;
    int64_t found = 0;
    uint64_t window = 0;
    if (width == 1)
        for (int64_t i = 0; i + 1 < span && i < rows; i++) window |= (uint64_t)packed[i] << channels * (i + 1);
    for (int64_t r = 0; r < words; r++) {
        uint64_t key;
        if (size == 8)
            key = (word_of(packed + r * width, 8, last) ^ start) * factor;
        else {
            if (width == 1)
                key = window = window >> channels | (uint64_t)packed[r + span - 1] << channels * (span - 1);
            else
                key = (uint64_t)packed[r * width] | (uint64_t)packed[r * width + 1] << 8;
            key = (key ^ start) * factor & 0xFFFF;
        }
        if (key <= most) {
            keys[found] = key, places[found] = r;
            found++;
        }
    }
    return found;
}

/* words._hashes: two hashes of the words of "size" bytes that begin at some rows. */
API CLONES void hashes(const uint8_t *packed, int64_t rows, int64_t width, int64_t size, const int64_t *places, int64_t count_,
                       const uint64_t *constants, uint64_t *one, uint64_t *two)
{
    const uint8_t *last = packed + rows * width;
    uint64_t a0 = constants[0], fa = constants[1], b0 = constants[3], fb = constants[4], end = constants[6];
    int sa = (int)constants[2], sb = (int)constants[5];
    for (int64_t i = 0; i < count_; i++) {
        const uint8_t *word = packed + places[i] * width;
        uint64_t a = a0, b = b0;
        for (int64_t at = 0; at < size; at += 8) {
            /* the last eight bytes overlap those before; words of less than eight are padded */
            int64_t from = size >= 8 && at + 8 > size ? size - 8 : at;
            uint64_t x = word_of(word + from, size < 8 ? size : 8, last);
            a = (a ^ x) * fa, a ^= a >> sa;
            b = (b ^ x) * fb, b ^= b >> sb;
        }
        a *= end, b *= end;
        one[i] = a ^ a >> 32, two[i] = b ^ b >> 32;
    }
}

/* stretches.flat: the first "channels" bits of each row without a gap, behind the first "at" bits of out, whose others are 0. */
API CLONES void flat(const uint8_t *packed, int64_t rows, int64_t width, int64_t channels, int64_t at, uint64_t *out)
{
    const uint8_t *last = packed + rows * width;
    for (int64_t r = 0; r < rows; r++, packed += width)
        for (int64_t first = 0; first < channels; first += 64) {
            int64_t some = channels - first < 64 ? channels - first : 64, bytes = (some + 7) / 8, shift = at & 63;
            uint64_t x = word_of(packed + first / 8, bytes, last);
            if (some < 64) x &= (UINT64_C(1) << some) - 1;
            out[at >> 6] |= x << shift;
            if (shift + some > 64) out[(at >> 6) + 1] |= x >> (64 - shift);
            at += some;
        }
}

/* 64 bits from bit "at" on. */
INLINE uint64_t window_of(const uint64_t *bits, int64_t at)
{
    int64_t word = at >> 6, shift = at & 63;
    return shift ? bits[word] >> shift | bits[word + 1] << (64 - shift) : bits[word];
}

/* Whether 32 bits on end are set (stretches.RUN). */
INLINE int long_run(uint64_t x)
{
    x &= x >> 1, x &= x >> 2, x &= x >> 4, x &= x >> 8, x &= x >> 16;
    return x != 0;
}

/* stretches.anchored: the words of "length" (64 or more) coins that begin with 1 1 0 1 0 0, hold no 32 equal coins on end and whose
   first hash is at most "most": both hashes and the first coin of each. Behind the coins there are two words. Returns how many
   there are, at most every sixth. The anchor is looked for at 64 offsets at once. */
API CLONES int64_t anchored(const uint64_t *bits, int64_t coins, int64_t length, const uint64_t *constants, uint64_t most,
                            uint64_t *one, uint64_t *two, int64_t *places)
{
    uint64_t a0 = constants[0], fa = constants[1], b0 = constants[3], fb = constants[4], end = constants[6];
    int sa = (int)constants[2], sb = (int)constants[5];
    int64_t found = 0, words = coins - length + 1;
    for (int64_t from = 0; from < words; from += 64) {
        uint64_t x = bits[from >> 6], y = bits[(from >> 6) + 1];
        uint64_t begins = x & (x >> 1 | y << 63) & ~(x >> 2 | y << 62) & (x >> 3 | y << 61) & ~(x >> 4 | y << 60) & ~(x >> 5 | y << 59);
        if (words - from < 64) begins &= (UINT64_C(1) << (words - from)) - 1;
        for (; begins; begins &= begins - 1) {
            int64_t at = from + ones(~begins & (begins - 1));
            uint64_t a = a0, b = b0;
            int run = 0;
            for (int64_t i = 0; i < length; i += 64) {
                /* the last 64 coins overlap those before */
                uint64_t w = window_of(bits, at + (i + 64 > length ? length - 64 : i));
                a = (a ^ w) * fa, a ^= a >> sa;
                b = (b ^ w) * fb, b ^= b >> sb;
            }
            a *= end, a ^= a >> 32;
            if (a > most) continue;
            for (int64_t i = 0; !run; i += 32) {
                int64_t start = i < length - 64 ? i : length - 64;
                uint64_t w = window_of(bits, at + start);
                run = long_run(w) || long_run(~w);
                if (start == length - 64) break;
            }
            if (run) continue;
            b *= end;
            one[found] = a, two[found] = b ^ b >> 32, places[found] = at;
            found++;
        }
    }
    return found;
}
