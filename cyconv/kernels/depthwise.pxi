# Depthwise convolution: every channel by itself, a vector of channels at a time.
#
# Loop order, outermost first, and what each level keeps where:
#   task             a range of output pixels x a range of channel vectors           (threads)
#   pixel block      input read in place (borders too), or loaded to scratch where channels are not contiguous,
#                    repeated, fewer than a vector, or collide in the first-level cache
#   strip            columns of long rows: those at work and those that come next   (second-level cache)
#   row, or more     up to 2 KiB of channel vectors at a time: long enough runs for the processor to fetch ahead, short
#                    enough for the next tile to find its neighbour's columns in the first-level cache; under a window
#                    of one column, or where rows are a few pixels, all of them, of as many rows as a tile is high
#   tile             R rows x MR pixels of one channel vector                        (registers)
#   window rows      KC taps of weights at a time in registers; each input vector is loaded once and used by every
#                    pixel and tap of the chunk that it meets
#
# Two rows share weights and all but the outer rows of inputs: of a 3 x 3 window at stride 1, 33 loads for 72
# multiply-adds. Where a vector is a cache line, sums of small square windows go along their rows instead: along.pxi.
# Two to four taps at a stride: few.pxi.
#
# Two to four filters a channel grow side by side where they can: a tile has a sum of each for each pixel and channel,
# and loads the input once for all of them. Lanes of these take turns when they are stored. Else channels are repeated.

cdef inline void depthwise_chunk(int M, int KC, int MR, bint CHECK, const REAL* x, Py_ssize_t xw, const REAL* w,
                                 Py_ssize_t column, size_t inside, bint leave_out, vec* acc) noexcept nogil:
    """KC taps of a window row, at stride and dilation 1: their weights, of M filters, and one input at a time, in
    registers. Nothing if they meet padding alone and that is left out."""
    cdef vec[8] wv
    cdef vec xv
    cdef const REAL* p[5]
    cdef int i, k, q, m
    if CHECK and leave_out and (column >= <Py_ssize_t>inside or column + MR + KC - 1 <= 0):
        return
    for k in range(KC):
        for m in range(M):
            wv[k * M + m] = vfetch(w + (k * M + m) * LANES)
    for q in range((MR + KC + 1) // 3):
        p[q] = x + 3 * q * xw
    for q in range(MR + KC - 1):
        xv = vset(0)
        if not CHECK or <size_t>(column + q) < inside:
            xv = vfetch(p[q // 3] + (q % 3) * xw)
        for i in range(MR):
            if q - i >= 0 and q - i < KC:
                for m in range(M):
                    acc[m * MR + i] += xv * wv[(q - i) * M + m]

cdef inline vec taken_turns(int M, int MR, int j, vec* acc) noexcept nogil:
    """The j-th vector of results of a pixel, MR sums from one filter's to the next."""
    return in_turns(M, j, acc[0], acc[MR], acc[2 * MR if M > 2 else 0], acc[3 * MR if M > 3 else 0])

cdef inline void depthwise_store(int R, int M, int MR, vec* acc, REAL* y, Py_ssize_t yp, Py_ssize_t yh,
                                 int activation, REAL slope, bint stream) noexcept nogil:
    """The end of a tile of R rows, or M filters: its activation, and results to where they belong."""
    cdef int i, r
    if activation == 1:
        for r in range(R * M):
            for i in range(MR):
                acc[r * MR + i] = vnonneg(acc[r * MR + i])
    elif activation == 2:
        for r in range(R * M):
            for i in range(MR):
                acc[r * MR + i] = vatmost(vnonneg(acc[r * MR + i]), 6)
    elif activation == 3:
        for r in range(R * M):
            for i in range(MR):
                acc[r * MR + i] = vleak(acc[r * MR + i], slope)
    if M > 1 and stream:
        for i in range(MR):
            for r in range(M):
                vstream(y + i * yp + r * LANES, taken_turns(M, MR, r, acc + i))
    elif M > 1:
        for i in range(MR):
            for r in range(M):
                vstore(y + i * yp + r * LANES, taken_turns(M, MR, r, acc + i))
    elif stream:
        for r in range(R):
            for i in range(MR):
                vstream(y + i * yp, acc[r * MR + i])
            y += yh
    else:
        for r in range(R):
            for i in range(MR):
                vstore(y + i * yp, acc[r * MR + i])
            y += yh

cdef inline void depthwise_tile(int R, int M, int MR, int KC, bint WHOLE, int S, bint CHECK, const REAL* x,
                                Py_ssize_t xw, Py_ssize_t row_step, const REAL* w, REAL* y, Py_ssize_t yp,
                                Py_ssize_t yh, Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t stride,
                                Py_ssize_t dilation, Py_ssize_t row, Py_ssize_t dilation_h, Py_ssize_t height,
                                Py_ssize_t column, size_t width, bint leave_out, int activation, REAL slope,
                                bint stream) noexcept nogil:
    """R rows x MR pixels of one channel vector. `x`: under the first pixel's first tap, which is at (row, column) of
    the input. WHOLE: the window is KC x KC, at dilation 1 and stride S, both ways where R is 2; else a row of the
    window is cut into chunks of KC and KC - 1 taps, at dilation and stride 1, unless KC is 1. M: filters of each
    channel, of one row and not WHOLE; their results take turns. CHECK: rows and columns may lie outside the input,
    where there are zeros; what meets these alone may be left out."""
    cdef vec[16] acc                      # by row, or filter, and pixel
    cdef vec wv[3][7]
    cdef vec xv
    cdef const REAL* p[8]
    cdef size_t inside = width
    cdef Py_ssize_t kh, kw, at, long_chunks = window_w - (window_w + KC - 1) // KC * (KC - 1)
    cdef int i, k, q, r, h
    for r in range(R * M):
        xv = vload(w + r // R * LANES)
        for i in range(MR):
            acc[r * MR + i] = xv
    w += M * LANES
    if WHOLE:
        for h in range((R - 1) * S + KC):
            if CHECK:
                inside = width if <size_t>(row + h * dilation_h) < <size_t>height else 0
            if h < KC:
                for k in range(KC):
                    wv[h % (S + 1)][k] = vfetch(w + k * LANES)
                w += KC * LANES
            for q in range(((MR - 1) * S + KC + 2) // 3):
                p[q] = x + 3 * q * xw
            for q in range((MR - 1) * S + KC):
                xv = vset(0)
                if not CHECK or <size_t>(column + q) < inside:
                    xv = vfetch(p[q // 3] + (q % 3) * xw)
                for i in range(MR):
                    k = q - i * S
                    if h < KC and k >= 0 and k < KC:
                        acc[i] += xv * wv[h % (S + 1)][k]
                if R == 2:
                    for i in range(MR):
                        k = q - i * S
                        if h >= S and k >= 0 and k < KC:
                            acc[MR + i] += xv * wv[(h - S) % (S + 1)][k]
            x += row_step
    else:
        for kh in range(window_h):
            if CHECK:
                inside = width if <size_t>(row + kh * dilation_h) < <size_t>height else 0
                if leave_out and inside == 0:
                    w += window_w * M * LANES
                    x += row_step
                    continue
            kw = 0
            if KC > 1:
                while kw < long_chunks * KC:
                    depthwise_chunk(M, KC, MR, CHECK, x + kw * xw, xw, w, column + kw, inside, leave_out, acc)
                    w += KC * M * LANES
                    kw += KC
                while kw < window_w:
                    depthwise_chunk(M, KC - 1, MR, CHECK, x + kw * xw, xw, w, column + kw, inside, leave_out, acc)
                    w += (KC - 1) * M * LANES
                    kw += KC - 1
            while kw < window_w:
                at = kw * dilation
                if M > 1:
                    for r in range(M):
                        wv[0][r] = vfetch(w + r * LANES)
                if not CHECK or column + at >= 0 and column + at + (MR - 1) * stride < <Py_ssize_t>inside:
                    for i in range(MR):
                        if M == 1:
                            acc[i] += vload(x + at * xw) * vload(w)
                        else:
                            xv = vload(x + at * xw)
                            for r in range(M):
                                acc[r * MR + i] += xv * wv[0][r]
                        at += stride
                else:
                    for i in range(MR):
                        xv = vset(0)
                        if <size_t>(column + at) < inside:
                            xv = vload(x + at * xw)
                        if M == 1:
                            acc[i] += xv * vload(w)
                        else:
                            for r in range(M):
                                acc[r * MR + i] += xv * wv[0][r]
                        at += stride
                w += M * LANES
                kw += 1
            x += row_step
    depthwise_store(R, M, MR, acc, y, yp, yh, activation, slope, stream)

cdef inline void depthwise_tiles(int R, int M, int MR, int KC, bint WHOLE, int S, bint CHECK, const Conv* v,
                                 const REAL* x, const REAL* weights, REAL* y, Py_ssize_t row, Py_ssize_t column,
                                 Py_ssize_t b0, Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    """R rows x MR pixels, channel vectors [b0, b1)."""
    # Copies: a vector store may alias anything in memory, so that fields would be read again after each.
    cdef Py_ssize_t size = (v.window_h * v.window_w + 1) * M * LANES, b, at, xw = v.xw, yp = v.yp
    cdef Py_ssize_t window_h = v.window_h, window_w = v.window_w, stride = v.stride_w, dilation = v.dilation_w
    cdef Py_ssize_t dilation_h = v.dilation_h, row_step = v.dilation_h * v.xh, height = v.height
    cdef Py_ssize_t yh = v.out_width * v.yp
    cdef Py_ssize_t next = b0 * LANES - v.leads, full = v.filters // M - LANES, strides = v.stride_h * v.stride_w
    cdef size_t width = v.width
    cdef int activation = v.activation
    cdef bint fetch_ahead = v.fetch_ahead, stream = v.stream, leave_out = v.leave_out
    cdef REAL slope = <REAL>v.slope
    x += row * v.xh + column * xw
    for b in range(b0, b1):
        at = max(0, min(next, full))                       # the last vector moved back to be full
        next += LANES
        vrenew(xw)             # else dozens of addresses are kept across the loop, on the stack
        vrenew(row_step)
        if fetch_ahead:
            fetch(&ahead[0], R * MR * strides)
            fetch(&ahead[1], R * M * MR)
        depthwise_tile(R, M, MR, KC, WHOLE, S, CHECK, x + at, xw, row_step, weights + b * size, y + at * M, yp, yh,
                       window_h, window_w, stride, dilation, row, dilation_h, height, column, width, leave_out,
                       activation, slope, stream)

cdef inline void depthwise_menu(int R, int M, int KC, bint WHOLE, int S, bint CHECK, int mr, const Conv* v,
                                const REAL* x, const REAL* w, REAL* y, Py_ssize_t row, Py_ssize_t column,
                                Py_ssize_t b0, Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    if mr == 1: depthwise_tiles(R, M, 1, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1, ahead)
    elif mr == 2: depthwise_tiles(R, M, 2, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1, ahead)
    elif R * S < 4 or REGISTERS == 32:
        if mr == 3: depthwise_tiles(R, M, 3, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1, ahead)
        elif mr == 4: depthwise_tiles(R, M, 4, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1, ahead)
        elif not WHOLE and M < 4:
            if mr == 5: depthwise_tiles(R, M, 5, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1, ahead)
            elif M < 3:
                if mr == 6: depthwise_tiles(R, M, 6, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1, ahead)
                elif mr == 7: depthwise_tiles(R, M, 7, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1, ahead)
                elif mr == 8: depthwise_tiles(R, M, 8, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1, ahead)

cdef inline void depthwise_checked(int R, int M, int KC, bint WHOLE, int S, bint check, int mr, const Conv* v,
                                   const REAL* x, const REAL* w, REAL* y, Py_ssize_t row, Py_ssize_t column,
                                   Py_ssize_t b0, Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    if check: depthwise_menu(R, M, KC, WHOLE, S, True, mr, v, x, w, y, row, column, b0, b1, ahead)
    else: depthwise_menu(R, M, KC, WHOLE, S, False, mr, v, x, w, y, row, column, b0, b1, ahead)

cdef inline void depthwise_rows(int KC, int S, int rows, bint check, int mr, const Conv* v, const REAL* x,
                                const REAL* w, REAL* y, Py_ssize_t row, Py_ssize_t column,
                                Py_ssize_t b0, Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    if rows == 2: depthwise_checked(2, 1, KC, True, S, check, mr, v, x, w, y, row, column, b0, b1, ahead)
    else: depthwise_checked(1, 1, KC, True, S, check, mr, v, x, w, y, row, column, b0, b1, ahead)

cdef void run_sibling_tiles(int kc, bint check, int mr, const Conv* v, const REAL* x, const REAL* w, REAL* y,
                            Py_ssize_t row, Py_ssize_t column, Py_ssize_t b0, Py_ssize_t b1,
                            Ahead* ahead) noexcept nogil:
    """The menu of several filters a channel: of two, chunks of 2 and 3 taps where there are registers; else single
    taps. Not in one function with the other menu: the larger it is, the more of its addresses lie on the stack."""
    if v.siblings == 2 and kc > 1 and REGISTERS == 32:
        depthwise_checked(1, 2, 3, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
    elif v.siblings == 2: depthwise_checked(1, 2, 1, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
    elif v.siblings == 3: depthwise_checked(1, 3, 1, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
    else: depthwise_checked(1, 4, 1, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)

cdef void run_depthwise_tiles(int kc, bint whole, int rows, bint check, int mr, const Conv* v, const REAL* x,
                              const REAL* w, REAL* y, Py_ssize_t row, Py_ssize_t column, Py_ssize_t b0,
                              Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    """The menu: windows of 3 x 3 and 5 x 5 at strides 1 and 2, of 7 x 7 at stride 1, one row or two; chunks of 2 to
    MOST_TAPS taps at stride 1; single taps for the rest."""
    cdef int s = <int>v.stride_w
    if not whole:
        if kc == 2: depthwise_checked(1, 1, 2, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
        elif kc == 3: depthwise_checked(1, 1, 3, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
        elif kc == 4: depthwise_checked(1, 1, 4, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
        elif kc > 4 and REGISTERS == 32:
            if kc == 5: depthwise_checked(1, 1, 5, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
            elif kc == 6: depthwise_checked(1, 1, 6, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
            elif kc == 7: depthwise_checked(1, 1, 7, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
            elif kc == 8: depthwise_checked(1, 1, 8, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
        else: depthwise_checked(1, 1, 1, False, 1, check, mr, v, x, w, y, row, column, b0, b1, ahead)
    elif kc == 3 and s == 1: depthwise_rows(3, 1, rows, check, mr, v, x, w, y, row, column, b0, b1, ahead)
    elif kc == 3: depthwise_rows(3, 2, rows, check, mr, v, x, w, y, row, column, b0, b1, ahead)
    elif kc == 5 and s == 1: depthwise_rows(5, 1, rows, check, mr, v, x, w, y, row, column, b0, b1, ahead)
    elif kc == 5: depthwise_rows(5, 2, rows, check, mr, v, x, w, y, row, column, b0, b1, ahead)
    else: depthwise_rows(7, 1, rows, check, mr, v, x, w, y, row, column, b0, b1, ahead)

cdef inline int chunk(const Conv* v, bint* whole) noexcept nogil:
    """Most taps of a window row whose weights are held in registers together; whether that is all of the window."""
    cdef Py_ssize_t k = v.window_w
    whole[0] = v.siblings == v.dilation_w == 1 and k == v.window_h and (
        v.stride_w <= 2 and (k == 3 or k == 5) or v.stride_w == 1 and k == 7)
    if whole[0]:
        return <int>k
    if v.dilation_w > 1 or v.stride_w > 1 or v.siblings > 2:
        return 1
    k = (v.window_w + MOST_TAPS - 1) // MOST_TAPS        # chunks: of equal size, or one tap less
    return <int>((v.window_w + k - 1) // k)

cdef inline Py_ssize_t most_pixels(const Conv* c) noexcept nogil:
    """Of a tile of one row: as many as there are registers for the sums of all filters that grow side by side."""
    if c.siblings == 1:
        return 8
    return 16 // c.siblings if REGISTERS == 32 else 14 // c.siblings - 1

cdef void pack_depthwise(const Conv* c, const void* kernel, const void* bias, void* packed) noexcept nogil:
    """packed[block or phase][1 + taps][siblings][lanes] <- bias, then kernel (taps, filters); zeros beyond the filters.
    Phases go on with the first filter behind the last; each begins where the one before it ends or, of planes, with
    the next filter."""
    if c.planar and not c.phases:
        pack_planar(c, c.window_h * c.window_w, kernel, bias, packed)
        return
    cdef const REAL* src = <const REAL*>kernel
    cdef const REAL* b = <const REAL*>bias
    cdef REAL* dst = <REAL*>packed
    cdef Py_ssize_t taps = c.window_h * c.window_w, M = c.siblings, channels = c.filters // M, block, t, m, k, first, f
    for block in range(c.phases if c.phases else c.blocks):
        first = block * (1 if c.planar else LANES) if c.phases else max(0, min(block * LANES, channels - LANES))
        for t in range(-1, taps):
            for m in range(M):
                for k in range(LANES):
                    f = ((first + k) % channels if c.phases else first + k) * M + m
                    if f >= c.filters or t < 0 and b == NULL:
                        dst[k] = 0
                    else:
                        dst[k] = b[f] if t < 0 else src[t * c.filters + f]
                dst += LANES

cdef inline Py_ssize_t leading(const Conv* c, const REAL* x, const REAL* y) noexcept nogil:
    """How many channels earlier vectors begin, so that none meets two cache lines: where an array begins, as NumPy's
    do, between two vectors, and pixels are whole ones. Where pixels share few cache sets, only if results begin there
    in their lines, too: stores that straddle lines would wait for each other."""
    cdef Py_ssize_t lead = <Py_ssize_t>(<uintptr_t>x % sizeof(vec))
    if not c.leads or c.yf != 1 or c.load or c.stream or lead % <Py_ssize_t>sizeof(REAL) or (
            (c.xw | c.xh) % LANES) or (c.collides and (<uintptr_t>y - <uintptr_t>x) % sizeof(vec)):
        return 0
    return lead // <Py_ssize_t>sizeof(REAL)

cdef const REAL* shift(const Conv* c, const REAL* weights, Py_ssize_t lead, Py_ssize_t b0, Py_ssize_t b1,
                       REAL* dst) noexcept nogil:
    """Pack weights anew, of channel vectors [b0, b1) that begin `lead` channels earlier; of tiles, which know whole
    vectors alone, not the first and the last. Whole vectors of filters alone have such ones."""
    cdef Py_ssize_t size = c.window_h * c.window_w + 1, b, t, at, k
    cdef uint64_t whole = (<uint64_t>1 << LANES) - 1
    cdef const REAL* src
    for b in range(b0, b1):
        at = b * LANES - lead
        if not c.columnwise:
            at = max(0, min(at, c.filters - LANES))
        k = (at + LANES) % LANES
        src = weights + (at - k) * size        # the vector that it begins in, or one before the first
        for t in range(size):
            if at >= 0:
                vstore(dst, vpart(src + k, vlanes(whole >> k, 0), NULL, NULL))
            if k and at + LANES - k < c.filters:     # goes on behind this vector, where the next store is
                vstore(dst + LANES - k, vload(src + size * LANES))
            src += LANES
            dst += LANES
    return dst - b1 * size * LANES

cdef void depthwise_run(const Conv* c, const REAL* x, const REAL* weights, REAL* y, char* scratch, Py_ssize_t p0,
                        Py_ssize_t p1) noexcept nogil:
    """Fewer channels than lanes: the outputs of a row are one run of elements, cut into vectors across pixels. Those of
    one phase, `unit` elements apart, have the same weights: they are the pixels of a tile. At a stride the outputs
    between are computed too, and left out. Input is read in place where its runs end with such a unit."""
    cdef Conv v
    cdef Conv part = c[0]
    cdef const REAL* src
    cdef const REAL* at
    cdef REAL* out = <REAL*>(scratch + c.load_bytes)
    cdef Py_ssize_t M = c.siblings, F = c.filters // M, S = c.stride_w, unit = c.phases * LANES
    cdef Py_ssize_t p = p0, most = most_pixels(c), row, column, count, n, i, mr
    part.multiplier = c.multiplier // M
    if c.out_width * F % unit or p0 * F % unit or p1 * F % unit:
        part.load = 1
    src = view(&part, &v, x, p0, p1, True, <REAL*>scratch)
    part = v
    v.xw = 1
    v.stride_w = unit
    v.dilation_w = v.dilation_w * F
    v.filters = unit * M
    v.yp = unit * M
    v.stream = False
    v.fetch_ahead = 0
    while p < p1:
        row = p // c.out_width
        column = p - row * c.out_width
        count = min(c.out_width - column, p1 - p)
        at = src + (row * part.stride_h - part.top) * part.xh + (column * S - part.left) * F
        n = (((count - 1) * S + 1) * F + unit - 1) // unit
        i = 0
        while i < n:
            mr = min(most, n - i)
            if M > 1:
                run_sibling_tiles(1, False, <int>mr, &v, at + i * unit, weights, out + i * unit * M, 0, 0, 0, c.phases,
                                  NULL)
            else:
                run_depthwise_tiles(1, False, 1, False, <int>mr, &v, at + i * unit, weights, out + i * unit, 0, 0, 0,
                                    c.phases, NULL)
            i += mr
        if c.yf == 1 and S == 1:
            memcpy(y + p * c.yp, out, count * c.filters * sizeof(REAL))
        else:
            scatter(c, out, S * c.filters, p, count, 0, c.filters, y)
        p += count

cdef inline bint crowded(const Conv* v, Py_ssize_t apart) noexcept nogil:
    """Whether pixels under 3 x 3 windows at stride 2 are a multiple of so many bytes apart, and share cache sets."""
    return v.stride_w == 2 and v.window_w == 3 and v.xw * <Py_ssize_t>sizeof(REAL) % apart == 0

cdef void depthwise_row(const Conv* c, Conv* part, int kc, bint whole, int rows, bint inside, const REAL* x,
                        const REAL* w, REAL* y, Py_ssize_t ih, Py_ssize_t column, Py_ssize_t end, Py_ssize_t apart,
                        Py_ssize_t b0, Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    """Of `rows` rows of output at y every `apart`-th column in [column, end), channel vectors [b0, b1). `part`: c as
    these columns see it."""
    cdef Py_ssize_t iw = column * c.stride_w - c.left, count = (end - column + apart - 1) // apart
    cdef Py_ssize_t most = 4 if whole else most_pixels(c), n, mr, more, i, last, right
    cdef Py_ssize_t first = ((iw % apart) + apart) % apart
    cdef bint check
    y += column * c.yp
    x += first * c.xw
    iw = (iw - first) // apart
    part.width = (c.width - first + apart - 1) // apart
    # At stride 2: 8 sums are too many for 16 registers, and the inputs that 3 x 3 windows of 4 pixels meet are too many
    # for 8 sets of the first-level cache.
    if whole and c.stride_w == 2 and (rows == 2 and REGISTERS == 16 or crowded(c, 512)):
        most = 2
    # Tiles as equal as possible: `more` of mr + 1 pixels, then the others of mr.
    n = (count + most - 1) // most
    if n == 0:
        return
    mr = count // n
    more = count % n
    for i in range(n):
        last = mr + 1 if i < more else mr
        right = iw + (last - 1) * c.stride_w + (c.window_w - 1) * part.dilation_w        # the last column met
        check = not (inside and iw >= 0 and right < part.width)
        if c.siblings > 1:
            run_sibling_tiles(kc, check, <int>last, part, x, w, y, ih, iw, b0, b1, ahead)
        else:
            run_depthwise_tiles(kc, whole, rows, check, <int>last, part, x, w, y, ih, iw, b0, b1, ahead)
        iw += last * c.stride_w
        y += last * part.yp

cdef void depthwise_block(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* _weights,
                          REAL* y, char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0,
                          Py_ssize_t b1) noexcept nogil:
    cdef Conv v
    cdef Conv part
    cdef const REAL* src = x
    cdef REAL* out = y
    cdef Py_ssize_t b = b0, end = b1, c0, F = c.filters // c.siblings, M = c.multiplier // c.siblings
    cdef Py_ssize_t L = c.loaded_channels, group = c.blocks if L == F else (L - 2 * (M - 1)) // LANES
    cdef Py_ssize_t lead = leading(c, x, y)
    cdef bint direct = c.yf == 1
    if c.phases:
        depthwise_run(c, x, weights, y, scratch, p0, p1)
        return
    if not direct:             # whole vectors to scratch, then where they belong
        out = <REAL*>(scratch + c.load_bytes) - p0 * c.filters
    if lead:
        end = b1 = b1 + (b1 == c.blocks)
        weights = shift(c, weights, lead, b0, b1, <REAL*>(scratch + c.load_bytes))
    while b < b1:
        v = c[0]
        v.leads = lead
        if c.load:
            v.fetch_ahead = 0
        if c.load:                 # a few vectors at a time, which a tile still finds in a near cache
            end = min(b + group, b1)
            c0 = max(0, min(b * LANES, F - LANES)) // M
            part = v
            part.multiplier = M
            part.channels = (min(end * LANES, F) + M - 1) // M - c0
            src = view(&part, &v, x + c0 * c.xc, p0, p1, False, <REAL*>scratch) - c0 * M
        if not direct:
            v.stream = False
            v.yp = c.filters
        depthwise_vectors(&v, src, weights, out, p0, p1, b, end)
        b = end
    if not direct:
        c0 = min(b0 * LANES, c.filters - LANES)
        scatter(c, out + p0 * v.yp + c0, v.yp, p0, p1 - p0, c0, min(b1 * LANES, c.filters) - c0, y)

cdef inline Py_ssize_t dealt(const Conv* c, Py_ssize_t count, Conv* part) noexcept nogil:
    """How far apart the pixels of a tile are, of `count` in a row: under a dilated window as far as its taps. `part`: c
    as such pixels see it, without dilation."""
    part[0] = c[0]
    if c.stride_w > 1 or c.few_taps or c.siblings > 1 or c.dilation_w * 4 > count:
        return 1
    part.dilation_w = 1
    part.xw *= c.dilation_w
    part.yp *= c.dilation_w
    return c.dilation_w

cdef void depthwise_columns(const Conv* c, const REAL* x, const REAL* weights, REAL* y, Py_ssize_t row, Py_ssize_t rows,
                            Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """Whole rows under a window of one column: the pixels of a tile are below each other, so that they share inputs as
    those of a row do under a window of one row. To depthwise_row columns are rows."""
    cdef Conv t = c[0]
    cdef Conv part
    cdef Ahead[2] ahead
    cdef Py_ssize_t apart, q, column, iw, first = row, end = row + rows, last, strips, height
    cdef int kc
    cdef bint inside, whole
    t.width, t.height = c.height, c.width
    t.window_w, t.window_h = c.window_h, 1
    t.stride_w, t.stride_h, t.dilation_w = c.stride_h, c.stride_w, c.dilation_h
    t.left = c.top
    t.xw, t.xh = c.xh, c.xw
    t.yp = c.out_width * c.yp
    apart = dealt(&t, rows, &part)
    kc = chunk(&part, &whole)
    strips = (rows + 8 * apart - 1) // (8 * apart)
    height = (rows + strips - 1) // strips       # equal, no higher than a tile
    while first < end:
        last = min(first + height, end)
        look_ahead(c, x, y, last, 0, c.out_width, met_again(c), ahead)
        for column in range(c.out_width):
            iw = column * c.stride_w - c.left
            inside = iw >= 0 and iw < c.width
            for q in range(apart):
                depthwise_row(&t, &part, kc, whole, 1, inside, x, weights, y + column * c.yp, iw, first + q, last,
                              apart, b0, b1, ahead)
        first = last

cdef void depthwise_strip(const Conv* c, const REAL* x, const REAL* weights, REAL* y, Py_ssize_t row, Py_ssize_t end,
                          Py_ssize_t first, Py_ssize_t last, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """Pixels [first, last) of output rows [row, end), channel vectors [b0, b1)."""
    cdef Conv part
    cdef Ahead[2] ahead
    cdef Py_ssize_t apart = dealt(c, last - first, &part), ih, iw, b, q, n = along_columns(c, x, last - first)
    # Channel vectors: less where rows are met again.
    cdef Py_ssize_t group = b1 - b0 if c.pieces else GROUP if c.columnwise or apart > 1 else 4 * GROUP
    cdef Py_ssize_t start = row
    cdef int kc, rows
    cdef bint inside, whole, paired
    cdef REAL* dst
    kc = chunk(&part, &whole)
    # Two rows share inputs and weights. One where two meet too much for two sets.
    paired = whole and c.stride_h == c.stride_w and c.dilation_h == 1 and apart == 1 and not crowded(c, 2048)
    while row < end:
        rows = along_rows(c, end - row) if c.columnwise else 2 if paired and row + 2 <= end else 1
        ih = row * c.stride_h - c.top
        inside = ih >= 0 and ih + (rows - 1) * c.stride_h + (c.window_h - 1) * c.dilation_h < c.height
        if row + rows < end or last == c.out_width:
            look_ahead(c, x, y, row + rows, first, last, met_again(c), ahead)
        else:                  # of a row, or rows, the next strip
            look_ahead(c, x, y, start, last, min(last + c.strip, c.out_width), 0, ahead)
        dst = y + row * c.out_width * c.yp
        b = b0
        while b < b1:
            if c.columnwise:
                q = first
                while q < last:
                    iw = q * c.stride_w - c.left
                    if c.pieces and last - q >= PIECE:
                        run_pieces(rows, not inside, c, x, weights, dst + q * c.yp, ih, iw, b, b1)
                    elif c.fetch_ahead:
                        run_along_ahead(rows, not inside, c, x, weights, dst + q * c.yp, ih, iw, min(n, last - q), b,
                                        min(b + group, b1), ahead)
                    else:
                        run_along(rows, not inside, c, x, weights, dst + q * c.yp, ih, iw, min(n, last - q), b,
                                  min(b + group, b1))
                    q += n
            elif inside and c.few_taps:
                few_row(c, &part, x, weights, dst, ih, first, last, b, min(b + group, b1), ahead)
            else:
                for q in range(apart):
                    depthwise_row(c, &part, kc, whole, rows, inside, x, weights, dst, ih, first + q, last, apart, b,
                                  min(b + group, b1), ahead)
            b += group
        row += rows

cdef inline bint narrow(const Conv* c) noexcept nogil:
    """Whether rows of output are too short to fill tiles, and tiles of single taps can go down their columns."""
    cdef bint whole
    cdef int kc = chunk(c, &whole)
    if c.out_width > (4 if kc == 1 else 2) or whole or c.few_taps or c.siblings > 1:
        return False
    return c.xw > 0 and c.xh % c.xw == 0

cdef void depthwise_narrow(const Conv* c, const REAL* x, const REAL* weights, REAL* y, Py_ssize_t row, Py_ssize_t end,
                           Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """Whole rows of few pixels: those of a tile are below each other, and it adds taps one by one, in the same order.
    Else each multiply-add would wait for the one before it. Where windows meet padding, strips."""
    cdef Conv t = c[0]
    cdef Py_ssize_t first = row, last = end, left = 0, right = c.out_width, column, r, mr
    windows_inside(c.top, c.stride_h, (c.window_h - 1) * c.dilation_h + 1, c.height, &first, &last)
    windows_inside(c.left, c.stride_w, (c.window_w - 1) * c.dilation_w + 1, c.width, &left, &right)
    if left == right:                        # none: one strip
        first = last = end
    t.stride_w = c.stride_h * (c.xh // c.xw)     # of the pixels of a tile
    t.yp = c.out_width * c.yp
    t.fetch_ahead = 0
    if row < first:
        depthwise_strip(c, x, weights, y, row, first, 0, c.out_width, b0, b1)
    if first < last and 0 < left:
        depthwise_strip(c, x, weights, y, first, last, 0, left, b0, b1)
    for column in range(left, right):
        r = first
        while r < last:
            mr = min(8, last - r)
            run_depthwise_tiles(1, False, 1, False, <int>mr, &t, x, weights, y + (r * c.out_width + column) * c.yp,
                                r * c.stride_h - c.top, column * c.stride_w - c.left, b0, b1, NULL)
            r += mr
    if first < last and right < c.out_width:
        depthwise_strip(c, x, weights, y, first, last, right, c.out_width, b0, b1)
    if last < end:
        depthwise_strip(c, x, weights, y, last, end, 0, c.out_width, b0, b1)

cdef void depthwise_vectors(const Conv* c, const REAL* x, const REAL* weights, REAL* y, Py_ssize_t p0, Py_ssize_t p1,
                            Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """Output pixels [p0, p1) of one image, channel vectors [b0, b1)."""
    cdef Py_ssize_t p = p0, row, column, end, rows, first, last
    if c.filters < LANES:
        run_thin(c, x, weights, y, p0, p1)
        return
    while p < p1:
        row = p // c.out_width
        column = p - row * c.out_width
        end = min(c.out_width, column + p1 - p)
        rows = max(1, (p1 - p) // c.out_width) if column == 0 else 1
        if c.window_w == c.stride_h == 1 < c.window_h and rows > 1:
            depthwise_columns(c, x, weights, y, row, rows, b0, b1)
        elif rows > 1 and narrow(c):
            depthwise_narrow(c, x, weights, y, row, row + rows, b0, b1)
        else:
            first = column
            while first < end:
                last = min(first + c.strip, end)
                depthwise_strip(c, x, weights, y, row, row + rows, first, last, b0, b1)
                first = last
        p += end - column + (rows - 1) * c.out_width

cdef void run_depthwise(const Conv* c, const Conv* _, const void* x, const void* weights, const void* second_weights,
                        void* y, char* scratch, int threads, team_t team) noexcept nogil:
    cdef Conv v = c[0]                     # as so many threads, whose caches hold more than one's, work on it
    v.pieces = threads <= c.pieces
    run(depthwise_planes if c.planar else depthwise_block, &v, &v, x, weights, second_weights, y, scratch, threads,
        team)
