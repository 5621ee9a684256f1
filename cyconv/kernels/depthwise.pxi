# Depthwise convolution: every channel by itself, a vector of channels at a time.
#
# Loop order, outermost first, and what each level keeps where:
#   task             a range of output pixels x a range of channel vectors           (threads)
#   pixel block      input read in place (borders too), or loaded to scratch where channels are not contiguous,
#                    multiplied, fewer than a vector, or a multiple of 2 KiB
#   tile             MR output pixels of one row x NV channel vectors                (registers)
#   window rows      KC taps of weights at a time in registers; each input vector is loaded once and used by every
#                    pixel and tap of the chunk that it meets
#
# For the usual windows two channel vectors are taken together: with 32-byte vectors that is a
# cache line, used up at once. Pixels that are a power of two apart share so few sets of the first-level cache that a
# line is often gone when its other half's turn comes.

cdef inline void depthwise_tile(int MR, int NV, int KC, bint WHOLE, int S, bint CHECK, const REAL* x, Py_ssize_t xw,
                                Py_ssize_t row_step, const REAL* w, Py_ssize_t size, REAL* y, Py_ssize_t yp,
                                Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t stride, Py_ssize_t dilation,
                                Py_ssize_t row, Py_ssize_t dilation_h, Py_ssize_t height, Py_ssize_t column,
                                size_t width, int activation, REAL slope) noexcept nogil:
    """MR pixels x NV channel vectors, whose weights are `size` apart. `x`: under the first pixel's first tap, which is
    at (row, column) of the input. WHOLE: the window is KC x KC. S: the stride where chunks are used (at dilation 1).
    CHECK: rows and columns may lie outside the input, where there are zeros."""
    cdef vec acc[2][8]
    cdef vec wv[7]
    cdef vec xv
    cdef const REAL* p[8]
    cdef const REAL* u
    cdef size_t inside = width
    cdef Py_ssize_t kh, kw, at
    cdef int i, j, k, q
    for j in range(NV):
        xv = vload(w + j * size)
        for i in range(MR):
            acc[j][i] = xv
    w += LANES
    for kh in range(KC if WHOLE else window_h):
        if CHECK:
            inside = width if <size_t>(row + kh * dilation_h) < <size_t>height else 0
        for j in range(NV):
            u = w + j * size
            kw = 0
            if KC > 1:
                for q in range(((MR - 1) * S + KC + 2) // 3):
                    p[q] = x + 3 * q * xw + j * LANES
                while WHOLE or kw + KC <= window_w:
                    for k in range(KC):
                        wv[k] = vload(u + k * LANES)
                    for q in range((MR - 1) * S + KC):
                        xv = vset(0)
                        if not CHECK or <size_t>(column + kw + q) < inside:
                            xv = vload(p[q // 3] + (q % 3) * xw)
                        for i in range(MR):
                            if q - i * S >= 0 and q - i * S < KC:
                                acc[j][i] += xv * wv[q - i * S]
                    if WHOLE:
                        break
                    for q in range(((MR - 1) * S + KC + 2) // 3):
                        p[q] += KC * xw
                    u += KC * LANES
                    kw += KC
            if not WHOLE:
                while kw < window_w:
                    at = kw * dilation
                    for i in range(MR):
                        xv = vset(0)
                        if not CHECK or <size_t>(column + at) < inside:
                            xv = vload(x + at * xw + j * LANES)
                        acc[j][i] += xv * vload(u)
                        at += stride
                    u += LANES
                    kw += 1
        w += (KC if WHOLE else window_w) * LANES
        x += row_step
    if activation:
        for j in range(NV):
            for i in range(MR):
                acc[j][i] = activate(acc[j][i], activation, slope)
    for i in range(MR):
        for j in range(NV):
            vstore(y + j * LANES, acc[j][i])
        y += yp

cdef inline void depthwise_tiles(int MR, int KC, bint WHOLE, int S, bint CHECK, const Conv* v, const REAL* x,
                                 const REAL* weights, REAL* y, Py_ssize_t row, Py_ssize_t column,
                                 Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """MR pixels, channel vectors [b0, b1). The rows that come next are fetched ahead where they come from memory: from
    a cache the processor fetches them itself, and doing it twice costs a tenth to a third."""
    # Copies: a vector store may alias anything in memory, so that fields would be read again after each.
    cdef Py_ssize_t size = (v.window_h * v.window_w + 1) * LANES, b = b0, at, xw = v.xw, yp = v.yp, filters = v.filters
    cdef Py_ssize_t window_h = v.window_h, window_w = v.window_w, stride = v.stride_w, dilation = v.dilation_w
    cdef Py_ssize_t dilation_h = v.dilation_h, xh = v.xh, row_step = v.dilation_h * v.xh, height = v.height
    cdef size_t width = v.width
    cdef bint fetch_ahead = v.fetch_ahead
    cdef int activation = v.activation, i, j
    cdef REAL slope = <REAL>v.slope
    x += row * v.xh + column * xw
    cdef const REAL* next_x
    cdef const REAL* next_y
    cdef const REAL* ahead = x + window_h * row_step + (window_w - 1) * xw
    while WHOLE and b + 2 <= b1 and (b + 2) * LANES <= filters:
        at = b * LANES
        vrenew(xw)             # else dozens of addresses are kept across the loop, on the stack
        vrenew(row_step)
        if fetch_ahead:
            for j in range(S):
                next_x = ahead + j * xh + at
                for i in range(MR * S):
                    vprefetch(next_x)
                    next_x += xw
            next_y = y + at + 256 // sizeof(REAL)
            for i in range(MR):
                vprefetch(next_y)
                next_y += yp
        depthwise_tile(MR, 2, KC, WHOLE, S, CHECK, x + at, xw, row_step, weights + b * size, size, y + at, yp, window_h,
                       window_w, stride, dilation, row, dilation_h, height, column, width, activation, slope)
        b += 2
    while b < b1:
        at = min(b * LANES, filters - LANES)               # the last vector moved back to be full
        depthwise_tile(MR, 1, KC, WHOLE, S, CHECK, x + at, xw, row_step, weights + b * size, size, y + at, yp, window_h,
                       window_w, stride, dilation, row, dilation_h, height, column, width, activation, slope)
        b += 1

cdef inline void depthwise_menu(int KC, bint WHOLE, int S, bint CHECK, int mr, const Conv* v, const REAL* x,
                                const REAL* w, REAL* y, Py_ssize_t row, Py_ssize_t column,
                                Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    if mr == 1: depthwise_tiles(1, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif mr == 2: depthwise_tiles(2, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif mr == 3: depthwise_tiles(3, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif mr == 4: depthwise_tiles(4, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif not WHOLE:
        if mr == 5: depthwise_tiles(5, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1)
        elif mr == 6: depthwise_tiles(6, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1)
        elif mr == 7: depthwise_tiles(7, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1)
        elif mr == 8: depthwise_tiles(8, KC, WHOLE, S, CHECK, v, x, w, y, row, column, b0, b1)

cdef inline void depthwise_stride(int KC, bint WHOLE, int S, bint check, int mr, const Conv* v, const REAL* x,
                                  const REAL* w, REAL* y, Py_ssize_t row, Py_ssize_t column,
                                  Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    if check: depthwise_menu(KC, WHOLE, S, True, mr, v, x, w, y, row, column, b0, b1)
    else: depthwise_menu(KC, WHOLE, S, False, mr, v, x, w, y, row, column, b0, b1)

cdef void run_depthwise_tiles(int kc, bint check, int mr, const Conv* v, const REAL* x, const REAL* w, REAL* y,
                              Py_ssize_t row, Py_ssize_t column, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """The menu: windows of 3 x 3 and 5 x 5 at strides 1 and 2, of 7 x 7 at stride 1; chunks of 4 taps at stride 1;
    single taps for the rest."""
    cdef int s = <int>v.stride_w
    if kc == 3 and s == 1: depthwise_stride(3, True, 1, check, mr, v, x, w, y, row, column, b0, b1)
    elif kc == 3: depthwise_stride(3, True, 2, check, mr, v, x, w, y, row, column, b0, b1)
    elif kc == 5 and s == 1: depthwise_stride(5, True, 1, check, mr, v, x, w, y, row, column, b0, b1)
    elif kc == 5: depthwise_stride(5, True, 2, check, mr, v, x, w, y, row, column, b0, b1)
    elif kc == 7: depthwise_stride(7, True, 1, check, mr, v, x, w, y, row, column, b0, b1)
    elif kc == 4: depthwise_stride(4, False, 1, check, mr, v, x, w, y, row, column, b0, b1)
    else: depthwise_stride(1, False, 1, check, mr, v, x, w, y, row, column, b0, b1)

cdef inline int chunk(const Conv* v) noexcept nogil:
    """Taps of a window row whose weights are held in registers together."""
    cdef bint square = v.dilation_w == 1 and v.window_w == v.window_h
    if square and (v.stride_w <= 2 and (v.window_w == 3 or v.window_w == 5) or v.stride_w == 1 and v.window_w == 7):
        return <int>v.window_w
    return 4 if v.dilation_w == 1 and v.stride_w == 1 and v.window_w > 3 else 1

cdef void pack_depthwise(const Conv* c, const void* kernel, const void* bias, void* packed) noexcept nogil:
    """packed[block][1 + taps][lanes] <- bias, then kernel (taps, filters); zeros beyond the filters."""
    cdef const REAL* src = <const REAL*>kernel
    cdef const REAL* b = <const REAL*>bias
    cdef REAL* dst = <REAL*>packed
    cdef Py_ssize_t taps = c.window_h * c.window_w, block, k, lanes, first
    memset(dst, 0, c.blocks * (taps + 1) * LANES * sizeof(REAL))
    for block in range(c.blocks):
        first = max(0, min(block * LANES, c.filters - LANES))
        lanes = min(LANES, c.filters - first)
        if b != NULL:
            memcpy(dst, b + first, lanes * sizeof(REAL))
        for k in range(taps):
            dst += LANES
            memcpy(dst, src + k * c.filters + first, lanes * sizeof(REAL))
        dst += LANES

cdef void depthwise_block(const Conv* c, const REAL* x, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0, Py_ssize_t b1,
                          const REAL* weights, REAL* y, char* scratch) noexcept nogil:
    """Output pixels [p0, p1) of one image, channel vectors [b0, b1)."""
    cdef Conv v = c[0]
    cdef const REAL* src = x
    cdef REAL* out = y
    cdef Py_ssize_t p = p0, row, column, end, n, mr, more, i, ih, iw, right, last, most
    cdef Py_ssize_t c0 = b0 * LANES
    cdef int kc
    cdef bint inside, check, direct = c.yf == 1 and c.filters >= LANES
    if c.load:
        src = view(c, &v, x, p0, p1, <REAL*>scratch)
    if not direct:             # whole vectors to scratch, then where they belong
        v.yp = max(c.filters, LANES)
        out = <REAL*>(scratch + c.load_bytes) - p0 * v.yp
        v.filters = v.yp
    kc = chunk(&v)
    most = 4 if kc == 3 or kc == 5 or kc == 7 else 8
    while p < p1:
        row = p // v.out_width
        column = p - row * v.out_width
        end = min(v.out_width, column + p1 - p)
        ih = row * v.stride_h - v.top
        inside = ih >= 0 and ih + (v.window_h - 1) * v.dilation_h < v.height
        # One row, in tiles as equal as possible: `more` of mr + 1 pixels, then the others of mr.
        n = (end - column + most - 1) // most
        mr = (end - column) // n
        more = (end - column) % n
        for i in range(n):
            last = mr + 1 if i < more else mr
            iw = column * v.stride_w - v.left
            right = iw + (last - 1) * v.stride_w + (v.window_w - 1) * v.dilation_w        # the last column met
            check = not (inside and iw >= 0 and right < v.width)
            run_depthwise_tiles(kc, check, <int>last, &v, src, weights, out + p * v.yp, ih, iw, b0, b1)
            p += last
            column += last
    if not direct:
        scatter(c, out + p0 * v.yp + c0, v.yp, p0, p1 - p0, c0, min(b1 * LANES, c.filters) - c0, y)

cdef void depthwise_task(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* _weights,
                         REAL* y, char* scratch, Py_ssize_t task) noexcept nogil:
    cdef Py_ssize_t image = c.out_height * c.out_width, all_pixels = c.batch * image
    cdef Py_ssize_t pp = task // c.filter_parts, fp = task % c.filter_parts
    cdef Py_ssize_t p = pp * all_pixels // c.pixel_parts, end = (pp + 1) * all_pixels // c.pixel_parts
    cdef Py_ssize_t b0 = fp * c.blocks // c.filter_parts, b1 = (fp + 1) * c.blocks // c.filter_parts
    cdef Py_ssize_t n, p0, p1
    while p < end:
        n = p // image
        p0 = p - n * image
        p1 = block_end(c, p0, min(image, end - n * image))
        depthwise_block(c, x + n * c.xn, p0, p1, b0, b1, weights, y + n * c.yn, scratch)
        p += p1 - p0

cdef void run_depthwise(const Conv* c, const Conv* second, const void* x, const void* weights,
                        const void* second_weights, void* y, char* scratch, int threads) noexcept nogil:
    run(depthwise_task, c.pixel_parts * c.filter_parts, c.scratch_bytes, c, second, x, weights, second_weights, y,
        scratch, threads)
