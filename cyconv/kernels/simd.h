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

/* Sums of a tile whose vectors are of channels: those of a square of pixels and filters, with a vector of each filter
   and one more beside them, fit the registers. */
#define DOTS (REGISTERS == 32 ? 16 : 10)
/* Products of a dense sum whose weights, for two vectors of filters, fit the registers beside bias, sums and an input. */
#define MOST_PRODUCTS (REGISTERS == 32 ? 12 : 5)
/* Depthwise taps whose weights fit the registers beside 8 sums and an input. */
#define MOST_TAPS (REGISTERS == 32 ? 8 : 4)

#if defined(__GNUC__)
#define CYCONV_INLINE static inline __attribute__((always_inline))
/* Cython marks its own inline functions with this: a tile called with literal sizes becomes a loop of its own. */
#undef CYTHON_INLINE
#define CYTHON_INLINE inline __attribute__((always_inline))
#define vprefetch(p) __builtin_prefetch(p)
/* To the second-level cache: what is needed so late that the first would have lost it again. */
#define vahead(p) __builtin_prefetch(p, 0, 2)
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
/* Says that a variable is in memory now, so that it takes no register between its uses. */
#define vrest(v) __asm__("" : "+m"(v))
#else
#define CYCONV_INLINE static inline
#define vprefetch(p) ((void)(p))
#define vahead(p) ((void)(p))
#define vfence() ((void)0)
#define vrenew(n) ((void)(n))
#define vpin(v) ((void)(v))
#define vrest(v) ((void)(v))
#endif

/* first, first + step, ...: PLACES of them. */
#define PLACES 8
CYCONV_INLINE void vcount(ptrdiff_t *dst, ptrdiff_t first, ptrdiff_t step) {
#if LANES > 1
    typedef ptrdiff_t integers __attribute__((vector_size(PLACES * sizeof(ptrdiff_t)), aligned(sizeof(ptrdiff_t))));
    *(integers *)dst = first + (integers){0, step, 2 * step, 3 * step, 4 * step, 5 * step, 6 * step, 7 * step};
#else
    int k;
    for (k = 0; k < PLACES; k++) dst[k] = first + k * step;
#endif
}

#if LANES == 1

typedef REAL vec;
CYCONV_INLINE vec vload(const REAL *p) { return *p; }
CYCONV_INLINE vec vfetch(const REAL *p) { return *p; }
CYCONV_INLINE vec vnow(const REAL *p) { return *p; }
CYCONV_INLINE void vstore(REAL *p, vec v) { *p = v; }
#define vstream(p, v) vstore(p, v)
typedef int lanes;
#define vlanes(bits, k) ((int)((bits) >> (k) & 1))
CYCONV_INLINE vec vpart(const REAL *p, lanes some, const REAL *low, const REAL *high) {
    (void)low, (void)high;
    return some ? *p : 0;
}
#define vstore_some(p, v, some) ((some) ? (void)(*(p) = (v)) : (void)0)
CYCONV_INLINE vec vset(REAL x) { return x; }
CYCONV_INLINE vec vnonneg(vec v) { return v < 0 ? 0 : v; }
CYCONV_INLINE vec vatmost(vec v, REAL top) { return v > top ? top : v; }
CYCONV_INLINE vec vleak(vec v, REAL slope) { return v < 0 ? v * slope : v; }
#define vlast(v, n) (v)

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
/* Loads at its place in the program: else it may be loaded early, and kept on the stack until it is needed. */
CYCONV_INLINE vec vnow(const REAL *p) { return *(const volatile vec *)p; }
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
/* NaN passes through all three, and -0: comparisons with NaN are false, and x86 takes the second operand then. */
CYCONV_INLINE vec vpick(vmask m, vec a, vec b) { return (vec)(((vmask)a & m) | ((vmask)b & ~m)); }
CYCONV_INLINE vec vleak(vec v, REAL slope) { return vpick((vmask)(v < (vec){0}), v * vset(slope), v); }
#if defined(__x86_64__)
#include <immintrin.h>
#if REAL_BYTES == 4
#define X86(prefix, bits, name, a, b) _mm##prefix##_##name##_ps((__m##bits)(a), (__m##bits)(b))
#else
#define X86(prefix, bits, name, a, b) _mm##prefix##_##name##_pd((__m##bits##d)(a), (__m##bits##d)(b))
#endif
#if defined(__AVX512F__)
#define VEC(name, a, b) (vec) X86(512, 512, name, a, b)
#elif defined(__AVX2__)
#define VEC(name, a, b) (vec) X86(256, 256, name, a, b)
#else
#define VEC(name, a, b) (vec) X86(, 128, name, a, b)
#endif
CYCONV_INLINE vec vnonneg(vec v) { return VEC(max, (vec){0}, v); }
CYCONV_INLINE vec vatmost(vec v, REAL top) { return VEC(min, vset(top), v); }
#else
CYCONV_INLINE vec vnonneg(vec v) { return (vec)((vmask)v & ~(vmask)(v < (vec){0})); }
CYCONV_INLINE vec vatmost(vec v, REAL top) { return vpick((vmask)(v > vset(top)), vset(top), v); }
#endif

/* Some lanes: those whose bits, from the k-th on, are set. */
#if defined(__AVX512F__)
typedef uint32_t lanes;
#define vlanes(bits, k) ((lanes)((bits) >> (k)))
#else
typedef vmask lanes;
CYCONV_INLINE lanes vlanes(uint64_t bits, int k) {
    vmask bit;
    int l;
    for (l = 0; l < LANES; l++) bit[l] = 1 << l;
    return (((vmask){0} + (int)(bits >> k)) & bit) == bit;
}
#endif
/* Loads some lanes alone, the others are zero. What lies from `low` up to `high` may be read too. */
/* vstore_some stores them alone. */
#if defined(__AVX512F__) && REAL_BYTES == 4
#define MASKS 1
#define vstore_some(p, v, some) _mm512_mask_storeu_ps(p, (__mmask16)(some), (__m512)(v))
#define vpart(p, some, low, high) ((vec)_mm512_maskz_loadu_ps((__mmask16)(some), p))
#elif defined(__AVX512F__)
#define MASKS 1
#define vstore_some(p, v, some) _mm512_mask_storeu_pd(p, (__mmask8)(some), (__m512d)(v))
#define vpart(p, some, low, high) ((vec)_mm512_maskz_loadu_pd((__mmask8)(some), p))
#elif defined(__AVX2__) && REAL_BYTES == 4
#define MASKS 1
#define vstore_some(p, v, some) _mm256_maskstore_ps(p, (__m256i)(some), (__m256)(v))
#define vpart(p, some, low, high) ((vec)_mm256_maskload_ps(p, (__m256i)(some)))
#elif defined(__AVX2__)
#define MASKS 1
#define vstore_some(p, v, some) _mm256_maskstore_pd(p, (__m256i)(some), (__m256d)(v))
#define vpart(p, some, low, high) ((vec)_mm256_maskload_pd(p, (__m256i)(some)))
#else
CYCONV_INLINE vec vpart(const REAL *p, lanes some, const REAL *low, const REAL *high) {
    vec v = {0};
    int l;
    if (p >= low && p + LANES <= high) return (vec)((vmask)vload(p) & some);
    for (l = 0; l < LANES; l++)
        if (some[l]) v[l] = p[l];
    return v;
}
CYCONV_INLINE void vstore_some(REAL *p, vec v, lanes some) {
    int l;
    for (l = 0; l < LANES; l++)
        if (some[l]) p[l] = v[l];
}
#endif

/* Zero but for its last n lanes. */
CYCONV_INLINE vec vlast(vec v, ptrdiff_t n) {
#if REAL_BYTES == 4
    static const int32_t masks[2 * LANES] = {[LANES ... 2 * LANES - 1] = -1};
#else
    static const int64_t masks[2 * LANES] = {[LANES ... 2 * LANES - 1] = -1};
#endif
    vmask mask;
    memcpy(&mask, masks + n, sizeof mask);
    return (vec)((vmask)v & mask);
}

#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define SPREADS 1
#endif
#endif

#endif

#ifndef MASKS
#define MASKS 0
#endif
/* Bits from `first` up to `end`, which may lie outside of those that there are. */
CYCONV_INLINE uint64_t vbits(ptrdiff_t first, ptrdiff_t end) {
    uint64_t below = end >= 64 ? ~(uint64_t)0 : end <= 0 ? 0 : ((uint64_t)1 << end) - 1;
    return first >= 64 ? 0 : first <= 0 ? below : below >> first << first;
}
/* What rows outside of the input are read from: by seven vectors, each less than one behind the one before it. */
static const REAL ZEROS[7 * LANES + 8] = {0};

#ifdef SPREADS
/* What a shuffle takes each lane from: LANE(l, a, b) for every lane l. */
#define EACH_2(LANE, l, a, b) LANE(l, a, b), LANE(l + 1, a, b)
#define EACH_4(LANE, l, a, b) EACH_2(LANE, l, a, b), EACH_2(LANE, l + 2, a, b)
#define EACH_8(LANE, l, a, b) EACH_4(LANE, l, a, b), EACH_4(LANE, l + 4, a, b)
#define EACH_16(LANE, l, a, b) EACH_8(LANE, l, a, b), EACH_8(LANE, l + 8, a, b)
#if LANES == 16
#define EACH EACH_16
#elif LANES == 8
#define EACH EACH_8
#elif LANES == 4
#define EACH EACH_4
#else
#define EACH EACH_2
#endif
#define SHUFFLE(v, w, LANE, a, b) __builtin_shufflevector(v, w, EACH(LANE, 0, a, b))

/* Half a vector. Where the units take a vector in two passes, its multiply-add takes half the time. */
#if defined(__AVX512F__)
#include <cpuid.h>
#define HALVES 1
/* Whether they do, on this CPU: those of AMD's family 25 with AVX-512, Zen 4. */
static int two_passes(void) {
    unsigned a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx && __get_cpuid(1, &a, &b, &c, &d) &&
           (a >> 8 & 15) + (a >> 20 & 255) == 25;
}
/* Whether this CPU is Intel's. Of those with AVX-512 the last-level cache is a mesh, nearly as far as memory. */
static int intel(void) {
    unsigned a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx;
}
typedef REAL half __attribute__((vector_size(LANES / 2 * REAL_BYTES), aligned(REAL_BYTES), may_alias));
#define AGAIN(l, half_lanes, unused) ((l) % (half_lanes))
#if LANES == 16
#define EACH_HALF EACH_8
#else
#define EACH_HALF EACH_4
#endif
CYCONV_INLINE half vlow(vec v) { return __builtin_shufflevector(v, v, EACH_HALF(AGAIN, 0, LANES, 0)); }
CYCONV_INLINE vec vtwice(half h) { return SHUFFLE(h, h, AGAIN, LANES / 2, 0); }
CYCONV_INLINE half hload(const REAL *p) { return *(const half *)p; }
CYCONV_INLINE void hstore(REAL *p, half h) { *(half *)p = h; }
CYCONV_INLINE half hset(REAL x) { return x - (half){0}; }
CYCONV_INLINE half hnonneg(half h) { return (half)X86(256, 256, max, (half){0}, h); }
CYCONV_INLINE half hatmost(half h, REAL top) { return (half)X86(256, 256, min, hset(top), h); }
CYCONV_INLINE half hleak(half h, REAL slope) { return vlow(vleak(vtwice(h), slope)); }
/* Stores the first n lanes alone. */
#if REAL_BYTES == 4
#define MASKED_STORE "vmovups %1, %0%{%2%}"
#else
#define MASKED_STORE "vmovupd %1, %0%{%2%}"
#endif
CYCONV_INLINE void vstore_first(REAL *p, vec v, ptrdiff_t n) {
    __asm__(MASKED_STORE : "+m"(*(vec *)p) : "v"(v), "Yk"((uint16_t)((1 << n) - 1)));
}
#endif

/* Lane k of every n lanes, in all of these n; n and k are literals. */
#define SPREAD(l, n, k) ((l) / (n) * (n) + (k))
#define SPREAD_CASE(n, k) case 16 * n + k: return SHUFFLE(v, v, SPREAD, n, k);
CYCONV_INLINE vec vspread(vec v, int n, int k) {
    switch (16 * n + k) {
        SPREAD_CASE(2, 0) SPREAD_CASE(2, 1)
#if LANES > 4
        SPREAD_CASE(4, 0) SPREAD_CASE(4, 1) SPREAD_CASE(4, 2) SPREAD_CASE(4, 3)
#endif
#if LANES > 8
        SPREAD_CASE(8, 0) SPREAD_CASE(8, 1) SPREAD_CASE(8, 2) SPREAD_CASE(8, 3)
        SPREAD_CASE(8, 4) SPREAD_CASE(8, 5) SPREAD_CASE(8, 6) SPREAD_CASE(8, 7)
#endif
    }
    return v;
}

/* One half of both vectors, their lanes in turns. */
#define ZIP(l, half, unused) ((half) * LANES / 2 + (l) / 2 + (l) % 2 * LANES)
CYCONV_INLINE vec vzip(vec a, vec b, int second_half) {
    return second_half ? SHUFFLE(a, b, ZIP, 1, 0) : SHUFFLE(a, b, ZIP, 0, 0);
}
/* Of three vectors, lanes in turns: the j-th vector of these; j is a literal. */
#define TURN(l, j, unused) (((j) * LANES + (l)) % 3 == 0 ? ((j) * LANES + (l)) / 3 : LANES + ((j) * LANES + (l)) / 3)
#define LAST_TURN(l, j, unused) (((j) * LANES + (l)) % 3 == 2 ? LANES + ((j) * LANES + (l)) / 3 : (l))
#define ZIP_3(j) SHUFFLE(SHUFFLE(a, b, TURN, j, 0), c, LAST_TURN, j, 0)
CYCONV_INLINE vec vzip3(vec a, vec b, vec c, int j) { return j == 0 ? ZIP_3(0) : j == 1 ? ZIP_3(1) : ZIP_3(2); }
/* Every third lane of three vectors in a row, from the k-th on; k is a literal. */
#define THIRD(l, k, unused) (3 * (l) + (k) < 2 * LANES ? 3 * (l) + (k) : (l))
#define LAST_THIRD(l, k, unused) (3 * (l) + (k) < 2 * LANES ? (l) : 3 * (l) + (k) - LANES)
#define EVERY_3(k) SHUFFLE(SHUFFLE(a, b, THIRD, k, 0), c, LAST_THIRD, k, 0)
CYCONV_INLINE vec vevery3(vec a, vec b, vec c, int k) {
    return k == 0 ? EVERY_3(0) : k == 1 ? EVERY_3(1) : EVERY_3(2);
}
/* Every second lane of 2 * LANES - 1 in a row, of which a holds the first ones and b the last. */
#define EVEN(l, unused, unused_too) (2 * (l) + ((l) >= LANES / 2))
CYCONV_INLINE vec vevens(vec a, vec b) { return SHUFFLE(a, b, EVEN, 0, 0); }
/* Each lane n times in a row, as n vectors; n is 2, 3 or 4. */
#define REPEAT(l, n, j) (((j) * LANES + (l)) / (n))
CYCONV_INLINE void vrepeat(vec v, int n, REAL *p) {
    if (n == 2) {
        vstore(p, SHUFFLE(v, v, REPEAT, 2, 0));
        vstore(p + LANES, SHUFFLE(v, v, REPEAT, 2, 1));
    } else if (n == 3) {
        vstore(p, SHUFFLE(v, v, REPEAT, 3, 0));
        vstore(p + LANES, SHUFFLE(v, v, REPEAT, 3, 1));
        vstore(p + 2 * LANES, SHUFFLE(v, v, REPEAT, 3, 2));
    } else {
        vstore(p, SHUFFLE(v, v, REPEAT, 4, 0));
        vstore(p + LANES, SHUFFLE(v, v, REPEAT, 4, 1));
        vstore(p + 2 * LANES, SHUFFLE(v, v, REPEAT, 4, 2));
        vstore(p + 3 * LANES, SHUFFLE(v, v, REPEAT, 4, 3));
    }
}
/* The sums of LANES vectors, in their order. Each round adds lanes that are d apart: of two vectors, those of one go
   where the other has its own; the one operand is a blend, which costs less than a shuffle. */
#define BLEND(l, d, unused) ((l) & (d) ? LANES + (l) : (l))
#define CROSS(l, d, unused) ((l) & (d) ? LANES + (l) - (d) : (l) + (d))
#define SUM_LANES(d) \
    for (i = 0; i < d; i++) v[i] = SHUFFLE(v[i], v[i + d], BLEND, d, 0) + SHUFFLE(v[i], v[i + d], CROSS, d, 0)
CYCONV_INLINE vec vsums(vec *v) {
    int i;
#if LANES > 8
    SUM_LANES(8);
#endif
#if LANES > 4
    SUM_LANES(4);
#endif
#if LANES > 2
    SUM_LANES(2);
#endif
    SUM_LANES(1);
    return v[0];
}
/* A square of LANES vectors, transposed: each round zips its first half with its second. */
CYCONV_INLINE void vtranspose(vec *v) {
    vec w[LANES];
    int n, i;
    for (n = 1; n < LANES; n *= 2) {
        for (i = 0; i < LANES / 2; i++) {
            w[2 * i] = SHUFFLE(v[i], v[i + LANES / 2], ZIP, 0, 0);
            w[2 * i + 1] = SHUFFLE(v[i], v[i + LANES / 2], ZIP, 1, 0);
        }
        for (i = 0; i < LANES; i++) v[i] = w[i];
    }
}
#else
#define SPREADS 0
#define vspread(v, n, k) (v)
#define vtranspose(v) ((void)(v))
#define vsums(v) (*(v))
#define vevens(a, b) (a)
#define vzip(a, b, second_half) (a)
#define vzip3(a, b, c, j) ((void)(b), (void)(c), (a))
#define vevery3(a, b, c, k) ((void)(b), (void)(c), (a))
#define vrepeat(v, n, p) ((void)(v))
#endif

/* vevery: every second lane of a and, behind it, b, from the k-th on. vmore: the lanes of v from the n-th on and, behind
   them, every second of w, from the k-th on. n and k are literals; of fewer lanes than four neither is asked for. */
#if LANES < 4
#define vevery(a, b, k) ((void)(b), (a))
#define vmore(v, w, n, k) ((void)(w), (v))
#elif SPREADS
#define SECOND(l, k, unused) (2 * (l) + (k))
#define MORE(l, n, k) ((l) + (n) < LANES ? (l) + (n) : LANES + 2 * ((l) + (n) - LANES) + (k))
#if defined(__AVX2__) && LANES == 8 && REAL_BYTES == 4
/* Two instructions: GCC takes three for the shuffle, and two registers. */
CYCONV_INLINE vec vevery(vec a, vec b, int k) {
    __m256 every = k ? _mm256_shuffle_ps((__m256)a, (__m256)b, 0xDD) : _mm256_shuffle_ps((__m256)a, (__m256)b, 0x88);
    return (vec)_mm256_permute4x64_pd((__m256d)every, 0xD8);
}
#else
CYCONV_INLINE vec vevery(vec a, vec b, int k) { return k ? SHUFFLE(a, b, SECOND, 1, 0) : SHUFFLE(a, b, SECOND, 0, 0); }
#endif
CYCONV_INLINE vec vmore(vec v, vec w, int n, int k) {
    return n == 2 ? SHUFFLE(v, w, MORE, 2, 0) : k ? SHUFFLE(v, w, MORE, 1, 1) : SHUFFLE(v, w, MORE, 1, 0);
}
#else
CYCONV_INLINE vec vevery(vec a, vec b, int k) {
    vec v;
    int l;
    for (l = 0; l < LANES; l++) v[l] = l < LANES / 2 ? a[2 * l + k] : b[2 * l + k - LANES];
    return v;
}
CYCONV_INLINE vec vmore(vec v, vec w, int n, int k) {
    vec r;
    int l;
    for (l = 0; l < LANES; l++) r[l] = l + n < LANES ? v[l + n] : w[2 * (l + n - LANES) + k];
    return r;
}
#endif

#ifndef HALVES
#define HALVES 0
#define two_passes() 0
#define intel() 0
typedef vec half;
#define vlow(v) (v)
#define hnonneg vnonneg
#define hatmost vatmost
#define hleak vleak
#define hload vload
#define hstore vstore
#define hset vset
/* Stores the first n lanes alone. */
CYCONV_INLINE void vstore_first(REAL *p, vec v, ptrdiff_t n) {
    REAL each[LANES];
    ptrdiff_t l;
    if (n == LANES) {
        vstore(p, v);
        return;
    }
    vstore(each, v);
    for (l = 0; l < n; l++) p[l] = each[l];
}
#endif

/* What exp and log are computed with. MAGIC is so large that the last bit of what is added to it counts ones. */
#if REAL_BYTES == 4
#define MAGIC 12582912.0f
#define LOG_2_HIGH 0.693359375f /* times a whole number, exact */
#define LOG_2_LOW -2.12194440054690583e-4f
#define EXP_TERMS 7
#define LOG_TERMS 8
#define EXP_LEAST -104.0f /* below, exp is zero */
#define EXP_MOST 89.0f    /* above, infinite */
#define EXPM1_LEAST -87.0f
#define TANH_MOST 10.0f
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#else
#define MAGIC 6755399441055744.0
#define LOG_2_HIGH 0.693147180369123816490
#define LOG_2_LOW 1.90821492927058770002e-10
#define EXP_TERMS 13
#define LOG_TERMS 17
#define EXP_LEAST -746.0
#define EXP_MOST 710.0
#define EXPM1_LEAST -708.0
#define TANH_MOST 20.0
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#endif
#define LOG2_E ((REAL)1.44269504088896340736)
#define ROOT_HALF ((REAL)0.70710678118654752440)
static const REAL INVERSE_FACTORIALS[14] = {
    1, 1, (REAL)1 / 2, (REAL)1 / 6, (REAL)1 / 24, (REAL)1 / 120, (REAL)1 / 720, (REAL)1 / 5040, (REAL)1 / 40320,
    (REAL)1 / 362880, (REAL)1 / 3628800, (REAL)1 / 39916800, (REAL)1 / 479001600, (REAL)1 / 6227020800};
/* 2 to the power of a whole number that an exponent holds; of NaN, anything. */
#if LANES == 1
#include <math.h>
CYCONV_INLINE vec vpower(vec n) { return n == n ? (REAL)ldexp(1, (int)n) : n; }
#else
CYCONV_INLINE vec vpower(vec n) { return (vec)(((vmask)(n + vset(MAGIC)) + EXPONENT_BIAS) << MANTISSA_BITS); }
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
