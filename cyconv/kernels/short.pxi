# Dense layers with short reductions: the weights of a filter block stay in registers.
#
# Loop order, outermost first, and what each level keeps where:
#   SHORT_PIXELS     their inputs stay for all filter blocks                            (first-level cache)
#   filter block     bias and weights of NV vectors of filters                          (registers)
#   pixel            NV vectors of sums                                                 (registers)
#   products         one broadcast, NV multiply-adds
#
# The dense tile would end after as few products as these, loads each weight again for 8 pixels, and keeps a pointer for
# each. Here a pixel's sums are a few instructions, so that a core that looks ahead has those of several at work.

cdef enum:
    SHORT_PIXELS = 8

cdef struct Products:
    # Where the inputs of a pixel's window lie, behind its first, and their weights, behind the block's bias.
    Py_ssize_t inputs[MOST_PRODUCTS]
    Py_ssize_t weights[MOST_PRODUCTS]

ctypedef void (*short_t)(const Taps*, const Products*, Py_ssize_t, bint, const REAL*, const Py_ssize_t*,
                         const Py_ssize_t*, const REAL*, REAL*, Py_ssize_t) noexcept nogil

cdef inline void short_pixels(int K, int NV, int RUN, const Taps* t, const Products* p, const REAL* x,
                              const Py_ssize_t* offsets, const Py_ssize_t* places, const REAL* weights, REAL* y,
                              Py_ssize_t count) noexcept nogil:
    """`count` pixels of K products, through t.blocks filter blocks. RUN: inputs are contiguous."""
    cdef vec wv[2 * MOST_PRODUCTS]
    cdef vec bias[2]
    cdef vec acc[2]
    cdef half none[1]
    cdef vec xv
    cdef const REAL* r
    cdef Py_ssize_t pixel, block
    cdef int k, j
    # What most layers need, asked once: between a few products, each question would take as long as one.
    cdef bint plain = not (t.activation or t.stream), whole = plain and not t.back
    cdef bint in_part = HALVES and NV == 1 and plain and t.back
    cdef lanes some = vlanes(vbits(0, LANES - t.back), 0)
    # Weights are loaded within this loop: GCC unrolls the outermost ones too late to keep their results in registers.
    for block in range(t.blocks):
        for j in range(NV):
            bias[j] = vload(weights + j * LANES)
        for k in range(K):
            for j in range(NV):
                wv[k * NV + j] = vload(weights + p.weights[k] + j * LANES)
        for pixel in range(count):
            r = x + offsets[pixel]
            for j in range(NV):
                acc[j] = bias[j]
            for k in range(K):
                xv = vset(r[k if RUN else p.inputs[k]])
                for j in range(NV):
                    acc[j] += xv * wv[k * NV + j]
            if whole:
                for j in range(NV):
                    vstore(y + places[pixel] + j * LANES, acc[j])
            elif in_part:
                vstore_some(y + places[pixel], acc[0], some)
            else:
                finish(1, NV, 0, t, places + pixel, y, acc, none)
        weights += t.block
        y += NV * LANES

cdef inline void short_products(int NV, int RUN, const Taps* t, const Products* p, Py_ssize_t n, const REAL* x,
                                const Py_ssize_t* offsets, const Py_ssize_t* places, const REAL* w, REAL* y,
                                Py_ssize_t count) noexcept nogil:
    """The menu of so many vectors: n products."""
    if n == 1: short_pixels(1, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif n == 2: short_pixels(2, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif n == 3: short_pixels(3, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif n == 4: short_pixels(4, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif n == 5: short_pixels(5, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif MOST_PRODUCTS >= 6 and n == 6: short_pixels(6, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif MOST_PRODUCTS >= 7 and n == 7: short_pixels(7, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif MOST_PRODUCTS >= 8 and n == 8: short_pixels(8, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif MOST_PRODUCTS >= 9 and n == 9: short_pixels(9, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif MOST_PRODUCTS >= 10 and n == 10: short_pixels(10, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif MOST_PRODUCTS >= 11 and n == 11: short_pixels(11, NV, RUN, t, p, x, offsets, places, w, y, count)
    elif MOST_PRODUCTS >= 12 and n == 12: short_pixels(12, NV, RUN, t, p, x, offsets, places, w, y, count)

# Two functions: in one, GCC would find too many loops to look at the registers of each.
cdef void one_vector(const Taps* t, const Products* p, Py_ssize_t n, bint run, const REAL* x, const Py_ssize_t* offsets,
                     const Py_ssize_t* places, const REAL* w, REAL* y, Py_ssize_t count) noexcept nogil:
    if run: short_products(1, True, t, p, n, x, offsets, places, w, y, count)
    else: short_products(1, False, t, p, n, x, offsets, places, w, y, count)

cdef void two_vectors(const Taps* t, const Products* p, Py_ssize_t n, bint run, const REAL* x,
                      const Py_ssize_t* offsets, const Py_ssize_t* places, const REAL* w, REAL* y,
                      Py_ssize_t count) noexcept nogil:
    if run: short_products(2, True, t, p, n, x, offsets, places, w, y, count)
    else: short_products(2, False, t, p, n, x, offsets, places, w, y, count)

cdef void run_short(Py_ssize_t width, const Taps* t, const REAL* x, const Py_ssize_t* offsets,
                    const Py_ssize_t* places, const REAL* weights, REAL* y, Py_ssize_t pixels) noexcept nogil:
    """The pixels of a part, through t.blocks filter blocks of so many vectors."""
    cdef Py_ssize_t most = SHORT_PIXELS if t.blocks > 1 else pixels, first = 0, n = 0, count, a, b, k
    cdef Products p
    cdef bint run = t.window_h * t.window_w == 1
    cdef short_t tiles = one_vector if width == 1 else two_vectors
    for a in range(t.window_h):
        for b in range(t.window_w):
            for k in range(t.run):
                p.inputs[n] = a * t.step_h + b * t.step_w + k
                p.weights[n] = t.before + n * t.line + a * t.between
                n += 1
    while first < pixels:
        count = min(most, pixels - first)
        tiles(t, &p, n, run, x, offsets + first, places + first, weights, y, count)
        first += count
