"""What the schedule chooses, forced: no choice of tile, block, layout or threads changes a bit of a result."""

import contextlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, ORDERS, at_offset, cases, check, make, same, shapes

from cyconv import activations, blocks, ops, planes, schedule, tasks

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


@contextlib.contextmanager
def scheduled(**choices):
    """Plans are made, and their work is shared, with other constants and functions."""
    with pytest.MonkeyPatch.context() as patch:
        for name, choice in choices.items():
            owners = [module for module in (schedule, planes, blocks, tasks) if hasattr(module, name)]
            assert owners, name
            for module in owners:
                patch.setattr(module, name, choice)
        ops._template.cache_clear()
        try:
            yield
        finally:
            ops._template.cache_clear()


def priced(name, cycles):
    """Return a choice of `schedule` for dense layers of planes at another price, where it fits."""
    choose = getattr(schedule, name)

    def at_price(*arguments, **options):
        price, fields = choose(*arguments, **options)
        return (cycles if price < np.inf else price), fields

    return at_price


def by_planes(tiled=np.inf, walked=np.inf, tapped=np.inf):
    """Return what makes layers take vectors of pixels, in tiles, down planes or tap after tap, at these prices."""
    return {
        "planar_blocking": priced("planar_blocking", tiled),
        "walk_blocking": priced("walk_blocking", walked),
        "tap_blocking": priced("tap_blocking", tapped),
        "dots": never,
    }


def never(*_):
    return False


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
@given(case=cases("depthwise_conv", batches=(1, 2), data_formats=("channels_first",)))
def test_depthwise_vectors_of_pixels_and_of_channels_differ_in_no_bit(case):
    """Of planes whose windows have no kernel of their own, each is tried, whatever the schedule chooses."""
    results = []
    for prices in ({}, {"tiled": -np.inf}, {"walked": -np.inf}, {"tapped": -np.inf}):
        with scheduled(**by_planes(**prices), planar_depthwise=never):
            check(case)
            results.append(case.run(activation="relu"))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0], err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("window, dilation_rate", [((1, 3), 1), ((1, 2), 30), ((2, 4), 1), ((3, 1), 2)], ids=str)
def test_depthwise_planes_tap_after_tap(dtype, window, dilation_rate, set_num_threads):
    """Columns whose windows lie inside and those around them, in blocks of some rows or pixels and of all."""
    orders = [order for name, order in ORDERS.items() if name != "broadcast"]
    options = {"dtype": dtype, "dilation_rate": dilation_rate, "data_format": "channels_first", "bias": False}
    for n, (height, width, strides) in enumerate([(1, 200, 1), (1, 64, 1), (6, 97, (2, 1)), (5, 33, 1), (9, 130, 1)]):
        padding = ["same", "valid", ((4, 0), (40, 3)), "same", ((0, 9), (0, 70))][n]
        if padding == "valid" and height == 1 < window[0]:
            continue
        case = make(
            "depthwise_conv", (2, 5, height, width), (*window, 5, 2), padding=padding, strides=strides, **options
        )
        with scheduled(**by_planes()):
            want = check(case)
        moved = replace(case, inputs=orders[n % len(orders)](case.inputs))
        for threads, cache in ((1, 1 << 20), (7, 1 << 13)):
            set_num_threads(threads)
            choices = {"SERIAL_FLOPS": 100, "CACHE_BYTES": cache, "STREAM_BYTES": 0, "AHEAD_BYTES": 0}
            with scheduled(**by_planes(tapped=-np.inf), **choices):
                for made in (case, moved):
                    np.testing.assert_array_equal(made.run(), want, err_msg=str(made))


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
@given(case=cases("conv", orders=("C",)))
def test_the_time_of_half_a_vector_changes_no_bit(case):
    """Tiles are chosen by whether it is half that of a whole one, which differs between CPUs of one instruction set."""
    choose, results = schedule.single, []
    for two_passes in (False, True):

        def on(g, target, two_passes=two_passes):
            return choose(g, target._replace(two_passes=two_passes))

        with scheduled(single=on):
            check(case)
            results.append(case.run())
    np.testing.assert_array_equal(*results, err_msg=str(case))


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
            for short in ((), ((np.inf, 1),)):

                def on(g, target, together=together):
                    depthwise, fields = choose(g, target._replace(two_passes=True))
                    assert fields["direct"]
                    assert fields["blocks"] > 1
                    return depthwise, {**fields, "together": together}

                near = 1 << 40 if together == 2 else 0  # no input is fetched ahead, or all is
                with scheduled(single=on, SHORT_REDUCTIONS=short, SERIAL_FLOPS=100, AHEAD_BYTES=near, **by_planes()):
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
@dtypes
@pytest.mark.parametrize("multiplier", [1, 2, 5])
def test_depthwise_loads_channels_in_parts(dtype, multiplier, set_num_threads):
    """From any array, where pixels are 4 KiB apart, and where a multiplier repeats them; threads share channels.

    Planes add a window's rows in turn, so that their last bits differ.
    """
    for channels in (17, 130, 300, 1024):
        case = make("depthwise_conv", (1, 5, 6, channels), (3, 3, channels, multiplier), dtype=dtype, padding="same")
        with scheduled(collides=never):
            want = check(case)
        first = replace(case, inputs=np.moveaxis(case.inputs, -1, 1).copy(), options={"padding": "same"})
        first.options["data_format"] = "channels_first"
        want_first = check(first)
        strided = replace(case, inputs=ORDERS["sliced channels"](case.inputs))
        with scheduled(SERIAL_FLOPS=100):
            for threads in (1, 5):
                set_num_threads(threads)
                np.testing.assert_array_equal(case.run(), want, err_msg=str(case))
                np.testing.assert_array_equal(strided.run(), want, err_msg=str(strided))
                np.testing.assert_array_equal(first.run(), want_first, err_msg=str(first))


def alone(*_):
    """Return that no filters of a channel have vectors of their own."""
    return 1


@pytest.mark.usefixtures("isa")
@given(case=st.sampled_from(["depthwise_conv", "separable_conv"]).flatmap(lambda op: cases(op, batches=(1, 2))))
def test_filters_of_a_channel_side_by_side_differ_in_no_bit(case):
    with scheduled(columnwise=never):
        check(case)
        want = case.run(activation="relu")
        with scheduled(siblings=alone):
            np.testing.assert_array_equal(case.run(activation="relu"), want, err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("window, strides", [((9, 1), 1), ((3, 3), 1), ((2, 5), 1), ((3, 3), 2)], ids=str)
def test_filters_of_a_channel_in_rows_and_runs(dtype, window, strides, set_num_threads):
    """Of channels that are fewer than lanes and more, in blocks of some rows and of all, by several threads."""
    orders = [order for name, order in ORDERS.items() if name != "broadcast"]
    sizes = [(16, 4, 2), (24, 2, 4), (9, 6, 3), (11, 16, 3), (8, 40, 2), (8, 32, 4)]
    for n, (width, channels, multiplier) in enumerate(sizes):
        options = {"dtype": dtype, "strides": strides, "padding": "same" if n % 2 else "valid"}
        case = make("depthwise_conv", (2, 10, width, channels), (*window, channels, multiplier), **options)
        with scheduled(columnwise=never, siblings=alone):
            want = check(case)
        moved = replace(case, inputs=orders[n % len(orders)](case.inputs))
        for made, threads, cache in ((case, 1, 1 << 20), (case, 3, 1 << 13), (moved, 3, 1 << 13)):
            set_num_threads(threads)
            with scheduled(columnwise=never, SERIAL_FLOPS=100, CACHE_BYTES=cache, STREAM_BYTES=0, AHEAD_BYTES=0):
                np.testing.assert_array_equal(made.run(), want, err_msg=str(made))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("window, dilation_rate", [((1, 2), 9), ((1, 3), 2), ((1, 4), 5), ((2, 2), 3), ((2, 2), 30)])
def test_dilated_windows_of_few_taps(dtype, window, dilation_rate):
    """Taps by themselves, or shared by pixels as far apart as they are; vectors that begin in another place, too."""
    for width, channels in ((16, 37), (41, 32), (41, 128)):
        options = {"dtype": dtype, "padding": "same", "dilation_rate": dilation_rate}
        case = make("depthwise_conv", (1, 7, width, channels), (*window, channels, 1), **options)
        with scheduled(few_taps=never):
            want = check(case)
        with scheduled(few_taps=lambda *_: True):
            for offset in (0, 16):
                moved = replace(case, inputs=at_offset(case.inputs, offset))
                np.testing.assert_array_equal(moved.run(), want, err_msg=f"{case} {offset}")


@pytest.mark.usefixtures("isa")
@dtypes
def test_dilated_windows_whose_pixels_evict_each_other(dtype, set_num_threads):
    """Loaded first, a few channels at a time, or read in place."""
    channels = 2048 // np.dtype(dtype).itemsize
    case = make(
        "depthwise_conv", (1, 6, 12, channels), (3, 3, channels, 1), dtype=dtype, padding="same", dilation_rate=2
    )
    with scheduled(lines=lambda _: 100):
        want = check(case)
    with scheduled(lines=lambda distance: 10 if distance == 4096 else 100, SERIAL_FLOPS=100):
        for threads in (1, 3):
            set_num_threads(threads)
            np.testing.assert_array_equal(case.run(), want)


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("window, channels", [(3, 256), (3, 512), (3, 1024), (5, 512), (5, 1024)])
def test_depthwise_results_may_lie_anywhere(dtype, window, channels, set_num_threads):
    """At the same place of a page as the input, or not: it is loaded first, or read in place."""
    case = make("depthwise_conv", (2, 5, 6, channels), (window, window, channels, 1), dtype=dtype, padding="same")
    want = check(case)
    memory = np.empty(want.nbytes + 2 * 4096, np.uint8)
    start = (case.inputs.ctypes.data - memory.ctypes.data) % 4096
    with scheduled(SERIAL_FLOPS=100):
        for threads in (1, 3):
            set_num_threads(threads)
            for place in (0, 16, 64, 704, 2048 - 16, 2048, 4096):
                out = memory[start + place :][: want.nbytes].view(want.dtype).reshape(want.shape)
                out[...] = np.nan
                np.testing.assert_array_equal(case.run(out=out), want, err_msg=f"{case} at {place}")


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("strides", [1, 2])
def test_depthwise_loads_blocks_of_padding_alone(dtype, strides):
    """Of channels that are loaded, for rows and columns of output that meet no input."""
    for padding in [((7, 0), (0, 8)), ((0, 6), (9, 0)), ((5, 5), (6, 6))]:
        case = make("depthwise_conv", (2, 4, 5, 1024), (3, 3, 1024, 1), dtype=dtype, padding=padding, strides=strides)
        for pixels in (512, 14, 4):
            with scheduled(MOST_BLOCK_PIXELS=pixels):
                check(case)


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("window, strides", [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (3, (1, 2)), (5, (2, 1))], ids=str)
def test_depthwise_sums_go_along_rows(dtype, window, strides, set_num_threads):
    """Wherever a block or a thread begins, in images of any size; or in tiles."""
    paddings = "same", ((0, window), (window + 1, 1)), ((2, 2), (0, 2 * window))
    for size, padding in itertools.product([(1, 1), (2, 3), (4, 8), (7, 6), (9, 13), (3, 37)], paddings):
        case = make(
            "depthwise_conv", (2, *size, 40), (window, window, 40, 1), dtype=dtype, padding=padding, strides=strides
        )
        if padding != "same" and size[0] + sum(padding[0]) < window:
            continue
        want = check(case)
        with scheduled(columnwise=never):
            check(case)
        for pixels, rows, strip in ((512, 16, 1 << 20), (5, 0, 1 << 20), (5, 3, 1)):
            choices = {"MOST_BLOCK_PIXELS": pixels, "ROWS_IN_PLACE": rows, "STRIP_BYTES": strip, "LEAST_STRIP": 4}
            with scheduled(SERIAL_FLOPS=100, STREAM_BYTES=0, AHEAD_BYTES=0, **choices):
                for threads in (1, 3, 7):
                    set_num_threads(threads)
                    np.testing.assert_array_equal(case.run(), want, err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("channels, multiplier", [(1, 8), (3, 16), (2, 40)])
@pytest.mark.parametrize("window, strides", [(3, 1), (3, 2), (5, 1), (7, 1)])
def test_separable_layers_of_many_filters_a_channel(dtype, channels, multiplier, window, strides):
    """By itself the first step is a dense layer of groups, with its order of taps: the layer adds in that order too."""
    weights = (window, window, channels, multiplier), (1, 1, channels * multiplier, 5)
    case = make("separable_conv", (2, 9, 11, channels), *weights, dtype=dtype, padding="same", strides=strides)
    middle = ops.depthwise_conv(case.inputs, case.kernels[0], **case.options)
    want = ops.pointwise_conv(middle, case.kernels[1], bias=case.bias)
    np.testing.assert_array_equal(check(case), want)


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("channels", [48, 144, 256, 272, 512])
@pytest.mark.parametrize("window, strides", [(3, 1), (3, 2), (5, 1), (5, 2), (4, 1), (2, 3)])
@pytest.mark.parametrize("op", ["depthwise_conv", "separable_conv"])
def test_depthwise_meets_whole_cache_lines(op, dtype, channels, window, strides, set_num_threads):
    """Vectors of channels begin elsewhere where the input is between two vectors, in whole elements."""
    shape, *weights = shapes(op, (9, 12), (window, window), channels, 8)
    case = make(op, (2, *shape[1:]), *weights, dtype=dtype, padding="same", strides=strides)
    case.inputs = at_offset(case.inputs, 0)
    want = check(case)
    with scheduled(SERIAL_FLOPS=100):
        for offset in (8, 16, 20, 32, 48):
            if offset % case.inputs.itemsize:
                continue
            moved = replace(case, inputs=at_offset(case.inputs, offset))
            for threads in (1, 3, 7):
                set_num_threads(threads)
                np.testing.assert_array_equal(moved.run(), want, err_msg=f"{case} {offset}")
            view = replace(moved, inputs=at_offset(case.inputs, offset)[:, ::2, 1:])
            np.testing.assert_array_equal(view.run(), replace(view, inputs=view.inputs.copy()).run(), err_msg=str(view))


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
@pytest.mark.parametrize("window", [3, 5, 7])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("cache", [1 << 13, 1 << 20], ids=["pieces of rows", "whole rows"])
@pytest.mark.parametrize("op", ["depthwise_conv", "separable_conv"])
def test_planes_and_channels_differ_in_no_bit(op, cache, strides, window, set_num_threads):
    """Depthwise steps on vectors of pixels, in blocks of every shape, shared by any number of threads; images narrower
    than a vector, and with fewer rows than a window, too."""
    wide = (1, 33, 3, 1), (9, 47, 20, 1), (8, 96, 5, 2), (21, 34, 4, 3)
    narrow = (14, 14, 6, 1), (23, 6, 8, 3), (7, 7, 5, 2), (12, 3, 4, 1), (2, 21, 3, 1), (19, 1, 2, 1)
    for height, width, channels, multiplier in wide + narrow:
        for padding in ("same", ((6, 0), (2, 5)), "valid")[: 3 if min(height, width) >= window else 2]:
            depthwise = (window, window, channels, multiplier)
            pointwise = [(1, 1, channels * multiplier, 21)] if op == "separable_conv" else []
            options = {"strides": strides, "padding": padding, "data_format": "channels_first"}
            case = make(op, (2, channels, height, width), depthwise, *pointwise, **options)
            with scheduled(planar_depthwise=never):
                want = np.clip(check(case), 0, 6)
            with scheduled(EXCHANGE=np.inf, STREAM_BYTES=0, CACHE_BYTES=cache, MOST_PLANE_PIXELS=cache // 64):
                for threads in (1, 2, 5):
                    set_num_threads(threads)
                    np.testing.assert_array_equal(case.run(activation="relu6"), want, err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("window", [3, 5, 7])
@pytest.mark.parametrize("pixels", [60, 1 << 13], ids=["pieces of rows", "whole rows"])
def test_rows_that_are_runs_of_elements_and_channels_differ_in_no_bit(dtype, pixels, window, set_num_threads):
    """Depthwise layers of fewer channels than lanes, in place and of views; rows of less than a vector, too."""
    orders = [order for name, order in ORDERS.items() if name != "broadcast"]
    sizes = (9, 47, 3), (8, 96, 2), (21, 34, 12), (14, 5, 7), (12, 3, 4), (19, 1, 15), (5, 80, 8)
    for height, width, channels in sizes:
        for padding in ("same", ((6, 0), (2, 5)), "valid")[: 3 if min(height, width) >= window else 2]:
            shapes = (2, height, width, channels), (window, window, channels, 1)
            case = make("depthwise_conv", *shapes, dtype=dtype, padding=padding)
            with scheduled(planar_depthwise=never):
                want = np.clip(check(case), 0, 6)
            with scheduled(SERIAL_FLOPS=100, STREAM_BYTES=0, MOST_PLANE_PIXELS=pixels):
                for threads, order in itertools.product((1, 2, 5), orders):
                    set_num_threads(threads)
                    moved = replace(case, inputs=order(case.inputs))
                    np.testing.assert_array_equal(moved.run(activation="relu6"), want, err_msg=str(moved))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("taps", [2, 5, 8, 17])
def test_depthwise_windows_of_a_column_and_of_a_row_differ_in_no_bit(dtype, taps, stride, set_num_threads):
    """Tiles go down the columns of an image, or along the rows of the same image turned; in place and of views, in
    blocks of some rows and of all; at a stride across the window and dilated along it."""
    orders = [order for name, order in ORDERS.items() if name != "broadcast"]
    for n, (height, width, channels) in enumerate([(19, 7, 40), (40, 5, 16), (33, 20, 130), (18, 1, 24), (2, 9, 64)]):
        for padding, dilation_rate in (("same", 1), ("same", 3), (((2 * taps, 0), (0, 2)), 2)):
            options = {"padding": padding, "strides": (1, stride), "dilation_rate": (dilation_rate, 1)}
            case = make("depthwise_conv", (2, height, width, channels), (taps, 1, channels, 1), dtype=dtype, **options)
            want = check(case).swapaxes(1, 2)
            turned = {name: option if option == "same" else option[::-1] for name, option in options.items()}
            rows = replace(
                case,
                inputs=np.ascontiguousarray(case.inputs.swapaxes(1, 2)),
                kernels=(np.ascontiguousarray(case.kernels[0].swapaxes(0, 1)),),
                options=turned,
            )
            np.testing.assert_array_equal(rows.run(), want, err_msg=str(case))
            moved = replace(case, inputs=orders[n % len(orders)](case.inputs))
            for threads, cache in itertools.product((1, 5), (1 << 13, 1 << 20)):
                set_num_threads(threads)
                with scheduled(SERIAL_FLOPS=100, CACHE_BYTES=cache, STREAM_BYTES=0):
                    np.testing.assert_array_equal(moved.run().swapaxes(1, 2), want, err_msg=str(moved))


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
