# Dense convolution of windows of three taps at stride 1 with fewer products than taps: Winograd's minimal filtering.
#
# On one axis, two outputs y under three weights g meet four inputs d (Winograd, Arithmetic Complexity of Computations,
# 1980; Lavin and Gray, CVPR 2016):
#   m0 = (d0 - d2) 2 g0, m1 = (d1 + d2) (g0 + g1 + g2), m2 = (d2 - d1) (g0 - g1 + g2), m3 = (d1 - d3) 2 g2
#   2 y0 = m0 + m1 + m2, 2 y1 = m1 - m2 - m3
# (without halves, so that whole numbers stay exact however small their unit is): 4 products, not 6. Under 3 x 3 each d,
# g and m is such a row itself: 16, not 36, and outputs come out four times. A tile is HIGH x 4 inputs, as far apart as
# taps are, and 2 x 2 outputs, or 2 of a row; each depends on its own window alone. The products are sums over channels:
# `c.winograd` components, each a pointwise convolution whose pixels are the tiles.
#
# Loop order, outermost first, and what each level keeps where:
#   task, block      rows of output, in whole pairs; a piece of one, under one row     (threads)
#   tiles            c.tiles of them: transformed inputs, [components][tiles][channels]     (second-level cache)
#   filter block     packed weights, [components][1 + channels][filters held]          (streamed, prefetched)
#   component        the dense tile; products go to [components][tiles][filters held]  (second-level cache)
#   tile             products become outputs

cdef enum:
    SIDE = 4                              # inputs of a tile, on an axis of three taps
    OUTPUTS = 2                           # of these

cdef struct Tile:
    Py_ssize_t image, row, column         # of its first output

cdef struct Patch:
    # Where the inputs of a tile lie.
    const REAL* first
    Py_ssize_t down, right                # from a row of them to the next, and from a pixel

cdef inline Py_ssize_t high(const Conv* c) noexcept nogil:
    """Rows of a tile of inputs."""
    return SIDE if c.window_h == 3 else 1

cdef inline Py_ssize_t biased(const Conv* c) noexcept nogil:
    """The component that all outputs have in their sums: it begins with the bias."""
    return 1 + SIDE * (c.window_h == 3)

cdef inline Py_ssize_t origins(Py_ssize_t n, Py_ssize_t window, Py_ssize_t dilation) noexcept nogil:
    """Of n outputs on an axis, how many are the first of a tile: of three taps, `dilation` of twice as many."""
    return n if window == 1 else n // (2 * dilation) * dilation + min(n % (2 * dilation), dilation)

cdef inline Py_ssize_t origin(Py_ssize_t i, Py_ssize_t window, Py_ssize_t dilation) noexcept nogil:
    """The first output of tile i."""
    return i if window == 1 else i // dilation * 2 * dilation + i % dilation

cdef void list_tiles(const Conv* c, Py_ssize_t top, Py_ssize_t left, Py_ssize_t down, Py_ssize_t across,
                     Py_ssize_t first, Py_ssize_t count, Tile* tiles) noexcept nogil:
    """So many tiles from the first on, of those of each image that begin there, `down` x `across`."""
    cdef Py_ssize_t i, line
    for i in range(count):
        line = (first + i) // across
        tiles[i].image = line // down
        tiles[i].row = top + origin(line % down, c.window_h, c.dilation_h)
        tiles[i].column = left + origin((first + i) % across, 3, c.dilation_w)

cdef void find_inputs(const Conv* v, const REAL* x, const Tile* tile, REAL* scratch, Py_ssize_t pitch,
                      Patch* patch) noexcept nogil:
    """In place or, with the padding that they meet, in scratch."""
    cdef Py_ssize_t top = tile.row - v.top, left = tile.column - v.left, h, w, i, j
    cdef Py_ssize_t down = v.dilation_h, right = v.dilation_w, rows = high(v)
    x += tile.image * v.xn
    patch.first = x + top * v.xh + left * v.xw
    patch.down = down * v.xh
    patch.right = right * v.xw
    if top >= 0 and left >= 0 and top + (rows - 1) * down < v.height and left + (SIDE - 1) * right < v.width:
        return
    patch.first = scratch
    patch.down = SIDE * pitch
    patch.right = pitch
    for i in range(rows):
        h = top + i * down
        for j in range(SIDE):
            w = left + j * right
            if 0 <= h < v.height and 0 <= w < v.width:
                memcpy(scratch, x + h * v.xh + w * v.xw, v.channels * sizeof(REAL))
            else:
                memset(scratch, 0, v.channels * sizeof(REAL))
            scratch += pitch

cdef inline void differences(vec* d, Py_ssize_t step) noexcept nogil:
    """Four inputs, so far apart, become what is multiplied."""
    cdef vec d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step]
    d[0] = d0 - d2
    d[step] = d1 + d2
    d[2 * step] = d2 - d1
    d[3 * step] = d1 - d3

cdef inline void transform_inputs(int HIGH, const Patch* patch, Py_ssize_t channels, REAL* to,
                                  Py_ssize_t apart) noexcept nogil:
    """to[components][apart] <- the inputs of a tile, transformed."""
    cdef vec d[SIDE * SIDE]
    cdef const REAL* rows[SIDE]
    cdef REAL* places[SIDE]
    cdef Py_ssize_t right = patch.right, left = channels, step, i, j
    for i in range(HIGH):
        rows[i] = patch.first + i * patch.down
        places[i] = to + i * SIDE * apart
    while True:
        for i in range(HIGH):
            for j in range(SIDE):
                d[SIDE * i + j] = vload(rows[i] + j * right)
        if HIGH == SIDE:
            for j in range(SIDE):
                differences(d + j, SIDE)
        for i in range(HIGH):
            differences(d + i * SIDE, 1)
        for i in range(HIGH):
            for j in range(SIDE):
                vstore(places[i] + j * apart, d[SIDE * i + j])
        left -= LANES
        if left <= 0:
            break
        step = min(LANES, left)                          # the last vector is moved back
        for i in range(HIGH):
            rows[i] += step
            places[i] += step

cdef inline void sums(int HIGH, const REAL* m, Py_ssize_t apart, vec* y) noexcept nogil:
    """y[2 x 2], or y[2] <- the products of a tile, of a vector of filters."""
    cdef vec v[SIDE]
    cdef vec top[SIDE]
    cdef vec low[SIDE]
    cdef Py_ssize_t i, j
    for j in range(SIDE):
        for i in range(HIGH):
            v[i] = vload(m + i * SIDE * apart + j * apart)
        if HIGH == SIDE:
            top[j] = v[0] + v[1] + v[2]
            low[j] = v[1] - v[2] - v[3]
        else:
            top[j] = v[0]
    y[0] = (top[0] + top[1] + top[2]) * vset(0.25 if HIGH == SIDE else 0.5)
    y[1] = (top[1] - top[2] - top[3]) * vset(0.25 if HIGH == SIDE else 0.5)
    if HIGH == SIDE:
        y[2] = (low[0] + low[1] + low[2]) * vset(0.25)
        y[3] = (low[1] - low[2] - low[3]) * vset(0.25)

cdef void place_outputs(const Conv* c, const Tile* tile, Py_ssize_t pitch, REAL* y, REAL** places) noexcept nogil:
    """Where the outputs of a tile go, pixels `pitch` apart; NULL: beyond the image."""
    cdef bint right = tile.column + c.dilation_w < c.out_width
    cdef bint below = c.window_h == 3 and tile.row + c.dilation_h < c.out_height
    y += tile.image * c.yn + (tile.row * c.out_width + tile.column) * pitch
    places[0] = y
    places[1] = y + c.dilation_w * pitch if right else NULL
    y += c.dilation_h * c.out_width * pitch
    places[2] = y if below else NULL
    places[3] = y + c.dilation_w * pitch if right and below else NULL

cdef inline Py_ssize_t outputs(int HIGH) noexcept nogil:
    """Of a tile."""
    return OUTPUTS * OUTPUTS if HIGH == SIDE else OUTPUTS

cdef inline void store_outputs(int HIGH, const Conv* c, vec* v, REAL** places, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(outputs(HIGH)):
        if places[i] != NULL:
            if c.activation:
                v[i] = activated(c.activation, v[i], <REAL>c.slope)
            vstore(places[i] + k, v[i])

cdef inline void store_tiles(int HIGH, const Conv* c, const Tile* tiles, Py_ssize_t count, const REAL* m,
                             Py_ssize_t pitch, Py_ssize_t apart, Py_ssize_t filters, Py_ssize_t out_pitch, REAL* y,
                             vec* zero) noexcept nogil:
    """The outputs of tiles, filter by filter. `zero` stays so if all are finite."""
    cdef vec v[OUTPUTS * OUTPUTS]
    cdef REAL* places[OUTPUTS * OUTPUTS]
    cdef Py_ssize_t n, k, i
    for n in range(count):
        place_outputs(c, tiles + n, out_pitch, y, places)
        k = 0
        while k < filters:
            k = min(k, filters - LANES)
            sums(HIGH, m + k, apart, v)
            for i in range(outputs(HIGH)):
                zero[0] += v[i] * vset(0)
            store_outputs(HIGH, c, v, places, k)
            k += LANES
        m += pitch

cdef inline void mend_outputs(int HIGH, const Conv* c, const REAL* m, Py_ssize_t apart, const Patch* patch,
                              Py_ssize_t group, const REAL* bias, const REAL* kernel, Py_ssize_t filters,
                              REAL** places) noexcept nogil:
    """Outputs of a tile that are not finite anew, as the sums of products that they are: a difference of infinities is
    NaN. kernel: (taps, channels of a group, all filters), from the first of these on."""
    cdef vec v[OUTPUTS * OUTPUTS]
    cdef vec exact[OUTPUTS * OUTPUTS]
    cdef vec w
    cdef const REAL* d
    cdef REAL[LANES] lanes
    cdef REAL[LANES] exact_lanes
    cdef Py_ssize_t depth = c.channels // c.groups, k = 0, at, tap, channel, i, lane
    while k < filters:
        at = min(k, filters - LANES)
        sums(HIGH, m + at, apart, v)
        for i in range(outputs(HIGH)):
            exact[i] = vload(bias + k) * vset(0.25 if HIGH == SIDE else 0.5)
        for tap in range(3 * c.window_h):
            d = patch.first + tap // 3 * patch.down + tap % 3 * patch.right + group * depth
            for channel in range(depth):
                w = vload(kernel + (tap * depth + channel) * c.filters + at)
                for i in range(outputs(HIGH)):
                    exact[i] += vset(d[i // OUTPUTS * patch.down + i % OUTPUTS * patch.right + channel]) * w
        for i in range(outputs(HIGH)):
            vstore(lanes, v[i])
            vstore(exact_lanes, exact[i])
            for lane in range(LANES):
                if lanes[lane] * 0 != 0:
                    lanes[lane] = exact_lanes[lane]
            v[i] = vload(lanes)
        store_outputs(HIGH, c, v, places, at)
        k += LANES

cdef inline void mixtures(const vec* g, Py_ssize_t step, vec* u, Py_ssize_t to_step) noexcept nogil:
    """u <- what is multiplied, of three weights."""
    cdef vec ends = g[0] + g[2 * step]
    u[0] = g[0] + g[0]
    u[to_step] = ends + g[step]
    u[2 * to_step] = ends - g[step]
    u[3 * to_step] = g[2 * step] + g[2 * step]

cdef inline void transform_weights(int HIGH, const REAL* g, Py_ssize_t tap, REAL* to, Py_ssize_t apart) noexcept nogil:
    """to[components][apart] <- the weights of a vector of filters, whose taps are `tap` apart."""
    cdef vec w[9]
    cdef vec rows[SIDE * 3]
    cdef vec u[SIDE]
    cdef Py_ssize_t i, j
    for i in range(9 if HIGH == SIDE else 3):
        w[i] = vload(g + i * tap)
    for j in range(3):
        if HIGH == SIDE: mixtures(w + j, 3, rows + j, 3)
        else: rows[j] = w[j]
    for i in range(HIGH):
        mixtures(rows + 3 * i, 1, u, 1)
        for j in range(SIDE):
            vstore(to + (SIDE * i + j) * apart, u[j])

cdef void pack_winograd(const Conv* c, const REAL* kernel, const REAL* bias, REAL* packed) noexcept nogil:
    """packed[group][block][component][1 + channels][filters held] <- bias, then kernel (taps, channels, filters)."""
    cdef Py_ssize_t depth = c.channels // c.groups, filters = c.filters // c.groups, tap = depth * c.filters
    cdef Py_ssize_t g, block, first, held, stored, size, k, j, at
    cdef REAL* to
    for g in range(c.groups):
        for block in range(c.blocks):
            first = block_filters(c, block, &held)
            stored = min(held, filters - first)
            size = (1 + depth) * held
            for k in range(c.winograd):
                memset(packed + k * size, 0, held * sizeof(REAL))
            for k in range(-1, depth):                       # -1: the bias
                j = 0
                while j < held:
                    at = g * filters + first + min(j, stored - LANES)        # the last vector may be moved back
                    to = packed + (1 + k) * held + j
                    if k >= 0 and c.window_h == 3:
                        transform_weights(SIDE, kernel + k * c.filters + at, tap, to, size)
                    elif k >= 0:
                        transform_weights(1, kernel + k * c.filters + at, tap, to, size)
                    elif bias != NULL:
                        vstore(to + biased(c) * size, vload(bias + at) * vset(4 if c.window_h == 3 else 2))
                    j += LANES
            packed += c.winograd * size

cdef void winograd_block(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* kernel, REAL* y,
                         char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """`kernel`: as it was before it was packed."""
    cdef Conv v, m
    cdef Py_ssize_t image = c.out_height * c.out_width, end = min(p1, image)
    cdef Py_ssize_t top = p0 // c.out_width, rows = (end - 1) // c.out_width + 1 - top
    cdef Py_ssize_t left = p0 - top * c.out_width if rows == 1 else 0
    cdef const REAL* src = view(c, &v, x, p0, end, False, <REAL*>scratch)
    cdef Py_ssize_t down = origins(rows, c.window_h, c.dilation_h)
    cdef Py_ssize_t across = origins(end - p0 if rows == 1 else c.out_width, 3, c.dilation_w)
    cdef Py_ssize_t all_tiles = max(1, p1 // image) * down * across, parts = (all_tiles + c.tiles - 1) // c.tiles
    cdef Py_ssize_t part, first, count, i, b, g, f = 0, size, before
    cdef Py_ssize_t depth = c.channels // c.groups, filters = c.filters // c.groups, held, stored = 0
    cdef Py_ssize_t most = c.vectors * LANES, out_pitch = c.yp if c.direct else c.filters
    cdef Py_ssize_t input_pitch = apart(c.channels), inputs_apart = c.tiles * input_pitch
    cdef Py_ssize_t pitch = apart(most), products_apart = c.tiles * pitch
    cdef Py_ssize_t begin = b0 // c.blocks * filters + block_filters(c, b0 % c.blocks, &held)
    cdef Tile* tiles = <Tile*>(scratch + c.load_bytes)
    cdef REAL* padded = <REAL*>(scratch + c.load_bytes + c.tile_bytes)
    cdef REAL* inputs = padded + c.winograd * input_pitch
    cdef REAL* products = inputs + c.winograd * inputs_apart
    cdef REAL* out = products + c.winograd * products_apart
    cdef REAL* dst
    cdef REAL* places[OUTPUTS * OUTPUTS]
    cdef const REAL* w
    cdef Patch patch
    cdef vec zero
    cdef REAL[LANES] lanes
    # A component is a pointwise convolution of a row of tiles.
    m = c[0]
    m.height = m.out_height = m.window_h = m.window_w = m.stride_h = m.stride_w = m.dilation_h = m.dilation_w = 1
    m.top = m.left = m.activation = m.leave_out = 0
    m.direct = 1
    m.block_pixels = c.tiles
    m.xw = input_pitch
    m.yp = pitch
    for part in range(parts):
        first = part * all_tiles // parts
        count = (part + 1) * all_tiles // parts - first
        list_tiles(c, top, left, down, across, first, count, tiles)
        for i in range(count):
            find_inputs(&v, src, tiles + i, padded, input_pitch, &patch)
            if c.window_h == 3: transform_inputs(SIDE, &patch, c.channels, inputs + i * input_pitch, inputs_apart)
            else: transform_inputs(1, &patch, c.channels, inputs + i * input_pitch, inputs_apart)
        m.width = m.out_width = count
        for b in range(b0, b1):
            g = b // c.blocks
            before = block_offset(&m, b)
            f = block_filters(c, b % c.blocks, &held)
            stored = min(held, filters - f)
            size = block_size(&m, held)
            f += g * filters
            w = weights + c.winograd * before
            for i in range(c.winograd):
                multiply(&m, &m, inputs + i * inputs_apart, 0, count, b, b + 1, w + i * size - before,
                         products + i * products_apart - f, <char*>(tiles + c.tiles), NULL, NULL)
            dst = y + f if c.direct else out + f - begin - p0 * c.filters
            zero = vset(0)
            if c.window_h == 3:
                store_tiles(SIDE, c, tiles, count, products, pitch, products_apart, stored, out_pitch, dst, &zero)
            else:
                store_tiles(1, c, tiles, count, products, pitch, products_apart, stored, out_pitch, dst, &zero)
            vstore(lanes, zero)
            if finite(lanes, LANES):
                continue
            w += biased(c) * size
            for i in range(count):
                find_inputs(&v, src, tiles + i, padded, input_pitch, &patch)
                place_outputs(c, tiles + i, out_pitch, dst, places)
                if c.window_h == 3:
                    mend_outputs(SIDE, c, products + i * pitch, products_apart, &patch, g, w, kernel + f, stored,
                                 places)
                else:
                    mend_outputs(1, c, products + i * pitch, products_apart, &patch, g, w, kernel + f, stored, places)
    if not c.direct:
        scatter(c, out, c.filters, p0, p1 - p0, begin, f + stored - begin, y)
