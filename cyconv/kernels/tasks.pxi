# The tasks of one call, shared by its threads: the only parallel loop.

ctypedef void (*task_t)(const Conv*, const Conv*, const REAL*, const REAL*, const REAL*, REAL*, char*,
                        Py_ssize_t) noexcept nogil

cdef inline Py_ssize_t* upcoming(char* scratch, Py_ssize_t size, int thread) noexcept nogil:
    """The next task of a thread's own: in the first cache line of its scratch."""
    return <Py_ssize_t*>(scratch + thread * size)

cdef void work(task_t task, Py_ssize_t tasks, Py_ssize_t size, const Conv* c, const Conv* second, const REAL* x,
               const REAL* weights, const REAL* second_weights, REAL* y, char* scratch, int thread,
               int threads) noexcept nogil:
    """One thread: first its own tasks, neighbours whose inputs and outputs its caches may have kept since the call
    before; then what the others have left."""
    cdef Py_ssize_t n, end
    cdef int k, owner
    cdef uint64_t control = 0
    if c.flush:
        control = vflush()
    for k in range(threads):
        owner = (thread + k) % threads
        end = (owner + 1) * tasks // threads
        while True:
            n = vtake(upcoming(scratch, size, owner))
            if n >= end:
                break
            task(c, second, x, weights, second_weights, y, scratch + thread * size + LINE, n)
    if c.flush:
        vkeep(control)

cdef void run(task_t task, Py_ssize_t tasks, Py_ssize_t size, const Conv* c, const Conv* second, const void* x,
              const void* weights, const void* second_weights, void* y, char* scratch, int threads) noexcept nogil:
    """Tasks [0, tasks); each thread has a line and `size` bytes of scratch."""
    cdef int thread
    size += LINE
    for thread in range(threads):
        upcoming(scratch, size, thread)[0] = thread * tasks // threads
    if threads == 1:
        work(task, tasks, size, c, second, <const REAL*>x, <const REAL*>weights, <const REAL*>second_weights, <REAL*>y,
             scratch, 0, 1)
    else:
        for thread in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            work(task, tasks, size, c, second, <const REAL*>x, <const REAL*>weights, <const REAL*>second_weights,
                 <REAL*>y, scratch, thread, threads)
