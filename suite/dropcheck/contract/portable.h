/* What the libraries share: exported names, processors, and the checksum of the sources that they were built from.  */

#include <stdint.h>
#include <string.h>

#ifndef SOURCE
#define SOURCE 0
#endif

#if defined(_WIN32)
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

/* The same function for two kinds of x86 processor, chosen when the library is loaded. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__)
#define CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CLONES
#endif
#if defined(_MSC_VER)
#define INLINE static __forceinline
#else
#define INLINE static inline __attribute__((always_inline))
#endif

/* Checksum of this file and the library's own when they were compiled; a library of other sources is not used. */
API uint32_t source(void) { return (uint32_t)SOURCE; }
