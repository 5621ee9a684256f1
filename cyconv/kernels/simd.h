/* One vector type, `vec`, for whatever the target has: the only file that knows about instruction sets. */
#ifndef CYCONV_SIMD_H
#define CYCONV_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef REAL
#define REAL float
#define REAL_BYTES 4
#endif

/* Vector registers that a tile may fill, and lanes (REALs in a vector). */
#if defined(CYCONV_SCALAR) || !defined(__GNUC__)
#define LANES 1
#define REGISTERS 16
#elif defined(__AVX512F__)
#define LANES (64 / REAL_BYTES)
#define REGISTERS 32
#elif defined(__AVX2__)
#define LANES (32 / REAL_BYTES)
#define REGISTERS 16
#elif defined(__aarch64__)
#define LANES (16 / REAL_BYTES)
#define REGISTERS 32
#else
#define LANES (16 / REAL_BYTES)
#define REGISTERS 16
#endif

#if defined(__GNUC__)
#define CYCONV_INLINE static inline __attribute__((always_inline))
/* Cython marks its own inline functions with this: a tile called with literal sizes becomes a loop of its own. */
#undef CYTHON_INLINE
#define CYTHON_INLINE inline __attribute__((always_inline))
#define vprefetch(p) __builtin_prefetch(p)
/* Orders what vstream has stored before all stores that follow. */
#if defined(__x86_64__)
#define vfence() __asm__ volatile("sfence" ::: "memory")
#else
#define vfence() ((void)0)
#endif
/* Says that the integer n may have changed, so that what is computed from it is not kept, but computed again. */
#define vrenew(n) __asm__("" : "+r"(n))
/* The same for a vector. */
#if defined(__AVX512F__)
#define vpin(v) __asm__("" : "+v"(v))
#elif defined(__x86_64__)
#define vpin(v) __asm__("" : "+x"(v))
#elif defined(__aarch64__)
#define vpin(v) __asm__("" : "+w"(v))
#else
#define vpin(v) ((void)(v))
#endif
#else
#define CYCONV_INLINE static inline
#define vprefetch(p) ((void)(p))
#define vfence() ((void)0)
#define vrenew(n) ((void)(n))
#endif

#if LANES == 1

typedef REAL vec;
CYCONV_INLINE vec vload(const REAL *p) { return *p; }
CYCONV_INLINE vec vfetch(const REAL *p) { return *p; }
CYCONV_INLINE void vstore(REAL *p, vec v) { *p = v; }
#define vstream(p, v) vstore(p, v)
CYCONV_INLINE vec vset(REAL x) { return x; }
CYCONV_INLINE vec vnonneg(vec v) { return v < 0 ? 0 : v; }
CYCONV_INLINE vec vatmost(vec v, REAL top) { return v > top ? top : v; }
CYCONV_INLINE vec vleak(vec v, REAL slope) { return v < 0 ? v * slope : v; }

#else

/* aligned(REAL_BYTES): arrays are aligned to their element, not to the vector. */
typedef REAL vec __attribute__((vector_size(LANES * REAL_BYTES), aligned(REAL_BYTES), may_alias));
#if REAL_BYTES == 4
typedef int32_t vmask __attribute__((vector_size(LANES * REAL_BYTES)));
#else
typedef int64_t vmask __attribute__((vector_size(LANES * REAL_BYTES)));
#endif

CYCONV_INLINE vec vload(const REAL *p) { return *(const vec *)p; }
/* Loads once: else, where registers run short, the compiler reads memory again at every use. */
CYCONV_INLINE vec vfetch(const REAL *p) {
    vec v = *(const vec *)p;
    vpin(v);
    return v;
}
CYCONV_INLINE void vstore(REAL *p, vec v) { *(vec *)p = v; }
/* To memory, past the caches: p is aligned to the vector. Without such stores, plain ones. */
#if defined(__AVX512F__)
#define vstream(p, v) __asm__ volatile("vmovntps %1, %0" : "=m"(*(vec *)(p)) : "v"(v))
#elif defined(__AVX2__)
#define vstream(p, v) __asm__ volatile("vmovntps %1, %0" : "=m"(*(vec *)(p)) : "x"(v))
#else
#define vstream(p, v) vstore(p, v)
#endif
/* x - 0 folds to one broadcast; x + 0 would cost an addition, since -0 + 0 is 0. */
CYCONV_INLINE vec vset(REAL x) { return x - (vec){0}; }
/* Comparisons with NaN are false, so NaN passes through all three. */
CYCONV_INLINE vec vnonneg(vec v) { return (vec)((vmask)v & ~(vmask)(v < (vec){0})); }
CYCONV_INLINE vec vpick(vmask m, vec a, vec b) { return (vec)(((vmask)a & m) | ((vmask)b & ~m)); }
CYCONV_INLINE vec vatmost(vec v, REAL top) { return vpick((vmask)(v > vset(top)), vset(top), v); }
CYCONV_INLINE vec vleak(vec v, REAL slope) { return vpick((vmask)(v < (vec){0}), v * vset(slope), v); }

#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define SPREADS 1
#endif
#endif

#endif

#ifdef SPREADS
/* Lane k of every n lanes, in all of these n; n and k are literals. */
#define LANE(l, n, k) ((l) / (n) * (n) + (k))
#define LANES_2(l, n, k) LANE(l, n, k), LANE(l + 1, n, k)
#define LANES_4(l, n, k) LANES_2(l, n, k), LANES_2(l + 2, n, k)
#define LANES_8(l, n, k) LANES_4(l, n, k), LANES_4(l + 4, n, k)
#define LANES_16(l, n, k) LANES_8(l, n, k), LANES_8(l + 8, n, k)
#if LANES == 16
#define SPREAD(n, k) case 16 * n + k: return __builtin_shufflevector(v, v, LANES_16(0, n, k));
#elif LANES == 8
#define SPREAD(n, k) case 16 * n + k: return __builtin_shufflevector(v, v, LANES_8(0, n, k));
#elif LANES == 4
#define SPREAD(n, k) case 16 * n + k: return __builtin_shufflevector(v, v, LANES_4(0, n, k));
#else
#define SPREAD(n, k) case 16 * n + k: return __builtin_shufflevector(v, v, LANES_2(0, n, k));
#endif
CYCONV_INLINE vec vspread(vec v, int n, int k) {
    switch (16 * n + k) {
        SPREAD(2, 0) SPREAD(2, 1)
#if LANES > 4
        SPREAD(4, 0) SPREAD(4, 1) SPREAD(4, 2) SPREAD(4, 3)
#endif
#if LANES > 8
        SPREAD(8, 0) SPREAD(8, 1) SPREAD(8, 2) SPREAD(8, 3) SPREAD(8, 4) SPREAD(8, 5) SPREAD(8, 6) SPREAD(8, 7)
#endif
    }
    return v;
}

/* Lanes b, b + 1, ... of two vectors in turns: with b 0 or LANES / 2, one half of both. */
#define ZIP_2(b) b, (b) + LANES
#define ZIP_4(b) ZIP_2(b), ZIP_2(b + 1)
#define ZIP_8(b) ZIP_4(b), ZIP_4(b + 2)
#define ZIP_16(b) ZIP_8(b), ZIP_8(b + 4)
#if LANES == 16
#define ZIP(b) ZIP_16(b)
#elif LANES == 8
#define ZIP(b) ZIP_8(b)
#elif LANES == 4
#define ZIP(b) ZIP_4(b)
#else
#define ZIP(b) ZIP_2(b)
#endif
CYCONV_INLINE vec vzip(vec a, vec b, int second_half) {
    return second_half ? __builtin_shufflevector(a, b, ZIP(LANES / 2)) : __builtin_shufflevector(a, b, ZIP(0));
}
/* Every second lane of 2 * LANES - 1 in a row, of which a holds the first ones and b the last. */
#define EVEN(l) (2 * (l) + ((l) >= LANES / 2))
#define EVENS_2(l) EVEN(l), EVEN(l + 1)
#define EVENS_4(l) EVENS_2(l), EVENS_2(l + 2)
#define EVENS_8(l) EVENS_4(l), EVENS_4(l + 4)
#define EVENS_16(l) EVENS_8(l), EVENS_8(l + 8)
#if LANES == 16
#define EVENS EVENS_16(0)
#elif LANES == 8
#define EVENS EVENS_8(0)
#elif LANES == 4
#define EVENS EVENS_4(0)
#else
#define EVENS EVENS_2(0)
#endif
CYCONV_INLINE vec vevens(vec a, vec b) { return __builtin_shufflevector(a, b, EVENS); }
/* Each lane n times in a row, as n vectors; n is 2, 3 or 4. */
#define AGAIN(l, n, j) (((j) * LANES + (l)) / (n))
#define AGAIN_2(l, n, j) AGAIN(l, n, j), AGAIN(l + 1, n, j)
#define AGAIN_4(l, n, j) AGAIN_2(l, n, j), AGAIN_2(l + 2, n, j)
#define AGAIN_8(l, n, j) AGAIN_4(l, n, j), AGAIN_4(l + 4, n, j)
#define AGAIN_16(l, n, j) AGAIN_8(l, n, j), AGAIN_8(l + 8, n, j)
#if LANES == 16
#define REPEAT(n, j) vstore(p + (j) * LANES, __builtin_shufflevector(v, v, AGAIN_16(0, n, j)))
#elif LANES == 8
#define REPEAT(n, j) vstore(p + (j) * LANES, __builtin_shufflevector(v, v, AGAIN_8(0, n, j)))
#elif LANES == 4
#define REPEAT(n, j) vstore(p + (j) * LANES, __builtin_shufflevector(v, v, AGAIN_4(0, n, j)))
#else
#define REPEAT(n, j) vstore(p + (j) * LANES, __builtin_shufflevector(v, v, AGAIN_2(0, n, j)))
#endif
CYCONV_INLINE void vrepeat(vec v, int n, REAL *p) {
    if (n == 2) {
        REPEAT(2, 0);
        REPEAT(2, 1);
    } else if (n == 3) {
        REPEAT(3, 0);
        REPEAT(3, 1);
        REPEAT(3, 2);
    } else {
        REPEAT(4, 0);
        REPEAT(4, 1);
        REPEAT(4, 2);
        REPEAT(4, 3);
    }
}
/* A square of LANES vectors, transposed: each round zips its first half with its second. */
CYCONV_INLINE void vtranspose(vec *v) {
    vec w[LANES];
    int n, i;
    for (n = 1; n < LANES; n *= 2) {
        for (i = 0; i < LANES / 2; i++) {
            w[2 * i] = __builtin_shufflevector(v[i], v[i + LANES / 2], ZIP(0));
            w[2 * i + 1] = __builtin_shufflevector(v[i], v[i + LANES / 2], ZIP(LANES / 2));
        }
        for (i = 0; i < LANES; i++) v[i] = w[i];
    }
}
#else
#define SPREADS 0
#define vspread(v, n, k) (v)
#define vtranspose(v) ((void)(v))
#define vevens(a, b) (a)
#define vzip(a, b, second_half) (a)
#define vrepeat(v, n, p) ((void)(v))
#endif

/* The integer, which is one more from now on; of the threads that ask, each gets another. */
CYCONV_INLINE ptrdiff_t vtake(ptrdiff_t *p) {
    ptrdiff_t n;
#pragma omp atomic capture
    n = (*p)++;
    return n;
}

/* Read and write the control word of this thread's arithmetic; the barriers keep loads and stores on their side. */
#if defined(__x86_64__) && defined(__GNUC__)
#define CYCONV_FLUSH 0x8040 /* results to zero, inputs as zero */
CYCONV_INLINE uint64_t vcontrol(void) { return __builtin_ia32_stmxcsr(); }
CYCONV_INLINE void vkeep(uint64_t word) {
    __asm__ volatile("" ::: "memory");
    __builtin_ia32_ldmxcsr((unsigned)word);
    __asm__ volatile("" ::: "memory");
}
#elif defined(__aarch64__) && defined(__GNUC__)
#define CYCONV_FLUSH ((uint64_t)1 << 24)
CYCONV_INLINE uint64_t vcontrol(void) {
    uint64_t word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
}
CYCONV_INLINE void vkeep(uint64_t word) { __asm__ volatile("msr fpcr, %0" ::"r"(word) : "memory"); }
#else
#define CYCONV_FLUSH 0
CYCONV_INLINE uint64_t vcontrol(void) { return 0; }
CYCONV_INLINE void vkeep(uint64_t word) { (void)word; }
#endif

/* Denormals count as zero from now on; returns the control word that vkeep puts back. */
CYCONV_INLINE uint64_t vflush(void) {
    uint64_t word = vcontrol();
    vkeep(word | CYCONV_FLUSH);
    return word;
}

#endif
