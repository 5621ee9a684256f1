# Input rows: straight from the array where the window stays inside it, else a few of them loaded, padded, to scratch.

cdef void load_pixels(const Conv* c, const REAL* row, Py_ssize_t first, Py_ssize_t count, Py_ssize_t step,
                      REAL* dst) noexcept nogil:
    """dst[count][loaded_channels] <- columns first, first+step, ... of one row; zeros outside it, and in the lanes of
    a vector that holds fewer channels."""
    cdef Py_ssize_t C = c.channels, M = c.multiplier, L = c.loaded_channels, i, k, m, lo, hi
    cdef const REAL* src
    cdef REAL* d
    lo = 0 if first >= 0 else (-first + step - 1) // step
    hi = 0 if first >= c.width else (c.width - first + step - 1) // step
    lo = min(lo, count)
    hi = max(lo, min(hi, count))
    memset(dst, 0, lo * L * sizeof(REAL))
    memset(dst + hi * L, 0, (count - hi) * L * sizeof(REAL))
    if lo == hi:
        return
    src = row + (first + lo * step) * c.xw
    d = dst + lo * L
    step = step * c.xw
    count = hi - lo
    if M == 1 and c.xc == 1 and step == C and L == C:
        memcpy(d, src, count * C * sizeof(REAL))
    elif M == 1 and c.xc == 1 and C >= LANES:
        for i in range(count):
            memcpy(d + i * L, src + i * step, C * sizeof(REAL))
    elif M == 1 and C >= LANES:
        transpose(src, c.xc, step, C, count, d, L)
    else:
        for i in range(count):
            for k in range(C):
                for m in range(M):
                    d[i * L + k * M + m] = src[i * step + k * c.xc]
            for k in range(C * M, L):
                d[i * L + k] = 0

cdef void transpose(const REAL* src, Py_ssize_t across, Py_ssize_t along, Py_ssize_t rows, Py_ssize_t columns,
                    REAL* dst, Py_ssize_t pitch) noexcept nogil:
    """dst[column * pitch + row] <- src[row * across + column * along], in squares that fit the first-level cache."""
    cdef Py_ssize_t r0 = 0, q0, r, q, r1, q1
    while r0 < rows:
        r1 = min(r0 + 16, rows)
        q0 = 0
        while q0 < columns:
            q1 = min(q0 + 16, columns)
            for q in range(q0, q1):
                for r in range(r0, r1):
                    dst[q * pitch + r] = src[r * across + q * along]
            q0 = q1
        r0 = r1

cdef const REAL* view(const Conv* c, Conv* v, const REAL* x, Py_ssize_t p0, Py_ssize_t p1,
                      REAL* scratch) noexcept nogil:
    """Make `v` describe where output pixels [p0, p1) of one image find their input: `x` or, loaded, `scratch`."""
    cdef Py_ssize_t r0 = p0 // c.out_width, r1 = (p1 - 1) // c.out_width + 1
    cdef Py_ssize_t c0 = 0, c1 = c.out_width, ih0, ih1, iw0, iw1, rows, row, cols, r, k, pitch
    cdef const REAL* src
    cdef REAL* dst
    if r1 - r0 == 1:
        c0 = p0 - r0 * c.out_width
        c1 = p1 - r0 * c.out_width
    ih0 = r0 * c.stride_h - c.top
    ih1 = (r1 - 1) * c.stride_h - c.top + (c.window_h - 1) * c.dilation_h + 1
    iw0 = c0 * c.stride_w - c.left
    iw1 = (c1 - 1) * c.stride_w - c.left + (c.window_w - 1) * c.dilation_w + 1
    v[0] = c[0]
    if not c.load and ih0 >= 0 and iw0 >= 0 and ih1 <= c.height and iw1 <= c.width:
        return x
    cols = (c1 - c0) * c.window_w if c.split_columns else iw1 - iw0
    rows = (r1 - r0) * c.window_h if c.split_rows else ih1 - ih0
    pitch = cols * c.loaded_channels
    for r in range(rows):
        row = ih0 + r
        if c.split_rows:
            row = ih0 + (r // c.window_h) * c.stride_h + (r % c.window_h) * c.dilation_h
        dst = scratch + r * pitch
        if row < 0 or row >= c.height:
            memset(dst, 0, pitch * sizeof(REAL))
            continue
        src = x + row * c.xh
        if c.split_columns:
            for k in range(c.window_w):
                load_pixels(c, src, iw0 + k * c.dilation_w, c1 - c0, c.stride_w,
                            dst + k * (c1 - c0) * c.loaded_channels)
        else:
            load_pixels(c, src, iw0, cols, 1, dst)
    v.height = rows
    v.width = cols
    v.xh = pitch
    v.xw = c.loaded_channels
    v.xc = 1
    v.top = c.top + ih0
    v.left = c.left + iw0
    if c.split_rows:
        v.stride_h = c.window_h
        v.dilation_h = 1
        v.top = r0 * c.window_h
    if c.split_columns:
        v.stride_w = 1
        v.dilation_w = c1 - c0
        v.left = c0
    return scratch
