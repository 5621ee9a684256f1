# Depthwise layers of fewer channels than lanes at a stride: a pixel's channels are a part of a vector.
#
# Loop order, outermost first:
#   row, 8 pixels    their sums; 4 or 1 of shorter rows                              (registers)
#   taps             weights once for these pixels, inputs one by one
#
# A row as one run of elements (depthwise.pxi) leaves no lane empty, but computes what lies between the pixels that a
# stride takes, and moves its results. Lanes beyond the channels are masked, which costs nothing where there are masks.

cdef inline void thin_tile(int MR, bint CHECK, const Conv* c, lanes some, const REAL* x, const REAL* w, REAL* y,
                           Py_ssize_t row, Py_ssize_t column, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """MR pixels, whose first tap is at (row, column) of the input: rows [first, last) of their windows. CHECK: what
    lies outside is zero."""
    cdef vec acc[8]
    cdef vec wv
    cdef const REAL* p[3]                 # of every third pixel: the others are one and two steps behind
    cdef Py_ssize_t kh, kw, at, step = c.stride_w * c.xw, next = c.dilation_w * c.xw
    cdef lanes there = some
    cdef size_t inside
    cdef int i
    wv = vload(w)
    for i in range(MR):
        acc[i] = wv
    w += (1 + first * c.window_w) * LANES
    for kh in range(first, last):
        at = row + kh * c.dilation_h
        inside = c.width if not CHECK or <size_t>at < <size_t>c.height else 0
        for i in range((MR + 2) // 3):
            p[i] = x + at * c.xh + column * c.xw + 3 * i * step
        at = column
        for kw in range(c.window_w):
            wv = vfetch(w)
            if CHECK:
                there = some if <size_t>at < inside else vlanes(0, 0)
            for i in range(MR):
                acc[i] += vpart(p[i // 3] + i % 3 * step, there, ZEROS, ZEROS) * wv
            w += LANES
            for i in range((MR + 2) // 3):
                p[i] += next
            at += c.dilation_w
    for i in range(MR):
        vstore_some(y + i * c.yp, activated(c.activation, acc[i], <REAL>c.slope), some)

cdef void run_thin(const Conv* c, const REAL* x, const REAL* w, REAL* y, Py_ssize_t p0, Py_ssize_t p1) noexcept nogil:
    """Output pixels [p0, p1) of one image. The last tile of a row is moved back to end with the pixels whose windows
    lie inside; next to padding pixels are taken one by one."""
    cdef Py_ssize_t p = p0, row, column, end, left, right, ih, iw, most, first, last
    cdef lanes some = vlanes(vbits(0, c.filters), 0)
    cdef REAL* dst
    while p < p1:
        row = p // c.out_width
        column = p - row * c.out_width
        end = min(c.out_width, column + p1 - p)
        p += end - column
        ih = row * c.stride_h - c.top
        first = 0
        last = c.window_h
        left = column
        right = end
        windows_inside(c.left, c.stride_w, (c.window_w - 1) * c.dilation_w + 1, c.width, &left, &right)
        if ih < 0 or ih + (c.window_h - 1) * c.dilation_h >= c.height:
            if c.leave_out:
                meet(ih, c.window_h, c.height, c.dilation_h, &first, &last)
            else:
                left = right = end
        most = 8 if right - left >= 8 else 4 if right - left >= 4 else 1
        while column < end:
            if left <= column < right:
                column = min(column, right - most)
            dst = y + (row * c.out_width + column) * c.yp
            iw = column * c.stride_w - c.left
            if not left <= column < right:
                thin_tile(1, True, c, some, x, w, dst, ih, iw, first, last)
                column += 1
            elif most == 8:
                thin_tile(8, False, c, some, x, w, dst, ih, iw, first, last)
                column += 8
            elif most == 4:
                thin_tile(4, False, c, some, x, w, dst, ih, iw, first, last)
                column += 4
            else:
                thin_tile(1, False, c, some, x, w, dst, ih, iw, first, last)
                column += 1
