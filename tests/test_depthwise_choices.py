"""No choice for a depthwise layer, or a separable one's first step, changes a bit of a result."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from choices import by_planes, dtypes, never, scheduled
from hypothesis import given
from hypothesis import strategies as st
from strategies import ORDERS, at_offset, cases, check, make, shapes

from cyconv import ops


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
    sizes = [(1, 300, (1, 2)), (1, 164, 1), (6, 97, (2, 1)), (9, 43, 2), (9, 7, 1), (9, 130, 1)]
    for n, (height, width, strides) in enumerate(sizes):
        padding = ["same", "valid", ((4, 0), (40, 3)), "same", "same", ((0, 9), (0, 70))][n]
        if padding == "valid" and height == 1 < window[0]:
            continue
        case = make(
            "depthwise_conv", (2, 5, height, width), (*window, 5, 2), padding=padding, strides=strides, **options
        )
        with scheduled(**by_planes()):
            want = check(case)
        moved = replace(case, inputs=orders[n % len(orders)](case.inputs))
        for threads, cache in ((1, 1 << 20), (1, 1 << 11), (7, 1 << 13)):
            set_num_threads(threads)
            choices = {"SERIAL_FLOPS": 100, "CACHE_BYTES": cache, "STREAM_BYTES": 0, "AHEAD_BYTES": 0}
            with scheduled(**by_planes(tapped=-np.inf), **choices):
                for made in (case, moved):
                    np.testing.assert_array_equal(made.run(), want, err_msg=str(made))


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


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("strides", [1, 2])
def test_sums_along_whole_rows_and_a_few_pixels(dtype, strides, set_num_threads):
    """Of every number of rows that go together, odd columns, vectors that end or begin in part, stored past caches."""
    for n, (height, width, channels) in enumerate([(1, 1, 16), (2, 5, 40), (7, 4, 64), (11, 9, 37), (16, 8, 512)]):
        options = {"dtype": dtype, "strides": strides, "padding": ("same", "valid")[height > 3 and n % 2]}
        case = make("depthwise_conv", (2, height, width, channels), (3, 3, channels, 1), **options)
        with scheduled(in_pieces=never):
            check(case)
            want = case.run(activation="relu")
        moved = [replace(case, inputs=at_offset(case.inputs, offset)) for offset in (0, 16)]
        for threads, stream in ((1, 1 << 40), (3, 0)):
            set_num_threads(threads)
            with scheduled(in_pieces=lambda *_: 3, SERIAL_FLOPS=100, STREAM_BYTES=stream):
                for made in (*moved, replace(case, inputs=ORDERS["sliced channels"](case.inputs))):
                    np.testing.assert_array_equal(made.run(activation="relu"), want, err_msg=str(made))


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
@pytest.mark.parametrize("op", ["depthwise_conv", "separable_conv"])
@pytest.mark.parametrize("strides", [1, 2, 3, 8])
def test_the_order_of_a_sum_is_the_same_for_all_images(op, dtype, strides):
    """Also where there is one output alone, which any stride leads out of the input from."""
    for window, multiplier in itertools.product((3, 5, 7), (1, 2, 5, 10)):
        shape, *weights = shapes(op, (19, 23), (window, window), 32, 8)
        weights[0] = (window, window, 32, multiplier)
        if op == "separable_conv":
            weights[1] = (1, 1, 32 * multiplier, 8)
        large = make(op, (1, *shape[1:]), *weights, dtype=dtype, strides=strides)
        want = large.run()
        for height, width in ((window, window), (window, 23), (19, window)):
            small = replace(large, inputs=large.inputs[:, :height, :width].copy())
            got = small.run()
            np.testing.assert_array_equal(got, want[:, : got.shape[1], : got.shape[2]], err_msg=str(small))


@pytest.mark.usefixtures("isa")
@given(case=cases("depthwise_conv", batches=(1, 2)))
def test_channels_as_groups_of_a_dense_layer_differ_in_no_bit(case):
    results = []
    for dense in (False, True):
        with scheduled(columnwise=never, one_channel_groups=lambda g, _, dense=dense: dense or g.channels == 1):
            check(case)
            results.append(case.run(activation="relu"))
    np.testing.assert_array_equal(*results, err_msg=str(case))


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
@pytest.mark.parametrize("window, dilation_rate", [((1, 2), 9), ((1, 3), 2), ((1, 4), 1), ((2, 2), 1), ((2, 2), 30)])
def test_windows_of_few_taps(dtype, window, dilation_rate):
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
@pytest.mark.parametrize("op", ["depthwise_conv", "separable_conv"])
@pytest.mark.parametrize("window, strides", [((3, 3), 2), ((1, 4), 3), ((5, 2), 1), ((2, 2), (1, 2))], ids=str)
def test_pixels_that_are_a_part_of_a_vector(op, dtype, window, strides, set_num_threads):
    """Rows of every length, next to padding and not, one weight not finite or all, in blocks and views, by threads."""

    def parts(g, target):
        return target.halves and g.filters == g.channels < target.lanes and not g.channels_first

    orders = [order for name, order in ORDERS.items() if name != "broadcast"]
    for n, width in enumerate((1, 3, 8, 9, 16, 17, 23, 40)):
        shape, *weights = shapes(op, (9, width), window, 3 + n % 5, 8)
        options = {"dtype": dtype, "padding": "same", "strides": strides, "dilation_rate": 1 + (strides == 1)}
        case = make(op, (2, *shape[1:]), *weights, **options)
        infinite = replace(case, kernels=[kernel.copy() for kernel in case.kernels])
        infinite.kernels[0][0, 0] = np.inf
        for made in (case, infinite):
            with scheduled(thin=never):
                want = check(case) if made is case else made.run()
            moved = replace(made, inputs=orders[n % len(orders)](made.inputs))
            for threads, pixels in ((1, 512), (3, 7)):
                set_num_threads(threads)
                with scheduled(thin=parts, SERIAL_FLOPS=100, MOST_BLOCK_PIXELS=pixels):
                    np.testing.assert_array_equal(made.run(), want, err_msg=str(made))
                    np.testing.assert_array_equal(moved.run(), want, err_msg=str(moved))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("strides", [1, 2, (1, 3)], ids=str)
@pytest.mark.parametrize("window, dilation_rate", [((1, 4), 1), ((9, 6), 1), ((4, 9), 1), ((3, 2), 3)], ids=str)
def test_rows_of_few_pixels(dtype, window, dilation_rate, strides, set_num_threads):
    """Tiles that go down columns add as those of longer rows do, next to padding and elsewhere, in parts and views."""
    options = {"dtype": dtype, "dilation_rate": dilation_rate, "strides": strides, "padding": ((3, 2), (2, 0))}
    if dilation_rate > 1 and strides != 1:
        options["strides"] = 1
    for channels in (16, 37):
        wide = make("depthwise_conv", (2, 31, 40, channels), (*window, channels, 1), **options)
        want = check(wide)
        for width in range(9, 17):
            narrow = replace(wide, inputs=wide.inputs[:, :, :width])
            copied = replace(wide, inputs=narrow.inputs.copy())
            for threads, pixels in ((1, 512), (3, 7)):
                set_num_threads(threads)
                with scheduled(SERIAL_FLOPS=100, MOST_BLOCK_PIXELS=pixels):
                    got = copied.run()
                    np.testing.assert_array_equal(got, want[:, :, : got.shape[2]], err_msg=str(copied))
                    np.testing.assert_array_equal(narrow.run(), got, err_msg=str(narrow))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("op", ["depthwise_conv", "separable_conv"])
@pytest.mark.parametrize("window, options", [
    ((21, 4), {}),
    ((4, 21), {}),
    ((13, 13), {}),
    ((31, 1), {}),
    ((1, 31), {}),
    ((9, 9), {"strides": 2}),
    ((9, 9), {"dilation_rate": 3}),
])  # fmt: skip
def test_taps_that_meet_padding_alone_differ_in_no_bit(op, dtype, window, options):
    """They are left out, but where a weight of any channel is not finite."""
    for channels, multiplier in ((40, 1), (20, 2)):
        shape, *weights = shapes(op, (7, 9), window, channels, 8)
        weights[0] = (*window, channels, multiplier)
        if op == "separable_conv":
            weights[1] = (1, 1, channels * multiplier, 8)
        case = make(op, (2, *shape[1:]), *weights, dtype=dtype, padding="same", **options)
        want = check(case)
        case.kernels[0][..., -1, -1] = np.inf
        if op == "separable_conv":
            assert np.isnan(case.run()).any()
            continue
        got = case.run()
        np.testing.assert_array_equal(got[..., :-1], want[..., :-1], err_msg=str(case))
        assert np.isnan(got[..., -1]).any()


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
