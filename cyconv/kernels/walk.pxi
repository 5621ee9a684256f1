# Dense layers of planes with few filters in each group: vectors of pixels go down the planes, as in depthwise layers.
#
# Loop order, outermost first, and what each level keeps where:
#   task             a range of output rows x a range of filter blocks                 (threads)
#   filter block     at most four filters of a group, packed weights [bias][columns][channels][rows][filters]
#                    (first- or second-level cache)
#   column           NV vectors of pixels in each row of output, their sums for LIVE rows and F filters   (registers)
#   row of input     for each column of the window and each channel NV loads, LIVE * F broadcasts of weights, and
#                    LIVE * F * NV multiply-adds; the oldest row of output is then complete
#
# Each input is loaded window_w times for all rows and filters, in place; the tile of planar.pxi loads it for each tap.
# Lanes outside of the plane are not read. A window's rows are met one after another, in each its columns, in each of
# these the channels: the order of every dense layer.

cdef enum:
    WALKED_SUMS = 24                      # beside weights and inputs, in registers: tiles.WALKED_SUMS

cdef inline void walk_row(int LIVE, int F, int NV, const Conv* c, const REAL* x, Py_ssize_t plane, Py_ssize_t pitch,
                          const lanes* inside, const REAL* w, vec* acc) noexcept nogil:
    """Add what a row of input at x gives to the rows of output that it meets, by their age."""
    cdef lanes[4] some
    cdef vec[4] xv
    cdef vec wv
    cdef const REAL* p
    cdef Py_ssize_t channels = c.channels // c.groups, kw, k
    cdef int age, f, v
    for kw in range(c.window_w):
        for v in range(NV):
            some[v] = inside[kw * NV + v]
        p = x + kw
        for k in range(channels):
            for v in range(NV):
                xv[v] = vpart(p + v * LANES, some[v], NULL, NULL)
                if kw == 0:                      # the next row's: of many planes, the processor does not see them come
                    vahead(p + v * LANES + pitch)
            for age in range(LIVE):
                for f in range(F):
                    wv = vset(w[age * F + f])
                    for v in range(NV):
                        acc[(age * F + f) * NV + v] += xv[v] * wv
            w += LIVE * F
            p += plane

cdef inline void walk_column(int LIVE, int F, int NV, const Conv* c, const PlaneBlock* block,
                             const REAL* planes, Py_ssize_t plane, Py_ssize_t column, const REAL* weights, REAL* y,
                             Py_ssize_t yf, Py_ssize_t count) noexcept nogil:
    """NV vectors of pixels, of which `count` pixels are stored, in each row of output."""
    cdef vec[WALKED_SUMS] acc             # by age, filter and vector
    cdef vec[8] done                      # what is stored, in memory: by variable index, all sums would be
    cdef lanes[28] inside                 # by column of the window and vector
    cdef Py_ssize_t row = block.row, r
    cdef uint64_t bits
    cdef REAL slope = <REAL>c.slope
    cdef int q, f, v, activation = c.activation
    cdef bint stream = c.stream, there
    for v in range(NV):
        bits = vbits(-column - v * LANES, block.columns - column - v * LANES)
        for q in range(c.window_w):
            inside[q * NV + v] = vlanes(bits, q)
    for q in range(LIVE * F * NV):
        acc[q] = vset(0)
    for r in range(1 - LIVE, block.out_rows):      # rows before the first are begun too, and not stored
        for q in range((LIVE - 1) * F * NV):
            acc[LIVE * F * NV - 1 - q] = acc[(LIVE - 1) * F * NV - 1 - q]
        for f in range(F):
            for v in range(NV):
                acc[f * NV + v] = vset(weights[f])
        there = <size_t>row < <size_t>block.rows
        if there or not c.leave_out:
            walk_row(LIVE, F, NV, c, planes + row * block.pitch + column if there else ZEROS, plane if there else 0,
                     block.pitch if there else 0, inside, weights + F, acc)
        row += 1
        if r >= 0:
            for q in range(F * NV):
                done[q] = acc[(LIVE - 1) * F * NV + q]
            for f in range(F):
                for v in range(NV):
                    plane_store(done[f * NV + v], y + f * yf + v * LANES,
                                min(count - v * LANES, LANES), activation, slope, stream)
            y += c.out_width

cdef inline void walk_columns(int LIVE, int F, const Conv* c, const PlaneBlock* block, const REAL* planes,
                              Py_ssize_t plane, const REAL* weights, REAL* y, Py_ssize_t yf) noexcept nogil:
    """All columns of a block, for F filters, as wide as the registers hold sums."""
    cdef int most = WALKED_SUMS // (LIVE * F)
    cdef Py_ssize_t i = 0, count
    while i < block.out_columns:
        count = block.out_columns - i
        if most >= 4 and count > 3 * LANES:
            walk_column(LIVE, F, 4, c, block, planes, plane, block.column + i, weights, y + i, yf, count)
            i += 4 * LANES
        elif most >= 2 and count > LANES:
            walk_column(LIVE, F, 2, c, block, planes, plane, block.column + i, weights, y + i, yf, count)
            i += 2 * LANES
        else:
            walk_column(LIVE, F, 1, c, block, planes, plane, block.column + i, weights, y + i, yf, count)
            i += LANES

cdef void run_walk_columns(const Conv* c, const PlaneBlock* block, const REAL* planes, Py_ssize_t plane,
                           const REAL* weights, REAL* y, Py_ssize_t yf, Py_ssize_t filters) noexcept nogil:
    """The menu: schedule.walk_blocking knows it too. Half as many registers hold too few sums to be worth it, and
    without masks there would be two forms of each."""
    if HALVES and c.window_h == 3:
        if filters == 1: walk_columns(3, 1, c, block, planes, plane, weights, y, yf)
        elif filters == 2: walk_columns(3, 2, c, block, planes, plane, weights, y, yf)
        elif filters == 3: walk_columns(3, 3, c, block, planes, plane, weights, y, yf)
        else: walk_columns(3, 4, c, block, planes, plane, weights, y, yf)
    elif HALVES:
        if filters == 1: walk_columns(5, 1, c, block, planes, plane, weights, y, yf)
        elif filters == 2: walk_columns(5, 2, c, block, planes, plane, weights, y, yf)
        elif filters == 3: walk_columns(5, 3, c, block, planes, plane, weights, y, yf)
        else: walk_columns(5, 4, c, block, planes, plane, weights, y, yf)

cdef inline Py_ssize_t first_filter(const Conv* c, Py_ssize_t b) noexcept nogil:
    """Of filter block b, counted over all groups."""
    return b // c.blocks * (c.filters // c.groups) + b % c.blocks * c.block_filters

cdef void pack_walk(const Conv* c, const REAL* kernel, const REAL* bias, REAL* packed) noexcept nogil:
    """packed[group][block][bias, columns * channels * rows][filters of the block] <- bias, then kernel (rows, columns,
    channels, filters)."""
    cdef Py_ssize_t channels = c.channels // c.groups, b, f, count, kh, kw, k, i
    for b in range(c.groups * c.blocks):
        f = first_filter(c, b)
        count = first_filter(c, b + 1) - f
        for i in range(count):
            packed[i] = bias[f + i] if bias != NULL else 0
        packed += count
        for kw in range(c.window_w):
            for k in range(channels):
                for kh in range(c.window_h):
                    memcpy(packed, kernel + ((kh * c.window_w + kw) * channels + k) * c.filters + f,
                           count * sizeof(REAL))
                    packed += count

cdef inline Py_ssize_t copied_rows(const Conv* c) noexcept nogil:
    """Of output, whose planes have room in scratch."""
    cdef Py_ssize_t size = sizeof(REAL), line = LINE // size, plane = (c.load_bytes // size - LANES) // c.channels
    return plane // line * line // (c.out_width + c.window_w - 1) - c.window_h + 1

cdef void walk_block(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* _weights, REAL* y,
                     char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """Output pixels [p0, p1) of one image, whole rows, filter blocks [b0, b1) counted over all groups. What is copied
    is copied for all of these: pixels become planes, and planes pixels, in whole vectors of channels."""
    cdef Py_ssize_t channels = c.channels // c.groups, g0 = b0 // c.blocks
    cdef Py_ssize_t most = copied_rows(c) * c.out_width if c.load else p1 - p0, first = first_filter(c, b0)
    cdef Py_ssize_t plane, pitch, end, b, f
    cdef const REAL* planes
    cdef REAL* out
    cdef PlaneBlock block
    while p0 < p1:
        end = min(p0 + most, p1)
        set_block(c, p0, end, &block)
        planes = x + g0 * channels * c.xc
        plane = c.xc
        if c.load:
            planes = <const REAL*>scratch
            plane = apart(block.rows * block.columns)
            if block.rows > 0 and block.columns > 0:
                copy_planes(c, x, g0 * channels, ((b1 - 1) // c.blocks + 1 - g0) * channels, block.top, block.rows,
                            block.left, block.columns, <REAL*>scratch, block.columns, plane)
        out = y + first * c.yf + p0
        pitch = c.yf
        if not c.direct:
            out = <REAL*>(scratch + c.load_bytes)
            pitch = apart(end - p0)
        for b in range(b0, b1):
            f = first_filter(c, b)
            run_walk_columns(c, &block, planes + (b // c.blocks - g0) * channels * plane, plane,
                             weights + f * (1 + reduction(c)), out + (f - first) * pitch, pitch,
                             first_filter(c, b + 1) - f)
        if not c.direct:
            scatter_planes(c, out, pitch, p0, end - p0, first, first_filter(c, b1) - first, y)
        p0 = end
