# Depthwise layers of wide planes under windows of few taps, at stride 1 along rows: tap after tap, where the rows lie.
#
# Loop order, outermost first, and what each level keeps where:
#   task             a range of output rows x a range of filters                       (threads)
#   filter           some rows of its plane                                            (first-level cache)
#   segment          columns whose windows lie inside the plane, read in place; those before and behind them, copied
#                    with their padding
#   tile             NV vectors of pixels of one row, their sums in registers; the last of a segment is moved back
#   tap              one weight for all of them; a load for each, across two lines mostly
#
# Such loads take twice as long, so that many taps are worth vectors of channels, or planes to go down. A dilation is
# only an offset; rows outside of the plane are zeros from elsewhere.

cdef enum:
    TAP_VECTORS = 4

cdef inline void tap_tile(int NV, Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t row, Py_ssize_t height,
                          Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t row_step, const REAL* x,
                          Py_ssize_t last, const REAL* w, REAL* y, int activation, REAL slope,
                          bint stream) noexcept nogil:
    """NV vectors of pixels, the last one `last` behind the first. `x`: under the first pixel's first tap, which is in
    a row of the plane."""
    cdef vec[TAP_VECTORS] acc
    cdef vec wv = vset(w[0])
    cdef Py_ssize_t kh, kw, at, step
    cdef const REAL* p
    cdef int v
    for v in range(NV):
        acc[v] = wv
    for kh in range(window_h):
        p = x
        at = last
        step = dilation_w
        if <size_t>row >= <size_t>height:
            p = ZEROS
            at = step = 0
        for kw in range(window_w):
            w += 1
            wv = vset(w[0])
            for v in range(NV):
                acc[v] += vload(p + (v * LANES if v < NV - 1 else at)) * wv
            p += step
        x += row_step
        row += dilation_h
    for v in range(NV):
        plane_store(acc[v], y + (v * LANES if v < NV - 1 else last), LANES, activation, slope, stream)

cdef inline void tap_tiles(int NV, Py_ssize_t tiles, const Conv* c, const REAL* x, Py_ssize_t pitch, Py_ssize_t row,
                           Py_ssize_t height, Py_ssize_t rows, Py_ssize_t last, const REAL* w, REAL* y,
                           Ahead* ahead) noexcept nogil:
    """So many tiles side by side, in `rows` rows of output."""
    # Copies: a vector store may alias anything in memory, so that fields would be read again after each.
    cdef Py_ssize_t window_h = c.window_h, window_w = c.window_w, dilation_h = c.dilation_h, dilation_w = c.dilation_w
    cdef Py_ssize_t stride_h = c.stride_h, row_step = dilation_h * pitch, out_width = c.out_width, r, i
    cdef int activation = c.activation
    cdef bint stream = c.stream, fetch_ahead = c.fetch_ahead
    cdef REAL slope = <REAL>c.slope
    for r in range(rows):
        for i in range(tiles):
            if fetch_ahead:
                fetch(&ahead[0], NV * stride_h)
                fetch(&ahead[1], NV)
            tap_tile(NV, window_h, window_w, row, height, dilation_h, dilation_w, row_step, x + i * NV * LANES, last, w,
                     y + i * NV * LANES, activation, slope, stream)
        row += stride_h
        x += stride_h * pitch
        y += out_width

cdef void tap_segment(const Conv* c, const REAL* x, Py_ssize_t pitch, Py_ssize_t row, Py_ssize_t height,
                      Py_ssize_t rows, Py_ssize_t columns, const REAL* w, REAL* y, Ahead* ahead) noexcept nogil:
    """So many columns of output at y, a vector at least. `x`: under the first one's first tap, which is in a row of
    the plane."""
    cdef Py_ssize_t tiles = columns // (TAP_VECTORS * LANES), i = tiles * TAP_VECTORS * LANES
    cdef Py_ssize_t n = (columns - i + LANES - 1) // LANES, last = columns - LANES - i
    if tiles:
        tap_tiles(TAP_VECTORS, tiles, c, x, pitch, row, height, rows, (TAP_VECTORS - 1) * LANES, w, y, ahead)
    x += i
    y += i
    if n == 1: tap_tiles(1, 1, c, x, pitch, row, height, rows, last, w, y, ahead)
    elif n == 2: tap_tiles(2, 1, c, x, pitch, row, height, rows, last, w, y, ahead)
    elif n == 3: tap_tiles(3, 1, c, x, pitch, row, height, rows, last, w, y, ahead)
    elif n == 4: tap_tiles(4, 1, c, x, pitch, row, height, rows, last, w, y, ahead)

cdef void copy_padded(const Conv* c, const REAL* plane, Py_ssize_t row, Py_ssize_t column, Py_ssize_t rows,
                      Py_ssize_t columns, REAL* dst) noexcept nogil:
    """dst[rows][columns] <- from a row and column on, of the plane or of the padding around it."""
    cdef Py_ssize_t h0, h1, w0, w1
    meet(row, rows, c.height, 1, &h0, &h1)
    meet(column, columns, c.width, 1, &w0, &w1)
    if h0 > 0 or w0 > 0 or h1 < rows or w1 < columns:
        memset(dst, 0, rows * columns * sizeof(REAL))
    if h0 < h1 and w0 < w1:
        pick(plane + (row + h0) * c.xh + (column + w0) * c.xw, c.xw, c.xh, h1 - h0, w1 - w0, dst + h0 * columns + w0,
             columns)

cdef void tap_planes(const Conv* c, const PlaneBlock* block, const REAL* x, const REAL* weights, REAL* y,
                     REAL* scratch, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """Filters [b0, b1) of a block, at least a vector wide."""
    cdef Py_ssize_t rows = block.out_rows, columns = block.out_columns, row = block.row + block.top
    cdef Py_ssize_t column = block.column + block.left, met = (c.window_w - 1) * c.dilation_w
    cdef Py_ssize_t met_rows = (rows - 1) * c.stride_h + (c.window_h - 1) * c.dilation_h + 1
    cdef Py_ssize_t size = c.window_h * c.window_w + 1, first, last, i, end, f
    cdef const REAL* plane
    cdef const REAL* w
    cdef REAL* dst
    cdef Ahead[2] ahead
    meet(column, columns, c.width - met, 1, &first, &last)         # whose windows lie inside
    first = (first + LANES - 1) // LANES * LANES
    if last < columns:
        last = first + (last - first) // LANES * LANES
    if c.load or last - first < LANES:
        first = last = columns
    for f in range(b0, b1):
        next_plane(c, block, x, y, f, ahead)
        plane = x + f // c.multiplier * c.xc
        w = weights + f * size
        dst = y + f * c.yf
        i = 0
        while i < columns:
            end = first if i < first else last if i < last else columns
            if first <= i < last:
                tap_segment(c, plane + row * c.xh + column + i, c.xh, row, c.height, rows, end - i, w, dst + i, ahead)
            else:
                i = max(0, min(i, end - LANES))                    # whole vectors
                copy_padded(c, plane, row, column + i, met_rows, end - i + met, scratch)
                tap_segment(c, scratch, end - i + met, 0, met_rows, rows, end - i, w, dst + i, ahead)
            i = end
