"""A plan: geometry, packed weights, the kernel chosen and its schedule. Calling one is the whole hot path."""
cimport cython
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport uintptr_t
from libc.string cimport memcmp

from cyconv.kernels.contract cimport (
    ELU, EXPONENTIAL, GELU, HARD_SIGMOID, HARD_SILU, HARD_TANH, LOG_SIGMOID, MISH, SELU, SIGMOID, SILU, SOFTPLUS,
    SOFTSIGN, TANH, Conv, Kernels, run_t, work_t,
)

import numpy as np

from cyconv import schedule, tasks, tiles

cnp.import_array()

include "memory.pxi"

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    static int cyconv_cpu_has(int level) {
        __builtin_cpu_init();
        if (level == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vl");
    }
    #else
    static int cyconv_cpu_has(int level) { (void)level; return 0; }
    #endif
    #ifdef _OPENMP
    #include <omp.h>
    #define CYCONV_OPENMP 1
    #else
    #define CYCONV_OPENMP 0
    #define omp_get_max_threads() 1
    #endif

    #ifdef _MSC_VER
    #define CYCONV_OF_THREAD __declspec(thread)
    #else
    #define CYCONV_OF_THREAD __thread
    #endif
    static CYCONV_OF_THREAD int cyconv_limit = 0;
    """
    bint cyconv_cpu_has(int level)
    const int CYCONV_OPENMP
    int omp_get_max_threads() nogil
    int cyconv_limit           # of the threads of calls from this Python thread; 0: none

cdef extern from "team.h" nogil:
    bint cyconv_call_team(work_t, void*, int) noexcept

# Activations that the kernels apply: (code, slope). Slopes are Keras's defaults.
cdef dict _ACTIVATIONS = {
    None: (0, 0.0), "linear": (0, 0.0), "relu": (1, 0.0), "relu6": (2, 0.0), "leaky_relu": (3, 0.2),
    "sigmoid": (SIGMOID, 0.0), "silu": (SILU, 0.0), "hard_sigmoid": (HARD_SIGMOID, 0.0), "hard_silu": (HARD_SILU, 0.0),
    "tanh": (TANH, 0.0), "hard_tanh": (HARD_TANH, 0.0), "elu": (ELU, 1.0), "celu": (ELU, 1.0), "selu": (SELU, 0.0),
    "exponential": (EXPONENTIAL, 0.0), "softplus": (SOFTPLUS, 0.0), "log_sigmoid": (LOG_SIGMOID, 0.0),
    "softsign": (SOFTSIGN, 0.0), "mish": (MISH, 0.0), "gelu": (GELU, 0.0),
}
FUSED = tuple(name for name in _ACTIVATIONS if name)
OPENMP = bool(CYCONV_OPENMP)

cdef enum:
    SMALL_BYTES = 16 * 1024    # of input, weights and output: releasing the GIL would cost more than the work

cdef int _threads = 1          # of plans called from now on
cdef int _openmp_threads = omp_get_max_threads()
cdef bint _flush = False       # denormals
cdef bint _winograd = True     # of plans that `ops` makes from now on


def cpu_runs(str isa):
    """Whether this CPU executes the instructions of an ISA."""
    return isa == "baseline" or bool(cyconv_cpu_has({"avx2": 1, "avx512": 2}[isa]))


def set_threads(int n):
    """Set the number of threads of calls from now on; `cyconv.set_num_threads` checks it."""
    global _threads
    _threads = n


def limit_threads(int n):
    """Limit the threads of calls from this Python thread, 0 for no limit; return the limit before."""
    global cyconv_limit
    before = cyconv_limit
    cyconv_limit = n
    return before


cpdef int threads() noexcept:
    """The number of threads that calls from this Python thread use at most."""
    cdef int n = _threads, openmp = omp_get_max_threads()
    if openmp < _openmp_threads:           # somebody asked OpenMP for fewer, as threadpoolctl does
        n = min(n, openmp)
    return min(n, cyconv_limit) if cyconv_limit else n


def set_flush(bint on):
    """Let denormals count as zero in calls from now on, or not."""
    global _flush
    _flush = on


def flush():
    """Whether denormals count as zero."""
    return _flush


def set_winograd(bint on):
    """Let plans made from now on take fewer products than windows have taps, or not."""
    global _winograd
    _winograd = on


def winograd():
    """Whether plans made from now on may take fewer products than windows have taps."""
    return _winograd


def activate(object kernels, str name, cnp.ndarray array, double slope=1.0):
    """Apply one of the activations that are more than a comparison to a C-contiguous array, and return it.

    `kernels` is the capsule of its dtype's kernel module, `slope` elu's alpha.
    """
    cdef const Kernels* table = <const Kernels*>PyCapsule_GetPointer(kernels, b"cyconv.kernels")
    cdef int function = _ACTIVATIONS[name][0]
    cdef void* values = cnp.PyArray_DATA(array)
    cdef Py_ssize_t count = cnp.PyArray_SIZE(array)
    with nogil:
        table.activate(function, values, count, slope)
    return array


@cython.final
cdef class Plan:
    """One convolution of one shape and dtype, its weights packed.

    Parameters
    ----------
    op : {"conv", "depthwise", "separable"}
    geometry : Geometry
        Of the convolution; of the depthwise step for "separable".
    dtype : numpy.dtype
        float32 or float64, of inputs, weights and outputs.
    kernels : object
        The capsule of a kernel module.
    activation : str or None
        One of `FUSED`.
    pointwise : Geometry, optional
        Of the second step, for "separable".
    winograd : bool, optional
        Whether windows may take fewer products than they have taps.

    Attributes
    ----------
    geometry : Geometry
    output_shape : tuple of int
    workspace_bytes : int
        Packed weights and the scratch of all threads: all the memory that calls use beside input and output.
    shares : dict
        How a call of this Python thread is cut into tasks: "pixels" (or rows, where these stay whole) and
        "filter blocks" are each (how many, in how many parts), "threads" is how many work on the tasks.
    """
    cdef readonly object geometry, pointwise, dtype, op, activation
    cdef object _capsule, _weights, _kernel, _out_shape
    cdef Conv _conv
    cdef Conv _second
    cdef const Kernels* _kernels
    cdef run_t _run
    cdef const char* _packed
    cdef const char* _second_packed
    cdef size_t _packed_bytes, _first_bytes, _out_bytes, _small
    cdef size_t _kept_bytes                # of a copy of the kernel
    cdef int _typenum, _ndim, _shared, _workers
    cdef bint _separable, _pads_load, _merged, _told
    cdef int _channel_axis, _width_axis, _height_axis
    cdef cnp.npy_intp _in_dims[4]
    cdef cnp.npy_intp _out_dims[4]
    cdef Conv _usual                       # what the first call of several threads told the kernels, and most others do
    cdef Conv _usual_second

    def __init__(self, op, geometry, dtype, kernels, activation=None, pointwise=None, winograd=True):
        self.op = op
        self.geometry = geometry
        self.pointwise = pointwise
        self.dtype = np.dtype(dtype)
        self.activation = activation
        self._capsule = kernels
        self._kernels = <const Kernels*>PyCapsule_GetPointer(kernels, b"cyconv.kernels")
        if self._kernels.conv_bytes != sizeof(Conv) or self._kernels.real_bytes != self.dtype.itemsize:
            raise ImportError("cyconv's plans and kernels were compiled from different sources: build all of it again")
        self._separable = op == "separable"
        self._typenum = self.dtype.num
        self._shared = 0
        last = pointwise if self._separable else geometry
        self._set_shapes(geometry.input_shape, last.output_shape, geometry.channels_first)
        target = self._target(winograd)
        merged = None if self._separable else schedule.merged(geometry)
        self._merged = merged is not None
        geometry = merged or geometry
        if self._separable:
            depthwise = True
            fields, second_fields, plane = schedule.separable(geometry, pointwise, target)
            self._fill(&self._second, pointwise, False, second_fields)
            self._second.xc, self._second.xw = (plane, 1) if self._second.planar else (1, geometry.filters)
            self._second.xh = self._second.xw * self._second.width
        else:
            depthwise, fields = schedule.single(geometry, target)
        self._fill(&self._conv, geometry, depthwise, fields)
        if self._separable:
            self._conv.yf, self._conv.yp = self._second.xc, self._second.xw
        # Depthwise tiles meet padding where the input lies; dense ones, and those of planes, leave it out or load the
        # blocks that touch it; and runs those that end within a vector.
        pads = any(before or after for before, after in geometry.pads)
        by_tiles = not (depthwise or self._conv.leave_out) or (self._conv.planar and not self._conv.walk)
        runs = depthwise and self._conv.phases and not self._conv.planar
        self._pads_load = self._conv.load or self._conv.collides or (pads and by_tiles) or runs
        self._run = self._kernels.depthwise if depthwise else self._kernels.conv
        if self._separable:
            self._run = self._kernels.separable
        self._activate(&self._second if self._separable else &self._conv, activation)
        self._count_bytes()

    cdef _set_shapes(self, in_shape, out_shape, bint channels_first):
        cdef int i
        self._ndim = len(in_shape)
        self._out_shape = out_shape
        for i in range(self._ndim):
            self._in_dims[i] = in_shape[i]
            self._out_dims[i] = out_shape[i]
        self._channel_axis = 1 if channels_first else self._ndim - 1
        self._width_axis = self._ndim - 1 if channels_first else self._ndim - 2
        self._height_axis = self._width_axis - 1 if self._ndim == 4 else -1

    cdef _activate(self, Conv* c, activation):
        code, slope = _ACTIVATIONS[activation]
        c.activation, c.after = (code, 0) if code < SIGMOID else (0, code)
        c.slope = slope
        if c.after:
            c.stream = 0                   # results are read again

    cdef _fill(self, Conv* c, g, bint depthwise, dict fields):
        pixels = g.output_size[0] * g.output_size[1]
        yp, yf = (1, pixels) if g.channels_first else (g.filters, 1)
        c[0] = dict(
            fields,
            batch=g.batch, height=g.size[0], width=g.size[1], channels=g.channels,
            out_height=g.output_size[0], out_width=g.output_size[1], filters=g.filters,
            groups=1 if depthwise or fields["spread"] else g.groups,
            window_h=g.window[0], window_w=g.window[1], stride_h=g.strides[0], stride_w=g.strides[1],
            dilation_h=g.dilation_rate[0], dilation_w=g.dilation_rate[1], top=g.pads[0][0], left=g.pads[1][0],
            multiplier=g.filters // g.channels if depthwise else 1,
            xn=0, xh=0, xw=0, xc=0, yn=pixels * g.filters, yp=yp, yf=yf,       # x: of each call
            pixel_parts=1, filter_parts=1, activation=0, slope=0.0, after=0, flush=0)

    cdef _target(self, bint winograd):
        return tiles.Target(self._kernels.lanes, self._kernels.real_bytes,
                            tuple([self._kernels.pixels[i] for i in range(5)]), bool(self._kernels.spreads),
                            bool(self._kernels.halves), bool(self._kernels.two_passes),
                            bool(self._kernels.intel), self._kernels.dots, self._kernels.products, winograd)

    cdef _share(self, int most):
        """Cut the work up for so many threads."""
        g = self.geometry
        last = self.pointwise if self._separable else g
        inputs, outputs = _size(self._in_dims, self._ndim), _size(self._out_dims, self._ndim)
        flops_a_cycle = self._kernels.lanes * 4 // (1 + self._kernels.two_passes)
        again = self._met_again() * self.dtype.itemsize
        pixel_cycles = inputs * self.dtype.itemsize / 8
        if self._separable:
            pixel_cycles += g.flops / flops_a_cycle * 2
        parts, filter_parts, threads = tasks.share(
            tasks.Work(*self._extents(), last.flops, inputs + outputs, self._out_bytes, self._packed_bytes,
                       pixel_cycles, again, flops_a_cycle, self._run == self._kernels.depthwise,
                       bool(self._conv.planar)),
            most)
        if self._separable:
            self._second.pixel_parts, self._second.filter_parts = parts, filter_parts
        else:
            self._conv.pixel_parts, self._conv.filter_parts = parts, filter_parts
        self._workers = threads
        self._shared = most

    cdef _extents(self):
        """What tasks divide: units of so many pixels, and blocks of filters, worth so many full ones."""
        cdef Conv* c = &self._second if self._separable else &self._conv
        cdef Py_ssize_t full = c.block_filters or c.vectors * (1 if c.planar or c.dots else self._kernels.lanes)
        units = c.batch * ((c.out_height * c.out_width + c.unit - 1) // c.unit)
        return units, c.unit, c.groups * c.blocks, c.groups * self._held(c) / <double>full

    cdef Py_ssize_t _met_again(self):
        """Elements of input that both of two neighbouring outputs meet: rows or, of one row, pixels."""
        cdef Conv* c = &self._conv
        if c.out_height > 1:
            return max(0, (c.window_h - 1) * c.dilation_h + 1 - c.stride_h) * c.width * c.channels
        return max(0, (c.window_w - 1) * c.dilation_w + 1 - c.stride_w) * c.channels

    @property
    def output_shape(self):
        return self._out_shape

    @property
    def shares(self):
        if self._shared != threads():
            self._share(threads())
        cdef Conv* c = &self._second if self._separable else &self._conv
        units, _, blocks, _ = self._extents()
        return {"pixels": (units, c.pixel_parts), "filter blocks": (blocks, c.filter_parts), "threads": self._workers}

    @property
    def workspace_bytes(self):
        if self._shared != threads():
            self._share(threads())
        cdef Py_ssize_t each = self._second.scratch_bytes if self._separable else self._conv.scratch_bytes
        if not self._pads_load:
            each -= self._conv.load_bytes
        return self._packed_bytes + self._kept_bytes + (each + LINE) * self._workers

    def pack(self, tuple weights, bias=None):
        """Return this plan with weights, checked and contiguous arrays of its dtype, packed into memory of its own."""
        cdef Plan new = Plan.__new__(Plan)
        cdef const void* kernel = cnp.PyArray_DATA(<cnp.ndarray>weights[0])
        cdef const void* b = NULL
        cdef void* first
        cdef void* second
        if bias is not None:
            b = cnp.PyArray_DATA(<cnp.ndarray>bias)
        if self._shared != threads():
            self._share(threads())
        new.op, new.geometry, new.pointwise = self.op, self.geometry, self.pointwise
        new.dtype, new.activation = self.dtype, self.activation
        new._capsule, new._kernels, new._run = self._capsule, self._kernels, self._run
        new._conv, new._second = self._conv, self._second
        new._separable, new._pads_load, new._typenum = self._separable, self._pads_load, self._typenum
        new._merged = self._merged
        new._shared, new._workers, new._small = self._shared, self._workers, self._small
        new._ndim, new._out_shape = self._ndim, self._out_shape
        new._in_dims[:], new._out_dims[:] = self._in_dims, self._out_dims
        new._channel_axis, new._width_axis, new._height_axis = self._channel_axis, self._width_axis, self._height_axis
        new._first_bytes, new._packed_bytes, new._out_bytes = self._first_bytes, self._packed_bytes, self._out_bytes
        new._weights = np.empty(self._packed_bytes, np.uint8)
        new._packed = <const char*>((<uintptr_t>cnp.PyArray_DATA(<cnp.ndarray>new._weights) + LINE - 1)
                                    & ~<uintptr_t>(LINE - 1))
        first = <void*>new._packed
        new._second_packed = new._packed + self._first_bytes
        second = <void*>new._second_packed
        if self._separable:
            self._kernels.pack_depthwise(&self._conv, kernel, NULL, first)
            self._kernels.pack_conv(&self._second, cnp.PyArray_DATA(<cnp.ndarray>weights[1]), b, second)
        elif self._run == self._kernels.depthwise:
            self._kernels.pack_depthwise(&self._conv, kernel, b, first)
        else:
            self._kernels.pack_conv(&self._conv, kernel, b, first)
        if self._conv.winograd:
            # Sums and differences of weights may overflow, and of infinite ones are NaN.
            if not self._kernels.finite(new._packed, self._dense_size(&self._conv)):
                return Plan(self.op, self.geometry, self.dtype, self._capsule, self.activation, winograd=False).pack(
                    weights, bias)
            # Outputs that are not finite are computed anew from the kernel itself.
            new._kernel = weights[0]
            if new._kernel.flags.writeable:
                new._kernel = new._kernel.copy()
                new._kept_bytes = new._kernel.nbytes
            new._second_packed = <const char*>cnp.PyArray_DATA(<cnp.ndarray>new._kernel)
        if new._conv.leave_out and not self._kernels.finite(kernel, cnp.PyArray_SIZE(<cnp.ndarray>weights[0])):
            # Zero times infinity is not zero.
            new._conv.leave_out = 0
            new._pads_load = new._pads_load or self._run == self._kernels.conv
        return new

    cdef void _merge(self, Conv* c) noexcept:
        """Let a batch be one image, of one row or all rows, where its strides allow it; else what its images are."""
        cdef Py_ssize_t height = self._in_dims[self._height_axis] if self._height_axis > 0 else 1
        cdef Py_ssize_t width = self._in_dims[self._width_axis]
        cdef Py_ssize_t row = c.xh if height > 1 else c.xn, pixel = c.xw if width > 1 else row
        if c.xn == height * row and (c.height > 1 or row == width * pixel):
            c.xh = row
            c.xw = pixel
            return
        if c.height == 1:
            c.width = c.out_width = width
        c.batch = self._in_dims[0]
        c.height = c.out_height = height
        c.block_pixels = min(c.block_pixels, height * c.out_width)
        c.yn = height * c.out_width * c.filters

    cdef _count_bytes(self):
        """Bytes of packed weights, and of all that a call of one thread touches."""
        cdef size_t item = self.dtype.itemsize, second = 0
        cdef Py_ssize_t taps = self._conv.window_h * self._conv.window_w
        if self._run == self._kernels.conv:
            self._first_bytes = _round(self._dense_size(&self._conv) * item)
        else:
            blocks = (self._conv.phases or self._conv.blocks) * self._conv.siblings
            lanes = 1 if self._conv.planar and not self._conv.phases else self._kernels.lanes
            self._first_bytes = _round(blocks * (taps + 1) * lanes * item)
        if self._separable:
            second = self._dense_size(&self._second) * item
        self._packed_bytes = self._first_bytes + second + LINE
        self._out_bytes = item * _size(self._out_dims, self._ndim)
        self._small = self._packed_bytes + item * _size(self._in_dims, self._ndim) + self._out_bytes
        if self.geometry.flops > tasks.SERIAL_FLOPS:
            self._small = SMALL_BYTES + 1

    cdef size_t _dense_size(self, const Conv* c):
        cdef Py_ssize_t lines = c.spread or c.channels // c.groups, lanes = self._kernels.lanes if c.dots else 1
        if c.winograd:
            lines = c.winograd * (lines + 1)
        else:
            lines = c.window_h * c.window_w * ((lines + lanes - 1) // lanes) + 1
        return c.groups * self._held(c) * lanes * lines

    cdef Py_ssize_t _held(self, const Conv* c):
        """Filters of a group, in whole units."""
        return (c.filters // c.groups + c.filter_unit - 1) // c.filter_unit * c.filter_unit

    def __call__(self, inputs, out=None):
        """Return the convolution of an array, or None where it is not an array of this plan's shape and dtype.

        Parameters
        ----------
        inputs : numpy.ndarray
            Of any strides; of exactly the plan's shape and dtype.
        out : numpy.ndarray, optional
            Where to put the result: C-contiguous, of the output's shape and dtype, apart from `inputs`.

        Raises
        ------
        TypeError, ValueError
            `out` is not such an array.
        """
        cdef cnp.ndarray x, y
        cdef Conv c
        cdef Conv second
        cdef const Conv* told = &c
        cdef const Conv* told_second = &second
        cdef int i, workers, most
        cdef size_t scratch_bytes
        cdef Py_ssize_t item
        cdef char* scratch
        cdef const void* source
        cdef void* target
        if self._packed == NULL:
            raise ValueError("this plan has no weights: call what its pack(weights, bias) returns")
        if type(inputs) is not cnp.ndarray:
            return None
        x = <cnp.ndarray>inputs
        if cnp.PyArray_TYPE(x) != self._typenum or cnp.PyArray_NDIM(x) != self._ndim or not cnp.PyArray_ISBEHAVED_RO(x):
            return None
        for i in range(self._ndim):
            if cnp.PyArray_DIM(x, i) != self._in_dims[i]:
                return None
        if out is None:
            y = _empty(self._ndim, self._out_dims, self._typenum, self._out_bytes, cnp.PyArray_DATA(x),
                       not self._conv.leads)
        else:
            self._check_out(x, out)
            y = <cnp.ndarray>out
        most = threads()
        if self._shared != most:
            self._share(most)
        c = self._conv
        c.flush = _flush
        item = cnp.PyArray_ITEMSIZE(x)
        c.xn = cnp.PyArray_STRIDE(x, 0) // item
        c.xw = cnp.PyArray_STRIDE(x, self._width_axis) // item
        c.xh = cnp.PyArray_STRIDE(x, self._height_axis) // item if self._height_axis > 0 else 0
        c.xc = 1 if c.channels == 1 else cnp.PyArray_STRIDE(x, self._channel_axis) // item
        if self._merged:
            self._merge(&c)
        if self._separable:
            second = self._second
        if (c.xw if c.planar and not c.phases else c.xc) != 1 or (c.phases and c.xw != c.channels) or (
                c.planar and c.direct and not c.walk and c.height > 1 and c.xh != c.width):
            c.load = 1
        elif not self._pads_load:          # everything is read in place
            c.scratch_bytes -= c.load_bytes
            if self._separable:
                second.scratch_bytes -= c.load_bytes
            c.load_bytes = 0
            if c.rows_in_place:
                c.block_pixels = min(c.rows_in_place, c.out_height * (c.batch if c.winograd else 1)) * c.out_width
                c.block_shape = 1
        source = cnp.PyArray_DATA(x)
        target = cnp.PyArray_DATA(y)
        if c.collides and (<uintptr_t>target - <uintptr_t>source + LINE) % (PAGE // 2) < 2 * LINE:
            c.load = 1
        if <uintptr_t>target % LINE:
            c.stream = second.stream = 0
        workers = self._workers
        scratch_bytes = ((second.scratch_bytes if self._separable else c.scratch_bytes) + LINE) * workers
        scratch = _take(&scratch_bytes)
        if workers > 1:
            # What is written must be fetched anew by every thread: what stays the same is told from the same place.
            if not self._told:
                self._usual, self._told = c, True
                if self._separable:
                    self._usual_second = second
            if memcmp(&c, &self._usual, sizeof(Conv)) == 0 and (
                    not self._separable or memcmp(&second, &self._usual_second, sizeof(Conv)) == 0):
                told, told_second = &self._usual, &self._usual_second
        if self._small <= SMALL_BYTES:
            self._run(told, told_second, source, self._packed, self._second_packed, target, scratch,
                      workers, cyconv_call_team)
        else:
            with nogil:
                self._run(told, told_second, source, self._packed, self._second_packed, target, scratch,
                          workers, cyconv_call_team)
        _give(scratch, scratch_bytes)
        return y

    cdef int _check_out(self, cnp.ndarray x, out) except -1:
        cdef cnp.ndarray y
        cdef uintptr_t low, high, x_low, x_high
        cdef cnp.npy_intp reach
        cdef int i
        cdef bint fits = type(out) is cnp.ndarray
        if fits:
            y = <cnp.ndarray>out
            fits = (cnp.PyArray_TYPE(y) == self._typenum and cnp.PyArray_NDIM(y) == self._ndim
                    and cnp.PyArray_ISCARRAY(y))
            for i in range(self._ndim if fits else 0):
                fits = fits and cnp.PyArray_DIM(y, i) == self._out_dims[i]
        if not fits:
            self._refuse_out(out)
        y = <cnp.ndarray>out
        low = <uintptr_t>cnp.PyArray_DATA(y)
        high = low + cnp.PyArray_NBYTES(y)
        x_low = <uintptr_t>cnp.PyArray_DATA(x)
        x_high = x_low + cnp.PyArray_ITEMSIZE(x)
        for i in range(self._ndim):
            reach = cnp.PyArray_STRIDE(x, i) * (cnp.PyArray_DIM(x, i) - 1)
            if reach < 0:
                x_low += reach
            else:
                x_high += reach
        if low < x_high and x_low < high and cnp.PyArray_SIZE(x):
            raise ValueError("out must not overlap inputs")
        return 0

    cdef _refuse_out(self, out):
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be a NumPy array, received {type(out).__name__}")
        if out.dtype != self.dtype or not out.dtype.isnative:
            raise TypeError(f"out must have dtype {self.dtype}, received {out.dtype}")
        if out.shape != self._out_shape:
            raise ValueError(f"out must have shape {self._out_shape}, received {out.shape}")
        if not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
            raise ValueError(f"out must be C-contiguous, aligned and writeable, received strides {out.strides}, "
                             f"aligned={out.flags.aligned}, writeable={out.flags.writeable}")


cdef size_t _size(cnp.npy_intp* dims, int n):
    cdef size_t size = 1
    cdef int i
    for i in range(n):
        size *= dims[i]
    return size
