# Depthwise layers with vectors of pixels: of planes, and of a single channel; or of elements, where a pixel's channels
# are fewer than lanes: a row is then one run of them, `step` from pixel to pixel. Windows of 3 x 3, 5 x 5 and 7 x 7.
#
# Loop order, outermost first, and what each level keeps where:
#   task             a range of output rows x a range of filters                       (threads)
#   filter           some rows of its plane, in place; of views whose pixels do not lie side by side, a copy of them
#                    (first-level cache)
#   column           a vector of pixels in each row of output, and the weights         (registers)
#   row of input     read once, a vector for each column of the window; added to all rows of output that it meets, of
#                    which the first is then complete. So few loads are needed, and as many sums as the window has
#                    rows grow side by side: a multiply-add need not wait for the one before it.
#
# Padding is met where it lies: lanes outside of the plane are not read, rows outside are zeros from elsewhere.

cdef struct PlaneBlock:
    # Rows and columns of output, and the part of a plane that they meet.
    Py_ssize_t out_rows, out_columns
    Py_ssize_t row, column                # of the first tap of the first window, in that part
    Py_ssize_t rows, columns              # of it
    Py_ssize_t top, left                  # where it begins in the plane
    Py_ssize_t pitch                      # from one row of it to the next

cdef inline vec plane_load(bint CHECK, const REAL* p, lanes inside, const REAL* low, const REAL* high) noexcept nogil:
    return vpart(p, inside, low, high) if CHECK else vfetch(p)

cdef inline void plane_row(int K, int S, int LIVE, bint CHECK, int first, int last, int s, const REAL* p,
                           Py_ssize_t step, const lanes* inside, const REAL* low, const REAL* high, const vec* wv,
                           vec* acc) noexcept nogil:
    """Add what a row of input at p gives to the rows of output whose age is in [first, last): it is row s + S * age of
    their windows. At stride 2 two vectors hold the pixels under even and odd taps, a third what lies behind these."""
    cdef vec a, b, even, odd, xv
    cdef int q, age
    if S == 2:
        a = plane_load(CHECK, p, inside[0], low, high)
        b = plane_load(CHECK, p + LANES, inside[1], low, high)
        even = vevery(a, b, 0)
        odd = vevery(a, b, 1)
        a = plane_load(CHECK, p + 2 * LANES, inside[2], low, high)
    for q in range(K):
        if S == 1: xv = plane_load(CHECK, p + q * step, inside[q], low, high)
        elif q == 0: xv = even
        elif q == 1: xv = odd
        elif q == 2: xv = vmore(even, a, 1, 0)
        elif q == 3: xv = vmore(odd, a, 1, 1)
        else: xv = vmore(even, a, 2, 0)
        for age in range(LIVE):              # a literal: loops of other lengths are unrolled too late
            if first <= age < last and s + S * age < K:
                acc[age] += xv * wv[(s + S * age) * K + q]

cdef inline void plane_step(int K, int S, int LIVE, bint CHECK, int first, int last, const REAL** x, Py_ssize_t pitch,
                            Py_ssize_t* row, Py_ssize_t rows, Py_ssize_t step, const lanes* inside, const REAL* low,
                            const REAL* high, const vec* wv, vec* acc) noexcept nogil:
    """All rows grow older, and meet the next S rows of input."""
    cdef int age
    for age in range(LIVE - 1):
        acc[LIVE - 1 - age] = acc[LIVE - 2 - age]
    acc[0] = wv[K * K]
    plane_row(K, S, LIVE, CHECK, first, last, 0, x[0] if <size_t>row[0] < <size_t>rows else ZEROS, step, inside, low,
              high, wv, acc)
    x[0] += pitch
    row[0] += 1
    if S == 2:
        plane_row(K, S, LIVE, CHECK, first, last, 1, x[0] if <size_t>row[0] < <size_t>rows else ZEROS, step, inside,
                  low, high, wv, acc)
        x[0] += pitch
        row[0] += 1

cdef inline void plane_store(vec v, REAL* y, Py_ssize_t count, int activation, REAL slope, bint stream) noexcept nogil:
    if activation:
        v = activated(activation, v, slope)
    if stream: vstream(y, v)
    else: vstore_first(y, v, count)

cdef inline void plane_column(int K, int S, int LIVE, bint RUN, bint CHECK, const Conv* c, const PlaneBlock* block,
                              const REAL* plane, Py_ssize_t column, const lanes* inside, const REAL* weights, REAL* y,
                              Py_ssize_t count, Ahead* ahead) noexcept nogil:
    """A vector of pixels, or RUN of elements, of which `count` are stored, in each row of output. LIVE: how many of
    these a row of input meets. CHECK: some lanes are outside of the plane."""
    cdef vec[7] acc                       # by age
    cdef vec[50] wv                       # the bias behind the window
    cdef Py_ssize_t row = block.row, rows = block.rows, pitch = block.pitch, out_rows = block.out_rows, r
    cdef Py_ssize_t step = c.phases if RUN else 1, out_width = c.out_width * step
    cdef const REAL* x = plane + row * pitch + column
    cdef const REAL* low = plane + min(0, (rows - 1) * pitch)
    cdef const REAL* high = plane + max(0, (rows - 1) * pitch) + block.columns * step
    cdef int q, activation = c.activation
    cdef bint stream = c.stream, fetch_ahead = c.fetch_ahead and not c.load
    cdef REAL slope = <REAL>c.slope
    wv[K * K] = vload(weights) if RUN else vset(weights[0])
    for q in range(K * K):
        wv[q] = vload(weights + (1 + q) * LANES) if RUN else vset(weights[1 + q])
    for q in range(LIVE):
        acc[q] = wv[K * K]
    for q in range(1, LIVE):
        plane_step(K, S, LIVE, CHECK, 0, q, &x, pitch, &row, rows, step, inside, low, high, wv, acc)
    for r in range(LIVE - 1, out_rows):
        if fetch_ahead:
            fetch(&ahead[0], S * S)
            fetch(&ahead[1], 1)
        plane_step(K, S, LIVE, CHECK, 0, LIVE, &x, pitch, &row, rows, step, inside, low, high, wv, acc)
        plane_store(acc[LIVE - 1], y, count, activation, slope, stream)
        y += out_width
    for q in range(1, LIVE):
        if q > out_rows:                  # fewer than those begun
            return
        if fetch_ahead:
            fetch(&ahead[0], S * S)
            fetch(&ahead[1], 1)
        plane_step(K, S, LIVE, CHECK, q, LIVE, &x, pitch, &row, rows, step, inside, low, high, wv, acc)
        plane_store(acc[LIVE - 1], y, count, activation, slope, stream)
        y += out_width

cdef inline void next_plane(const Conv* c, const PlaneBlock* block, const REAL* x, const REAL* y, Py_ssize_t f,
                            Ahead* ahead) noexcept nogil:
    """What the same rows of the plane behind filter f's read and write."""
    cdef Py_ssize_t columns = block.out_columns * (c.phases if c.phases else 1)
    begin_at(&ahead[0], x + (f + 1) // c.multiplier * c.xc + max(0, block.row) * c.xh + max(0, block.column),
             columns * c.stride_w, c.xh)
    begin_at(&ahead[1], y + (f + 1) * c.yf, 0 if c.stream or c.fetch_ahead == 1 else columns, c.out_width)

cdef inline const REAL* plane_of(const Conv* c, const PlaneBlock* block, const REAL* x, Py_ssize_t f, Py_ssize_t first,
                                 REAL* loaded) noexcept nogil:
    """What filter f meets of its plane: where it lies, or a copy, which the filters of a channel share from the first
    one of the block on."""
    cdef const REAL* plane = x + f // c.multiplier * c.xc
    if not c.load:
        return plane
    if block.rows > 0 and block.columns > 0 and (f == first or f % c.multiplier == 0):
        pick(plane + block.top * c.xh + block.left * c.xw, c.xw, c.xh, block.rows, block.columns, loaded, block.pitch)
    return loaded

cdef inline void plane_columns(int K, int S, int LIVE, bint RUN, const Conv* c, const PlaneBlock* block, const REAL* x,
                               const REAL* weights, REAL* y, REAL* loaded, Py_ssize_t b0,
                               Py_ssize_t b1) noexcept nogil:
    """Filters [b0, b1) of a block, or RUN all. The last vector of a row is moved back or, if it is the only one, stored
    in part."""
    cdef lanes[7] inside
    cdef Py_ssize_t step = c.phases if RUN else 1, columns = block.columns * step, size = K * K + 1, f, i, k, column
    cdef Py_ssize_t at, out_columns = block.out_columns * step, count = min(out_columns, LANES)
    cdef int q
    cdef Ahead[2] ahead
    cdef const REAL* plane
    cdef const REAL* w
    for f in range(b0, b1):
        next_plane(c, block, x, y, f, ahead)
        if c.load and RUN:
            for k in range(block.rows if columns > 0 else 0):
                load_pixels(c, x, block.top + k, block.left, block.columns, 1, loaded + k * columns)
            plane = loaded
        else:
            plane = plane_of(c, block, x, f, b0, loaded)
        i = 0
        while i < out_columns:
            k = max(0, min(i, out_columns - LANES))
            i += LANES
            column = block.column * step + k * S
            for q in range(K if S == 1 else 3):
                at = column + q * (step if S == 1 else LANES)
                inside[q] = vlanes(vbits(-at, columns - at), 0)
            w = weights + (k % step * LANES if RUN else f) * size
            if not MASKS and column >= 0 and column + ((K - 1) * step + LANES if S == 1 else 3 * LANES) <= columns:
                plane_column(K, S, LIVE, RUN, False, c, block, plane, column, inside, w, y + f * c.yf + k, count,
                             ahead)
            else:
                plane_column(K, S, LIVE, RUN, True, c, block, plane, column, inside, w, y + f * c.yf + k, count,
                             ahead)

cdef void run_plane_columns(const Conv* c, const PlaneBlock* block, const REAL* x, const REAL* weights, REAL* y,
                            REAL* loaded, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """The menu: planes.planar_depthwise knows it too."""
    if not c.walk:
        tap_planes(c, block, x, weights, y, loaded, b0, b1)
    elif c.phases:
        if c.window_h == 3: plane_columns(3, 1, 3, True, c, block, x, weights, y, loaded, b0, b1)
        elif c.window_h == 5: plane_columns(5, 1, 5, True, c, block, x, weights, y, loaded, b0, b1)
        else: plane_columns(7, 1, 7, True, c, block, x, weights, y, loaded, b0, b1)
    elif c.window_h == 3 and c.stride_h == 1: plane_columns(3, 1, 3, False, c, block, x, weights, y, loaded, b0, b1)
    elif c.window_h == 3: plane_columns(3, 2, 2, False, c, block, x, weights, y, loaded, b0, b1)
    elif c.window_h == 5 and c.stride_h == 1: plane_columns(5, 1, 5, False, c, block, x, weights, y, loaded, b0, b1)
    elif c.window_h == 5: plane_columns(5, 2, 3, False, c, block, x, weights, y, loaded, b0, b1)
    else: plane_columns(7, 1, 7, False, c, block, x, weights, y, loaded, b0, b1)

cdef inline Py_ssize_t whole_vector(const Conv* c, Py_ssize_t p0, Py_ssize_t p1) noexcept nogil:
    """Where to begin, so that the last row, at least a vector long, is cut into whole vectors."""
    return min(p0, max((p1 - 1) // c.out_width * c.out_width, p1 - LANES))

cdef inline void set_block(const Conv* c, Py_ssize_t p0, Py_ssize_t p1, PlaneBlock* block) noexcept nogil:
    """Make `block` describe output pixels [p0, p1), and what they meet: the planes, or the part that is copied."""
    cdef Py_ssize_t W = c.out_width, r0 = p0 // W
    block.out_rows = (p1 - 1) // W + 1 - r0
    block.out_columns = p1 - p0 if block.out_rows == 1 else W
    block.row = r0 * c.stride_h - c.top
    block.column = (p0 - r0 * W) * c.stride_w - c.left
    block.top = block.left = 0
    block.rows = c.height
    block.columns = c.width
    block.pitch = c.xh
    if c.load:                     # no more than is met
        block.top = max(0, block.row)
        block.left = max(0, block.column)
        block.rows = max(0, min(c.height, block.row + (block.out_rows - 1) * c.stride_h +
                                (c.window_h - 1) * c.dilation_h + 1) - block.top)
        block.columns = max(0, min(c.width, block.column + (block.out_columns - 1) * c.stride_w +
                                   (c.window_w - 1) * c.dilation_w + 1) - block.left)
        block.pitch = block.columns * (c.phases if c.phases else 1)
        block.row -= block.top
        block.column -= block.left

cdef void depthwise_planes(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* _weights,
                           REAL* y, char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0,
                           Py_ssize_t b1) noexcept nogil:
    """Output pixels [p0, p1) of one image, filters [b0, b1)."""
    cdef PlaneBlock block
    if not c.walk:
        p0 = whole_vector(c, p0, p1)
    set_block(c, p0, p1, &block)
    run_plane_columns(c, &block, x, weights, y + p0 * c.yp, <REAL*>scratch, b0, b1)
