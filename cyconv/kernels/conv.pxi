# Dense convolution: a sum of shifted pointwise products on one register tile.
#
# Loop order, outermost first, and what each level keeps where:
#   task             a range of output pixels x a range of filter blocks               (threads)
#   pixel block      a few rows of input, read in place or loaded with their padding; or several small images, read in
#                    place                                                             (second-level cache)
#   filter blocks    packed weights, of each [bias][taps][channels][vectors * lanes], as many as fit half of the
#                    second-level cache, or one                                        (streamed, prefetched)
#   part             pixels whose windows meet the input with the same taps: taps that meet only padding are left out;
#                    or one tap and all pixels that it meets, the sums kept in scratch from tap to tap
#   pixels           those of a tile: their inputs stay for all of these filter blocks (first-level cache)
#   tile             MR pixels x NV vectors of sums, and NH halves of vectors          (registers)
#   taps, channels   one broadcast a pixel, one load a vector, MR * NV multiply-adds; one prefetch, of weights or, from
#                    memory, of the input of the next block
#
# A tile's end costs nothing if the next one's multiply-adds begin meanwhile. A core looks some 300 instructions ahead,
# half as many where two threads share it: few lie between tiles, and no address waits for a vector unit.
#
# Where half a vector takes half the time, the last one is half a vector if filters fill no more: 24 filters of 16 lanes
# are three halves, which no broadcast of a whole vector slows down; 40 are two vectors and a half.
#
# Groups of 2, 4 or 8 channels and as many filters share a vector: for each pixel one load of their channels, and for
# each channel of a group a shuffle, that gives it to all lanes of its group, and one multiply-add.

cdef struct Taps:
    # A reduction as the tile sees it: window_h x window_w runs of `run` contiguous inputs.
    Py_ssize_t window_h, window_w, step_h, step_w, run
    Py_ssize_t next_row                 # from a row's last run to the next row: no address waits for a multiplication
    Py_ssize_t line                     # from the weights of one input to those of the next
    Py_ssize_t before, between          # bias and weights of taps left out, before the window's first row; after each
    const Py_ssize_t* jumps             # planar: what is more than `between`, for each row; else NULL
    Py_ssize_t blocks, block            # filter blocks that pixels go through in turn; packed weights of one
    # Filters that the last vector has too many: it is moved back to end with them or, the only one, stored in part.
    Py_ssize_t back
    bint half                           # it is half a vector
    bint resume                         # sums go on from those in the output
    bint stream                         # results go past the caches
    int activation
    REAL slope
    Ahead* ahead                        # the input that comes next,
    Py_ssize_t fetched                  # and how many elements of it are fetched with each pixel

cdef inline void multiply_add(int MR, int NV, int NH, const REAL** r, Py_ssize_t k, const REAL* w, const char* soon,
                              vec* acc, half* part) noexcept nogil:
    """Input k of each pixel times its weights, added to a tile's sums. `soon`: what is fetched meanwhile."""
    cdef vec wv[4]
    cdef half wh[3]
    cdef vec xv
    cdef half xh
    cdef Py_ssize_t i, j                                # as wide as addresses: unrolled in time where integers wrap
    if MR > 3:                                          # lower tiles wait for loads
        vprefetch(<const REAL*>soon)
    for j in range(NV):                                 # two or three uses: GCC would load again for each
        wv[j] = vfetch(w + j * LANES) if 1 < MR < 4 else vload(w + j * LANES)
    for j in range(NH):
        wh[j] = hload(w + NV * LANES + j * LANES // 2)
    for i in range(MR):
        xv = vset(r[i][k])
        for j in range(NV):
            acc[i * NV + j] += xv * wv[j]
        xh = vlow(xv) if NV else hset(r[i][k])
        for j in range(NH):
            part[i * NH + j] += xh * wh[j]

cdef inline Py_ssize_t place(int NV, int NH, int j, Py_ssize_t back) noexcept nogil:
    """Where vector j of a tile, or half a one if there are no more whole ones, begins in the output: the last of all is
    moved back, unless it is the only one."""
    cdef Py_ssize_t at = j * LANES if j < NV else NV * LANES + (j - NV) * LANES // 2
    return at - back if 0 < j == NV + NH - 1 else at

cdef inline vec activated(int ACTIVATION, vec v, REAL slope) noexcept nogil:
    if ACTIVATION == 1:
        return vnonneg(v)
    if ACTIVATION == 2:
        return vatmost(vnonneg(v), 6)
    return vleak(v, slope) if ACTIVATION == 3 else v

cdef inline half activated_half(int ACTIVATION, half h, REAL slope) noexcept nogil:
    if ACTIVATION == 1:
        return hnonneg(h)
    if ACTIVATION == 2:
        return hatmost(hnonneg(h), 6)
    return hleak(h, slope) if ACTIVATION == 3 else h

cdef inline void store(int ACTIVATION, int MR, int NV, int NH, const Taps* t, const Py_ssize_t* places, REAL* y,
                       const vec* acc, const half* part) noexcept nogil:
    """A tile's sums, activated one after the other: all at once would not fit the registers."""
    cdef Py_ssize_t at, back = t.back
    cdef REAL slope = t.slope
    cdef Py_ssize_t i, j
    if NH == 0 and t.stream:
        for i in range(MR):
            at = places[i]
            for j in range(NV):
                vstream(y + at + j * LANES, activated(ACTIVATION, acc[i * NV + j], slope))
    elif HALVES and NV == 1 and NH == 0 and back:
        for i in range(MR):
            vstore_first(y + places[i], activated(ACTIVATION, acc[i], slope), LANES - back)
    else:
        for i in range(MR):
            at = places[i]
            for j in range(NV):
                vstore(y + at + place(NV, NH, j, back), activated(ACTIVATION, acc[i * NV + j], slope))
            for j in range(NH):
                hstore(y + at + place(NV, NH, NV + j, back), activated_half(ACTIVATION, part[i * NH + j], slope))

cdef inline void finish(int MR, int NV, int NH, const Taps* t, const Py_ssize_t* places, REAL* y, const vec* acc,
                        const half* part) noexcept nogil:
    if t.activation == 0: store(0, MR, NV, NH, t, places, y, acc, part)
    elif t.activation == 1: store(1, MR, NV, NH, t, places, y, acc, part)
    elif t.activation == 2: store(2, MR, NV, NH, t, places, y, acc, part)
    else: store(3, MR, NV, NH, t, places, y, acc, part)

cdef inline void tiles(int MR, int NV, int NH, int SPREAD, const Taps* t, const REAL* x, const Py_ssize_t* offsets,
                       const Py_ssize_t* places, const REAL* weights, REAL* y, Py_ssize_t count) noexcept nogil:
    """`count` tiles of MR pixels x NV vectors and NH halves of vectors, for t.blocks filter blocks each; pixel i starts
    at x + offsets[i], and is stored at y + places[i].
    SPREAD: channels, and filters, of each of the groups that share a vector; 0: all lanes are of one group."""
    cdef vec acc[32]
    cdef half part[24]
    cdef vec wv[8]
    cdef vec xv
    cdef const REAL* r[8]
    cdef const REAL* w
    cdef const REAL* first
    cdef REAL* dst
    cdef const Py_ssize_t* end = offsets + count * MR
    cdef const Py_ssize_t* jump
    cdef const char* soon
    cdef Py_ssize_t block, kw, k, stop, at, left, pace, back = t.back, elements = t.fetched * MR
    cdef Py_ssize_t line = t.line * sizeof(REAL), share = 0
    cdef Py_ssize_t i, j
    if elements:                   # bytes with each product: all at once would keep those waiting that are needed now
        share = -(-elements * <Py_ssize_t>sizeof(REAL) // max(1, t.window_h * t.window_w * t.run))
    # What no sum needs rests in memory: the compiler would find room for it, or for addresses, in vector registers.
    vrest(x)
    vrest(t)
    vrest(end)
    while offsets < end:
        first = weights
        dst = y
        block = t.blocks
        vrest(offsets)
        vrest(places)
        while True:
            vrest(first)
            vrest(dst)
            vrest(block)
            w = first
            if not (t.resume or (NH == 0 and t.jumps)):
                for j in range(NV):
                    xv = vload(w + j * LANES)
                    for i in range(MR):
                        acc[i * NV + j] = xv
                for j in range(NH):
                    for i in range(MR):
                        part[i * NH + j] = hload(w + NV * LANES + j * LANES // 2)
            elif t.resume:
                for i in range(MR):
                    at = places[i]
                    for j in range(NV):
                        acc[i * NV + j] = vload(dst + at + place(NV, NH, j, back))
                    for j in range(NH):
                        part[i * NH + j] = hload(dst + at + place(NV, NH, NV + j, back))
            else:                  # the bias lies before what is a pixel to the tile, a filter's weights
                for i in range(MR):
                    xv = vset(x[offsets[i] - 1])
                    for j in range(NV):
                        acc[i * NV + j] = xv
            w += t.before
            # Of planes, the next vectors of pixels.
            soon = <const char*>(w + (NV * LANES if NH == 0 and t.jumps else PREFETCH))
            pace = line
            if elements and block == t.blocks:
                soon = <const char*>t.ahead.next
                pace = share
            left = t.window_h * t.window_w
            if left:
                for i in range(MR):
                    r[i] = x + offsets[i]
                    if MR > 6:
                        vhold(r[i])                     # not moved at every use
                kw = t.window_w
                jump = t.jumps
                k = 0
                stop = t.run
                while True:
                    while True:
                        if SPREAD:
                            for j in range(SPREAD):
                                wv[j] = vload(w + j * LANES)
                            for i in range(MR):
                                xv = vload(r[i] + k)
                                for j in range(SPREAD):
                                    acc[i] += vspread(xv, SPREAD, j) * wv[j]
                            w += SPREAD * LANES
                            k += LANES
                        else:
                            multiply_add(MR, NV, NH, r, k, w, soon, acc, part)
                            soon += pace
                            w += t.line
                            k += 1
                        if k == stop:
                            break
                    left -= 1
                    if left == 0:
                        break
                    at = t.step_w
                    kw -= 1
                    if kw == 0:
                        kw = t.window_w
                        at = t.next_row
                        w += t.between
                        if NH == 0 and t.jumps:
                            w += jump[0]
                            jump += 1
                    stop += at
                    k = stop - t.run
            finish(MR, NV, NH, t, places, dst, acc, part)
            block -= 1
            if block == 0:
                break
            first += t.block
            dst += NV * LANES
        if elements:
            go_on(t.ahead, elements)
        offsets += MR
        places += MR

cdef inline int tile_pixels(int vectors) noexcept nogil:
    """Most pixels of a tile that is `vectors` wide: sums fit the vector registers, pointers the integer ones."""
    if vectors == 1:
        return 8
    if REGISTERS == 32:
        return 8 if vectors == 2 else 7 if vectors == 3 else 6
    return 6 if vectors == 2 else 4 if vectors == 3 else 0

cdef inline void wide_tiles(int NV, int NH, int SPREAD, int mr, const Taps* t, const REAL* x, const Py_ssize_t* offsets,
                            const Py_ssize_t* places, const REAL* w, REAL* y, Py_ssize_t n) noexcept nogil:
    """The menu of one width. A tile beyond the registers of the target is not compiled."""
    cdef int MOST = tile_pixels(NV + (NH + 1) // 2)
    if mr == 1: tiles(1, NV, NH, SPREAD, t, x, offsets, places, w, y, n)
    elif mr == 2: tiles(2, NV, NH, SPREAD, t, x, offsets, places, w, y, n)
    elif mr == 3: tiles(3, NV, NH, SPREAD, t, x, offsets, places, w, y, n)
    elif mr == 4: tiles(4, NV, NH, SPREAD, t, x, offsets, places, w, y, n)
    elif MOST >= 5 and mr == 5: tiles(5, NV, NH, SPREAD, t, x, offsets, places, w, y, n)
    elif MOST >= 6 and mr == 6: tiles(6, NV, NH, SPREAD, t, x, offsets, places, w, y, n)
    elif MOST >= 7 and mr == 7: tiles(7, NV, NH, SPREAD, t, x, offsets, places, w, y, n)
    elif MOST >= 8 and mr == 8: tiles(8, NV, NH, SPREAD, t, x, offsets, places, w, y, n)

cdef void run_tiles(int mr, int nv, const Taps* t, const REAL* x, const Py_ssize_t* offsets, const Py_ssize_t* places,
                    const REAL* w, REAL* y, Py_ssize_t n) noexcept nogil:
    """The menu: the tiles that exist."""
    if HALVES and t.half:
        if nv == 1: wide_tiles(0, 1, 0, mr, t, x, offsets, places, w, y, n)
        elif nv == 2: wide_tiles(0, 3, 0, mr, t, x, offsets, places, w, y, n)
        elif nv == 3: wide_tiles(2, 1, 0, mr, t, x, offsets, places, w, y, n)
        elif nv == 4: wide_tiles(3, 1, 0, mr, t, x, offsets, places, w, y, n)
    elif nv == 1: wide_tiles(1, 0, 0, mr, t, x, offsets, places, w, y, n)
    elif nv == 2: wide_tiles(2, 0, 0, mr, t, x, offsets, places, w, y, n)
    elif nv == 3: wide_tiles(3, 0, 0, mr, t, x, offsets, places, w, y, n)
    elif REGISTERS == 32: wide_tiles(4, 0, 0, mr, t, x, offsets, places, w, y, n)

cdef void run_spread_tiles(Py_ssize_t spread, int mr, const Taps* t, const REAL* x, const Py_ssize_t* offsets,
                           const Py_ssize_t* places, const REAL* w, REAL* y, Py_ssize_t n) noexcept nogil:
    """The menu where groups share a vector."""
    if SPREADS and LANES > 2 and spread == 2: wide_tiles(1, 0, 2, mr, t, x, offsets, places, w, y, n)
    elif SPREADS and LANES > 4 and spread == 4: wide_tiles(1, 0, 4, mr, t, x, offsets, places, w, y, n)
    elif SPREADS and LANES > 8 and spread == 8: wide_tiles(1, 0, 8, mr, t, x, offsets, places, w, y, n)

cdef inline Py_ssize_t block_filters(const Conv* c, Py_ssize_t b, Py_ssize_t* held) noexcept nogil:
    """First filter (of its group) of block b, and how many it holds: whole units. The last block is moved back to end
    with the filters where there are enough of them, else its last vector is: vectors are then full, and filters that
    two of them share are computed twice, equally."""
    cdef Py_ssize_t filters = c.filters // c.groups, most = c.vectors * (1 if c.dots else LANES), first = b * most
    held[0] = min(most, (filters - first + c.filter_unit - 1) // c.filter_unit * c.filter_unit)
    return max(0, min(first, filters - held[0]))

cdef inline Py_ssize_t block_line(const Conv* c, Py_ssize_t held) noexcept nogil:
    """Packed weights of one input, or of one vector of channels."""
    return held * LANES if c.dots else held

cdef inline Py_ssize_t tap_lines(const Conv* c) noexcept nogil:
    return channel_vectors(c) if c.dots else reduction(c) // (c.window_h * c.window_w)

cdef inline Py_ssize_t block_size(const Conv* c, Py_ssize_t held) noexcept nogil:
    """Packed weights of a block."""
    return block_line(c, held) * (1 + c.window_h * c.window_w * tap_lines(c))

cdef inline Py_ssize_t block_offset(const Conv* c, Py_ssize_t b) noexcept nogil:
    """Packed weights before block b, counted over all groups."""
    cdef Py_ssize_t full = block_size(c, c.vectors * (1 if c.dots else LANES)), last
    block_filters(c, c.blocks - 1, &last)
    return b // c.blocks * ((c.blocks - 1) * full + block_size(c, last)) + b % c.blocks * full

cdef inline Py_ssize_t reduction(const Conv* c) noexcept nogil:
    return c.window_h * c.window_w * (c.spread if c.spread else c.channels // c.groups)

cdef void pack_conv(const Conv* c, const void* kernel, const void* bias, void* packed) noexcept nogil:
    """packed[group][block][1 + reduction][filters held] <- bias, then kernel (reduction, filters)."""
    if c.walk:
        pack_walk(c, <const REAL*>kernel, <const REAL*>bias, <REAL*>packed)
        return
    if c.planar:
        pack_planar(c, reduction(c), kernel, bias, packed)
        return
    if c.winograd:
        pack_winograd(c, <const REAL*>kernel, <const REAL*>bias, <REAL*>packed)
        return
    if c.dots:
        pack_dots(c, <const REAL*>kernel, <const REAL*>bias, <REAL*>packed)
        return
    cdef const REAL* src = <const REAL*>kernel
    cdef const REAL* b = <const REAL*>bias
    cdef REAL* dst = <REAL*>packed
    cdef Py_ssize_t K = reduction(c), filters = c.filters // c.groups, g, block, k, first, held, stored, at, lanes, j
    for g in range(c.groups):
        for block in range(c.blocks):
            first = block_filters(c, block, &held)
            stored = min(held, filters - first)
            first += g * filters
            memset(dst, 0, (K + 1) * held * sizeof(REAL))
            for k in range(K + 1):
                j = 0
                while j < held:
                    lanes = min(LANES, held - j)
                    at = first + max(0, min(j, stored - lanes))          # the last vector may be moved back
                    lanes = min(lanes, stored)
                    if k:
                        memcpy(dst + j, src + (k - 1) * c.filters + at, lanes * sizeof(REAL))
                    elif b != NULL:
                        memcpy(dst + j, b + at, lanes * sizeof(REAL))
                    j += LANES
                dst += held

cdef struct Part:
    # Pixels that are tiled together, and the taps [h0, h1) x [w0, w1) of their windows that they meet the input with.
    Py_ssize_t pixels, h0, h1, w0, w1

cdef inline Py_ssize_t alike(Py_ssize_t i, Py_ssize_t end, Py_ssize_t size, Py_ssize_t pad, Py_ssize_t window,
                             Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t* first,
                             Py_ssize_t* last) noexcept nogil:
    """On one axis, outputs [i, result), of those before `end`, meet the input with the same taps [first, last)."""
    cdef Py_ssize_t at = i * stride - pad
    first[0] = 0 if at >= 0 else min(window, (dilation - 1 - at) // dilation)
    last[0] = 0 if at >= size else min(window, (size - at + dilation - 1) // dilation)
    last[0] = max(first[0], last[0])
    if first[0]:                   # the first output that meets one tap more
        end = min(end, (pad - (first[0] - 1) * dilation + stride - 1) // stride)
    if first[0] < last[0]:         # the first that has lost the last
        end = min(end, (size + pad - (last[0] - 1) * dilation + stride - 1) // stride)
    return end

cdef inline void meet(Py_ssize_t at, Py_ssize_t outputs, Py_ssize_t size, Py_ssize_t stride, Py_ssize_t* first,
                      Py_ssize_t* last) noexcept nogil:
    """On one axis, outputs [first, last) meet the input with a tap; output 0 has it at `at`. Or the other way round: of
    so many taps, `stride` apart, those that an output meets it with."""
    first[0] = 0 if at >= 0 else min(outputs, (stride - 1 - at) // stride)
    last[0] = 0 if at >= size else min(outputs, (size - at + stride - 1) // stride)

cdef inline Py_ssize_t locate(const Conv* v, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t row, Py_ssize_t next_row,
                              Py_ssize_t column, Py_ssize_t next_column, Py_ssize_t pitch, Py_ssize_t* offsets,
                              Py_ssize_t* places) noexcept nogil:
    """The number of those of output pixels [p0, p1) in these rows and columns of each image; where their windows start
    in the input that `v` describes, and they themselves behind p0, `pitch` apart. Whole vectors of them are written,
    and those too many by the next row again."""
    # Copies: what is written here may alias fields, so that they would be read again after each.
    cdef Py_ssize_t step = v.stride_w * v.xw, row_step = v.stride_h * v.xh, width = v.out_width
    cdef Py_ssize_t pixels = v.out_height * width, n = 0, image, at, place, begin, r, i, end
    if column == 0 and next_column == width and row_step == width * step:        # one long row
        next_column *= next_row - row
        next_row = min(next_row, row + 1)
    for image in range(max(1, p1 // pixels)):
        at = image * v.xn + row * row_step - v.top * v.xh - v.left * v.xw
        place = (image * pixels + row * width - p0) * pitch
        begin = row * width                                # of this row, in the image
        for r in range(row, next_row):
            i = max(column, p0 - begin)
            end = n + max(0, min(next_column, p1 - begin) - i)
            while n < end:
                vcount(offsets + n, at + i * step, step)
                vcount(places + n, place + i * pitch, pitch)
                i += PLACES
                n += PLACES
            n = end
            at += row_step
            place += width * pitch
            begin += width
    return n

cdef Py_ssize_t divide(const Conv* c, const Conv* v, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t pitch,
                       Py_ssize_t* offsets, Py_ssize_t* places, Part* parts) noexcept nogil:
    """The number of parts of output pixels [p0, p1); their pixels as `locate` finds them."""
    cdef Py_ssize_t row = p0 // c.out_width, end = min((p1 - 1) // c.out_width + 1, c.out_height)
    cdef Py_ssize_t column, right, n = 0, count = 0
    cdef Py_ssize_t next_row, next_column
    cdef Part part
    while row < end:
        part.h0 = part.w0 = 0
        part.h1 = c.window_h
        part.w1 = c.window_w
        next_row = end
        if c.leave_out == 1:
            next_row = alike(row, end, c.height, c.top, c.window_h, c.stride_h, c.dilation_h, &part.h0, &part.h1)
        column = max(0, p0 - row * c.out_width) if next_row - row == 1 else 0
        right = min(c.out_width, p1 - row * c.out_width)
        while column < right:
            next_column = right
            if c.leave_out == 1:
                next_column = alike(column, right, c.width, c.left, c.window_w, c.stride_w, c.dilation_w, &part.w0,
                                    &part.w1)
            part.pixels = locate(v, p0, p1, row, next_row, column, next_column, pitch, offsets + n, places + n)
            n += part.pixels
            if part.pixels:
                parts[count] = part
                count += 1
            column = next_column
        row = next_row
    return count

cdef void run_equal(Py_ssize_t spread, Py_ssize_t pixels, Py_ssize_t width, const Taps* t, const REAL* x,
                    const Py_ssize_t* offsets, const Py_ssize_t* places, const REAL* w, REAL* y) noexcept nogil:
    """As many tiles as needed, as equal as possible: `more` of mr + 1 pixels, then the others of mr."""
    cdef Py_ssize_t most = tile_pixels(<int>width), n, mr, more, at
    n = (pixels + most - 1) // most
    mr = pixels // n
    more = pixels % n
    at = more * (mr + 1)
    if spread:
        if more:
            run_spread_tiles(spread, <int>mr + 1, t, x, offsets, places, w, y, more)
        run_spread_tiles(spread, <int>mr, t, x, offsets + at, places + at, w, y, n - more)
    else:
        if more:
            run_tiles(<int>mr + 1, <int>width, t, x, offsets, places, w, y, more)
        run_tiles(<int>mr, <int>width, t, x, offsets + at, places + at, w, y, n - more)

cdef void run_part(const Conv* c, Taps* t, const Part* part, const REAL* x, const Py_ssize_t* offsets,
                   const Py_ssize_t* places, const REAL* w, Py_ssize_t held, REAL* y) noexcept nogil:
    """The pixels of one part."""
    cdef Py_ssize_t tap = t.line * tap_lines(c), width = (held + LANES - 1) // LANES
    t.window_h = part.h1 - part.h0
    t.window_w = part.w1 - part.w0
    t.run = LANES if c.spread else c.channels // c.groups      # channels that a tile reads
    t.before = t.line + (part.h0 * c.window_w + part.w0) * tap
    t.between = (c.window_w - t.window_w) * tap
    x += part.h0 * t.step_h + part.w0 * t.step_w
    # A row of the window is contiguous: one longer run. Dots begin each tap with a vector of its own.
    if t.step_w == t.run and t.window_w and not (c.dots and t.run % LANES):
        t.run = t.window_w * t.run
        t.window_w = 1
    t.next_row = t.step_h - (t.window_w - 1) * t.step_w
    if c.dots:
        run_dots(held, t, x, offsets, places, w, y, part.pixels)
    elif c.short and t.window_h and t.window_w:          # else it meets padding alone
        run_short(width, t, x, offsets, places, w, y, part.pixels)
    else:
        run_equal(c.spread, part.pixels, width, t, x, offsets, places, w, y)

cdef void run_taps(const Conv* c, const Conv* v, Taps* t, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t pitch,
                   const REAL* x, Py_ssize_t* offsets, Py_ssize_t* places, const REAL* w, Py_ssize_t held,
                   REAL* out) noexcept nogil:
    """One tap after the other, each for all pixels that meet the input with it; between them sums are kept in `out`."""
    cdef Part part
    cdef Py_ssize_t first = p0 // c.out_width, end = min((p1 - 1) // c.out_width + 1, c.out_height)
    cdef Py_ssize_t row, next_row, column, next_column
    cdef int activation = t.activation
    memset(&part, 0, sizeof(Part))                       # no taps: sums become the bias
    part.pixels = locate(v, p0, p1, first, end, 0, c.out_width, pitch, offsets, places)
    t.activation = 0
    run_part(c, t, &part, x, offsets, places, w, held, out)
    t.resume = True
    for part.h0 in range(c.window_h):
        meet(part.h0 * c.dilation_h - c.top, c.out_height, c.height, c.stride_h, &row, &next_row)
        row = max(row, first)
        next_row = min(next_row, end)
        for part.w0 in range(c.window_w):
            meet(part.w0 * c.dilation_w - c.left, c.out_width, c.width, c.stride_w, &column, &next_column)
            part.pixels = locate(v, p0, p1, row, next_row, column, next_column, pitch, offsets, places)
            part.h1 = part.h0 + 1
            part.w1 = part.w0 + 1
            if part.pixels:
                run_part(c, t, &part, x, offsets, places, w, held, out)
    if activation:
        t.activation = activation
        memset(&part, 0, sizeof(Part))                   # no taps: sums go on as they are
        part.pixels = locate(v, p0, p1, first, end, 0, c.out_width, pitch, offsets, places)
        run_part(c, t, &part, x, offsets, places, w, held, out)
    t.resume = False

cdef void multiply(const Conv* c, const Conv* v, const REAL* x, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0,
                   Py_ssize_t b1, const REAL* weights, REAL* y, char* scratch, REAL* out, Ahead* ahead) noexcept nogil:
    """Output pixels [p0, p1), filter blocks [b0, b1) counted over all groups. `v`: where the input is. `ahead`: what
    comes next of it."""
    cdef Py_ssize_t* offsets = <Py_ssize_t*>scratch
    cdef Py_ssize_t* places = offsets + c.block_pixels + PLACES
    cdef Part* parts = <Part*>(places + c.block_pixels + PLACES)
    cdef Py_ssize_t filters = c.filters // c.groups, most = c.vectors * (1 if c.dots else LANES)
    cdef Py_ssize_t full = block_size(c, most), pitch = c.yp if c.direct else most
    cdef Py_ssize_t i, b, g, first, held, stored, f, at, count = 0
    cdef Taps t
    cdef const REAL* w
    cdef const REAL* src
    cdef REAL* dst
    t.step_h = v.dilation_h * v.xh
    t.step_w = v.dilation_w * v.xw
    t.jumps = NULL
    t.resume = False
    t.block = full
    t.stream = c.stream
    t.activation = c.activation
    t.slope = <REAL>c.slope
    t.ahead = ahead
    if c.leave_out < 2:
        count = divide(c, v, p0, p1, pitch, offsets, places, parts)
    b = b0
    while b < b1:
        g = b // c.blocks
        first = block_filters(c, b % c.blocks, &held)
        stored = min(held, filters - first)
        w = weights + block_offset(c, b)
        f = g * filters + first
        dst = y + p0 * c.yp + f if c.direct else out
        t.line = block_line(c, held)
        t.back = held - stored if c.direct or filters > LANES else 0
        t.half = t.line % LANES != 0
        t.blocks = max(1, min(c.together, b1 - b, (filters - first) // most))    # equal ones
        t.fetched = c.stride_h * c.stride_w * c.channels if c.fetch_ahead and b == b0 else 0
        src = x + (first if c.spread else g * (c.channels // c.groups))
        at = 0
        for i in range(count):
            run_part(c, &t, parts + i, src, offsets + at, places + at, w, held, dst)
            at += parts[i].pixels
        if c.leave_out == 2:
            run_taps(c, v, &t, p0, p1, pitch, src, offsets, places, w, held, dst)
        if not c.direct:
            scatter(c, out, pitch, p0, p1 - p0, f, stored, y)
        b += t.blocks

cdef void scatter(const Conv* v, const REAL* src, Py_ssize_t pitch, Py_ssize_t p0, Py_ssize_t count,
                  Py_ssize_t f, Py_ssize_t filters, REAL* y) noexcept nogil:
    """y at pixels [p0, p0 + count), filters [f, f + filters) <- src[count][pitch]."""
    if v.yf == 1:
        copy(src, pitch, count, filters, y + p0 * v.yp + f, v.yp)
    else:
        transpose(src, pitch, 1, count, filters, 0, pitch - filters, y + p0 * v.yp + f * v.yf, v.yf, False)

cdef void conv_block(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* _weights, REAL* y,
                     char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    cdef Conv v
    cdef const REAL* src = view(c, &v, x, p0, min(p1, c.out_height * c.out_width), True, <REAL*>scratch)
    cdef Ahead[2] ahead
    cdef Py_ssize_t row = (p1 - 1) // c.out_width, column = p1 - row * c.out_width
    if c.block_shape or column == c.out_width:
        look_ahead(c, x, y, row + 1, 0, c.out_width, met_again(c), ahead)
    else:
        look_ahead(c, x, y, row, column, min(column + p1 - p0, c.out_width), 0, ahead)
    multiply(c, &v, src, p0, p1, b0, b1, weights, y, scratch + c.load_bytes,
             <REAL*>(scratch + c.load_bytes + c.tile_bytes), ahead)

cdef void run_conv(const Conv* c, const Conv* _, const void* x, const void* weights, const void* second_weights,
                   void* y, char* scratch, int threads, team_t team) noexcept nogil:
    run(walk_block if c.walk else planar_block if c.planar else winograd_block if c.winograd else conv_block, c, c, x,
        weights, second_weights, y, scratch, threads, team)
