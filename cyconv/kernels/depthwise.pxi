# Depthwise convolution: every channel by itself, a vector of channels at a time.
#
# Loop order, outermost first, and what each level keeps where:
#   task             a range of output pixels x a range of channel vectors           (threads)
#   pixel block      input read in place (borders too), or loaded to scratch where channels are not contiguous,
#                    multiplied, or fewer than a vector
#   tile             MR output pixels of one row                                     (registers)
#   channel vector   its weights [bias][window_h][window_w][lanes]                   (first-level cache)
#   window rows      KC taps of weights at a time in registers; each input vector is loaded once and used by every
#                    pixel and tap of the chunk that it meets

cdef inline vec load_or_zero(bint CHECK, const REAL* row, Py_ssize_t column, Py_ssize_t pitch, size_t width) noexcept nogil:
    """Column of a row, or zero outside [0, width)."""
    if CHECK and <size_t>column >= width:
        return vset(0)
    return vload(row + column * pitch)

cdef inline void depthwise_tile(int MR, int KC, int S, bint CHECK, const Conv* v, const REAL* x, const REAL* w, REAL* y,
                                Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    """MR pixels, one channel vector; (row, column): of the input, under the first pixel's first tap.
    S: the literal stride where chunks of KC > 1 taps are used (dilation 1)."""
    cdef vec acc[8]
    cdef vec wv[5]
    cdef vec xv
    cdef const REAL* line
    cdef size_t width
    cdef Py_ssize_t kh, kw
    cdef int i, k, q
    xv = vload(w)
    w += LANES
    for i in range(MR):
        acc[i] = xv
    for kh in range(v.window_h):
        line = x + row * v.xh
        width = <size_t>v.width
        if CHECK and <size_t>row >= <size_t>v.height:
            width = 0
        kw = 0
        if KC > 1:
            while kw + KC <= v.window_w:
                for k in range(KC):
                    wv[k] = vload(w + k * LANES)
                for q in range((MR - 1) * S + KC):
                    xv = load_or_zero(CHECK, line, column + kw + q, v.xw, width)
                    for i in range(MR):
                        if q - i * S >= 0 and q - i * S < KC:
                            acc[i] += xv * wv[q - i * S]
                w += KC * LANES
                kw += KC
        while kw < v.window_w:
            wv[0] = vload(w)
            for i in range(MR):
                xv = load_or_zero(CHECK, line, column + kw * v.dilation_w + i * v.stride_w, v.xw, width)
                acc[i] += xv * wv[0]
            w += LANES
            kw += 1
        row += v.dilation_h
    for i in range(MR):
        finish(1, &acc[i], v.activation, <REAL>v.slope, y + i * v.yp, 0)

cdef inline void depthwise_tiles(int MR, int KC, int S, bint CHECK, const Conv* v, const REAL* x, const REAL* weights,
                                 REAL* y, Py_ssize_t row, Py_ssize_t column, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    cdef Py_ssize_t size = (v.window_h * v.window_w + 1) * LANES, b, channel
    for b in range(b0, b1):
        channel = min(b * LANES, v.filters - LANES)        # the last vector moved back to be full
        depthwise_tile(MR, KC, S, CHECK, v, x + channel, weights + b * size, y + channel, row, column)

cdef inline void depthwise_menu(int KC, int S, bint CHECK, int mr, const Conv* v, const REAL* x, const REAL* w, REAL* y,
                                Py_ssize_t row, Py_ssize_t column, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    if mr == 1: depthwise_tiles(1, KC, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif mr == 2: depthwise_tiles(2, KC, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif mr == 3: depthwise_tiles(3, KC, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif mr == 4: depthwise_tiles(4, KC, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif mr == 5: depthwise_tiles(5, KC, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif mr == 6: depthwise_tiles(6, KC, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif mr == 7: depthwise_tiles(7, KC, S, CHECK, v, x, w, y, row, column, b0, b1)
    elif mr == 8: depthwise_tiles(8, KC, S, CHECK, v, x, w, y, row, column, b0, b1)

cdef void run_depthwise_tiles(int kc, bint check, int mr, const Conv* v, const REAL* x, const REAL* w, REAL* y,
                              Py_ssize_t row, Py_ssize_t column, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """The menu: chunks of 3, 4 and 5 taps at stride 1 and 2, single taps at any stride and dilation."""
    cdef int s = <int>v.stride_w
    if kc == 3 and s == 1:
        if check: depthwise_menu(3, 1, True, mr, v, x, w, y, row, column, b0, b1)
        else: depthwise_menu(3, 1, False, mr, v, x, w, y, row, column, b0, b1)
    elif kc == 3:
        if check: depthwise_menu(3, 2, True, mr, v, x, w, y, row, column, b0, b1)
        else: depthwise_menu(3, 2, False, mr, v, x, w, y, row, column, b0, b1)
    elif kc == 4 and s == 1:
        if check: depthwise_menu(4, 1, True, mr, v, x, w, y, row, column, b0, b1)
        else: depthwise_menu(4, 1, False, mr, v, x, w, y, row, column, b0, b1)
    elif kc == 5 and s == 1:
        if check: depthwise_menu(5, 1, True, mr, v, x, w, y, row, column, b0, b1)
        else: depthwise_menu(5, 1, False, mr, v, x, w, y, row, column, b0, b1)
    elif kc == 5:
        if check: depthwise_menu(5, 2, True, mr, v, x, w, y, row, column, b0, b1)
        else: depthwise_menu(5, 2, False, mr, v, x, w, y, row, column, b0, b1)
    else:
        if check: depthwise_menu(1, 1, True, mr, v, x, w, y, row, column, b0, b1)
        else: depthwise_menu(1, 1, False, mr, v, x, w, y, row, column, b0, b1)

cdef inline int chunk(const Conv* v) noexcept nogil:
    """Taps of a window row whose weights are held in registers together."""
    if v.dilation_w != 1 or v.stride_w > 2 or v.window_w < 3:
        return 1
    if v.window_w % 5 == 0:
        return 5
    if v.window_w % 3 == 0 or v.stride_w == 2:
        return 3
    return 4 if v.window_w > 3 else 1

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
    cdef Py_ssize_t p = p0, row, column, end, n, mr, more, i, ih, iw, last
    cdef int kc
    cdef bint inside, check, direct = c.yf == 1 and c.filters >= LANES
    if c.load:
        src = view(c, &v, x, p0, p1, <REAL*>scratch)
    if not direct:             # whole vectors to scratch, then where they belong
        v.yp = max(c.filters, LANES)
        out = <REAL*>(scratch + c.load_bytes) - p0 * v.yp
        v.filters = v.yp
    kc = chunk(&v)
    while p < p1:
        row = p // v.out_width
        column = p - row * v.out_width
        end = min(v.out_width, column + p1 - p)
        ih = row * v.stride_h - v.top
        inside = ih >= 0 and ih + (v.window_h - 1) * v.dilation_h < v.height
        # One row, in tiles as equal as possible: `more` of mr + 1 pixels, then the others of mr.
        n = (end - column + 7) // 8
        mr = (end - column) // n
        more = (end - column) % n
        for i in range(n):
            last = mr + 1 if i < more else mr
            iw = column * v.stride_w - v.left
            check = not (inside and iw >= 0 and iw + (last - 1) * v.stride_w + (v.window_w - 1) * v.dilation_w < v.width)
            run_depthwise_tiles(kc, check, <int>last, &v, src, weights, out + p * v.yp, ih, iw, b0, b1)
            p += last
            column += last
    if not direct:
        i = b0 * LANES
        scatter(c, out + p0 * v.yp + i, v.yp, p0, p1 - p0, i, min(b1 * LANES, c.filters) - i, y)

cdef void depthwise_task(const Conv* c, const REAL* x, const REAL* weights, REAL* y, char* scratch, Py_ssize_t task) noexcept nogil:
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

cdef void run_depthwise(const Conv* c, const Conv* _, const void* x, const void* weights, const void* _w, void* y,
                        char* scratch, int threads) noexcept nogil:
    cdef Py_ssize_t task, tasks = c.pixel_parts * c.filter_parts
    if threads == 1:
        for task in range(tasks):
            depthwise_task(c, <const REAL*>x, <const REAL*>weights, <REAL*>y, scratch, task)
    else:
        for task in prange(tasks, num_threads=threads, schedule="static"):
            depthwise_task(c, <const REAL*>x, <const REAL*>weights, <REAL*>y, scratch + threadid() * c.scratch_bytes, task)
