# Memory in whole cache lines: scratch, kept between calls, and the arrays of results.
#
# A vector store that straddles two cache lines costs as much as two, and NumPy aligns arrays to 16 bytes. A load waits
# for the store before it if both are at the same place of a page: a result whose pixels lie there beside the input's
# costs up to twice the time. Results are therefore allocated by a handler of our own (NEP 49), on a line, elsewhere in
# their pages than the input; or where they are in its lines, if vectors begin earlier wherever the input begins between
# two. They are ordinary arrays that own their memory.

cdef extern from *:
    """
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>
    #if defined(__linux__)
    #include <sys/mman.h>
    #endif

    #define CYCONV_HUGE ((size_t)2 << 20)
    #define CYCONV_PAGE 4096
    /* Of a page, from an input to its result: 11 lines, no multiple of 2, 4, 8, ... lines, as pixels often are. */
    #define CYCONV_APART (11 * 64)

    /* In front of memory: its size and what was allocated; multiples of this are where it may be. */
    typedef struct { void *start; size_t size; } cyconv_front;

    static uintptr_t cyconv_beside = 0;   /* which the next memory lies APART from; the GIL guards it */

    /* malloc's, with a page or a line more to choose a place in: glibc before 2.38 finds nothing that was freed where
       alignment is asked for, and large results would come from the system, a fault for each page, again and again. */
    static void *cyconv_at(size_t size, size_t period) {
        size_t more = sizeof(cyconv_front) + period;
        char *start = size > (size_t)-1 - more ? NULL : malloc(size + more), *p;
        if (!start) return NULL;
        p = start + sizeof(cyconv_front);
        p += (cyconv_beside + CYCONV_APART - (uintptr_t)p) % period;
        ((cyconv_front *)p)[-1].start = start;
        ((cyconv_front *)p)[-1].size = size;
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (size >= 2 * CYCONV_HUGE) {   /* as NumPy does: fewer page faults where they are costly */
            size_t first = ((size_t)p + CYCONV_HUGE - 1) / CYCONV_HUGE * CYCONV_HUGE;
            madvise((void *)first, ((size_t)p + size - first) / CYCONV_HUGE * CYCONV_HUGE, MADV_HUGEPAGE);
        }
    #endif
        return p;
    }

    static void *cyconv_malloc(void *ctx, size_t size) {
        (void)ctx;
        return cyconv_at(size, CYCONV_PAGE);
    }

    static void *cyconv_zeros(void *ctx, size_t n, size_t size) {
        void *p = size && n > (size_t)-1 / size ? NULL : cyconv_malloc(ctx, n * size);
        if (p) memset(p, 0, n * size);
        return p;
    }

    static void cyconv_free(void *ctx, void *p, size_t size) {
        (void)ctx, (void)size;
        if (p) free(((cyconv_front *)p)[-1].start);
    }

    static void *cyconv_resized(void *ctx, void *p, size_t size) {
        void *q = cyconv_malloc(ctx, size);
        if (q && p) {
            size_t before = ((cyconv_front *)p)[-1].size;
            memcpy(q, p, before < size ? before : size);
            cyconv_free(ctx, p, before);
        }
        return q;
    }

    static PyDataMem_Handler cyconv_handler = {
        "cyconv", 1, {NULL, cyconv_malloc, cyconv_zeros, cyconv_resized, cyconv_free}};
    """
    ctypedef struct PyDataMem_Handler:
        pass
    object PyDataMem_SetHandler(object)
    PyDataMem_Handler cyconv_handler
    uintptr_t cyconv_beside
    void* cyconv_at(size_t, size_t) nogil
    void cyconv_free(void*, void*, size_t) nogil

cdef enum:
    LINE = 64                  # bytes of a cache line
    SLOT = 16                  # bytes that arrays are aligned to, NumPy's and ours
    PAGE = 4096                # bytes after which loads and stores meet in the processor's eyes
    POOLED = 8                 # scratch buffers kept between calls
    ALIGNED_BYTES = 8 * 1024   # of a result; for less, changing the handler costs more than straddling stores

cdef object _handler = PyCapsule_New(&cyconv_handler, b"mem_handler", NULL)

# Scratch that no call is using, shared by all plans; the GIL guards it.
cdef char* _pool[POOLED]
cdef size_t _pool_bytes[POOLED]
cdef int _pooled = 0


cdef cnp.ndarray _empty(int ndim, cnp.npy_intp* dims, int typenum, size_t size, const void* beside, bint on_line):
    """A new array of `size` bytes for the result of the input at `beside`: where that pays, apart from it, and on a
    cache line or where the input is in its own."""
    global cyconv_beside
    if size < ALIGNED_BYTES:
        return cnp.PyArray_EMPTY(ndim, dims, typenum, 0)
    cyconv_beside = <uintptr_t>beside & ~<uintptr_t>((LINE if on_line else SLOT) - 1)
    before = PyDataMem_SetHandler(_handler)
    try:
        return cnp.PyArray_EMPTY(ndim, dims, typenum, 0)
    finally:
        PyDataMem_SetHandler(before)


cdef char* _take(size_t* size) except NULL:
    """A scratch buffer of at least size[0] bytes; size[0] becomes its own size."""
    global _pooled, cyconv_beside
    cdef int i
    cdef char* p
    for i in range(_pooled):
        if _pool_bytes[i] >= size[0]:
            p = _pool[i]
            size[0] = _pool_bytes[i]
            _pooled -= 1
            _pool[i] = _pool[_pooled]
            _pool_bytes[i] = _pool_bytes[_pooled]
            return p
    cyconv_beside = 0
    p = <char*>cyconv_at(size[0], LINE)
    if p == NULL:
        raise MemoryError(f"no memory for {size[0]} bytes of scratch")
    return p


cdef void _give(char* p, size_t size) noexcept:
    """Keep a scratch buffer for the next call, in place of a smaller one where the pool is full."""
    global _pooled
    cdef int i
    cdef int smallest = 0
    if _pooled < POOLED:
        _pool[_pooled] = p
        _pool_bytes[_pooled] = size
        _pooled += 1
        return
    for i in range(1, POOLED):
        if _pool_bytes[i] < _pool_bytes[smallest]:
            smallest = i
    if _pool_bytes[smallest] < size:
        cyconv_free(NULL, _pool[smallest], 0)
        _pool[smallest] = p
        _pool_bytes[smallest] = size
    else:
        cyconv_free(NULL, p, 0)


cdef size_t _round(Py_ssize_t size):
    """Up to whole cache lines."""
    return (size + LINE - 1) // LINE * LINE
