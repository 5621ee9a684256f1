# Input rows: straight from the array where nothing reads padding, else a few of them loaded, padded, to scratch.

cdef inline void windows_inside(Py_ssize_t pad, Py_ssize_t stride, Py_ssize_t span, Py_ssize_t size, Py_ssize_t* first,
                                Py_ssize_t* last) noexcept nogil:
    """Of outputs [first, last) of an axis leave those whose windows, which span so many inputs, lie inside its size."""
    first[0] = min(max(first[0], (pad + stride - 1) // stride), last[0])
    last[0] = max(first[0], min(last[0], (size - span + pad + stride) // stride))

cdef void pick(const REAL* src, Py_ssize_t step, Py_ssize_t pitch, Py_ssize_t rows, Py_ssize_t count, REAL* dst,
               Py_ssize_t dst_pitch) noexcept nogil:
    """Every `step`-th element of each row, `count` of them."""
    cdef Py_ssize_t r, k, at
    if step == 1:
        copy(src, pitch, rows, count, dst, dst_pitch)
        return
    for r in range(rows):
        k = 0
        if SPREADS and step == 2 and count >= LANES:
            while k < count:
                at = min(k, count - LANES)           # the second load ends with the last element that is picked
                vstore(dst + at, vevens(vload(src + 2 * at), vload(src + 2 * at + LANES - 1)))
                k += LANES
        while k < count:
            dst[k] = src[k * step]
            k += 1
        src += pitch
        dst += dst_pitch

cdef void load_pixels(const Conv* c, const REAL* x, Py_ssize_t row, Py_ssize_t first, Py_ssize_t count, Py_ssize_t step,
                      REAL* dst) noexcept nogil:
    """dst[count][loaded_channels] <- columns first, first+step, ... of one row, each channel `multiplier` times; zeros
    outside of it. What lies behind the last channel is never read but where a vector holds fewer, which are zeros."""
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
    first += lo * step
    src = x + row * c.xh + first * c.xw
    d = dst + lo * L
    step = step * c.xw
    count = hi - lo
    if C == 1 and L == 1:
        pick(src, step, 0, 1, count, d, 0)
    elif M == 1 and c.xc == 1 and step == C and L == C:
        memcpy(d, src, count * C * sizeof(REAL))
    elif M == 1 and c.xc == 1 and C >= LANES:
        copy(src, step, count, C, d, L)
    elif M == 1 and C >= LANES:
        # Rows of one plane that follow each other may be read across their ends.
        i = c.width if c.xh == c.width else 0
        transpose(src, c.xc, step, C, count, first + row * i, c.width - first - count + (c.height - 1 - row) * i, d, L,
                  True)
    elif M == 1:
        for i in range(count):
            for k in range(C):
                d[i * L + k] = src[i * step + k * c.xc]
            for k in range(C, L):
                d[i * L + k] = 0
    elif c.xc == 1 and step == C and L == C * M:
        repeat(src, 1, count * C, M, d)
    else:
        for i in range(count):
            repeat(src + i * step, c.xc, C, M, d + i * L)

cdef inline void repeat_each(int N, const REAL* src, Py_ssize_t step, Py_ssize_t count, Py_ssize_t times,
                             REAL* dst) noexcept nogil:
    """N: how often, or 0: `times`."""
    cdef Py_ssize_t k = 0, m
    cdef REAL element
    if SPREADS and N and step == 1:
        while k + LANES <= count:
            vrepeat(vload(src + k), N, dst + k * N)
            k += LANES
    while not N and times <= LANES <= (count - k) * times:   # a whole vector: the next element writes over the rest
        vstore(dst + k * times, vset(src[k * step]))
        k += 1
    while k < count:
        element = src[k * step]
        for m in range(N if N else times):
            dst[k * (N if N else times) + m] = element
        k += 1

cdef void repeat(const REAL* src, Py_ssize_t step, Py_ssize_t count, Py_ssize_t times, REAL* dst) noexcept nogil:
    """Each element `times` times."""
    if times == 2: repeat_each(2, src, step, count, times, dst)
    elif times == 3: repeat_each(3, src, step, count, times, dst)
    elif times == 4: repeat_each(4, src, step, count, times, dst)
    else: repeat_each(0, src, step, count, times, dst)

cdef bint finite(const void* elements, Py_ssize_t count) noexcept nogil:
    """Zero times each is zero unless one of them is infinite or NaN."""
    cdef const REAL* a = <const REAL*>elements
    cdef vec sums = vset(0)
    cdef REAL[LANES] lanes
    cdef REAL total = 0
    cdef Py_ssize_t k
    for k in range(count // LANES):
        sums += vload(a + k * LANES) * vset(0)
    vstore(lanes, sums)
    for k in range(LANES):
        total += lanes[k]
    for k in range(count // LANES * LANES, count):
        total += a[k] * 0
    return total == 0

cdef inline void copy_ends(int N, const REAL* src, Py_ssize_t pitch, Py_ssize_t rows, Py_ssize_t count, REAL* dst,
                           Py_ssize_t dst_pitch) noexcept nogil:
    """The first N and the last N of `count` elements: all of them, if N is at least half of them."""
    cdef Py_ssize_t r
    for r in range(rows):
        memcpy(dst, src, N * sizeof(REAL))
        memcpy(dst + count - N, src + count - N, N * sizeof(REAL))
        src += pitch
        dst += dst_pitch

cdef void copy(const REAL* src, Py_ssize_t pitch, Py_ssize_t rows, Py_ssize_t count, REAL* dst,
               Py_ssize_t dst_pitch) noexcept nogil:
    """The first `count` elements of each row."""
    cdef Py_ssize_t r, k
    if count < LANES:
        if count >= 8: copy_ends(8, src, pitch, rows, count, dst, dst_pitch)
        elif count >= 4: copy_ends(4, src, pitch, rows, count, dst, dst_pitch)
        elif count >= 2: copy_ends(2, src, pitch, rows, count, dst, dst_pitch)
        else: copy_ends(1, src, pitch, rows, count, dst, dst_pitch)
        return
    for r in range(rows):
        k = 0
        while k < count:
            vstore(dst + min(k, count - LANES), vload(src + min(k, count - LANES)))
            k += LANES
        src += pitch
        dst += dst_pitch

cdef void square(const REAL* src, Py_ssize_t across, Py_ssize_t skip, Py_ssize_t count, REAL* dst,
                 Py_ssize_t pitch) noexcept nogil:
    """dst[q * pitch + r] <- src[r * across + skip + q] for LANES rows r and `count` columns q, in registers."""
    cdef vec v[16]
    cdef int i
    for i in range(LANES):
        v[i] = vload(src + i * across)
    vtranspose(v)
    if count == LANES:
        for i in range(LANES):
            vstore(dst + i * pitch, v[i])
    else:
        for i in range(LANES):
            if i >= skip and i < skip + count:
                vstore(dst + (i - skip) * pitch, v[i])

cdef inline void put(bint STREAM, REAL* dst, vec v) noexcept nogil:
    if STREAM: vstream(dst, v)
    else: vstore(dst, v)

cdef inline vec in_turns(int N, int j, vec a, vec b, vec c, vec d) noexcept nogil:
    """Of two to four vectors, lanes in turns: the j-th vector of these."""
    if N == 2:
        return vzip(a, b, j)
    if N == 3:
        return vzip3(a, b, c, j)
    return vzip(vzip(a, c, j // 2), vzip(b, d, j // 2), j % 2)

cdef inline void interleave_vectors(bint STREAM, const REAL* src, Py_ssize_t pitch, Py_ssize_t planes, Py_ssize_t count,
                                    REAL* dst) noexcept nogil:
    """STREAM: past the caches, whole vectors of pixels."""
    cdef Py_ssize_t i = 0
    cdef vec a, b, c, d
    cdef int j
    while i < count:
        i = min(i, count - LANES)
        a = vload(src + i)
        b = vload(src + pitch + i)
        c = vload(src + (planes > 2) * 2 * pitch + i)
        d = vload(src + (planes > 3) * 3 * pitch + i)
        if planes == 2:
            for j in range(2):
                put(STREAM, dst + 2 * i + j * LANES, in_turns(2, j, a, b, c, d))
        elif planes == 3:
            for j in range(3):
                put(STREAM, dst + 3 * i + j * LANES, in_turns(3, j, a, b, c, d))
        else:
            for j in range(4):
                put(STREAM, dst + 4 * i + j * LANES, in_turns(4, j, a, b, c, d))
        i += LANES

cdef void interleave(const REAL* src, Py_ssize_t pitch, Py_ssize_t planes, Py_ssize_t count, REAL* dst,
                     bint stream) noexcept nogil:
    """dst[count][planes] <- src[planes][pitch], for two to four planes and at least a vector of pixels; stream: past
    the caches where that is aligned."""
    cdef Py_ssize_t whole = count // LANES * LANES if stream and <uintptr_t>dst % sizeof(vec) == 0 else 0, last
    interleave_vectors(True, src, pitch, planes, whole, dst)
    if whole < count:
        last = min(whole, count - LANES)
        interleave_vectors(False, src + last, pitch, planes, count - last, dst + last * planes)

cdef void deal(const REAL* src, Py_ssize_t planes, Py_ssize_t count, REAL* dst, Py_ssize_t pitch) noexcept nogil:
    """dst[planes][pitch] <- src[count][planes], for two to four planes and at least a vector of pixels."""
    cdef Py_ssize_t i = 0
    cdef vec a, b, c, d
    cdef int k
    while i < count:
        i = min(i, count - LANES)
        a = vload(src + planes * i)
        b = vload(src + planes * i + LANES)
        if planes == 2:
            for k in range(2):
                vstore(dst + k * pitch + i, vevery(a, b, k))
        elif planes == 3:
            c = vload(src + planes * i + 2 * LANES)
            for k in range(3):
                vstore(dst + k * pitch + i, vevery3(a, b, c, k))
        else:
            c = vload(src + planes * i + 2 * LANES)
            d = vload(src + planes * i + 3 * LANES)
            for k in range(4):
                vstore(dst + k * pitch + i, vevery(vevery(a, b, k % 2), vevery(c, d, k % 2), k // 2))
        i += LANES

cdef void transpose(const REAL* src, Py_ssize_t across, Py_ssize_t along, Py_ssize_t rows, Py_ssize_t columns,
                    Py_ssize_t before, Py_ssize_t after, REAL* dst, Py_ssize_t pitch, bint gather) noexcept nogil:
    """dst[column * pitch + row] <- src[row * across + column * along], in squares. Of each row, `before` elements
    before the first column and `after` behind the last may be read too.
    gather: the source comes from memory, long runs of it at a time; else the target goes there."""
    cdef Py_ssize_t r, q, r0, r1, q1, i, k, skip
    cdef bint quick = SPREADS and along == 1 and rows >= LANES and before + columns + after >= LANES
    cdef Py_ssize_t side = LANES if quick else 16
    cdef Py_ssize_t downs = (rows + side - 1) // side, rights = (columns + side - 1) // side
    if SPREADS and LANES >= 4 and along == 1:
        if 2 <= columns <= 4 and across == columns and rows >= LANES:
            deal(src, columns, rows, dst, pitch)
            return
        if 2 <= rows <= 4 and pitch == rows and columns >= LANES:
            interleave(src, across, rows, columns, dst, False)
            return
    for i in range(downs if gather else rights):
        for k in range(rights if gather else downs):
            r0 = side * (i if gather else k)
            q = side * (k if gather else i)
            q1 = min(q + side, columns)
            if quick:
                if gather and across <= 2 * columns:             # rows follow each other: what comes three squares on
                    for r in range(k * LANES, (k + 1) * LANES):
                        vprefetch(src + (r0 + 3 * LANES) * across + r * (LINE // <Py_ssize_t>sizeof(REAL)))
                r0 = min(r0, rows - LANES)
                skip = max(0, LANES - (columns + after - q))     # the last square begins earlier where it must
                square(src + r0 * across + q - skip, across, skip, q1 - q, dst + q * pitch + r0, pitch)
                continue
            r1 = min(r0 + side, rows)
            while q < q1:
                for r in range(r0, r1):
                    dst[q * pitch + r] = src[r * across + q * along]
                q += 1

cdef const REAL* view(const Conv* c, Conv* v, const REAL* x, Py_ssize_t p0, Py_ssize_t p1, bint pad,
                      REAL* scratch) noexcept nogil:
    """Make `v` describe where output pixels [p0, p1) of one image find their input: `x` or, loaded, `scratch`.
    pad: loaded with the padding around it. Else that is left to the tiles, and there is a vector between rows: rows of
    powers of two of channels would share the sets of a cache."""
    cdef Py_ssize_t r0 = p0 // c.out_width, r1 = (p1 - 1) // c.out_width + 1
    cdef Py_ssize_t c0 = 0, c1 = c.out_width, ih0, ih1, iw0, iw1, rows, row, cols, r, k, pitch
    cdef REAL* dst
    if r1 - r0 == 1:
        c0 = p0 - r0 * c.out_width
        c1 = p1 - r0 * c.out_width
    ih0 = r0 * c.stride_h - c.top
    ih1 = (r1 - 1) * c.stride_h - c.top + (c.window_h - 1) * c.dilation_h + 1
    iw0 = c0 * c.stride_w - c.left
    iw1 = (c1 - 1) * c.stride_w - c.left + (c.window_w - 1) * c.dilation_w + 1
    v[0] = c[0]
    if not c.load and (c.leave_out or ih0 >= 0 and iw0 >= 0 and ih1 <= c.height and iw1 <= c.width):
        return x
    if not pad:
        ih0 = ih0 if c.split_rows else max(ih0, 0)
        ih1 = max(ih0, min(ih1, c.height))
        iw0 = iw0 if c.split_columns else max(iw0, 0)
        iw1 = max(iw0, min(iw1, c.width))
    cols = (c1 - c0) * c.window_w if c.split_columns else iw1 - iw0
    rows = (r1 - r0) * c.window_h if c.split_rows else ih1 - ih0
    pitch = cols * c.loaded_channels + (0 if pad else LANES)
    for r in range(rows):
        row = ih0 + r
        if c.split_rows:
            row = ih0 + (r // c.window_h) * c.stride_h + (r % c.window_h) * c.dilation_h
        dst = scratch + r * pitch
        if row < 0 or row >= c.height:
            memset(dst, 0, pitch * sizeof(REAL))
            continue
        if c.split_columns:
            for k in range(c.window_w):
                load_pixels(c, x, row, iw0 + k * c.dilation_w, c1 - c0, c.stride_w,
                            dst + k * (c1 - c0) * c.loaded_channels)
        else:
            load_pixels(c, x, row, iw0, cols, 1, dst)
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
