"""How work is cut up: parts for every core, and no more memory than a plan says."""

import pathlib
import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyconv import blocks, geometry, ops, plan, tiles

# Shapes that leave one way of sharing out: few rows, few filters, one image, many images.
SHAPES = {
    "one row": ("conv", (1, 1, 4000, 64), [(1, 3, 64, 64)]),
    "one column": ("conv", (1, 4000, 1, 64), [(3, 1, 64, 64)]),
    "few pixels": ("conv", (1, 7, 7, 512), [(3, 3, 512, 512)]),
    "one pixel": ("conv", (1, 1, 1, 4096), [(1, 1, 4096, 4096)]),
    "one filter": ("conv", (1, 112, 112, 512), [(3, 3, 512, 1)]),
    "many images": ("conv", (64, 7, 7, 64), [(3, 3, 64, 64)]),
    "groups": ("conv", (1, 14, 14, 1024), [(3, 3, 32, 1024)]),
    "few channels": ("conv", (1, 200, 200, 3), [(3, 3, 3, 3)]),
    "pixels of a batch": ("conv", (4096, 1, 1, 64), [(1, 1, 64, 64)]),
    "sequence": ("conv", (1, 16000, 32), [(3, 32, 64)]),
    "depthwise": ("depthwise", (1, 112, 112, 64), [(3, 3, 64, 1)]),
    "depthwise, few pixels": ("depthwise", (1, 7, 7, 16384), [(3, 3, 16384, 1)]),
    "separable": ("separable", (1, 56, 56, 128), [(3, 3, 128, 1), (1, 1, 128, 128)]),
}
shapes = pytest.mark.parametrize("name", SHAPES)


def make_plan(name):
    op, shape, kernels = SHAPES[name]
    return ops.plan(op, shape, "float32", [np.ones(k, np.float32) for k in kernels])


@pytest.mark.parametrize(
    ("shape", "kernel", "target", "last_bytes", "goes_past"),
    [
        ((1, 60, 60, 1), (1, 1, 1, 600), {}, 32 << 20, False),  # 8.3 MiB of results, which half the cache holds
        ((1, 60, 60, 1), (1, 1, 1, 600), {}, 16 << 20, True),
        ((1, 60, 60, 1), (1, 1, 1, 600), {}, 0, True),
        ((1, 60, 60, 1), (1, 1, 1, 600), {"intel": True}, 32 << 20, True),
        ((1, 60, 60, 1), (1, 1, 1, 600), {"lanes": 8}, 32 << 20, True),  # a vector is half a line
        ((1, 60, 60, 1), (1, 1, 1, 600), {"lanes": 4}, 32 << 20, False),  # less: there are no such stores
        ((1, 60, 60, 32), (1, 1, 32, 600), {}, 32 << 20, True),  # long sums do not wait for memory
        ((1, 60, 60, 1), (1, 1, 1, 500), {}, 0, False),
    ],
)
def test_what_is_stored_past_the_caches(shape, kernel, target, last_bytes, goes_past, monkeypatch):
    monkeypatch.setattr(blocks, "LAST_BYTES", last_bytes)
    g = geometry.geometry("conv", shape, kernel, 1, "same", None, 1)
    made = tiles.Target(16, 4, (0, 8, 8, 7, 6), True, True, False, False, 16, 12)
    assert blocks.streams(g, made._replace(**target)) == goes_past


@pytest.mark.skipif(not plan.OPENMP, reason="built without OpenMP")
@shapes
@pytest.mark.parametrize("threads", [2, 3, 8, 16])
def test_every_core_has_work(name, threads, set_num_threads):
    made = make_plan(name)
    set_num_threads(threads)
    shares = made.shares
    (pixels, pixel_parts), (blocks, filter_parts) = shares["pixels"], shares["filter blocks"]
    assert shares["threads"] > threads / 2
    assert pixel_parts * filter_parts >= shares["threads"]
    assert pixel_parts <= pixels
    assert filter_parts <= blocks


@pytest.mark.skipif(not plan.OPENMP, reason="built without OpenMP")
def test_parts_that_are_fewer_than_threads_are_shared_all_the_same(set_num_threads):
    made = ops.plan("conv", (1, 32, 32, 64), "float32", [np.ones((3, 3, 64, 64), np.float32)])
    set_num_threads(1000)
    (pixels, pixel_parts), (blocks, filter_parts) = made.shares["pixels"], made.shares["filter blocks"]
    assert made.shares["threads"] == pixel_parts * filter_parts >= 15
    assert pixel_parts <= pixels
    assert filter_parts <= blocks


@pytest.mark.skipif(not plan.OPENMP, reason="built without OpenMP")
@pytest.mark.parametrize("threads", [2, 8])
def test_results_that_take_longer_than_their_weights_are_shared_by_pixels(threads, set_num_threads):
    made = ops.plan("conv", (1, 400, 1), "float32", [np.ones((3, 1, 512), np.float32)])
    set_num_threads(threads)
    assert made.shares["filter blocks"][1] == 1


@pytest.mark.skipif(not plan.OPENMP, reason="built without OpenMP")
def test_depthwise_rows_that_are_few_are_shared_by_channels(set_num_threads):
    """A row by itself reads as many rows of input as its window has, and all weights."""
    few, many = (
        ops.plan("depthwise", (1, n, n, 512), "float32", [np.ones((3, 3, 512, 1), np.float32)]) for n in (9, 99)
    )
    set_num_threads(8)
    assert few.shares["filter blocks"][1] == 8
    assert many.shares["filter blocks"][1] == 1


USED = """
import ctypes, gc
import numpy as np, cyconv
from test_schedule import SHAPES, make_plan
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks b hblks hblkhd u f uordblks d keepcost".split()]
libc = ctypes.CDLL(None)
libc.mallopt(-4, 0)  # M_MMAP_MAX: no block of whole pages, as they would be rounded up
info = libc.mallinfo2
info.restype = Info
def used():
    gc.collect()
    now = info()
    return now.uordblks + now.hblkhd
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc's allocator")
@shapes
@pytest.mark.parametrize("threads", [1, 4])
def test_workspace_is_what_is_allocated(name, threads):
    """What packing and a call take from the C library and keep, in a process whose threads have started."""
    code = f"""{USED}
cyconv.set_num_threads({threads})
cyconv.ops.conv(np.ones((1, 32, 128), np.float32), np.ones((1, 128, 128), np.float32))  # next to no scratch
x = np.ones(SHAPES[{name!r}][1], np.float32)
out = np.empty(make_plan({name!r}).output_shape, np.float32)
before = used()
made = make_plan({name!r})
made(x, out)
print(used() - before, made.workspace_bytes)
"""
    folder = pathlib.Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    taken, said = map(int, done.stdout.split())
    assert abs(taken - said) < 4096, f"{taken} bytes taken, {said} said"  # Python's objects


@given(
    size=st.integers(1, 12),
    window=st.integers(1, 6),
    stride=st.integers(1, 4),
    dilation_rate=st.integers(1, 5),
    pads=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_outputs_and_the_taps_that_meet_the_input(size, window, stride, dilation_rate, pads):
    outputs = (size + sum(pads) - (window - 1) * dilation_rate - 1) // stride + 1
    if outputs < 1:
        return
    assert outputs == geometry.output_size(size, window, stride, dilation_rate, pads)
    first = np.arange(outputs)[:, None] * stride - pads[0] + np.arange(window) * dilation_rate
    met = (first >= 0) & (first < size)
    axis = (size, outputs, pads[0], window, stride, dilation_rate)
    parts = tiles.axis_parts(*axis)
    assert [taps for n, taps in parts for _ in range(n)] == met.sum(1).tolist()
    ends = np.cumsum([n for n, _ in parts])
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        assert (met[start:end] == met[start]).all()
    assert tiles.tap_outputs(*axis) == met.sum(0).tolist()
