/* The one pass of our PyTorch layer: kept elements are divided and rounded once, dropped channels are not read.
 *
 * An array is walked by loops, outermost first; adjacent axes that are one in memory and in their coins are one loop.
 * selecting.py makes them. What is computed is said there, and in torch_operator.py without this file.
 * Coins are bytes, 1 to drop. They are given, or drawn here from four words of a key. */

#include "portable.h"
#include <stdlib.h>

enum { FLOAT32, FLOAT64, BFLOAT16, FLOAT16 };
enum { LOOPS = 8, PIECE = 16384, NEAR = 4096 }; /* a thread takes PIECE elements at once, at least; NEAR bytes are made at once */

typedef struct {
    int64_t size, x, y, coin; /* elements, and the steps of the input, the output and the coins, in elements of each */
} Loop;

typedef struct {
    int64_t kind, count, run, coins, stream; /* run: elements of the innermost loop that share a coin, where it has coins of its own */
    uint64_t below; /* a coin drops where 53 bits are below this */
    double keep, rate;
    void (*team)(void (*)(void *), void *, unsigned, unsigned); /* GOMP_parallel of PyTorch's own OpenMP, or NULL */
    Loop loops[LOOPS];
} Plan;

INLINE float divided_plain32(float x, double keep) { return (float)((double)x / keep); }
/* bfloat16 is the upper half of a float32: to nearest, ties to even; NaN stays one. */
INLINE uint16_t divided_plain16(uint16_t x, double keep)
{
    uint32_t bits = (uint32_t)x << 16, rounded;
    float wide;
    memcpy(&wide, &bits, 4);
    wide /= (float)keep;
    memcpy(&bits, &wide, 4);
    rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
    return (uint16_t)((bits & 0x7FFFFFFFU) > 0x7F800000U ? 0x7FC0U : rounded);
}

/* Stretches of n elements: all kept, or with steps and coins of their own. */
#define PASSES(NAME, TYPE)                                                                                             \
    CLONES static void kept_##NAME(TYPE *y, const TYPE *x, int64_t n, double keep)                                     \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) y[i] = divided_##NAME(x[i], keep);                                             \
    }                                                                                                                  \
    static void strided_##NAME(TYPE *y, const TYPE *x, const uint8_t *drops, const Loop *loop, int64_t n, double keep)  \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i * loop->y] = drops[i * loop->coin] ? (TYPE)0 : divided_##NAME(x[i * loop->x], keep);            \
    }

PASSES(plain32, float)
PASSES(plain16, uint16_t)

/* The reciprocal of a power of two is exact: the product is the quotient. */
static int is_power_of_two(double keep)
{
    uint64_t bits;
    memcpy(&bits, &keep, 8);
    return !(bits & UINT64_C(0xFFFFFFFFFFFFF));
}
CLONES static void scaled_float32(float *y, const float *x, int64_t n, float by)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * by;
}
CLONES static void scaled_float64(double *y, const double *x, int64_t n, double by)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * by;
}

CLONES static void scaled_bfloat16(uint16_t *y, const uint16_t *x, int64_t n, float by)
{
    for (int64_t i = 0; i < n; i++) { /* by is at least 1, so that nothing is lost: there is nothing to round */
        uint32_t bits = (uint32_t)x[i] << 16;
        float wide;
        memcpy(&wide, &bits, 4);
        wide *= by;
        memcpy(&bits, &wide, 4);
        y[i] = (uint16_t)(bits >> 16);
    }
}

/* What is dropped by a coin of its own becomes 0. */
#define DROPS(NAME, TYPE)                                                                                              \
    CLONES static void drop_##NAME(TYPE *y, const uint8_t *drops, int64_t n)                                           \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) y[i] = drops[i] ? (TYPE)0 : y[i];                                       \
    }

DROPS(float32, float)
DROPS(float64, double)
DROPS(bfloat16, uint16_t)
#define drop_float16 drop_bfloat16

/* Runs of as many bytes that share a coin, some hundred at most: clearing by a mask is faster than a branch that nobody can foresee. */
static void clear_runs(char *y, const uint8_t *drops, int64_t step, int64_t runs, int64_t bytes)
{
    for (int64_t r = 0; r < runs; r++, y += bytes) {
        const uint64_t mask = (uint64_t)drops[r * step] - 1;
        uint64_t words[4];
        int64_t i = 0;
        for (; i + 32 <= bytes; i += 32) {
            memcpy(words, y + i, 32);
            for (int k = 0; k < 4; k++) words[k] &= mask;
            memcpy(y + i, words, 32);
        }
        for (; i + 8 <= bytes; i += 8) {
            memcpy(words, y + i, 8);
            words[0] &= mask;
            memcpy(y + i, words, 8);
        }
        for (; i < bytes; i++) y[i] &= (char)mask;
    }
}

/* Divisions by fused multiply-adds: a quotient is corrected by its exact remainder, which leaves an error below 2^-104 before it is
 * rounded (Markstein 1990). float32: the first quotient is the product with the rounded reciprocal, which is faster than the divider.
 * float64: the remainder knows what 1 - rate lost when it was rounded ("lost"). Zeros, Inf, NaN and what overflows have no
 * remainder that could be used, and are right. */
#define REMAINS(r) (__builtin_isgreater(__builtin_fabs(r), 0.0) && __builtin_isless(__builtin_fabs(r), __builtin_inf()))
#define CORRECTED(q, r, by) (REMAINS(r) ? __builtin_fma(r, by, q) : (q))
#define FUSED(NAME, TARGET)                                                                                            \
    TARGET static void kept32_##NAME(float *y, const float *x, int64_t n, double keep)                                 \
    {                                                                                                                  \
        const double inverse = 1.0 / keep;                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const double wide = (double)x[i], q = wide * inverse, r = __builtin_fma(-q, keep, wide);                   \
            y[i] = (float)CORRECTED(q, r, inverse);                                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    TARGET static void kept64_##NAME(double *y, const double *x, int64_t n, double keep, double lost)                  \
    {                                                                                                                  \
        const double inverse = 1.0 / keep;                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const double q = x[i] / keep, r = __builtin_fma(-q, lost, __builtin_fma(-q, keep, x[i]));                  \
            y[i] = CORRECTED(q, r, inverse);                                                                           \
        }                                                                                                              \
    }

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
FUSED(avx2, __attribute__((target("avx2,fma"), optimize("no-trapping-math"))))
FUSED(avx512, __attribute__((target("avx512f,avx512vl,avx512dq,fma,prefer-vector-width=512"), optimize("no-trapping-math"))))

/* Most quotients need no correction: the product with the reciprocal is within 3 units of the last place of a double, and a float's
 * rounding hears of that only where the double lies within them of the middle between two floats (half of 2^29 units), or the
 * float is subnormal. Sixteen at a time, unless one of them may. */
#include <immintrin.h>
__attribute__((target("avx512f,avx512vl,avx512dq,fma,prefer-vector-width=512"))) static void
sixteens_float32(float *y, const float *x, int64_t n, double keep)
{
    const __m512d inverse = _mm512_set1_pd(1.0 / keep);
    const __m512i to_middle = _mm512_set1_epi64(8 - (1 << 28)), beyond = _mm512_set1_epi64((1 << 29) - 16);
    const __m512i size = _mm512_set1_epi32(0x7FFFFFFF), one = _mm512_set1_epi32(1), normal = _mm512_set1_epi32(0x7FFFFF);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512 wide = _mm512_loadu_ps(x + i);
        const __m512d a = _mm512_mul_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(wide)), inverse);
        const __m512d b = _mm512_mul_pd(_mm512_cvtps_pd(_mm512_extractf32x8_ps(wide, 1)), inverse);
        const __m512i less = _mm512_sub_epi32(_mm512_and_epi32(_mm512_castps_si512(wide), size), one);
        const unsigned odd = _mm512_testn_epi64_mask(_mm512_add_epi64(_mm512_castpd_si512(a), to_middle), beyond) |
                             _mm512_testn_epi64_mask(_mm512_add_epi64(_mm512_castpd_si512(b), to_middle), beyond) |
                             _mm512_cmplt_epu32_mask(less, normal);
        if (odd) kept32_avx512(y + i, x + i, 16, keep);
        else
            _mm512_storeu_ps(y + i, _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a)), _mm512_cvtpd_ps(b), 1));
    }
    kept32_avx512(y + i, x + i, n - i, keep);
}

/* Which of them the processor has: 0 for none. */
static int level(void)
{
    static int known = -1;
    if (known < 0)
        known = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") ? 2
                : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")                                           ? 1
                                                                                                                            : 0;
    return known;
}
#elif defined(__GNUC__)
FUSED(any, )
static int level(void) { return 1; }
#define sixteens_float32 kept32_any
#define kept32_avx2 kept32_any
#define kept64_avx512 kept64_any
#define kept64_avx2 kept64_any
#else
static int level(void) { return 0; }
#endif

/* Coins by counters: Philox 4x32-10 (Salmon et al., SC 2011). A block of four words serves two coins, of 53 bits each.
 * "first" is even. The inner loops run over blocks, and hold words of 32 bits in 64, so that the compiler makes vectors of them. */
enum { BLOCKS = 32 };
#define LOW(v) ((v) & 0xFFFFFFFFU)
#define DRAW(NAME, TARGET)                                                                                             \
    TARGET static void draw_##NAME(uint8_t *drops, int64_t first, int64_t n, const uint32_t key[4], uint64_t below)    \
    {                                                                                                                  \
        uint64_t a[BLOCKS], b[BLOCKS], c[BLOCKS], d[BLOCKS];                                                           \
        uint8_t made[2 * BLOCKS];                                                                                      \
        for (int64_t done = 0; done < n; done += 2 * BLOCKS) {                                                         \
            const uint64_t block = (uint64_t)(first + done) / 2;                                                       \
            uint64_t k = key[0], l = key[1];                                                                           \
            for (int i = 0; i < BLOCKS; i++) {                                                                         \
                a[i] = LOW(block + (uint64_t)i);                                                                       \
                b[i] = (block + (uint64_t)i) >> 32;                                                                    \
                c[i] = key[2];                                                                                         \
                d[i] = key[3];                                                                                         \
            }                                                                                                          \
            for (int round = 0; round < 10; round++) {                                                                 \
                for (int i = 0; i < BLOCKS; i++) {                                                                     \
                    const uint64_t p = (uint64_t)(uint32_t)a[i] * 0xD2511F53U, q = (uint64_t)(uint32_t)c[i] * 0xCD9E8D57U; \
                    a[i] = (q >> 32) ^ b[i] ^ k;                                                                       \
                    b[i] = LOW(q);                                                                                     \
                    c[i] = (p >> 32) ^ d[i] ^ l;                                                                       \
                    d[i] = LOW(p);                                                                                     \
                }                                                                                                      \
                k = LOW(k + 0x9E3779B9U);                                                                              \
                l = LOW(l + 0xBB67AE85U);                                                                              \
            }                                                                                                          \
            for (int i = 0; i < BLOCKS; i++) {                                                                         \
                made[2 * i] = ((a[i] << 32 | b[i]) >> 11) < below;                                                     \
                made[2 * i + 1] = ((c[i] << 32 | d[i]) >> 11) < below;                                                 \
            }                                                                                                          \
            memcpy(drops + done, made, (size_t)(n - done < 2 * BLOCKS ? n - done : 2 * BLOCKS));                       \
        }                                                                                                              \
    }

DRAW(plain, )
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
DRAW(avx2, __attribute__((target("avx2"))))
DRAW(avx512, __attribute__((target("avx512f,avx512vl,avx512dq,prefer-vector-width=512"))))
#else
#define draw_avx2 draw_plain
#define draw_avx512 draw_plain
#endif

static void draw(uint8_t *drops, int64_t first, int64_t n, const uint32_t key[4], uint64_t below)
{
    if (level() == 2) draw_avx512(drops, first, n, key, below);
    else if (level()) draw_avx2(drops, first, n, key, below);
    else draw_plain(drops, first, n, key, below);
}

static void kept_float32(float *y, const float *x, int64_t n, double keep)
{
    if (is_power_of_two(keep)) scaled_float32(y, x, n, (float)(1 / keep));
#if defined(__GNUC__)
    else if (level() == 2) sixteens_float32(y, x, n, keep);
    else if (level()) kept32_avx2(y, x, n, keep);
#endif
    else kept_plain32(y, x, n, keep);
}

static void kept_bfloat16(uint16_t *y, const uint16_t *x, int64_t n, double keep)
{
    if (is_power_of_two(keep)) scaled_bfloat16(y, x, n, (float)(1 / keep));
    else kept_plain16(y, x, n, keep);
}
#define strided_bfloat16 strided_plain16

static void kept_float64(double *y, const double *x, int64_t n, double keep, double lost)
{
    if (is_power_of_two(keep) && lost == 0) scaled_float64(y, x, n, 1 / keep);
#if defined(__GNUC__)
    else if (level() == 2) kept64_avx512(y, x, n, keep, lost);
    else kept64_avx2(y, x, n, keep, lost);
#endif
}

static void strided_float64(double *y, const double *x, const uint8_t *drops, const Loop *loop, int64_t n, double keep,
                            double lost)
{
    for (int64_t i = 0; i < n; i++) {
        if (drops[i * loop->coin]) y[i * loop->y] = 0;
        else kept_float64(y + i * loop->y, x + i * loop->x, 1, keep, lost);
    }
}
#define strided_float32 strided_plain32

/* float16, where the processor converts it; elsewhere PyTorch does the work (see "knows"). */
#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#define HALF 1
typedef uint16_t half;
#define F16C __attribute__((target("avx2,f16c")))
#define NEAREST (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

F16C static inline half divided_float16(half x, double keep)
{
    __m128 wide = _mm_cvtph_ps(_mm_cvtsi32_si128(x));
    return (half)_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_div_ps(wide, _mm_set1_ps((float)keep)), NEAREST));
}

F16C static inline __m256 eight_wide(const half *x) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)x)); }
F16C static inline void round_eight(half *y, __m256 wide)
{
    _mm_storeu_si128((__m128i *)y, _mm256_cvtps_ph(wide, NEAREST));
}

F16C static void kept_float16(half *y, const half *x, int64_t n, double keep)
{
    const __m256 by = _mm256_set1_ps((float)keep), inverse = _mm256_set1_ps((float)(1 / keep));
    int64_t i = 0;
    if (is_power_of_two(keep))
        for (; i + 8 <= n; i += 8) round_eight(y + i, _mm256_mul_ps(eight_wide(x + i), inverse));
    for (; i + 8 <= n; i += 8) round_eight(y + i, _mm256_div_ps(eight_wide(x + i), by));
    for (; i < n; i++) y[i] = divided_float16(x[i], keep);
}

F16C static void strided_float16(half *y, const half *x, const uint8_t *drops, const Loop *loop, int64_t n, double keep)
{
    for (int64_t i = 0; i < n; i++)
        y[i * loop->y] = drops[i * loop->coin] ? 0 : divided_float16(x[i * loop->x], keep);
}

static int converts(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }
#elif defined(__GNUC__) && defined(__aarch64__)
#define HALF 1
typedef __fp16 half; /* the bits of 0 are those of an integer's */
INLINE half divided_float16(half x, double keep) { return (half)((float)x / (float)keep); }
PASSES(float16, half)
static int converts(void) { return 1; }
#else
#define HALF 0
static int converts(void) { return 0; }
#endif

/* Whether a dtype can be passed here. */
API int64_t knows(int64_t kind)
{
    return kind == FLOAT16 ? converts() : kind == FLOAT64 ? level() > 0 : kind == FLOAT32 || kind == BFLOAT16;
}

/* A large output is written past the caches, which it would only empty: a stretch of it is made in the nearest cache first. */
#if defined(__GNUC__) && defined(__x86_64__)
#define STREAMS 1
static void streamed(char *to, const char *from, int64_t bytes)
{
    int64_t head = (int64_t)(-(uintptr_t)to & 63U);
    if (head > bytes) head = bytes;
    if (from) memcpy(to, from, (size_t)head);
    else memset(to, 0, (size_t)head);
    int64_t i = head;
    for (; i + 64 <= bytes; i += 64)
        for (int k = 0; k < 64; k += 16)
            _mm_stream_si128((__m128i *)(to + i + k),
                             from ? _mm_loadu_si128((const __m128i *)(from + i + k)) : _mm_setzero_si128());
    if (from) memcpy(to + i, from + i, (size_t)(bytes - i));
    else memset(to + i, 0, (size_t)(bytes - i));
}
static void settle(void) { _mm_sfence(); }
#else
#define STREAMS 0
static void streamed(char *to, const char *from, int64_t bytes)
{
    if (from) memcpy(to, from, (size_t)bytes);
    else memset(to, 0, (size_t)bytes);
}
static void settle(void) {}
#endif

/* A stretch of the innermost loop. */
#define STRETCH(NAME, TYPE, ...)                                                                                            \
    {                                                                                                                  \
        TYPE *to = (TYPE *)y + at_y;                                                                                   \
        const TYPE *from = (const TYPE *)x + at_x;                                                                     \
        if (!dense || (inner->coin > 1 && run == 1)) strided_##NAME(to, from, coins, inner, n, plan->keep __VA_ARGS__);  \
        else if (inner->coin == 0 && *coins) {                                                                         \
            if (stream) streamed((char *)to, 0, n * (int64_t)sizeof(TYPE));                                            \
            else memset(to, 0, (size_t)n * sizeof(TYPE));                                                              \
        } else                                                                                                         \
            for (int64_t done = 0; done < n; done += part) {                                                           \
                const int64_t now = n - done < part ? n - done : part, bytes = now * (int64_t)sizeof(TYPE);            \
                const uint8_t *these = coins + done / run * inner->coin;                                               \
                TYPE *made = direct ? to + done : (TYPE *)near_by;                                                     \
                kept_##NAME(made, from + done, now, plan->keep __VA_ARGS__);                                           \
                if (run > 1) clear_runs((char *)made, these, inner->coin, now / run, run * (int64_t)sizeof(TYPE));     \
                else if (inner->coin) drop_##NAME((void *)made, these, now);                                           \
                if (stream) streamed((char *)(to + done), (const char *)made, bytes);                                  \
                else if (!direct) memcpy(to + done, made, (size_t)bytes);                                              \
            }                                                                                                          \
    }                                                                                                                  \
    break;

/* Pieces first to last - 1, of "piece_size" elements; a row of the innermost loop has "pieces" of them. */
static void pass(const void *x, void *y, const uint8_t *drops, const Plan *plan, int64_t piece_size, int64_t pieces,
                 int64_t first, int64_t last)
{
    double near_by[NEAR / 8];
    const double lost = (1.0 - plan->keep) - plan->rate; /* exact: 1 - rate is keep + lost */
    const int stream = plan->stream && STREAMS, direct = !stream && x != y; /* loops are fast where the compiler's check finds two arrays */
    const int64_t run = plan->run, near_part = NEAR / 8 / run * run;
    const int64_t part = !direct || run > 1 ? near_part : piece_size; /* runs are gone over twice, so in the nearest cache */
    const Loop *inner = plan->loops + plan->count - 1;
    const int dense = inner->x == 1 && inner->y == 1;
    int64_t at[LOOPS], row = first / pieces, piece = first % pieces;
    int64_t x_row = 0, y_row = 0, coin_row = 0;
    for (int64_t k = plan->count - 2; k >= 0; k--) {
        const Loop *loop = plan->loops + k;
        at[k] = row % loop->size;
        row /= loop->size;
        x_row += at[k] * loop->x;
        y_row += at[k] * loop->y;
        coin_row += at[k] * loop->coin;
    }
    for (int64_t unit = first; unit < last; unit++) {
        const int64_t begin = piece * piece_size, n = inner->size - begin < piece_size ? inner->size - begin : piece_size;
        const int64_t at_x = x_row + begin * inner->x, at_y = y_row + begin * inner->y;
        const uint8_t *coins = drops + coin_row + begin / run * inner->coin;
        switch (plan->kind) {
        case FLOAT32: STRETCH(float32, float, )
        case FLOAT64: STRETCH(float64, double, , lost)
        case BFLOAT16: STRETCH(bfloat16, uint16_t, )
#if HALF
        case FLOAT16: STRETCH(float16, half, )
#endif
        default: break;
        }
        if (++piece < pieces) continue;
        piece = 0;
        for (int64_t k = plan->count - 2; k >= 0; k--) { /* the next row, as an odometer counts */
            const Loop *loop = plan->loops + k;
            x_row += loop->x;
            y_row += loop->y;
            coin_row += loop->coin;
            if (++at[k] < loop->size) break;
            at[k] = 0;
            x_row -= loop->size * loop->x;
            y_row -= loop->size * loop->y;
            coin_row -= loop->size * loop->coin;
        }
    }
    if (stream) settle();
}

typedef struct {
    const void *x;
    void *y;
    uint8_t *drops;
    const Plan *plan;
    const uint32_t *key; /* coins are drawn, or NULL: the pass is made */
    int64_t piece_size, pieces, units, step, next;
} Work;

/* Units "first" to last - 1 of a task: pieces of the array, or coins. */
static void part_of(const Work *work, int64_t first, int64_t last)
{
    if (work->key) draw(work->drops + first, first, last - first, work->key, work->plan->below);
    else pass(work->x, work->y, work->drops, work->plan, work->piece_size, work->pieces, first, last);
}

/* What each thread of a team does: it takes the next units until none are left. */
#if defined(__GNUC__)
static void share(void *given)
{
    Work *work = given;
    for (;;) {
        int64_t first = __atomic_fetch_add(&work->next, work->step, __ATOMIC_RELAXED);
        if (first >= work->units) return;
        part_of(work, first, first + work->step < work->units ? first + work->step : work->units);
    }
}
#endif

static void together(Work *work, int64_t threads, int many)
{
#if defined(__GNUC__)
    if (work->plan->team && threads > 1 && many) {
        work->plan->team(share, work, (unsigned)threads, 0);
        return;
    }
#endif
    (void)threads, (void)many;
    part_of(work, 0, work->units);
}

static void draw_all(uint8_t *drops, const Plan *plan, const uint32_t key[4], int64_t threads)
{
    Work work = {0, 0, drops, plan, key, 0, 0, plan->coins, PIECE, 0};
    together(&work, threads, plan->coins > 2 * PIECE);
}

/* The coins of a key, 63 bits in each half, as bytes. */
API void draw_coins(uint8_t *drops, int64_t coins, uint64_t below, uint64_t left, uint64_t right)
{
    const uint32_t key[4] = {(uint32_t)left, (uint32_t)(left >> 32), (uint32_t)right, (uint32_t)(right >> 32)};
    draw(drops, 0, coins, key, below);
}

/* y = 0 where a coin drops, x / keep elsewhere. "drops": the coins, or NULL: those of the key are drawn. 0, or 1 without memory. */
API int64_t select_elements(const void *x, void *y, uint8_t *drops, const Plan *plan, uint64_t left, uint64_t right,
                            int64_t threads)
{
    uint8_t few[NEAR], *many = 0;
    int64_t rows = 1;
    const int64_t size = plan->loops[plan->count - 1].size, piece_size = PIECE / plan->run * plan->run;
    const int64_t pieces = (size + piece_size - 1) / piece_size;
    for (int64_t k = 0; k < plan->count - 1; k++) rows *= plan->loops[k].size;
    if (!drops) {
        const uint32_t key[4] = {(uint32_t)left, (uint32_t)(left >> 32), (uint32_t)right, (uint32_t)(right >> 32)};
        drops = plan->coins <= NEAR ? few : (many = malloc((size_t)plan->coins));
        if (!drops) return 1;
        draw_all(drops, plan, key, threads);
    }
    Work work = {x, y, drops, plan, 0, piece_size, pieces, rows * pieces, size < PIECE ? (PIECE + size - 1) / size : 1, 0};
    together(&work, threads, rows * size > 2 * PIECE);
    free(many);
    return 0;
}
