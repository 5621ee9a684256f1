"""No byte outside: arrays flush against pages that fault when touched, at both ends."""

import ctypes
import mmap
import pathlib
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from strategies import DTYPES, OPS, check, make

pytestmark = [
    pytest.mark.guard,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect of anonymous memory: Linux only"),
]

PROT_NONE = 0
PAGE = mmap.PAGESIZE


def forbid(memory, offset):
    """Make one page of a memory map fault on any access."""
    libc = ctypes.CDLL(None, use_errno=True)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if libc.mprotect(ctypes.c_void_p(address + offset), ctypes.c_size_t(PAGE), PROT_NONE):
        raise OSError(ctypes.get_errno(), "mprotect failed")


def guarded(array, end):
    """Return the array between two guard pages, its last byte (end) or its first flush against one."""
    pages = -(-array.nbytes // PAGE) * PAGE
    memory = mmap.mmap(-1, pages + 2 * PAGE)
    forbid(memory, 0)
    forbid(memory, PAGE + pages)
    start = PAGE + (pages - array.nbytes if end else 0)
    inside = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    inside[...] = array
    return inside


def tails():
    """Yield (op, input shape, kernel shapes, options): tails of channels, filters, widths on every path."""
    sizes = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65)
    for n in sizes:
        for padding in ("valid", "same"):
            yield "conv", (1, 4, 5, 3), [(3, 3, 3, n)], {"padding": padding}
            yield "conv", (1, 4, 5, n), [(3, 3, n, 5)], {"padding": padding}
            yield "depthwise_conv", (1, 4, 5, n), [(3, 3, n, 1)], {"padding": padding}
            yield "separable_conv", (1, 4, 5, n), [(3, 3, n, 1), (1, 1, n, 5)], {"padding": padding}
        yield "pointwise_conv", (1, 3, 3, n), [(n, 17)], {}
        yield "pointwise_conv", (1, 3, 3, 5), [(5, n)], {}
        yield "conv", (1, n + 2, 3), [(3, 3, 9)], {}
        yield "conv", (1, n + 2, 1), [(3, 1, 1)], {}
        yield "conv", (2, 3, n + 6, 2), [(2, 4, 2, 4)], {"strides": 2, "dilation_rate": (1, 2)}
        yield "conv", (1, 4, 9, 2 * n), [(3, 3, n, 6)], {"padding": "same"}
        yield "conv", (1, 4, n + 2, 20), [(3, 3, 2, 20)], {"padding": "same"}
        yield "conv", (1, 3, n + 2, 20), [(3, 3, 4, 20)], {}
        yield "conv", (1, 3, 5, 2 * n), [(3, 3, 2, 2 * n)], {}
        yield "conv", (1, 3, 5, n), [(3, 3, 1, 2 * n)], {}
        yield "conv", (1, 4, 40, n), [(3, 3, n, 3)], {"padding": "same"}  # pixels that become planes
        yield "conv", (2, 5, 10, 30 + n), [(3, 3, 30 + n, 65)], {"padding": "same"}  # fewer products than taps
        yield "conv", (1, 5, 10, 33), [(3, 3, 33, 30 + n)], {"dilation_rate": (1, 2), "padding": 2}
        yield "depthwise_conv", (1, 3, n + 2, 17), [(3, 3, 17, 1)], {}
        yield "depthwise_conv", (1, 3, n + 2, 4), [(3, 3, 4, 1)], {}
        yield "depthwise_conv", (1, 3, n + 4, 8), [(3, 3, 8, 1)], {"strides": 3, "padding": "same"}
        yield "depthwise_conv", (1, 3, 5, n), [(2, 3, n, 3)], {}
        yield "depthwise_conv", (2, n + 4, 9), [(5, 9, 1)], {"padding": "causal", "dilation_rate": 3}
        for shape, kernel_shapes in (
            ((1, n, 4, 5), [(3, 3, n, 5)]),
            ((1, 3, 4, 5), [(3, 3, 3, n)]),
            ((1, 3, 3, n + 2), [(3, 3, 3, 6)]),
            ((1, 33, 6, n + 9), [(3, 3, 33, 65)]),
        ):
            yield "conv", shape, kernel_shapes, {"data_format": "channels_first"}
        yield "depthwise_conv", (1, n, 4, 5), [(3, 3, n, 1)], {"data_format": "channels_first"}
        yield "depthwise_conv", (1, n, 4, 5), [(3, 3, n, 2)], {"data_format": "channels_first", "padding": 1}
        yield "separable_conv", (1, 5, 4, n + 2), [(3, 3, 5, 2), (10, n)], {"data_format": "channels_first"}

    for width in range(1, 31):  # pixels of a tile, with and without chunks of taps
        for window, strides in ((3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (7, 2)):
            kernel_shapes = [(window, window, 9, 1)]
            yield "depthwise_conv", (1, 2, width, 9), kernel_shapes, {"padding": "same", "strides": strides}
        yield "conv", (1, 2, width, 3), [(3, 3, 3, 9)], {"padding": "same"}
        yield "pointwise_conv", (1, width, 3), [(3, 9)], {}
    # More than a last-level cache has from the call before: rows are fetched ahead.
    yield "depthwise_conv", (1, 512, 512, 17), [(3, 3, 17, 1)], {}
    for width in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 33):  # pairs of rows; squares that are transposed
        for window, strides in ((3, 1), (3, 2), (5, 1), (7, 1)):
            options = {"padding": "same", "strides": strides}
            yield "depthwise_conv", (1, 5, width, 33), [(window, window, 33, 1)], options
            options = {**options, "data_format": "channels_first"}
            yield "depthwise_conv", (1, 33, 5, width), [(window, window, 33, 1)], options
        yield "depthwise_conv", (2, 3, 500 + width, 3), [(3, 2, 3, 1)], {"padding": "same"}  # pieces of rows
        yield "depthwise_conv", (1, width + 9, 6), [(3, 6, 2)], {"padding": "causal", "dilation_rate": 4}
        for channels in (4, 8, 16, 17, 33):
            options = {"data_format": "channels_first", "padding": "same"}
            yield "conv", (2, channels, 3, width), [(3, 3, channels, 17)], options
            yield "pointwise_conv", (1, channels, 3, width), [(channels, 33)], {"data_format": "channels_first"}


TAILS = {op: [row[1:] for row in tails() if row[0] == op] for op in OPS}


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("end", [False, True], ids=["first byte", "last byte"])
@pytest.mark.parametrize("op", OPS)
def test_arrays_between_guard_pages(op, dtype, end):
    for shape, kernel_shapes, options in TAILS[op]:
        if op == "separable_conv":  # pointwise kernels have a one for each spatial axis
            depthwise, (*_, channels, filters) = kernel_shapes
            kernel_shapes = [depthwise, (*(1,) * (len(shape) - 2), channels, filters)]
        case = make(op, shape, *kernel_shapes, dtype=dtype, **options)
        case.inputs = guarded(case.inputs, end)
        case.kernels = tuple(guarded(kernel, end) for kernel in case.kernels)
        case.bias = guarded(case.bias, end)
        want = case.want()
        check(case, out=guarded(np.zeros(want.shape, dtype), end))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("end", [False, True], ids=["first byte", "last byte"])
@pytest.mark.parametrize("op", OPS)
def test_views_between_guard_pages(op, dtype, end):
    """Strided inputs that reach to the last element of their memory."""
    whole = (slice(None),)
    # Few filters of many pixels are computed on planes.
    for channels, width, filters in product((1, 3, 4, 8, 17), (9, 40), (9, 3)):
        for view in (
            (*whole * 3, slice(end, None, 2)),
            (*whole * 2, slice(end, None, 2), slice(None)),
            (slice(None), slice(end, None, 2), slice(None), slice(None)),
            (slice(None), slice(None, None, -1), slice(None, None, -1), slice(None, None, -1)),
        ):
            strided = [2 * n if s.step == 2 else n for n, s in zip((1, 5, width, channels), view)]
            depthwise = (3, 3, channels, 1)
            kernel_shapes = {
                "conv": [(3, 3, channels, filters)],
                "pointwise_conv": [(channels, filters)],
                "depthwise_conv": [depthwise],
                "separable_conv": [depthwise, (1, 1, channels, filters)],
            }[op]
            case = make(op, (1, 5, width, channels), *kernel_shapes, dtype=dtype)
            memory = guarded(np.full(strided, np.nan, dtype), end)
            memory[view] = case.inputs
            case.inputs = memory[view]
            check(case)


def test_a_guard_page_faults():
    """The guard itself: a child process that touches it is ended there."""
    code = (
        "import numpy as np, test_memory;"
        "a = test_memory.guarded(np.zeros(3), True);"
        "print('before', flush=True);"
        "np.lib.stride_tricks.as_strided(a, (4,)).sum();"
        "print('after')"
    )
    folder = pathlib.Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.stdout == "before\n"
    assert done.returncode != 0
