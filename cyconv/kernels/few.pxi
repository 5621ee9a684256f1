# Depthwise convolution with two to four taps whose windows share next to nothing: at a stride, far apart, or all in one
# set of the first-level cache.
#
# Loop order, outermost first, of the pixels of a row whose windows lie inside the input (depthwise.pxi: the others):
#   4 pixels         then 2 and 1: what is known of a row and its taps stays in registers; 2 of more rows where all that
#                    a tile meets is in one set of the first-level cache
#   channel vector   weights once for these pixels; inputs one by one, each needed once
#
# Beside the tile of depthwise.pxi, whose taps are a loop, each load is an instruction of its own, which meets line by
# line, so that the processor sees what follows, and there are half as many instructions, so that more lines are waited
# for at once. No line is needed again soon: that pixels share few sets of the cache does not matter.

cdef inline void few_tiles(int N, int MR, Py_ssize_t tiles, const Conv* c, const Py_ssize_t* taps, const REAL* x,
                           const REAL* weights, REAL* y, Py_ssize_t b0, Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    """So many tiles of MR pixels, channel vectors [b0, b1). `x`: under the first pixel's first tap; `taps`: the places
    of all N beside it."""
    cdef vec[4] acc
    cdef vec wv
    cdef const REAL* p[4]
    cdef const REAL* w
    # Copies: a vector store may alias anything in memory, so that fields would be read again after each.
    cdef Py_ssize_t first = b0 * LANES - c.leads, full = c.filters - LANES, next, at, step = c.stride_w * c.xw
    cdef Py_ssize_t yp = c.yp, strides = c.stride_h * c.stride_w, n, b
    cdef int activation = c.activation, t, i
    cdef bint fetch_ahead = c.fetch_ahead, stream = c.stream, plain = not (fetch_ahead or stream or activation)
    cdef REAL slope = <REAL>c.slope
    for n in range(tiles):
        w = weights + b0 * (N + 1) * LANES
        next = first
        for t in range(N):
            p[t] = x + taps[t]
        for b in range(b0, b1):
            at = max(0, min(next, full))                   # the last vector moved back to be full
            next += LANES
            for i in range(MR):
                acc[i] = vload(w)
            for t in range(N):
                wv = vfetch(w + (t + 1) * LANES)
                for i in range(MR):
                    acc[i] += vload(p[t] + at + i * step) * wv
            w += (N + 1) * LANES
            if plain:
                for i in range(MR):
                    vstore(y + at + i * yp, acc[i])
            else:
                if fetch_ahead:
                    fetch(&ahead[0], MR * strides)
                    fetch(&ahead[1], MR)
                depthwise_store(1, 1, MR, acc, y + at, yp, 0, activation, slope, stream)
        x += MR * step
        y += MR * yp

cdef inline void few_pixels(int N, const Conv* c, const Py_ssize_t* taps, const REAL* x, const REAL* w, REAL* y,
                            Py_ssize_t count, Py_ssize_t b0, Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    cdef Py_ssize_t step = c.stride_w * c.xw, n = 0
    if c.window_h == 1 or step * <Py_ssize_t>sizeof(REAL) % WAY_BYTES:
        few_tiles(N, 4, count >> 2, c, taps, x, w, y, b0, b1, ahead)
        n = count & ~3
    few_tiles(N, 2, (count - n) >> 1, c, taps, x + n * step, w, y + n * c.yp, b0, b1, ahead)
    n = count & ~1
    if count & 1:
        few_tiles(N, 1, 1, c, taps, x + n * step, w, y + n * c.yp, b0, b1, ahead)

cdef void run_few_taps(const Conv* c, const REAL* x, const REAL* w, REAL* y, Py_ssize_t count, Py_ssize_t b0,
                       Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    """The menu: `count` pixels of a row, whose windows lie inside. `x`: under the first one's first tap."""
    cdef Py_ssize_t taps[4]
    cdef Py_ssize_t n = c.window_h * c.window_w, t
    for t in range(n):
        taps[t] = t // c.window_w * c.dilation_h * c.xh + t % c.window_w * c.dilation_w * c.xw
    if n == 2: few_pixels(2, c, taps, x, w, y, count, b0, b1, ahead)
    elif n == 3: few_pixels(3, c, taps, x, w, y, count, b0, b1, ahead)
    else: few_pixels(4, c, taps, x, w, y, count, b0, b1, ahead)

cdef void few_row(const Conv* c, Conv* part, const REAL* x, const REAL* w, REAL* y, Py_ssize_t ih, Py_ssize_t first,
                  Py_ssize_t last, Py_ssize_t b0, Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    """Pixels [first, last) of a row of output at y, channel vectors [b0, b1). The rows of their windows, from ih on,
    lie inside the input. `part`: see depthwise_row."""
    cdef Py_ssize_t left = first, right = last
    windows_inside(c.left, c.stride_w, (c.window_w - 1) * c.dilation_w + 1, c.width, &left, &right)
    if first < left:
        depthwise_row(c, part, 1, False, 1, True, x, w, y, ih, first, left, 1, b0, b1, ahead)
    if left < right:
        run_few_taps(c, x + ih * c.xh + (left * c.stride_w - c.left) * c.xw, w, y + left * c.yp, right - left, b0, b1,
                     ahead)
    if right < last:
        depthwise_row(c, part, 1, False, 1, True, x, w, y, ih, right, last, 1, b0, b1, ahead)
