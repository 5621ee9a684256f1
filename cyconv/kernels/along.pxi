# Depthwise convolution with small square windows, where a vector is a whole cache line: sums that go along their rows.
#
# Loop order, outermost first, below some rows of output of GROUP channel vectors (depthwise.pxi):
#   channel vector   its weights, of 3 x 3 windows                                   (registers, else first-level cache)
#   column           of input: each vector that windows of R rows meet is loaded once, and added to all their pixels
#   sums             R rows x the pixels whose windows meet the column               (registers)
# or, where lines are best met in the order of memory (schedule.in_pieces), PIECE pixels of these rows at a time:
#   channel vector   its weights                                                     (registers)
#   column           of input, that windows of the rows and pixels meet, and all their sums (registers)
#
# Beside the tile of depthwise.pxi no column is loaded twice, and no cache line needed again but by the next rows: 1.5
# loads for the 9 multiply-adds of a pixel, of 3 x 3 windows and four rows, instead of 3. Half a line at a time, lines
# would be fetched twice.
#
# A pixel's sum adds the columns of its window one after the other, in each the rows: another order than elsewhere, by
# which layers, schedule.columnwise decides.

cdef enum:
    PIECE = 2                 # pixels of a row

cdef inline int along_rows(const Conv* c, Py_ssize_t whole) noexcept nogil:
    """Rows of output that are worked on together, the first of so many whole ones: equal parts of as many as have room
    in the registers; at stride 2 of 3 x 3 windows, in the caches."""
    cdef Py_ssize_t most = 4 if c.window_w * c.stride_w == 3 else 2 if c.window_w == 7 else 3, parts
    if whole < 2 or c.stride_h != c.stride_w:
        return 1
    parts = (whole + most - 1) // most
    return <int>((whole + parts - 1) // parts)

cdef inline Py_ssize_t along_columns(const Conv* c, const REAL* x, Py_ssize_t count) noexcept nogil:
    """How many of a row's pixels are worked on before the next channels: all, but where 3 x 3 windows at stride 2 meet
    lines that neighbouring vectors of channels share, few enough for the next vector to find them in the nearest
    cache; and where all channels come before the next pixels."""
    if c.pieces:
        return min(count, PIECE)
    cdef size_t off = (<uintptr_t>x | <size_t>(c.xw * <Py_ssize_t>sizeof(REAL))) % LINE
    if c.window_w * c.stride_w != 6 or off == 0 or c.leads or count <= 2 * MOST_SHARED:
        return count
    cdef Py_ssize_t pieces = (count + MOST_SHARED - 1) // MOST_SHARED
    return (count + pieces - 1) // pieces

cdef inline void along_column(int K, int S, int R, int L, bint ROWS, bint COLUMN, int t, int live, const REAL* x,
                              Py_ssize_t row_step, lanes some, const REAL* w, const vec* held, Py_ssize_t row,
                              size_t height, Py_ssize_t column, size_t width, vec* acc) noexcept nogil:
    """Column t of the oldest pixel's window, which is `column` of the input, added to the first `live` of L pixels that
    meet it. ROWS, COLUMN: rows, or the column, may lie outside the input, where there are zeros."""
    cdef int h, j, r
    cdef const REAL* p[3]
    cdef vec[9] xv
    cdef vec wv
    if COLUMN and <size_t>column >= width:
        x = ZEROS
        row_step = 0
    for h in range(((R - 1) * S + K + 2) // 3):
        p[h] = x + 3 * h * row_step
    for h in range((R - 1) * S + K):
        xv[h] = vset(0)
        if not ROWS or <size_t>(row + h) < height:
            xv[h] = vpart(p[h // 3] + (h % 3) * row_step, some, NULL, NULL)
        for r in range(R if K == 3 else 0):
            if h - r * S >= 0 and h - r * S < K:
                for j in range(L):
                    if j < live and t - j * S >= 0 and t - j * S < K:
                        acc[j * R + r] += xv[h] * held[(h - r * S) * K + t - j * S]
    for h in range(K if K > 3 else 0):
        for j in range(L):
            if j < live and t - j * S >= 0 and t - j * S < K:
                wv = vnow(w + (h * K + t - j * S) * LANES)
                for r in range(R):
                    acc[j * R + r] += xv[h + r * S] * wv

cdef inline void along_store(int R, vec* acc, REAL* y, Py_ssize_t yh, lanes some, int activation, REAL slope,
                             bint stream) noexcept nogil:
    """With plane_store in its place, 3 x 3 layers take 3 % longer."""
    cdef int r
    for r in range(R):
        if activation == 1:
            acc[r] = activated(1, acc[r], slope)
        elif activation == 2:
            acc[r] = activated(2, acc[r], slope)
        elif activation == 3:
            acc[r] = activated(3, acc[r], slope)
        if stream:
            vstream(y + r * yh, acc[r])
        else:
            vstore_some(y + r * yh, acc[r], some)

cdef inline void along_next(int K, int S, int R, bint ROWS, bint COLUMN, int live, const REAL** x, Py_ssize_t xw,
                            Py_ssize_t row_step, lanes some, const REAL* w, const vec* held, Py_ssize_t row,
                            size_t height, Py_ssize_t* column, size_t width, vec* acc, REAL** y, Py_ssize_t yp,
                            Py_ssize_t yh, int activation, REAL slope, bint stream) noexcept nogil:
    """The last columns of the oldest pixel's window; then it is stored, and the next one is the oldest."""
    cdef int L = (K + S - 1) // S, s, j, r
    for s in range(S):
        along_column(K, S, R, L, ROWS, COLUMN, K - S + s, live, x[0], row_step, some, w, held, row, height, column[0],
                     width, acc)
        x[0] += xw
        column[0] += 1
    for j in range(L * R):
        vpin(acc[j])               # else what is not stored now is added up later, and its operands kept on the stack
    along_store(R, acc, y[0], yh, some, activation, slope, stream)
    y[0] += yp
    for j in range(L - 1):
        for r in range(R):
            acc[j * R + r] = acc[(j + 1) * R + r]
    for r in range(R):
        acc[(L - 1) * R + r] = vload(w - LANES)

cdef inline void along(int K, int S, int R, bint CHECK, bint AHEAD, const Conv* c, const REAL* x,
                       const REAL* weights, REAL* y, Py_ssize_t row, Py_ssize_t first, Py_ssize_t count, Py_ssize_t b0,
                       Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    """R rows of `count` pixels, channel vectors [b0, b1). `row`, `first`: of the input, where a window begins first.
    AHEAD: what comes next is fetched."""
    # Copies: a vector store may alias anything in memory, so that fields would be read again after each.
    cdef Py_ssize_t xw = c.xw, yp = c.yp, yh = c.out_width * c.yp, row_step = c.xh
    cdef Py_ssize_t next = b0 * LANES - c.leads, full = c.filters - LANES, b, at, n, column
    cdef uint64_t whole = (<uint64_t>1 << LANES) - 1
    cdef lanes some
    cdef size_t height = c.height, width = c.width
    cdef int L = (K + S - 1) // S, activation = c.activation, k, t, r
    cdef bint stream = c.stream
    cdef REAL slope = <REAL>c.slope
    cdef vec[15] acc                       # by age and row
    cdef vec[9] held
    cdef const REAL* src
    cdef const REAL* w
    cdef REAL* dst
    x += row * row_step + first * xw
    for b in range(b0, b1):
        # The last vector is moved back to be full; the first and the last are parts where vectors begin earlier.
        at = next if c.leads else min(next, full)
        some = vlanes(whole << max(0, -at) & whole >> max(0, at - full), 0)
        next += LANES
        src = x + at
        dst = y + at
        w = weights + (b * (K * K + 1) + 1) * LANES
        n = count
        column = first
        for k in range(9 if K == 3 else 0):
            held[k] = vload(w + k * LANES)
        for k in range(L * R):
            acc[k] = vload(w - LANES)
        for t in range(K - S):
            along_column(K, S, R, L, CHECK, True, t, L, src, row_step, some, w, held, row, height, column, width, acc)
            src += xw
            column += 1
        while n >= L:
            if AHEAD:
                fetch(&ahead[0], R * S * S)
                fetch(&ahead[1], R)
            along_next(K, S, R, CHECK, CHECK, L, &src, xw, row_step, some, w, held, row, height, &column, width, acc,
                       &dst, yp, yh, activation, slope, stream)
            n -= 1
        for t in range(1, L):              # fewer pixels than meet a column
            if n == L - t:
                if AHEAD:
                    fetch(&ahead[0], R * S * S)
                    fetch(&ahead[1], R)
                along_next(K, S, R, CHECK, True, L - t, &src, xw, row_step, some, w, held, row, height, &column, width,
                           acc, &dst, yp, yh, activation, slope, stream)
                n -= 1

cdef inline void along_checked(int K, int S, int R, bint AHEAD, bint check, const Conv* c, const REAL* x,
                               const REAL* w, REAL* y, Py_ssize_t row, Py_ssize_t column, Py_ssize_t count,
                               Py_ssize_t b0, Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    # The columns between a row's first ones and its last ones are inside, but for odd padding.
    if check or column < S - K or column + (count - 1) * S + K > c.width + (K - 1) // S * S:
        along(K, S, R, True, AHEAD, c, x, w, y, row, column, count, b0, b1, ahead)
    else:
        along(K, S, R, False, AHEAD, c, x, w, y, row, column, count, b0, b1, ahead)

cdef inline void along_menu(int K, int S, bint AHEAD, int rows, bint check, const Conv* c, const REAL* x,
                            const REAL* w, REAL* y, Py_ssize_t row, Py_ssize_t column, Py_ssize_t count,
                            Py_ssize_t b0, Py_ssize_t b1, Ahead* ahead) noexcept nogil:
    if rows == 1:
        along_checked(K, S, 1, AHEAD, check, c, x, w, y, row, column, count, b0, b1, ahead)
    elif rows == 2:
        along_checked(K, S, 2, AHEAD, check, c, x, w, y, row, column, count, b0, b1, ahead)
    elif K < 7 and rows == 3:
        along_checked(K, S, 3, AHEAD, check, c, x, w, y, row, column, count, b0, b1, ahead)
    elif K * S == 3:
        along_checked(K, S, 4, AHEAD, check, c, x, w, y, row, column, count, b0, b1, ahead)

cdef inline void along_windows(bint AHEAD, int rows, bint check, const Conv* c, const REAL* x, const REAL* w, REAL* y,
                               Py_ssize_t row, Py_ssize_t column, Py_ssize_t count, Py_ssize_t b0, Py_ssize_t b1,
                               Ahead* ahead) noexcept nogil:
    """The menu: windows of 3 x 3 and 5 x 5 at strides 1 and 2, of 7 x 7 at stride 1, one row or more."""
    if sizeof(vec) == LINE:
        if c.window_w == 3 and c.stride_w == 1:
            along_menu(3, 1, AHEAD, rows, check, c, x, w, y, row, column, count, b0, b1, ahead)
        elif c.window_w == 3:
            along_menu(3, 2, AHEAD, rows, check, c, x, w, y, row, column, count, b0, b1, ahead)
        elif c.window_w == 5 and c.stride_w == 1:
            along_menu(5, 1, AHEAD, rows, check, c, x, w, y, row, column, count, b0, b1, ahead)
        elif c.window_w == 5:
            along_menu(5, 2, AHEAD, rows, check, c, x, w, y, row, column, count, b0, b1, ahead)
        else:
            along_menu(7, 1, AHEAD, rows, check, c, x, w, y, row, column, count, b0, b1, ahead)

cdef inline void piece(int S, int R, bint CHECK, const Conv* c, const REAL* x, const REAL* weights, REAL* y,
                       Py_ssize_t row, Py_ssize_t first, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    """R rows of PIECE pixels under 3 x 3 windows, channel vectors [b0, b1)."""
    cdef Py_ssize_t xw = c.xw, yp = c.yp, yh = c.out_width * c.yp, row_step = c.xh
    cdef Py_ssize_t next = b0 * LANES - c.leads, full = c.filters - LANES, b, at
    cdef uint64_t whole = (<uint64_t>1 << LANES) - 1
    cdef lanes some
    cdef size_t height = c.height, width = c.width
    cdef int activation = c.activation, k, t
    cdef bint stream = c.stream
    cdef REAL slope = <REAL>c.slope
    cdef vec[PIECE * 4] acc                # by pixel and row
    cdef vec[9] held
    x += row * row_step + first * xw
    for b in range(b0, b1):
        at = next if c.leads else min(next, full)
        some = vlanes(whole << max(0, -at) & whole >> max(0, at - full), 0)
        next += LANES
        vrenew(xw)             # else dozens of addresses are kept across the loop, on the stack
        vrenew(row_step)
        for k in range(9):
            held[k] = vload(weights + (b * 10 + 1 + k) * LANES)
        for k in range(PIECE * R):
            acc[k] = vload(weights + b * 10 * LANES)
        for t in range(3 + (PIECE - 1) * S):
            along_column(3, S, R, PIECE, CHECK, CHECK, t, PIECE, x + at + t * xw, row_step, some, NULL, held, row,
                         height, first + t, width, acc)
        for k in range(PIECE):
            along_store(R, acc + k * R, y + at + k * yp, yh, some, activation, slope, stream)

cdef inline void piece_menu(int S, bint CHECK, int rows, const Conv* c, const REAL* x, const REAL* w, REAL* y,
                            Py_ssize_t row, Py_ssize_t column, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    if rows == 1: piece(S, 1, CHECK, c, x, w, y, row, column, b0, b1)
    elif rows == 2: piece(S, 2, CHECK, c, x, w, y, row, column, b0, b1)
    elif rows == 3: piece(S, 3, CHECK, c, x, w, y, row, column, b0, b1)
    elif S == 1: piece(S, 4, CHECK, c, x, w, y, row, column, b0, b1)

cdef inline void piece_checked(int S, int rows, bint check, const Conv* c, const REAL* x, const REAL* w, REAL* y,
                               Py_ssize_t row, Py_ssize_t column, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    if check or column < 0 or column + (PIECE - 1) * S + 3 > c.width:
        piece_menu(S, True, rows, c, x, w, y, row, column, b0, b1)
    else:
        piece_menu(S, False, rows, c, x, w, y, row, column, b0, b1)

cdef void run_pieces(int rows, bint check, const Conv* c, const REAL* x, const REAL* w, REAL* y, Py_ssize_t row,
                     Py_ssize_t column, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    if sizeof(vec) == LINE:
        if c.stride_w == 1: piece_checked(1, rows, check, c, x, w, y, row, column, b0, b1)
        else: piece_checked(2, rows, check, c, x, w, y, row, column, b0, b1)

# Two functions: with both in one, layers in a cache would take 3-10 % longer.

cdef void run_along(int rows, bint check, const Conv* c, const REAL* x, const REAL* w, REAL* y, Py_ssize_t row,
                    Py_ssize_t column, Py_ssize_t count, Py_ssize_t b0, Py_ssize_t b1) noexcept nogil:
    along_windows(False, rows, check, c, x, w, y, row, column, count, b0, b1, NULL)

cdef void run_along_ahead(int rows, bint check, const Conv* c, const REAL* x, const REAL* w, REAL* y, Py_ssize_t row,
                          Py_ssize_t column, Py_ssize_t count, Py_ssize_t b0, Py_ssize_t b1,
                          Ahead* ahead) noexcept nogil:
    along_windows(True, rows, check, c, x, w, y, row, column, count, b0, b1, ahead)
