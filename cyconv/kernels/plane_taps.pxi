# Depthwise layers of planes under windows without a kernel of their own, at strides 1 and 2 along rows: tap after tap,
# where the rows lie.
#
# Loop order, outermost first, and what each level keeps where:
#   task             a range of output rows x a range of filters                       (threads)
#   filter           some rows of its plane, in place; of views whose pixels do not lie side by side, a copy of them
#                    (first-level cache)
#   columns          those whose windows lie inside the plane, row by row; others a vector at a time, the last one of
#                    a row moved back, in all rows
#   tile             up to TAP_VECTORS sums, side by side or below each other          (registers)
#   tap              one weight for all of them; a load for each, across two lines mostly; at stride 2 two loads, of
#                    which two neighbouring taps take every second pixel
#
# Such loads take twice as long, so that many taps are worth vectors of channels, or planes to go down. A dilation is
# only an offset: all taps are one list, and so one loop. Where a window reaches beyond the plane, each load has a mask
# of the lanes that are inside: of its columns, or of its row none.

cdef enum:
    TAP_VECTORS = 4
    LISTED_TAPS = 128    # planes.LISTED_TAPS

cdef struct WindowTaps:
    # Those of a window in turn, at stride 2 two neighbours at a time.
    int count, in_row
    Py_ssize_t[LISTED_TAPS] at            # where they are, beside the first, in the plane
    Py_ssize_t[LISTED_TAPS] row, column
    bint[LISTED_TAPS] two                 # neighbours

cdef struct Plane:
    # Of one filter, and what its tiles share.
    const REAL* w
    const REAL* low                       # where the plane begins and ends: no lane is read beyond
    const REAL* high
    Py_ssize_t row                        # of the first tap, in it
    Py_ssize_t rows, columns              # of it
    Py_ssize_t stride, step               # from the first tap of one row of output to that of the next: rows; elements
    Py_ssize_t yh                         # from one row of output to the next
    Py_ssize_t begin, end                 # rows of output whose windows' rows lie inside
    int activation
    bint stream, fetch_ahead
    REAL slope

cdef void list_taps(const Conv* c, Py_ssize_t pitch, WindowTaps* taps) noexcept nogil:
    cdef Py_ssize_t kh, kw
    cdef int t = 0
    for kh in range(c.window_h):
        kw = 0
        while kw < c.window_w:
            taps.row[t] = kh * c.dilation_h
            taps.column[t] = kw * c.dilation_w
            taps.at[t] = taps.row[t] * pitch + taps.column[t]
            taps.two[t] = c.stride_w == 2 and c.dilation_w == 1 and kw + 1 < c.window_w
            kw += 1 + taps.two[t]
            t += 1
    taps.count = t
    taps.in_row = t // <int>c.window_h

cdef inline vec tap_load(bint PART, const REAL* p, const lanes* inside, const REAL* low,
                         const REAL* high) noexcept nogil:
    return vpart(p, inside[0], low, high) if PART else vload(p)

cdef inline void tap_tile(int S, int N, bint PART, const WindowTaps* taps, const lanes* inside, const Plane* plane,
                          const REAL* x, Py_ssize_t apart, Py_ssize_t last, REAL* y, Py_ssize_t yapart,
                          Py_ssize_t ylast, Py_ssize_t count) noexcept nogil:
    """N vectors of pixels, `apart` from each other, the last one `last` behind the first; `count` of each are stored.
    `x`: under the first pixel's first tap. PART: of each load, the lanes inside."""
    cdef vec[TAP_VECTORS] acc
    cdef vec a, b, wv = vset(plane.w[0])
    cdef const REAL* w = plane.w + 1
    cdef const REAL* low = plane.low
    cdef const REAL* high = plane.high
    cdef const REAL* p
    cdef Py_ssize_t taps_count = taps.count, t, q
    cdef int v, activation = plane.activation
    cdef bint stream = plane.stream
    cdef REAL slope = plane.slope
    for v in range(N):
        acc[v] = wv
    for t in range(taps_count):
        p = x + taps.at[t]
        wv = vset(w[0])
        for v in range(N):
            q = v * apart if v < N - 1 else last
            a = tap_load(PART, p + q, inside + S * t, low, high)
            if S == 2:
                b = tap_load(PART, p + q + LANES, inside + 2 * t + 1, low, high)
                acc[v] += vevery(a, b, 0) * wv
                if taps.two[t]:
                    acc[v] += vevery(a, b, 1) * vset(w[1])
            else:
                acc[v] += a * wv
        w += 1
        if S == 2:
            w += taps.two[t]
    for v in range(N):
        plane_store(acc[v], y + (v * yapart if v < N - 1 else ylast), count, activation, slope, stream)

cdef inline void tap_tiles(int S, int N, Py_ssize_t tiles, Py_ssize_t last, bint part, const WindowTaps* taps,
                           const lanes* inside, const Plane* plane, const REAL* x, REAL* y,
                           Ahead* ahead) noexcept nogil:
    """So many tiles side by side."""
    cdef Py_ssize_t i
    for i in range(tiles):
        if plane.fetch_ahead:
            fetch(&ahead[0], N * plane.stride * S)
            fetch(&ahead[1], N)
        if part:
            tap_tile(S, N, True, taps, inside, plane, x, LANES * S, last * S, y, LANES, last, LANES)
        else:
            tap_tile(S, N, False, taps, inside, plane, x, LANES * S, last * S, y, LANES, last, LANES)
        x += N * LANES * S
        y += N * LANES

cdef inline void tap_row(int S, bint part, const WindowTaps* taps, const lanes* inside, const Plane* plane,
                         const REAL* x, Py_ssize_t columns, REAL* y, Ahead* ahead) noexcept nogil:
    cdef Py_ssize_t tiles = columns // (TAP_VECTORS * LANES), i = tiles * TAP_VECTORS * LANES
    cdef Py_ssize_t n = (columns - i + LANES - 1) // LANES, last = columns - i - LANES
    tap_tiles(S, TAP_VECTORS, tiles, (TAP_VECTORS - 1) * LANES, part, taps, inside, plane, x, y, ahead)
    x += i * S
    y += i
    if n == 1: tap_tiles(S, 1, 1, last, part, taps, inside, plane, x, y, ahead)
    elif n == 2: tap_tiles(S, 2, 1, last, part, taps, inside, plane, x, y, ahead)
    elif n == 3: tap_tiles(S, 3, 1, last, part, taps, inside, plane, x, y, ahead)
    elif n == 4: tap_tiles(S, 4, 1, last, part, taps, inside, plane, x, y, ahead)

cdef void some_rows(int stride, const WindowTaps* taps, const Plane* plane, Py_ssize_t row, const lanes* columns,
                    lanes* parts) noexcept nogil:
    """Of each load of a row of output the lanes of `columns`, NULL: all, or none where it is of a row outside."""
    cdef Py_ssize_t at
    cdef lanes none = vlanes(0, 0), all_lanes = vlanes(vbits(0, LANES), 0)
    cdef int t, s
    for t in range(taps.count):
        at = plane.row + row * plane.stride + taps.row[t]
        for s in range(stride):
            parts[stride * t + s] = none
            if 0 <= at < plane.rows:
                parts[stride * t + s] = columns[stride * t + s] if columns != NULL else all_lanes

cdef void tap_segment(int stride, const WindowTaps* taps, const Plane* plane, const REAL* x, Py_ssize_t columns,
                      Py_ssize_t rows, REAL* y, Ahead* ahead) noexcept nogil:
    """So many columns of output at y, a vector at least, whose windows' columns lie inside. `x`: under the first tap.
    """
    cdef lanes[2 * LISTED_TAPS] parts
    cdef Py_ssize_t row
    cdef bint part
    for row in range(rows):
        part = row < plane.begin or row >= plane.end
        if part:
            some_rows(stride, taps, plane, row, NULL, parts)
        if stride == 1: tap_row(1, part, taps, parts, plane, x, columns, y, ahead)
        else: tap_row(2, part, taps, parts, plane, x, columns, y, ahead)
        x += plane.step
        y += plane.yh

cdef inline void tap_parts(int S, int N, const WindowTaps* taps, const lanes* inside, const Plane* plane, const REAL* x,
                           REAL* y, Py_ssize_t count, Ahead* ahead) noexcept nogil:
    """A vector of pixels in N rows, that may reach beyond the plane."""
    if plane.fetch_ahead:
        fetch(&ahead[0], N * plane.stride * S)
        fetch(&ahead[1], N)
    tap_tile(S, N, True, taps, inside, plane, x, plane.step, (N - 1) * plane.step, y, plane.yh, (N - 1) * plane.yh,
             count)

cdef void tap_column(int stride, const WindowTaps* taps, const Plane* plane, Py_ssize_t first, const REAL* x,
                     Py_ssize_t rows, REAL* y, Py_ssize_t count, Ahead* ahead) noexcept nogil:
    """A vector of pixels in each row of output, `count` of which are stored, whose windows' columns do not all lie
    inside. `x`: under the first tap, whose column of the plane is `first`."""
    cdef lanes[2 * LISTED_TAPS] columns
    cdef lanes[2 * LISTED_TAPS] parts
    cdef const lanes* inside
    cdef Py_ssize_t row = 0, at
    cdef int n, t, s
    for t in range(taps.in_row):
        for s in range(stride):
            at = first + taps.column[t] + s * LANES
            columns[stride * t + s] = vlanes(vbits(-at, plane.columns - at), 0)
    for t in range(stride * taps.in_row, stride * taps.count):
        columns[t] = columns[t - stride * taps.in_row]
    while row < rows:
        n = 1
        inside = columns
        if row < plane.begin or row >= plane.end:
            some_rows(stride, taps, plane, row, columns, parts)
            inside = parts
        elif row + TAP_VECTORS <= min(plane.end, rows):
            n = TAP_VECTORS
        if n == 1 and stride == 1: tap_parts(1, 1, taps, inside, plane, x, y, count, ahead)
        elif n == 1: tap_parts(2, 1, taps, inside, plane, x, y, count, ahead)
        elif stride == 1: tap_parts(1, TAP_VECTORS, taps, inside, plane, x, y, count, ahead)
        else: tap_parts(2, TAP_VECTORS, taps, inside, plane, x, y, count, ahead)
        row += n
        x += n * plane.step
        y += n * plane.yh

cdef void tap_planes(const Conv* c, const PlaneBlock* block, const REAL* x, const REAL* weights, REAL* y, REAL* loaded,
                     Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """Filters [b0, b1) of a block."""
    cdef Ahead[2] ahead
    cdef WindowTaps taps
    cdef Plane plane
    cdef Py_ssize_t S = c.stride_w, columns = block.out_columns, rows = block.out_rows, f, i, k
    cdef Py_ssize_t behind = max(0, block.rows - 1) * block.pitch      # of a copy that is all padding there are no rows
    # Columns of output whose windows lie inside, whole vectors from each end. Loads at stride 2 go on for a pixel.
    cdef Py_ssize_t begin = (max(0, S - 1 - block.column) // S + LANES - 1) // LANES * LANES
    cdef Py_ssize_t end = min(columns, (block.columns - (c.window_w - 1) * c.dilation_w - block.column) // S)
    cdef const REAL* first
    cdef REAL* dst
    if end < columns:
        end = begin + (end - begin) // LANES * LANES
    list_taps(c, block.pitch, &taps)
    plane.row, plane.rows, plane.columns = block.row, block.rows, block.columns
    plane.stride, plane.step, plane.yh = c.stride_h, c.stride_h * block.pitch, c.out_width
    plane.begin = max(0, c.stride_h - 1 - block.row) // c.stride_h
    plane.end = (block.rows - (c.window_h - 1) * c.dilation_h - 1 - block.row + c.stride_h) // c.stride_h
    # Of a single vector those of several rows are worked on together, as where windows reach beyond the plane.
    if end - begin < (LANES + 1 if 2 * (min(plane.end, rows) - plane.begin) > rows else LANES):
        begin = end = columns
    plane.activation, plane.slope = c.activation, <REAL>c.slope
    plane.stream, plane.fetch_ahead = c.stream, c.fetch_ahead != 0
    for f in range(b0, b1):
        next_plane(c, block, x, y, f, ahead)
        first = plane_of(c, block, x, f, b0, loaded)
        plane.low = first + min(0, behind)
        plane.high = first + max(0, behind) + block.columns
        plane.w = weights + f * (c.window_h * c.window_w + 1)
        first += block.row * block.pitch + block.column
        dst = y + f * c.yf
        i = 0
        while i < columns:
            if i == begin:
                tap_segment(<int>S, &taps, &plane, first + i * S, end - i, rows, dst + i, ahead)
                i = end
            else:
                k = max(0, min(i, columns - LANES))
                tap_column(<int>S, &taps, &plane, block.column + k * S, first + k * S, rows, dst + k,
                           min(columns, LANES), ahead)
                i = k + LANES
