# What comes after the rows that are worked on: fetched into the second-level cache, some lines with each tile; into all
# caches, a part of a line with each product, by the dense tile, whose one prefetch goes either there or to its weights.
#
# Tiles meet lines in an order that the processor does not see through: a vector of channels of many pixels and rows. It
# would wait for each from the last-level cache or memory. What tiles do not read yet is fetched in the order of memory,
# in which the processor soon sees what follows, so that it costs next to nothing where the data were near after all.

cdef struct Ahead:
    const REAL* next
    Py_ssize_t left                       # elements of its row, from there on
    Py_ssize_t row, gap                   # elements of a row, 0: nothing is fetched; from its end to the next one

cdef inline void go_on(Ahead* a, Py_ssize_t elements) noexcept nogil:
    """Behind the next so many elements, of a row or a little beyond its end."""
    a.next += elements
    a.left -= elements
    if a.left <= 0:
        a.next += a.gap
        a.left += a.row

cdef inline void fetch(Ahead* a, Py_ssize_t vectors) noexcept nogil:
    """The next so many vectors."""
    cdef Py_ssize_t k
    if a.row == 0:
        return
    for k in range(vectors):
        vahead(a.next + k * LANES)
    go_on(a, vectors * LANES)

cdef inline void begin_at(Ahead* a, const REAL* first, Py_ssize_t row, Py_ssize_t pitch) noexcept nogil:
    a.next = first
    a.left = a.row = row
    a.gap = pitch - row

cdef inline Py_ssize_t met_again(const Conv* c) noexcept nogil:
    """Rows of input that both a row of output and the next one meet."""
    return max(0, (c.window_h - 1) * c.dilation_h + 1 - c.stride_h)

cdef inline void look_ahead(const Conv* c, const REAL* x, const REAL* y, Py_ssize_t row, Py_ssize_t first,
                            Py_ssize_t last, Py_ssize_t met, Ahead* ahead) noexcept nogil:
    """What pixels [first, last) of a row of output, and of those below it, read and write; but for the first rows of
    input, so many. `ahead`: of the input, of the output."""
    cdef Py_ssize_t ih, iw
    if not c.fetch_ahead:
        return
    ih = max(0, row * c.stride_h - c.top) + met
    iw = max(0, first * c.stride_w - c.left)
    begin_at(&ahead[0], x + ih * c.xh + iw * c.xw, (last - first) * c.stride_w * c.xw, c.xh)
    begin_at(&ahead[1], y + (row * c.out_width + first) * c.yp, (last - first) * c.yp, c.out_width * c.yp)
    if c.stream or c.fetch_ahead == 1:
        ahead[1].row = 0
