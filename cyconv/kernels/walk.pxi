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
    WALKED_SUMS = 24                      # beside weights and inputs, in registers: schedule.WALKED_SUMS

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
                    vprefetch(p + v * LANES + pitch)
            for age in range(LIVE):
                for f in range(F):
                    wv = vset(w[age * F + f])
                    for v in range(NV):
                        acc[(age * F + f) * NV + v] += xv[v] * wv
            w += LIVE * F
            p += plane

cdef inline void walk_column(int LIVE, int F, int NV, const Conv* c, const PlaneBlock* block,
                             const REAL* planes, Py_ssize_t plane, Py_ssize_t column, const REAL* weights, REAL* y,
                             Py_ssize_t count) noexcept nogil:
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
                    plane_store(done[f * NV + v], y + f * c.yf + v * LANES,
                                min(count - v * LANES, LANES), activation, slope, stream)
            y += c.out_width

cdef inline void walk_columns(int LIVE, int F, const Conv* c, const PlaneBlock* block, const REAL* planes,
                              Py_ssize_t plane, const REAL* weights, REAL* y) noexcept nogil:
    """All columns of a block, for F filters, as wide as the registers hold sums."""
    cdef int most = WALKED_SUMS // (LIVE * F)
    cdef Py_ssize_t i = 0, count
    while i < block.out_columns:
        count = block.out_columns - i
        if most >= 4 and count > 3 * LANES:
            walk_column(LIVE, F, 4, c, block, planes, plane, block.column + i, weights, y + i, count)
            i += 4 * LANES
        elif most >= 2 and count > LANES:
            walk_column(LIVE, F, 2, c, block, planes, plane, block.column + i, weights, y + i, count)
            i += 2 * LANES
        else:
            walk_column(LIVE, F, 1, c, block, planes, plane, block.column + i, weights, y + i, count)
            i += LANES

cdef void run_walk_columns(const Conv* c, const PlaneBlock* block, const REAL* planes, Py_ssize_t plane,
                           const REAL* weights, REAL* y, Py_ssize_t filters) noexcept nogil:
    """The menu: schedule.walk_blocking knows it too. Half as many registers hold too few sums to be worth it, and without
    masks there would be two forms of each."""
    if HALVES and c.window_h == 3:
        if filters == 1: walk_columns(3, 1, c, block, planes, plane, weights, y)
        elif filters == 2: walk_columns(3, 2, c, block, planes, plane, weights, y)
        elif filters == 3: walk_columns(3, 3, c, block, planes, plane, weights, y)
        else: walk_columns(3, 4, c, block, planes, plane, weights, y)
    elif HALVES:
        if filters == 1: walk_columns(5, 1, c, block, planes, plane, weights, y)
        elif filters == 2: walk_columns(5, 2, c, block, planes, plane, weights, y)
        elif filters == 3: walk_columns(5, 3, c, block, planes, plane, weights, y)
        else: walk_columns(5, 4, c, block, planes, plane, weights, y)

cdef void pack_walk(const Conv* c, const REAL* kernel, const REAL* bias, REAL* packed) noexcept nogil:
    """packed[group][block][bias, columns * channels * rows][filters of the block] <- bias, then kernel (rows, columns,
    channels, filters)."""
    cdef Py_ssize_t channels = c.channels // c.groups, filters = c.filters // c.groups, b, f, count, kh, kw, k, i
    for b in range(c.groups * c.blocks):
        f = b % c.blocks * c.block_filters
        count = min(c.block_filters, filters - f)
        f += b // c.blocks * filters
        for i in range(count):
            packed[i] = bias[f + i] if bias != NULL else 0
        packed += count
        for kw in range(c.window_w):
            for k in range(channels):
                for kh in range(c.window_h):
                    memcpy(packed, kernel + ((kh * c.window_w + kw) * channels + k) * c.filters + f,
                           count * sizeof(REAL))
                    packed += count

cdef void walk_block(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* _weights, REAL* y,
                     char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """Output pixels [p0, p1) of one image, whole rows, filter blocks [b0, b1) counted over all groups; planes are
    copied, where their pixels do not lie side by side, in as many rows as there is room for."""
    cdef Py_ssize_t channels = c.channels // c.groups, filters = c.filters // c.groups, plane, b, f, k, g, end
    cdef Py_ssize_t most = p1 - p0
    cdef const REAL* planes
    cdef PlaneBlock block
    if c.load:
        most = c.load_bytes // ((c.out_width + c.window_w - 1) * channels * <Py_ssize_t>sizeof(REAL))
        most = (most - c.window_h + 1) * c.out_width
    while p0 < p1:
        end = min(p0 + most, p1)
        set_block(c, p0, end, &block)
        plane = max(0, block.rows * block.columns) if c.load else c.xc
        g = -1
        planes = NULL
        for b in range(b0, b1):
            f = b % c.blocks * c.block_filters
            if b // c.blocks != g:
                g = b // c.blocks
                planes = x + g * channels * c.xc
                if c.load:
                    for k in range(channels if plane else 0):
                        pick(planes + k * c.xc + block.top * c.xh + block.left * c.xw, c.xw, c.xh, block.rows,
                             block.columns, <REAL*>scratch + k * plane, block.columns)
                    planes = <const REAL*>scratch
            run_walk_columns(c, &block, planes, plane, weights + (g * filters + f) * (1 + reduction(c)),
                             y + (g * filters + f) * c.yf + p0, min(c.block_filters, filters - f))
        p0 = end
