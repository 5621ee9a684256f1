# Separable convolution: a few rows of depthwise results stay in the second-level cache and feed the pointwise tile.
# The sums are those of the two steps, in the same order: the result is theirs, bit for bit.

cdef void separable_block(const Conv* c, const Conv* pointwise, const REAL* x, const REAL* weights,
                          const REAL* pointwise_weights, REAL* y, char* scratch, Py_ssize_t p0, Py_ssize_t p1,
                          Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    # [block pixels][channels * multiplier], or planes of pixels
    cdef REAL* middle = <REAL*>(scratch + c.scratch_bytes)
    cdef char* rest = scratch + c.scratch_bytes + pointwise.load_bytes
    if c.planar:
        p0 = whole_vector(c, p0, p1)
        middle -= p0
        depthwise_planes(c, NULL, x, weights, NULL, middle, scratch, p0, p1, 0, c.blocks)
        multiply_planes(pointwise, middle, p0, p1, b0, b1, pointwise_weights, y, NULL, rest)
    else:
        middle -= p0 * c.filters
        depthwise_block(c, NULL, x, weights, NULL, middle, scratch, p0, p1, 0, c.blocks)
        multiply(pointwise, pointwise, middle, p0, p1, b0, b1, pointwise_weights, y, rest,
                 <REAL*>(rest + pointwise.tile_bytes), NULL)

cdef void run_separable(const Conv* c, const Conv* pointwise, const void* x, const void* weights,
                        const void* pointwise_weights, void* y, char* scratch, int threads, team_t team) noexcept nogil:
    run(separable_block, c, pointwise, x, weights, pointwise_weights, y, scratch, threads, team)
