# Dense convolution of 3 x 3 windows at stride 1 with 16 products for 36: Winograd's minimal filtering F(2 x 2, 3 x 3).
#
# On one axis, two outputs y under three weights g meet four inputs d (Winograd, Arithmetic Complexity of Computations,
# 1980; Lavin and Gray, CVPR 2016):
#   m0 = (d0 - d2) 2 g0, m1 = (d1 + d2) (g0 + g1 + g2), m2 = (d2 - d1) (g0 - g1 + g2), m3 = (d1 - d3) 2 g2
#   2 y0 = m0 + m1 + m2, 2 y1 = m1 - m2 - m3
# (without halves, so that whole numbers stay exact however small their unit is). On two axes each d, g and m is such a
# row itself, and outputs come out four times. A tile is 4 x 4 inputs, as far apart as taps are, and 2 x 2 outputs, each
# of which depends on its own window alone. The 16 products are sums over channels: 16 pointwise convolutions, whose
# pixels are the tiles.
#
# Loop order, outermost first, and what each level keeps where:
#   task, block      rows of output, in whole pairs                                    (threads)
#   tiles            c.winograd of them: transformed inputs, [16][tiles][channels]     (second-level cache)
#   filter block     packed weights, [16][1 + channels][filters held]                  (streamed, prefetched)
#   component        of 16: the dense tile; products go to [16][tiles][filters held]   (second-level cache)
#   tile             products become outputs

cdef enum:
    SIDE = 4                              # of a tile of inputs
    OUTPUTS = 2                           # of a tile, on each axis
    BIASED = 5                            # the component that all outputs have in their sums: it begins with the bias

cdef struct Tile:
    Py_ssize_t image, row, column         # of its first output

cdef struct Patch:
    # Where the inputs of a tile lie.
    const REAL* first
    Py_ssize_t down, right                # from a row of them to the next, and from a pixel

cdef inline Py_ssize_t odd_lines(Py_ssize_t elements) noexcept nogil:
    """So many and a few more: an odd number of lines, as tiles and components would share the sets of a cache."""
    return ((elements * sizeof(REAL) + LINE - 1) // LINE | 1) * LINE // sizeof(REAL)

cdef inline Py_ssize_t origins(Py_ssize_t n, Py_ssize_t dilation) noexcept nogil:
    """Of n outputs on an axis, how many are the first of a tile: `dilation` of twice as many."""
    return n // (2 * dilation) * dilation + min(n % (2 * dilation), dilation)

cdef inline Py_ssize_t origin(Py_ssize_t i, Py_ssize_t dilation) noexcept nogil:
    """The first output of tile i."""
    return i // dilation * 2 * dilation + i % dilation

cdef void list_tiles(const Conv* c, Py_ssize_t top, Py_ssize_t rows, Py_ssize_t first, Py_ssize_t count,
                     Tile* tiles) noexcept nogil:
    """So many tiles from the first on, of those of these rows of each image."""
    cdef Py_ssize_t down = origins(rows, c.dilation_h), across = origins(c.out_width, c.dilation_w), i, line
    for i in range(count):
        line = (first + i) // across
        tiles[i].image = line // down
        tiles[i].row = top + origin(line % down, c.dilation_h)
        tiles[i].column = origin((first + i) % across, c.dilation_w)

cdef void find_inputs(const Conv* v, const REAL* x, const Tile* tile, REAL* scratch, Py_ssize_t pitch,
                      Patch* patch) noexcept nogil:
    """In place or, with the padding that they meet, in scratch."""
    cdef Py_ssize_t top = tile.row - v.top, left = tile.column - v.left, h, w
    cdef Py_ssize_t down = v.dilation_h, right = v.dilation_w
    cdef int i, j
    x += tile.image * v.xn
    patch.first = x + top * v.xh + left * v.xw
    patch.down = down * v.xh
    patch.right = right * v.xw
    if top >= 0 and left >= 0 and top + (SIDE - 1) * down < v.height and left + (SIDE - 1) * right < v.width:
        return
    patch.first = scratch
    patch.down = SIDE * pitch
    patch.right = pitch
    for i in range(SIDE):
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

cdef void transform_inputs(const Patch* patch, Py_ssize_t channels, REAL* to, Py_ssize_t apart) noexcept nogil:
    """to[16][apart] <- the inputs of a tile, transformed."""
    cdef vec d[SIDE * SIDE]
    cdef const REAL* rows[SIDE]
    cdef REAL* places[SIDE]
    cdef Py_ssize_t right = patch.right, left = channels, step, i, j
    for i in range(SIDE):
        rows[i] = patch.first + i * patch.down
        places[i] = to + i * SIDE * apart
    while True:
        for i in range(SIDE):
            for j in range(SIDE):
                d[SIDE * i + j] = vload(rows[i] + j * right)
        for i in range(SIDE):
            differences(d + i, SIDE)
        for i in range(SIDE):
            differences(d + i * SIDE, 1)
        for i in range(SIDE):
            for j in range(SIDE):
                vstore(places[i] + j * apart, d[SIDE * i + j])
        left -= LANES
        if left <= 0:
            break
        step = min(LANES, left)                          # the last vector is moved back
        for i in range(SIDE):
            rows[i] += step
            places[i] += step

cdef inline void sums(const REAL* m, Py_ssize_t apart, vec* y) noexcept nogil:
    """y[2 x 2] <- the 16 products of a tile, of a vector of filters."""
    cdef vec v[SIDE]
    cdef vec top[SIDE]
    cdef vec low[SIDE]
    cdef Py_ssize_t i, j
    for j in range(SIDE):
        for i in range(SIDE):
            v[i] = vload(m + i * SIDE * apart + j * apart)
        top[j] = v[0] + v[1] + v[2]
        low[j] = v[1] - v[2] - v[3]
    y[0] = (top[0] + top[1] + top[2]) * vset(0.25)
    y[1] = (top[1] - top[2] - top[3]) * vset(0.25)
    y[2] = (low[0] + low[1] + low[2]) * vset(0.25)
    y[3] = (low[1] - low[2] - low[3]) * vset(0.25)

cdef void place_outputs(const Conv* c, const Tile* tile, Py_ssize_t pitch, REAL* y, REAL** places) noexcept nogil:
    """Where the outputs of a tile go, pixels `pitch` apart; NULL: beyond the image."""
    cdef bint right = tile.column + c.dilation_w < c.out_width, below = tile.row + c.dilation_h < c.out_height
    y += tile.image * c.yn + (tile.row * c.out_width + tile.column) * pitch
    places[0] = y
    places[1] = y + c.dilation_w * pitch if right else NULL
    y += c.dilation_h * c.out_width * pitch
    places[2] = y if below else NULL
    places[3] = y + c.dilation_w * pitch if right and below else NULL

cdef inline void store_outputs(int ACTIVATION, const vec* v, REAL slope, REAL** places, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(OUTPUTS * OUTPUTS):
        if places[i] != NULL:
            vstore(places[i] + k, activated(ACTIVATION, v[i], slope))

cdef inline void outputs_of_tiles(int ACTIVATION, const Conv* c, const Tile* tiles, Py_ssize_t count, const REAL* m,
                                  Py_ssize_t pitch, Py_ssize_t apart, Py_ssize_t filters, Py_ssize_t out_pitch, REAL* y,
                                  vec* zero) noexcept nogil:
    """The outputs of tiles, filter by filter. `zero` stays so if all are finite."""
    cdef vec v[OUTPUTS * OUTPUTS]
    cdef REAL* places[OUTPUTS * OUTPUTS]
    cdef REAL slope = <REAL>c.slope
    cdef Py_ssize_t n, k, i
    for n in range(count):
        place_outputs(c, tiles + n, out_pitch, y, places)
        k = 0
        while k < filters:
            k = min(k, filters - LANES)
            sums(m + k, apart, v)
            store_outputs(ACTIVATION, v, slope, places, k)
            for i in range(OUTPUTS * OUTPUTS):
                zero[0] += v[i] * vset(0)
            k += LANES
        m += pitch

cdef bint all_zero(vec v) noexcept nogil:
    cdef REAL[LANES] lanes
    cdef bint zero = True
    cdef int i
    vstore(lanes, v)
    for i in range(LANES):
        zero = zero and lanes[i] == 0
    return zero

cdef void mend_outputs(const Conv* c, const REAL* m, Py_ssize_t apart, const Patch* patch, Py_ssize_t group,
                       const REAL* bias, const REAL* kernel, Py_ssize_t filters, REAL** places) noexcept nogil:
    """Outputs of a tile that are not finite anew, as the sums of products that they are: a difference of infinities is
    NaN. kernel: (9, channels of a group, all filters), from the first of these on."""
    cdef vec v[OUTPUTS * OUTPUTS]
    cdef vec exact[OUTPUTS * OUTPUTS]
    cdef vec w
    cdef const REAL* d
    cdef REAL[LANES] lanes
    cdef REAL[LANES] exact_lanes
    cdef Py_ssize_t depth = c.channels // c.groups, k = 0, at, tap, channel, i, lane
    while k < filters:
        at = min(k, filters - LANES)
        sums(m + at, apart, v)
        for i in range(OUTPUTS * OUTPUTS):
            exact[i] = vload(bias + k) * vset(0.25)
        for tap in range(9):
            d = patch.first + tap // 3 * patch.down + tap % 3 * patch.right + group * depth
            for channel in range(depth):
                w = vload(kernel + (tap * depth + channel) * c.filters + at)
                for i in range(OUTPUTS * OUTPUTS):
                    exact[i] += vset(d[i // OUTPUTS * patch.down + i % OUTPUTS * patch.right + channel]) * w
        for i in range(OUTPUTS * OUTPUTS):
            vstore(lanes, v[i])
            vstore(exact_lanes, exact[i])
            for lane in range(LANES):
                if lanes[lane] * 0 != 0:
                    lanes[lane] = exact_lanes[lane]
            v[i] = vload(lanes)
        if c.activation == 0: store_outputs(0, v, 0, places, at)
        elif c.activation == 1: store_outputs(1, v, 0, places, at)
        elif c.activation == 2: store_outputs(2, v, 0, places, at)
        else: store_outputs(3, v, <REAL>c.slope, places, at)
        k += LANES

cdef inline void transform_weights(Py_ssize_t component, const REAL* g, Py_ssize_t tap, Py_ssize_t filters,
                                   REAL* to) noexcept nogil:
    """One component of so many filters' weights, whose taps are `tap` apart."""
    cdef REAL[4][3] mix = [[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]
    cdef const REAL* down = mix[component // SIDE]
    cdef const REAL* across = mix[component % SIDE]
    cdef REAL total
    cdef Py_ssize_t f, i, j
    for f in range(filters):
        total = 0
        for i in range(3):
            for j in range(3):
                total += down[i] * across[j] * g[(3 * i + j) * tap + f]
        to[f] = total

cdef inline void transform_bias(Py_ssize_t component, const REAL* bias, Py_ssize_t filters, REAL* to) noexcept nogil:
    """In the one component that all outputs have in their sums."""
    cdef Py_ssize_t f
    for f in range(filters if component == BIASED else 0):
        to[f] = 4 * bias[f]

cdef void winograd_block(const Conv* c, const Conv* _, const REAL* x, const REAL* weights, const REAL* kernel, REAL* y,
                         char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """`kernel`: as it was before it was packed."""
    cdef Conv v, m
    cdef Py_ssize_t image = c.out_height * c.out_width, top = p0 // c.out_width
    cdef Py_ssize_t rows = (min(p1, image) - 1) // c.out_width + 1 - top
    cdef const REAL* src = view(c, &v, x, p0, min(p1, image), False, <REAL*>scratch)
    cdef Py_ssize_t all_tiles = max(1, p1 // image) * origins(rows, c.dilation_h) * origins(c.out_width, c.dilation_w)
    cdef Py_ssize_t parts = (all_tiles + c.winograd - 1) // c.winograd, part, first, count, i, b, g, f = 0, size, before
    cdef Py_ssize_t depth = c.channels // c.groups, filters = c.filters // c.groups, held, stored = 0
    cdef Py_ssize_t most = c.vectors * LANES, out_pitch = c.yp if c.direct else c.filters
    cdef Py_ssize_t input_pitch = odd_lines(c.channels), inputs_apart = c.winograd * input_pitch
    cdef Py_ssize_t pitch = odd_lines(most), apart = c.winograd * pitch
    cdef Py_ssize_t begin = b0 // c.blocks * filters + block_filters(c, b0 % c.blocks, &held)
    cdef Tile* tiles = <Tile*>(scratch + c.load_bytes)
    cdef REAL* padded = <REAL*>(scratch + c.load_bytes + c.tile_bytes)
    cdef REAL* inputs = padded + SIDE * SIDE * input_pitch
    cdef REAL* products = inputs + SIDE * SIDE * inputs_apart
    cdef REAL* out = products + SIDE * SIDE * apart
    cdef REAL* dst
    cdef REAL* places[OUTPUTS * OUTPUTS]
    cdef const REAL* w
    cdef Patch patch
    cdef vec zero
    # A component is a pointwise convolution of a row of tiles.
    m = c[0]
    m.height = m.out_height = m.window_h = m.window_w = m.stride_h = m.stride_w = m.dilation_h = m.dilation_w = 1
    m.top = m.left = m.activation = m.leave_out = 0
    m.direct = 1
    m.block_pixels = c.winograd
    m.xw = input_pitch
    m.yp = pitch
    for part in range(parts):
        first = part * all_tiles // parts
        count = (part + 1) * all_tiles // parts - first
        list_tiles(c, top, rows, first, count, tiles)
        for i in range(count):
            find_inputs(&v, src, tiles + i, padded, input_pitch, &patch)
            transform_inputs(&patch, c.channels, inputs + i * input_pitch, inputs_apart)
        m.width = m.out_width = count
        for b in range(b0, b1):
            g = b // c.blocks
            before = block_offset(&m, b)
            f = block_filters(c, b % c.blocks, &held)
            stored = min(held, filters - f)
            size = block_size(&m, held)
            f += g * filters
            w = weights + SIDE * SIDE * before
            for i in range(SIDE * SIDE):
                multiply(&m, &m, inputs + i * inputs_apart, 0, count, b, b + 1, w + i * size - before,
                         products + i * apart - f, <char*>(tiles + c.winograd), NULL, NULL)
            dst = y + f if c.direct else out + f - begin - p0 * c.filters
            zero = vset(0)
            if c.activation == 0:
                outputs_of_tiles(0, c, tiles, count, products, pitch, apart, stored, out_pitch, dst, &zero)
            elif c.activation == 1:
                outputs_of_tiles(1, c, tiles, count, products, pitch, apart, stored, out_pitch, dst, &zero)
            elif c.activation == 2:
                outputs_of_tiles(2, c, tiles, count, products, pitch, apart, stored, out_pitch, dst, &zero)
            else:
                outputs_of_tiles(3, c, tiles, count, products, pitch, apart, stored, out_pitch, dst, &zero)
            if all_zero(zero):
                continue
            for i in range(count):
                find_inputs(&v, src, tiles + i, padded, input_pitch, &patch)
                place_outputs(c, tiles + i, out_pitch, dst, places)
                mend_outputs(c, products + i * pitch, apart, &patch, g, w + BIASED * size, kernel + f, stored, places)
    if not c.direct:
        scatter(c, out, c.filters, p0, p1 - p0, begin, f + stored - begin, y)
