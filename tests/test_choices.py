"""No choice of tile, block, layout or threads changes a bit of a result."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from choices import by_planes, dtypes, scheduled
from hypothesis import given
from hypothesis import strategies as st
from strategies import ORDERS, at_offset, cases, check, make, same

from cyconv import activations, schedule


@pytest.mark.usefixtures("isa")
@given(
    case=cases("conv", orders=("C",), batches=(1, 2, 5)),
    activation=st.sampled_from([None, "relu", "relu6", "leaky_relu"]),
)
def test_ways_to_meet_padding_differ_in_no_bit(case, activation):
    """Dense layers take whole windows, pixels alike or tap after tap: each is tried, whatever the schedule chooses.

    Small images are worked on together, unless windows are loaded with their padding.
    """
    choose, results = schedule.dense_parts, []
    for way in range(3):

        def only(*arguments, way=way):
            ways = choose(*arguments)
            return [parts if n == way else [p._replace(times=1e30) for p in parts] for n, parts in enumerate(ways)]

        with scheduled(dense_parts=only, LEAST_BLOCKS=1):
            check(case)
            results.append(case.run(activation=activation))
    np.testing.assert_array_equal(results[0], results[1], err_msg=str(case))
    np.testing.assert_array_equal(results[0], results[2], err_msg=str(case))


@pytest.mark.usefixtures("isa")
@given(
    case=cases("conv", batches=(1, 2)),
    activation=st.sampled_from([None, "relu", "relu6", "leaky_relu"]),
    cache=st.sampled_from([1 << 12, 1 << 20]),
)
def test_vectors_of_pixels_and_of_filters_differ_in_no_bit(case, activation, cache):
    """Each is tried in both layouts, whatever the schedule chooses, in blocks of rows and pieces of rows."""
    results = []
    for prices in ({"tiled": 0}, {"walked": 0}, {}):
        with scheduled(**by_planes(**prices), CACHE_BYTES=cache):
            check(case)
            results.append(case.run(activation=activation))
    np.testing.assert_array_equal(results[0], results[2], err_msg=str(case))
    np.testing.assert_array_equal(results[1], results[2], err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
def test_functions_are_applied_once_to_every_result(dtype, set_num_threads):
    """Block by block, or, where blocks share vectors, or threads the filters of a pixel, when all results are there."""
    first = {"data_format": "channels_first"}
    for op, shape, kernels, options in (
        ("conv", (1, 2, 3, 20), ((1, 1, 20, 200),), {}),
        ("conv", (1, 2, 3, 20), ((2, 2, 20, 77),), {}),
        ("conv", (40, 3, 4, 7), ((3, 3, 7, 24),), {"padding": "same"}),
        ("conv", (3, 40, 5), ((3, 5, 2),), {"padding": "causal"}),
        ("conv", (2, 3, 9, 75), ((3, 3, 3, 5),), first),
        ("conv", (2, 20, 9, 75), ((2, 3, 20, 40),), first),
        ("conv", (2, 9, 75, 1), ((3, 3, 1, 2),), {}),
        ("conv", (1, 5, 40, 2), ((2, 3, 2, 1),), {"padding": "same"}),
        ("conv", (2, 17, 1), ((1, 1, 1),), {"strides": 2}),
        ("pointwise_conv", (1, 3, 6, 1), ((1, 1),), {}),
        ("depthwise_conv", (2, 9, 75, 3), ((3, 3, 3, 1),), {}),
        ("depthwise_conv", (2, 9, 15, 40), ((3, 3, 40, 2),), {"strides": 2}),
        ("depthwise_conv", (2, 3, 9, 175), ((3, 3, 3, 1),), first),
        ("depthwise_conv", (1, 9, 175, 1), ((5, 5, 1, 1),), {}),
        ("separable_conv", (2, 9, 15, 20), ((3, 3, 20, 1), (20, 33)), {}),
        ("separable_conv", (2, 20, 9, 75), ((3, 3, 20, 1), (20, 33)), first),
    ):
        case = make(op, shape, *kernels, dtype=dtype, **options)
        for cache in (1 << 12, 1 << 20):
            choices = {"SERIAL_FLOPS": 10, "CACHE_BYTES": cache, "LEAST_BLOCKS": 1, "STREAM_BYTES": 0}
            for prices in ({}, {"tiled": 0}, {"walked": 0}):
                with scheduled(**choices, **(by_planes(**prices) if prices else {})):
                    linear = check(case)
                    for threads in (1, 2, 5):
                        set_num_threads(threads)
                        for name in ("silu", "softplus"):
                            want = activations.get(name)(linear)
                            np.testing.assert_array_equal(case.run(activation=name), want, err_msg=str(case))


@pytest.mark.usefixtures("isa")
@given(case=st.sampled_from(["conv", "depthwise_conv"]).flatmap(lambda op: cases(op, orders=("C",))))
def test_the_cpu_changes_no_bit(case):
    """Of those with one instruction set: what half a vector takes, far caches and loads of two lines decide choices."""
    choose, results = schedule.single, []
    for cpu in ({"two_passes": True, "intel": False}, {"two_passes": False, "intel": True}):

        def on(g, target, cpu=cpu):
            return choose(g, target._replace(**cpu))

        with scheduled(single=on):
            check(case)
            results.append(case.run())
    np.testing.assert_array_equal(*results, err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
def test_weights_in_registers_change_no_bit(dtype, set_num_threads):
    """Of every number of runs and of inputs of a run: taps far apart, rows of an image, channels of a group; filters
    that fill some vectors, or a part of one, stored past the caches, or not."""
    choose = schedule.single
    taps = [("same", (2, 45, run), (runs, run), {"dilation_rate": 3}) for runs in range(1, 13) for run in range(1, 13)]
    cases = [case for case in taps if math.prod(case[2]) <= 12] + [
        ("valid", (1, 9, 11, 1), (3, 3, 1), {}),
        ("same", (2, 9, 11, 2), (2, 3, 2), {"strides": 2}),
        ("same", (1, 9, 7, 4), (3, 1, 4), {}),
        ("same", (1, 9, 7, 15), (1, 2, 5), {}),
    ]
    for padding, shape, kernel, options in cases:
        for filters in (3, 15, 36, 96):
            case = make("conv", shape, (*kernel, filters), dtype=dtype, padding=padding, **options)
            results = []
            for products in (0, 12):

                def on(g, target, products=products):
                    depthwise, fields = choose(g, target._replace(products=min(products, target.products)))
                    assert fields["short"] == (math.prod(kernel) <= min(products, target.products))  # noqa: B023
                    return depthwise, fields

                cheap = {"short_cycles": lambda *_: 0, **by_planes()}
                with scheduled(single=on, SERIAL_FLOPS=100, STREAM_BYTES=1000, **cheap):
                    for threads in (1, 3):
                        set_num_threads(threads)
                        check(case)
                        results += [case.run(), case.run(activation="leaky_relu")]
            for n, result in enumerate(results):
                np.testing.assert_array_equal(result, results[n % 2], err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
def test_filter_blocks_together_change_no_bit(dtype, set_num_threads):
    """Pixels go through as many filter blocks as are said to be together, in tiles one vector wide and wider ones; what
    comes next is fetched meanwhile, or not."""
    choose = schedule.single
    for shape, kernel, options in (
        ((2, 9, 11, 20), (1, 1, 20, 250), {}),
        ((1, 7, 8, 8), (3, 3, 4, 146), {}),
        ((2, 50, 12), (3, 12, 96), {"padding": "causal"}),
        ((1, 6, 5, 3), (5, 2, 3, 129), {"strides": 2}),
    ):
        case = make("conv", shape, kernel, dtype=dtype, **options)
        results = []
        for together in (1, 2, 1000):
            for short in (0, np.inf):

                def on(g, target, together=together):
                    depthwise, fields = choose(g, target._replace(two_passes=True))
                    assert fields["direct"]
                    assert fields["blocks"] > 1
                    return depthwise, {**fields, "together": together}

                near = 1 << 40 if together == 2 else 0  # no input is fetched ahead, or all is
                with scheduled(single=on, SHORT_REDUCTION=short, SERIAL_FLOPS=100, AHEAD_BYTES=near, **by_planes()):
                    for threads in (1, 3):
                        set_num_threads(threads)
                        results.append(check(case))
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0], err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("cache", [1 << 12, 1 << 20], ids=["small blocks", "large blocks"])
def test_vectors_of_pixels_in_parts(dtype, data_format, cache, set_num_threads):
    """Rows and pieces of rows, with and without columns between them, cut anywhere by threads."""
    for size, channels, kernel, options in (
        ((5, 7), 20, (1, 1, 20, 3), {}),
        ((1, 7), 3, (1, 1, 3, 2), {}),
        ((5, 37), 3, (3, 3, 3, 4), {"padding": "same"}),
        ((4, 21), 4, (1, 2, 4, 3), {}),
        ((3, 2050), 2, (1, 1, 2, 1), {}),
        ((6, 1030), 1, (3, 5, 1, 1), {"padding": "same"}),
        ((17, 19), 5, (3, 3, 5, 4), {"padding": "same", "strides": 2}),
        ((9, 40), 18, (3, 2, 6, 6), {"dilation_rate": (1, 3)}),
        ((40, 6), 34, (5, 1, 17, 2), {"padding": "same"}),
        ((12, 33), 16, (2, 2, 16, 9), {"strides": (1, 3)}),
    ):
        shape = (2, channels, *size) if data_format == "channels_first" else (2, *size, channels)
        case = make("conv", shape, kernel, dtype=dtype, data_format=data_format, **options)
        with scheduled(**by_planes(tiled=0), CACHE_BYTES=cache, SERIAL_FLOPS=100):
            for threads in (1, 2, 5):
                set_num_threads(threads)
                check(case)


@pytest.mark.usefixtures("isa")
@dtypes
def test_vectors_of_channels_do_not_depend_on_the_image(dtype, set_num_threads):
    """Nor on its strides, on threads, on blocks, or on how padding is met."""
    for channels, filters in ((16, 1), (33, 2), (40, 3), (70, 5)):
        kernel = (3, 3, channels, filters)
        whole = make("conv", (1, 14, 11, channels), kernel, dtype=dtype)
        want = check(whole)
        padded = make("conv", (1, 14, 11, channels), kernel, dtype=dtype, padding="same")
        want_padded = check(padded)
        for price in (0, np.inf):
            with scheduled(LOAD=price, CACHE_BYTES=1 << 12, SERIAL_FLOPS=100):
                for threads in (1, 3):
                    set_num_threads(threads)
                    np.testing.assert_array_equal(padded.run(), want_padded, err_msg=str(padded))
        np.testing.assert_array_equal(want_padded[:, 1:-1, 1:-1], want, err_msg=str(padded))
        for order in ("sliced channels", "negative strides"):
            other = replace(whole, inputs=ORDERS[order](whole.inputs))
            np.testing.assert_array_equal(other.run(), want, err_msg=str(other))
        part = replace(whole, inputs=whole.inputs[:, 3:9, 4:])
        np.testing.assert_array_equal(part.run(), want[:, 3:7, 4:], err_msg=str(part))


@pytest.mark.usefixtures("isa")
@given(case=cases(batches=(1, 2)), offset=st.sampled_from([0, 16, 64]), rows=st.sampled_from([0, 1, 3, 16]))
def test_results_that_go_past_the_caches(case, offset, rows):
    """Large ones do, here all; those that do not start on a cache line do not. What comes next is fetched, and
    depthwise layers are cut into strips of columns."""
    want = check(case)
    out = at_offset(np.empty_like(want), offset)
    with scheduled(STREAM_BYTES=0, AHEAD_BYTES=0, ROWS_IN_PLACE=rows, STRIP_BYTES=1, LEAST_STRIP=rows + 1):
        case.run(out=out)
    np.testing.assert_array_equal(out, want, err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_results_past_the_caches_in_blocks(dtype, data_format, set_num_threads):
    """Blocks, groups and threads whose parts start on a vector and beside one."""
    first = data_format == "channels_first"
    for op, size, channels, *weights in (
        ("conv", (9, 56), 80, (3, 3, 40, 144)),
        ("conv", (7, 16), 6, (1, 1, 3, 96)),
        ("conv", (5, 32), 64, (3, 3, 4, 64)),
        ("pointwise_conv", (6, 56), 24, (24, 56)),
        ("conv", (9, 53), 3, (3, 3, 3, 3)),  # vectors of pixels, zipped
        ("pointwise_conv", (11, 37), 4, (4, 4)),
        ("conv", (5, 70), 6, (2, 1, 6, 2)),
        ("depthwise_conv", (4, 272), 32, (3, 3, 32, 1)),
        ("depthwise_conv", (1, 272), 16, (1, 3, 16, 1)),
        ("depthwise_conv", (12, 48), 40, (5, 5, 40, 2)),
        ("separable_conv", (10, 56), 16, (3, 3, 16, 1), (1, 1, 16, 48)),
        ("separable_conv", (4, 272), 16, (3, 3, 16, 2), (1, 1, 32, 16)),
    ):
        shape = (2, channels, *size) if first else (2, *size, channels)
        case = make(op, shape, *weights, dtype=dtype, **same(op), data_format=data_format)
        with scheduled(STREAM_BYTES=0, MOST_PLANE_PIXELS=64, CACHE_BYTES=1 << 14):
            for threads in (1, 2, 5):
                set_num_threads(threads)
                check(case)


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("window", [(3, 1), (3, 3), (3, 7), (5, 2), (5, 5)], ids=str)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_planes_walked_and_vectors_of_filters_differ_in_no_bit(dtype, data_format, window, set_num_threads):
    """Blocks of one to four filters, columns of one, two and four vectors, in images of less than a vector and a window
    too; in place, and copied a few rows at a time; infinite weights meet padding."""
    first = data_format == "channels_first"
    sizes = (1, 33), (9, 47), (8, 130), (14, 14), (2, 70), (19, 1)
    layers = (3, 1, 1), (1, 1, 2), (5, 1, 7), (6, 3, 3), (4, 2, 8)
    for n, ((height, width), (channels, groups, filters)) in enumerate(itertools.product(sizes, layers)):
        shape = (2, channels, height, width) if first else (2, height, width, channels)
        kernel = (*window, channels // groups, filters * groups)
        padding = "same" if n % 2 else ((5, 0), (2, 7))
        case = make("conv", shape, kernel, dtype=dtype, padding=padding, data_format=data_format)
        if n % 7 == 3:
            case.kernels[0][0, 0] = np.inf
        with scheduled(**by_planes()):
            want = check(case)
        for order in ("C", ("negative strides", "sliced channels", "window of a larger array")[n % 3]):
            other = replace(case, inputs=ORDERS[order](case.inputs))
            cache = (1 << 13, 1 << 20)[n // 2 % 2]
            with scheduled(**by_planes(walked=0), CACHE_BYTES=cache, STREAM_BYTES=0, SERIAL_FLOPS=100):
                for threads in (1, 3):
                    set_num_threads(threads)
                    np.testing.assert_array_equal(other.run(), want, err_msg=str(other))


@pytest.mark.usefixtures("isa")
@dtypes
def test_batches_are_one_image_or_many(dtype, set_num_threads):
    """Where pixels, or rows, are by themselves, a batch is one row, or one image, if its strides allow it.

    Other small images are worked on several at a time, unless infinite weights meet padding.
    """
    for shape, kernel in (
        ((37, 1, 1, 12), (1, 1, 12, 5)),
        ((19, 5, 3, 8), (1, 1, 8, 32)),
        ((9, 1, 7, 24), (1, 1, 12, 4)),
        ((41, 6, 1, 3), (1, 1, 3, 2)),
        ((50, 4, 16), (1, 16, 17)),
        ((300, 1, 30), (1, 30, 7)),
        ((70, 10, 4), (3, 4, 4)),
        ((21, 12, 6), (5, 3, 40)),
        ((33, 30, 1), (4, 1, 1)),
        ((7, 3, 11, 5), (1, 4, 5, 2)),
        ((6, 4, 9, 3), (1, 3, 3, 1)),
        ((80, 3, 11, 20), (1, 4, 20, 20)),
        ((80, 3, 11, 32), (1, 4, 1, 32)),
        ((43, 4, 4, 12), (3, 3, 12, 20)),
        ((90, 3, 5, 8), (2, 2, 4, 8)),
        ((33, 7, 4, 40), (3, 3, 40, 3)),
        ((50, 4, 6, 5), (4, 3, 5, 33)),
        ((40, 3, 4, 7), (2, 3, 7, 24)),
    ):
        wide = {"padding": "causal", "dilation_rate": 2} if len(shape) == 3 and kernel[0] > 1 else {}
        wide = {"padding": "same"} if len(shape) == 4 and min(kernel[:2]) > 1 else wide
        case = make("conv", shape, kernel, dtype=dtype, **wide)
        check(case)
        if shape[0] == 40:  # that padding is multiplied with: it is loaded
            case.kernels[0][0, 0] = np.inf
        want = np.concatenate([replace(case, inputs=image[None]).run() for image in case.inputs])
        np.testing.assert_array_equal(case.run(), want, err_msg=str(case))
        for order in ("F", "negative strides", "sliced channels", "window of a larger array"):
            other = replace(case, inputs=ORDERS[order](case.inputs))
            with scheduled(SERIAL_FLOPS=100):
                for threads in (1, 5):
                    set_num_threads(threads)
                    np.testing.assert_array_equal(other.run(), want, err_msg=str(other))
        every = replace(case, inputs=np.repeat(case.inputs, 2, axis=0)[::2])
        np.testing.assert_array_equal(every.run(), want, err_msg=str(every))
