# Dense convolution to few filters: vectors of channels, as they lie; each sum is a vector until its end.
#
# A layer of conv.pxi, with another tile. Vectors of filters would be mostly empty, and vectors of pixels have to be
# made from channels; here a lane adds up the products of every LANES-th channel, and lanes are added last.
# Loop order, outermost first, below a filter block and a part of its pixels:
#   tile             as many pixels as make, with a block's filters, DOTS sums         (registers)
#   taps             of a run of channels, vectors; one load a pixel, one a filter, a multiply-add for each sum
#   ends             LANES sums at a time: the lanes of each, of which the first began with the bias, are added
#
# The order of a sum is another one than elsewhere: schedule.dots decides by what does not change between the calls that
# must agree, channels and filters and the window.

cdef inline Py_ssize_t channel_vectors(const Conv* c) noexcept nogil:
    """Of one tap."""
    return (c.channels // c.groups + LANES - 1) // LANES

cdef void pack_dots(const Conv* c, const REAL* kernel, const REAL* bias, REAL* dst) noexcept nogil:
    """packed[group][block][1 + taps * channel vectors][filters][LANES] <- bias in the first lane, then kernel (taps,
    channels, filters). Lanes of a tap's last vector are those of its last channels: the ones that the vector before it
    has already are zero."""
    cdef Py_ssize_t channels = c.channels // c.groups, filters = c.filters // c.groups, vectors = channel_vectors(c)
    cdef Py_ssize_t g, block, first, count, tap, k, f, j, channel
    for g in range(c.groups):
        for block in range(c.blocks):
            first = block * c.vectors
            count = min(c.vectors, filters - first)
            first += g * filters
            memset(dst, 0, count * LANES * sizeof(REAL))
            for f in range(count):
                dst[f * LANES] = bias[first + f] if bias != NULL else 0
            dst += count * LANES
            for tap in range(c.window_h * c.window_w):
                for k in range(vectors):
                    for f in range(count):
                        for j in range(LANES):
                            channel = min(k * LANES, channels - LANES) + j
                            dst[j] = 0
                            if channel >= k * LANES:
                                dst[j] = kernel[(tap * channels + channel) * c.filters + first + f]
                        dst += LANES

cdef inline void dot_tile(int F, const Taps* t, const REAL* x, const Py_ssize_t* offsets, const Py_ssize_t* places,
                          const REAL* weights, REAL* y, Py_ssize_t pixels) noexcept nogil:
    """F filters of the first `pixels` pixels, which are at most DOTS // F; the arguments are those of `tiles`."""
    cdef vec acc[DOTS + LANES]
    cdef vec wv[4]
    cdef vec xv
    cdef const REAL* r[DOTS]
    cdef const REAL* w = weights + t.before
    cdef REAL[DOTS + LANES] sums
    cdef Py_ssize_t run = t.run, k = 0, at = 0, left = t.window_h * t.window_w, kw = t.window_w
    cdef Py_ssize_t next_row = t.step_h - (t.window_w - 1) * t.step_w - t.run, next_tap = t.step_w - t.run
    cdef Py_ssize_t lines = t.fetched * pixels // LANES, steps = left * ((run + LANES - 1) // LANES), due = 0
    cdef const REAL* soon = NULL
    cdef bint paced = F > 2        # some lines a step; of one or two filters, steps are too short to count them
    cdef int i, f
    if lines:
        if paced:
            soon = t.ahead.next
            go_on(t.ahead, lines * LANES)
        else:
            fetch(t.ahead, lines)
    for i in range(DOTS // F):
        r[i] = x + offsets[min(i, pixels - 1)]          # what is behind the last pixel is computed and not stored
        vhold(r[i])
    for i in range(DOTS // F):
        for f in range(F):
            acc[i * F + f] = vload(weights + f * LANES)
    for i in range(LANES):                              # the last lanes of the last sums may have no pixel
        acc[DOTS // F * F + i] = vset(0)
    while left:
        for f in range(F):
            wv[f] = vload(w + f * LANES)
        w += F * LANES
        k += LANES
        if paced:
            due += lines
            while due > 0:
                vahead(soon)
                soon += LANES
                due -= steps
        if k <= run:
            for i in range(DOTS // F):
                xv = vfetch(r[i] + at) if F > 1 else vload(r[i] + at)
                for f in range(F):
                    acc[i * F + f] += xv * wv[f]
            at += LANES
            if k < run:
                continue
        else:
            k -= run
            at -= k
            for i in range(DOTS // F):
                xv = vlast(vload(r[i] + at), LANES - k)
                for f in range(F):
                    acc[i * F + f] += xv * wv[f]
            at += LANES
        k = 0
        left -= 1
        kw -= 1
        at += next_tap
        if kw == 0:
            kw = t.window_w
            at += next_row - next_tap
            w += t.between
    for i in range((DOTS + LANES - 1) // LANES):
        vstore(sums + i * LANES, activated(t.activation, vsums(acc + i * LANES), t.slope))
    if pixels == DOTS // F and places[pixels - 1] - places[0] == (pixels - 1) * F:
        memcpy(y + places[0], sums, DOTS // F * F * sizeof(REAL))
    else:
        for i in range(pixels):
            memcpy(y + places[i], sums + i * F, F * sizeof(REAL))

cdef inline void dot_tiles(int F, const Taps* t, const REAL* x, const Py_ssize_t* offsets, const Py_ssize_t* places,
                           const REAL* w, REAL* y, Py_ssize_t pixels) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < pixels:
        dot_tile(F, t, x, offsets + i, places + i, w, y, min(DOTS // F, pixels - i))
        i += DOTS // F

cdef void run_dots(Py_ssize_t filters, const Taps* t, const REAL* x, const Py_ssize_t* offsets,
                   const Py_ssize_t* places, const REAL* w, REAL* y, Py_ssize_t pixels) noexcept nogil:
    """The menu: a tile is square at most."""
    if filters == 1: dot_tiles(1, t, x, offsets, places, w, y, pixels)
    elif filters == 2: dot_tiles(2, t, x, offsets, places, w, y, pixels)
    elif filters == 3: dot_tiles(3, t, x, offsets, places, w, y, pixels)
    elif REGISTERS == 32: dot_tiles(4, t, x, offsets, places, w, y, pixels)
