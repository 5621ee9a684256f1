# Separable convolution: a few rows of depthwise results stay in the second-level cache and feed the pointwise tile.
# The sums are those of the two steps, in the same order: the result is theirs, bit for bit.

cdef void separable_task(const Conv* c, const Conv* pointwise, const REAL* x, const REAL* weights,
                         const REAL* pointwise_weights, REAL* y, char* scratch, Py_ssize_t task) noexcept nogil:
    cdef Py_ssize_t image = c.out_height * c.out_width, all_pixels = c.batch * image, parts = pointwise.filter_parts
    cdef Py_ssize_t pp = task // parts, fp = task % parts
    cdef Py_ssize_t p = pp * all_pixels // pointwise.pixel_parts, end = (pp + 1) * all_pixels // pointwise.pixel_parts
    cdef Py_ssize_t b0 = fp * pointwise.blocks // parts, b1 = (fp + 1) * pointwise.blocks // parts
    cdef Py_ssize_t n, p0, p1
    cdef REAL* middle = <REAL*>(scratch + c.scratch_bytes)          # [block pixels][channels * multiplier]
    cdef char* rest = scratch + c.scratch_bytes + pointwise.load_bytes
    while p < end:
        n = p // image
        p0 = p - n * image
        p1 = block_end(c, p0, min(image, end - n * image))
        depthwise_block(c, x + n * c.xn, p0, p1, 0, c.blocks, weights, middle - p0 * c.filters, scratch)
        multiply(pointwise, middle - p0 * c.filters, p0, p1, b0, b1, pointwise_weights, y + n * pointwise.yn,
                 <Py_ssize_t*>rest, <REAL*>(rest + pointwise.offset_bytes))
        p += p1 - p0

cdef void run_separable(const Conv* c, const Conv* second, const void* x, const void* weights,
                        const void* second_weights, void* y, char* scratch, int threads) noexcept nogil:
    run(separable_task, second.pixel_parts * second.filter_parts, second.scratch_bytes, c, second, x, weights,
        second_weights, y, scratch, threads)
