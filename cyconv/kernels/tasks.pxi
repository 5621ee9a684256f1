# The tasks of one call, shared by its threads: a team that waits for calls, or the only parallel loop.
#
# Loop order, outermost first:
#   thread           its own tasks, then what others have left
#   task             a part of the output pixels x a part of the filter blocks
#   pixel block      of one image, or several whole ones: what the kernel is called for

# Output pixels [p0, p1) of one image, or of several (p0 is 0), and filter blocks [b0, b1), counted over all groups. The
# weights are, of the separable, those of its two halves.
ctypedef void (*block_t)(const Conv*, const Conv*, const REAL* x, const REAL* weights, const REAL* second_weights,
                         REAL* y, char* scratch, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t b0,
                         Py_ssize_t b1) noexcept nogil

cdef inline Py_ssize_t cut(const Conv* last, Py_ssize_t part) noexcept nogil:
    """The first output pixel of a part, counted over all images."""
    cdef Py_ssize_t image = last.out_height * last.out_width, units = (image + last.unit - 1) // last.unit
    cdef Py_ssize_t u = part * last.batch * units // last.pixel_parts
    return u // units * image + u % units * last.unit

cdef inline Py_ssize_t block_end(const Conv* c, Py_ssize_t image, Py_ssize_t p, Py_ssize_t end) noexcept nogil:
    """Where the block that starts at pixel p of an image ends, `end` at most: with it, or with another one where some
    fit a block and are read in place."""
    cdef Py_ssize_t row = p // c.out_width, images = min(end, c.block_pixels) // image
    end = images * image if p == 0 and images > 1 and c.load_bytes == 0 else min(end, image)
    if c.block_shape:
        return min(end, row * c.out_width + c.block_pixels)
    return min(end, (row + 1) * c.out_width, p + c.block_pixels)

cdef struct Call:
    block_t block
    const Conv* c
    const Conv* last                    # what the output is of: of a separable layer, its pointwise half
    const REAL* x
    const REAL* weights
    const REAL* second_weights
    REAL* y
    char* scratch                       # of all threads, each with a line before it
    Py_ssize_t size                     # bytes from one thread's to the next
    int threads

cdef inline bint whole_pixels(const Call* call) noexcept nogil:
    """Whether blocks are of whole pixels, and apart: blocks of planes share vectors."""
    return call.last.yp == call.last.filters and call.last.filter_parts == 1 and not call.c.planar

cdef void run_task(const Call* call, char* scratch, Py_ssize_t task) noexcept nogil:
    cdef const Conv* c = call.c
    cdef const Conv* last = call.last
    cdef Py_ssize_t image = last.out_height * last.out_width, blocks = last.groups * last.blocks
    cdef Py_ssize_t part = task // last.filter_parts, filter_part = task % last.filter_parts
    cdef Py_ssize_t p = cut(last, part), end = cut(last, part + 1), n, p0, p1
    cdef Py_ssize_t b0 = filter_part * blocks // last.filter_parts, b1 = (filter_part + 1) * blocks // last.filter_parts
    while p < end:
        n = p // image
        p0 = p - n * image
        p1 = block_end(c, image, p0, end - n * image)
        call.block(c, last, call.x + n * c.xn, call.weights, call.second_weights, call.y + n * last.yn, scratch, p0, p1,
                   b0, b1)
        if last.after and whole_pixels(call):
            activate(last.after, call.y + n * last.yn + p0 * last.filters, (p1 - p0) * last.filters, last.slope)
        p += p1 - p0

cdef inline Py_ssize_t tasks_before(const Call* call, int thread) noexcept nogil:
    """How many tasks there are before a thread's own."""
    return thread * call.last.pixel_parts * call.last.filter_parts // call.threads

cdef inline Py_ssize_t* upcoming(const Call* call, int thread) noexcept nogil:
    """The next task of a thread's own: in the first cache line of its scratch."""
    return <Py_ssize_t*>(call.scratch + thread * call.size)

cdef void work(void* of, int thread) noexcept nogil:
    """One thread: first its own tasks, neighbours whose inputs and outputs its caches may have kept since the call
    before; then what the others have left."""
    cdef const Call* call = <const Call*>of
    cdef Py_ssize_t n, end
    cdef int k, owner
    cdef uint64_t control = vflush() if call.c.flush else 0
    for k in range(call.threads):
        owner = (thread + k) % call.threads
        end = tasks_before(call, owner + 1)
        while True:
            n = vtake(upcoming(call, owner))
            if n >= end:
                break
            run_task(call, call.scratch + thread * call.size + LINE, n)
    if call.last.stream:
        vfence()
    if call.c.flush:
        vkeep(control)

cdef void activate_part(void* of, int thread) noexcept nogil:
    """One thread's part of all results."""
    cdef const Call* call = <const Call*>of
    cdef Py_ssize_t lines = (call.last.batch * call.last.yn * sizeof(REAL) + LINE - 1) // LINE
    cdef Py_ssize_t each = LINE // sizeof(REAL), start = thread * lines // call.threads * each
    cdef Py_ssize_t end = min((thread + 1) * lines // call.threads * each, call.last.batch * call.last.yn)
    cdef uint64_t control = vflush() if call.c.flush else 0
    activate(call.last.after, call.y + start, end - start, call.last.slope)
    if call.c.flush:
        vkeep(control)

cdef void every_thread(work_t job, Call* call, int threads, team_t team) noexcept nogil:
    """By the team, or by an OpenMP region where another call has it."""
    cdef int thread
    if threads == 1:
        job(call, 0)
    elif not team(job, call, threads):
        for thread in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            job(call, thread)

cdef void run(block_t block, const Conv* c, const Conv* last, const void* x, const void* weights,
              const void* second_weights, void* y, char* scratch, int threads, team_t team) noexcept nogil:
    """All of a call."""
    cdef Call call
    cdef int thread
    call.block = block
    call.c = c
    call.last = last
    call.x = <const REAL*>x
    call.weights = <const REAL*>weights
    call.second_weights = <const REAL*>second_weights
    call.y = <REAL*>y
    call.scratch = scratch
    call.size = last.scratch_bytes + LINE
    call.threads = threads
    for thread in range(threads):
        upcoming(&call, thread)[0] = tasks_before(&call, thread)
    every_thread(work, &call, threads, team)
    if last.after and not whole_pixels(&call):
        every_thread(activate_part, &call, threads, team)
