# channels_first: vectors are of pixels, which lie side by side in a plane. Nothing is transposed.
#
# Dense: the tile of conv.pxi with roles exchanged; what it takes for pixels are filters.
# Loop order, outermost first, and what each level keeps where:
#   task             a range of output pixels x a range of filter blocks               (threads)
#   pixel block      what its pixels meet, in panels of a few vectors: [zeros][ones][taps][channels][vectors * lanes]
#                                                                                      (second-level cache)
#   filter block     a few filters, packed weights [filter][bias][taps][channels]   (first- or second-level cache)
#   panel            long enough runs of each plane are written before the next one
#   tile             MR filters x NV vectors of pixels                                 (registers)
#
# The bias is the weight of the ones, added to the panel's first line, where a tile looks for it: minus zero, which
# changes nothing that is added to it.
#
# Depthwise: windows of 3 x 3, 5 x 5 and 7 x 7.
#   task             a range of output rows x a range of filters                       (threads)
#   filter           rows of its plane, read in place or loaded with their padding; at stride 2 even and odd columns
#                    apart                                                             (first-level cache)
#   tile             R rows x a vector of pixels, which share the rows of input that they meet   (registers)

cdef enum:
    MOST_FILTERS = 64    # of a block: schedule.PLANAR_FILTERS

cdef void zero(REAL* dst, Py_ssize_t pitch, Py_ssize_t rows, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t r, k
    for r in range(rows if count else 0):
        for k in range(count):
            dst[r * pitch + k] = 0

cdef void load_panel(const Conv* c, const REAL* x, Py_ssize_t p, Py_ssize_t pixels, REAL* panel) noexcept nogil:
    """panel[taps][channels][pixels] <- what output pixels [p, p + pixels) of one image meet; zeros where that is
    padding."""
    cdef Py_ssize_t channels = c.channels // c.groups, width = c.out_width, n = 0, row, column, count, kh, kw, ih, iw
    cdef Py_ssize_t lo, hi
    cdef REAL* dst
    if c.window_h * c.window_w * c.stride_h * c.stride_w == 1 and c.out_height == c.height and c.out_width == c.width:
        if c.xh == c.width * c.xw:                           # pixels follow each other across rows
            width = c.out_height * c.out_width
    while n < pixels:              # those of one row
        row = (p + n) // width
        column = p + n - row * width
        count = min(width - column, pixels - n)
        dst = panel + n
        for kh in range(c.window_h):
            ih = row * c.stride_h - c.top + kh * c.dilation_h
            for kw in range(c.window_w):
                iw = column * c.stride_w - c.left + kw * c.dilation_w
                meet(iw, count, c.width if width == c.out_width else width, c.stride_w, &lo, &hi)
                if <size_t>ih >= <size_t>c.height:
                    hi = lo
                hi = max(lo, hi)
                zero(dst, pixels, channels, lo)
                zero(dst + hi, pixels, channels, count - hi)
                if lo < hi:
                    pick(x + ih * c.xh + (iw + lo * c.stride_w) * c.xw, c.stride_w * c.xw, c.xc, channels, hi - lo,
                         dst + lo, pixels)
                dst += channels * pixels
        n += count

cdef void pack_planar(const Conv* c, Py_ssize_t K, const void* kernel, const void* bias, void* packed) noexcept nogil:
    """packed[filter][1 + K] <- bias, then kernel (K, filters)."""
    cdef REAL* dst = <REAL*>packed
    cdef Py_ssize_t f
    for f in range(c.filters):
        dst[f * (K + 1)] = (<const REAL*>bias)[f] if bias != NULL else 0
    transpose(<const REAL*>kernel, c.filters, 1, K, c.filters, 0, 0, dst + 1, K + 1)

cdef inline Py_ssize_t next_panel(const Conv* c, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t* p,
                                  Py_ssize_t* width) noexcept nogil:
    """First pixel, and vectors, of the panel for pixels from p on; p moves behind it. The last panel is moved back to
    end at p1: its vectors are then full, and pixels that it shares are computed twice, equally."""
    cdef Py_ssize_t first = p[0]
    width[0] = min(min(c.vectors, max(1, (p1 - p0) // LANES)), (p1 - first + LANES - 1) // LANES)
    p[0] += width[0] * LANES
    return max(0, min(first, p1 - width[0] * LANES))

cdef void multiply_planes(const Conv* c, const REAL* x, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0, Py_ssize_t b1,
                          const REAL* weights, REAL* y, REAL* panels) noexcept nogil:
    """Output pixels [p0, p1) of one image, filter blocks [b0, b1) counted over all groups."""
    cdef Py_ssize_t K = reduction(c), filters = c.filters // c.groups, p, width, pixels, first, b, f, g = -1, i
    cdef Py_ssize_t[MOST_FILTERS] offsets, places
    cdef REAL* panel
    cdef Taps t
    t.step_h = t.step_w = t.before = t.between = 0
    t.window_h = t.window_w = 1
    t.run = K + 1
    t.pitch = c.yf
    t.resume = False
    t.stream = c.stream
    t.activation = c.activation
    t.slope = <REAL>c.slope
    for i in range(c.block_filters):
        offsets[i] = i * (K + 1)
        places[i] = i
    for b in range(b0, b1):
        if b // c.blocks != g:
            g = b // c.blocks
            panel = panels
            p = p0
            while p < p1:
                first = next_panel(c, p0, p1, &p, &width)
                pixels = width * LANES
                for i in range(pixels):
                    panel[i] = -0.0
                    panel[pixels + i] = 1
                load_panel(c, x + g * (c.channels // c.groups) * c.xc, first, pixels, panel + 2 * pixels)
                panel += (K + 2) * pixels
        f = b % c.blocks * c.block_filters
        i = min(c.block_filters, filters - f)
        f += g * filters
        panel = panels
        p = p0
        while p < p1:
            first = next_panel(c, p0, p1, &p, &width)
            run_equal(0, i, width, &t, weights + f * (K + 1), offsets, places, panel, y + f * c.yf + first)
            panel += (K + 2) * width * LANES

cdef void planar_block(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* _weights, REAL* y,
                       char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    multiply_planes(c, x, p0, p1, b0, b1, weights, y, <REAL*>scratch)

cdef inline void plane_tiles(int R, int K, int S, const Conv* c, const REAL* x, Py_ssize_t pitch, Py_ssize_t phase,
                             const REAL* weights, REAL* y, Py_ssize_t count) noexcept nogil:
    """R rows of `count` pixels, at least a vector: the last one is moved back. K x K: the window. S: the stride.
    x: [rows, `pitch` apart][S phases, `phase` apart]: of every S columns one."""
    cdef vec acc[4]
    cdef vec wv[49]
    cdef vec xv
    cdef const REAL* p
    cdef Py_ssize_t i = 0, k, out_width = c.out_width
    cdef int r, h, q, activation = c.activation
    cdef bint stream = c.stream
    cdef REAL slope = <REAL>c.slope
    while i < count:
        k = min(i, count - LANES)
        p = x + k
        for r in range(R):
            acc[r] = vset(weights[0])
        for q in range(K * K):
            wv[q] = vset(weights[1 + q])
        for h in range((R - 1) * S + K):
            for q in range(K):
                xv = vfetch(p + q % S * phase + q // S)
                for r in range(R):
                    if h >= r * S and h - r * S < K:
                        acc[r] += xv * wv[(h - r * S) * K + q]
            p += pitch
        if activation == 1:
            for r in range(R):
                acc[r] = vnonneg(acc[r])
        elif activation == 2:
            for r in range(R):
                acc[r] = vatmost(vnonneg(acc[r]), 6)
        elif activation == 3:
            for r in range(R):
                acc[r] = vleak(acc[r], slope)
        if stream:
            for r in range(R):
                vstream(y + k + r * out_width, acc[r])
        else:
            for r in range(R):
                vstore(y + k + r * out_width, acc[r])
        i += LANES

cdef inline void plane_menu(int K, int S, int rows, const Conv* c, const REAL* x, Py_ssize_t pitch, Py_ssize_t phase,
                            const REAL* w, REAL* y, Py_ssize_t count) noexcept nogil:
    if rows == 4: plane_tiles(4, K, S, c, x, pitch, phase, w, y, count)
    elif rows == 2: plane_tiles(2, K, S, c, x, pitch, phase, w, y, count)
    else: plane_tiles(1, K, S, c, x, pitch, phase, w, y, count)

cdef void run_plane_tiles(int rows, const Conv* c, const REAL* x, Py_ssize_t pitch, Py_ssize_t phase, const REAL* w,
                          REAL* y, Py_ssize_t count) noexcept nogil:
    """The menu: schedule.planar_depthwise knows it too."""
    if c.window_h == 3 and c.stride_h == 1: plane_menu(3, 1, rows, c, x, pitch, phase, w, y, count)
    elif c.window_h == 3: plane_menu(3, 2, rows, c, x, pitch, phase, w, y, count)
    elif c.window_h == 5 and c.stride_h == 1: plane_menu(5, 1, rows, c, x, pitch, phase, w, y, count)
    elif c.window_h == 5: plane_menu(5, 2, rows, c, x, pitch, phase, w, y, count)
    else: plane_menu(7, 1, rows, c, x, pitch, phase, w, y, count)

cdef inline Py_ssize_t whole_vector(const Conv* c, Py_ssize_t p0, Py_ssize_t p1) noexcept nogil:
    """Where to begin, so that the last row, at least a vector long, is cut into whole vectors."""
    return min(p0, max((p1 - 1) // c.out_width * c.out_width, p1 - LANES))

cdef void depthwise_planes(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* _weights,
                           REAL* y, char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0,
                           Py_ssize_t b1) noexcept nogil:
    """Output pixels [p0, p1) of one image, filters [b0, b1)."""
    cdef Py_ssize_t K = c.window_h, S = c.stride_h, start = whole_vector(c, p0, p1), r0 = start // c.out_width
    cdef Py_ssize_t out_rows = (p1 - 1) // c.out_width + 1 - r0, n = p1 - start if out_rows == 1 else c.out_width
    cdef Py_ssize_t column = start - r0 * c.out_width if out_rows == 1 else 0
    cdef Py_ssize_t top = r0 * S - c.top, left = column * S - c.left, rows = (out_rows - 1) * S + K
    cdef Py_ssize_t skipped = max(0, -top), pitch = c.xh, phase = 0, f, p, k, lo, hi, count, channel = -1
    cdef REAL* loaded = <REAL*>scratch
    cdef const REAL* src = x
    cdef int together              # rows of a tile
    cdef bint load = c.load or top < 0 or left < 0 or top + rows > c.height or left + (n - 1) * S + K > c.width
    if load:
        # Copies start on a cache line. Planes have their padding in the same places: it is written once.
        phase = (n + (K - 1) // S + 2 * LANES - 2) // LANES * LANES
        pitch = S * phase
        memset(loaded, 0, rows * pitch * sizeof(REAL))
        meet(left, n, c.width, S, &lo, &hi)
        loaded += (LANES - lo % LANES) % LANES
    for f in range(b0, b1):
        if f // c.multiplier != channel:
            channel = f // c.multiplier
            src = x + channel * c.xc + top * c.xh + left * c.xw
            if load:
                count = min(rows, c.height - top) - skipped
                for k in range(S):
                    meet(left + k, n + (K - 1 - k) // S, c.width, S, &lo, &hi)
                    if lo < hi and count > 0:
                        pick(src + skipped * c.xh + (k + lo * S) * c.xw, S * c.xw, c.xh, count, hi - lo,
                             loaded + skipped * pitch + k * phase + lo, pitch)
                src = loaded
        p = start
        while p < p1:
            k = p // c.out_width
            count = min((k + 1) * c.out_width, p1) - p
            together = 1
            if count == c.out_width:
                together = 4 if p + 4 * c.out_width <= p1 else 2 if p + 2 * c.out_width <= p1 else 1
            run_plane_tiles(together, c, src + (k - r0) * S * pitch + p - k * c.out_width - column, pitch, phase,
                            weights + f * (K * K + 1), y + f * c.yf + p, count)
            p += count + (together - 1) * c.out_width
