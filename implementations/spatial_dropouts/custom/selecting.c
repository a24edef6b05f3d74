/* The one pass of our PyTorch layer: kept elements are divided and rounded once, dropped channels are never read.
 *
 * An array is walked by loops, outermost first; adjacent axes that are one in memory and in their coins are one loop.
 * selecting.py makes them. What is computed is said there, and in torch_layer.py without this file. */

#include "portable.h"

enum { FLOAT32, FLOAT64, BFLOAT16, FLOAT16 };
enum { LOOPS = 8, PIECE = 16384, NEAR = 4096 }; /* a thread takes PIECE elements at once, at least; NEAR bytes are made at once */

typedef struct {
    int64_t size, x, y, coin; /* elements, and the steps of the input, the output and the coins, in elements of each */
} Loop;

typedef struct {
    int64_t kind, count;
    double keep, rate;
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
    static void strided_##NAME(TYPE *y, const TYPE *x, const double *draws, const Loop *loop, int64_t n, double keep,  \
                               double rate)                                                                            \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i * loop->y] = draws[i * loop->coin] < rate ? (TYPE)0 : divided_##NAME(x[i * loop->x], keep);            \
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
    CLONES static void drop_##NAME(TYPE *y, const double *draws, int64_t n, double rate)                               \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) y[i] = draws[i] < rate ? (TYPE)0 : y[i];                                       \
    }

DROPS(float32, float)
DROPS(float64, double)
DROPS(bfloat16, uint16_t)
#define drop_float16 drop_bfloat16

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
#define kept32_avx512 kept32_any
#define kept32_avx2 kept32_any
#define kept64_avx512 kept64_any
#define kept64_avx2 kept64_any
#else
static int level(void) { return 0; }
#endif

static void kept_float32(float *y, const float *x, int64_t n, double keep)
{
    if (is_power_of_two(keep)) scaled_float32(y, x, n, (float)(1 / keep));
#if defined(__GNUC__)
    else if (level() == 2) kept32_avx512(y, x, n, keep);
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

static void strided_float64(double *y, const double *x, const double *draws, const Loop *loop, int64_t n, double keep,
                            double rate, double lost)
{
    for (int64_t i = 0; i < n; i++) {
        if (draws[i * loop->coin] < rate) y[i * loop->y] = 0;
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

F16C static void strided_float16(half *y, const half *x, const double *draws, const Loop *loop, int64_t n, double keep,
                                 double rate)
{
    for (int64_t i = 0; i < n; i++)
        y[i * loop->y] = draws[i * loop->coin] < rate ? 0 : divided_float16(x[i * loop->x], keep);
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
        if (!dense || inner->coin > 1) strided_##NAME(to, from, coins, inner, n, plan->keep, plan->rate __VA_ARGS__);  \
        else if (inner->coin == 0 && *coins < plan->rate) {                                                            \
            if (stream) streamed((char *)to, 0, n * (int64_t)sizeof(TYPE));                                            \
            else memset(to, 0, (size_t)n * sizeof(TYPE));                                                              \
        } else                                                                                                         \
            for (int64_t done = 0; done < n; done += part) {                                                           \
                const int64_t now = n - done < part ? n - done : part, bytes = now * (int64_t)sizeof(TYPE);            \
                TYPE *made = direct ? to + done : (TYPE *)near_by;                                                     \
                kept_##NAME(made, from + done, now, plan->keep __VA_ARGS__);                                           \
                if (inner->coin) drop_##NAME((void *)made, coins + done, now, plan->rate);                             \
                if (stream) streamed((char *)(to + done), (const char *)made, bytes);                                  \
                else if (!direct) memcpy(to + done, made, (size_t)bytes);                                              \
            }                                                                                                          \
    }                                                                                                                  \
    break;

/* Pieces first to last - 1; a row of the innermost loop has "pieces" of them. */
static void pass(const void *x, void *y, const double *draws, const Plan *plan, int64_t pieces, int64_t stream,
                 int64_t first, int64_t last)
{
    double near_by[NEAR / 8];
    const double lost = (1.0 - plan->keep) - plan->rate; /* exact: 1 - rate is keep + lost */
    const int direct = !stream && x != y; /* loops are fast where the compiler's check finds two arrays */
    const int64_t part = direct ? PIECE : NEAR / 8;
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
        const int64_t begin = piece * PIECE, n = inner->size - begin < PIECE ? inner->size - begin : PIECE;
        const int64_t at_x = x_row + begin * inner->x, at_y = y_row + begin * inner->y;
        const double *coins = draws + coin_row + begin * inner->coin;
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
    const double *draws;
    const Plan *plan;
    int64_t pieces, stream, units, step, next;
} Work;

#if defined(__GNUC__)
/* What each thread of a team does: it takes the next pieces until none are left. */
static void share(void *given)
{
    Work *work = given;
    for (;;) {
        int64_t first = __atomic_fetch_add(&work->next, work->step, __ATOMIC_RELAXED);
        if (first >= work->units) return;
        int64_t last = first + work->step < work->units ? first + work->step : work->units;
        pass(work->x, work->y, work->draws, work->plan, work->pieces, work->stream, first, last);
    }
}
#endif

/* y = x / keep where a draw is at least the rate, and 0 elsewhere. "team" is GOMP_parallel of PyTorch's own OpenMP, or NULL.
 * "stream": the output is written past the caches. */
API void select_elements(const void *x, void *y, const double *draws, const Plan *plan, int64_t stream, int64_t threads,
                         void (*team)(void (*)(void *), void *, unsigned, unsigned))
{
    int64_t rows = 1;
    const int64_t size = plan->loops[plan->count - 1].size, pieces = (size + PIECE - 1) / PIECE;
    for (int64_t k = 0; k < plan->count - 1; k++) rows *= plan->loops[k].size;
    const int64_t units = rows * pieces;
    stream = stream && STREAMS;
#if defined(__GNUC__)
    if (team && threads > 1 && rows * size > 2 * PIECE) {
        const int64_t step = size < PIECE ? (PIECE + size - 1) / size : 1;
        Work work = {x, y, draws, plan, pieces, stream, units, step, 0};
        team(share, &work, (unsigned)threads, 0);
        return;
    }
#endif
    pass(x, y, draws, plan, pieces, stream, 0, units);
}
