"""Extreme sizes: 2**32 elements, windows larger than images, products that overflow, memory that ends."""

import mmap
import subprocess
import sys

import numpy as np
import pytest
from strategies import DTYPES, check, make

from cyconv import Sequential, layers, ops

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory that is only promised: Linux")


def kernels(op, window, channels, filters=3):
    depthwise = (*window, channels, 1)
    return {
        "conv": [(*window, channels, filters)],
        "depthwise_conv": [depthwise],
        "separable_conv": [depthwise, (1, 1, channels, filters)],
    }[op]


every_op = pytest.mark.parametrize("op", ["conv", "depthwise_conv", "separable_conv"])


@linux
@pytest.mark.usefixtures("isa")
@every_op
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_more_than_32_bits_of_elements(op, data_format):
    """2**32 elements, of which the windows meet few: the pages in between are never touched."""
    n, step, rate = 2**15, 2**13, 2**12  # windows of 2 x 2 start at 0, 8192, 16384, 24576
    shape = (1, n, n, 4) if data_format == "channels_last" else (1, 4, n, n)
    noreserve = getattr(mmap, "MAP_NORESERVE", 0x4000)
    memory = mmap.mmap(-1, 4 * n * n * 4, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | noreserve)
    x = np.frombuffer(memory, np.float32).reshape(shape)
    small = make(op, (1, 8, 8, 4), *kernels(op, (2, 2), 4), strides=2)
    met = slice(None, None, rate)
    if data_format == "channels_last":
        x[:, met, met] = small.inputs
    else:
        x[:, :, met, met] = np.moveaxis(small.inputs, -1, 1)
    want = check(small)
    options = {"strides": step, "dilation_rate": rate, "data_format": data_format, "bias": small.bias}
    got = getattr(ops, op)(x, *small.kernels, **options)
    np.testing.assert_array_equal(got if data_format == "channels_last" else np.moveaxis(got, 1, -1), want)


@every_op
def test_more_than_32_bits_of_broadcast_elements(op):
    image = np.random.default_rng(0).standard_normal((1, 1, 3)).astype(np.float32)
    case = make(op, (1, 8, 8, 3), *kernels(op, (2, 2), 3), strides=2**13, dilation_rate=3)
    case.inputs = np.broadcast_to(image, (2, 2**16, 2**16, 3))
    small = make(op, (1, 8, 8, 3), *kernels(op, (2, 2), 3))
    small.kernels, small.bias = case.kernels, case.bias
    small.inputs = np.broadcast_to(image, (1, 2, 2, 3))
    want = np.broadcast_to(check(small), (2, 8, 8, small.run().shape[-1]))
    np.testing.assert_array_equal(case.run(), want)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_many_channels(dtype):
    """Reductions of 90,000 products, within the bound that grows with their square root."""
    for op, shape, *kernel_shapes in (
        ("conv", (1, 4, 4, 10_000), (3, 3, 10_000, 3)),
        ("conv", (1, 4, 4, 1), (3, 3, 1, 10_000)),
        ("conv", (1, 10_000, 5), (9_990, 5, 2)),
        ("pointwise_conv", (1, 7, 10_000), (10_000, 9)),
        ("depthwise_conv", (1, 4, 4, 10_000), (3, 3, 10_000, 1)),
        ("depthwise_conv", (1, 10_000, 17), (9_990, 17, 1)),
        ("separable_conv", (1, 4, 4, 10_000), (3, 3, 10_000, 1), (1, 1, 10_000, 2)),
    ):
        check(make(op, shape, *kernel_shapes, dtype=dtype))


@pytest.mark.usefixtures("isa")
@every_op
def test_windows_up_to_larger_than_the_image(op):
    for n in (1, 2, 3, 4, 5, 8, 13):
        for padding in ("same", n - 1, ((n, 0), (0, n))):
            check(make(op, (1, 4, 5, 3), *kernels(op, (n, n), 3), padding=padding))


@pytest.mark.usefixtures("isa")
@every_op
def test_dilation_of_ten_thousand(op):
    depthwise = (3, 3, 1)
    shapes = {
        "conv": [(3, 3, 5)],
        "depthwise_conv": [depthwise],
        "separable_conv": [depthwise, (1, 3, 5)],
    }[op]
    for length, padding in ((20_005, "valid"), (50, "same"), (20_100, "causal")):
        check(make(op, (1, length, 3), *shapes, padding=padding, dilation_rate=10_000))


HUGE = 2**40


@pytest.mark.parametrize(
    "call",
    [
        lambda: layers.Conv2D(HUGE, 3).build((None, 8, 8, HUGE)),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=HUGE).build((None, 8, 8, HUGE)),
        lambda: layers.SeparableConv1D(HUGE, 3).build((None, 8, HUGE)),
        lambda: layers.Conv1D(4, HUGE).build((None, HUGE, HUGE)),
        lambda: Sequential([layers.Input((8, 8, HUGE)), layers.Conv2D(HUGE, 3)]),
        lambda: ops.conv(np.broadcast_to(np.float32(0), (2**20, 2**20, 2**20)), np.ones((1, 2**20, 1), np.float32)),
    ],
    ids=["Conv2D", "DepthwiseConv2D", "SeparableConv1D", "Conv1D", "Sequential", "conv"],
)
def test_products_that_overflow(call):
    with pytest.raises(ValueError, match=r"at most 2\*\*59 elements"):
        call()


@linux
def test_memory_that_ends():
    """In a process of its own: a result, packed weights and scratch that cannot be had, then a call that can."""
    code = """
import resource, sys
import numpy as np
import cyconv
from cyconv import layers, ops
x, kernel = np.ones((1, 8, 8, 4), np.float32), np.ones((3, 3, 4, 4), np.float32)
layer = layers.Conv2D(4, 3, kernel_initializer="ones")
layer(x)
cyconv.set_num_threads(2)
ops.conv(np.ones((1, 64, 64, 32), np.float32), np.ones((3, 3, 32, 32), np.float32))  # threads start now
weights = np.ones((1, 1, 4096, 4096), np.float32)  # 64 MiB, to be packed
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**24, -1))

def result(): ops.pointwise_conv(np.broadcast_to(np.float32(1), (64, 512, 512, 4)), np.ones((4, 4), np.float32))
def packed(): ops.conv(np.ones((1, 1, 1, 4096), np.float32), weights)
def layer_result(): layer(np.broadcast_to(np.float32(1), (64, 512, 512, 4)))
def built(): layers.Conv2D(4096, 3).build((None, 8, 8, 4096))
def scratch():
    cyconv.set_num_threads(1024)
    ops.conv(np.broadcast_to(np.float32(1), (1, 2048, 2048, 64))[:, ::2], np.ones((3, 3, 64, 1), np.float32),
             strides=2, padding="same")

for call in (result, packed, layer_result, built, scratch):
    try:
        call()
    except MemoryError:
        print(call.__name__)
    assert (ops.conv(x, kernel) == 36).all()
    assert (layer(x) == 36).all()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["result", "packed", "layer_result", "built", "scratch"], done.stderr
    assert done.returncode == 0, done.stderr
