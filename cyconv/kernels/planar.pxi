# Dense layers with vectors of pixels: of planes, which are read as they lie, and where each group has few filters.
#
# The tile of conv.pxi with roles exchanged; what it takes for pixels are filters, for weights planes.
# Loop order, outermost first, and what each level keeps where:
#   task             a range of output pixels x a range of filter blocks               (threads)
#   pixel block      a few rows of input, a plane for each channel, read in place or loaded with their padding, at a
#                    stride the columns (and rows) of each phase apart                 (second-level cache)
#   filter block     a few filters, packed weights [filter][bias][taps][channels]   (first- or second-level cache)
#   run              pixels of a row, or of all rows with the columns between them that only the window needs
#   tile             MR filters x NV vectors of pixels                                 (registers)

cdef enum:
    MOST_FILTERS = 64    # of a block: schedule.PLANAR_FILTERS

cdef inline Py_ssize_t loaded_rows(const Conv* c, Py_ssize_t rows) noexcept nogil:
    """Of each phase, or tap, for so many output rows."""
    return rows if c.split_rows else rows + (c.window_h - 1) * c.dilation_h // c.stride_h

cdef inline Py_ssize_t loaded_columns(const Conv* c, Py_ssize_t columns) noexcept nogil:
    return columns if c.split_columns else columns + (c.window_w - 1) * c.dilation_w // c.stride_w

cdef struct Planes:
    # What some rows and columns of output meet: of run t input k, for pixel i, is k * line + i behind the run's first,
    # that of the next run jumps[t] behind this one's last.
    const REAL* x
    Py_ssize_t pitch                      # from one row to the next
    Py_ssize_t line, run, runs            # a tap's channels, or, of one channel, a row of the window
    Py_ssize_t* jumps

cdef inline bint gapless(const Conv* c) noexcept nogil:
    """Whether vectors of pixels may go on in the next row: blocks of whole rows without columns between them."""
    return c.block_shape == 1 and loaded_columns(c, c.out_width) == c.out_width

cdef inline Py_ssize_t apart(Py_ssize_t elements) noexcept nogil:
    """From one copied plane or tile to the next: an odd number of lines, which are in different sets of the cache."""
    return ((elements * sizeof(REAL) + LINE - 1) // LINE | 1) * LINE // sizeof(REAL)

cdef void copy_planes(const Conv* c, const REAL* x, Py_ssize_t channel, Py_ssize_t channels, Py_ssize_t row,
                      Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns, REAL* dst, Py_ssize_t pitch,
                      Py_ssize_t plane) noexcept nogil:
    """dst[channels][rows][columns] <- from a row and column of the input on, at the layer's strides."""
    cdef const REAL* src = x + row * c.xh + column * c.xw + channel * c.xc
    cdef Py_ssize_t k, before, after
    if c.xc != 1 or channels == 1:
        for k in range(channels):
            pick(src + k * c.xc, c.stride_w * c.xw, c.stride_h * c.xh, rows, columns, dst + k * plane, pitch)
        return
    for k in range(rows):
        # What lies between the image's first element and its last may be read too.
        before = after = 0
        if c.xh >= 0 and c.xw >= 0:
            before = (row + k * c.stride_h) * c.xh + column * c.xw + channel
            after = (c.height - 1) * c.xh + (c.width - 1) * c.xw + c.channels - before
            after -= (columns - 1) * c.stride_w * c.xw + channels
        transpose(src + k * c.stride_h * c.xh, c.stride_w * c.xw, 1, columns, channels, before, after,
                  dst + k * pitch, plane, True)

cdef void load_planes(const Conv* c, const REAL* x, Py_ssize_t g, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t column,
                      Py_ssize_t columns, REAL* dst, Planes* p) noexcept nogil:
    """Make `p` describe what these rows and columns of one image's output meet in group g: `x` itself, or copies in
    `dst`, of each phase of rows and columns [channels][rows][columns]; zeros where that is padding."""
    cdef Py_ssize_t channels = c.channels // c.groups, phases_h = c.window_h if c.split_rows else c.stride_h
    cdef Py_ssize_t phases_w = c.window_w if c.split_columns else c.stride_w, a, b, k, at, r, w, h0, h1, w0, w1
    cdef Py_ssize_t top = row * c.stride_h - c.top, left = column * c.stride_w - c.left, plane, end = 0
    cdef bint rowwise
    rows = loaded_rows(c, rows)
    columns = loaded_columns(c, columns)
    if not c.load and top >= 0 and left >= 0 and top + rows <= c.height and left + columns <= c.width:
        p.x = x + g * channels * c.xc + top * c.xh + left
        p.pitch = c.xh
        plane = c.xc
    else:
        p.x = dst
        p.pitch = columns
        plane = apart(rows * columns)
        for a in range(phases_h):
            r = top + (a * c.dilation_h if c.split_rows else a)
            meet(r, rows, c.height, c.stride_h, &h0, &h1)
            for b in range(phases_w):
                w = left + (b * c.dilation_w if c.split_columns else b)
                meet(w, columns, c.width, c.stride_w, &w0, &w1)
                if h0 > 0 or w0 > 0 or h1 < rows or w1 < columns:
                    for k in range(channels):
                        memset(dst + k * plane, 0, rows * columns * sizeof(REAL))
                if h0 < h1 and w0 < w1:
                    copy_planes(c, x, g * channels, channels, r + h0 * c.stride_h, h1 - h0, w + w0 * c.stride_w,
                                w1 - w0, dst + h0 * columns + w0, columns, plane)
                dst += channels * plane
    rowwise = channels == 1 and not c.split_columns and c.stride_w == 1
    p.line = c.dilation_w if rowwise else plane
    p.run = c.window_w if rowwise else channels
    p.runs = 0
    for a in range(c.window_h):
        r = a * c.dilation_h
        for b in range(1 if rowwise else c.window_w):
            w = b * c.dilation_w
            at = (a if c.split_rows else r % c.stride_h) * phases_w + (b if c.split_columns else w % c.stride_w)
            at *= channels * plane
            at += 0 if c.split_rows else r // c.stride_h * p.pitch
            at += 0 if c.split_columns else w // c.stride_w
            p.jumps[p.runs] = 0                              # of the last one
            if p.runs:
                p.jumps[p.runs - 1] = at - end
            end = at + p.run * p.line
            p.runs += 1

cdef void pack_planar(const Conv* c, Py_ssize_t K, const void* kernel, const void* bias, void* packed) noexcept nogil:
    """packed[filter][1 + K] <- bias, then kernel (K, filters)."""
    cdef REAL* dst = <REAL*>packed
    cdef Py_ssize_t f
    for f in range(c.filters):
        dst[f * (K + 1)] = (<const REAL*>bias)[f] if bias != NULL else 0
    transpose(<const REAL*>kernel, c.filters, 1, K, c.filters, 0, 0, dst + 1, K + 1, True)

cdef void multiply_run(const Conv* c, const Taps* t, const REAL* x, Py_ssize_t count, Py_ssize_t filters,
                       const Py_ssize_t* offsets, const Py_ssize_t* places, const REAL* weights,
                       REAL* y) noexcept nogil:
    """`count` pixels side by side. Where they are written to their place, the last vectors are moved back: they are
    then full, and pixels that two share are computed twice, equally."""
    cdef Py_ssize_t i = 0, at, width
    while i < count:
        width = min(c.vectors, (count - i + LANES - 1) // LANES)
        at = i
        if c.direct:
            width = min(width, max(1, count // LANES))
            at = min(i, count - width * LANES)
        run_equal(0, filters, width, t, weights, offsets, places, x + at, y + at)
        i += width * LANES

cdef void multiply_planes(const Conv* c, const REAL* x, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0, Py_ssize_t b1,
                          const REAL* weights, REAL* y, REAL* loaded, char* scratch) noexcept nogil:
    """Output pixels [p0, p1) of one image, filter blocks [b0, b1) counted over all groups."""
    cdef Py_ssize_t K = reduction(c), filters = c.filters // c.groups, W = c.out_width, b, f, g = -1, count, r, i
    cdef Py_ssize_t row, rows, column = 0, columns = W, first, end, last = 0, pitch = c.yf
    cdef Py_ssize_t[MOST_FILTERS] offsets, places
    cdef REAL* out = <REAL*>(scratch + c.tile_bytes)
    cdef Planes p
    cdef Taps t
    memset(&p, 0, sizeof(Planes))                            # set at the first block
    if c.direct and gapless(c):            # a vector at least
        p0 = max(0, min(p0, p1 - LANES))
        p1 = max(p1, p0 + LANES)
    row = p0 // W
    rows = (p1 - 1) // W + 1 - row
    first = p0 - row * W                                     # in the first row
    end = p1 - (row + rows - 1) * W                          # in the last row
    if rows == 1:
        if c.direct:
            first = max(0, min(first, end - LANES))
            end = max(end, first + LANES)
        column = first
        columns = end = end - first
        first = 0
    p.jumps = <Py_ssize_t*>scratch
    t.before = t.between = t.back = 0
    t.jumps = p.jumps
    t.window_w = 1
    t.resume = t.half = False
    t.blocks = 1
    t.block = 0
    t.fetched = 0
    t.stream = c.stream and c.direct
    t.activation = c.activation
    t.slope = <REAL>c.slope
    for i in range(c.block_filters):
        offsets[i] = i * (K + 1) + 1                         # behind the bias
    for b in range(b0, b1):
        if b // c.blocks != g:
            g = b // c.blocks
            load_planes(c, x, g, row, rows, column, columns, loaded, &p)
            t.line = p.line
            t.window_h = p.runs
            t.step_h = t.step_w = t.next_row = t.run = p.run
            last = (rows - 1) * p.pitch + end                # behind the last pixel
            if not c.direct:
                pitch = (last - first + LANES - 1) // LANES * LANES
            for i in range(c.block_filters):
                places[i] = i * pitch
        f = b % c.blocks * c.block_filters
        count = min(c.block_filters, filters - f)
        f += g * filters
        if c.direct and not gapless(c):
            for r in range(rows):
                last = max(LANES, end if r == rows - 1 else columns)
                i = max(0, min(first if r == 0 else 0, last - LANES))
                multiply_run(c, &t, p.x + r * p.pitch + i, last - i, count, offsets, places, weights + f * (K + 1),
                             y + f * c.yf + (row + r) * W + column + i)
        elif c.direct:
            multiply_run(c, &t, p.x + first, last - first, count, offsets, places, weights + f * (K + 1),
                         y + f * c.yf + row * W + column + first)
        else:
            multiply_run(c, &t, p.x + first, last - first, count, offsets, places, weights + f * (K + 1), out)
            for r in range(rows):
                i = first if r == 0 else 0
                scatter_planes(c, out + r * p.pitch + i - first, pitch, (row + r) * W + column + i,
                               (end if r == rows - 1 else columns) - i, f, count, y)

cdef void scatter_planes(const Conv* c, const REAL* src, Py_ssize_t pitch, Py_ssize_t p, Py_ssize_t count, Py_ssize_t f,
                         Py_ssize_t filters, REAL* y) noexcept nogil:
    """y at pixels [p, p + count), filters [f, f + filters) <- src[filters][pitch]."""
    y += p * c.yp + f * c.yf
    if c.yp == 1:
        copy(src, pitch, filters, count, y, c.yf)
    elif c.stream and filters == c.yp and count >= LANES:                # of two to four
        interleave(src, pitch, filters, count, y, True)
    else:
        transpose(src, pitch, 1, filters, count, 0, 0, y, c.yp, False)

cdef void planar_block(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* _weights, REAL* y,
                       char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    multiply_planes(c, x, p0, p1, b0, b1, weights, y, <REAL*>scratch, scratch + c.load_bytes)
