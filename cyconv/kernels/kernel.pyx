"""The kernels of one instruction set and one dtype; compiled once for each, from this one source.

A kernel receives validated arguments and a preallocated output; it neither allocates nor raises.
Every sum starts with the bias and adds taps in row order, channels inside, whatever tile, block or thread it falls to;
where vectors are of channels (dots.pxi) each lane does so, and lanes are added last; where depthwise sums go along
their rows (along.pxi) taps come in the order of columns; where products are fewer than taps (winograd.pxi) an output
adds up sums over channels. The bits of a result depend on the instruction set, the dtype, the layer's shape and, there,
on the image's, not on batch or threads. Padding is zeros that are multiplied like any input; where
weights are finite that adds nothing, and may be left out.
"""
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport prange
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from cyconv.kernels.contract cimport (
    ELU, EXPONENTIAL, GELU, HARD_SIGMOID, HARD_SILU, HARD_TANH, LOG_SIGMOID, MISH, SELU, SIGMOID, SILU, SOFTPLUS,
    SOFTSIGN, TANH, Conv, Kernels, team_t, work_t,
)

cdef extern from "simd.h" nogil:
    ctypedef float REAL
    ctypedef float vec
    ctypedef float half
    ctypedef int lanes
    const REAL* ZEROS
    const int MASKS
    const int LANES, REGISTERS, HALVES, SPREADS, DOTS, MOST_TAPS, MOST_PRODUCTS
    vec vload(const REAL*) noexcept
    vec vfetch(const REAL*) noexcept
    void vpin(vec) noexcept
    vec vnow(const REAL*) noexcept
    void vstore(REAL*, vec) noexcept
    void vstream(REAL*, vec) noexcept
    vec vset(REAL) noexcept
    half hload(const REAL*) noexcept
    half hset(REAL) noexcept
    void hstore(REAL*, half) noexcept
    void vstore_first(REAL*, vec, Py_ssize_t) noexcept
    half vlow(vec) noexcept
    half hnonneg(half) noexcept
    half hatmost(half, REAL) noexcept
    half hleak(half, REAL) noexcept
    vec vspread(vec, int, int) noexcept
    vec vevens(vec, vec) noexcept
    vec vevery(vec, vec, int) noexcept
    vec vmore(vec, vec, int, int) noexcept
    uint64_t vbits(Py_ssize_t, Py_ssize_t) noexcept
    void vstore_some(REAL*, vec, lanes) noexcept
    lanes vlanes(uint64_t, int) noexcept
    vec vpart(const REAL*, lanes, const REAL*, const REAL*) noexcept
    vec vzip(vec, vec, int) noexcept
    vec vzip3(vec, vec, vec, int) noexcept
    vec vevery3(vec, vec, vec, int) noexcept
    void vrepeat(vec, int, REAL*) noexcept
    void vtranspose(vec*) noexcept
    vec vsums(vec*) noexcept
    vec vlast(vec, Py_ssize_t) noexcept
    vec vnonneg(vec) noexcept
    vec vatmost(vec, REAL) noexcept
    vec vleak(vec, REAL) noexcept
    vec vpower(vec) noexcept
    const REAL MAGIC, LOG_2_HIGH, LOG_2_LOW, LOG2_E, ROOT_HALF, EXP_LEAST, EXP_MOST, EXPM1_LEAST, TANH_MOST
    const REAL* INVERSE_FACTORIALS
    const int EXP_TERMS, LOG_TERMS, REAL_BYTES
    const int PLACES
    void vcount(Py_ssize_t*, Py_ssize_t, Py_ssize_t) noexcept
    void vprefetch(const REAL*) noexcept
    void vahead(const REAL*) noexcept
    void vfence() noexcept
    int two_passes() noexcept
    int intel() noexcept
    void vrenew(Py_ssize_t) noexcept
    void vhold "vrenew" (const REAL*) noexcept
    void vrest(...) noexcept
    Py_ssize_t vtake(Py_ssize_t*) noexcept
    uint64_t vflush() noexcept
    void vkeep(uint64_t) noexcept

from cyconv import erfc

cdef enum:
    ERFC_SIZE = 32
    PREFETCH = 512       # elements of packed weights ahead of the tile
    LINE = 64            # bytes of a cache line
    WAY_BYTES = 4096     # addresses so far apart share a set of the first-level cache
    MOST_SHARED = 8      # pixels of a row, whose channel vectors share lines, that are finished before the next ones
    GROUP = 512 // sizeof(vec)    # channel vectors of a depthwise row, at least, that are finished before the next ones

include "activate.pxi"
include "tasks.pxi"
include "ahead.pxi"
include "rows.pxi"
include "conv.pxi"
include "dots.pxi"
include "short.pxi"
include "planar.pxi"
include "winograd.pxi"
include "along.pxi"
include "few.pxi"
include "thin.pxi"
include "depthwise.pxi"
include "depthwise_planar.pxi"
include "plane_taps.pxi"
include "walk.pxi"
include "separable.pxi"

cdef Kernels table
table.conv_bytes = sizeof(Conv)
table.lanes = LANES
table.real_bytes = sizeof(REAL)
table.spreads = SPREADS
table.halves = HALVES
table.two_passes = two_passes()
table.intel = intel()
table.dots = DOTS if SPREADS else 0
table.products = MOST_PRODUCTS
table.conv = run_conv
table.depthwise = run_depthwise
table.separable = run_separable
table.pack_conv = pack_conv
table.pack_depthwise = pack_depthwise
table.finite = finite
table.activate = activate
for _vectors in range(1, 5):
    table.pixels[_vectors] = tile_pixels(_vectors)

kernels = PyCapsule_New(&table, b"cyconv.kernels", NULL)
